//! `countersign import`.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::output::{self, OutputFormat};
use super::{BAD_CONFIGURATION, check};
use crate::openapi::{self, Current, Document, Imported, Options};
use crate::telemetry::json::visible;

/// The command line does not fit together, or not to the documents.
const USAGE: u8 = 2;

/// Write a policy from a backend's OpenAPI document
///
/// Reads an OpenAPI document (3.0 or 3.1; JSON, or YAML without anchors) and writes a configuration to standard output: a route
/// for each path, a row for each method, the scopes that `security` asks for. Nothing is opened that the document does not
/// name: an operation of which it does not say who may, or that it leaves to everybody, is `nobody`, with a remark that says
/// so. Nothing is fetched, and references lead nowhere but to components of the document itself.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  countersign import openapi.json > countersign.yaml
  countersign import --config current.yaml openapi.json > countersign.yaml
  countersign import --config current.yaml --issuer OAuth2PasswordBearer=dls openapi.json
  countersign import --prefix / --trust-public openapi.json
  countersign import openapi.json > countersign.yaml && countersign check --openapi openapi.json countersign.yaml")]
pub(super) struct Arguments {
    /// The OpenAPI document.
    #[arg(value_name = "OPENAPI")]
    document: PathBuf,
    /// The configuration in force: what it says besides routes is kept, and its issuers and callers are those that routes name.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The issuer whose tokens a security scheme of the document is about. May be given more than once.
    #[arg(long, value_name = "SCHEME=NAME", value_parser = pair)]
    issuer: Vec<(String, String)>,
    /// The path that all operations are below, in the place of those of `servers`; `/` for none.
    #[arg(long, value_name = "PATH")]
    prefix: Option<String>,
    /// Open what the document leaves to everybody (`security: []`, or an empty object in it). What it says nothing about stays
    /// closed.
    #[arg(long)]
    trust_public: bool,
    /// Who reads the output; `json` is one object with the policy and what else is told.
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

fn pair(text: &str) -> Result<(String, String), String> {
    text.rsplit_once('=')
        .filter(|(scheme, issuer)| !scheme.is_empty() && !issuer.is_empty())
        .map(|(scheme, issuer)| (scheme.to_owned(), issuer.to_owned()))
        .ok_or_else(|| "expected SCHEME=NAME".to_owned())
}

/// Imports.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    let current = arguments.config.as_deref().map(Current::load).transpose();
    let read = Document::load(&arguments.document);
    let (current, mut document) = match (current, read) {
        (Ok(current), Ok(document)) => (current, document),
        (current, document) => {
            for problems in [current.err(), document.err()].into_iter().flatten() {
                output::err(&check::report(&problems));
            }
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    if let Some(prefix) = &arguments.prefix
        && !document.set_prefix(prefix)
    {
        return usage(&format!("`{prefix}` is no path that routes can be below"));
    }
    let options = Options {
        trust_public: arguments.trust_public,
        issuers: arguments.issuer,
        current,
    };
    let imported = match openapi::import(&document, &arguments.document, &options) {
        Ok(imported) => imported,
        Err(why) => return usage(&why),
    };
    let accepted = imported.check(arguments.config.as_deref());
    match arguments.output {
        OutputFormat::Text => {
            output::out(&imported.policy);
            output::err(&visible_lines(&text(&document, &imported)));
        }
        OutputFormat::Json => output::json(&json!({
            "policy": imported.policy,
            "operations": document.operations(),
            "routes": imported.routes,
            "with_token": imported.with_token,
            "public": imported.public,
            "unsaid": imported.unsaid,
            "closed": imported.closed,
            "unchecked": imported.unchecked,
            "notes": imported.notes,
            "accepted": accepted.is_ok(),
        })),
    }
    match accepted {
        Ok(()) => ExitCode::SUCCESS,
        Err(problems) => {
            output::err("error: the policy would not be accepted as it is\n");
            output::err(&check::report(&problems));
            ExitCode::FAILURE
        }
    }
}

fn usage(why: &str) -> ExitCode {
    output::err(&format!("countersign: {}\n", visible(why)));
    ExitCode::from(USAGE)
}

fn visible_lines(text: &str) -> String {
    text.lines()
        .map(|line| format!("{}\n", visible(line)))
        .collect()
}

/// For people.
fn text(document: &Document, imported: &Imported) -> String {
    let mut out = format!(
        "imported {} operations as {} routes: {} with a token",
        document.operations(),
        imported.routes,
        imported.with_token
    );
    for (count, what) in [
        (imported.public, "open to everybody"),
        (
            imported.unsaid,
            "closed, since the document does not say who may",
        ),
        (
            imported.closed,
            "closed, although the document lets everybody pass (--trust-public)",
        ),
        (
            imported.unchecked,
            "closed, since what the document asks for cannot be said or checked here",
        ),
    ] {
        if count > 0 {
            out.push_str(&format!("\n  {count} {what}"));
        }
    }
    out.push('\n');
    for note in &imported.notes {
        out.push_str(&format!("note: {note}\n"));
    }
    out
}
