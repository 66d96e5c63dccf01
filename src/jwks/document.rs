//! A fetched JWKS document, read into a key set.

use super::{DOCUMENT_BYTES, FetchError, KeyError};
use crate::authn::{KeySet, SkippedKey};

/// SHA-256 of a document.
pub(super) type Digest = [u8; 32];

/// A document that holds at least one usable key.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) keys: KeySet,
    /// Ids of the usable keys.
    pub(super) kids: Vec<Box<str>>,
    pub(super) skipped: Vec<SkippedKey>,
    pub(super) digest: Digest,
    /// As it came, for the copy on disk.
    pub(super) bytes: Vec<u8>,
}

impl Document {
    pub(super) fn parse(bytes: Vec<u8>) -> Result<Self, KeyError> {
        if bytes.len() > DOCUMENT_BYTES {
            return Err(FetchError::TooLarge.into());
        }
        let (keys, skipped) = KeySet::parse(&bytes).map_err(KeyError::KeySet)?;
        Ok(Self {
            kids: keys.kids().map(Box::from).collect(),
            digest: digest(&bytes),
            keys,
            skipped,
            bytes,
        })
    }
}

pub(super) fn digest(bytes: &[u8]) -> Digest {
    let mut digest = Digest::default();
    let sum = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest
        .iter_mut()
        .zip(sum.as_ref())
        .for_each(|(to, from)| *to = *from);
    digest
}
