//! Does the tree have the shape that the schema describes? Every difference is reported, none ends the check.

use super::code::Code;
use super::node::{Entry, Kind, Node, Scalar, Value};
use super::problem::Report;
use super::schema::{Block, Format, Need, Shape};
use super::suggest;

/// Checks `node` against `shape`.
pub(crate) fn check(node: &Node, shape: &Shape, report: &mut Report) {
    if node.is_null() && !matches!(shape, Shape::Json) {
        report.find_try(
            Code::EmptySet,
            &node.at,
            "has no value",
            "give it one, or remove the key; an empty value would be read as nobody by some and as everybody by others",
        );
        return;
    }
    match shape {
        Shape::Flag if node.flag().is_some() => {}
        Shape::Number { least, most } => number(node, *least, *most, report),
        Shape::Text(format) => text(node, *format, report),
        Shape::Words(words) => word(node, words, report),
        Shape::List(item) => list(node, item, true, report),
        Shape::ListOrNone(item) => list(node, item, false, report),
        Shape::Map { key, value } => map(node, *key, value, report),
        Shape::Methods(value) => map(node, Format::Method, value, report),
        Shape::Block(known) => block(node, known, report),
        Shape::Either(shapes) => either(node, shapes, report),
        Shape::Json => {}
        Shape::Flag => mismatch(node, shape, report),
    }
}

/// What a shape is called.
pub(crate) fn noun(shape: &Shape) -> String {
    match shape {
        Shape::Flag => "true or false".to_owned(),
        Shape::Number { .. } => "a number".to_owned(),
        Shape::Text(format) => format.noun().to_owned(),
        Shape::Words(words) => words
            .iter()
            .map(|word| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(" or "),
        Shape::List(_) | Shape::ListOrNone(_) => "a list".to_owned(),
        Shape::Map { key, .. } => format!("a mapping from {}", key.noun().trim_start_matches("a ")),
        Shape::Methods(_) => "a table from methods".to_owned(),
        Shape::Block(_) => "a mapping".to_owned(),
        Shape::Either(shapes) => {
            let mut nouns: Vec<String> = shapes.iter().map(noun).collect();
            nouns.dedup();
            nouns.join(" or ")
        }
        Shape::Json => "any value".to_owned(),
    }
}

fn mismatch(node: &Node, shape: &Shape, report: &mut Report) {
    let message = format!("expected {}, found {}", noun(shape), node.described());
    match braces(node) {
        Some(name) if wants_text(shape) => report.error_try(
            &node.at,
            format!("YAML reads an unquoted `{{{name}}}` as a mapping, not as text"),
            format!("quote it: \"{{{name}}}\""),
        ),
        _ => {
            let suggestion = match (&node.value, shape) {
                (Value::Scalar(scalar), Shape::Text(_) | Shape::Either(_))
                    if scalar.kind != Kind::Text
                        && wants_text(shape)
                        && !node.at.holds_secret() =>
                {
                    Some(format!("quote it if it is text: \"{}\"", *scalar.text))
                }
                (Value::Scalar(scalar), Shape::Flag)
                    if matches!(
                        scalar.text.to_ascii_lowercase().as_str(),
                        "yes" | "no" | "on" | "off" | "y" | "n" | "1" | "0"
                    ) =>
                {
                    Some("YAML 1.2 has no yes and no: write true or false".to_owned())
                }
                (Value::Scalar(_), Shape::List(_) | Shape::ListOrNone(_)) => Some(format!(
                    "write a list: [{}]",
                    node.shown().trim_matches('`')
                )),
                _ => None,
            };
            report.error_maybe(&node.at, message, suggestion);
        }
    }
}

fn wants_text(shape: &Shape) -> bool {
    match shape {
        Shape::Text(_) | Shape::Words(_) => true,
        Shape::Either(shapes) => shapes.iter().any(wants_text),
        _ => false,
    }
}

/// The name in `{name}` that YAML took for a mapping.
fn braces(node: &Node) -> Option<&str> {
    match node.entries() {
        // `{caller: null}` says that it means a mapping.
        [only] => {
            let scalar = only.value.scalar()?;
            let bare = scalar.kind == Kind::Null && &**scalar.text != "null";
            bare.then_some(&*only.key)
        }
        _ => None,
    }
}

fn number(node: &Node, least: u64, most: u64, report: &mut Report) {
    match node.number() {
        Some(number) if number < least => {
            report.error(&node.at, format!("must be at least {least}"));
        }
        Some(number) if number > most => {
            report.error(&node.at, format!("must be at most {most}"));
        }
        Some(_) => {}
        None => report.error(
            &node.at,
            format!(
                "expected a number from {least} to {most}, found {}",
                node.described()
            ),
        ),
    }
}

fn text(node: &Node, format: Format, report: &mut Report) {
    let Some(scalar) = node.scalar() else {
        return mismatch(node, &Shape::Text(format), report);
    };
    match (scalar.kind, format) {
        (Kind::Text, _)
        | (Kind::Integer, Format::Size { .. } | Format::Duration { .. } | Format::Fraction)
        | (Kind::Float, Format::Fraction) => {}
        _ => return mismatch(node, &Shape::Text(format), report),
    }
    if matches!(format, Format::Secret) && !scalar.substituted {
        report.error_try(
            &node.at,
            "a secret stands in the document",
            "take it from the environment or a file: `${NAME}`, `${file:/path}`",
        );
    }
    if let Err(reason) = format.check(&scalar.text) {
        report.error(&node.at, hide_substituted(scalar, format, reason));
    }
}

/// What was substituted may be a secret: the reason must not quote it.
fn hide_substituted(scalar: &Scalar, format: Format, reason: String) -> String {
    if scalar.substituted && !scalar.text.is_empty() && reason.contains(scalar.text.as_str()) {
        format!("the substituted text is not {}", format.noun())
    } else {
        reason
    }
}

fn word(node: &Node, words: &[&'static str], report: &mut Report) {
    match node.text() {
        Some(text) if words.contains(&text) => {}
        Some(text) => report.error_try(
            &node.at,
            format!("{} is not known here", node.shown()),
            suggest::one_of(text, words),
        ),
        None => report.error_try(
            &node.at,
            format!("expected a word, found {}", node.described()),
            format!("one of: {}", words.join(", ")),
        ),
    }
}

fn list(node: &Node, item: &Shape, some: bool, report: &mut Report) {
    let Value::List(items) = &node.value else {
        return mismatch(node, &Shape::List(&Shape::Json), report);
    };
    if items.is_empty() && some {
        report.find_try(
            Code::EmptySet,
            &node.at,
            "must not be empty",
            "an empty list is read as nobody by some and as everybody by others: name what is meant, or remove the key",
        );
    }
    let mut seen: Vec<&str> = Vec::new();
    for one in items {
        check(one, item, report);
        if let Some(scalar) = one.scalar() {
            if seen.contains(&scalar.text.as_str()) {
                report.find(
                    Code::Ambiguous,
                    &one.at,
                    format!("{} is listed twice", one.shown()),
                );
            }
            seen.push(&scalar.text);
        }
    }
}

fn map(node: &Node, key: Format, value: &Shape, report: &mut Report) {
    let Value::Map(entries) = &node.value else {
        return mismatch(
            node,
            &Shape::Map {
                key,
                value: &Shape::Json,
            },
            report,
        );
    };
    if entries.is_empty() {
        report.find(Code::EmptySet, &node.at, "must not be empty");
    }
    for entry in entries {
        if let Err(reason) = key.check(&entry.key) {
            report.error(&entry.key_at, reason);
        }
        if matches!(key, Format::Method) && entry.value.is_null() {
            report.error_try(
                &entry.key_at,
                format!("`{}` has no value", entry.key),
                "in braces a comma separates entries: quote several methods (\"GET, HEAD\": …)",
            );
            continue;
        }
        check(&entry.value, value, report);
    }
}

/// Whether the keys of a mapping are methods rather than the keys of a block.
pub(crate) fn is_method_table(entries: &[Entry]) -> bool {
    const METHODS: [&str; 7] = ["get", "head", "post", "put", "patch", "delete", "options"];
    !entries.is_empty()
        && entries.iter().any(|entry| {
            entry
                .key
                .bytes()
                .next()
                .is_some_and(|b| b.is_ascii_uppercase())
                || METHODS.contains(&entry.key.as_str())
        })
}

fn block(node: &Node, block: &Block, report: &mut Report) {
    let Value::Map(entries) = &node.value else {
        return mismatch(
            node,
            &Shape::Map {
                key: Format::Any,
                value: &Shape::Json,
            },
            report,
        );
    };
    for entry in entries {
        match block.key(&entry.key) {
            Some(key) => check(&entry.value, key.shape, report),
            None => {
                let names: Vec<&str> = block.names().collect();
                report.find_try(
                    Code::UnknownKey,
                    &entry.key_at,
                    format!("unknown key `{}`", entry.key),
                    suggest::one_of(&entry.key, &names),
                );
            }
        }
    }
    for key in block.keys {
        let missing = !entries.iter().any(|entry| entry.key == key.name);
        let needed = match key.need {
            Need::Required => true,
            Need::Unless(other) => entries.iter().all(|entry| entry.key != other),
            Need::Optional | Need::Default(_) => false,
        };
        if missing && needed {
            let code = match key.name {
                "audiences" => Code::AudienceMissing,
                _ => Code::MissingKey,
            };
            report.find_try(
                code,
                &node.at,
                format!("`{}` is missing", key.name),
                format!("{}: {}", key.name, key.example),
            );
        }
    }
}

/// Picks the alternative for the kind of value that stands there, so that errors are about what was meant.
fn either(node: &Node, shapes: &[Shape], report: &mut Report) {
    let fits = |shape: &&Shape| match (&node.value, shape) {
        (Value::List(_), Shape::List(_) | Shape::ListOrNone(_)) => true,
        (Value::Map(entries), Shape::Methods(_)) => is_method_table(entries),
        (Value::Map(_), Shape::Block(_) | Shape::Map { .. }) => braces(node).is_none(),
        (
            Value::Scalar(_),
            Shape::Flag | Shape::Number { .. } | Shape::Text(_) | Shape::Words(_),
        ) => true,
        (_, Shape::Either(_) | Shape::Json) => true,
        _ => false,
    };
    let mut candidates: Vec<&Shape> = shapes.iter().filter(fits).collect();
    // A table is a table, however wrong its rows are.
    if candidates
        .iter()
        .any(|shape| matches!(shape, Shape::Methods(_)))
    {
        candidates.retain(|shape| matches!(shape, Shape::Methods(_)));
    }
    let mut failures = Vec::new();
    for shape in &candidates {
        let mut attempt = Report::new(report.source.clone());
        check(node, shape, &mut attempt);
        if !attempt.has_errors() {
            return;
        }
        failures.push((shape, attempt));
    }
    let number = node
        .scalar()
        .is_some_and(|scalar| scalar.kind == Kind::Integer);
    let meant = failures.into_iter().rev().find(|(shape, _)| match shape {
        Shape::Number { .. } => number,
        Shape::Text(Format::Size { .. }) => true,
        _ => !number,
    });
    match meant {
        // Of several, the last is the most general one: its reason says more than that a word is unknown.
        Some((_, attempt)) if candidates.len() == 1 || number || node.text().is_some() => {
            report.absorb(attempt);
        }
        _ => mismatch_either(node, shapes, report),
    }
}

fn mismatch_either(node: &Node, shapes: &[Shape], report: &mut Report) {
    if let Some(name) = braces(node)
        && shapes.iter().any(wants_text)
    {
        report.error_try(
            &node.at,
            format!("YAML reads an unquoted `{{{name}}}` as a mapping, not as text"),
            format!("quote it: \"{{{name}}}\""),
        );
        return;
    }
    let mut nouns: Vec<String> = shapes.iter().map(noun).collect();
    nouns.dedup();
    report.error(
        &node.at,
        format!(
            "expected {}, found {}",
            nouns.join(" or "),
            node.described()
        ),
    );
}
