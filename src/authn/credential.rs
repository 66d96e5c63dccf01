//! Where a credential stands in a request. There is exactly one, or the request is refused: with two, the upstream might
//! believe the other one.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderValue};

use super::Issuers;
use crate::rejection::{Malformed, Rejection, TokenFault};

/// What a browser can send with a WebSocket: a subprotocol of this form, which Kubernetes' API server reads too.
const WEBSOCKET_PREFIX: &str = "base64url.bearer.authorization.k8s.io.";

/// The query parameter of RFC 6750 section 2.3. We never read it; beside a header it is a second credential.
const ACCESS_TOKEN: &str = "access_token";

/// The kind of place that a token came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// `Authorization: Bearer`.
    Bearer,
    /// `Authorization: DPoP`; the proof is beside it.
    Dpop,
    /// `Authorization: Basic`, as the password.
    BasicPassword,
    /// `Sec-WebSocket-Protocol`.
    WebSocketProtocol,
    /// A header of its own (second tokens).
    Header,
}

/// A credential. Not looked into yet.
pub(super) struct Credential<'a> {
    pub(super) source: Source,
    pub(super) token: Cow<'a, [u8]>,
}

/// The request's credential, if it has one.
pub(super) fn find<'a>(
    headers: &'a HeaderMap,
    query: Option<&str>,
    issuers: &Issuers,
) -> Result<Option<Credential<'a>>, Rejection> {
    let sources = issuers.sources();
    let from_header = single(headers, &AUTHORIZATION)?.map(|value| authorization(value, issuers));
    let from_websocket = if sources.websocket_protocol {
        websocket(headers)?
    } else {
        None
    };
    let credential = match (from_header, from_websocket) {
        (Some(_), Some(_)) => return Err(Rejection::Malformed(Malformed::Credentials)),
        (None, None) => return Ok(None),
        (Some(credential), None) | (None, Some(credential)) => credential,
    };
    if query.is_some_and(query_has_token) || cookies_have_token(headers) {
        return Err(Rejection::Malformed(Malformed::Credentials));
    }
    credential.map(Some).map_err(Rejection::InvalidToken)
}

/// The only value of a header; two are two credentials.
pub(super) fn single<'a>(
    headers: &'a HeaderMap,
    name: &http::HeaderName,
) -> Result<Option<&'a HeaderValue>, Rejection> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Rejection::Malformed(Malformed::Credentials));
    }
    Ok(first)
}

fn authorization<'a>(
    value: &'a HeaderValue,
    issuers: &Issuers,
) -> Result<Credential<'a>, TokenFault> {
    let bytes = value.as_bytes();
    let Some((scheme, rest)) = memchr::memchr(b' ', bytes)
        .and_then(|at| bytes.split_at_checked(at))
        .and_then(|(scheme, rest)| Some((scheme, rest.split_first()?.1)))
    else {
        // A scheme without anything.
        return Err(TokenFault::Scheme);
    };
    let source = if scheme.eq_ignore_ascii_case(b"bearer") {
        Some(Source::Bearer)
    } else if scheme.eq_ignore_ascii_case(b"dpop") && issuers.dpop() {
        Some(Source::Dpop)
    } else {
        None
    };
    if let Some(source) = source {
        return Ok(Credential {
            source,
            token: Cow::Borrowed(rest),
        });
    }
    if scheme.eq_ignore_ascii_case(b"basic") && issuers.sources().basic_password {
        return basic(rest);
    }
    Err(TokenFault::Scheme)
}

/// The password (RFC 7617); the user name says nothing.
fn basic(encoded: &[u8]) -> Result<Credential<'_>, TokenFault> {
    let decoded = STANDARD
        .decode(encoded)
        .map_err(|_| TokenFault::Malformed)?;
    let colon = memchr::memchr(b':', &decoded).ok_or(TokenFault::Malformed)?;
    let password = decoded.get(colon + 1..).ok_or(TokenFault::Malformed)?;
    Ok(Credential {
        source: Source::BasicPassword,
        token: Cow::Owned(password.to_vec()),
    })
}

type Found<'a> = Option<Result<Credential<'a>, TokenFault>>;

fn websocket(headers: &HeaderMap) -> Result<Found<'_>, Rejection> {
    let mut found = None;
    for value in headers.get_all(SEC_WEBSOCKET_PROTOCOL) {
        for entry in entries(value) {
            let Some(encoded) = token_entry(entry) else {
                continue;
            };
            if found.is_some() {
                return Err(Rejection::Malformed(Malformed::Credentials));
            }
            let token = URL_SAFE_NO_PAD.decode(encoded);
            found = Some(
                token
                    .map(|token| Credential {
                        source: Source::WebSocketProtocol,
                        token: Cow::Owned(token),
                    })
                    .map_err(|_| TokenFault::Malformed),
            );
        }
    }
    Ok(found)
}

/// Takes the token out of `Sec-WebSocket-Protocol`: it is not the upstream's.
pub(super) fn strip_websocket(headers: &mut HeaderMap) {
    let carries = |value: &HeaderValue| entries(value).any(|entry| token_entry(entry).is_some());
    if !headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().any(carries) {
        return;
    }
    let kept: Vec<&[u8]> = headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .flat_map(entries)
        .filter(|entry| token_entry(entry).is_none() && !entry.is_empty())
        .collect();
    let joined = HeaderValue::from_bytes(&kept.join(b", ".as_slice()));
    headers.remove(SEC_WEBSOCKET_PROTOCOL);
    if let Ok(joined) = joined
        && !joined.is_empty()
    {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, joined);
    }
}

fn entries(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value
        .as_bytes()
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
}

/// The encoded token of an entry that carries one. In any case of letters: another spelling must not slip through to an
/// upstream that is lenient.
fn token_entry(entry: &[u8]) -> Option<&[u8]> {
    let (prefix, encoded) = entry.split_at_checked(WEBSOCKET_PREFIX.len())?;
    prefix
        .eq_ignore_ascii_case(WEBSOCKET_PREFIX.as_bytes())
        .then_some(encoded)
}

fn query_has_token(query: &str) -> bool {
    query
        .split('&')
        .any(|pair| is_token_name(pair.split_once('=').map_or(pair, |(name, _)| name)))
}

/// Whether a parameter's name is `access_token`, percent-encoded or not.
fn is_token_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let mut expected = ACCESS_TOKEN.bytes();
    loop {
        let byte = match bytes.next() {
            Some(b'%') => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                match (digit(bytes.next()), digit(bytes.next())) {
                    (Some(high), Some(low)) => u8::try_from(high * 16 + low).ok(),
                    _ => return false,
                }
            }
            byte => byte,
        };
        match (byte, expected.next()) {
            (None, None) => return true,
            (a, b) if a == b => {}
            _ => return false,
        }
    }
}

fn cookies_have_token(headers: &HeaderMap) -> bool {
    headers.get_all(COOKIE).iter().any(|value| {
        value.as_bytes().split(|byte| *byte == b';').any(|pair| {
            let name = pair.split(|byte| *byte == b'=').next();
            name.is_some_and(|name| name.trim_ascii() == ACCESS_TOKEN.as_bytes())
        })
    })
}

/// Whether bytes can be a bearer token at all (`b64token` of RFC 6750 section 2.1).
pub(super) fn is_b64token(token: &[u8]) -> bool {
    let end = token
        .iter()
        .rposition(|byte| *byte != b'=')
        .map_or(0, |at| at + 1);
    end > 0
        && token.iter().take(end).all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
        })
}
