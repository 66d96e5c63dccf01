use super::*;
use crate::request::{ReservedNames, is_reserved_spelling};

fn fields(rows: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in rows {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    map
}

fn rules() -> RequestRules {
    RequestRules {
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
        reserved: Arc::new(ReservedNames::new([HeaderName::from_static("x-auth-sub")])),
        ..RequestRules::default()
    }
}

const OUTSIDER: &str = "192.0.2.1";

fn sifted(
    version: Version,
    peer: &str,
    rows: &[(&str, &str)],
) -> Result<(Sifted, HeaderMap), Malformed> {
    let mut map = fields(rows);
    let sifted = sift(&mut map, version, peer.parse().unwrap(), &rules())?;
    Ok((sifted, map))
}

fn fault(version: Version, rows: &[(&str, &str)]) -> Option<Malformed> {
    sifted(version, OUTSIDER, rows).err()
}

#[test]
fn invariant_19_no_client_value_survives_under_a_reserved_name_in_any_spelling() {
    let spellings = [
        "x-auth-sub",
        "X-Auth-Sub",
        "X-AUTH-SUB",
        "x_auth_sub",
        "X_Auth-Sub",
        "x.auth.sub",
        "x-auth_sub",
        "x.auth-sub",
        "x!auth#sub",
        "x~auth|sub",
    ];
    for spelling in spellings {
        for times in [1, 2, 50] {
            let mut rows = vec![("accept", "a")];
            rows.extend(std::iter::repeat_n((spelling, "evil"), times));
            rows.push(("x-other", "b"));
            let (_, map) = sifted(Version::HTTP_11, OUTSIDER, &rows).unwrap();
            assert_eq!(
                map,
                fields(&[("accept", "a"), ("x-other", "b")]),
                "{spelling}"
            );
            assert!(
                is_reserved_spelling(spelling, &rules().reserved),
                "{spelling}"
            );
        }
    }
    // The positive twin: what is not reserved passes, longer and shorter names included.
    let rows = [
        ("x-auth-su", "1"),
        ("x-auth-subj", "2"),
        ("xauthsub", "3"),
        ("x-auth-sub-", "4"),
        ("accept", "5"),
    ];
    let (_, map) = sifted(Version::HTTP_11, OUTSIDER, &rows).unwrap();
    assert_eq!(map, fields(&rows));
    assert!(!is_reserved_spelling("x-auth-subj", &rules().reserved));
    assert!(!is_reserved_spelling("content-type", &rules().reserved));
}

#[test]
fn invariant_19_reserving_what_a_trusted_proxy_may_set_reserves_it_from_that_proxy_too() {
    let mut map = fields(&[("x-real-ip", "1.2.3.4"), ("authorization", "Bearer a")]);
    let rules = RequestRules {
        reserved: Arc::new(ReservedNames::new([
            HeaderName::from_static("x-real-ip"),
            AUTHORIZATION,
        ])),
        ..rules()
    };
    sift(
        &mut map,
        Version::HTTP_11,
        "10.1.1.1".parse().unwrap(),
        &rules,
    )
    .unwrap();
    assert_eq!(map, fields(&[("authorization", "Bearer a")]));
}

#[test]
fn invariant_19_a_trusted_proxy_passes_no_other_spelling_of_an_x_forwarded_identity_header() {
    let rules = RequestRules {
        reserved: Arc::new(ReservedNames::new([HeaderName::from_static(
            "x-forwarded-user-id",
        )])),
        ..rules()
    };
    let rows = [
        ("x-forwarded-user_id", "evil"),
        ("x-forwarded-user.id", "evil"),
        ("x-forwarded-user-id", "evil"),
        ("x-forwarded-host", "a"),
    ];
    let mut map = fields(&rows);
    let peer = "10.1.1.1".parse().unwrap();
    sift(&mut map, Version::HTTP_11, peer, &rules).unwrap();
    assert_eq!(map, fields(&[("x-forwarded-host", "a")]));
}

#[test]
fn invariant_07_overrides_are_dropped() {
    let always = [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "x-original-url",
        "x-original-uri",
        "x-rewrite-url",
        "x-envoy-original-path",
        "x-envoy-anything",
        "x-forwarded-uri",
        "x-forwarded-method",
        "proxy",
    ];
    for name in always {
        for peer in [OUTSIDER, "10.0.0.1"] {
            let (_, map) = sifted(Version::HTTP_11, peer, &[(name, "/healthz")]).unwrap();
            assert!(map.is_empty(), "{name} from {peer}");
        }
    }
    let from_trusted = [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-forwarded-anything",
        "x-real-ip",
        "true-client-ip",
    ];
    for name in from_trusted {
        let rows = [(name, "x")];
        let (_, map) = sifted(Version::HTTP_11, OUTSIDER, &rows).unwrap();
        assert!(map.is_empty(), "{name}");
        let (_, map) = sifted(Version::HTTP_11, "10.0.0.1", &rows).unwrap();
        assert_eq!(map, fields(&rows), "{name}");
    }
}

#[test]
fn invariant_20_connection_removes_what_it_may_and_nothing_that_decides() {
    let (sifted_one, map) = sifted(
        Version::HTTP_11,
        OUTSIDER,
        &[
            ("connection", "close, X-Auth-Sub, Authorization, Host"),
            ("host", "a"),
            ("authorization", "Bearer t"),
            ("x-auth-sub", "evil"),
            ("x-hop", "1"),
            ("x-hop", "2"),
            ("content-length", "3"),
            ("cOnnection", "CONTENT-LENGTH,\tX-HOP ,, bad name, \u{e9}"),
            ("keep-alive", "5"),
            ("proxy-connection", "x"),
            ("proxy-authorization", "Basic x"),
            ("proxy-authenticate", "x"),
            ("trailer", "X-Sub"),
            ("te", "gzip, Trailers;q=1"),
            ("accept", "a"),
        ],
    )
    .unwrap();
    assert_eq!(
        map,
        fields(&[("authorization", "Bearer t"), ("accept", "a")])
    );
    assert!(sifted_one.authorization_is_hop);
    assert_eq!(sifted_one.hosts, 1);
    assert_eq!(sifted_one.content_length, Some(3));
    assert!(sifted_one.te_trailers);

    let (twin, map) = sifted(
        Version::HTTP_11,
        OUTSIDER,
        &[("connection", "keep-alive"), ("x-hop", "1"), ("te", "gzip")],
    )
    .unwrap();
    assert_eq!(map, fields(&[("x-hop", "1")]));
    assert!(!twin.authorization_is_hop && !twin.te_trailers);

    let many = "a,".repeat(101);
    assert_eq!(
        fault(Version::HTTP_11, &[("connection", &many)]),
        Some(Malformed::HeadTooLarge)
    );
}

#[test]
fn invariant_18_one_credential() {
    for (rows, expected) in [
        (&[("authorization", "Bearer a")][..], None),
        (&[("authorization", "bearer a.b.c")], None),
        (&[("authorization", "Digest a=b, c=\"d\"")], None),
        (
            &[("authorization", "Bearer a"), ("authorization", "Bearer a")],
            Some(Malformed::Credentials),
        ),
        (
            &[("authorization", "Bearer a"), ("Authorization", "Basic b")],
            Some(Malformed::Credentials),
        ),
        (
            &[("authorization", "Bearer a, Bearer b")],
            Some(Malformed::Credentials),
        ),
        (
            &[("authorization", "BEARER a,b=c")],
            Some(Malformed::Credentials),
        ),
        (
            &[("authorization", "Digest a=b, Bearer c")],
            Some(Malformed::Credentials),
        ),
        (
            &[("authorization", "Digest a=b, Bearer c=")],
            Some(Malformed::Credentials),
        ),
        (
            &[("authorization", "Basic a,")],
            Some(Malformed::Credentials),
        ),
    ] {
        assert_eq!(fault(Version::HTTP_11, rows), expected, "{rows:?}");
    }
}

#[test]
fn invariant_24_framing_of_the_parsed_head() {
    let framing = Some(Malformed::Framing);
    for (version, rows, expected) in [
        (Version::HTTP_11, &[("content-length", "3")][..], None),
        (Version::HTTP_11, &[("transfer-encoding", "chunked")], None),
        (Version::HTTP_2, &[("content-length", "3")], None),
        (Version::HTTP_11, &[("content-length", "003")], framing),
        (
            Version::HTTP_11,
            &[("content-length", "3"), ("content-length", "3")],
            framing,
        ),
        (
            Version::HTTP_2,
            &[("content-length", "3"), ("content-length", "4")],
            framing,
        ),
        (
            Version::HTTP_11,
            &[("content-length", "3"), ("transfer-encoding", "chunked")],
            framing,
        ),
        (
            Version::HTTP_11,
            &[("transfer-encoding", "CHUNKED")],
            framing,
        ),
        (
            Version::HTTP_11,
            &[("transfer-encoding", "gzip, chunked")],
            framing,
        ),
        (
            Version::HTTP_11,
            &[
                ("transfer-encoding", "chunked"),
                ("transfer-encoding", "chunked"),
            ],
            framing,
        ),
        (
            Version::HTTP_10,
            &[("transfer-encoding", "chunked")],
            framing,
        ),
        (
            Version::HTTP_2,
            &[("transfer-encoding", "chunked")],
            framing,
        ),
    ] {
        assert_eq!(fault(version, rows), expected, "{version:?} {rows:?}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn invariant_28_upgrades_are_one_plain_protocol_or_refused() {
    let asked = |version, connection: &str, upgrade: &[&str], more: &[(&str, &str)]| {
        let mut rows = vec![("connection", connection)];
        rows.extend(upgrade.iter().map(|protocol| ("upgrade", *protocol)));
        rows.extend_from_slice(more);
        let (sifted, map) = sifted(version, OUTSIDER, &rows)?;
        assert!(map.get("upgrade").is_none());
        Ok(sifted
            .upgrade
            .map(|value| value.to_str().unwrap().to_owned()))
    };
    let http = Version::HTTP_11;
    let refused = Err(Malformed::Upgrade);
    for (version, connection, upgrade, more, expected) in [
        (
            http,
            "Upgrade",
            &["websocket"][..],
            &[][..],
            Ok(Some("websocket")),
        ),
        (
            http,
            "keep-alive, upgrade",
            &["foo/1.0"],
            &[],
            Ok(Some("foo/1.0")),
        ),
        (
            http,
            "upgrade",
            &["websocket"],
            &[("content-length", "0")],
            Ok(Some("websocket")),
        ),
        (http, "upgrade", &[], &[], Ok(None)),
        (http, "keep-alive", &[], &[], Ok(None)),
        (Version::HTTP_10, "upgrade", &["websocket"], &[], Ok(None)),
        (http, "keep-alive", &["websocket"], &[], Err(())),
        (http, "upgrade", &["websocket", "websocket"], &[], Err(())),
        (http, "upgrade", &["websocket, h2c"], &[], Err(())),
        (http, "upgrade", &["websocket,"], &[], Err(())),
        (http, "upgrade", &["h2c"], &[], Err(())),
        (http, "upgrade", &["H2C"], &[], Err(())),
        (http, "upgrade", &["TLS/1.0"], &[], Err(())),
        (http, "upgrade", &["HTTP/2.0"], &[], Err(())),
        (http, "upgrade", &["a/b/c"], &[], Err(())),
        (http, "upgrade", &["a/"], &[], Err(())),
        (http, "upgrade", &[""], &[], Err(())),
        (
            http,
            "upgrade, http2-settings",
            &["h2c"],
            &[("http2-settings", "AAA")],
            Err(()),
        ),
        (http, "close", &[], &[("http2-settings", "AAA")], Err(())),
        (
            http,
            "upgrade",
            &["websocket"],
            &[("content-length", "3")],
            Err(()),
        ),
        (
            http,
            "upgrade",
            &["websocket"],
            &[("transfer-encoding", "chunked")],
            Err(()),
        ),
        (Version::HTTP_2, "upgrade", &["websocket"], &[], Err(())),
    ] {
        let expected = expected
            .map(|protocol| protocol.map(str::to_owned))
            .or_else(|()| refused.clone());
        assert_eq!(
            asked(version, connection, upgrade, more),
            expected,
            "{version:?} {connection} {upgrade:?} {more:?}"
        );
    }
}

#[test]
fn invariant_69_expectations() {
    for (version, values, expected) in [
        (Version::HTTP_11, &["100-continue"][..], Ok(true)),
        (Version::HTTP_2, &["100-Continue"], Ok(true)),
        (Version::HTTP_10, &["100-continue"], Ok(false)),
        (Version::HTTP_11, &[], Ok(false)),
        (Version::HTTP_11, &["200-ok"], Err(Malformed::Expect)),
        (
            Version::HTTP_11,
            &["y 100-continue"],
            Err(Malformed::Expect),
        ),
        (
            Version::HTTP_11,
            &["100-continue, x"],
            Err(Malformed::Expect),
        ),
        (Version::HTTP_11, &[""], Err(Malformed::Expect)),
        (
            Version::HTTP_11,
            &["100-continue", "100-continue"],
            Err(Malformed::Expect),
        ),
    ] {
        let rows: Vec<_> = values.iter().map(|value| ("expect", *value)).collect();
        let outcome = sifted(version, OUTSIDER, &rows).map(|(sifted, map)| {
            assert!(map.is_empty());
            sifted.expects_continue
        });
        assert_eq!(outcome, expected, "{version:?} {values:?}");
    }
}

#[test]
fn invariant_57_fields_and_bytes_are_bounded() {
    let long = "v".repeat(FIELD_BYTES - 1);
    assert_eq!(fault(Version::HTTP_11, &[("x", &long)]), None);
    let longer = "v".repeat(FIELD_BYTES);
    let too_large = Some(Malformed::HeadTooLarge);
    assert_eq!(fault(Version::HTTP_11, &[("x", &longer)]), too_large);
    // The token's own limit, with its own status, speaks about credentials.
    assert_eq!(fault(Version::HTTP_11, &[("authorization", &longer)]), None);
    let two = [("x", &*long), ("y", &*long), ("z", &*long)];
    assert_eq!(fault(Version::HTTP_11, &two[..2]), None);
    assert_eq!(fault(Version::HTTP_11, &two), too_large);
    let hundred = vec![("x", "y"); 100];
    assert_eq!(fault(Version::HTTP_2, &hundred), None);
    let more = vec![("cookie", "a=b"); 101];
    assert_eq!(fault(Version::HTTP_2, &more), too_large);
    let crumb = "c".repeat(9000);
    let crumbs = vec![("cookie", &*crumb); 2];
    assert_eq!(fault(Version::HTTP_2, &crumbs[..1]), None);
    assert_eq!(fault(Version::HTTP_2, &crumbs), too_large);
    assert_eq!(fault(Version::HTTP_2, &[("host", &longer)]), too_large);
}

#[test]
fn http2_values_do_not_begin_or_end_with_space() {
    for value in [" a", "a ", "\ta", "a\t", " "] {
        assert_eq!(
            fault(Version::HTTP_2, &[("x", value)]),
            Some(Malformed::Syntax),
            "{value:?}"
        );
    }
    for value in ["", "a", "a b\tc"] {
        assert_eq!(fault(Version::HTTP_2, &[("x", value)]), None, "{value:?}");
    }
}

#[test]
fn invariant_57_cookie_crumbs_are_joined() {
    let rows = [("cookie", "a=b"), ("accept", "x"), ("cookie", "c=d")];
    let (_, map) = sifted(Version::HTTP_2, OUTSIDER, &rows).unwrap();
    assert_eq!(map.get_all("cookie").iter().count(), 1);
    assert_eq!(map.get("cookie").unwrap(), "a=b; c=d");
    let (_, map) = sifted(Version::HTTP_11, OUTSIDER, &rows).unwrap();
    assert_eq!(map, fields(&rows));
}

#[test]
fn t08_the_client_is_the_rightmost_untrusted_hop() {
    for (peer, forwarded, client) in [
        (OUTSIDER, &["198.51.100.7"][..], OUTSIDER),
        ("10.0.0.1", &[], "10.0.0.1"),
        ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", &["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", &["198.51.100.7, 10.2.2.2"], "198.51.100.7"),
        (
            "10.0.0.1",
            &["1.1.1.1", "198.51.100.7,10.2.2.2"],
            "198.51.100.7",
        ),
        ("10.0.0.1", &["198.51.100.7", "10.2.2.2"], "198.51.100.7"),
        ("10.0.0.1", &["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
        ("10.0.0.1", &["198.51.100.7, junk, 10.2.2.2"], "10.2.2.2"),
        ("10.0.0.1", &["198.51.100.7, junk"], "10.0.0.1"),
        ("10.0.0.1", &["198.51.100.7,"], "10.0.0.1"),
        ("10.0.0.1", &["198.51.100.7:443"], "198.51.100.7"),
        ("10.0.0.1", &["198.51.100.7:x"], "10.0.0.1"),
        ("10.0.0.1", &["[2001:db8::1]:443"], "2001:db8::1"),
        ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
        ("10.0.0.1", &["2001:db8::1, fd00::2"], "2001:db8::1"),
        ("10.0.0.1", &["::ffff:198.51.100.7"], "198.51.100.7"),
        (
            "10.0.0.1",
            &["198.51.100.7, ::ffff:10.2.2.2"],
            "198.51.100.7",
        ),
        ("::ffff:10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
        ("::ffff:192.0.2.1", &["198.51.100.7"], OUTSIDER),
    ] {
        let mut rows: Vec<_> = forwarded
            .iter()
            .map(|value| ("x-forwarded-for", *value))
            .collect();
        rows.push(("connection", "x-forwarded-for"));
        let (sifted, _) = sifted(Version::HTTP_11, peer, &rows).unwrap();
        assert_eq!(
            sifted.client,
            client.parse::<IpAddr>().unwrap(),
            "{peer} {forwarded:?}"
        );
    }
}
