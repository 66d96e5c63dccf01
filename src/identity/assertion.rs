//! The signed identity statement: a JWT (RFC 7519) for the upstream.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use super::headers::Facts;
use super::statement::Statement;
use super::{About, KeySettings, NotVouched, SigningKey};
use crate::clock::UnixTime;

#[cfg(test)]
mod tests;

/// `typ` of assertions: no other JWT that somebody signs with the same key can be taken for one (RFC 8725 section 3.11).
pub const TOKEN_TYPE: &str = "countersign+jwt";

/// Most bytes of an assertion. Over it the request is refused; most servers take 16 KiB of headers at most.
pub const ASSERTION_LIMIT: usize = 16 * 1024;

/// The signed identity statement.
#[derive(Clone, Debug)]
pub struct AssertionSettings {
    /// The header that carries it.
    pub header: HeaderName,
    /// What signs it.
    pub key: KeySettings,
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// From `iat` to `exp`, at most; the token's own end comes first.
    pub lifetime: Duration,
    /// What it is bound to; the default is nothing.
    pub bind: Binding,
    /// How long a replaced key stays published ([`super::DEFAULT_OVERLAP`]).
    pub overlap: Duration,
}

/// What an assertion is bound to. One that is bound to anything is made for one request and covers every identity header
/// too, the absence of the others included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Binding {
    /// The method.
    pub method: bool,
    /// The exact target.
    pub target: bool,
    /// The authority.
    pub authority: bool,
}

impl Binding {
    /// `bind: none`.
    pub const NONE: Self = Self {
        method: false,
        target: false,
        authority: false,
    };

    /// Whether assertions are bound to nothing, hence good for several requests.
    #[must_use]
    pub const fn is_none(self) -> bool {
        !(self.method || self.target || self.authority)
    }
}

/// An assertion, and until when it is sent.
pub(super) struct Cached {
    pub(super) value: HeaderValue,
    issued: UnixTime,
    /// First moment of its second half; its end when the token ends before that.
    remake: UnixTime,
}

impl Cached {
    /// Whether it is still to be sent at `now`. A wall clock that went back would make it look issued in the future.
    pub(super) fn serves(&self, now: UnixTime) -> bool {
        self.issued <= now && now < self.remake
    }
}

/// The claims about a known principal that do not depend on the request: an open JSON object.
pub(super) fn claims(
    settings: &AssertionSettings,
    facts: &Facts<'_>,
) -> Result<Vec<u8>, NotVouched> {
    let verified = facts.verified;
    let mut json = opening(settings);
    let members = [
        ("sub", verified.subject.as_deref()),
        ("idp", Some(facts.issuer())),
        ("client_id", verified.client.as_deref()),
        ("caller", facts.caller),
        ("account", verified.account.as_deref()),
    ];
    for (name, value) in members {
        if let Some(value) = value {
            member(&mut json, name, value);
        }
    }
    if !verified.scopes.is_empty() {
        // RFC 6749 section 3.3. A scope with a space in it would read as two: the boundary is not ours to guess.
        let sayable = |scope: &str| !scope.is_empty() && !scope.contains(' ');
        if !verified.scopes.iter().all(|scope| sayable(scope)) {
            return Err(NotVouched::Unsayable);
        }
        member(&mut json, "scope", &verified.scopes.join(" "));
    }
    if let Some(actor) = facts.actor {
        // RFC 8693 section 4.1.
        json.extend(br#","act":{"idp":"#);
        string(&mut json, &actor.issuer.settings.name);
        if let Some(subject) = &actor.subject {
            member(&mut json, "sub", subject);
        }
        json.push(b'}');
    }
    if json.len() > ASSERTION_LIMIT {
        return Err(NotVouched::Unsayable);
    }
    Ok(json)
}

/// The claims about a request without identity.
pub(super) fn anonymous_claims(settings: &AssertionSettings) -> Vec<u8> {
    let mut json = opening(settings);
    json.extend(br#","anonymous":true"#);
    json
}

fn opening(settings: &AssertionSettings) -> Vec<u8> {
    let mut json = Vec::with_capacity(512);
    json.extend(br#"{"iss":"#);
    string(&mut json, &settings.issuer);
    member(&mut json, "aud", &settings.audience);
    json
}

/// `headers` as a JSON object, `null` for the names in `absent`: a verifier need not know which names are reserved. Empty where
/// assertions are bound to nothing, and so say nothing of headers.
pub(super) fn headers_json(
    settings: &AssertionSettings,
    headers: &[(HeaderName, HeaderValue)],
    absent: &[HeaderName],
) -> Vec<u8> {
    let mut json = Vec::new();
    if settings.bind.is_none() {
        return json;
    }
    let mut separator = b'{';
    for (name, value) in headers {
        json.push(separator);
        separator = b',';
        string(&mut json, name.as_str());
        json.push(b':');
        // Our own values are printable ASCII; the empty string stands for the impossible.
        string(&mut json, value.to_str().unwrap_or_default());
    }
    for name in absent {
        json.push(separator);
        separator = b',';
        string(&mut json, name.as_str());
        json.extend(b":null");
    }
    if separator == b'{' {
        json.push(b'{');
    }
    json.push(b'}');
    json
}

/// An assertion that is good for every request of its caller until it ends.
pub(super) fn unbound(
    statement: &Statement,
    settings: &AssertionSettings,
    key: &SigningKey,
    about: &About<'_>,
    now: UnixTime,
) -> Result<Cached, NotVouched> {
    make(statement, settings, key, about.until, now, |_| Ok(()))
}

/// An assertion for this request alone.
pub(super) fn bound(
    statement: &Statement,
    settings: &AssertionSettings,
    key: &SigningKey,
    about: &About<'_>,
    now: UnixTime,
) -> Result<Cached, NotVouched> {
    make(statement, settings, key, about.until, now, |json| {
        json.extend(br#","req":{"headers":"#);
        json.extend(&statement.headers_json);
        if settings.bind.method {
            member(json, "method", about.method);
        }
        if settings.bind.target {
            member(json, "target", about.target);
        }
        if settings.bind.authority {
            let authority = about.authority.to_str();
            member(
                json,
                "authority",
                authority.map_err(|_| NotVouched::Unsayable)?,
            );
        }
        json.push(b'}');
        Ok(())
    })
}

fn make(
    statement: &Statement,
    settings: &AssertionSettings,
    key: &SigningKey,
    until: Option<UnixTime>,
    now: UnixTime,
    bind: impl FnOnce(&mut Vec<u8>) -> Result<(), NotVouched>,
) -> Result<Cached, NotVouched> {
    let lifetime = i64::try_from(settings.lifetime.as_secs()).unwrap_or(i64::MAX);
    let full = now.plus(lifetime);
    let (expires, remake) = match until {
        Some(until) if until <= full => (until, until),
        _ => (full, now.plus(lifetime / 2)),
    };
    let mut json = Vec::with_capacity(statement.claims.len() + 160);
    json.extend(&statement.claims);
    let mut digits = itoa::Buffer::new();
    json.extend(br#","iat":"#);
    json.extend(digits.format(now.as_secs()).as_bytes());
    json.extend(br#","exp":"#);
    json.extend(digits.format(expires.as_secs()).as_bytes());
    member(&mut json, "jti", &super::random_id()?);
    bind(&mut json)?;
    json.push(b'}');
    Ok(Cached {
        value: compact(key, &json)?,
        issued: now,
        remake,
    })
}

/// JWS compact serialisation (RFC 7515 section 7.1).
fn compact(key: &SigningKey, payload: &[u8]) -> Result<HeaderValue, NotVouched> {
    let mut header = Vec::with_capacity(128);
    header.extend(br#"{"alg":"#);
    string(&mut header, key.algorithm().name());
    member(&mut header, "typ", TOKEN_TYPE);
    member(&mut header, "kid", key.id());
    header.push(b'}');
    let mut token = String::with_capacity((header.len() + payload.len()) * 4 / 3 + 96);
    URL_SAFE_NO_PAD.encode_string(header, &mut token);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut token);
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    if token.len() > ASSERTION_LIMIT {
        return Err(NotVouched::Unsayable);
    }
    let mut value =
        HeaderValue::from_maybe_shared(Bytes::from(token)).map_err(|_| NotVouched::Unsayable)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Appends `,"name":"value"`.
fn member(json: &mut Vec<u8>, name: &str, value: &str) {
    json.push(b',');
    string(json, name);
    json.push(b':');
    string(json, value);
}

/// Appends a JSON string (RFC 8259 section 7).
fn string(json: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    json.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => json.extend([b'\\', byte]),
            0x00..=0x1f => {
                let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
                json.extend(br"\u00");
                json.extend([digit(byte >> 4), digit(byte & 0x0f)]);
            }
            _ => json.push(byte),
        }
    }
    json.push(b'"');
}
