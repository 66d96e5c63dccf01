//! Whether the alternatives of a row let a principal pass.

use std::rc::Rc;
use std::sync::Arc;

use super::Routed;
use super::access::Access;
use super::condition::{
    AccountRule, ActorRule, Alternative, CertificateNames, ClaimValue, Condition, Stage,
};
use super::rate_limit::RateLimitKey;
use super::trace::Watch;
use crate::authn::{Json, Principal, Verified};
use crate::clock::Now;
use crate::rejection::{Refusal, Rejection, TokenFault};
use crate::request::ClientCertificate;

type CallerName = Option<Arc<str>>;

/// Lets the principal pass, as the caller that the matching alternative names, or says why not.
pub(super) fn decide<B, W: Watch>(
    routed: &Routed<B>,
    principal: &Principal,
    actor: Option<&Rc<Verified>>,
    watch: &mut W,
) -> Result<CallerName, (Rejection, CallerName)> {
    decide_access(routed, principal, actor, watch).map_err(|rejection| (rejection, None))
}

fn decide_access<B, W: Watch>(
    routed: &Routed<B>,
    principal: &Principal,
    actor: Option<&Rc<Verified>>,
    watch: &mut W,
) -> Result<CallerName, Rejection> {
    let found = &routed.found;
    if found.is_anonymous() {
        return anonymous_only(principal);
    }
    let (Some(row), Some(access)) = (found.row(), found.access()) else {
        // A preflight that we should have answered: it never goes upstream.
        return Err(Rejection::Forbidden(Refusal::Caller));
    };
    let (anonymous, opaque, alternatives) = match access {
        Access::Nobody => return Err(Rejection::Forbidden(Refusal::Nobody)),
        Access::Anyone => return anonymous_only(principal),
        Access::Rules {
            anonymous,
            opaque,
            alternatives,
        } => (*anonymous, *opaque, alternatives),
    };
    let verified = match principal {
        Principal::Anonymous if anonymous => return Ok(None),
        Principal::Anonymous => return Err(Rejection::NoToken),
        Principal::Opaque if opaque => return Ok(None),
        Principal::Opaque => return Err(Rejection::InvalidToken(TokenFault::Scheme)),
        Principal::Known(verified) => verified,
    };
    let asked = Asked {
        routed,
        verified,
        actor: actor.map(|actor| &**actor),
    };
    asked.first(row, alternatives, watch)
}

/// Whether the principal is a caller of whom decisions are only recorded. A token that does not hold is nobody's: of it no
/// caller is known.
pub(super) fn is_observed_caller<B>(routed: &Routed<B>, principal: &Principal, now: Now) -> bool {
    let Principal::Known(verified) = principal else {
        return false;
    };
    let asked = Asked {
        routed,
        verified,
        actor: None,
    };
    let client = routed.head().client();
    let mut observed = routed.route().observed_callers.iter();
    observed.any(|own| {
        let caller = &own.caller;
        let mut conditions = caller.conditions.iter();
        own.observes(now, client)
            && is_of(verified, &caller.issuer)
            && conditions.all(|condition| asked.condition(condition))
    })
}

/// Where tokens are not looked at, nobody in particular asks: a principal there would become an identity.
const fn anonymous_only(principal: &Principal) -> Result<CallerName, Rejection> {
    match principal {
        Principal::Anonymous => Ok(None),
        Principal::Opaque | Principal::Known(_) => Err(Rejection::Internal),
    }
}

/// Counts an allowed request against the limits that come after authentication.
pub(super) fn limit<B>(
    routed: &Routed<B>,
    principal: &Principal,
    now: Now,
) -> Result<(), Rejection> {
    for limit in &routed.route().after {
        let admitted = match (limit.settings().by, principal) {
            (RateLimitKey::Principal, Principal::Known(verified)) => {
                // A subject and a client of one name are two principals.
                let (kind, name) = match (&verified.subject, &verified.client) {
                    (Some(subject), _) => (1, &**subject),
                    (None, Some(client)) => (2, &**client),
                    (None, None) => (3, ""),
                };
                limit.admit_principal(&verified.issuer.settings.name, kind, name, now.tick)
            }
            (RateLimitKey::ClientAddress, _)
            | (RateLimitKey::Principal, Principal::Anonymous | Principal::Opaque) => {
                limit.admit_address(routed.head().client(), now.tick)
            }
        };
        admitted.map_err(|retry_after| Rejection::RateLimited { retry_after })?;
    }
    Ok(())
}

/// Why an alternative does not hold.
#[derive(Clone, Copy, Debug)]
enum Miss<'r> {
    /// It is about another issuer's tokens.
    Issuer,
    /// The first condition that fails, in the order of stages.
    Condition(&'r Condition),
    /// An account is needed, and the principal has none.
    NoAccount,
}

impl Miss<'_> {
    fn stage(self) -> Option<Stage> {
        match self {
            Self::Issuer => None,
            Self::Condition(condition) => Some(condition.stage()),
            Self::NoAccount => Some(Stage::Account),
        }
    }

    fn refusal(self, scopes: &str) -> Refusal {
        match self {
            Self::Issuer => Refusal::Caller,
            Self::NoAccount => Refusal::AccountRequired,
            Self::Condition(condition) => match condition.stage() {
                Stage::Caller => Refusal::Caller,
                Stage::Other => Refusal::Condition(condition.name()),
                Stage::Account => Refusal::Account,
                Stage::Scope => Refusal::Scope(scopes.into()),
            },
        }
    }
}

/// One request and its principal.
struct Asked<'q, B> {
    routed: &'q Routed<B>,
    verified: &'q Verified,
    actor: Option<&'q Verified>,
}

impl<B> Asked<'_, B> {
    /// The caller of the first alternative that holds, or why the one that came closest does not.
    fn first<W: Watch>(
        &self,
        row: usize,
        alternatives: &[Alternative],
        watch: &mut W,
    ) -> Result<CallerName, Rejection> {
        let mut first: Option<&Alternative> = None;
        let mut closest: Option<(Miss<'_>, usize)> = None;
        for (at, alternative) in alternatives.iter().enumerate() {
            match self.holds(alternative, watch) {
                Ok(()) => {
                    first = first.or(Some(alternative));
                    if !W::THOROUGH {
                        break;
                    }
                }
                Err(miss) => {
                    if closest
                        .as_ref()
                        .is_none_or(|(known, _)| known.stage() < miss.stage())
                    {
                        closest = Some((miss, at));
                    }
                }
            }
        }
        if let Some(alternative) = first {
            return Ok(alternative.caller.clone());
        }
        let (miss, at) = closest.unwrap_or((Miss::Issuer, 0));
        watch.closest(at);
        let scopes = self.routed.route().scopes(row, at);
        Err(Rejection::Forbidden(
            miss.refusal(scopes.unwrap_or_default()),
        ))
    }

    fn holds<'r, W: Watch>(
        &self,
        alternative: &'r Alternative,
        watch: &mut W,
    ) -> Result<(), Miss<'r>> {
        let of_issuer = is_of(self.verified, &alternative.issuer);
        watch.alternative(of_issuer);
        if !of_issuer {
            return Err(Miss::Issuer);
        }
        let mut missed = None;
        for condition in &alternative.conditions {
            let outcome = match condition {
                Condition::Account(rule) => self.account(rule),
                other => Ok(self.condition(other)),
            };
            let holds = outcome.is_ok_and(|holds| holds);
            watch.condition(holds);
            if !holds {
                let miss = outcome.err().unwrap_or(Miss::Condition(condition));
                missed = missed.or(Some(miss));
                if !W::THOROUGH {
                    break;
                }
            }
        }
        missed.map_or(Ok(()), Err)
    }

    /// Scope, audience and names are exact members: no prefix, no case folding (RFC 6749 section 3.3).
    fn condition(&self, condition: &Condition) -> bool {
        let verified = self.verified;
        match condition {
            Condition::Client(_) | Condition::Subject(_) | Condition::ServiceAccount(_) => {
                is_party(verified, condition)
            }
            Condition::Scopes(all) => {
                !all.is_empty() && all.iter().all(|scope| verified.has_scope(scope))
            }
            Condition::AnyScope(any) => any.iter().any(|scope| verified.has_scope(scope)),
            Condition::Roles(any) => any.iter().any(|role| verified.roles.contains(role)),
            Condition::Groups(any) => any.iter().any(|group| verified.groups.contains(group)),
            Condition::ClientAddress(networks) => {
                let client = self.routed.head().client().to_canonical();
                networks.iter().any(|network| network.contains(&client))
            }
            Condition::ClientCertificate(names) => {
                let certificate = &self.routed.head().connection().client_certificate;
                certificate.as_ref().is_some_and(|own| has_name(own, names))
            }
            Condition::Claim { path, values } => verified
                .claims
                .get(path)
                .is_some_and(|claim| values.iter().any(|value| self.claim(claim, value))),
            Condition::Account(rule) => matches!(self.account(rule), Ok(true)),
            Condition::Actor(rule) => self.actor.is_some_and(|actor| is_actor(actor, rule)),
        }
    }

    fn claim(&self, claim: Json<'_>, value: &ClaimValue) -> bool {
        match value {
            ClaimValue::Text(text) => claim.contains(text),
            ClaimValue::Boolean(wanted) => matches!(claim, Json::Bool(own) if own == *wanted),
            ClaimValue::Parameter(name) => {
                self.routed
                    .parameter(name)
                    .is_some_and(|segment| match claim.as_str() {
                        Some(text) => self.same(name, segment, text),
                        None => claim
                            .as_list()
                            .filter(|list| list.iter().all(|member| member.as_str().is_some()))
                            .is_some_and(|list| {
                                list.iter()
                                    .filter_map(Json::as_str)
                                    .any(|text| self.same(name, segment, text))
                            }),
                    })
            }
        }
    }

    /// Whether the account rule holds; no account is a refusal of its own (a service principal on a route that needs
    /// an account).
    fn account<'r>(&self, rule: &AccountRule) -> Result<bool, Miss<'r>> {
        let account = self.verified.account.as_deref().unwrap_or_default();
        if account.is_empty() {
            return Err(Miss::NoAccount);
        }
        Ok(match rule {
            AccountRule::Required => true,
            AccountRule::Parameter(name) => self
                .routed
                .parameter(name)
                .is_some_and(|segment| self.same(name, segment, account)),
        })
    }

    /// One decoded segment against one value of a claim: byte for byte, or with ASCII case folded where the route folds
    /// the parameter. A value with a slash is never one segment, even where a route takes `%2f`.
    fn same(&self, parameter: &str, segment: &str, value: &str) -> bool {
        if value.is_empty() || value.contains('/') {
            return false;
        }
        segment == value
            || (segment.eq_ignore_ascii_case(value) && self.routed.route().folds(parameter))
    }
}

/// Whether a token is of the issuer of this name; names are unique.
fn is_of(verified: &Verified, issuer: &Arc<str>) -> bool {
    let own = &verified.issuer.settings.name;
    Arc::ptr_eq(own, issuer) || own == issuer
}

/// The conditions that say who a party is, for principals and actors alike.
fn is_party(verified: &Verified, condition: &Condition) -> bool {
    let is = |own: &Option<Box<str>>, any: &[Box<str>]| {
        own.as_ref().is_some_and(|own| any.contains(own))
    };
    match condition {
        Condition::Client(any) => is(&verified.client, any),
        Condition::Subject(any) => is(&verified.subject, any),
        Condition::ServiceAccount(any) => {
            // Another issuer may write what it likes into `sub`.
            verified.issuer.settings.kubernetes
                && verified
                    .subject
                    .as_deref()
                    .is_some_and(|own| any.iter().any(|account| account.subject() == own))
        }
        _ => false,
    }
}

fn is_actor(actor: &Verified, rule: &ActorRule) -> bool {
    is_of(actor, &rule.issuer)
        && rule
            .conditions
            .iter()
            .all(|condition| is_party(actor, condition))
}

fn has_name(own: &ClientCertificate, names: &CertificateNames) -> bool {
    let any = |own: &[String], names: &[Box<str>]| {
        names
            .iter()
            .any(|name| own.iter().any(|own| **own == **name))
    };
    any(&own.dns, &names.dns)
        || any(&own.uris, &names.uris)
        || names.sha256.iter().any(|name| **name == *own.sha256)
}
