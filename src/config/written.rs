//! Pieces of YAML for documents that the program writes.
//!
//! Texts come from records and from documents of others, who may write `${NAME}` and `${file:/path}` into them: all that is
//! written here reads back as the very text, and takes nothing from environment or files. Only what the current
//! configuration says is written as it stands there ([`flow`], [`key`]).

use super::is_plain_text;
use super::node::{Entry, Node, Value};
use crate::telemetry::json;

/// A name of the configuration made of a text: letters, digits, `_`, `-` and `.`, at most 64.
pub(crate) fn name(text: &str) -> String {
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
pub(crate) fn scalar(text: &str) -> String {
    key(&inert(text))
}

/// `${` as the configuration spells these two characters themselves.
fn inert(text: &str) -> String {
    text.replace("${", "$${")
}

/// A key, or a scalar of the current configuration: references are left as they are, and in keys there are none.
pub(crate) fn key(text: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '/';
    if text.starts_with(first) && text.chars().all(word) && is_plain_text(text) {
        return text.to_owned();
    }
    json_string(text)
}

/// A path as a scalar of a block: braces need no quotes there.
pub(crate) fn path(text: &str) -> String {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '{' | '}' | '~');
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// JSON's strings are YAML's double-quoted ones, and ours are escaped whatever a caller put into them.
pub(crate) fn quoted(text: &str) -> String {
    json_string(&inert(text))
}

fn json_string(text: &str) -> String {
    let mut out = Vec::new();
    json::string(&mut out, text);
    String::from_utf8(out).unwrap_or_default()
}

/// A list on one line.
pub(crate) fn list<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let quoted: Vec<String> = texts.into_iter().map(scope).collect();
    format!("[{}]", quoted.join(", "))
}

/// Scopes have colons, which mean something between braces and brackets.
fn scope(text: &str) -> String {
    scalar(text)
}

/// A value as it stands in a document, on one line.
pub(crate) fn flow(node: &Node) -> String {
    match &node.value {
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(entries) => {
            let entries = entries
                .iter()
                .map(|entry| format!("{}: {}", key(&entry.key), flow(&entry.value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::Scalar(_) => match node.text() {
            Some(text) => key(text),
            None => node.plain(),
        },
    }
}

/// A document as it is written, without some of its keys and the remarks above them.
pub(crate) fn without(text: &str, tree: &Node, keys: &[&str]) -> String {
    let is_kept = |entry: &Entry| !keys.contains(&entry.key.as_str());
    let entries = tree.entries();
    if entries.iter().any(|entry| entry.key_at.column != 1) {
        // A mapping in braces has no lines of its own.
        let entries = entries.iter().filter(|entry| is_kept(entry));
        let lines = entries.map(|entry| format!("{}: {}\n", entry.key, flow(&entry.value)));
        return lines.collect();
    }
    let lines: Vec<&str> = text.lines().collect();
    let is_remark = |at: usize| {
        lines
            .get(at)
            .is_some_and(|line| line.trim().is_empty() || line.starts_with('#'))
    };
    // Remarks above a key are the key's.
    let mut starts: Vec<usize> = entries
        .iter()
        .map(|entry| {
            let mut at = entry.key_at.line.saturating_sub(1);
            while at > 0 && is_remark(at - 1) {
                at -= 1;
            }
            at
        })
        .collect();
    let first = starts.first().copied().unwrap_or_default();
    starts.push(lines.len());
    let mut out = String::new();
    let mut push = |from: usize, to: usize| {
        for line in lines.get(from..to).unwrap_or_default() {
            out.push_str(line);
            out.push('\n');
        }
    };
    push(0, first);
    for (entry, span) in entries.iter().zip(starts.windows(2)) {
        if let ([from, to], true) = (span, is_kept(entry)) {
            push(*from, *to);
        }
    }
    out
}
