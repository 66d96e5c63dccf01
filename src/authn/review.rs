//! Tokens whose verdict somebody else gives: a cluster's API server (TokenReview), or an authorization server that is asked
//! about them (RFC 7662).
//!
//! As with keys, nothing is asked from here. When a verdict is missing, [`super::identify`] says whose and about which token
//! ([`ReviewWanted`]); [`crate::review`] asks, and what came of it ([`Reviewed`]) is an argument of the next call. Answers are
//! read here, so that what another machine wrote meets the same strict reader as what a stranger wrote.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::json::{Document, JsonError, Object};
use super::{Claims, Issuer};
use crate::clock::Now;

mod introspection;
#[cfg(test)]
mod tests;
mod token_review;

/// Who is asked about the tokens of an issuer, as far as judging them needs to know.
///
/// One value stands for one reviewer. It outlives reloads that change nothing about who is asked and for how long an answer
/// counts, and a verdict is good for the very same one alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reviewer {
    /// What is asked.
    pub kind: ReviewKind,
    /// From when it was asked on, an answer counts for so long at most.
    pub max_cache: Duration,
    /// Whether tokens that are no JWTs are the issuer's; of all issuers one at most says so.
    pub opaque: bool,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewKind {
    /// `TokenReview` of authentication.k8s.io/v1.
    TokenReview,
    /// RFC 7662.
    Introspection,
}

impl Reviewer {
    /// Whether an answer to what was asked then still counts. Either clock can end it: the monotonic one stands still while a
    /// machine sleeps, the other one jumps.
    #[must_use]
    pub fn counts(&self, asked: Now, now: Now) -> bool {
        now.tick < asked.tick.plus(self.max_cache) && now.unix < asked.unix.plus(self.seconds())
    }

    /// `max_cache` in seconds, rounded up.
    pub(super) fn seconds(&self) -> i64 {
        let whole = self.max_cache.as_secs();
        let rounded = whole.saturating_add(u64::from(self.max_cache.subsec_nanos() > 0));
        i64::try_from(rounded).unwrap_or(i64::MAX)
    }
}

/// A token that a reviewer has to be asked about.
#[derive(Clone)]
pub struct ReviewWanted {
    /// Whose reviewer.
    pub issuer: Arc<Issuer>,
    token: Zeroizing<Box<[u8]>>,
}

impl ReviewWanted {
    pub(super) fn new(issuer: &Arc<Issuer>, token: &[u8]) -> Self {
        Self {
            issuer: Arc::clone(issuer),
            token: Zeroizing::new(token.into()),
        }
    }

    /// The token, for the one who asks.
    #[must_use]
    pub fn token(&self) -> &[u8] {
        &self.token
    }
}

/// The token is not shown.
impl fmt::Debug for ReviewWanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReviewWanted")
            .field("issuer", self.issuer.name())
            .finish_non_exhaustive()
    }
}

/// What a reviewer says of a token.
#[derive(Clone, Debug)]
pub enum Review {
    /// It holds, and this is what it says. Whether that is enough, the issuer's settings tell.
    Active(Arc<Claims>),
    /// It does not hold: revoked, ended, of somebody else, or nothing at all.
    Inactive,
}

/// An answer, with what it is an answer to.
#[derive(Clone, Debug)]
pub struct Reviewed {
    /// What was asked.
    pub wanted: ReviewWanted,
    /// What was said.
    pub review: Review,
    /// When it was asked, not when it was answered: a token may have been revoked in between.
    pub asked: Now,
}

impl Reviewed {
    pub(super) fn is_about(&self, issuer: &Arc<Issuer>, token: &[u8]) -> bool {
        Arc::ptr_eq(&self.wanted.issuer, issuer) && self.wanted.token() == token
    }
}

/// Why an answer is none. It says nothing about the token: we are the ones who cannot judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReviewFault {
    /// It is not strict JSON.
    #[error("no JSON document: {0}")]
    Json(#[from] JsonError),
    /// It is another document than it must be.
    #[error("{0}")]
    Document(&'static str),
}

impl Review {
    /// Reads the answer to a `TokenReview` in which these audiences were asked for.
    ///
    /// # Errors
    /// It is not one.
    pub fn of_token_review(body: &[u8], asked: &[String]) -> Result<Self, ReviewFault> {
        token_review::read(body, asked)
    }

    /// Reads the answer of an introspection endpoint (RFC 7662 section 2.2).
    ///
    /// # Errors
    /// It is not one.
    pub fn of_introspection(body: &[u8]) -> Result<Self, ReviewFault> {
        introspection::read(body)
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Active(claims) => claims.weight(),
            Self::Inactive => 0,
        }
    }
}

fn document(body: &[u8]) -> Result<Object, ReviewFault> {
    Document::parse_of_token(body)?
        .into_object()
        .ok_or(ReviewFault::Document("it is no JSON object"))
}
