//! A strict JSON reader (RFC 8259) for what strangers send: token headers, claims and key sets.
//!
//! Two readers that disagree about a duplicate name, a lone surrogate or a huge number are how claims get smuggled past
//! a check. So duplicate names are refused at every level (after unescaping), numbers keep their text instead of
//! becoming floats, and nesting is bounded, which makes recursion safe.

use std::cmp::Ordering;

#[cfg(test)]
mod tests;

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 16;

/// Most values of a part of a token. Each costs an allocation or two; without a bound, 16 KiB of `0,0,0…` that nobody signed
/// would cost several times what verifying a token of that size does (invariant 62).
const MAX_TOKEN_VALUES: usize = 1024;

/// A JSON value. `Debug` tells its kind only: claims are not for logs.
#[derive(Clone, PartialEq, Eq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// The number as written.
    Number(Box<str>),
    /// A string, unescaped.
    Text(Box<str>),
    /// An array.
    List(Vec<Json>),
    /// An object.
    Object(Members),
}

/// The members of an object, without duplicate names.
#[derive(Clone, PartialEq, Eq)]
pub struct Members(Vec<(Box<str>, Json)>);

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

impl Json {
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
        let mut reader = Reader {
            text,
            at: 0,
            values,
        };
        let value = reader.value(0)?;
        reader.skip_space();
        if reader.at == text.len() {
            Ok(value)
        } else {
            Err(JsonError::Syntax)
        }
    }

    /// The text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::List(_) | Self::Object(_) => None,
        }
    }

    /// The members of an object.
    #[must_use]
    pub const fn as_object(&self) -> Option<&Members> {
        match self {
            Self::Object(members) => Some(members),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::List(_) => None,
        }
    }

    /// The values of an array.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(list) => Some(list),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::Object(_) => None,
        }
    }

    /// A string as the only one, or an array that consists of strings alone. Anything else is `None`: a list that hides
    /// a number among strings is not trusted in part.
    #[must_use]
    pub fn as_strings(&self) -> Option<Vec<&str>> {
        match self {
            Self::Text(text) => Some(vec![text]),
            Self::List(list) => list.iter().map(Self::as_str).collect(),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Object(_) => None,
        }
    }

    /// Whether this is the string `text`, or an array of strings alone with `text` among them. Byte for byte.
    #[must_use]
    pub fn contains(&self, text: &str) -> bool {
        match self {
            Self::Text(own) => &**own == text,
            Self::List(list) => {
                list.iter().all(|value| value.as_str().is_some())
                    && list.iter().any(|value| value.as_str() == Some(text))
            }
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Object(_) => false,
        }
    }

    /// About how many bytes of memory the value takes, itself included.
    pub(crate) fn weight(&self) -> usize {
        const BLOCK: usize = 16; // what an allocator adds to a block
        let own = size_of::<Self>();
        own.saturating_add(match self {
            Self::Null | Self::Bool(_) => 0,
            Self::Number(text) | Self::Text(text) => text.len().saturating_add(BLOCK),
            Self::List(list) => list
                .iter()
                .fold(BLOCK, |sum, value| sum.saturating_add(value.weight())),
            Self::Object(members) => members.0.iter().fold(BLOCK, |sum, (name, value)| {
                sum.saturating_add(name.len())
                    .saturating_add(size_of::<Box<str>>())
                    .saturating_add(BLOCK)
                    .saturating_add(value.weight())
            }),
        })
    }
}

impl Members {
    /// These members; of several with one name the first counts.
    pub(super) fn of(mut members: Vec<(Box<str>, Json)>) -> Self {
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
        members.dedup_by(|(a, _), (b, _)| a == b);
        Self(members)
    }

    /// Adds a member, unless there is one of that name.
    pub(super) fn add(&mut self, name: &str, value: Json) {
        if let Err(at) = self.0.binary_search_by(|(own, _)| (**own).cmp(name)) {
            self.0.insert(at, (name.into(), value));
        }
    }

    /// Takes a member out.
    pub(super) fn remove(&mut self, name: &str) -> Option<Json> {
        let at = self.0.binary_search_by(|(own, _)| (**own).cmp(name)).ok()?;
        Some(self.0.remove(at).1)
    }

    /// The value of the member `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.find(|own| own.cmp(name))
    }

    /// The value of the member whose name is `parts` joined by dots; nothing is allocated.
    pub(crate) fn get_joined(&self, parts: &[String]) -> Option<&Json> {
        self.find(|own| cmp_joined(own, parts))
    }

    /// All members, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    fn find(&self, cmp: impl Fn(&str) -> Ordering) -> Option<&Json> {
        let at = self.0.binary_search_by(|(name, _)| cmp(name)).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }
}

fn cmp_joined(own: &str, parts: &[String]) -> Ordering {
    let dots = std::iter::once("").chain(std::iter::repeat("."));
    let joined = dots
        .zip(parts)
        .flat_map(|(dot, part)| dot.bytes().chain(part.bytes()));
    own.bytes().cmp(joined)
}

impl std::fmt::Debug for Json {
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

impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Members")
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// How many more values there may be.
    values: usize,
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

    /// The text from `start` up to here. Both stand at ASCII, so the range is on character boundaries.
    fn since(&self, start: usize) -> Result<&str, JsonError> {
        self.text.get(start..self.at).ok_or(JsonError::Syntax)
    }

    fn value(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.values = self.values.checked_sub(1).ok_or(JsonError::Values)?;
        self.skip_space();
        match self.peek().ok_or(JsonError::Syntax)? {
            b'{' => self.object(depth + 1).map(Json::Object),
            b'[' => self.list(depth + 1).map(Json::List),
            b'"' => self.string().map(Json::Text),
            b'-' | b'0'..=b'9' => self.number().map(Json::Number),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            b'n' => self.word("null", Json::Null),
            _ => Err(JsonError::Syntax),
        }
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, JsonError> {
        let rest = self.text.get(self.at..).ok_or(JsonError::Syntax)?;
        if !rest.starts_with(word) {
            return Err(JsonError::Syntax);
        }
        self.at += word.len();
        Ok(value)
    }

    fn object(&mut self, depth: usize) -> Result<Members, JsonError> {
        let mut members = Vec::new();
        self.items(b'}', depth, |reader| {
            reader.skip_space();
            let name = reader.string()?;
            reader.skip_space();
            if !reader.eat(b':') {
                return Err(JsonError::Syntax);
            }
            members.push((name, reader.value(depth)?));
            Ok(())
        })?;
        // Sorting finds duplicates without the quadratic cost that a stranger's object of thousands of names would have.
        members.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let twice = members
            .iter()
            .zip(members.iter().skip(1))
            .any(|((a, _), (b, _))| a == b);
        if twice {
            return Err(JsonError::Duplicate);
        }
        Ok(Members(members))
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Json>, JsonError> {
        let mut list = Vec::new();
        self.items(b']', depth, |reader| {
            list.push(reader.value(depth)?);
            Ok(())
        })?;
        Ok(list)
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

    fn number(&mut self) -> Result<Box<str>, JsonError> {
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
        self.since(start).map(Into::into)
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

    fn string(&mut self) -> Result<Box<str>, JsonError> {
        if !self.eat(b'"') {
            return Err(JsonError::Syntax);
        }
        let mut start = self.at;
        let mut unescaped = String::new();
        loop {
            match self.peek() {
                Some(b'"') => {
                    let tail = self.since(start)?;
                    let text = if unescaped.is_empty() {
                        tail.into()
                    } else {
                        unescaped.push_str(tail);
                        unescaped.into_boxed_str()
                    };
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    unescaped.push_str(self.since(start)?);
                    self.at += 1;
                    unescaped.push(self.escape()?);
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
