//! Identity: what the upstream is told about the caller, and how it can check that. Pure.
//!
//! Everything that depends on the token alone is made once per token and configuration ([`Prepared`]); a token seen
//! before costs a look-up here. `docs/identity.md` is the contract with upstreams.

mod assertion;
mod headers;
mod key;
mod signature;
mod statement;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue};

pub use assertion::{ASSERTION_LIMIT, AssertionSettings, Binding, TOKEN_TYPE};
pub use headers::{HeaderSettings, Source, SourceError, VALUE_LIMIT};
pub use key::{
    DEFAULT_OVERLAP, KeySettings, LEAST_SECRET_BYTES, PublicKey, SignatureBytes, SigningAlgorithm,
    SigningFailed, SigningKey, SigningKeyError, SigningKeys, generate_text,
};
pub use signature::{LONGEST_SIGNATURE_LIFETIME, SignatureSettings, TAG, TAG_ANONYMOUS};
pub use statement::Prepared;

use crate::authn::{Principal, Verified};
use crate::authz::{Allowed, AuthorizationHeader, Granted};
use crate::clock::{Now, UnixTime};
use crate::rejection::{Refusal, Rejection};
use crate::request::{Head, Opener, Refused};
use signature::Signed;
use statement::Statement;

/// Settings as configured, ready for use.
#[derive(Clone, Debug, Default)]
pub struct IdentitySettings {
    /// Header per source.
    pub headers: Vec<HeaderSettings>,
    /// The signed assertion.
    pub assertion: Option<AssertionSettings>,
    /// RFC 9421 message signature.
    pub signature: Option<SignatureSettings>,
}

/// Compiled settings of one generation, with the keys that sign in it.
#[derive(Debug)]
pub struct Identity {
    settings: Arc<IdentitySettings>,
    generation: u64,
    assertion_keys: Option<SigningKeys>,
    signature_keys: Option<SigningKeys>,
    /// What is said of requests without identity.
    anonymous: Arc<Statement>,
}

/// Why a caller is not vouched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotVouched {
    /// A value is over [`VALUE_LIMIT`] or [`ASSERTION_LIMIT`], or has no form that a header can carry.
    #[error("the identity does not fit into headers")]
    Unsayable,
    /// Signing failed.
    #[error(transparent)]
    Signing(#[from] SigningFailed),
}

impl From<NotVouched> for Rejection {
    fn from(why: NotVouched) -> Self {
        match why {
            // The token is what does not fit, neither we nor the syntax of the request: it is understood and refused.
            NotVouched::Unsayable => Self::Forbidden(Refusal::IdentityTooLarge),
            NotVouched::Signing(_) => Self::Internal,
        }
    }
}

impl Identity {
    /// Compiles the settings of the first generation.
    ///
    /// # Errors
    /// A key that is to be generated could not be.
    pub fn new(
        settings: impl Into<Arc<IdentitySettings>>,
        generation: u64,
    ) -> Result<Self, SigningKeyError> {
        Self::compile(settings.into(), generation, None, UnixTime::default())
    }

    /// Compiles the settings of a generation that replaces `previous` at `now`: a generated key is carried over, and
    /// replaced keys stay published for the configured overlap.
    ///
    /// # Errors
    /// A key that is to be generated could not be.
    pub fn following(
        settings: impl Into<Arc<IdentitySettings>>,
        generation: u64,
        previous: &Self,
        now: UnixTime,
    ) -> Result<Self, SigningKeyError> {
        Self::compile(settings.into(), generation, Some(previous), now)
    }

    fn compile(
        settings: Arc<IdentitySettings>,
        generation: u64,
        previous: Option<&Self>,
        now: UnixTime,
    ) -> Result<Self, SigningKeyError> {
        let assertion_keys = settings
            .assertion
            .as_ref()
            .map(|assertion| {
                let before = previous.and_then(|previous| {
                    Some((
                        previous.assertion_keys.as_ref()?,
                        previous.assertion_generated(),
                    ))
                });
                take_over(
                    &assertion.key,
                    before,
                    assertion.overlap.max(assertion.lifetime),
                    now,
                )
            })
            .transpose()?;
        let signature_keys = settings
            .signature
            .as_ref()
            .map(|signature| {
                let before = previous.and_then(|previous| {
                    Some((
                        previous.signature_keys.as_ref()?,
                        previous.signature_generated(),
                    ))
                });
                take_over(
                    &signature.key,
                    before,
                    signature.overlap.max(signature.lifetime()),
                    now,
                )
            })
            .transpose()?;
        Ok(Self {
            anonymous: Arc::new(Statement::anonymous(&settings)),
            settings,
            generation,
            assertion_keys,
            signature_keys,
        })
    }

    fn assertion_generated(&self) -> bool {
        let key = self
            .settings
            .assertion
            .as_ref()
            .map(|settings| &settings.key);
        matches!(key, Some(KeySettings::Generated))
    }

    fn signature_generated(&self) -> bool {
        let key = self
            .settings
            .signature
            .as_ref()
            .map(|settings| &settings.key);
        matches!(key, Some(KeySettings::Generated))
    }

    /// Every header name that only we may set; clients' copies are stripped in any spelling.
    #[must_use]
    pub fn reserved(&self) -> Vec<HeaderName> {
        self.settings.reserved()
    }

    /// The keys that verify what we sign, as a JWKS document (RFC 7517 section 5), at `now`.
    #[must_use]
    pub fn jwks(&self, now: UnixTime) -> serde_json::Value {
        self.jwks_with(None, now)
    }

    /// The same, with keys that sign something else than identity.
    #[must_use]
    pub fn jwks_with(&self, more: Option<&SigningKeys>, now: UnixTime) -> serde_json::Value {
        let keys = [
            self.assertion_keys.as_ref(),
            self.signature_keys.as_ref(),
            more,
        ];
        key::jwks(
            keys.into_iter()
                .flatten()
                .flat_map(|keys| keys.published(now)),
        )
    }

    /// The keys that sign assertions.
    #[must_use]
    pub const fn assertion_keys(&self) -> Option<&SigningKeys> {
        self.assertion_keys.as_ref()
    }

    /// The keys that sign messages.
    #[must_use]
    pub const fn signature_keys(&self) -> Option<&SigningKeys> {
        self.signature_keys.as_ref()
    }

    /// Makes the headers for one request.
    pub(crate) fn vouch_for(
        &self,
        about: &About<'_>,
        now: UnixTime,
    ) -> Result<IdentityHeaders, NotVouched> {
        let statement = match about.principal {
            Principal::Anonymous | Principal::Opaque => Arc::clone(&self.anonymous),
            Principal::Known(verified) => {
                statement::prepared(&self.settings, self.generation, verified, about)?
            }
        };
        let assertion = match (&self.settings.assertion, &self.assertion_keys) {
            (Some(settings), Some(keys)) => {
                let value = statement.assert(settings, keys.current(), about, now)?;
                Some((settings.header.clone(), value))
            }
            _ => None,
        };
        let signature = match (&self.settings.signature, &self.signature_keys) {
            (Some(settings), Some(keys)) => Some(signature::sign(
                settings,
                keys.current(),
                &statement,
                assertion.as_ref(),
                about,
                now,
            )?),
            _ => None,
        };
        Ok(IdentityHeaders {
            statement: Some(statement),
            assertion,
            signature,
        })
    }
}

/// The keys of the new generation, from its settings and from what the generation before had (and whether it generated it).
fn take_over(
    key: &KeySettings,
    previous: Option<(&SigningKeys, bool)>,
    overlap: Duration,
    now: UnixTime,
) -> Result<SigningKeys, SigningKeyError> {
    let new = match (key, previous) {
        (KeySettings::Generated, Some((keys, true))) => return Ok(keys.clone()),
        (KeySettings::Generated, _) => SigningKeys::generate(SigningAlgorithm::Es256)?,
        (KeySettings::Configured(keys), _) => SigningKeys::clone(keys),
    };
    Ok(match previous {
        Some((previous, _)) => SigningKeys::rotated(previous, new, now, overlap),
        None => new,
    })
}

/// 128 random bits for `jti` and `nonce`.
fn random_id() -> Result<String, SigningFailed> {
    let mut bytes = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| SigningFailed)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

impl IdentitySettings {
    /// Every header name that only we may set.
    #[must_use]
    pub fn reserved(&self) -> Vec<HeaderName> {
        let headers = self.headers.iter().map(|header| header.name.clone());
        let assertion = self
            .assertion
            .iter()
            .map(|assertion| assertion.header.clone());
        let signature = self.signature.iter().flat_map(|_| {
            [
                signature::SIGNATURE.clone(),
                signature::SIGNATURE_INPUT.clone(),
            ]
        });
        headers.chain(assertion).chain(signature).collect()
    }
}

/// What a request gives to vouching.
#[derive(Debug)]
pub(crate) struct About<'a> {
    pub(crate) method: &'a str,
    /// Origin-form, the bytes that are forwarded.
    pub(crate) target: &'a str,
    /// The bytes that are forwarded as `Host`.
    pub(crate) authority: &'a HeaderValue,
    pub(crate) principal: &'a Principal,
    pub(crate) actor: Option<&'a std::rc::Rc<Verified>>,
    pub(crate) caller: Option<&'a Arc<str>>,
    /// When the grant ends.
    pub(crate) until: Option<UnixTime>,
}

impl<'a> About<'a> {
    fn of<B>(allowed: &'a Allowed<B>) -> Self {
        let head: &Head = allowed.head();
        Self {
            method: head.method().as_str(),
            target: head.path().target.as_str(),
            authority: &head.authority().written,
            principal: allowed.principal(),
            actor: allowed.known().actor(),
            caller: allowed.caller(),
            until: allowed.until(),
        }
    }
}

/// The headers that vouch for a request's caller.
#[derive(Default)]
pub struct IdentityHeaders {
    statement: Option<Arc<Statement>>,
    assertion: Option<(HeaderName, HeaderValue)>,
    signature: Option<Signed>,
}

impl IdentityHeaders {
    /// Names and values, each name once.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        let headers = self.statement.iter().flat_map(|made| made.headers());
        let assertion = self.assertion.iter().map(|(name, value)| (name, value));
        let signature = self.signature.iter().flat_map(Signed::headers);
        headers.chain(assertion).chain(signature)
    }

    /// The name of the header that carries the assertion.
    pub(crate) fn assertion_header(&self) -> Option<&HeaderName> {
        self.assertion.as_ref().map(|(name, _)| name)
    }

    /// Puts them into `headers`, instead of whatever is there under a reserved name: what is not said about this caller
    /// is not there afterwards, however it came in.
    pub fn set_on(&self, headers: &mut HeaderMap) {
        if let Some(statement) = &self.statement {
            for absent in statement.absent() {
                headers.remove(absent);
            }
        }
        for (name, value) in self.iter() {
            headers.insert(name.clone(), value.clone());
        }
    }
}

/// Names only: values are personal data, and an assertion is as good as a token.
impl std::fmt::Debug for IdentityHeaders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(name, _)| name))
            .finish()
    }
}

/// A request that may be forwarded: allowed, and its caller vouched for.
#[derive(Debug)]
pub struct Vouched<B> {
    allowed: Allowed<B>,
    identity: IdentityHeaders,
}

impl<B> Allowed<B> {
    /// Makes the identity headers, and takes away the credential that the request came with unless the route forwards it.
    ///
    /// # Errors
    /// 403 when the identity does not fit into headers, [`Rejection::Internal`] when signing fails; nothing is forwarded
    /// unsigned or cut short.
    pub fn vouch(mut self, identity: &Identity, now: Now) -> Result<Vouched<B>, Box<Refused<B>>> {
        let made = identity.vouch_for(&About::of(&self), now.unix);
        match made {
            Ok(identity) => {
                self.strip_credential();
                Ok(Vouched {
                    allowed: self,
                    identity,
                })
            }
            Err(why) => Err(self.refuse(why.into())),
        }
    }

    /// An upstream that never sees the token cannot leak or replay it (invariant 48). The issuer's Basic password stands
    /// in the same header. An opaque token is the upstream's own business: there it stays.
    fn strip_credential(&mut self) {
        let forward = self.route().authorization() == AuthorizationHeader::Forward;
        if forward || matches!(self.principal(), Principal::Opaque) {
            return;
        }
        let head = self.known_mut().routed_mut().head_mut();
        head.headers.remove(http::header::AUTHORIZATION);
    }
}

impl<B> Vouched<B> {
    /// The judged part of the request.
    #[must_use]
    pub fn head(&self) -> &Head {
        self.allowed.head()
    }

    /// What the request was granted.
    #[must_use]
    pub const fn allowed(&self) -> &Allowed<B> {
        &self.allowed
    }

    /// What the upstream will be told. For explanations and tests; forwarding opens the request.
    #[doc(hidden)]
    #[must_use]
    pub const fn identity(&self) -> &IdentityHeaders {
        &self.identity
    }

    /// Opens the request for forwarding.
    pub(crate) fn open(self, opener: &Opener) -> (Granted, IdentityHeaders, B) {
        let (granted, sealed) = self.allowed.open(opener);
        (granted, self.identity, sealed)
    }
}
