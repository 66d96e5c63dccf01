//! From a canonical request to the route that owns it.

use std::sync::Arc;

use http::Method;

use super::policy::Policy;
use super::preflight::{self, Passing};
use super::route::{Access, Demand, NearMiss, Route};
use super::table::Segments;
use crate::clock::Now;
use crate::rejection::{Malformed, Refusal, Rejection};
use crate::request::{CanonicalPath, Head};

/// The route that owns a request, and how.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) route: Arc<Route>,
    /// Which of the route's paths matched.
    path: u16,
    way: Way,
    /// The limit that an observing route did not enforce.
    pub(super) observed: Option<Rejection>,
}

/// How a request goes on.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// As this row of the table says.
    Row(usize),
    /// As a CORS preflight.
    Preflight(Passing),
}

/// No route lets the request go on.
#[derive(Debug)]
pub(super) struct NotFound {
    pub(super) rejection: Rejection,
    /// The route that owns the request, when there is one.
    pub(super) route: Option<Arc<Route>>,
}

/// Decoded segments as the table has them: a last empty one for a trailing slash.
fn segments(path: &CanonicalPath) -> Segments<'_> {
    let mut segments: Segments<'_> = path.segments().collect();
    if path.trailing_slash() || segments.is_empty() {
        segments.push("");
    }
    segments
}

/// Finds the route that owns a request and checks what needs no credential.
pub(super) fn find(policy: &Policy, head: &Head, now: Now) -> Result<Found, NotFound> {
    let refuse = |rejection| NotFound {
        rejection,
        route: None,
    };
    // They have a meaning of their own for proxies, which is not ours (RFC 9110 sections 9.3.6 and 9.3.8).
    if *head.method() == Method::CONNECT || *head.method() == Method::TRACE {
        return Err(refuse(Rejection::Malformed(Malformed::Upgrade)));
    }
    let needed = head.path().allowance_needed();
    let path = segments(head.path());
    let host = &*head.authority().host;
    let listener = policy.listener(&head.connection().listener);
    let hit = listener.and_then(|listener| Some((listener, listener.table.find(&path, host)?)));
    let Some((listener, hit)) = hit else {
        let fault = needed.missing_from(crate::request::PathAllowances::default());
        return Err(refuse(
            fault.map_or(Rejection::NoRoute, Rejection::AmbiguousPath),
        ));
    };
    let route = hit.route;
    let refuse = |rejection| NotFound {
        rejection,
        route: Some(Arc::clone(route)),
    };
    if let Some(fault) = needed.missing_from(route.settings().allowances) {
        return Err(refuse(Rejection::AmbiguousPath(fault)));
    }
    if route.settings().near_miss == NearMiss::Refuse
        && listener.table.is_near_miss(&hit, &path, host)
    {
        return Err(refuse(Rejection::NearMiss));
    }
    if head
        .upgrade
        .as_ref()
        .is_some_and(|protocol| !route.allows_upgrade(protocol.as_bytes()))
    {
        return Err(refuse(Rejection::Malformed(Malformed::Upgrade)));
    }
    let way = match preflight::passing(listener.cors.as_ref(), head, route) {
        Some(passing) => Way::Preflight(passing),
        None => match route.row(head.method()) {
            Some(row) => Way::Row(row),
            None => {
                let allow = route.allowed_methods().into();
                return Err(refuse(Rejection::MethodNotAllowed { allow }));
            }
        },
    };
    let mut observed = None;
    for limit in &route.before {
        if let Err(retry_after) = limit.admit_address(head.client(), now.tick) {
            let rejection = Rejection::RateLimited { retry_after };
            if !route.observes(now) {
                return Err(refuse(rejection));
            }
            observed = Some(rejection);
        }
    }
    let found = Found {
        route: Arc::clone(route),
        path: hit.path,
        way,
        observed,
    };
    match found.access() {
        // No credential would help, so none is asked for.
        Some(Access::Nobody) => Err(refuse(Rejection::Forbidden(Refusal::Nobody))),
        Some(Access::Anyone | Access::Rules { .. }) | None => Ok(found),
    }
}

impl Found {
    pub(super) fn access(&self) -> Option<&Access> {
        match self.way {
            Way::Row(row) => self.route.access(row),
            Way::Preflight(_) => None,
        }
    }

    /// The row of the table that speaks for the request; a preflight has none.
    pub(super) const fn row(&self) -> Option<usize> {
        match self.way {
            Way::Row(row) => Some(row),
            Way::Preflight(_) => None,
        }
    }

    pub(super) fn demand(&self) -> Demand {
        match self.way {
            Way::Row(row) => self.route.access(row).map_or(Demand::Token, Access::demand),
            Way::Preflight(Passing::Forward) => Demand::Public,
            Way::Preflight(Passing::Answer) => Demand::Token,
        }
    }

    pub(super) fn is_preflight_to_answer(&self) -> bool {
        matches!(self.way, Way::Preflight(Passing::Answer))
    }

    pub(super) fn is_preflight_to_forward(&self) -> bool {
        matches!(self.way, Way::Preflight(Passing::Forward))
    }

    /// The decoded segment under a parameter. Decoded once, when the request was read.
    pub(super) fn parameter<'h>(&self, head: &'h Head, name: &str) -> Option<&'h str> {
        let pattern = self.route.settings().paths.get(usize::from(self.path))?;
        let (_, at) = pattern.parameters().find(|(own, _)| &***own == name)?;
        head.path().segments().nth(at)
    }
}
