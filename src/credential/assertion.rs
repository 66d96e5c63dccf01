//! Assertions that show who a client is (RFC 7523 section 2.2): made for one request each, never sent twice.

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::pem::{PemObject as _, SectionKind};
use serde_json::json;
use zeroize::Zeroizing;

use crate::clock::UnixTime;
use crate::config::Secret;
use crate::identity::{SigningAlgorithm, SigningKey, SigningKeyError, SigningKeys};

/// From `iat` to `exp`: no longer than a request takes, with room for clocks that differ.
const LIFETIME: i64 = 60;

/// RSA keys have 2048 bits at least (RFC 7518 section 3.3).
const LEAST_RSA_BYTES: usize = 256;

/// Most bytes of an assertion in a file.
const FILE_BYTES: usize = 16 * 1024;

/// Why there is no assertion to send.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssertionError {
    /// The file with the assertion cannot be read, or has no assertion in it.
    #[error("client assertion file: {0}")]
    File(String),
    /// The crypto library failed.
    #[error("the client assertion could not be signed")]
    Signing,
}

/// How a client signs assertions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl ClientAlgorithm {
    /// The `alg` of RFC 7518 and RFC 8037.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm called `name` (exact case).
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Rs256, Self::Ps256, Self::Es256, Self::EdDsa]
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }
}

/// A private key that shows who a client is. It cannot be shown, serialised or compared.
#[derive(Clone)]
pub struct ClientKey {
    algorithm: ClientAlgorithm,
    material: Material,
}

#[derive(Clone)]
enum Material {
    Rsa(Arc<RsaKeyPair>),
    Other(SigningKey),
}

impl std::fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientKey")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// Why a private key is not one that a client can use; in the words of `check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientKeyError {
    /// It is none of P-256, Ed25519 and RSA.
    #[error(transparent)]
    Key(#[from] SigningKeyError),
    /// An RSA key that nobody should trust.
    #[error("holds an RSA key of less than 2048 bits, or a broken one")]
    Rsa,
    /// `algorithm` says something else than the key.
    #[error("holds {found}, but the algorithm is {wanted}")]
    Algorithm {
        /// What the configuration says.
        wanted: &'static str,
        /// What the file holds.
        found: &'static str,
    },
}

impl ClientKey {
    /// Reads a key in PEM: P-256 (ES256), Ed25519 (EdDSA) or RSA (PS256 unless `wanted` says RS256).
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(secret: &Secret, wanted: Option<ClientAlgorithm>) -> Result<Self, ClientKeyError> {
        if let Some(pair) = rsa(secret.expose()) {
            return Self::of_rsa(pair, wanted);
        }
        // What is no PEM would be taken for a shared secret.
        let bytes = secret.expose();
        if memchr::memmem::find(bytes, b"-----BEGIN ").is_none() {
            return Err(match bytes {
                _ if bytes.iter().all(u8::is_ascii_whitespace) => SigningKeyError::Empty,
                [0x30, ..] if std::str::from_utf8(bytes).is_err() => SigningKeyError::Der,
                _ => SigningKeyError::Pem,
            }
            .into());
        }
        let family = match wanted {
            Some(ClientAlgorithm::EdDsa) => Some(SigningAlgorithm::EdDsa),
            Some(ClientAlgorithm::Es256) => Some(SigningAlgorithm::Es256),
            _ => None,
        };
        let keys = SigningKeys::parse(secret, family)?;
        let key = keys.current().clone();
        let algorithm = match key.algorithm() {
            SigningAlgorithm::Es256 => ClientAlgorithm::Es256,
            SigningAlgorithm::EdDsa => ClientAlgorithm::EdDsa,
            SigningAlgorithm::Hs256 => return Err(SigningKeyError::Pem.into()),
        };
        match wanted {
            Some(wanted) if wanted != algorithm => Err(ClientKeyError::Algorithm {
                wanted: wanted.name(),
                found: match algorithm {
                    ClientAlgorithm::Es256 => "a P-256 key (ES256)",
                    _ => "an Ed25519 key (EdDSA)",
                },
            }),
            _ => Ok(Self {
                algorithm,
                material: Material::Other(key),
            }),
        }
    }

    fn of_rsa(
        pair: Option<RsaKeyPair>,
        wanted: Option<ClientAlgorithm>,
    ) -> Result<Self, ClientKeyError> {
        let algorithm = wanted.unwrap_or(ClientAlgorithm::Ps256);
        if !matches!(algorithm, ClientAlgorithm::Rs256 | ClientAlgorithm::Ps256) {
            return Err(ClientKeyError::Algorithm {
                wanted: algorithm.name(),
                found: "an RSA key (RS256, PS256)",
            });
        }
        let pair = pair.ok_or(ClientKeyError::Rsa)?;
        if pair.public_modulus_len() < LEAST_RSA_BYTES {
            return Err(ClientKeyError::Rsa);
        }
        Ok(Self {
            algorithm,
            material: Material::Rsa(Arc::new(pair)),
        })
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, AssertionError> {
        match &self.material {
            Material::Other(key) => key
                .sign(message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| AssertionError::Signing),
            Material::Rsa(pair) => {
                let padding: &'static dyn RsaEncoding = match self.algorithm {
                    ClientAlgorithm::Rs256 => &RSA_PKCS1_SHA256,
                    _ => &RSA_PSS_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &SystemRandom::new(), message, &mut signature)
                    .map_err(|_| AssertionError::Signing)?;
                Ok(signature)
            }
        }
    }
}

/// The first RSA key in a PEM file, `None` in it if it is broken; nothing at all where there is no RSA key.
fn rsa(bytes: &[u8]) -> Option<Option<RsaKeyPair>> {
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes) {
        let (kind, der) = section.ok()?;
        let der = Zeroizing::new(der);
        match kind {
            SectionKind::RsaPrivateKey => return Some(RsaKeyPair::from_der(&der).ok()),
            SectionKind::PrivateKey if is_rsa(&der) => {
                return Some(RsaKeyPair::from_pkcs8(&der).ok());
            }
            _ => {}
        }
    }
    None
}

/// Whether a PKCS#8 key names rsaEncryption (1.2.840.113549.1.1.1).
fn is_rsa(der: &[u8]) -> bool {
    const OID: [u8; 11] = [
        0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
    ];
    der.get(..40)
        .is_some_and(|head| head.windows(OID.len()).any(|piece| piece == OID))
}

/// A fresh assertion for one request: another `jti` every time, since servers refuse one that they have seen.
///
/// `audience` is the server's issuer identifier where we know it (RFC 9700 section 2.1.1 and draft-ietf-oauth-rfc7523bis:
/// one value, no list, so that a server cannot pass it on to another), and the type is said, so that it cannot be taken for
/// another kind of JWT (RFC 8725 section 3.11).
pub(crate) fn make(
    key: &ClientKey,
    kid: Option<&str>,
    client_id: &str,
    audience: &str,
    now: UnixTime,
) -> Result<Zeroizing<String>, AssertionError> {
    let mut id = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut id).map_err(|_| AssertionError::Signing)?;
    let mut header = json!({"alg": key.algorithm.name(), "typ": "client-authentication+jwt"});
    if let (Some(kid), Some(members)) = (kid, header.as_object_mut()) {
        members.insert("kid".to_owned(), json!(kid));
    }
    let claims = json!({
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": now.as_secs(),
        "exp": now.plus(LIFETIME).as_secs(),
        "jti": URL_SAFE_NO_PAD.encode(id),
    });
    let mut assertion = Zeroizing::new(format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    ));
    let signature = key.sign(assertion.as_bytes())?;
    assertion.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut assertion);
    Ok(assertion)
}

/// The assertion in a file, as it is now: the platform replaces it every hour.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>, AssertionError> {
    read_token(path).map_err(AssertionError::File)
}

/// Whether there is an assertion in the file now.
pub(crate) fn check(path: &Path) -> Result<(), String> {
    read_token(path).map(drop)
}

/// The token in a file.
pub(crate) fn read_token(path: &Path) -> Result<Zeroizing<String>, String> {
    let bytes = crate::config::read_secret_file(path)?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err("is empty".to_owned());
    }
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    std::str::from_utf8(&bytes)
        .ok()
        .map(str::trim)
        .filter(|text| text.len() <= FILE_BYTES && text.bytes().all(is_token))
        .map(|text| Zeroizing::new(text.to_owned()))
        .ok_or_else(|| "has no token in it".to_owned())
}

#[cfg(test)]
mod tests;
