//! The path: decoded exactly once, segment by segment; refused where two parsers could read two paths.

use std::borrow::Cow;

use http::uri::PathAndQuery;

use crate::rejection::{Malformed, PathFault, Rejection};

mod readings;
#[cfg(test)]
mod tests;

/// Separates decoded segments in one string. A NUL never survives decoding, a `/` may (`encoded_slash`).
const SEPARATOR: char = '\0';

/// The path, decoded exactly once, and the target's bytes as they came.
#[derive(Clone, Debug)]
pub struct CanonicalPath {
    /// The original origin-form target (path and query); what is forwarded, byte for byte.
    pub(crate) target: PathAndQuery,
    /// The decoded segments joined by [`SEPARATOR`]; `None` when the path has no escape and reads as it stands.
    decoded: Option<Box<str>>,
    needed: PathAllowances,
}

/// What a route accepts in paths although two parsers could read it differently (`paths:`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a set of independent switches, each with its own name in the configuration"
)]
pub struct PathAllowances {
    /// `encoded_slash`.
    pub encoded_slash: bool,
    /// `empty_segment`.
    pub empty_segment: bool,
    /// `semicolon`.
    pub semicolon: bool,
    /// `encoded_percent`.
    pub encoded_percent: bool,
}

impl PathAllowances {
    /// The first fault among `self` (what a path needs) that `granted` (what its route accepts) does not cover.
    #[must_use]
    pub const fn missing_from(self, granted: Self) -> Option<PathFault> {
        if self.encoded_slash && !granted.encoded_slash {
            Some(PathFault::EncodedSlash)
        } else if self.empty_segment && !granted.empty_segment {
            Some(PathFault::EmptySegment)
        } else if self.semicolon && !granted.semicolon {
            Some(PathFault::Semicolon)
        } else if self.encoded_percent && !granted.encoded_percent {
            Some(PathFault::EncodedPercent)
        } else {
            None
        }
    }
}

/// Classes of raw target bytes.
mod class {
    pub(super) const SLASH: u8 = 1;
    pub(super) const DOT: u8 = 2;
    pub(super) const PERCENT: u8 = 4;
    pub(super) const SEMICOLON: u8 = 8;
    /// Needs a closer look, and is then refused: backslash, control, space, DEL, `#`, above 0x7F.
    pub(super) const BAD: u8 = 16;
    /// What only the query may not hold.
    pub(super) const NOT_VISIBLE: u8 = 32;
}

static CLASSES: [u8; 256] = classes();

#[expect(
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "evaluated by the compiler; the index is a byte and the table has 256 places"
)]
const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0usize;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'/' => class::SLASH,
            b'.' => class::DOT,
            b'%' => class::PERCENT,
            b';' => class::SEMICOLON,
            b'\\' => class::BAD,
            0..=0x20 | b'#' | 0x7f..=0xff => class::BAD | class::NOT_VISIBLE,
            _ => 0,
        };
        byte += 1;
    }
    table
}

fn class_of(byte: u8) -> u8 {
    CLASSES
        .get(usize::from(byte))
        .copied()
        .unwrap_or(class::BAD)
}

impl CanonicalPath {
    /// Reads an origin-form target.
    ///
    /// # Errors
    /// [`Malformed::Target`] when it is not origin-form or its query holds what no target may; [`PathFault`]s that no
    /// route can accept. Those that a route may accept are only recorded: [`Self::allowance_needed`].
    pub fn parse(target: PathAndQuery) -> Result<Self, Rejection> {
        is_origin_form(&target)?;
        let (decoded, needed) = read(target.path()).map_err(Rejection::AmbiguousPath)?;
        Ok(Self {
            target,
            decoded,
            needed,
        })
    }

    /// Takes an origin-form target as it came, where no decision depends on the path: nothing is decoded, and dot segments
    /// are the upstream's affair. Its segments are what stands between the slashes.
    ///
    /// # Errors
    /// [`Malformed::Target`] as above, and raw bytes that no path holds (RFC 3986 section 3.3).
    pub fn as_written(target: PathAndQuery) -> Result<Self, Rejection> {
        is_origin_form(&target)?;
        let path = target.path();
        if path.bytes().any(|byte| class_of(byte) & class::BAD != 0) {
            return Err(Rejection::AmbiguousPath(raw_fault(path)));
        }
        Ok(Self {
            target,
            decoded: None,
            needed: PathAllowances::default(),
        })
    }

    /// The decoded segments, without the empty piece before the first slash and behind a trailing one: `/` has none,
    /// `/a` and `/a/` have one. A segment may hold `/` where the client wrote `%2f` ([`PathAllowances::encoded_slash`]).
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        let (text, separator) = match &self.decoded {
            Some(decoded) => (&**decoded, SEPARATOR),
            None => (bare(self.target.path()), '/'),
        };
        let root = self.target.path().len() <= 1;
        text.split(separator).skip(usize::from(root))
    }

    /// Whether the path ends in a slash; `/` alone does not count, it has no other spelling.
    #[must_use]
    pub fn trailing_slash(&self) -> bool {
        let path = self.target.path();
        path.len() > 1 && path.ends_with('/')
    }

    /// The original bytes of path and query; what is forwarded and what a bound assertion covers.
    #[must_use]
    pub fn target(&self) -> &str {
        self.target.as_str()
    }

    /// The original bytes of the path.
    #[must_use]
    pub fn path_str(&self) -> &str {
        self.target.path()
    }

    /// The original bytes of the query, without `?`. Takes no part in any decision.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.target.query()
    }

    /// What the path's route must accept by name for this path to pass.
    #[must_use]
    pub const fn allowance_needed(&self) -> PathAllowances {
        self.needed
    }
}

/// It begins with a slash, and its query holds what a query may.
fn is_origin_form(target: &PathAndQuery) -> Result<(), Rejection> {
    // `as_str`, not `path()`: the latter shows "/" where the client wrote nothing.
    let query = target.query().unwrap_or_default();
    let visible = |byte| class_of(byte) & class::NOT_VISIBLE == 0;
    if target.as_str().starts_with('/') && query.bytes().all(visible) {
        Ok(())
    } else {
        Err(Rejection::Malformed(Malformed::Target))
    }
}

/// The path without its first slash and without one trailing slash.
fn bare(path: &str) -> &str {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.strip_suffix('/').unwrap_or(path)
}

/// One pass decides whether the path reads as it stands (nearly always), needs a look at its dots, or decoding.
fn read(path: &str) -> Result<(Option<Box<str>>, PathAllowances), PathFault> {
    let mut seen = 0;
    let mut before = 0;
    let mut needed = PathAllowances::default();
    for byte in path.bytes() {
        let class = class_of(byte);
        seen |= class;
        needed.empty_segment |= before & class & class::SLASH != 0;
        before = class;
    }
    if seen & class::BAD != 0 {
        return Err(raw_fault(path));
    }
    if seen & (class::PERCENT | class::SEMICOLON) == 0 {
        if seen & class::DOT != 0 && path.split('/').any(is_dots) {
            return Err(PathFault::DotSegment);
        }
        return Ok((None, needed));
    }
    let mut joined = String::with_capacity(path.len());
    for (index, segment) in bare(path).split('/').enumerate() {
        if index > 0 {
            joined.push(SEPARATOR);
        }
        let decoded = decode_strict(segment)?;
        judge_segment(&decoded, &mut needed)?;
        joined.push_str(&decoded);
    }
    Ok((Some(joined.into_boxed_str()), needed))
}

fn raw_fault(path: &str) -> PathFault {
    let first = path.bytes().find(|byte| class_of(*byte) & class::BAD != 0);
    match first {
        Some(b'\\') => PathFault::Backslash,
        Some(b'#') => PathFault::EncodedDelimiter,
        Some(0x80..) => PathFault::RawByte,
        _ => PathFault::ControlCharacter,
    }
}

fn is_dots(piece: &str) -> bool {
    matches!(piece, "." | "..")
}

/// Decodes one segment once; every `%` must begin an escape, and the result must be UTF-8.
fn decode_strict(segment: &str) -> Result<Cow<'_, str>, PathFault> {
    if !segment.contains('%') {
        return Ok(Cow::Borrowed(segment));
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let (byte, after) = escape(after).ok_or(PathFault::InvalidEncoding)?;
            bytes.push(byte);
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes)
        .map(Cow::Owned)
        .map_err(|_| PathFault::InvalidUtf8)
}

/// The byte that two hexadecimal digits at the start of `digits` spell, and what follows them.
fn escape(digits: &[u8]) -> Option<(u8, &[u8])> {
    let (high, after) = digits.split_first()?;
    let (low, after) = after.split_first()?;
    let byte = (hex(*high)? << 4) | hex(*low)?;
    Some((byte, after))
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Judges a once-decoded segment, and whatever it turns into for an upstream that decodes once more (and again).
///
/// Readings that are considered: an upstream that splits at a decoded `/` (`a%2f..%2fb`), one that cuts path parameters
/// off at `;` (`..;x` is `..` to Tomcat), one that decodes twice (`%252e`), and any mix of them.
fn judge_segment(decoded: &str, needed: &mut PathAllowances) -> Result<(), PathFault> {
    let mut text = Cow::Borrowed(decoded);
    loop {
        judge_reading(&text, needed)?;
        // Every round is shorter than the one before, so this ends; the target's limit bounds it.
        match decode_again(&text)? {
            None => return Ok(()),
            Some(again) => {
                needed.encoded_percent = true;
                text = Cow::Owned(again);
            }
        }
    }
}

fn judge_reading(text: &str, needed: &mut PathAllowances) -> Result<(), PathFault> {
    for character in text.chars() {
        match character {
            '/' => needed.encoded_slash = true,
            ';' => needed.semicolon = true,
            '\\' => return Err(PathFault::Backslash),
            '?' | '#' => return Err(PathFault::EncodedDelimiter),
            control if control.is_control() => return Err(PathFault::ControlCharacter),
            _ => {}
        }
    }
    let whole_is_empty = text.is_empty();
    for piece in text.split('/') {
        let name = piece.split(';').next().unwrap_or_default();
        if is_dots(name) {
            return Err(PathFault::DotSegment);
        }
        // An empty raw segment was recorded when the slashes were read; this one is empty to others only.
        needed.empty_segment |= name.is_empty() && !whole_is_empty;
    }
    Ok(())
}

/// What a second decoding makes of `text`; `None` when it makes nothing else of it.
fn decode_again(text: &str) -> Result<Option<String>, PathFault> {
    let mut bytes = Vec::new();
    let mut changed = false;
    let mut rest = text.as_bytes();
    if !rest.contains(&b'%') {
        return Ok(None);
    }
    while let Some((first, after)) = rest.split_first() {
        match escape(after) {
            Some((byte, after)) if *first == b'%' => {
                bytes.push(byte);
                changed = true;
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    if !changed {
        return Ok(None);
    }
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| PathFault::InvalidUtf8)
}
