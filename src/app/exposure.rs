//! A way around the proxy: an upstream of this machine that listens on more than loopback can be reached without it.
//!
//! The containers of a pod share one network, so the kernel's list of listening sockets shows the application's, and
//! nothing has to be sent anywhere to learn it. Only Linux has that list; elsewhere nothing is looked at or told.

mod sockets;
#[cfg(all(test, target_os = "linux", target_endian = "little"))]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::Addresses;
use crate::admin::{UpstreamExposure, UpstreamStatus};
use crate::listener::ListenerSettings;
use crate::snapshot::Snapshot;

/// Watches the upstreams of this machine.
#[derive(Clone, Debug)]
pub(super) struct Exposure {
    /// Our own sockets: a listener of the pod's address may have the port that the upstream has on loopback.
    own: Arc<BTreeSet<SocketAddr>>,
    /// As last told, by listener.
    told: Arc<Mutex<BTreeMap<String, UpstreamStatus>>>,
}

impl Exposure {
    /// `addresses` is where we listen ourselves.
    pub(super) fn new(addresses: &Addresses) -> Self {
        let listeners = addresses.listeners.values().copied();
        let own = listeners.chain(addresses.admin).chain(addresses.probes);
        Self {
            // One on all addresses is a way in by itself, whoever has it.
            own: Arc::new(
                own.filter(|own| !own.ip().is_unspecified())
                    .map(|own| SocketAddr::new(own.ip().to_canonical(), own.port()))
                    .collect(),
            ),
            told: Arc::default(),
        }
    }

    /// Looks now, logs what changed, and tells how it stands with each upstream of this machine.
    pub(super) fn look(&self, snapshot: &Snapshot) -> Vec<UpstreamStatus> {
        let listeners = snapshot.listeners.iter().map(|listener| &listener.settings);
        self.look_with(listeners, sockets::beyond_loopback)
    }

    fn look_with<'a>(
        &self,
        listeners: impl Iterator<Item = &'a ListenerSettings>,
        list: impl FnOnce() -> Option<BTreeSet<SocketAddr>>,
    ) -> Vec<UpstreamStatus> {
        let local: Vec<_> = listeners
            .filter_map(|listener| Some((listener, local_port(listener)?)))
            .collect();
        if local.is_empty() || !sockets::SUPPORTED {
            return Vec::new();
        }
        let open = list();
        let statuses: Vec<_> = local
            .into_iter()
            .map(|(listener, port)| self.status(listener, port, open.as_ref()))
            .collect();
        self.tell(&statuses);
        statuses
    }

    fn status(
        &self,
        listener: &ListenerSettings,
        port: u16,
        open: Option<&BTreeSet<SocketAddr>>,
    ) -> UpstreamStatus {
        let listens_on: Vec<_> = open
            .into_iter()
            .flatten()
            .filter(|address| address.port() == port && !self.own.contains(address))
            .copied()
            .collect();
        let exposure = match open {
            None => UpstreamExposure::Unknown,
            Some(_) if listens_on.is_empty() => UpstreamExposure::Closed,
            Some(_) => UpstreamExposure::Exposed,
        };
        UpstreamStatus {
            listener: listener.name.to_string(),
            exposure,
            listens_on,
            required: listener.unready_while_exposed,
        }
    }

    /// Each change once.
    fn tell(&self, statuses: &[UpstreamStatus]) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for status in statuses {
            let before = told.get(&status.listener);
            let same = before.map_or(status.exposure == UpstreamExposure::Closed, |before| {
                (before.exposure, &before.listens_on) == (status.exposure, &status.listens_on)
            });
            if !same {
                log(status);
            }
        }
        *told = statuses
            .iter()
            .map(|status| (status.listener.clone(), status.clone()))
            .collect();
    }
}

fn log(status: &UpstreamStatus) {
    let listener = &*status.listener;
    match status.exposure {
        UpstreamExposure::Exposed => {
            let listens_on = status.places();
            tracing::warn!(listener, listens_on, "upstream.exposed");
        }
        UpstreamExposure::Closed => tracing::info!(listener, "upstream.closed"),
        UpstreamExposure::Unknown => tracing::warn!(listener, "upstream.exposure_unknown"),
    }
}

/// The port of an upstream that should listen on loopback alone.
fn local_port(listener: &ListenerSettings) -> Option<u16> {
    let address = &listener.upstream.address;
    // What an outbound listener leads to is for others to guard.
    let guarded = listener.outbound.is_none() && address.is_local();
    let (_, port) = address.host_and_port().filter(|_| guarded)?;
    Some(port)
}
