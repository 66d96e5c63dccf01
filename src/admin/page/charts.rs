//! Small charts: bars of the last minutes, drawn here as SVG.

use super::html::{Html, grouped};
use crate::admin::{MINUTES, Tally};

/// Units of a chart: a bar and the gap after it, and the height of the highest bar.
const STEP: usize = 6;
const BAR: usize = 5;
const HEIGHT: u64 = 60;
/// What is there can be seen, however little it is beside the rest.
const LEAST: u64 = 2;

/// Bars of allowed, errored and denied requests, the last minute at the right. `label` says what it shows.
pub(super) fn bars(html: &mut Html, tally: &Tally, class: &str, label: &str) {
    let most = most(tally);
    let width = STEP * MINUTES;
    html.element("<svg class=\"", class, "\"");
    html.raw(&format!(
        " viewBox=\"0 0 {width} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\""
    ));
    let [allowed, denied, errored] = tally.sums().map(grouped);
    html.text(&format!(
        "{label}, last {MINUTES} minutes: {allowed} allowed, {denied} denied, {errored} failed"
    ));
    html.raw("\">");
    for (minute, counts) in tally.minutes().enumerate() {
        bar(html, minute, counts, most);
    }
    html.raw("</svg>");
}

/// The most requests of one minute.
pub(super) fn most(tally: &Tally) -> u64 {
    let minutes = tally.minutes().map(|counts| counts.iter().sum());
    minutes.max().unwrap_or(0)
}

/// Refusals stand on the ground line, where they can be compared.
fn bar(html: &mut Html, minute: usize, [allowed, denied, errored]: [u64; 3], most: u64) {
    if allowed + denied + errored == 0 {
        return;
    }
    let ago = match MINUTES - 1 - minute {
        0 => "this minute".to_owned(),
        1 => "1 minute ago".to_owned(),
        ago => format!("{ago} minutes ago"),
    };
    html.element(
        "<g><title>",
        &format!("{ago}: {allowed} allowed, {denied} denied, {errored} failed"),
        "</title>",
    );
    let x = minute * STEP;
    let mut ground = HEIGHT;
    for (class, count) in [
        ("denied", denied),
        ("errored", errored),
        ("allowed", allowed),
    ] {
        if count == 0 {
            continue;
        }
        let height = (count * HEIGHT / most.max(1)).max(LEAST).min(ground);
        ground -= height;
        html.raw(&format!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{ground}\" width=\"{BAR}\" height=\"{height}\"/>"
        ));
    }
    html.raw("</g>");
}
