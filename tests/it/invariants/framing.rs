//! Invariants 24 to 26: one reading of every message. A table of raw bytes, what they get, and what the upstream sees.

use crate::bed::{
    Bed, Before, Next, Request, Setup, Upstream, Variant, assert_forwarded, assert_raw_refused,
    assert_recorded, contains, show,
};

const OPEN: &str = "routes: [{path: /**, allow: anyone}]\n";

fn open() -> Bed {
    Setup::new(OPEN).start()
}

/// What is refused: the bytes after `POST / HTTP/1.1\r\nhost: a\r\n` unless they start with a request line themselves.
const REFUSED: &[(&str, &str)] = &[
    // Content-Length and Transfer-Encoding together, in any order and number.
    (
        "content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        FRAMING,
    ),
    (
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n",
        FRAMING,
    ),
    (
        "transfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n0\r\n\r\n",
        FRAMING,
    ),
    (
        "content-length: 0\r\ntransfer-encoding: identity\r\n\r\n",
        FRAMING,
    ),
    // Transfer-Encoding that is not exactly one `chunked`.
    ("transfer-encoding: gzip\r\n\r\n", FRAMING),
    ("transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", FRAMING),
    ("transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n", FRAMING),
    (
        "transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        FRAMING,
    ),
    (
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        FRAMING,
    ),
    ("transfer-encoding: identity\r\n\r\n", FRAMING),
    ("transfer-encoding: xchunked\r\n\r\n0\r\n\r\n", FRAMING),
    ("transfer-encoding: chunkedx\r\n\r\n0\r\n\r\n", FRAMING),
    ("transfer-encoding: \"chunked\"\r\n\r\n0\r\n\r\n", FRAMING),
    ("transfer-encoding: chunked;q=1\r\n\r\n0\r\n\r\n", FRAMING),
    ("transfer-encoding: ,chunked\r\n\r\n0\r\n\r\n", FRAMING),
    ("transfer-encoding: chunked,\r\n\r\n0\r\n\r\n", FRAMING),
    ("transfer-encoding:\r\n\r\n", FRAMING),
    ("transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n", BOTH),
    ("transfer-encoding : chunked\r\n\r\n0\r\n\r\n", SYNTAX),
    ("transfer-encoding\t: chunked\r\n\r\n0\r\n\r\n", SYNTAX),
    (" transfer-encoding: chunked\r\n\r\n0\r\n\r\n", SYNTAX),
    // Content-Length that is not one plain number.
    (
        "content-length: 4\r\ncontent-length: 5\r\n\r\nabcde",
        FRAMING,
    ),
    (
        "content-length: 4\r\ncontent-length: 4\r\n\r\nabcd",
        FRAMING,
    ),
    ("content-length: 4, 4\r\n\r\nabcd", FRAMING),
    ("content-length: 4,5\r\n\r\nabcde", FRAMING),
    ("content-length: +4\r\n\r\nabcd", FRAMING),
    ("content-length: -0\r\n\r\n", FRAMING),
    ("content-length: -4\r\n\r\nabcd", FRAMING),
    ("content-length: 004\r\n\r\nabcd", FRAMING),
    ("content-length: 00\r\n\r\n", FRAMING),
    ("content-length: 0x4\r\n\r\nabcd", FRAMING),
    ("content-length: 4 4\r\n\r\nabcd", FRAMING),
    ("content-length: 4.0\r\n\r\nabcd", FRAMING),
    ("content-length: 4e0\r\n\r\nabcd", FRAMING),
    ("content-length: 4_0\r\n\r\nabcd", FRAMING),
    ("content-length:\r\n\r\n", FRAMING),
    ("content-length: four\r\n\r\nabcd", FRAMING),
    ("content-length: 99999999999999999999\r\n\r\nabcd", FRAMING),
    ("content-length: 18446744073709551616\r\n\r\nabcd", FRAMING),
    ("content-length: 4;\r\n\r\nabcd", FRAMING),
    ("content-length: \"4\"\r\n\r\nabcd", FRAMING),
    ("content-length : 4\r\n\r\nabcd", SYNTAX),
    // Lines.
    ("x: a\r\n b\r\n\r\n", SYNTAX),
    ("x: a\r\n\tb\r\n\r\n", SYNTAX),
    ("x: a\rb\r\n\r\n", SYNTAX),
    ("x: a\0b\r\n\r\n", SYNTAX),
    ("x: a\x0bb\r\n\r\n", SYNTAX),
    ("x: a\x7fb\r\n\r\n", SYNTAX),
    ("x: a\nb: c\r\n\r\n", SYNTAX),
    ("x: a\n\r\n", SYNTAX),
    ("x\r\n\r\n", SYNTAX),
    (": a\r\n\r\n", SYNTAX),
    ("x y: a\r\n\r\n", SYNTAX),
    ("x(y): a\r\n\r\n", SYNTAX),
    ("x\0: a\r\n\r\n", SYNTAX),
    ("x\u{e9}: a\r\n\r\n", SYNTAX),
    ("\rx: a\r\n\r\n", SYNTAX),
    // Request lines.
    ("POST / HTTP/1.1\r\n host: a\r\n\r\n", SYNTAX),
    ("POST / HTTP/1.1\nhost: a\n\n", SYNTAX),
    ("POST / HTTP/1.1\r\nhost: a\n\r\n", SYNTAX),
    ("POST  / HTTP/1.1\r\nhost: a\r\n\r\n", LINE),
    ("POST /  HTTP/1.1\r\nhost: a\r\n\r\n", LINE),
    ("POST / HTTP/1.1 \r\nhost: a\r\n\r\n", LINE),
    ("POST\t/ HTTP/1.1\r\nhost: a\r\n\r\n", LINE),
    (" POST / HTTP/1.1\r\nhost: a\r\n\r\n", LINE),
    ("POST /a b HTTP/1.1\r\nhost: a\r\n\r\n", LINE),
    ("POST / http/1.1\r\nhost: a\r\n\r\n", LINE),
    ("POST / HTTP/1.01\r\nhost: a\r\n\r\n", LINE),
    ("POST / HTTP/11\r\nhost: a\r\n\r\n", LINE),
    ("POST /\r\nhost: a\r\n\r\n", LINE),
    ("POST\r\nhost: a\r\n\r\n", LINE),
    ("P(ST / HTTP/1.1\r\nhost: a\r\n\r\n", LINE),
    ("POST /\x01 HTTP/1.1\r\nhost: a\r\n\r\n", LINE),
    // HTTP/1.0 has no Transfer-Encoding.
    (
        "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        FRAMING,
    ),
    (
        "POST / HTTP/1.0\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        FRAMING,
    ),
    // The authority (invariant 26).
    ("GET / HTTP/1.1\r\n\r\n", AUTHORITY),
    ("GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", AUTHORITY),
    ("GET / HTTP/1.1\r\nhost: a\r\nHost: b\r\n\r\n", AUTHORITY),
    ("GET / HTTP/1.1\r\nhost:\r\n\r\n", AUTHORITY),
    ("GET / HTTP/1.1\r\nhost: a, b\r\n\r\n", AUTHORITY),
    ("GET / HTTP/1.1\r\nhost: a b\r\n\r\n", AUTHORITY),
    ("GET / HTTP/1.1\r\nhost: u@a/../b\r\n\r\n", AUTHORITY),
    ("GET / HTTP/1.1\r\nhost: u@a\r\n\r\n", AUTHORITY),
    ("GET / HTTP/1.1\r\nhost: a/b\r\n\r\n", AUTHORITY),
    ("GET / HTTP/1.1\r\nhost: a?b\r\n\r\n", AUTHORITY),
    ("GET / HTTP/1.1\r\nhost: a#b\r\n\r\n", AUTHORITY),
    ("GET / HTTP/1.1\r\nhost: a\\b\r\n\r\n", AUTHORITY),
    ("GET / HTTP/1.1\r\nhost: a:99999\r\n\r\n", AUTHORITY),
    ("GET / HTTP/1.1\r\nhost: a:x\r\n\r\n", AUTHORITY),
    ("GET / HTTP/1.1\r\nhost: [::1\r\n\r\n", AUTHORITY),
    ("GET / HTTP/1.1\r\nhost: %61\r\n\r\n", AUTHORITY),
    ("GET / HTTP/1.1\r\nhost: http://a\r\n\r\n", AUTHORITY),
    ("GET http://a/ HTTP/1.1\r\nhost: b\r\n\r\n", AUTHORITY),
    ("GET http://a/ HTTP/1.1\r\n\r\n", AUTHORITY),
    ("GET http://u@a/ HTTP/1.1\r\nhost: a\r\n\r\n", AUTHORITY),
];
const FRAMING: &str = "malformed_framing";
const SYNTAX: &str = "malformed_syntax";
const BOTH: &str = "malformed_framing|malformed_syntax";
const LINE: &str = "malformed_syntax|malformed_target|version_not_supported";
const AUTHORITY: &str = "malformed_authority|malformed_target|malformed_syntax";

fn message(row: &str) -> Vec<u8> {
    let whole = ["GET ", "POST", " POST", "P(ST"]
        .iter()
        .any(|line| row.starts_with(line));
    if whole {
        row.as_bytes().to_vec()
    } else {
        format!("POST / HTTP/1.1\r\nhost: a\r\n{row}").into_bytes()
    }
}

#[test]
fn invariant_24_and_26_ambiguous_messages_are_refused_and_the_connection_closed() {
    assert!(REFUSED.len() >= 80, "{} rows", REFUSED.len());
    let bed = open();
    for (row, reason) in REFUSED {
        let mut bytes = message(row);
        bytes.extend_from_slice(b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n");
        let status = if row.starts_with("POST / HTTP/1.01")
            || row.starts_with("POST / http")
            || row.contains("HTTP/11")
        {
            let status = bed.proxy.connect().exchange(&bytes).status;
            bed.proxy.await_records(1);
            assert!(matches!(status, 400 | 505), "{status} for {}", show(&bytes));
            status
        } else {
            400
        };
        assert_raw_refused(&bed, &bytes, status, reason);
    }
    assert_forwarded(&bed, Variant::PLAIN, &Request::post("/", "abcd"));
    crate::bed::reconcile(&bed);
}

#[test]
fn invariant_24_and_26_the_same_as_the_second_message_of_a_connection() {
    let bed = open();
    for (row, _) in REFUSED {
        let bytes = message(row);
        let mut connection = bed.proxy.connect();
        connection
            .exchange("GET /health HTTP/1.1\r\nhost: a\r\n\r\n")
            .expect(200);
        let before = Before::now(&bed);
        let status = connection
            .send(&bytes)
            .read_to("GET")
            .map_or(0, |response| response.status);
        assert!(matches!(status, 400 | 505), "{status} for {}", show(&bytes));
        connection.half_close();
        connection.assert_closed();
        before.assert_nothing_upstream(&bed, &show(&bytes));
    }
}

/// What passes: the message, and exactly what the upstream sees of its framing and body.
const PASSED: &[(&str, &str, &str)] = &[
    (
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nabcd",
        "content-length: 4",
        "abcd",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "content-length: 0",
        "",
    ),
    (
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length:4\r\n\r\nabcd",
        "content-length: 4",
        "abcd",
    ),
    (
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: \t4 \r\n\r\nabcd",
        "content-length: 4",
        "abcd",
    ),
    (
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
        "transfer-encoding: chunked",
        "abcd",
    ),
    (
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4;ext=1\r\nabcd\r\n0;ext\r\n\r\n",
        "transfer-encoding: chunked",
        "abcd",
    ),
    (
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0004\r\nabcd\r\n000\r\n\r\n",
        "transfer-encoding: chunked",
        "abcd",
    ),
    (
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n",
        "transfer-encoding: chunked",
        "0123456789",
    ),
    ("POST / HTTP/1.1\r\nhost: a\r\n\r\n", "", ""),
    ("GET / HTTP/1.1\r\nhost: a\r\nx-empty:\r\n\r\n", "", ""),
    ("GET / HTTP/1.1\r\nhost: A.Test.:8080\r\n\r\n", "", ""),
    ("GET / HTTP/1.1\r\nhost: [::1]:80\r\n\r\n", "", ""),
    ("GET http://a/ HTTP/1.1\r\nhost: a\r\n\r\n", "", ""),
    ("\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n", "", ""),
];

#[test]
fn invariant_24_framing_is_made_anew_for_the_upstream() {
    for (bytes, framing, body) in PASSED {
        let bed = open();
        let response = bed.proxy.connect().exchange(bytes);
        assert_eq!(response.status, 200, "{}", bytes.escape_debug());
        let seen = bed.upstream.only();
        assert_eq!(seen.body, body.as_bytes(), "{}", bytes.escape_debug());
        let lines: Vec<String> = seen
            .headers
            .iter()
            .filter(|(name, _)| {
                matches!(
                    &*name.to_ascii_lowercase(),
                    "content-length" | "transfer-encoding"
                )
            })
            .map(|(name, value)| format!("{}: {value}", name.to_ascii_lowercase()))
            .collect();
        let want: Vec<&str> = if framing.is_empty() {
            vec![]
        } else {
            vec![framing]
        };
        let none_or_zero = framing.is_empty() && lines == ["content-length: 0"];
        assert!(
            lines == want || none_or_zero,
            "{lines:?} for {}",
            bytes.escape_debug()
        );
        assert!(
            !contains(&seen.raw_body, b"ext"),
            "chunk extensions are dropped"
        );
        assert_eq!(seen.all("host").len(), 1);
    }
}

/// Chunked bodies that do not frame. Each is followed by a request that must never be read.
const CHUNKS: &[&str] = &[
    "4\nabcd\r\n0\r\n\r\n",
    "4\r\nabcd\n0\r\n\r\n",
    "4\r\nabcd\r\n0\n\r\n",
    "4\r\nabcd\r\n0\r\n\n",
    "0x4\r\nabcd\r\n0\r\n\r\n",
    "+4\r\nabcd\r\n0\r\n\r\n",
    " 4\r\nabcd\r\n0\r\n\r\n",
    "-4\r\nabcd\r\n0\r\n\r\n",
    "3_0\r\nabcd\r\n0\r\n\r\n",
    "4 \nabcd\r\n0\r\n\r\n",
    "10000000000000000\r\nabcd\r\n0\r\n\r\n",
    "fffffffffffffffff\r\nabcd\r\n0\r\n\r\n",
    "4\r\nabcdX\r\n0\r\n\r\n",
    "4\r\nabcd0\r\n\r\n",
    "4;a\0b\r\nabcd\r\n0\r\n\r\n",
    "4;a\nb\r\nabcd\r\n0\r\n\r\n",
    "4;a\rb\r\nabcd\r\n0\r\n\r\n",
    "\r\nabcd\r\n0\r\n\r\n",
    ";x\r\nabcd\r\n0\r\n\r\n",
    "g\r\nabcd\r\n0\r\n\r\n",
    "4\r\nabcd\r\n\r\n0\r\n\r\n",
    "4\r\rabcd\r\n0\r\n\r\n",
    "0\r\nx : y\r\n\r\n",
    "0\r\n x: y\r\n\r\n",
    "0\r\nx: a\0\r\n\r\n",
];

#[test]
fn invariant_25_broken_chunks_close_everything_and_no_second_request_is_read() {
    for row in CHUNKS {
        let bed = open();
        let bytes = format!(
            "POST /first HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{row}GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"
        );
        let mut connection = bed.proxy.connect();
        connection.send(&bytes);
        let answer = connection.read_end();
        let answers = answer
            .windows(9)
            .filter(|window| *window == b"HTTP/1.1 ")
            .count();
        assert!(answers <= 1, "{} for {}", show(&answer), row.escape_debug());
        if answers == 1 {
            assert_eq!(show(&answer[9..12]), "400", "{}", row.escape_debug());
        }
        let record = bed.proxy.await_records(1).remove(0);
        assert_recorded(
            &record,
            400,
            "malformed_chunk|malformed_framing|malformed_syntax",
        );
        bed.upstream.await_open(0);
        for request in bed.upstream.requests() {
            assert_eq!(request.target, "/first", "{}", row.escape_debug());
            assert!(
                !request.complete,
                "a broken message must not look whole: {}",
                row.escape_debug()
            );
        }
    }
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
