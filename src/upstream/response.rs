//! What of an upstream's response head passes on.

use http::header::{CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::request::{ReservedNames, framing, is_reserved_spelling};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const PROXY_AUTHENTICATE: HeaderName = HeaderName::from_static("proxy-authenticate");

/// Whether the framing of a response is said twice, or in a way that we do not undo (RFC 9112 section 6.3): such an
/// answer is not passed on. hyper takes `gzip, chunked` for chunked, and the caller would never learn of the gzip.
pub(super) fn quarrels(headers: &HeaderMap) -> bool {
    let (mut framings, mut known) = (0usize, true);
    for (name, value) in headers {
        // By length first: hardly any field is one of these.
        match name.as_str().len() {
            14 if *name == CONTENT_LENGTH => {
                framings = framings.saturating_add(1);
                known &= framing::content_length(value.as_bytes()).is_some();
            }
            17 if *name == TRANSFER_ENCODING => {
                framings = framings.saturating_add(1);
                known &= value.as_bytes().eq_ignore_ascii_case(b"chunked");
            }
            _ => {}
        }
    }
    framings > 1 || !known
}

/// Removes hop-by-hop fields (RFC 9110 section 7.6.1), those that `Connection` names, and reserved names: a caller must
/// not take an upstream's `x-auth-…` for ours. `trailer` stays where trailers pass.
pub(super) fn sanitise(headers: &mut HeaderMap, reserved: &ReservedNames, trailers: bool) {
    let mut remove: SmallVec<[HeaderName; 4]> = SmallVec::new();
    let mut nominates = false;
    for name in headers.keys() {
        nominates |= *name == CONNECTION;
        if is_hop_by_hop(name, trailers) || is_reserved_spelling(name.as_str(), reserved) {
            remove.push(name.clone());
        }
    }
    if nominates {
        nominated(headers, &mut remove);
    }
    for name in remove {
        headers.remove(name);
    }
}

fn is_hop_by_hop(name: &HeaderName, trailers: bool) -> bool {
    // By length first: hardly any field of a response is one of these.
    match name.as_str().len() {
        2 => *name == TE,
        7 => *name == UPGRADE || (*name == TRAILER && !trailers),
        10 => *name == CONNECTION || *name == KEEP_ALIVE,
        16 => *name == PROXY_CONNECTION,
        17 => *name == TRANSFER_ENCODING,
        18 => *name == PROXY_AUTHENTICATE,
        _ => false,
    }
}

fn nominated(headers: &HeaderMap, remove: &mut SmallVec<[HeaderName; 4]>) {
    let named = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok());
    for name in named.flat_map(|value| value.split(',')) {
        let name = name.trim();
        if name.eq_ignore_ascii_case("keep-alive") || name.eq_ignore_ascii_case("close") {
            continue;
        }
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
            // Framing is hyper's.
            if name != CONTENT_LENGTH {
                remove.push(name);
            }
        }
    }
}

/// Whether a 101 answers the very protocol that was asked for (RFC 9110 section 7.8).
pub(super) fn accepts_upgrade(headers: &HeaderMap, wanted: &HeaderValue) -> bool {
    let mut answers = headers.get_all(UPGRADE).iter();
    match (answers.next(), answers.next()) {
        (Some(answer), None) => answer.as_bytes().eq_ignore_ascii_case(wanted.as_bytes()),
        _ => false,
    }
}
