//! A report for people.

use super::{Covered, Outcome, Report, Suite, decided, plural};
use crate::cli::output;
use crate::explain::{Gap, Paint};
use crate::telemetry::json::visible;

const GREEN: &str = "32";
const RED: &str = "31";

pub(super) fn report(report: &Report) -> String {
    let colour = output::colour();
    let mut out = String::new();
    for suite in &report.suites {
        out.push_str(&self::suite(suite, output::width(), colour));
        out.push('\n');
    }
    for covered in &report.coverage {
        out.push_str(&coverage(covered, output::width(), colour));
        out.push('\n');
    }
    out.push_str(&summary(report, Paint { colour }));
    out
}

/// The cases of a document, and below those that went otherwise what was wanted and what was found.
fn suite(suite: &Suite, width: usize, colour: bool) -> String {
    let mut rows = Vec::new();
    let mut colours = Vec::new();
    let mut row = |cells: [&str; 4], colour| {
        rows.push(cells.map(str::to_owned).to_vec());
        colours.push(colour);
    };
    for (case, outcome) in &suite.outcomes {
        let line = case.line.to_string();
        let title = case.title();
        match outcome {
            Outcome::Passed(told) => row(["✓", &line, &title, &decided(told)], ""),
            Outcome::Error(reason) => row(["✗", &line, &title, reason], RED),
            Outcome::Failed(told, differences) => {
                row(["✗", &line, &title, &decided(told)], RED);
                for own in differences {
                    let wanted = format!("- wanted  {}", own.wanted);
                    let found = format!("+ found   {}", own.found);
                    row(["", "", &format!("  {}", own.what), &wanted], GREEN);
                    row(["", "", "", &found], RED);
                }
            }
        }
    }
    let paint = Paint { colour };
    let file = visible(&suite.file.display().to_string());
    let config = visible(&suite.config.display().to_string());
    let table = output::painted_table(&["", "", "", ""], &rows, &colours, width, colour);
    format!(
        "{} {}\n{table}",
        paint.bold(&file),
        paint.dim(&format!("of {config}"))
    )
}

fn coverage(covered: &Covered, width: usize, colour: bool) -> String {
    let paint = Paint { colour };
    let (seen, total) = covered.coverage.score();
    let percent = format!("{} %", covered.coverage.percent());
    let percent = match covered.least {
        Some(least) if covered.is_too_low() => {
            paint.bad(&format!("{percent}, less than {least} %"))
        }
        _ => paint.good(&percent),
    };
    let config = visible(&covered.config.display().to_string());
    let mut out = format!(
        "{} {percent} {}\n",
        paint.bold(&format!("coverage of {config}:")),
        paint.dim(&format!("({seen} of {total})"))
    );
    let gaps = covered.coverage.gaps();
    if !gaps.is_empty() {
        let rows: Vec<Vec<String>> = gaps.iter().map(gap).collect();
        let head = ["ROUTE", "METHODS", "WHO", "MISSING"];
        out.push_str(&output::table(&head, &rows, width, colour));
    }
    out
}

fn gap(gap: &Gap) -> Vec<String> {
    vec![
        gap.route.clone(),
        gap.methods.clone(),
        gap.who.clone().unwrap_or_default(),
        gap.missing.words(),
    ]
}

fn summary(report: &Report, paint: Paint) -> String {
    let count = report.count();
    let wrong = count.failed + count.errors;
    let passed = count.cases.saturating_sub(wrong);
    let mut parts = vec![format!("{passed} passed")];
    parts.extend((count.failed > 0).then(|| format!("{} failed", count.failed)));
    parts.extend((count.errors > 0).then(|| plural(count.errors, "error")));
    let text = format!("{}: {}", plural(count.cases, "case"), parts.join(", "));
    let text = if wrong > 0 {
        paint.bad(&text)
    } else {
        paint.good(&text)
    };
    match why(report) {
        Some(command) => format!("{text}\n{}\n", paint.dim(&format!("why: {command}"))),
        None => format!("{text}\n"),
    }
}

/// The command that tells why the first case went otherwise.
fn why(report: &Report) -> Option<String> {
    let suite = report
        .suites
        .iter()
        .find(|suite| suite.count().failed > 0)?;
    let mut cases = suite.outcomes.iter();
    let (case, _) = cases.find(|(_, outcome)| matches!(outcome, Outcome::Failed(..)))?;
    let name = case.name.as_ref();
    let name = name.map_or_else(String::new, |name| format!(" --name {}", quoted(name)));
    let (config, file) = (
        suite.config.display().to_string(),
        suite.file.display().to_string(),
    );
    Some(format!(
        "countersign explain --config {} --case {}{name}",
        quoted(&config),
        quoted(&file)
    ))
}

/// As a shell takes it.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let text = visible(text);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
