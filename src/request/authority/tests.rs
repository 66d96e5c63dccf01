use super::*;

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_bytes(text.as_bytes()).unwrap()
}

#[test]
fn invariant_26_authorities_are_valid_or_refused() {
    for (written, host, port) in [
        ("example.org", "example.org", None),
        ("EXAMPLE.org:8080", "example.org", Some(8080)),
        ("example.org.", "example.org", None),
        ("example.org.:443", "example.org", Some(443)),
        ("my_service", "my_service", None),
        ("127.0.0.1:80", "127.0.0.1", Some(80)),
        ("[::1]", "[::1]", None),
        ("[::1]:8080", "[::1]", Some(8080)),
        ("[0:0:0::1]", "[::1]", None),
        ("[2001:DB8::A]", "[2001:db8::a]", None),
    ] {
        let authority = Authority::parse(&value(written)).unwrap();
        assert_eq!((authority.host(), authority.port()), (host, port));
        assert_eq!(authority.written(), written);
    }
    for written in [
        "",
        ".",
        "..",
        "a..",
        "a..b",
        ".a",
        ":80",
        "a:",
        "a:0",
        "a:080",
        "a:+80",
        "a:65536",
        "a:8 0",
        "a:80:80",
        "a, b",
        "a,b",
        "a b",
        "u@a",
        "u@a/../b",
        "a/b",
        "a?b",
        "a#b",
        "a%2eb",
        "a\\b",
        "[::1",
        "::1",
        "[::1]x",
        "[::1]:",
        "[fe80::1%eth0]",
        "[v1.x]",
        "[127.0.0.1]",
        "[]",
        "h\u{e9}",
        "http://a",
    ] {
        assert_eq!(Authority::parse(&value(written)), None, "{written:?}");
    }
    assert_eq!(Authority::parse(&value(&"a".repeat(256))), None);
    assert!(Authority::parse(&value(&"a".repeat(255))).is_some());
}

#[test]
fn invariant_26_all_places_must_agree() {
    let default = Authority::nameless();
    let agree = |target: Option<&str>, hosts: &[&str], version| {
        let target = target.map(|text| text.parse::<http::uri::Authority>().unwrap());
        let first = hosts.first().map(|text| value(text));
        Authority::agree(
            target.as_ref(),
            (first.as_ref(), hosts.len()),
            version,
            &default,
        )
        .map(|authority| authority.host().to_owned())
    };
    let refused = Err(Malformed::Authority);
    for (target, hosts, version, expected) in [
        (None, &["a"][..], Version::HTTP_11, Ok("a")),
        (None, &[], Version::HTTP_11, Err(())),
        (None, &["a", "a"], Version::HTTP_11, Err(())),
        (None, &["a", "b"], Version::HTTP_11, Err(())),
        (Some("a"), &["A."], Version::HTTP_11, Ok("a")),
        (Some("a"), &["b"], Version::HTTP_11, Err(())),
        (Some("a:80"), &["a"], Version::HTTP_11, Err(())),
        (Some("a"), &[], Version::HTTP_11, Err(())),
        (Some("u@a"), &["a"], Version::HTTP_11, Err(())),
        (None, &[], Version::HTTP_10, Ok("")),
        (None, &["a"], Version::HTTP_10, Ok("a")),
        (None, &["a", "a"], Version::HTTP_10, Err(())),
        (Some("a"), &[], Version::HTTP_2, Ok("a")),
        (None, &["a"], Version::HTTP_2, Ok("a")),
        (Some("a"), &["a"], Version::HTTP_2, Ok("a")),
        (Some("a"), &["b"], Version::HTTP_2, Err(())),
        (None, &[], Version::HTTP_2, Err(())),
    ] {
        let expected = expected.map(str::to_owned).or_else(|()| refused.clone());
        assert_eq!(
            agree(target, hosts, version),
            expected,
            "{target:?} {hosts:?} {version:?}"
        );
    }
}
