//! Segments of paths: which of them vary, and what a parameter for them is called.

use http::uri::PathAndQuery;

use crate::authz::{PathPattern, PatternSegment};
use crate::request::CanonicalPath;

/// The decoded segments of a recorded path, with a last empty one for a trailing slash; `None` where it is none that policy
/// could have matched, or was cut in the record.
pub(super) fn segments_of(path: &str) -> Option<Vec<String>> {
    if path.ends_with('…') {
        return None;
    }
    // What was blanked stands for a segment; brackets are no path characters.
    let written = path.replace("[redacted]", REDACTED);
    let canonical = CanonicalPath::parse(PathAndQuery::try_from(written.as_str()).ok()?).ok()?;
    let mut segments: Vec<String> = canonical.segments().map(str::to_owned).collect();
    if canonical.trailing_slash() || segments.is_empty() {
        segments.push(String::new());
    }
    Some(segments)
}

/// What stands for a segment that the record does not show.
const REDACTED: &str = "~redacted~";

/// Whether policy can spell the segment as a literal.
fn is_literal(segment: &str) -> bool {
    let pattern = PathPattern::parse(&format!("/{segment}"));
    pattern.is_ok_and(|pattern| matches!(pattern.segments(), [PatternSegment::Literal(_)]))
}

/// Whether the segment is an identifier by its looks: a number, a date, a UUID, a hash, an address, a slug with many digits.
pub(super) fn is_value(segment: &str) -> bool {
    if segment.is_empty() {
        return false;
    }
    let digits = segment.bytes().filter(u8::is_ascii_digit).count();
    let only = |is: fn(u8) -> bool| segment.bytes().all(|byte| is(byte) || byte == b'-');
    segment == REDACTED
        || !is_literal(segment)
        || segment.contains('@')
        || (digits > 0 && only(|byte| byte.is_ascii_digit()))
        || (digits > 0 && segment.len() >= 8 && only(|byte| byte.is_ascii_hexdigit()))
        || (digits >= 4 && !segment.contains('.'))
}

/// Whether the segment ends in a number and is no version: `a1`, `robot-7`, not `v2`.
pub(super) fn is_numbered(segment: &str) -> bool {
    segment.ends_with(|last: char| last.is_ascii_digit()) && !is_version(segment)
}

/// `v1`, `v2beta1`.
fn is_version(segment: &str) -> bool {
    segment
        .strip_prefix(['v', 'V'])
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

/// Whether segments below this one may be members of a collection.
pub(super) fn may_be_collection(segment: &str) -> bool {
    !is_version(segment) && !["api", "internal", "public", "rest"].contains(&segment)
}

/// Whether the segment names a collection: `accounts`.
pub(super) fn is_plural(segment: &str) -> bool {
    segment.len() > 2 && segment.ends_with('s') && !segment.ends_with("ss")
}

/// A parameter below `parent`: `account` below `accounts`; `id` where nothing else is known. Names in `taken` are not used again.
pub(super) fn parameter_name(parent: Option<&str>, taken: &[String]) -> String {
    let word: String = parent
        .map(singular)
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    let base = if word.starts_with(|c: char| c.is_ascii_alphabetic()) && word.len() <= 40 {
        word
    } else {
        "id".to_owned()
    };
    let mut name = base.clone();
    let mut number = 2;
    while taken.contains(&name) {
        name = format!("{base}{number}");
        number += 1;
    }
    name
}

fn singular(word: &str) -> String {
    let stem = |end: &str| word.strip_suffix(end).filter(|stem| stem.len() > 1);
    if let Some(stem) = stem("ies") {
        return format!("{stem}y");
    }
    for end in ["sses", "xes", "ches", "shes"] {
        if let Some(stem) = stem(end) {
            return format!("{stem}{}", end.strip_suffix("es").unwrap_or_default());
        }
    }
    match stem("s") {
        Some(stem) if is_plural(word) => stem.to_owned(),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_once_and_what_was_blanked_is_a_segment() {
        let of = |path: &str| segments_of(path).map(|segments| segments.join("|"));
        assert_eq!(of("/a/b%20c/"), Some("a|b c|".to_owned()));
        assert_eq!(of("/"), Some(String::new()));
        assert_eq!(of("/x/[redacted]/y"), Some("x|~redacted~|y".to_owned()));
        assert_eq!(of("/a/../b"), None);
        assert_eq!(of("/cut…"), None);
    }

    #[test]
    fn identifiers_are_known_by_their_looks() {
        for value in [
            "7",
            "2026-11-29",
            "9f86d081884c7d65",
            "01JDXQ2M8Z3K4T5V6W7X8Y9Z0A",
            "a@example.org",
            "{x}",
            "50%",
            "*",
            "0b5c2b6e-0d4b-4b57-9d0e-3c8a5c1d2e3f",
            REDACTED,
        ] {
            assert!(is_value(value), "{value}");
        }
        for literal in [
            "",
            "orders",
            "v1",
            "oauth2-redirect",
            "openapi.json",
            "wp-login.php",
            "a1",
            "deadbeef",
            "café",
        ] {
            assert!(!is_value(literal), "{literal}");
        }
        assert!(is_numbered("robot-7") && !is_numbered("v2") && !is_numbered("robot"));
    }

    #[test]
    fn parameters_are_named_after_what_they_are_members_of() {
        let name = |parent| parameter_name(Some(parent), &["user".to_owned()]);
        let names = [
            "accounts",
            "agent",
            "policies",
            "addresses",
            "boxes",
            "users",
            "42",
            "event-logs",
            "status",
        ]
        .map(name);
        assert_eq!(
            names,
            [
                "account",
                "agent",
                "policy",
                "address",
                "box",
                "user2",
                "id",
                "event_log",
                "statu"
            ]
        );
        assert_eq!(parameter_name(None, &[]), "id");
    }
}
