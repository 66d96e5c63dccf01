//! The JSON Schema (draft 2020-12) of the configuration, for editors.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Block, Format, Key, Need, ROOT, Shape};

/// The schema.
#[must_use]
pub fn json_schema() -> Value {
    let mut definitions = BTreeMap::new();
    let mut root = block(&ROOT, &mut definitions);
    if let Value::Object(members) = &mut root {
        members.insert(
            "$schema".to_owned(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        members.insert("title".to_owned(), json!("Countersign configuration"));
        members.insert("$defs".to_owned(), json!(definitions));
    }
    root
}

/// Definitions by name; `None` while one is being made, since policy refers to itself.
type Definitions = BTreeMap<&'static str, Option<Value>>;

fn block(block: &Block, definitions: &mut Definitions) -> Value {
    let mut properties = Map::new();
    for key in block.keys {
        properties.insert(key.name.to_owned(), property(key, definitions));
    }
    let required: Vec<&str> = block
        .keys
        .iter()
        .filter(|key| matches!(key.need, Need::Required))
        .map(|key| key.name)
        .collect();
    let mut out = json!({
        "type": "object",
        "description": block.doc,
        "properties": properties,
        "additionalProperties": false,
    });
    if let (Value::Object(members), false) = (&mut out, required.is_empty()) {
        members.insert("required".to_owned(), json!(required));
    }
    if let (Value::Object(members), Some(either)) = (&mut out, either(block)) {
        members.insert("anyOf".to_owned(), either);
    }
    out
}

/// Keys that are required unless another one is given.
fn either(block: &Block) -> Option<Value> {
    let mut other = None;
    let mut required = Vec::new();
    for key in block.keys {
        if let Need::Unless(instead) = key.need {
            other = Some(instead);
            required.push(key.name);
        }
    }
    other.map(|other| json!([{"required": required}, {"required": [other]}]))
}

fn property(key: &Key, definitions: &mut Definitions) -> Value {
    let described = shape(key.shape, definitions);
    let mut out = match described {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    out.insert("description".to_owned(), json!(key.doc));
    // Examples are written as they would stand in the document.
    if let Ok(example) = serde_yaml::from_str::<Value>(key.example) {
        out.insert("examples".to_owned(), json!([example]));
    }
    if let Need::Default(default) = key.need {
        out.insert("default".to_owned(), default_value(key.shape, default));
    }
    Value::Object(out)
}

fn default_value(shape: &Shape, text: &str) -> Value {
    match shape {
        Shape::Flag => json!(text == "true"),
        Shape::Number { .. } => text
            .parse::<u64>()
            .map_or_else(|_| json!(text), |n| json!(n)),
        Shape::Text(Format::Fraction) => text
            .parse::<f64>()
            .map_or_else(|_| json!(text), |n| json!(n)),
        Shape::List(_) | Shape::ListOrNone(_) => text.split(", ").collect(),
        Shape::Either([first, ..]) if matches!(first, Shape::Flag) => default_value(first, text),
        Shape::Either(shapes) if text.parse::<u64>().is_ok() => shapes
            .first()
            .map_or_else(|| json!(text), |shape| default_value(shape, text)),
        _ => json!(text),
    }
}

fn shape(shape_: &Shape, definitions: &mut Definitions) -> Value {
    /// A value that comes from the environment or a file.
    const REFERENCE: &str = r"\$\{[^}]+\}";
    match shape_ {
        Shape::Flag => {
            json!({"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": REFERENCE}]})
        }
        Shape::Number { least, most } => json!({"anyOf": [
            {"type": "integer", "minimum": least, "maximum": most},
            {"type": "string", "pattern": REFERENCE},
        ]}),
        Shape::Text(Format::Size { .. }) => json!({"type": ["string", "integer"]}),
        Shape::Text(Format::Fraction) => json!({"anyOf": [
            {"type": "number", "minimum": 0, "maximum": 1},
            {"type": "string", "pattern": REFERENCE},
        ]}),
        Shape::Text(_) => json!({"type": "string", "minLength": 1}),
        Shape::Words(words) => json!({"enum": words}),
        Shape::List(item) => {
            json!({"type": "array", "minItems": 1, "uniqueItems": true, "items": shape(item, definitions)})
        }
        Shape::ListOrNone(item) => {
            json!({"type": "array", "uniqueItems": true, "items": shape(item, definitions)})
        }
        Shape::Map { value, .. } => {
            json!({"type": "object", "minProperties": 1, "additionalProperties": shape(value, definitions)})
        }
        Shape::Methods(value) => json!({
            "type": "object",
            "minProperties": 1,
            "patternProperties": {"^[A-Z][A-Z0-9_-]*( *, *[A-Z][A-Z0-9_-]*)*$": shape(value, definitions)},
            "additionalProperties": false,
        }),
        Shape::Block(named) => {
            if !definitions.contains_key(named.name) {
                definitions.insert(named.name, None);
                let made = block(named, definitions);
                definitions.insert(named.name, Some(made));
            }
            json!({"$ref": format!("#/$defs/{}", named.name)})
        }
        Shape::Either(shapes) => {
            let any: Vec<Value> = shapes.iter().map(|one| shape(one, definitions)).collect();
            json!({"anyOf": any})
        }
        Shape::Json => json!({}),
    }
}
