//! Substituted texts (`${NAME}`, `${file:…}`) are secrets more often than not: no message of a problem shows one.

use zeroize::Zeroizing;

/// Shorter texts cannot be told from what messages say anyway.
const LEAST: usize = 4;

/// What stands for a text that is not shown.
const BLANK: &str = "…";

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
