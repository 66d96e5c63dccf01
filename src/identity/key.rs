//! Keys that sign identity: reading, generating, signing, and the keys that are published for verifiers.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, UnparsedPublicKey,
};
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::config::Secret;

mod parse;
mod ring;
#[cfg(test)]
mod tests;

pub use ring::SigningKeys;
pub(super) use ring::jwks;

/// Least bytes of a shared secret (RFC 7518 section 3.2: as long as the hash).
pub const LEAST_SECRET_BYTES: usize = 32;

/// How long a replaced key stays published when nothing else is configured: longer than any assertion lives, and longer
/// than the usual libraries cache a key set (PyJWT 5 min, jose 10 min).
pub const DEFAULT_OVERLAP: Duration = Duration::from_secs(10 * 60);

/// How identity is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
    /// HMAC with SHA-256 and a shared secret.
    Hs256,
}

impl SigningAlgorithm {
    /// The `alg` of RFC 7518 and RFC 8037.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Hs256 => "HS256",
        }
    }

    /// The algorithm called `name` (exact case).
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Es256, Self::EdDsa, Self::Hs256]
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }
}

/// Where the key comes from.
#[derive(Clone, Debug)]
pub enum KeySettings {
    /// From the configuration: [`SigningKeys::parse`].
    Configured(Arc<SigningKeys>),
    /// None is configured: one is generated at start, lives in memory only, and survives reloads.
    Generated,
}

/// Why there is no key to sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SigningKeyError {
    /// Neither PEM nor anything else.
    #[error("is empty")]
    Empty,
    /// Base64 or framing.
    #[error("is not valid PEM")]
    Pem,
    /// Binary ASN.1.
    #[error("looks like DER; convert it to PEM (openssl pkey -inform DER)")]
    Der,
    /// `BEGIN ENCRYPTED PRIVATE KEY`.
    #[error("holds an encrypted private key; decrypt it (openssl pkey)")]
    Encrypted,
    /// A certificate or public key only.
    #[error("holds no private key")]
    NoPrivateKey,
    /// RSA, another curve, or broken.
    #[error(
        "holds a private key that is neither on P-256 (ES256) nor Ed25519 (EdDSA), or is broken"
    )]
    Unsupported,
    /// The same key twice.
    #[error("holds the same key twice")]
    Repeated,
    /// `algorithm` says something else than the key.
    #[error("holds a key for {found}, but the algorithm is {wanted}")]
    Algorithm {
        /// What the configuration says.
        wanted: &'static str,
        /// What the file holds.
        found: &'static str,
    },
    /// Under [`LEAST_SECRET_BYTES`].
    #[error("holds a shared secret of {bytes} bytes; HS256 needs at least {LEAST_SECRET_BYTES}")]
    SecretTooShort {
        /// What there is, without the line end.
        bytes: usize,
    },
    /// The crypto library failed.
    #[error("could not be generated or does not verify its own signature")]
    Broken,
}

/// Signing failed; nothing may be sent unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("signing failed")]
pub struct SigningFailed;

/// A private or shared key. It cannot be shown, serialised or compared; the memory behind it is wiped by the crypto
/// library when the last clone goes.
///
/// ```compile_fail
/// fn comparable<T: PartialEq>() {}
/// comparable::<countersign::identity::SigningKey>(); // comparing secrets leaks them, byte by byte
/// ```
///
/// ```compile_fail
/// fn shown<T: std::fmt::Display>() {}
/// shown::<countersign::identity::SigningKey>();
/// ```
#[derive(Clone)]
pub struct SigningKey(Arc<Inner>);

struct Inner {
    id: Box<str>,
    material: Material,
}

#[expect(
    clippy::large_enum_variant,
    reason = "there is one per key, on the heap behind an Arc"
)]
enum Material {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Hs256(hmac::Key),
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.algorithm())
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

/// What a verifier needs of a key.
#[derive(Clone, Debug)]
pub struct PublicKey {
    id: Box<str>,
    jwk: Value,
}

impl PublicKey {
    /// Its `kid`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The JWK (RFC 7517), with `kid`, `alg` and `use`.
    #[must_use]
    pub const fn jwk(&self) -> &Value {
        &self.jwk
    }
}

impl SigningKey {
    /// A new key.
    ///
    /// # Errors
    /// The random source or the crypto library failed.
    pub fn generate(algorithm: SigningAlgorithm) -> Result<Self, SigningKeyError> {
        let broken = |_| SigningKeyError::Broken;
        let material = match algorithm {
            SigningAlgorithm::Es256 => Material::Es256(
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(broken)?,
            ),
            SigningAlgorithm::EdDsa => Material::EdDsa(Ed25519KeyPair::generate().map_err(broken)?),
            SigningAlgorithm::Hs256 => {
                let mut secret = Zeroizing::new([0_u8; LEAST_SECRET_BYTES]);
                aws_lc_rs::rand::fill(secret.as_mut()).map_err(broken)?;
                Material::Hs256(hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref()))
            }
        };
        Self::of(material)
    }

    /// Takes `material` when it verifies what it signs.
    fn of(material: Material) -> Result<Self, SigningKeyError> {
        let key = Self(Arc::new(Inner {
            id: material.id(),
            material,
        }));
        let probe = b"countersign signing key self-test";
        let signature = key.sign(probe).map_err(|_| SigningKeyError::Broken)?;
        if key.verify(probe, signature.as_ref()) {
            Ok(key)
        } else {
            Err(SigningKeyError::Broken)
        }
    }

    /// How it signs.
    #[must_use]
    pub fn algorithm(&self) -> SigningAlgorithm {
        match self.0.material {
            Material::Es256(_) => SigningAlgorithm::Es256,
            Material::EdDsa(_) => SigningAlgorithm::EdDsa,
            Material::Hs256(_) => SigningAlgorithm::Hs256,
        }
    }

    /// `kid`: the RFC 7638 thumbprint of a public key; for a shared secret the first 16 bytes of its HMAC over a
    /// constant. Base64url.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Signs `message`: R ‖ S for ES256 (RFC 7518 section 3.4), 64 bytes for Ed25519, 32 for HMAC.
    ///
    /// # Errors
    /// The crypto library failed.
    pub fn sign(&self, message: &[u8]) -> Result<SignatureBytes, SigningFailed> {
        Ok(SignatureBytes(match &self.0.material {
            Material::Es256(pair) => Made::Asymmetric(
                pair.sign(&SystemRandom::new(), message)
                    .map_err(|_| SigningFailed)?,
            ),
            Material::EdDsa(pair) => {
                Made::Asymmetric(pair.try_sign(message).map_err(|_| SigningFailed)?)
            }
            Material::Hs256(key) => Made::Tag(hmac::sign(key, message)),
        }))
    }

    /// Whether `signature` is this key's over `message`. MACs are compared in constant time by the crypto library.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.0.material {
            Material::Es256(pair) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref())
                    .verify(message, signature)
                    .is_ok()
            }
            Material::EdDsa(pair) => UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref())
                .verify(message, signature)
                .is_ok(),
            Material::Hs256(key) => hmac::verify(key, message, signature).is_ok(),
        }
    }

    /// The public half; `None` for a shared secret, which is never published.
    #[must_use]
    pub fn public(&self) -> Option<PublicKey> {
        let mut jwk = self.0.material.public_members()?;
        if let Value::Object(members) = &mut jwk {
            members.insert("kid".to_owned(), json!(self.id()));
            members.insert("alg".to_owned(), json!(self.algorithm().name()));
            members.insert("use".to_owned(), json!("sig"));
        }
        Some(PublicKey {
            id: self.id().into(),
            jwk,
        })
    }
}

impl Material {
    /// The members that RFC 7638 section 3.2 and RFC 8037 section 2 hash; `serde_json` keeps them sorted by name.
    fn public_members(&self) -> Option<Value> {
        match self {
            Self::Es256(pair) => {
                // SEC 1 section 2.3.3: 04 ‖ X ‖ Y.
                let (x, y) = pair.public_key().as_ref().get(1..)?.split_at_checked(32)?;
                Some(json!({
                    "crv": "P-256",
                    "kty": "EC",
                    "x": URL_SAFE_NO_PAD.encode(x),
                    "y": URL_SAFE_NO_PAD.encode(y),
                }))
            }
            Self::EdDsa(pair) => Some(json!({
                "crv": "Ed25519",
                "kty": "OKP",
                "x": URL_SAFE_NO_PAD.encode(pair.public_key().as_ref()),
            })),
            Self::Hs256(_) => None,
        }
    }

    fn id(&self) -> Box<str> {
        let id = match self {
            // RFC 7638 section 7: the thumbprint of a symmetric key would give away its hash.
            Self::Hs256(key) => {
                let tag = hmac::sign(key, b"countersign key id");
                URL_SAFE_NO_PAD.encode(tag.as_ref().get(..16).unwrap_or_default())
            }
            Self::Es256(_) | Self::EdDsa(_) => {
                let members = self.public_members().unwrap_or_default().to_string();
                URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, members.as_bytes()))
            }
        };
        id.into()
    }
}

/// A signature, raw. It lives on the stack for a moment; nothing keeps one.
pub struct SignatureBytes(Made);

#[expect(
    clippy::large_enum_variant,
    reason = "boxing would allocate for every bound assertion"
)]
enum Made {
    Asymmetric(aws_lc_rs::signature::Signature),
    Tag(hmac::Tag),
}

impl AsRef<[u8]> for SignatureBytes {
    fn as_ref(&self) -> &[u8] {
        match &self.0 {
            Made::Asymmetric(signature) => signature.as_ref(),
            Made::Tag(tag) => tag.as_ref(),
        }
    }
}

impl std::fmt::Debug for SignatureBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignatureBytes")
    }
}

/// The private key of a new pair as PKCS#8 PEM, or a new shared secret as one line of text; for `countersign keygen`.
///
/// # Errors
/// The random source or the crypto library failed.
pub fn generate_text(
    algorithm: SigningAlgorithm,
) -> Result<(Zeroizing<String>, SigningKey), SigningKeyError> {
    let broken = |_| SigningKeyError::Broken;
    let text = match algorithm {
        SigningAlgorithm::Es256 => pem(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .and_then(|pair| pair.to_pkcs8v1())
            .map_err(broken)?
            .as_ref()),
        SigningAlgorithm::EdDsa => pem(Ed25519KeyPair::generate()
            .and_then(|pair| pair.to_pkcs8v1())
            .map_err(broken)?
            .as_ref()),
        SigningAlgorithm::Hs256 => {
            let mut secret = Zeroizing::new([0_u8; LEAST_SECRET_BYTES]);
            aws_lc_rs::rand::fill(secret.as_mut()).map_err(broken)?;
            Zeroizing::new(format!("{}\n", URL_SAFE_NO_PAD.encode(secret.as_ref())))
        }
    };
    let secret = Secret::new(text.as_bytes().to_vec(), None);
    let keys = SigningKeys::parse(&secret, Some(algorithm))?;
    Ok((text, keys.current().clone()))
}

/// RFC 7468 section 10.
fn pem(der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(der));
    let mut text = Zeroizing::new(String::with_capacity(body.len() + 96));
    text.push_str("-----BEGIN PRIVATE KEY-----\n");
    let mut rest = body.as_str();
    while let Some((line, after)) = rest.split_at_checked(64) {
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    if !rest.is_empty() {
        text.push_str(rest);
        text.push('\n');
    }
    text.push_str("-----END PRIVATE KEY-----\n");
    text
}
