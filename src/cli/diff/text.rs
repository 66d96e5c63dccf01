//! Differences for people, on a terminal.

use serde_json::Value;

use super::counts;
use crate::diff::{Diff, Line, Way, words};
use crate::telemetry::json::visible;

/// Most paths of one difference that are shown.
const PATHS: usize = 4;

/// All of them, those of policy first.
pub(super) fn render(diff: &Diff, colour: bool) -> String {
    let mut out = String::new();
    let widest = diff
        .lines()
        .map(|line| line.way.word().len())
        .max()
        .unwrap_or_default();
    for line in diff.lines() {
        let word = format!("{:widest$}", line.way.word());
        out.push_str(&painted(&word, paint(line.way), colour));
        let indent = " ".repeat(widest + 2);
        let head = visible(&head(line));
        out.push_str(&format!("  {}\n", painted(&head, "1", colour)));
        out.push_str(&format!("{indent}{}\n", visible(&line.words)));
        if let Some(case) = &line.case {
            let case = visible(&self::case(case));
            out.push_str(&format!("{indent}{}\n", painted(&case, "2", colour)));
        }
    }
    if diff.incomplete {
        out.push_str("there is more than could be compared: what is not told here may be different as well\n");
    }
    if diff.lines().next().is_none() {
        out.push_str("no difference: every request is decided as before\n");
    } else {
        out.push_str(&format!("{}: {}\n", diff.verdict().word(), counts(diff)));
    }
    out
}

/// A case on one line: YAML, and JSON as well.
pub(crate) fn case(case: &[(&'static str, Value)]) -> String {
    let members: Vec<String> = case
        .iter()
        .map(|(key, value)| format!("\"{key}\": {value}"))
        .collect();
    format!("{{{}}}", members.join(", "))
}

/// What a difference is about.
fn head(line: &Line) -> String {
    let Some(region) = &line.region else {
        return line.place.clone();
    };
    let mut paths: Vec<String> = region.paths.iter().take(PATHS).map(words::path).collect();
    if let Some(more) = region
        .paths
        .len()
        .checked_sub(PATHS)
        .filter(|more| *more > 0)
    {
        paths.push(format!("and {more} more"));
    }
    let mut head = format!("{} {}", words::methods(&region.methods), paths.join(", "));
    if let Some(hosts) = words::hosts(&region.hosts) {
        head.push_str(&format!(" on {hosts}"));
    }
    if &*region.listener != "inbound" {
        head.push_str(&format!(" at {}", region.listener));
    }
    head
}

const fn paint(way: Way) -> &'static str {
    match way {
        Way::Wider => "31",
        Way::Narrower => "32",
        Way::Identity | Way::MayWiden | Way::May => "33",
        Way::MayNarrow => "36",
        Way::Note => "2",
    }
}

fn painted(text: &str, paint: &str, colour: bool) -> String {
    if colour {
        format!("\x1b[{paint}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}
