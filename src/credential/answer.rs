//! Answers of token endpoints (RFC 6749 sections 5.1 and 5.2), read with suspicion.

use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::error::{Failure, known_error};
use super::{DEFAULT_LIFETIME, LONGEST_LIFETIME, TOKEN_BYTES, TokenError};
use crate::clock::UnixTime;
use crate::fetch::Fetched;

/// A token, as it was answered.
pub(crate) struct Granted {
    pub(crate) token: Zeroizing<String>,
    pub(crate) lifetime: Duration,
    /// The server said how long it lives.
    pub(crate) lifetime_given: bool,
    /// What it may be used for, where the server said so.
    pub(crate) scope: Option<String>,
}

impl std::fmt::Debug for Granted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Granted")
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

/// Members that we read. A member given twice is no answer; others are ignored (section 5.1).
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    access_token: Option<&'a RawValue>,
    #[serde(borrow)]
    token_type: Option<&'a RawValue>,
    #[serde(borrow)]
    expires_in: Option<&'a RawValue>,
    #[serde(borrow)]
    scope: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    error_description: Option<&'a RawValue>,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A bearer token.
    Bearer,
    /// One that is bound to a key (RFC 9449 section 5).
    Bound,
}

/// The error of a refusal (RFC 6749 section 5.2), as one that we know; `None` where there is none.
pub(crate) fn refusal(fetched: &Fetched) -> Option<&'static str> {
    let members = serde_json::from_slice::<Members<'_>>(&fetched.body).ok();
    let error = members?.error.and_then(text)?;
    Some(known_error(&error))
}

/// Reads an answer. `secrets` are what the request held: a description that repeats some of one is not passed on.
pub(crate) fn read(
    fetched: &Fetched,
    kind: Kind,
    secrets: &[&[u8]],
    now: UnixTime,
) -> Result<Granted, Failure> {
    let status = fetched.status.as_u16();
    let outcome = parse(fetched, kind, status, secrets);
    outcome.map_err(|error| Failure {
        error,
        retry_after: retry_after(&fetched.headers, now),
    })
}

fn parse(
    fetched: &Fetched,
    kind: Kind,
    status: u16,
    secrets: &[&[u8]],
) -> Result<Granted, TokenError> {
    let success = status == 200;
    let members = if fetched.is_json() {
        serde_json::from_slice::<Members<'_>>(&fetched.body)
            .map_err(|_| "no JSON object, or a member given twice")
    } else {
        Err("its content type is not application/json")
    };
    let members = match members {
        Ok(members) => members,
        Err(reason) if success => return Err(TokenError::Answer(reason)),
        Err(_) => return Err(TokenError::Status(status)),
    };
    // Some servers answer 200 to everything.
    if let Some(error) = members.error.and_then(text) {
        return Err(TokenError::Refused {
            error: known_error(&error),
            status,
            description: members
                .error_description
                .and_then(text)
                .and_then(|text| clean(&text, secrets)),
        });
    }
    if !success {
        return Err(TokenError::Status(status));
    }
    granted(&members, kind, secrets).map_err(TokenError::Answer)
}

fn granted(members: &Members<'_>, kind: Kind, secrets: &[&[u8]]) -> Result<Granted, &'static str> {
    if members.error.is_some() {
        return Err("it has an `error` that is no text");
    }
    let token_type = members.token_type.and_then(text);
    let token_type = token_type.as_deref().ok_or("it has no `token_type`")?;
    match kind {
        Kind::Bearer if token_type.eq_ignore_ascii_case("bearer") => {}
        Kind::Bound if token_type.eq_ignore_ascii_case("dpop") => {}
        Kind::Bearer => return Err("its `token_type` is not Bearer"),
        // A server that does not know DPoP ignores proofs: its tokens are good for whoever finds one.
        Kind::Bound => return Err("its `token_type` is not DPoP: the token is bound to no key"),
    }
    let token = members
        .access_token
        .and_then(text)
        .map(Zeroizing::new)
        .ok_or("it has no `access_token`")?;
    if token.len() > TOKEN_BYTES {
        return Err("its `access_token` is larger than 16 KiB");
    }
    if !is_b64token(&token) {
        return Err("its `access_token` cannot stand in a header (RFC 6750 section 2.1)");
    }
    let given = members.expires_in.filter(|value| value.get() != "null");
    let mut unsaid = secrets.to_vec();
    unsaid.push(token.as_bytes());
    let scope = members.scope.and_then(text);
    let scope = scope.and_then(|scope| clean(&scope, &unsaid));
    Ok(Granted {
        token,
        lifetime: given.map_or(Ok(DEFAULT_LIFETIME), lifetime)?,
        lifetime_given: given.is_some(),
        scope,
    })
}

fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// `expires_in`: a number, or one in a string, as some servers have it. What is longer than a day counts as a day.
fn lifetime(value: &RawValue) -> Result<Duration, &'static str> {
    const WRONG: &str = "its `expires_in` is not a number of at least 1";
    let text = text(value).unwrap_or_else(|| value.get().to_owned());
    // `inf` and `nan` are numbers to Rust, and to nobody else here.
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(WRONG);
    }
    let seconds: f64 = text.parse().map_err(|_| WRONG)?;
    if seconds >= LONGEST_LIFETIME.as_secs_f64() {
        return Ok(LONGEST_LIFETIME);
    }
    if seconds >= 1.0 {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(WRONG)
    }
}

/// RFC 6750 section 2.1.
fn is_b64token(token: &str) -> bool {
    let body = token.trim_end_matches('=');
    !body.is_empty()
        && body
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

/// Seconds or a date (RFC 9110 section 10.2.3).
fn retry_after(headers: &HeaderMap, now: UnixTime) -> Option<Duration> {
    let value = one(headers, &RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let date = date.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
    let now = u64::try_from(now.as_secs()).ok()?;
    Some(Duration::from_secs(date.saturating_sub(now)))
}

fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    first.filter(|_| values.next().is_none())
}

/// A server's words for people, fit for a log line: printable ASCII (RFC 6749 section 5.2), bounded, and nothing at all
/// where they repeat some of a secret or hold what may be a token.
fn clean(text: &str, secrets: &[&[u8]]) -> Option<String> {
    const MOST_CHARS: usize = 200;
    /// So much of a secret is a secret.
    const PIECE: usize = 8;
    let repeats = |secret: &&[u8]| {
        let piece = secret.len().clamp(1, PIECE);
        secret
            .windows(piece)
            .any(|piece| memchr::memmem::find(text.as_bytes(), piece).is_some())
    };
    // `eyJ` is how a JWT begins.
    if secrets.iter().any(repeats) || text.contains("eyJ") {
        return None;
    }
    let clean: String = text
        .chars()
        .filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\'))
        .take(MOST_CHARS)
        .collect();
    Some(clean).filter(|clean| !clean.trim().is_empty())
}

#[cfg(test)]
mod tests;
