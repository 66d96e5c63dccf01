//! What one request sees: policy, issuers and identity settings of one generation, consistent from first byte to last.

use std::sync::Arc;

use crate::authn::Issuers;
use crate::authz::Policy;
use crate::config::Config;
use crate::identity::Identity;

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
    /// Everything else that was configured.
    pub config: Arc<Config>,
}

/// The place where the live snapshot is swapped.
pub type SnapshotCell = arc_swap::ArcSwap<Snapshot>;
