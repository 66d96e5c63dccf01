//! A report as the XML that JUnit's Ant task began and CI systems read: suites of cases, a `failure` for what went
//! otherwise, an `error` for what could not be tried.

use std::fmt::Write as _;

use super::{Covered, Outcome, Report, Suite, decided};
use crate::case::Case;
use crate::explain::Check;
use crate::telemetry::json::visible;

pub(super) fn report(report: &Report) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let count = report.count();
    let low = report
        .coverage
        .iter()
        .filter(|own| own.is_too_low())
        .count();
    let _infallible = writeln!(
        out,
        "<testsuites name=\"countersign test\" tests=\"{}\" failures=\"{}\" errors=\"{}\">",
        count.cases + report.coverage.len(),
        count.failed + low,
        count.errors
    );
    for suite in &report.suites {
        self::suite(suite, &mut out);
    }
    if !report.coverage.is_empty() {
        let all = report.coverage.len();
        let _infallible = writeln!(
            out,
            "  <testsuite name=\"coverage\" tests=\"{all}\" failures=\"{low}\" errors=\"0\">"
        );
        for covered in &report.coverage {
            coverage(covered, &mut out);
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn suite(suite: &Suite, out: &mut String) {
    let count = suite.count();
    let file = suite.file.display().to_string();
    let _infallible = writeln!(
        out,
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\">",
        escaped(&file),
        count.cases,
        count.failed,
        count.errors
    );
    let config = suite.config.display().to_string();
    let _infallible = writeln!(
        out,
        "    <properties><property name=\"config\" value=\"{}\"/></properties>",
        escaped(&config)
    );
    for (case, outcome) in &suite.outcomes {
        self::case(case, outcome, &file, out);
    }
    out.push_str("  </testsuite>\n");
}

fn case(case: &Case, outcome: &Outcome, file: &str, out: &mut String) {
    let head = format!(
        "    <testcase name=\"{}\" classname=\"{}\" file=\"{}\" line=\"{}\"",
        escaped(&case.title()),
        escaped(file),
        escaped(file),
        case.line
    );
    let (element, message, text) = match outcome {
        Outcome::Passed(_) => {
            let _infallible = writeln!(out, "{head}/>");
            return;
        }
        Outcome::Failed(told, differences) => {
            let lines: Vec<String> = differences.iter().map(line).collect();
            ("failure", decided(told), lines.join("\n"))
        }
        Outcome::Error(reason) => ("error", reason.clone(), String::new()),
    };
    let _infallible = writeln!(
        out,
        "{head}>\n      <{element} message=\"{}\" type=\"expect\">{}</{element}>\n    </testcase>",
        escaped(&message),
        escaped(&text)
    );
}

fn line(check: &Check) -> String {
    format!(
        "{}: wanted {}, found {}",
        check.what, check.wanted, check.found
    )
}

fn coverage(covered: &Covered, out: &mut String) {
    let config = covered.config.display().to_string();
    let head = format!(
        "    <testcase name=\"{}\" classname=\"coverage\"",
        escaped(&config)
    );
    let percent = covered.coverage.percent();
    let gaps: Vec<String> = covered
        .coverage
        .gaps()
        .iter()
        .map(|gap| {
            let who = gap.who.as_deref().unwrap_or_default();
            let place = format!("{} {} {who}", gap.route, gap.methods);
            format!("{}: {}", place.trim_end(), gap.missing.words())
        })
        .collect();
    let text = gaps.join("\n");
    let text = escaped(&text);
    let _infallible = match covered.least.filter(|_| covered.is_too_low()) {
        Some(least) => writeln!(
            out,
            "{head}>\n      <failure message=\"{percent} %, less than {least} %\" type=\"coverage\">{text}</failure>\n    </testcase>"
        ),
        None => writeln!(
            out,
            "{head}>\n      <system-out>{percent} %\n{text}</system-out>\n    </testcase>"
        ),
    };
}

/// Text as XML holds it; characters that XML has no way to hold, and those that fool terminals, are written out. Line ends
/// are ours.
fn escaped(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(visible).collect();
    let mut out = String::new();
    for c in lines.join("\n").chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML 1.0 section 2.2 has neither of the two last characters of the plane.
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
