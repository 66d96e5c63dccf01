//! Substituted texts (`${NAME}`, `${file:…}`) are secrets more often than not: no message of a problem shows one. A secret
//! that stands in the document itself is an error, and is not shown either.

use std::collections::{BTreeSet, HashMap};

use zeroize::Zeroizing;

use super::suggest;

/// Shorter texts cannot be told from what messages say anyway.
const LEAST: usize = 4;

/// What stands for a text that is not shown.
const BLANK: &str = "…";

/// Whether a value of this key is a secret: `key` and `secret`, also when misspelt.
pub(super) fn is_secret_key(key: &str) -> bool {
    const NAMES: [&str; 7] = [
        "secret",
        "password",
        "private_key",
        "client_secret",
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
    ];
    key == "key" || suggest::nearest(key, NAMES).is_some()
}

/// The lines of a document that hold a secret as far as that can be told without reading it as YAML, which it need not
/// be: a value of such a key, with the lines below it that are indented further, and private keys.
pub(super) fn lines_with_secrets(text: &str) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    // A document says the same few keys over and over.
    let mut known = HashMap::new();
    let mut is_secret = |key| *known.entry(key).or_insert_with(|| is_secret_key(key));
    let mut below = None;
    for (number, line) in (1..).zip(text.lines()) {
        let indent = line.len() - line.trim_start().len();
        let continues = below.is_some_and(|above| indent > above || line.trim().is_empty());
        if !continues {
            below = None;
        }
        if has_secret_key(line, &mut is_secret) {
            below = below.or(Some(indent));
            found.insert(number);
        }
        if continues || line.contains("PRIVATE KEY") {
            found.insert(number);
        }
    }
    found
}

/// `key: {file: …}` is none: the name of a file may be shown.
fn has_secret_key<'t>(line: &'t str, is_secret: &mut impl FnMut(&'t str) -> bool) -> bool {
    let pieces: Vec<&str> = line.split(':').collect();
    pieces.windows(2).any(|pair| {
        let [before, after] = pair else { return false };
        let key = before
            .trim_end_matches(['"', '\'', ' '])
            .rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')
            .next()
            .unwrap_or_default();
        is_secret(key)
            && !after.trim_start().starts_with('{')
            && !(key == "key" && after.trim().is_empty())
    })
}

/// Texts that came from elsewhere than the document.
#[derive(Default)]
pub(super) struct Substituted(Vec<Zeroizing<String>>);

impl Substituted {
    pub(super) fn add(&mut self, text: &str) {
        if text.len() >= LEAST {
            self.0.push(Zeroizing::new(text.to_owned()));
        }
    }

    pub(super) fn absorb(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// `message` without these texts, and without quotations (in backticks) that are a part of one. What
    /// `is_written` in the document is no secret.
    pub(super) fn blank(&self, message: &str, is_written: impl Fn(&str) -> bool) -> String {
        let mut out = message.to_owned();
        for text in self.0.iter().filter(|text| !is_written(text)) {
            out = out.replace(text.as_str(), BLANK);
        }
        let is_part = |quoted: &str| {
            quoted.len() >= LEAST
                && !is_written(quoted)
                && self.0.iter().any(|text| text.contains(quoted))
        };
        if !out.split('`').skip(1).step_by(2).any(is_part) {
            return out;
        }
        let pieces = out.split('`').enumerate().map(|(at, piece)| {
            let quoted = at % 2 == 1;
            if quoted && is_part(piece) {
                BLANK
            } else {
                piece
            }
        });
        pieces.collect::<Vec<_>>().join("`")
    }
}

impl std::fmt::Debug for Substituted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Substituted").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invariant_46_lines_that_hold_a_secret_are_known_before_they_are_yaml() {
        for (text, hidden) in [
            ("a: 1\nb: 2", vec![]),
            ("secret: x\na: 1", vec![1]),
            ("a: {key: {secret: x}}", vec![1]),
            ("\"secrte\" : x", vec![1]),
            ("a:\n  secret: |\n    x\n\n    y\n  b: 1", vec![2, 3, 4, 5]),
            ("  - key: x\n  - a: 1", vec![1]),
            ("x: -----BEGIN PRIVATE KEY-----", vec![1]),
            // Names of files, paths and comments are none.
            ("key: {file: a.pem}", vec![]),
            ("key:\n  file: a.pem", vec![]),
            ("path: /secrets/**", vec![]),
            ("{path: /secret, allow: x}", vec![]),
        ] {
            let found: Vec<usize> = lines_with_secrets(text).into_iter().collect();
            assert_eq!(found, hidden, "{text}");
        }
    }
}
