//! Authorization: whether the caller may. Route table, conditions, rate limits; pure.

mod access;
mod check;
pub mod compare;
mod condition;
mod evaluate;
mod find;
mod pattern;
mod policy;
mod preflight;
mod ramp;
mod rate_limit;
mod reach;
mod route;
mod table;
mod trace;

use std::sync::Arc;

pub use access::{Access, Demand, MethodRow, MethodTable, TABLELESS_METHODS};
pub use check::{Conflict, RouteError, RouteFault, RoutePlace, fault_of_condition};
pub use condition::{
    AccountRule, ActorRule, Alternative, Caller, CertificateNames, ClaimValue, Condition,
    ServiceAccount, ServiceAccountError,
};
pub use pattern::{HostPattern, PathPattern, PatternError, PatternSegment};
pub use policy::{Policy, PolicyBuilder};
pub use ramp::{ObservedCaller, Share};
pub use rate_limit::{RateLimit, RateLimitKey, RateLimitSettings, RateLimits};
pub use reach::{KnownHosts, OwnAuthorization, Reach, Reachable};
pub use route::{ActorToken, AuthorizationHeader, NearMiss, Route, RouteSettings};
pub use trace::{AlternativeSeen, Candidates, Considered, Evaluation, Watch};

use crate::authn::{Known, Principal};
use crate::clock::{Now, UnixTime};
use crate::rejection::Rejection;
use crate::request::{Canonical, Facts, Head, Opener, Refused};

#[cfg(test)]
mod tests;

/// A request that one route owns, with the values of the path's parameters.
#[derive(Debug)]
pub struct Routed<B> {
    request: Canonical<B>,
    found: find::Found,
    generation: u64,
}

impl<B> Canonical<B> {
    /// Finds the route that owns the request, its method table and the limits that come before authentication.
    ///
    /// # Errors
    /// No route, a near miss, a method that the route does not list, a path or an upgrade that the route does not take,
    /// a method that is for nobody, or a limit.
    pub fn route(self, policy: &Policy, now: Now) -> Result<Routed<B>, Box<Refused<B>>> {
        match find::find(policy, self.head(), now) {
            Ok(found) => Ok(Routed {
                request: self,
                found,
                generation: policy.generation(),
            }),
            Err(find::NotFound { rejection, route }) => {
                Err(self.refuse(rejection).with(|facts| facts.route = route))
            }
        }
    }
}

impl Policy {
    /// The routes whose paths match a request, the most specific first, and those that it nearly hits; for explanations.
    /// [`Canonical::route`] decides.
    #[must_use]
    pub fn considered(&self, head: &Head) -> Candidates {
        find::considered(self, head)
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
        &self.found.route
    }

    /// What the route asks of the request's credential.
    #[must_use]
    pub fn demand(&self) -> Demand {
        self.found.demand()
    }

    /// The row of the route's table that speaks for the request ([`Route::access`]); `None` for a preflight that goes its
    /// own way, and where a refusal is only observed.
    #[must_use]
    pub const fn row(&self) -> Option<usize> {
        self.found.row()
    }

    /// The second token that the route takes. Its header is stripped even where no token is looked at.
    #[must_use]
    pub fn actor_token(&self) -> Option<&ActorToken> {
        self.route().actor_token()
    }

    /// The decoded segment of the path under this parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.found.parameter(self.head(), name)
    }

    /// Whether this is a CORS preflight that we answer ourselves (`preflight: answer`), from
    /// [`Route::allowed_methods`]. It cannot go on: [`Known::authorize`] refuses it.
    #[must_use]
    pub fn is_preflight_to_answer(&self) -> bool {
        self.found.is_preflight_to_answer()
    }

    /// Whether the route decides and records, but does not enforce for this client (`mode: observe`, until its date).
    #[must_use]
    pub fn observes(&self, now: Now) -> bool {
        self.route().observes_for(now, self.head().client())
    }

    /// The generation of the policy that was used.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn open(self, opener: &Opener) -> (Box<Head>, Arc<Route>, B) {
        let (head, sealed) = self.request.open(opener);
        (head, self.found.route, sealed)
    }

    /// Ends the request's way here: we answer it ourselves. The body is only good for discarding.
    pub(crate) fn end(self) -> (Facts, B) {
        let (mut facts, sealed) = self.request.end();
        facts.route = Some(self.found.route);
        (facts, sealed)
    }

    /// Ends the request's way here.
    pub(crate) fn refuse(self, rejection: Rejection) -> Box<Refused<B>> {
        let route = self.found.route;
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
    /// Decides: the first alternative that holds names the caller; then the limits that come after authentication.
    ///
    /// # Errors
    /// No alternative of the route holds (the rejection is that of the one that came closest), or a limit.
    pub fn authorize(self, now: Now) -> Result<Allowed<B>, Box<Refused<B>>> {
        self.authorize_watched(now, &mut ())
    }

    /// [`Self::authorize`], watched: the same decision, and `watch` sees what was made of each condition.
    ///
    /// # Errors
    /// As above.
    pub fn authorize_watched<W: Watch>(
        self,
        now: Now,
        watch: &mut W,
    ) -> Result<Allowed<B>, Box<Refused<B>>> {
        let decided = evaluate::decide(self.routed(), self.principal(), self.actor(), watch)
            .and_then(|caller| {
                evaluate::limit(self.routed(), self.principal(), now)
                    .map_err(|rejection| (rejection, caller.clone()))?;
                Ok(caller)
            });
        match decided {
            Ok(caller) => {
                let until = self.principal().until();
                Ok(Allowed {
                    known: self,
                    caller,
                    until,
                })
            }
            Err((rejection, _))
                if self.is_observed(now)
                    && rejection != Rejection::Internal
                    && !self.routed().is_preflight_to_answer() =>
            {
                let mut known = self;
                known.observe(rejection);
                // What is said about the principal must not outlive its token, whatever policy thinks of it.
                let until = known.principal().until();
                Ok(Allowed {
                    known,
                    caller: None,
                    until,
                })
            }
            Err((rejection, caller)) => {
                Err(self.refuse(rejection).with(|facts| facts.caller = caller))
            }
        }
    }
}

impl<B> Known<B> {
    /// Whether what policy says of the principal is only recorded: the route observes, or a caller that it is.
    fn is_observed(&self, now: Now) -> bool {
        let routed = self.routed();
        routed.observes(now) || evaluate::is_observed_caller(routed, self.principal(), now)
    }
}

impl Principal {
    /// When its token ends: `exp` plus leeway.
    fn until(&self) -> Option<UnixTime> {
        match self {
            Self::Known(verified) => Some(verified.until()),
            Self::Anonymous | Self::Opaque => None,
        }
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

    /// What the request would have been refused for, where its route only observes.
    #[must_use]
    pub fn observed(&self) -> Option<&Rejection> {
        let before = self.known.observed();
        before.or(self.known.routed().found.observed.as_ref())
    }

    pub(crate) fn known(&self) -> &Known<B> {
        &self.known
    }

    pub(crate) fn known_mut(&mut self) -> &mut Known<B> {
        &mut self.known
    }

    pub(crate) fn open(self, opener: &Opener) -> (Granted, B) {
        let observed = self.observed().cloned();
        let (head, route, principal, sealed) = self.known.open(opener);
        (
            Granted {
                observed,
                head,
                route,
                principal: Some(principal),
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
    /// Who asked; callers of outbound listeners are nobody in particular.
    pub(crate) principal: Option<Principal>,
    pub(crate) caller: Option<Arc<str>>,
    pub(crate) until: Option<UnixTime>,
    /// What an observing route did not enforce.
    pub(crate) observed: Option<Rejection>,
}
