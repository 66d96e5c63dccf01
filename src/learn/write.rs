//! The learned policy as a document.

use std::collections::BTreeSet;

use super::Figures;
use super::current::Current;
use super::draft::Route;
use super::parties::{Parties, Party};
use crate::config::written as text;
use crate::decision_log::{Counts, with_commas};
use crate::telemetry::json::visible;

/// What a document is made of.
pub(super) struct Whole<'a> {
    pub(super) current: Option<&'a Current>,
    pub(super) drafts: &'a [Route],
    pub(super) parties: &'a Parties,
    pub(super) names: &'a [String],
    pub(super) used: &'a BTreeSet<usize>,
    pub(super) figures: Figures,
    pub(super) counts: &'a Counts,
    pub(super) left_out: u64,
}

/// Keys of the document that are written anew, or no longer true.
const ANEW: [&str; 6] = ["callers", "routes", "mode", "until", "enforce", "end"];

/// The document.
pub(super) fn document(whole: &Whole<'_>) -> String {
    let mut out = header(whole);
    let mut end = false;
    if let Some(current) = whole.current {
        let kept = text::without(&current.text, &current.tree, &ANEW);
        out.push_str(kept.trim_start_matches('\n'));
        end = current.tree.get("end").is_some();
        if !out.ends_with("\n\n") {
            out.push('\n');
        }
    }
    out.push_str(&callers(whole));
    out.push_str("routes:\n");
    for route in whole.drafts {
        out.push_str(&self::route(route));
    }
    if whole.drafts.is_empty() {
        // A list that allows nobody anything, and says so.
        out.push_str("  - path: /**\n    allow: nobody\n");
    }
    if end {
        out.push_str("\nend: true\n");
    }
    out
}

fn header(whole: &Whole<'_>) -> String {
    let counts = whole.counts;
    let figures = whole.figures;
    let mut out = format!(
        "# Learned by `countersign learn` from {} of {} requests",
        with_commas(figures.learned),
        with_commas(figures.requests)
    );
    if let (Some(first), Some(last)) = (&counts.first, &counts.last) {
        out.push_str(&format!(", {} to {}", visible(first), visible(last)));
    }
    out.push_str(".\n# `unsure` marks what they do not show well.");
    if whole.left_out > 0 {
        out.push_str(&format!(
            " {} requests were left out; `countersign learn` lists them.",
            with_commas(whole.left_out)
        ));
    }
    out.push('\n');
    let observed = whole.current.and_then(|current| current.tree.get("until"));
    if let Some(until) = observed.and_then(crate::config::Node::text) {
        out.push_str(&format!(
            "# This policy is enforced. To watch it first: mode: observe, until: {}\n",
            visible(until)
        ));
    }
    out.push('\n');
    out
}

/// Callers of the current policy, and those that were found.
fn callers(whole: &Whole<'_>) -> String {
    let mut out = String::new();
    let known = whole.current.map(|current| current.callers.as_slice());
    for (name, node) in known.unwrap_or_default() {
        let entries = node.entries().iter();
        let conditions = entries.filter(|entry| !ANEW.contains(&entry.key.as_str()));
        let conditions: Vec<String> = conditions
            .map(|entry| format!("{}: {}", entry.key, text::flow(&entry.value)))
            .collect();
        let name = text::scalar(name);
        out.push_str(&format!("  {name}: {{{}}}\n", conditions.join(", ")));
    }
    for at in whole.used {
        let (Some(party), Some(name)) = (whole.parties.get(*at), whole.names.get(*at)) else {
            continue;
        };
        let Some(definition) = party.definition() else {
            continue;
        };
        let conditions: Vec<String> = definition
            .iter()
            .map(|(key, value)| format!("{key}: {}", text::scalar(value)))
            .collect();
        let unsure = match party {
            Party::Issuer(_) => "    # unsure: anybody with a token of this issuer",
            _ => "",
        };
        let name = text::scalar(name);
        out.push_str(&format!(
            "  {name}: {{{}}}{unsure}\n",
            conditions.join(", ")
        ));
    }
    if out.is_empty() {
        return out;
    }
    format!("callers:\n{out}\n")
}

fn route(route: &Route) -> String {
    let mut out = format!("  - path: {}\n", text::path(&route.path));
    for line in route.narrowed.lines() {
        out.push_str(&format!("    {line}\n"));
    }
    for doubt in &route.unsure {
        out.push_str(&format!("    # unsure: {}\n", visible(doubt)));
    }
    out.push_str("    allow:\n");
    for row in &route.rows {
        let methods = row.methods.join(", ");
        let plain = methods
            .chars()
            .all(|c| c.is_ascii_uppercase() || c == ',' || c == ' ');
        let methods = if plain {
            methods
        } else {
            text::quoted(&methods)
        };
        match row.alternatives.as_slice() {
            [one] if one.text == "anyone" => {
                out.push_str(&format!("      {methods}: anyone{}\n", remark(one)));
            }
            all => {
                out.push_str(&format!("      {methods}:\n"));
                for one in all {
                    out.push_str(&format!("        - {}{}\n", one.text, remark(one)));
                }
            }
        }
    }
    if !route.fold.is_empty() {
        let names = route.fold.iter().map(String::as_str);
        out.push_str(&format!("    fold: {}\n", text::list(names)));
    }
    for (key, value) in &route.besides {
        out.push_str(&format!("    {key}: {value}\n"));
    }
    out
}

/// What an alternative is known from.
fn remark(alternative: &super::draft::Alternative) -> String {
    let count = with_commas(alternative.count);
    let plural = if alternative.count == 1 { "" } else { "s" };
    let mut out = format!("    # {count} request{plural}");
    if !alternative.note.is_empty() {
        out.push_str(&format!(", {}", alternative.note));
    }
    out
}
