//! What a request brings to show that its token is its own (RFC 9449), and the URL that it can be for.

use std::sync::Arc;

use http::HeaderValue;

use super::Authority;

#[cfg(test)]
mod tests;

/// A scheme, a host and a port that callers know a listener by.
///
/// Configured, not read from requests: `Host` and `X-Forwarded-Proto` are a caller's word. Whoever had lured a client into
/// calling another service could present its token and its proof here, and name that service in `Host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    https: bool,
    /// As [`Authority::host`] has it.
    host: Box<str>,
    port: u16,
}

impl Origin {
    /// Of an absolute http or https URL; what follows the authority does not count.
    #[must_use]
    pub fn of(url: &str) -> Option<Self> {
        split(url).map(|(origin, _)| origin)
    }
}

/// The origin of an absolute URL, and its path as written: query and fragment left out.
fn split(url: &str) -> Option<(Origin, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let https = match scheme {
        _ if scheme.eq_ignore_ascii_case("https") => true,
        _ if scheme.eq_ignore_ascii_case("http") => false,
        _ => return None,
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at_checked(end)?;
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    let authority = Authority::parse(&HeaderValue::from_str(authority).ok()?)?;
    let origin = Origin {
        https,
        port: authority.port.unwrap_or(if https { 443 } else { 80 }),
        host: authority.host,
    };
    Some((origin, path))
}

/// The proof of a request. It was taken out of the header fields: nobody behind us has a use for it.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The only value; `None` where there are several.
    pub(super) value: Option<HeaderValue>,
    /// What the listener is called.
    pub(super) origins: Arc<[Origin]>,
}

impl Proof {
    /// A proof on a listener of these origins, for tests and measurements.
    #[must_use]
    pub fn new(value: Option<HeaderValue>, origins: Arc<[Origin]>) -> Self {
        Self { value, origins }
    }

    /// The proof itself; `None` where there are several, of which none counts.
    #[must_use]
    pub const fn value(&self) -> Option<&HeaderValue> {
        self.value.as_ref()
    }

    /// Whether `htu` is the URL of a request for `path` (RFC 9449 section 4.3): the same after the normalisation of RFC 3986
    /// sections 6.2.2 and 6.2.3, query and fragment left out. Dot segments are none of a path that we take.
    #[must_use]
    pub fn is_for(&self, htu: &str, path: &str) -> bool {
        split(htu).is_some_and(|(origin, own)| {
            let own = if own.is_empty() { "/" } else { own };
            self.origins.contains(&origin) && normal(own).eq(normal(path))
        })
    }
}

/// The bytes of a path, escapes in one spelling: unreserved characters are never escaped, and hexadecimal digits are
/// upper-case. A byte that was escaped and stays so is marked, so that `%2F` is not `/`.
fn normal(path: &str) -> impl Iterator<Item = (bool, u8)> {
    let mut bytes = path.bytes();
    std::iter::from_fn(move || {
        let byte = bytes.next()?;
        if byte != b'%' {
            return Some((false, byte));
        }
        let mut ahead = bytes.clone();
        let mut digit = || char::from(ahead.next()?).to_digit(16);
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Some((false, byte));
        };
        bytes = ahead;
        let decoded = u8::try_from(high * 16 + low).ok()?;
        let unreserved =
            decoded.is_ascii_alphanumeric() || matches!(decoded, b'-' | b'.' | b'_' | b'~');
        Some((!unreserved, decoded))
    })
}
