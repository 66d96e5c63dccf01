//! A token, judged: cheap checks before dear ones, the signature, or asking somebody, last.

use std::rc::Rc;
use std::sync::Arc;

use super::cache::{Basis, Verdict};
use super::claims::{Claims, NumericDate};
use super::confirmation::Confirmation;
use super::credential::{self, Source};
use super::json::Json;
use super::key_set::{Key, KeySet};
use super::token::{self, Header, Parts};
use super::{
    Algorithm, Audiences, Issuer, Issuers, KeyCell, KeyIdRule, KeyState, KeyWanted, ReviewWanted,
    Reviewed, TokenCache, Trust, Verified,
};
use crate::clock::{Now, UnixTime};
use crate::rejection::TokenFault;

mod mapped;
mod reviewed;
#[cfg(test)]
mod tests;

pub(super) use mapped::service_account;

/// Why a token was not accepted.
#[derive(Debug)]
pub(super) enum Failure {
    /// It does not hold.
    Fault(TokenFault),
    /// It cannot be judged with the keys that are held.
    NeedsKey(KeyWanted),
    /// It cannot be judged without asking somebody.
    NeedsReview(ReviewWanted),
}

impl From<TokenFault> for Failure {
    fn from(fault: TokenFault) -> Self {
        Self::Fault(fault)
    }
}

/// Where a token came from, whose it must be, and what was said about it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'a> {
    pub(super) source: Source,
    /// The only issuer that counts, by name; `None`: any.
    pub(super) issuer: Option<&'a str>,
    /// Answers to what was asked about the request's tokens.
    pub(super) reviews: &'a [Reviewed],
}

impl Origin<'_> {
    fn admits(&self, issuer: &Issuer) -> Result<(), TokenFault> {
        let sources = issuer.settings.token_sources;
        let open = match self.source {
            Source::Bearer | Source::Header => true,
            Source::Dpop => issuer.settings.dpop.is_some(),
            Source::BasicPassword => sources.basic_password,
            Source::WebSocketProtocol => sources.websocket_protocol,
        };
        if !open {
            return Err(TokenFault::Scheme);
        }
        match self.issuer {
            Some(only) if only != &**issuer.name() => Err(TokenFault::Issuer),
            Some(_) | None => Ok(()),
        }
    }
}

/// The verdict on `token`: the cached one if it still stands, else a new one.
pub(super) fn verify(
    token: &[u8],
    origin: Origin<'_>,
    issuers: &Issuers,
    cache: &mut TokenCache,
    now: Now,
) -> Result<Rc<Verified>, Failure> {
    if let Some(verified) = cache.get(token, issuers, now) {
        origin.admits(&verified.issuer)?;
        return Ok(verified);
    }
    let verdict = judge(token, origin, issuers, now)?;
    let verified = Rc::clone(&verdict.verified);
    failpoint!(Remember, Err(TokenFault::Signature.into()));
    cache.insert(token, verdict);
    Ok(verified)
}

fn judge(
    token: &[u8],
    origin: Origin<'_>,
    issuers: &Issuers,
    now: Now,
) -> Result<Verdict, Failure> {
    if token.len() > issuers.token_bytes() {
        return Err(TokenFault::TooLarge.into());
    }
    let token = std::str::from_utf8(token).map_err(|_| TokenFault::Malformed)?;
    if !token::has_jose_header(token.as_bytes())
        && let Some(issuer) = issuers.of_opaque(origin.issuer)
    {
        return judge_opaque(token, origin, issuer, now);
    }
    let parts = Parts::split(token)?;
    let header = parts.header()?;
    let claims = Claims::new(parts.claims()?);

    let issuer = issuer_of(&claims, issuers)?;
    origin.admits(issuer)?;
    if token.len() > issuer.settings.token_bytes {
        return Err(TokenFault::TooLarge.into());
    }
    check_header_type(&header, issuer)?;
    check_type(&claims)?;
    match issuer.trust() {
        Trust::Keys(cell) => {
            let verified = check_claims(claims, issuer, None, now)?;
            judge_by_key(&parts, header, verified, cell)
        }
        Trust::Review(reviewer) => {
            reviewed::judge(token, Some(&claims), issuer, reviewer, origin.reviews, now)
        }
    }
}

/// A token that says nothing of its issuer.
fn judge_opaque(
    token: &str,
    origin: Origin<'_>,
    issuer: &Arc<Issuer>,
    now: Now,
) -> Result<Verdict, Failure> {
    origin.admits(issuer)?;
    if token.len() > issuer.settings.token_bytes {
        return Err(TokenFault::TooLarge.into());
    }
    if !credential::is_b64token(token.as_bytes()) {
        return Err(TokenFault::Malformed.into());
    }
    match issuer.trust() {
        Trust::Review(reviewer) => {
            reviewed::judge(token, None, issuer, reviewer, origin.reviews, now)
        }
        Trust::Keys(_) => Err(TokenFault::Malformed.into()),
    }
}

/// Everything but the signature holds.
fn judge_by_key(
    parts: &Parts<'_>,
    header: Header,
    verified: Verified,
    cell: &KeyCell,
) -> Result<Verdict, Failure> {
    let issuer = &verified.issuer;
    let algorithm = header
        .algorithm
        .filter(|algorithm| issuer.settings.algorithms.contains(algorithm))
        .ok_or(TokenFault::Algorithm)?;
    let thumbprint = {
        let keys = cell.peek();
        let key = select(&keys, &header, issuer)?;
        failpoint!(Judge, Err(TokenFault::Signature.into()));
        check_signature(key, algorithm, parts)?;
        key.thumbprint()
    };
    Ok(Verdict {
        verified: Rc::new(Verified {
            thumbprint,
            ..verified
        }),
        basis: Basis::Key {
            algorithm,
            kid: header.kid,
        },
    })
}

/// What a token of these claims would be, had it a header that fits and a signature that holds: nothing is verified. Only
/// [`crate::authz::compare`] asks, about requests that nobody sent. `only` is the issuer that counts, by name.
pub(crate) fn assumed(
    claims: &Claims,
    only: Option<&str>,
    issuers: &Issuers,
    now: Now,
) -> Result<Rc<Verified>, TokenFault> {
    let issuer = issuer_of(claims, issuers)?;
    if only.is_some_and(|only| *only != **issuer.name()) {
        return Err(TokenFault::Issuer);
    }
    check_claims(claims.clone(), issuer, None, now).map(Rc::new)
}

/// The issuer that `iss` names: one string, byte for byte.
fn issuer_of<'a>(claims: &Claims, issuers: &'a Issuers) -> Result<&'a Arc<Issuer>, TokenFault> {
    claims
        .top("iss")
        .and_then(Json::as_str)
        .and_then(|iss| issuers.by_iss(iss))
        .ok_or(TokenFault::Issuer)
}

/// Refuses types that the issuer's access tokens do not have.
fn check_header_type(header: &Header, issuer: &Issuer) -> Result<(), TokenFault> {
    // An empty `typ` is not an absent one.
    let accepted = match header.typ.as_deref() {
        Some("") => false,
        typ => {
            let typ = typ.unwrap_or_default();
            issuer.settings.token_types.iter().any(|own| own == typ)
        }
    };
    if accepted {
        Ok(())
    } else {
        Err(TokenFault::Type)
    }
}

/// Refuses tokens that were made for something else than access.
fn check_type(claims: &Claims) -> Result<(), TokenFault> {
    // Keycloak says in a claim what a token is for.
    if let Some(typ) = claims.top("typ") {
        let typ = typ.as_str().ok_or(TokenFault::Type)?;
        if ["id", "refresh", "offline", "logout"]
            .iter()
            .any(|other| typ.eq_ignore_ascii_case(other))
        {
            return Err(TokenFault::Type);
        }
    }
    // Only ID tokens carry these (OpenID Connect Core 1.0 sections 3.1.3.6 and 3.3.2.11).
    if claims.top("at_hash").is_some() || claims.top("c_hash").is_some() {
        return Err(TokenFault::Type);
    }
    Ok(())
}

/// Everything about the claims that needs no key. The thumbprint of what comes back is still empty. `bound` is when the token
/// ends that does not say so; where it is `None`, `exp` must be there.
fn check_claims(
    claims: Claims,
    issuer: &Arc<Issuer>,
    bound: Option<UnixTime>,
    now: Now,
) -> Result<Verified, TokenFault> {
    let times = Times::read(&claims)?;
    let expires = times.expires.map(NumericDate::floor).or(bound);
    let expires = expires.ok_or(TokenFault::Claim)?;
    times.check(expires, issuer, now)?;
    check_audience(&claims, &issuer.settings.audiences)?;
    let client = mapped::client(&claims, issuer)?;
    let missing = |name: &String| matches!(claims.top(name), None | Some(Json::Null));
    if issuer.settings.required_claims.iter().any(missing) {
        return Err(TokenFault::Claim);
    }
    times.check_lifetime(issuer)?;
    let subject = mapped::subject(&claims, issuer)?;
    let confirmation = Confirmation::read(&claims)?;
    Ok(Verified {
        issuer: Arc::clone(issuer),
        thumbprint: super::Thumbprint([0; 32]),
        client,
        account: mapped::account(&claims, issuer),
        scopes: mapped::scopes(&claims, issuer),
        roles: mapped::strings(&claims, &issuer.settings.claim_mappings.roles),
        groups: mapped::groups(&claims, subject.as_deref(), issuer),
        subject,
        issued_at: times.issued_at.map(NumericDate::floor),
        not_before: times.not_before.map(NumericDate::ceil),
        expires,
        confirmation,
        prepared: std::cell::RefCell::default(),
        claims,
    })
}

struct Times {
    expires: Option<NumericDate>,
    not_before: Option<NumericDate>,
    issued_at: Option<NumericDate>,
}

impl Times {
    fn read(claims: &Claims) -> Result<Self, TokenFault> {
        let date = |name: &str| {
            claims
                .top(name)
                .map(|value| NumericDate::read(value).ok_or(TokenFault::Claim))
                .transpose()
        };
        Ok(Self {
            expires: date("exp")?,
            not_before: date("nbf")?,
            issued_at: date("iat")?,
        })
    }

    fn check(&self, expires: UnixTime, issuer: &Issuer, now: Now) -> Result<(), TokenFault> {
        check_times(
            expires,
            self.not_before.map(NumericDate::ceil),
            self.issued_at.map(NumericDate::floor),
            issuer.leeway(),
            now,
        )
    }

    /// Fractions count against the token: from the second that `iat` lies in to the one that `exp` ends in.
    fn check_lifetime(&self, issuer: &Issuer) -> Result<(), TokenFault> {
        let Some(cap) = issuer.settings.max_lifetime else {
            return Ok(());
        };
        let issued_at = self.issued_at.ok_or(TokenFault::Lifetime)?.floor();
        let expires = self.expires.ok_or(TokenFault::Lifetime)?;
        let lifetime = expires.ceil().as_secs().saturating_sub(issued_at.as_secs());
        if lifetime > i64::try_from(cap.as_secs()).unwrap_or(i64::MAX) {
            return Err(TokenFault::Lifetime);
        }
        Ok(())
    }
}

/// RFC 7519 sections 4.1.4 to 4.1.6; leeway in seconds.
fn check_times(
    expires: UnixTime,
    not_before: Option<UnixTime>,
    issued_at: Option<UnixTime>,
    leeway: i64,
    now: Now,
) -> Result<(), TokenFault> {
    // At `exp` itself the token is over.
    if now.unix >= expires.plus(leeway) {
        return Err(TokenFault::Expired);
    }
    let latest = now.unix.plus(leeway);
    if not_before.is_some_and(|time| time > latest) || issued_at.is_some_and(|time| time > latest) {
        return Err(TokenFault::NotYetValid);
    }
    Ok(())
}

impl Verified {
    /// Whether the token's times hold now: not expired, begun, not from the future. Leeway included.
    pub(super) fn check_times(&self, now: Now) -> Result<(), TokenFault> {
        check_times(
            self.expires,
            self.not_before,
            self.issued_at,
            self.issuer.leeway(),
            now,
        )
    }
}

fn check_audience(claims: &Claims, audiences: &Audiences) -> Result<(), TokenFault> {
    let Audiences::AnyOf(ours) = audiences else {
        return Ok(());
    };
    let aud = claims.top("aud").ok_or(TokenFault::Audience)?;
    if ours.iter().any(|own| aud.contains(own)) {
        Ok(())
    } else {
        Err(TokenFault::Audience)
    }
}

/// The key that the header names, in the issuer's own set.
fn select<'a>(
    keys: &'a KeyState,
    header: &Header,
    issuer: &Arc<Issuer>,
) -> Result<&'a Key, Failure> {
    let needs_key = || {
        Failure::NeedsKey(KeyWanted {
            issuer: Arc::clone(issuer),
            kid: header.kid.clone(),
        })
    };
    let held: Option<&KeySet> = match keys {
        KeyState::Usable(keys) => Some(keys),
        KeyState::Unavailable => None,
    };
    match (&header.kid, issuer.settings.key_id) {
        (Some(kid), _) => held
            .and_then(|keys| keys.with_kid(kid))
            .ok_or_else(needs_key),
        (None, KeyIdRule::Required) => Err(TokenFault::UnknownKey.into()),
        (None, KeyIdRule::OnlyKey) => held
            .ok_or_else(needs_key)?
            .only()
            .ok_or(Failure::Fault(TokenFault::UnknownKey)),
    }
}

fn check_signature(key: &Key, algorithm: Algorithm, parts: &Parts<'_>) -> Result<(), TokenFault> {
    if !key.algorithms().any(|own| own == algorithm) {
        return Err(TokenFault::Algorithm);
    }
    let signature = parts.signature()?;
    if key.verify(algorithm, parts.signed.as_bytes(), &signature) {
        Ok(())
    } else {
        Err(TokenFault::Signature)
    }
}
