use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use aws_lc_rs::signature::ParsedPublicKey;

use super::json::{Document, Json, JsonError};

mod jwk;
#[cfg(test)]
mod tests;

/// Most keys of a set; a larger document is no key set of an issuer.
const MAX_KEYS: usize = 64;

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

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
        Self::Ed25519,
    ];

    /// The name in `alg` (case-sensitive, RFC 7515 section 4.1.1).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
            Self::Ed25519 => "Ed25519",
        }
    }

    /// The algorithm that `alg` names; `None` for everything else, `none` and HMAC included.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// RFC 7638 thumbprint (SHA-256) of a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Thumbprint(pub [u8; 32]);

impl fmt::Display for Thumbprint {
    /// base64url, as RFC 7638 section 3 writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use base64::Engine as _;
        f.write_str(&base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// A public key that was parsed and vetted once; verifying pays for nothing but the signature.
pub(crate) struct Key {
    kid: Option<Box<str>>,
    /// One entry for each algorithm that the key may be used with: what its type and curve can do, or the one that its
    /// `alg` names (RFC 8725 section 3.1).
    uses: Vec<(Algorithm, ParsedPublicKey)>,
    /// Bytes of every signature of this key.
    signature_len: usize,
    thumbprint: Thumbprint,
}

impl Key {
    pub(crate) const fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }

    /// The key in the header of a proof (RFC 9449 section 4.2), for one algorithm; `None` where it is not fit for it.
    pub(super) fn for_proof(jwk: Json<'_>, algorithm: Algorithm) -> Option<Self> {
        jwk::parse(jwk, Some(algorithm))
            .ok()
            .filter(|key| !key.uses.is_empty())
    }

    pub(crate) fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.uses.iter().map(|(algorithm, _)| *algorithm)
    }

    /// Whether `signature` is this key's over `message`, made with `algorithm`.
    pub(crate) fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        signature.len() == self.signature_len
            && self
                .uses
                .iter()
                .find(|(own, _)| *own == algorithm)
                .is_some_and(|(_, key)| key.verify_sig(message, signature).is_ok())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("kid", &self.kid)
            .field("thumbprint", &format_args!("{}", self.thumbprint))
            .finish_non_exhaustive()
    }
}

/// What may be shown of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo<'a> {
    /// Its `kid`.
    pub kid: Option<&'a str>,
    /// Algorithms that it may verify.
    pub algorithms: Vec<Algorithm>,
    /// RFC 7638.
    pub thumbprint: Thumbprint,
}

/// Usable keys of one issuer.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

impl KeySet {
    /// Reads a JWKS (RFC 7517 section 5). Keys that are not usable for verifying are skipped and reported; private
    /// members are neither used nor kept.
    ///
    /// # Errors
    /// The document is no JWKS, has duplicate `kid`s, more than 64 keys, or no usable key.
    pub fn parse(document: &[u8]) -> Result<(Self, Vec<SkippedKey>), KeySetError> {
        let document = Document::parse(document)?;
        let list = document
            .value()
            .as_object()
            .and_then(|members| members.get("keys"))
            .and_then(Json::as_list)
            .ok_or(KeySetError::NoKeySet)?;
        if list.len() > MAX_KEYS {
            return Err(KeySetError::TooManyKeys);
        }
        // Which of two keys a kid means must not depend on their order, nor on which of them is usable.
        let mut kids: Vec<&str> = list
            .iter()
            .filter_map(|key| key.as_object()?.get("kid")?.as_str())
            .collect();
        kids.sort_unstable();
        if kids.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(KeySetError::DuplicateKid);
        }
        let mut keys = Vec::new();
        let mut skipped = Vec::new();
        for key in list.iter() {
            match jwk::parse(key, None) {
                Ok(key) => keys.push(key),
                Err(reason) => skipped.push(SkippedKey {
                    kid: loggable_kid(key),
                    reason,
                }),
            }
        }
        if keys.is_empty() {
            return Err(KeySetError::NoUsableKey);
        }
        Ok((Self { keys }, skipped))
    }

    /// What may be shown of the keys, in the order of the document.
    pub fn keys(&self) -> impl Iterator<Item = KeyInfo<'_>> {
        self.keys.iter().map(|key| KeyInfo {
            kid: key.kid.as_deref(),
            algorithms: key.algorithms().collect(),
            thumbprint: key.thumbprint,
        })
    }

    /// The key ids; keys without one are left out.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().filter_map(|key| key.kid.as_deref())
    }

    /// Whether a key goes by `kid`.
    #[must_use]
    pub fn has_kid(&self, kid: &str) -> bool {
        self.with_kid(kid).is_some()
    }

    /// How many keys there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(crate) fn with_kid(&self, kid: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.kid.as_deref() == Some(kid))
    }

    /// The key, when there is exactly one.
    pub(crate) fn only(&self) -> Option<&Key> {
        match self.keys.as_slice() {
            [key] => Some(key),
            _ => None,
        }
    }
}

fn loggable_kid(key: Json<'_>) -> Option<String> {
    let kid = key.as_object()?.get("kid")?.as_str()?;
    Some(
        kid.chars()
            .filter(|c| c.is_ascii_graphic() || *c == ' ')
            .take(64)
            .collect(),
    )
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// The document is not strict JSON.
    #[error("not a JSON document")]
    Json(#[from] JsonError),
    /// The document is JSON without an array `keys`.
    #[error("not a JSON object with an array \"keys\"")]
    NoKeySet,
    /// More than 64 keys.
    #[error("more than 64 keys")]
    TooManyKeys,
    /// Two keys go by the same `kid`.
    #[error("two keys with the same \"kid\"")]
    DuplicateKid,
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

    /// What is held now, for a short look: no reference count is touched.
    pub(crate) fn peek(&self) -> Guard<Arc<KeyState>> {
        self.0.load()
    }

    /// Replaces what is held.
    pub fn store(&self, state: KeyState) {
        self.0.store(Arc::new(state));
    }
}
