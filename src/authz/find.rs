//! From a canonical request to the route that owns it.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;

use http::Method;

use super::access::{Access, Demand};
use super::policy::Policy;
use super::preflight::{self, Passing};
use super::route::{NearMiss, Route};
use super::table::{Counts, Hit, Segments, Table};
use super::trace::Candidates;
use crate::clock::Now;
use crate::proxy::CorsSettings;
use crate::rejection::{Malformed, Refusal, Rejection};
use crate::request::{CanonicalPath, Head, PathAllowances};

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
    /// As anonymous: what would refuse it is observed only, and no credential would change it.
    Observed,
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
        let fault = needed.missing_from(PathAllowances::default());
        return Err(refuse(
            fault.map_or(Rejection::NoRoute, Rejection::AmbiguousPath),
        ));
    };
    let found = Found {
        route: Arc::clone(hit.route),
        path: hit.path,
        way: Way::Observed,
        observed: None,
    };
    if let Some(fault) = needed.missing_from(hit.route.settings().allowances) {
        return Err(found.refuse(Rejection::AmbiguousPath(fault)));
    }
    let near = near_miss(&listener.table, &hit, head, &path, now);
    found.check(listener.cors.as_ref(), head, near, now)
}

/// A route that an upstream could serve the request by, although another one owns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Near {
    /// That route only observes, as the owner does.
    Observed,
    /// That route is enforced, so an owner that only observes does not open it.
    Enforced,
}

fn near_miss(table: &Table, hit: &Hit<'_>, head: &Head, path: &[&str], now: Now) -> Option<Near> {
    let is_near = |counts: Counts<'_>| near_among(table, hit, head, path, counts);
    if !is_near(&|_| true) {
        None
    } else if is_near(&|route| !route.observes_for(now, head.client())) {
        Some(Near::Enforced)
    } else {
        Some(Near::Observed)
    }
}

/// Whether a route that `counts` is nearly hit.
fn near_among(
    table: &Table,
    hit: &Hit<'_>,
    head: &Head,
    path: &[&str],
    counts: Counts<'_>,
) -> bool {
    if hit.route.settings().near_miss == NearMiss::Allow {
        return false;
    }
    let host = &*head.authority().host;
    let readings = if head.path().allowance_needed() == PathAllowances::default() {
        Vec::new()
    } else {
        head.path().other_readings()
    };
    table.is_near_miss(hit, path, host, counts)
        || readings.iter().any(|reading| {
            let reading: Segments<'_> = reading.iter().map(String::as_str).collect();
            table.is_read_as_another(hit, &reading, host, counts)
        })
}

/// For explanations: the routes whose paths match a request, and those that it nearly hits. The decision is made by
/// [`find`], which goes the same ways.
pub(super) fn considered(policy: &Policy, head: &Head) -> Candidates {
    let path = segments(head.path());
    let host = &*head.authority().host;
    let Some(listener) = policy.listener(&head.connection().listener) else {
        return Candidates::default();
    };
    let near = RefCell::new(Vec::<Arc<str>>::new());
    if let Some(hit) = listener.table.find(&path, host) {
        let remember = |route: &Route| {
            let mut near = near.borrow_mut();
            if !near.contains(route.name()) {
                near.push(Arc::clone(route.name()));
            }
            false
        };
        near_among(&listener.table, &hit, head, &path, &remember);
    }
    Candidates {
        matching: listener.table.matching(&path, host),
        near: near.into_inner(),
    }
}

impl Found {
    /// What the owner of a request says about it before a credential is looked at.
    fn check(
        mut self,
        cors: Option<&CorsSettings>,
        head: &Head,
        near: Option<Near>,
        now: Now,
    ) -> Result<Self, NotFound> {
        let route = Arc::clone(&self.route);
        let client = head.client();
        let wanted = head.upgrade.as_ref();
        match near {
            Some(Near::Enforced) => return Err(self.refuse(Rejection::NearMiss)),
            Some(Near::Observed) => {
                self = self.unless_observed(Rejection::NearMiss, now, client)?;
            }
            None => {}
        }
        if wanted.is_some_and(|protocol| !route.allows_upgrade(protocol.as_bytes())) {
            return Err(self.refuse(Rejection::Malformed(Malformed::Upgrade)));
        }
        let way = match preflight::passing(cors, head, &route) {
            Some(passing) => Some(Way::Preflight(passing)),
            None => route.row(head.method()).map(Way::Row),
        };
        let Some(way) = way else {
            let allow = route.allowed_methods().into();
            return self.unless_observed(Rejection::MethodNotAllowed { allow }, now, client);
        };
        for limit in &route.before {
            if let Err(retry_after) = limit.admit_address(client, now.tick) {
                self = self.unless_observed(Rejection::RateLimited { retry_after }, now, client)?;
            }
        }
        self.way = way;
        if self.access() == Some(&Access::Nobody) {
            // No credential would help, so none is asked for.
            self.way = Way::Observed;
            return self.unless_observed(Rejection::Forbidden(Refusal::Nobody), now, client);
        }
        Ok(self)
    }

    fn refuse(self, rejection: Rejection) -> NotFound {
        NotFound {
            rejection,
            route: Some(self.route),
        }
    }

    /// Goes on where the route only observes; the first rejection is the one that is recorded.
    fn unless_observed(
        mut self,
        rejection: Rejection,
        now: Now,
        client: IpAddr,
    ) -> Result<Self, NotFound> {
        if self.route.observes_for(now, client) {
            self.observed.get_or_insert(rejection);
            Ok(self)
        } else {
            Err(self.refuse(rejection))
        }
    }

    pub(super) fn access(&self) -> Option<&Access> {
        match self.way {
            Way::Row(row) => self.route.access(row),
            Way::Preflight(_) | Way::Observed => None,
        }
    }

    /// The row of the table that speaks for the request; a preflight has none.
    pub(super) const fn row(&self) -> Option<usize> {
        match self.way {
            Way::Row(row) => Some(row),
            Way::Preflight(_) | Way::Observed => None,
        }
    }

    pub(super) fn demand(&self) -> Demand {
        match self.way {
            Way::Row(row) => self.route.access(row).map_or(Demand::Token, Access::demand),
            Way::Preflight(Passing::Forward) | Way::Observed => Demand::Public,
            Way::Preflight(Passing::Answer) => Demand::Token,
        }
    }

    pub(super) fn is_preflight_to_answer(&self) -> bool {
        matches!(self.way, Way::Preflight(Passing::Answer))
    }

    /// Whether it goes on as anonymous whatever the table says.
    pub(super) const fn is_anonymous(&self) -> bool {
        matches!(self.way, Way::Preflight(Passing::Forward) | Way::Observed)
    }

    /// The decoded segment under a parameter. Decoded once, when the request was read.
    pub(super) fn parameter<'h>(&self, head: &'h Head, name: &str) -> Option<&'h str> {
        let pattern = self.route.settings().paths.get(usize::from(self.path))?;
        let (_, at) = pattern.parameters().find(|(own, _)| &***own == name)?;
        head.path().segments().nth(at)
    }
}
