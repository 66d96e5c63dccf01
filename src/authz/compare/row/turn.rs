//! One policy's turn: the request under its row, asked about whoever it is.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::authn::{self, Claims, Issuers, Principal, Verified};
use crate::authz::Routed;
use crate::authz::access::{Access, Demand};
use crate::authz::compare::points::{Second, Which};
use crate::authz::compare::{Answer, Presented};
use crate::authz::condition::{Alternative, Condition};
use crate::authz::evaluate;
use crate::authz::route::{ActorToken, AuthorizationHeader, Route};
use crate::authz::trace::Evaluation;
use crate::clock::Now;
use crate::rejection::{Rejection, TokenFault};
use crate::request::{ClientCertificate, Connection};

/// What one policy makes of a request before it knows who asks.
pub(in crate::authz::compare) struct Turn<'a> {
    pub(in crate::authz::compare) which: Which,
    pub(in crate::authz::compare) issuers: &'a Issuers,
    /// The request under its row, or why it is refused whoever asks.
    pub(in crate::authz::compare) routed: Result<Routed<()>, &'static str>,
    pub(in crate::authz::compare) route: Option<Arc<Route>>,
    pub(in crate::authz::compare) connection: &'a Arc<Connection>,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::authz::compare) struct Bearer {
    pub(in crate::authz::compare) token: Presented,
    pub(in crate::authz::compare) second: Second,
    pub(in crate::authz::compare) client: IpAddr,
    pub(in crate::authz::compare) certificate: Option<ClientCertificate>,
}

/// What becomes of a request: how it goes on, or why it does not.
pub(super) type Outcome = Result<Treatment, &'static str>;

/// What the upstream is told of a request that passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Treatment {
    /// Whether a principal is known.
    pub(super) known: bool,
    pub(super) caller: Option<Arc<str>>,
    pub(super) second: bool,
    /// Whether `Authorization` goes on.
    pub(super) forwards: bool,
}

impl Turn<'_> {
    pub(super) fn access(&self) -> Option<&Access> {
        self.routed.as_ref().ok()?.found.access()
    }

    pub(super) fn demand(&self) -> Option<Demand> {
        self.routed.as_ref().ok().map(Routed::demand)
    }

    pub(super) fn alternatives(&self) -> &[Alternative] {
        match self.access() {
            Some(Access::Rules { alternatives, .. }) => alternatives,
            Some(Access::Anyone | Access::Nobody) | None => &[],
        }
    }

    /// The second token that is looked at.
    pub(super) fn second(&self) -> Option<&ActorToken> {
        match self.demand() {
            None | Some(Demand::Public) => None,
            Some(_) => self.routed.as_ref().ok()?.actor_token(),
        }
    }

    pub(super) fn parameters(&self) -> Vec<(String, String)> {
        let Ok(routed) = &self.routed else {
            return Vec::new();
        };
        let paths = routed.route().settings().paths.iter();
        let mut names: Vec<&Arc<str>> = paths
            .flat_map(|path| path.parameters().map(|(name, _)| name))
            .collect();
        names.sort();
        names.dedup();
        names
            .into_iter()
            .filter_map(|name| Some((name.to_string(), routed.parameter(name)?.to_owned())))
            .collect()
    }

    /// What becomes of the request when this one asks.
    pub(super) fn ask(&mut self, bearer: &Bearer, claims: Option<&Claims>, now: Now) -> Outcome {
        let issuers = self.issuers;
        let routed = self.routed.as_mut().map_err(|reason| *reason)?;
        let head = routed.head_mut();
        head.client = bearer.client;
        if head.connection.client_certificate != bearer.certificate {
            head.connection = Arc::new(Connection {
                listener: Arc::clone(&self.connection.listener),
                peer: bearer.client,
                tls: true,
                unix: false,
                client_certificate: bearer.certificate.clone(),
            });
        }
        let second = bearer.second.claims()?;
        let parties = parties(routed, bearer, claims, second.as_ref(), issuers, now);
        let (principal, second) = parties.map_err(|rejection| rejection.reason())?;
        let caller = evaluate::decide(routed, &principal, second.as_ref(), &mut ())
            .map_err(|(rejection, _)| rejection.reason())?;
        let sends = bearer.token != Presented::None;
        let forward = routed.route().authorization() == AuthorizationHeader::Forward;
        Ok(Treatment {
            known: matches!(principal, Principal::Known(_)),
            caller,
            second: second.is_some(),
            forwards: sends && (forward || matches!(principal, Principal::Opaque)),
        })
    }

    /// The conditions that do not hold, of the alternative that came closest.
    pub(super) fn lacking(&mut self, bearer: &Bearer, now: Now) -> Vec<Condition> {
        let Presented::Claims(claims) = &bearer.token else {
            return Vec::new();
        };
        let claims = read(claims);
        let Ok(second) = bearer.second.claims() else {
            return Vec::new();
        };
        // Also puts the bearer's address and certificate into the request.
        let refused = self.ask(bearer, claims.as_ref(), now).is_err();
        let Some(routed) = self.routed.as_ref().ok().filter(|_| refused) else {
            return Vec::new();
        };
        let mut seen = Evaluation::default();
        if let Ok((principal, second)) = parties(
            routed,
            bearer,
            claims.as_ref(),
            second.as_ref(),
            self.issuers,
            now,
        ) {
            let _refused = evaluate::decide(routed, &principal, second.as_ref(), &mut seen);
        }
        let closest = seen.closest.and_then(|at| {
            let own = seen.alternatives.get(at).filter(|own| own.of_issuer)?;
            Some((self.alternatives().get(at)?, own))
        });
        closest.map_or_else(Vec::new, |(alternative, seen)| {
            let conditions = alternative.conditions.iter().zip(&seen.conditions);
            let missed = conditions.filter(|(_, holds)| !**holds);
            missed.map(|(condition, _)| condition.clone()).collect()
        })
    }

    pub(super) fn answer(&self, outcome: &Outcome) -> Answer {
        Answer {
            route: self.route.as_ref().map(|route| Arc::clone(route.name())),
            decision: match outcome {
                Ok(treatment) => Ok(treatment.caller.clone()),
                Err(reason) => Err(reason),
            },
        }
    }
}

type Parties = (Principal, Option<Rc<Verified>>);

/// Who asks, as authentication finds it where tokens hold that are said to.
fn parties(
    routed: &Routed<()>,
    bearer: &Bearer,
    claims: Option<&Claims>,
    second: Option<&Claims>,
    issuers: &Issuers,
    now: Now,
) -> Result<Parties, Rejection> {
    let demand = routed.demand();
    if demand == Demand::Public {
        return Ok((Principal::Anonymous, None));
    }
    let fault = Rejection::InvalidToken;
    let principal = match (&bearer.token, claims) {
        (Presented::Claims(_), Some(claims)) => {
            let verified = authn::assumed(claims, None, issuers, now).map_err(fault)?;
            Principal::Known(verified)
        }
        (Presented::Opaque, _) if demand.takes_opaque() => Principal::Opaque,
        (Presented::None, _) if demand.takes_anonymous() => Principal::Anonymous,
        (Presented::None, _) => return Err(Rejection::NoToken),
        (Presented::Opaque, _) => return Err(fault(TokenFault::Malformed)),
        (Presented::Bad | Presented::Claims(_), _) => return Err(fault(TokenFault::Signature)),
    };
    let second = match (routed.actor_token(), &bearer.second, second) {
        (None, _, _) => None,
        (Some(wanted), Second::Absent, _) if wanted.required => {
            return Err(fault(TokenFault::ActorMissing));
        }
        (Some(_), Second::Absent, _) => None,
        (Some(wanted), Second::Claims(_), Some(claims)) => {
            let verified = authn::assumed(claims, Some(&wanted.issuer), issuers, now);
            Some(verified.map_err(|_| fault(TokenFault::Actor))?)
        }
        (Some(_), Second::Bad | Second::Claims(_), _) => return Err(fault(TokenFault::Actor)),
    };
    Ok((principal, second))
}

pub(super) fn read(claims: &Map<String, Value>) -> Option<Claims> {
    let text = serde_json::to_vec(claims).ok()?;
    Claims::parse(&text).ok()
}

impl Second {
    fn claims(&self) -> Result<Option<Claims>, &'static str> {
        match self {
            Self::Absent | Self::Bad => Ok(None),
            Self::Claims(claims) => read(claims).map(Some).ok_or("claims"),
        }
    }
}
