//! `countersign inject`.

mod arguments;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use super::output::{self, OutputFormat};
use crate::inject::{Finding, FindingKind, Manifests, Request, Trust};
use crate::telemetry::json::visible;

pub(super) use arguments::InjectionArguments;

/// Most bytes of one input.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// Put the proxy into Kubernetes manifests
///
/// Reads Deployments, StatefulSets, DaemonSets, Jobs, CronJobs and Pods, and prints them with the sidecar added, the application
/// turned to loopback, its probes and Services to the proxy. Everything else is printed as it came, without its comments. What
/// was found, what was changed and what is left to do stands on standard error. Applied twice it changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  countersign inject --config countersign.yaml deployment.yaml | kubectl apply -f -
  kubectl get deployment web -o yaml | countersign inject --dry-run
  countersign inject --with-config --issuer https://id.example.org --audience my-api deployment.yaml service.yaml

Flags speak for all workloads; an annotation of the pod template, countersign.dev/listen-port for --listen-port, for one.")]
pub(super) struct Arguments {
    /// Manifests, in YAML or JSON; standard input where there is none, or for `-`.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print a unified diff instead.
    #[arg(long)]
    dry_run: bool,
    /// Workloads that alone get the proxy; may be repeated. All of them without it.
    #[arg(long, value_name = "KIND/NAME")]
    only: Vec<String>,
    /// The configuration: a ConfigMap of it is printed as well, and its ports are used.
    #[arg(long, value_name = "FILE", conflicts_with = "with_config")]
    config: Option<PathBuf>,
    /// A file beside the configuration, such as a pinned key set, in the same ConfigMap; may be repeated.
    #[arg(long, value_name = "FILE", requires = "config")]
    file: Vec<PathBuf>,
    /// Write a configuration to begin with, and print a ConfigMap of it.
    #[arg(long, requires = "issuer", requires = "audience")]
    with_config: bool,
    /// `iss` of the tokens that it trusts.
    #[arg(long, value_name = "URL", requires = "with_config")]
    issuer: Option<String>,
    /// `aud` of those tokens; `unchecked` for any.
    #[arg(long, value_name = "TEXT", requires = "with_config")]
    audience: Option<String>,
    /// The only clients (`azp`) that may come; may be repeated.
    #[arg(long, value_name = "ID", requires = "with_config")]
    client: Vec<String>,
    /// Exit with 1 where something is left to do.
    #[arg(long)]
    strict: bool,
    /// Who reads the report on standard error.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    report: OutputFormat,
    #[command(flatten)]
    injection: InjectionArguments,
}

/// Injects.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match inject(arguments) {
        Ok(to_do) if to_do && arguments.strict => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            output::err(&format!("countersign: {}\n", lines(&error)));
            ExitCode::FAILURE
        }
    }
}

/// Names in manifests are other people's; the lines of an error are ours.
fn lines(error: &str) -> String {
    error
        .lines()
        .map(visible)
        .collect::<Vec<_>>()
        .join("\ncountersign: ")
}

/// Whether something is left to do. Nothing is printed unless all of it could be done: the rest would be applied as it is.
fn inject(arguments: &Arguments) -> Result<bool, String> {
    let request = request(arguments)?;
    let mut before = Vec::new();
    for file in files(arguments) {
        let read = Manifests::read(&read(&file)?);
        before.push(read.map_err(|error| format!("{}: {error}", file.display()))?);
    }
    let before = Manifests::together(before);
    let mut after = before.clone();
    let findings = after.inject(&request).map_err(|error| error.to_string())?;
    if arguments.dry_run {
        output::out(&coloured(&after.diff(&before), output::colour()));
    } else {
        output::out(&after.write());
    }
    report(&findings, arguments.report);
    Ok(findings
        .iter()
        .any(|finding| finding.kind == FindingKind::ToDo))
}

fn files(arguments: &Arguments) -> Vec<PathBuf> {
    if arguments.files.is_empty() {
        vec![PathBuf::from("-")]
    } else {
        arguments.files.clone()
    }
}

fn request(arguments: &Arguments) -> Result<Request, String> {
    let trust = match (&arguments.issuer, &arguments.audience) {
        (Some(issuer), Some(audience)) => Some(Trust {
            issuer: issuer.clone(),
            audience: audience.clone(),
            clients: arguments.client.clone(),
        }),
        _ => None,
    };
    Ok(Request {
        only: arguments.only.clone(),
        config: arguments.config.as_deref().map(read).transpose()?,
        files: arguments
            .file
            .iter()
            .map(|file| beside(file))
            .collect::<Result<_, _>>()?,
        trust,
        ..arguments.injection.request()?
    })
}

/// Name and content of a file that stands beside the configuration.
fn beside(file: &Path) -> Result<(String, String), String> {
    let name = file
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name == "countersign.yaml" || !name.chars().all(allowed) {
        return Err(format!("--file: `{name}` can be no key of the ConfigMap"));
    }
    Ok((name.to_owned(), read(file)?))
}

fn read(file: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(MOST_BYTES + 1)
            .read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes))
    };
    let length = read.map_err(|error| format!("{}: {error}", file.display()))?;
    if u64::try_from(length).unwrap_or(u64::MAX) > MOST_BYTES {
        return Err(format!(
            "{}: larger than {MOST_BYTES} bytes",
            file.display()
        ));
    }
    String::from_utf8(bytes).map_err(|_| format!("{}: not UTF-8", file.display()))
}

/// A diff as terminals show it.
fn coloured(diff: &str, colour: bool) -> String {
    let mut out = String::new();
    for line in diff.lines() {
        let line = visible(line);
        let code = match line.as_bytes() {
            _ if !colour => None,
            [b'+', b'+', ..] | [b'-', b'-', ..] => Some("1"),
            [b'@', ..] => Some("36"),
            [b'+', ..] => Some("32"),
            [b'-', ..] => Some("31"),
            _ => None,
        };
        match code {
            Some(code) => out.push_str(&format!("\x1b[{code}m{line}\x1b[0m\n")),
            None => out.push_str(&format!("{line}\n")),
        }
    }
    out
}

fn report(findings: &[Finding], format: OutputFormat) {
    if format == OutputFormat::Json {
        let findings: Vec<_> = findings
            .iter()
            .map(|finding| {
                json!({
                    "object": finding.object,
                    "container": finding.container,
                    "kind": finding.kind.word(),
                    "text": finding.text,
                })
            })
            .collect();
        let document = json!({ "findings": findings });
        for line in format!("{document:#}").lines() {
            output::err(&format!("{}\n", visible(line)));
        }
        return;
    }
    if findings.is_empty() {
        output::err("countersign: no workload in the input\n");
        return;
    }
    let mut last = "";
    let rows: Vec<Vec<String>> = findings
        .iter()
        .map(|finding| {
            let object = if finding.object == last {
                ""
            } else {
                finding.object.as_str()
            };
            last = finding.object.as_str();
            vec![
                object.to_owned(),
                finding.container.clone(),
                finding.kind.word().to_owned(),
                finding.text.clone(),
            ]
        })
        .collect();
    let head = ["OBJECT", "CONTAINER", "", "WHAT"];
    output::err(&output::table(&head, &rows, output::width(), false));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diffs_are_coloured_for_terminals_alone_and_never_fool_them() {
        let diff = "--- x\n+++ x\n@@ -1 +1 @@\n a\n-b\u{1b}[31m\n+c\n";
        assert_eq!(coloured(diff, false), diff.replace('\u{1b}', "\\u001b"));
        assert_eq!(
            coloured(diff, true),
            "\x1b[1m--- x\x1b[0m\n\x1b[1m+++ x\x1b[0m\n\x1b[36m@@ -1 +1 @@\x1b[0m\n a\n\x1b[31m-b\\u001b[31m\x1b[0m\n\x1b[32m+c\x1b[0m\n"
        );
    }
}
