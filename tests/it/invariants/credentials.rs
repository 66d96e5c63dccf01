//! Invariant 18: exactly one credential, in the one place where it belongs.

use crate::bed::standard::standard;
use crate::bed::{
    Request, Variant, assert_forwarded, assert_refused, forwarded_everywhere, refused_everywhere,
};

#[test]
fn invariant_18_exactly_one_credential() {
    let bed = standard();
    let token = bed.token().sign();
    let twice = Request::get("/any/x").bearer(&token).bearer(&token);
    refused_everywhere(&bed, &twice, 400, "several_credentials");
    let other = bed.token().claim("sub", "bob").sign();
    let mixed = Request::get("/any/x")
        .bearer(&token)
        .header("Authorization", &format!("Basic {other}"));
    refused_everywhere(&bed, &mixed, 400, "several_credentials");
    let reason = "several_credentials|token_malformed|token_scheme|no_token";
    for value in [
        format!("Bearer {token}, Bearer {token}"),
        format!("Bearer {token},Bearer {other}"),
        format!("Bearer {token} {other}"),
        format!("Bearer  {token}"),
        format!("Bearer\t{token}"),
        format!("Bearer {token}, x"),
        format!("Bearer {token};x"),
        format!("Bearer:{token}"),
        format!("Bearer{token}"),
        "Bearer".to_owned(),
        format!("Token {token}"),
        token.clone(),
        format!("Bearer \"{token}\""),
        format!("Basic {token}"),
        format!("DPoP {token}"),
        format!("Negotiate {token}"),
    ] {
        for variant in Variant::ALL {
            let request = Request::get("/any/x").header("authorization", &value);
            if variant.can_say(&request) {
                let status = bed.send(&request).status;
                assert!(matches!(status, 400 | 401), "{status} for {value}");
                assert_refused(&bed, variant, &request, status, reason);
            }
        }
    }
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        let request = Request::get("/any/x").header("authorization", &format!("{scheme} {token}"));
        forwarded_everywhere(&bed, &request);
    }
}

#[test]
fn invariant_18_a_token_in_query_or_cookie_is_none() {
    let bed = standard();
    let token = bed.token().sign();
    for request in [
        Request::get(&format!("/any/x?access_token={token}")),
        Request::get("/any/x").header("cookie", &format!("access_token={token}; token={token}")),
        Request::get("/any/x").header("x-access-token", &token),
        Request::get("/any/x").header("proxy-authorization", &format!("Bearer {token}")),
        Request::get("/any/x").header(
            "sec-websocket-protocol",
            &format!("base64url.bearer.authorization.k8s.io.{token}"),
        ),
    ] {
        refused_everywhere(&bed, &request, 401, "no_token");
    }
    assert_forwarded(
        &bed,
        Variant::PLAIN,
        &Request::get("/any/x?access_tokens=1").bearer(&token),
    );
}
