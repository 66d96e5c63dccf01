//! Outbound listeners, as `/status`, the status page and `countersign routes` show them.

use serde::Serialize;

use crate::authz::OwnAuthorization;
use crate::cli::show;
use crate::listener::ListenerSettings;

/// An outbound listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutboundStatus {
    /// Its name.
    pub listener: String,
    /// Where it binds.
    pub listen: String,
    /// Where it forwards.
    pub upstream: String,
    /// The credential whose token it attaches.
    pub credential: String,
    /// What is within reach; `None`: the whole upstream.
    pub paths: Option<Vec<String>>,
    /// What becomes of an `Authorization` that a caller brings: `refuse` or `replace`.
    pub authorization: &'static str,
    /// Whether redirects of the upstream to itself lead back.
    pub rewrite_location: bool,
}

impl OutboundStatus {
    /// What is configured of a listener; nothing for inbound ones.
    #[must_use]
    pub fn of(settings: &ListenerSettings) -> Option<Self> {
        let own = settings.outbound.as_ref()?;
        let paths = own.reach.paths();
        Some(Self {
            listener: settings.name.to_string(),
            listen: show::listen(&settings.listen),
            upstream: show::upstream(&settings.upstream.address),
            credential: own.credential.to_string(),
            paths: paths.map(|paths| paths.iter().map(ToString::to_string).collect()),
            authorization: match own.reach.authorization() {
                OwnAuthorization::Refuse => "refuse",
                OwnAuthorization::Replace => "replace",
            },
            rewrite_location: own.rewrite_location,
        })
    }

    /// What is within reach, in words.
    #[must_use]
    pub fn reach(&self) -> String {
        match &self.paths {
            Some(paths) => paths.join(" "),
            None => "the whole upstream".to_owned(),
        }
    }
}

/// An outbound listener and what became of its requests.
#[derive(Clone, Debug, Serialize)]
pub struct OutboundCounts {
    /// The listener.
    #[serde(flatten)]
    pub outbound: OutboundStatus,
    /// Forwarded since the start.
    pub allowed: u64,
    /// Refused or failed since the start.
    pub refused: u64,
}
