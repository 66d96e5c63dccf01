//! Authentication: who asks. Bearer token in, principal out.
//!
//! Pure: keys come from [`KeyCell`]s that [`crate::jwks`] fills, time is an argument. When a key is missing,
//! [`identify`] says which one; the caller waits for it and asks once more. So it is where somebody else judges the tokens of
//! an issuer ([`Reviewer`]): [`identify`] says what has to be asked, and gets the answer as data.

mod cache;
mod claims;
mod confirmation;
mod credential;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod issuer;
mod json;
mod key_set;
mod nonce;
mod proof;
mod replay;
mod review;
#[cfg(test)]
pub(crate) mod tests;
mod token;
mod verify;

use std::rc::Rc;
use std::sync::Arc;

use http::HeaderMap;

pub(crate) use verify::assumed;

pub use cache::{CacheCounts, DEFAULT_CACHE_BYTES, TokenCache};
pub use claims::{ClaimPath, ClaimPathError, Claims};
pub use issuer::{
    Audiences, ClaimMappings, Issuer, IssuerSettings, Issuers, KeyIdRule, TokenSources, Trust,
};
pub use json::{Document, Json, JsonError, List, Members};
pub use key_set::{
    Algorithm, KeyCell, KeyInfo, KeySet, KeySetError, KeyState, SkippedKey, Thumbprint,
};

pub use proof::{DpopSettings, Proofs};
pub use review::{Review, ReviewFault, ReviewKind, ReviewWanted, Reviewed, Reviewer};

use self::confirmation::Confirmation;
use self::credential::Source;
use self::proof::{Fresh, Presented};
use self::verify::{Failure, Origin};
use crate::authz::{ActorToken, Demand, Route, Routed};
use crate::clock::{Now, UnixTime};
use crate::rejection::{Rejection, TokenFault};
use crate::request::{ClientCertificate, Head, Opener, Refused};

/// The authenticated party, or explicitly nobody in particular.
#[derive(Clone, Debug)]
pub enum Principal {
    /// No token was needed, or none was looked at.
    Anonymous,
    /// An unverifiable token passes on a route that takes such tokens; there is no identity.
    Opaque,
    /// A token that holds.
    Known(Rc<Verified>),
}

/// A token that holds: its claims in the terms of policy. Made once per token and cached.
#[derive(Debug)]
pub struct Verified {
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) thumbprint: Thumbprint,
    pub(crate) claims: Claims,
    pub(crate) subject: Option<Box<str>>,
    pub(crate) client: Option<Box<str>>,
    pub(crate) account: Option<Box<str>>,
    /// Implied ones included, sorted, unique.
    pub(crate) scopes: Vec<Box<str>>,
    pub(crate) roles: Vec<Box<str>>,
    pub(crate) groups: Vec<Box<str>>,
    pub(crate) issued_at: Option<UnixTime>,
    pub(crate) not_before: Option<UnixTime>,
    /// `exp`, without leeway.
    pub(crate) expires: UnixTime,
    /// What it is bound to; `None`: it is good in anybody's hands.
    pub(crate) confirmation: Option<Box<Confirmation>>,
    /// Identity headers are prepared once per token and generation; [`crate::identity`] keeps them here.
    pub(crate) prepared: std::cell::RefCell<Option<Rc<crate::identity::Prepared>>>,
}

/// A request whose caller is known.
#[derive(Debug)]
pub struct Known<B> {
    routed: Routed<B>,
    principal: Principal,
    actor: Option<Rc<Verified>>,
    observed: Option<Rejection>,
}

/// What came of [`identify`].
#[derive(Debug)]
pub enum Identified<B> {
    /// The principal is known.
    Known(Known<B>),
    /// The key that the token names is not held. Ask for it and call [`identify`] again.
    NeedsKey(Routed<B>, KeyWanted),
    /// Somebody has to be asked about a token. Ask, and call [`identify`] again with the answer.
    NeedsReview(Routed<B>, ReviewWanted),
    /// The credential does not hold, or there is none where one is needed.
    Rejected(Box<Refused<B>>),
}

/// A key that a token names and that is not held.
#[derive(Clone, Debug)]
pub struct KeyWanted {
    /// Whose.
    pub issuer: Arc<Issuer>,
    /// `None` when no key of the issuer is held at all and the token names none.
    pub kid: Option<Box<str>>,
}

/// Verifies the credentials of a routed request.
///
/// What the credential was, is taken out of the head where the upstream must not see it: the second token's header, and
/// the token among the WebSocket subprotocols. `Authorization` stays; whether it is forwarded, the route says.
///
/// `reviews` are the answers to what this request has asked for before; none at first.
pub fn identify<B>(
    mut routed: Routed<B>,
    issuers: &Issuers,
    reviews: &[Reviewed],
    cache: &mut TokenCache,
    now: Now,
) -> Identified<B> {
    let head = routed.head();
    let asked = Asked {
        headers: head.headers(),
        query: head.path().query(),
        certificate: head.connection().client_certificate.as_ref(),
        presented: Presented {
            proof: head.proof.as_deref(),
            method: head.method(),
            path: head.path().path_str(),
        },
        demand: routed.demand(),
        actor: routed.actor_token(),
        reviews,
    };
    match asked.authenticate(issuers, cache, now) {
        Ok((principal, actor)) => {
            strip_credentials(&mut routed, issuers);
            if principal.is_bound_to_a_key() {
                // Its proof ended here: what is left is nothing that the upstream could check, nor take for a bearer.
                routed.head_mut().authorization_is_hop = true;
            }
            Identified::Known(Known {
                routed,
                principal,
                actor,
                observed: None,
            })
        }
        Err(Denied::NeedsKey(wanted)) => Identified::NeedsKey(routed, wanted),
        Err(Denied::NeedsReview(wanted)) => Identified::NeedsReview(routed, wanted),
        Err(Denied::Rejected(rejection)) => match give_up(routed, rejection, issuers, now) {
            Ok(known) => Identified::Known(known),
            Err(refused) => Identified::Rejected(refused),
        },
    }
}

/// Refuses a request whose caller could not be identified. Where the route only observes, the request goes on as
/// anonymous, and the rejection is remembered for the record.
///
/// # Errors
/// `rejection`, where the route is enforced.
pub fn give_up<B>(
    mut routed: Routed<B>,
    rejection: Rejection,
    issuers: &Issuers,
    now: Now,
) -> Result<Known<B>, Box<Refused<B>>> {
    // Two readings are never let through: observing is about policy, not about HTTP.
    if !routed.observes(now) || matches!(rejection, Rejection::Malformed(_)) {
        return Err(routed.refuse(rejection));
    }
    strip_credentials(&mut routed, issuers);
    Ok(Known {
        routed,
        principal: Principal::Anonymous,
        actor: None,
        observed: Some(rejection),
    })
}

/// Takes out of the head what of the credentials the upstream must not see.
fn strip_credentials<B>(routed: &mut Routed<B>, issuers: &Issuers) {
    let actor_header = routed.actor_token().map(|actor| actor.header.clone());
    let headers = &mut routed.head_mut().headers;
    if let Some(name) = actor_header {
        headers.remove(name);
    }
    if issuers.sources().websocket_protocol {
        credential::strip_websocket(headers);
    }
}

/// What authentication looks at: a request's credentials and what its route asks of them.
struct Asked<'a> {
    headers: &'a HeaderMap,
    query: Option<&'a str>,
    /// The connection's verified client certificate.
    certificate: Option<&'a ClientCertificate>,
    presented: Presented<'a>,
    demand: Demand,
    actor: Option<&'a ActorToken>,
    reviews: &'a [Reviewed],
}

enum Denied {
    Rejected(Rejection),
    NeedsKey(KeyWanted),
    NeedsReview(ReviewWanted),
}

impl From<Rejection> for Denied {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<TokenFault> for Denied {
    fn from(fault: TokenFault) -> Self {
        Self::Rejected(Rejection::InvalidToken(fault))
    }
}

impl From<Failure> for Denied {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Fault(fault) => fault.into(),
            Failure::NeedsKey(wanted) => Self::NeedsKey(wanted),
            Failure::NeedsReview(wanted) => Self::NeedsReview(wanted),
        }
    }
}

type Parties = (Principal, Option<Rc<Verified>>);

impl Asked<'_> {
    fn authenticate(
        &self,
        issuers: &Issuers,
        cache: &mut TokenCache,
        now: Now,
    ) -> Result<Parties, Denied> {
        if self.demand == Demand::Public {
            return Ok((Principal::Anonymous, None));
        }
        let (principal, proof) = self.principal(issuers, cache, now)?;
        let actor = match self.actor {
            Some(actor) => self.actor(actor, issuers, cache, now)?,
            None => None,
        };
        // Last: while a key or a review is waited for, the proof is not used up.
        if let Some(proof) = proof {
            proof.remember(now)?;
        }
        Ok((principal, actor))
    }

    fn principal(
        &self,
        issuers: &Issuers,
        cache: &mut TokenCache,
        now: Now,
    ) -> Result<(Principal, Option<Fresh>), Denied> {
        let Some(credential) = credential::find(self.headers, self.query, issuers)? else {
            return match self.demand {
                Demand::Public | Demand::Optional | Demand::OptionalOpaque => {
                    Ok((Principal::Anonymous, None))
                }
                Demand::Opaque | Demand::Token => Err(Rejection::NoToken.into()),
            };
        };
        if self.demand.takes_opaque()
            && credential.source == Source::Bearer
            && !token::looks_like_jwt(&credential.token)
        {
            let principal = opaque(&credential.token, issuers)?;
            return Ok((principal, None));
        }
        let origin = Origin {
            source: credential.source,
            issuer: None,
            reviews: self.reviews,
        };
        let verified = verify::verify(&credential.token, origin, issuers, cache, now)?;
        let key = self.confirm(&verified)?;
        let proof = match (credential.source, key) {
            (Source::Dpop, Some(key)) => {
                let issuer = issuers.current(&verified.issuer);
                let issuer = issuer.unwrap_or(&verified.issuer);
                let token = &credential.token;
                Some(self.presented.check(token, key, issuer, now)?)
            }
            // A proof of a key that the token does not name proves nothing.
            (Source::Dpop, None) => return Err(TokenFault::NotBound.into()),
            // Whoever stole it would send it so (RFC 9449 section 7.2).
            (_, Some(_)) => return Err(TokenFault::Bound.into()),
            (_, None) if verified.issuer.requires_proofs() => {
                return Err(TokenFault::NotBound.into());
            }
            (_, None) => None,
        };
        Ok((Principal::Known(verified), proof))
    }

    /// A token that is bound to something is worth nothing without it, whoever else may hold it. Gives the key that is to
    /// be proven; the certificate was.
    fn confirm(&self, verified: &Verified) -> Result<Option<Thumbprint>, TokenFault> {
        let Some(confirmation) = &verified.confirmation else {
            return Ok(None);
        };
        confirmation.check_certificate(self.certificate)?;
        Ok(confirmation.key())
    }

    fn actor(
        &self,
        actor: &ActorToken,
        issuers: &Issuers,
        cache: &mut TokenCache,
        now: Now,
    ) -> Result<Option<Rc<Verified>>, Denied> {
        let Some(value) = credential::single(self.headers, &actor.header)? else {
            return if actor.required {
                Err(TokenFault::ActorMissing.into())
            } else {
                Ok(None)
            };
        };
        let origin = Origin {
            source: Source::Header,
            issuer: Some(&actor.issuer),
            reviews: self.reviews,
        };
        match verify::verify(value.as_bytes(), origin, issuers, cache, now) {
            // Proofs are the first token's: there is one field for them. Where its issuer wants one, a second token has none.
            Ok(verified)
                if self.confirm(&verified) == Ok(None) && !verified.issuer.requires_proofs() =>
            {
                Ok(Some(verified))
            }
            Ok(_) | Err(Failure::Fault(_)) => Err(TokenFault::Actor.into()),
            Err(Failure::NeedsKey(wanted)) => Err(Denied::NeedsKey(wanted)),
            Err(Failure::NeedsReview(wanted)) => Err(Denied::NeedsReview(wanted)),
        }
    }
}

/// A token that nobody here can verify: bounded, and of the characters that a bearer token may have.
fn opaque(token: &[u8], issuers: &Issuers) -> Result<Principal, TokenFault> {
    if token.len() > issuers.token_bytes() {
        return Err(TokenFault::TooLarge);
    }
    if !credential::is_b64token(token) {
        return Err(TokenFault::Malformed);
    }
    Ok(Principal::Opaque)
}

impl Principal {
    /// Whether its token passed with a proof of a key.
    fn is_bound_to_a_key(&self) -> bool {
        match self {
            Self::Known(verified) => {
                let confirmation = verified.confirmation.as_deref();
                confirmation.and_then(Confirmation::key).is_some()
            }
            Self::Anonymous | Self::Opaque => false,
        }
    }
}

impl Verified {
    /// About how many bytes of memory it takes; what is prepared for it is not counted.
    fn weight(&self) -> usize {
        const BLOCK: usize = 16; // what an allocator adds to a block
        let words = [&self.scopes, &self.roles, &self.groups];
        let words = words.into_iter().flatten().map(Box::as_ref);
        let parties = [&self.subject, &self.client, &self.account];
        let parties = parties.into_iter().flatten().map(Box::as_ref);
        let texts = words.chain(parties).fold(0_usize, |sum, text: &str| {
            sum.saturating_add(text.len() + size_of::<Box<str>>() + BLOCK)
        });
        size_of::<Self>()
            .saturating_add(texts)
            .saturating_add(self.claims.weight())
    }

    /// Whose token it is.
    #[must_use]
    pub const fn issuer(&self) -> &Arc<Issuer> {
        &self.issuer
    }

    /// The key that it was verified with; zeros where somebody else judged it.
    #[must_use]
    pub const fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }

    /// All claims.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The subject; never empty.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// The client; never empty.
    #[must_use]
    pub fn client(&self) -> Option<&str> {
        self.client.as_deref()
    }

    /// The account; never empty.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// Scopes, implied ones included; sorted, unique.
    #[must_use]
    pub fn scopes(&self) -> &[Box<str>] {
        &self.scopes
    }

    /// Roles; sorted, unique.
    #[must_use]
    pub fn roles(&self) -> &[Box<str>] {
        &self.roles
    }

    /// Groups; sorted, unique.
    #[must_use]
    pub fn groups(&self) -> &[Box<str>] {
        &self.groups
    }

    /// Whether `scope` was granted or is implied.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes
            .binary_search_by(|own| (**own).cmp(scope))
            .is_ok()
    }

    /// Namespace and name of a Kubernetes ServiceAccount; `None` for tokens of any other issuer, whatever they say.
    #[must_use]
    pub fn service_account(&self) -> Option<(&str, &str)> {
        if !self.issuer.settings.kubernetes {
            return None;
        }
        verify::service_account(self.subject.as_deref()?)
    }

    /// When the token ends for us: `exp` plus leeway.
    #[must_use]
    pub fn until(&self) -> UnixTime {
        self.expires.plus(self.issuer.leeway())
    }

    /// `exp`.
    #[must_use]
    pub const fn expires(&self) -> UnixTime {
        self.expires
    }
}

impl<B> Known<B> {
    #[cfg(test)]
    pub(crate) const fn for_test(
        routed: Routed<B>,
        principal: Principal,
        actor: Option<Rc<Verified>>,
    ) -> Self {
        Self {
            routed,
            principal,
            actor,
            observed: None,
        }
    }

    /// The judged part of the request.
    #[must_use]
    pub fn head(&self) -> &Head {
        self.routed.head()
    }

    /// The route that owns the request.
    #[must_use]
    pub fn route(&self) -> &Arc<Route> {
        self.routed.route()
    }

    /// Who asks.
    #[must_use]
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The party of the second token.
    #[must_use]
    pub const fn actor(&self) -> Option<&Rc<Verified>> {
        self.actor.as_ref()
    }

    /// What the request would have been refused for, where its route only observes.
    #[must_use]
    pub const fn observed(&self) -> Option<&Rejection> {
        self.observed.as_ref()
    }

    /// Remembers what an observing route does not enforce; the first rejection counts.
    pub(crate) fn observe(&mut self, rejection: Rejection) {
        self.observed.get_or_insert(rejection);
    }

    pub(crate) fn routed(&self) -> &Routed<B> {
        &self.routed
    }

    pub(crate) fn routed_mut(&mut self) -> &mut Routed<B> {
        &mut self.routed
    }

    pub(crate) fn open(self, opener: &Opener) -> (Box<Head>, Arc<Route>, Principal, B) {
        let (head, route, sealed) = self.routed.open(opener);
        (head, route, self.principal, sealed)
    }

    /// Ends the request's way here.
    pub(crate) fn refuse(self, rejection: Rejection) -> Box<Refused<B>> {
        let principal = self.principal;
        self.routed
            .refuse(rejection)
            .with(|facts| facts.principal = Some(principal))
    }
}
