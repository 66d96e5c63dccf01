//! `countersign replay`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value, json};

use super::output::{self, OutputFormat};
use super::{BAD_CONFIGURATION, check, progress};
use crate::clock::{Clock, UnixTime};
use crate::config;
use crate::decision_log::{Counts, with_commas};
use crate::replay::{Difference, Replay, Seen};
use crate::telemetry::json::visible;

/// Requests that passed would be refused, and none the other way round. As `diff` has it.
const NARROWER: u8 = 1;

/// Requests that were refused would pass, or may, or pass as another caller; or it cannot be told.
const WIDER: u8 = 2;

/// Rows of a table for people; programs get all.
const ROWS: usize = 60;

/// Tell which recorded requests would now be decided differently
///
/// Reads decision records (docs/decision-record.md), makes the request of each as far as it has it, and decides by the
/// configuration. What counts is whether it passes: what was only observed passed then. `may` says that it depends on what no
/// record has: roles, groups, certificates, a second token, a subject that was hashed, claims that the policy of the time did
/// not read. Nothing is sent and no network is touched.
///
/// It cannot be told, and a message says so, when the logs have no record of a request (decision records must be lines of their
/// own, not inside those of a container runtime), when lines of them are bad, when records say too little of every request, or
/// when there are more differences than are told apart.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  countersign replay decisions.log --config new.yaml
  kubectl logs POD -c countersign | countersign replay - --config new.yaml --output json")]
pub(super) struct Arguments {
    /// Logs with decision records, one JSON object per line; `-` reads standard input.
    #[arg(required = true, value_name = "LOG")]
    logs: Vec<PathBuf>,
    /// The configuration that decides; by default that of COUNTERSIGN_CONFIG, or /etc/countersign/countersign.yaml.
    #[arg(long, short, value_name = "FILE", default_value_os_t = super::default_config(), hide_default_value = true)]
    config: PathBuf,
    /// When it decides, which matters where something is observed until a date: 2026-12-31T12:00:00Z. Now where it is left out.
    #[arg(long, value_name = "TIME", value_parser = config::date)]
    at: Option<UnixTime>,
    /// Who reads the output.
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

/// Replays.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let config = match config::load(&arguments.config, None) {
        Ok(config) => Arc::new(config),
        Err(problems) => {
            output::err(&check::report(&problems));
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    let at = arguments.at.unwrap_or_else(|| Clock::system().now().unix);
    let mut replay = match Replay::new(config, at) {
        Ok(replay) => replay,
        Err(reason) => {
            output::err(&format!("countersign: {reason}\n"));
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    let read = progress::records(&arguments.logs, |record, line| replay.record(record, line));
    let counts = match read {
        Ok(counts) => counts,
        Err(error) => {
            output::err(&format!("countersign: {error}\n"));
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    match arguments.output {
        OutputFormat::Text => {
            for line in counts.passed_over() {
                output::err(&format!("{}\n", visible(&line)));
            }
            output::out(&text(&replay));
        }
        OutputFormat::Json => output::json(&document(&replay, &counts)),
    }
    for gap in gaps(&replay, &counts) {
        output::err(&format!("countersign: {gap}\n"));
    }
    match word(&replay, &counts) {
        "same" => ExitCode::SUCCESS,
        "narrower" => ExitCode::from(NARROWER),
        _ => ExitCode::from(WIDER),
    }
}

/// The verdict for programs.
fn word(replay: &Replay, counts: &Counts) -> &'static str {
    match replay.is_wider() {
        Some(true) => "wider",
        _ if !gaps(replay, counts).is_empty() => "unknown",
        Some(false) => "narrower",
        None => "same",
    }
}

/// Why nobody can say that nothing opens.
fn gaps(replay: &Replay, counts: &Counts) -> Vec<String> {
    let (figures, untold) = (replay.figures(), replay.untold());
    let mut all = Vec::new();
    if counts.requests == 0 {
        let lines = with_commas(counts.lines);
        all.push(format!(
            "no record of a request was read ({lines} lines): give decision records as the proxy writes them, one JSON object per line"
        ));
    } else if figures.unknown == figures.requests {
        all.push("the records say too little of every request: nothing was compared".to_owned());
    }
    if counts.bad > 0 {
        let bad = with_commas(counts.bad);
        all.push(format!(
            "lines that begin like decision records and cannot be read: {bad}; their requests were not compared"
        ));
    }
    if untold > 0 {
        let untold = with_commas(untold);
        all.push(format!(
            "{untold} requests are decided differently in more ways than are told apart, and are not shown"
        ));
    }
    all
}

fn document(replay: &Replay, counts: &Counts) -> Value {
    let figures = replay.figures();
    let differences = replay.differences().into_iter().map(|(one, seen)| {
        json!({
            "change": one.change.word(), "client": one.who, "route_then": one.route_then, "route": one.route,
            "then": one.then, "now": one.now, "requests": seen.count, "example": seen.example,
            "request_id": seen.request_id,
        })
    });
    json!({
        "verdict": word(replay, counts),
        "gaps": gaps(replay, counts),
        "requests": figures.requests,
        "same": figures.same,
        "different": figures.different,
        "unknown": figures.unknown,
        "apart": figures.apart,
        "untold": replay.untold(),
        "kinds": figures.kinds,
        "differences": differences.collect::<Value>(),
        "log": {
            "lines": counts.lines, "requests": counts.requests, "connections": counts.connections,
            "other": counts.other, "bad": counts.bad, "named": counts.named,
        },
    })
}

fn text(replay: &Replay) -> String {
    let figures = replay.figures();
    let mut out = format!(
        "{} requests: {} decided alike, {} differently",
        with_commas(figures.requests),
        with_commas(figures.same),
        with_commas(figures.different)
    );
    if figures.unknown > 0 {
        let unknown = with_commas(figures.unknown);
        out.push_str(&format!(", {unknown} of which the record says too little"));
    }
    if figures.apart > 0 {
        let apart = with_commas(figures.apart);
        out.push_str(&format!(", {apart} that policy has no part in"));
    }
    out.push('\n');
    let all = replay.differences();
    if all.is_empty() {
        return out;
    }
    let rows: Vec<Vec<String>> = all.iter().take(ROWS).map(row).collect();
    let head = ["CHANGE", "CLIENT", "ROUTE", "WHY", "REQUESTS", "EXAMPLE"];
    out.push('\n');
    out.push_str(&output::table(
        &head,
        &rows,
        output::width(),
        output::colour(),
    ));
    if let Some(more) = all.len().checked_sub(ROWS).filter(|more| *more > 0) {
        out.push_str(&format!("… and {more} more; --output json has all\n"));
    }
    out
}

fn row((one, seen): &(&Difference, &Seen)) -> Vec<String> {
    let route = if one.route_then == one.route {
        one.route.clone()
    } else {
        format!("{} → {}", one.route_then, one.route)
    };
    let why = match (one.then.as_str(), one.now.as_str()) {
        ("", now) => now.to_owned(),
        (then, "") => format!("was {then}"),
        (then, now) if then == now => format!("{now}, was observed"),
        (then, now) => format!("{now}, was {then}"),
    };
    vec![
        one.change.word().replace('_', " "),
        one.who.clone(),
        route,
        why,
        with_commas(seen.count),
        seen.example.clone(),
    ]
}
