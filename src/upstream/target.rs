//! Where to connect: addresses and TLS settings of one upstream, ready for use.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{UpstreamAddress, UpstreamSettings};
use crate::net::{self, Stream};

/// What speaks with the upstream after connecting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// One upstream, compiled. Shared by all workers; the control thread keeps its addresses fresh.
pub struct Target {
    settings: UpstreamSettings,
    addresses: ArcSwap<Vec<SocketAddr>>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Why an upstream cannot be used as configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The name is not one that a certificate can be checked against.
    #[error("`{0}` is not a valid server name")]
    ServerName(String),
    /// A PEM file holds no usable certificate or key.
    #[error("upstream {0}: {1}")]
    Pem(&'static str, String),
    /// No CA certificates.
    #[error("no CA certificates for https: give `ca`, or install the platform's")]
    NoRoots,
    /// TLS settings do not fit together.
    #[error("upstream TLS")]
    Tls(#[from] rustls::Error),
}

impl Target {
    /// Compiles settings; does not connect.
    ///
    /// # Errors
    /// CA certificates, client certificate or server name cannot be used.
    pub fn new(settings: UpstreamSettings) -> Result<Self, TargetError> {
        let tls = match &settings.address {
            UpstreamAddress::Https { host, .. } => Some(client_tls(&settings, host)?),
            UpstreamAddress::Http { .. }
            | UpstreamAddress::H2c { .. }
            | UpstreamAddress::Unix(_) => None,
        };
        let literal = settings
            .address
            .host_and_port()
            .and_then(|(host, port)| literal(host, port));
        let addresses = ArcSwap::from_pointee(literal.into_iter().collect());
        Ok(Self {
            settings,
            addresses,
            tls,
        })
    }

    /// As configured.
    #[must_use]
    pub const fn settings(&self) -> &UpstreamSettings {
        &self.settings
    }

    /// Looks the upstream's name up and keeps the addresses; does nothing for literal addresses and Unix sockets.
    ///
    /// # Errors
    /// The name does not resolve; the last addresses stay.
    pub async fn resolve(&self) -> io::Result<()> {
        let Some((host, port)) = self.settings.address.host_and_port() else {
            return Ok(());
        };
        if literal(host, port).is_some() {
            return Ok(());
        }
        let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
        if !found.is_empty() && found != **self.addresses.load() {
            self.addresses.store(Arc::new(found));
        }
        Ok(())
    }

    /// Connects, TLS included; `patience` is how long the upstream may take nothing.
    pub(super) async fn connect(&self, patience: Duration) -> io::Result<(Stream, Protocol)> {
        if let UpstreamAddress::Unix(path) = &self.settings.address {
            return Ok((net::connect_unix(path).await?, Protocol::Http1));
        }
        if self.addresses.load().is_empty() {
            self.resolve().await?;
        }
        let stream = self.connect_tcp(patience).await?;
        match (&self.settings.address, &self.tls) {
            (_, Some((connector, name))) => {
                let stream = connector.connect(name.clone(), stream).await?;
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let protocol = if http2 {
                    Protocol::Http2
                } else {
                    Protocol::Http1
                };
                Ok((Stream::Tls(Box::new(stream.into())), protocol))
            }
            (UpstreamAddress::H2c { .. }, None) => Ok((Stream::Tcp(stream), Protocol::Http2)),
            (_, None) => Ok((Stream::Tcp(stream), Protocol::Http1)),
        }
    }

    async fn connect_tcp(&self, patience: Duration) -> io::Result<TcpStream> {
        let addresses = self.addresses.load_full();
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses.iter() {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    net::prepare(&stream, patience)?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl UpstreamAddress {
    /// Name and port; `None` for a Unix socket.
    #[must_use]
    pub fn host_and_port(&self) -> Option<(&str, u16)> {
        match self {
            Self::Http { host, port } | Self::Https { host, port } | Self::H2c { host, port } => {
                Some((host.trim_start_matches('[').trim_end_matches(']'), *port))
            }
            Self::Unix(_) => None,
        }
    }
}

fn literal(host: &str, port: u16) -> Option<SocketAddr> {
    host.parse::<IpAddr>()
        .ok()
        .map(|address| SocketAddr::new(address, port))
}

fn client_tls(
    settings: &UpstreamSettings,
    host: &str,
) -> Result<(TlsConnector, ServerName<'static>), TargetError> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| TargetError::ServerName(host.to_owned()))?;
    let mut roots = rustls::RootCertStore::empty();
    if let Some(ca) = &settings.ca {
        for certificate in certificates("ca", ca.expose())? {
            roots.add(certificate)?;
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if roots.is_empty() {
        return Err(TargetError::NoRoots);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut config = match &settings.client_certificate {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let key = PrivateKeyDer::from_pem_slice(key.expose())
                .map_err(|error| TargetError::Pem("client key", error.to_string()))?;
            builder
                .with_client_auth_cert(certificates("client certificate", chain.expose())?, key)?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((TlsConnector::from(Arc::new(config)), name))
}

fn certificates(
    what: &'static str,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TargetError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(TargetError::Pem(what, "no certificate in it".to_owned())),
        Err(error) => Err(TargetError::Pem(what, error.to_string())),
    }
}
