//! HTTP/1 as RFC 9112 demands it of a proxy, read line by line.

use http::Uri;

/// One request.
pub(crate) struct Message {
    pub(crate) head: Vec<u8>,
    /// The body as it is framed, as far as it is there.
    pub(crate) framed: Vec<u8>,
    /// The body's bytes.
    pub(crate) content: Vec<u8>,
    pub(crate) complete: bool,
    pub(crate) method: String,
    pub(crate) target: Vec<u8>,
    pub(crate) http10: bool,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
}

impl Message {
    pub(crate) fn length(&self) -> usize {
        self.head.len() + self.framed.len()
    }

    pub(crate) fn field(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.fields
            .iter()
            .filter(move |(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| &**value)
    }

    /// It asks for another protocol: what follows is held until the answer, which here is no.
    pub(crate) fn upgrades(&self) -> bool {
        !self.http10 && self.field("upgrade").next().is_some()
    }
}

impl Message {
    /// A server may close the connection behind its answer.
    pub(crate) fn may_close(&self) -> bool {
        let close = self.field("connection").any(|value| {
            let value = value.to_ascii_lowercase();
            value.windows(5).any(|five| five == b"close")
        });
        close || self.http10 || !self.complete || self.upgrades()
    }
}

/// All requests of a connection, and how it ends.
#[derive(Default)]
pub(crate) struct Reading {
    pub(crate) messages: Vec<Message>,
    pub(crate) refused_head: bool,
    pub(crate) refused_body: bool,
}

impl Reading {
    /// The bytes of all of them.
    pub(crate) fn passed(&self) -> Vec<u8> {
        let parts = self
            .messages
            .iter()
            .flat_map(|message| [&*message.head, &*message.framed]);
        parts.flatten().copied().collect()
    }
}

/// Most fields that a caller may send.
pub(crate) const FIELDS: usize = 100;

/// Reads requests whose heads have at most `fields` fields.
pub(crate) fn read(mut bytes: &[u8], fields: usize) -> Reading {
    let mut reading = Reading::default();
    loop {
        // One empty line may stand before a request.
        let (rest, blank) = match bytes.strip_prefix(b"\r\n") {
            Some(rest) => (rest, true),
            None => (bytes, false),
        };
        bytes = rest;
        if bytes == b"\r" && !blank {
            return reading;
        }
        match head(bytes, fields) {
            Head::Partial => return reading,
            Head::Bad => {
                reading.refused_head = true;
                return reading;
            }
            Head::Good(mut message, framing) => {
                let rest = &bytes[message.head.len()..];
                if message.upgrades() && matches!(framing, Framing::Length(0)) {
                    reading.messages.push(message);
                    // What came before the answer was meant for another protocol.
                    return reading;
                }
                let body = match framing {
                    Framing::Length(length) => counted(rest, length),
                    Framing::Chunked => chunked(rest),
                };
                message.framed = rest[..body.framed].to_vec();
                message.content = body.content;
                message.complete = body.end == End::Complete;
                bytes = &rest[body.framed..];
                reading.messages.push(message);
                match body.end {
                    End::Complete => {}
                    End::Partial => return reading,
                    End::Bad => {
                        reading.refused_body = true;
                        return reading;
                    }
                }
            }
        }
    }
}

enum Head {
    Partial,
    Bad,
    Good(Message, Framing),
}

#[derive(Clone, Copy)]
enum Framing {
    Length(u64),
    Chunked,
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty()
        && text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// Lines up to the empty one. A head that can only become bad is bad.
fn head(bytes: &[u8], fields: usize) -> Head {
    if bytes.first().is_some_and(|byte| !is_token(&[*byte])) {
        return Head::Bad;
    }
    let mut lines = Vec::new();
    let mut start = 0;
    let end = loop {
        let rest = &bytes[start..];
        let Some(at) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
            return judge_lines(&lines, fields).map_or(Head::Bad, |_| Head::Partial);
        };
        if rest[at] == b'\r' && rest.len() == at + 1 {
            return judge_lines(&lines, fields).map_or(Head::Bad, |_| Head::Partial);
        }
        if !rest[at..].starts_with(b"\r\n") {
            return Head::Bad;
        }
        let line = &rest[..at];
        start += at + 2;
        if line.is_empty() && !lines.is_empty() {
            break start;
        }
        lines.push(line);
    };
    match judge_lines(&lines, fields) {
        Some(mut message) => match framing(&message) {
            Some(framing) => {
                message.head = bytes[..end].to_vec();
                Head::Good(message, framing)
            }
            None => Head::Bad,
        },
        None => Head::Bad,
    }
}

/// The request line and the fields, as many as there are; `None` when one of them is wrong.
fn judge_lines(lines: &[&[u8]], most: usize) -> Option<Message> {
    let mut message = Message {
        head: Vec::new(),
        framed: Vec::new(),
        content: Vec::new(),
        complete: true,
        method: String::new(),
        target: Vec::new(),
        http10: false,
        fields: Vec::new(),
    };
    let Some((line, fields)) = lines.split_first() else {
        return Some(message);
    };
    let parts: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = parts.as_slice() else {
        return None;
    };
    message.http10 = *version == b"HTTP/1.0";
    let method_is_good = is_token(method)
        && method.len() <= 64
        && *method != b"CONNECT"
        && *method != b"COUNTERSIGN-REFUSED";
    let version_is_good = message.http10 || *version == b"HTTP/1.1";
    let visible = !target.is_empty()
        && target
            .iter()
            .all(|byte| (0x21..0x7F).contains(byte) && *byte != b'#');
    if !method_is_good || !version_is_good || !visible || !has_a_path(target) {
        return None;
    }
    message.method = String::from_utf8(method.to_vec()).ok()?;
    message.target = target.to_vec();
    if fields.len() > most {
        return None;
    }
    for line in fields {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let controls = value
            .iter()
            .any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7F);
        if !is_token(name) || controls {
            return None;
        }
        let value = trim(value).to_vec();
        let name = String::from_utf8(name.to_vec()).ok()?;
        let wrong = (name.eq_ignore_ascii_case("content-length") && length(&value).is_none())
            || (name.eq_ignore_ascii_case("transfer-encoding") && value != b"chunked");
        if wrong {
            return None;
        }
        message.fields.push((name, value));
    }
    Some(message)
}

/// What hyper can read, and does not mend.
fn has_a_path(target: &[u8]) -> bool {
    let Ok(uri) = Uri::try_from(target) else {
        return false;
    };
    let text = String::from_utf8_lossy(target);
    match text.split_once("://") {
        Some((_, rest)) if !text.starts_with('/') => {
            let query = rest.find('?').unwrap_or(rest.len());
            rest[..query].contains('/') && uri.path().starts_with('/')
        }
        _ => true,
    }
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let Some((b' ' | b'\t', rest)) = value.split_first() {
        value = rest;
    }
    while let Some((b' ' | b'\t', rest)) = value.split_last() {
        value = rest;
    }
    value
}

fn length(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text && text.len() <= 19).then_some(number)
}

fn framing(message: &Message) -> Option<Framing> {
    let lengths: Vec<&[u8]> = message.field("content-length").collect();
    let codings = message.field("transfer-encoding").count();
    match (lengths.as_slice(), codings) {
        ([], 0) => Some(Framing::Length(0)),
        ([one], 0) => length(one).map(Framing::Length),
        ([], 1) if !message.http10 => Some(Framing::Chunked),
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Complete,
    Partial,
    Bad,
}

struct Body {
    /// Bytes up to the end, or to where it goes wrong.
    framed: usize,
    content: Vec<u8>,
    end: End,
}

fn counted(rest: &[u8], length: u64) -> Body {
    let there = usize::try_from(length)
        .unwrap_or(usize::MAX)
        .min(rest.len());
    let complete = u64::try_from(there).is_ok_and(|there| there == length);
    Body {
        framed: there,
        content: rest[..there].to_vec(),
        end: if complete {
            End::Complete
        } else {
            End::Partial
        },
    }
}

fn chunked(rest: &[u8]) -> Body {
    let mut reader = Chunks {
        rest,
        at: 0,
        content: Vec::new(),
    };
    let end = match reader.read() {
        Ok(()) => End::Complete,
        Err(end) => end,
    };
    Body {
        framed: reader.at,
        content: reader.content,
        end,
    }
}

struct Chunks<'a> {
    rest: &'a [u8],
    at: usize,
    content: Vec<u8>,
}

impl Chunks<'_> {
    fn peek(&self) -> Result<u8, End> {
        self.rest.get(self.at).copied().ok_or(End::Partial)
    }

    /// One byte that `good` takes.
    fn take(&mut self, good: impl Fn(u8) -> bool) -> Result<u8, End> {
        let byte = self.peek()?;
        if !good(byte) {
            return Err(End::Bad);
        }
        self.at += 1;
        Ok(byte)
    }

    fn line_end(&mut self) -> Result<(), End> {
        self.take(|byte| byte == b'\r')?;
        self.take(|byte| byte == b'\n').map(drop)
    }

    fn read(&mut self) -> Result<(), End> {
        loop {
            let size = self.size()?;
            if size == 0 {
                break;
            }
            for _ in 0..size {
                let byte = self.take(|_| true)?;
                self.content.push(byte);
            }
            self.line_end()?;
        }
        self.trailers()
    }

    fn size(&mut self) -> Result<u64, End> {
        let mut digits = String::new();
        digits.push(self.take(|byte| byte.is_ascii_hexdigit())?.into());
        while self.peek()?.is_ascii_hexdigit() {
            if digits.len() == MOST_DIGITS {
                return Err(End::Bad);
            }
            digits.push(self.take(|_| true)?.into());
        }
        if self.peek()? == b';' {
            let mut length = 0;
            while self.peek()? != b'\r' {
                self.take(|byte| byte == b'\t' || (0x20..0x7F).contains(&byte))?;
                length += 1;
                if length > MOST_EXTENSION {
                    return Err(End::Bad);
                }
            }
        }
        self.line_end()?;
        u64::from_str_radix(&digits, 16).map_err(|_| End::Bad)
    }

    fn trailers(&mut self) -> Result<(), End> {
        let mut fields = 0;
        while self.peek()? != b'\r' {
            fields += 1;
            if fields > 100 {
                return Err(End::Bad);
            }
            self.take(|byte| is_token(&[byte]))?;
            while self.peek()? != b':' {
                self.take(|byte| is_token(&[byte]))?;
            }
            while self.peek()? != b'\r' {
                self.take(|byte| byte == b'\t' || (byte >= 0x20 && byte != 0x7F))?;
            }
            self.line_end()?;
        }
        self.line_end()
    }
}

/// Digits of a chunk size.
const MOST_DIGITS: usize = 16;

/// Bytes of one chunk's extensions.
const MOST_EXTENSION: usize = 1024;
