//! `countersign receipts`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::output::{self, OutputFormat};
use super::progress::Progress;
use super::{BAD_CONFIGURATION, check};
use crate::authn::KeySet;
use crate::clock::Clock;
use crate::config;
use crate::decision_log::{Counts, Log, LogError, with_commas};
use crate::receipts::{Place, Standing, Verdict, Verifier};
use crate::telemetry::json::visible;

/// The command line does not fit together, or a file cannot be read.
const USAGE: u8 = 2;

/// Nothing is wrong, but an end is not there, or lines were dropped.
const OPEN: u8 = 3;

/// Logs without an end that are shown to people; programs get all.
const SHOWN: usize = 10;

/// Hold a log to its receipts
///
/// Receipts (`log.receipts` of the configuration) make the log of a process a chain that is sealed by signatures.
#[derive(Debug, clap::Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Example:
  countersign receipts verify decisions.log --keys receipts-keys.json"
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Verify(Verify),
}

/// Tell whether lines of a log were removed, altered, moved, repeated or put in
///
/// Reads lines as the proxy wrote them, without a prefix of a collector. Rotated files are given in their order; logs of
/// several processes may follow one another or be mixed. Lines of other programs are counted and passed over; records of
/// Countersign without a receipt are a fault. Lines after the last seal are not sealed yet: nobody can tell whether they are
/// all, or as they were written. A log that was removed as a whole, from its beginning to its end, leaves no trace here:
/// compare the number of processes with what is known to have run.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  countersign receipts verify decisions.log --config countersign.yaml
  countersign receipts verify app.log.2 app.log.1 app.log --keys receipts-keys.json
  kubectl logs POD -c countersign | countersign receipts verify - --keys receipts-keys.json --output json

Keys:
  Save http://127.0.0.1:9090/.well-known/jwks.json, or what `countersign keygen` told, and keep it with the logs; after a
  rotation the set must have the old keys as well.")]
struct Verify {
    /// Logs, in the order in which they were written; `-` reads standard input.
    #[arg(required = true, value_name = "LOG")]
    logs: Vec<PathBuf>,
    /// A key set (JWKS, RFC 7517) with every key that may have sealed the log.
    #[arg(long, value_name = "JWKS", conflicts_with = "config")]
    keys: Option<PathBuf>,
    /// The configuration whose `log.receipts.key` sealed the log; by default that of COUNTERSIGN_CONFIG, or
    /// /etc/countersign/countersign.yaml.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Who reads the output.
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

/// Why there are no keys.
struct NoKeys {
    code: u8,
    text: String,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let Command::Verify(arguments) = &arguments.command;
    match keys(arguments) {
        Ok(keys) => verify(arguments, keys),
        Err(error) => {
            output::err(&error.text);
            ExitCode::from(error.code)
        }
    }
}

fn verify(arguments: &Verify, keys: KeySet) -> ExitCode {
    let verdict = match read(&arguments.logs, keys) {
        Ok(verdict) => verdict,
        Err(error) => {
            output::err(&format!("countersign: {}\n", visible(&error.to_string())));
            return ExitCode::from(USAGE);
        }
    };
    match arguments.output {
        OutputFormat::Text => output::out(&text(&verdict)),
        OutputFormat::Json => output::json(&document(&verdict)),
    }
    match verdict.standing() {
        Standing::Intact => ExitCode::SUCCESS,
        Standing::Open | Standing::Dropped => ExitCode::from(OPEN),
        Standing::Broken => ExitCode::FAILURE,
    }
}

fn read(paths: &[PathBuf], keys: KeySet) -> Result<Verdict, LogError> {
    let logs: Vec<Log> = paths.iter().map(|path| Log::new(path)).collect();
    let mut verifier = Verifier::new(keys);
    let mut progress = Progress::new(&logs);
    let mut counts = Counts::default();
    let mut result = Ok(());
    for log in &logs {
        let mut place = Place {
            log: log.name(),
            line: 0,
        };
        result = log.lines(|line, number, is_whole, bytes| {
            place.line = number;
            verifier.line(line, is_whole, &place);
            counts.lines += 1;
            counts.bytes = counts.bytes.saturating_add(bytes);
            progress.look(&counts);
        });
        if result.is_err() {
            break;
        }
    }
    progress.end();
    result.map(|()| verifier.finish())
}

fn keys(arguments: &Verify) -> Result<KeySet, NoKeys> {
    match &arguments.keys {
        Some(path) => from_key_set(path),
        None => from_config(
            &arguments
                .config
                .clone()
                .unwrap_or_else(super::default_config),
        ),
    }
}

fn from_key_set(path: &Path) -> Result<KeySet, NoKeys> {
    let failed = |why: String| NoKeys {
        code: USAGE,
        text: format!(
            "countersign: {}: {}\n",
            visible(&path.to_string_lossy()),
            visible(&why)
        ),
    };
    let document = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let (keys, _) = KeySet::parse(&document).map_err(|error| failed(error.to_string()))?;
    Ok(keys)
}

fn from_config(path: &Path) -> Result<KeySet, NoKeys> {
    let failed = |text: String| NoKeys {
        code: BAD_CONFIGURATION,
        text,
    };
    let config = config::load(path, None).map_err(|problems| failed(check::report(&problems)))?;
    let none = || {
        let path = visible(&path.to_string_lossy());
        failed(format!("countersign: {path}: has no `log.receipts`\n"))
    };
    let receipts = config.log.receipts.as_ref().ok_or_else(none)?;
    let document = receipts.keys.jwks(Clock::system().now().unix).to_string();
    let (keys, _) = KeySet::parse(document.as_bytes()).map_err(|_| none())?;
    Ok(keys)
}

const fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Intact => "intact",
        Standing::Dropped => "dropped",
        Standing::Open => "open",
        Standing::Broken => "broken",
    }
}

fn document(verdict: &Verdict) -> Value {
    let faults = verdict.named.iter().map(|(place, fault)| {
        json!({"log": place.log, "line": place.line, "fault": fault.word(), "words": fault.to_string()})
    });
    let unended = verdict.unended.iter().map(|own| {
        json!({
            "began": own.began, "log": own.at.log, "line": own.at.line,
            "sealed": own.sealed, "seq": own.seq, "unsealed": own.unsealed,
        })
    });
    json!({
        "verdict": word(verdict.standing()),
        "lines": verdict.lines,
        "receipts": verdict.receipts,
        "seals": verdict.seals,
        "unsealed": verdict.unsealed,
        "other": verdict.other,
        "dropped": verdict.dropped,
        "processes": verdict.processes,
        "unended": unended.collect::<Value>(),
        "cut": verdict.is_cut,
        "faults": verdict.faults,
        "named": faults.collect::<Value>(),
    })
}

fn text(verdict: &Verdict) -> String {
    let mut out = format!(
        "{}: {} receipts of {} process{}, {} seals\n",
        word(verdict.standing()),
        with_commas(verdict.receipts),
        with_commas(verdict.processes),
        if verdict.processes == 1 { "" } else { "es" },
        with_commas(verdict.seals)
    );
    for (place, fault) in &verdict.named {
        let place = if place.line == 0 {
            String::new()
        } else {
            format!("{}: ", visible(&place.to_string()))
        };
        out.push_str(&format!("error: {place}{fault}\n"));
    }
    let named = u64::try_from(verdict.named.len()).unwrap_or(u64::MAX);
    if verdict.faults > named {
        let more = with_commas(verdict.faults - named);
        out.push_str(&format!("… and {more} more\n"));
    }
    for own in verdict.unended.iter().take(SHOWN) {
        out.push_str(&format!(
            "open: the log that began at {} ({}) has no end: the process runs, was killed, or lines were cut off; last sealed at {} (seq {})\n",
            visible(&own.began),
            visible(&own.at.to_string()),
            visible(&own.sealed),
            own.seq
        ));
    }
    if let Some(more) = verdict
        .unended
        .len()
        .checked_sub(SHOWN)
        .filter(|more| *more > 0)
    {
        out.push_str(&format!("… and {more} more\n"));
    }
    let counted = [
        (verdict.unsealed, "lines are not sealed yet"),
        (u64::from(verdict.is_cut), "line is cut off in the middle"),
        (
            verdict.dropped,
            "or more lines were dropped by the process, since nobody read fast enough",
        ),
        (
            verdict.other,
            "lines are of something else and were passed over",
        ),
    ];
    for (count, what) in counted.iter().filter(|(count, _)| *count > 0) {
        out.push_str(&format!("{} {what}\n", with_commas(*count)));
    }
    out
}
