//! Keys over the network and from files: sources, fetch, refresh, last known good.
//!
//! Every issuer has one source, kept fresh by one task on the control thread. Workers read the keys from a
//! [`KeyCell`](crate::authn::KeyCell) without waiting; only a token that names a key nobody holds waits, in
//! [`Keys::obtain`], and never for longer than [`LONGEST_WAIT`].
//!
//! - One attempt at a time per issuer: its task makes them, requesters only wake it. A requester that goes away takes
//!   nothing with it.
//! - What unknown key ids cost is bounded by time, not by traffic: one forced attempt per cooldown, counted from the
//!   attempt whatever its outcome. Scheduled refreshes do not draw on that budget, so that a flood of invented key ids
//!   cannot delay a rotation.
//! - A bad document never replaces a good one. What cannot be refreshed serves until `max_stale`, then nothing does.
//!
//! A reload first [prepares](Keys::prepare) and then [commits](Prepared::commit): a source that stays keeps its keys and
//! its schedule, one that changed starts from nothing, because what the old source said is not trusted any more.

mod document;
mod keys;
mod last_good;
mod lifetime;
mod source;
mod state;
mod status;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use crate::authn::KeySetError;
use crate::config::Secret;
pub use crate::fetch::FetchError;
use crate::fetch::{Conditions, DOCUMENT_BYTES, shown};

pub use keys::{KeyRefresher, Keys, Prepared};
pub use status::{IssuerKeyStatus, KeyHealth};

/// Longest that a request waits for a key.
pub const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Most requests of one worker that wait for the keys of one issuer at a time.
pub const MOST_WAITERS: u32 = 64;

/// Why an attempt to obtain keys failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The document could not be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It is no usable key set.
    #[error("key set: {0}")]
    KeySet(#[source] KeySetError),
    /// The file cannot be read.
    #[error("file: {0}")]
    File(#[source] std::io::Error),
}

/// Where an issuer's keys come from, and how they are kept fresh.
#[derive(Clone, Debug)]
pub struct KeySourceSettings {
    /// Where.
    pub source: KeySource,
    /// Longest time between two refreshes.
    pub refresh: Duration,
    /// A `Cache-Control: max-age` below this counts as this.
    pub refresh_floor: Duration,
    /// A `Cache-Control: max-age` above this counts as this.
    pub refresh_ceiling: Duration,
    /// Least time between two refreshes that unknown key ids ask for, successful or not.
    pub cooldown: Duration,
    /// How long the last good set serves when it cannot be refreshed.
    pub max_stale: Duration,
    /// Last-known-good copy on disk, of network sources.
    pub cache: Option<PathBuf>,
    /// Limit of one attempt, discovery included.
    pub timeout: Duration,
    /// PEM CA certificates for the fetch; `None`: the platform's.
    pub ca: Option<Secret>,
    /// Plain http is allowed.
    pub allow_http: bool,
}

/// Where keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// OIDC discovery or RFC 8414, from this issuer URL.
    Discover {
        /// The issuer, as in `iss`.
        issuer: String,
    },
    /// A JWKS URL.
    Url(String),
    /// A file, re-read when it changes. No network.
    File(PathBuf),
    /// The document itself. No network.
    Inline(String),
}

impl KeySource {
    /// The kind of the source and its place, for people.
    pub(crate) fn describe(&self) -> (&'static str, Option<String>) {
        match self {
            Self::Discover { issuer } => ("discover", shown(issuer)),
            Self::Url(url) => ("url", shown(url)),
            Self::File(path) => ("file", Some(path.display().to_string())),
            Self::Inline(_) => ("inline", None),
        }
    }
}

impl Default for KeySourceSettings {
    fn default() -> Self {
        Self {
            source: KeySource::Inline(String::new()),
            refresh: Duration::from_secs(15 * 60),
            refresh_floor: Duration::from_secs(60),
            refresh_ceiling: Duration::from_secs(60 * 60),
            cooldown: Duration::from_secs(30),
            max_stale: Duration::from_secs(24 * 60 * 60),
            cache: None,
            timeout: Duration::from_secs(5),
            ca: None,
            allow_http: false,
        }
    }
}

impl KeySourceSettings {
    /// Whether keys obtained under `other` may be trusted under these settings: the same place, reached under the same
    /// conditions. Intervals do not matter.
    fn same_trust(&self, other: &Self) -> bool {
        let ca = |settings: &Self| settings.ca.as_ref().map(|pem| pem.expose().to_vec());
        self.source == other.source && self.allow_http == other.allow_http && ca(self) == ca(other)
    }

    /// How documents are fetched.
    fn conditions(&self) -> Conditions<'_> {
        Conditions {
            ca: self.ca.as_ref(),
            allow_http: self.allow_http,
            certificate: None,
        }
    }

    /// Whether obtaining keys needs the network.
    const fn is_remote(&self) -> bool {
        matches!(self.source, KeySource::Discover { .. } | KeySource::Url(_))
    }
}

/// What came of asking for a key that is not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obtained {
    /// The issuer's keys changed, or the key is there by now: identify once more.
    Refreshed,
    /// The issuer was asked within the cooldown and does not publish the key: the token does not hold.
    Absent,
    /// Nobody can tell: the issuer does not answer, or too many wait.
    Unavailable {
        /// When to come again; at least a second.
        retry_after: Duration,
    },
}
