//! Metrics: names, help and labels in one place. Labels come from the configuration and from closed enums only, so the
//! number of series does not grow with what callers send (invariant 63).

use std::sync::Arc;

use prometheus::{Encoder, Gauge, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

use super::cells::{Count, Durations, Family, Level, Registered, Sample};
use super::process;
use super::reading::{Kind, Reading, Sampled};

/// All metrics of one running proxy.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub(super) workers: WorkerFamilies,
    /// What the control thread counts.
    pub control: ControlMetrics,
}

/// Declares what workers count, one line each: cell type, name, labels, help.
macro_rules! worker_families {
    ($($field:ident: $cell:ty, $name:literal, $labels:expr, $help:literal;)+) => {
        /// What workers count, cell by cell.
        #[derive(Debug)]
        pub(super) struct WorkerFamilies {
            $(pub(super) $field: Arc<Family<$cell>>,)+
        }

        impl WorkerFamilies {
            fn register(registry: &Registry) -> prometheus::Result<Self> {
                Ok(Self {
                    $($field: family(registry, $name, $help, &$labels)?,)+
                })
            }
        }
    };
}

worker_families! {
    requests: Count, "countersign_requests_total", ["listener"], "Requests that began.";
    decisions: Count, "countersign_decisions_total", ["listener", "route", "decision", "reason"], "Requests that ended, by what was decided and why.";
    observed: Count, "countersign_observed_refusals_total", ["listener", "route", "reason"], "Requests that passed although policy refuses them, because the route only observes.";
    ends: Count, "countersign_broken_answers_total", ["listener", "route", "cause"], "Answers that ended before their last byte, by cause.";
    active: Level, "http_server_active_requests", ["listener"], "Requests in flight.";
    durations: Durations, "http_server_request_duration_seconds", ["listener", "http_route", "http_response_status_class"], "Time from a request's head to the end of its answer.";
    request_bytes: Count, "countersign_request_body_bytes_total", ["listener"], "Bytes of request bodies that were passed on.";
    response_bytes: Count, "countersign_response_body_bytes_total", ["listener"], "Bytes of answers' bodies.";
    connections: Count, "countersign_connections_total", ["listener"], "Connections of callers that were accepted.";
    connections_open: Level, "countersign_open_connections", ["listener"], "Connections of callers that are open.";
    connection_refusals: Count, "countersign_connection_refusals_total", ["listener", "reason"], "Connections that ended before a request existed, by reason.";
    upstream_connections: Count, "countersign_upstream_connections_total", ["listener", "outcome"], "Connections to the upstream, by what became of asking for one.";
    upstream_retries: Count, "countersign_upstream_retries_total", ["listener"], "Requests that were sent again because the first connection brought nothing.";
    upstream_replays: Count, "countersign_upstream_replays_total", ["listener"], "Requests that were sent again with a newer access token because the upstream answered 401.";
    upstream_wait: Durations, "countersign_upstream_response_seconds", ["listener"], "Time from forwarding a request to the head of the upstream's answer.";
    cache_lookups: Count, "countersign_token_cache_lookups_total", ["outcome"], "Look-ups in the cache of verified tokens, by outcome.";
    cache_evictions: Count, "countersign_token_cache_evictions_total", [], "Verified tokens that made room for others.";
}

/// Requests that ended since the start, of one series of `countersign_decisions_total`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The listener.
    pub listener: Box<str>,
    /// The route; empty where none was found.
    pub route: Box<str>,
    /// `allowed`, `denied` or `errored`.
    pub decision: Box<str>,
    /// Why it was not allowed; empty where it was.
    pub reason: Box<str>,
    /// How many.
    pub count: u64,
}

/// What the control thread counts.
#[derive(Debug)]
pub struct ControlMetrics {
    reloads: IntCounterVec,
    generation: IntGauge,
    reloaded_at: Gauge,
    ready: IntGauge,
    observing: IntGauge,
}

impl ControlMetrics {
    /// A configuration went live at `unix` (seconds since the epoch); the first one counts too.
    pub fn reloaded(&self, generation: u64, unix: i64) {
        self.reloads.with_label_values(&["ok"]).inc();
        self.generation
            .set(i64::try_from(generation).unwrap_or(i64::MAX));
        self.reloaded_at.set(seconds(unix));
    }

    /// A configuration was rejected; the live one stays.
    pub fn reload_failed(&self) {
        self.reloads.with_label_values(&["failed"]).inc();
    }

    /// Whether `/readyz` says yes.
    pub fn ready(&self, ready: bool) {
        self.ready.set(i64::from(ready));
    }

    /// How many routes only observe.
    pub fn observing(&self, routes: usize) {
        self.observing
            .set(i64::try_from(routes).unwrap_or(i64::MAX));
    }
}

#[expect(
    clippy::as_conversions,
    reason = "there is no lossless conversion; seconds fit in 53 bits"
)]
pub(super) const fn seconds(unix: i64) -> f64 {
    unix as f64
}

impl Metrics {
    /// Registers everything. `started` is the wall clock now, in seconds since the epoch.
    ///
    /// # Errors
    /// A name is used twice or is not a name: never, as the tests show.
    pub fn new(started: i64) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let workers = WorkerFamilies::register(&registry)?;
        let control = ControlMetrics::register(&registry)?;
        let build = IntGauge::with_opts(
            Opts::new(
                "countersign_build_info",
                "Version of this program; the value is 1.",
            )
            .const_label("version", env!("CARGO_PKG_VERSION")),
        )?;
        build.set(1);
        registry.register(Box::new(build))?;
        let metrics = Self {
            registry,
            workers,
            control,
        };
        metrics.observe_process(seconds(started))?;
        Ok(metrics)
    }

    /// Adds a metric that is read when somebody asks, such as key ages. Label values come from the configuration.
    ///
    /// # Errors
    /// The name is taken, or is not one.
    pub fn observe(
        &self,
        name: &str,
        help: &str,
        labels: &'static [&'static str],
        kind: Kind,
        read: impl Fn() -> Vec<Sampled> + Send + Sync + 'static,
    ) -> prometheus::Result<()> {
        self.registry
            .register(Box::new(Reading::new(name, help, labels, kind, read)?))
    }

    /// The names that Prometheus' own client libraries use.
    fn observe_process(&self, started: f64) -> prometheus::Result<()> {
        let one = |value: Option<f64>| value.map(|value| (Vec::new(), value)).into_iter().collect();
        self.observe(
            "process_cpu_seconds_total",
            "Processor time spent, user and system.",
            &[],
            Kind::Counter,
            move || one(process::cpu_seconds()),
        )?;
        self.observe(
            "process_resident_memory_bytes",
            "Resident memory.",
            &[],
            Kind::Gauge,
            move || one(process::memory_bytes("VmRSS")),
        )?;
        self.observe(
            "process_resident_memory_max_bytes",
            "Largest resident memory so far.",
            &[],
            Kind::Gauge,
            move || one(process::memory_bytes("VmHWM")),
        )?;
        self.observe(
            "process_open_fds",
            "File descriptors in use.",
            &[],
            Kind::Gauge,
            move || one(process::open_files()),
        )?;
        self.observe(
            "process_max_fds",
            "File descriptors that may be used.",
            &[],
            Kind::Gauge,
            move || one(process::most_files()),
        )?;
        self.observe(
            "process_start_time_seconds",
            "When the process started, since the epoch.",
            &[],
            Kind::Gauge,
            move || one(Some(started)),
        )
    }

    /// Everything, in the Prometheus text format.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        let mut out = Vec::new();
        // Only a metric without a name or a sample without a value fails; what precedes it is still good.
        drop(TextEncoder::new().encode(&self.registry.gather(), &mut out));
        out
    }

    /// The sum of all samples of `name` that carry every one of `labels`; for the status page and tests.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.samples(name)
            .into_iter()
            .filter(|(held, _)| {
                labels.iter().all(|(name, value)| {
                    held.iter().any(|(key, held)| key == name && held == value)
                })
            })
            .map(|(_, value)| value)
            .sum()
    }

    /// Requests that ended, series by series. Reads these counters alone.
    #[must_use]
    pub fn decided(&self) -> Vec<Decided> {
        let sums = self.workers.decisions.sums().into_iter();
        sums.filter_map(|(labels, count)| {
            let [listener, route, decision, reason] = labels.try_into().ok()?;
            Some(Decided {
                listener,
                route,
                decision,
                reason,
                count,
            })
        })
        .collect()
    }

    /// Label pairs and value of each sample of a counter or gauge.
    #[must_use]
    pub fn samples(&self, name: &str) -> Vec<(Vec<(String, String)>, f64)> {
        let families = self.registry.gather();
        let Some(family) = families.iter().find(|family| family.name() == name) else {
            return Vec::new();
        };
        family
            .get_metric()
            .iter()
            .map(|metric| {
                let labels = metric
                    .get_label()
                    .iter()
                    .map(|pair| (pair.name().to_owned(), pair.value().to_owned()))
                    .collect();
                let value = metric.get_counter().get_value() + metric.get_gauge().get_value();
                (labels, value)
            })
            .collect()
    }
}

impl ControlMetrics {
    fn register(registry: &Registry) -> prometheus::Result<Self> {
        let control = Self {
            reloads: IntCounterVec::new(
                Opts::new(
                    "countersign_config_reloads_total",
                    "Configurations that were loaded, by outcome.",
                ),
                &["outcome"],
            )?,
            generation: IntGauge::new(
                "countersign_config_generation_info",
                "Generation of the live configuration.",
            )?,
            reloaded_at: Gauge::new(
                "countersign_config_reload_timestamp_seconds",
                "When the live configuration was loaded.",
            )?,
            ready: IntGauge::new(
                "countersign_ready_info",
                "Whether the proxy should receive traffic (1) or not (0).",
            )?,
            observing: IntGauge::new(
                "countersign_observing_routes",
                "Routes that decide and record, and enforce nothing.",
            )?,
        };
        for outcome in ["ok", "failed"] {
            control.reloads.with_label_values(&[outcome]);
        }
        registry.register(Box::new(control.reloads.clone()))?;
        registry.register(Box::new(control.generation.clone()))?;
        registry.register(Box::new(control.reloaded_at.clone()))?;
        registry.register(Box::new(control.ready.clone()))?;
        registry.register(Box::new(control.observing.clone()))?;
        Ok(control)
    }
}

fn family<S: Sample>(
    registry: &Registry,
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
) -> prometheus::Result<Arc<Family<S>>> {
    let family = Family::new(name, help, labels)?;
    registry.register(Box::new(Registered(Arc::clone(&family))))?;
    Ok(family)
}

#[cfg(test)]
mod tests;
