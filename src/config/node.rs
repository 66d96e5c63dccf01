//! A document as a tree in which every key and value knows its line, column and path.

use zeroize::Zeroizing;

use super::problem::Place;

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) at: Place,
}

/// What stands there.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a mapping and its value, in the order of the text.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_at: Place,
    pub(crate) value: Node,
}

/// A scalar: its text, which may be a secret and is wiped when dropped, and what YAML makes of it.
#[derive(Clone)]
pub(crate) struct Scalar {
    pub(crate) text: Zeroizing<String>,
    pub(crate) kind: Kind,
    /// Part of the text came from the environment or a file: it is not shown, and is text whatever it looks like.
    pub(crate) substituted: bool,
}

impl std::fmt::Debug for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scalar")
            .field("kind", &self.kind)
            .field("substituted", &self.substituted)
            .finish_non_exhaustive()
    }
}

/// Types of the YAML 1.2 core schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Flag,
    Integer,
    Float,
    Text,
}

impl Node {
    /// The entries of a mapping; nothing for other values.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Scalar(_) | Value::List(_) => &[],
        }
    }

    /// The value under `key`; `None` as well when it is null.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries()
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.value)
    }

    /// The items of a list; the value itself where it is no list ("one or a list of").
    pub(crate) fn each(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            Value::Scalar(_) | Value::Map(_) => std::slice::from_ref(self),
        }
    }

    /// The scalar.
    pub(crate) const fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The text of a scalar that is text.
    pub(crate) fn text(&self) -> Option<&str> {
        self.scalar()
            .filter(|scalar| scalar.kind == Kind::Text)
            .map(|scalar| scalar.text.as_str())
    }

    /// A boolean.
    pub(crate) fn flag(&self) -> Option<bool> {
        let scalar = self.scalar()?;
        match (scalar.kind, scalar.text.as_str()) {
            (Kind::Flag, text) => Some(text.eq_ignore_ascii_case("true")),
            (Kind::Text, "true") if scalar.substituted => Some(true),
            (Kind::Text, "false") if scalar.substituted => Some(false),
            (Kind::Null | Kind::Integer | Kind::Float | Kind::Text, _) => None,
        }
    }

    /// A whole number that is not negative.
    pub(crate) fn number(&self) -> Option<u64> {
        let scalar = self.scalar()?;
        match scalar.kind {
            Kind::Integer => scalar.text.parse().ok(),
            Kind::Text if scalar.substituted => scalar.text.trim().parse().ok(),
            Kind::Null | Kind::Flag | Kind::Float | Kind::Text => None,
        }
    }

    /// The tree as JSON. A number that JSON has no form for is a text.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => entries
                .iter()
                .map(|entry| (entry.key.clone(), entry.value.to_json()))
                .collect(),
            Value::Scalar(scalar) => match scalar.kind {
                Kind::Null => Json::Null,
                Kind::Flag => Json::Bool(scalar.text.eq_ignore_ascii_case("true")),
                Kind::Integer | Kind::Float => serde_json::from_str(&scalar.text)
                    .unwrap_or_else(|_| Json::String(scalar.text.to_string())),
                Kind::Text => Json::String(scalar.text.to_string()),
            },
        }
    }

    pub(crate) const fn is_null(&self) -> bool {
        matches!(
            &self.value,
            Value::Scalar(Scalar {
                kind: Kind::Null,
                ..
            })
        )
    }

    /// A scalar as a plain one of YAML is written.
    pub(crate) fn plain(&self) -> String {
        match self.scalar().map(|scalar| (scalar.kind, &*scalar.text)) {
            None | Some((Kind::Null, _)) => "null".to_owned(),
            Some((_, text)) => text.to_string(),
        }
    }

    /// What the value is, in words; never a substituted text.
    pub(crate) fn described(&self) -> String {
        match &self.value {
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
            Value::Scalar(scalar) => {
                let kind = match scalar.kind {
                    Kind::Null => return "nothing".to_owned(),
                    Kind::Flag => "the boolean ",
                    Kind::Integer | Kind::Float => "the number ",
                    Kind::Text => "",
                };
                format!("{kind}{}", self.shown())
            }
        }
    }

    /// The text of a scalar in backticks, shortened; never a substituted text, nor one where a secret belongs.
    pub(crate) fn shown(&self) -> String {
        match self.scalar() {
            Some(scalar) if scalar.substituted => "the substituted text".to_owned(),
            Some(_) if self.at.holds_secret() => "a text that is not shown".to_owned(),
            Some(scalar) => shorten(&scalar.text),
            None => self.described(),
        }
    }
}

fn shorten(text: &str) -> String {
    const MOST: usize = 60;
    let mut shown: String = text
        .chars()
        .take(MOST)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().count() > MOST {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// Longest path that goes on growing, in bytes: a document of others may be deep, and have long keys.
const LONGEST_PATH: usize = 256;

/// The path of a key below `parent`.
pub(crate) fn key_path(parent: &str, key: &str) -> Box<str> {
    if parent.len() > LONGEST_PATH {
        return parent.into();
    }
    let key: String = key.chars().take(LONGEST_PATH).collect();
    let plain = !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let key = if plain {
        key
    } else {
        format!("\"{}\"", key.escape_debug())
    };
    if parent.is_empty() {
        key.into()
    } else {
        format!("{parent}.{key}").into()
    }
}

/// The path of an item below `parent`.
pub(crate) fn item_path(parent: &str, index: usize) -> Box<str> {
    if parent.len() > LONGEST_PATH {
        return parent.into();
    }
    format!("{parent}[{index}]").into()
}
