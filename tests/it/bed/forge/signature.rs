//! Signatures of forgers.

use crate::bed::keys::{self, b64};

pub(super) fn hmac(bits: &str, secret: &[u8], message: &[u8]) -> Vec<u8> {
    use aws_lc_rs::hmac::{HMAC_SHA256, HMAC_SHA384, HMAC_SHA512, Key, sign};
    let algorithm = match bits {
        "256" => HMAC_SHA256,
        "384" => HMAC_SHA384,
        _ => HMAC_SHA512,
    };
    sign(&Key::new(algorithm, secret), message)
        .as_ref()
        .to_vec()
}

/// What somebody who knows the public key `rsa-1` alone may take for a secret.
#[track_caller]
pub(super) fn secret(what: &str) -> Vec<u8> {
    use base64::Engine;
    // SEQUENCE { SEQUENCE { OID rsaEncryption, NULL }, BIT STRING { RSAPublicKey } } of a 2048-bit key.
    let spki = || {
        let head = "30820122300d06092a864886f70d01010105000382010f00";
        let mut der = unhex(head);
        der.extend(keys::RSA_1.public_bytes());
        der
    };
    let pem = |name: &str, der: &[u8]| {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        let lines: Vec<&str> = text
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).expect("ASCII"))
            .collect();
        format!(
            "-----BEGIN {name}-----\n{}\n-----END {name}-----\n",
            lines.join("\n")
        )
        .into_bytes()
    };
    let trimmed = |mut pem: Vec<u8>| {
        pem.pop();
        pem
    };
    match what {
        "nothing" => Vec::new(),
        "the PKCS #1 DER" => keys::RSA_1.public_bytes(),
        "the SPKI DER" => spki(),
        "the PKCS #1 PEM" => pem("RSA PUBLIC KEY", &keys::RSA_1.public_bytes()),
        "the SPKI PEM" => pem("PUBLIC KEY", &spki()),
        "the SPKI PEM without its last line end" => trimmed(pem("PUBLIC KEY", &spki())),
        "the JWK" => keys::RSA_1.jwk().to_string().into_bytes(),
        "the modulus" => keys::RSA_1.rsa_numbers().0,
        "the modulus as base64url" => b64(keys::RSA_1.rsa_numbers().0).into_bytes(),
        "the point" => keys::ES256_1.public_bytes(),
        "a shared secret" => b"a shared secret".to_vec(),
        _ => panic!("{what}?"),
    }
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("ASCII");
            u8::from_str_radix(pair, 16).expect("hexadecimal")
        })
        .collect()
}

/// Orders of P-256 and (as little-endian) of Ed25519's base point.
const P256_ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
const ED25519_ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

/// Another signature made of a good one.
#[track_caller]
pub(super) fn changed(signature: &[u8], what: &str) -> Vec<u8> {
    let mut new = signature.to_vec();
    let half = new.len() / 2;
    if let Some(count) = what.strip_prefix("zeros ") {
        return vec![0; count.parse().expect("a number")];
    }
    if let Some(bit) = what.strip_prefix("flip ") {
        let bit: usize = bit.parse::<usize>().expect("a bit") % (new.len() * 8);
        new[bit / 8] ^= 1 << (bit % 8);
        return new;
    }
    match what {
        "none" => new.clear(),
        "first byte off" => drop(new.remove(0)),
        "last byte off" => drop(new.pop()),
        "zero before" => new.insert(0, 0),
        "zero after" => new.push(0),
        "twice" => new.extend_from_slice(signature),
        "ones" => new.fill(0xFF),
        "r zero" => new[..half].fill(0),
        "s zero" => new[half..].fill(0),
        "r one, s one" => {
            new.fill(0);
            (new[half - 1], new[half * 2 - 1]) = (1, 1);
        }
        "r and s the order" => {
            new = [unhex(P256_ORDER), unhex(P256_ORDER)].concat();
        }
        "halves swapped" => new.rotate_left(half),
        // The other of the two that always hold for ECDSA.
        "high s" => {
            let mut borrow = 0;
            for (byte, order) in new[half..].iter_mut().zip(unhex(P256_ORDER)).rev() {
                let difference = i32::from(order) - i32::from(*byte) - borrow;
                borrow = i32::from(difference < 0);
                *byte = u8::try_from(difference.rem_euclid(256)).expect("a byte");
            }
        }
        // RFC 8032 section 5.1.7 wants it below the order; with it added, a verifier that does not look takes it.
        "s plus the order" => {
            let mut carry = 0;
            for (byte, order) in new[half..].iter_mut().zip(unhex(ED25519_ORDER)) {
                let sum = u32::from(*byte) + u32::from(order) + carry;
                carry = sum / 256;
                *byte = u8::try_from(sum % 256).expect("a byte");
            }
        }
        "as DER" => new = der_of(signature),
        _ => panic!("{what}?"),
    }
    new
}

/// `SEQUENCE { INTEGER r, INTEGER s }` of r and s side by side.
fn der_of(signature: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for half in signature.chunks(signature.len() / 2) {
        let number: Vec<u8> = half.iter().copied().skip_while(|byte| *byte == 0).collect();
        let sign = number.first().is_none_or(|byte| *byte >= 0x80);
        body.extend([
            2,
            u8::try_from(number.len()).expect("short") + u8::from(sign),
        ]);
        body.extend(sign.then_some(0));
        body.extend(number);
    }
    let mut der = vec![0x30, u8::try_from(body.len()).expect("short")];
    der.extend(body);
    der
}
