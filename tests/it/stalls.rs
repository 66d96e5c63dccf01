//! Invariant 59: every wait has a deadline. The clock is moved by hand; what is documented as a default is the limit here.

use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use crate::bed::h2_upstream::H2Upstream;
use crate::bed::raw_h2::frames::{self, frame};
use crate::bed::raw_h2::{Block, Event, Outcome, Peer};
use crate::bed::{Bed, Connection, Next, Request, Setup, Upstream, eventually, tls};

const ROUTES: &str = "
callers: {web: {issuer: main}}
routes:
  - {path: /**, allow: anyone}
  - {path: /closed, allow: web}
";

/// `timeouts.header`, `timeouts.idle_connection`, `timeouts.request_body_idle`, `timeouts.stalled_reader`.
const HEADER: u64 = 10;
const IDLE: u64 = 60;
const BODY: u64 = 30;
const READER: u64 = 60;

const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A client that stalls.
struct Stall {
    what: &'static str,
    tls: Tls,
    /// What it sends at once.
    sends: &'static str,
    /// What it sends once a second.
    trickles: &'static str,
    /// Seconds after which it is ended.
    limit: u64,
    /// The answer that it gets first, if any.
    answer: Option<u16>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tls {
    /// Plain.
    No,
    /// A TLS port, and bytes that are (or are not) TLS.
    Bytes,
    /// After a handshake.
    Done,
}

const fn plain(what: &'static str, sends: &'static str, limit: u64, answer: Option<u16>) -> Stall {
    Stall {
        what,
        tls: Tls::No,
        sends,
        trickles: "",
        limit,
        answer,
    }
}

const fn trickle(of: Stall, trickles: &'static str) -> Stall {
    Stall { trickles, ..of }
}

const fn tls(how: Tls, of: Stall) -> Stall {
    Stall { tls: how, ..of }
}

/// The first bytes of a ClientHello.
const HELLO: &str = "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03";

const STALLS: &[Stall] = &[
    plain("nothing sent after accept", "", HEADER, None),
    plain("the start of either protocol", "PRI", HEADER, None),
    plain("half a preface", "PRI * HTTP/2.0\r\n\r\n", HEADER, None),
    plain("partial request line", "GET /x HT", HEADER, Some(408)),
    plain(
        "partial header",
        "GET /x HTTP/1.1\r\nhost: a\r\nx",
        HEADER,
        Some(408),
    ),
    trickle(
        plain(
            "a header of 1 byte/s",
            "GET /x HTTP/1.1\r\nx: ",
            HEADER,
            Some(408),
        ),
        "a",
    ),
    trickle(
        plain("a request line of 1 byte/s", "GET /", HEADER, Some(408)),
        "a",
    ),
    plain("an empty line", "\r\n", HEADER, Some(408)),
    plain(
        "idle keep-alive",
        "GET /x HTTP/1.1\r\nhost: a\r\n\r\n",
        IDLE,
        Some(200),
    ),
    plain(
        "partial second request",
        "GET /x HTTP/1.1\r\nhost: a\r\n\r\nGET",
        HEADER,
        Some(200),
    ),
    plain(
        "a counted body",
        "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc",
        BODY,
        Some(408),
    ),
    plain(
        "a counted body of nothing",
        "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n",
        BODY,
        Some(408),
    ),
    plain(
        "a chunked body",
        "POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        BODY,
        Some(408),
    ),
    plain(
        "a chunk's size",
        "POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3",
        BODY,
        Some(408),
    ),
    plain(
        "a refused request's body",
        "POST /closed HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n",
        2,
        Some(401),
    ),
    plain("HTTP/2 preface only", PREFACE, IDLE, None),
    plain(
        "HTTP/2 frame that is not whole",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0",
        IDLE,
        None,
    ),
    plain(
        "HTTP/2 head that never ends",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\0\0\0\0\x01\x02",
        IDLE,
        None,
    ),
    trickle(
        plain(
            "HTTP/2 PINGs and nothing else",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
            IDLE,
            None,
        ),
        "\0\0\x08\x06\0\0\0\0\0pingping",
    ),
    tls(Tls::Bytes, plain("TLS: nothing", "", HEADER, None)),
    tls(
        Tls::Bytes,
        plain("TLS: half a ClientHello", HELLO, HEADER, None),
    ),
    tls(
        Tls::Bytes,
        trickle(
            plain("TLS: a ClientHello of 1 byte/s", HELLO, HEADER, None),
            "a",
        ),
    ),
    tls(
        Tls::Done,
        plain(
            "TLS: partial header",
            "GET /x HTTP/1.1\r\nx",
            HEADER,
            Some(408),
        ),
    ),
    tls(
        Tls::Done,
        plain(
            "TLS: idle keep-alive",
            "GET /x HTTP/1.1\r\nhost: a\r\n\r\n",
            IDLE,
            Some(200),
        ),
    ),
];

fn bed() -> Bed {
    Setup::new(ROUTES).tls().start()
}

fn open_connections(bed: &Bed) -> f64 {
    bed.proxy.metric("countersign_open_connections", "")
}

fn second(bed: &Bed, n: u64) {
    bed.clock.advance(Duration::from_secs(n));
}

impl Stall {
    fn connect(&self, bed: &Bed) -> Connection {
        match self.tls {
            Tls::No => Connection::open(bed.proxy.addr()),
            Tls::Bytes => Connection::open(bed.proxy.address("tls")),
            Tls::Done => Connection::tls(
                bed.proxy.address("tls"),
                tls::client_config(&[b"http/1.1"], None),
            ),
        }
    }

    fn check(&self, bed: &Bed) {
        let forwarded = bed.upstream.requests().len();
        let mut client = self.connect(bed);
        client.send(self.sends);
        eventually("the connection is accepted", || {
            open_connections(bed) == 1.0
        });
        if self.sends.contains(" /x ") && (self.sends.contains("a\r\n\r\n") || self.limit == BODY) {
            bed.upstream.await_requests(forwarded + 1);
        }
        // A whole request on another connection shows that the worker has read what was sent before.
        assert_eq!(bed.send(&Request::get("/y")).status, 200);
        let mut answer = None;
        if self.answer == Some(200) || self.answer == Some(401) {
            answer = Some(client.read().status);
        }
        for _ in 1..self.limit {
            second(bed, 1);
            client.send(self.trickles);
        }
        // And that it has looked at the clock.
        assert_eq!(bed.send(&Request::get("/y")).status, 200);
        eventually(&format!("{}: not too early", self.what), || {
            open_connections(bed) == 1.0
        });
        second(bed, 1);
        // On a busy machine the first bytes may have been read a little after the clock began to move.
        for _ in 0..self.limit.min(HEADER) {
            second(bed, 1);
            if open_connections(bed) == 0.0 {
                break;
            }
            assert_eq!(bed.send(&Request::get("/y")).status, 200);
        }
        if answer.is_none() && self.answer.is_some() {
            let read = client.read_to("GET");
            let read = read.unwrap_or_else(|error| panic!("{}: {error}", self.what));
            answer = Some(read.status);
        }
        assert_eq!(answer, self.answer, "{}", self.what);
        // The connection's own end, not patience: `read_end` fails on silence.
        let rest = client.read_end();
        assert!(!rest.starts_with(b"HTTP/1.1 200"), "{}", self.what);
        eventually(self.what, || open_connections(bed) == 0.0);
    }
}

#[test]
fn invariant_59_whoever_stalls_is_ended_within_its_limit() {
    let bed = bed();
    for stall in STALLS {
        stall.check(&bed);
    }
    // Nothing of it has harmed anybody else.
    assert_eq!(bed.send(&Request::get("/x")).status, 200);
}

/// Answers `/body` with five bytes and `/flood` without end, and holds `/hold`.
fn upstream() -> Upstream {
    Upstream::scripted(|exchange| match exchange.request.target.as_str() {
        "/flood" => {
            exchange.write("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")?;
            loop {
                exchange.write([0; 65536])?;
            }
        }
        "/hold" => {
            exchange.await_close()?;
            Ok(Next::Close)
        }
        _ => exchange.answer(200, "", b"hello"),
    })
}

/// Resets that came, until the connection has answered a PING.
fn resets(peer: &mut Peer) -> Vec<u32> {
    let mut all = Vec::new();
    peer.send(frames::ping(b"so far??"));
    loop {
        match peer.next() {
            Event::Reset(stream, _) => all.push(stream),
            Event::Pong(_) => return all,
            event => assert!(!event.is_end(), "the connection lives"),
        }
    }
}

#[test]
fn invariant_59_a_stream_that_is_not_read_ends_and_its_connection_lives() {
    let bed = Setup::new(ROUTES).upstream(upstream()).start();
    // No window at all: of a hundred answers, ours and the upstream's, not one byte can be sent.
    let mut peer = Peer::over(bed.proxy.connect(), &[(4, 0)]);
    for n in 0..100 {
        let path = if n % 2 == 0 { "/body" } else { "/closed" };
        peer.send(frames::get(n * 2 + 1, &Block::request(path).0));
        let head = peer.until(|event| matches!(event, Event::Head(..)));
        let status = if n % 2 == 0 { 200 } else { 401 };
        assert_eq!(head, Event::Head(n * 2 + 1, status, false));
    }
    second(&bed, READER - 1);
    assert_eq!(resets(&mut peer), [0_u32; 0], "too early");
    // One of them is read after all.
    peer.send(frames::window(1, 5));
    let data = peer.until(|event| matches!(event, Event::Data(..)));
    assert_eq!(data, Event::Data(1, 5, true));
    second(&bed, 2);
    for _ in 1..100 {
        let reset = peer.until(|event| matches!(event, Event::Reset(..)));
        assert!(
            matches!(reset, Event::Reset(stream, _) if stream != 1),
            "{reset:?}"
        );
    }
    // The connection goes on.
    peer.send(frames::get(201, &Block::request("/body").0));
    assert_eq!(peer.answer(201), Outcome::Status(200));
    let records = bed.proxy.await_records(100);
    let stalled = |record: &&serde_json::Value| record["end"] == "reader_stalled";
    assert_eq!(records.iter().filter(stalled).count(), 99);
}

#[test]
fn invariant_59_a_stream_that_is_half_read_ends_and_so_does_its_upstream_request() {
    let bed = Setup::new(ROUTES).upstream(upstream()).start();
    let mut peer = Peer::plain(bed.proxy.addr());
    peer.send(frames::get(1, &Block::request("/flood").0));
    // The window of a stream, 65,535 bytes, is used up; that of the connection is made wider.
    peer.send(frames::window(0, 1 << 20));
    let mut read = 0;
    while read < 65_535 {
        match peer.next() {
            Event::Data(1, length, false) => read += length,
            event => assert!(!event.is_end(), "{event:?}"),
        }
    }
    peer.send(frames::get(3, &Block::request("/hold").0));
    bed.upstream.await_requests(2);
    second(&bed, READER + 1);
    let reset = peer.until(|event| matches!(event, Event::Reset(..)));
    assert!(matches!(reset, Event::Reset(1, _)), "{reset:?}");
    // Only the other request is left.
    bed.upstream.await_open(1);
    assert!(peer.lives());
}

/// What is still being sent to an upstream over HTTP/2 must not keep the stream.
#[test]
fn invariant_59_a_stream_that_is_not_read_ends_however_its_body_goes_on() {
    let grpc = H2Upstream::start();
    let routes = "routes: [{path: /**, allow: anyone, grpc: true}]";
    let bed = Setup::new(routes).upstream_url(&grpc.url()).start();
    let mut peer = Peer::over(bed.proxy.connect(), &[(4, 0)]);
    let post = Block::default()
        .literal(":method", b"POST")
        .literal(":scheme", b"http")
        .literal(":authority", b"a")
        .literal(":path", b"/echo");
    for stream in [1, 3] {
        peer.send(frames::post(stream, &post.0));
        peer.send(frame(frames::DATA, 0, stream, b"abc"));
        let head = peer.until(|event| matches!(event, Event::Head(..)));
        assert_eq!(head, Event::Head(stream, 200, false));
    }
    second(&bed, READER - 1);
    // One of them is read after all.
    peer.send(frames::window(3, 5));
    let data = peer.until(|event| matches!(event, Event::Data(..)));
    assert_eq!(data, Event::Data(3, 3, false));
    assert_eq!(resets(&mut peer), [0_u32; 0], "too early");
    second(&bed, 2);
    let reset = peer.until(|event| matches!(event, Event::Reset(..)));
    assert!(matches!(reset, Event::Reset(1, _)), "{reset:?}");
    assert!(peer.lives());
    let record = bed.proxy.await_records(1).remove(0);
    assert_eq!(record["end"], "reader_stalled", "{record}");
}

/// The same where the upstream takes no more of the body: the request must not stay in flight for ever.
#[test]
fn invariant_59_a_stream_ends_whose_upstream_stopped_reading_after_its_answer() {
    let grpc = H2Upstream::start();
    let routes = "routes: [{path: /**, allow: anyone, grpc: true}]";
    let bed = Setup::new(routes).upstream_url(&grpc.url()).start();
    let mut peer = Peer::plain(bed.proxy.addr());
    let post = Block::default()
        .literal(":method", b"POST")
        .literal(":scheme", b"http")
        .literal(":authority", b"a")
        .literal(":path", b"/deaf");
    peer.send(frames::post(1, &post.0));
    let head = peer.until(|event| matches!(event, Event::Head(..)));
    assert_eq!(head, Event::Head(1, 200, false));
    // More than the upstream's window.
    peer.send(frame(frames::DATA, 0, 1, &[0; 16_000]).repeat(4));
    let window = peer.until(|event| matches!(event, Event::Window(1, _)));
    assert!(!window.is_end(), "{window:?}");
    peer.send(frame(frames::DATA, 0, 1, &[0; 16_000]).repeat(2));
    assert_eq!(resets(&mut peer), [0_u32; 0], "too early");
    // Not much longer than that: the connection must not be idle for its own limit.
    second(&bed, READER + 5);
    bed.proxy.await_records(1);
    let reset = peer.until(|event| matches!(event, Event::Reset(..)));
    assert!(matches!(reset, Event::Reset(1, _)), "{reset:?}");
    assert!(peer.lives());
    eventually("the upstream is left", || grpc.requests().len() == 1);
}

/// The same where all of the body has come from its caller, who has the answer or has left: nobody else ends it.
#[test]
fn invariant_59_a_last_piece_that_an_upstream_never_takes_does_not_hold_its_request() {
    let grpc = H2Upstream::without_a_window();
    let routes = "routes: [{path: /**, allow: anyone, grpc: true}]";
    let bed = Setup::new(routes).upstream_url(&grpc.url()).start();
    assert_eq!(bed.send(&Request::post("/early", "x")).status, 200);
    let mut leaving = bed.proxy.connect();
    leaving.send(Request::post("/deaf", "x").bytes());
    assert_eq!(leaving.read_head().expect("a head").status, 200);
    drop(leaving);
    let mut staying = bed.proxy.connect();
    let early = Request::post("/early", "y");
    assert_eq!(staying.exchange(early.bytes()).status, 200);
    second(&bed, BODY + 5);
    bed.proxy.await_records(3);
    eventually("the upstream is left", || grpc.requests().len() == 3);
    // Who has an answer goes on undisturbed.
    assert_eq!(staying.exchange(early.bytes()).status, 200);
}

/// A body whose answer is over ends with its own stream: others share the connection, here to the upstream as well.
#[test]
fn invariant_59_a_body_that_outlives_its_answer_ends_alone() {
    let grpc = H2Upstream::start();
    let routes = "routes: [{path: /**, allow: anyone, grpc: true}]";
    let bed = Setup::new(routes).upstream_url(&grpc.url()).start();
    let mut peer = Peer::plain(bed.proxy.addr());
    for (stream, path) in [(1, "/early"), (3, "/echo")] {
        let post = Block::default()
            .literal(":method", b"POST")
            .literal(":scheme", b"http")
            .literal(":authority", b"a")
            .literal(":path", path.as_bytes());
        peer.send(frames::post(stream, &post.0));
        let head = peer.until(|event| matches!(event, Event::Head(..)));
        assert_eq!(head, Event::Head(stream, 200, stream == 1));
    }
    second(&bed, BODY - 1);
    assert_eq!(resets(&mut peer), [0_u32; 0], "too early");
    second(&bed, 2);
    let reset = peer.until(|event| matches!(event, Event::Reset(..)));
    assert!(matches!(reset, Event::Reset(1, _)), "{reset:?}");
    peer.send(frame(frames::DATA, 0, 3, b"abc"));
    let data = peer.until(|event| matches!(event, Event::Data(..)));
    assert_eq!(data, Event::Data(3, 3, false));
    assert!(peer.lives());
}

#[test]
fn invariant_59_an_http2_body_that_stalls_is_answered_and_its_connection_lives() {
    let bed = bed();
    let mut peer = Peer::plain(bed.proxy.addr());
    let post = Block::default()
        .literal(":method", b"POST")
        .literal(":scheme", b"http")
        .literal(":authority", b"a")
        .literal(":path", b"/x");
    peer.send(frames::post(1, &post.0));
    peer.send(frame(frames::DATA, 0, 1, b"abc"));
    eventually("the beginning is upstream", || {
        let seen = bed.upstream.requests();
        seen.first().is_some_and(|request| request.body == b"abc")
    });
    for _ in 0..BODY + 2 {
        second(&bed, 1);
    }
    bed.proxy.await_records(1);
    assert_eq!(peer.answer(1), Outcome::Status(408));
    assert!(peer.lives());
    let record = bed.proxy.records().remove(0);
    assert_eq!(record["reason"], "body_timeout", "{record}");
}

/// Whoever floods without reading is a reader that takes nothing.
#[test]
fn invariant_59_and_61_who_does_not_read_the_answers_to_a_flood_is_closed() {
    let ping = frames::ping(b"ping....");
    let settings = frames::settings(&[(4, 65_535)]);
    let request = Request::get("/flood").bytes();
    for (what, preface, flood) in [
        ("PING", true, ping.repeat(1000)),
        ("SETTINGS", true, settings.repeat(1000)),
        ("one large answer", false, request),
    ] {
        let bed = Setup::new(ROUTES).upstream(upstream()).start();
        let mut client = bed.proxy.connect();
        if preface {
            client.send(PREFACE).send(frames::settings(&[]));
        }
        client.send(&flood);
        let mut writer = client.reader();
        std::thread::scope(|scope| {
            if preface {
                scope.spawn(move || while writer.try_send(&flood).is_ok() {});
            }
            eventually(what, || {
                second(&bed, 10);
                open_connections(&bed) == 0.0
            });
        });
    }
}

/// Upstreams that let us wait.
#[test]
fn invariant_59_waiting_for_an_upstream_ends_too() {
    // Takes connections and says nothing, not even in TLS.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let held = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let (seen, came) = mpsc::channel();
        let accepting = silent.try_clone().expect("a clone");
        let held = &held;
        scope.spawn(move || {
            for stream in accepting.incoming().take(3).flatten() {
                held.lock().expect("a list").push(stream);
                let _ = seen.send(());
            }
        });
        let ca = tls::file("ca.crt");
        let secure = format!(
            "{{url: \"https://localhost:{port}\", ca: {{file: \"{}\"}}}}",
            ca.display()
        );
        for (url, lines, limit) in [
            (secure, "", 2),
            (
                format!("http://127.0.0.1:{port}"),
                "timeouts: {upstream_response: 5s}",
                5,
            ),
            (
                format!("h2c://127.0.0.1:{port}"),
                "timeouts: {upstream_response: 5s}",
                5,
            ),
        ] {
            let bed = Setup::new(ROUTES).upstream_url(&url).inbound(lines).start();
            let mut client = bed.proxy.connect();
            client.send(Request::get("/x").bytes());
            came.recv_timeout(crate::bed::PATIENCE)
                .expect("a connection");
            second(&bed, limit - 1);
            assert_eq!(bed.proxy.records().len(), 0, "{url}: too early");
            eventually(&url, || {
                second(&bed, 1);
                !bed.proxy.records().is_empty()
            });
            assert_eq!(client.read().status, 504, "{url}");
        }
    });
}

/// Linux's word for the timer of each connection: 2 is the one that asks whether the other side is still there.
#[cfg(target_os = "linux")]
fn timers(local: Option<u16>, remote: Option<u16>) -> Vec<String> {
    let text = std::fs::read_to_string("/proc/self/net/tcp").expect("connections");
    let port = |address: &str| {
        let digits = address.split(':').nth(1).expect("a port");
        u16::from_str_radix(digits, 16).expect("a port")
    };
    let lines = text.lines().skip(1).filter_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let established = words[3] == "01";
        let ours = local.is_none_or(|wanted| port(words[1]) == wanted)
            && remote.is_none_or(|wanted| port(words[2]) == wanted);
        (established && ours).then(|| words[5].split(':').next().expect("a timer").to_owned())
    });
    lines.collect()
}

/// What vanishes without a word is asked after by the system: a held request would wait for ever otherwise.
#[cfg(target_os = "linux")]
#[test]
fn invariant_59_the_system_asks_whether_the_other_side_is_still_there() {
    let bed = Setup::new(ROUTES).upstream(upstream()).start();
    let mut client = bed.proxy.connect();
    client.send(Request::get("/hold").bytes());
    bed.upstream.await_requests(1);
    let asks = |all: Vec<String>| !all.is_empty() && all.iter().all(|timer| timer == "02");
    eventually("downstream is asked", || {
        asks(timers(Some(bed.proxy.addr().port()), None))
    });
    let port = bed.upstream.address().port();
    eventually("upstream is asked", || asks(timers(None, Some(port))));
    // The bed's own ends do not ask: what was seen is the proxy's doing.
    assert!(!asks(timers(Some(port), None)));
}
