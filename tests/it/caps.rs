//! Invariants 57 and 60: how much of everything there may be at once, and what meets the next one.

use std::net::Ipv4Addr;

use crate::bed::h2_client::H2Connection;
use crate::bed::raw_h2::{Block, Event, Outcome, Peer, code, frames};
use crate::bed::{
    Bed, Before, Connection, Next, Request, Setup, Upstream, Variant, assert_forwarded,
    assert_refused, eventually, reconcile,
};

const OPEN: &str = "routes: [{path: /**, allow: anyone}]\n";

fn holding() -> Upstream {
    Upstream::scripted(|exchange| {
        if exchange.request.target == "/hold" {
            exchange.await_close()?;
            return Ok(Next::Close);
        }
        exchange.echo()
    })
}

fn bed(limits: &str) -> Bed {
    Setup::new(OPEN)
        .upstream(holding())
        .inbound(&format!("limits: {{{limits}}}"))
        .tls()
        .start()
}

fn metric(bed: &Bed, name: &str) -> f64 {
    bed.proxy.metric(name, "")
}

/// Whoever asks after our health gets an answer, whatever the load.
fn assert_healthy(bed: &Bed) {
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(bed.proxy.admin_get(path).status, 200, "{path}");
    }
}

#[test]
fn invariant_60_connections_over_the_cap_are_closed_at_once() {
    let bed = bed("connections: 3");
    // Of whatever kind: silent, HTTP/1.1, HTTP/2.
    let silent = bed.proxy.connect();
    let mut http1 = bed.proxy.connect();
    assert_eq!(http1.exchange(Request::get("/x").bytes()).status, 200);
    let mut http2 = Peer::plain(bed.proxy.addr());
    assert!(http2.lives());
    eventually("three connections", || {
        metric(&bed, "countersign_open_connections") >= 3.0
    });
    let before = Before::now(&bed);
    for address in [bed.proxy.addr(), bed.proxy.address("tls")] {
        let mut over = Connection::open(address);
        over.send(Request::get("/over").bytes());
        over.assert_closed();
    }
    before.assert_nothing_upstream(&bed, &"too many connections");
    let records = bed.proxy.await_records(3);
    let refused: Vec<_> = records
        .iter()
        .filter(|record| record["reason"] == "too_many_connections")
        .collect();
    assert_eq!(refused.len(), 2, "{records:?}");
    assert_healthy(&bed);
    // Those that are open are served, and whoever leaves makes room.
    assert_eq!(http1.exchange(Request::get("/x").bytes()).status, 200);
    drop(silent);
    eventually("room", || {
        metric(&bed, "countersign_open_connections") == 2.0
    });
    assert_eq!(bed.send(&Request::get("/x")).status, 200);
}

#[test]
fn invariant_60_an_address_has_its_own_cap() {
    let bed = bed("connections_per_address: 2");
    let from = |last| Connection::from(Ipv4Addr::new(127, 0, 0, last).into(), bed.proxy.addr());
    let mut first = [from(1), from(1)];
    for client in &mut first {
        assert_eq!(client.exchange(Request::get("/x").bytes()).status, 200);
    }
    let mut over = from(1);
    over.send(Request::get("/over").bytes());
    over.assert_closed();
    let mut other = from(2);
    assert_eq!(other.exchange(Request::get("/y").bytes()).status, 200);
    let seen = bed.upstream.requests();
    assert!(seen.iter().all(|request| request.target != "/over"));
    drop(first);
    eventually("room", || {
        from(1)
            .send(Request::get("/x").bytes())
            .read_to("GET")
            .is_ok_and(|answer| answer.status == 200)
    });
}

#[test]
fn invariant_60_requests_over_the_cap_are_503_at_once() {
    let bed = bed("requests_in_flight: 2");
    let mut held = [bed.proxy.connect(), bed.proxy.connect()];
    for client in &mut held {
        client.send(Request::get("/hold").bytes());
    }
    bed.upstream.await_requests(2);
    let http2 = Variant::ALL[2];
    for variant in [Variant::PLAIN, http2] {
        let answer = assert_refused(&bed, variant, &Request::get("/x"), 503, "overloaded");
        assert!(answer.header("retry-after").is_some());
    }
    assert_healthy(&bed);
    drop(held);
    eventually("room", || {
        metric(&bed, "http_server_active_requests") == 0.0
    });
    assert_forwarded(&bed, Variant::PLAIN, &Request::get("/x"));
    assert_forwarded(&bed, http2, &Request::get("/x"));
    reconcile(&bed);
}

#[test]
fn invariant_60_and_61_streams_over_the_limit_are_refused_and_the_connection_lives() {
    let bed = bed("");
    let mut peer = Peer::plain(bed.proxy.addr());
    let announced = peer.until(|event| matches!(event, Event::Settings(_)));
    let Event::Settings(pairs) = announced else {
        panic!("no settings");
    };
    assert!(
        pairs.contains(&(3, 100)),
        "MAX_CONCURRENT_STREAMS: {pairs:?}"
    );
    let block = Block::request("/hold").0;
    for n in 0..150 {
        peer.send(frames::get(n * 2 + 1, &block));
    }
    for n in 100..150 {
        let outcome = peer.answer(n * 2 + 1);
        let Outcome::Reset(number) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(code(number), "REFUSED_STREAM");
    }
    bed.upstream.await_requests(100);
    assert!(peer.lives());
    assert_eq!(bed.upstream.requests().len(), 100);
    // One that ends makes room for one more.
    peer.send(frames::reset(1, frames::CANCEL));
    peer.send(frames::get(301, &Block::get().0));
    assert_eq!(peer.answer(301), Outcome::Status(200));
    // And nobody may configure more.
    for (streams, starts) in [(100, true), (101, false)] {
        let limits = format!("limits: {{streams: {streams}}}");
        let started = Setup::new(OPEN).inbound(&limits).try_start();
        assert_eq!(started.is_ok(), starts, "{streams}");
    }
}

/// A good request with more in its head.
fn with(fields: impl Fn(Block) -> Block) -> Vec<u8> {
    fields(Block::get()).0
}

/// What is documented: 32 KiB of head, 100 fields, 16 KiB a field, 8 KiB of target, 16 KiB of token. HTTP/2 counts
/// each field of a list with 32 bytes more than it has (RFC 9113 section 6.5.2).
#[test]
fn invariant_57_http2_heads_are_bounded_as_decoded() {
    let bed = bed("");
    let value = |length: usize| vec![b'a'; length];
    let target = |length: usize| {
        Block::default()
            .literal(":method", b"GET")
            .literal(":scheme", b"http")
            .literal(":authority", b"a")
            .literal(":path", format!("/{}", "a".repeat(length - 1)).as_bytes())
            .0
    };
    let times = |name: &'static str, length: usize, n: usize| {
        move |block: Block| (0..n).fold(block, |block, _| block.literal(name, &vec![b'a'; length]))
    };
    let rows: &[(&str, Vec<u8>, u16)] = &[
        ("all that is allowed", with(times("x", 8000, 4)), 200),
        ("and a little more", with(times("x", 8000, 5)), 431),
        (
            "the largest field",
            with(|block| block.literal("x", &value(16383))),
            200,
        ),
        (
            "a larger one",
            with(|block| block.literal("x", &value(16384))),
            431,
        ),
        ("a hundred fields", with(times("x", 1, 100)), 200),
        ("one more", with(times("x", 1, 101)), 431),
        ("the longest target", target(8192), 200),
        ("a longer one", target(8193), 414),
        (
            "cookie crumbs of one field's size",
            with(times("cookie", 4000, 4)),
            200,
        ),
        ("more crumbs", with(times("cookie", 4200, 4)), 431),
        (
            "hosts that are taken out later",
            with(times("host", 4000, 9)),
            431,
        ),
        (
            "references to a large entry",
            with(|block| block.insert("x", &value(3900)).indexed(62, 8)),
            431,
        ),
        (
            "fewer references",
            with(|block| block.insert("x", &value(3900)).indexed(62, 6)),
            200,
        ),
        (
            "the longest token",
            with(|block| block.literal("authorization", &[b"Bearer ", &value(16384)[..]].concat())),
            200,
        ),
    ];
    for (what, block, status) in rows {
        let before = Before::now(&bed);
        let mut peer = Peer::plain(bed.proxy.addr());
        send_in_frames(&mut peer, block);
        assert_eq!(peer.answer(1), Outcome::Status(*status), "{what}");
        if *status == 200 {
            assert_eq!(
                bed.upstream.requests().len(),
                before.requests() + 1,
                "{what}"
            );
        } else {
            before.assert_nothing_upstream(&bed, what);
        }
        // The connection is as good as before.
        peer.send(frames::get(3, &Block::get().0));
        assert_eq!(peer.answer(3), Outcome::Status(200), "{what}");
    }
    let http2 = H2Connection::plain(bed.proxy.addr());
    assert_eq!(
        http2
            .exchange(&Request::get("/x"))
            .expect("an answer")
            .status,
        200
    );
}

/// HEADERS and as many CONTINUATION as it takes.
fn send_in_frames(peer: &mut Peer, block: &[u8]) {
    let mut pieces = block.chunks(16384).peekable();
    let mut kind = frames::HEADERS;
    let mut flags = frames::END_STREAM;
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            flags |= frames::END_HEADERS;
        }
        peer.send(frames::frame(kind, flags, 1, piece));
        (kind, flags) = (frames::CONTINUATION, 0);
    }
}

/// Every one of these tokens comes twice: what was made room for is verified anew, the rest is remembered.
#[test]
fn invariant_63_workers_remember_as_many_tokens_as_they_are_told_to() {
    const TOKENS: usize = 100;
    for (line, all) in [("", true), ("token_cache: 256KiB\n", false)] {
        let lines = format!("{line}routes: [{{path: /**, allow: {{issuer: main}}}}]\n");
        let bed = Setup::new(&lines).start();
        let mut client = bed.proxy.connect();
        let tokens: Vec<String> = (0..TOKENS)
            .map(|number| bed.token().claim("sub", format!("user-{number}")).sign())
            .collect();
        for token in tokens.iter().chain(&tokens) {
            let request = Request::get("/x").bearer(token);
            assert_eq!(client.send(request.bytes()).read().status, 200, "{line}");
        }
        let lookups = |outcome| {
            bed.proxy
                .metric("countersign_token_cache_lookups_total", outcome)
        };
        eventually("what the sweeper tells", || {
            bed.clock.advance(std::time::Duration::from_millis(250));
            lookups("") >= 200.0
        });
        let evicted = bed
            .proxy
            .metric("countersign_token_cache_evictions_total", "");
        let hits = lookups("outcome=\"hit\"");
        assert_eq!(hits > 99.0, all, "{line}{hits} hits");
        assert_eq!(evicted > 0.0, !all, "{line}{evicted} evicted");
        let changed = "token_cache: 2MiB\nroutes: [{path: /**, allow: nobody}]\n";
        bed.reload(changed).expect("a reload");
        let event = bed.proxy.await_event("config.restart_needed");
        assert_eq!(event["what"], "token_cache");
    }
}
