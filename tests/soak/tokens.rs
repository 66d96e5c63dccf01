//! Keys and tokens, made fast: a million tokens are signed in a run.

use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
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
/// A public key that nobody has the other half of.
pub const PS512: &str = "ps512";

struct Keys {
    ed25519: Ed25519KeyPair,
    es256: EcdsaKeyPair,
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| Keys {
        ed25519: Ed25519KeyPair::generate().expect("a key"),
        es256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"),
    })
}

/// The public keys of all tokens here.
pub fn jwks() -> String {
    let Keys { ed25519, es256 } = keys();
    let (x, y) = es256.public_key().as_ref()[1..].split_at(32);
    let mut modulus = Random(1).bytes(256);
    modulus[0] |= 0x80;
    modulus[255] |= 1;
    json!({"keys": [
        {"kid": ED25519, "alg": "EdDSA", "kty": "OKP", "crv": "Ed25519", "x": b64(ed25519.public_key())},
        {"kid": ES256, "alg": "ES256", "kty": "EC", "crv": "P-256", "x": b64(x), "y": b64(y)},
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
    iat: i64,
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
        let message = self.message("EdDSA", ED25519, subject);
        let signature = keys().ed25519.sign(message.as_bytes());
        format!("{message}.{}", b64(signature))
    }

    /// A good one, signed with ES256.
    pub fn es256(&self, subject: &str) -> String {
        let message = self.message("ES256", ES256, subject);
        let signature = keys().es256.sign(&self.random, message.as_bytes());
        format!("{message}.{}", b64(signature.expect("a signature")))
    }

    /// A token whose signature is `signature`.
    pub fn forged(&self, alg: &str, kid: &str, signature: &[u8]) -> String {
        format!("{}.{}", self.message(alg, kid, "nobody"), b64(signature))
    }

    fn message(&self, alg: &str, kid: &str, subject: &str) -> String {
        let (iat, exp) = (self.iat, self.iat + 3600);
        let header = format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"at+jwt"}}"#);
        let claims = format!(
            r#"{{"iss":"{ISSUER}","sub":"{subject}","aud":"api","azp":"web","scope":"read","iat":{iat},"exp":{exp}}}"#
        );
        format!("{}.{}", b64(header), b64(claims))
    }
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
