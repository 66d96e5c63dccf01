//! Addresses to listen on, as the flags and variables of servers write them.

#[cfg(test)]
mod tests;

use super::words::{Reference, split_outside};

/// Where the application listens once it is behind the proxy.
pub(crate) const LOOPBACK: &str = "127.0.0.1";

/// What became of a written address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// The text that is loopback; the same as before where it was.
    pub(crate) text: String,
    /// The port in it, as written.
    pub(crate) port: Option<String>,
}

/// How an address is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `0.0.0.0`, `::`, `localhost`.
    Host,
    /// `0.0.0.0:8000`, `:8000`, `[::]:8000`, `*:8000`, `tcp://0.0.0.0:8000`; a host alone, too.
    HostPort,
    /// `127.0.0.1:8000`, or `8000` for the port alone, which is loopback with Django and everything with others.
    PortOrHostPort,
    /// `http://+:8080;https://*:8443`, separated by `;` or `,`.
    Urls,
}

/// The address turned to loopback. `None` for a Unix socket, a file descriptor, or what is no address.
pub(crate) fn to_loopback(text: &str, form: Form) -> Option<Address> {
    match form {
        Form::Host => host(text),
        Form::HostPort => host_port(text),
        Form::PortOrHostPort if is_port(text) => Some(Address {
            text: format!("{LOOPBACK}:{text}"),
            port: Some(text.to_owned()),
        }),
        Form::PortOrHostPort => host_port(text),
        Form::Urls => urls(text),
    }
}

/// Whether the address is one that everybody reaches, written out: nothing else is taken for an address where a name alone says
/// that it may be one.
pub(crate) fn is_everywhere(text: &str) -> bool {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = match split_port(text) {
        Some((host, port)) if is_port(port) => host,
        Some(_) => return matches!(text, "::" | "[::]"),
        None => text,
    };
    matches!(host, "0.0.0.0" | "::" | "[::]" | "*" | "+")
        || host.is_empty() && text.starts_with(':')
}

/// Whether the address is loopback, written out.
pub(crate) fn is_loopback(text: &str) -> bool {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = split_port(text).map_or(text, |(host, _)| host);
    text == "::1" || host.starts_with("127.") || matches!(host, "localhost" | "[::1]")
}

fn host(text: &str) -> Option<Address> {
    if text.is_empty() || text.contains('/') {
        return None;
    }
    Some(Address {
        text: loopback(text),
        port: None,
    })
}

fn host_port(text: &str) -> Option<Address> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    if rest.is_empty()
        || rest.contains('/')
        || ["unix", "fd", "ipc"]
            .iter()
            .any(|one| text.starts_with(&format!("{one}:")))
    {
        return None;
    }
    let (host, port) = match split_port(rest) {
        Some((host, port)) if is_port(port) => (host, Some(port)),
        // `::` is a host whose last part is none.
        Some(_) | None => (rest, None),
    };
    let host = loopback(host);
    Some(Address {
        text: match port {
            Some(port) => format!("{scheme}{host}:{port}"),
            None => format!("{scheme}{host}"),
        },
        port: port.map(str::to_owned),
    })
}

fn urls(text: &str) -> Option<Address> {
    let separator = if text.contains(';') { ';' } else { ',' };
    let parts = text.split(separator).map(|url| {
        let (scheme, rest) = url.trim().split_once("://")?;
        if rest.starts_with("unix:") {
            return None;
        }
        let (authority, path) = rest
            .split_once('/')
            .map_or((rest, ""), |(authority, path)| (authority, path));
        let address = host_port(authority)?;
        let slash = if rest.contains('/') { "/" } else { "" };
        Some((
            format!("{scheme}://{}{slash}{path}", address.text),
            address.port,
        ))
    });
    let parts: Vec<(String, Option<String>)> = parts.collect::<Option<_>>()?;
    let text: Vec<&str> = parts.iter().map(|(url, _)| url.as_str()).collect();
    Some(Address {
        text: text.join(&separator.to_string()),
        port: parts.first().and_then(|(_, port)| port.clone()),
    })
}

/// An IPv4 loopback address stays; `localhost` and `::1` become one, since the proxy looks for the application at one place.
fn loopback(host: &str) -> String {
    if host.starts_with("127.") {
        host.to_owned()
    } else {
        LOOPBACK.to_owned()
    }
}

/// Host and port, apart from references: `${HOST:-0.0.0.0}:${PORT:-8000}`.
fn split_port(text: &str) -> Option<(&str, &str)> {
    let parts = split_outside(text, ':');
    let (port, _) = parts.split_last()?;
    let host = text.strip_suffix(port)?.strip_suffix(':')?;
    Some((host, port))
}

/// Digits, or a reference to a variable.
fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok() || Reference::of(text).is_some()
}
