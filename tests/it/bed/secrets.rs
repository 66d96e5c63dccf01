//! Secrets that the bed knows, and the search for them in whatever leaves a proxy (invariant 46).
//!
//! Every token that the bed signs, every private key it uses and every credential it sends is learnt here, for the whole
//! process. Every proxy of the bed runs at TRACE and has all of its output searched when it is dropped, so that the whole
//! suite is one search for leaks.

mod forms;

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

/// Secrets are cut into pieces of so many bytes; one piece in an output is a leak. So a leak of a part is found as well,
/// when it is at least twice as long.
pub const PIECE: usize = 16;

/// Fewer different bytes than this make no secret: `aaaaaaaaaaaaaaaa` is in many a path.
const DIFFERENT_BYTES: usize = 6;

/// What must not be found, in every form in which it could be written.
#[derive(Default)]
pub struct Secrets {
    pieces: HashMap<[u8; PIECE], (usize, &'static str)>,
    /// Which two bytes pieces begin with: most places of an output are passed over by this alone.
    begins: Vec<bool>,
    names: Vec<String>,
}

impl Secrets {
    /// Learns a secret in all its forms.
    pub fn learn(&mut self, name: &str, secret: &[u8]) {
        let name = self.name(name);
        for (form, text) in forms::all(secret) {
            self.add(name, form, &text);
        }
    }

    /// Learns a compact token: all of it as it is, save its header, and its signature in all forms.
    pub fn learn_token(&mut self, token: &str) {
        let id = self.name("a token");
        self.add(id, "raw", without_header(token.as_bytes()));
        if let Some((_, signature)) = token.rsplit_once('.') {
            let most = signature.len().min(64);
            for (form, text) in forms::all(&signature.as_bytes()[..most]) {
                self.add(id, form, &text);
            }
        }
    }

    fn name(&mut self, name: &str) -> usize {
        if self.names.last().is_none_or(|last| last != name) {
            self.names.push(name.to_owned());
        }
        self.names.len() - 1
    }

    fn add(&mut self, name: usize, form: &'static str, text: &[u8]) {
        self.begins.resize(1 << 16, false);
        for piece in text.chunks_exact(PIECE) {
            let piece: [u8; PIECE] = piece.try_into().expect("a piece");
            if different(&piece) >= DIFFERENT_BYTES {
                self.begins[begin(&piece)] = true;
                self.pieces.entry(piece).or_insert((name, form));
            }
        }
    }

    /// The first secret in `output`: which, in what form, and what stands around it.
    pub fn find(&self, output: &[u8]) -> Option<String> {
        if self.pieces.is_empty() {
            return None;
        }
        output
            .windows(PIECE)
            .enumerate()
            .filter(|(_, window)| self.begins[begin(window)])
            .find_map(|(at, window)| {
                let (name, form) = self.pieces.get(window)?;
                let around = &output[at.saturating_sub(200)..output.len().min(at + 200)];
                let name = &self.names[*name];
                Some(format!("{name} ({form}) in: {}", super::show(around)))
            })
    }
}

/// A JWS header is no secret, and begins as those of other tokens and of the seals of receipts do.
fn without_header(token: &[u8]) -> &[u8] {
    match token.iter().position(|byte| *byte == b'.') {
        Some(at) if token.starts_with(b"eyJ") => &token[at..],
        _ => token,
    }
}

fn begin(piece: &[u8]) -> usize {
    usize::from(piece[0]) << 8 | usize::from(piece[1])
}

fn different(piece: &[u8]) -> usize {
    let mut seen = [false; 256];
    for byte in piece {
        seen[usize::from(*byte)] = true;
    }
    seen.iter().filter(|seen| **seen).count()
}

static KNOWN: RwLock<Option<Secrets>> = RwLock::new(None);

fn teach(lesson: impl FnOnce(&mut Secrets)) {
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    lesson(known.get_or_insert_default());
}

/// Learns a secret for all proxies of this process.
pub fn learn(name: &str, secret: impl AsRef<[u8]>) {
    teach(|known| known.learn(name, secret.as_ref()));
}

/// Learns a token for all proxies of this process.
pub fn learn_token(token: &str) {
    teach(|known| known.learn_token(token));
}

/// Learns the private part of a key. The public part may be published, and stands in the same PEM.
pub fn learn_key(name: &str, pem: &str) {
    let der = super::keys::der(pem);
    let parts = forms::private_parts(&der);
    assert!(!parts.is_empty(), "{name}: no private part found");
    for part in parts {
        learn(name, part);
    }
}

/// What a header field of a request gives away, by its name.
pub fn learn_field(name: &str, value: &str) {
    const FIELDS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "dpop"];
    if FIELDS.iter().any(|field| name.eq_ignore_ascii_case(field)) {
        // The scheme is no secret.
        let secret = value.split_once(' ').map_or(value, |(_, rest)| rest);
        teach(|known| {
            let name = known.name("a credential of a request");
            known.add(name, "raw", without_header(secret.as_bytes()));
        });
    }
}

/// The first known secret in `output`.
pub fn find(output: &[u8]) -> Option<String> {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    known.as_ref().and_then(|known| known.find(output))
}

/// Fails when a known secret is in `output`.
#[track_caller]
pub fn assert_none(what: &str, output: &[u8]) {
    if let Some(found) = find(output) {
        panic!("{what} holds {found}");
    }
}

#[cfg(test)]
mod tests;
