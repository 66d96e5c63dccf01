//! One JWK (RFC 7517, RFC 7518 section 6, RFC 8037): vetted, or a reason why not.

use aws_lc_rs::digest;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RsaParameters,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Algorithm, Key, Thumbprint};
use crate::authn::json::{Json, Members};
use crate::authn::token::is_kid;

type Reason = &'static str;

/// Reads a key, for `only` one algorithm or for all that it is good for.
pub(super) fn parse(key: Json<'_>, only: Option<Algorithm>) -> Result<Key, Reason> {
    let members = key.as_object().ok_or("not an object")?;
    let text = |name| text(members, name);
    let kid = text("kid")?;
    if kid.is_some_and(|kid| !is_kid(kid)) {
        return Err("kid is not 1 to 128 printable ASCII characters");
    }
    if text("use")?.is_some_and(|word| word != "sig") {
        return Err("use is not sig");
    }
    if members
        .get("key_ops")
        .is_some_and(|ops| ops.as_list().is_none() || !ops.contains("verify"))
    {
        return Err("key_ops does not contain verify");
    }
    let material = match text("kty")?.ok_or("kty is missing")? {
        "RSA" => rsa(members)?,
        "EC" => ec(members)?,
        "OKP" => okp(members)?,
        "oct" => return Err("a symmetric key cannot be public"),
        _ => return Err("kty is not supported"),
    };
    let alg = match text("alg")? {
        None => None,
        Some(name) => Some(
            Algorithm::from_name(name)
                .filter(|alg| material.algorithms.contains(alg))
                .ok_or("alg does not fit the key")?,
        ),
    };
    let uses = material
        .algorithms
        .iter()
        .filter(|own| alg.is_none_or(|alg| alg == **own))
        .filter(|own| only.is_none_or(|only| only == **own))
        .map(|own| Ok((*own, (material.parse)(*own).ok_or("not a valid key")?)))
        .collect::<Result<Vec<_>, Reason>>()?;
    Ok(Key {
        kid: kid.map(Into::into),
        uses,
        signature_len: material.signature_len,
        thumbprint: material.thumbprint,
    })
}

/// What the type-specific members say.
struct Material<'a> {
    algorithms: &'static [Algorithm],
    parse: Box<dyn Fn(Algorithm) -> Option<ParsedPublicKey> + 'a>,
    signature_len: usize,
    thumbprint: Thumbprint,
}

fn rsa(members: Members<'_>) -> Result<Material<'static>, Reason> {
    let modulus = bytes(members, "n")?;
    let exponent = bytes(members, "e")?;
    // Base64urlUInt has no leading zero octets (RFC 7518 section 2); with them one key would have two thumbprints.
    let (Some(&high), Some(&low)) = (modulus.first(), modulus.last()) else {
        return Err("n is empty");
    };
    if high == 0 || exponent.first() == Some(&0) {
        return Err("n or e has leading zeros");
    }
    if low % 2 == 0 {
        return Err("n is even");
    }
    let leading = usize::try_from(high.leading_zeros()).unwrap_or(0);
    let bits = (modulus.len().saturating_mul(8)).saturating_sub(leading);
    if bits < 2048 {
        return Err("RSA key is shorter than 2048 bits");
    }
    if bits > 8192 {
        return Err("RSA key is longer than 8192 bits");
    }
    if exponent.len() > 4 {
        return Err("e is longer than 32 bits");
    }
    let e = exponent
        .iter()
        .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    if e < 65_537 || e % 2 == 0 {
        return Err("e is even or less than 65537");
    }
    let thumbprint = thumbprint(&format!(
        r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#,
        URL_SAFE_NO_PAD.encode(&exponent),
        URL_SAFE_NO_PAD.encode(&modulus),
    ));
    let signature_len = modulus.len();
    Ok(Material {
        algorithms: &[
            Algorithm::Rs256,
            Algorithm::Rs384,
            Algorithm::Rs512,
            Algorithm::Ps256,
            Algorithm::Ps384,
            Algorithm::Ps512,
        ],
        parse: Box::new(move |algorithm| {
            let components = PublicKeyComponents {
                n: &modulus,
                e: &exponent,
            };
            components
                .to_parsed_public_key(rsa_parameters(algorithm)?)
                .ok()
        }),
        signature_len,
        thumbprint,
    })
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa | Algorithm::Ed25519 => {
            return None;
        }
    })
}

fn ec(members: Members<'_>) -> Result<Material<'static>, Reason> {
    let curve = text(members, "crv")?.ok_or("crv is missing")?;
    let (algorithms, len): (&'static [Algorithm], usize) = match curve {
        "P-256" => (&[Algorithm::Es256], 32),
        "P-384" => (&[Algorithm::Es384], 48),
        _ => return Err("crv is not supported"),
    };
    let x = bytes(members, "x")?;
    let y = bytes(members, "y")?;
    // Full size of the field, always (RFC 7518 section 6.2.1.2).
    if x.len() != len || y.len() != len {
        return Err("x or y does not have the size of the curve");
    }
    let thumbprint = thumbprint(&format!(
        r#"{{"crv":"{curve}","kty":"EC","x":"{}","y":"{}"}}"#,
        URL_SAFE_NO_PAD.encode(&x),
        URL_SAFE_NO_PAD.encode(&y),
    ));
    Ok(Material {
        algorithms,
        parse: Box::new(move |algorithm| {
            let point = [&[4], x.as_slice(), y.as_slice()].concat(); // uncompressed (SEC 1 section 2.3.3)
            // Refuses points that are not on the curve.
            match algorithm {
                Algorithm::Es256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok(),
                Algorithm::Es384 => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).ok(),
                Algorithm::Rs256
                | Algorithm::Rs384
                | Algorithm::Rs512
                | Algorithm::Ps256
                | Algorithm::Ps384
                | Algorithm::Ps512
                | Algorithm::EdDsa
                | Algorithm::Ed25519 => None,
            }
        }),
        signature_len: len * 2,
        thumbprint,
    })
}

fn okp(members: Members<'_>) -> Result<Material<'static>, Reason> {
    if text(members, "crv")?.ok_or("crv is missing")? != "Ed25519" {
        return Err("crv is not supported"); // X25519 agrees on keys, it does not sign
    }
    let x = bytes(members, "x")?;
    let point =
        <[u8; 32]>::try_from(x.as_slice()).map_err(|_| "x does not have the size of the curve")?;
    check_edwards_point(point)?;
    let thumbprint = thumbprint(&format!(
        r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#,
        URL_SAFE_NO_PAD.encode(&x),
    ));
    Ok(Material {
        algorithms: &[Algorithm::EdDsa, Algorithm::Ed25519],
        parse: Box::new(move |_| ParsedPublicKey::new(&ED25519, &x).ok()),
        signature_len: 64,
        thumbprint,
    })
}

/// What the crypto library takes for a key and nobody can have made: a point that has several spellings, and one of small
/// order, under which anybody signs. For such an A the equation of RFC 8032 section 5.1.7, `[S]B = R + [h]A`, holds for an S
/// of one's choice whenever the order divides h.
fn check_edwards_point(mut point: [u8; 32]) -> Result<(), Reason> {
    /// The field's prime less one, 2^255 - 20; all numbers here are little-endian.
    const MINUS_ONE: [u8; 32] = {
        let mut bytes = [0xFF; 32];
        bytes[0] = 0xEC;
        bytes[31] = 0x7F;
        bytes
    };
    /// The y of the points whose order divides eight.
    const SMALL_ORDER: [[u8; 32]; 5] = [
        [0; 32],
        {
            let mut one = [0; 32];
            one[0] = 1;
            one
        },
        MINUS_ONE,
        [
            0x26, 0xE8, 0x95, 0x8F, 0xC2, 0xB2, 0x27, 0xB0, 0x45, 0xC3, 0xF4, 0x89, 0xF2, 0xEF,
            0x98, 0xF0, 0xD5, 0xDF, 0xAC, 0x05, 0xD3, 0xC6, 0x33, 0x39, 0xB1, 0x38, 0x02, 0x88,
            0x6D, 0x53, 0xFC, 0x05,
        ],
        [
            0xC7, 0x17, 0x6A, 0x70, 0x3D, 0x4D, 0xD8, 0x4F, 0xBA, 0x3C, 0x0B, 0x76, 0x0D, 0x10,
            0x67, 0x0F, 0x2A, 0x20, 0x53, 0xFA, 0x2C, 0x39, 0xCC, 0xC6, 0x4E, 0xC7, 0xFD, 0x77,
            0x92, 0xAC, 0x03, 0x7A,
        ],
    ];
    // The highest bit is the sign of x.
    point[31] &= 0x7F;
    if point.iter().rev().gt(MINUS_ONE.iter().rev()) {
        return Err("x is not reduced");
    }
    if SMALL_ORDER.contains(&point) {
        return Err("x has a small order");
    }
    Ok(())
}

/// An optional string member.
fn text<'a>(members: Members<'a>, name: &str) -> Result<Option<&'a str>, Reason> {
    members
        .get(name)
        .map(|value| {
            value
                .as_str()
                .ok_or("a member that must be a string is not")
        })
        .transpose()
}

/// A required base64url member, canonical: no padding, no stray trailing bits.
fn bytes(members: Members<'_>, name: &str) -> Result<Vec<u8>, Reason> {
    let text = text(members, name)?.ok_or("a member of the key is missing")?;
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| "a member of the key is not canonical base64url")
}

fn thumbprint(canonical: &str) -> Thumbprint {
    let digest = digest::digest(&digest::SHA256, canonical.as_bytes());
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    Thumbprint(bytes)
}
