//! Telemetry: logs, decision records, metrics.
//!
//! [`Telemetry`] starts one writer thread. Each worker has a [`WorkerTelemetry`], and for each listener a [`Recorder`] that
//! counts and records requests: a few plain stores, and one line copied into a queue. The control thread logs through
//! `tracing` and counts with [`ControlMetrics`]. Nothing here ever makes a request wait.

mod cells;
mod certificates;
mod credentials;
mod events;
pub(crate) mod json;
mod keys;
mod metrics;
mod process;
mod reading;
mod record;
mod recorder;
mod reviews;
mod ring;
mod spans;
mod text;
pub(crate) mod timestamp;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::JoinHandle;

use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt;

pub use cells::{Counter, Gauge, Histogram};
pub use certificates::CertificateStatuses;
pub use credentials::CredentialStatuses;
pub use keys::KeyStatus;
pub use metrics::{ControlMetrics, Decided, Metrics};
pub use reading::{Kind, Sampled};
pub(crate) use record::blank::{
    blanked as blanked_target, decoded as percent_decoded, holds_token,
};
pub use record::{ConnectionEnd, End, Outcome, VERSION};
pub use recorder::{CacheCounters, Connections, Recorder, UpstreamCounters, WorkerTelemetry};
pub use reviews::ReviewStatuses;
pub use spans::{OtlpSettings, Span};

use crate::app::LogSink;
use crate::clock::{Clock, UnixTime};
use crate::receipts::ReceiptSettings;
use spans::Spans;
use writer::Queues;

/// How logs are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// JSON or text.
    pub format: LogFormat,
    /// Least severity of events.
    pub level: LogLevel,
    /// Which decision records are written.
    pub access: AccessLog,
    /// How subjects are written.
    pub subject: SubjectLog,
    /// The lines are chained and sealed; of JSON only.
    pub receipts: Option<Arc<ReceiptSettings>>,
}

/// Log format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// Least severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// `error`.
    Error,
    /// `warn`.
    Warn,
    /// `info`.
    #[default]
    Info,
    /// `debug`.
    Debug,
    /// `trace`.
    Trace,
}

/// Which decision records are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// Every request.
    #[default]
    All,
    /// Refusals only.
    Denied,
    /// None; metrics still count.
    None,
}

/// How subjects are written to decision records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SubjectLog {
    /// As they are.
    #[default]
    Plain,
    /// A keyed hash: equal subjects look equal within one process.
    Hash,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            format: LogFormat::Json,
            level: LogLevel::Info,
            access: AccessLog::All,
            subject: SubjectLog::Plain,
            receipts: None,
        }
    }
}

/// Telemetry of one running proxy. Several may live in one process.
#[derive(Debug)]
pub struct Telemetry {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
    dispatch: Dispatch,
    spans: Spans,
}

/// What all threads share.
#[derive(Debug)]
struct Shared {
    control: Control,
    queues: Queues,
    metrics: Metrics,
    clock: Clock,
    subject_key: aws_lc_rs::hmac::Key,
}

impl Shared {
    fn wall(&self) -> (UnixTime, u16) {
        self.clock.wall()
    }
}

/// Settings that a reload changes.
#[derive(Debug, Default)]
struct Control {
    level: AtomicU8,
    access: AtomicU8,
    subject: AtomicU8,
}

/// Telemetry does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The operating system gives no thread.
    #[error("cannot start the log writer")]
    Thread(#[source] std::io::Error),
    /// A metric cannot be registered.
    #[error("cannot register metrics")]
    Metrics(#[from] prometheus::Error),
    /// The operating system gives no random numbers.
    #[error("cannot make a key for subject hashes")]
    Random,
    /// Spans cannot be exported.
    #[error("cannot export spans: {0}")]
    Spans(String),
}

impl Telemetry {
    /// Starts the writer.
    ///
    /// # Errors
    /// No thread, or no random numbers.
    pub fn start(
        settings: &LogSettings,
        sink: LogSink,
        clock: Clock,
    ) -> Result<Self, TelemetryError> {
        let subject_key = aws_lc_rs::hmac::Key::generate(
            aws_lc_rs::hmac::HMAC_SHA256,
            &aws_lc_rs::rand::SystemRandom::new(),
        )
        .map_err(|_| TelemetryError::Random)?;
        let metrics = Metrics::new(clock.now().unix.as_secs())?;
        let shared = Arc::new(Shared {
            control: Control::default(),
            queues: Queues::default(),
            metrics,
            clock,
            subject_key,
        });
        observe_writer(&shared)?;
        let queues = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writer::run(&queues.queues, sink, &queues.clock))
            .map_err(TelemetryError::Thread)?;
        let layer = events::EventLayer(Arc::clone(&shared));
        let telemetry = Self {
            dispatch: Dispatch::new(tracing_subscriber::registry().with(layer)),
            shared,
            writer: Some(writer),
            spans: Spans::default(),
        };
        telemetry.apply(settings);
        Ok(telemetry)
    }

    /// Changes what is logged; every setting may change while requests are in flight.
    pub fn apply(&self, settings: &LogSettings) {
        let control = &self.shared.control;
        control
            .level
            .store(settings.level.code(), Ordering::Relaxed);
        control
            .access
            .store(settings.access.code(), Ordering::Relaxed);
        control
            .subject
            .store(settings.subject.code(), Ordering::Relaxed);
        let text = settings.format == LogFormat::Text;
        self.shared.queues.text.store(text, Ordering::Relaxed);
        self.shared.queues.seal_with(settings.receipts.clone());
        // Call sites remember whether they are enabled. Where ours is the only subscriber they ask the thread's default
        // alone, which is another one while we start: they would all remember that nobody listens.
        tracing::dispatcher::with_default(
            &self.dispatch,
            tracing::callsite::rebuild_interest_cache,
        );
    }

    /// Where events go. Every thread of the proxy makes it its default (`tracing::dispatcher::set_default`), so that
    /// several proxies of one process, as in tests, do not mix their logs.
    #[must_use]
    pub fn dispatch(&self) -> Dispatch {
        self.dispatch.clone()
    }

    /// Exports spans of the workers that are made from now on.
    ///
    /// # Errors
    /// No thread, no CA certificates for an `https` collector, or a binary without the feature `otlp`.
    pub fn export_spans(&mut self, settings: &OtlpSettings) -> Result<(), TelemetryError> {
        let shared = &self.shared;
        let events = self.dispatch.clone();
        self.spans = Spans::start(settings, &shared.clock, &shared.metrics, events)?;
        Ok(())
    }

    /// Telemetry of one more worker; to be called on its thread.
    #[must_use]
    pub fn worker(&self) -> WorkerTelemetry {
        WorkerTelemetry::new(Arc::clone(&self.shared), self.spans.tracer())
    }

    /// All metrics.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// The last refusals that were recorded, newest first, each a decision record.
    #[must_use]
    pub fn recent_refusals(&self) -> Vec<String> {
        self.shared.queues.recent()
    }

    /// Waits until everything that was logged before is written (at most five seconds).
    pub fn flush(&self) {
        self.shared.queues.flush();
    }
}

/// What is told of the writer.
fn observe_writer(shared: &Arc<Shared>) -> Result<(), TelemetryError> {
    let lines = Arc::downgrade(shared);
    shared.metrics.observe(
        "countersign_dropped_log_lines_total",
        "Log lines that were lost because the sink did not keep up, by kind.",
        &["kind"],
        Kind::Counter,
        move || {
            let shared = lines.upgrade();
            shared.map_or_else(Vec::new, |shared| shared.queues.dropped.samples())
        },
    )?;
    let seals = Arc::downgrade(shared);
    shared.metrics.observe(
        "countersign_receipt_seals_total",
        "Seals of the log, by outcome.",
        &["outcome"],
        Kind::Counter,
        move || {
            let shared = seals.upgrade();
            shared.map_or_else(Vec::new, |shared| shared.queues.seals.samples())
        },
    )?;
    Ok(())
}

impl Drop for Telemetry {
    /// Writes what is queued.
    fn drop(&mut self) {
        // First, since what it cannot send it logs.
        self.spans = Spans::default();
        self.shared.queues.stop();
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has said so itself.
            drop(writer.join());
        }
    }
}

impl Control {
    fn level(&self) -> LogLevel {
        LogLevel::of(self.level.load(Ordering::Relaxed))
    }

    fn access(&self) -> AccessLog {
        AccessLog::of(self.access.load(Ordering::Relaxed))
    }

    fn subject(&self) -> SubjectLog {
        SubjectLog::of(self.subject.load(Ordering::Relaxed))
    }
}

/// Settings as atomics hold them; a code that does not exist is the default.
macro_rules! codes {
    ($type:ident: $($variant:ident = $code:literal),+) => {
        impl $type {
            const fn code(self) -> u8 {
                match self {
                    $(Self::$variant => $code),+
                }
            }

            fn of(code: u8) -> Self {
                match code {
                    $($code => Self::$variant,)+
                    _ => Self::default(),
                }
            }
        }
    };
}

codes!(LogLevel: Error = 1, Warn = 2, Info = 3, Debug = 4, Trace = 5);
codes!(AccessLog: All = 1, Denied = 2, None = 3);
codes!(SubjectLog: Plain = 1, Hash = 2);

/// Whether `text` begins like a JWS or JWE: base64url of `{"`.
fn looks_like_token(text: &str) -> bool {
    text.len() >= 16 && text.starts_with("eyJ")
}

/// Whether there is a token somewhere in `text`, or a header field that carries one.
fn contains_token(text: &str) -> bool {
    // Most texts are methods and hosts: too short for a searcher to be worth its preparation.
    let begins = |at: usize| text.get(at..).is_some_and(looks_like_token);
    let mut places = text.as_bytes().windows(3).enumerate();
    places.any(|(at, three)| three == b"eyJ" && begins(at))
        || text.contains(' ')
            && ["Bearer ", "bearer ", "Basic ", "basic "]
                .iter()
                .any(|scheme| {
                    text.split(scheme).skip(1).any(|rest| {
                        rest.split_whitespace()
                            .next()
                            .is_some_and(|word| word.len() >= 16)
                    })
                })
}

#[cfg(test)]
mod tests;
