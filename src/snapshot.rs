//! What one request sees: policy, issuers and identity settings of one generation, consistent from first byte to last.

use std::sync::Arc;

use crate::authn::Issuers;
use crate::authz::Policy;
use crate::config::Config;
use crate::identity::Identity;
use crate::listener::ListenerSettings;
use crate::proxy::{Answers, Cors, ResourceMetadata};
use crate::request::RequestRules;
use crate::upstream::Target;

/// One compiled configuration, live.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts successful loads, from 1. Caches and decision records carry it.
    pub generation: u64,
    /// Trusted issuers.
    pub issuers: Issuers,
    /// All routes, per listener.
    pub policy: Policy,
    /// How the caller is vouched for.
    pub identity: Identity,
    /// All listeners, in the order of the configuration.
    pub listeners: Vec<Listener>,
    /// Answer templates.
    pub answers: Answers,
    /// Everything as configured.
    pub config: Arc<Config>,
}

/// The place where the live snapshot is swapped.
pub type SnapshotCell = arc_swap::ArcSwap<Snapshot>;

/// A listener, ready for use.
#[derive(Debug)]
pub struct Listener {
    /// Its place in the configuration; a listener keeps it for the life of the process.
    pub index: usize,
    /// As configured.
    pub settings: ListenerSettings,
    /// How requests are read.
    pub rules: RequestRules,
    /// TLS towards callers.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// CORS on our own answers.
    pub cors: Option<Cors>,
    /// What it tells of itself (RFC 9728).
    pub resource_metadata: Option<ResourceMetadata>,
    /// Where it forwards.
    pub target: Arc<Target>,
}

impl Snapshot {
    /// The listener at `index`.
    #[must_use]
    pub fn listener(&self, index: usize) -> Option<&Listener> {
        self.listeners.get(index)
    }
}
