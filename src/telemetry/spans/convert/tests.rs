use super::super::on::Ids;
use super::*;
use crate::clock::UnixTime;
use crate::rejection::Decision;

fn ended(method: &str, path: &str) -> Ended {
    Ended {
        ids: Ids {
            trace: [1; 16],
            span: [2; 8],
            parent: Some([3; 8]),
            flags: 1,
        },
        at: Tick::default(),
        duration: Duration::from_millis(250),
        request: Some(Request {
            method: method.parse().unwrap(),
            path: path.into(),
            version: Some(Version::HTTP_2),
            tls: Some(true),
            host: Some("api.example.org".into()),
            port: Some(8443),
            peer: Some([10, 0, 0, 1].into()),
        }),
        client: Some([198, 51, 100, 9].into()),
        route: None,
        caller: None,
        status: 200,
        decision: Decision::Allowed,
        reason: None,
        observed: None,
        end: End::Complete,
    }
}

fn convert(ended: &Ended) -> SpanData {
    span(
        ended,
        Anchor::new(&Clock::manual(UnixTime::from_secs(1_800_000_000))),
    )
}

fn attribute(span: &SpanData, name: &str) -> Option<String> {
    let found = span
        .attributes
        .iter()
        .find(|pair| pair.key.as_str() == name)?;
    Some(found.value.to_string())
}

#[test]
fn attributes_are_those_of_the_conventions() {
    let span = convert(&ended("GET", "/a/b"));
    for (name, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("url.path", "/a/b"),
        ("url.scheme", "https"),
        ("server.address", "api.example.org"),
        ("server.port", "8443"),
        ("network.protocol.version", "2"),
        ("network.peer.address", "10.0.0.1"),
        ("client.address", "198.51.100.9"),
        ("countersign.decision", "allowed"),
    ] {
        assert_eq!(attribute(&span, name).as_deref(), Some(value), "{name}");
    }
    for absent in [
        "http.route",
        "countersign.reason",
        "countersign.caller",
        "countersign.end",
        "error.type",
    ] {
        assert_eq!(attribute(&span, absent), None, "{absent}");
    }
    assert_eq!(span.name, "GET");
    assert_eq!(span.span_kind, SpanKind::Server);
    assert_eq!(span.status, Status::Unset);
    assert!(span.parent_span_is_remote);
}

#[test]
fn times_are_those_of_the_wall() {
    let clock = Clock::manual(UnixTime::from_secs(1_800_000_000));
    clock.advance(Duration::from_secs(10));
    let mut late = ended("GET", "/");
    late.at = Tick::default().plus(Duration::from_secs(7));
    let span = span(&late, Anchor::new(&clock));
    let end = Duration::from_secs(1_800_000_007);
    assert_eq!(span.end_time, SystemTime::UNIX_EPOCH + end);
    assert_eq!(
        span.start_time,
        SystemTime::UNIX_EPOCH + end - Duration::from_millis(250)
    );
}

#[test]
fn what_callers_invent_does_not_become_a_name() {
    let span = convert(&ended("PROPFIND", "/"));
    assert_eq!(span.name, "HTTP");
    assert_eq!(
        attribute(&span, "http.request.method").as_deref(),
        Some("_OTHER")
    );
    assert_eq!(
        attribute(&span, "http.request.method_original").as_deref(),
        Some("PROPFIND")
    );
    let mut unread = ended("GET", "/");
    unread.request = None;
    let span = convert(&unread);
    assert_eq!(span.name, "HTTP");
    assert_eq!(attribute(&span, "url.path"), None);
}

#[test]
fn only_what_an_operator_looks_at_is_an_error() {
    let rows = [
        (401, Some("no_token"), End::Complete, None),
        (404, None, End::Complete, None),
        (
            503,
            Some("keys_unavailable"),
            End::Complete,
            Some("keys_unavailable"),
        ),
        (500, None, End::Complete, Some("500")),
        (200, None, End::UpstreamBroke, Some("upstream_broke")),
        (200, None, End::ClientGone, None),
    ];
    for (status, reason, end, error) in rows {
        let mut row = ended("GET", "/");
        (row.status, row.reason, row.end) = (status, reason, end);
        let span = convert(&row);
        assert_eq!(attribute(&span, "error.type").as_deref(), error, "{status}");
        assert_eq!(span.status != Status::Unset, error.is_some(), "{status}");
    }
}

#[test]
fn invariant_46_a_token_in_a_path_or_method_is_not_exported() {
    let token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln";
    for path in [
        format!("/reset/{token}/now"),
        format!("/reset/t={token}/now"),
        format!("/reset/%65{}/now", token.trim_start_matches('e')),
        format!("/reset/Bearer%20{}/now", "opaque".repeat(4)),
    ] {
        let span = convert(&ended("GET", &path));
        assert_eq!(
            attribute(&span, "url.path").as_deref(),
            Some("/reset/[redacted]/now")
        );
    }
    let span = convert(&ended(token, "/"));
    assert!(!format!("{span:?}").contains(token));
    let span = convert(&ended("GET", "/eyJ/short"));
    assert_eq!(attribute(&span, "url.path").as_deref(), Some("/eyJ/short"));
}
