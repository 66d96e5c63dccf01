//! Invariants 25 and 26 where they take more than one write, or HTTP/2. The tables of raw HTTP/1 are in `http1`.

use crate::bed::{Bed, Before, Next, Setup, Upstream, contains, show};

const OPEN: &str = "routes: [{path: /**, allow: anyone}]\n";

fn open() -> Bed {
    Setup::new(OPEN).start()
}

#[test]
fn invariant_25_a_chunk_error_after_the_answer_began_closes_both_sides() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.body_piece()?;
        exchange.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        exchange.chunk("begun")?;
        exchange.await_close()?;
        Ok(Next::Close)
    });
    let bed = Setup::new(OPEN).upstream(upstream).start();
    let mut connection = bed.proxy.connect();
    connection
        .send("POST /first HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    assert_eq!(connection.read_head().expect("a head").status, 200);
    assert_eq!(connection.chunk(), b"begun");
    connection.send("zz\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n");
    let rest = connection.read_end();
    assert!(!contains(&rest, b"HTTP/1.1"), "{}", show(&rest));
    bed.upstream.await_open(0);
    assert_eq!(bed.upstream.requests().len(), 1);
}

#[test]
fn invariant_26_http2_authority_and_host_must_agree() {
    use crate::bed::raw_h2::{Outcome, ask};
    let bed = open();
    let go = |fields: &[(&str, &[u8])]| ask(bed.proxy.addr(), fields, None, None);
    let base: [(&str, &[u8]); 3] = [(":method", b"GET"), (":scheme", b"http"), (":path", b"/x")];
    let with = |extra: &[(&'static str, &'static [u8])]| go(&[&base[..], extra].concat());
    let before = Before::now(&bed);
    let refused: &[&[(&str, &[u8])]] = &[
        &[(":authority", b"a"), ("host", b"b")],
        &[(":authority", b"a"), ("host", b"a"), ("host", b"a")],
        &[(":authority", b"u@a")],
        &[(":authority", b"a/b")],
        &[(":authority", b"")],
        &[(":authority", b"a, b")],
        &[],
        &[("host", b"a, b")],
        &[(":authority", b"a"), (":authority", b"b")],
        &[(":authority", b"a"), ("connection", b"close")],
        &[(":authority", b"a"), ("transfer-encoding", b"chunked")],
        &[(":authority", b"a"), ("content-length", b"5")],
        &[(":authority", b"a"), ("X-Upper", b"1")],
        &[(":authority", b"a"), ("x", b"a\r\nb")],
        &[(":authority", b"a"), ("x", b"a\0b")],
    ];
    for fields in refused {
        let outcome = with(fields);
        let refused = outcome == Outcome::Status(400) || outcome.is_refused_below();
        assert!(refused, "{outcome:?} for {fields:?}");
    }
    before.assert_nothing_upstream(&bed, &"HTTP/2 authorities");
    assert_eq!(with(&[(":authority", b"a")]), Outcome::Status(200));
    assert_eq!(
        with(&[(":authority", b"a"), ("host", b"a")]),
        Outcome::Status(200)
    );
    assert_eq!(bed.upstream.requests()[0].header("host"), Some("a"));
}
