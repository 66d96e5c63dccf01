//! DPoP proofs (RFC 9449): that whoever sends a token holds the key that it is bound to.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::clock::UnixTime;
use crate::config::Secret;
use crate::identity::{SigningAlgorithm, SigningKey, SigningKeyError, SigningKeys};

/// The header of a proof (section 4.1).
pub(crate) const DPOP: HeaderName = HeaderName::from_static("dpop");
/// The header of a nonce that a server wants in proofs (section 8).
pub(crate) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// Most bytes of a nonce; a longer one is not repeated.
const NONCE_BYTES: usize = 512;

/// Where the key of proofs comes from.
#[derive(Clone, Debug)]
pub enum ProofKeySettings {
    /// Generated when the credential is first used, and kept for the life of the process.
    Generated(SigningAlgorithm),
    /// Configured.
    Configured(ProofKey),
}

impl ProofKeySettings {
    /// Whether a token that is bound under `other` is bound to what these settings mean.
    pub(super) fn same_key(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Generated(one), Self::Generated(other)) => one == other,
            (Self::Configured(one), Self::Configured(other)) => {
                one.thumbprint() == other.thumbprint()
            }
            _ => false,
        }
    }

    /// The key.
    pub(super) fn key(&self) -> Result<ProofKey, SigningKeyError> {
        match self {
            Self::Generated(algorithm) => ProofKey::of(SigningKey::generate(*algorithm)?),
            Self::Configured(key) => Ok(key.clone()),
        }
    }
}

/// A key that tokens are bound to. It cannot be shown, serialised or compared.
#[derive(Clone, Debug)]
pub struct ProofKey(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    key: SigningKey,
    /// The JOSE header of every proof, encoded: `typ`, `alg` and the public key.
    header: Box<str>,
}

impl ProofKey {
    /// Reads a key in PEM: P-256 (ES256) or Ed25519 (EdDSA).
    ///
    /// # Errors
    /// It is neither, or `wanted` says something else.
    pub fn parse(
        secret: &Secret,
        wanted: Option<SigningAlgorithm>,
    ) -> Result<Self, SigningKeyError> {
        Self::of(SigningKeys::parse(secret, wanted)?.current().clone())
    }

    fn of(key: SigningKey) -> Result<Self, SigningKeyError> {
        // A shared secret has no public half: it is bound to nobody.
        let public = key.public().ok_or(SigningKeyError::Pem)?;
        let member = |name: &str| public.jwk().get(name).cloned().unwrap_or(Value::Null);
        let mut jwk = json!({"kty": member("kty"), "crv": member("crv"), "x": member("x")});
        if let (Value::Object(members), Some(y)) = (&mut jwk, public.jwk().get("y")) {
            members.insert("y".to_owned(), y.clone());
        }
        let header = json!({"typ": "dpop+jwt", "alg": key.algorithm().name(), "jwk": jwk});
        let header = URL_SAFE_NO_PAD.encode(header.to_string()).into();
        Ok(Self(Arc::new(Inner { key, header })))
    }

    /// What tokens name the key by (RFC 7638).
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        self.0.key.id()
    }

    /// A proof for one request, never made twice (section 4.2); `None` when the crypto library fails.
    pub(crate) fn prove(&self, about: &About<'_>, now: UnixTime) -> Option<HeaderValue> {
        let mut id = [0_u8; 16];
        aws_lc_rs::rand::fill(&mut id).ok()?;
        let mut claims = json!({
            "jti": URL_SAFE_NO_PAD.encode(id),
            "htm": about.method,
            "htu": about.url,
            "iat": now.as_secs(),
        });
        if let Value::Object(members) = &mut claims {
            for (name, value) in [("nonce", about.nonce), ("ath", about.token)] {
                if let Some(value) = value {
                    members.insert(name.to_owned(), json!(value));
                }
            }
        }
        let mut proof = format!(
            "{}.{}",
            self.0.header,
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature = self.0.key.sign(proof.as_bytes()).ok()?;
        proof.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut proof);
        let mut value = HeaderValue::from_str(&proof).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// What a proof is good for.
#[derive(Debug)]
pub(crate) struct About<'a> {
    pub(crate) method: &'a str,
    /// Without query and fragment.
    pub(crate) url: &'a str,
    /// What the server asked to be repeated.
    pub(crate) nonce: Option<&'a str>,
    /// The hash of the token that it goes with.
    pub(crate) token: Option<&'a str>,
}

/// A token's binding to its key.
#[derive(Debug)]
pub(crate) struct Binding {
    key: ProofKey,
    /// `ath`: what proofs name the token by (section 4.2).
    hash: Box<str>,
}

impl Binding {
    pub(super) fn new(key: ProofKey, token: &str) -> Self {
        let hash = URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes()));
        Self {
            key,
            hash: hash.into(),
        }
    }

    /// A proof for a request that the token goes with.
    pub(crate) fn prove(
        &self,
        method: &str,
        url: &str,
        nonce: Option<&str>,
        now: UnixTime,
    ) -> Option<HeaderValue> {
        let about = About {
            method,
            url,
            nonce,
            token: Some(&self.hash),
        };
        self.key.prove(&about, now)
    }
}

/// The nonce that a server wants from now on, if it says so once and in its alphabet (section 8.1).
pub(crate) fn nonce(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(&DPOP_NONCE).iter();
    let (first, more) = (values.next()?, values.next());
    let text = first.to_str().ok().filter(|_| more.is_none())?;
    let visible = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    (!text.is_empty() && text.len() <= NONCE_BYTES && text.bytes().all(visible)).then_some(text)
}

#[cfg(test)]
mod tests;
