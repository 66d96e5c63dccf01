//! Keys over the network and from files: sources, fetch, refresh, last known good.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::Secret;

/// Where an issuer's keys come from, and how they are kept fresh.
#[derive(Clone, Debug)]
pub struct KeySourceSettings {
    /// Where.
    pub source: KeySource,
    /// Longest time between two refreshes.
    pub refresh: Duration,
    /// Least time between two refreshes that unknown key ids ask for, successful or not.
    pub cooldown: Duration,
    /// How long the last good set serves when it cannot be refreshed.
    pub max_stale: Duration,
    /// Last-known-good copy on disk.
    pub cache: Option<PathBuf>,
    /// Limit of one fetch.
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

impl Default for KeySourceSettings {
    fn default() -> Self {
        Self {
            source: KeySource::Inline(String::new()),
            refresh: Duration::from_secs(15 * 60),
            cooldown: Duration::from_secs(30),
            max_stale: Duration::from_secs(24 * 60 * 60),
            cache: None,
            timeout: Duration::from_secs(5),
            ca: None,
            allow_http: false,
        }
    }
}
