//! Upstream: connections, pool, forwarding. The only module that opens a sealed body.

mod attached;
mod forward;
mod io;
mod lines;
mod origin;
mod passing;
mod pool;
mod response;
mod sending;
mod target;
mod trace;
mod tunnel;

use std::path::PathBuf;

pub(crate) use attached::forward_attached;
pub(crate) use forward::forward;
pub use origin::Origin;
pub use pool::Lease;
pub(crate) use pool::Pool;
pub use target::{Target, TargetError};
pub(crate) use trace::trace_id;
#[cfg(feature = "otlp")]
pub(crate) use trace::traceparent;

use crate::config::Secret;
/// Opens sealed bodies. Only this module can make one.
#[derive(Debug)]
pub struct Opener(());

/// Where a listener forwards to; nothing in a request can change it.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// Scheme and place.
    pub address: UpstreamAddress,
    /// PEM CA certificates for `https`; `None`: the platform's.
    pub ca: Option<Secret>,
    /// PEM chain and key that we present to an `https` upstream.
    pub client_certificate: Option<(Secret, Secret)>,
}

impl UpstreamSettings {
    /// Whether connections made under `other` may serve under these settings.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let bytes =
            |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_vec());
        let pair = |pair: &Option<(Secret, Secret)>| {
            pair.as_ref()
                .map(|(chain, key)| (chain.expose().to_vec(), key.expose().to_vec()))
        };
        self.address == other.address
            && bytes(&self.ca) == bytes(&other.ca)
            && pair(&self.client_certificate) == pair(&other.client_certificate)
    }
}

/// Scheme and place of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamAddress {
    /// `http://host:port`: HTTP/1.1.
    Http {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// `https://host:port`: HTTP/2 where ALPN agrees, else HTTP/1.1.
    Https {
        /// Name or address; the certificate must be valid for it.
        host: String,
        /// Port.
        port: u16,
    },
    /// `h2c://host:port`: HTTP/2 with prior knowledge.
    H2c {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// `unix:/path`: HTTP/1.1 over a Unix socket.
    Unix(PathBuf),
}

impl UpstreamAddress {
    /// Whether nothing but this machine's own network stack lies between us and the upstream (literal loopback
    /// address, `localhost`, Unix socket).
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Http { host, .. } | Self::Https { host, .. } | Self::H2c { host, .. } => {
                host == "localhost"
                    || host
                        .trim_start_matches('[')
                        .trim_end_matches(']')
                        .parse::<std::net::IpAddr>()
                        .is_ok_and(|address| address.is_loopback())
            }
        }
    }
}
