//! Host and port: valid, single, and agreed between all places that state them.

use std::net::Ipv6Addr;

use http::{HeaderValue, Version};

use crate::rejection::Malformed;

#[cfg(test)]
mod tests;

/// Host and port of a request, valid and agreed between `Host`, `:authority` and an absolute target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// As the client wrote it; forwarded as `Host`.
    pub(crate) written: HeaderValue,
    /// Lower-case, one trailing dot dropped, without the port. What policy sees.
    pub(crate) host: Box<str>,
    /// The port, when written.
    pub(crate) port: Option<u16>,
}

impl Authority {
    /// Reads `host` or `host:port` (RFC 3986 section 3.2): a name, an IPv4 address, or an IPv6 address in brackets.
    ///
    /// Narrower than the RFC where nothing on earth needs the rest and parsers differ: names hold letters, digits and
    /// `-._~` in non-empty labels; no percent-encoding, no user information, no zone, no empty or zero port.
    #[must_use]
    pub fn parse(written: &HeaderValue) -> Option<Self> {
        let text = written.to_str().ok()?;
        let (host, port) = split_port(text)?;
        let host = match host.strip_prefix('[') {
            Some(literal) => address_literal(literal.strip_suffix(']')?)?,
            None => name(host)?,
        };
        Some(Self {
            written: written.clone(),
            host,
            port,
        })
    }

    /// The authority of a request that names none; no configured host matches it.
    #[must_use]
    pub fn nameless() -> Self {
        Self {
            written: HeaderValue::from_static(""),
            host: Box::default(),
            port: None,
        }
    }

    /// Lower-case, one trailing dot dropped, without the port; IPv6 in brackets, in its shortest form.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, when written.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// As the client wrote it; the value of `Host` towards the upstream.
    #[must_use]
    pub const fn written(&self) -> &HeaderValue {
        &self.written
    }

    /// Agrees on the one authority of a request.
    ///
    /// `target` is what the target states (`:authority`, or an absolute-form target), `hosts` the first `Host` value and
    /// how many there were. RFC 9112 section 3.2: HTTP/1.1 must have exactly one `Host`. HTTP/1.0 may have none and then
    /// gets the listener's `default`; HTTP/2 must have either.
    pub(super) fn agree(
        target: Option<&http::uri::Authority>,
        hosts: (Option<&HeaderValue>, usize),
        version: Version,
        default: &Self,
    ) -> Result<Self, Malformed> {
        let (host, count) = hosts;
        if count > 1 || (count == 0 && version == Version::HTTP_11) {
            return Err(Malformed::Authority);
        }
        let host = match host {
            Some(value) => Some(Self::parse(value).ok_or(Malformed::Authority)?),
            None => None,
        };
        let target = match target {
            Some(authority) => {
                let written =
                    HeaderValue::from_str(authority.as_str()).map_err(|_| Malformed::Authority)?;
                Some(Self::parse(&written).ok_or(Malformed::Authority)?)
            }
            None => None,
        };
        match (target, host) {
            (Some(target), Some(host)) if target.names_the_same(&host) => Ok(host),
            (Some(_), Some(_)) => Err(Malformed::Authority),
            (Some(one), None) | (None, Some(one)) => Ok(one),
            (None, None) if version == Version::HTTP_10 => Ok(default.clone()),
            (None, None) => Err(Malformed::Authority),
        }
    }

    fn names_the_same(&self, other: &Self) -> bool {
        self.host == other.host && self.port == other.port
    }
}

fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let colon = memchr::memrchr(b':', text.as_bytes());
    let (host, port) = match colon.and_then(|at| text.split_at_checked(at)) {
        Some((host, port)) => (host, port.get(1..).unwrap_or_default()),
        None => return Some((text, None)),
    };
    // In `[::1]` the last colon is inside the brackets.
    if port.ends_with(']') {
        return Some((text, None));
    }
    Some((host, Some(parse_port(port)?)))
}

/// Decimal, no sign, no leading zero: `u16::from_str` alone would take `+80` and `0080`.
fn parse_port(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    if plain { digits.parse().ok() } else { None }
}

fn address_literal(inside: &str) -> Option<Box<str>> {
    let address: Ipv6Addr = inside.parse().ok()?;
    Some(format!("[{address}]").into_boxed_str())
}

fn name(host: &str) -> Option<Box<str>> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let mut before = b'.';
    for byte in host.bytes() {
        let known = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        // No empty label.
        if !known || (byte == b'.' && before == b'.') {
            return None;
        }
        before = byte;
    }
    (before != b'.' && host.len() <= 255).then(|| host.to_ascii_lowercase().into_boxed_str())
}
