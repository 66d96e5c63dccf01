//! Keys of the test issuers, from `tests/fixtures/keys`.

use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A signing key and its public JWK.
pub struct Key {
    /// The key id that the issuer publishes.
    pub kid: &'static str,
    /// The algorithm it signs with unless told otherwise.
    pub alg: &'static str,
    pem: &'static str,
    pair: OnceLock<Pair>,
}

macro_rules! keys {
    ($($name:ident $kid:literal $alg:literal $file:literal;)*) => {
        $(pub static $name: Key = Key {
            kid: $kid,
            alg: $alg,
            pem: include_str!(concat!("../../fixtures/keys/", $file)),
            pair: OnceLock::new(),
        };)*
    };
}

keys! {
    RSA_1 "rsa-1" "RS256" "rsa-1.pem";
    RSA_2 "rsa-2" "RS256" "rsa-2.pem";
    PS_1 "ps-1" "PS256" "rsa-2.pem";
    ES256_1 "es256-1" "ES256" "es256-1.pem";
    ES384_1 "es384-1" "ES384" "es384-1.pem";
    ED25519_1 "ed25519-1" "EdDSA" "ed25519-1.pem";
}

/// DER of a PEM text.
pub fn der(pem: &str) -> Vec<u8> {
    let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .expect("PEM")
}

/// Base64url without padding.
pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The contents of the DER element at the start of `bytes`, and what follows it.
pub fn element(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (length, at) = match bytes[1] {
        short @ 0..=0x7f => (short as usize, 2),
        long => {
            let count = (long & 0x7f) as usize;
            let length = bytes[2..2 + count]
                .iter()
                .fold(0, |length, byte| (length << 8) | *byte as usize);
            (length, 2 + count)
        }
    };
    (&bytes[at..at + length], &bytes[at + length..])
}

impl Key {
    /// The private key, PKCS #8.
    pub const fn pem(&self) -> &'static str {
        self.pem
    }

    fn pair(&self) -> &Pair {
        self.pair.get_or_init(|| {
            super::secrets::learn_key("a key of an issuer", self.pem);
            let der = der(self.pem);
            match self.alg {
                "ES256" => Pair::Ecdsa(
                    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der)
                        .expect("P-256 key"),
                ),
                "ES384" => Pair::Ecdsa(
                    EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &der)
                        .expect("P-384 key"),
                ),
                "EdDSA" => Pair::Ed25519(
                    Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).expect("Ed25519 key"),
                ),
                _ => Pair::Rsa(RsaKeyPair::from_pkcs8(&der).expect("RSA key")),
            }
        })
    }

    /// Modulus and exponent of an RSA key, without leading zeros.
    pub fn rsa_numbers(&self) -> (Vec<u8>, Vec<u8>) {
        let Pair::Rsa(pair) = self.pair() else {
            panic!("not an RSA key")
        };
        let (sequence, _) = element(pair.public_key().as_ref());
        let (n, rest) = element(sequence);
        let (e, _) = element(rest);
        let trim = |number: &[u8]| -> Vec<u8> {
            number
                .iter()
                .copied()
                .skip_while(|byte| *byte == 0)
                .collect()
        };
        (trim(n), trim(e))
    }

    /// The public key's DER (PKCS #1 for RSA) or raw bytes.
    pub fn public_bytes(&self) -> Vec<u8> {
        match self.pair() {
            Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ecdsa(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// The public JWK, with `kid`, `alg` and `use`.
    pub fn jwk(&self) -> Value {
        let mut jwk = match self.pair() {
            Pair::Rsa(_) => {
                let (n, e) = self.rsa_numbers();
                json!({"kty": "RSA", "n": b64(n), "e": b64(e)})
            }
            Pair::Ecdsa(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = point[1..].split_at((point.len() - 1) / 2);
                let crv = if self.alg == "ES256" {
                    "P-256"
                } else {
                    "P-384"
                };
                json!({"kty": "EC", "crv": crv, "x": b64(x), "y": b64(y)})
            }
            Pair::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key().as_ref())})
            }
        };
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.alg);
        jwk["use"] = json!("sig");
        jwk
    }

    /// Signs as `alg` says, which need not be the key's own algorithm.
    pub fn sign(&self, alg: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self.pair() {
            Pair::Rsa(pair) => {
                let padding: &dyn aws_lc_rs::signature::RsaEncoding = match alg {
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature)
                    .expect("RSA signature");
                signature
            }
            Pair::Ecdsa(pair) => pair
                .sign(&random, message)
                .expect("ECDSA signature")
                .as_ref()
                .to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}
