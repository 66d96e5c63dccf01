//! Block style with two spaces, lists at the height of their key: as kubectl prints it.

use std::fmt::Write as _;

use super::scalar::is_plain;
use crate::inject::object::{Mapping, Value};

/// One document, without `---`.
pub(crate) fn write(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Mapping(map) if !map.is_empty() => mapping(map, 0, &mut out),
        Value::Sequence(items) if !items.is_empty() => sequence(items, 0, &mut out),
        other => {
            scalar(other, 1, &mut out);
            out.push('\n');
        }
    }
    out
}

fn indent(depth: usize, out: &mut String) {
    for _ in 0..depth {
        out.push_str("  ");
    }
}

/// The lines of a mapping; the first begins where `out` ends.
fn entries(map: &Mapping, depth: usize, out: &mut String) {
    for (number, (key, value)) in map.iter().enumerate() {
        if number > 0 {
            indent(depth, out);
        }
        text(key.as_str().unwrap_or_default(), out);
        out.push(':');
        match value {
            Value::Mapping(map) if !map.is_empty() => {
                out.push('\n');
                mapping(map, depth + 1, out);
            }
            Value::Sequence(items) if !items.is_empty() => {
                out.push('\n');
                sequence(items, depth, out);
            }
            other => {
                out.push(' ');
                scalar(other, depth + 1, out);
                out.push('\n');
            }
        }
    }
}

fn mapping(map: &Mapping, depth: usize, out: &mut String) {
    indent(depth, out);
    entries(map, depth, out);
}

fn sequence(items: &[Value], depth: usize, out: &mut String) {
    for item in items {
        indent(depth, out);
        out.push_str("- ");
        match item {
            Value::Mapping(map) if !map.is_empty() => entries(map, depth + 1, out),
            Value::Sequence(items) if !items.is_empty() => {
                // `- - a`: the inner list begins on the line of the outer one.
                let mut inner = String::new();
                sequence(items, depth + 1, &mut inner);
                out.push_str(inner.trim_start_matches(' '));
            }
            other => {
                scalar(other, depth + 1, out);
                out.push('\n');
            }
        }
    }
}

/// A value that stands on the line of its key.
fn scalar(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => {
            let _infallible = write!(out, "{number}");
        }
        Value::String(held) => match literal(held) {
            Some(chomp) => lines(held, chomp, depth, out),
            None => text(held, out),
        },
        Value::Sequence(_) => out.push_str("[]"),
        Value::Mapping(_) | Value::Tagged(_) => out.push_str("{}"),
    }
}

/// How the end of a literal block is said; `None` where the text cannot be one.
fn literal(text: &str) -> Option<&'static str> {
    let printable = |c: char| c == '\n' || c == '\t' || !escaped(c);
    let first = text.chars().next()?;
    if !text.contains('\n') || first.is_whitespace() || !text.chars().all(printable) {
        return None;
    }
    Some(match text.strip_suffix('\n') {
        None => "-",
        Some(rest) if rest.ends_with('\n') => "+",
        Some(_) => "",
    })
}

fn lines(text: &str, chomp: &str, depth: usize, out: &mut String) {
    out.push('|');
    out.push_str(chomp);
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            indent(depth, out);
            out.push_str(line);
        }
    }
}

fn text(text: &str, out: &mut String) {
    if is_plain(text) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            _ if escaped(c) => {
                let _infallible = write!(out, "\\u{:04X}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

/// What must not stand in a YAML stream as it is, or would fool a terminal.
fn escaped(c: char) -> bool {
    crate::telemetry::json::is_hostile(c) || matches!(c, '\u{fffe}' | '\u{ffff}')
}
