//! Configuration: document (as written), compiled all at once into [`Config`], watched and reloaded.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::admin::{AdminSettings, ProbesSettings};
use crate::authn::IssuerSettings;
use crate::authz::Policy;
use crate::identity::IdentitySettings;
use crate::jwks::KeySourceSettings;
use crate::listener::ListenerSettings;
use crate::proxy::{AnswersName, AnswersSettings};
use crate::telemetry::LogSettings;

/// A compiled configuration: valid as a whole, or it does not exist.
#[derive(Debug)]
pub struct Config {
    /// Worker threads; already resolved when `auto`.
    pub workers: usize,
    /// Inbound listeners.
    pub listeners: Vec<ListenerSettings>,
    /// The admin listener.
    pub admin: AdminSettings,
    /// The probes listener.
    pub probes: Option<ProbesSettings>,
    /// Trusted issuers and where their keys come from.
    pub issuers: Vec<(IssuerSettings, KeySourceSettings)>,
    /// How the caller is vouched for.
    pub identity: Arc<IdentitySettings>,
    /// All routes.
    pub policy: Arc<Policy>,
    /// Answer templates.
    pub answers: BTreeMap<AnswersName, Arc<AnswersSettings>>,
    /// Logs.
    pub log: LogSettings,
    /// End of life.
    pub drain: DrainSettings,
    /// Files that were read besides the document: a change of one of them is a change of the configuration.
    pub files: Vec<PathBuf>,
    /// The document ended in `end: true`.
    pub sentinel: bool,
}

/// `drain: {delay, deadline}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainSettings {
    /// From SIGTERM to the end of accepting.
    pub delay: Duration,
    /// From then to the end of the process, whatever is still in flight.
    pub deadline: Duration,
}

impl Default for DrainSettings {
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(5),
            deadline: Duration::from_secs(30),
        }
    }
}

/// Bytes that must not be shown: a key, a certificate chain, a shared secret. Wiped when dropped.
#[derive(Clone)]
pub struct Secret {
    bytes: Arc<zeroize::Zeroizing<Vec<u8>>>,
    file: Option<PathBuf>,
}

impl Secret {
    /// A secret that was read from `file`, or written in place.
    #[must_use]
    pub fn new(bytes: Vec<u8>, file: Option<PathBuf>) -> Self {
        Self {
            bytes: Arc::new(zeroize::Zeroizing::new(bytes)),
            file,
        }
    }

    /// The bytes, for the one who uses them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }

    /// Where it was read from.
    #[must_use]
    pub fn file(&self) -> Option<&std::path::Path> {
        self.file.as_deref()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}
