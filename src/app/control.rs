//! The control thread: everything that is not a request.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::JoinHandle;
use std::time::Duration;

mod loading;

use loading::{Asked, Loading};

use super::certificates::Certificates;
use super::exposure::Exposure;
use super::snapshots::Cells;
use super::worker_thread::{self, Role, Start};
use super::{Addresses, Options, StartError, admin, leftovers, self_test, snapshots};
use crate::admin::{History, ReloadStatus};
use crate::config::watch::Watcher;
use crate::config::{self, Config};
use crate::credential::{self, CredentialKeeper, Credentials};
use crate::drain::{Drain, Phase, Readiness};
use crate::jwks::{self, KeyRefresher, KeySourceSettings, Keys};
use crate::listener::{Bound, ListenAddress, Sources, bind_tcp};
use crate::platform::{Signal, Signals};
use crate::proxy::Shared;
use crate::review::{self, ReviewKeeper, ReviewSettings, Reviews};
use crate::snapshot::SnapshotCell;
use crate::telemetry::{Telemetry, TelemetryError};

/// How often upstream names are looked up again, and everything else is looked at that changes by itself.
const LOOK: Duration = Duration::from_secs(10);

/// What the control thread can be told.
#[derive(Debug)]
pub(super) enum Command {
    Reload(Asked),
    Drain,
    End,
}

/// The state of the control thread.
pub(super) struct Control {
    options: Options,
    commands: tokio::sync::mpsc::UnboundedReceiver<Command>,
    keys: Keys,
    reviews: Reviews,
    credentials: Credentials,
    snapshot: Arc<SnapshotCell>,
    telemetry: Arc<Telemetry>,
    /// Events of this thread go to our own telemetry, not to whatever the process has.
    _events: tracing::dispatcher::DefaultGuard,
    reload: ReloadStatus,
    exposure: Exposure,
    history: Arc<History>,
    certificates: Certificates,
    watcher: Watcher,
    /// A reload is asked for, by these among others, and not begun.
    wanted: Option<Vec<Asked>>,
    loading: Option<Loading>,
    drain: Drain,
    workers: Vec<JoinHandle<()>>,
    /// Ends when the last worker has ended.
    ended: tokio::sync::mpsc::Receiver<()>,
    /// Until [`Control::run`] takes them.
    signals: Option<Signals>,
}

/// Logs, metrics and spans, as configured.
fn telemetry(options: &Options, config: &Config) -> Result<Telemetry, TelemetryError> {
    let mut telemetry = Telemetry::start(&config.log, options.log.clone(), options.clock.clone())?;
    if let Some(otlp) = &config.otlp {
        telemetry.export_spans(otlp)?;
    }
    Ok(telemetry)
}

/// Keys, reviewers and credentials of a configuration, before it goes live.
struct Prepared {
    keys: jwks::Prepared,
    reviews: review::Prepared,
    credentials: credential::Prepared,
}

impl Prepared {
    fn of(config: &Config, keys: &Keys, reviews: &Reviews, credentials: &Credentials) -> Self {
        Self {
            keys: keys.prepare(sources(config)),
            reviews: reviews.prepare(reviewers(config)),
            credentials: credentials.prepare(config.credentials.iter().cloned()),
        }
    }

    fn cells(&self) -> Cells {
        Cells {
            keys: self.keys.cells(),
            reviewers: self.reviews.reviewers(),
            credentials: self.credentials.cells(),
        }
    }

    fn commit(self) {
        self.keys.commit();
        self.reviews.commit();
        self.credentials.commit();
    }
}

/// What this thread does beside everything else.
fn keep_in_background(keys: KeyRefresher, reviews: ReviewKeeper, credentials: CredentialKeeper) {
    tokio::task::spawn_local(keys.run());
    tokio::task::spawn_local(reviews.run());
    tokio::task::spawn_local(credentials.run());
}

struct Sockets {
    inbound: Vec<Bound>,
    admin: std::net::TcpListener,
    probes: Option<std::net::TcpListener>,
    addresses: Addresses,
}

impl Control {
    /// Everything that can fail happens here, before the first connection is accepted (INVARIANTS 67).
    pub(super) fn start(
        options: Options,
        commands: tokio::sync::mpsc::UnboundedReceiver<Command>,
    ) -> Result<(Self, Addresses), StartError> {
        // First, so that a signal while we start is not lost, nor ignored where we are process 1.
        let signals = Signals::new(options.signals);
        self_test::run().map_err(StartError::SelfTest)?;
        let config = Arc::new(config::load(&options.config, None).map_err(StartError::Config)?);
        let telemetry = Arc::new(telemetry(&options, &config)?);
        let events = tracing::dispatcher::set_default(&telemetry.dispatch());
        let sockets = bind(&config)?;
        let (keys, refreshing) = Keys::start(options.clock.clone());
        let (reviews, asking) = Reviews::start(options.clock.clone());
        let (credentials, keeping) = Credentials::start(options.clock.clone());
        let prepared = Prepared::of(&config, &keys, &reviews, &credentials);
        let now = options.clock.now().unix;
        let snapshot = snapshots::build(Arc::clone(&config), 1, &prepared.cells(), None, now)
            .map_err(StartError::Unusable)?;
        prepared.commit();
        keep_in_background(refreshing, asking, keeping);
        let snapshot = Arc::new(SnapshotCell::from_pointee(snapshot));
        let mut watcher = Watcher::new(options.clock.clone());
        follow(&mut watcher, &config);
        let drain = Drain::default();
        let shared = Arc::new(Shared {
            token_cache: config.token_cache,
            snapshot: Arc::clone(&snapshot),
            keys: keys.clone(),
            reviews: reviews.clone(),
            credentials: credentials.clone(),
            clock: options.clock.clone(),
            drain: drain.signal(),
            connections: AtomicUsize::new(0),
            most_connections: super::most_connections(),
            in_flight: AtomicUsize::new(0),
            sources: Sources::default(),
        });
        let (ending, ended) = tokio::sync::mpsc::channel(1);
        let inbound = sockets.inbound;
        let workers = spawn_workers(config.workers, &shared, &telemetry, inbound, &ending)?;
        let control = Self {
            reload: ReloadStatus::default(),
            exposure: Exposure::new(&sockets.addresses),
            history: Arc::default(),
            certificates: Certificates::default(),
            options,
            commands,
            keys,
            reviews,
            credentials,
            snapshot,
            telemetry,
            _events: events,
            watcher,
            wanted: None,
            loading: None,
            drain,
            workers,
            ended,
            signals: Some(signals),
        };
        control.show(&config, sockets.admin, sockets.probes)?;
        Ok((control, sockets.addresses))
    }

    /// Opens admin and probes.
    fn show(
        &self,
        config: &Config,
        admin: std::net::TcpListener,
        probes: Option<std::net::TcpListener>,
    ) -> std::io::Result<()> {
        let now = self.options.clock.now();
        self.reload.loaded(1, now);
        self.telemetry
            .metrics()
            .control
            .reloaded(1, now.unix.as_secs());
        let sources = admin::Sources {
            config_file: &self.options.config,
            clock: &self.options.clock,
            keys: &self.keys,
            reviews: &self.reviews,
            credentials: &self.credentials,
            snapshot: &self.snapshot,
            telemetry: &self.telemetry,
            drain: self.drain.signal(),
            reload: self.reload.clone(),
            readiness: Readiness::default(),
            exposure: self.exposure.clone(),
            history: Arc::clone(&self.history),
        };
        admin::spawn(sources, config, admin, probes)
    }

    /// Serves commands, file changes and signals until the drain is over.
    pub(super) async fn run(mut self) {
        tracing::info!(
            generation = 1,
            workers = self.workers.len(),
            "proxy.started"
        );
        let mut signals = self.signals.take().unwrap_or_else(|| Signals::new(false));
        self.look_around();
        let clock = self.options.clock.clone();
        let mut look_at = clock.tick().plus(LOOK);
        loop {
            self.begin_reload();
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Reload(asked)) => self.wanted.get_or_insert_default().push(asked),
                    Some(Command::Drain) => self.begin_drain(),
                    Some(Command::End) | None => self.drain.end(),
                },
                () = self.watcher.changed() => drop(self.wanted.get_or_insert_default()),
                compiled = Loading::outcome(&mut self.loading) => self.reload(compiled),
                signal = signals.next() => match signal {
                    Signal::Reload => drop(self.wanted.get_or_insert_default()),
                    Signal::End if self.drain.signal().phase() > Phase::Serving => self.drain.end(),
                    Signal::End => self.begin_drain(),
                },
                () = clock.sleep_until(look_at) => {
                    self.look_around();
                    look_at = clock.tick().plus(LOOK);
                }
                _ = self.ended.recv() => break,
            }
        }
        for worker in self.workers {
            // A worker that panicked has said so.
            drop(worker.join());
        }
        // What workers recorded comes before the word that all is over.
        self.telemetry.flush();
        tracing::info!("drain.finished");
        self.telemetry.flush();
    }

    /// Not ready, then no more connections, then the end. The workers' end is waited for in [`Control::run`].
    fn begin_drain(&self) {
        if self.drain.signal().phase() > Phase::Serving {
            return;
        }
        tracing::info!("drain.started");
        let (drain, clock) = (self.drain.clone(), self.options.clock.clone());
        let settings = self.snapshot.load().config.drain;
        tokio::task::spawn_local(async move {
            drain.run(settings, &clock, std::future::pending()).await
        });
    }

    /// Compiles first and swaps after; when it fails the old snapshot serves on. Compiling has a thread of its own: it takes
    /// some tenths of a second for ten thousand routes, and this one answers probes and hears signals. What is asked for
    /// meanwhile is done afterwards: the document may have changed since it was read.
    fn begin_reload(&mut self) {
        if self.loading.is_none()
            && let Some(asked) = self.wanted.take()
        {
            let before = Arc::clone(&self.snapshot.load().config);
            self.loading = Some(Loading::start(&self.options.config, &before, asked));
        }
    }

    /// Swaps to what was compiled, and tells who asked.
    fn reload(&mut self, compiled: Result<Config, String>) {
        let asked = self.loading.take().map(|loading| loading.asked);
        let live = self.snapshot.load_full();
        // A bug that some document brings out must not end the process that serves on without it.
        let outcome = compiled.and_then(|config| {
            std::panic::catch_unwind(AssertUnwindSafe(|| self.replace(&Arc::new(config))))
                .unwrap_or_else(|_| loading::bug())
        });
        match &outcome {
            Ok(generation) => {
                tracing::info!(generation, "config.reloaded");
                let now = self.options.clock.now();
                self.reload.loaded(*generation, now);
                self.telemetry
                    .metrics()
                    .control
                    .reloaded(*generation, now.unix.as_secs());
                leftovers::let_go(live, &self.options.clock);
            }
            Err(reason) => {
                tracing::error!(reason, "config.rejected");
                self.reload.failed(reason.clone(), self.options.clock.now());
                self.telemetry.metrics().control.reload_failed();
            }
        }
        for asked in asked.into_iter().flatten() {
            drop(asked.send(outcome.clone()));
        }
    }

    fn replace(&mut self, config: &Arc<Config>) -> Result<u64, String> {
        let live = self.snapshot.load_full();
        let names = |config: &Config| -> Vec<(Arc<str>, bool)> {
            config
                .listeners
                .iter()
                .map(|listener| (Arc::clone(&listener.name), listener.outbound.is_some()))
                .collect()
        };
        if names(config) != names(&live.config) {
            return Err("adding, removing or reordering listeners needs a restart".to_owned());
        }
        for what in restart_needed(&live.config, config) {
            tracing::warn!(what, "config.restart_needed");
        }
        let generation = live.generation.saturating_add(1);
        let prepared = Prepared::of(config, &self.keys, &self.reviews, &self.credentials);
        let now = self.options.clock.now().unix;
        let snapshot = snapshots::build(
            Arc::clone(config),
            generation,
            &prepared.cells(),
            Some(&live),
            now,
        )?;
        prepared.commit();
        follow(&mut self.watcher, config);
        self.telemetry.apply(&config.log);
        self.snapshot.store(Arc::new(snapshot));
        self.look_around();
        Ok(generation)
    }

    /// Looks upstream names up, in the background, and for what an operator must be told: a way around the proxy,
    /// certificates near their end, what was decided in the last minutes; and gives back what nobody uses.
    fn look_around(&mut self) {
        let snapshot = self.snapshot.load_full();
        drop(self.exposure.look(&snapshot));
        let now = self.options.clock.now();
        self.history.look(self.telemetry.metrics(), now.tick);
        self.certificates.look(&snapshot.config, now.unix);
        leftovers::give_pages_back();
        for listener in &snapshot.listeners {
            let target = Arc::clone(&listener.target);
            tokio::task::spawn_local(async move {
                if let Err(error) = target.resolve().await {
                    tracing::warn!(%error, "upstream.resolve_failed");
                }
            });
        }
    }
}

/// A directory that cannot be watched is polled: no reason to refuse a configuration, but to say so.
fn follow(watcher: &mut Watcher, config: &Config) {
    if let Err(error) = watcher.follow(config) {
        tracing::warn!(%error, "config.watch_failed");
    }
}

fn sources(config: &Config) -> Vec<(Arc<str>, KeySourceSettings)> {
    config
        .issuers
        .iter()
        .filter_map(|(issuer, verifier)| Some((Arc::clone(&issuer.name), verifier.keys()?.clone())))
        .collect()
}

fn reviewers(config: &Config) -> Vec<(Arc<str>, ReviewSettings)> {
    config
        .issuers
        .iter()
        .filter_map(|(issuer, verifier)| {
            Some((Arc::clone(&issuer.name), verifier.review()?.clone()))
        })
        .collect()
}

/// What differs and cannot be changed while the process runs.
fn restart_needed(live: &Config, next: &Config) -> Vec<String> {
    let mut found = Vec::new();
    for (old, new) in live.listeners.iter().zip(&next.listeners) {
        if old.listen != new.listen {
            found.push(format!("{}: listen", new.name));
        }
    }
    if live.workers != next.workers {
        found.push("workers".to_owned());
    }
    if live.token_cache != next.token_cache {
        found.push("token_cache".to_owned());
    }
    if live.otlp != next.otlp {
        found.push("telemetry.otlp".to_owned());
    }
    if live.admin.listen != next.admin.listen {
        found.push("admin.listen".to_owned());
    }
    if live.probes.as_ref().map(|probes| probes.listen)
        != next.probes.as_ref().map(|probes| probes.listen)
    {
        found.push("probes.listen".to_owned());
    }
    found
}

fn bind(config: &Config) -> Result<Sockets, StartError> {
    let mut addresses = Addresses::default();
    let mut inbound = Vec::with_capacity(config.listeners.len());
    for listener in &config.listeners {
        let bound = Bound::new(&listener.listen).map_err(|source| StartError::Bind {
            address: match &listener.listen {
                ListenAddress::Tcp(address) => address.to_string(),
                ListenAddress::Unix(path) => format!("unix:{}", path.display()),
            },
            source,
        })?;
        if let Some(address) = bound.local_address() {
            addresses
                .listeners
                .insert(listener.name.to_string(), address);
        }
        inbound.push(bound);
    }
    let tcp = |address: SocketAddr| {
        bind_tcp(address).map_err(|source| StartError::Bind {
            address: address.to_string(),
            source,
        })
    };
    let admin = tcp(config.admin.listen)?;
    let probes = config
        .probes
        .as_ref()
        .map(|probes| tcp(probes.listen))
        .transpose()?;
    addresses.admin = admin.local_addr().ok();
    addresses.probes = probes.as_ref().and_then(|probes| probes.local_addr().ok());
    Ok(Sockets {
        inbound,
        admin,
        probes,
        addresses,
    })
}

fn spawn_workers(
    count: usize,
    shared: &Arc<Shared>,
    telemetry: &Arc<Telemetry>,
    sockets: Vec<Bound>,
    ending: &tokio::sync::mpsc::Sender<()>,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let mut roles = Vec::with_capacity(count);
    let mut peers = Vec::new();
    for _ in 1..count {
        let (peer, role) = worker_thread::peer();
        peers.push(peer);
        roles.push(role);
    }
    roles.insert(0, Role::Accepts { sockets, peers });
    let mut workers = Vec::with_capacity(count);
    for (number, role) in roles.into_iter().enumerate() {
        let start = Start {
            shared: Arc::clone(shared),
            telemetry: Arc::clone(telemetry),
            role,
        };
        let ending = ending.clone();
        let thread = std::thread::Builder::new().name(format!("worker-{number}"));
        workers.push(thread.spawn(move || {
            if let Err(error) = worker_thread::run(start) {
                tracing::error!(%error, "worker.failed");
            }
            drop(ending);
        })?);
    }
    Ok(workers)
}

#[cfg(test)]
mod tests;
