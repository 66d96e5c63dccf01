//! Findings as a SARIF log (Static Analysis Results Interchange Format 2.1.0, OASIS), as code scanning and editors read it.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::config::{Code, Problem, Problems};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// One run over all files.
pub(super) fn log<'a>(files: impl Iterator<Item = &'a Problems>) -> Value {
    let results: Value = files.flat_map(Problems::iter).map(result).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "countersign",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": Code::ALL.into_iter().map(rule).collect::<Value>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(code: Code) -> Value {
    json!({
        "id": code.word(),
        "shortDescription": {"text": code.means()},
        "help": {"text": code.remedy()},
        "defaultConfiguration": {"level": code.severity().word()},
    })
}

fn result(problem: &Problem) -> Value {
    let mut location = json!({
        "physicalLocation": {"artifactLocation": {"uri": uri(&problem.file)}},
    });
    if problem.line > 0
        && let Some(physical) = location.get_mut("physicalLocation")
        && let Some(members) = physical.as_object_mut()
    {
        let region = json!({"startLine": problem.line, "startColumn": problem.column});
        members.insert("region".to_owned(), region);
    }
    if !problem.path.is_empty()
        && let Some(members) = location.as_object_mut()
    {
        let logical = json!([{"fullyQualifiedName": problem.path}]);
        members.insert("logicalLocations".to_owned(), logical);
    }
    json!({
        "ruleId": problem.code.word(),
        "ruleIndex": Code::ALL.into_iter().position(|code| code == problem.code),
        "level": problem.severity.word(),
        "message": {"text": format!("{}\n{}", problem.message, problem.remedy())},
        "locations": [location],
    })
}

/// A path as a URI reference (RFC 3986): relative as it was given, or `file:`.
fn uri(path: &Path) -> String {
    let text = path.display().to_string();
    let mut out = String::new();
    if path.is_absolute() {
        out.push_str("file://");
    }
    for byte in text.bytes() {
        // A colon in the first segment of a relative reference would end a scheme.
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _infallible = write!(out, "%{byte:02X}");
        }
    }
    out
}
