//! What happens on a worker: joining a trace, and handing an ended span over.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use tracing::Dispatch;

use super::OtlpSettings;
use super::export::{Exporter, Queue};
use crate::authz::Route;
use crate::clock::{Clock, Tick};
use crate::rejection::Decision;
use crate::request::{Facts, Head};
use crate::telemetry::{End, Metrics, Outcome, TelemetryError};
use crate::upstream::traceparent;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The flags that are defined: sampled, and that the trace id is random (Trace Context level 2, section 3.2.2.5).
const KNOWN_FLAGS: u8 = 0b11;
const SAMPLED: u8 = 0b01;

/// Most bytes of a path or a name that a caller chose.
const TEXT_BYTES: usize = 1024;

/// A request's place in its trace; none until it has joined.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span(Option<Ids>);

/// Ids of a span that joined.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ids {
    pub(super) trace: [u8; 16],
    /// Ours; the caller's own where its trace is not sampled and passes as it came.
    pub(super) span: [u8; 8],
    pub(super) parent: Option<[u8; 8]>,
    pub(super) flags: u8,
}

impl Ids {
    const fn is_sampled(self) -> bool {
        self.flags & SAMPLED == SAMPLED
    }
}

/// A span that is over, as the exporter's thread needs it: plain values, nothing of the request's own buffers, no field of
/// its head and nothing of its token.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) ids: Ids,
    pub(super) at: Tick,
    pub(super) duration: std::time::Duration,
    pub(super) request: Option<Request>,
    pub(super) client: Option<std::net::IpAddr>,
    pub(super) route: Option<Arc<Route>>,
    pub(super) caller: Option<Arc<str>>,
    pub(super) status: u16,
    pub(super) decision: Decision,
    pub(super) reason: Option<&'static str>,
    pub(super) observed: Option<&'static str>,
    pub(super) end: End,
}

/// What a span says of the request itself.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: Box<str>,
    pub(super) version: Option<Version>,
    pub(super) tls: Option<bool>,
    pub(super) host: Option<Box<str>>,
    pub(super) port: Option<u16>,
    pub(super) peer: Option<std::net::IpAddr>,
}

/// The exporter, if spans are wanted.
#[derive(Debug, Default)]
pub(in crate::telemetry) struct Spans(Option<Exporter>);

impl Spans {
    /// Starts the exporter's thread.
    ///
    /// # Errors
    /// The HTTP client cannot be made, or there is no thread.
    pub(in crate::telemetry) fn start(
        settings: &OtlpSettings,
        clock: &Clock,
        metrics: &Metrics,
        events: Dispatch,
    ) -> Result<Self, TelemetryError> {
        Exporter::start(settings, clock, metrics, events).map(|exporter| Self(Some(exporter)))
    }

    pub(in crate::telemetry) fn tracer(&self) -> Tracer {
        Tracer(self.0.as_ref().map(|exporter| Active {
            queue: exporter.queue(),
            threshold: exporter.threshold(),
            random: RefCell::default(),
        }))
    }
}

/// What a worker does for spans.
#[derive(Debug)]
pub(in crate::telemetry) struct Tracer(Option<Active>);

#[derive(Debug)]
struct Active {
    queue: Arc<Queue>,
    /// Traces that begin here are sampled when 56 bits of their id are below it.
    threshold: u64,
    random: RefCell<Random>,
}

impl Tracer {
    pub(in crate::telemetry) const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Takes part in the trace that `headers` name, or begins one; once for each request.
    ///
    /// A trace that its parent does not sample passes as it came: nothing of ours would ever be found in it.
    pub(in crate::telemetry) fn join(&self, span: &Cell<Span>, headers: &mut HeaderMap) {
        let Some(active) = &self.0 else { return };
        if span.get().0.is_some() {
            return;
        }
        let ids = match parent(headers) {
            Some(ids) if !ids.is_sampled() => ids,
            Some(parent) => {
                let ids = Ids {
                    span: active.random.borrow_mut().id(),
                    parent: Some(parent.span),
                    ..parent
                };
                headers.insert(TRACEPARENT, written(ids));
                ids
            }
            None => {
                let ids = active.begin();
                // A `tracestate` without its `traceparent` means nothing (Trace Context section 3.3).
                headers.remove(TRACESTATE);
                headers.insert(TRACEPARENT, written(ids));
                ids
            }
        };
        span.set(Span(Some(ids)));
    }

    /// Hands a sampled span over.
    pub(in crate::telemetry) fn ended(&self, facts: &Facts, outcome: &Outcome<'_>, at: Tick) {
        let Some(active) = &self.0 else { return };
        let Some(ids) = outcome.span.0.filter(|ids| ids.is_sampled()) else {
            return;
        };
        active.queue.push(Ended {
            ids,
            at,
            duration: outcome.duration,
            request: request(facts),
            client: facts.head.as_ref().map(|head| head.client).or(outcome.peer),
            route: facts.route.clone(),
            caller: facts.caller.clone(),
            status: outcome.status,
            decision: Decision::of(outcome.rejection),
            reason: outcome.rejection.map(crate::rejection::Rejection::reason),
            observed: outcome.observed.map(crate::rejection::Rejection::reason),
            end: outcome.end,
        });
    }
}

impl Active {
    fn begin(&self) -> Ids {
        let mut random = self.random.borrow_mut();
        let (left, right) = (random.id(), random.id());
        let mut trace = [0; 16];
        for (to, from) in trace.iter_mut().zip(left.into_iter().chain(right)) {
            *to = from;
        }
        // As every sampler of OpenTelemetry decides (consistent probability): the last 56 bits.
        let sampled =
            u64::from_be_bytes(right) & super::export::WHOLE.wrapping_sub(1) < self.threshold;
        Ids {
            trace,
            span: random.id(),
            parent: None,
            flags: u8::from(sampled),
        }
    }
}

fn request(facts: &Facts) -> Option<Request> {
    match (&facts.head, &facts.as_read) {
        (Some(head), _) => Some(judged(head)),
        (None, Some((method, uri))) => Some(Request {
            method: method.clone(),
            path: capped(uri.path()),
            version: None,
            tls: None,
            host: None,
            port: None,
            peer: None,
        }),
        (None, None) => None,
    }
}

fn judged(head: &Head) -> Request {
    Request {
        method: head.method.clone(),
        path: capped(head.path.path_str()),
        version: Some(head.version),
        tls: Some(head.connection.tls),
        host: Some(capped(head.authority.host())),
        port: head.authority.port(),
        peer: Some(head.connection.peer),
    }
}

pub(super) fn capped(text: &str) -> Box<str> {
    text.get(..text.floor_char_boundary(TEXT_BYTES))
        .unwrap_or_default()
        .into()
}

/// The ids that the caller sent: `span` is the parent's.
fn parent(headers: &HeaderMap) -> Option<Ids> {
    let sent = traceparent(headers)?;
    let [flags] = unhex(sent.flags)?;
    Some(Ids {
        trace: unhex(sent.trace)?,
        span: unhex(sent.parent)?,
        parent: None,
        flags: flags & KNOWN_FLAGS,
    })
}

fn unhex<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let mut out = [0; N];
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in out.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(out)
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

fn written(ids: Ids) -> HeaderValue {
    let mut text = Vec::with_capacity(55);
    text.extend_from_slice(b"00-");
    hex(&mut text, &ids.trace);
    text.push(b'-');
    hex(&mut text, &ids.span);
    text.push(b'-');
    hex(&mut text, &[ids.flags]);
    HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).unwrap_or(HeaderValue::from_static(""))
}

fn hex(text: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0'));
        }
    }
}

/// Random bytes, drawn many at a time.
#[derive(Debug)]
struct Random {
    bytes: [[u8; 8]; 64],
    left: usize,
}

impl Default for Random {
    fn default() -> Self {
        Self {
            bytes: [[0; 8]; 64],
            left: 0,
        }
    }
}

impl Random {
    /// Never all zero, which means "none".
    fn id(&mut self) -> [u8; 8] {
        if self.left == 0 {
            // Ids need no secrecy; without randomness they are all the same, which a trace store shows soon enough.
            let _ = aws_lc_rs::rand::fill(self.bytes.as_flattened_mut());
            self.left = self.bytes.len();
        }
        self.left = self.left.saturating_sub(1);
        match self.bytes.get(self.left) {
            Some(id) if *id != [0; 8] => *id,
            _ => [0, 0, 0, 0, 0, 0, 0, 1],
        }
    }
}

#[cfg(test)]
mod tests;
