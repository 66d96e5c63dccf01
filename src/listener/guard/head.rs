//! A request head, line by line, strictly (RFC 9112 sections 2 to 6).
//!
//! hyper's parser mends what a proxy must refuse: bare LF, fragments, Content-Length beside Transfer-Encoding. Every byte
//! is looked for line ends once, however it was split on the wire, and judged once.

use memchr::memchr2;

use super::REFUSED_METHOD;
use crate::listener::Limits;
use crate::rejection::Malformed;
use crate::request::framing;

#[cfg(test)]
mod tests;

/// Longest method; the longest registered one has 17 bytes.
const METHOD_BYTES: usize = 64;

/// Most that a request line may have beside its target.
const LINE_EXTRA: usize = METHOD_BYTES + " ".len() + " HTTP/1.1\r\n".len();

/// Sizes that a head must keep.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadLimits {
    /// Most bytes of a head.
    pub(super) header_bytes: usize,
    /// Most fields.
    pub(super) headers: usize,
    /// Most bytes of a target.
    pub(super) target_bytes: usize,
}

impl From<&Limits> for HeadLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            header_bytes: limits.header_bytes,
            headers: limits.headers,
            target_bytes: limits.target_bytes,
        }
    }
}

/// How the body of a request is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// By a count, zero included.
    Length(u64),
    /// By chunks.
    Chunked,
}

/// A complete head that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CheckedHead {
    /// Its bytes, the empty line included.
    pub(super) length: usize,
    pub(super) framing: Framing,
    /// It carries `Upgrade` on HTTP/1.1: what follows may not be HTTP.
    pub(super) upgrade: bool,
}

/// Progress through one head whose bytes arrive in pieces.
#[derive(Debug, Default)]
pub(super) struct HeadScan {
    /// Where the current line begins.
    line: usize,
    /// Where the search for its end goes on.
    searched: usize,
    /// Set once the request line was read.
    version: Option<Version>,
    fields: usize,
    lengths: usize,
    length: u64,
    encodings: usize,
    upgrade: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

impl HeadScan {
    /// Whether nothing of the head was seen.
    pub(super) const fn is_fresh(&self) -> bool {
        self.searched == 0
    }

    /// Goes on with `window`, which holds the head from its first byte as far as it has come. `None`: not complete yet.
    pub(super) fn advance(
        &mut self,
        window: &[u8],
        limits: &HeadLimits,
    ) -> Result<Option<CheckedHead>, Malformed> {
        // Not HTTP at all (a TLS hello, say): no need to wait for a line end that may never come.
        if window.first().is_some_and(|first| !is_token(*first)) {
            return Err(Malformed::Syntax);
        }
        loop {
            let unsearched = window.get(self.searched..).unwrap_or_default();
            let Some(at) = memchr2(b'\r', b'\n', unsearched) else {
                self.searched = window.len();
                return match window.len().checked_sub(1) {
                    Some(last) => self.within(last, limits).map(|()| None),
                    None => Ok(None),
                };
            };
            let end = self.searched + at;
            // Before the line end is judged: a head that comes in pieces is told so before its line ends at all.
            self.within(end, limits)?;
            match (window.get(end), window.get(end + 1)) {
                (Some(b'\r'), Some(b'\n')) => {}
                (Some(b'\r'), None) => {
                    self.searched = end;
                    return Ok(None);
                }
                // A bare CR or LF ends a line for some recipients and not for others (RFC 9112 section 2.2).
                _ => return Err(Malformed::Syntax),
            }
            let line = window.get(self.line..end).unwrap_or_default();
            self.line = end + 2;
            self.searched = self.line;
            if self.version.is_none() {
                self.version = Some(request_line(line, limits)?);
            } else if line.is_empty() {
                return self.finish(limits).map(Some);
            } else {
                self.field(line, limits)?;
            }
        }
    }

    /// Whether a head may have a byte at `at`, and more behind it.
    fn within(&self, at: usize, limits: &HeadLimits) -> Result<(), Malformed> {
        let line = limits.target_bytes.saturating_add(LINE_EXTRA);
        if self.version.is_none() && line <= limits.header_bytes && at >= line {
            return Err(Malformed::TargetTooLong);
        }
        if at >= limits.header_bytes {
            return Err(Malformed::HeadTooLarge);
        }
        Ok(())
    }

    fn field(&mut self, line: &[u8], limits: &HeadLimits) -> Result<(), Malformed> {
        self.fields += 1;
        if self.fields > limits.headers || self.line > limits.header_bytes {
            return Err(Malformed::HeadTooLarge);
        }
        // An obs-fold and a leading space fail here, for a space is no token; so does a space before the colon.
        let colon = line
            .iter()
            .position(|byte| !is_token(*byte))
            .filter(|at| *at > 0)
            .ok_or(Malformed::Syntax)?;
        let (name, value) = line.split_at_checked(colon).ok_or(Malformed::Syntax)?;
        let value = value.strip_prefix(b":").ok_or(Malformed::Syntax)?;
        if holds_control(value) {
            return Err(Malformed::Syntax);
        }
        match name.len() {
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                self.lengths += 1;
                self.length = framing::content_length(trim(value)).ok_or(Malformed::Framing)?;
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.encodings += 1;
                if !framing::is_chunked(trim(value)) {
                    return Err(Malformed::Framing);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&self, limits: &HeadLimits) -> Result<CheckedHead, Malformed> {
        if self.line > limits.header_bytes {
            return Err(Malformed::HeadTooLarge);
        }
        let http11 = self.version == Some(Version::Http11);
        let framing = match (self.encodings, self.lengths) {
            (0, 0 | 1) => Framing::Length(self.length),
            (1, 0) if http11 => Framing::Chunked,
            // Repeated, both at once, or Transfer-Encoding on HTTP/1.0: two recipients, two bodies.
            _ => return Err(Malformed::Framing),
        };
        Ok(CheckedHead {
            length: self.line,
            framing,
            upgrade: self.upgrade && http11,
        })
    }
}

/// Whether a GET for this target gets past its first line.
///
/// # Errors
/// What the line is refused for.
pub(crate) fn judge_target(target: &str, limits: &Limits) -> Result<(), Malformed> {
    let line = format!("GET {target} HTTP/1.1");
    request_line(line.as_bytes(), &HeadLimits::from(limits)).map(drop)
}

/// `method SP request-target SP HTTP-version`, single spaces, nothing else.
fn request_line(line: &[u8], limits: &HeadLimits) -> Result<Version, Malformed> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Malformed::Syntax);
    };
    let valid_method =
        !method.is_empty() && method.len() <= METHOD_BYTES && method.iter().copied().all(is_token);
    if !valid_method || target.is_empty() || method == REFUSED_METHOD.as_bytes() {
        return Err(Malformed::Syntax);
    }
    if target.len() > limits.target_bytes {
        return Err(Malformed::TargetTooLong);
    }
    let version = http_version(version)?;
    // hyper drops a fragment silently: policy and upstream could then see different targets.
    if target
        .iter()
        .any(|byte| !byte.is_ascii_graphic() || *byte == b'#')
    {
        return Err(Malformed::Target);
    }
    // What follows a CONNECT is not HTTP, whatever the answer (RFC 9110 section 9.3.6).
    if method == b"CONNECT" {
        return Err(Malformed::Upgrade);
    }
    // What hyper cannot read it refuses by itself, without a record: it must not get that far.
    if !is_plain(target) && (http::Uri::try_from(target).is_err() || lacks_path(target)) {
        return Err(Malformed::Target);
    }
    Ok(version)
}

/// Absolute-form without a path: hyper would mend it to `/`.
fn lacks_path(target: &[u8]) -> bool {
    memchr::memmem::find(target, b"://")
        .filter(|_| target.first() != Some(&b'/'))
        .and_then(|at| target.get(at.saturating_add(3)..))
        .is_some_and(|rest| rest.iter().find(|byte| matches!(byte, b'/' | b'?')) != Some(&b'/'))
}

/// Origin-form made of bytes that stand in no reader's way: nearly every target.
fn is_plain(target: &[u8]) -> bool {
    target.first() == Some(&b'/')
        && target.iter().all(|byte| {
            byte.is_ascii_alphanumeric()
                || matches!(
                    byte,
                    b'/' | b'-'
                        | b'.'
                        | b'_'
                        | b'~'
                        | b'%'
                        | b'?'
                        | b'='
                        | b'&'
                        | b'+'
                        | b':'
                        | b'@'
                        | b','
                )
        })
}

fn http_version(text: &[u8]) -> Result<Version, Malformed> {
    match text {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(Malformed::Version)
        }
        _ => Err(Malformed::Syntax),
    }
}

/// No early exit: the compiler makes vector instructions of this.
fn holds_control(value: &[u8]) -> bool {
    value.iter().fold(false, |found, byte| {
        found | ((*byte < 0x20) & (*byte != b'\t')) | (*byte == 0x7f)
    })
}

/// Without optional white space (RFC 9110 section 5.6.3).
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// `tchar` of RFC 9110 section 5.6.2.
pub(super) fn is_token(byte: u8) -> bool {
    TOKENS.get(usize::from(byte)).copied().unwrap_or(false)
}

static TOKENS: [bool; 256] = tokens();

#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "evaluated by the compiler; the index is a byte and the table has 256 places"
)]
const fn tokens() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0usize;
    while byte < 256 {
        table[byte] = matches!(
            byte as u8,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9'
                | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        );
        byte += 1;
    }
    table
}
