//! No open proxy, and nothing for web pages (A8): whatever a request names, it goes to the one upstream or nowhere.

use super::{get, setup};
use crate::bed::h2_client::H2Connection;
use crate::bed::raw_h2::{self, Outcome};
use crate::bed::{Bed, Captured, Connection, TokenEndpoint, assert_raw_refused, reconcile};

/// Why, the head without its last empty line, status, reason.
const REFUSED: &[(&str, &str, u16, &str)] = &[
    (
        "absolute-form to elsewhere",
        "GET http://evil.example/x HTTP/1.1\r\nhost: evil.example\r\n",
        421,
        "host_not_ours",
    ),
    (
        "absolute-form to elsewhere, https",
        "GET https://evil.example/x HTTP/1.1\r\nhost: evil.example\r\n",
        421,
        "host_not_ours",
    ),
    (
        "absolute-form to metadata",
        "GET http://169.254.169.254/latest HTTP/1.1\r\nhost: 169.254.169.254\r\n",
        421,
        "host_not_ours",
    ),
    (
        "absolute-form that quarrels with Host",
        "GET http://evil.example/x HTTP/1.1\r\nhost: localhost\r\n",
        400,
        "malformed_authority",
    ),
    (
        "the other way round",
        "GET http://localhost/x HTTP/1.1\r\nhost: evil.example\r\n",
        400,
        "malformed_authority",
    ),
    (
        "absolute-form without Host",
        "GET http://localhost/x HTTP/1.1\r\n",
        400,
        "malformed_authority",
    ),
    (
        "user information in the target",
        "GET http://localhost@evil.example/x HTTP/1.1\r\nhost: evil.example\r\n",
        400,
        "malformed_authority",
    ),
    (
        "user information and ours",
        "GET http://evil.example@localhost/x HTTP/1.1\r\nhost: localhost\r\n",
        400,
        "malformed_authority",
    ),
    (
        "user information in Host",
        "GET /x HTTP/1.1\r\nhost: localhost@evil.example\r\n",
        400,
        "malformed_authority",
    ),
    (
        "another scheme",
        "GET ftp://localhost/x HTTP/1.1\r\nhost: localhost\r\n",
        400,
        "malformed_target",
    ),
    (
        "a file",
        "GET file:///etc/passwd HTTP/1.1\r\nhost: localhost\r\n",
        400,
        "malformed_target|malformed_syntax",
    ),
    (
        "authority-form",
        "GET evil.example:443 HTTP/1.1\r\nhost: localhost\r\n",
        400,
        "malformed_target",
    ),
    (
        "asterisk-form",
        "OPTIONS * HTTP/1.1\r\nhost: localhost\r\n",
        400,
        "malformed_target",
    ),
    (
        "a tunnel to elsewhere",
        "CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example:443\r\n",
        400,
        "upgrade_not_allowed",
    ),
    (
        "a tunnel to the listener",
        "CONNECT localhost:443 HTTP/1.1\r\nhost: localhost:443\r\n",
        400,
        "upgrade_not_allowed",
    ),
    (
        "an echo of the token",
        "TRACE /x HTTP/1.1\r\nhost: localhost\r\n",
        400,
        "upgrade_not_allowed",
    ),
    (
        "an upgrade to HTTP/2",
        "GET /x HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n",
        400,
        "upgrade_not_allowed",
    ),
    (
        "an upgrade to TLS",
        "GET /x HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: TLS/1.2\r\n",
        400,
        "upgrade_not_allowed",
    ),
    (
        "an upgrade to something",
        "GET /x HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: irc\r\n",
        400,
        "upgrade_not_allowed",
    ),
    (
        "a name of the page's own",
        "GET /x HTTP/1.1\r\nhost: evil.example\r\n",
        421,
        "host_not_ours",
    ),
    (
        "with the listener's port",
        "GET /x HTTP/1.1\r\nhost: evil.example:9100\r\n",
        421,
        "host_not_ours",
    ),
    (
        "a name that begins like ours",
        "GET /x HTTP/1.1\r\nhost: localhost.evil.example\r\n",
        421,
        "host_not_ours",
    ),
    (
        "an address that leads here",
        "GET /x HTTP/1.1\r\nhost: 0.0.0.0:9100\r\n",
        421,
        "host_not_ours",
    ),
    (
        "an address in another notation",
        "GET /x HTTP/1.1\r\nhost: 2130706433\r\n",
        421,
        "host_not_ours",
    ),
    ("no Host", "GET /x HTTP/1.1\r\n", 400, "malformed_authority"),
    (
        "an empty Host",
        "GET /x HTTP/1.1\r\nhost:\r\n",
        400,
        "malformed_authority",
    ),
    (
        "two Hosts",
        "GET /x HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n",
        400,
        "malformed_authority",
    ),
    (
        "two Hosts that agree",
        "GET /x HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n",
        400,
        "malformed_authority",
    ),
    (
        "a list in Host",
        "GET /x HTTP/1.1\r\nhost: localhost, evil.example\r\n",
        400,
        "malformed_authority",
    ),
    (
        "a path in Host",
        "GET /x HTTP/1.1\r\nhost: localhost/evil.example\r\n",
        400,
        "malformed_authority",
    ),
    (
        "a page's request",
        "POST /x HTTP/1.1\r\nhost: localhost\r\norigin: https://evil.example\r\ncontent-length: 0\r\n",
        403,
        "web_page",
    ),
    (
        "a sandboxed page's request",
        "GET /x HTTP/1.1\r\nhost: localhost\r\norigin: null\r\n",
        403,
        "web_page",
    ),
    (
        "a page's preflight",
        "OPTIONS /x HTTP/1.1\r\nhost: localhost\r\norigin: https://evil.example\r\naccess-control-request-method: PUT\r\n",
        403,
        "web_page",
    ),
    (
        "a page's image",
        "GET /x HTTP/1.1\r\nhost: 127.0.0.1\r\nsec-fetch-site: cross-site\r\nsec-fetch-mode: no-cors\r\n",
        403,
        "web_page",
    ),
    (
        "a page of another port",
        "GET /x HTTP/1.1\r\nhost: 127.0.0.1\r\nsec-fetch-site: same-site\r\n",
        403,
        "web_page",
    ),
    (
        "a page's WebSocket",
        "GET /x HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\norigin: https://evil.example\r\n",
        403,
        "web_page",
    ),
    (
        "a raw backslash",
        "GET /a\\b HTTP/1.1\r\nhost: localhost\r\n",
        400,
        "path_backslash|malformed_target|malformed_syntax",
    ),
    (
        "a raw byte",
        "GET /\u{e9} HTTP/1.1\r\nhost: localhost\r\n",
        400,
        "path_raw_byte|malformed_target|malformed_syntax",
    ),
    (
        "two lengths",
        "POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n",
        400,
        "malformed_framing",
    ),
    (
        "a length and chunks",
        "POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n",
        400,
        "malformed_framing",
    ),
];

/// Why, and the head, `OWN` standing for the upstream's own authority: all of them go to the one upstream.
const PASSES: &[(&str, &str)] = &[
    ("by name", "GET /x HTTP/1.1\r\nhost: localhost\r\n"),
    (
        "by name and port",
        "GET /x HTTP/1.1\r\nhost: LocalHost:9100\r\n",
    ),
    ("by address", "GET /x HTTP/1.1\r\nhost: 127.0.0.1\r\n"),
    (
        "by another address of loopback",
        "GET /x HTTP/1.1\r\nhost: 127.9.9.9:1\r\n",
    ),
    ("by IPv6", "GET /x HTTP/1.1\r\nhost: [::1]:9100\r\n"),
    (
        "by a listed host",
        "GET /x HTTP/1.1\r\nhost: sidecar.internal:80\r\n",
    ),
    (
        "as http_proxy does",
        "GET http://OWN/x HTTP/1.1\r\nhost: OWN\r\n",
    ),
    (
        "absolute-form to the listener",
        "GET http://localhost/x HTTP/1.1\r\nhost: localhost\r\n",
    ),
    ("HTTP/1.0 without Host", "GET /x HTTP/1.0\r\n"),
    (
        "other hosts in other fields",
        "GET /x HTTP/1.1\r\nhost: localhost\r\nx-forwarded-host: evil.example\r\nforwarded: host=evil.example\r\nx-host: evil.example\r\nx-original-host: evil.example\r\n",
    ),
    (
        "a person who typed the address",
        "GET /x HTTP/1.1\r\nhost: localhost\r\nsec-fetch-site: none\r\n",
    ),
    (
        "an upstream's own docs page",
        "GET /x HTTP/1.1\r\nhost: localhost\r\nsec-fetch-site: same-origin\r\n",
    ),
    (
        "a method of its own",
        "PROPFIND /x HTTP/1.1\r\nhost: localhost\r\n",
    ),
];

/// Why, and the fields of an HTTP/2 request.
type RawRow = (&'static str, &'static [(&'static str, &'static [u8])]);

fn bed(endpoint: &TokenEndpoint) -> Bed {
    setup(endpoint, "hosts: [sidecar.internal]").start()
}

fn own(bed: &Bed) -> String {
    bed.upstream.url().replace("http://", "")
}

#[track_caller]
fn assert_own(bed: &Bed, seen: &Captured, why: &str) {
    assert_eq!(seen.all("host"), [own(bed).as_str()], "{why}");
    assert_eq!(seen.target, "/x", "{why}: origin-form");
    assert!(super::token_number(seen) > 0, "{why}");
}

#[test]
fn a8_no_spelling_of_a_request_reaches_anything_but_the_upstream() {
    let endpoint = TokenEndpoint::start();
    let bed = bed(&endpoint);
    for (why, head, status, reason) in REFUSED {
        eprintln!("{why}");
        assert_raw_refused(&bed, format!("{head}\r\n").as_bytes(), *status, reason);
    }
    assert_eq!(bed.upstream.requests().len(), 0);
    for (at, (why, head)) in PASSES.iter().enumerate() {
        let head = head.replace("OWN", &own(&bed));
        let mut client = bed.proxy.connect();
        let answer = client.exchange(format!("{head}connection: close\r\n\r\n"));
        assert_eq!(answer.status, 200, "{why}: {}", answer.text());
        assert_own(&bed, &bed.upstream.await_requests(at + 1), why);
    }
    assert_eq!(endpoint.asked(), 1);
    reconcile(&bed);
}

#[test]
fn a8_a_refused_request_spoils_nothing_for_the_next_of_its_connection() {
    let endpoint = TokenEndpoint::start();
    let bed = bed(&endpoint);
    let mut client = Connection::open(bed.proxy.addr());
    for (host, status) in [
        ("localhost", 200),
        ("evil.example", 421),
        ("localhost", 200),
    ] {
        let answer = client.exchange(get("/x").host(host).bytes());
        assert_eq!(answer.status, status, "{host}");
    }
    assert_eq!(bed.upstream.requests().len(), 2);
}

#[test]
fn a8_http2_authorities_are_held_to_the_same() {
    let endpoint = TokenEndpoint::start();
    let bed = bed(&endpoint);
    let http2 = H2Connection::plain(bed.proxy.addr());
    for (host, status) in [
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("0.0.0.0", 421),
        ("localhost:9100", 200),
        ("127.0.0.1", 200),
        ("sidecar.internal", 200),
    ] {
        let answer = http2.exchange(&get("/x").host(host)).expect("an answer");
        assert_eq!(answer.status, status, "{host}");
    }
    let with_origin = get("/x").header("origin", "https://evil.example");
    assert_eq!(http2.exchange(&with_origin).expect("an answer").status, 403);
    for seen in bed.upstream.requests() {
        assert_own(&bed, &seen, "HTTP/2");
    }
    let before = bed.upstream.mark();
    let raw: &[RawRow] = &[
        (
            "Host and :authority quarrel",
            &[
                (":method", b"GET"),
                (":scheme", b"http"),
                (":authority", b"localhost"),
                (":path", b"/x"),
                ("host", b"evil.example"),
            ],
        ),
        (
            "user information",
            &[
                (":method", b"GET"),
                (":scheme", b"http"),
                (":authority", b"localhost@evil.example"),
                (":path", b"/x"),
            ],
        ),
        (
            "no authority",
            &[(":method", b"GET"), (":scheme", b"http"), (":path", b"/x")],
        ),
        (
            "a tunnel",
            &[(":method", b"CONNECT"), (":authority", b"evil.example:443")],
        ),
        (
            "an extended tunnel",
            &[
                (":method", b"CONNECT"),
                (":protocol", b"websocket"),
                (":scheme", b"http"),
                (":authority", b"localhost"),
                (":path", b"/x"),
            ],
        ),
        (
            "an absolute path",
            &[
                (":method", b"GET"),
                (":scheme", b"http"),
                (":authority", b"localhost"),
                (":path", b"http://evil.example/x"),
            ],
        ),
    ];
    for (why, fields) in raw {
        let outcome = raw_h2::ask(bed.proxy.addr(), fields, None, None);
        let refused = matches!(outcome, Outcome::Status(400 | 421)) || outcome.is_refused_below();
        assert!(refused, "{why}: {outcome:?}");
    }
    assert_eq!(bed.upstream.mark(), before, "nothing went upstream");
}

#[test]
fn a8_with_paths_nothing_else_is_within_reach() {
    let endpoint = TokenEndpoint::start();
    let bed = setup(&endpoint, "paths: [/agent/**, /status]").start();
    let refused = [
        ("/", 403, "no_route"),
        ("/admin", 403, "no_route"),
        ("/agents/x", 403, "no_route"),
        ("/status/", 403, "no_route"),
        ("/STATUS", 403, "no_route"),
        ("/agent/../admin", 400, "path_dot_segment"),
        ("/agent/%2e%2e/admin", 400, "path_dot_segment"),
        ("/agent/..%2fadmin", 400, "path_dot_segment"),
        (
            "/agent%2f..%2fadmin",
            400,
            "path_dot_segment|path_encoded_slash",
        ),
        ("/agent//admin", 400, "path_empty_segment"),
        (
            "/agent/%252e%252e/admin",
            400,
            "path_dot_segment|path_encoded_percent",
        ),
    ];
    for (target, status, reason) in refused {
        let head = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        assert_raw_refused(&bed, head.as_bytes(), status, reason);
        let absolute = format!("GET http://localhost{target} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        assert_raw_refused(&bed, absolute.as_bytes(), status, reason);
    }
    // Behind a path that is within reach, an upstream that takes these would serve another one.
    for field in ["x-original-url", "x-rewrite-url", "x-forwarded-uri"] {
        let seen = crate::bed::assert_forwarded(
            &bed,
            crate::bed::Variant::PLAIN,
            &get("/agent/x?y=%2e").header(field, "/admin"),
        );
        assert_eq!(seen.target, "/agent/x?y=%2e");
        assert!(seen.all(field).is_empty(), "{field}");
    }
    assert_eq!(bed.send(&super::post("/status", "body")).status, 200);
}
