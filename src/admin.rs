//! Admin listener and probes listener: what the proxy tells about itself.
//!
//! GET and HEAD only, nothing changes state, no secret is held here. The admin listener answers only under an address, `localhost`
//! or a configured name, so that a web page cannot read it through a name of its own (DNS rebinding); the probes listener serves
//! only what is listed and has no names to check.

mod answers;
mod history;
mod outbound;
mod page;
mod question;
mod serve;
mod status;
mod upstream;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

pub use history::{History, LastMinutes, MINUTES, Tally};
pub use outbound::{OutboundCounts, OutboundStatus};
pub use serve::serve;
pub use status::{Ready, Requests, RouteCounts, Status};
pub use upstream::{UpstreamExposure, UpstreamStatus};

use crate::clock::{Clock, Now};
use crate::drain::{DrainSignal, Readiness};
use crate::explain::Explainer;
use crate::telemetry::{
    CertificateStatuses, CredentialStatuses, KeyStatus, ReviewStatuses, Telemetry,
};

/// The admin listener: everything, for people and tools on this machine.
#[derive(Clone, Debug)]
pub struct AdminSettings {
    /// Where it binds; loopback by default.
    pub listen: SocketAddr,
}

/// The probes listener: what kubelet, Prometheus and verifiers elsewhere need, and nothing else.
#[derive(Clone, Debug)]
pub struct ProbesSettings {
    /// Where it binds.
    pub listen: SocketAddr,
    /// What it serves.
    pub serve: Vec<Probe>,
}

/// What the probes listener may serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// `/livez`.
    Livez,
    /// `/readyz`.
    Readyz,
    /// `/metrics`.
    Metrics,
    /// `/.well-known/jwks.json`.
    Jwks,
}

/// What admin shows. Everything is read when somebody asks.
pub struct AdminState {
    /// Metrics and recent refusals.
    pub telemetry: Arc<Telemetry>,
    /// Time.
    pub clock: Clock,
    /// When the program started.
    pub started: Now,
    /// The configuration file.
    pub config_file: PathBuf,
    /// Worker threads.
    pub workers: usize,
    /// Names, besides `localhost` and addresses, under which the admin listener may be called.
    pub hosts: Vec<String>,
    /// What stands between the start and the first traffic.
    pub readiness: Readiness,
    /// The end of life.
    pub drain: DrainSignal,
    /// What became of the last (re)load.
    pub reload: ReloadStatus,
    /// The status of issuers' keys.
    pub issuers: KeyStatus,
    /// The status of reviews, of issuers whose tokens somebody else judges.
    pub reviews: ReviewStatuses,
    /// The status of credentials.
    pub credentials: CredentialStatuses,
    /// The status of certificates that we show.
    pub certificates: CertificateStatuses,
    /// Looks whether upstreams of this machine can be reached around the proxy.
    pub upstreams: Box<dyn Fn() -> Vec<UpstreamStatus> + Send + Sync>,
    /// The routes of the live configuration.
    pub routes: Box<dyn Fn() -> Vec<RouteStatus> + Send + Sync>,
    /// All listeners of the live configuration.
    pub listeners: Box<dyn Fn() -> Vec<ListenerStatus> + Send + Sync>,
    /// Callers of whom decisions are recorded and not enforced, of the live configuration.
    pub observed_callers: Box<dyn Fn() -> Vec<String> + Send + Sync>,
    /// The outbound listeners of the live configuration.
    pub outbound: Box<dyn Fn() -> Vec<OutboundStatus> + Send + Sync>,
    /// The public keys that verify assertions, a JWKS (RFC 7517 section 5).
    pub jwks: Box<dyn Fn() -> serde_json::Value + Send + Sync>,
    /// Decisions of the last minutes.
    pub history: Arc<History>,
    /// Explains requests under the live configuration; in words why it cannot.
    pub explainer: Box<dyn Fn() -> Result<Explainer, String> + Send + Sync>,
}

impl fmt::Debug for AdminState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminState")
            .field("config_file", &self.config_file)
            .finish_non_exhaustive()
    }
}

/// A listener, as `/status` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ListenerStatus {
    /// Its name.
    pub name: String,
    /// Where callers connect, as configured.
    pub listen: String,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Where it leads.
    pub upstream: String,
    /// Whether it attaches tokens instead of authenticating its callers.
    pub outbound: bool,
    /// Whether its answers tell callers why (`explain`).
    pub explains: bool,
}

/// A route, as `/status` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RouteStatus {
    /// What logs and metrics call it.
    pub name: String,
    /// The listener that it belongs to; `None`: all of them.
    pub listener: Option<String>,
    /// Paths as configured.
    pub paths: Vec<String>,
    /// Hosts that it is narrowed to.
    pub hosts: Vec<String>,
    /// Who may, line by line.
    pub allow: Vec<AllowStatus>,
    /// It only observes until then, seconds since the epoch.
    pub observe_until: Option<i64>,
    /// The share of clients for whom it is enforced all the same, as configured.
    pub enforce: Option<String>,
}

/// One line of a route's table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AllowStatus {
    /// Methods; empty for all that a route without a table speaks for.
    pub methods: Vec<String>,
    /// In words.
    pub who: String,
}

/// What became of loading the configuration; shared by the one who loads and admin.
#[derive(Clone, Debug, Default)]
pub struct ReloadStatus(Arc<Mutex<Reloads>>);

/// What became of loading the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reloads {
    /// Counts successful loads, from 1.
    pub generation: u64,
    /// When the live configuration was loaded, seconds since the epoch.
    pub loaded_at: i64,
    /// Loads that failed since the start.
    pub failed: u64,
    /// Why the last load failed; nothing once one succeeded.
    pub last_error: Option<String>,
    /// When it failed, seconds since the epoch.
    pub last_error_at: Option<i64>,
}

impl ReloadStatus {
    /// A configuration went live.
    pub fn loaded(&self, generation: u64, now: Now) {
        let mut reloads = self.lock();
        reloads.generation = generation;
        reloads.loaded_at = now.unix.as_secs();
        reloads.last_error = None;
        reloads.last_error_at = None;
    }

    /// A configuration was rejected; `error` is what `check` prints, which never shows secrets.
    pub fn failed(&self, error: String, now: Now) {
        let mut reloads = self.lock();
        reloads.failed = reloads.failed.saturating_add(1);
        reloads.last_error = Some(error);
        reloads.last_error_at = Some(now.unix.as_secs());
    }

    /// The state now.
    #[must_use]
    pub fn state(&self) -> Reloads {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Reloads> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a listener of ours serves.
#[derive(Clone, Debug)]
pub enum Surface {
    /// Everything, under a checked `Host`.
    Admin,
    /// Only what is listed.
    Probes(Vec<Probe>),
}

#[cfg(test)]
mod tests;
