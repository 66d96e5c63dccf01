//! JSON as serde reads it, without duplicate names: the oracle beside the product's own reader.

use std::collections::BTreeMap;
use std::fmt;

use countersign::authn::Json;
use serde_json::de::{Deserializer, SliceRead};

/// A JSON value whose objects have no two members of one name.
#[derive(Debug, PartialEq)]
pub enum Strict {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as far as serde keeps it.
    Number(serde_json::Number),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Strict>),
    /// An object.
    Object(BTreeMap<String, Strict>),
}

/// What serde says of a text.
pub enum Said {
    /// JSON, without duplicates.
    Value(Strict),
    /// JSON but for a number that serde has no room for.
    HugeNumber,
    /// Not JSON, or with duplicates.
    No,
}

/// Deepest nesting that the product reads.
pub const MAX_DEPTH: usize = 16;

/// Most values of a part of a token that the product reads.
pub const MAX_VALUES: usize = 1024;

/// Reads all of `text`.
pub fn read(text: &[u8]) -> Said {
    let mut reader = Deserializer::new(SliceRead::new(text));
    let value = serde::Deserialize::deserialize(&mut reader);
    match value.and_then(|value| reader.end().map(|()| value)) {
        Ok(value) => Said::Value(value),
        Err(error) if error.to_string().contains("out of range") => Said::HugeNumber,
        Err(_) => Said::No,
    }
}

impl Strict {
    /// How deep it nests.
    pub fn depth(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) => 0,
            Self::List(list) => 1 + list.iter().map(Self::depth).max().unwrap_or(0),
            Self::Object(members) => 1 + members.values().map(Self::depth).max().unwrap_or(0),
        }
    }

    /// How many values there are, itself and those inside it.
    pub fn values(&self) -> usize {
        1 + match self {
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) => 0,
            Self::List(list) => list.iter().map(Self::values).sum(),
            Self::Object(members) => members.values().map(Self::values).sum(),
        }
    }

    /// Whether the product read the same.
    pub fn is(&self, ours: Json<'_>) -> bool {
        match (self, ours) {
            (Self::Null, Json::Null) => true,
            (Self::Bool(theirs), Json::Bool(ours)) => *theirs == ours,
            (Self::Text(theirs), Json::Text(ours)) => **theirs == *ours,
            (Self::Number(theirs), Json::Number(ours)) => same_number(theirs, ours),
            (Self::List(theirs), Json::List(ours)) => {
                theirs.len() == ours.len()
                    && theirs
                        .iter()
                        .zip(ours.iter())
                        .all(|(theirs, ours)| theirs.is(ours))
            }
            (Self::Object(theirs), Json::Object(ours)) => {
                theirs.len() == ours.iter().count()
                    && theirs
                        .iter()
                        .all(|(name, theirs)| ours.get(name).is_some_and(|ours| theirs.is(ours)))
            }
            _ => false,
        }
    }
}

fn same_number(theirs: &serde_json::Number, ours: &str) -> bool {
    if let Some(whole) = theirs.as_i64() {
        return ours.parse() == Ok(whole);
    }
    if let Some(whole) = theirs.as_u64() {
        return ours.parse() == Ok(whole);
    }
    let (Some(theirs), Ok(ours)) = (theirs.as_f64(), ours.parse::<f64>()) else {
        return false;
    };
    // serde rounds the last bits otherwise.
    (theirs - ours).abs() <= ours.abs() * 1e-14 || (theirs.abs() < 1e-300 && ours.abs() < 1e-300)
}

impl<'de> serde::Deserialize<'de> for Strict {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl<'de> serde::de::Visitor<'de> for Visitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Strict, E> {
        Ok(Strict::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Strict, E> {
        Ok(Strict::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Strict, E> {
        Ok(Strict::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Strict, E> {
        serde_json::Number::from_f64(value)
            .map(Strict::Number)
            .ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Strict, E> {
        Ok(Strict::Text(value.to_owned()))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Strict, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Strict::List(list))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut members: A) -> Result<Strict, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((name, value)) = members.next_entry::<String, Strict>()? {
            if map.insert(name, value).is_some() {
                return Err(serde::de::Error::custom("a name twice"));
            }
        }
        Ok(Strict::Object(map))
    }
}
