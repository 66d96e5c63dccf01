//! The header filter: nothing that a client may not say survives, and what it may say survives untouched.

use countersign::request::Head;
use http::{HeaderMap, HeaderName, HeaderValue, Version, header};

use super::request;

/// Hop-by-hop fields, and those that the proxy carries in its own words.
const NEVER: &[&str] = &[
    "connection",
    "content-length",
    "dpop",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-auth-subject",
    "x-forwarded-method",
    "x-forwarded-path",
    "x-forwarded-uri",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
];

/// Believed from trusted proxies only, like everything that begins with `x-forwarded-`.
const FROM_TRUSTED: &[&str] = &[
    "client-ip",
    "forwarded",
    "forwarded-for",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-forwarded",
    "x-original-forwarded-for",
    "x-real-ip",
];

/// The first byte chooses the version and the peer, lines of `name:value` follow.
pub fn check(data: &[u8]) {
    let Some((flags, lines)) = data.split_first() else {
        return;
    };
    let version = match flags & 3 {
        0 => Version::HTTP_10,
        1 => Version::HTTP_2,
        _ => Version::HTTP_11,
    };
    let trusted = flags & 4 != 0;
    let fields = request::fields(lines);
    let mut headers = HeaderMap::new();
    if flags & 8 == 0 {
        headers.insert(header::HOST, HeaderValue::from_static("a"));
    }
    for (name, value) in &fields {
        headers.append(name, value.clone());
    }
    let before = headers.clone();
    let read = request::read(request::parts(version, headers), trusted);
    match read {
        Ok(read) => judge(read.head(), &before, version, trusted),
        Err(_) => assert!(
            has_a_fault(&before, version),
            "refused without a reason: {before:?}"
        ),
    }
}

fn judge(head: &Head, before: &HeaderMap, version: Version, trusted: bool) {
    let nominated = nominated(before);
    let mut expected = HeaderMap::new();
    for (name, value) in before {
        let nominated = nominated.contains(&name.as_str().to_owned());
        if !is_stripped(name, trusted) && (!nominated || name == header::AUTHORIZATION) {
            expected.append(name, value.clone());
        }
    }
    let after = head.headers();
    for name in after.keys() {
        assert!(!is_stripped(name, trusted), "{name} survives");
    }
    if version == Version::HTTP_2 {
        // Crumbs of cookies are one field afterwards.
        let crumbs: Vec<&[u8]> = expected
            .get_all(header::COOKIE)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        let joined = crumbs.join(&b"; "[..]);
        let now: Vec<&[u8]> = after
            .get_all(header::COOKIE)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        assert!(now.len() <= 1 && now.concat() == joined);
        expected.remove(header::COOKIE);
        let mut rest = after.clone();
        rest.remove(header::COOKIE);
        assert_eq!(rest, expected);
    } else {
        assert_eq!(*after, expected, "what a client may say passes untouched");
    }
    assert_eq!(head.trusted_peer(), trusted);
    assert!(after.get_all(header::AUTHORIZATION).iter().count() <= 1);
    framing(head, before, version);
}

/// One framing, said one way.
fn framing(head: &Head, before: &HeaderMap, version: Version) {
    let lengths: Vec<_> = before.get_all(header::CONTENT_LENGTH).iter().collect();
    let codings: Vec<_> = before.get_all(header::TRANSFER_ENCODING).iter().collect();
    assert!(lengths.len() + codings.len() <= 1, "two framings");
    for length in lengths {
        let text = length.to_str().expect("digits");
        let number: u64 = text.parse().expect("a number");
        assert_eq!(number.to_string(), text, "another spelling of a length");
    }
    if let Some(coding) = codings.first() {
        assert_eq!(coding.as_bytes(), b"chunked");
        assert_eq!(version, Version::HTTP_11);
    }
    assert_eq!(head.is_chunked(), !codings.is_empty());
    if let Some(protocol) = head.upgrade() {
        let protocol = protocol.to_str().expect("a token").to_ascii_lowercase();
        let name = protocol.split('/').next().unwrap_or_default();
        assert!(!["h2", "h2c", "http", "https", "tls"].contains(&name));
        assert_eq!(version, Version::HTTP_11);
    }
}

/// By its name alone, in any spelling.
fn is_stripped(name: &HeaderName, trusted: bool) -> bool {
    let name = name.as_str();
    let folded: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let folded = folded.to_ascii_lowercase();
    let from_trusted = FROM_TRUSTED.contains(&&*folded) || folded.starts_with("x-forwarded-");
    // A name that is not spelt with letters, digits and hyphens is some other name to CGI and its kin.
    folded != name
        || NEVER.contains(&name)
        || name.starts_with("x-envoy-")
        || (from_trusted && !trusted)
}

/// What `Connection` names, lower-case.
fn nominated(headers: &HeaderMap) -> Vec<String> {
    let mut names = Vec::new();
    for value in headers.get_all(header::CONNECTION) {
        for member in value.as_bytes().split(|byte| *byte == b',') {
            let name = member
                .split(|byte| *byte == b';')
                .next()
                .unwrap_or_default();
            names.push(String::from_utf8_lossy(name).trim().to_ascii_lowercase());
        }
    }
    names
}

/// Whether a request with these fields may be refused: an independent list of reasons, each as wide as it may be.
fn has_a_fault(headers: &HeaderMap, version: Version) -> bool {
    let count = |name: &str| headers.get_all(name).iter().count();
    let large = headers
        .iter()
        .any(|(name, value)| name.as_str().len() + value.len() > 8000);
    let hosts = count("host");
    let bad_host = headers.get("host").is_some_and(|host| host != "a");
    let framing = count("content-length") + count("transfer-encoding");
    let exact = headers.get("content-length").is_none_or(|value| {
        value
            .to_str()
            .is_ok_and(|text| text.parse::<u64>().is_ok_and(|n| n.to_string() == text))
    }) && headers
        .get("transfer-encoding")
        .is_none_or(|value| value == "chunked" && version == Version::HTTP_11);
    let expect = headers
        .get_all("expect")
        .iter()
        .any(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let credentials = headers
        .get("authorization")
        .is_some_and(|value| value.as_bytes().contains(&b','));
    large
        || headers.len() > 100
        || hosts != 1
        || bad_host
        || framing > 1
        || !exact
        || expect
        || count("expect") > 1
        || count("authorization") > 1
        || credentials
        || nominated(headers).len() > 100
        || headers.contains_key("http2-settings")
        || (headers.contains_key("upgrade") && version != Version::HTTP_10)
        || headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum::<usize>()
            > 16_000
}
