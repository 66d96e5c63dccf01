//! Scalars with a meaning of their own: one function each, used for checking and for reading.

mod header;
#[cfg(test)]
mod tests;
mod time;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use http::Uri;

use crate::authn::ClaimPath;
use crate::authz::Share;
use crate::listener::ListenAddress;
use crate::upstream::UpstreamAddress;

pub(crate) use header::header_name;
pub(crate) use time::{date, duration, show_duration};

/// `32KiB`, `10MB`, `512B`, `4096`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let bad = || format!("`{text}` is no size; write a number and a unit: 512B, 32KiB, 10MB");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or_else(bad)?;
    let factor: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "KB" | "kB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return Err(bad()),
    };
    let number: u64 = number.parse().map_err(|_| bad())?;
    number.checked_mul(factor).ok_or_else(bad)
}

/// `0.0.0.0:8080`, `[::]:8080`, `localhost:8080`, `:8080` is refused.
pub(crate) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    if let Some(port) = text.strip_prefix("localhost:")
        && let Ok(port) = port.parse()
    {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    text.parse().map_err(|_| {
        if text.starts_with(':') {
            format!("`{text}` has no address; write 0.0.0.0{text} for every interface or 127.0.0.1{text} for this machine alone")
        } else if text.parse::<IpAddr>().is_ok() {
            format!("`{text}` has no port; write {text}:8080")
        } else {
            format!("`{text}` is no address; write ADDRESS:PORT, as 0.0.0.0:8080 or [::1]:8080")
        }
    })
}

/// A socket address, or `unix:/path`.
pub(crate) fn listen_address(text: &str) -> Result<ListenAddress, String> {
    match text.strip_prefix("unix:") {
        Some(path) => unix_path(path).map(ListenAddress::Unix),
        None => socket_address(text)
            .map(ListenAddress::Tcp)
            .map_err(|reason| format!("{reason}, or unix:/path")),
    }
}

fn unix_path(path: &str) -> Result<PathBuf, String> {
    // sockaddr_un takes 108 bytes, the final NUL included.
    if !path.starts_with('/') {
        Err(format!(
            "`unix:{path}` is not absolute; write unix:/run/app.sock"
        ))
    } else if path.len() > 107 {
        Err("a Unix socket's path has at most 107 bytes".to_owned())
    } else {
        Ok(PathBuf::from(path))
    }
}

/// `10.0.0.0/8`, or one address.
pub(crate) fn network(text: &str) -> Result<ipnet::IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    let network: ipnet::IpNet = text.parse().map_err(|_| {
        format!("`{text}` is no network; write 10.0.0.0/8, 2001:db8::/32 or one address")
    })?;
    if network.trunc() == network {
        Ok(network)
    } else {
        Err(format!(
            "`{text}` has bits set beyond its prefix; did you mean `{}`?",
            network.trunc()
        ))
    }
}

/// `http://host:port`, `https://`, `h2c://`, `unix:/path`.
pub(crate) fn upstream(text: &str) -> Result<UpstreamAddress, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return unix_path(path).map(UpstreamAddress::Unix);
    }
    let (scheme, rest) = text.split_once("://").ok_or_else(|| {
        format!("`{text}` has no scheme; write http://, https://, h2c:// or unix:/path")
    })?;
    let default_port = match scheme {
        "http" | "h2c" => 80,
        "https" => 443,
        _ => {
            return Err(format!(
                "`{scheme}` is no scheme of an upstream: http, https, h2c or unix"
            ));
        }
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#']) {
        return Err(
            "an upstream has no path: the request's own target is forwarded as it is".to_owned(),
        );
    }
    if rest.contains('@') {
        return Err("an upstream has no user name".to_owned());
    }
    let (host, port) =
        host_and_port(rest, default_port).ok_or_else(|| format!("`{rest}` is no host and port"))?;
    Ok(match scheme {
        "https" => UpstreamAddress::Https { host, port },
        "h2c" => UpstreamAddress::H2c { host, port },
        _ => UpstreamAddress::Http { host, port },
    })
}

/// Host without brackets, and port.
fn host_and_port(text: &str, default_port: u16) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (
                address,
                after
                    .strip_prefix(':')
                    .or_else(|| after.is_empty().then_some(""))?,
            )
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let named = text.starts_with('[') || is_host(host);
    let port = if text.ends_with(':') {
        return None;
    } else if port.is_empty() {
        default_port
    } else if port.starts_with(['0', '+']) {
        // Numbers to Rust, and to no reader of `Host`, of origins or of proofs: what is written so would match nothing.
        return None;
    } else {
        port.parse().ok()?
    };
    named.then(|| (host.to_ascii_lowercase(), port))
}

fn is_host(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 253
        && host.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

/// An absolute http or https URL without user name and fragment.
pub(crate) fn web_url(text: &str) -> Result<(), String> {
    let uri: Uri = text
        .parse()
        .map_err(|_| format!("`{text}` is no URL; write https://host/path"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(format!(
            "`{text}` is neither an https:// nor an http:// URL"
        ));
    }
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    if authority.contains('@') {
        return Err("a URL with a user name or password in it is not used".to_owned());
    }
    if text.contains('#') {
        return Err("a URL with a fragment is not used".to_owned());
    }
    host_and_port(authority, 443)
        .map(|_| ())
        .ok_or_else(|| format!("`{authority}` is no host and port"))
}

/// `0.25`: from 0 to 1, in digits.
pub(crate) fn fraction(text: &str) -> Result<f64, String> {
    let digits = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    match text.parse::<f64>() {
        Ok(number) if digits && (0.0..=1.0).contains(&number) => Ok(number),
        _ => Err(format!("`{text}` is no number from 0 to 1")),
    }
}

/// `25%`, `0.5%`: from 0 to 100, with at most two decimals.
pub(crate) fn percent(text: &str) -> Result<Share, String> {
    let wrong = || format!("`{text}` is no percentage: 25%, or 0.5%");
    let number = text.strip_suffix('%').ok_or_else(wrong)?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 2 || whole.len() > 3 {
        return Err(wrong());
    }
    let hundredths = format!("{whole}{part:0<2}").parse().map_err(|_| wrong())?;
    Share::of_hundredths(hundredths).ok_or_else(|| format!("`{text}` is more than all"))
}

/// `https://app.example.org`, or `*`.
pub(crate) fn origin(text: &str) -> Result<(), String> {
    if text == "*" || text == "null" {
        return if text == "*" {
            Ok(())
        } else {
            Err("`null` is the origin of every sandboxed page; name real origins".to_owned())
        };
    }
    web_url(text)?;
    let after = text.split_once("://").map_or("", |(_, after)| after);
    if after.contains(['/', '?']) {
        Err(format!(
            "`{text}` is no origin: scheme, host and port only, no path and no trailing slash"
        ))
    } else if text.contains('*') {
        Err("origins are compared byte for byte; there are no patterns".to_owned())
    } else if text.bytes().any(|b| b.is_ascii_uppercase()) {
        Err(format!(
            "browsers send origins in lower case: `{}`",
            text.to_ascii_lowercase()
        ))
    } else {
        Ok(())
    }
}

/// `GET`, or `GET, HEAD`: exact method tokens (RFC 9110 section 9.1).
pub(crate) fn methods(text: &str) -> Result<Vec<http::Method>, String> {
    text.split(',').map(|word| method(word.trim())).collect()
}

fn method(word: &str) -> Result<http::Method, String> {
    const KNOWN: [&str; 9] = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE",
    ];
    let upper = word.to_ascii_uppercase();
    if word.is_empty() {
        return Err("a method is missing between commas".to_owned());
    }
    if upper == "CONNECT" || upper == "TRACE" {
        return Err(format!("{upper} never passes"));
    }
    if upper != word && KNOWN.contains(&upper.as_str()) {
        return Err(format!(
            "methods are case-sensitive; did you mean `{upper}`?"
        ));
    }
    http::Method::from_bytes(word.as_bytes()).map_err(|_| format!("`{word}` is no method"))
}

/// A name that logs, metrics and policy use.
pub(crate) fn name(text: &str) -> Result<(), String> {
    let valid = text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    if valid {
        Ok(())
    } else {
        Err(format!(
            "`{text}` is no name; use letters, digits, `_`, `-` and `.`, a letter or digit first, at most 64"
        ))
    }
}

/// One scope token (RFC 6749 section 3.3).
pub(crate) fn scope(text: &str) -> Result<(), String> {
    let valid = text
        .bytes()
        .all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
    if text.is_empty() || !valid {
        Err(format!(
            "`{text}` is no scope; scopes are single words, one per list item"
        ))
    } else {
        Ok(())
    }
}

/// Text without control characters and without space at its ends, which nobody sees and nothing matches.
pub(crate) fn visible(text: &str) -> Result<(), String> {
    if text.is_empty() {
        Err("must not be empty".to_owned())
    } else if text.chars().any(char::is_control) {
        Err("has control characters in it".to_owned())
    } else if text.trim() != text {
        Err("begins or ends with white space".to_owned())
    } else {
        Ok(())
    }
}

/// `realm_access.roles`, or `/resource_access/my.client/roles` (RFC 6901).
pub(crate) fn claim_path(text: &str) -> Result<ClaimPath, String> {
    ClaimPath::parse(text).map_err(|_| {
        format!(
            "`{text}` is no claim; write `name`, `outer.inner`, or /outer/in.ner where a name has a dot"
        )
    })
}

/// `namespace/name`, both as Kubernetes allows them.
pub(crate) fn service_account(text: &str) -> Result<(&str, &str), String> {
    let part = |part: &str, dots: bool| {
        !part.is_empty()
            && part.len() <= 253
            && part.bytes().all(|b| {
                b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || (dots && b == b'.')
            })
            && !part.starts_with(['-', '.'])
            && !part.ends_with(['-', '.'])
    };
    text.split_once('/')
        .filter(|(namespace, name)| part(namespace, false) && part(name, true))
        .ok_or_else(|| {
            format!("`{text}` is no service account; write NAMESPACE/NAME, both spelled out")
        })
}

/// The name of an upgrade's protocol (RFC 9110 section 7.8).
pub(crate) fn protocol(text: &str) -> Result<(), String> {
    let token = !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'/' | b'_'));
    let lower = text.to_ascii_lowercase();
    if !token {
        Err(format!("`{text}` is no protocol; write websocket"))
    } else if lower.starts_with("h2") || lower.starts_with("tls") || lower.starts_with("http") {
        Err(format!(
            "`{text}` would tunnel other requests past policy; it is never upgraded to"
        ))
    } else {
        Ok(())
    }
}
