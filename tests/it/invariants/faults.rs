//! Invariants 33 to 35: a configuration that says nothing allows nothing, faults deny, and keys end.

use std::time::Duration;

use crate::bed::standard::{self, standard};
use crate::bed::{
    Bed, Mode, Next, Request, START, Setup, Upstream, Variant, assert_forwarded, assert_refused,
    forwarded_everywhere, reconcile, refused_everywhere,
};

/// Documents that must not start a proxy, and what the message must name.
const BAD: &[(&str, &str)] = &[
    ("", "routes"),
    ("routes:\n", "routes"),
    ("routes: []\n", "routes"),
    ("routes: null\n", "routes"),
    ("routes: {}\n", "routes"),
    (
        "exmpt: [/health]\nroutes: [{path: /health, allow: anyone}]\n",
        "exmpt",
    ),
    (
        "routes: [{path: /health, allow: anyone}]\nroutes: [{path: /**, allow: anyone}]\n",
        "routes",
    ),
    (
        "routes: [{path: /health, allow: anyone}]\n---\nroutes: []\n",
        "document",
    ),
    ("routes: [{path: /health}]\n", "allow"),
    ("routes: [{path: /health, allow: }]\n", "allow"),
    ("routes: [{path: /health, allow: []}]\n", "allow"),
    ("routes: [{path: /health, allow: {}}]\n", "allow"),
    ("routes: [{path: /health, allow: everyone}]\n", "everyone"),
    ("routes: [{path: /health, allow: {scopes: [a]}}]\n", "allow"),
    ("routes: [{path: /health, alow: anyone}]\n", "alow"),
    ("routes: [{path: health, allow: anyone}]\n", "path"),
    ("routes: [{path: /a/**/b, allow: anyone}]\n", "path"),
    (
        "routes: [{path: /a, allow: {issuer: nobody-configured}}]\n",
        "nobody-configured",
    ),
    ("routes: [{path: /a, allow: {GET: }}]\n", "GET"),
    (
        "routes: [{path: \"/u/{account}\", allow: {issuer: main, account: {account}}}]\n",
        "account",
    ),
    (
        "routes: [{path: /a, allow: anyone, near_miss: maybe}]\n",
        "near_miss",
    ),
    (
        "routes: [{path: /a, allow: anyone, mode: observe}]\n",
        "until",
    ),
    ("routes: [{path: /a, allow: anyone}\n", ""),
    ("\tnonsense", ""),
];

#[test]
fn invariant_33_a_configuration_without_a_rule_does_not_start() {
    for (lines, named) in BAD {
        let error = Setup::new(lines).try_start().err();
        let error = error.unwrap_or_else(|| panic!("{lines:?} must not start"));
        assert!(error.contains(named), "{lines:?}: {error}");
    }
    for whole in ["", "# nothing\n", "---\n", "null\n", "[]\n", "routes\n"] {
        let clock = countersign::clock::Clock::system();
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("config.yaml");
        std::fs::write(&path, whole).expect("a file");
        assert!(
            crate::bed::Proxy::try_start(&path, &clock, &[]).is_err(),
            "{whole:?}"
        );
    }
    Setup::new("routes: [{path: /health, allow: anyone}]\n").start();
}

#[test]
fn invariant_33_a_bad_reload_keeps_the_last_good() {
    let bed = Setup::new("callers: {web: {issuer: main}}\nroutes: [{path: /health, allow: anyone}, {path: /x, allow: web}]\n").start();
    let token = bed.token().sign();
    for (lines, named) in BAD {
        let error = bed.reload(lines).err();
        let error = error.unwrap_or_else(|| panic!("{lines:?} must not load"));
        assert!(error.contains(named), "{lines:?}: {error}");
        assert_eq!(bed.send(&Request::get("/x")).status, 401, "{lines:?}");
        assert_eq!(bed.get("/x", &token).status, 200, "{lines:?}");
    }
    bed.reload("routes: [{path: /x, allow: nobody}]\n")
        .expect("a good one");
    assert_eq!(bed.get("/x", &token).status, 403);
}

/// What a broken upstream does, and the status that the caller gets.
const BROKEN: &[(&str, u16)] = &[
    ("", 502),
    ("garbage\r\n\r\n", 502),
    ("HTTP/1.1 200\r\n", 502),
    ("HTTP/1.1 999999 x\r\n\r\n", 502),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        502,
    ),
    ("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\nab", 502),
    ("HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n", 502),
];

#[test]
fn invariant_34_a_broken_upstream_is_a_502_and_the_next_request_is_served() {
    for (answer, status) in BROKEN {
        let upstream = Upstream::scripted(move |exchange| {
            if exchange.request.target == "/health" {
                return exchange.echo();
            }
            exchange.body()?;
            exchange.write(answer)?;
            Ok(Next::Close)
        });
        let bed = standard::setup().upstream(upstream).start();
        let token = bed.token().sign();
        let response = bed.send(&Request::post("/any/x", "body").bearer(&token));
        assert_eq!(response.status, *status, "{}", answer.escape_debug());
        assert_eq!(
            bed.upstream.requests().len(),
            1,
            "a POST is sent once: {}",
            answer.escape_debug()
        );
        assert_eq!(bed.send(&Request::get("/health")).status, 200);
        assert_eq!(bed.send(&Request::get("/any/x")).status, 401);
        bed.proxy.await_records(3);
        reconcile(&bed);
    }
}

#[test]
fn invariant_34_an_upstream_that_refuses_connections_is_a_502() {
    let gone = Upstream::start();
    let url = gone.url();
    drop(gone);
    let bed = standard::setup().upstream_url(&url).start();
    let token = bed.token().sign();
    for variant in Variant::ALL.into_iter().filter(|variant| !variant.second) {
        let request = Request::get("/any/x").bearer(&token);
        assert_refused(&bed, variant, &request, 502, "upstream_unreachable");
        assert_refused(&bed, variant, &Request::get("/any/x"), 401, "no_token");
    }
    reconcile(&bed);
}

#[test]
fn invariant_34_a_caller_who_cannot_be_vouched_for_is_refused() {
    let bed = standard();
    let named = |email: &str| {
        let token = bed.token().claim("email", email).sign();
        Request::get("/any/x").bearer(token)
    };
    let too_long = named(&"x".repeat(9_000));
    refused_everywhere(&bed, &too_long, 403, "identity_too_large");
    forwarded_everywhere(&bed, &named("alice@example.org"));
}

#[test]
fn invariant_34_hostile_tokens_and_heads_do_not_end_the_process() {
    let bed: Bed = standard();
    let mut seed: u32 = 1;
    let mut random = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed >> 16
    };
    let good = Request::get("/any/x").bearer(bed.token().sign()).bytes();
    for _ in 0..300 {
        let mut bytes = good.clone();
        for _ in 0..=random() % 3 {
            let at = random() as usize % bytes.len();
            bytes[at] = random() as u8;
        }
        let mut client = bed.proxy.connect();
        client.send(&bytes);
        client.half_close();
        client.read_end();
    }
    assert_forwarded(
        &bed,
        Variant::PLAIN,
        &Request::get("/any/x").bearer(bed.token().sign()),
    );
}

const STALE: &str = "
issuers:
  - {name: main, issuer: @ISSUER@, jwks: {url: @JWKS@, allow_http: true, refresh: 5m, max_stale: 10m}, audiences: [api]}
routes: [{path: /health, allow: anyone}, {path: /x, allow: {issuer: main}}]
";

#[test]
fn invariant_35_keys_end_at_max_stale_and_verdicts_end_with_them() {
    let bed = Setup::bare(STALE).tls().start();
    let token = bed.token().claim("exp", START + 7200);
    let (met, new) = (token.clone().sign(), token.claim("sub", "bob").sign());
    let of = |token: &str| Request::get("/x").bearer(token);
    forwarded_everywhere(&bed, &of(&met));
    bed.issuer
        .mode(Mode::Answer(500, "text/plain", "down".into()));
    bed.clock.advance(Duration::from_secs(540));
    forwarded_everywhere(&bed, &of(&met));
    bed.clock.advance(Duration::from_secs(61));
    bed.proxy.await_issuer_events("jwks.stale", "main", 1);
    for token in [&met, &new] {
        refused_everywhere(&bed, &of(token), 503, "keys_unavailable");
    }
    forwarded_everywhere(&bed, &Request::get("/health"));
    let before = bed.proxy.issuer_events("jwks.refreshed", "main");
    bed.issuer.mode(Mode::Ok);
    bed.clock.advance(Duration::from_secs(61));
    bed.proxy
        .await_issuer_events("jwks.refreshed", "main", before + 1);
    forwarded_everywhere(&bed, &of(&met));
}
