//! A span as OpenTelemetry's semantic conventions for HTTP servers describe it (1.37).

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use http::{Method, Version};
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::on::{Ended, Request};
use crate::clock::{Clock, Tick};
use crate::telemetry::End;
use crate::telemetry::record::blank::{blanked_path, blanked_word};

/// Both clocks, read together: turns monotonic times into those of the wall.
#[derive(Clone, Copy, Debug)]
pub(super) struct Anchor {
    wall: SystemTime,
    tick: Tick,
}

impl Anchor {
    pub(super) fn new(clock: &Clock) -> Self {
        let (after_epoch, tick) = clock.wall_exact();
        Self {
            wall: SystemTime::UNIX_EPOCH + after_epoch,
            tick,
        }
    }

    fn wall(self, at: Tick) -> SystemTime {
        self.before(self.tick.since(at))
    }

    fn before(self, by: Duration) -> SystemTime {
        self.wall.checked_sub(by).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

/// The span of a request that is over.
pub(super) fn span(ended: &Ended, anchor: Anchor) -> SpanData {
    let end_time = anchor.wall(ended.at);
    let start_time = end_time
        .checked_sub(ended.duration)
        .unwrap_or(SystemTime::UNIX_EPOCH);
    let ids = ended.ids;
    let failed = ended.status >= 500 || ended.end == End::UpstreamBroke;
    SpanData {
        span_context: SpanContext::new(
            TraceId::from_bytes(ids.trace),
            SpanId::from_bytes(ids.span),
            TraceFlags::new(ids.flags),
            false,
            TraceState::NONE,
        ),
        parent_span_id: ids.parent.map_or(SpanId::INVALID, SpanId::from_bytes),
        parent_span_is_remote: ids.parent.is_some(),
        span_kind: SpanKind::Server,
        name: name(ended),
        start_time,
        end_time,
        attributes: attributes(ended, failed),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        // A refusal is what the proxy is for; an error is what an operator looks at.
        status: if failed {
            Status::error("")
        } else {
            Status::Unset
        },
        instrumentation_scope: InstrumentationScope::builder("countersign")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build(),
    }
}

/// `{method} {route}`: both of closed lists, whatever a caller sends.
fn name(ended: &Ended) -> Cow<'static, str> {
    let method = match &ended.request {
        Some(request) if is_known(&request.method) => request.method.as_str(),
        _ => "HTTP",
    };
    match &ended.route {
        Some(route) => format!("{method} {}", route.name()).into(),
        None => method.to_owned().into(),
    }
}

fn attributes(ended: &Ended, failed: bool) -> Vec<KeyValue> {
    let mut out = Vec::with_capacity(16);
    match &ended.request {
        Some(request) => describe(&mut out, request),
        None => text(&mut out, "http.request.method", "_OTHER"),
    }
    if let Some(route) = &ended.route {
        text(&mut out, "http.route", route.name());
    }
    if ended.status > 0 {
        number(&mut out, "http.response.status_code", ended.status);
    }
    if let Some(client) = ended.client {
        let client = client.to_canonical().to_string();
        text(&mut out, "client.address", &client);
    }
    out.push(KeyValue::new(
        "countersign.decision",
        ended.decision.as_str(),
    ));
    if let Some(reason) = ended.reason {
        out.push(KeyValue::new("countersign.reason", reason));
    }
    if let Some(observed) = ended.observed {
        out.push(KeyValue::new("countersign.observed", observed));
    }
    if let Some(caller) = &ended.caller {
        text(&mut out, "countersign.caller", caller);
    }
    if ended.end != End::Complete {
        out.push(KeyValue::new("countersign.end", ended.end.as_str()));
    }
    if failed {
        let kind = match ended.reason {
            Some(reason) => reason.to_owned(),
            None if ended.end == End::UpstreamBroke => ended.end.as_str().to_owned(),
            None => ended.status.to_string(),
        };
        text(&mut out, "error.type", &kind);
    }
    out
}

fn describe(out: &mut Vec<KeyValue>, request: &Request) {
    if is_known(&request.method) {
        text(out, "http.request.method", request.method.as_str());
    } else {
        text(out, "http.request.method", "_OTHER");
        let original = super::on::capped(request.method.as_str());
        text(out, "http.request.method_original", blanked_word(&original));
    }
    text(out, "url.path", &blanked_path(&request.path));
    if let Some(tls) = request.tls {
        text(out, "url.scheme", if tls { "https" } else { "http" });
    }
    if let Some(host) = request.host.as_deref().filter(|host| !host.is_empty()) {
        text(out, "server.address", host);
    }
    if let Some(port) = request.port {
        number(out, "server.port", port);
    }
    if let Some(version) = request.version {
        let version = match version {
            Version::HTTP_2 => "2",
            Version::HTTP_10 => "1.0",
            _ => "1.1",
        };
        text(out, "network.protocol.version", version);
    }
    if let Some(peer) = request.peer {
        let peer = peer.to_canonical().to_string();
        text(out, "network.peer.address", &peer);
    }
}

fn text(out: &mut Vec<KeyValue>, name: &'static str, value: &str) {
    out.push(KeyValue::new(
        name,
        Value::String(StringValue::from(value.to_owned())),
    ));
}

fn number(out: &mut Vec<KeyValue>, name: &'static str, value: u16) {
    out.push(KeyValue::new(name, i64::from(value)));
}

/// The methods that the conventions name; any other is `_OTHER`.
fn is_known(method: &Method) -> bool {
    matches!(
        method.as_str(),
        "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE" | "PATCH"
    )
}

#[cfg(test)]
mod tests;
