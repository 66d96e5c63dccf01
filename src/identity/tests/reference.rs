//! A verifier as an upstream would write it, from `docs/identity.md` and the RFCs alone, and what it refuses.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::JwkSet;

use super::*;

fn part(token: &HeaderValue, at: usize) -> Value {
    let part = token.to_str().unwrap().split('.').nth(at).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

pub(super) fn header(token: &HeaderValue) -> Value {
    part(token, 0)
}

pub(super) fn payload(token: &HeaderValue) -> Value {
    part(token, 1)
}

/// The claims of an assertion that holds at `now`.
pub(super) fn assertion(
    token: &HeaderValue,
    jwks: &Value,
    now: UnixTime,
) -> Result<Value, &'static str> {
    let token = token.to_str().map_err(|_| "not text")?;
    let header = jsonwebtoken::decode_header(token).map_err(|_| "header")?;
    if header.typ.as_deref() != Some(TOKEN_TYPE) {
        return Err("typ");
    }
    let set: JwkSet = serde_json::from_value(jwks.clone()).unwrap();
    let jwk = header
        .kid
        .and_then(|kid| set.find(&kid).cloned())
        .ok_or("kid")?;
    let algorithm = match jwk.common.key_algorithm {
        Some(jsonwebtoken::jwk::KeyAlgorithm::ES256) => jsonwebtoken::Algorithm::ES256,
        Some(jsonwebtoken::jwk::KeyAlgorithm::EdDSA) => jsonwebtoken::Algorithm::EdDSA,
        _ => return Err("alg"),
    };
    let mut rules = jsonwebtoken::Validation::new(algorithm);
    rules.set_audience(&["usage-api"]);
    rules.set_issuer(&["countersign"]);
    rules.set_required_spec_claims(&["iss", "aud", "exp"]);
    rules.validate_exp = false;
    let key = jsonwebtoken::DecodingKey::from_jwk(&jwk).map_err(|_| "key")?;
    let claims = jsonwebtoken::decode::<Value>(token, &key, &rules)
        .map_err(|_| "signature")?
        .claims;
    match claims["exp"].as_i64() {
        Some(end) if now.as_secs() < end => Ok(claims),
        _ => Err("expired"),
    }
}

/// What an upstream received.
#[derive(Clone)]
struct Received {
    method: &'static str,
    target: &'static str,
    authority: &'static str,
    headers: HeaderMap,
}

impl Received {
    fn of(asked: &Asked, identity: &Identity) -> Self {
        Self {
            method: asked.method,
            target: asked.target,
            authority: "Api.example.org:8080",
            headers: asked.headers(identity, NOW),
        }
    }
}

/// Reserved names that are there must have this value; the rest must be absent.
fn bound(received: &Received, jwks: &Value, now: UnixTime) -> Result<(), &'static str> {
    let token = received.headers.get("x-auth-assertion").ok_or("unsigned")?;
    let claims = assertion(token, jwks, now)?;
    let request = &claims["req"];
    if request["method"] != received.method {
        return Err("method");
    }
    if request["target"] != received.target {
        return Err("target");
    }
    if request["authority"] != received.authority {
        return Err("authority");
    }
    for (name, value) in request["headers"].as_object().ok_or("headers")? {
        let mut all = received.headers.get_all(name).iter();
        let first = all.next().map(|v| v.to_str().unwrap());
        if first != value.as_str() || all.next().is_some() {
            return Err("header");
        }
    }
    Ok(())
}

/// RFC 9421 section 3.2, for the components that we cover.
#[expect(clippy::too_many_lines, reason = "read beside the RFC, top to bottom")]
fn signed(
    received: &Received,
    key: &SigningKey,
    reserved: &[HeaderName],
    now: UnixTime,
) -> Result<(), &'static str> {
    let field = |name: &str| {
        let mut all = received.headers.get_all(name).iter();
        match (all.next(), all.next()) {
            (Some(one), None) => Ok(one.to_str().unwrap()),
            (None, _) => Err("missing"),
            _ => Err("repeated"),
        }
    };
    let input = field("signature-input")?
        .strip_prefix("countersign=")
        .ok_or("label")?;
    let (covered, parameters) = input
        .strip_prefix('(')
        .and_then(|r| r.split_once(')'))
        .ok_or("input")?;
    let covered: Vec<&str> = covered.split(' ').map(|c| c.trim_matches('"')).collect();
    let parameter = |name: &str| {
        let found = parameters
            .split(';')
            .find_map(|p| p.strip_prefix(name)?.strip_prefix('='));
        found
            .map(|value| value.trim_matches('"'))
            .ok_or("parameter")
    };
    for name in ["@method", "@authority", "@request-target"] {
        if !covered.contains(&name) {
            return Err("not covered");
        }
    }
    for name in reserved {
        let ours = [
            HeaderName::from_static("signature"),
            HeaderName::from_static("signature-input"),
        ];
        let there = received.headers.contains_key(name) && !ours.contains(name);
        if there && !covered.contains(&name.as_str()) {
            return Err("uncovered header");
        }
    }
    fresh(&parameter, key, now)?;
    let mut base = String::new();
    for name in &covered {
        let value = match *name {
            "@method" => received.method.to_owned(),
            "@authority" => received.authority.to_ascii_lowercase(),
            "@request-target" => received.target.to_owned(),
            name => field(name)?.to_owned(),
        };
        base.push_str(&format!("\"{name}\": {value}\n"));
    }
    base.push_str(&format!("\"@signature-params\": {input}"));
    let signature = field("signature")?;
    let signature = signature
        .strip_prefix("countersign=:")
        .and_then(|s| s.strip_suffix(':'))
        .ok_or("label")?;
    let signature = STANDARD.decode(signature).map_err(|_| "signature")?;
    if key.verify(base.as_bytes(), &signature) {
        Ok(())
    } else {
        Err("signature")
    }
}

/// Time, key, purpose.
fn fresh<'a>(
    parameter: &impl Fn(&str) -> Result<&'a str, &'static str>,
    key: &SigningKey,
    now: UnixTime,
) -> Result<(), &'static str> {
    let created: i64 = parameter("created")?.parse().unwrap();
    let expires: i64 = parameter("expires")?.parse().unwrap();
    if !(created..expires).contains(&now.as_secs()) || expires - created > 30 {
        return Err("expired");
    }
    if parameter("keyid")? != key.id() {
        return Err("kid");
    }
    if parameter("tag")? != TAG || parameter("nonce")?.len() != 22 {
        return Err("parameter");
    }
    Ok(())
}

type Change = fn(&mut Received);

const CHANGES: &[(&str, Change)] = &[
    ("target", |r| r.target = "/api/accounts/acme/usage?from=2"),
    ("path", |r| r.target = "/api/accounts/other/usage?from=1"),
    ("method", |r| r.method = "DELETE"),
    ("authority", |r| r.authority = "api.example.com:8080"),
    ("port", |r| r.authority = "Api.example.org"),
    ("removed header", |r| {
        drop(r.headers.remove("x-auth-subject"))
    }),
    ("added header", |r| {
        drop(
            r.headers
                .insert("x-auth-account", HeaderValue::from_static("acme")),
        )
    }),
    ("changed header", |r| {
        drop(
            r.headers
                .insert("x-auth-subject", HeaderValue::from_static("bob")),
        )
    }),
    ("repeated header", |r| {
        r.headers
            .append("x-auth-subject", HeaderValue::from_static("alice"));
    }),
    ("swapped headers", |r| {
        let client = r.headers.remove("x-auth-client").unwrap();
        let subject = r.headers.insert("x-auth-subject", client).unwrap();
        r.headers.insert("x-auth-client", subject);
    }),
    ("unsigned", |r| {
        r.headers.remove("x-auth-assertion");
        r.headers.remove("signature");
    }),
];

#[test]
fn invariant_22_a_bound_assertion_is_good_for_its_request_alone() {
    let bind = Binding {
        method: true,
        target: true,
        authority: true,
    };
    for algorithm in [SigningAlgorithm::Es256, SigningAlgorithm::EdDsa] {
        let settings = IdentitySettings {
            assertion: Some(super::assertion(algorithm, bind)),
            ..settings()
        };
        let identity = Identity::new(settings, 1).unwrap();
        let jwks = identity.jwks(NOW);
        let asked = Asked::by(Principal::Known(alice()));
        let received = Received::of(&asked, &identity);
        assert_eq!(bound(&received, &jwks, NOW), Ok(()));
        assert_eq!(bound(&received, &jwks, NOW.plus(59)), Ok(()));
        assert_eq!(bound(&received, &jwks, NOW.plus(60)), Err("expired"));
        for (what, change) in CHANGES {
            let mut changed = received.clone();
            change(&mut changed);
            assert!(bound(&changed, &jwks, NOW).is_err(), "{what}");
        }
        let stranger = SigningKeys::generate(algorithm).unwrap().jwks(NOW);
        assert_eq!(bound(&received, &stranger, NOW), Err("kid"));

        let again = Received::of(&asked, &identity);
        let id = |r: &Received| payload(&r.headers["x-auth-assertion"])["jti"].clone();
        assert_ne!(id(&received), id(&again), "a verifier can remember ids");
    }
}

#[test]
fn a_bound_assertion_covers_what_is_listed_and_the_headers() {
    let method_only = Binding {
        method: true,
        ..Binding::NONE
    };
    let settings = IdentitySettings {
        assertion: Some(super::assertion(SigningAlgorithm::Es256, method_only)),
        ..settings()
    };
    let identity = Identity::new(settings, 1).unwrap();
    for (principal, subject) in [
        (Principal::Known(alice()), json!("alice")),
        (Principal::Anonymous, Value::Null),
    ] {
        let headers = Asked::by(principal).headers(&identity, NOW);
        let request = payload(&headers["x-auth-assertion"])["req"].clone();
        let mut members: Vec<_> = request.as_object().unwrap().keys().cloned().collect();
        members.sort();
        assert_eq!(members, ["headers", "method"]);
        assert_eq!(request["headers"]["x-auth-subject"], subject);
        assert_eq!(request["headers"].as_object().unwrap().len(), 7);
    }
}

#[test]
fn invariant_22_a_message_signature_covers_the_request_and_its_identity() {
    for algorithm in [
        SigningAlgorithm::Es256,
        SigningAlgorithm::EdDsa,
        SigningAlgorithm::Hs256,
    ] {
        let settings = IdentitySettings {
            signature: Some(signature(algorithm)),
            ..settings()
        };
        let identity = Identity::new(settings, 1).unwrap();
        let key = identity.signature_keys().unwrap().current();
        let reserved = identity.reserved();
        let received = Received::of(&Asked::by(Principal::Known(alice())), &identity);
        assert_eq!(signed(&received, key, &reserved, NOW), Ok(()));
        assert_eq!(signed(&received, key, &reserved, NOW.plus(29)), Ok(()));
        assert_eq!(
            signed(&received, key, &reserved, NOW.plus(30)),
            Err("expired")
        );
        for (what, change) in CHANGES {
            let mut changed = received.clone();
            change(&mut changed);
            assert!(signed(&changed, key, &reserved, NOW).is_err(), "{what}");
        }
        let stranger = SigningKey::generate(algorithm).unwrap();
        assert_eq!(signed(&received, &stranger, &reserved, NOW), Err("kid"));
    }
}

/// The assertion is an identity header like the others when both are configured.
#[test]
fn a_message_signature_covers_the_assertion() {
    let settings = IdentitySettings {
        assertion: Some(super::assertion(SigningAlgorithm::Hs256, Binding::NONE)),
        signature: Some(signature(SigningAlgorithm::EdDsa)),
        ..settings()
    };
    let identity = Identity::new(settings, 1).unwrap();
    let key = identity.signature_keys().unwrap().current();
    let received = Received::of(&Asked::by(Principal::Known(alice())), &identity);
    assert_eq!(signed(&received, key, &identity.reserved(), NOW), Ok(()));
    let mut without = received.clone();
    without.headers.remove("x-auth-assertion");
    assert!(signed(&without, key, &identity.reserved(), NOW).is_err());
    assert!(
        bound(&received, &identity.jwks(NOW), NOW).is_err(),
        "a shared secret is in no key set"
    );
}

/// The primitives themselves, without our own verifying.
#[test]
fn signatures_are_what_the_algorithms_name() {
    let public = |key: &SigningKey, member: &str| {
        let jwk = key.public().unwrap();
        URL_SAFE_NO_PAD
            .decode(jwk.jwk()[member].as_str().unwrap())
            .unwrap()
    };
    let ed = SigningKey::generate(SigningAlgorithm::EdDsa).unwrap();
    let made = ed.sign(b"m").unwrap();
    assert!(
        UnparsedPublicKey::new(&ED25519, public(&ed, "x"))
            .verify(b"m", made.as_ref())
            .is_ok()
    );
    let es = SigningKey::generate(SigningAlgorithm::Es256).unwrap();
    let made = es.sign(b"m").unwrap();
    assert_eq!(made.as_ref().len(), 64);
    let point = [vec![4], public(&es, "x"), public(&es, "y")].concat();
    assert!(
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(b"m", made.as_ref())
            .is_ok()
    );
    let secret = b"a shared secret of thirty-two by";
    let keys =
        SigningKeys::parse(&crate::config::Secret::new(secret.to_vec(), None), None).unwrap();
    let made = keys.current().sign(b"m").unwrap();
    let hs = hmac::Key::new(hmac::HMAC_SHA256, secret);
    assert!(hmac::verify(&hs, b"m", made.as_ref()).is_ok());
}
