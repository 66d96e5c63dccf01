//! A token that somebody else judges. Not to be confused with believing him: audience, client, times, required claims and
//! what the token is bound to are checked as those of a token that is verified here.

use std::rc::Rc;
use std::sync::Arc;

use super::{Failure, Times, check_claims, check_type};
use crate::authn::cache::{Basis, Verdict};
use crate::authn::claims::{Claims, NumericDate};
use crate::authn::json::Json;
use crate::authn::{
    Audiences, Issuer, Review, ReviewKind, ReviewWanted, Reviewed, Reviewer, Verified,
};
use crate::clock::{Now, UnixTime};
use crate::rejection::TokenFault;

/// Times that a token has and a reviewer may leave out.
const TIMES: [&str; 3] = ["exp", "nbf", "iat"];

/// The verdict on `token`, if the reviewer was asked; `own` is what a JWT says itself, which nobody has verified.
pub(super) fn judge(
    token: &str,
    own: Option<&Claims>,
    issuer: &Arc<Issuer>,
    reviewer: &Reviewer,
    reviews: &[Reviewed],
    now: Now,
) -> Result<Verdict, Failure> {
    // A token can be believed against itself: nobody is asked about one that says it is over.
    if let Some(own) = own {
        let times = Times::read(own)?;
        let expires = times.expires.map_or(never(), NumericDate::floor);
        times.check(expires, issuer, now)?;
    }
    let told = reviews
        .iter()
        .find(|told| told.is_about(issuer, token.as_bytes()))
        .ok_or_else(|| Failure::NeedsReview(ReviewWanted::new(issuer, token.as_bytes())))?;
    let Review::Active(claims) = &told.review else {
        return Err(TokenFault::Inactive.into());
    };
    let claims = complete(claims, own, issuer)?;
    if reviewer.kind == ReviewKind::Introspection {
        check_purpose(&claims, issuer)?;
    }
    // Without `exp` it is good for as long as the answer counts, and for this request at least.
    let bound = told.asked.unix.plus(reviewer.seconds());
    let bound = bound.max(now.unix.plus(1));
    let verified = check_claims(claims, issuer, Some(bound), now)?;
    check_binding(&verified)?;
    failpoint!(Judge, Err(TokenFault::Inactive.into()));
    Ok(Verdict {
        verified: Rc::new(verified),
        basis: Basis::Review { asked: told.asked },
    })
}

const fn never() -> UnixTime {
    UnixTime::from_secs(i64::MAX)
}

/// What the reviewer said, with what he may leave out. A reviewer who names an issuer names ours. Times of the token's own
/// are taken only after he said that it holds, and only where he gives none; all that they can do is end it earlier.
fn complete(said: &Claims, own: Option<&Claims>, issuer: &Issuer) -> Result<Claims, TokenFault> {
    let ours = &issuer.settings.issuers;
    let iss = match said.top("iss").map(Json::as_str) {
        Some(Some(iss)) if ours.iter().any(|own| own == iss) => iss,
        Some(_) => return Err(TokenFault::Issuer),
        None => own
            .and_then(|own| own.top("iss")?.as_str())
            .or(ours.first().map(String::as_str))
            .unwrap_or_default(),
    };
    let times = TIMES
        .iter()
        .filter_map(|name| Some((*name, own?.top(name)?)));
    let iss = std::iter::once(("iss", Json::Text(iss)));
    // What he said comes first, and so counts.
    Claims::of(said.iter().chain(iss).chain(times)).map_err(|_| TokenFault::TooLarge)
}

/// Refuses what is no access token: endpoints call refresh tokens active as well. Where audiences are unchecked, something
/// must say that it is one.
fn check_purpose(claims: &Claims, issuer: &Issuer) -> Result<(), TokenFault> {
    check_type(claims)?;
    let word = |name: &str| match claims.top(name) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or(TokenFault::Type),
    };
    let is_one_of =
        |word: &str, known: &[&str]| known.iter().any(|known| word.eq_ignore_ascii_case(known));
    let token_type = word("token_type")?;
    let token_use = word("token_use")?;
    // RFC 6750, RFC 9449, and the word of Duende's IdentityServer; `token_use` is Ory's and Amazon's.
    if token_type.is_some_and(|word| !is_one_of(word, &["bearer", "dpop", "access_token"]))
        || token_use.is_some_and(|word| !is_one_of(word, &["access", "access_token"]))
    {
        return Err(TokenFault::Type);
    }
    let typ = word("typ")?.filter(|typ| is_one_of(typ, &["bearer", "dpop", "at+jwt"]));
    let says_so = token_type.is_some() || token_use.is_some() || typ.is_some();
    if issuer.settings.audiences == Audiences::Unchecked && !says_so {
        return Err(TokenFault::Type);
    }
    Ok(())
}

/// A token that is said to be bound to a key must say to which.
fn check_binding(verified: &Verified) -> Result<(), TokenFault> {
    let token_type = verified.claims.top("token_type").and_then(Json::as_str);
    let said = token_type.is_some_and(|word| word.eq_ignore_ascii_case("dpop"));
    let key = verified.confirmation.as_deref().and_then(|cnf| cnf.key());
    if said && key.is_none() {
        Err(TokenFault::Confirmation)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
