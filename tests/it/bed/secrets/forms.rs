//! The forms in which a secret could be written.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// All forms, each with its name.
pub fn all(secret: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut forms = vec![
        ("raw", secret.to_vec()),
        ("as a JSON string", json(secret)),
        ("percent-encoded", percent(secret, "0123456789ABCDEF")),
        (
            "percent-encoded in lower case",
            percent(secret, "0123456789abcdef"),
        ),
        ("hex", hex(secret, "0123456789abcdef")),
        ("hex in upper case", hex(secret, "0123456789ABCDEF")),
        ("as a list of bytes", list(secret)),
    ];
    // Whatever stands before it in what is encoded moves it against the groups of three bytes.
    for before in 0..3 {
        forms.push(("base64", base64(secret, before, &STANDARD_NO_PAD)));
        forms.push(("base64url", base64(secret, before, &URL_SAFE_NO_PAD)));
    }
    forms
}

/// As the middle of a longer text that begins `before` bytes earlier: only the digits that the secret alone decides.
fn base64(secret: &[u8], before: usize, engine: &impl Engine) -> Vec<u8> {
    let text = engine.encode([&[0; 2][..before], secret].concat());
    let first = (before * 8).div_ceil(6);
    let end = (before + secret.len()) * 8 / 6;
    text.as_bytes().get(first..end).unwrap_or_default().to_vec()
}

fn hex(secret: &[u8], digits: &str) -> Vec<u8> {
    let digits = digits.as_bytes();
    secret
        .iter()
        .flat_map(|byte| {
            [
                digits[usize::from(byte >> 4)],
                digits[usize::from(byte & 15)],
            ]
        })
        .collect()
}

fn percent(secret: &[u8], digits: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in secret {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            out.push(*byte);
        } else {
            out.push(b'%');
            out.extend(hex(&[*byte], digits));
        }
    }
    out
}

fn json(secret: &[u8]) -> Vec<u8> {
    let text = serde_json::Value::from(String::from_utf8_lossy(secret)).to_string();
    text.as_bytes()[1..text.len() - 1].to_vec()
}

/// As Rust prints `Vec<u8>` for debugging.
fn list(secret: &[u8]) -> Vec<u8> {
    let text = format!("{secret:?}");
    text.trim_matches(['[', ']']).as_bytes().to_vec()
}

/// The secret numbers of a PKCS #8 key: what follows the public ones of RSA, the scalar of a curve.
pub fn private_parts(der: &[u8]) -> Vec<Vec<u8>> {
    use aws_lc_rs::encoding::AsBigEndian as _;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair,
    };
    for algorithm in [
        &ECDSA_P256_SHA256_FIXED_SIGNING,
        &ECDSA_P384_SHA384_FIXED_SIGNING,
    ] {
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(algorithm, der) {
            let scalar = pair.private_key().as_be_bytes().expect("a scalar");
            return vec![scalar.as_ref().to_vec()];
        }
    }
    if Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).is_ok() {
        // Version, algorithm and two headers; then the seed (RFC 8410 section 7).
        return der.get(16..48).map(<[u8]>::to_vec).into_iter().collect();
    }
    rsa(der)
}

/// `privateExponent`, `prime1` and what follows (RFC 8017 appendix A.1.2).
fn rsa(der: &[u8]) -> Vec<Vec<u8>> {
    let (sequence, _) = super::super::keys::element(der);
    let mut rest = sequence;
    let mut key = sequence;
    // Version, algorithm, and the key as an octet string.
    for _ in 0..3 {
        (key, rest) = super::super::keys::element(rest);
    }
    let (numbers, _) = super::super::keys::element(key);
    let mut parts = Vec::new();
    let mut rest = numbers;
    while !rest.is_empty() {
        let number;
        (number, rest) = super::super::keys::element(rest);
        parts.push(number.to_vec());
    }
    parts.split_off(3)
}
