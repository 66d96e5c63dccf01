//! Decision receipts: log lines in a chain of hashes, sealed by signatures, so that an auditor can tell that none was removed
//! or altered. The format is in docs/decision-record.md.
//!
//! [`Chain`] makes them, on the one thread that writes the log; [`Verifier`] reads them back. A line's link is the SHA-256 of
//! the link before it and of the line's own bytes. A seal is a line that carries a signature over itself, its link included,
//! and so over everything before it.

mod chain;
mod receipt;
#[cfg(test)]
mod tests;
mod verify;

use std::time::Duration;

use aws_lc_rs::digest;

pub(crate) use chain::{Chain, Moment};
pub use verify::{Fault, Place, Standing, Unended, Verdict, Verifier};

use crate::identity::SigningKeys;

/// `typ` of seals: nothing else that is signed with the same key can be taken for one, nor one for a token (RFC 8725 section
/// 3.11).
pub const RECEIPT_TYPE: &str = "countersign-receipt+jws";

/// What every seal's line begins with.
const SEAL_START: &[u8] = br#"{"v":1,"type":"receipt","#;

/// Receipts as configured.
#[derive(Clone, Debug)]
pub struct ReceiptSettings {
    /// What signs: a key pair, never a shared secret.
    pub keys: SigningKeys,
    /// Most lines between two seals.
    pub lines: u64,
    /// Most time from a line to the seal after it.
    pub every: Duration,
}

impl PartialEq for ReceiptSettings {
    /// Keys are told apart by their ids.
    fn eq(&self, other: &Self) -> bool {
        (self.keys.current().id(), self.lines, self.every)
            == (other.keys.current().id(), other.lines, other.every)
    }
}

impl Eq for ReceiptSettings {}

/// The value that ties a line to all before it.
type Link = [u8; 32];

/// The link of a line with these bytes (all before `,"chain":`), after `previous`.
fn link(previous: &Link, body: &[u8]) -> Link {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(previous);
    hash.update(body);
    let mut link = Link::default();
    let made = hash.finish();
    link.iter_mut()
        .zip(made.as_ref())
        .for_each(|(to, from)| *to = *from);
    link
}

/// What a seal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SealKind {
    /// The first line of a log.
    Begin,
    /// One in the middle.
    Checkpoint,
    /// The last line.
    End,
}

impl SealKind {
    const fn word(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Checkpoint => "checkpoint",
            Self::End => "end",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Begin, Self::Checkpoint, Self::End]
            .into_iter()
            .find(|kind| kind.word() == word)
    }
}
