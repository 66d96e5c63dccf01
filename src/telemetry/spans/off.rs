//! No spans: what the binary has without the feature `otlp`. Nothing here has a size, nothing does anything.

use std::cell::Cell;

use http::HeaderMap;
use tracing::Dispatch;

use super::OtlpSettings;
use crate::clock::{Clock, Tick};
use crate::request::Facts;
use crate::telemetry::{Metrics, Outcome, TelemetryError};

/// A request's place in its trace.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span(());

/// The exporter.
#[derive(Debug, Default)]
pub(in crate::telemetry) struct Spans(());

/// What a worker does for spans.
#[derive(Debug)]
pub(in crate::telemetry) struct Tracer(());

impl Spans {
    /// # Errors
    /// Settings are there, which configuration refuses for such a binary.
    pub(in crate::telemetry) fn start(
        _: &OtlpSettings,
        _: &Clock,
        _: &Metrics,
        _: Dispatch,
    ) -> Result<Self, TelemetryError> {
        Err(TelemetryError::Spans(
            "this binary was built without export of spans".to_owned(),
        ))
    }

    pub(in crate::telemetry) fn tracer(&self) -> Tracer {
        let Self(()) = self;
        Tracer(())
    }
}

impl Tracer {
    pub(in crate::telemetry) fn is_on(&self) -> bool {
        let Self(()) = self;
        false
    }

    pub(in crate::telemetry) fn join(&self, _: &Cell<Span>, _: &mut HeaderMap) {
        let Self(()) = self;
    }

    pub(in crate::telemetry) fn ended(&self, _: &Facts, _: &Outcome<'_>, _: Tick) {
        let Self(()) = self;
    }
}
