#![expect(clippy::too_many_lines, reason = "tables")]

use serde_json::{Value, json};

use super::*;
use crate::authn::tests::support::*;

/// The reason why `key` is skipped, beside a good one.
fn skipped(key: &Value) -> Option<&'static str> {
    let good = ed25519().jwk_with(json!({"kid": "good"}));
    let (set, skipped) = KeySet::parse(&jwks(&[good, key.clone()])).unwrap();
    assert_eq!(set.len() + skipped.len(), 2);
    skipped.first().map(|skipped| skipped.reason)
}

/// An RSA key with a made-up modulus of `bits` bits.
fn modulus(bits: usize) -> String {
    let mut bytes = vec![0xA5; bits.div_ceil(8)];
    bytes[0] = match bits % 8 {
        0 => 0x80,
        odd => 1 << (odd - 1),
    };
    *bytes.last_mut().unwrap() |= 1;
    b64(bytes)
}

#[test]
fn invariant_42_weak_and_wrong_keys_are_skipped() {
    let r = |more: Value| rsa().jwk_with(more);
    let e = |more: Value| p256().jwk_with(more);
    let o = |more: Value| ed25519().jwk_with(more);
    let point = p256().jwk();
    let (x, y) = (point["x"].clone(), point["y"].clone());
    let padded = format!("{}=", x.as_str().unwrap());
    let mut stray = x.as_str().unwrap().to_owned();
    // 32 bytes leave two unused bits in the last letter; `A`, `E`, … are canonical, the letters between are not.
    let last = stray.pop().unwrap();
    stray.push(char::from(u8::try_from(u32::from(last)).unwrap() + 1));
    for (name, key, skip) in [
        ("rsa", r(json!({})), false),
        (
            "rsa sig",
            r(json!({"use": "sig", "alg": "RS256", "key_ops": ["verify"]})),
            false,
        ),
        ("rsa pss", r(json!({"alg": "PS512"})), false),
        ("use enc", r(json!({"use": "enc"})), true),
        ("use number", r(json!({"use": 1})), true),
        ("key_ops sign", r(json!({"key_ops": ["sign"]})), true),
        ("key_ops text", r(json!({"key_ops": "verify"})), true),
        (
            "key_ops both",
            r(json!({"key_ops": ["sign", "verify"]})),
            false,
        ),
        ("alg of another family", r(json!({"alg": "ES256"})), true),
        ("alg encryption", r(json!({"alg": "RSA-OAEP"})), true),
        ("alg HS256", r(json!({"alg": "HS256"})), true),
        ("alg none", r(json!({"alg": "none"})), true),
        ("kid empty", r(json!({"kid": ""})), true),
        ("kid long", r(json!({"kid": "k".repeat(129)})), true),
        ("kid control", r(json!({"kid": "a\nb"})), true),
        ("kid number", r(json!({"kid": 1})), true),
        ("1024 bits", r(json!({"n": modulus(1024)})), true),
        ("2047 bits", r(json!({"n": modulus(2047)})), true),
        ("2048 bits", r(json!({"n": modulus(2048)})), false),
        ("8192 bits", r(json!({"n": modulus(8192)})), false),
        ("8193 bits", r(json!({"n": modulus(8193)})), true),
        ("n empty", r(json!({"n": ""})), true),
        ("e 3", r(json!({"e": "Aw"})), true),
        ("e even", r(json!({"e": "AQAC"})), true),
        ("e 2^32+1", r(json!({"e": b64([1, 0, 0, 0, 1])})), true),
        ("e 2^31+1", r(json!({"e": b64([128, 0, 0, 1])})), false),
        ("e leading zero", r(json!({"e": b64([0, 1, 0, 1])})), true),
        ("e missing", r(json!({"e": null})), true),
        ("ec", e(json!({"alg": "ES256"})), false),
        ("ec alg", e(json!({"alg": "ES384"})), true),
        ("ec crv", e(json!({"crv": "P-384"})), true),
        ("ec secp256k1", e(json!({"crv": "secp256k1"})), true),
        ("ec off curve", e(json!({"x": y, "y": x})), true),
        ("ec short", e(json!({"x": "AQAB"})), true),
        ("ec padded", e(json!({"x": padded})), true),
        ("ec trailing bits", e(json!({"x": stray})), true),
        ("okp", o(json!({})), false),
        ("okp alg", o(json!({"alg": "Ed25519"})), false),
        ("x25519", o(json!({"crv": "X25519"})), true),
        ("ed448", o(json!({"crv": "Ed448"})), true),
        ("okp short", o(json!({"x": "AQAB"})), true),
        (
            "oct",
            json!({"kty": "oct", "k": b64("secret"), "alg": "HS256"}),
            true,
        ),
        ("no kty", json!({"n": "AQAB", "e": "AQAB"}), true),
        ("kty case", r(json!({"kty": "rsa"})), true),
        ("private member", o(json!({"d": b64([7; 32])})), false),
        ("no object", json!("key"), true),
    ] {
        assert_eq!(skipped(&key).is_some(), skip, "{name}: {:?}", skipped(&key));
    }
}

#[test]
fn invariant_42_bad_documents_are_errors() {
    let key = |kid: &str| ed25519().jwk_with(json!({ "kid": kid }));
    let many = |count: usize| (0..count).map(|n| key(&n.to_string())).collect::<Vec<_>>();
    let oct = json!({"kty": "oct", "kid": "a", "k": "AA"});
    let parse = |document: &[u8]| KeySet::parse(document).map(|(set, _)| set.len());
    assert_eq!(parse(&jwks(&many(64))), Ok(64));
    assert_eq!(parse(&jwks(&many(65))), Err(KeySetError::TooManyKeys));
    assert_eq!(
        parse(&jwks(&[key("a"), key("a")])),
        Err(KeySetError::DuplicateKid)
    );
    assert_eq!(
        parse(&jwks(&[key("a"), oct.clone()])),
        Err(KeySetError::DuplicateKid)
    );
    assert_eq!(parse(&jwks(&[oct])), Err(KeySetError::NoUsableKey));
    assert_eq!(parse(b"{\"keys\":[]}"), Err(KeySetError::NoUsableKey));
    for document in ["{}", "[]", "null", "{\"keys\":{}}", "{\"keys\":null}"] {
        assert_eq!(
            parse(document.as_bytes()),
            Err(KeySetError::NoKeySet),
            "{document}"
        );
    }
    let whole = jwks(&[key("a")]);
    for document in [
        &b""[..],
        b"<html></html>",
        &whole[..whole.len() - 1],
        b"{\"keys\":[],\"keys\":[]}",
        b"\x1f\x8b\x08",
    ] {
        assert!(matches!(parse(document), Err(KeySetError::Json(_))));
    }
}

#[test]
fn keys_are_found_by_exact_kid_and_shown() {
    let (set, _) = KeySet::parse(&jwks(&[
        rsa().jwk_with(json!({"kid": "a", "alg": "PS256"})),
        ed25519().jwk(),
    ]))
    .unwrap();
    assert!(set.has_kid("a"));
    assert!(!set.has_kid("A") && !set.has_kid(""));
    assert_eq!(set.kids().collect::<Vec<_>>(), ["a"]);
    let shown: Vec<_> = set.keys().collect();
    assert_eq!(shown[0].algorithms, [Algorithm::Ps256]);
    assert_eq!(shown[1].algorithms, [Algorithm::EdDsa, Algorithm::Ed25519]);
    assert_eq!(shown[1].kid, None);
}

#[test]
fn thumbprint_of_rfc_7638() {
    let key = json!({"kty": "RSA", "kid": "2011-04-29", "alg": "RS256", "e": "AQAB", "n":
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"});
    let (set, _) = KeySet::parse(&jwks(&[key])).unwrap();
    assert_eq!(
        set.keys().next().unwrap().thumbprint.to_string(),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
}

#[test]
fn t01_the_pinned_set_of_the_seeds_is_usable() {
    let document = br#"{"keys":[{"use":"sig","kty":"RSA","kid":"RlVpaMmFrqqIHY46_HT42inm4mfvqBKfwLVJiPCcl7g","alg":"RS256","n":"urnlzTgGSYHPHyc-sjXI7lzdx3ChfMpqUMpwuj1vgBMywpvdjFEKZ-5xWBBfS_GIna4q--YBau4zo21xFw0Jd-Ye8l4daXozFTwB1oOv-xOoIL7YITR8dtXsXzqeGIKx1rt90jE2vgvYQDBnkIf9ohgDIApbLICYGSAko5MfdypYhiO52KOxum8nB5dwIaKhr2-DiLQtFQbl__c6Uk2dFpW0_5u4d-uO6yspp5iVo54sc7XIlFNxPBlx2uVQZe8tvTH9Ipc_sovDjMfoKH7g0fG14q6xQU5CkQD1pNS__6J3xFvFYQEp3wXu4i_Rin65EI9GvNKtbZkH-sQ5e8jzLw","e":"AQAB"}]}"#;
    let (set, skipped) = KeySet::parse(document).unwrap();
    assert_eq!((set.len(), skipped.len()), (1, 0));
}

#[test]
fn a_skipped_kid_can_be_logged() {
    let key = json!({"kty": "oct", "kid": format!("a\n\u{1b}[31m{}", "x".repeat(200))});
    let good = ed25519().jwk();
    let (_, skipped) = KeySet::parse(&jwks(&[key, good])).unwrap();
    let kid = skipped[0].kid.clone().unwrap();
    assert!(kid.len() == 64 && kid.starts_with("a[31mx"), "{kid}");
}
