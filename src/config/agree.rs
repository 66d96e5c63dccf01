//! A second opinion: what two YAML parsers read differently is refused.
//!
//! The located tree comes from `saphyr-parser`; the same text is read with `serde_yaml`. A difference means that other
//! tools (editors, linters, a colleague's script) may see another policy than this program does.

use serde_yaml::Value as Second;

use super::node::{Kind, Node, Value};
use super::problem::{Place, Report};

/// Compares the tree with the second parser's reading of the same text.
pub(crate) fn check(text: &str, tree: &Node, report: &mut Report) {
    match serde_yaml::from_str::<Second>(text) {
        Ok(second) => compare(tree, &second, report),
        Err(error) => {
            let (line, column) = error
                .location()
                .map_or((1, 1), |at| (at.line(), at.column()));
            let at = Place {
                line,
                column,
                path: "".into(),
            };
            report.error(
                &at,
                format!("two YAML parsers read the document differently: one of them refuses it: {error}"),
            );
        }
    }
}

fn compare(node: &Node, second: &Second, report: &mut Report) {
    let agree = match (&node.value, second) {
        (Value::Map(entries), Second::Mapping(mapping)) => {
            for entry in entries {
                match mapping.get(entry.key.as_str()) {
                    Some(value) => compare(&entry.value, value, report),
                    None => differ(&entry.key_at, &entry.key, report),
                }
            }
            entries.len() == mapping.len()
        }
        (Value::List(items), Second::Sequence(others)) => {
            for (item, other) in items.iter().zip(others) {
                compare(item, other, report);
            }
            items.len() == others.len()
        }
        (Value::Scalar(scalar), other) => match (scalar.kind, other) {
            (Kind::Null, Second::Null) => true,
            (Kind::Flag, Second::Bool(flag)) => scalar.text.eq_ignore_ascii_case("true") == *flag,
            (Kind::Text, Second::String(text)) => *text == *scalar.text,
            (Kind::Integer, Second::Number(number)) => {
                number.is_u64() || number.is_i64() || scalar.text.len() > 18
            }
            (Kind::Float, Second::Number(number)) => number.is_f64(),
            _ => false,
        },
        (Value::Map(_) | Value::List(_), _) => false,
    };
    if !agree {
        differ(&node.at, &node.shown(), report);
    }
}

fn differ(at: &Place, what: &str, report: &mut Report) {
    let what = what.trim_matches('`');
    report.error_try(
        at,
        format!("two YAML parsers read `{what}` differently"),
        "quote it if it is text; write numbers in plain decimal and booleans as true or false",
    );
}
