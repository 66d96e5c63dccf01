use std::sync::Arc;

use arc_swap::ArcSwap;

/// A signature algorithm that tokens may use (RFC 7518, RFC 8037, RFC 9864). There is no HMAC and no `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519 under its old name `EdDSA`.
    EdDsa,
    /// Ed25519 under the name of RFC 9864.
    Ed25519,
}

/// RFC 7638 thumbprint (SHA-256) of a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Thumbprint(pub [u8; 32]);

/// Usable keys of one issuer.
#[derive(Debug, Default)]
pub struct KeySet {}

impl KeySet {
    /// Reads a JWKS (RFC 7517 section 5). Keys that are not usable for verifying are skipped and reported.
    ///
    /// # Errors
    /// The document is no JWKS, has duplicate `kid`s, more than 64 keys, or no usable key.
    pub fn parse(_document: &[u8]) -> Result<(Self, Vec<SkippedKey>), KeySetError> {
        Err(KeySetError::NoUsableKey)
    }
}

/// A key that was left out of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedKey {
    /// Its `kid`, shortened to what may be logged.
    pub kid: Option<String>,
    /// Why, in words.
    pub reason: &'static str,
}

/// A document that is not taken as a key set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// None of the keys can be used.
    #[error("no usable key")]
    NoUsableKey,
}

/// What is held of an issuer's keys now.
#[derive(Debug)]
pub enum KeyState {
    /// Nothing was ever obtained, or what was held is past its bound.
    Unavailable,
    /// Keys to verify with.
    Usable(KeySet),
}

/// The place where [`crate::jwks`] puts an issuer's keys and every worker reads them. Survives reloads.
#[derive(Debug)]
pub struct KeyCell(ArcSwap<KeyState>);

impl Default for KeyCell {
    fn default() -> Self {
        Self(ArcSwap::from_pointee(KeyState::Unavailable))
    }
}

impl KeyCell {
    /// What is held now.
    #[must_use]
    pub fn load(&self) -> Arc<KeyState> {
        self.0.load_full()
    }

    /// Replaces what is held.
    pub fn store(&self, state: KeyState) {
        self.0.store(Arc::new(state));
    }
}
