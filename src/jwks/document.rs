//! A fetched JWKS document, read into a key set.

use serde::Deserialize;

use super::FetchError;
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
    pub(super) fn parse(bytes: Vec<u8>) -> Result<Self, FetchError> {
        if bytes.len() > super::DOCUMENT_BYTES {
            return Err(FetchError::TooLarge);
        }
        let (keys, skipped) = KeySet::parse(&bytes).map_err(FetchError::KeySet)?;
        Ok(Self {
            kids: key_ids(&bytes, &skipped),
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

/// The ids that the document publishes and that were not skipped.
fn key_ids(document: &[u8], skipped: &[SkippedKey]) -> Vec<Box<str>> {
    #[derive(Deserialize)]
    struct Published {
        keys: Vec<serde_json::Value>,
    }
    let Ok(published) = serde_json::from_slice::<Published>(document) else {
        return Vec::new();
    };
    published
        .keys
        .iter()
        .filter_map(|key| key.get("kid")?.as_str())
        .filter(|kid| !skipped.iter().any(|key| key.kid.as_deref() == Some(*kid)))
        .map(Box::from)
        .collect()
}
