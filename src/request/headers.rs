//! Header fields: one pass that keeps what is end-to-end and a client may say, and takes the rest out.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use smallvec::SmallVec;

use super::client::{client_address, is_trusted};
use super::reserved::Kind;
use super::{Proof, RequestRules, framing};
use crate::rejection::Malformed;

#[cfg(test)]
mod tests;

/// Most bytes of one field (name and value). `Authorization` has the token's own limit instead.
pub const FIELD_BYTES: usize = 16 * 1024;

/// What one pass over the fields found.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts of one message"
)]
pub(super) struct Sifted {
    pub(super) host: Option<HeaderValue>,
    pub(super) hosts: usize,
    pub(super) client: IpAddr,
    pub(super) trusted_peer: bool,
    pub(super) upgrade: Option<HeaderValue>,
    pub(super) te_trailers: bool,
    pub(super) expects_continue: bool,
    pub(super) content_length: Option<u64>,
    pub(super) chunked: bool,
    pub(super) authorization_is_hop: bool,
    pub(super) proof: Option<Box<Proof>>,
}

/// Takes out of `headers` what does not pass, and reads what a proxy must read.
///
/// # Errors
/// Limits ([`Malformed::HeadTooLarge`]), framing, repeated credentials, upgrades that cannot be, unknown expectations.
pub(super) fn sift(
    headers: &mut HeaderMap,
    version: Version,
    peer: IpAddr,
    rules: &RequestRules,
) -> Result<Sifted, Malformed> {
    if headers.len() > rules.headers {
        return Err(Malformed::HeadTooLarge);
    }
    let peer = peer.to_canonical();
    let mut sieve = Sieve::new(is_trusted(peer, &rules.trusted_proxies), rules.headers);
    let mut bytes = 0usize;
    for (name, value) in headers.iter() {
        bytes = bytes.saturating_add(name.as_str().len() + value.len());
        let kind = rules.reserved.kind(name.as_str());
        if name.as_str().len() + value.len() > FIELD_BYTES && kind != Kind::Authorization {
            return Err(Malformed::HeadTooLarge);
        }
        if version == Version::HTTP_2 && has_outer_space(value) {
            return Err(Malformed::Syntax);
        }
        sieve.take(kind, name, value)?;
    }
    if bytes > rules.header_bytes {
        return Err(Malformed::HeadTooLarge);
    }
    // Before anything is removed: a peer could otherwise nominate the field away and become the client.
    let client = if sieve.trusted_peer && sieve.forwarded_for {
        client_address(peer, headers, &rules.trusted_proxies)
    } else {
        peer
    };
    for name in &sieve.doomed {
        headers.remove(name);
    }
    if version == Version::HTTP_2 && sieve.cookies > 1 {
        join_cookies(headers)?;
    }
    sieve.finish(version, client, rules)
}

/// White space around a value makes an HTTP/2 message malformed (RFC 9113 section 8.2.1); on HTTP/1 it is no part of the
/// value, so an upstream would read another one than was judged.
fn has_outer_space(value: &HeaderValue) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    is_space(value.as_bytes().first()) || is_space(value.as_bytes().last())
}

/// State of the pass.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts of one pass, private to it"
)]
struct Sieve {
    trusted_peer: bool,
    /// Most names that `Connection` may nominate; more is work for us and no use to anyone.
    nominations_left: usize,
    doomed: SmallVec<[HeaderName; 8]>,
    host: Option<HeaderValue>,
    hosts: usize,
    authorizations: usize,
    authorization_is_hop: bool,
    lengths: usize,
    content_length: Option<u64>,
    encodings: usize,
    expectations: usize,
    upgrades: usize,
    upgrade: Option<HeaderValue>,
    connection_upgrade: bool,
    http2_settings: bool,
    te_trailers: bool,
    forwarded_for: bool,
    cookies: usize,
    proofs: usize,
    proof: Option<HeaderValue>,
}

impl Sieve {
    fn new(trusted_peer: bool, nominations_left: usize) -> Self {
        Self {
            trusted_peer,
            nominations_left,
            doomed: SmallVec::new(),
            host: None,
            hosts: 0,
            authorizations: 0,
            authorization_is_hop: false,
            lengths: 0,
            content_length: None,
            encodings: 0,
            expectations: 0,
            upgrades: 0,
            upgrade: None,
            connection_upgrade: false,
            http2_settings: false,
            te_trailers: false,
            forwarded_for: false,
            cookies: 0,
            proofs: 0,
            proof: None,
        }
    }

    fn take(
        &mut self,
        kind: Kind,
        name: &HeaderName,
        value: &HeaderValue,
    ) -> Result<(), Malformed> {
        match kind {
            Kind::Keep => return Ok(()),
            Kind::Cookie => {
                self.cookies += 1;
                return Ok(());
            }
            Kind::Authorization => return self.take_authorization(value),
            Kind::FromTrusted if self.trusted_peer => return Ok(()),
            Kind::ForwardedFor if self.trusted_peer => {
                self.forwarded_for = true;
                return Ok(());
            }
            Kind::FromTrusted | Kind::ForwardedFor | Kind::Reserved | Kind::HopByHop => {}
            Kind::Connection => self.take_connection(value)?,
            Kind::ContentLength => {
                self.lengths += 1;
                let length = framing::content_length(value.as_bytes());
                self.content_length = Some(length.ok_or(Malformed::Framing)?);
            }
            Kind::TransferEncoding => {
                self.encodings += 1;
                if !framing::is_chunked(value.as_bytes()) {
                    return Err(Malformed::Framing);
                }
            }
            Kind::Expect => {
                self.expectations += 1;
                if !value.as_bytes().eq_ignore_ascii_case(b"100-continue") {
                    return Err(Malformed::Expect);
                }
            }
            Kind::Host => {
                self.hosts += 1;
                self.host = Some(value.clone());
            }
            Kind::Http2Settings => self.http2_settings = true,
            Kind::Proof => {
                self.proofs += 1;
                self.proof = Some(value.clone());
            }
            Kind::Te => {
                self.te_trailers |=
                    tokens(value).any(|token| token.eq_ignore_ascii_case(b"trailers"));
            }
            Kind::Upgrade => {
                self.upgrades += 1;
                self.upgrade = Some(value.clone());
            }
        }
        if self.doomed.last() != Some(name) {
            self.doomed.push(name.clone());
        }
        Ok(())
    }

    /// One credential only (invariant 18): neither two fields, nor two in one that some recipient would split.
    fn take_authorization(&mut self, value: &HeaderValue) -> Result<(), Malformed> {
        self.authorizations += 1;
        if self.authorizations > 1 || holds_several_credentials(value.as_bytes()) {
            return Err(Malformed::Credentials);
        }
        Ok(())
    }

    fn take_connection(&mut self, value: &HeaderValue) -> Result<(), Malformed> {
        for token in tokens(value) {
            if token.eq_ignore_ascii_case(b"keep-alive") || token.eq_ignore_ascii_case(b"close") {
                continue;
            }
            if token.eq_ignore_ascii_case(b"upgrade") {
                self.connection_upgrade = true;
                continue;
            }
            self.nominations_left = self
                .nominations_left
                .checked_sub(1)
                .ok_or(Malformed::HeadTooLarge)?;
            let Ok(name) = HeaderName::from_bytes(token) else {
                continue;
            };
            // A client may not nominate away what the decision rests on: these are read all the same, and the first is
            // then not forwarded even where its route would.
            if name == AUTHORIZATION {
                self.authorization_is_hop = true;
            } else if name != HOST && name != CONTENT_LENGTH {
                self.doomed.push(name);
            }
        }
        Ok(())
    }

    fn finish(
        self,
        version: Version,
        client: IpAddr,
        rules: &RequestRules,
    ) -> Result<Sifted, Malformed> {
        let chunked = self.encodings == 1;
        if self.lengths > 1
            || self.encodings > 1
            || (chunked && self.lengths > 0)
            || (chunked && version != Version::HTTP_11)
        {
            return Err(Malformed::Framing);
        }
        if self.expectations > 1 {
            return Err(Malformed::Expect);
        }
        let has_body = chunked || self.content_length.is_some_and(|length| length > 0);
        Ok(Sifted {
            upgrade: self.agreed_upgrade(version, has_body)?,
            host: self.host,
            hosts: self.hosts,
            client,
            trusted_peer: self.trusted_peer,
            te_trailers: self.te_trailers,
            // RFC 9110 section 10.1.1: ignored from HTTP/1.0, which knows no 1xx.
            expects_continue: self.expectations == 1 && version != Version::HTTP_10,
            content_length: self.content_length,
            chunked,
            authorization_is_hop: self.authorization_is_hop,
            proof: (self.proofs > 0).then(|| {
                let single = self.proof.filter(|_| self.proofs == 1);
                Box::new(Proof::new(single, Arc::clone(&rules.origins)))
            }),
        })
    }

    /// `Connection: upgrade` and exactly one protocol; never one that would make the connection speak HTTP or TLS anew
    /// behind policy's back. HTTP/1.0 cannot upgrade and is ignored (RFC 9110 section 7.8). `Connection: upgrade` alone
    /// asks for nothing: a common nginx snippet sends it with every request.
    fn agreed_upgrade(
        &self,
        version: Version,
        has_body: bool,
    ) -> Result<Option<HeaderValue>, Malformed> {
        if self.http2_settings {
            return Err(Malformed::Upgrade);
        }
        if self.upgrades == 0 || version == Version::HTTP_10 {
            return Ok(None);
        }
        let possible = version == Version::HTTP_11
            && self.upgrades == 1
            && self.connection_upgrade
            // The bytes after the head belong to the body or to the new protocol, not to either as one pleases.
            && !has_body;
        match &self.upgrade {
            Some(protocol) if possible && is_plain_protocol(protocol.as_bytes()) => {
                Ok(Some(protocol.clone()))
            }
            _ => Err(Malformed::Upgrade),
        }
    }
}

/// One `protocol-name ["/" protocol-version]` (RFC 9110 section 7.8) that is neither HTTP nor TLS.
fn is_plain_protocol(value: &[u8]) -> bool {
    let token = |part: &[u8]| {
        !part.is_empty()
            && part.iter().all(|byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'+')
            })
    };
    let mut parts = value.split(|byte| *byte == b'/');
    let name = parts.next().unwrap_or_default();
    let valid = token(name) && parts.next().is_none_or(token) && parts.next().is_none();
    let refused: [&[u8]; 5] = [b"h2c", b"h2", b"http", b"tls", b"https"];
    valid && !refused.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// A comma in `Bearer`, `DPoP` or `Basic` credentials, which are one token68, or a piece behind a comma that is no
/// `name=value` of the first credential's parameters (RFC 9110 section 11.4).
fn holds_several_credentials(value: &[u8]) -> bool {
    // A token is long and nearly never holds a comma: one fast look settles it.
    if memchr::memchr(b',', value).is_none() {
        return false;
    }
    let mut pieces = value.split(|byte| *byte == b',');
    let first = pieces.next().unwrap_or_default();
    let scheme = first.split(|byte| *byte == b' ').next().unwrap_or_default();
    let single = [&b"bearer"[..], b"basic", b"dpop"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known));
    pieces.any(|piece| {
        let parameter = piece.trim_ascii();
        let name = parameter.split(|byte| *byte == b'=').next();
        single || name.is_none_or(|name| name.len() == parameter.len() || name.contains(&b' '))
    })
}

/// The members of a comma-separated list, without parameters and white space around them.
fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value
        .as_bytes()
        .split(|byte| *byte == b',')
        .map(|member| {
            member
                .split(|byte| *byte == b';')
                .next()
                .unwrap_or_default()
        })
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

/// HTTP/2 may split cookies into crumbs; before HTTP/1.1 they are one again (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) -> Result<(), Malformed> {
    let crumbs: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let joined = crumbs.join(&b"; "[..]);
    if joined.len() + COOKIE.as_str().len() > FIELD_BYTES {
        return Err(Malformed::HeadTooLarge);
    }
    let mut joined = HeaderValue::from_maybe_shared(bytes::Bytes::from(joined))
        .map_err(|_| Malformed::Syntax)?;
    joined.set_sensitive(true);
    headers.insert(COOKIE, joined);
    Ok(())
}
