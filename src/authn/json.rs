//! A strict JSON reader (RFC 8259) for what strangers send: token headers, claims and key sets.
//!
//! Two readers that disagree about a duplicate name, a lone surrogate or a huge number are how claims get smuggled past
//! a check. So duplicate names are refused at every level (after unescaping), numbers keep their text instead of
//! becoming floats, and nesting is bounded, which makes recursion safe.

use std::cmp::Ordering;
use std::ops::Range;

mod build;
mod read;
#[cfg(test)]
mod tests;

use build::{Builder, Twice};

/// Most values of a part of a token. Without a bound, 16 KiB of `0,0,0…` that nobody signed would cost several times what
/// verifying a token of that size does (invariant 62).
const MAX_TOKEN_VALUES: usize = 1024;

/// One JSON text, read. Two blocks of memory whatever is in it, since verified claims are kept for thousands of tokens: all
/// strings, unescaped, one after the other; and the members of its lists and objects.
#[derive(Clone)]
pub struct Document {
    text: Box<str>,
    nodes: Box<[Node]>,
    root: Shape,
}

/// A document that is an object.
#[derive(Clone)]
pub(super) struct Object(Document);

/// A JSON value of a [`Document`]. `Debug` tells its kind only: claims are not for logs.
#[derive(Clone, Copy)]
pub enum Json<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// The number as written.
    Number(&'a str),
    /// A string, unescaped.
    Text(&'a str),
    /// An array.
    List(List<'a>),
    /// An object.
    Object(Members<'a>),
}

/// The values of an array.
#[derive(Clone, Copy)]
pub struct List<'a>(Block<'a>);

/// The members of an object, without duplicate names, sorted by name.
#[derive(Clone, Copy)]
pub struct Members<'a>(Block<'a>);

/// What one list or object holds.
#[derive(Clone, Copy)]
struct Block<'a> {
    document: &'a Document,
    nodes: &'a [Node],
}

/// A member of an object, or a value of a list, whose name is empty.
#[derive(Clone, Copy)]
struct Node {
    name: Span,
    value: Shape,
}

/// A value; spans of strings are in the text, those of lists and objects in the nodes.
#[derive(Clone, Copy)]
enum Shape {
    Null,
    Bool(bool),
    Number(Span),
    Text(Span),
    List(Span),
    Object(Span),
}

#[derive(Clone, Copy, Default)]
struct Span {
    start: u32,
    len: u32,
}

/// Why a text is not taken as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Not UTF-8 (RFC 8259 section 8.1).
    #[error("not valid UTF-8")]
    Encoding,
    /// Not JSON.
    #[error("not valid JSON")]
    Syntax,
    /// Nested more than 16 levels.
    #[error("nested too deep")]
    Depth,
    /// A part of a token has more than 1024 values, those in lists and objects included.
    #[error("more than 1024 values")]
    Values,
    /// An object has two members of one name (RFC 8259 section 4 leaves the meaning open).
    #[error("duplicate member name")]
    Duplicate,
}

impl Document {
    /// Reads one JSON text, all of it.
    ///
    /// # Errors
    /// The text is not JSON as this module demands it.
    pub fn parse(text: &[u8]) -> Result<Self, JsonError> {
        Self::parse_at_most(usize::MAX, text)
    }

    /// Reads the header or the payload of a token: [`parse`](Self::parse), with a bound on the number of values.
    pub(super) fn parse_of_token(text: &[u8]) -> Result<Self, JsonError> {
        Self::parse_at_most(MAX_TOKEN_VALUES, text)
    }

    fn parse_at_most(values: usize, text: &[u8]) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(text).map_err(|_| JsonError::Encoding)?;
        read::read(text, values)
    }

    /// Its value.
    #[must_use]
    pub fn value(&self) -> Json<'_> {
        self.json(self.root)
    }

    /// The document, where it is an object.
    pub(super) fn into_object(self) -> Option<Object> {
        matches!(self.root, Shape::Object(_)).then_some(Object(self))
    }

    fn json(&self, shape: Shape) -> Json<'_> {
        match shape {
            Shape::Null => Json::Null,
            Shape::Bool(flag) => Json::Bool(flag),
            Shape::Number(span) => Json::Number(span.of(&self.text)),
            Shape::Text(span) => Json::Text(span.of(&self.text)),
            Shape::List(span) => Json::List(List(self.block(span))),
            Shape::Object(span) => Json::Object(Members(self.block(span))),
        }
    }

    fn block(&self, span: Span) -> Block<'_> {
        let nodes = self.nodes.get(span.range()).unwrap_or_default();
        Block {
            document: self,
            nodes,
        }
    }
}

impl Object {
    /// An object with these members; of several with one name the first counts.
    ///
    /// # Errors
    /// It would be larger than a document can be.
    pub(super) fn of<'a>(
        members: impl IntoIterator<Item = (&'a str, Json<'a>)>,
    ) -> Result<Self, JsonError> {
        let mut built = Builder::default();
        for (name, value) in members {
            let name = built.copied_text(name)?;
            let value = built.copied(value)?;
            built.open.push(Node { name, value });
        }
        let root = Shape::Object(built.close_object(0, Twice::Drop)?);
        Ok(Self(built.finish(root)))
    }

    /// Its members.
    pub(super) fn members(&self) -> Members<'_> {
        match self.0.root {
            Shape::Object(span) => Members(self.0.block(span)),
            // No such document becomes an object.
            Shape::Null | Shape::Bool(_) | Shape::Number(_) | Shape::Text(_) | Shape::List(_) => {
                Members(self.0.block(Span::default()))
            }
        }
    }

    /// About how many bytes of memory it takes, beside itself.
    pub(super) fn weight(&self) -> usize {
        const BLOCK: usize = 16; // what an allocator adds to a block
        self.0
            .text
            .len()
            .saturating_add(size_of_val(&*self.0.nodes))
            .saturating_add(2 * BLOCK)
    }
}

impl<'a> Json<'a> {
    /// The text of a string.
    #[must_use]
    pub const fn as_str(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::List(_) | Self::Object(_) => None,
        }
    }

    /// The members of an object.
    #[must_use]
    pub const fn as_object(self) -> Option<Members<'a>> {
        match self {
            Self::Object(members) => Some(members),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::List(_) => None,
        }
    }

    /// The values of an array.
    #[must_use]
    pub const fn as_list(self) -> Option<List<'a>> {
        match self {
            Self::List(list) => Some(list),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::Object(_) => None,
        }
    }

    /// A string as the only one, or an array that consists of strings alone. Anything else is `None`: a list that hides
    /// a number among strings is not trusted in part.
    #[must_use]
    pub fn as_strings(self) -> Option<Vec<&'a str>> {
        match self {
            Self::Text(text) => Some(vec![text]),
            Self::List(list) => list.iter().map(Self::as_str).collect(),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Object(_) => None,
        }
    }

    /// Whether this is the string `text`, or an array of strings alone with `text` among them. Byte for byte.
    #[must_use]
    pub fn contains(self, text: &str) -> bool {
        match self {
            Self::Text(own) => own == text,
            Self::List(list) => {
                list.iter().all(|value| value.as_str().is_some())
                    && list.iter().any(|value| value.as_str() == Some(text))
            }
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Object(_) => false,
        }
    }
}

impl<'a> List<'a> {
    /// The values, in their order.
    pub fn iter(self) -> impl Iterator<Item = Json<'a>> {
        let Block { document, nodes } = self.0;
        nodes.iter().map(|node| document.json(node.value))
    }

    /// How many there are.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.nodes.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.nodes.is_empty()
    }
}

impl<'a> Members<'a> {
    /// The value of the member `name`.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Json<'a>> {
        self.find(|own| own.cmp(name))
    }

    /// The value of the member whose name is `parts` joined by dots; nothing is allocated.
    pub(crate) fn get_joined(self, parts: &[String]) -> Option<Json<'a>> {
        self.find(|own| cmp_joined(own, parts))
    }

    /// All members, sorted by name.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Json<'a>)> {
        let Block { document, nodes } = self.0;
        nodes
            .iter()
            .map(|node| (node.name.of(&document.text), document.json(node.value)))
    }

    fn find(self, cmp: impl Fn(&str) -> Ordering) -> Option<Json<'a>> {
        let Block { document, nodes } = self.0;
        let at = nodes
            .binary_search_by(|node| cmp(node.name.of(&document.text)))
            .ok()?;
        nodes.get(at).map(|node| document.json(node.value))
    }
}

fn cmp_joined(own: &str, parts: &[String]) -> Ordering {
    let dots = std::iter::once("").chain(std::iter::repeat("."));
    let joined = dots
        .zip(parts)
        .flat_map(|(dot, part)| dot.bytes().chain(part.bytes()));
    own.bytes().cmp(joined)
}

impl Span {
    /// # Errors
    /// More than 4 GiB.
    fn new(start: usize, end: usize) -> Result<Self, JsonError> {
        let word = |number: usize| u32::try_from(number).map_err(|_| JsonError::Values);
        Ok(Self {
            start: word(start)?,
            len: word(end.saturating_sub(start))?,
        })
    }

    fn range(self) -> Range<usize> {
        let word = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let start = word(self.start);
        start..start.saturating_add(word(self.len))
    }

    fn of(self, text: &str) -> &str {
        text.get(self.range()).unwrap_or_default()
    }
}

impl std::fmt::Debug for Json<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Null => "Null",
            Self::Bool(_) => "Bool",
            Self::Number(_) => "Number",
            Self::Text(_) => "Text",
            Self::List(_) => "List",
            Self::Object(_) => "Object",
        })
    }
}

impl std::fmt::Debug for List<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("List")
    }
}

impl std::fmt::Debug for Members<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Members")
    }
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Document")
    }
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Object")
    }
}
