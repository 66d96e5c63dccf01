//! `countersign check`.

mod github;
mod sarif;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::json;

use super::output;
use super::{BAD_CONFIGURATION, show};
use crate::config::{self, Config, Look, Problems, VerifierSettings};
use crate::telemetry::json::visible;

/// Report everything that is wrong with configuration files
///
/// Reads a file and every file it names exactly as `run` does. An error is what `run` refuses, too; a warning is what
/// somebody should look at. Each has a code, of which docs/policy.md tells the meaning and the remedy. Exits with 0, with 64
/// when a file may not be used or, with --deny-warnings, has a warning, and with 2 when the command line is wrong.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  countersign check countersign.yaml
  countersign check --deny-warnings --output github *.yaml
  countersign check --output sarif countersign.yaml > countersign.sarif")]
pub(super) struct Arguments {
    /// Configuration files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
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
    let files = arguments.files.iter();
    let checked: Vec<Checked<'_>> = files
        .map(|file| (file.as_path(), config::load(file, None)))
        .collect();
    let accepted = |result: &Result<Config, Problems>| match result {
        Ok(config) => config.warnings.is_empty() || !arguments.deny_warnings,
        Err(_) => false,
    };
    let valid = checked.iter().all(|(_, result)| accepted(result));
    match arguments.output {
        Format::Text => {
            for (file, result) in &checked {
                text(file, result, accepted(result));
            }
        }
        Format::Json => {
            let documents: Vec<_> = checked.iter().map(document).collect();
            output::json(&json!({"valid": valid, "files": documents}));
        }
        Format::Sarif => output::json(&sarif::log(checked.iter().map(problems))),
        Format::Github => {
            checked
                .iter()
                .map(problems)
                .for_each(|own| output::out(&github::commands(own)));
        }
    }
    if valid {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(BAD_CONFIGURATION)
    }
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
        colour: output::colour_of(&std::io::stderr()),
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
