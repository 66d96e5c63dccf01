//! What is said about one caller, made once per token and configuration and reused for every request.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::{HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::assertion::{self, Cached};
use super::headers::{self, Facts};
use super::{About, AssertionSettings, IdentitySettings, NotVouched, SigningKey};
use crate::authn::Verified;
use crate::clock::UnixTime;

/// Most statements kept per token: one per caller name and actor that the token met.
const KEPT: usize = 8;

/// What was prepared for one token in one generation; [`Verified`] carries it.
#[derive(Debug)]
pub struct Prepared {
    generation: u64,
    entries: RefCell<SmallVec<[Entry; 1]>>,
}

/// A token may match several callers (by different routes) and come with different actors.
#[derive(Debug)]
struct Entry {
    caller: Option<Arc<str>>,
    /// Weak: two tokens may be each other's actors. Its address stays taken as long as this is held.
    actor: Option<Weak<Verified>>,
    statement: Arc<Statement>,
}

impl Entry {
    fn fits(&self, about: &About<'_>) -> bool {
        let same_caller = match (&self.caller, about.caller) {
            (Some(ours), Some(theirs)) => Arc::ptr_eq(ours, theirs) || ours == theirs,
            (None, None) => true,
            _ => false,
        };
        let same_actor = match (&self.actor, about.actor) {
            (Some(ours), Some(theirs)) => std::ptr::eq(ours.as_ptr(), Rc::as_ptr(theirs)),
            (None, None) => true,
            _ => false,
        };
        same_caller && same_actor
    }
}

/// The statement about `verified` as `about` names it, from its own memory where it is there.
pub(super) fn prepared(
    settings: &IdentitySettings,
    generation: u64,
    verified: &Rc<Verified>,
    about: &About<'_>,
) -> Result<Arc<Statement>, NotVouched> {
    let mut slot = verified.prepared.borrow_mut();
    let held = slot
        .take_if(|held| held.generation != generation)
        .is_none()
        .then(|| slot.clone())
        .flatten();
    let held = held.unwrap_or_else(|| {
        let fresh = Rc::new(Prepared {
            generation,
            entries: RefCell::default(),
        });
        *slot = Some(Rc::clone(&fresh));
        fresh
    });
    let mut entries = held.entries.borrow_mut();
    if let Some(entry) = entries.iter().find(|entry| entry.fits(about)) {
        return Ok(Arc::clone(&entry.statement));
    }
    let facts = Facts {
        verified,
        actor: about.actor.map(Rc::as_ref),
        caller: about.caller.map(AsRef::as_ref),
    };
    failpoint!(Prepare, Err(NotVouched::Unsayable));
    let statement = Arc::new(Statement::of(settings, &facts)?);
    if entries.len() >= KEPT {
        entries.remove(0);
    }
    entries.push(Entry {
        caller: about.caller.cloned(),
        actor: about.actor.map(Rc::downgrade),
        statement: Arc::clone(&statement),
    });
    Ok(statement)
}

/// Header values, and what of the assertion and of the signature does not depend on the request.
pub(super) struct Statement {
    pub(super) anonymous: bool,
    headers: Box<[(HeaderName, HeaderValue)]>,
    /// Reserved for identity, and not said about this caller.
    absent: Box<[HeaderName]>,
    /// The claims up to the ones that depend on the time; an open JSON object.
    pub(super) claims: Box<[u8]>,
    /// Bound assertions: every identity header with its value, `null` for the absent ones; a JSON object. Else empty.
    pub(super) headers_json: Box<[u8]>,
    /// The last unbound assertion.
    pub(super) cached: ArcSwapOption<Cached>,
}

impl std::fmt::Debug for Statement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Statement")
            .field("anonymous", &self.anonymous)
            .finish_non_exhaustive()
    }
}

impl Statement {
    /// What is said of a request without identity.
    pub(super) fn anonymous(settings: &IdentitySettings) -> Self {
        let absent: Vec<HeaderName> = settings.headers.iter().map(|h| h.name.clone()).collect();
        let (claims, headers_json) = settings
            .assertion
            .as_ref()
            .map(|assertion| {
                (
                    assertion::anonymous_claims(assertion).into(),
                    assertion::headers_json(assertion, &[], &absent).into(),
                )
            })
            .unwrap_or_default();
        Self {
            anonymous: true,
            headers: Box::default(),
            absent: absent.into(),
            claims,
            headers_json,
            cached: ArcSwapOption::empty(),
        }
    }

    /// What is said about a known principal.
    fn of(settings: &IdentitySettings, facts: &Facts<'_>) -> Result<Self, NotVouched> {
        let mut present = Vec::with_capacity(settings.headers.len());
        let mut absent = Vec::new();
        for header in &settings.headers {
            match headers::value(&header.source, facts)? {
                Some(value) => present.push((header.name.clone(), value)),
                None => absent.push(header.name.clone()),
            }
        }
        let (claims, headers_json) = match &settings.assertion {
            Some(assertion) => (
                assertion::claims(assertion, facts)?.into(),
                assertion::headers_json(assertion, &present, &absent).into(),
            ),
            None => Default::default(),
        };
        Ok(Self {
            anonymous: false,
            headers: present.into(),
            absent: absent.into(),
            claims,
            headers_json,
            cached: ArcSwapOption::empty(),
        })
    }

    pub(super) fn headers(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.headers.iter().map(|(name, value)| (name, value))
    }

    pub(super) fn absent(&self) -> &[HeaderName] {
        &self.absent
    }

    /// The assertion for a request: a reused one when nothing binds it to the request.
    pub(super) fn assert(
        &self,
        settings: &AssertionSettings,
        key: &SigningKey,
        about: &About<'_>,
        now: UnixTime,
    ) -> Result<HeaderValue, NotVouched> {
        failpoint!(Sign, Err(super::SigningFailed.into()));
        if !settings.bind.is_none() {
            return assertion::bound(self, settings, key, about, now).map(|made| made.value);
        }
        if let Some(cached) = &*self.cached.load()
            && cached.serves(now)
        {
            return Ok(cached.value.clone());
        }
        let made = assertion::unbound(self, settings, key, about, now)?;
        let value = made.value.clone();
        self.cached.store(Some(Arc::new(made)));
        Ok(value)
    }
}
