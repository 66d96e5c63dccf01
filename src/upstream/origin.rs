//! The upstream's own origin: what it is called, and which absolute references are to itself.

use http::HeaderValue;

use super::UpstreamAddress;
use crate::request::{Authority, Head};

/// Scheme, host and port (RFC 6454 section 4), compared after normalisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    https: bool,
    /// As [`Authority::host`] writes it.
    host: Box<str>,
    port: u16,
}

const fn default_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

impl Origin {
    /// That of an upstream. One behind a Unix socket is called `localhost`.
    #[must_use]
    pub fn of(address: &UpstreamAddress) -> Self {
        let https = matches!(address, UpstreamAddress::Https { .. });
        let (host, port) = address.host_and_port().unwrap_or(("localhost", 80));
        let host = match host.parse::<std::net::Ipv6Addr>() {
            Ok(address) => format!("[{address}]"),
            Err(_) => host.to_ascii_lowercase(),
        };
        Self {
            https,
            host: host.into(),
            port,
        }
    }

    /// Host and port.
    #[must_use]
    pub fn host_and_port(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// The value of `Host`; a default port is left out (RFC 9110 section 4.2.3).
    #[must_use]
    pub fn authority(&self) -> HeaderValue {
        let text = self.to_string();
        let text = text
            .split_once("://")
            .map_or("", |(_, authority)| authority);
        // Hosts of a configuration are visible ASCII.
        HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("localhost"))
    }

    /// An absolute reference to this origin (or one without a scheme, RFC 3986 section 4.2), leading `back` instead;
    /// nothing for all others. What follows the authority stays as it is.
    pub(super) fn lead_back(&self, written: &HeaderValue, back: &Back) -> Option<HeaderValue> {
        let text = written.to_str().ok()?;
        let (https, rest) = match text.strip_prefix("//") {
            Some(rest) => (self.https, rest),
            None => {
                let (scheme, rest) = text.split_once("://")?;
                match () {
                    () if scheme.eq_ignore_ascii_case("https") => (true, rest),
                    () if scheme.eq_ignore_ascii_case("http") => (false, rest),
                    () => return None,
                }
            }
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at_checked(end)?;
        let authority = Authority::parse(&HeaderValue::from_str(authority).ok()?)?;
        let port = authority.port().unwrap_or_else(|| default_port(https));
        if (https, authority.host(), port) != (self.https, &*self.host, self.port) {
            return None;
        }
        HeaderValue::from_str(&format!("{}{rest}", back.0)).ok()
    }
}

/// As an absolute reference begins (RFC 6454 section 6.2).
impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port == default_port(self.https) {
            return Ok(());
        }
        write!(f, ":{}", self.port)
    }
}

/// Where references of the upstream to itself lead: the listener, as its caller calls it.
#[derive(Debug)]
pub(super) struct Back(String);

impl Back {
    /// The origin that a request was sent to; none where it names no host.
    pub(super) fn to(head: &Head) -> Option<Self> {
        let scheme = if head.connection().tls {
            "https"
        } else {
            "http"
        };
        let authority = head.authority().written().to_str().ok()?;
        (!authority.is_empty()).then(|| Self(format!("{scheme}://{authority}")))
    }
}

#[cfg(test)]
mod tests;
