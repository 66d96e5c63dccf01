//! Credentials where a caller put them, in targets most of all: neither records nor spans show them.

use std::borrow::Cow;

/// Names of query parameters that carry credentials (RFC 6750 section 2.3, RFC 6749, OpenID Connect, common practice).
const SECRET_NAMES: [&str; 11] = [
    "auth",
    "authorization",
    "bearer",
    "code",
    "code_verifier",
    "jwt",
    "key",
    "pwd",
    "samlresponse",
    "sig",
    "ticket",
];

/// Words in names of such parameters: `private_token`, `X-Amz-Signature`, `client_secret`, `token[]`.
const SECRET_WORDS: [&str; 10] = [
    "token",
    "secret",
    "password",
    "passwd",
    "signature",
    "credential",
    "assertion",
    "apikey",
    "api_key",
    "api-key",
];

/// What stands for a credential.
const REDACTED: &str = "[redacted]";

/// A method or a host; they are words of a few letters unless somebody put a token in the wrong place.
pub(in crate::telemetry) fn blanked_word(word: &str) -> &str {
    if crate::telemetry::contains_token(word) {
        REDACTED
    } else {
        word
    }
}

/// The path with the segments blanked that hold a token: links that somebody was sent, mistakes of clients.
pub(in crate::telemetry) fn blanked_path(path: &str) -> Cow<'_, str> {
    // A token can only be spelt with these; most paths have neither.
    if !path.contains("eyJ") && !path.contains('%') || !path.split('/').any(holds_token) {
        return path.into();
    }
    let shown = path.split('/').map(|segment| {
        if holds_token(segment) {
            REDACTED
        } else {
            segment
        }
    });
    shown.collect::<Vec<_>>().join("/").into()
}

/// The target with the values of secret parameters, whatever looks like a JWT, and a user name blanked; `None` when
/// there is none.
pub(crate) fn blanked(target: &str) -> Option<String> {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let shown = match without_user(path) {
        Cow::Borrowed(path) => blanked_path(path),
        Cow::Owned(path) => blanked_path(&path).into_owned().into(),
    };
    let dirty = query.is_some_and(|query| query.split(['&', ';']).any(is_secret));
    if !dirty && matches!(shown, Cow::Borrowed(_)) {
        return None;
    }
    let mut out = shown.into_owned();
    let Some(query) = query else {
        return Some(out);
    };
    for (at, pair) in query.split('&').enumerate() {
        out.push(if at == 0 { '?' } else { '&' });
        if pair.split(';').any(is_secret) {
            let name = pair.split_once('=').map_or("", |(name, _)| name);
            out.push_str(if holds_token(name) { REDACTED } else { name });
            out.push('=');
            out.push_str(REDACTED);
        } else {
            out.push_str(pair);
        }
    }
    Some(out)
}

/// Whether there is a token, as an upstream would read the text.
pub(crate) fn holds_token(text: &str) -> bool {
    crate::telemetry::contains_token(&String::from_utf8_lossy(&decoded(text)))
}

/// Whether a parameter's name says that its value is a credential, or either looks like one.
fn is_secret(pair: &str) -> bool {
    let name = decoded(pair.split_once('=').map_or("", |(name, _)| name));
    let has = |word: &str| {
        // `max_tokens` is a number, `tokenizer` a name.
        name.windows(word.len()).enumerate().any(|(at, part)| {
            part.eq_ignore_ascii_case(word.as_bytes())
                && !name
                    .get(at + word.len())
                    .is_some_and(u8::is_ascii_alphabetic)
        })
    };
    SECRET_NAMES
        .iter()
        .any(|secret| name.eq_ignore_ascii_case(secret.as_bytes()))
        || SECRET_WORDS.iter().any(|word| has(word))
        || holds_token(pair)
}

/// Of an absolute target (it was refused), without `user:password@`.
fn without_user(path: &str) -> Cow<'_, str> {
    let parts = path.split_once("://").and_then(|(scheme, rest)| {
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Some((scheme, authority.rsplit_once('@')?.1, path))
    });
    match parts {
        Some((scheme, host, path)) if !scheme.contains('/') => {
            format!("{scheme}://[redacted]@{host}{path}").into()
        }
        Some(_) | None => path.into(),
    }
}

/// Percent-decoded once, as an upstream would read the name.
pub(crate) fn decoded(name: &str) -> Cow<'_, [u8]> {
    if !name.contains('%') {
        return name.as_bytes().into();
    }
    let mut out = Vec::with_capacity(name.len());
    let mut bytes = name.as_bytes();
    while let Some((&byte, rest)) = bytes.split_first() {
        let escaped = rest.split_at_checked(2).and_then(|(digits, rest)| {
            let digits = std::str::from_utf8(digits).ok()?;
            Some((u8::from_str_radix(digits, 16).ok()?, rest))
        });
        match escaped.filter(|_| byte == b'%') {
            Some((value, after)) => {
                out.push(value);
                bytes = after;
            }
            None => {
                out.push(byte);
                bytes = rest;
            }
        }
    }
    out.into()
}
