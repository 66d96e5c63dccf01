//! Invariant 15: lists of clients and of scopes.

use crate::bed::{Request, Setup, Variant, assert_forwarded, assert_refused};

const SETS: &str = "
issuers:
  - name: main
    issuer: @ISSUER@
    jwks: {file: @DIR@/jwks.json}
    audiences: [api]
    clients: [good]
callers: {web: {issuer: main}}
routes:
  - {path: /health, allow: anyone}
  - {path: /x, allow: {issuer: main, scopes: [\"orders:read\", other]}}
";

#[test]
fn invariant_15_an_empty_allow_list_allows_nobody() {
    let empty = SETS.replace("clients: [good]", "clients: []");
    match Setup::bare(&empty).try_start() {
        Err(error) => assert!(error.contains("clients"), "{error}"),
        Ok(bed) => {
            let token = bed.token().claim("azp", "good").sign();
            assert_refused(
                &bed,
                Variant::PLAIN,
                &Request::get("/x").bearer(token),
                401,
                "token_client",
            );
        }
    }
}

#[test]
fn invariant_15_who_lacks_a_scope_is_told_which() {
    let bed = Setup::bare(SETS).start();
    let go = |scope: &str| {
        let token = bed.token().claim("azp", "good").claim("scope", scope);
        Request::get("/x").bearer(token.sign())
    };
    for scope in ["", "other", "orders:read,other", "orders:read\tother"] {
        let refused = assert_refused(&bed, Variant::PLAIN, &go(scope), 403, "scope_missing");
        let challenge = refused.header("www-authenticate").unwrap_or_default();
        assert!(
            challenge.contains("error=\"insufficient_scope\"") && challenge.contains("orders:read"),
            "{challenge}"
        );
    }
    assert_forwarded(&bed, Variant::PLAIN, &go("other orders:read"));
}
