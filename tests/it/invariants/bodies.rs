//! Invariants 58 and 59 for bodies that nobody takes.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::bed::h2_client::H2Connection;
use crate::bed::{Bed, PATIENCE, Request, Setup, Upstream, Variant, assert_forwarded, eventually};

const OPEN: &str = "routes: [{path: /**, allow: anyone}]\n";

/// More than the system's buffers between three programs hold.
const LARGE: usize = 64 * 1024 * 1024;

/// An upstream that reads nothing of bodies under `/deaf` until it is told to, and tells how its reading then ended.
fn deaf() -> (Bed, Sender<()>, Receiver<ErrorKind>) {
    let (go_on, wait) = channel::<()>();
    let (tell, told) = channel();
    let talk = Mutex::new((wait, tell));
    let upstream = Upstream::scripted(move |exchange| {
        if exchange.request.target == "/deaf" {
            let talk = talk.lock().expect("talk");
            talk.0
                .recv_timeout(PATIENCE * 2)
                .map_err(std::io::Error::other)?;
            if let Err(error) = exchange.body() {
                let _ = talk.1.send(error.kind());
                return Err(error);
            }
        }
        exchange.echo()
    });
    (Setup::new(OPEN).upstream(upstream).start(), go_on, told)
}

/// The system had given up the closed connection by itself after a minute without telling the upstream (found by the soak test).
#[track_caller]
fn assert_reset(go_on: &Sender<()>, told: &Receiver<ErrorKind>) {
    go_on.send(()).expect("an upstream that waits");
    let end = told.recv_timeout(PATIENCE).expect("an end");
    assert_eq!(end, ErrorKind::ConnectionReset);
}

/// A request on another connection: whatever the worker had to do before it, it has done.
fn round_trip(bed: &Bed) {
    assert_eq!(bed.send(&Request::get("/other")).status, 200);
}

/// Writes until nothing more is taken; how many bytes were.
fn fill(bed: &Bed, client: &mut TcpStream) -> usize {
    static PIECE: [u8; 64 * 1024] = [b'x'; 64 * 1024];
    client.set_nonblocking(true).expect("a socket");
    let (mut written, mut idle) = (0, 0);
    while idle < 20 {
        match client.write(&PIECE) {
            Ok(count) => (written, idle) = (written + count, 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                idle += 1;
                round_trip(bed);
            }
            Err(error) => panic!("{error}"),
        }
    }
    client.set_nonblocking(false).expect("a socket");
    written
}

/// Found by the soak test: a caller that had gone was not noticed while its upstream read nothing, and both connections
/// stayed open for as long as that lasted.
#[test]
fn invariant_58_59_an_upstream_that_takes_nothing_is_given_up() {
    let (bed, go_on, told) = deaf();
    let mut client = TcpStream::connect(bed.proxy.addr()).expect("a connection");
    client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let head = format!("POST /deaf HTTP/1.1\r\nhost: a\r\ncontent-length: {LARGE}\r\n\r\n");
    client.write_all(head.as_bytes()).expect("a head");
    let written = fill(&bed, &mut client);
    assert!(written < LARGE, "back-pressure reaches the caller");
    // A slow upstream is given its time.
    for _ in 0..5 {
        bed.clock.advance(Duration::from_secs(10));
        round_trip(&bed);
    }
    assert!(bed.proxy.metric("http_server_active_requests", "") > 0.5);
    for _ in 0..2 {
        bed.clock.advance(Duration::from_secs(10));
        round_trip(&bed);
    }
    let mut answer = [0; 12];
    client.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 504");
    eventually("nothing is in flight", || {
        bed.proxy.metric("http_server_active_requests", "") < 0.5
    });
    let records = bed.proxy.records();
    let record = records
        .iter()
        .find(|record| record["path"] == "/deaf")
        .expect("a record");
    assert_eq!(record["reason"], "upstream_timeout", "{record}");
    assert_reset(&go_on, &told);
}

/// The same over HTTP/2, where it is seen at once that the caller has gone.
#[test]
fn invariant_58_a_caller_who_leaves_ends_what_its_upstream_does_not_read() {
    let (bed, go_on, _told) = deaf();
    let http2 = H2Connection::plain(bed.proxy.addr());
    let mut stream = http2
        .open(&Request::post("/deaf", ""), false)
        .expect("a stream");
    stream.push(&vec![b'x'; LARGE], false);
    bed.upstream.await_requests(1);
    for _ in 0..50 {
        round_trip(&bed);
    }
    stream.cancel();
    eventually(
        "nothing is in flight, though the upstream still reads nothing",
        || bed.proxy.metric("http_server_active_requests", "") < 0.5,
    );
    let _ = go_on.send(());
    assert_forwarded(&bed, Variant::PLAIN, &Request::post("/other", "twin"));
}
