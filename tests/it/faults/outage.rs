//! Hours without the issuer, rotations under load, and floods of invented key ids, with a clock that moves when told to.

use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::bed::idp::{Document, Idp, State, Then, answer, presenting};
use crate::bed::keys::{ES256_1, Key, RSA_1, RSA_2};
use crate::bed::{
    Bed, Connection, Request, Response, Setup, Variant, assert_forwarded, assert_refused,
    eventually, reconcile, tls,
};

const CONFIG: &str = r#"
issuers:
  - name: idp
    issuer: "@IDP@"
    jwks: {url: "@IDP@/jwks", ca: {file: "@CERTS@/ca.crt"}, max_stale: 7h}
    audiences: [api]
callers: {web: {issuer: idp}}
routes:
  - {path: /open, allow: anyone}
  - {path: /closed, allow: web}
  - {path: /both, allow: web, actor_token: {header: x-actor, issuer: idp, required: false}}
"#;

fn started(idp: &Idp, workers: usize) -> Bed {
    let bed = Setup::bare(&CONFIG.replace("@IDP@", &idp.issuer()))
        .workers(workers)
        .start();
    bed.proxy.await_issuer_events("jwks.refreshed", "idp", 1);
    bed
}

fn issuer(bed: &Bed) -> Value {
    bed.proxy.admin_get("/status").expect(200).json()["issuers"][0].clone()
}

fn failed(bed: &Bed) -> f64 {
    let label = "outcome=\"failed\"";
    bed.proxy.metric("countersign_key_fetches_total", label)
}

fn remaining(bed: &Bed) -> f64 {
    bed.proxy
        .metric("countersign_key_set_remaining_seconds", "")
}

fn closed(bed: &Bed, idp: &Idp, key: &'static Key) -> Request {
    let now = bed.clock.now().unix.as_secs();
    Request::get("/closed").bearer(idp.token(key, now).sign())
}

fn broken(bytes: Vec<u8>) -> State {
    State::Says(Document::Jwks, bytes, Then::Close)
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// States of an issuer, and whether an attempt hangs in it.
fn outages() -> Vec<(&'static str, State, bool)> {
    let hang = State::Says(Document::Jwks, Vec::new(), Then::Hang);
    let reset = State::Says(Document::Jwks, Vec::new(), Then::Reset);
    vec![
        ("refuses", State::Refusing, false),
        ("silent", State::Silent, true),
        ("hangs", hang, true),
        ("resets", reset, false),
        ("500", broken(answer("500 No", "", b"")), false),
        (
            "no keys",
            broken(answer("200 OK", "", br#"{"keys":[]}"#)),
            false,
        ),
        ("HTML", broken(answer("200 OK", "", b"<html>")), false),
        ("expired certificate", presenting(&tls::expired()), false),
    ]
}

#[test]
fn invariant_39_six_hours_of_any_outage_fail_no_request_and_its_end_is_told_before() {
    for (name, state, hangs) in outages() {
        let idp = Idp::start(State::Serving);
        let bed = started(&idp, 1);
        idp.is(state);
        let start = bed.clock.tick();
        let (mut attempts, mut warned) = (0_u32, false);
        let mut six_hours = 0;
        // One attempt after the other, until the keys are given up.
        loop {
            let told = issuer(&bed);
            let wait = told["next_refresh_seconds"].as_u64().expect("a schedule") + 1;
            assert!(wait <= 15 * 60 + 1, "{name}: {told}");
            let left = told["expires_in_seconds"].as_u64().expect("an end");
            if wait + 10 >= left {
                break;
            }
            let connections = idp.connections();
            bed.clock.advance(secs(wait));
            if hangs {
                idp.await_connections(connections + 1);
                // Known keys wait for nothing.
                assert_eq!(bed.send(&closed(&bed, &idp, &RSA_1)).status, 200, "{name}");
                bed.clock.advance(secs(5));
            }
            attempts += 1;
            eventually(name, || failed(&bed) as u32 == attempts);
            assert_eq!(bed.send(&closed(&bed, &idp, &RSA_1)).status, 200, "{name}");
            if bed.clock.tick().since(start) <= secs(6 * 3600) {
                six_hours += 1;
            }
            // The alert of docs/operations.md: half of `max_stale` is used up.
            warned |= remaining(&bed) < 3.5 * 3600.0;
        }
        assert!(six_hours >= 24, "{name}: {six_hours}");
        assert!(bed.clock.tick().since(start) > secs(6 * 3600), "{name}");
        assert!(warned, "{name}: the metric said so before");
        assert!(remaining(&bed) > 0.0, "{name}");
        assert_eq!(issuer(&bed)["consecutive_failures"], attempts, "{name}");
        assert_eq!(bed.proxy.admin_get("/readyz").status, 200, "{name}");

        bed.clock.advance(secs(3600));
        bed.proxy.await_issuer_events("jwks.stale", "idp", 1);
        let request = closed(&bed, &idp, &RSA_1);
        eventually(name, || bed.proxy.admin_get("/readyz").status == 503);
        if hangs {
            // The attempt that the end of the keys asked for is on its way; nobody waits longer than a second for it.
            let mut waits = bed.proxy.connect();
            waits.send(request.bytes());
            let mut late = None;
            while late.is_none() {
                bed.clock.advance(secs(1));
                late = bed
                    .proxy
                    .records()
                    .into_iter()
                    .find(|record| record["status"] == 503);
            }
            assert_eq!(waits.read().status, 503, "{name}");
        } else {
            assert_refused(&bed, Variant::PLAIN, &request, 503, "keys_unavailable");
        }
        assert_forwarded(&bed, Variant::PLAIN, &Request::get("/open"));
        let usable = bed.proxy.metric("countersign_issuer_usable_keys", "");
        assert!(usable < 0.5, "{name}: {usable}");
        reconcile(&bed);
    }
}

#[test]
fn invariant_40_a_rotation_under_load_refuses_no_valid_token() {
    let idp = Idp::start(State::Serving);
    let bed = started(&idp, 2);
    let stop = AtomicBool::new(false);
    let newest = AtomicUsize::new(0);
    let served = AtomicUsize::new(0);
    // A jump of the clock while a request is under way would be a minute without an answer, to its deadlines.
    let jump = RwLock::new(());
    let keys: [&'static Key; 3] = [&RSA_1, &ES256_1, &RSA_2];
    std::thread::scope(|scope| {
        for thread in 0..4_usize {
            let (bed, idp, stop, newest, served, jump) =
                (&bed, &idp, &stop, &newest, &served, &jump);
            scope.spawn(move || {
                let mut client = bed.proxy.connect();
                while !stop.load(Ordering::Relaxed) {
                    let _still = jump.read().expect("a lock");
                    // Half of them sign with the newest key, half with one that is still published.
                    let newest = newest.load(Ordering::Acquire);
                    let key = if thread % 2 == 0 {
                        newest
                    } else {
                        newest.saturating_sub(1)
                    };
                    let answer = client
                        .send(closed(bed, idp, keys[key]).bytes())
                        .read_to("GET");
                    let Ok(answer) = answer else {
                        client = bed.proxy.connect();
                        continue;
                    };
                    assert_eq!(answer.status, 200, "key {key}");
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let more = |n: usize| {
            let before = served.load(Ordering::Relaxed);
            eventually("requests", || served.load(Ordering::Relaxed) >= before + n);
        };
        for key in 1..keys.len() {
            more(50);
            // Published and used at once, a cooldown after the rotation before.
            let still = jump.write().expect("a lock");
            bed.clock.advance(secs(31));
            drop(still);
            more(20);
            idp.publish(&keys[key - 1..=key]);
            newest.store(key, Ordering::Release);
            more(100);
            bed.proxy
                .await_issuer_events("jwks.refreshed", "idp", 1 + key);
        }
        stop.store(true, Ordering::Relaxed);
    });
    let refused = bed
        .proxy
        .metric("countersign_decisions_total", "decision=\"denied\"");
    assert!(refused < 0.5, "{refused}");
    assert!(idp.fetches() <= 1 + 2, "{}", idp.fetches());
}

/// `n` requests with key ids that nobody published, pipelined on their own connections; the answers come later.
fn flood(bed: &Bed, idp: &Idp, from: usize, n: usize) -> Vec<Connection> {
    let now = bed.clock.now().unix.as_secs();
    (from..from + n)
        .map(|number| {
            let token = idp
                .token(&RSA_1, now)
                .header("kid", format!("invented-{number}"))
                .sign();
            let mut client = bed.proxy.connect();
            client.send(Request::get("/closed").bearer(token).bytes());
            client
        })
        .collect()
}

fn answers(clients: Vec<Connection>) -> Vec<Response> {
    clients
        .into_iter()
        .map(|mut client| client.read())
        .collect()
}

#[test]
fn invariant_43_44_a_minute_of_invented_kids_costs_three_fetches_in_any_state() {
    let hang = State::Says(Document::Jwks, Vec::new(), Then::Hang);
    for (name, state, hangs, status) in [
        ("up", State::Serving, false, 401),
        ("refuses", State::Refusing, false, 503),
        ("hangs", hang, true, 503),
        (
            "no keys",
            broken(answer("200 OK", "", br#"{"keys":[]}"#)),
            false,
            503,
        ),
    ] {
        let idp = Idp::start(State::Serving);
        let bed = started(&idp, 1);
        idp.is(state);
        let due = issuer(&bed)["next_refresh_seconds"]
            .as_u64()
            .expect("a schedule");
        let attempts = |bed: &Bed| {
            let told = issuer(bed);
            let count = |name: &str| told[name].as_u64().expect("a count");
            count("fetches_ok") + count("fetches_failed")
        };
        let mut in_flight = 0;
        for second in 0..60 {
            let clients = flood(&bed, &idp, second * 8, 8);
            // A known key is judged at once, whatever the others wait for.
            let known = bed.send(&closed(&bed, &idp, &RSA_1));
            assert_eq!(known.status, 200, "{name}, second {second}");
            if hangs {
                // All of them have arrived and wait, or have their answer.
                let arrived = bed.proxy.metric("countersign_requests_total", "");
                eventually(name, || {
                    bed.proxy.metric("countersign_requests_total", "") >= ((second + 1) * 9) as f64
                });
                in_flight += usize::from(arrived > 0.0);
                bed.clock.advance(secs(1));
            }
            for answer in answers(clients) {
                assert_eq!(answer.status, status, "{name}, second {second}");
            }
            if !hangs {
                bed.clock.advance(secs(1));
            }
        }
        assert_eq!(in_flight, if hangs { 60 } else { 0 });
        assert!(idp.fetches() <= 1 + 3, "{name}: {} fetches", idp.fetches());
        assert!(attempts(&bed) <= 1 + 3, "{name}: {}", attempts(&bed));
        assert!(attempts(&bed) > 1, "{name}: an unknown kid asks at all");

        // The flood goes on, and the refresh that is scheduled comes no later for it.
        let told = issuer(&bed)["next_refresh_seconds"]
            .as_u64()
            .expect("a schedule");
        let forced = if status == 401 { 15 * 60 } else { due };
        assert!(told <= forced, "{name}: {told} {forced}");
        idp.publish(&[&RSA_1, &ES256_1]);
        idp.is(State::Serving);
        let before = bed.proxy.issuer_events("jwks.refreshed", "idp");
        bed.clock.advance(secs(told + 1));
        let clients = flood(&bed, &idp, 1000, 8);
        bed.proxy
            .await_issuer_events("jwks.refreshed", "idp", before + 1);
        assert_forwarded(&bed, Variant::PLAIN, &closed(&bed, &idp, &ES256_1));
        for answer in answers(clients) {
            assert!(
                matches!(answer.status, 401 | 503),
                "{name}: {}",
                answer.status
            );
        }
        let requests = bed.proxy.metric("countersign_requests_total", "");
        bed.proxy.await_records(requests as usize);
        reconcile(&bed);
    }
}

/// Envoy crashed where two tokens of one request waited for one fetch that failed (CVE-2025-64527).
#[test]
fn invariant_43_two_tokens_in_one_request_survive_a_fetch_that_fails() {
    let idp = Idp::start(State::Serving);
    let bed = started(&idp, 1);
    let now = bed.clock.now().unix.as_secs();
    let invented = |n: usize| {
        idp.token(&RSA_1, now)
            .header("kid", format!("invented-{n}"))
            .sign()
    };
    let good = idp.token(&RSA_1, now).sign();
    let both = |one: &str, two: &str| Request::get("/both").bearer(one).header("x-actor", two);
    assert_forwarded(&bed, Variant::PLAIN, &both(&good, &good));
    idp.is(broken(answer("500 No", "", b"")));
    for (one, two) in [
        (invented(1), invented(2)),
        (invented(3), good.clone()),
        (good.clone(), invented(4)),
        (invented(5), invented(5)),
    ] {
        assert_refused(
            &bed,
            Variant::PLAIN,
            &both(&one, &two),
            503,
            "keys_unavailable",
        );
    }
    // Both wait for one fetch that is cut.
    bed.clock.advance(secs(31));
    idp.is(State::Says(Document::Jwks, Vec::new(), Then::Hang));
    let fetches = idp.fetches();
    let mut client = bed.proxy.connect();
    client.send(both(&invented(6), &invented(7)).bytes());
    idp.await_fetches(fetches + 1);
    let mut gone = bed.proxy.connect();
    gone.send(both(&invented(8), &invented(9)).bytes());
    let requests = |n: f64| {
        eventually("requests", || {
            bed.proxy.metric("countersign_requests_total", "") >= n
        });
    };
    requests(7.0);
    drop(gone);
    idp.is(State::Serving);
    assert_eq!(client.read().status, 503);
    assert_forwarded(&bed, Variant::PLAIN, &both(&good, &good));
    bed.proxy.await_records(8);
    reconcile(&bed);
}
