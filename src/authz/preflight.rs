//! CORS preflights (Fetch standard, "CORS-preflight request"): browsers send them without credentials.

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::access::Access;
use super::route::Route;
use crate::proxy::{CorsSettings, Preflight};
use crate::request::Head;

/// What becomes of a preflight that does not go the way of other requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passing {
    /// To the upstream, anonymous, whatever the route asks of credentials.
    Forward,
    /// We answer it; it never goes upstream.
    Answer,
}

/// Whether a request is a preflight from an allowed origin, on a listener that treats those apart, for a method that
/// somebody may use on the route.
///
/// Anybody can make such a request without a browser, so it passes as anonymous, on routes that are open to somebody
/// only, and never where the table says `OPTIONS: nobody`. Upstreams that change state on OPTIONS are not protected.
pub(super) fn passing(cors: Option<&CorsSettings>, head: &Head, route: &Route) -> Option<Passing> {
    let cors = cors?;
    let passing = match cors.preflight {
        Preflight::Forward => Passing::Forward,
        Preflight::Answer => Passing::Answer,
        Preflight::Authenticate => return None,
    };
    // A browser's preflight asks for nothing else: with an upgrade or a body somebody wants more than an answer to it.
    let bare = head.upgrade.is_none() && !head.body_follows;
    if *head.method() != Method::OPTIONS || !bare {
        return None;
    }
    let origin = only(head.headers(), &ORIGIN)?;
    let wanted = only(head.headers(), &ACCESS_CONTROL_REQUEST_METHOD)?;
    if wanted.is_empty()
        || !cors
            .origins
            .iter()
            .any(|own| own == "*" || own.as_bytes() == origin.as_bytes())
    {
        return None;
    }
    let options = route
        .row(&Method::OPTIONS)
        .and_then(|row| route.access(row));
    // We tell the methods ourselves; the upstream is only asked about those that policy has.
    let open = match passing {
        Passing::Answer => route.is_open_to_somebody(),
        Passing::Forward => route.is_usable(wanted.as_bytes()),
    };
    (open && options != Some(&Access::Nobody)).then_some(passing)
}

/// The value of a field that is there exactly once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then_some(first)
}
