//! What was learnt, for people and for programs.

use serde_json::{Value, json};

use super::baseline::Outcome;
use super::compare::{Asked, Comparison, Difference, NEAR_MISS, Switch, Verdict};
use super::reading::ProxyReading;
use crate::cli::output;
use crate::telemetry::json::visible;

/// For people.
pub(super) fn text(comparison: &Comparison, width: usize, colour: bool) -> String {
    let requests: usize = comparison.paths.iter().map(|path| path.asked.len()).sum();
    let mut text = format!(
        "{}: {requests} spellings asked of {} paths\n",
        visible(&comparison.upstream),
        comparison
            .paths
            .iter()
            .filter(|path| path.untold.is_none())
            .count(),
    );
    for path in &comparison.paths {
        let name = visible(&path.path);
        if let Some(reason) = path.untold {
            text.push_str(&format!("{name}: tells nothing: {reason}\n"));
        } else if path.by_status {
            text.push_str(&format!(
                "{name}: its answer differs each time, so that only the status is compared\n"
            ));
        }
    }
    if comparison.told_nothing() {
        return text;
    }
    if comparison.differences.is_empty() {
        text.push_str("No difference: it reads them as the proxy does.\n");
    } else {
        text.push('\n');
        let rows: Vec<_> = comparison.differences.iter().map(row).collect();
        text.push_str(&output::table(
            &["THE UPSTREAM", "FOR EXAMPLE", "THE PROXY"],
            &rows,
            width,
            colour,
        ));
    }
    text.push('\n');
    let rows: Vec<_> = comparison.switches.iter().map(switch_row).collect();
    text.push_str(&output::table(
        &["SWITCH OF ROUTES", "SAFE", "BECAUSE"],
        &rows,
        width,
        colour,
    ));
    text
}

fn row(difference: &Difference) -> Vec<String> {
    let example = difference.targets.first().cloned().unwrap_or_default();
    let proxy = match &difference.proxy {
        ProxyReading::Refused(reason) => format!("refuses it: {reason}"),
        ProxyReading::Switched(switches) => format!(
            "refuses it but where a route says `paths: [{}]`",
            switches.join(", ")
        ),
        ProxyReading::NearMiss => {
            "refuses it where the plain path has a route of its own, but with `near_miss: allow`"
                .to_owned()
        }
        ProxyReading::Another => {
            "OPEN: judges it as another path, and forwards it where that may pass".to_owned()
        }
        ProxyReading::Same => "OPEN: judges it as the plain path".to_owned(),
    };
    vec![difference.quirk.does.to_owned(), short(&example), proxy]
}

/// A long name in the middle of a table helps nobody.
fn short(target: &str) -> String {
    const MOST: usize = 40;
    if target.chars().count() <= MOST {
        return target.to_owned();
    }
    let begin: String = target.chars().take(MOST - 1).collect();
    format!("{begin}…")
}

fn switch_row(switch: &Switch) -> Vec<String> {
    let name = if switch.name == NEAR_MISS {
        "near_miss: allow".to_owned()
    } else {
        format!("paths: [{}]", switch.name)
    };
    let example = short(switch.example.as_deref().unwrap_or_default());
    let (word, mut because) = match switch.verdict {
        Verdict::Safe => ("yes", format!("{example} is another path to it, too")),
        Verdict::Unsafe => ("NO", format!("{example} is the plain path to it")),
        Verdict::Unknown => (
            "?",
            "no path that was asked for shows it: name one of two segments".to_owned(),
        ),
    };
    if !switch.on.is_empty() {
        because.push_str(&format!("; on in {}", switch.on.join(", ")));
    }
    vec![name, word.to_owned(), because]
}

/// For programs.
pub(super) fn document(comparison: &Comparison) -> Value {
    let paths: Vec<Value> = comparison
        .paths
        .iter()
        .map(|path| {
            let asked: Vec<Value> = path.asked.iter().map(asked).collect();
            json!({"path": path.path, "tells_nothing": path.untold, "compared": if path.by_status {"status"} else {"content"}, "asked": asked})
        })
        .collect();
    let differences: Vec<Value> = comparison
        .differences
        .iter()
        .map(|difference| {
            json!({
                "reading": difference.quirk.name,
                "upstream": difference.quirk.does,
                "proxy": proxy(&difference.proxy),
                "held": difference.held,
                "targets": difference.targets,
            })
        })
        .collect();
    let switches: Vec<Value> = comparison
        .switches
        .iter()
        .map(|switch| {
            json!({
                "switch": switch.name,
                "safe": match switch.verdict {
                    Verdict::Safe => Some(true),
                    Verdict::Unsafe => Some(false),
                    Verdict::Unknown => None,
                },
                "example": switch.example,
                "routes": switch.on,
            })
        })
        .collect();
    json!({
        "upstream": comparison.upstream,
        "method": comparison.method,
        "open": comparison.is_open(),
        "differences": differences,
        "switches": switches,
        "paths": paths,
    })
}

fn asked(asked: &Asked) -> Value {
    json!({
        "reading": asked.variant.quirk.name,
        "target": asked.variant.target,
        "status": asked.status,
        "upstream": match asked.outcome {
            Outcome::Same => "same",
            Outcome::Redirected => "redirected",
            Outcome::Missing => "missing",
            Outcome::Other => "other",
            Outcome::NoAnswer => "no_answer",
        },
        "proxy": proxy(&asked.proxy),
    })
}

fn proxy(reading: &ProxyReading) -> Value {
    match reading {
        ProxyReading::Same => json!({"reads": "same"}),
        ProxyReading::Refused(reason) => json!({"reads": "refused", "reason": reason}),
        ProxyReading::Switched(switches) => json!({"reads": "refused", "unless": switches}),
        ProxyReading::NearMiss => json!({"reads": "near_miss"}),
        ProxyReading::Another => json!({"reads": "another"}),
    }
}
