//! Spellings of a path that an upstream may take for it.

use std::fmt;

use super::quirks::{self, Quirk};
use super::reading;

/// Bytes of a name that is long and yet within the usual limits of targets.
const LONG: usize = 6000;

/// A path that an upstream serves, without any spelling of its own.
#[derive(Clone, Debug)]
pub(super) struct PlainPath {
    /// As written between the slashes.
    segments: Vec<String>,
    trailing_slash: bool,
}

impl PlainPath {
    /// Takes a path as a request has it.
    ///
    /// # Errors
    /// Says why it is none, or none that could be read in one way.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.contains('?') {
            return Err("a path without a query".to_owned());
        }
        reading::plain(text)?;
        let bare = text.trim_start_matches('/');
        let trailing_slash = bare.ends_with('/');
        let bare = bare.strip_suffix('/').unwrap_or(bare);
        Ok(Self {
            segments: bare
                .split('/')
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            trailing_slash,
        })
    }

    /// It ends in no name: `/` and `/docs/`.
    fn is_folder(&self) -> bool {
        self.trailing_slash || self.segments.is_empty()
    }

    /// A path beside this one that is not there, if `word` is none that was ever heard.
    pub(super) fn missing(&self, word: &str) -> String {
        let mut beside = self.clone();
        if !self.trailing_slash {
            beside.segments.pop();
        }
        beside.segments.push(word.to_owned());
        beside.trailing_slash = false;
        beside.to_string()
    }

    /// With other segments.
    fn with(&self, change: impl Fn(usize, &str) -> String) -> String {
        let mut changed = self.clone();
        for (at, segment) in changed.segments.iter_mut().enumerate() {
            *segment = change(at, segment);
        }
        changed.to_string()
    }
}

impl fmt::Display for PlainPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            write!(f, "/{segment}")?;
        }
        if self.is_folder() {
            write!(f, "/")
        } else {
            Ok(())
        }
    }
}

/// A spelling.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    /// What an upstream does that takes it for the plain path.
    pub(super) quirk: &'static Quirk,
    pub(super) target: String,
    /// The quirk that explains the same: where the upstream has it, this spelling tells nothing.
    pub(super) unless: Option<&'static Quirk>,
    /// Whether the quirk alone makes the upstream take it for the plain path: else its absence proves nothing.
    pub(super) alone: bool,
}

/// What upstreams do without looking closely. Asked first.
pub(super) fn controls(path: &PlainPath, word: &str) -> Vec<Variant> {
    let mut found = Found::new(path, word);
    if !path.is_folder() {
        found.add(&quirks::LONGER_NAME, format!("{path}{word}"), None);
        found.add(&quirks::DEEPER_PATH, format!("{path}/{word}"), None);
    }
    found.add(&quirks::LEADING_SEGMENTS, format!("/{word}{path}"), None);
    found.variants
}

/// All others; `word` is a name that no path has.
pub(super) fn spellings(path: &PlainPath, word: &str) -> Vec<Variant> {
    let mut found = Found::new(path, word);
    found.dots();
    found.separators();
    found.parameters();
    found.letters();
    found.encodings();
    found.endings();
    found.variants
}

struct Found<'a> {
    path: &'a PlainPath,
    word: &'a str,
    variants: Vec<Variant>,
}

impl<'a> Found<'a> {
    const fn new(path: &'a PlainPath, word: &'a str) -> Self {
        let variants = Vec::new();
        Self {
            path,
            word,
            variants,
        }
    }

    /// Each spelling once: some letters look the same however they are encoded.
    fn add(&mut self, quirk: &'static Quirk, target: String, unless: Option<&'static Quirk>) {
        if self.variants.iter().all(|known| known.target != target) {
            self.variants.push(Variant {
                quirk,
                target,
                unless,
                alone: true,
            });
        }
    }

    /// The path with something before it.
    fn before(&mut self, quirk: &'static Quirk, start: &str) {
        let target = format!("{start}{}", self.path);
        self.add(quirk, target, Some(&quirks::LEADING_SEGMENTS));
    }

    /// The path with something behind it.
    fn behind(&mut self, quirk: &'static Quirk, end: &str) {
        let target = format!("{}{end}", self.path);
        let unless = (!self.path.is_folder()).then_some(&quirks::LONGER_NAME);
        self.add(quirk, target, unless);
    }

    /// The same, where the path ends in a name.
    fn behind_name(&mut self, quirk: &'static Quirk, end: &str) {
        if !self.path.is_folder() {
            self.behind(quirk, end);
        }
    }

    /// Something else than the last slash between two names. Of a path with one name, only an upstream that also resolves
    /// dot segments shows how it reads that.
    fn between(&mut self, quirk: &'static Quirk, separator: &str) {
        let mut shorter = self.path.clone();
        let Some(last) = shorter.segments.pop() else {
            return;
        };
        if let Some(before) = shorter.segments.last_mut() {
            *before = format!("{before}{separator}{last}");
            self.add(quirk, shorter.to_string(), None);
            return;
        }
        let name = format!("{}{separator}..{separator}{last}", self.word);
        shorter.segments.push(name);
        self.add(quirk, shorter.to_string(), Some(&quirks::LEADING_SEGMENTS));
        if let Some(variant) = self.variants.last_mut() {
            variant.alone = false;
        }
    }

    /// Another spelling of a letter of the last name.
    fn letter(&mut self, quirk: &'static Quirk, spell: impl Fn(u8) -> String) {
        let last = self.path.segments.len().saturating_sub(1);
        let target =
            self.path.with(
                |at, segment| match letter_of(segment).filter(|_| at == last) {
                    Some((before, letter, after)) => format!("{before}{}{after}", spell(letter)),
                    None => segment.to_owned(),
                },
            );
        if target != self.path.to_string() {
            self.add(quirk, target, None);
        }
    }

    fn dots(&mut self) {
        let word = self.word;
        self.before(&quirks::DOT_SEGMENTS, "/.");
        self.before(&quirks::DOT_SEGMENTS, &format!("/{word}/.."));
        self.before(&quirks::ENCODED_DOT_SEGMENTS, "/%2e");
        self.before(&quirks::ENCODED_DOT_SEGMENTS, &format!("/{word}/%2e%2E"));
        self.before(&quirks::ENCODED_DOT_SEGMENTS, &format!("/{word}/.%2e"));
        self.before(&quirks::PARAMETER_DOT_SEGMENTS, &format!("/{word}/..;x=1"));
        if self.path.segments.len() > 1 {
            self.between(&quirks::DOT_SEGMENTS, "/./");
            self.between(&quirks::DOT_SEGMENTS, &format!("/{word}/../"));
        }
    }

    fn separators(&mut self) {
        // Behind `/`, one more slash could be a trailing one.
        let more = if self.path.segments.is_empty() {
            "//"
        } else {
            "/"
        };
        self.before(&quirks::EMPTY_SEGMENT, more);
        if self.path.segments.len() > 1 {
            self.between(&quirks::EMPTY_SEGMENT, "//");
        }
        self.between(&quirks::ENCODED_SLASH, "%2f");
        self.between(&quirks::ENCODED_SLASH, "%2F");
        self.between(&quirks::BACKSLASH, "\\");
        self.between(&quirks::ENCODED_BACKSLASH, "%5c");
        self.between(&quirks::OVERLONG_UTF8, "%c0%af");
        self.between(&quirks::UNICODE_COMPATIBILITY, "%ef%bc%8f");
    }

    fn parameters(&mut self) {
        self.behind(&quirks::SEMICOLON, ";x=1");
        self.behind(&quirks::SEMICOLON, ";");
        self.behind(&quirks::ENCODED_SEMICOLON, "%3bx=1");
        if self.path.segments.len() > 1 {
            self.between(&quirks::SEMICOLON, ";x=1/");
            self.between(&quirks::ENCODED_SEMICOLON, "%3bx=1/");
        }
    }

    fn letters(&mut self) {
        let upper = self
            .path
            .with(|_, name| outside_escapes(name, u8::to_ascii_uppercase));
        let lower = self
            .path
            .with(|_, name| outside_escapes(name, u8::to_ascii_lowercase));
        for other in [upper, lower] {
            if other != self.path.to_string() {
                self.add(&quirks::LETTER_CASE, other, None);
            }
        }
    }

    fn encodings(&mut self) {
        self.letter(&quirks::ENCODED_LETTERS, |letter| format!("%{letter:02x}"));
        self.letter(&quirks::ENCODED_LETTERS, |letter| format!("%{letter:02X}"));
        self.letter(&quirks::ENCODED_TWICE, |letter| format!("%25{letter:02x}"));
        self.letter(&quirks::PERCENT_U, |letter| format!("%u{letter:04x}"));
        // Two bytes where one is enough (RFC 3629 section 3).
        self.letter(&quirks::OVERLONG_UTF8, |letter| {
            format!("%{:02x}%{:02x}", 0xc0 | letter >> 6, 0x80 | letter & 0x3f)
        });
        self.letter(&quirks::UNICODE_COMPATIBILITY, |letter| {
            let wide = char::from_u32(0xfee0 + u32::from(letter)).unwrap_or_default();
            encoded(&wide.to_string())
        });
        let word = self.word;
        self.before(&quirks::OVERLONG_UTF8, &format!("/{word}/%c0%ae%c0%ae"));
        if let Some(variant) = self.variants.last_mut() {
            variant.alone = false;
        }
    }

    fn endings(&mut self) {
        let with_slash = if self.path.trailing_slash {
            Some(self.path.to_string().trim_end_matches('/').to_owned())
        } else {
            (!self.path.is_folder()).then(|| format!("{}/", self.path))
        };
        if let Some(target) = with_slash {
            self.add(&quirks::TRAILING_SLASH, target, Some(&quirks::DEEPER_PATH));
        }
        self.behind_name(&quirks::TRAILING_DOT, ".");
        self.behind_name(&quirks::TRAILING_SPACE, "%20");
        self.plus();
        self.behind_name(&quirks::EXTENSION, ".json");
        self.behind_name(&quirks::EXTENSION, ".html");
        self.behind(&quirks::NUL, "%00");
        self.behind_name(&quirks::NUL, "%00.txt");
        self.behind(&quirks::CONTROL_CHARACTER, "%0a");
        self.behind(&quirks::CONTROL_CHARACTER, "%09");
        self.behind(&quirks::ENCODED_QUESTION_MARK, "%3fx=1");
        self.behind(&quirks::AMPERSAND, "&x=1");
        self.behind(&quirks::FRAGMENT, "#x");
        self.behind(&quirks::ENCODED_FRAGMENT, "%23x");
        self.behind_name(&quirks::LONG, &"x".repeat(LONG));
    }

    /// As a space of the path, or as one at its end that is dropped.
    fn plus(&mut self) {
        let spaced = self.path.with(|_, name| name.replace("%20", "+"));
        if spaced == self.path.to_string() {
            self.behind_name(&quirks::PLUS, "+");
        } else {
            self.add(&quirks::PLUS, spaced, None);
        }
    }
}

/// The first letter that is no part of an escape, and what stands around it.
fn letter_of(segment: &str) -> Option<(&str, u8, &str)> {
    let mut at = 0;
    loop {
        let byte = *segment.as_bytes().get(at)?;
        if byte.is_ascii_alphabetic() {
            return Some((segment.get(..at)?, byte, segment.get(at + 1..)?));
        }
        at += if byte == b'%' { 3 } else { 1 };
    }
}

/// Letters changed, but for those of escapes.
fn outside_escapes(segment: &str, change: fn(&u8) -> u8) -> String {
    let mut left = 0_u8;
    let bytes = segment.bytes().map(|byte| {
        if byte == b'%' {
            left = 3;
        }
        let inside = left > 0;
        left = left.saturating_sub(1);
        if inside { byte } else { change(&byte) }
    });
    // ASCII letters were changed and nothing else.
    String::from_utf8(bytes.collect()).unwrap_or_default()
}

/// Percent-encoded where a path could not hold it as it is (RFC 3986 section 3.3).
pub(super) fn encoded(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte);
        if plain {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn all(path: &str) -> Vec<Variant> {
        let path = PlainPath::parse(path).unwrap();
        [controls(&path, "qword"), spellings(&path, "qword")].concat()
    }

    #[test]
    fn every_quirk_has_its_spelling_and_no_spelling_is_the_plain_path_or_stands_twice() {
        let names: BTreeSet<_> = quirks::ALL.iter().map(|quirk| quirk.name).collect();
        assert_eq!(names.len(), quirks::ALL.len());
        let shown: BTreeSet<_> = all("/docs/intro").iter().map(|it| it.quirk.name).collect();
        assert_eq!(shown, names);
        for path in [
            "/docs/intro",
            "/docs",
            "/docs/",
            "/a/b/",
            "/",
            "/%C3%A9t%C3%A9/1",
            "/1",
        ] {
            let mut seen = BTreeSet::from([path.to_owned()]);
            for variant in all(path) {
                assert!(
                    seen.insert(variant.target.clone()),
                    "{path}: {}",
                    variant.target
                );
            }
        }
    }

    #[test]
    fn escapes_of_a_path_stay_whole() {
        let targets: Vec<_> = all("/%C3%A9t%C3%A9/1%20x")
            .into_iter()
            .map(|it| it.target)
            .collect();
        for target in [
            "/%C3%A9T%C3%A9/1%20X",
            "/%C3%A9t%C3%A9/1%20%78",
            "/%C3%A9t%C3%A9/1+x",
        ] {
            assert!(
                targets.iter().any(|it| it == target),
                "{target}: {targets:?}"
            );
        }
        assert_eq!(encoded("a b/\u{e9}%"), "a%20b%2F%C3%A9%25");
    }
}
