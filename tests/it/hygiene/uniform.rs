//! Invariants 48 and 49: a credential goes nowhere that nobody named, and refusals of one kind look alike.

use std::time::Duration;

use crate::bed::h2_client::H2Connection;
use crate::bed::keys::RSA_2;
use crate::bed::{Mode, Next, Request, Response, Setup, Upstream, contains};

const ANSWERS: &str = r#"
issuers:
  - name: main
    issuer: @ISSUER@
    jwks: {file: @DIR@/jwks.json}
    audiences: [api]
    clients: [web]
  - name: fetched
    issuer: @ISSUER2@
    jwks: {url: @JWKS2@, allow_http: true}
    audiences: [api]
callers:
  anybody: {issuer: main}
  other: {issuer: fetched}
routes:
  - {path: /plain, allow: [anybody, other]}
  - {path: /fastapi, allow: [anybody, other], answers: fastapi}
  - {path: /hidden, allow: [anybody, other], answers: hidden}
  - {path: /plain/closed, allow: nobody}
  - {path: /plain/account, allow: {issuer: main, account: required}}
  - {path: /plain/role, allow: {issuer: main, roles: operator}}
  - {path: /fastapi/closed, allow: nobody, answers: fastapi}
  - {path: /fastapi/account, allow: {issuer: main, account: required}, answers: fastapi}
  - {path: /fastapi/role, allow: {issuer: main, roles: operator}, answers: fastapi}
  - {path: /hidden/closed, allow: nobody, answers: hidden}
  - {path: /hidden/account, allow: {issuer: main, account: required}, answers: hidden}
  - {path: /hidden/role, allow: {issuer: main, roles: operator}, answers: hidden}
answers:
  fastapi:
    body: {detail: "{message}", code: "{status} {reason}", id: "{request_id}"}
    realm: api
    resource_metadata: https://api.example.org/.well-known/oauth-protected-resource
  hidden:
    body: {error: "{message}"}
    no_token: {status: 403}
    invalid_token: {status: 403, message: go away}
    refused: {status: 404, message: nothing here}
"#;

/// An answer as bytes, without its request id.
fn face(response: &Response) -> String {
    let id = response.header("x-request-id").expect("a request id");
    assert!(id.len() >= 16, "{id}");
    let headers: Vec<_> = response
        .headers
        .iter()
        .filter(|(name, _)| !name.eq_ignore_ascii_case("date"))
        .collect();
    format!("{} {headers:?} {}", response.status, response.text()).replace(id, "ID")
}

#[test]
fn invariant_49_failures_of_authentication_are_the_same_bytes_in_every_template() {
    let bed = Setup::bare(ANSWERS).start();
    // The fetched issuer has been asked, so that an unknown key is known to be unknown.
    bed.proxy
        .await_issuer_events("jwks.refreshed", "fetched", 1);
    bed.clock.advance(Duration::from_secs(61));
    let good = bed.token();
    let second = bed.second.token();
    let rows = [
        ("unknown kid", good.clone().header("kid", "other").sign()),
        (
            "unknown kid of a fetched set",
            second.clone().header("kid", "other").sign(),
        ),
        ("bad signature", good.clone().signed_by(&RSA_2).sign()),
        (
            "bad signature of a fetched set",
            second.signed_by(&RSA_2).sign(),
        ),
        ("expired", good.clone().expires_in(-3600).sign()),
        (
            "not yet valid",
            good.clone().claim("nbf", crate::bed::START + 9000).sign(),
        ),
        ("audience", good.clone().claim("aud", "other").sign()),
        ("client", good.clone().claim("azp", "other").sign()),
        (
            "issuer",
            good.clone()
                .claim("iss", "https://other.example.org")
                .sign(),
        ),
        ("no subject", good.clone().without("sub").sign()),
        ("type", good.clone().header("typ", "logout+jwt").sign()),
        (
            "crit",
            good.clone()
                .header("crit", serde_json::json!(["b64"]))
                .sign(),
        ),
        (
            "none",
            good.clone().header("alg", "none").with_signature(""),
        ),
        ("garbage", "x.y.z".to_owned()),
    ];
    let wire = H2Connection::plain(bed.proxy.addr());
    for (path, status) in [("/plain", 401), ("/fastapi", 401), ("/hidden", 403)] {
        let mut faces = [None, None];
        for (why, token) in &rows {
            let request = Request::get(path).bearer(token);
            let answers = [
                bed.send(&request),
                wire.exchange(&request).expect("an answer"),
            ];
            for (answer, first) in answers.iter().zip(&mut faces) {
                assert_eq!(answer.status, status, "{why} {path}");
                assert!(answer.headers.len() < 12, "{why}: {:?}", answer.headers);
                let said = face(answer);
                assert_eq!(
                    &said,
                    first.get_or_insert_with(|| said.clone()),
                    "{why} {path}"
                );
                for inside in ["kid", "signature", "expired", "audience", "issuer", "main"] {
                    assert!(!said.contains(inside), "{why}: {said}");
                }
            }
        }
        // The positive twin: what is good passes, and no token at all is told apart by its challenge alone.
        assert_eq!(bed.get(path, &good.sign()).status, 200, "{path}");
        let without = face(&bed.send(&Request::get(path)));
        assert_ne!(Some(without), faces[0], "{path}");
    }
    let reasons: std::collections::BTreeSet<String> = bed
        .proxy
        .await_records(3 * (2 * rows.len() + 2))
        .iter()
        .filter_map(|record| record["reason"].as_str().map(str::to_owned))
        .collect();
    assert!(reasons.len() >= 8, "the log alone tells why: {reasons:?}");
}

#[test]
fn invariant_49_refusals_of_policy_are_the_same_bytes_in_every_template() {
    let bed = Setup::bare(ANSWERS).start();
    let token = bed.token().sign();
    for (template, status) in [("plain", 403), ("fastapi", 403), ("hidden", 404)] {
        let mut first = None;
        for why in ["closed", "account", "role"] {
            let answer = bed.get(&format!("/{template}/{why}"), &token);
            assert_eq!(answer.status, status, "{template} {why}");
            let said = face(&answer).replace(&format!("/{template}/{why}"), "PATH");
            assert_eq!(
                &said,
                first.get_or_insert_with(|| said.clone()),
                "{template} {why}"
            );
        }
    }
}

const PLACES: &str = r#"
issuers:
  - name: main
    issuer: @ISSUER@
    jwks: {url: @JWKS@, allow_http: true}
    audiences: [api]
    token_sources: [basic_password]
routes:
  - {path: /keeps, allow: {issuer: main}}
  - {path: /anyone, allow: anyone}
  - {path: /observed, allow: nobody, mode: observe, until: 2027-12-31}
  - {path: /forwards, allow: {issuer: main}, authorization: forward}
"#;

#[test]
fn invariant_48_the_token_goes_to_no_upstream_issuer_or_redirect_that_no_route_names() {
    let elsewhere = Upstream::start();
    let to = elsewhere.url();
    let upstream = Upstream::scripted(move |exchange| -> std::io::Result<Next> {
        exchange.body()?;
        exchange.answer(307, &format!("location: {to}/next\r\n"), b"")
    });
    let bed = Setup::bare(PLACES).upstream(upstream).start();
    bed.issuer.await_fetches(1);
    let token = bed.token().sign();
    let unknown = bed.token().header("kid", "another").sign();
    let basic = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(format!("user:{token}"))
    };
    for path in ["/keeps", "/anyone", "/observed", "/forwards"] {
        for value in [format!("Bearer {token}"), format!("Basic {basic}")] {
            let before = bed.upstream.requests().len();
            let request = Request::get(path).header("authorization", &value);
            assert_eq!(
                bed.send(&request).status,
                307,
                "{path}: passed on, not followed"
            );
            let seen = bed.upstream.requests().split_off(before).remove(0);
            let forwards = path == "/forwards";
            assert_eq!(seen.header("authorization").is_some(), forwards, "{path}");
            assert_eq!(
                contains(&seen.bytes(), token.as_bytes()),
                forwards && value.starts_with("Bearer"),
                "{path}"
            );
        }
    }
    // A key that is not held is asked for, without the token that named it.
    bed.clock.advance(Duration::from_secs(61));
    bed.issuer.mode(Mode::Ok);
    assert_eq!(bed.get("/keeps", &unknown).status, 401);
    let fetches = bed.issuer.requests();
    assert!(fetches.len() >= 2, "it was asked for");
    for fetch in fetches {
        let bytes = fetch.bytes();
        for secret in [&token, &unknown, &basic] {
            assert!(!contains(&bytes, secret.as_bytes()));
        }
        assert!(fetch.header("authorization").is_none());
        assert!(fetch.header("cookie").is_none());
    }
    assert_eq!(elsewhere.connections(), 0);
}
