//! A document in the making: by the reader, or of members of others.

use super::{Document, Json, JsonError, Node, Shape, Span};

/// A document in the making.
#[derive(Default)]
pub(super) struct Builder {
    pub(super) text: String,
    nodes: Vec<Node>,
    /// Members of the lists and objects that are not closed yet, outermost first.
    pub(super) open: Vec<Node>,
}

/// What becomes of a second member of the same name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Twice {
    Refuse,
    Drop,
}

impl Builder {
    /// With room for so many bytes of strings.
    pub(super) fn with_room(bytes: usize) -> Self {
        Self {
            text: String::with_capacity(bytes),
            ..Self::default()
        }
    }

    pub(super) fn finish(self, root: Shape) -> Document {
        Document {
            text: self.text.into_boxed_str(),
            nodes: self.nodes.into_boxed_slice(),
            root,
        }
    }

    /// Closes the list whose values stand open from `base` on.
    pub(super) fn close(&mut self, base: usize) -> Result<Span, JsonError> {
        let start = self.nodes.len();
        self.nodes.extend(self.open.drain(base..));
        Span::new(start, self.nodes.len())
    }

    /// Closes the object whose members stand open from `base` on.
    pub(super) fn close_object(&mut self, base: usize, twice: Twice) -> Result<Span, JsonError> {
        let text = &*self.text;
        let members = self.open.get_mut(base..).unwrap_or_default();
        // Sorting finds duplicates without the quadratic cost that a stranger's object of thousands of names would have.
        // It keeps the order of equal names.
        members.sort_by(|a, b| a.name.of(text).cmp(b.name.of(text)));
        let same = |(a, b): (&Node, &Node)| a.name.of(text) == b.name.of(text);
        if members.iter().zip(members.iter().skip(1)).any(same) {
            if twice == Twice::Refuse {
                return Err(JsonError::Duplicate);
            }
            let mut members = self.open.split_off(base);
            members.dedup_by(|b, a| a.name.of(text) == b.name.of(text));
            self.open.append(&mut members);
        }
        self.close(base)
    }

    pub(super) fn copied_text(&mut self, text: &str) -> Result<Span, JsonError> {
        let start = self.text.len();
        self.text.push_str(text);
        Span::new(start, self.text.len())
    }

    pub(super) fn copied(&mut self, value: Json<'_>) -> Result<Shape, JsonError> {
        let base = self.open.len();
        Ok(match value {
            Json::Null => Shape::Null,
            Json::Bool(flag) => Shape::Bool(flag),
            Json::Number(text) => Shape::Number(self.copied_text(text)?),
            Json::Text(text) => Shape::Text(self.copied_text(text)?),
            Json::List(list) => {
                for value in list.iter() {
                    let value = self.copied(value)?;
                    self.open.push(Node {
                        name: Span::default(),
                        value,
                    });
                }
                Shape::List(self.close(base)?)
            }
            Json::Object(members) => {
                for (name, value) in members.iter() {
                    let name = self.copied_text(name)?;
                    let value = self.copied(value)?;
                    self.open.push(Node { name, value });
                }
                Shape::Object(self.close(base)?)
            }
        })
    }
}
