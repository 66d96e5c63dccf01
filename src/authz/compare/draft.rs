//! The claims of a token that say no more than they must.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// A place in the claims, names from the outside in.
pub(super) type Home = Vec<String>;

/// What must stand at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Slot {
    /// Something, whatever.
    Present,
    /// These strings.
    Texts(Texts),
    /// Words of one string, with spaces between (RFC 8693 section 4.2).
    Words(BTreeSet<String>),
    /// This boolean.
    Flag(bool),
}

/// Strings: one as itself or in a list, several in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Texts {
    texts: BTreeSet<String>,
    /// Only one may stand there, and not in a list.
    single: bool,
    /// In a list even when it is one.
    list: bool,
}

/// Claims under construction.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft(BTreeMap<Home, Slot>);

/// Two things that cannot both stand at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clash {
    /// What stood there, where both are strings.
    pub(super) texts: Option<(String, String)>,
}

impl Draft {
    /// One string must be there, alone.
    pub(super) fn single(&mut self, home: &[String], text: &str) -> Result<(), Clash> {
        self.put(home, texts(text, true, false))
    }

    /// One string must be there, alone or in a list.
    pub(super) fn text(&mut self, home: &[String], text: &str) -> Result<(), Clash> {
        self.put(home, texts(text, false, false))
    }

    /// One string must be in the list that is there.
    pub(super) fn member(&mut self, home: &[String], text: &str) -> Result<(), Clash> {
        self.put(home, texts(text, false, true))
    }

    /// A word must be in the string that is there.
    pub(super) fn word(&mut self, home: &[String], word: &str) -> Result<(), Clash> {
        self.put(home, Slot::Words(BTreeSet::from([word.to_owned()])))
    }

    pub(super) fn flag(&mut self, home: &[String], flag: bool) -> Result<(), Clash> {
        self.put(home, Slot::Flag(flag))
    }

    /// Something must be there.
    pub(super) fn present(&mut self, home: &[String]) {
        self.0.entry(home.to_vec()).or_insert(Slot::Present);
    }

    pub(super) fn has(&self, home: &[String]) -> bool {
        self.0.contains_key(home)
    }

    /// The only string that stands there so far.
    pub(super) fn only(&self, home: &[String]) -> Option<&str> {
        match self.0.get(home)? {
            Slot::Texts(own) if own.texts.len() == 1 => own.texts.first().map(String::as_str),
            _ => None,
        }
    }

    /// Whether one of `any` is among the strings that stand there.
    pub(super) fn has_one_of(&self, home: &[String], any: &[String]) -> bool {
        match self.0.get(home) {
            Some(Slot::Texts(own)) => any.iter().any(|text| own.texts.contains(text)),
            _ => false,
        }
    }

    fn put(&mut self, home: &[String], slot: Slot) -> Result<(), Clash> {
        let merged = match self.0.get(home) {
            Some(own) => own.clone().merged(slot)?,
            None => slot,
        };
        self.0.insert(home.to_vec(), merged);
        Ok(())
    }

    /// The claims. `fresh` makes strings that no policy speaks of.
    pub(super) fn finish(
        &self,
        fresh: &dyn Fn(&str) -> String,
    ) -> Result<Map<String, Value>, Clash> {
        let mut claims = Map::new();
        for (home, slot) in &self.0 {
            let value = match slot {
                Slot::Present => Value::from(fresh(home.last().map_or("", String::as_str))),
                Slot::Texts(own) => own.value(),
                Slot::Words(words) => {
                    let words: Vec<&str> = words.iter().map(String::as_str).collect();
                    Value::from(words.join(" "))
                }
                Slot::Flag(flag) => Value::from(*flag),
            };
            if place(&mut claims, home, value.clone()).is_err() {
                // A dotted path also means one name with dots in it, which wins.
                place(&mut claims, &[home.join(".")], value)?;
            }
        }
        Ok(claims)
    }
}

fn texts(text: &str, single: bool, list: bool) -> Slot {
    Slot::Texts(Texts {
        texts: BTreeSet::from([text.to_owned()]),
        single,
        list,
    })
}

/// Puts a value into nested objects.
fn place(claims: &mut Map<String, Value>, home: &[String], value: Value) -> Result<(), Clash> {
    let Some((first, inner)) = home.split_first() else {
        return Ok(());
    };
    if inner.is_empty() {
        return match claims.insert(first.clone(), value) {
            None => Ok(()),
            Some(_) => Err(Clash { texts: None }),
        };
    }
    let object = claims
        .entry(first.clone())
        .or_insert_with(|| Value::Object(Map::new()));
    match object {
        Value::Object(members) => place(members, inner, value),
        _ => Err(Clash { texts: None }),
    }
}

impl Slot {
    fn merged(self, other: Self) -> Result<Self, Clash> {
        match (self, other) {
            (Self::Present, other) | (other, Self::Present) => Ok(other),
            (Self::Flag(one), Self::Flag(other)) if one == other => Ok(Self::Flag(one)),
            (Self::Words(mut one), Self::Words(other)) => {
                one.extend(other);
                Ok(Self::Words(one))
            }
            (Self::Words(words), Self::Texts(texts)) | (Self::Texts(texts), Self::Words(words))
                if texts.say(&words) =>
            {
                Ok(Self::Texts(texts))
            }
            (Self::Texts(one), Self::Texts(other)) => one.merged(other).map(Self::Texts),
            _ => Err(Clash { texts: None }),
        }
    }
}

impl Texts {
    fn value(&self) -> Value {
        match self.texts.first() {
            Some(only) if self.texts.len() == 1 && !self.list => Value::from(only.as_str()),
            _ => self.texts.iter().map(String::as_str).collect(),
        }
    }

    /// Whether it is one string that has all of these words.
    fn say(&self, words: &BTreeSet<String>) -> bool {
        let says = |text: &String| {
            let own: BTreeSet<&str> = text.split(' ').collect();
            words.iter().all(|word| own.contains(word.as_str()))
        };
        self.texts.len() == 1 && !self.list && self.texts.iter().all(says)
    }

    fn merged(self, other: Self) -> Result<Self, Clash> {
        let (single, list) = (self.single || other.single, self.list || other.list);
        let both: BTreeSet<String> = self.texts.union(&other.texts).cloned().collect();
        if single && (both.len() > 1 || list) {
            let first = |texts: BTreeSet<String>| texts.into_iter().next();
            return Err(Clash {
                texts: first(self.texts).zip(first(other.texts)),
            });
        }
        Ok(Self {
            texts: both,
            single,
            list,
        })
    }
}
