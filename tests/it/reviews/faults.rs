//! Whatever the endpoint does. Cold: 503 with `Retry-After`, never 401 and never a pass. Warm: what was said counts within its
//! bound, and not a moment longer. Healed: it works again, by itself.

use std::time::Duration;

use serde_json::json;

use super::cluster::{atlas, bed, now, review, usage};
use crate::bed::idp::{self, Document, State, Then, answer};
use crate::bed::reviewer::{ApiServer, projected, status};
use crate::bed::{
    Bed, Request, Variant, assert_forwarded, assert_recorded, assert_refused, eventually, keys,
    reconcile, tls,
};

/// How a question ends.
#[derive(Clone, Copy, PartialEq)]
enum Ends {
    Soon,
    /// By the time limit, which the proxy's clock must reach.
    Late,
}

use Ends::{Late, Soon};

type Row = (&'static str, State, Ends, &'static str);

const JSON: &str = "content-type: application/json\r\n";

fn says(bytes: impl AsRef<[u8]>, then: Then) -> State {
    State::Says(Document::Answer, bytes.as_ref().to_vec(), then)
}

fn status_of(status: &str, fields: &str, body: &str) -> State {
    says(answer(status, fields, body.as_bytes()), Then::Close)
}

fn created(body: &str) -> State {
    status_of("201 Created", JSON, body)
}

fn connection_faults() -> Vec<Row> {
    let other_name = tls::identity(&["elsewhere.example"], &[]);
    let head =
        "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{";
    vec![
        ("refuses", State::Refusing, Soon, "refused"),
        ("says nothing", State::Silent, Late, "timed out"),
        (
            "certificate expired",
            idp::presenting(&tls::expired()),
            Soon,
            "expired",
        ),
        (
            "certificate of another name",
            idp::presenting(&other_name),
            Soon,
            "not valid for",
        ),
        (
            "certificate of a stranger",
            idp::presenting(&tls::stranger()),
            Soon,
            "UnknownIssuer",
        ),
        (
            "http on the https port",
            State::Plain,
            Soon,
            "corrupt message",
        ),
        ("hangs", says("", Then::Hang), Late, "timed out"),
        ("resets", says("", Then::Reset), Soon, "connection: "),
        (
            "resets in the head",
            says("HTTP/1.1 201 C", Then::Reset),
            Soon,
            "connection: ",
        ),
        (
            "closes in the body",
            says(head, Then::Close),
            Soon,
            "connection: ",
        ),
        (
            "stalls in the body",
            says(head, Then::Hang),
            Late,
            "timed out",
        ),
    ]
}

fn answer_faults() -> Vec<Row> {
    // What would pass if it came with the right status, type or shape.
    let good = json!({
        "kind": "TokenReview",
        "apiVersion": "authentication.k8s.io/v1",
        "status": status("atlas-production", "atlas"),
    })
    .to_string();
    let huge = format!("{{\"a\":\"{}\"}}", "a".repeat(256 * 1024));
    let endless = says(
        "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
        Then::Repeat(
            b"400\r\n"
                .iter()
                .copied()
                .chain([b' '; 0x400])
                .chain(*b"\r\n")
                .collect(),
        ),
    );
    vec![
        ("500", status_of("500 No", JSON, &good), Soon, "status 500"),
        ("503", status_of("503 No", JSON, ""), Soon, "status 503"),
        (
            "429",
            status_of("429 No", "retry-after: 9\r\n", ""),
            Soon,
            "status 429",
        ),
        ("404", status_of("404 No", JSON, &good), Soon, "status 404"),
        ("409", status_of("409 No", JSON, &good), Soon, "status 409"),
        (
            "401",
            status_of("401 No", JSON, &good),
            Soon,
            "our own credentials are refused: status 401",
        ),
        (
            "403",
            status_of("403 No", JSON, &good),
            Soon,
            "our own credentials are refused: status 403",
        ),
        (
            "202",
            status_of("202 Later", JSON, &good),
            Soon,
            "status 202",
        ),
        ("204", status_of("204 Nothing", "", ""), Soon, "status 204"),
        (
            "a redirect",
            status_of("307 There", "location: /elsewhere\r\n", &good),
            Soon,
            "redirects are not followed",
        ),
        (
            "HTML",
            status_of("201 Created", "content-type: text/html\r\n", "<html>"),
            Soon,
            "content type",
        ),
        (
            "HTML that is JSON",
            status_of("201 Created", "content-type: text/html\r\n", &good),
            Soon,
            "content type",
        ),
        (
            "no content type",
            status_of("201 Created", "", &good),
            Soon,
            "content type",
        ),
        (
            "HTML called JSON",
            created("<html>"),
            Soon,
            "no JSON document",
        ),
        ("nothing", created(""), Soon, "no JSON document"),
        ("too large", created(&huge), Soon, "larger than 256 KiB"),
        ("endless", endless, Soon, "larger than 256 KiB"),
        (
            "compressed",
            status_of(
                "201 Created",
                &format!("{JSON}content-encoding: gzip\r\n"),
                "x",
            ),
            Soon,
            "compressed",
        ),
        (
            "a Status",
            created(r#"{"kind":"Status","apiVersion":"v1","status":"Success"}"#),
            Soon,
            "no TokenReview",
        ),
        (
            "half of it",
            created(&good[..good.len() / 2]),
            Soon,
            "no JSON document",
        ),
        (
            "two of it",
            created(&format!("{good}{good}")),
            Soon,
            "no JSON document",
        ),
        (
            "a member twice",
            created(&good.replacen(
                "\"authenticated\":true",
                "\"authenticated\":false,\"authenticated\":true",
                1,
            )),
            Soon,
            "duplicate",
        ),
    ]
}

/// A request that nothing is known of, and its refusal.
fn cold(bed: &Bed, server: &ApiServer, token: &str, ends: Ends, name: &str) {
    if ends == Soon {
        let refused = assert_refused(
            bed,
            Variant::PLAIN,
            &usage(token),
            503,
            "review_unavailable",
        );
        assert_eq!(refused.header("retry-after"), Some("1"), "{name}");
        assert_eq!(refused.header("www-authenticate"), None, "{name}");
        return;
    }
    let (connections, records) = (server.idp.connections(), bed.proxy.records().len());
    let before = bed.upstream.mark();
    let mut client = bed.proxy.connect();
    client.send(usage(token).bytes());
    server.idp.await_connections(connections + 1);
    bed.clock.advance(Duration::from_secs(2));
    assert_eq!(client.read().status, 503, "{name}");
    // Who waits does so for as long as the question may take, not for its end.
    eventually(name, || review(bed)["in_flight"] == 0);
    let records = bed.proxy.await_records(records + 1);
    assert_recorded(records.last().expect("a record"), 503, "review_unavailable");
    assert_eq!(bed.upstream.mark(), before, "{name}");
}

fn run((name, state, ends, error): Row) {
    let server = ApiServer::start();
    let bed = bed(&server);
    let warm = atlas(&server, &bed);
    assert_forwarded(&bed, Variant::PLAIN, &usage(&warm));
    let fresh = |id: &str| {
        let token = projected(&keys::RSA_1, "atlas-production", "atlas", now(&bed))
            .claim("jti", id)
            .sign();
        server.says(&token, status("atlas-production", "atlas"));
        token
    };

    server.idp.is(state);
    let first = fresh("1");
    cold(&bed, &server, &first, ends, name);
    let told = review(&bed);
    let last_error = told["last_error"].as_str().unwrap_or_default();
    assert!(last_error.contains(error), "{name}: {last_error}");
    assert_eq!(told["health"], "failing", "{name}: {told}");
    assert_eq!(told["in_flight"], 0, "{name}: {told}");
    let event = bed.proxy.await_event("review.failed");
    assert!(
        event["error"].as_str().unwrap_or_default().contains(error),
        "{name}: {event}"
    );
    // Within the bound, what was said still counts; others are not concerned at all.
    bed.clock.advance(Duration::from_secs(7));
    assert_forwarded(&bed, Variant::PLAIN, &usage(&warm));
    assert_forwarded(&bed, Variant::PLAIN, &Request::get("/health"));
    assert_refused(
        &bed,
        Variant::PLAIN,
        &Request::get("/usage"),
        401,
        "no_token",
    );
    assert_eq!(bed.proxy.admin_get("/readyz").status, 200, "{name}");
    // After it, nothing does.
    bed.clock.advance(Duration::from_secs(3));
    cold(&bed, &server, &warm, ends, name);

    server.idp.is(State::Serving);
    bed.clock.advance(Duration::from_secs(1));
    for token in [&warm, &first] {
        assert_forwarded(&bed, Variant::PLAIN, &usage(token));
    }
    assert_eq!(review(&bed)["health"], "usable", "{name}");
    assert!(
        !server
            .idp
            .posted()
            .iter()
            .any(|posted| posted.path == "/elsewhere"),
        "{name}"
    );
    reconcile(&bed);
}

#[test]
fn invariant_35_and_45_reviews_whatever_the_connection_does() {
    connection_faults().into_iter().for_each(run);
}

#[test]
fn invariant_35_and_45_reviews_whatever_the_endpoint_answers() {
    answer_faults().into_iter().for_each(run);
}

/// The failure of one token's question is no other token's affair: nobody can shut others out by an odd one.
#[test]
fn a_question_that_fails_does_not_keep_others_from_being_asked() {
    let server = ApiServer::start();
    let bed = bed(&server);
    let odd = projected(&keys::RSA_1, "atlas-production", "odd", now(&bed)).sign();
    server.says(&odd, json!({"authenticated": "maybe"}));
    for _ in 0..3 {
        assert_refused(
            &bed,
            Variant::PLAIN,
            &usage(&odd),
            503,
            "review_unavailable",
        );
        let good = projected(&keys::RSA_1, "atlas-production", "atlas", now(&bed));
        let good = good.claim("jti", server.asked()).sign();
        server.says(&good, status("atlas-production", "atlas"));
        assert_forwarded(&bed, Variant::PLAIN, &usage(&good));
    }
    // Nor does it fill the log, or ask again at once.
    assert_eq!(bed.proxy.issuer_events("review.failed", "atlas"), 1);
    assert_eq!(server.asked(), 4);
    reconcile(&bed);
}
