//! Reading keys from PEM files and shared secrets.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use rustls::pki_types::pem::{PemObject as _, SectionKind};
use zeroize::Zeroizing;

use super::{LEAST_SECRET_BYTES, Material, SigningAlgorithm, SigningKey, SigningKeyError};
use crate::config::Secret;

/// The keys of `secret`, at least one: PEM, or a shared secret when there is no PEM in it.
pub(super) fn keys(
    secret: &Secret,
    wanted: Option<SigningAlgorithm>,
) -> Result<Vec<SigningKey>, SigningKeyError> {
    let bytes = secret.expose();
    let keys = if holds(bytes, b"-----BEGIN ") {
        from_pem(bytes)?
    } else {
        vec![from_shared_secret(bytes, wanted)?]
    };
    for (at, key) in keys.iter().enumerate() {
        if let Some(wanted) = wanted
            && wanted != key.algorithm()
        {
            return Err(SigningKeyError::Algorithm {
                wanted: wanted.name(),
                found: key.algorithm().name(),
            });
        }
        if keys.iter().take(at).any(|earlier| earlier.id() == key.id()) {
            return Err(SigningKeyError::Repeated);
        }
    }
    Ok(keys)
}

fn from_pem(bytes: &[u8]) -> Result<Vec<SigningKey>, SigningKeyError> {
    if holds(bytes, b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || holds(bytes, b"ENCRYPTED\n") {
        return Err(SigningKeyError::Encrypted);
    }
    let mut keys = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes) {
        let (kind, der) = section.map_err(|_| SigningKeyError::Pem)?;
        let der = Zeroizing::new(der);
        let material = match kind {
            SectionKind::PrivateKey => from_pkcs8(&der)?,
            SectionKind::EcPrivateKey => from_sec1(&der)?,
            SectionKind::RsaPrivateKey => return Err(SigningKeyError::Unsupported),
            // The public half or a certificate beside the key does no harm; alone it is no key.
            _ => continue,
        };
        keys.push(SigningKey::of(material)?);
    }
    if keys.is_empty() {
        return Err(SigningKeyError::NoPrivateKey);
    }
    Ok(keys)
}

fn from_pkcs8(der: &[u8]) -> Result<Material, SigningKeyError> {
    if let Ok(pair) = Ed25519KeyPair::from_pkcs8(der) {
        return Ok(Material::EdDsa(pair));
    }
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
        .map(Material::Es256)
        .map_err(|_| SigningKeyError::Unsupported)
}

fn from_sec1(der: &[u8]) -> Result<Material, SigningKeyError> {
    EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
        .map(Material::Es256)
        .map_err(|_| SigningKeyError::Unsupported)
}

/// A shared secret is its bytes; one line end at the end, which editors add, is not part of it.
fn from_shared_secret(
    bytes: &[u8],
    wanted: Option<SigningAlgorithm>,
) -> Result<SigningKey, SigningKeyError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(SigningKeyError::Empty);
    }
    // A key in DER must not become an HMAC secret by accident: a SEQUENCE with a two-byte or one-byte long length.
    if wanted != Some(SigningAlgorithm::Hs256) && matches!(bytes, [0x30, 0x2a..=0x82, ..]) {
        let text = std::str::from_utf8(bytes).is_ok_and(|text| !text.contains(char::is_control));
        if !text {
            return Err(SigningKeyError::Der);
        }
    }
    if matches!(
        wanted,
        Some(SigningAlgorithm::Es256 | SigningAlgorithm::EdDsa)
    ) {
        return Err(SigningKeyError::Pem);
    }
    let secret = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
    if secret.len() < LEAST_SECRET_BYTES {
        return Err(SigningKeyError::SecretTooShort {
            bytes: secret.len(),
        });
    }
    SigningKey::of(Material::Hs256(hmac::Key::new(hmac::HMAC_SHA256, secret)))
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(bytes, needle).is_some()
}
