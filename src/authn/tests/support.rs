//! Keys, tokens and issuers for tests of this crate.

#![expect(
    clippy::needless_pass_by_value,
    reason = "call sites pass literals of json!"
)]

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::authn::*;
use crate::clock::{Now, Tick, UnixTime};

/// When tests happen.
pub(crate) const NOW: i64 = 1_790_000_000;
pub(crate) const ISS: &str = "https://idp.example.org/realms/dls";

pub(crate) fn at(seconds: i64) -> Now {
    Now {
        unix: UnixTime::from_secs(seconds),
        tick: Tick::default(),
    }
}

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key pair of a test issuer.
pub(crate) enum TestKey {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

macro_rules! once {
    ($name:ident, $make:expr) => {
        pub(crate) fn $name() -> &'static TestKey {
            static KEY: OnceLock<TestKey> = OnceLock::new();
            KEY.get_or_init(|| $make)
        }
    };
}

once!(
    rsa,
    TestKey::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
);
once!(
    other_rsa,
    TestKey::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
);
once!(
    p256,
    TestKey::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
);
once!(
    p384,
    TestKey::P384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap())
);
once!(
    ed25519,
    TestKey::Ed25519(Ed25519KeyPair::generate().unwrap())
);

impl TestKey {
    /// The JWK without `kid`, `alg` and `use`.
    pub(crate) fn jwk(&self) -> Value {
        match self {
            // RSAPublicKey of a 2048 bit key with e = 65537 (RFC 8017 appendix A.1.1): all lengths are known.
            Self::Rsa(pair) => {
                let der = pair.public_key().as_ref();
                assert_eq!(der.len(), 270);
                json!({"kty": "RSA", "n": b64(&der[9..265]), "e": "AQAB"})
            }
            Self::P256(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..])})
            }
            Self::P384(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-384", "x": b64(&point[1..49]), "y": b64(&point[49..])})
            }
            Self::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key())})
            }
        }
    }

    /// The JWK with `more` members.
    pub(crate) fn jwk_with(&self, more: Value) -> Value {
        let mut jwk = self.jwk();
        jwk.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        jwk
    }

    /// A signature as `alg` wants it; the key decides where `alg` does not fit.
    pub(crate) fn sign(&self, alg: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let encoding: &dyn signature::RsaEncoding = match alg {
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    "PS512" => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut out).unwrap();
                out
            }
            Self::P256(pair) | Self::P384(pair) => {
                pair.sign(&random, message).unwrap().as_ref().to_vec()
            }
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A token of these very texts.
    pub(crate) fn token_of(&self, alg: &str, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", b64(header), b64(payload));
        let signature = self.sign(alg, signed.as_bytes());
        format!("{signed}.{}", b64(signature))
    }

    /// An RS256 token of kid `k1`.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_of(
            "RS256",
            r#"{"alg":"RS256","kid":"k1"}"#,
            &claims.to_string(),
        )
    }
}

pub(crate) fn jwks(keys: &[Value]) -> Vec<u8> {
    json!({ "keys": keys }).to_string().into_bytes()
}

pub(crate) fn cell(keys: &[Value]) -> Arc<KeyCell> {
    let cell = KeyCell::default();
    cell.store(KeyState::Usable(KeySet::parse(&jwks(keys)).unwrap().0));
    Arc::new(cell)
}

/// The set of the default issuer: the RSA key as `k1`.
pub(crate) fn rsa_cell() -> Arc<KeyCell> {
    cell(&[rsa().jwk_with(json!({"kid": "k1", "alg": "RS256", "use": "sig"}))])
}

/// An issuer as `dls` of the examples: RS256, audience `api`, everything else as by default.
pub(crate) fn settings() -> IssuerSettings {
    IssuerSettings {
        name: "dls".into(),
        issuers: vec![ISS.to_owned()],
        audiences: Audiences::AnyOf(vec!["api".to_owned()]),
        clients: None,
        algorithms: vec![Algorithm::Rs256],
        leeway: Duration::from_secs(60),
        required_claims: vec!["exp".to_owned(), "sub".to_owned()],
        token_types: vec!["at+jwt".to_owned(), "jwt".to_owned(), String::new()],
        max_lifetime: None,
        kubernetes: false,
        claim_mappings: ClaimMappings::default(),
        scope_implies: BTreeMap::new(),
        key_id: KeyIdRule::Required,
        token_sources: TokenSources::default(),
        token_bytes: 16 * 1024,
        dpop: None,
    }
}

/// Claims that the default issuer accepts.
pub(crate) fn claims() -> Value {
    json!({"iss": ISS, "aud": "api", "sub": "alice", "exp": NOW + 300, "iat": NOW})
}

/// [`claims`] with members replaced; `null` removes one.
pub(crate) fn claims_with(more: Value) -> Value {
    let mut claims = claims();
    let members = claims.as_object_mut().unwrap();
    for (name, value) in more.as_object().unwrap() {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    claims
}

pub(crate) fn issuers(list: Vec<IssuerSettings>) -> Issuers {
    Issuers::new(
        list.into_iter()
            .map(|settings| Arc::new(Issuer::new(settings, rsa_cell())))
            .collect(),
    )
}

/// A verified token of `claims`, which must hold for `settings` but for the signature, now.
pub(crate) fn verified(settings: IssuerSettings, claims: &Value) -> Rc<Verified> {
    let issuers = issuers(vec![settings]);
    let mut cache = TokenCache::new(0);
    let origin = Origin {
        source: Source::Bearer,
        issuer: None,
        reviews: &[],
    };
    let token = rsa().token(claims);
    verify::verify(token.as_bytes(), origin, &issuers, &mut cache, at(NOW)).unwrap()
}
