//! Outbound: who may call, and what of the upstream is within reach.
//!
//! Callers of an outbound listener are not authenticated: whoever reaches it speaks with its credential's rights. So it
//! listens where only programs of this machine come, and three things are kept out that come from there all the same: web
//! pages in a browser of this machine, requests that were meant for somebody else, and paths that nobody listed.

use std::sync::Arc;

use http::HeaderName;
use http::header::{AUTHORIZATION, ORIGIN};

use super::access::{Access, MethodTable};
use super::check::RouteError;
use super::pattern::{HostPattern, PathPattern};
use super::policy::{Policy, PolicyBuilder};
use super::rate_limit::RateLimits;
use super::route::{NearMiss, Route, RouteSettings};
use super::{Candidates, Granted, Routed};
use crate::clock::Now;
use crate::rejection::Rejection;
use crate::request::{Authority, Canonical, Head, Opener, PathReading, Refused};

#[cfg(test)]
mod tests;

/// What becomes of an `Authorization` that a caller brings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OwnAuthorization {
    /// The request is refused: a program that sends one believes that it is the one who speaks.
    #[default]
    Refuse,
    /// It is dropped, and ours takes its place.
    Replace,
}

/// Under which hosts a listener answers. A page can make a browser of this machine call a loopback address by a name of
/// the page's own site (DNS rebinding); no name of ours is one of those.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownHosts {
    /// The upstream's own host and port, which a program with `http_proxy` set asks for.
    pub upstream: Option<(Box<str>, u16)>,
    /// Further ones.
    pub others: Vec<HostPattern>,
    /// Any address: the listener is bound to more than loopback.
    pub addresses: bool,
}

impl KnownHosts {
    fn hold(&self, authority: &Authority) -> bool {
        let host = authority.host();
        let address = address(host);
        host == "localhost"
            || address.is_some_and(|own| own.is_loopback())
            // 0.0.0.0 leads to loopback as well, and browsers take it for another site than loopback.
            || address.is_some_and(|own| self.addresses && !own.is_unspecified())
            || self.names_upstream(authority)
            || self.others.iter().any(|pattern| pattern.matches(host))
    }

    fn names_upstream(&self, authority: &Authority) -> bool {
        self.upstream.as_ref().is_some_and(|(host, port)| {
            **host == *authority.host() && authority.port().is_none_or(|own| own == *port)
        })
    }
}

fn address(host: &str) -> Option<std::net::IpAddr> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address: std::net::IpAddr = bare.parse().ok()?;
    Some(address.to_canonical())
}

/// What of an upstream is within reach of an outbound listener's callers, and who those may be.
#[derive(Clone, Debug)]
pub struct Reach {
    /// One route, open to anyone; what it does not match is out of reach.
    policy: Policy,
    /// As configured; `None`: the whole upstream.
    paths: Option<Vec<PathPattern>>,
    hosts: KnownHosts,
    authorization: OwnAuthorization,
}

impl Reach {
    /// Compiles what the listener `name` may reach: `paths`, by whatever method, or everything.
    ///
    /// # Errors
    /// What is wrong with the paths.
    pub fn new(
        name: &Arc<str>,
        paths: Option<Vec<PathPattern>>,
        hosts: KnownHosts,
        authorization: OwnAuthorization,
    ) -> Result<Self, Vec<RouteError>> {
        let everything = || PathPattern::parse("/**").map(|path| vec![path]);
        let matched = match &paths {
            Some(paths) => paths.clone(),
            None => everything().unwrap_or_default(),
        };
        let mut route = RouteSettings::new(name, matched, MethodTable::Any(Access::Anyone));
        // One route has no neighbour that it could be taken for.
        route.near_miss = NearMiss::Allow;
        route.grpc = true;
        route.upgrade = vec!["websocket".into()];
        let mut policy = PolicyBuilder::new(&RateLimits::default());
        policy.listener(name, None);
        policy.route(route)?;
        Ok(Self {
            policy: policy.build(),
            paths,
            hosts,
            authorization,
        })
    }

    /// Whether both answer under the same hosts, and treat callers' own tokens the same.
    pub(crate) fn answers_like(&self, other: &Self) -> bool {
        self.hosts == other.hosts && self.authorization == other.authorization
    }

    /// How paths are read.
    #[must_use]
    pub const fn reading(&self) -> PathReading {
        match self.paths {
            Some(_) => PathReading::Judged,
            None => PathReading::AsWritten,
        }
    }

    /// What is within reach; `None`: the whole upstream.
    #[must_use]
    pub fn paths(&self) -> Option<&[PathPattern]> {
        self.paths.as_deref()
    }

    /// What becomes of an `Authorization` that a caller brings.
    #[must_use]
    pub const fn authorization(&self) -> OwnAuthorization {
        self.authorization
    }

    /// Which of the paths match a request; for explanations. [`Canonical::reach`] decides.
    #[must_use]
    pub fn considered(&self, head: &Head) -> Candidates {
        self.policy.considered(head)
    }

    /// Whether the caller is one of those that the listener is for. Over a Unix socket no web page comes, and a `Host`
    /// there is what the program's library makes up.
    fn admit(&self, head: &Head) -> Result<(), Rejection> {
        let over_unix = head.connection().unix;
        let known = self.hosts.hold(head.authority()) || (over_unix && !head.absolute_form);
        if !known {
            return Err(Rejection::Misdirected);
        }
        if !over_unix && is_of_a_web_page(head) {
            return Err(Rejection::WebPage);
        }
        if self.authorization == OwnAuthorization::Refuse
            && head.headers().contains_key(AUTHORIZATION)
        {
            return Err(Rejection::OwnAuthorization);
        }
        Ok(())
    }
}

/// Whether a browser says that a page asks (Fetch standard): `Origin` comes with all that may change something, and
/// `Sec-Fetch-Site` (W3C Fetch Metadata) with everything that goes to loopback.
fn is_of_a_web_page(head: &Head) -> bool {
    const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    let headers = head.headers();
    // `none` is a person who typed the address.
    let own = |site: &http::HeaderValue| matches!(site.as_bytes(), b"none" | b"same-origin");
    headers.contains_key(ORIGIN) || !headers.get_all(SEC_FETCH_SITE).iter().all(own)
}

/// A request of an outbound listener that may go to its upstream.
#[derive(Debug)]
pub struct Reachable<B>(Routed<B>);

impl<B> Canonical<B> {
    /// Decides whether the request is one that the listener is for, and whether its target is within reach.
    ///
    /// # Errors
    /// A host that is not ours, a web page, an `Authorization` of the caller's own, a path that is out of reach or
    /// ambiguous, or an upgrade to something else than WebSocket.
    pub fn reach(self, reach: &Reach, now: Now) -> Result<Reachable<B>, Box<Refused<B>>> {
        if let Err(rejection) = reach.admit(self.head()) {
            return Err(self.refuse(rejection));
        }
        self.route(&reach.policy, now).map(Reachable)
    }
}

impl<B> Reachable<B> {
    /// The judged part of the request.
    #[must_use]
    pub fn head(&self) -> &Head {
        self.0.head()
    }

    /// The one route of its listener.
    #[must_use]
    pub const fn route(&self) -> &Arc<Route> {
        self.0.route()
    }

    pub(crate) fn open(self, opener: &Opener) -> (Granted, B) {
        let (head, route, sealed) = self.0.open(opener);
        let granted = Granted {
            head,
            route,
            principal: None,
            caller: None,
            until: None,
            observed: None,
        };
        (granted, sealed)
    }

    /// Ends the request's way here.
    pub(crate) fn refuse(self, rejection: Rejection) -> Box<Refused<B>> {
        self.0.refuse(rejection)
    }
}
