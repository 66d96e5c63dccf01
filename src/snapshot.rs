//! What one request sees: policy, issuers and identity settings of one generation, consistent from first byte to last.

use std::sync::Arc;

use http::HeaderValue;

use crate::authn::Issuers;
use crate::authz::{Policy, Reach};
use crate::clock::UnixTime;
use crate::config::Config;
use crate::credential::CredentialCell;
use crate::identity::{Identity, SigningKeys};
use crate::listener::ListenerSettings;
use crate::proxy::{Answers, Cors, ResourceMetadata, Schemes};
use crate::request::RequestRules;
use crate::upstream::{Origin, Target};

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
    /// The keys that sign receipts, and those that did since the start: what they sealed is read later.
    pub receipt_keys: Option<SigningKeys>,
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
    /// What its challenges ask for.
    pub schemes: Schemes,
    /// Where it forwards.
    pub target: Arc<Target>,
    /// Set where it attaches a credential's token instead of authenticating its callers.
    pub outbound: Option<Outbound>,
}

/// What an outbound listener needs of its generation.
#[derive(Debug)]
pub struct Outbound {
    /// The place of its token.
    pub credential: Arc<CredentialCell>,
    /// Who may call, and what of the upstream is within reach.
    pub reach: Arc<Reach>,
    /// Most bytes of a request body that are kept to send it again.
    pub replay_body: usize,
    /// Where absolute redirects to the upstream lead back to the listener: what they are recognised by.
    pub rewrite_location: Option<Origin>,
    /// What the upstream wants to see repeated in proofs (RFC 9449 section 9).
    pub nonce: arc_swap::ArcSwapOption<String>,
    /// Scheme, host and port of the upstream, as proofs name it.
    pub origin: Box<str>,
    /// What the upstream is told as `Host`, whatever the caller says.
    pub authority: HeaderValue,
}

impl Snapshot {
    /// The listener at `index`.
    #[must_use]
    pub fn listener(&self, index: usize) -> Option<&Listener> {
        self.listeners.get(index)
    }

    /// The keys that verify what we sign, as a JWKS document, at `now`.
    #[must_use]
    pub fn jwks(&self, now: UnixTime) -> serde_json::Value {
        self.identity.jwks_with(self.receipt_keys.as_ref(), now)
    }
}
