//! The compact JWS (RFC 7515 section 7.1), taken apart with the cheap checks first. Nothing here is verified yet.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Algorithm;
use super::json::{Document, Members, Object};
use crate::rejection::TokenFault;

#[cfg(test)]
mod tests;

/// Most bytes of a `kid`.
const MAX_KID: usize = 128;

/// base64url length of the largest signature there is: RSA with 8192 bits.
const MAX_SIGNATURE: usize = 1366;

/// Whether a `kid` is one that we look up: it may come to logs and to metrics of a fetch, so it is printable and short.
pub(super) fn is_kid(kid: &str) -> bool {
    (1..=MAX_KID).contains(&kid.len()) && kid.bytes().all(|byte| (0x20..0x7F).contains(&byte))
}

/// Whether a bearer token on a route for opaque tokens must verify nevertheless: three parts (JWS), five (JWE), or the
/// beginning of an encoded JSON object. Errs on the side of a token that must verify, so that a JWT which was damaged a
/// little does not pass as opaque.
pub(super) fn looks_like_jwt(token: &[u8]) -> bool {
    let dots = memchr::memchr_iter(b'.', token).count();
    dots == 2 || dots == 4 || token.starts_with(b"eyJ")
}

/// Whether a token begins as a JWT does, with a JSON object (RFC 7519 section 7.2). One that has dots in other places is as
/// opaque as one without.
pub(super) fn has_jose_header(token: &[u8]) -> bool {
    if token.starts_with(b"eyJ") {
        return true;
    }
    let header = token.split(|byte| *byte == b'.').next().unwrap_or(token);
    header.len() < token.len()
        && URL_SAFE_NO_PAD
            .decode(header)
            .is_ok_and(|header| header.trim_ascii_start().first() == Some(&b'{'))
}

/// A token in its parts.
pub(super) struct Parts<'a> {
    /// Header, dot, payload: what is signed.
    pub(super) signed: &'a str,
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    /// Splits at exactly two dots; nothing is decoded before their number is right.
    pub(super) fn split(token: &'a str) -> Result<Self, TokenFault> {
        if memchr::memchr_iter(b'.', token.as_bytes()).count() != 2 {
            return Err(TokenFault::Malformed);
        }
        let parts = token
            .rsplit_once('.')
            .and_then(|(signed, signature)| Some((signed, signed.split_once('.')?, signature)));
        let Some((signed, (header, payload), signature)) = parts else {
            return Err(TokenFault::Malformed);
        };
        if header.is_empty() || payload.is_empty() || signature.is_empty() {
            return Err(TokenFault::Malformed);
        }
        if signature.len() > MAX_SIGNATURE {
            return Err(TokenFault::Malformed);
        }
        Ok(Self {
            signed,
            header,
            payload,
            signature,
        })
    }

    pub(super) fn header(&self) -> Result<Header, TokenFault> {
        Header::parse(self.header_object()?.members())
    }

    pub(super) fn header_object(&self) -> Result<Object, TokenFault> {
        object(self.header)
    }

    pub(super) fn claims(&self) -> Result<Object, TokenFault> {
        object(self.payload)
    }

    pub(super) fn signature(&self) -> Result<Vec<u8>, TokenFault> {
        decode(self.signature)
    }
}

/// Canonical base64url: no padding, no white space, no stray trailing bits (so a token has one spelling only).
fn decode(part: &str) -> Result<Vec<u8>, TokenFault> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| TokenFault::Malformed)
}

fn object(part: &str) -> Result<Object, TokenFault> {
    Document::parse_of_token(&decode(part)?)
        .ok()
        .and_then(Document::into_object)
        .ok_or(TokenFault::Malformed)
}

/// The members of a JOSE header that count. Keys that a token brings along (`jwk`, `jku`, `x5u`, `x5c`) are not read here;
/// a proof's `jwk` is ([`super::proof`]).
#[derive(Debug)]
pub(super) struct Header {
    /// `None`: `none`, an HMAC, or unknown.
    pub(super) algorithm: Option<Algorithm>,
    pub(super) kid: Option<Box<str>>,
    /// Lower-case, without `application/`.
    pub(super) typ: Option<Box<str>>,
}

impl Header {
    pub(super) fn parse(members: Members<'_>) -> Result<Self, TokenFault> {
        // Members that change what the token means (RFC 7515 section 4.1.11, RFC 7797, RFC 7516). We know none of them,
        // and a nested token (`cty`) is not one that we would unwrap.
        if ["crit", "b64", "zip", "enc", "cty"]
            .iter()
            .any(|name| members.get(name).is_some())
        {
            return Err(TokenFault::UnsupportedHeader);
        }
        let text = |name: &str| match members.get(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or(TokenFault::Malformed),
        };
        let algorithm = Algorithm::from_name(text("alg")?.ok_or(TokenFault::Malformed)?);
        let kid = text("kid")?;
        if kid.is_some_and(|kid| !is_kid(kid)) {
            return Err(TokenFault::UnknownKey);
        }
        Ok(Self {
            algorithm,
            kid: kid.map(Into::into),
            typ: text("typ")?.map(media_type),
        })
    }
}

/// `typ` as RFC 7515 section 4.1.9 compares it: a media type, `application/` left out where nothing else has a slash.
fn media_type(typ: &str) -> Box<str> {
    let lower = typ.to_ascii_lowercase();
    match lower.strip_prefix("application/") {
        Some(rest) if !rest.contains('/') => rest.into(),
        Some(_) | None => lower.into(),
    }
}
