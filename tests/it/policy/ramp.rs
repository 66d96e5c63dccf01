//! A policy that is enforced step by step: for a share of the clients, and for some callers later than for others.

use std::time::Duration;

use countersign::clock::UnixTime;
use serde_json::Value;

use crate::bed::{Bed, Request, Response, START, Setup};

/// Of clients by address: these are enforced at 25 %, and those at 50 % are as well.
const QUARTER: [&str; 3] = ["192.0.2.2", "192.0.2.6", "192.0.2.16"];
const HALF: [&str; 2] = ["192.0.2.1", "192.0.2.12"];
const NOT_YET: [&str; 3] = ["192.0.2.3", "192.0.2.4", "192.0.2.5"];

const RAMPED: &str = "
identity: {headers: {x-auth-subject: subject}}
callers:
  web: {issuer: main, client: web}
routes:
  - path: /**
    allow: {GET: {caller: web, scopes: [read]}}
  - path: /admin/**
    allow: nobody
    mode: enforce
mode: observe
until: 2027-01-31
enforce: 25%
";

fn bed(lines: &str) -> Bed {
    Setup::new(lines)
        .inbound("trusted_proxies: [127.0.0.1]")
        .start()
}

fn from(client: &str, request: &Request) -> Request {
    request.clone().header("x-forwarded-for", client)
}

/// The answer, how many requests reached the upstream by it, and its record.
fn ask(bed: &Bed, request: &Request) -> (Response, usize, Value) {
    let (reached, recorded) = (bed.upstream.requests().len(), bed.proxy.records().len());
    let answer = bed.send(request);
    let record = bed
        .proxy
        .await_records(recorded + 1)
        .pop()
        .expect("a record");
    (answer, bed.upstream.requests().len() - reached, record)
}

#[track_caller]
fn assert_enforced(bed: &Bed, request: &Request, status: u16, reason: &str) {
    let (answer, reached, record) = ask(bed, request);
    assert_eq!((answer.status, reached), (status, 0), "{record:#}");
    assert_eq!(
        (&record["reason"], &record["observed"]),
        (&reason.into(), &Value::Null)
    );
}

#[track_caller]
fn assert_observed(bed: &Bed, request: &Request, reason: &str) {
    let (answer, reached, record) = ask(bed, request);
    assert_eq!((answer.status, reached), (200, 1), "{record:#}");
    assert_eq!(
        (&record["decision"], &record["observed"]),
        (&"allowed".into(), &reason.into())
    );
}

/// Requests that policy refuses, with their status and reason.
fn refused(bed: &Bed) -> Vec<(Request, u16, &'static str)> {
    let token = |token: &crate::bed::Token| Request::get("/x").bearer(token.sign());
    vec![
        (Request::get("/x"), 401, "no_token"),
        (token(&bed.token().expires_in(-600)), 401, "token_expired"),
        (
            token(&bed.token().claim("azp", "mallory")),
            403,
            "caller_not_allowed",
        ),
        (
            token(&bed.token().claim("scope", "write")),
            403,
            "scope_missing",
        ),
        (
            Request::post("/x", "").bearer(bed.token().sign()),
            405,
            "method_not_allowed",
        ),
    ]
}

#[test]
fn a_share_of_the_clients_is_enforced_and_a_retry_is_no_way_around() {
    let bed = bed(RAMPED);
    for (request, status, reason) in refused(&bed) {
        for _ in 0..3 {
            for client in QUARTER {
                assert_enforced(&bed, &from(client, &request), status, reason);
            }
            for client in HALF.iter().chain(&NOT_YET) {
                assert_observed(&bed, &from(client, &request), reason);
            }
        }
    }
    // Who would have been 401 passes as nobody.
    let expired = Request::get("/x").bearer(bed.token().expires_in(-600).sign());
    let (answer, _, _) = ask(&bed, &from(NOT_YET[0], &expired));
    assert_eq!(answer.status, 200);
    let seen = bed.upstream.requests().pop().expect("a request");
    assert_eq!(seen.header("x-auth-subject"), None);
    // What is allowed passes for all of them, and what is enforced for all is so whoever asks.
    let good = Request::get("/x").bearer(bed.token().sign());
    for client in QUARTER.iter().chain(&NOT_YET) {
        let (answer, _, record) = ask(&bed, &from(client, &good));
        assert_eq!((answer.status, &record["observed"]), (200, &Value::Null));
        assert_enforced(
            &bed,
            &from(client, &Request::get("/admin/x")),
            403,
            "nobody_may",
        );
        assert_enforced(
            &bed,
            &from(client, &Request::get("/Admin/x")),
            403,
            "near_miss",
        );
    }
}

#[test]
fn a_larger_share_keeps_those_of_the_smaller_one_and_the_date_ends_it() {
    let bed = bed(RAMPED);
    let request = Request::get("/x");
    bed.reload(&RAMPED.replace("25%", "50%"))
        .expect("a good configuration");
    for client in QUARTER.iter().chain(&HALF) {
        assert_enforced(&bed, &from(client, &request), 401, "no_token");
    }
    for client in NOT_YET {
        assert_observed(&bed, &from(client, &request), "no_token");
    }
    bed.reload(&RAMPED.replace("25%", "0%"))
        .expect("a good configuration");
    assert_observed(&bed, &from(QUARTER[0], &request), "no_token");
    bed.reload(&RAMPED.replace("25%", "100%"))
        .expect("a good configuration");
    assert_enforced(&bed, &from(NOT_YET[0], &request), 401, "no_token");
    bed.reload(RAMPED).expect("a good configuration");
    assert_observed(&bed, &from(NOT_YET[0], &request), "no_token");
    let end = UnixTime::from_civil([2027, 2, 1], [0, 0, 0]).expect("a date");
    let left = u64::try_from(end.as_secs() - START).expect("later");
    bed.clock.advance(Duration::from_secs(left));
    for client in QUARTER.iter().chain(&NOT_YET) {
        assert_enforced(&bed, &from(client, &request), 401, "no_token");
    }
}

#[test]
fn every_replica_enforces_for_the_same_clients_and_another_address_of_a_host_is_no_other_client() {
    let (one, other) = (bed(RAMPED), bed(RAMPED));
    let status = |bed: &Bed, client: &str| bed.send(&from(client, &Request::get("/x"))).status;
    let mut enforced = 0;
    for at in 0..60 {
        let client = format!("203.0.113.{at}");
        let answer = status(&one, &client);
        assert_eq!(answer, status(&other, &client), "{client}");
        enforced += usize::from(answer == 401);
    }
    assert!((5..30).contains(&enforced), "{enforced} of 60");
    for at in 0..20 {
        let of_host = |end: &str| status(&one, &format!("2001:db8:0:{at}:{end}"));
        assert_eq!(of_host(":1"), of_host("ffff:2:3:4"));
    }
    // Who is not trusted to say which client it is, is the client.
    let plain = Setup::new(RAMPED).start();
    let itself = plain.send(&Request::get("/x")).status;
    for client in QUARTER.iter().chain(&NOT_YET) {
        assert_eq!(status(&plain, client), itself);
    }
}

const CALLERS: &str = "
identity: {headers: {x-auth-subject: subject}}
callers:
  web: {issuer: main, client: web}
  robot: {issuer: main, client: robot, mode: observe, until: 2027-01-31}
routes:
  - path: /orders
    allow: {GET: [{caller: web, scopes: [orders]}, {caller: robot, scopes: [orders]}]}
  - path: /**
    allow: web
  - path: /closed
    allow: nobody
";

#[test]
fn an_observed_caller_passes_where_it_is_refused_and_others_do_not() {
    let bed = bed(CALLERS);
    let of = |client: &str| bed.token().claim("azp", client).claim("sub", client);
    let get = |path: &str, token: &crate::bed::Token| Request::get(path).bearer(token.sign());
    assert_observed(&bed, &get("/orders", &of("robot")), "scope_missing");
    // It was verified, and the upstream is told who it is; policy named no caller.
    let seen = bed.upstream.requests().pop().expect("a request");
    assert_eq!(seen.header("x-auth-subject"), Some("robot"));
    assert_observed(&bed, &get("/other", &of("robot")), "caller_not_allowed");
    let (answer, _, record) = ask(&bed, &get("/orders", &of("robot").claim("scope", "orders")));
    assert_eq!((answer.status, &record["caller"]), (200, &"robot".into()));
    // Others are enforced, and so is what is refused before anybody is known.
    assert_enforced(&bed, &get("/orders", &of("web")), 403, "scope_missing");
    assert_enforced(
        &bed,
        &get("/other", &of("mallory")),
        403,
        "caller_not_allowed",
    );
    assert_enforced(&bed, &Request::get("/other"), 401, "no_token");
    assert_enforced(
        &bed,
        &get("/orders", &of("robot").expires_in(-600)),
        401,
        "token_expired",
    );
    assert_enforced(&bed, &get("/closed", &of("robot")), 403, "nobody_may");
    let post = Request::post("/orders", "").bearer(of("robot").sign());
    assert_enforced(&bed, &post, 405, "method_not_allowed");
    // Readiness says that something is not enforced, and for whom.
    let detail = bed.proxy.admin_get("/readyz").text();
    assert!(detail.contains("caller robot"), "{detail}");
    // A share of its clients, and its end.
    let share = CALLERS.replace("until: 2027-01-31", "until: 2027-01-31, enforce: 25%");
    bed.reload(&share).expect("a good configuration");
    let request = get("/other", &of("robot"));
    assert_enforced(&bed, &from(QUARTER[0], &request), 403, "caller_not_allowed");
    assert_observed(&bed, &from(NOT_YET[0], &request), "caller_not_allowed");
    bed.reload(&CALLERS.replace("2027-01-31", "2027-01-01"))
        .expect("a good configuration");
    assert_enforced(&bed, &request, 403, "caller_not_allowed");
}
