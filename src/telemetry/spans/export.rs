//! The exporter's thread: a bounded queue, batches, and one HTTP request for each.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use opentelemetry_otlp::{
    Protocol, RetryPolicy, SpanExporter as Otlp, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter;
use tracing::Dispatch;

use super::OtlpSettings;
use super::convert::{Anchor, span};
use super::on::Ended;
use crate::clock::Clock;
use crate::telemetry::{Kind, Metrics, TelemetryError};

/// Most spans that wait.
const QUEUE: usize = 2048;
/// Most spans of one HTTP request; as many waiting wake the exporter.
const BATCH: usize = 512;
/// How long a span waits for others.
const INTERVAL: Duration = Duration::from_secs(1);
/// Most time for one HTTP request.
const TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest part of another library's message that is logged.
const DETAIL_BYTES: usize = 200;

/// The number of values of 56 bits: `sample: 1.0`.
pub(super) const WHOLE: u64 = 1 << 56;

/// What workers and the exporter share.
#[derive(Debug)]
pub(super) struct Queue {
    sender: SyncSender<Ended>,
    waiting: AtomicUsize,
    exporter: OnceLock<Thread>,
    stopping: AtomicBool,
    exported: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

impl Queue {
    pub(super) fn new() -> (Arc<Self>, Receiver<Ended>) {
        let (sender, receiver) = sync_channel(QUEUE);
        let queue = Self {
            sender,
            waiting: AtomicUsize::new(0),
            exporter: OnceLock::new(),
            stopping: AtomicBool::new(false),
            exported: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        };
        (Arc::new(queue), receiver)
    }

    /// Never waits. The exporter does not sleep in the channel but beside it, so that a send wakes nobody: it is woken
    /// once for each full batch.
    pub(super) fn push(&self, ended: Ended) {
        if self.sender.try_send(ended).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        } else if self.waiting.fetch_add(1, Ordering::Relaxed) == BATCH - 1 {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(exporter) = self.exporter.get() {
            exporter.unpark();
        }
    }

    pub(super) fn samples(&self) -> Vec<(Vec<String>, f64)> {
        [
            ("exported", &self.exported),
            ("dropped", &self.dropped),
            ("failed", &self.failed),
        ]
        .map(|(outcome, count)| {
            let count = u32::try_from(count.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
            (vec![outcome.to_owned()], f64::from(count))
        })
        .into()
    }
}

/// The running exporter; what is queued is sent when it is dropped.
#[derive(Debug)]
pub(super) struct Exporter {
    queue: Arc<Queue>,
    threshold: u64,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    pub(super) fn start(
        settings: &OtlpSettings,
        clock: &Clock,
        metrics: &Metrics,
        events: Dispatch,
    ) -> Result<Self, TelemetryError> {
        let (queue, receiver) = Queue::new();
        let counted = Arc::clone(&queue);
        metrics.observe(
            "countersign_spans_total",
            "Sampled spans, by what became of them.",
            &["outcome"],
            Kind::Counter,
            move || counted.samples(),
        )?;
        let shared = Arc::clone(&queue);
        let (settings_, clock) = (settings.clone(), clock.clone());
        let (ready, started) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("spans".to_owned())
            .spawn(move || {
                let _events = tracing::dispatcher::set_default(&events);
                // The blocking client must be made, used and dropped outside of any runtime: here.
                match exporter(&settings_) {
                    Ok(otlp) => {
                        drop(ready.send(Ok(())));
                        Sender {
                            queue: &shared,
                            receiver,
                            otlp,
                            clock,
                            failing: false,
                        }
                        .run();
                    }
                    Err(reason) => drop(ready.send(Err(reason))),
                }
            })
            .map_err(TelemetryError::Thread)?;
        match started.recv() {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => return Err(TelemetryError::Spans(reason)),
            Err(_) => return Err(TelemetryError::Spans("its thread ended".to_owned())),
        }
        // The cell is empty: it was made above.
        drop(queue.exporter.set(thread.thread().clone()));
        Ok(Self {
            queue,
            threshold: threshold(settings.sample),
            thread: Some(thread),
        })
    }

    pub(super) fn queue(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }

    pub(super) const fn threshold(&self) -> u64 {
        self.threshold
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.queue.stopping.store(true, Ordering::Release);
        self.queue.wake();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so itself.
            drop(thread.join());
        }
    }
}

/// `sample` as a bound of 56 bits.
#[expect(
    clippy::as_conversions,
    reason = "from 0 to 2^56: both are exact, and the standard library has no other conversion"
)]
pub(super) fn threshold(sample: f64) -> u64 {
    (sample.clamp(0.0, 1.0) * WHOLE as f64) as u64
}

/// OTLP over an HTTP client with the hygiene of our own: no proxy, no redirect, platform roots.
fn exporter(settings: &OtlpSettings) -> Result<Otlp, String> {
    let url = format!("{}/v1/traces", settings.endpoint.trim_end_matches('/'));
    let secure = url.starts_with("https:");
    let mut otlp = Otlp::builder()
        .with_http()
        .with_http_client(client(secure)?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(url)
        .with_timeout(TIMEOUT)
        // Spans wait for nobody: what the collector does not take at once is counted and gone, and an end of the
        // process waits for one attempt at most.
        .with_retry_policy(RetryPolicy::disabled())
        .build()
        .map_err(|error| error.to_string())?;
    otlp.set_resource(
        &Resource::builder()
            .with_service_name(settings.service_name.clone())
            .with_attribute(opentelemetry::KeyValue::new(
                "service.version",
                env!("CARGO_PKG_VERSION"),
            ))
            .build(),
    );
    Ok(otlp)
}

fn client(secure: bool) -> Result<reqwest::blocking::Client, String> {
    let mut roots = rustls::RootCertStore::empty();
    // A plain client gets no roots, so that it works where there are none.
    if secure {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err("no CA certificates found on this machine: set SSL_CERT_FILE".to_owned());
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::blocking::Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(secure)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .http1_only()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| error.to_string())
}

struct Sender<'a> {
    queue: &'a Queue,
    receiver: Receiver<Ended>,
    otlp: Otlp,
    clock: Clock,
    failing: bool,
}

impl Sender<'_> {
    fn run(mut self) {
        loop {
            // Read first: what was queued before the stop is seen after it.
            let stopping = self.queue.stopping.load(Ordering::Acquire);
            let batch: Vec<Ended> = self.receiver.try_iter().take(BATCH).collect();
            self.queue.waiting.fetch_sub(batch.len(), Ordering::Relaxed);
            let full = batch.len() == BATCH;
            if stopping && self.failing {
                // A collector that does not answer must not keep the process.
                return Self::count(&self.queue.failed, batch.len());
            }
            if !batch.is_empty() {
                self.send(&batch);
            }
            match (stopping, full) {
                (true, false) => return,
                (_, true) => {}
                (false, false) => std::thread::park_timeout(INTERVAL),
            }
        }
    }

    fn count(what: &AtomicU64, spans: usize) {
        what.fetch_add(u64::try_from(spans).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn send(&mut self, batch: &[Ended]) {
        let count = batch.len();
        let anchor = Anchor::new(&self.clock);
        let spans = batch.iter().map(|ended| span(ended, anchor)).collect();
        match futures_executor::block_on(self.otlp.export(spans)) {
            Ok(()) => {
                Self::count(&self.queue.exported, count);
                if std::mem::take(&mut self.failing) {
                    tracing::info!("telemetry.export_recovered");
                }
            }
            Err(error) => {
                Self::count(&self.queue.failed, count);
                // Once for each outage; the metric counts on.
                if !std::mem::replace(&mut self.failing, true) {
                    let mut error = error.to_string();
                    error.truncate(error.floor_char_boundary(DETAIL_BYTES));
                    tracing::warn!(error, "telemetry.export_failed");
                }
            }
        }
    }
}
