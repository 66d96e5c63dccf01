//! Authorization: whether the caller may. Route table, conditions, rate limits; pure.

mod condition;
mod pattern;
mod policy;
mod rate_limit;
mod route;
mod table;

use std::sync::Arc;

pub use condition::{Alternative, Condition};
pub use pattern::{HostPattern, PathPattern, PatternError};
pub use policy::{Caller, Conflict, Policy, PolicyBuilder};
pub use rate_limit::{RateLimit, RateLimitKey};
pub use route::{Access, ActorToken, MethodTable, Route, RouteSettings};

use crate::authn::{Known, Principal};
use crate::clock::{Now, UnixTime};
use crate::rejection::Rejection;
use crate::request::{Canonical, Head, Opener, Refused};

/// What a route asks of credentials, for the method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// `anyone`: no token is looked at.
    Public,
    /// `anonymous`: no token passes as anonymous, a bad one is refused.
    Optional,
    /// `opaque`: a bearer token that is no JWT passes untouched; one shaped like a JWT must verify.
    Opaque,
    /// A token that holds. `nobody` asks for it too, so that a refusal does not tell strangers about the route.
    Token,
}

/// A request that one route owns, with the values of the path's parameters.
#[derive(Debug)]
pub struct Routed<B> {
    request: Canonical<B>,
    route: Arc<Route>,
    generation: u64,
}

impl<B> Canonical<B> {
    /// Finds the route that owns the request, its method table and the limits that come before authentication.
    ///
    /// # Errors
    /// No route, a near miss, a method that the route does not list, a path that the route does not take, or a limit.
    pub fn route(self, policy: &Policy, now: Now) -> Result<Routed<B>, Box<Refused<B>>> {
        let _ = (policy, now);
        Err(self.refuse(Rejection::NoRoute))
    }
}

impl<B> Routed<B> {
    /// The judged part of the request.
    #[must_use]
    pub fn head(&self) -> &Head {
        self.request.head()
    }

    pub(crate) fn head_mut(&mut self) -> &mut Head {
        self.request.head_mut()
    }

    /// The route that owns the request.
    #[must_use]
    pub const fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// What the route asks of credentials for this request's method.
    #[must_use]
    pub fn demand(&self) -> Demand {
        Demand::Token
    }

    /// The second token that the route takes.
    #[must_use]
    pub fn actor_token(&self) -> Option<&ActorToken> {
        None
    }

    /// The generation of the policy that was used.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn open(self, opener: &Opener) -> (Box<Head>, Arc<Route>, B) {
        let (head, sealed) = self.request.open(opener);
        (head, self.route, sealed)
    }

    /// Ends the request's way here.
    pub(crate) fn refuse(self, rejection: Rejection) -> Box<Refused<B>> {
        let route = self.route;
        self.request
            .refuse(rejection)
            .with(|facts| facts.route = Some(route))
    }
}

/// A request that policy allows.
#[derive(Debug)]
pub struct Allowed<B> {
    known: Known<B>,
    caller: Option<Arc<str>>,
    until: Option<UnixTime>,
}

impl<B> Known<B> {
    /// Decides.
    ///
    /// # Errors
    /// No alternative of the route holds, or a limit.
    pub fn authorize(self, now: Now) -> Result<Allowed<B>, Box<Refused<B>>> {
        let _ = now;
        Err(self.refuse(Rejection::NoRoute))
    }
}

impl<B> Allowed<B> {
    /// The judged part of the request.
    #[must_use]
    pub fn head(&self) -> &Head {
        self.known.head()
    }

    /// The route that owns the request.
    #[must_use]
    pub fn route(&self) -> &Arc<Route> {
        self.known.route()
    }

    /// Who asks.
    #[must_use]
    pub const fn principal(&self) -> &Principal {
        self.known.principal()
    }

    /// The caller that the matching alternative named.
    #[must_use]
    pub const fn caller(&self) -> Option<&Arc<str>> {
        self.caller.as_ref()
    }

    /// When the grant ends: the token's `exp` plus leeway.
    #[must_use]
    pub const fn until(&self) -> Option<UnixTime> {
        self.until
    }

    pub(crate) fn known(&self) -> &Known<B> {
        &self.known
    }

    pub(crate) fn known_mut(&mut self) -> &mut Known<B> {
        &mut self.known
    }

    pub(crate) fn open(self, opener: &Opener) -> (Granted, B) {
        let (head, route, principal, sealed) = self.known.open(opener);
        (
            Granted {
                head,
                route,
                principal,
                caller: self.caller,
                until: self.until,
            },
            sealed,
        )
    }

    /// Ends the request's way here.
    pub(crate) fn refuse(self, rejection: Rejection) -> Box<Refused<B>> {
        let caller = self.caller;
        self.known
            .refuse(rejection)
            .with(|facts| facts.caller = caller)
    }
}

/// What is left of an allowed request when its body was taken out.
#[derive(Debug)]
pub struct Granted {
    pub(crate) head: Box<Head>,
    pub(crate) route: Arc<Route>,
    pub(crate) principal: Principal,
    pub(crate) caller: Option<Arc<str>>,
    pub(crate) until: Option<UnixTime>,
}
