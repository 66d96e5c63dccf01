//! Requests as the targets build them.

use std::sync::Arc;

use countersign::request::{Canonical, Connection, Refused, RequestRules, ReservedNames};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Version};

/// A listener's rules: one identity header, one trusted network.
pub fn rules() -> RequestRules {
    RequestRules {
        trusted_proxies: vec!["10.0.0.0/8".parse().expect("a network")],
        reserved: Arc::new(ReservedNames::new([HeaderName::from_static(
            "x-auth-subject",
        )])),
        ..RequestRules::default()
    }
}

/// A connection from a trusted proxy or from anybody.
pub fn connection(trusted: bool) -> Arc<Connection> {
    let peer = if trusted { "10.0.0.1" } else { "192.0.2.1" };
    Arc::new(Connection {
        listener: "inbound".into(),
        peer: peer.parse().expect("an address"),
        tls: false,
        unix: false,
        client_certificate: None,
    })
}

/// A bodiless GET of `/` with these fields.
pub fn parts(version: Version, headers: HeaderMap) -> Parts {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.version = version;
    parts.headers = headers;
    parts
}

/// Reads as the proxy does.
pub fn read(parts: Parts, trusted: bool) -> Result<Canonical<()>, Box<Refused<()>>> {
    Canonical::parse(parts, (), &connection(trusted), &rules())
}

/// Lines of `name:value`; what the HTTP library itself would not take is left out.
pub fn fields(lines: &[u8]) -> Vec<(HeaderName, HeaderValue)> {
    lines
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = line.split_at(colon);
            // Parsers take white space around values away.
            let value = value.strip_prefix(b":")?.trim_ascii();
            Some((
                HeaderName::from_bytes(name).ok()?,
                HeaderValue::from_bytes(value).ok()?,
            ))
        })
        .collect()
}
