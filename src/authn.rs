//! Authentication: who asks. Bearer token in, principal out.
//!
//! Pure: keys come from [`KeyCell`]s that [`crate::jwks`] fills, time is an argument. When a key is missing,
//! [`identify`] says which one; the caller waits for it and asks once more.

mod cache;
mod claims;
mod credential;
mod issuer;
mod key_set;
mod token;

use std::rc::Rc;
use std::sync::Arc;

pub use cache::TokenCache;
pub use claims::Claims;
pub use issuer::{
    Audiences, ClaimMappings, ClaimPath, Issuer, IssuerSettings, Issuers, KeyIdRule, TokenSources,
};
pub use key_set::{Algorithm, KeyCell, KeySet, KeySetError, KeyState, SkippedKey, Thumbprint};

use crate::authz::{Route, Routed};
use crate::clock::{Now, UnixTime};
use crate::rejection::Rejection;
use crate::request::{Head, Opener, Refused};

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
    /// Identity headers are prepared once per token and generation; [`crate::identity`] keeps them here.
    pub(crate) prepared: std::cell::RefCell<Option<Rc<crate::identity::Prepared>>>,
}

/// A request whose caller is known.
#[derive(Debug)]
pub struct Known<B> {
    routed: Routed<B>,
    principal: Principal,
    actor: Option<Rc<Verified>>,
}

/// What came of [`identify`].
#[derive(Debug)]
pub enum Identified<B> {
    /// The principal is known.
    Known(Known<B>),
    /// The key that the token names is not held. Ask for it and call [`identify`] again.
    NeedsKey(Routed<B>, KeyWanted),
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
pub fn identify<B>(
    routed: Routed<B>,
    issuers: &Issuers,
    cache: &mut TokenCache,
    now: Now,
) -> Identified<B> {
    let _ = (issuers, cache, now);
    Identified::Rejected(routed.refuse(Rejection::NoToken))
}

impl<B> Known<B> {
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
