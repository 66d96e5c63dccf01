//! Header names.

use http::HeaderName;

/// Names that carry the message's framing, its credentials or its routing, or that legacy upstreams take for those.
const TAKEN_HEADERS: [&str; 65] = [
    "accept",
    "accept-encoding",
    "allow",
    "authorization",
    "cache-control",
    "client-ip",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "dpop",
    "etag",
    "expect",
    "forwarded",
    "forwarded-for",
    "host",
    "http2-settings",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-unmodified-since",
    "keep-alive",
    "location",
    "origin",
    "proxy",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "referer",
    "retry-after",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "server",
    "set-cookie",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "true-client-ip",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "www-authenticate",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-forwarded",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-forwarded-for",
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-real-ip",
    "x-request-id",
    "x-rewrite-url",
];

/// A header name that a proxy may set or read: letters, digits and hyphens, and none that HTTP itself uses.
pub(crate) fn header_name(text: &str) -> Result<HeaderName, String> {
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if text.is_empty() || !plain(text) || text.starts_with('-') || text.ends_with('-') {
        return Err(format!(
            "`{text}` is no header name that can be protected; use letters, digits and hyphens"
        ));
    }
    let name = HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| format!("`{text}` is no header name"))?;
    if TAKEN_HEADERS.contains(&name.as_str())
        || ["x-forwarded-", "x-envoy-"]
            .iter()
            .any(|family| name.as_str().starts_with(family))
    {
        return Err(format!(
            "`{text}` is a header that HTTP or the proxy itself uses"
        ));
    }
    Ok(name)
}
