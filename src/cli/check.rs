//! `countersign check`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use super::output::{self, OutputFormat};
use super::{BAD_CONFIGURATION, show};
use crate::config::{self, Config, Problems, VerifierSettings};
use crate::telemetry::json::visible;

/// Report everything that is wrong with configuration files
///
/// Reads a file and every file it names exactly as `run` does. Exits with 0, or with 64 when one of them may not be used.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  countersign check countersign.yaml\n  countersign check --output json *.yaml"
)]
pub(super) struct Arguments {
    /// Configuration files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Treat warnings as errors.
    #[arg(long)]
    deny_warnings: bool,
    /// Who reads the output.
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

/// Reports.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let mut valid = true;
    let mut documents = Vec::new();
    for file in &arguments.files {
        let result = config::load(file, None);
        valid &= match &result {
            Ok(config) => config.warnings.is_empty() || !arguments.deny_warnings,
            Err(_) => false,
        };
        match arguments.output {
            OutputFormat::Text => text(file, &result),
            OutputFormat::Json => documents.push(document(file, &result)),
        }
    }
    if arguments.output == OutputFormat::Json {
        output::json(&json!({"valid": valid, "files": documents}));
    }
    if valid {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(BAD_CONFIGURATION)
    }
}

fn document(file: &Path, result: &Result<Config, Problems>) -> serde_json::Value {
    let problems = match result {
        Ok(config) => &config.warnings,
        Err(problems) => problems,
    };
    json!({
        "file": file.display().to_string(),
        "valid": result.is_ok(),
        "problems": problems.to_json(),
    })
}

fn text(file: &Path, result: &Result<Config, Problems>) {
    match result {
        Ok(config) => {
            output::err(&config.warnings.render());
            output::out(&summary(file, config));
        }
        Err(problems) => output::err(&report(problems)),
    }
}

/// All problems, and how many there are.
pub(super) fn report(problems: &Problems) -> String {
    let errors = problems.errors();
    let mut text = problems.render();
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
