//! Invariants 22 and 23: what the upstream is told about the caller comes from us alone, and cannot be moved.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::bed::standard::standard;
use crate::bed::{
    Bed, Captured, Request, START, Setup, Variant, assert_forwarded, refused_everywhere,
};

const BOUND: &str = "
identity:
  headers: {x-auth-subject: subject, x-auth-scopes: scopes}
  assertion: {header: x-auth-assertion, issuer: countersign, audience: api, lifetime: 60s, bind: [method, target, authority]}
callers: {web: {issuer: main}}
routes:
  - {path: /health, allow: anyone}
  - {path: /**, allow: web}
";

fn verified(bed: &Bed, assertion: &str) -> Value {
    verified_for(bed, assertion, "api")
}

/// The claims of an assertion that verifies with the keys that the proxy publishes.
#[track_caller]
pub fn verified_for(bed: &Bed, assertion: &str, audience: &str) -> Value {
    use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
    let header = decode_header(assertion).expect("a header");
    let keys = bed
        .proxy
        .admin_get("/.well-known/jwks.json")
        .expect(200)
        .json();
    let jwk = keys["keys"]
        .as_array()
        .expect("keys")
        .iter()
        .find(|key| key["kid"].as_str() == header.kid.as_deref())
        .expect("the published key");
    let key =
        DecodingKey::from_jwk(&serde_json::from_value(jwk.clone()).expect("a JWK")).expect("a key");
    let mut validation = Validation::new(header.alg);
    validation.validate_exp = false;
    validation.set_audience(&[audience]);
    validation.set_issuer(&["countersign"]);
    decode::<Value>(assertion, &key, &validation)
        .expect("a good assertion")
        .claims
}

#[test]
fn invariant_22_the_assertion_verifies_and_a_bound_one_is_good_for_one_request() {
    let bed = Setup::new(BOUND).start();
    let token = bed.token().sign();
    let mut all = std::collections::BTreeSet::new();
    for (method, target, host) in [
        ("GET", "/a?x=1", "api.test"),
        ("GET", "/b", "api.test"),
        ("POST", "/a?x=1", "api.test"),
        ("GET", "/a?x=1", "other.test"),
    ] {
        let request = Request::new(method, target).host(host).bearer(&token);
        let seen = assert_forwarded(&bed, Variant::PLAIN, &request);
        let assertion = seen
            .header("x-auth-assertion")
            .expect("an assertion")
            .to_owned();
        let claims = verified(&bed, &assertion);
        assert_eq!(claims["sub"], "alice");
        assert_eq!(claims["iss"], "countersign");
        let now = START;
        let exp = claims["exp"].as_i64().expect("exp");
        assert!(exp > now && exp <= now + 60, "{claims}");
        let text = claims.to_string();
        assert!(text.contains(method), "{text}");
        assert!(all.insert(assertion), "each request has its own assertion");
    }
    let first = all.first().expect("an assertion").clone();
    let (message, _) = first.rsplit_once('.').expect("three parts");
    let other = all
        .last()
        .expect("another")
        .rsplit_once('.')
        .expect("three parts")
        .1;
    let keys = bed.proxy.admin_get("/.well-known/jwks.json").json();
    let swapped = format!("{message}.{other}");
    let key = serde_json::from_value(keys["keys"][0].clone()).expect("a JWK");
    let key = jsonwebtoken::DecodingKey::from_jwk(&key).expect("a key");
    let mut validation =
        jsonwebtoken::Validation::new(jsonwebtoken::decode_header(&first).expect("a header").alg);
    validation.validate_exp = false;
    validation.validate_aud = false;
    assert!(jsonwebtoken::decode::<Value>(&swapped, &key, &validation).is_err());
}

/// The claims of the assertion that a request arrived with.
fn claims_of(bed: &Bed, seen: &Captured) -> Value {
    verified(bed, seen.header("x-auth-assertion").expect("an assertion"))
}

#[test]
fn invariant_22_a_bound_assertion_says_all_that_it_is_bound_to() {
    let bed = Setup::new(BOUND).tls().start();
    let token = bed.token().without("scope").sign();
    for variant in Variant::ALL {
        for (method, target, host) in [
            ("GET", "/a?x=1", "api.test"),
            ("POST", "/a/%62?x=1&x=2", "other.test:8080"),
        ] {
            let request = Request::new(method, target).host(host).bearer(&token);
            let claims = claims_of(&bed, &assert_forwarded(&bed, variant, &request));
            let headers = json!({"x-auth-subject": "alice", "x-auth-scopes": null});
            let bound =
                json!({"method": method, "target": target, "authority": host, "headers": headers});
            assert_eq!(claims["req"], bound, "{variant:?}");
        }
    }
}

#[test]
fn invariant_22_an_assertion_ends_with_its_token() {
    let bed = Setup::new(BOUND).start();
    // Over already, but for the leeway of half a minute.
    for (ends, until) in [(-20, 10), (-1, 29), (0, 30), (29, 59), (30, 60), (300, 60)] {
        let token = bed.token().claim("exp", START + ends).sign();
        let request = Request::get("/a").bearer(token);
        let claims = claims_of(&bed, &assert_forwarded(&bed, Variant::PLAIN, &request));
        assert_eq!(claims["exp"], START + until, "{claims}");
    }
}

#[test]
fn invariant_22_a_claim_adds_no_claims_to_the_assertion() {
    let bed = Setup::new(BOUND).start();
    for subject in [
        r#"alice","anonymous":true,"x":""#,
        r#"a\","sub":"root","x":"\"#,
        "a\nscope: admin",
        "a\u{1}\u{1f600}\u{2028}",
    ] {
        let token = bed.token().claim("sub", subject).sign();
        let request = Request::get("/a").bearer(token);
        let claims = claims_of(&bed, &assert_forwarded(&bed, Variant::PLAIN, &request));
        assert_eq!(claims["sub"], subject);
        assert_eq!(claims.get("anonymous"), None, "{claims}");
        assert_eq!(claims["scope"], "read");
    }
}

/// The signature base (RFC 9421 section 2.5) of a request as it arrived.
fn signature_base(seen: &Captured) -> String {
    let input = seen.header("signature-input").expect("signed");
    let params = input.strip_prefix("countersign=").expect("our label");
    let list = params.split(')').next().expect("a list");
    let mut base = String::new();
    for component in list.trim_start_matches('(').split(' ') {
        let value = match component.trim_matches('"') {
            "@method" => seen.method.as_str(),
            "@request-target" => seen.target.as_str(),
            "@authority" => seen.header("host").expect("a host"),
            name => seen.header(name).expect("a covered field"),
        };
        base.push_str(&format!("{component}: {value}\n"));
    }
    format!("{base}\"@signature-params\": {params}")
}

#[test]
fn invariant_22_a_message_signature_covers_what_arrives() {
    let signed = BOUND.replace("  assertion: {header: x-auth-assertion, issuer: countersign, audience: api, lifetime: 60s, bind: [method, target, authority]}", "  signature: {}");
    let bed = Setup::new(&signed).tls().start();
    let token = bed.token().sign();
    let jwks = bed
        .proxy
        .admin_get("/.well-known/jwks.json")
        .expect(200)
        .json();
    let member = |name: &str| {
        let text = jwks["keys"][0][name].as_str().expect("a coordinate");
        URL_SAFE_NO_PAD.decode(text).expect("base64url")
    };
    let point = [&[4][..], &member("x"), &member("y")].concat();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    for variant in Variant::ALL {
        for target in ["/a?x=1", "/a/%62?x=/b"] {
            let request = Request::get(target).bearer(&token);
            let seen = assert_forwarded(&bed, variant, &request);
            let text = seen.header("signature").expect("signed");
            let text = text
                .strip_prefix("countersign=:")
                .and_then(|text| text.strip_suffix(':'));
            let signature = STANDARD.decode(text.expect("our label")).expect("base64");
            let base = signature_base(&seen);
            assert!(base.contains("\"x-auth-subject\": alice"), "{base}");
            assert!(
                key.verify(base.as_bytes(), &signature).is_ok(),
                "{variant:?}\n{base}"
            );
            for (from, to) in [
                ("alice", "bob"),
                ("x=", "y="),
                ("GET", "PUT"),
                ("api.test", "b.test"),
            ] {
                let changed = base.replace(from, to);
                assert!(
                    key.verify(changed.as_bytes(), &signature).is_err(),
                    "{changed}"
                );
            }
        }
    }
}

#[test]
fn invariant_22_binding_is_required_beyond_loopback() {
    let unbound = BOUND.replace(
        ", bind: [method, target, authority]",
        ", key: {file: @DIR@/assertion.pem}",
    );
    let write = |lines: &str| {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("assertion.pem");
        std::fs::write(&path, include_str!("../../fixtures/keys/es256-1.pem")).expect("a file");
        (
            lines.replace("@DIR@/assertion.pem", &path.display().to_string()),
            dir,
        )
    };
    let (lines, _dir) = write(&unbound);
    let far = Setup::new(&lines)
        .upstream_url("http://192.0.2.1:80")
        .try_start();
    let error = far
        .err()
        .expect("an unbound assertion must not leave the machine unnoticed");
    assert!(error.contains("bind"), "{error}");
    let (lines, _dir) = write(&unbound.replace("lifetime: 60s", "lifetime: 60s, bind: none"));
    assert!(
        Setup::new(&lines)
            .upstream_url("http://192.0.2.1:80")
            .try_start()
            .is_ok()
    );
    let (lines, _dir) = write(&unbound);
    assert!(Setup::new(&lines).try_start().is_ok());
}

#[test]
fn invariant_23_claims_become_headers_safely_or_not_at_all() {
    let bed = standard();
    let mut variants = Variant::ALL.into_iter().cycle();
    for value in [
        "a\r\nx-evil: 1",
        "a\nb",
        "a\0b",
        "\u{e9}",
        "\u{1f600}",
        "a\u{7f}b",
        "\u{2028}",
        "a\tb",
        "50%41",
        " a ",
        "a\\b\"c",
    ] {
        let token = bed.token().claim("sub", value).claim("email", value).sign();
        let request = Request::get("/any/x").bearer(&token);
        let variant = variants.next().expect("one of six");
        let seen = assert_forwarded(&bed, variant, &request);
        assert_eq!(seen.header("x-evil"), None, "{value:?}");
        let header = seen.header("x-auth-subject").expect("a subject");
        assert!(
            header.bytes().all(|byte| (0x20..0x7f).contains(&byte)),
            "{header:?}"
        );
        assert_eq!(percent_decoded(header), value, "injective: {header:?}");
    }
    // Within the limit of tokens, over that of a header.
    let long = bed.token().claim("email", "x".repeat(9_000)).sign();
    let request = Request::get("/any/x").bearer(long);
    refused_everywhere(&bed, &request, 403, "identity_too_large");
    let list = bed.token().claim("email", json!(["a", "b"])).sign();
    let seen = assert_forwarded(&bed, Variant::PLAIN, &Request::get("/any/x").bearer(list));
    assert!(seen.all("x-auth-email").len() <= 1);
    let plain = bed.token().claim("email", "alice@example.org").sign();
    let seen = assert_forwarded(&bed, Variant::PLAIN, &Request::get("/any/x").bearer(plain));
    assert_eq!(seen.header("x-auth-email"), Some("alice@example.org"));
    let none = Request::get("/any/x").bearer("x");
    refused_everywhere(&bed, &none, 401, "token_malformed");
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' && after.len() >= 2 {
            let digits = std::str::from_utf8(&after[..2]).expect("ASCII");
            bytes.push(u8::from_str_radix(digits, 16).expect("hexadecimal"));
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}
