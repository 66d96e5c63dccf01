//! `countersign diff`.

mod markdown;
#[cfg(test)]
mod tests;
mod text;

#[cfg(test)]
pub(crate) use text::case as as_text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::output;
use super::{BAD_CONFIGURATION, check};
use crate::authz::compare::{Change, Effect, Kind, PathLabel};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::diff::{self, Diff, Line, Verdict};

/// Tell what a change of the configuration opens and closes
///
/// Compares what two configurations decide, not how they are written: order, names and ways to write the same are no
/// difference. Every difference comes in words and with a request that shows it, which `explain` and `test` read.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  countersign diff countersign.yaml proposed.yaml\n  countersign diff --fail-on wider --output markdown main.yaml branch.yaml > comment.md"
)]
pub(super) struct Arguments {
    /// The configuration that is in use.
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The one that would take its place.
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Which differences make the exit code other than 0.
    #[arg(long, value_enum, default_value_t, value_name = "WHICH")]
    fail_on: FailOn,
    /// Who reads the output.
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

/// Which differences make the exit code other than 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// All: 1 for narrower, 2 for wider.
    #[default]
    Any,
    /// Only wider ones: 2.
    Wider,
    /// None.
    Never,
}

/// Who reads the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// People, on a terminal.
    #[default]
    Text,
    /// Programs.
    Json,
    /// People, in a pull request.
    Markdown,
}

/// Compares.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let loaded = (
        config::load(&arguments.old, None),
        config::load(&arguments.new, None),
    );
    let (old, new) = match loaded {
        (Ok(old), Ok(new)) => (old, new),
        (old, new) => {
            let problems: Vec<_> = [old.err(), new.err()].into_iter().flatten().collect();
            if arguments.output == Format::Json {
                let problems: Vec<Value> = problems.iter().map(config::Problems::to_json).collect();
                output::json(&json!({"verdict": null, "problems": problems}));
            } else {
                problems
                    .iter()
                    .for_each(|own| output::err(&check::report(own)));
            }
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    let diff = compared(&old, &new);
    match arguments.output {
        Format::Text => output::out(&text::render(&diff, output::colour())),
        Format::Json => output::json(&document(&diff, &arguments.old, &arguments.new)),
        Format::Markdown => output::out(&markdown::render(&diff)),
    }
    ExitCode::from(code(diff.verdict(), arguments.fail_on))
}

fn compared(old: &Config, new: &Config) -> Diff {
    diff::diff(old, new, Clock::system().now())
}

const fn code(verdict: Verdict, fail_on: FailOn) -> u8 {
    match (verdict, fail_on) {
        (_, FailOn::Never) | (Verdict::Same, _) | (Verdict::Narrower, FailOn::Wider) => 0,
        (Verdict::Narrower, FailOn::Any) => 1,
        (Verdict::Wider, FailOn::Any | FailOn::Wider) => 2,
    }
}

/// How many of each sort, as in `2 wider, 1 may be narrower`.
fn counts(diff: &Diff) -> String {
    let mut ways: Vec<_> = diff.lines().map(|line| line.way).collect();
    ways.sort_unstable();
    let mut counted: Vec<(diff::Way, usize)> = Vec::new();
    for way in ways {
        match counted.last_mut() {
            Some((own, count)) if *own == way => *count += 1,
            _ => counted.push((way, 1)),
        }
    }
    let counted: Vec<String> = counted
        .iter()
        .map(|(way, count)| format!("{count} {way}"))
        .collect();
    counted.join(", ")
}

fn document(diff: &Diff, old: &Path, new: &Path) -> Value {
    let lines = |lines: &[Line]| lines.iter().map(line).collect::<Vec<Value>>();
    json!({
        "old": old.display().to_string(),
        "new": new.display().to_string(),
        "verdict": diff.verdict().word(),
        "incomplete": diff.incomplete,
        "differences": lines(&diff.policy),
        "settings": lines(&diff.settings),
    })
}

fn line(line: &Line) -> Value {
    let (Some(region), Some(difference)) = (&line.region, &line.difference) else {
        return json!({"way": line.way.word(), "place": line.place, "words": line.words});
    };
    let methods: Vec<&str> = region.methods.iter().map(http::Method::as_str).collect();
    let hosts = region.hosts.named.iter().map(ToString::to_string);
    let mut value = json!({
        "way": line.way.word(),
        "words": line.words,
        "listener": &*region.listener,
        "hosts": {"named": hosts.collect::<Vec<_>>(), "others": region.hosts.others},
        "methods": methods,
        "paths": region.paths.iter().map(path).collect::<Vec<_>>(),
        "old": answer(&difference.old),
        "new": answer(&difference.new),
    });
    if let (Some(case), Value::Object(members)) = (&line.case, &mut value) {
        let case = case
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()));
        members.insert("case".to_owned(), Value::Object(case.collect()));
    }
    let more = match (&region.kind, &difference.effect) {
        (Kind::Upgrade(protocol), _) => Some(("upgrade", json!(&**protocol))),
        (Kind::Preflight { origin, wanted }, _) => Some((
            "preflight",
            json!({"origin": &**origin, "method": wanted.as_str()}),
        )),
        (Kind::Ordinary, Effect::Identity(change)) => Some(("change", json!(word(change)))),
        (Kind::Ordinary, _) => None,
    };
    if let (Some((name, more)), Value::Object(members)) = (more, &mut value) {
        members.insert(name.to_owned(), more);
    }
    value
}

const fn word(change: &Change) -> &'static str {
    match change {
        Change::Told { .. } => "principal",
        Change::Caller { .. } => "caller",
        Change::Second { .. } => "actor",
        Change::Authorization { .. } => "authorization",
    }
}

fn path(label: &PathLabel) -> Value {
    match label {
        PathLabel::Pattern(pattern) => json!({ "path": pattern }),
        PathLabel::Spelling(path) => json!({ "spellings_of": path }),
        PathLabel::Ambiguous(pattern, word) => json!({"path": pattern, "with": word}),
    }
}

fn answer(answer: &crate::authz::compare::Answer) -> Value {
    let route = answer.route.as_deref();
    match &answer.decision {
        Ok(caller) => json!({"decision": "allowed", "route": route, "caller": caller.as_deref()}),
        Err(reason) => json!({"decision": "denied", "route": route, "reason": reason}),
    }
}
