//! The end of certificates that the proxy shows: told in time, in figures and in words.

use std::time::Duration;

use serde_json::Value;

use crate::bed::{Bed, Setup, eventually, tls};

const DAY: Duration = Duration::from_secs(86_400);

/// 2027-03-01, 2027-06-01 and 2036-01-01, as what is signed below ends; tests begin on 2027-01-15.
const MARCH: f64 = 1_803_859_200.0;
const JUNE: f64 = 1_811_808_000.0;
const FAR: f64 = 2_082_758_400.0;

/// A certificate to callers, one to the upstream, one to a token endpoint.
const LINES: &str = "
workers: 1
admin: {listen: 127.0.0.1:0}
drain: {delay: 0s, deadline: 1s}
inbound:
  - name: plain
    listen: 127.0.0.1:0
    upstream: {url: \"https://localhost:1\", certificate: {file: far.crt}, key: {file: far.key}}
  - name: tls
    listen: 127.0.0.1:0
    upstream: @UPSTREAM@
    tls: {certificate: {file: tls.crt}, key: {file: tls.key}}
credentials:
  agent:
    token_endpoint: {url: \"https://127.0.0.1:1/token\"}
    client_id: agent
    client_authentication: {tls_client_auth: {certificate: {file: far.crt}, key: {file: far.key}}}
outbound: {name: out, listen: 127.0.0.1:0, upstream: \"http://127.0.0.1:1\", credential: agent}
";

fn start(served: &tls::Identity) -> Bed {
    let far = tls::between((2026, 1, 1), (2036, 1, 1));
    Setup::new("routes: [{path: /x, allow: anyone}]\n")
        .head_only(LINES)
        .file("tls.crt", &served.certificate)
        .file("tls.key", &served.key)
        .file("far.crt", &far.certificate)
        .file("far.key", &far.key)
        .start()
}

fn told(bed: &Bed, event: &str) -> Vec<Value> {
    let mut events = bed.proxy.events();
    events.retain(|line| line["event"] == event);
    events
}

fn degraded(bed: &Bed) -> String {
    // Whatever the status: the issuer's keys grow old meanwhile.
    let readiness = bed.proxy.admin_get("/readyz?verbose").json();
    readiness["degraded"].to_string()
}

/// When the certificate with these labels ends, as the metric has it.
fn end(bed: &Bed, labels: &str) -> f64 {
    let name = "countersign_certificate_expiry_timestamp_seconds";
    bed.proxy.metric(name, labels)
}

#[test]
fn certificates_tell_their_end_in_time_and_a_renewed_one_ends_the_warning() {
    let bed = start(&tls::between((2026, 12, 1), (2027, 3, 1)));
    let near = |one: f64, other: f64| (one - other).abs() < 0.5;
    for (labels, expected) in [
        ("{name=\"tls\",use=\"listener\"}", MARCH),
        ("{name=\"plain\",use=\"upstream\"}", FAR),
        ("{name=\"agent\",use=\"credential\"}", FAR),
        ("", MARCH + 2.0 * FAR),
    ] {
        let found = end(&bed, labels);
        assert!(near(found, expected), "{labels}: {found}");
    }
    let began = "countersign_certificate_start_timestamp_seconds";
    // 2026-12-01.
    assert!(near(bed.proxy.metric(began, "listener"), 1_796_083_200.0));

    // Of its three months more than two weeks are left.
    bed.clock.advance(30 * DAY);
    assert!(
        !degraded(&bed).contains("certificate"),
        "{}",
        degraded(&bed)
    );
    assert_eq!(told(&bed, "certificate.ending"), Vec::<Value>::new());

    bed.clock.advance(DAY);
    let event = bed.proxy.await_event("certificate.ending");
    assert_eq!(
        (&event["level"], &event["use"], &event["name"]),
        (&"warn".into(), &"listener".into(), &"tls".into())
    );
    assert_eq!(event["not_after"], "2027-03-01T00:00:00.000Z");
    let words = "the certificate of listener tls ends at 2027-03-01T00:00:00.000Z";
    assert!(degraded(&bed).contains(words), "{}", degraded(&bed));
    let status = bed.proxy.admin_get("/status").expect(200).json();
    let shown: Vec<_> = status["certificates"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| (&one["use"], &one["health"]))
        .collect();
    assert_eq!(shown.len(), 3);
    assert!(
        shown.contains(&(&"listener".into(), &"ending".into())),
        "{shown:?}"
    );

    let renewed = tls::between((2027, 2, 15), (2027, 6, 1));
    for (name, text) in [("tls.crt", &renewed.certificate), ("tls.key", &renewed.key)] {
        std::fs::write(bed.dir.path().join(name), text).expect("a file");
    }
    drop(bed.proxy.reload_as_is());
    eventually("the new certificate is told of", || {
        near(end(&bed, "\"tls\""), JUNE)
    });
    assert!(
        !degraded(&bed).contains("certificate"),
        "{}",
        degraded(&bed)
    );

    // Once, however often it was looked at meanwhile; and the end itself is an error.
    assert_eq!(told(&bed, "certificate.ending").len(), 1);
    bed.clock.advance(120 * DAY);
    let event = bed.proxy.await_event("certificate.ended");
    assert_eq!(event["level"], "error");
    assert_eq!(event["not_after"], "2027-06-01T00:00:00.000Z");
    assert!(degraded(&bed).contains("the certificate of listener tls ended at 2027-06-01"));
}
