//! Differences for people, in a pull request: GitHub Flavored Markdown.

use std::collections::BTreeMap;

use serde_json::Value;

use super::counts;
use crate::diff::{Diff, Line, words};
use crate::telemetry::json::visible;

/// Most paths of one difference that are shown.
const PATHS: usize = 10;

/// A heading, a table, and the witnesses, folded.
pub(super) fn render(diff: &Diff) -> String {
    let mut out = format!("### Policy: {}\n\n", diff.verdict().word());
    if diff.lines().next().is_none() {
        out.push_str("No difference: every request is decided as before.\n");
        return out;
    }
    out.push_str(&format!(
        "{}.\n\n| | | Requests | What |\n|---|---|---|---|\n",
        counts(diff)
    ));
    for (number, line) in (1..).zip(diff.lines()) {
        out.push_str(&format!(
            "| {number} | **{}** | {} | {} |\n",
            line.way,
            about(line),
            text(&line.words)
        ));
    }
    if diff.incomplete {
        out.push_str("\nThere is more than could be compared: what is not told here may be different as well.\n");
    }
    let mut cases = String::new();
    for (number, line) in (1..).zip(diff.lines()) {
        if let Some(yaml) = line.case.as_deref().and_then(yaml) {
            let yaml: Vec<String> = yaml.lines().map(visible).collect();
            cases.push_str(&format!("{number}. {}\n\n", line.way));
            cases.push_str(&format!(
                "   ```yaml\n   {}\n   ```\n\n",
                yaml.join("\n   ")
            ));
        }
    }
    if !cases.is_empty() {
        out.push_str("\n<details>\n<summary>Requests that show it, for <code>countersign explain --case</code></summary>\n\n");
        out.push_str(&cases);
        out.push_str("</details>\n");
    }
    out
}

/// A case as people write it: its keys in the order in which they are read.
fn yaml(case: &[(&'static str, Value)]) -> Option<String> {
    let members = case
        .iter()
        .map(|(key, value)| serde_yaml::to_string(&BTreeMap::from([(key, value)])).ok());
    members.collect()
}

/// What a difference is about.
fn about(line: &Line) -> String {
    let Some(region) = &line.region else {
        return code(&line.place);
    };
    let mut parts = vec![code(&words::methods(&region.methods))];
    parts.extend(
        region
            .paths
            .iter()
            .take(PATHS)
            .map(|label| code(&words::path(label))),
    );
    if let Some(more) = region
        .paths
        .len()
        .checked_sub(PATHS)
        .filter(|more| *more > 0)
    {
        parts.push(format!("and {more} more"));
    }
    if let Some(hosts) = words::hosts(&region.hosts) {
        parts.push(format!("on {}", code(&hosts)));
    }
    if &*region.listener != "inbound" {
        parts.push(format!("at {}", code(&region.listener)));
    }
    parts.join(" ")
}

/// In a cell, as code: nothing in it ends the cell or the code.
fn code(text: &str) -> String {
    format!("`{}`", visible(text).replace('`', "'").replace('|', "\\|"))
}

/// In a cell, as text: nothing in it is markup but code between backticks.
fn text(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    let all_closed = parts.len() % 2 == 1;
    let mut out = String::new();
    for (at, part) in parts.iter().enumerate() {
        if at % 2 == 1 && all_closed && !part.is_empty() {
            out.push_str(&code(part));
        } else {
            escape(part, &mut out);
        }
    }
    out
}

fn escape(text: &str, out: &mut String) {
    for character in visible(text).chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '|' | '*' | '_' | '[' | ']' | '\\' | '~' | '#' | '@' => {
                out.push('\\');
                out.push(character);
            }
            _ => out.push(character),
        }
    }
}
