//! Keys and tokens, made fast: a million tokens are signed in a run.

use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign::clock::Clock;
use serde_json::json;

/// The issuer of all tokens here.
pub const ISSUER: &str = "https://id.example.org";

/// The keys of this process, by their `kid`.
pub const ED25519: &str = "ed25519";
pub const ES256: &str = "es256";
pub const RS256: &str = "rs256";
/// A public key that nobody has the other half of.
pub const PS512: &str = "ps512";

struct Keys {
    ed25519: Ed25519KeyPair,
    es256: EcdsaKeyPair,
    rs256: RsaKeyPair,
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| Keys {
        ed25519: Ed25519KeyPair::generate().expect("a key"),
        es256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"),
        rs256: RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"),
    })
}

/// The public keys of all tokens here.
pub fn jwks() -> String {
    let Keys {
        ed25519,
        es256,
        rs256,
    } = keys();
    let rsa = rs256.public_key();
    let (n, e) = (rsa.modulus(), rsa.exponent());
    let (n, e) = (
        n.big_endian_without_leading_zero(),
        e.big_endian_without_leading_zero(),
    );
    let (x, y) = es256.public_key().as_ref()[1..].split_at(32);
    let mut modulus = Random(1).bytes(256);
    modulus[0] |= 0x80;
    modulus[255] |= 1;
    json!({"keys": [
        {"kid": ED25519, "alg": "EdDSA", "kty": "OKP", "crv": "Ed25519", "x": b64(ed25519.public_key())},
        {"kid": ES256, "alg": "ES256", "kty": "EC", "crv": "P-256", "x": b64(x), "y": b64(y)},
        {"kid": RS256, "alg": "RS256", "kty": "RSA", "n": b64(n), "e": b64(e)},
        {"kid": PS512, "alg": "PS512", "kty": "RSA", "n": b64(modulus), "e": "AQAB"},
    ]})
    .to_string()
}

/// Base64url without padding.
pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Makes tokens that are good for an hour.
pub struct Maker {
    pub iat: i64,
    random: SystemRandom,
}

impl Maker {
    pub fn new() -> Self {
        Self {
            iat: Clock::system().now().unix.as_secs(),
            random: SystemRandom::new(),
        }
    }

    /// A good token of this subject, signed with Ed25519: the cheapest of all.
    pub fn of(&self, subject: &str) -> String {
        self.signed(ED25519, &self.claims(subject))
    }

    /// A good one, signed with ES256.
    pub fn es256(&self, subject: &str) -> String {
        self.signed(ES256, &self.claims(subject))
    }

    /// A token of these claims, signed by the key of this name.
    pub fn signed(&self, kid: &str, claims: &str) -> String {
        let Keys {
            ed25519,
            es256,
            rs256,
        } = keys();
        let alg = match kid {
            ED25519 => "EdDSA",
            ES256 => "ES256",
            RS256 => "RS256",
            _ => panic!("nobody has the key {kid}"),
        };
        let message = message(alg, kid, claims);
        let signature = match kid {
            ED25519 => b64(ed25519.sign(message.as_bytes())),
            ES256 => b64(es256
                .sign(&self.random, message.as_bytes())
                .expect("a signature")),
            _ => {
                let mut signature = vec![0; rs256.public_modulus_len()];
                rs256
                    .sign(
                        &RSA_PKCS1_SHA256,
                        &self.random,
                        message.as_bytes(),
                        &mut signature,
                    )
                    .expect("a signature");
                b64(signature)
            }
        };
        format!("{message}.{signature}")
    }

    /// A token whose signature is `signature`.
    pub fn forged(&self, alg: &str, kid: &str, signature: &[u8]) -> String {
        let message = message(alg, kid, &self.claims("nobody"));
        format!("{message}.{}", b64(signature))
    }

    fn claims(&self, subject: &str) -> String {
        let (iat, exp) = (self.iat, self.iat + 3600);
        format!(
            r#"{{"iss":"{ISSUER}","sub":"{subject}","aud":"api","azp":"web","scope":"read","iat":{iat},"exp":{exp}}}"#
        )
    }
}

fn message(alg: &str, kid: &str, claims: &str) -> String {
    let header = format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"at+jwt"}}"#);
    format!("{}.{}", b64(header), b64(claims))
}

/// Numbers that look random and are the same in every run (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub const fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}
