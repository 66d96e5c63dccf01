//! Invariants 3 and 27: what two parsers could read differently is refused, not mended.

use crate::bed::{
    Request, Setup, Variant, assert_denied, assert_forwarded, forwarded_everywhere,
    raw_refused_everywhere, refused_everywhere,
};

/// A piece of a path, and why it is refused.
const PIECES: &[(&str, &str)] = &[
    ("/./", "path_dot_segment"),
    ("/../", "path_dot_segment"),
    ("/..", "path_dot_segment"),
    ("/.", "path_dot_segment"),
    ("/%2e/", "path_dot_segment"),
    ("/%2E%2e/", "path_dot_segment"),
    ("/.%2e/", "path_dot_segment"),
    ("/%2e./x", "path_dot_segment"),
    ("/a%2fb", "path_encoded_slash"),
    ("/a%2Fb", "path_encoded_slash"),
    ("/a%5cb", "path_backslash"),
    ("/a%5Cb", "path_backslash"),
    ("/a\\b", "path_backslash"),
    ("/\\..\\", "path_backslash"),
    ("//", "path_empty_segment"),
    ("//x", "path_empty_segment"),
    ("/;", "path_semicolon|path_empty_segment"),
    ("/a;jsessionid=1", "path_semicolon"),
    ("/a%00", "path_control_character"),
    ("/a%0a", "path_control_character"),
    ("/a%0d%0ax", "path_control_character"),
    ("/a%1f", "path_control_character"),
    ("/a%7f", "path_control_character"),
    (
        "/a%252fb",
        "path_encoded_percent|path_encoded_slash|path_dot_segment",
    ),
    (
        "/a%2541",
        "path_encoded_percent|path_encoded_slash|path_dot_segment",
    ),
    (
        "/%252e%252e/",
        "path_encoded_percent|path_encoded_slash|path_dot_segment",
    ),
    ("/a%zz", "path_invalid_encoding"),
    ("/a%%", "path_invalid_encoding"),
    ("/a%4", "path_invalid_encoding"),
    ("/a%", "path_invalid_encoding"),
    ("/a%u002f", "path_invalid_encoding"),
    ("/%c0%ae", "path_invalid_utf8"),
    ("/%c0%ae%c0%ae/", "path_invalid_utf8"),
    ("/%e0%80%af", "path_invalid_utf8"),
    ("/%ff", "path_invalid_utf8"),
    ("/%ed%a0%80", "path_invalid_utf8"),
    ("/a%3fb", "path_encoded_delimiter"),
    ("/a%23b", "path_encoded_delimiter"),
    ("/\u{e9}", "path_raw_byte|malformed_target|malformed_syntax"),
    (
        "/a\u{ff0f}b",
        "path_raw_byte|malformed_target|malformed_syntax",
    ),
];

const OPEN: &str = "
routes:
  - {path: /**, allow: anyone}
  - path: /loose/**
    allow: anyone
    paths: [encoded_slash, empty_segment, semicolon, encoded_percent]
";

#[test]
fn invariant_03_ambiguous_targets_are_refused_even_where_everything_is_open() {
    let bed = Setup::new(OPEN).tls().start();
    for (piece, reason) in PIECES {
        for target in [
            format!("/public{piece}"),
            format!("/public{piece}?query"),
            piece.to_string(),
        ] {
            refused_everywhere(&bed, &Request::get(&target), 400, reason);
        }
    }
    for target in [
        "/", "/a", "/a/", "/a.b", "/...", "/..a", "/a..", "/%41", "/%c3%a9", "/%20", "/a%25",
        "/a,b=c",
    ] {
        let seen = assert_forwarded(&bed, Variant::PLAIN, &Request::get(target));
        assert_eq!(seen.target, target);
    }
}

#[test]
fn invariant_03_two_ambiguities_do_not_cancel_each_other() {
    let bed = Setup::new(OPEN).tls().start();
    for (at, (one, _)) in PIECES.iter().enumerate() {
        for (step, (other, _)) in PIECES.iter().enumerate() {
            let target = format!("/public{one}{other}");
            let request = Request::get(&target);
            // Too many for all variants: each pair meets one, each piece meets all of them.
            let variant = Variant::ALL[(at + step) % 6];
            let variant = if variant.can_say(&request) {
                variant
            } else {
                Variant::ALL[(at + step) % 2]
            };
            assert_eq!(assert_denied(&bed, variant, &request), 400, "{target}");
        }
    }
    forwarded_everywhere(&bed, &Request::get("/public"));
}

#[test]
fn invariant_03_switches_hold_for_their_route_only_and_never_for_dots_and_controls() {
    let bed = Setup::new(OPEN).tls().start();
    for piece in ["/a%2fb", "//x", "/a;b", "/a%252fb", "/x//"] {
        let target = format!("/loose{piece}");
        assert_eq!(
            assert_forwarded(&bed, Variant::PLAIN, &Request::get(&target)).target,
            target
        );
        let elsewhere = Request::get(&format!("/strict{piece}"));
        let reason = "path_encoded_slash|path_empty_segment|path_semicolon|path_encoded_percent";
        refused_everywhere(&bed, &elsewhere, 400, reason);
    }
    for piece in [
        "/../x",
        "/%2e%2e/x",
        "/a%00",
        "/a%5cb",
        "/a\\b",
        "/a%zz",
        "/%ff",
        "/..%2fx",
        "/..;/x",
        "/a%2f..%2fb",
    ] {
        let request = Request::get(&format!("/loose{piece}"));
        let reason = "path_dot_segment|path_control_character|path_backslash|path_invalid_encoding|path_invalid_utf8";
        refused_everywhere(&bed, &request, 400, reason);
    }
}

/// Request lines whose target is in no form that a reverse proxy serves.
const FORMS: &[(&str, &str)] = &[
    ("GET evil:80", "malformed_target"),
    ("GET admin", "malformed_target"),
    ("GET *", "malformed_target"),
    ("OPTIONS *", "malformed_target"),
    ("GET ?x", "malformed_target"),
    ("GET http://api.test", "malformed_target"),
    ("GET http:///x", "malformed_target|malformed_authority"),
    (
        "GET http://other.test/x",
        "malformed_authority|malformed_target",
    ),
    (
        "GET http://user@api.test/x",
        "malformed_authority|malformed_target",
    ),
    (
        "GET http://api.test:81/x",
        "malformed_authority|malformed_target",
    ),
    (
        "GET ftp://api.test/x",
        "malformed_target|malformed_authority",
    ),
    ("GET api.test/x", "malformed_target"),
];

#[test]
fn invariant_27_only_origin_form_and_an_absolute_form_that_agrees() {
    let bed = Setup::new(OPEN).start();
    for (line, reason) in FORMS {
        let bytes = format!("{line} HTTP/1.1\r\nhost: api.test\r\n\r\n");
        let reason = format!("{reason}|malformed_syntax");
        raw_refused_everywhere(&bed, bytes.as_bytes(), 400, &reason);
    }
    let seen = assert_forwarded(&bed, Variant::PLAIN, &Request::get("http://api.test/x?y"));
    assert_eq!(seen.target, "/x?y");
    assert_eq!(seen.header("host"), Some("api.test"));
}

#[test]
fn invariant_27_http2_paths_are_origin_form() {
    use crate::bed::raw_h2::{Outcome, ask_everywhere};
    let bed = Setup::new(OPEN).tls().start();
    let go = |path: &[u8]| {
        let fields: [(&str, &[u8]); 4] = [
            (":method", b"GET"),
            (":scheme", b"http"),
            (":authority", b"api.test"),
            (":path", path),
        ];
        ask_everywhere(&bed, &fields)
    };
    for path in [
        &b"*"[..],
        b"admin",
        b"",
        b"http://evil/x",
        b"/a\\b",
        b"/x/../y",
        b"/\xe9",
        b"/a b",
        b"/a\0b",
    ] {
        for outcome in go(path) {
            let refused = outcome == Outcome::Status(400) || outcome.is_refused_below();
            assert!(refused, "{outcome:?} for {}", path.escape_ascii());
        }
    }
    let others = || -> Vec<String> {
        let all = bed.upstream.requests().into_iter();
        let targets = all.map(|request| request.target);
        targets.filter(|target| target != "/health").collect()
    };
    assert!(others().is_empty(), "{:?}", others());
    assert_eq!(go(b"/x"), [Outcome::Status(200); 4]);
    // The HTTP library drops a fragment before anybody can see it (invariant 4): what is judged is what is sent.
    let passed = go(b"/x#/../y");
    let passed = passed
        .iter()
        .filter(|outcome| **outcome == Outcome::Status(200));
    assert_eq!(others(), vec!["/x"; 4 + passed.count()]);
}
