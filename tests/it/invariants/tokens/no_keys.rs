//! Invariant 35: without keys nothing passes that needs them.

use crate::bed::{
    Mode, Request, Setup, Variant, assert_refused, forwarded_everywhere, refused_everywhere,
};

const NETWORK: &str = "
issuers:
  - {name: main, issuer: @ISSUER@, jwks: {url: @JWKS@, allow_http: true}, audiences: [api]}
callers: {web: {issuer: main}}
routes: [{path: /health, allow: anyone}, {path: /**, allow: web}]
";

#[test]
fn invariant_35_no_keys_no_pass() {
    let clock = countersign::clock::Clock::manual(countersign::clock::UnixTime::from_secs(
        crate::bed::START,
    ));
    let dead = crate::bed::Issuer::start(&clock);
    dead.mode(Mode::Answer(500, "text/plain", "down".into()));
    let lines = NETWORK
        .replace("@ISSUER@", &dead.iss)
        .replace("@JWKS@", &dead.jwks_url());
    let bed = Setup::bare(&lines).tls().start();
    let request = Request::get("/x").bearer(dead.token().sign());
    for variant in Variant::ALL {
        let response = assert_refused(&bed, variant, &request, 503, "keys_unavailable");
        assert!(response.header("retry-after").is_some(), "{variant:?}");
    }
    forwarded_everywhere(&bed, &Request::get("/health"));
    refused_everywhere(&bed, &Request::get("/x"), 401, "no_token");
    assert_eq!(bed.proxy.admin_get("/readyz").status, 503);
    assert_eq!(bed.proxy.admin_get("/livez").status, 200);
}

#[test]
fn invariant_35_there_is_no_switch_that_skips_the_signature() {
    for (switch, expected) in [
        ("allow_missing: true", "unknown"),
        ("allow_failed: true", "unknown"),
        ("skip_signature: true", "unknown"),
        // It says who verifies, never that nobody does.
        ("verify: false", "expected a mapping"),
        ("verify: none", "expected a mapping"),
        ("verify: {}", "`jwks` and `verify`"),
    ] {
        let lines = NETWORK.replace("audiences: [api]", &format!("audiences: [api], {switch}"));
        let error = Setup::bare(&lines).try_start().err().expect(switch);
        assert!(error.contains(expected), "{error}");
        // Nor where there are no keys.
        let (head, rest) = lines.split_once("jwks: {").expect("keys");
        let (_, tail) = rest.split_once("}, ").expect("the end of the keys");
        let error = Setup::bare(&format!("{head}{tail}")).try_start().err();
        assert!(error.is_some(), "{switch}");
    }
    assert!(Setup::bare(NETWORK).try_start().is_ok());
}
