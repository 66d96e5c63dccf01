//! Identity headers: which, and how values become header values.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use super::NotVouched;
use crate::authn::{ClaimPath, Json, Verified};

#[cfg(test)]
mod tests;

/// Most bytes of one identity header's value, after encoding. A value over it refuses the request; nothing is truncated,
/// since half a list of groups is another list of groups.
pub const VALUE_LIMIT: usize = 4096;

/// One identity header.
#[derive(Clone, Debug)]
pub struct HeaderSettings {
    /// Its name.
    pub name: HeaderName,
    /// What it carries.
    pub source: Source,
}

/// What an identity header may carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `subject`.
    Subject,
    /// `issuer`: the name under which the configuration knows the issuer (`claims.iss` is what the token says).
    Issuer,
    /// `client`.
    Client,
    /// `caller`: the name of the caller that the matching alternative named.
    Caller,
    /// `account`.
    Account,
    /// `scopes`, implied ones included; joined by a space.
    Scopes,
    /// `roles`; joined by a comma.
    Roles,
    /// `groups`; joined by a comma.
    Groups,
    /// `claims.NAME`, `claims.outer.inner`, `claims./outer/in.ner`: a string, number, boolean or list of them.
    Claim(ClaimPath),
    /// `actor.subject`: the subject of the second token.
    ActorSubject,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Subject => f.write_str("subject"),
            Self::Issuer => f.write_str("issuer"),
            Self::Client => f.write_str("client"),
            Self::Caller => f.write_str("caller"),
            Self::Account => f.write_str("account"),
            Self::Scopes => f.write_str("scopes"),
            Self::Roles => f.write_str("roles"),
            Self::Groups => f.write_str("groups"),
            Self::Claim(path) => write!(f, "claims.{path}"),
            Self::ActorSubject => f.write_str("actor.subject"),
        }
    }
}

/// Not one of the closed list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// No such source.
    #[error(
        "`{0}` is not one of subject, issuer, client, caller, account, scopes, roles, groups, claims.NAME, actor.subject"
    )]
    Unknown(String),
    /// `claims.` without a name, or an empty step in it.
    #[error(
        "`{0}` does not name a claim: write claims.NAME, claims.outer.inner or claims./outer/inner"
    )]
    Claim(String),
}

impl Source {
    /// Reads what the configuration says.
    ///
    /// # Errors
    /// It is not in the closed list.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        Ok(match text {
            "subject" => Self::Subject,
            "issuer" => Self::Issuer,
            "client" => Self::Client,
            "caller" => Self::Caller,
            "account" => Self::Account,
            "scopes" => Self::Scopes,
            "roles" => Self::Roles,
            "groups" => Self::Groups,
            "actor.subject" => Self::ActorSubject,
            _ => match text.strip_prefix("claims.") {
                Some(path) => Self::Claim(
                    ClaimPath::parse(path).map_err(|_| SourceError::Claim(text.to_owned()))?,
                ),
                None => return Err(SourceError::Unknown(text.to_owned())),
            },
        })
    }
}

/// Where values come from.
pub(super) struct Facts<'a> {
    pub(super) verified: &'a Verified,
    pub(super) actor: Option<&'a Verified>,
    pub(super) caller: Option<&'a str>,
}

impl Facts<'_> {
    /// The configured name of the issuer.
    pub(super) fn issuer(&self) -> &str {
        &self.verified.issuer.settings.name
    }
}

/// The header value of `source`; `None` when the token does not say it.
pub(super) fn value(source: &Source, facts: &Facts<'_>) -> Result<Option<HeaderValue>, NotVouched> {
    let verified = facts.verified;
    match source {
        Source::Subject => one(verified.subject.as_deref()),
        Source::Issuer => one(Some(facts.issuer())),
        Source::Client => one(verified.client.as_deref()),
        Source::Caller => one(facts.caller),
        Source::Account => one(verified.account.as_deref()),
        Source::Scopes => list(verified.scopes.iter().map(AsRef::as_ref), Separator::Space),
        Source::Roles => list(verified.roles.iter().map(AsRef::as_ref), Separator::Comma),
        Source::Groups => list(verified.groups.iter().map(AsRef::as_ref), Separator::Comma),
        Source::Claim(path) => claim(verified.claims.get(path)),
        Source::ActorSubject => one(facts.actor.and_then(|actor| actor.subject.as_deref())),
    }
}

/// A claim as it stands in the token. An object, or a list inside a list, has no header form: sending something that
/// stands for it would let two different claims look alike, sending nothing would look like its absence.
fn claim(value: Option<Json<'_>>) -> Result<Option<HeaderValue>, NotVouched> {
    match value {
        None | Some(Json::Null) => Ok(None),
        Some(Json::List(elements)) => {
            let texts = elements.iter().map(scalar).collect::<Option<Vec<_>>>();
            let texts = texts.ok_or(NotVouched::Unsayable)?;
            list(texts.into_iter(), Separator::Comma)
        }
        Some(value) => one(Some(scalar(value).ok_or(NotVouched::Unsayable)?)),
    }
}

/// A string itself, a number as the token writes it, a boolean as JSON does.
fn scalar(value: Json<'_>) -> Option<&str> {
    match value {
        Json::Text(text) | Json::Number(text) => Some(text),
        Json::Bool(true) => Some("true"),
        Json::Bool(false) => Some("false"),
        Json::Null | Json::List(_) | Json::Object(_) => None,
    }
}

fn one(text: Option<&str>) -> Result<Option<HeaderValue>, NotVouched> {
    let Some(text) = text else {
        return Ok(None);
    };
    list(std::iter::once(text), Separator::Comma)
}

/// What stands between the elements of a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Separator {
    /// Scopes (RFC 6749 section 3.3).
    Space,
    /// Everything else.
    Comma,
}

/// Joins encoded elements. An empty list is not sent: it could not be told from a list of one empty string.
fn list<'a>(
    elements: impl Iterator<Item = &'a str>,
    separator: Separator,
) -> Result<Option<HeaderValue>, NotVouched> {
    let mut encoded = Vec::new();
    let mut first = true;
    for element in elements {
        if !first {
            encoded.push(match separator {
                Separator::Space => b' ',
                Separator::Comma => b',',
            });
        }
        first = false;
        // A scope is at least one character; an empty one would make a separator at the end, which parsers trim.
        if separator == Separator::Space && element.is_empty() {
            return Err(NotVouched::Unsayable);
        }
        encode(element, separator, &mut encoded);
        if encoded.len() > VALUE_LIMIT {
            return Err(NotVouched::Unsayable);
        }
    }
    if first {
        return Ok(None);
    }
    HeaderValue::from_maybe_shared(Bytes::from(encoded))
        .map(Some)
        .map_err(|_| NotVouched::Unsayable)
}

/// Percent-encodes (RFC 3986 section 2.1) what cannot stand in a header value, and what would make two values look alike:
/// `%` itself, commas, and spaces where a parser trims or splits. Decoding each element gives the value back.
fn encode(element: &str, separator: Separator, into: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let last = element.len().saturating_sub(1);
    for (at, byte) in element.bytes().enumerate() {
        let plain = match byte {
            b'%' | b',' => false,
            b' ' => separator == Separator::Comma && at != 0 && at != last,
            0x21..=0x7e => true,
            _ => false,
        };
        if plain {
            into.push(byte);
        } else {
            let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
            into.extend([b'%', digit(byte >> 4), digit(byte & 0x0f)]);
        }
    }
}
