//! The decision record: one JSON line per request, and one per connection that ended before a request existed.
//!
//! The schema is documented in `docs/decision-record.md` and has a version, `v`. Fields that are not known are left out.
//! A token never gets here: not from headers, which are not read; not from the query, where well-known parameters are
//! blanked; and not from a path, a method or a host that looks like one.

use std::net::IpAddr;
use std::time::Duration;

use http::Version;

use self::blank::{blanked, blanked_path, blanked_word};
use super::json::{self, field, key, number};
use super::timestamp::{Milliseconds, rfc3339};
use super::{Span, SubjectLog};
use crate::authn::{ClaimPath, Claims, Json, Principal};
use crate::clock::Now;
use crate::rejection::{Decision, Rejection};
use crate::request::{Facts, Head};

pub(in crate::telemetry) mod blank;

/// The schema's version: a field that changes its meaning or goes away makes it the next.
pub const VERSION: u32 = 1;

/// Most bytes of a target; listeners refuse longer ones by default.
const TARGET_BYTES: usize = 8 * 1024;
/// Most entries of a list, such as scopes.
const LIST_ENTRIES: usize = 64;
/// Most bytes of one list.
const LIST_BYTES: usize = 4 * 1024;

/// What came of a request.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'a> {
    /// The id that the answer carries.
    pub request_id: &'a str,
    /// The generation of the configuration that decided.
    pub generation: u64,
    /// The trace that the request belongs to (W3C Trace Context).
    pub trace_id: Option<&'a str>,
    /// Its place in that trace, where spans are exported.
    pub span: Span,
    /// Why it did not pass.
    pub rejection: Option<&'a Rejection>,
    /// Why it would not have passed, where the route only observes.
    pub observed: Option<&'a Rejection>,
    /// Outbound: the credential whose token was attached.
    pub credential: Option<&'a str>,
    /// Outbound: it was sent again with a newer token, because the upstream answered 401.
    pub replayed: bool,
    /// The status of the answer; 0 when none began.
    pub status: u16,
    /// The peer; needed where no request head was read.
    pub peer: Option<IpAddr>,
    /// From the head's arrival to the end of the answer.
    pub duration: Duration,
    /// From forwarding to the head of the upstream's answer.
    pub upstream: Option<Duration>,
    /// Bytes of the request body that were passed on.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// The protocol that the connection was upgraded to.
    pub upgrade: Option<&'a str>,
    /// How the answer ended.
    pub end: End,
}

impl Default for Outcome<'_> {
    fn default() -> Self {
        Self {
            request_id: "",
            generation: 0,
            trace_id: None,
            span: Span::default(),
            rejection: None,
            observed: None,
            credential: None,
            replayed: false,
            status: 0,
            peer: None,
            duration: Duration::ZERO,
            upstream: None,
            bytes_in: 0,
            bytes_out: 0,
            upgrade: None,
            end: End::Complete,
        }
    }
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// To its last byte.
    #[default]
    Complete,
    /// The caller went away.
    ClientGone,
    /// The upstream broke off.
    UpstreamBroke,
    /// The stream was cut when its token expired (`end_at_expiry`).
    Expired,
    /// The reader took nothing for too long.
    Stalled,
    /// The drain's deadline came.
    Drained,
}

impl End {
    /// The word for records and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::ClientGone => "client_gone",
            Self::UpstreamBroke => "upstream_broke",
            Self::Expired => "token_expired",
            Self::Stalled => "reader_stalled",
            Self::Drained => "drained",
        }
    }
}

/// A connection that ended before a request existed.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionEnd<'a> {
    /// Who.
    pub peer: IpAddr,
    /// Why: a word of a closed list (`tls_handshake`, `http2_protocol`, …) or [`Rejection::reason`].
    pub reason: &'static str,
    /// The status that was sent, if any.
    pub status: Option<u16>,
    /// The id that the answer carried, if any.
    pub request_id: Option<&'a str>,
}

/// Writes records into a buffer that it keeps.
#[derive(Debug)]
pub(super) struct Scribe {
    listener: Box<str>,
    milliseconds: Milliseconds,
}

impl Scribe {
    pub(super) fn new(listener: &str) -> Self {
        Self {
            listener: listener.into(),
            milliseconds: Milliseconds::default(),
        }
    }

    /// `hash` is the key where subjects are hashed.
    pub(super) fn request(
        &self,
        line: &mut Vec<u8>,
        facts: &Facts,
        outcome: &Outcome<'_>,
        subjects: Subjects<'_>,
        now: Now,
    ) {
        self.begin(line, "request", now);
        if !outcome.request_id.is_empty() {
            field(line, "request_id", outcome.request_id);
        }
        if let Some(trace) = outcome.trace_id {
            field(line, "trace_id", trace);
        }
        number(line, "generation", outcome.generation);
        field(line, "listener", &self.listener);
        let decision = Decision::of(outcome.rejection);
        field(line, "decision", decision.as_str());
        if let Some(rejection) = outcome.rejection {
            field(line, "reason", rejection.reason());
        }
        if let Some(observed) = outcome.observed {
            field(line, "observed", observed.reason());
        }
        if outcome.status > 0 {
            number(line, "status", u64::from(outcome.status));
        }
        if let Some(head) = &facts.head {
            self::head(line, head);
        } else {
            if let Some((method, uri)) = &facts.as_read {
                field(line, "method", blanked_word(method.as_str()));
                target(line, &uri.to_string());
            }
            if let Some(peer) = outcome.peer {
                address(line, "client_address", peer);
            }
        }
        if let Some(route) = &facts.route {
            field(line, "route", route.name());
        }
        if let Some(caller) = &facts.caller {
            field(line, "caller", caller);
        }
        attached(line, outcome);
        if let Some(principal) = &facts.principal {
            self::principal(line, principal, subjects);
            if let (Principal::Known(verified), Some(route)) = (principal, &facts.route) {
                claims(line, &verified.claims, &route.claims_read());
            }
        }
        micros(line, "duration_us", outcome.duration);
        if let Some(upstream) = outcome.upstream {
            micros(line, "upstream_us", upstream);
        }
        number(line, "bytes_in", outcome.bytes_in);
        number(line, "bytes_out", outcome.bytes_out);
        if let Some(protocol) = outcome.upgrade {
            field(line, "upgrade", protocol);
        }
        if outcome.end != End::Complete {
            field(line, "end", outcome.end.as_str());
        }
        line.push(b'}');
    }

    pub(super) fn connection(&self, line: &mut Vec<u8>, end: &ConnectionEnd<'_>, now: Now) {
        self.begin(line, "connection", now);
        field(line, "listener", &self.listener);
        field(line, "decision", Decision::Denied.as_str());
        field(line, "reason", end.reason);
        if let Some(status) = end.status {
            number(line, "status", u64::from(status));
        }
        if let Some(id) = end.request_id {
            field(line, "request_id", id);
        }
        address(line, "client_address", end.peer);
        line.push(b'}');
    }

    fn begin(&self, line: &mut Vec<u8>, kind: &'static str, now: Now) {
        line.clear();
        line.extend_from_slice(b"{\"v\":1,\"type\":\"");
        line.extend_from_slice(kind.as_bytes());
        line.extend_from_slice(b"\",\"time\":\"");
        rfc3339(line, now.unix, self.milliseconds.of(now));
        line.push(b'"');
    }
}

fn attached(line: &mut Vec<u8>, outcome: &Outcome<'_>) {
    if let Some(credential) = outcome.credential {
        field(line, "credential", credential);
    }
    if outcome.replayed {
        key(line, "replayed");
        line.extend_from_slice(b"true");
    }
}

fn head(line: &mut Vec<u8>, head: &Head) {
    field(line, "method", blanked_word(head.method.as_str()));
    field(
        line,
        "host",
        blanked_word(head.authority.written.to_str().unwrap_or_default()),
    );
    key(line, "path");
    json::capped(line, &blanked_path(head.path.path_str()), TARGET_BYTES);
    target(line, head.path.target());
    field(
        line,
        "protocol",
        match head.version {
            Version::HTTP_2 => "HTTP/2",
            Version::HTTP_10 => "HTTP/1.0",
            _ => "HTTP/1.1",
        },
    );
    address(line, "client_address", head.client);
    if head.connection.peer != head.client {
        address(line, "peer_address", head.connection.peer);
    }
}

fn target(line: &mut Vec<u8>, target: &str) {
    key(line, "target");
    match blanked(target) {
        None => json::capped(line, target, TARGET_BYTES),
        Some(blanked) => json::capped(line, &blanked, TARGET_BYTES),
    }
}

/// How subjects are written, and the key where they are hashed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subjects<'a> {
    pub(super) how: SubjectLog,
    pub(super) key: &'a aws_lc_rs::hmac::Key,
}

fn principal(line: &mut Vec<u8>, principal: &Principal, subjects: Subjects<'_>) {
    let verified = match principal {
        Principal::Anonymous => return field(line, "principal", "anonymous"),
        Principal::Opaque => return field(line, "principal", "opaque"),
        Principal::Known(verified) => verified,
    };
    field(line, "issuer", &verified.issuer.settings.name);
    if let Some(subject) = &verified.subject {
        match subjects.how {
            SubjectLog::Plain => field(line, "subject", subject),
            SubjectLog::Hash => {
                key(line, "subject");
                hashed(line, subject, subjects.key);
            }
        }
    }
    if let Some(client) = &verified.client {
        field(line, "client", client);
    }
    if let Some(account) = &verified.account {
        field(line, "account", account);
    }
    if !verified.scopes.is_empty() {
        key(line, "scopes");
        list(line, &verified.scopes);
    }
}

/// The claims that policy read, under their paths.
fn claims(line: &mut Vec<u8>, held: &Claims, read: &[&ClaimPath]) {
    let mut before = b'{';
    for path in read.iter().take(LIST_ENTRIES) {
        let Some(value) = held.get(path) else {
            continue;
        };
        if before == b'{' {
            key(line, "claims");
        }
        line.push(before);
        before = b',';
        json::capped(line, &path.to_string(), json::FIELD_BYTES);
        line.push(b':');
        claim(line, value);
    }
    if before == b',' {
        line.push(b'}');
    }
}

fn claim(line: &mut Vec<u8>, value: Json<'_>) {
    match value {
        Json::Null | Json::Object(_) => line.extend_from_slice(b"null"),
        Json::Bool(value) => line.extend_from_slice(if value { b"true" } else { b"false" }),
        // As text: a number of a token may have more digits than readers of logs can take.
        Json::Text(text) | Json::Number(text) => json::capped(line, text, json::FIELD_BYTES),
        Json::List(values) => {
            let texts: Vec<&str> = values
                .iter()
                .filter_map(|value| match value {
                    Json::Text(text) | Json::Number(text) => Some(text),
                    Json::Null | Json::Bool(_) | Json::List(_) | Json::Object(_) => None,
                })
                .take(LIST_ENTRIES)
                .collect();
            list(line, &texts);
        }
    }
}

fn list(line: &mut Vec<u8>, values: &[impl AsRef<str>]) {
    let limit = line.len() + LIST_BYTES;
    let mut before = b'[';
    for value in values.iter().take(LIST_ENTRIES) {
        if line.len() > limit {
            break;
        }
        line.push(before);
        json::capped(line, value.as_ref(), json::FIELD_BYTES);
        before = b',';
    }
    if before == b'[' {
        line.push(before);
    }
    line.push(b']');
}

/// 128 bits of HMAC-SHA256: equal subjects look equal within one process, and nobody can try names offline.
fn hashed(line: &mut Vec<u8>, subject: &str, key: &aws_lc_rs::hmac::Key) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    line.extend_from_slice(b"\"hmac:");
    let tag = aws_lc_rs::hmac::sign(key, subject.as_bytes());
    for byte in tag.as_ref().iter().take(16) {
        for digit in [byte >> 4, byte & 0xf] {
            line.push(HEX.get(usize::from(digit)).copied().unwrap_or(b'0'));
        }
    }
    line.push(b'"');
}

fn micros(line: &mut Vec<u8>, name: &'static str, duration: Duration) {
    number(
        line,
        name,
        u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
    );
}

/// Addresses need no escaping.
fn address(line: &mut Vec<u8>, name: &'static str, address: IpAddr) {
    use std::io::Write;
    key(line, name);
    // Writing to a vector does not fail.
    drop(write!(line, "\"{}\"", address.to_canonical()));
}

#[cfg(test)]
mod tests;
