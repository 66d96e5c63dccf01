//! A mapping as its block describes it: values by key, defaults from the schema.
//!
//! The shape was checked before: what does not fit reads as absent here, and was reported there.

use std::path::Path;
use std::time::Duration;

use super::node::Node;
use super::problem::Place;
use super::scalar;
use super::schema::{Block, Need};

/// A mapping and its description.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    node: Option<&'a Node>,
    block: &'static Block,
    /// Where problems point when a key is absent.
    fallback: &'a Place,
}

impl<'a> View<'a> {
    pub(crate) const fn new(node: &'a Node, block: &'static Block) -> Self {
        Self {
            node: Some(node),
            block,
            fallback: &node.at,
        }
    }

    /// The mapping under `key`; one with defaults only when it is absent.
    pub(crate) fn sub(&self, key: &str, block: &'static Block) -> Self {
        let node = self.get(key);
        Self {
            node,
            block,
            fallback: node.map_or(self.fallback, |node| &node.at),
        }
    }

    /// A mapping with defaults only, in the place of a short form.
    pub(crate) const fn sub_default(&self, block: &'static Block) -> Self {
        Self {
            node: None,
            block,
            fallback: self.fallback,
        }
    }

    /// The mapping under `key`, if it is there.
    pub(crate) fn sub_if(&self, key: &str, block: &'static Block) -> Option<Self> {
        self.get(key).map(|node| Self::new(node, block))
    }

    /// Where the mapping stands, or the one that lacks it.
    pub(crate) const fn at(&self) -> &'a Place {
        self.fallback
    }

    /// Where `key` stands, or the mapping that lacks it.
    pub(crate) fn place(&self, key: &str) -> &'a Place {
        self.get(key).map_or(self.fallback, |node| &node.at)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'a Node> {
        debug_assert!(
            self.block.key(key).is_some(),
            "`{key}` is not in the schema of `{}`",
            self.block.name
        );
        #[cfg(test)]
        super::tests::record_read(self.block.name, key);
        self.node?.get(key)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    fn default(&self, key: &str) -> Option<&'static str> {
        match self.block.key(key)?.need {
            Need::Default(text) => Some(text),
            Need::Required | Need::Unless(_) | Need::Optional => None,
        }
    }

    /// A text, or its default.
    pub(crate) fn text(&self, key: &str) -> Option<&'a str> {
        match self.get(key) {
            Some(node) => node.text(),
            None => self.default(key),
        }
    }

    /// A boolean; its default when absent, `false` when it has none.
    pub(crate) fn flag(&self, key: &str) -> bool {
        match self.get(key) {
            Some(node) => node.flag().unwrap_or_default(),
            None => self.default(key) == Some("true"),
        }
    }

    /// A number, or its default; `none` is none.
    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        match self.get(key) {
            Some(node) => node.number(),
            None => self.default(key)?.parse().ok(),
        }
    }

    /// A number that fits `usize`; the shape has made sure that it does where it is there.
    pub(crate) fn count(&self, key: &str) -> usize {
        self.number(key)
            .and_then(|number| usize::try_from(number).ok())
            .unwrap_or_default()
    }

    /// A size in bytes, or its default; `none` is none.
    pub(crate) fn size(&self, key: &str) -> Option<u64> {
        self.scalar_text(key)
            .and_then(|text| scalar::size(text).ok())
    }

    /// A duration, or its default; `none` is none.
    pub(crate) fn duration(&self, key: &str) -> Option<Duration> {
        self.scalar_text(key)
            .and_then(|text| scalar::duration(text).ok())
    }

    /// A duration that has a default.
    pub(crate) fn span(&self, key: &str) -> Duration {
        self.duration(key).unwrap_or_default()
    }

    /// A fraction, or its default.
    pub(crate) fn fraction(&self, key: &str) -> Option<f64> {
        self.scalar_text(key)
            .and_then(|text| scalar::fraction(text).ok())
    }

    fn scalar_text(&self, key: &str) -> Option<&'a str> {
        match self.get(key) {
            Some(node) => node.scalar().map(|scalar| scalar.text.as_str()),
            None => self.default(key),
        }
    }

    /// The items of a list, or the one value that stands for it; none when the key is absent.
    pub(crate) fn items(&self, key: &str) -> &'a [Node] {
        self.get(key).map(Node::each).unwrap_or_default()
    }

    /// The texts of a list (or one text), or those of its default (separated by commas).
    pub(crate) fn texts(&self, key: &str) -> Vec<String> {
        match self.get(key) {
            Some(node) => node
                .each()
                .iter()
                .filter_map(Node::text)
                .map(str::to_owned)
                .collect(),
            None => self
                .default(key)
                .map(|list| list.split(", ").map(str::to_owned).collect())
                .unwrap_or_default(),
        }
    }

    /// The path in `{file: …}` under `key`.
    pub(crate) fn file(&self, key: &str) -> Option<(&'a Path, &'a Place)> {
        let node = self.get(key)?;
        let view = View::new(node, &super::schema::FILE_BLOCK);
        view.text("file").map(|path| (Path::new(path), &node.at))
    }
}
