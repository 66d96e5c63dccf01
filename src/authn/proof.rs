//! DPoP proofs (RFC 9449): that whoever sends a token holds the key that it is bound to, now and for this request.
//!
//! The token is verified before, so that whoever gets here holds one that was issued to somebody. What is cheap comes
//! first here too, and the proof is remembered last: nobody can use up the name of another's proof.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;

use super::claims::NumericDate;
use super::json::{Json, Members};
use super::key_set::Key;
use super::nonce::Nonces;
use super::replay::{Bounds, ProofId, ReplaySet, Used};
use super::token::{Header, Parts};
use super::{Algorithm, Issuer, Thumbprint};
use crate::clock::{Now, UnixTime};
use crate::rejection::{Rejection, TokenFault};
use crate::request::Proof;

/// Most bytes of a proof. With an RSA key of 8192 bits it has about 4 KiB.
const MAX_PROOF: usize = 8 * 1024;

/// How soon one may come again who was refused because too many proofs are remembered.
const RETRY: Duration = Duration::from_secs(1);

/// Members of a JWK that are nobody's business (RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1, RFC 8037 section 2).
const PRIVATE: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// How an issuer's tokens may be bound to keys of their holders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DpopSettings {
    /// Whether tokens that are bound to nothing are refused.
    pub required: bool,
    /// Accepted `alg` values of proofs.
    pub algorithms: Vec<Algorithm>,
    /// How long a proof is taken after its `iat`.
    pub lifetime: Duration,
    /// Whether proofs must have a nonce of ours.
    pub nonce: bool,
    /// Most proofs that are remembered, all workers together.
    pub proofs: usize,
}

/// What is known of the proofs of an issuer's tokens, shared by the workers; survives reloads.
#[derive(Debug, Default)]
pub struct Proofs {
    used: ReplaySet,
    nonces: Nonces,
}

/// What a proof is compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Presented<'a> {
    /// What came in the field `DPoP`, if it is there.
    pub(super) proof: Option<&'a Proof>,
    pub(super) method: &'a Method,
    /// The bytes of the path.
    pub(super) path: &'a str,
}

/// A proof that holds, to be remembered.
#[derive(Debug)]
pub(super) struct Fresh {
    issuer: Arc<Issuer>,
    id: ProofId,
    issued_at: UnixTime,
}

impl Presented<'_> {
    /// Checks the proof of a request whose token is bound to `key` (RFC 9449 section 4.3).
    pub(super) fn check(
        &self,
        token: &[u8],
        key: Thumbprint,
        issuer: &Arc<Issuer>,
        now: Now,
    ) -> Result<Fresh, Rejection> {
        let Some(settings) = &issuer.settings.dpop else {
            return Err(TokenFault::Scheme.into());
        };
        let proof = self.proof.ok_or(TokenFault::ProofMissing)?;
        let text = proof.value().ok_or(TokenFault::ProofRepeated)?.as_bytes();
        let text = std::str::from_utf8(text)
            .ok()
            .filter(|text| text.len() <= MAX_PROOF)
            .ok_or(TokenFault::ProofMalformed)?;
        let malformed = |_| TokenFault::ProofMalformed;
        let parts = Parts::split(text).map_err(malformed)?;
        let header_object = parts.header_object().map_err(malformed)?;
        let members = header_object.members();
        let header = Header::parse(members).map_err(|fault| match fault {
            TokenFault::UnsupportedHeader => TokenFault::ProofHeader,
            _ => TokenFault::ProofMalformed,
        })?;
        if header.typ.as_deref() != Some("dpop+jwt") {
            return Err(TokenFault::ProofType.into());
        }
        let algorithm = header
            .algorithm
            .filter(|algorithm| settings.algorithms.contains(algorithm))
            .ok_or(TokenFault::ProofAlgorithm)?;
        let claims = parts.claims().map_err(malformed)?;
        let claims = Claimed::read(claims.members())?;
        if claims.method != self.method.as_str() {
            return Err(TokenFault::ProofMethod.into());
        }
        if !proof.is_for(claims.url, self.path) {
            return Err(TokenFault::ProofTarget.into());
        }
        claims.check_times(settings, issuer.leeway(), now)?;
        if settings.nonce {
            issuer.proofs.check_nonce(claims.nonce, now)?;
        }
        if claims.token != URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, token)) {
            return Err(TokenFault::ProofToken.into());
        }
        let own = public_key(members, algorithm).ok_or(TokenFault::ProofKey)?;
        if own.thumbprint() != key {
            return Err(TokenFault::ProofBinding.into());
        }
        let signature = parts.signature().map_err(malformed)?;
        if !own.verify(algorithm, parts.signed.as_bytes(), &signature) {
            return Err(TokenFault::ProofSignature.into());
        }
        Ok(Fresh {
            issuer: Arc::clone(issuer),
            id: id(key, claims.id),
            issued_at: claims.issued_at,
        })
    }
}

impl Fresh {
    /// Uses the proof up.
    pub(super) fn remember(self, now: Now) -> Result<(), Rejection> {
        let Some(settings) = &self.issuer.settings.dpop else {
            return Err(TokenFault::Scheme.into());
        };
        let bounds = Bounds {
            lifetime: seconds(settings.lifetime),
            entries: settings.proofs,
        };
        self.issuer
            .proofs
            .used
            .remember(self.id, self.issued_at, bounds, now.unix)
            .map_err(|used| match used {
                Used::Seen => TokenFault::ProofReplayed.into(),
                Used::Forgotten => TokenFault::ProofTime.into(),
                Used::Full => Rejection::TooManyProofs { retry_after: RETRY },
            })
    }
}

impl Proofs {
    fn check_nonce(&self, nonce: Option<&str>, now: Now) -> Result<(), Rejection> {
        if nonce.is_some_and(|nonce| self.nonces.is_fresh(nonce, now)) {
            return Ok(());
        }
        let nonce = self.nonces.current(now).ok_or(Rejection::Internal)?;
        Err(Rejection::UseNonce { nonce })
    }
}

/// The claims of a proof (RFC 9449 section 4.2).
struct Claimed<'a> {
    id: &'a str,
    method: &'a str,
    url: &'a str,
    /// `ath`.
    token: &'a str,
    nonce: Option<&'a str>,
    issued_at: UnixTime,
    /// `exp` and `nbf`, which nobody must send; who does means it.
    expires: Option<UnixTime>,
    not_before: Option<UnixTime>,
}

impl<'a> Claimed<'a> {
    fn read(members: Members<'a>) -> Result<Self, TokenFault> {
        let text = |name: &str| {
            members
                .get(name)
                .and_then(Json::as_str)
                .filter(|text| !text.is_empty())
                .ok_or(TokenFault::ProofClaim)
        };
        let date = |name: &str| {
            members
                .get(name)
                .map(|value| NumericDate::read(value).ok_or(TokenFault::ProofClaim))
                .transpose()
        };
        Ok(Self {
            id: text("jti")?,
            method: text("htm")?,
            url: text("htu")?,
            token: text("ath")?,
            nonce: match members.get("nonce") {
                None => None,
                Some(_) => Some(text("nonce")?),
            },
            issued_at: date("iat")?.ok_or(TokenFault::ProofClaim)?.floor(),
            expires: date("exp")?.map(NumericDate::floor),
            not_before: date("nbf")?.map(NumericDate::ceil),
        })
    }

    /// From `iat`, our clock and the client's a little apart, for as long as a proof lives. The end has no leeway: the
    /// lifetime is one.
    fn check_times(
        &self,
        settings: &DpopSettings,
        leeway: i64,
        now: Now,
    ) -> Result<(), TokenFault> {
        let latest = now.unix.plus(leeway);
        let over = now.unix >= self.issued_at.plus(seconds(settings.lifetime))
            || self
                .expires
                .is_some_and(|expires| now.unix >= expires.plus(leeway));
        let early = self.issued_at > latest || self.not_before.is_some_and(|time| time > latest);
        if over || early {
            Err(TokenFault::ProofTime)
        } else {
            Ok(())
        }
    }
}

/// The key that a proof brings along: public, and vetted as keys of issuers are.
fn public_key(header: Members<'_>, algorithm: Algorithm) -> Option<Key> {
    let jwk = header.get("jwk")?;
    let members = jwk.as_object()?;
    if PRIVATE.iter().any(|name| members.get(name).is_some()) {
        return None;
    }
    Key::for_proof(jwk, algorithm)
}

/// A proof is known by its key and its `jti`: nobody can use up the names of others.
fn id(key: Thumbprint, jti: &str) -> ProofId {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&key.0);
    context.update(jti.as_bytes());
    let mut id = ProofId::default();
    for (to, from) in id.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    id
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
