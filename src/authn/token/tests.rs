use super::*;
use crate::authn::tests::support::b64;

fn fault(token: &str) -> Option<TokenFault> {
    let parts = match Parts::split(token) {
        Ok(parts) => parts,
        Err(fault) => return Some(fault),
    };
    parts
        .header()
        .map(|_| ())
        .and_then(|()| parts.claims().map(|_| ()))
        .and_then(|()| parts.signature().map(|_| ()))
        .err()
}

#[test]
fn invariant_14_exactly_three_canonical_parts() {
    let header = b64(r#"{"alg":"RS256"}"#);
    let payload = b64("{}");
    let signature = b64([1, 2, 3, 4]);
    assert_eq!(signature, "AQIDBA");
    assert_eq!(fault(&format!("{header}.{payload}.{signature}")), None);
    for token in [
        String::new(),
        "..".to_owned(),
        header.clone(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}.{signature}.x"),
        format!("{header}.{payload}.{signature}.x.y"),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{header}.{payload}."),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}=.{signature}"),
        format!("{header}.{payload}.{signature}=="),
        format!("{header}.{payload}.AQIDBB"),
        format!("{header}.{payload}.AQIDB"),
        format!("{header}.{payload}.A+ID"),
        format!("{header}.{payload}.A/ID"),
        format!("{header}.{payload}.A?ID"),
        format!("{header}. {payload}.{signature}"),
        format!("{header}.{payload}.{signature}\n"),
        format!(" {header}.{payload}.{signature}"),
        format!("{header}.{payload}.{}", "A".repeat(1367)),
        format!("{}.{payload}.{signature}", b64("[]")),
        format!("{}.{payload}.{signature}", b64("{}")),
        format!("{}.{payload}.{signature}", b64(r#"{"alg":5}"#)),
        format!("{header}.{}.{signature}", b64("[]")),
        format!("{header}.{}.{signature}", b64("\u{0}")),
    ] {
        assert_eq!(fault(&token), Some(TokenFault::Malformed), "{token}");
    }
}

#[test]
fn invariant_62_eight_thousand_dots_are_counted_not_split() {
    assert_eq!(fault(&".".repeat(8192)), Some(TokenFault::Malformed));
}

#[test]
fn t13_what_looks_like_a_jwt_must_verify() {
    for (token, jwt) in [
        ("a.b.c", true),
        ("a.b.c.d.e", true),
        ("eyJhbGciOiJSUzI1NiJ9", true),
        ("eyJhbGciOiJSUzI1NiJ9.e30", true),
        ("tuist_0123456789abcdef", false),
        ("hvs.CAESIJ", false),
        ("a.b.c.d", false),
        ("", false),
    ] {
        assert_eq!(looks_like_jwt(token.as_bytes()), jwt, "{token}");
    }
}
