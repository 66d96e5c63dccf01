//! What somebody tries who wants the decision to be another one than policy's: through a running proxy.

use std::time::Duration;

use base64::Engine as _;

use crate::bed::h2_client::H2Connection;
use crate::bed::{
    Bed, Request, Setup, Variant, assert_forwarded, assert_refused, forwarded_everywhere,
    refused_everywhere,
};

const LENIENT: &str = "
callers:
  anybody: {issuer: main}
routes:
  - {path: /health, allow: anyone}
  - path: /**
    paths: [semicolon, empty_segment, encoded_slash, encoded_percent]
    allow: anybody
  - {path: /admin, allow: nobody}
  - {path: '/accounts/{account}/keys', allow: nobody}
";

#[test]
fn invariant_06_switches_of_a_wide_route_are_no_way_around_a_narrow_one() {
    let bed = Setup::new(LENIENT).tls().start();
    let token = bed.token().sign();
    for target in [
        "/admin;x",
        "/admin;/",
        "/Admin;x=1",
        "//admin",
        "/%2561dmin",
        "/%2fadmin",
        "/accounts/a;b/keys;c",
        "/accounts%2fa%2fkeys",
        "/accounts//a//keys",
    ] {
        let request = Request::get(target).bearer(&token);
        refused_everywhere(&bed, &request, 403, "near_miss");
    }
    for target in ["/other;x", "/a//b", "/a%2fadmin", "/a%2541"] {
        forwarded_everywhere(&bed, &Request::get(target).bearer(&token));
    }
}

#[test]
fn observing_a_wide_route_does_not_open_a_narrow_one() {
    let lines = "
callers:
  anybody: {issuer: main}
routes:
  - {path: /**, allow: anybody, mode: observe, until: 2027-12-31}
  - {path: /admin, allow: nobody}
";
    let bed = Setup::new(lines).tls().start();
    for target in ["/Admin", "/admin/", "/%41DMIN"] {
        refused_everywhere(&bed, &Request::get(target), 403, "near_miss");
    }
    refused_everywhere(&bed, &Request::get("/admin"), 403, "nobody_may");
    forwarded_everywhere(&bed, &Request::get("/elsewhere"));
}

#[test]
fn s09_a_preflight_opens_no_tunnel_and_carries_nothing() {
    let lines = "
callers:
  anybody: {issuer: main}
routes:
  - path: /ws
    upgrade: [websocket]
    allow: {\"GET, OPTIONS\": anybody}
";
    let cors = "cors: {origins: [https://app.example.org], preflight: forward}";
    let bed = Setup::new(lines).inbound(cors).start();
    let preflight = || {
        Request::new("OPTIONS", "/ws")
            .header("origin", "https://app.example.org")
            .header("access-control-request-method", "GET")
    };
    let upgrade = preflight()
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    assert_refused(&bed, Variant::PLAIN, &upgrade, 401, "no_token");
    let other = Request::new("OPTIONS", "/ws")
        .header("origin", "https://app.example.org")
        .header("access-control-request-method", "DELETE");
    assert_refused(&bed, Variant::PLAIN, &other, 401, "no_token");
    let body = preflight().body("delete everything");
    assert_refused(&bed, Variant::PLAIN, &body, 401, "no_token");
    // HTTP/2 announces no body.
    let http2 = || H2Connection::plain(bed.proxy.addr());
    let answer = http2().exchange(&body).expect("an answer");
    assert_eq!((answer.status, bed.upstream.connections()), (401, 0));
    let answer = http2().exchange(&preflight()).expect("an answer");
    assert_eq!(answer.status, 200);
    assert_forwarded(&bed, Variant::PLAIN, &preflight());
}

#[test]
fn invariant_31_an_issuer_that_was_redefined_ends_what_it_verified() {
    let lines = "
identity:
  headers: {x-auth-account: account, x-auth-scopes: scopes}
callers:
  anybody: {issuer: main}
routes:
  - {path: /**, allow: anybody}
";
    let bed = Setup::new(lines).start();
    let token = bed
        .token()
        .claim("team", "a")
        .claim("group", "b")
        .claim("azp", "app")
        .claim("scope", "read")
        .sign();
    let account = || {
        let before = bed.upstream.requests().len();
        let status = bed.get("/x", &token).status;
        let seen = bed.upstream.requests();
        let account = seen
            .get(before)
            .and_then(|seen| seen.header("x-auth-account").map(str::to_owned));
        (status, account)
    };
    let redefined = |with: &str| {
        let text = bed
            .text
            .replace("audiences: [api]", &format!("audiences: [api]\n    {with}"));
        bed.proxy.reload(&text).expect("a configuration");
    };
    assert_eq!(account(), (200, None));
    redefined("claim_mappings: {account: team}");
    assert_eq!(account(), (200, Some("a".to_owned())));
    redefined("claim_mappings: {account: group}");
    assert_eq!(account(), (200, Some("b".to_owned())));
    for stricter in [
        "clients: [other]",
        "required_claims: [exp, sub, nonce]",
        "token_types: [JWT]",
        "max_lifetime: 1s",
    ] {
        redefined(stricter);
        assert_eq!(account(), (401, None), "{stricter}");
        redefined("clients: [app]");
        assert_eq!(account(), (200, None));
    }
    let elsewhere = bed.text.replace("audiences: [api]", "audiences: [other]");
    bed.proxy.reload(&elsewhere).expect("a configuration");
    assert_eq!(account(), (401, None));
}

const TWO: &str = "
issuers:
  - name: main
    issuer: @ISSUER@
    jwks: {file: @DIR@/jwks.json}
    audiences: [api]
  - name: second
    issuer: @ISSUER2@
    jwks: {url: @JWKS2@, allow_http: true}
    audiences: [api]
    token_sources: [basic_password, websocket_protocol]
identity:
  headers: {x-caller: caller, x-actor: actor.subject, x-sub: subject}
  assertion: {audience: api}
callers:
  one: {issuer: main, scopes: [one]}
  two: {issuer: main, scopes: [two]}
  other: {issuer: second}
routes:
  - {path: /one, allow: one}
  - {path: /two, allow: two}
  - {path: /either, allow: [one, two]}
  - {path: /bare, allow: {issuer: main}}
  - {path: /other, allow: other}
  - {path: /public, allow: anyone}
  - {path: /observed, allow: other, mode: observe, until: 2027-12-31}
  - path: /acting
    allow: one
    actor_token: {header: x-second, issuer: second}
";

fn two() -> Bed {
    Setup::bare(TWO).start()
}

#[test]
fn invariant_31_one_token_is_called_what_each_route_calls_it() {
    let bed = two();
    let token = bed.token().claim("scope", "one two").sign();
    let actor = bed.second.token().claim("sub", "bob").sign();
    let said = |request: Request| {
        let seen = assert_forwarded(&bed, Variant::PLAIN, &request.bearer(&token));
        let header = |name: &str| seen.header(name).map(str::to_owned);
        let claims = seen.header("x-auth-assertion").map(|assertion| {
            let payload = assertion.split('.').nth(1).expect("a payload");
            let json = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload);
            serde_json::from_slice::<serde_json::Value>(&json.expect("base64url")).expect("claims")
        });
        let claims = claims.expect("an assertion");
        assert_eq!(
            claims["caller"].as_str().map(str::to_owned),
            header("x-caller")
        );
        assert_eq!(
            claims["act"]["sub"].as_str().map(str::to_owned),
            header("x-actor")
        );
        (header("x-caller"), header("x-actor"))
    };
    let named = |name: &str| Some(name.to_owned());
    // Twice, so that what was prepared the first time is met again.
    for _ in 0..2 {
        assert_eq!(said(Request::get("/one")), (named("one"), None));
        assert_eq!(said(Request::get("/two")), (named("two"), None));
        assert_eq!(said(Request::get("/bare")), (None, None));
        assert_eq!(said(Request::get("/observed")), (None, None));
        assert_eq!(
            said(Request::get("/public").header("x-caller", "one")).0,
            None
        );
        assert_eq!(said(Request::get("/acting")), (named("one"), None));
        let acting = Request::get("/acting").header("x-second", &actor);
        assert_eq!(said(acting), (named("one"), named("bob")));
    }
}

#[test]
fn invariant_31_a_verdict_does_not_carry_a_token_to_another_place() {
    let bed = two();
    let main = bed.token().claim("scope", "one").sign();
    let second = bed.second.token().sign();
    let pair = |token: &str| base64::engine::general_purpose::STANDARD.encode(format!("x:{token}"));
    let basic = |path: &str, token: &str| {
        Request::get(path).header("authorization", &format!("Basic {}", pair(token)))
    };
    let get = |path: &str, token: &str| Request::get(path).bearer(token);
    let plain = Variant::PLAIN;
    // Known to be good, in their own places.
    assert_forwarded(&bed, plain, &get("/one", &main));
    assert_forwarded(&bed, plain, &get("/other", &second));
    assert_forwarded(&bed, plain, &basic("/other", &second));
    let acting = get("/acting", &main).header("x-second", &second);
    assert_forwarded(&bed, plain, &acting);
    // And in no other.
    assert_refused(&bed, plain, &basic("/one", &main), 401, "token_scheme");
    assert_refused(
        &bed,
        plain,
        &get("/one", &second),
        403,
        "caller_not_allowed",
    );
    assert_refused(
        &bed,
        plain,
        &get("/other", &main),
        403,
        "caller_not_allowed",
    );
    assert_refused(
        &bed,
        plain,
        &get("/acting", &second),
        403,
        "caller_not_allowed",
    );
    let swapped = get("/acting", &second).header("x-second", &main);
    assert_refused(&bed, plain, &swapped, 401, "actor_invalid");
    let alone = Request::get("/acting").header("x-second", &second);
    assert_refused(&bed, plain, &alone, 401, "no_token");
    let twice = get("/acting", &main)
        .header("x-second", &second)
        .header("X-Second", &second);
    assert_refused(&bed, plain, &twice, 400, "several_credentials");
    bed.clock.advance(Duration::from_secs(24 * 3600));
    assert_refused(&bed, plain, &get("/one", &main), 401, "token_expired");
}

#[test]
fn invariant_63_series_do_not_grow_with_what_callers_say() {
    let bed = two();
    let series = || {
        let text = bed.proxy.admin_get("/metrics").text();
        text.lines().filter(|line| !line.starts_with('#')).count()
    };
    let hostile = |n: usize| {
        let token = bed
            .token()
            .claim("sub", format!("s{n}"))
            .claim("azp", format!("c{n}"))
            .claim("scope", format!("x{n}"))
            .header("kid", format!("k{n}"))
            .sign();
        for request in [
            Request::get(&format!("/p{n}")),
            Request::new(&format!("M{n}"), "/one"),
            Request::get("/one").host(&format!("h{n}.example.org")),
            Request::get("/one").bearer(&token),
            Request::get("/one").header("user-agent", &format!("u{n}")),
        ] {
            assert!(bed.send(&request).status >= 400);
        }
    };
    // Every reason of a closed list is met by then.
    (0..3).for_each(hostile);
    let before = series();
    (3..40).for_each(hostile);
    assert_eq!(
        series(),
        before,
        "{}",
        bed.proxy.admin_get("/metrics").text()
    );
}
