//! `countersign check`.

mod github;
mod openapi;
mod sarif;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::json;

use super::output;
use super::{BAD_CONFIGURATION, default_config, show};
use crate::config::{self, Config, Look, Problems, VerifierSettings};
use crate::telemetry::json::visible;
use openapi::Against;

/// Report everything that is wrong with configuration files
///
/// Reads a file and every file it names exactly as `run` does. An error is what `run` refuses, too; a warning is what somebody
/// should look at. Each has a code, of which docs/policy.md tells the meaning and the remedy. With --openapi, routes are held
/// against the operations of an OpenAPI document.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  countersign check countersign.yaml
  countersign check --deny-warnings --output github *.yaml
  countersign check --openapi openapi.json countersign.yaml
  countersign check --output sarif countersign.yaml > countersign.sarif")]
pub(super) struct Arguments {
    /// Configuration files.
    #[arg(required_unless_present = "openapi", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Name operations of this OpenAPI document that no route covers, or that ask for more than their route, and routes behind
    /// which there is no operation. For one configuration: $COUNTERSIGN_CONFIG where none is named.
    #[arg(long, value_name = "OPENAPI")]
    openapi: Option<PathBuf>,
    /// The path that all operations are below, in the place of those of the document's `servers`; `/` for none.
    #[arg(long, value_name = "PATH", requires = "openapi")]
    prefix: Option<String>,
    /// Treat warnings as errors.
    #[arg(long)]
    deny_warnings: bool,
    /// Who reads the output.
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

/// Who reads the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// People.
    #[default]
    Text,
    /// Programs.
    Json,
    /// Programs that show findings of static analysis (SARIF 2.1.0).
    Sarif,
    /// GitHub Actions, which shows them at the lines of a change.
    Github,
}

/// A file, and what became of it.
type Checked<'a> = (&'a Path, Result<Config, Problems>);

/// Reports.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let default = [default_config()];
    let files = match arguments.files.as_slice() {
        [] => default.as_slice(),
        named => named,
    };
    let mut checked: Vec<Checked<'_>> = files
        .iter()
        .map(|file| (file.as_path(), config::load(file, None)))
        .collect();
    let against = match against(arguments, &mut checked) {
        Ok(against) => against,
        Err(why) => {
            output::err(&format!("countersign: {}\n", visible(&why)));
            return ExitCode::from(2);
        }
    };
    let accepted = |result: &Result<Config, Problems>| match result {
        Ok(config) => config.warnings.is_empty() || !arguments.deny_warnings,
        Err(_) => false,
    };
    let fits = against
        .as_ref()
        .is_none_or(|against| against.accepted(arguments.deny_warnings));
    let valid = fits && checked.iter().all(|(_, result)| accepted(result));
    let all = || {
        let of_document = against.iter().map(|against| &against.problems);
        checked.iter().map(problems).chain(of_document)
    };
    match arguments.output {
        Format::Text => {
            for (file, result) in &checked {
                text(file, result, accepted(result));
            }
            if let Some(against) = &against {
                told(against, fits);
            }
        }
        Format::Json => {
            let mut documents: Vec<_> = checked.iter().map(document).collect();
            documents.extend(against.as_ref().map(openapi_document));
            output::json(&json!({"valid": valid, "files": documents}));
        }
        Format::Sarif => output::json(&sarif::log(all())),
        Format::Github => {
            all().for_each(|own| output::out(&github::commands(own)));
        }
    }
    if valid {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(BAD_CONFIGURATION)
    }
}

/// Holds the configuration against the OpenAPI document, where there is one.
fn against<'a>(
    arguments: &'a Arguments,
    checked: &mut [Checked<'_>],
) -> Result<Option<Against<'a>>, String> {
    let Some(file) = &arguments.openapi else {
        return Ok(None);
    };
    let [(config_file, config)] = checked else {
        return Err("--openapi is about one configuration".to_owned());
    };
    Against::new(file, arguments.prefix.as_deref(), config_file, config).map(Some)
}

fn problems<'a>((_, result): &'a Checked<'_>) -> &'a Problems {
    match result {
        Ok(config) => &config.warnings,
        Err(problems) => problems,
    }
}

fn document(checked: &Checked<'_>) -> serde_json::Value {
    let (file, result) = checked;
    let problems = problems(checked);
    json!({
        "file": file.display().to_string(),
        "valid": result.is_ok(),
        "errors": problems.errors(),
        "warnings": problems.len().saturating_sub(problems.errors()),
        "problems": problems.to_json(),
    })
}

fn openapi_document(against: &Against<'_>) -> serde_json::Value {
    let errors = against.problems.errors();
    json!({
        "file": against.file.display().to_string(),
        "valid": against.operations.is_some(),
        "operations": against.operations,
        "errors": errors,
        "warnings": against.problems.len().saturating_sub(errors),
        "problems": against.problems.to_json(),
    })
}

/// What was found in the OpenAPI document, for people.
fn told(against: &Against<'_>, fits: bool) {
    let Some(operations) = against.operations.filter(|_| fits) else {
        return output::err(&report(&against.problems));
    };
    output::err(&against.problems.render_in(look()));
    output::out(&format!(
        "{}: ok, {}, {}\n",
        visible(&against.file.display().to_string()),
        count(operations, "operation"),
        count(against.problems.len(), "warning")
    ));
}

fn text(file: &Path, result: &Result<Config, Problems>, accepted: bool) {
    match result {
        Ok(config) if accepted => {
            output::err(&config.warnings.render_in(look()));
            output::out(&summary(file, config));
        }
        Ok(config) => output::err(&report(&config.warnings)),
        Err(problems) => output::err(&report(problems)),
    }
}

/// As problems look on standard error.
fn look() -> Look {
    Look {
        colour: crate::platform::shows_colour(&std::io::stderr()),
        codes: true,
    }
}

/// All problems, and how many there are.
pub(super) fn report(problems: &Problems) -> String {
    let errors = problems.errors();
    let mut text = problems.render_in(look());
    text.push_str(&format!(
        "{}: {}, {}\n",
        visible(&problems.file().display().to_string()),
        count(errors, "error"),
        count(problems.len().saturating_sub(errors), "warning")
    ));
    text
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// What a valid configuration says, in a few lines.
fn summary(file: &Path, config: &Config) -> String {
    let mut rows = Vec::new();
    let mut row = |what: &str, text: String| rows.push(vec![what.to_owned(), text]);
    for listener in &config.listeners {
        let tls = if listener.tls.is_some() { " TLS" } else { "" };
        let kind = match listener.outbound {
            None => "inbound",
            Some(_) => "outbound",
        };
        row(
            kind,
            format!(
                "{}: {}{tls} → {}",
                listener.name,
                show::listen(&listener.listen),
                show::upstream(&listener.upstream.address)
            ),
        );
    }
    row("admin", config.admin.listen.to_string());
    if let Some(probes) = &config.probes {
        row("probes", probes.listen.to_string());
    }
    for (issuer, verifier) in &config.issuers {
        let verified = match verifier {
            VerifierSettings::Keys(keys) => format!("keys: {}", show::keys(&keys.source)),
            VerifierSettings::Review(review) => show::review(&review.endpoint),
        };
        row(
            "issuer",
            format!(
                "{}: {} ({verified})",
                issuer.name,
                issuer.issuers.join(", "),
            ),
        );
    }
    row("routes", config.policy.routes().len().to_string());
    row("workers", config.workers.to_string());
    format!(
        "{}: ok, {}\n{}",
        visible(&file.display().to_string()),
        count(config.warnings.len(), "warning"),
        output::table(&["", ""], &rows, output::width(), false)
    )
}
