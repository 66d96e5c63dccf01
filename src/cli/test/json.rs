//! A report for programs.

use serde_json::{Value, json};

use super::{Covered, Outcome, Report, Suite};
use crate::case::Case;

pub(super) fn report(report: &Report) -> Value {
    let count = report.count();
    let low = report.coverage.iter().any(Covered::is_too_low);
    json!({
        "passed": count.failed == 0 && count.errors == 0 && !low,
        "cases": count.cases,
        "failed": count.failed,
        "errors": count.errors,
        "files": report.suites.iter().map(suite).collect::<Value>(),
        "coverage": report.coverage.iter().map(covered).collect::<Value>(),
    })
}

fn suite(suite: &Suite) -> Value {
    let cases = suite.outcomes.iter();
    json!({
        "file": suite.file.display().to_string(),
        "config": suite.config.display().to_string(),
        "cases": cases.map(|(case, outcome)| self::case(case, outcome)).collect::<Value>(),
    })
}

fn case(case: &Case, outcome: &Outcome) -> Value {
    let (word, told, differences, error) = match outcome {
        Outcome::Passed(told) => ("passed", Some(told), [].as_slice(), None),
        Outcome::Failed(told, differences) => ("failed", Some(told), differences.as_slice(), None),
        Outcome::Error(reason) => ("error", None, [].as_slice(), Some(reason)),
    };
    let differences = differences
        .iter()
        .map(|own| json!({"what": own.what, "wanted": own.wanted, "found": own.found}));
    json!({
        "name": case.title(),
        "line": case.line,
        "outcome": word,
        "decision": told.map(|told| told.verdict.decision()),
        "reason": told.and_then(|told| told.verdict.reason()),
        "route": told.and_then(|told| told.route.as_ref()).map(|route| route.name.to_string()),
        "caller": told.and_then(|told| told.caller.as_deref()),
        "differences": differences.collect::<Value>(),
        "error": error,
    })
}

fn covered(covered: &Covered) -> Value {
    let mut out = covered.coverage.to_json();
    if let Value::Object(members) = &mut out {
        let config = covered.config.display().to_string();
        members.insert("config".to_owned(), json!(config));
        members.insert("enough".to_owned(), json!(!covered.is_too_low()));
    }
    out
}
