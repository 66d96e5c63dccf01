//! Invariant 18: a credential in another place than its own. The rest is in `tests/it/data/tokens/credentials.txt`.

use crate::bed::standard::standard;
use crate::bed::verdict::Protocol;
use crate::bed::{Request, Variant, assert_forwarded, assert_refused, refused_everywhere};

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

/// HTTP/1.1 trims the white space around a value (RFC 9112 section 5.1); in HTTP/2 it is part of the value, and wrong there
/// (RFC 9113 section 8.2.1).
#[test]
fn invariant_18_white_space_around_a_credential() {
    let bed = standard();
    let token = bed.token().sign();
    for value in [format!("Bearer {token} \t"), format!("\t Bearer {token}")] {
        let request = Request::get("/any/x").header("authorization", &value);
        for variant in Variant::ALL {
            if variant.protocol == Protocol::Http1 {
                assert_forwarded(&bed, variant, &request);
            } else {
                assert_refused(&bed, variant, &request, 400, "malformed_syntax");
            }
        }
    }
}
