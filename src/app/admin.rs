//! What the admin listener shows, read from where it lives whenever somebody asks.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use crate::admin::{
    self, AdminState, AllowStatus, History, ListenerStatus, OutboundStatus, ReloadStatus,
    RouteStatus, Surface, UpstreamExposure, UpstreamStatus,
};
use crate::authz::RouteSettings;
use crate::cli::show;
use crate::clock::{Clock, Now};
use crate::config::Config;
use crate::credential::Credentials;
use crate::drain::{DrainSignal, Readiness};
use crate::explain::Explainer;
use crate::jwks::Keys;
use crate::listener::{Explain, ListenerSettings};
use crate::review::Reviews;
use crate::snapshot::{Snapshot, SnapshotCell};
use crate::telemetry::{CertificateStatuses, CredentialStatuses, KeyStatus, Kind, Telemetry};

use super::exposure::Exposure;

/// What admin looks at.
pub(super) struct Sources<'a> {
    pub(super) config_file: &'a Path,
    pub(super) clock: &'a Clock,
    pub(super) keys: &'a Keys,
    pub(super) reviews: &'a Reviews,
    pub(super) credentials: &'a Credentials,
    pub(super) snapshot: &'a Arc<SnapshotCell>,
    pub(super) telemetry: &'a Arc<Telemetry>,
    pub(super) drain: DrainSignal,
    pub(super) reload: ReloadStatus,
    pub(super) readiness: Readiness,
    pub(super) exposure: Exposure,
    pub(super) history: Arc<History>,
}

/// Serves admin and probes on this thread, until the drain has ended.
pub(super) fn spawn(
    sources: Sources<'_>,
    config: &Config,
    admin: TcpListener,
    probes: Option<TcpListener>,
) -> std::io::Result<()> {
    let drain = sources.drain.clone();
    let state = Arc::new(state(sources, config));
    let admin = tokio::net::TcpListener::from_std(admin)?;
    tokio::task::spawn_local(admin::serve(
        admin,
        Arc::clone(&state),
        Surface::Admin,
        drain.clone(),
    ));
    if let (Some(listener), Some(settings)) = (probes, &config.probes) {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let surface = Surface::Probes(settings.serve.clone());
        tokio::task::spawn_local(admin::serve(listener, state, surface, drain));
    }
    Ok(())
}

fn state(sources: Sources<'_>, config: &Config) -> AdminState {
    let issuers = issuers(&sources);
    let reviews = sources.reviews.clone();
    let reviews: crate::telemetry::ReviewStatuses = Arc::new(move || reviews.status());
    if let Err(error) = sources.telemetry.metrics().observe_reviews(&reviews) {
        tracing::error!(%error, "metrics.reviews_unavailable");
    }
    let credentials = credentials(&sources);
    let certificates = certificates(&sources);
    let routes = Arc::clone(sources.snapshot);
    let outbound = Arc::clone(sources.snapshot);
    let listeners = Arc::clone(sources.snapshot);
    let live = Arc::clone(sources.snapshot);
    let jwks = (Arc::clone(sources.snapshot), sources.clock.clone());
    let observed = (Arc::clone(sources.snapshot), sources.clock.clone());
    let exposure = sources.exposure;
    let snapshot = Arc::clone(sources.snapshot);
    let upstreams = move || exposure.look(&snapshot.load());
    observe_exposure(sources.telemetry, upstreams.clone());
    AdminState {
        certificates,
        upstreams: Box::new(upstreams),
        telemetry: Arc::clone(sources.telemetry),
        clock: sources.clock.clone(),
        started: sources.clock.now(),
        config_file: sources.config_file.to_path_buf(),
        workers: config.workers,
        hosts: Vec::new(),
        readiness: sources.readiness,
        drain: sources.drain,
        reload: sources.reload,
        issuers,
        reviews,
        credentials,
        routes: Box::new(move || statuses(&routes.load())),
        observed_callers: Box::new(move || observed_callers(&observed.0.load(), observed.1.now())),
        outbound: Box::new(move || {
            let listeners = &outbound.load().config.listeners;
            listeners.iter().filter_map(OutboundStatus::of).collect()
        }),
        listeners: Box::new(move || {
            let listeners = &listeners.load().config.listeners;
            listeners.iter().map(describe_listener).collect()
        }),
        history: sources.history,
        explainer: Box::new(move || explainer(&live.load())),
        jwks: Box::new(move || jwks.0.load().jwks(jwks.1.now().unix)),
    }
}

fn statuses(snapshot: &Snapshot) -> Vec<RouteStatus> {
    let routes = snapshot.policy.routes().iter();
    routes.map(|route| describe(route.settings())).collect()
}

/// Callers that are only observed now.
fn observed_callers(snapshot: &Snapshot, now: Now) -> Vec<String> {
    let all = snapshot.policy.observed_callers().iter();
    all.filter(|own| now.unix < own.until)
        .map(|own| own.caller.name.to_string())
        .collect()
}

fn issuers(sources: &Sources<'_>) -> KeyStatus {
    let keys = sources.keys.clone();
    let status: KeyStatus = Arc::new(move || keys.status());
    if let Err(error) = sources.telemetry.metrics().observe_keys(&status) {
        tracing::error!(%error, "metrics.keys_unavailable");
    }
    status
}

fn credentials(sources: &Sources<'_>) -> CredentialStatuses {
    let credentials = sources.credentials.clone();
    let status: CredentialStatuses = Arc::new(move || credentials.status());
    let metrics = sources.telemetry.metrics();
    if let Err(error) = metrics.observe_credentials(&status) {
        tracing::error!(%error, "metrics.credentials_unavailable");
    }
    status
}

fn certificates(sources: &Sources<'_>) -> CertificateStatuses {
    let (snapshot, clock) = (Arc::clone(sources.snapshot), sources.clock.clone());
    let status: CertificateStatuses =
        Arc::new(move || super::certificates::statuses(&snapshot.load().config, clock.now().unix));
    if let Err(error) = sources.telemetry.metrics().observe_certificates(&status) {
        tracing::error!(%error, "metrics.certificates_unavailable");
    }
    status
}

fn observe_exposure(
    telemetry: &Telemetry,
    look: impl Fn() -> Vec<UpstreamStatus> + Send + Sync + 'static,
) {
    let sample = |status: UpstreamStatus| {
        let value = match status.exposure {
            UpstreamExposure::Closed => 0.0,
            UpstreamExposure::Exposed => 1.0,
            UpstreamExposure::Unknown => return None,
        };
        Some((vec![status.listener], value))
    };
    let observed = telemetry.metrics().observe(
        "countersign_upstream_exposed",
        "1 for listeners whose upstream can be reached around the proxy: it listens on more than loopback.",
        &["listener"],
        Kind::Gauge,
        move || look().into_iter().filter_map(sample).collect(),
    );
    if let Err(error) = observed {
        tracing::error!(%error, "metrics.exposure_unavailable");
    }
}

/// What is explained counts for no limit and no cache of ours; of what lives, it reads the keys alone.
fn explainer(live: &Snapshot) -> Result<Explainer, String> {
    let issuers = live.issuers.iter();
    let cells = issuers.filter_map(|issuer| {
        let keys = issuer.keys()?;
        Some((Arc::clone(issuer.name()), Arc::clone(keys)))
    });
    Explainer::new(Arc::clone(&live.config), cells.collect())
}

fn describe_listener(settings: &ListenerSettings) -> ListenerStatus {
    ListenerStatus {
        name: settings.name.to_string(),
        listen: show::listen(&settings.listen),
        tls: settings.tls.is_some(),
        upstream: show::upstream(&settings.upstream.address),
        outbound: settings.outbound.is_some(),
        explains: settings.explain != Explain::Never,
    }
}

fn describe(route: &RouteSettings) -> RouteStatus {
    let allow = show::table(&route.table)
        .into_iter()
        .map(|(methods, who)| AllowStatus {
            methods: methods
                .split(", ")
                .filter(|method| *method != "*")
                .map(str::to_owned)
                .collect(),
            who: who.join(" or "),
        });
    RouteStatus {
        name: route.name.to_string(),
        listener: route.listener.as_ref().map(ToString::to_string),
        paths: route.paths.iter().map(ToString::to_string).collect(),
        hosts: route.hosts.iter().map(ToString::to_string).collect(),
        allow: allow.collect(),
        observe_until: route.observe.map(crate::clock::UnixTime::as_secs),
        enforce: (!route.enforced.is_nobody()).then(|| route.enforced.to_string()),
    }
}
