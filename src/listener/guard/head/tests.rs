use super::*;

const LIMITS: HeadLimits = HeadLimits {
    header_bytes: 2048,
    headers: 5,
    target_bytes: 256,
};

fn scan(head: &[u8]) -> Result<Option<CheckedHead>, Malformed> {
    HeadScan::default().advance(head, &LIMITS)
}

/// Heads that must pass, each the twin of refused ones below.
const GOOD: &[(&str, Framing)] = &[
    ("GET / HTTP/1.1\r\n\r\n", Framing::Length(0)),
    ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Framing::Length(0)),
    ("GET /a?b=c HTTP/1.0\r\n\r\n", Framing::Length(0)),
    (
        "GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n",
        Framing::Length(0),
    ),
    ("GET! / HTTP/1.1\r\n\r\n", Framing::Length(0)),
    ("get /%23 HTTP/1.1\r\n\r\n", Framing::Length(0)),
    ("OPTIONS * HTTP/1.1\r\n\r\n", Framing::Length(0)),
    (
        "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        Framing::Length(0),
    ),
    (
        "POST / HTTP/1.1\r\ncontent-length:3\r\n\r\n",
        Framing::Length(3),
    ),
    (
        "POST / HTTP/1.1\r\nCONTENT-LENGTH: \t 3 \t\r\n\r\n",
        Framing::Length(3),
    ),
    (
        "POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\n",
        Framing::Length(3),
    ),
    (
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        Framing::Chunked,
    ),
    (
        "POST / HTTP/1.1\r\ntransfer-encoding:chunked \r\n\r\n",
        Framing::Chunked,
    ),
    ("GET / HTTP/1.1\r\nx:\r\n\r\n", Framing::Length(0)),
    ("GET / HTTP/1.1\r\nx: \t\r\n\r\n", Framing::Length(0)),
    (
        "GET / HTTP/1.1\r\nx: a\tb\u{e9}\r\n\r\n",
        Framing::Length(0),
    ),
    (
        "GET / HTTP/1.1\r\nx_y.z!#$%&'*+^`|~: \r\n\r\n",
        Framing::Length(0),
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        Framing::Length(0),
    ),
];

#[test]
fn invariant_24_well_formed_heads_pass() {
    for (head, framing) in GOOD {
        let checked = scan(head.as_bytes()).unwrap().unwrap();
        assert_eq!(
            (checked.length, checked.framing),
            (head.len(), *framing),
            "{head:?}"
        );
        let longer = format!("{head}GET / HTTP/1.1\r\n");
        assert_eq!(scan(longer.as_bytes()).unwrap(), Some(checked), "{head:?}");
    }
}

#[test]
fn invariant_24_request_lines_are_exact() {
    use Malformed::{Syntax, Target, TargetTooLong, Upgrade, Version};
    let long = "a".repeat(256);
    let method = "M".repeat(65);
    for (line, fault) in [
        ("GET / HTTP/1.1\n", Syntax),
        ("GET / HTTP/1.1\r\r\n", Syntax),
        ("GET / HTTP/1.1\rX", Syntax),
        ("GET  / HTTP/1.1\r\n", Syntax),
        ("GET /  HTTP/1.1\r\n", Syntax),
        ("GET / HTTP/1.1 \r\n", Syntax),
        (" GET / HTTP/1.1\r\n", Syntax),
        ("GET\t/ HTTP/1.1\r\n", Syntax),
        ("GET / x HTTP/1.1\r\n", Syntax),
        ("GET /\r\n", Syntax),
        ("GET\r\n", Syntax),
        ("GET  HTTP/1.1\r\n", Syntax),
        ("GET / \r\n", Syntax),
        ("G(T / HTTP/1.1\r\n", Syntax),
        ("G\0T / HTTP/1.1\r\n", Syntax),
        ("G\u{e9}T / HTTP/1.1\r\n", Syntax),
        (&format!("{method} / HTTP/1.1\r\n"), Syntax),
        ("COUNTERSIGN-REFUSED / HTTP/1.1\r\n", Syntax),
        ("GET / http/1.1\r\n", Syntax),
        ("GET / HTTP/1.1x\r\n", Syntax),
        ("GET / HTTP/11\r\n", Syntax),
        ("GET / HTTP/1.10\r\n", Syntax),
        ("GET / HTTPS/1.1\r\n", Syntax),
        ("GET / HTTP/+.1\r\n", Syntax),
        ("GET / HTTP/1.2\r\n", Version),
        ("GET / HTTP/0.9\r\n", Version),
        ("GET / HTTP/2.0\r\n", Version),
        ("GET / HTTP/3.0\r\n", Version),
        ("PRI * HTTP/2.0\r\n\r\n", Version),
        ("GET /a#b HTTP/1.1\r\n", Target),
        ("GET /#/../admin HTTP/1.1\r\n", Target),
        ("GET /a\u{7f} HTTP/1.1\r\n", Target),
        ("GET /a\0b HTTP/1.1\r\n", Target),
        ("GET /a\tb HTTP/1.1\r\n", Target),
        ("GET /\u{e9} HTTP/1.1\r\n", Target),
        ("CONNECT a:443 HTTP/1.1\r\n", Upgrade),
        (&format!("GET /{long} HTTP/1.1\r\n"), TargetTooLong),
        ("\u{16}\u{3}\u{1}", Syntax),
        ("\0", Syntax),
        ("\n", Syntax),
        ("\r\n", Syntax),
    ] {
        assert_eq!(scan(line.as_bytes()), Err(fault), "{line:?}");
    }
    let fits = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(255));
    assert!(scan(fits.as_bytes()).unwrap().is_some());
}

#[test]
fn invariant_24_field_lines_are_exact() {
    for fields in [
        "Host: a\n",
        "Host: a\r\r\n",
        "Host: a\rb: c\r\n",
        "Host: a\r\n b\r\n",
        "Host: a\r\n\tb\r\n",
        " Host: a\r\n",
        "\tHost: a\r\n",
        "Host : a\r\n",
        "Host\t: a\r\n",
        "Host\r\n",
        ": a\r\n",
        ":\r\n",
        "Ho st: a\r\n",
        "Ho\0st: a\r\n",
        "H(st: a\r\n",
        "H\u{e9}st: a\r\n",
        "\"Host\": a\r\n",
        "Host: a\0\r\n",
        "Host: a\u{b}b\r\n",
        "Host: a\u{c}b\r\n",
        "Host: a\u{1}b\r\n",
        "Host: a\u{1b}b\r\n",
        "Host: a\u{7f}b\r\n",
        "x: a\r\n\n",
        "\n",
        "x: a\r\n\rX",
        "x: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\0a\r\n",
    ] {
        let head = format!("GET / HTTP/1.1\r\n{fields}\r\n");
        assert_eq!(scan(head.as_bytes()), Err(Malformed::Syntax), "{head:?}");
    }
}

#[test]
fn invariant_24_framing_is_unambiguous() {
    for (version, fields) in [
        ("1.1", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
        ("1.1", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"),
        (
            "1.1",
            "Transfer-Encoding: chunked\r\nx: y\r\ncontent-length: 0\r\n",
        ),
        ("1.1", "Transfer-Encoding: gzip, chunked\r\n"),
        ("1.1", "Transfer-Encoding: chunked, chunked\r\n"),
        (
            "1.1",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        ),
        (
            "1.1",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        ),
        ("1.1", "Transfer-Encoding: CHUNKED\r\n"),
        ("1.1", "Transfer-Encoding: Chunked\r\n"),
        ("1.1", "Transfer-Encoding: identity\r\n"),
        ("1.1", "Transfer-Encoding: xchunked\r\n"),
        ("1.1", "Transfer-Encoding: chunked;q=1\r\n"),
        ("1.1", "Transfer-Encoding: \"chunked\"\r\n"),
        ("1.1", "Transfer-Encoding: ,chunked\r\n"),
        ("1.1", "Transfer-Encoding:\r\n"),
        ("1.0", "Transfer-Encoding: chunked\r\n"),
        ("1.1", "Content-Length: 3\r\nContent-Length: 3\r\n"),
        ("1.1", "Content-Length: 3\r\nContent-Length: 4\r\n"),
        ("1.1", "Content-Length: 3, 3\r\n"),
        ("1.1", "Content-Length: 003\r\n"),
        ("1.1", "Content-Length: +3\r\n"),
        ("1.1", "Content-Length: -3\r\n"),
        ("1.1", "Content-Length: 0x3\r\n"),
        ("1.1", "Content-Length: 3 3\r\n"),
        ("1.1", "Content-Length: 3.0\r\n"),
        ("1.1", "Content-Length: 1e3\r\n"),
        ("1.1", "Content-Length:\r\n"),
        ("1.1", "Content-Length: 99999999999999999999\r\n"),
        ("1.1", "Content-Length: \u{663}\r\n"),
        ("1.0", "Content-Length: 00\r\n"),
    ] {
        let head = format!("POST / HTTP/{version}\r\n{fields}\r\n");
        assert_eq!(scan(head.as_bytes()), Err(Malformed::Framing), "{head:?}");
    }
}

#[test]
fn invariant_57_heads_are_bounded() {
    let field = |length: usize| format!("GET / HTTP/1.1\r\nx: {}", "a".repeat(length));
    let exact = field(2048 - 19 - 4);
    assert!(
        scan(format!("{exact}\r\n\r\n").as_bytes())
            .unwrap()
            .is_some()
    );
    let large = Err(Malformed::HeadTooLarge);
    assert_eq!(scan(format!("{exact}a\r\n\r\n").as_bytes()), large);
    assert_eq!(
        scan(field(2048).as_bytes()),
        large,
        "refused before it ends"
    );
    let line = format!("GET /{}", "a".repeat(400));
    assert_eq!(
        scan(line.as_bytes()),
        Err(Malformed::TargetTooLong),
        "refused before it ends"
    );
    let five = "GET / HTTP/1.1\r\na:\r\na:\r\na:\r\na:\r\na:\r\n";
    assert!(scan(format!("{five}\r\n").as_bytes()).unwrap().is_some());
    assert_eq!(scan(format!("{five}a:\r\n\r\n").as_bytes()), large);
}

#[test]
fn invariant_57_what_is_too_long_is_so_however_it_is_cut() {
    let over = [
        format!("GET /{} x HTTP/1.1\r\n\r\n", "a".repeat(400)),
        format!("GET /{}\rx HTTP/1.1\r\n\r\n", "a".repeat(400)),
        format!("GET /{}\n\n", "a".repeat(400)),
        format!("GET / HTTP/1.1\r\nx: {}\n\r\n", "a".repeat(2048)),
        format!("GET / HTTP/1.1\r\nx: {}\ry\r\n\r\n", "a".repeat(2048)),
        format!("GET / HTTP/1.1\r\n{}\r\n\r\n", "a".repeat(2048)),
    ];
    // Around the limits of a line and of a head as well.
    let near_line = (LIMITS.target_bytes + LINE_EXTRA - 8..)
        .take(10)
        .map(|length| {
            let line = format!("GET /{}", "a".repeat(length - 5));
            [
                format!("{line}\rx\r\n\r\n"),
                format!("{line}\nx\r\n\r\n"),
                format!("{line}\r\n\r\n"),
            ]
        });
    let near_head = (LIMITS.header_bytes - 5..).take(10).map(|length| {
        let head = format!("GET / HTTP/1.1\r\nx: {}", "a".repeat(length - 19));
        [
            format!("{head}\rx\r\n\r\n"),
            format!("{head}\nx\r\n\r\n"),
            format!("{head}\r\n\r\n"),
        ]
    });
    let heads = over
        .into_iter()
        .chain(near_line.flatten())
        .chain(near_head.flatten());
    for head in heads {
        let bytes = head.as_bytes();
        let whole = scan(bytes);
        for step in [1, 2, 3, 1000] {
            let mut scan = HeadScan::default();
            let pieces = (step..bytes.len()).step_by(step).chain([bytes.len()]);
            let outcome = pieces
                .map(|end| scan.advance(&bytes[..end], &LIMITS))
                .find(|outcome| *outcome != Ok(None));
            assert_eq!(
                outcome.unwrap_or(Ok(None)),
                whole,
                "{} {step}",
                head.escape_debug()
            );
        }
    }
}

#[test]
fn invariant_28_upgrades_are_noticed_on_http_11_only() {
    for (head, upgrade) in [
        ("GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nUPGRADE: h2c\r\n\r\n", true),
        ("GET / HTTP/1.0\r\nUpgrade: websocket\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nUpgrades: websocket\r\n\r\n", false),
    ] {
        assert_eq!(
            scan(head.as_bytes()).unwrap().unwrap().upgrade,
            upgrade,
            "{head:?}"
        );
    }
}

#[test]
fn a_head_in_pieces_is_the_head_in_one() {
    for (head, _) in GOOD {
        let bytes = head.as_bytes();
        let mut scan_one = HeadScan::default();
        for end in 1..bytes.len() {
            assert_eq!(
                scan_one.advance(&bytes[..end], &LIMITS),
                Ok(None),
                "{head:?} {end}"
            );
        }
        assert_eq!(scan_one.advance(bytes, &LIMITS), scan(bytes));
    }
}
