//! Spans: one for each request, exported over OTLP (feature `otlp`).
//!
//! A request joins its trace once, when its fields go upstream or when it is refused ([`Tracer::join`]): it takes ids and,
//! where the trace is sampled or new, writes a `traceparent` of its own. When it ends, a sampled one leaves a plain value
//! in a bounded queue ([`Tracer::ended`]); everything else happens on the exporter's thread. When the queue is full the
//! span is dropped and counted: no request ever waits. Without the feature all of this is empty.

#[cfg(feature = "otlp")]
mod convert;
#[cfg(feature = "otlp")]
mod export;
#[cfg(not(feature = "otlp"))]
mod off;
#[cfg(feature = "otlp")]
mod on;

#[cfg(not(feature = "otlp"))]
pub(super) use off::{Spans, Tracer};
#[cfg(feature = "otlp")]
pub(super) use on::{Spans, Tracer};

#[cfg(not(feature = "otlp"))]
pub use off::Span;
#[cfg(feature = "otlp")]
pub use on::Span;

/// Where spans are sent: `telemetry.otlp`.
#[derive(Clone, Debug, PartialEq)]
pub struct OtlpSettings {
    /// The collector's base URL; `/v1/traces` is added.
    pub endpoint: String,
    /// The fraction of traces that begin here and are sampled, from 0 to 1.
    pub sample: f64,
    /// `service.name`.
    pub service_name: String,
}
