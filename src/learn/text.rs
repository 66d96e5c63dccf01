//! Pieces of YAML.

use crate::config::{Node, Value, is_plain_text};
use crate::telemetry::json;

/// A name of the configuration made of a text: letters, digits, `_`, `-` and `.`, at most 64.
pub(super) fn name(text: &str) -> String {
    let mut name: String = text
        .chars()
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' | '.' => c,
            _ => '-',
        })
        .skip_while(|c| !c.is_ascii_alphanumeric())
        .take(60)
        .collect();
    if name.is_empty() {
        "client".clone_into(&mut name);
    }
    name
}

/// A text as a scalar: plain where that reads as the same text everywhere, else quoted.
pub(super) fn scalar(text: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '/';
    if text.starts_with(first) && text.chars().all(word) && is_plain_text(text) {
        return text.to_owned();
    }
    quoted(text)
}

/// A path as a scalar of a block: braces need no quotes there.
pub(super) fn path(text: &str) -> String {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '{' | '}' | '~');
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// JSON's strings are YAML's double-quoted ones, and ours are escaped whatever a caller put into them.
pub(super) fn quoted(text: &str) -> String {
    let mut out = Vec::new();
    json::string(&mut out, text);
    String::from_utf8(out).unwrap_or_default()
}

/// A list on one line.
pub(super) fn list<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let quoted: Vec<String> = texts.into_iter().map(scope).collect();
    format!("[{}]", quoted.join(", "))
}

/// Scopes have colons, which mean something between braces and brackets.
fn scope(text: &str) -> String {
    scalar(text)
}

/// A value as it stands in a document, on one line.
pub(super) fn flow(node: &Node) -> String {
    match &node.value {
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(entries) => {
            let entries = entries
                .iter()
                .map(|entry| format!("{}: {}", scalar(&entry.key), flow(&entry.value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::Scalar(_) => match node.text() {
            Some(text) => scalar(text),
            None => node.plain(),
        },
    }
}
