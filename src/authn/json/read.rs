//! The reader itself. Each rule of RFC 8259 is a function of its name.

use super::build::{Builder, Twice};
use super::{Document, JsonError, Node, Shape, Span};

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 16;

/// Reads one JSON text of so many values at most, all of it.
pub(super) fn read(text: &str, values: usize) -> Result<Document, JsonError> {
    let mut reader = Reader {
        text,
        at: 0,
        values,
        built: Builder::with_room(text.len()),
    };
    let root = reader.value(0)?;
    reader.skip_space();
    if reader.at == text.len() {
        Ok(reader.built.finish(root))
    } else {
        Err(JsonError::Syntax)
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// How many more values there may be.
    values: usize,
    built: Builder,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Shape, JsonError> {
        self.values = self.values.checked_sub(1).ok_or(JsonError::Values)?;
        self.skip_space();
        match self.peek().ok_or(JsonError::Syntax)? {
            b'{' => self.object(depth + 1).map(Shape::Object),
            b'[' => self.list(depth + 1).map(Shape::List),
            b'"' => self.string().map(Shape::Text),
            b'-' | b'0'..=b'9' => self.number().map(Shape::Number),
            b't' => self.word("true", Shape::Bool(true)),
            b'f' => self.word("false", Shape::Bool(false)),
            b'n' => self.word("null", Shape::Null),
            _ => Err(JsonError::Syntax),
        }
    }

    fn word(&mut self, word: &str, value: Shape) -> Result<Shape, JsonError> {
        let rest = self.text.get(self.at..).ok_or(JsonError::Syntax)?;
        if !rest.starts_with(word) {
            return Err(JsonError::Syntax);
        }
        self.at += word.len();
        Ok(value)
    }

    fn object(&mut self, depth: usize) -> Result<Span, JsonError> {
        let base = self.built.open.len();
        self.items(b'}', depth, |reader| {
            reader.skip_space();
            let name = reader.string()?;
            reader.skip_space();
            if !reader.eat(b':') {
                return Err(JsonError::Syntax);
            }
            let value = reader.value(depth)?;
            reader.built.open.push(Node { name, value });
            Ok(())
        })?;
        self.built.close_object(base, Twice::Refuse)
    }

    fn list(&mut self, depth: usize) -> Result<Span, JsonError> {
        let base = self.built.open.len();
        self.items(b']', depth, |reader| {
            let value = reader.value(depth)?;
            reader.built.open.push(Node {
                name: Span::default(),
                value,
            });
            Ok(())
        })?;
        self.built.close(base)
    }

    /// The comma-separated items up to `close`; the opening bracket is the next byte.
    fn items(
        &mut self,
        close: u8,
        depth: usize,
        mut item: impl FnMut(&mut Self) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        if depth > MAX_DEPTH {
            return Err(JsonError::Depth);
        }
        self.at += 1;
        self.skip_space();
        if self.eat(close) {
            return Ok(());
        }
        loop {
            item(self)?;
            self.skip_space();
            if self.eat(close) {
                return Ok(());
            }
            if !self.eat(b',') {
                return Err(JsonError::Syntax);
            }
        }
    }

    fn number(&mut self) -> Result<Span, JsonError> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits()?;
        }
        self.keep(start, self.built.text.len())
    }

    /// At least one digit. A digit after a leading zero is left over and fails as syntax.
    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start {
            return Err(JsonError::Syntax);
        }
        Ok(())
    }

    /// Keeps the text from `start` up to here; the span begins at `first` of what is kept.
    fn keep(&mut self, start: usize, first: usize) -> Result<Span, JsonError> {
        // Both ends stand at ASCII, so the range is on character boundaries.
        let tail = self.text.get(start..self.at).ok_or(JsonError::Syntax)?;
        self.built.text.push_str(tail);
        Span::new(first, self.built.text.len())
    }

    fn string(&mut self) -> Result<Span, JsonError> {
        if !self.eat(b'"') {
            return Err(JsonError::Syntax);
        }
        let first = self.built.text.len();
        let mut start = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    let span = self.keep(start, first);
                    self.at += 1;
                    return span;
                }
                Some(b'\\') => {
                    self.keep(start, first)?;
                    self.at += 1;
                    let escaped = self.escape()?;
                    self.built.text.push(escaped);
                    start = self.at;
                }
                Some(0x20..) => self.at += 1,
                Some(_) | None => return Err(JsonError::Syntax),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let escape = self.peek().ok_or(JsonError::Syntax)?;
        self.at += 1;
        Ok(match escape {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(JsonError::Syntax),
        })
    }

    /// `XXXX`, or a surrogate pair `XXXX\uXXXX`. A lone surrogate is no character and is refused.
    fn unicode(&mut self) -> Result<char, JsonError> {
        let first = self.hex()?;
        let code = if (0xD800..0xDC00).contains(&first) {
            if !(self.eat(b'\\') && self.eat(b'u')) {
                return Err(JsonError::Syntax);
            }
            let second = self.hex()?;
            if !(0xDC00..0xE000).contains(&second) {
                return Err(JsonError::Syntax);
            }
            0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)
        } else {
            first
        };
        char::from_u32(code).ok_or(JsonError::Syntax)
    }

    fn hex(&mut self) -> Result<u32, JsonError> {
        let mut value = 0;
        for _ in 0..4 {
            let byte = self.peek().ok_or(JsonError::Syntax)?;
            let digit = char::from(byte).to_digit(16).ok_or(JsonError::Syntax)?;
            value = value * 16 + digit;
            self.at += 1;
        }
        Ok(value)
    }
}
