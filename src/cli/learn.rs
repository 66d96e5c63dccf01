//! `countersign learn`.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::output::{self, OutputFormat};
use super::{BAD_CONFIGURATION, check, progress};
use crate::clock::Clock;
use crate::decision_log::{Counts, with_commas};
use crate::learn::{Current, Include, Learned, Learner, Options, Tried};
use crate::telemetry::json::visible;

/// The command line does not fit together, or a log cannot be read.
const USAGE: u8 = 2;

/// Rows of a table for people; programs get all.
const ROWS: usize = 40;

/// Write a least-privilege policy from what was observed
///
/// Reads decision records (docs/decision-record.md) of a proxy that observes or enforces, and writes a policy to standard
/// output: paths with parameters, methods, callers, the scopes that all requests had, and accounts where a path has that of the
/// caller. Only requests are learned from whose token was verified, that policy let pass, and that the upstream fulfilled. What
/// was left out, and who was refused under the policy of the log, is told on standard error; lines that are no decision records
/// are counted.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  countersign learn decisions.log > policy.yaml
  countersign learn --config countersign.yaml monday.log tuesday.log > learned.yaml
  kubectl logs POD -c countersign | countersign learn --config countersign.yaml -
  countersign learn --config countersign.yaml --include 'billing:/accounts/{account}/invoices' decisions.log")]
pub(super) struct Arguments {
    /// Logs with decision records, one JSON object per line; `-` reads standard input.
    #[arg(required = true, value_name = "LOG")]
    logs: Vec<PathBuf>,
    /// The configuration in force: what it says besides routes is kept, and a whole document is written.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Take in what a client asked for although it was refused; `anonymous` is whoever brings no token. May be given more than
    /// once.
    #[arg(long, value_name = "CLIENT:PATH")]
    include: Vec<Include>,
    /// Take in every refusal of a verified token that was only observed, save those for other accounts.
    #[arg(long)]
    accept_observed: bool,
    /// Who reads the output; `json` is one object with the policy and what else is told.
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

/// Learns.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    let current = match arguments.config.as_deref().map(Current::load).transpose() {
        Ok(current) => current,
        Err(problems) => {
            output::err(&check::report(&problems));
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    let mut learner = Learner::new(Options {
        current,
        include: arguments.include,
        accept_observed: arguments.accept_observed,
    });
    let read = progress::records(&arguments.logs, |record, line| learner.record(record, line));
    let counts = match read {
        Ok(counts) => counts,
        Err(error) => {
            output::err(&format!("countersign: {error}\n"));
            return ExitCode::from(USAGE);
        }
    };
    let learned = learner.finish(&counts);
    let now = Clock::system().now().unix;
    let tried = arguments.config.as_deref();
    let tried = tried.map(|path| learned.tried(path, now));
    match arguments.output {
        OutputFormat::Text => {
            output::out(&learned.policy);
            output::err(&text(&learned, &counts, tried.as_ref()));
        }
        OutputFormat::Json => output::json(&document(&learned, &counts, tried.as_ref())),
    }
    let holds = match &tried {
        None => true,
        Some(Ok(tried)) => tried.refused.is_empty(),
        Some(Err(_)) => false,
    };
    if learned.figures.learned > 0 && holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn document(learned: &Learned, counts: &Counts, tried: Option<&Result<Tried, String>>) -> Value {
    let figures = learned.figures;
    let refused = learned.refused.iter().map(|one| {
        json!({
            "client": one.who, "route": one.route, "reason": one.reason, "requests": one.count,
            "passed": one.passed, "example": one.example,
        })
    });
    let questions = learned.questions.iter().map(|one| {
        let include = one
            .why
            .can_be_included()
            .then(|| format!("{}:{}", one.who, one.path));
        json!({
            "client": one.who, "method": one.method, "path": one.path, "why": one.why.word(),
            "requests": one.count, "example": one.example, "include": include,
        })
    });
    let tried = tried.map(|tried| match tried {
        Ok(tried) => {
            let refused = tried.refused.iter();
            let refused = refused.map(|(what, why)| json!({"request": what, "reason": why}));
            json!({"kinds": tried.kinds, "refused": refused.collect::<Value>()})
        }
        Err(why) => json!({"error": why}),
    });
    json!({
        "policy": learned.policy,
        "routes": learned.routes,
        "callers": learned.callers,
        "unsure": learned.unsure,
        "requests": figures.requests,
        "learned": figures.learned,
        "refused_requests": figures.refused,
        "preflights": figures.preflights,
        "outbound": figures.outbound,
        "beyond": learned.beyond,
        "tried": tried,
        "refused": refused.collect::<Value>(),
        "questions": questions.collect::<Value>(),
        "log": {
            "lines": counts.lines, "requests": counts.requests, "connections": counts.connections,
            "other": counts.other, "bad": counts.bad, "named": counts.named,
            "first": counts.first, "last": counts.last,
        },
    })
}

/// For people.
fn text(learned: &Learned, counts: &Counts, tried: Option<&Result<Tried, String>>) -> String {
    let figures = learned.figures;
    let mut out = format!(
        "learned {} routes for {} callers from {} of {} requests; {} of the routes say what they are unsure of\n",
        learned.routes,
        learned.callers,
        with_commas(figures.learned),
        with_commas(figures.requests),
        learned.unsure
    );
    match tried {
        None => {}
        Some(Ok(tried)) if tried.refused.is_empty() => out.push_str(&format!(
            "tried: all {} kinds of requests that were learned pass\n",
            tried.kinds
        )),
        Some(Ok(tried)) => {
            for (what, why) in &tried.refused {
                out.push_str(&format!(
                    "error: {} was learned and would be refused: {why}\n",
                    visible(what)
                ));
            }
        }
        Some(Err(why)) => {
            out.push_str(&format!("error: the policy cannot be used as it is\n{why}"))
        }
    }
    for line in counts.passed_over() {
        out.push_str(&format!("{}\n", visible(&line)));
    }
    if learned.beyond > 0 {
        out.push_str(&format!(
            "warning: {} requests were of more paths or clients than are remembered, and were left out\n",
            with_commas(learned.beyond)
        ));
    }
    out.push_str(&refused(learned));
    out.push_str(&questions(learned));
    out
}

fn refused(learned: &Learned) -> String {
    let rows: Vec<Vec<String>> = learned
        .refused
        .iter()
        .map(|one| {
            vec![
                one.who.clone(),
                one.route.clone(),
                one.reason.clone(),
                with_commas(one.count),
                one.example.clone(),
            ]
        })
        .collect();
    let head = ["CLIENT", "ROUTE", "REASON", "REQUESTS", "EXAMPLE"];
    section(
        "Refused under the policy of the log, or would be:",
        &head,
        rows,
    )
}

fn questions(learned: &Learned) -> String {
    let rows: Vec<Vec<String>> = learned
        .questions
        .iter()
        .map(|one| {
            let path = if one.why.can_be_included() {
                format!("{}:{}", one.who, one.path)
            } else {
                format!("{} {}", one.who, one.path)
            };
            vec![
                path,
                one.method.clone(),
                with_commas(one.count),
                one.why.words(),
            ]
        })
        .collect();
    let head = ["CLIENT:PATH", "METHOD", "REQUESTS", "WHY"];
    section(
        "Left out; what should pass can be taken in with --include 'CLIENT:PATH':",
        &head,
        rows,
    )
}

fn section(title: &str, head: &[&str], mut rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let more = rows.len().saturating_sub(ROWS);
    rows.truncate(ROWS);
    let mut out = format!("\n{title}\n");
    out.push_str(&output::table(head, &rows, output::width(), false));
    if more > 0 {
        out.push_str(&format!("… and {more} more; --output json has all\n"));
    }
    out
}
