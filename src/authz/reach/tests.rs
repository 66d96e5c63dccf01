//! Who may call an outbound listener, and what of the upstream is within reach.

use http::{HeaderMap, HeaderValue, Version};

use super::*;
use crate::clock::{Tick, UnixTime};
use crate::rejection::{Malformed, PathFault};
use crate::request::{Connection, RequestRules, ReservedNames};

const NOW: Now = Now {
    unix: UnixTime::from_secs(1_800_000_000),
    tick: Tick::from_nanos(1_000_000_000),
};

fn hosts() -> KnownHosts {
    KnownHosts {
        upstream: Some(("up.example.org".into(), 443)),
        others: vec![
            HostPattern::parse("sidecar.internal").unwrap(),
            HostPattern::parse("*.mesh.internal").unwrap(),
        ],
        addresses: false,
    }
}

fn reach(paths: Option<&[&str]>) -> Reach {
    let parse = |path: &&str| PathPattern::parse(path).unwrap();
    let paths = paths.map(|paths| paths.iter().map(parse).collect());
    Reach::new(&"agent".into(), paths, hosts(), OwnAuthorization::Refuse).unwrap()
}

struct Ask<'a> {
    method: &'a str,
    target: &'a str,
    host: &'a str,
    fields: &'a [(&'a str, &'a str)],
    unix: bool,
}

const ASK: Ask<'_> = Ask {
    method: "GET",
    target: "/status",
    host: "127.0.0.1:9100",
    fields: &[],
    unix: false,
};

impl Ask<'_> {
    fn of(&self, reach: &Reach) -> Result<(), Rejection> {
        let mut request = http::Request::builder()
            .method(self.method)
            .uri(self.target)
            .version(Version::HTTP_11)
            .body(())
            .unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_str(self.host).unwrap());
        for (name, value) in self.fields {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        *request.headers_mut() = headers;
        let connection = Arc::new(Connection {
            listener: "agent".into(),
            peer: [127, 0, 0, 1].into(),
            tls: false,
            unix: self.unix,
            client_certificate: None,
        });
        let rules = RequestRules {
            paths: reach.reading(),
            reserved: Arc::new(ReservedNames::of_outbound(reach.paths().is_some())),
            ..RequestRules::default()
        };
        let (parts, ()) = request.into_parts();
        Canonical::parse(parts, (), &connection, &rules)
            .and_then(|request| request.reach(reach, NOW))
            .map(drop)
            .map_err(|refused| refused.rejection().clone())
    }
}

#[test]
fn a8_a_page_reaches_no_listener_by_a_name_of_its_own() {
    let reach = reach(None);
    for host in [
        "localhost",
        "LOCALHOST:9100",
        "localhost.:1",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.8.9.10:9100",
        "[::1]",
        "[::1]:9100",
        "[0:0:0:0:0:0:0:1]:9100",
        "[::ffff:127.0.0.1]:9100",
        "up.example.org",
        "UP.example.org.:443",
        "sidecar.internal:80",
        "a.b.mesh.internal",
    ] {
        let ask = Ask { host, ..ASK };
        assert_eq!(ask.of(&reach), Ok(()), "{host}");
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "up.example.org.evil.example",
        "up.example.org:444",
        "up.example.org:80",
        "mesh.internal",
        "0.0.0.0:9100",
        "[::]:9100",
        "10.0.0.1",
        "192.168.1.4:9100",
        "169.254.169.254",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "sub.localhost",
    ] {
        let ask = Ask { host, ..ASK };
        assert_eq!(ask.of(&reach), Err(Rejection::Misdirected), "{host}");
        // No browser comes over a Unix socket, and what a library says there as `Host` means nothing.
        let over_unix = Ask { unix: true, ..ask };
        assert_eq!(over_unix.of(&reach), Ok(()), "{host}");
    }
}

#[test]
fn a8_an_absolute_target_to_elsewhere_is_nobodys_over_whatever_socket() {
    let reach = reach(None);
    for unix in [false, true] {
        let target = "http://up.example.org/status";
        let own = Ask {
            target,
            host: "up.example.org",
            unix,
            ..ASK
        };
        assert_eq!(own.of(&reach), Ok(()));
        let elsewhere = Ask {
            target: "http://evil.example/status",
            host: "evil.example",
            unix,
            ..ASK
        };
        assert_eq!(elsewhere.of(&reach), Err(Rejection::Misdirected));
    }
}

#[test]
fn a_listener_beyond_loopback_answers_under_any_address_that_is_one() {
    let hosts = KnownHosts {
        addresses: true,
        ..hosts()
    };
    let reach = Reach::new(&"agent".into(), None, hosts, OwnAuthorization::Refuse).unwrap();
    for (host, known) in [
        ("10.0.0.1:9100", true),
        ("[2001:db8::1]", true),
        ("0.0.0.0:9100", false),
        ("[::]:9100", false),
        ("evil.example", false),
    ] {
        let ask = Ask { host, ..ASK };
        assert_eq!(ask.of(&reach).is_ok(), known, "{host}");
    }
}

#[test]
fn a8_what_a_browser_sends_for_a_page_is_refused() {
    let reach = reach(None);
    let rows: &[(&[(&str, &str)], bool)] = &[
        (&[("origin", "https://evil.example")], false),
        (&[("origin", "null")], false),
        (&[("origin", "http://127.0.0.1:9100")], false),
        (&[("sec-fetch-site", "cross-site")], false),
        (&[("sec-fetch-site", "same-site")], false),
        (&[("sec-fetch-site", "what comes later")], false),
        (
            &[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")],
            false,
        ),
        (&[("sec-fetch-site", "none")], true),
        (&[("sec-fetch-site", "same-origin")], true),
        (&[("referer", "https://evil.example/")], true),
    ];
    for (fields, passes) in rows {
        let ask = Ask { fields, ..ASK };
        let expected = if *passes {
            Ok(())
        } else {
            Err(Rejection::WebPage)
        };
        assert_eq!(ask.of(&reach), expected, "{fields:?}");
        let over_unix = Ask { unix: true, ..ask };
        assert_eq!(over_unix.of(&reach), Ok(()), "{fields:?}");
    }
}

#[test]
fn an_authorization_of_the_callers_own_is_refused_or_replaced() {
    let fields: &[(&str, &str)] = &[("authorization", "Basic YTpi")];
    let ask = Ask { fields, ..ASK };
    assert_eq!(ask.of(&reach(None)), Err(Rejection::OwnAuthorization));
    let replacing = Reach::new(&"agent".into(), None, hosts(), OwnAuthorization::Replace).unwrap();
    assert_eq!(ask.of(&replacing), Ok(()));
}

#[test]
fn a8_only_listed_paths_are_within_reach_by_whatever_method() {
    let reach = reach(Some(&["/agent/**", "/status"]));
    for target in ["/status", "/status?x=1", "/agent", "/agent/", "/agent/a/b"] {
        for method in ["GET", "POST", "DELETE", "PROPFIND", "QUERY"] {
            let ask = Ask {
                method,
                target,
                ..ASK
            };
            assert_eq!(ask.of(&reach), Ok(()), "{method} {target}");
        }
    }
    let ambiguous = |fault| Rejection::AmbiguousPath(fault);
    for (target, rejection) in [
        ("/", Rejection::NoRoute),
        ("/admin", Rejection::NoRoute),
        ("/Status", Rejection::NoRoute),
        ("/status/", Rejection::NoRoute),
        ("/agents", Rejection::NoRoute),
        ("/agent/../admin", ambiguous(PathFault::DotSegment)),
        ("/agent/%2e%2e/admin", ambiguous(PathFault::DotSegment)),
        ("/agent/..%2fadmin", ambiguous(PathFault::DotSegment)),
        ("/agent//x", ambiguous(PathFault::EmptySegment)),
        ("/agent/a%2fb", ambiguous(PathFault::EncodedSlash)),
        ("/agent/a;b", ambiguous(PathFault::Semicolon)),
    ] {
        let ask = Ask { target, ..ASK };
        assert_eq!(ask.of(&reach), Err(rejection), "{target}");
    }
}

#[test]
fn without_paths_the_bytes_of_a_path_pass_as_they_come() {
    let reach = reach(None);
    for target in [
        "/",
        "/a/../b",
        "/a//b",
        "/a%2fb",
        "/a;b",
        "/50%",
        "/%e9",
        "/%25%32%65",
        "/a?b=%zz",
    ] {
        let ask = Ask { target, ..ASK };
        assert_eq!(ask.of(&reach), Ok(()), "{target}");
    }
    let ask = Ask {
        target: "/a\\b",
        ..ASK
    };
    assert!(ask.of(&reach).is_err());
    for method in ["CONNECT", "TRACE"] {
        let ask = Ask { method, ..ASK };
        assert_eq!(
            ask.of(&reach),
            Err(Rejection::Malformed(Malformed::Upgrade)),
            "{method}"
        );
    }
}

#[test]
fn of_upgrades_only_websocket_passes() {
    let reach = reach(None);
    for (protocol, passes) in [("websocket", true), ("WebSocket", true), ("irc", false)] {
        let fields: &[(&str, &str)] = &[("connection", "upgrade"), ("upgrade", protocol)];
        let ask = Ask { fields, ..ASK };
        assert_eq!(ask.of(&reach).is_ok(), passes, "{protocol}");
    }
}

#[test]
fn a_path_that_is_listed_twice_is_an_error() {
    let paths = ["/a/{x}", "/a/{y}"].map(|path| PathPattern::parse(path).unwrap());
    let twice = Reach::new(
        &"agent".into(),
        Some(paths.to_vec()),
        hosts(),
        OwnAuthorization::Refuse,
    );
    assert_eq!(twice.unwrap_err().len(), 1);
}
