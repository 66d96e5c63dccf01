//! Invariant 70 where callers go away: every request leaves one record, and it says what was decided.

use crate::bed::{Mode, Request, Setup, reconcile};

const FETCHED: &str = "
issuers:
  - {name: main, issuer: \"@ISSUER@\", jwks: {url: \"@JWKS@\", allow_http: true}, audiences: [api], algorithms: [RS256]}
callers: {web: {issuer: main}}
routes: [{path: /x, allow: web}]
";

/// Found by the soak test: who left while a key was waited for was recorded as allowed, though nothing was decided.
#[test]
fn invariant_70_a_caller_who_leaves_before_the_decision_is_not_recorded_as_allowed() {
    let bed = Setup::bare(FETCHED).start();
    bed.proxy.await_issuer_events("jwks.refreshed", "main", 1);
    bed.issuer.mode(Mode::Hang);
    bed.clock.advance(std::time::Duration::from_secs(31));
    let fetches = bed.issuer.fetches();
    let token = bed.token().header("kid", "unknown").sign();
    let mut client = bed.proxy.connect();
    client.send(Request::get("/x").bearer(token).bytes());
    bed.issuer.await_fetches(fetches + 1);
    drop(client);
    let record = bed.proxy.await_records(1).remove(0);
    assert_eq!(record["decision"], "errored", "{record}");
    assert_eq!(record["reason"], "client_gone");
    assert_eq!(bed.upstream.mark(), (0, 0, 0));
    // Who stays gets through.
    bed.issuer.mode(Mode::Ok);
    let response = bed.get("/x", &bed.token().sign());
    assert_eq!(response.status, 200);
    assert_eq!(bed.proxy.await_records(2)[1]["decision"], "allowed");
    reconcile(&bed);
}

/// Found by the soak test: of callers who sent a request and the end of their connection at once, some left no trace.
#[test]
fn invariant_70_requests_of_callers_who_left_at_once_leave_a_record() {
    const REQUESTS: usize = 100;
    let bed =
        Setup::new("routes: [{path: /x, allow: anyone}, {path: /y, allow: nobody}]\n").start();
    for n in 0..REQUESTS {
        let path = if n % 2 == 0 { "/x" } else { "/y" };
        bed.proxy.connect().send(Request::get(path).bytes());
    }
    for record in bed.proxy.await_records(REQUESTS) {
        assert_eq!(record["type"], "request", "{record}");
        let decided = record["decision"].as_str().expect("a decision");
        let expected = match record["path"].as_str() {
            Some("/x") => decided == "allowed" || record["reason"] == "client_gone",
            Some(_) => decided == "denied",
            None => record["reason"] == "client_gone",
        };
        assert!(expected, "{record}");
    }
    reconcile(&bed);
}
