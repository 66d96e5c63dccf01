use http::Request;
use proptest::prelude::*;

use super::*;
use crate::rejection::PathFault;

fn connection() -> Arc<Connection> {
    Arc::new(Connection {
        listener: "inbound".into(),
        peer: IpAddr::from([192, 0, 2, 1]),
        tls: false,
        unix: false,
        client_certificate: None,
    })
}

fn request(method: &str, target: &str, version: Version, fields: &[(&str, &str)]) -> Parts {
    let mut builder = Request::builder()
        .method(method)
        .uri(target)
        .version(version);
    for (name, value) in fields {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

fn parse(
    method: &str,
    target: &str,
    version: Version,
    fields: &[(&str, &str)],
) -> Result<Head, Rejection> {
    let parts = request(method, target, version, fields);
    match Canonical::parse(parts, (), &connection(), &RequestRules::default()) {
        Ok(canonical) => Ok(*canonical.head),
        Err(refused) => Err(refused.rejection().clone()),
    }
}

fn fault(
    method: &str,
    target: &str,
    version: Version,
    fields: &[(&str, &str)],
) -> Option<Rejection> {
    parse(method, target, version, fields).err()
}

const H1: Version = Version::HTTP_11;
const H2: Version = Version::HTTP_2;

#[test]
fn invariant_02_what_was_judged_is_what_is_forwarded() {
    let head = parse("GET", "/%61dmin/?q=%2f", H1, &[("host", "a")]).unwrap();
    assert_eq!(head.path().target(), "/%61dmin/?q=%2f");
    let absolute = parse("GET", "http://A.example/x?y", H1, &[("host", "a.example.")]).unwrap();
    assert_eq!(absolute.path().target(), "/x?y");
    assert_eq!(absolute.authority().host(), "a.example");
}

#[test]
fn invariant_04_a_fragment_never_reaches_the_judged_target() {
    // The guard refuses it on HTTP/1; on HTTP/2 the library cuts it off before anyone sees it.
    let head = parse("GET", "/public#/../admin", H2, &[("host", "a")]).unwrap();
    assert_eq!(head.path().target(), "/public");
}

#[test]
fn invariant_26_the_authority_is_agreed() {
    let authority = Some(Rejection::Malformed(Malformed::Authority));
    for (target, version, fields, expected) in [
        ("/", H1, &[("host", "a")][..], None),
        ("/", H1, &[], authority.clone()),
        ("/", H1, &[("host", "")], authority.clone()),
        ("/", H1, &[("host", "a"), ("host", "a")], authority.clone()),
        ("/", H1, &[("host", "a, b")], authority.clone()),
        ("/", H1, &[("host", "u@a/../b")], authority.clone()),
        ("http://a/", H1, &[("host", "a")], None),
        ("http://a/", H1, &[("host", "b")], authority.clone()),
        ("http://u@a/", H1, &[("host", "a")], authority.clone()),
        ("http://a/", H1, &[], authority.clone()),
        ("/", Version::HTTP_10, &[], None),
        ("http://a/", H2, &[], None),
        ("http://a/", H2, &[("host", "a")], None),
        ("http://a/", H2, &[("host", "b")], authority.clone()),
        ("/", H2, &[("host", "b")], None),
        ("/", H2, &[], authority),
    ] {
        assert_eq!(
            fault("GET", target, version, fields),
            expected,
            "{target} {fields:?}"
        );
    }
}

#[test]
fn invariant_27_target_forms() {
    let target = Some(Rejection::Malformed(Malformed::Target));
    let host = [("host", "a")];
    for (method, uri, version, expected) in [
        ("GET", "/admin", H1, None),
        ("GET", "http://a", H1, None),
        ("GET", "admin", H1, target.clone()),
        ("GET", "evil:80", H1, target.clone()),
        ("GET", "*", H1, target.clone()),
        ("OPTIONS", "*", H1, target.clone()),
        ("GET", "*", H2, target.clone()),
        ("GET", "ftp://a/x", H1, target.clone()),
        ("GET", "http://a?x", H1, target),
    ] {
        assert_eq!(
            fault(method, uri, version, &host),
            expected,
            "{method} {uri}"
        );
    }
}

#[test]
fn invariant_28_connect_and_trace_never_pass() {
    let upgrade = Some(Rejection::Malformed(Malformed::Upgrade));
    let host = [("host", "a:443")];
    for (method, uri, version, expected) in [
        ("CONNECT", "a:443", H1, upgrade.clone()),
        ("CONNECT", "a:443", H2, upgrade.clone()),
        ("CONNECT", "https://a:443/chat", H2, upgrade.clone()),
        ("TRACE", "/", H1, upgrade.clone()),
        ("TRACE", "/", H2, upgrade),
        ("GET", "/", H1, None),
        ("GET", "/", H2, None),
    ] {
        assert_eq!(
            fault(method, uri, version, &host),
            expected,
            "{method} {uri}"
        );
    }
}

#[test]
fn invariant_29_methods_are_left_as_they_are() {
    for method in ["GET", "get", "Get", "GET!", "PROPFIND", "M-SEARCH"] {
        let head = parse(method, "/", H1, &[("host", "a")]).unwrap();
        assert_eq!(head.method().as_str(), method);
    }
}

#[test]
fn invariant_57_the_target_is_bounded() {
    let host = [("host", "a")];
    let fits = format!("/{}", "a".repeat(8 * 1024 - 1));
    assert_eq!(fault("GET", &fits, H1, &host), None);
    assert_eq!(
        fault("GET", &format!("{fits}a"), H2, &host),
        Some(Rejection::Malformed(Malformed::TargetTooLong))
    );
}

#[test]
fn invariant_07_the_judged_request_is_its_own_method_path_and_authority() {
    let fields = [
        ("host", "a"),
        ("x-original-url", "/healthz"),
        ("x-rewrite-url", "/healthz"),
        ("x-forwarded-uri", "/healthz"),
        ("x-forwarded-prefix", "/healthz"),
        ("x-forwarded-host", "b"),
        ("forwarded", "host=b"),
        ("x-http-method-override", "DELETE"),
        ("x-envoy-original-path", "/healthz"),
        ("user-agent", "kube-probe/1.30"),
    ];
    let head = parse("GET", "/admin", H1, &fields).unwrap();
    assert_eq!(head.method(), Method::GET);
    assert_eq!(head.path().path_str(), "/admin");
    assert_eq!(head.authority().host(), "a");
    assert_eq!(head.headers().len(), 1, "only the user agent is left");
    assert_eq!(head.client(), IpAddr::from([192, 0, 2, 1]));
    assert!(!head.trusted_peer());
}

#[test]
fn a_refusal_keeps_method_and_target_for_the_record() {
    let parts = request("GET", "/a/../b", H1, &[("host", "a")]);
    let refused = Canonical::parse(parts, 7, &connection(), &RequestRules::default()).unwrap_err();
    let (rejection, facts, sealed) = refused.into_parts();
    assert_eq!(rejection, Rejection::AmbiguousPath(PathFault::DotSegment));
    let (method, uri) = facts.as_read.unwrap();
    assert_eq!((method, uri.path(), sealed), (Method::GET, "/a/../b", 7));
    assert!(facts.head.is_none());
}

#[test]
fn unknown_versions_are_refused() {
    for version in [Version::HTTP_09, Version::HTTP_3] {
        assert_eq!(
            fault("GET", "/", version, &[("host", "a")]),
            Some(Rejection::Malformed(Malformed::Version))
        );
    }
}

proptest! {
    /// What came out of reading can be read again, and nothing more is taken out of it.
    #[test]
    fn invariant_02_canonicalising_twice_is_canonicalising_once(
        target in "/[a-z%0-9./;]{0,16}(\\?[a-z=/%]{0,8})?",
        names in proptest::collection::vec("[a-z_.-]{1,12}", 0..8),
        connection_value in "(close|keep-alive|[a-z]{1,3}|, ?){0,4}",
    ) {
        let mut fields: Vec<(&str, &str)> = vec![("host", "a"), ("connection", &connection_value)];
        fields.extend(names.iter().filter(|name| *name != "host").map(|name| (name.as_str(), "v")));
        if let Ok(once) = parse("GET", &target, H1, &fields) {
            let mut again: Vec<(&str, &str)> = once
                .headers()
                .iter()
                .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
                .collect();
            again.push(("host", once.authority().written().to_str().unwrap()));
            let twice = parse("GET", once.path().target(), H1, &again).unwrap();
            prop_assert_eq!(twice.path().target(), target.as_str());
            prop_assert_eq!(twice.headers(), once.headers());
            prop_assert_eq!(twice.authority(), once.authority());
        }
    }
}
