//! The certificate that the API server sees, read again whenever it is renewed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use crate::clock::Clock;
use crate::config::watch::Watcher;
use crate::config::{Content, Secret, read_secret_file};
use crate::listener::{TlsSettings, server_config};

/// The certificate that is served, and where it comes from.
#[derive(Debug)]
pub(super) struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    served: RefCell<Arc<rustls::ServerConfig>>,
}

impl Certificate {
    /// Reads it, and follows its files from now on. Needs a runtime.
    ///
    /// # Errors
    /// Which file cannot be used, and why.
    pub(super) fn follow(certificate: &Path, key: &Path, clock: Clock) -> Result<Rc<Self>, String> {
        let (served, contents) = load(certificate, key)?;
        let mut watcher = Watcher::new(clock);
        if let Err(error) = watcher.follow_files(contents) {
            tracing::warn!(%error, "config.watch_failed");
        }
        let this = Rc::new(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            served: RefCell::new(served),
        });
        let followed = Rc::clone(&this);
        // On its own: what was noticed must not be lost because a connection came meanwhile.
        tokio::task::spawn_local(async move {
            loop {
                watcher.changed().await;
                followed.reload();
            }
        });
        Ok(this)
    }

    /// What a new connection sees.
    pub(super) fn served(&self) -> Arc<rustls::ServerConfig> {
        Arc::clone(&self.served.borrow())
    }

    /// Reads the files again. A certificate that cannot be used changes nothing.
    pub(super) fn reload(&self) {
        match load(&self.certificate, &self.key) {
            Ok((served, _)) => {
                *self.served.borrow_mut() = served;
                tracing::info!("webhook.certificate_reloaded");
            }
            Err(reason) => tracing::error!(reason, "webhook.certificate_rejected"),
        }
    }
}

type Loaded = (Arc<rustls::ServerConfig>, BTreeMap<PathBuf, Content>);

/// A certificate that fits its key, and what was in the files.
fn load(certificate: &Path, key: &Path) -> Result<Loaded, String> {
    let mut contents = BTreeMap::new();
    let mut secret = |path: &Path| {
        let read = read_secret_file(path);
        contents.insert(path.to_owned(), Content::of(&read));
        match read {
            Ok(bytes) => Ok(Secret::new(bytes.to_vec(), Some(path.to_owned()))),
            Err(reason) => Err(format!("{}: {reason}", path.display())),
        }
    };
    let settings = TlsSettings {
        certificate: secret(certificate)?,
        key: secret(key)?,
        client_ca: None,
        client_certificate_required: false,
    };
    let mut tls = server_config(&settings).map_err(|error| {
        let source = std::error::Error::source(&error);
        let why = source
            .map(|source| format!(": {source}"))
            .unwrap_or_default();
        format!("{}: {error}{why}", certificate.display())
    })?;
    // One request after the other is all that an API server needs of us.
    Arc::make_mut(&mut tls).alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((tls, contents))
}
