//! Every failpoint of the program, with every fault that it has (`src/failpoint.rs`): what fails, panics or never ends
//! refuses one request or closes one connection, sends nothing upstream, and leaves the process, the next request, the
//! counters and the records whole.

mod outbound;
mod reviews;
mod table;

use std::collections::BTreeSet;
use std::time::Duration;

use countersign::failpoint::{Fault, Point, arm, is_armed, met, release};
use serde_json::Value;

use crate::bed::h2_upstream::H2Upstream;
use crate::bed::keys::RSA_1;
use crate::bed::verdict::Protocol;
use crate::bed::{
    Bed, Before, Connection, Mode, Request, Setup, Token, Upstream, Variant, assert_forwarded,
    assert_recorded, assert_refused, eventually, reconcile,
};

use table::Comes::{After, At, Served};
use table::{INTERNAL, Row, Sees, UNREACHABLE, WAY, WAY2};

const CONFIG: &str = "
issuers:
  - {name: main, issuer: @ISSUER@, jwks: {file: @DIR@/jwks.json}, audiences: [api]}
  - name: far
    issuer: @ISSUER2@
    jwks: {url: @JWKS2@, allow_http: true, cache: @DIR@/copy.json}
    audiences: [api]
identity:
  headers: {x-auth-subject: subject}
  assertion: {header: x-auth-assertion, issuer: countersign, audience: api, lifetime: 60s}
callers: {web: {issuer: main}, far: {issuer: far}}
routes:
  - {path: /health, allow: anyone}
  - {path: /x, allow: web}
  - {path: /far, allow: far}
  - {path: /ws, allow: {GET: web}, upgrade: [websocket]}
";

const UPGRADE: &str = "HTTP/1.1 101 Go\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

fn setup() -> Setup {
    Setup::bare(CONFIG)
        .inbound("timeouts: {upstream_response: 20s}")
        .tls()
}

fn bed() -> Bed {
    let upstream = Upstream::scripted(|exchange| {
        if exchange.request.target == "/ws" {
            exchange.write(UPGRADE)?;
            return exchange.echo_raw();
        }
        exchange.echo()
    });
    let bed = setup().upstream(upstream).start();
    bed.proxy.await_issuer_events("jwks.refreshed", "far", 1);
    eventually("the copy", || bed.dir.path().join("copy.json").exists());
    bed
}

/// A token that nobody has seen before.
fn fresh(bed: &Bed) -> Token {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    bed.token()
        .claim("jti", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn x(bed: &Bed) -> Request {
    Request::get("/x").bearer(fresh(bed).sign())
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn await_met() {
    eventually("the failpoint", || !is_armed());
}

/// Drops the idle connections to the upstream, so that the next request makes one.
fn cool(bed: &Bed) {
    bed.clock.advance(secs(5));
}

/// How many records there are when every request so far has left its own: one of a request before must not be taken for the
/// next one's.
#[track_caller]
fn settled(bed: &Bed) -> usize {
    crate::bed::verdict::settle(bed);
    bed.proxy.records().len()
}

fn last_record(bed: &Bed, before: usize) -> Value {
    let records = bed.proxy.await_records(before + 1);
    assert_eq!(records.len(), before + 1, "one record: {records:#?}");
    records[before].clone()
}

/// One row on its way, by HTTP/1.1.
fn pass(bed: &Bed, (point, fault, comes, sees): Row, cool: impl Fn(&Bed), next: impl Fn(&Bed)) {
    let what = format!("{point:?} {fault:?}");
    if point == Point::Reuse {
        next(bed);
    } else {
        cool(bed);
    }
    let records = settled(bed);
    let before = bed.upstream.mark();
    arm(point, fault);
    let mut client = bed.proxy.connect();
    client.send(x(bed).bytes());
    await_met();
    if let After(seconds, ..) = comes {
        bed.clock.advance(secs(seconds));
    }
    let answer = client.read();
    let (status, reason) = match comes {
        At(status, reason) | After(_, status, reason) => (status, Some(reason)),
        Served => (200, None),
    };
    assert_eq!(answer.status, status, "{what}");
    let record = last_record(bed, records);
    if let Some(reason) = reason {
        assert_recorded(&record, status, reason);
    }
    let after = bed.upstream.mark();
    if sees != Sees::Request {
        assert_eq!(after.1, before.1, "{what}: bytes at the upstream");
        assert_eq!(after.2, before.2, "{what}: requests at the upstream");
    }
    if sees == Sees::Nothing {
        assert_eq!(after.0, before.0, "{what}: connections at the upstream");
    }
    next(bed);
    if fault != Fault::Hang {
        return;
    }
    // The caller leaves: that ends it as well.
    cool(bed);
    let records = settled(bed);
    arm(point, fault);
    let mut client = bed.proxy.connect();
    client.send(x(bed).bytes());
    await_met();
    drop(client);
    let record = last_record(bed, records);
    assert_eq!(record["reason"], "client_gone", "{what}: {record}");
    assert_eq!(record["decision"], "errored", "{what}: {record}");
    next(bed);
}

fn the_way_of_a_request(bed: &Bed) {
    let next = |bed: &Bed| drop(assert_forwarded(bed, Variant::PLAIN, &x(bed)));
    for row in WAY {
        pass(bed, *row, cool, next);
        let (point, fault, comes, sees) = *row;
        // The same by HTTP/2, where others share the connection.
        if let (At(status, reason), Sees::Nothing) = (comes, sees) {
            if point == Point::Reuse {
                next(bed);
            } else {
                cool(bed);
            }
            arm(point, fault);
            let variant = Variant {
                protocol: Protocol::H2c,
                second: false,
            };
            assert_refused(bed, variant, &x(bed), status, reason);
            next(bed);
        }
    }
}

fn http2_to_the_upstream() {
    let upstream = H2Upstream::start();
    let bed = setup().upstream_url(&upstream.url()).start();
    let next = |bed: &Bed| assert_eq!(bed.send(&x(bed)).status, 200);
    // A shared connection stays; one to another place is not used.
    let cool = |bed: &Bed| {
        let elsewhere = bed.text.replace(&upstream.url(), "h2c://127.0.0.1:1");
        bed.proxy.reload(&elsewhere).expect("a reload");
        bed.proxy.reload(&bed.text).expect("a reload");
    };
    for row in WAY2 {
        pass(&bed, *row, cool, next);
    }
    reconcile_all(&bed);
}

fn waiting_for_a_key(bed: &Bed) {
    let far = |kid: &str| {
        let token = bed.second.token().header("kid", kid).sign();
        Request::get("/far").bearer(token)
    };
    for (fault, comes) in [
        (Fault::Error, At(503, "keys_unavailable")),
        (Fault::Panic, INTERNAL),
        (Fault::Hang, After(1, 503, "keys_unavailable")),
    ] {
        bed.clock.advance(secs(31));
        bed.second.mode(Mode::Hang);
        let fetches = bed.second.fetches();
        let records = settled(bed);
        let before = Before::now(bed);
        arm(Point::Wait, fault);
        let mut client = bed.proxy.connect();
        client.send(far("invented").bytes());
        await_met();
        bed.second.await_fetches(fetches + 1);
        if let After(seconds, ..) = comes {
            bed.clock.advance(secs(seconds));
        }
        let (At(status, reason) | After(_, status, reason)) = comes else {
            panic!("a refusal");
        };
        assert_eq!(client.read().status, status, "{fault:?}");
        assert_recorded(&last_record(bed, records), status, reason);
        before.assert_nothing_upstream(bed, &fault);
        bed.second.mode(Mode::Ok);
        heal(bed);
    }
    for fault in [Fault::Error, Fault::Panic] {
        bed.clock.advance(secs(31));
        let records = settled(bed);
        let before = Before::now(bed);
        arm(Point::GiveUp, fault);
        assert_eq!(bed.send(&far("invented")).status, 500, "{fault:?}");
        assert_recorded(&last_record(bed, records), 500, "internal");
        before.assert_nothing_upstream(bed, &fault);
        assert_forwarded(bed, Variant::PLAIN, &far(RSA_1.kid));
    }
}

/// The status of the issuer `far`.
fn far(bed: &Bed) -> Value {
    let status = bed.proxy.admin_get("/status").expect(200).json();
    let issuers = status["issuers"].as_array().expect("issuers").clone();
    let mut far = issuers
        .into_iter()
        .filter(|issuer| issuer["issuer"] == "far");
    far.next().expect("far")
}

/// The copy on disk, once it is as young as the keys that are held.
fn copy(bed: &Bed) -> Value {
    let read = || {
        let bytes = std::fs::read(bed.dir.path().join("copy.json")).expect("a copy");
        serde_json::from_slice::<Value>(&bytes).expect("whole at any time")
    };
    eventually("a young copy", || {
        read()["fetched_at"].as_i64() >= far(bed)["fetched_at"].as_i64()
    });
    read()
}

/// Makes attempts until the issuer `far` is well.
fn heal(bed: &Bed) {
    let far = || far(bed);
    let attempts = |told: &Value| {
        told["fetches_ok"].as_u64().expect("a count")
            + told["fetches_failed"].as_u64().expect("a count")
    };
    while far()["health"] != "usable" || far()["consecutive_failures"] != 0 {
        let told = far();
        bed.clock.advance(secs(
            told["next_refresh_seconds"].as_u64().expect("a schedule") + 1,
        ));
        eventually("an attempt", || attempts(&far()) > attempts(&told));
    }
    let token = bed.second.token().sign();
    assert_forwarded(bed, Variant::PLAIN, &Request::get("/far").bearer(token));
}

fn bodies(bed: &Bed) {
    let post = |bed: &Bed| Request::post("/x", "body").bearer(fresh(bed).sign());
    for (fault, comes) in [
        (Fault::Error, At(499, "client_gone")),
        (Fault::Panic, UNREACHABLE),
        (Fault::Hang, After(30, 408, "body_timeout")),
    ] {
        cool(bed);
        arm(Point::RequestBody, fault);
        let mut client = bed.proxy.connect();
        client.send(post(bed).bytes());
        await_met();
        if let After(seconds, ..) = comes {
            bed.clock.advance(secs(seconds));
        }
        let (At(status, reason) | After(_, status, reason)) = comes else {
            panic!("a refusal");
        };
        let answer = client.read();
        assert_eq!(answer.status, status, "{fault:?}");
        release();
        // By its id: the record of the request before may still be on its way.
        let record = bed
            .proxy
            .await_record(answer.header("x-request-id").expect("an id"));
        assert_eq!(
            (&record["status"], &record["reason"]),
            (&status.into(), &reason.into()),
            "{record}"
        );
        // Not counted at the upstream: the head of the one before may still be on its way there.
        assert_eq!(bed.send(&post(bed)).status, 200, "{fault:?}");
    }
    for fault in [Fault::Error, Fault::Panic, Fault::Hang] {
        cool(bed);
        let records = settled(bed);
        let connections = bed.upstream.connections();
        arm(Point::ResponseBody, fault);
        let mut client = bed.proxy.connect();
        client.send(post(bed).bytes());
        await_met();
        if fault == Fault::Hang {
            drop(client);
        } else {
            assert!(
                !client.read_end().ends_with(b"body"),
                "{fault:?}: the answer is cut"
            );
        }
        let record = last_record(bed, records);
        release();
        assert_ne!(record["end"], Value::Null, "{fault:?}: {record}");
        // Its connection is not used again.
        assert_forwarded(bed, Variant::PLAIN, &post(bed));
        assert_eq!(bed.upstream.connections(), connections + 2, "{fault:?}");
    }
}

fn upgrades(bed: &Bed) {
    let ask = |bed: &Bed| {
        Request::get("/ws")
            .bearer(fresh(bed).sign())
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
    };
    for (point, fault, status) in [
        (Point::Upgrade, Fault::Error, 502),
        (Point::Upgrade, Fault::Panic, 500),
        (Point::Tunnel, Fault::Error, 101),
        (Point::Tunnel, Fault::Panic, 101),
    ] {
        let records = settled(bed);
        arm(point, fault);
        let mut client = bed.proxy.connect();
        client.send(ask(bed).bytes());
        assert_eq!(
            client.read_head().expect("a head").status,
            status,
            "{point:?} {fault:?}"
        );
        await_met();
        // A refused upgrade leaves the connection with HTTP.
        if status == 502 {
            drop(client);
        } else {
            client.read_end();
        }
        assert_eq!(last_record(bed, records)["status"], status);
        bed.upstream.await_open(1);
        let mut client = bed.proxy.connect();
        client.send(ask(bed).bytes());
        assert_eq!(client.read_head().expect("a head").status, 101);
        client.send("hello");
        assert_eq!(client.take(5), b"hello");
        drop(client);
        last_record(bed, records + 1);
    }
}

fn refusals(bed: &Bed) {
    // What cannot be answered is closed, and is no allowed request.
    let records = settled(bed);
    let before = Before::now(bed);
    arm(Point::Render, Fault::Panic);
    let mut client = bed.proxy.connect();
    client.send(Request::get("/x").bytes());
    assert_eq!(client.read_end(), b"");
    let record = last_record(bed, records);
    assert_eq!(
        (&record["decision"], &record["reason"]),
        (&"errored".into(), &"internal".into()),
        "{record}"
    );
    before.assert_nothing_upstream(bed, &"render");
    assert_forwarded(bed, Variant::PLAIN, &x(bed));

    for fault in [Fault::Error, Fault::Panic, Fault::Hang] {
        let records = settled(bed);
        let before = Before::now(bed);
        arm(Point::Discard, fault);
        let mut client = bed.proxy.connect();
        client.send("POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 99\r\n\r\nGET /x");
        assert_eq!(client.read().status, 401, "{fault:?}");
        await_met();
        if fault == Fault::Hang {
            bed.clock.advance(secs(2));
        }
        client.assert_closed();
        assert_recorded(&last_record(bed, records), 401, "no_token");
        before.assert_nothing_upstream(bed, &fault);
        assert_forwarded(bed, Variant::PLAIN, &x(bed));
    }
}

fn connections(bed: &Bed) {
    let tls = bed.proxy.address("tls");
    for (point, address, fault, reason) in [
        (Point::Serve, bed.proxy.addr(), Fault::Error, None),
        (Point::Serve, bed.proxy.addr(), Fault::Panic, None),
        (
            Point::TlsHandshake,
            tls,
            Fault::Error,
            Some("tls_handshake"),
        ),
        (Point::TlsHandshake, tls, Fault::Panic, None),
        (
            Point::TlsHandshake,
            tls,
            Fault::Hang,
            Some("tls_handshake_timeout"),
        ),
        (Point::Preface, bed.proxy.addr(), Fault::Error, None),
        (Point::Preface, bed.proxy.addr(), Fault::Panic, None),
        (Point::Preface, bed.proxy.addr(), Fault::Hang, None),
    ] {
        let what = format!("{point:?} {fault:?}");
        let records = settled(bed);
        let before = Before::now(bed);
        arm(point, fault);
        let mut client = Connection::open(address);
        client.send(x(bed).bytes());
        await_met();
        if fault == Fault::Hang {
            bed.clock.advance(secs(11));
        }
        assert_eq!(client.read_end(), b"", "{what}");
        before.assert_nothing_upstream(bed, &what);
        if let Some(reason) = reason {
            assert_eq!(last_record(bed, records)["reason"], reason, "{what}");
        }
        eventually("no connection stays counted", || {
            bed.proxy.metric("countersign_open_connections", "") < 0.5
        });
        assert_forwarded(bed, Variant::PLAIN, &x(bed));
        assert_forwarded(
            bed,
            Variant {
                protocol: Protocol::H2Tls,
                second: false,
            },
            &x(bed),
        );
    }
}

fn keys_on_the_control_thread(bed: &Bed) {
    for (point, fault) in [
        (Point::Fetch, Fault::Error),
        (Point::Fetch, Fault::Panic),
        (Point::Fetch, Fault::Hang),
        (Point::Copy, Fault::Error),
        (Point::Copy, Fault::Panic),
        (Point::Copy, Fault::Hang),
    ] {
        // A refresh that nothing disturbs; a clock that moves on meanwhile would cut its copy short.
        bed.clock.advance(secs(15 * 60));
        eventually("a refresh", || far(bed)["age_seconds"].as_u64() < Some(60));
        let before = copy(bed);
        let failed = || far(bed)["fetches_failed"].as_u64();
        let failures = failed();
        arm(point, fault);
        bed.clock.advance(secs(15 * 60));
        await_met();
        // Known keys are not touched, whatever becomes of the refresh.
        let token = bed.second.token().sign();
        assert_forwarded(bed, Variant::PLAIN, &Request::get("/far").bearer(token));
        if fault == Fault::Hang {
            bed.clock.advance(secs(5));
        }
        if fault == Fault::Panic {
            bed.proxy.await_event("jwks.task_failed");
        }
        if point == Point::Copy && fault != Fault::Panic {
            bed.proxy.await_event("jwks.cache_not_written");
        }
        if point == Point::Fetch {
            // A clock that moves on before that would put the next attempt off.
            eventually("a failure", || failed() > failures);
        }
        heal(bed);
        // Another good refresh brings another good copy.
        bed.clock.advance(secs(15 * 60));
        eventually("a refresh", || far(bed)["age_seconds"].as_u64() < Some(60));
        assert_eq!(copy(bed)["jwks"], before["jwks"]);
    }
}

fn generation(bed: &Bed) -> u64 {
    let records = settled(bed);
    assert_eq!(bed.send(&x(bed)).status, 200);
    last_record(bed, records)["generation"]
        .as_u64()
        .expect("a generation")
}

fn reload_and_admin(bed: &Bed) {
    for fault in [Fault::Error, Fault::Panic] {
        let before = generation(bed);
        arm(Point::Reload, fault);
        bed.proxy.reload_as_is().expect_err("a failpoint");
        bed.proxy.await_event("config.rejected");
        assert_forwarded(bed, Variant::PLAIN, &x(bed));
        assert_eq!(bed.proxy.admin_get("/readyz").status, 200);
        assert_eq!(generation(bed), before);
        bed.proxy.reload_as_is().expect("a reload");
        assert_eq!(generation(bed), before + 1);
        assert_forwarded(bed, Variant::PLAIN, &x(bed));
    }
    arm(Point::Admin, Fault::Panic);
    let mut client = Connection::open(bed.proxy.admin());
    client.send(Request::get("/livez").host("localhost").bytes());
    assert_eq!(client.read_end(), b"");
    assert_eq!(bed.proxy.admin_get("/livez").status, 200);
}

fn reconcile_all(bed: &Bed) {
    let requests = bed.proxy.metric("countersign_requests_total", "");
    eventually("all records", || {
        let records = bed.proxy.records();
        records
            .iter()
            .filter(|record| record["type"] == "request")
            .count() as f64
            >= requests
    });
    reconcile(bed);
    assert!(
        bed.proxy.metric("http_server_active_requests", "") < 0.5,
        "nothing in flight"
    );
}

/// In a process of its own: a failpoint is for whoever comes by first.
#[test]
fn invariant_34_every_failpoint_refuses_or_closes_and_the_next_request_is_served() {
    let output = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "faults::failpoints::alone",
            "--ignored",
            "--nocapture",
        ])
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("this program runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "run by invariant_34_every_failpoint_refuses_or_closes_and_the_next_request_is_served"]
fn alone() {
    let bed = bed();
    the_way_of_a_request(&bed);
    waiting_for_a_key(&bed);
    bodies(&bed);
    upgrades(&bed);
    refusals(&bed);
    connections(&bed);
    keys_on_the_control_thread(&bed);
    reload_and_admin(&bed);
    reconcile_all(&bed);
    http2_to_the_upstream();
    outbound::the_way_of_a_request();
    reviews::the_way_of_a_question();
    let all: BTreeSet<_> = Point::ALL
        .iter()
        .flat_map(|point| point.faults().iter().map(|fault| (*point, *fault)))
        .collect();
    let missed: Vec<_> = all.difference(&met()).copied().collect();
    assert!(missed.is_empty(), "never met: {missed:?}");
}
