//! Invariant 70: everything that was asked is accounted for, once, also what was broken off.

use std::collections::BTreeMap;

use crate::bed::{Bed, Next, Request, Setup, Upstream, eventually};

const POLICY: &str = r#"
log: {level: trace, subject: hash}
routes:
  - {name: open, path: /open, allow: anyone}
  - {name: mine, path: /mine, allow: {issuer: main}}
  - {name: scoped, path: /scoped, allow: {issuer: main, scopes: [none-has-it]}}
"#;

/// Each kind of request so often.
const ROUNDS: usize = 25;

/// What came of a kind of request: its decision, its reason, its route, and whether the caller is known.
type Expected = (
    &'static str,
    Option<&'static str>,
    Option<&'static str>,
    bool,
);

/// Asks everything once; what is expected of each, by its path.
fn round(bed: &Bed, number: usize, expected: &mut BTreeMap<String, Expected>) {
    let good = bed.token().sign();
    let mut ask = |path: String, request: Request, status: u16, outcome: Expected| {
        let target = format!("{}?n={path}", request.target);
        let request = Request { target, ..request };
        assert_eq!(bed.send(&request).status, status, "{path}");
        assert!(expected.insert(path, outcome).is_none());
    };
    let mine = Request::get("/mine");
    for (kind, request, status, outcome) in [
        (
            "good",
            mine.clone().bearer(&good),
            200,
            ("allowed", None, Some("mine"), true),
        ),
        (
            "open",
            Request::get("/open"),
            200,
            ("allowed", None, Some("open"), false),
        ),
        (
            "none",
            mine.clone(),
            401,
            ("denied", Some("no_token"), Some("mine"), false),
        ),
        (
            "old",
            mine.clone().bearer(bed.token().expires_in(-3600).sign()),
            401,
            ("denied", Some("token_expired"), Some("mine"), false),
        ),
        (
            "where",
            Request::get("/nowhere"),
            403,
            ("denied", Some("no_route"), None, false),
        ),
        (
            "fault",
            mine.bearer(&good).header("x-do", "break"),
            502,
            ("errored", None, Some("mine"), true),
        ),
    ] {
        ask(format!("{kind}{number}"), request, status, outcome);
    }
    // One that goes away in the middle of its body.
    let path = format!("gone{number}");
    let mut connection = bed.proxy.connect();
    connection.send(format!(
        "POST /mine?n={path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {good}\r\ncontent-length: 99\r\n\r\nhalf"
    ));
    let before = bed.upstream.requests().len();
    eventually("the upstream has the half", || {
        bed.upstream.requests().len() >= before
            && bed
                .upstream
                .requests()
                .iter()
                .any(|seen| seen.target.ends_with(&path))
    });
    drop(connection);
    expected.insert(path, ("", None, Some("mine"), true));
}

#[test]
fn invariant_70_records_and_counters_reconcile_with_what_was_asked_aborts_included() {
    let upstream = Upstream::scripted(|exchange| {
        if exchange.request.header("x-do") == Some("break") {
            return Ok(Next::Reset);
        }
        exchange.echo()
    });
    let bed = Setup::new(POLICY).upstream(upstream).start();
    let mut expected = BTreeMap::new();
    for number in 0..ROUNDS {
        round(&bed, number, &mut expected);
    }
    let asked = expected.len();
    let records = bed.proxy.await_records(asked);
    assert_eq!(records.len(), asked, "one record each");
    let mut decisions = BTreeMap::new();
    let mut ids = std::collections::BTreeSet::new();
    for record in &records {
        let target = record["target"].as_str().expect("a target");
        let (_, name) = target.split_once("?n=").expect("a name");
        let (decision, reason, route, known) = expected
            .remove(name)
            .unwrap_or_else(|| panic!("recorded twice: {record}"));
        if decision.is_empty() {
            assert_ne!(record["decision"], "denied", "{record}");
        } else {
            assert_eq!(record["decision"], decision, "{record}");
        }
        if let Some(reason) = reason {
            assert_eq!(record["reason"], reason, "{record}");
        }
        assert_eq!(record["route"].as_str(), route, "{record}");
        assert_eq!(record["generation"], 1, "{record}");
        assert!(
            ids.insert(record["request_id"].to_string()),
            "an id twice: {record}"
        );
        let subject = record["subject"].as_str();
        assert_eq!(
            subject.is_some_and(|subject| subject.starts_with("hmac:")),
            known,
            "{record}"
        );
        let decision = record["decision"].as_str().expect("a decision").to_owned();
        *decisions.entry(decision).or_insert(0_usize) += 1;
    }
    assert!(expected.is_empty(), "asked and not recorded: {expected:?}");
    let metric = |name: &str, label: &str| bed.proxy.metric(name, label) as usize;
    assert_eq!(metric("countersign_requests_total", ""), asked);
    for (decision, count) in decisions {
        let label = format!("decision=\"{decision}\"");
        assert_eq!(
            metric("countersign_decisions_total", &label),
            count,
            "{decision}"
        );
    }
    assert_eq!(metric("http_server_active_requests", ""), 0);
}
