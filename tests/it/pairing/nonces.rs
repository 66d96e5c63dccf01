//! Nonces of ours in proofs (RFC 9449 section 9).

use std::time::Duration;

use super::proofs::Client;
use crate::bed::{
    Bed, Connection, Request, Response, Setup, Variant, assert_forwarded, assert_refused,
    exchanged, refused_everywhere,
};

const POLICY: &str = "
issuers:
  - {name: main, issuer: @ISSUER@, jwks: {file: @DIR@/jwks.json}, audiences: [api], dpop: {mode: accept, nonce: required}}
  - {name: other, issuer: 'https://other.example', jwks: {file: @DIR@/jwks.json}, audiences: [api], dpop: {mode: accept, nonce: required}}
routes:
  - {path: /health, allow: anyone}
  - {path: /any/**, allow: {issuer: main}}
  - {path: /other, allow: {issuer: other}}
";

fn setup() -> Setup {
    Setup::bare(POLICY).inbound("external_url: 'https://api.test'")
}

/// The nonce of a challenge that asks for one.
#[track_caller]
fn told(answer: &Response) -> String {
    assert_eq!(answer.status, 401);
    let challenge = answer.header("www-authenticate").expect("a challenge");
    let start = "DPoP realm=\"countersign\", error=\"use_dpop_nonce\", algs=\"";
    assert!(challenge.starts_with(start), "{challenge}");
    assert_eq!(answer.all("www-authenticate").len(), 1);
    assert_eq!(
        answer.json()["type"],
        "urn:countersign:problem:use_dpop_nonce"
    );
    assert_eq!(answer.all("cache-control"), ["no-store"]);
    let nonce = answer.header("dpop-nonce").expect("a nonce").to_owned();
    assert!(nonce.len() >= 20, "{nonce}");
    nonce
}

#[track_caller]
fn ask(bed: &Bed) -> String {
    told(&exchanged(
        bed,
        Variant::PLAIN,
        &Client::new(bed).request("as issued"),
    ))
}

fn with(bed: &Bed, nonce: &str) -> Request {
    Client::new(bed).request(&format!("claim nonce=\"{nonce}\""))
}

#[test]
fn a_client_gets_a_nonce_and_passes_with_it_on_every_worker() {
    let bed = setup().workers(2).start();
    let (mut one, mut other) = (bed.proxy.connect(), bed.proxy.connect());
    let client = Client::new(&bed);
    let send =
        |connection: &mut Connection, request: &Request| connection.exchange(request.bytes());
    let nonce = told(&send(&mut one, &client.request("as issued")));
    assert_eq!(told(&send(&mut other, &client.request("as issued"))), nonce);
    for connection in [&mut one, &mut other] {
        for _ in 0..2 {
            let request = with(&bed, &nonce);
            assert_eq!(send(connection, &request).status, 200);
            assert_eq!(
                send(connection, &request).status,
                401,
                "a nonce does not excuse a replay"
            );
        }
    }
}

#[test]
fn a_nonce_is_ours_and_fresh() {
    let bed = Setup::bare(POLICY)
        .inbound("external_url: 'https://api.test'")
        .tls()
        .start();
    let nonce = ask(&bed);
    let client = Client::new(&bed);
    let others = told(&exchanged(
        &bed,
        Variant::PLAIN,
        &client.request("path /other ; access claim iss=\"https://other.example\""),
    ));
    assert_ne!(others, nonce, "each issuer has its own");
    for wrong in [
        "x".to_owned(),
        nonce.to_lowercase() + "x",
        format!("{nonce}="),
        nonce[1..].to_owned(),
        others,
    ] {
        refused_everywhere(&bed, &with(&bed, &wrong), 401, "dpop_nonce");
    }
    assert_forwarded(&bed, Variant::PLAIN, &with(&bed, &nonce));
    // What is wrong with a proof beside its nonce is said after it, and what comes before is said before.
    let wrong = client.request("signature flip 1");
    assert_refused(&bed, Variant::PLAIN, &wrong, 401, "dpop_nonce");
    let wrong = client.request(&format!("claim nonce=\"{nonce}\" ; signature flip 1"));
    assert_refused(&bed, Variant::PLAIN, &wrong, 401, "dpop_signature");
    let wrong = client.request("proofs 0");
    assert_refused(&bed, Variant::PLAIN, &wrong, 401, "dpop_missing");
    let wrong = client.request("claim iat=0");
    assert_refused(&bed, Variant::PLAIN, &wrong, 401, "dpop_time");
}

#[test]
fn nonces_rotate_and_the_one_before_is_good_for_a_while() {
    let bed = setup().start();
    let first = ask(&bed);
    bed.clock.advance(Duration::from_secs(120));
    let second = ask(&bed);
    assert_ne!(first, second);
    for nonce in [&first, &second] {
        assert_forwarded(&bed, Variant::PLAIN, &with(&bed, nonce));
    }
    // A reload does not change them.
    bed.proxy
        .reload(&bed.fill(&format!("{POLICY}\n")))
        .expect("a reload");
    assert_forwarded(&bed, Variant::PLAIN, &with(&bed, &first));
    bed.clock.advance(Duration::from_secs(120));
    assert_refused(&bed, Variant::PLAIN, &with(&bed, &first), 401, "dpop_nonce");
    assert_forwarded(&bed, Variant::PLAIN, &with(&bed, &second));
    // Another process has others.
    let twin = setup().start();
    assert_ne!(ask(&twin), first);
}

#[test]
fn scripts_can_read_the_nonce() {
    let cors = "external_url: 'https://api.test'\ncors: {origins: ['https://app.example.org']}";
    let bed = Setup::bare(POLICY).inbound(cors).start();
    let exposed = |origin: &str| {
        let request = Client::new(&bed).request(&format!("with origin: {origin}"));
        let answer = exchanged(&bed, Variant::PLAIN, &request);
        told(&answer);
        let all = answer.all("access-control-expose-headers").join(", ");
        all.split(", ").any(|name| name == "DPoP-Nonce")
    };
    assert!(exposed("https://app.example.org"));
    assert!(!exposed("https://evil.example"));
}
