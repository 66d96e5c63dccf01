use proptest::prelude::*;

use super::*;

fn path(target: &str) -> Result<CanonicalPath, Rejection> {
    CanonicalPath::parse(PathAndQuery::try_from(target).unwrap())
}

fn segments(target: &str) -> Vec<String> {
    path(target)
        .unwrap()
        .segments()
        .map(str::to_owned)
        .collect()
}

const NONE: PathAllowances = PathAllowances {
    encoded_slash: false,
    empty_segment: false,
    semicolon: false,
    encoded_percent: false,
};

#[test]
fn invariant_03_paths_are_decoded_once_segment_by_segment() {
    for (target, expected, slash) in [
        ("/", &[][..], false),
        ("/a", &["a"], false),
        ("/a/", &["a"], true),
        ("/a/b.c/d", &["a", "b.c", "d"], false),
        ("/%61dmin", &["admin"], false),
        ("/%61dmin/", &["admin"], true),
        ("/caf%C3%A9/x", &["café", "x"], false),
        ("/a%20b", &["a b"], false),
        ("/100%25", &["100%"], false),
        ("/100%25z", &["100%z"], false),
        ("/...", &["..."], false),
        ("/.well-known/x", &[".well-known", "x"], false),
        ("/a..b/..c", &["a..b", "..c"], false),
        ("/healthz%20", &["healthz "], false),
        ("/a:b@c,d=e!$&'()*+~", &["a:b@c,d=e!$&'()*+~"], false),
        ("/%2ewell-known", &[".well-known"], false),
    ] {
        let parsed = path(target).unwrap();
        assert_eq!(segments(target), expected, "{target}");
        assert_eq!(parsed.trailing_slash(), slash, "{target}");
        assert_eq!(parsed.allowance_needed(), NONE, "{target}");
        assert_eq!(parsed.target(), target);
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn invariant_03_faults_that_no_route_accepts() {
    use PathFault::{
        Backslash, ControlCharacter, DotSegment, EncodedDelimiter, InvalidEncoding, InvalidUtf8,
        RawByte,
    };
    for (target, fault) in [
        ("/.", DotSegment),
        ("/..", DotSegment),
        ("/public/../admin", DotSegment),
        ("/public/./admin", DotSegment),
        ("/public/%2e%2e/admin", DotSegment),
        ("/public/%2E./admin", DotSegment),
        ("/public/.%2e", DotSegment),
        ("/public/%2e/", DotSegment),
        ("/public/..;/admin", DotSegment),
        ("/public/..;x=1/admin", DotSegment),
        ("/public/.;x/admin", DotSegment),
        ("/public/%2e%2e;/admin", DotSegment),
        ("/public/..%3b/admin", DotSegment),
        ("/public/%2e%2e%3bx/admin", DotSegment),
        ("/public%2f..%2fadmin", DotSegment),
        ("/public%2F%2e%2e%2Fadmin", DotSegment),
        ("/public%2f.", DotSegment),
        ("/public%2f..;x", DotSegment),
        ("/a/%252e%252e/b", DotSegment),
        ("/a/%252e./b", DotSegment),
        ("/a/.%25%32%65/b", DotSegment),
        ("/a/%25252e%25252e/b", DotSegment),
        ("/a%252f..%252fb", DotSegment),
        ("/a%252f%252e%252e", DotSegment),
        ("/public/..%253bx/admin", DotSegment),
        ("/public\\..\\admin", Backslash),
        ("/a%5cb", Backslash),
        ("/a%5Cb", Backslash),
        ("/a%255cb", Backslash),
        ("/admin%00", ControlCharacter),
        ("/a%0a", ControlCharacter),
        ("/a%0d%0ab", ControlCharacter),
        ("/a%7f", ControlCharacter),
        ("/a%1f", ControlCharacter),
        ("/a%c2%85", ControlCharacter),
        ("/a%2500", ControlCharacter),
        ("/a%zz", InvalidEncoding),
        ("/a%%", InvalidEncoding),
        ("/a%4", InvalidEncoding),
        ("/a%", InvalidEncoding),
        ("/a%u002e", InvalidEncoding),
        ("/%c0%ae%c0%ae/admin", InvalidUtf8),
        ("/%ff", InvalidUtf8),
        ("/%ed%a0%80", InvalidUtf8),
        ("/a%25c0%25ae", InvalidUtf8),
        ("/a%3fb", EncodedDelimiter),
        ("/a%23b", EncodedDelimiter),
        ("/a%253fb", EncodedDelimiter),
        ("/é", RawByte),
    ] {
        assert_eq!(
            path(target).map(|p| p.target().to_owned()),
            Err(Rejection::AmbiguousPath(fault)),
            "{target}"
        );
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn invariant_03_faults_that_a_route_may_accept_are_recorded() {
    let slash = PathAllowances {
        encoded_slash: true,
        ..NONE
    };
    let empty = PathAllowances {
        empty_segment: true,
        ..NONE
    };
    let semicolon = PathAllowances {
        semicolon: true,
        ..NONE
    };
    let percent = PathAllowances {
        encoded_percent: true,
        ..NONE
    };
    for (target, needed, expected) in [
        ("/a%2fb", slash, &["a/b"][..]),
        ("/a%2Fb/c", slash, &["a/b", "c"]),
        ("//admin", empty, &["", "admin"]),
        ("/a//b", empty, &["a", "", "b"]),
        ("/a//", empty, &["a", ""]),
        ("//", empty, &[""]),
        ("//%61", empty, &["", "a"]),
        ("/a;x=1/b", semicolon, &["a;x=1", "b"]),
        ("/a%3bx", semicolon, &["a;x"]),
        ("/a%252db", percent, &["a%2db"]),
        ("/a%25%34%31", percent, &["a%41"]),
        (
            "/%2fadmin",
            PathAllowances {
                empty_segment: true,
                ..slash
            },
            &["/admin"],
        ),
        (
            "/a/;x/b",
            PathAllowances {
                empty_segment: true,
                ..semicolon
            },
            &["a", ";x", "b"],
        ),
        (
            "/a%252fb",
            PathAllowances {
                encoded_slash: true,
                ..percent
            },
            &["a%2fb"],
        ),
        (
            "/a%253bb",
            PathAllowances {
                semicolon: true,
                ..percent
            },
            &["a%3bb"],
        ),
    ] {
        let parsed = path(target).unwrap();
        assert_eq!(parsed.allowance_needed(), needed, "{target}");
        assert_eq!(segments(target), expected, "{target}");
        assert!(needed.missing_from(NONE).is_some(), "{target}");
        assert_eq!(needed.missing_from(needed), None, "{target}");
    }
    assert_eq!(
        semicolon.missing_from(slash),
        Some(PathFault::Semicolon),
        "another switch does not help"
    );
}

/// Every two rows of the list in one path are refused or need an allowance, whichever comes first.
#[test]
fn invariant_03_every_combination_of_two_faults_is_refused() {
    let faults = [
        "..", ".", "%2e", "%2E%2e", ".%2e", "x%2fy", "x%5cy", "x\\y", "", "x;y", "..;", "x%00",
        "x%0d", "x%7f", "x%252e", "x%zz", "x%%", "x%4", "x%c0%ae", "x%3f", "x%23",
    ];
    let refused = |target: &str| match path(target) {
        Err(_) => true,
        Ok(parsed) => parsed.allowance_needed().missing_from(NONE).is_some(),
    };
    for first in faults {
        for second in faults {
            for target in [
                format!("/public/{first}/{second}/admin"),
                format!("/{first}{second}/admin"),
                format!("/a/{first}/b/{second}"),
            ] {
                // Two faults may spell something harmless when joined (`..` + `.`): only the separated forms must
                // always be refused, and the last one unless it only adds a trailing slash.
                let joined = target.starts_with(&format!("/{first}{second}/"));
                assert!(joined || refused(&target), "{target}");
            }
        }
    }
    assert!(!refused("/public/x/y/admin"));
}

#[test]
fn invariant_05_the_query_takes_no_part() {
    for (target, query) in [
        ("/admin?/healthz", Some("/healthz")),
        ("/admin?x=/public/../%2f;//", Some("x=/public/../%2f;//")),
        ("/admin?", Some("")),
        ("/admin?a?b", Some("a?b")),
        ("/admin", None),
    ] {
        let parsed = path(target).unwrap();
        assert_eq!(segments(target), ["admin"]);
        assert_eq!(parsed.query(), query);
        assert_eq!(parsed.path_str(), "/admin");
        assert_eq!(parsed.allowance_needed(), NONE);
    }
    assert_eq!(
        path("/admin?é").map(|_| ()),
        Err(Rejection::Malformed(Malformed::Target))
    );
}

#[test]
fn invariant_27_only_origin_form_is_a_path() {
    for target in ["*", "?x", ""] {
        let Ok(target) = PathAndQuery::try_from(target) else {
            continue;
        };
        // The http crate shows an empty target as "/".
        let expected = if target.as_str() == "/" {
            Ok(())
        } else {
            Err(Rejection::Malformed(Malformed::Target))
        };
        assert_eq!(CanonicalPath::parse(target).map(|_| ()), expected);
    }
}

proptest! {
    #[test]
    fn invariant_02_an_accepted_target_is_byte_identical_and_reading_twice_is_reading_once(
        target in "/[a-z.%/;?&=0-9A-F\\\\\u{e9}-]{0,24}"
    ) {
        if let Ok(parsed) = path(&target) {
            prop_assert_eq!(parsed.target(), target.as_str());
            let again = path(parsed.target()).unwrap();
            prop_assert_eq!(again.target(), target.as_str());
            prop_assert_eq!(again.allowance_needed(), parsed.allowance_needed());
            prop_assert!(again.segments().eq(parsed.segments()));
        }
    }

    /// A naive upstream that decodes everything, any number of times, and resolves dots never leaves the judged path.
    #[test]
    fn invariant_03_no_accepted_path_has_a_dot_segment_in_any_reading(
        target in "/([.]|%2e|%252e|;|%3b|%2f|%252f|/|a|%25|2|e){0,12}"
    ) {
        if let Ok(parsed) = path(&target) {
            let mut text = parsed.path_str().to_owned();
            for _ in 0..6 {
                prop_assert!(
                    !text.split(['/', '\\']).any(|s| is_dots(s.split(';').next().unwrap())),
                    "{} read as {}", target, text
                );
                match decode_again(&text) {
                    Ok(Some(again)) => text = again,
                    _ => break,
                }
            }
        }
    }
}
