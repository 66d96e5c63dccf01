//! Assertions: what is in them, what signs them, and that no two are the same.

use std::collections::HashSet;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;

use super::*;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const AUDIENCE: &str = "https://id.example.org/realms/dls";

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/keys/",
            $name
        ))
    };
}

const RSA: &str = fixture!("rsa-1.pem");
const RSA_1024: &str = fixture!("rsa-1024.pem");
const P256: &str = fixture!("es256-1.pem");
const P384: &str = fixture!("es384-1.pem");
const ED25519: &str = fixture!("ed25519-1.pem");

fn parse(pem: &str, wanted: Option<ClientAlgorithm>) -> Result<ClientKey, ClientKeyError> {
    ClientKey::parse(&Secret::new(pem.as_bytes().to_vec(), None), wanted)
}

/// The public half, by another library.
fn verifier(pem: &str) -> DecodingKey {
    if let Some(Some(pair)) = rsa(pem.as_bytes()) {
        use aws_lc_rs::signature::KeyPair as _;
        return DecodingKey::from_rsa_der(pair.public_key().as_ref());
    }
    let keys = SigningKeys::parse(&Secret::new(pem.as_bytes().to_vec(), None), None).unwrap();
    let public = keys.current().public().unwrap();
    let jwk = serde_json::from_value(public.jwk().clone()).unwrap();
    DecodingKey::from_jwk(&jwk).unwrap()
}

fn piece(assertion: &str, number: usize) -> Value {
    let piece = assertion.split('.').nth(number).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(piece).unwrap()).unwrap()
}

#[test]
fn a2_every_algorithm_signs_what_another_library_verifies() {
    use ClientAlgorithm::{EdDsa, Es256, Ps256, Rs256};
    for (pem, wanted, name, algorithm) in [
        (RSA, None, "PS256", Algorithm::PS256),
        (RSA, Some(Ps256), "PS256", Algorithm::PS256),
        (RSA, Some(Rs256), "RS256", Algorithm::RS256),
        (P256, None, "ES256", Algorithm::ES256),
        (P256, Some(Es256), "ES256", Algorithm::ES256),
        (ED25519, None, "EdDSA", Algorithm::EdDSA),
        (ED25519, Some(EdDsa), "EdDSA", Algorithm::EdDSA),
    ] {
        let key = parse(pem, wanted).unwrap();
        let assertion = make(&key, Some("agent-1"), "agent", AUDIENCE, NOW).unwrap();
        let mut validation = Validation::new(algorithm);
        validation.validate_exp = false;
        validation.set_audience(&[AUDIENCE]);
        let verified = jsonwebtoken::decode::<Value>(&*assertion, &verifier(pem), &validation);
        assert_eq!(verified.unwrap().claims, piece(&assertion, 1), "{name}");
        let header =
            serde_json::json!({"alg": name, "typ": "client-authentication+jwt", "kid": "agent-1"});
        assert_eq!(piece(&assertion, 0), header);
    }
}

#[test]
fn a2_an_assertion_is_for_one_server_lives_a_minute_and_is_never_made_twice() {
    let key = parse(ED25519, None).unwrap();
    let mut ids = HashSet::new();
    for _ in 0..1000 {
        let assertion = make(&key, None, "agent", AUDIENCE, NOW).unwrap();
        assert_eq!(piece(&assertion, 0).get("kid"), None);
        let mut claims = piece(&assertion, 1);
        let id = claims.as_object_mut().unwrap().remove("jti").unwrap();
        assert_eq!(id.as_str().unwrap().len(), 22, "128 bits");
        assert!(ids.insert(id), "a `jti` came twice");
        let expected = serde_json::json!({
            "iss": "agent",
            "sub": "agent",
            "aud": AUDIENCE,
            "iat": NOW.as_secs(),
            "exp": NOW.as_secs() + 60,
        });
        assert_eq!(claims, expected);
    }
}

#[test]
fn a2_keys_that_are_none_are_refused_with_words() {
    use ClientAlgorithm::{EdDsa, Es256, Rs256};
    let rows: [(&str, Option<ClientAlgorithm>, &str); 9] = [
        ("", None, "is empty"),
        ("0123456789abcdef0123456789abcdef", None, "is not valid PEM"),
        (
            P384,
            None,
            "holds a private key that is neither on P-256 (ES256) nor Ed25519 (EdDSA), or is broken",
        ),
        (
            RSA_1024,
            None,
            "holds an RSA key of less than 2048 bits, or a broken one",
        ),
        (
            RSA,
            Some(Es256),
            "holds an RSA key (RS256, PS256), but the algorithm is ES256",
        ),
        (
            P256,
            Some(Rs256),
            "holds a P-256 key (ES256), but the algorithm is RS256",
        ),
        (
            ED25519,
            Some(Rs256),
            "holds an Ed25519 key (EdDSA), but the algorithm is RS256",
        ),
        (
            P256,
            Some(EdDsa),
            "holds a key for ES256, but the algorithm is EdDSA",
        ),
        (
            "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n",
            None,
            "holds no private key",
        ),
    ];
    for (pem, wanted, expected) in rows {
        let error = parse(pem, wanted).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a2_a_key_is_shown_nowhere() {
    let shown = format!("{:?}", parse(P256, None).unwrap());
    assert_eq!(shown, "ClientKey { algorithm: Es256, .. }");
}

#[test]
fn a2_a_projected_token_is_read_as_it_is_now() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("token");
    let said = |text: Option<&str>| {
        match text {
            Some(text) => std::fs::write(&path, text).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        read(&path)
            .map(|token| (*token).clone())
            .map_err(|error| error.to_string())
    };
    assert_eq!(said(Some("a.b.c\n")).as_deref(), Ok("a.b.c"));
    assert_eq!(said(Some("d.e.f")).as_deref(), Ok("d.e.f"));
    for (text, reason) in [
        (Some(""), "is empty"),
        (Some(" \n"), "is empty"),
        (Some("a b"), "has no token in it"),
        (Some("a\n\nb"), "has no token in it"),
        (Some(&*"a".repeat(FILE_BYTES + 1)), "has no token in it"),
        (None, "no such file"),
    ] {
        assert_eq!(said(text), Err(format!("client assertion file: {reason}")));
    }
}
