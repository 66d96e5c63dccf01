//! Manifests as Kubernetes reads them.
//!
//! kubectl reads YAML 1.1: `0440` is 288, `yes` is true, `<<` merges, and a key is text whatever it looks like. A reader of
//! YAML 1.2 would hand the cluster other values than those that were written, so this one follows kubectl's (the rules of
//! `go-yaml` 2), and what is written back is read alike by both versions.

mod scalar;
mod write;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::object::{Mapping, Value};
use scalar::Resolved;

pub(crate) use write::write;

/// Deepest nesting.
const DEPTH: usize = 100;

/// Most values of one input, those of repeated aliases included: a few lines of aliases can stand for gigabytes.
const MOST_VALUES: usize = 1_000_000;

/// Why a text is no YAML that Kubernetes takes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct YamlError {
    line: usize,
    column: usize,
    reason: String,
}

/// Reads all documents; empty ones are left out.
pub(crate) fn read(text: &str) -> Result<Vec<Value>, YamlError> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        values: 0,
    };
    let mut documents = Vec::new();
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
            Event::StreamEnd => return Ok(documents),
            Event::DocumentStart(_) => reader.anchors.clear(),
            other => {
                let value = reader.value(other, span, 0)?;
                if !value.is_null() {
                    documents.push(value);
                }
            }
        }
    }
}

struct Reader<'text> {
    parser: Parser<'text, StrInput<'text>>,
    anchors: HashMap<usize, Value>,
    values: usize,
}

impl<'text> Reader<'text> {
    fn next(&mut self) -> Result<(Event<'text>, Span), YamlError> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(YamlError {
                line: error.marker().line(),
                column: error.marker().col() + 1,
                reason: error.info().to_owned(),
            }),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn value(&mut self, event: Event<'text>, span: Span, depth: usize) -> Result<Value, YamlError> {
        self.values += 1;
        if self.values > MOST_VALUES {
            return Err(fault(span, format!("more than {MOST_VALUES} values")));
        }
        if depth > DEPTH {
            return Err(fault(span, format!("nested deeper than {DEPTH} levels")));
        }
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_deref(), span)?;
                (anchor, value)
            }
            Event::SequenceStart(anchor, _) => (anchor, Value::Sequence(self.list(depth)?)),
            Event::MappingStart(anchor, _) => (anchor, Value::Mapping(self.map(depth)?)),
            Event::Alias(anchor) => {
                let Some(value) = self.anchors.get(&anchor) else {
                    return Err(fault(span, "an alias of itself"));
                };
                self.values = self.values.saturating_add(size(value));
                return Ok(value.clone());
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => return Err(fault(span, "the document ends too early")),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Value>, YamlError> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(items);
            }
            items.push(self.value(event, span, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Mapping, YamlError> {
        let mut map = Mapping::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let merge =
                matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = key(self.value(event, span, depth + 1)?, span)?;
            let (event, at) = self.next()?;
            let value = self.value(event, at, depth + 1)?;
            if merge {
                merged.extend(mappings(value, at)?);
            } else if map.insert(Value::String(key.clone()), value).is_some() {
                return Err(fault(span, format!("`{key}` is given twice")));
            }
        }
        for (key, value) in merged.into_iter().flatten() {
            if !map.contains_key(&key) {
                map.insert(key, value);
            }
        }
        Ok(map)
    }
}

/// What `<<` merges: a mapping, or a list of them of which earlier ones win.
fn mappings(value: Value, span: Span) -> Result<Vec<Mapping>, YamlError> {
    match value {
        Value::Mapping(map) => Ok(vec![map]),
        Value::Sequence(items) => {
            let all = items.into_iter().map(|item| mappings(item, span));
            Ok(all
                .collect::<Result<Vec<_>, _>>()?
                .into_iter()
                .flatten()
                .collect())
        }
        _ => Err(fault(span, "`<<` merges mappings only")),
    }
}

/// How many values a value is made of.
fn size(value: &Value) -> usize {
    let inside = match value {
        Value::Sequence(items) => items.iter().map(size).fold(0, usize::saturating_add),
        Value::Mapping(map) => map.values().map(size).fold(0, usize::saturating_add),
        _ => 0,
    };
    inside.saturating_add(1)
}

/// Keys are text in Kubernetes; kubectl makes text of the others.
fn key(value: Value, span: Span) -> Result<String, YamlError> {
    match value {
        Value::String(text) => Ok(text),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(fault(span, "this can be no key")),
    }
}

fn scalar(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    span: Span,
) -> Result<Value, YamlError> {
    let tagged_text = match tag {
        None => false,
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => true,
        Some(tag) => return Err(fault(span, format!("the tag {tag} is not read"))),
    };
    if tagged_text || style != ScalarStyle::Plain {
        return Ok(Value::String(text.to_owned()));
    }
    Ok(match scalar::resolve(text) {
        Resolved::Null => Value::Null,
        Resolved::Flag(flag) => Value::Bool(flag),
        Resolved::Signed(number) => Value::Number(number.into()),
        Resolved::Unsigned(number) => Value::Number(number.into()),
        Resolved::Float(number) if number.is_finite() => Value::Number(number.into()),
        Resolved::Float(_) => return Err(fault(span, "no number that JSON has")),
        Resolved::Text => Value::String(text.to_owned()),
    })
}

fn fault(span: Span, reason: impl Into<String>) -> YamlError {
    YamlError {
        line: span.start.line(),
        column: span.start.col() + 1,
        reason: reason.into(),
    }
}
