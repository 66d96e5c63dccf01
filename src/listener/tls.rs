//! TLS towards callers.

use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

use super::TlsSettings;
use crate::request::ClientCertificate;

/// Why TLS cannot be served as configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A PEM file holds no usable certificate or key.
    #[error("{0}: {1}")]
    Pem(&'static str, String),
    /// Certificate and key do not fit, or use what is not supported.
    #[error("certificate and key")]
    Tls(#[from] rustls::Error),
    /// The CA certificates cannot be used.
    #[error("client_ca")]
    ClientCa(#[from] rustls::server::VerifierBuilderError),
}

/// Compiles settings.
///
/// # Errors
/// Certificate, key or CA certificates cannot be used.
pub fn server_config(settings: &TlsSettings) -> Result<Arc<rustls::ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let builder = match &settings.client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = rustls::RootCertStore::empty();
            for certificate in certificates("client_ca", ca.expose())? {
                roots.add(certificate)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = if settings.client_certificate_required {
                verifier
            } else {
                verifier.allow_unauthenticated()
            };
            builder.with_client_cert_verifier(verifier.build()?)
        }
    };
    let key = PrivateKeyDer::from_pem_slice(settings.key.expose())
        .map_err(|error| TlsError::Pem("key", error.to_string()))?;
    let mut config = builder.with_single_cert(
        certificates("certificate", settings.certificate.expose())?,
        key,
    )?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
    Ok(Arc::new(config))
}

fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(TlsError::Pem(what, "no certificate in it".to_owned())),
        Err(error) => Err(TlsError::Pem(what, error.to_string())),
    }
}

/// The names of a client certificate that the handshake verified.
pub(super) fn client_certificate(
    connection: &rustls::ServerConnection,
) -> Option<ClientCertificate> {
    let der = connection.peer_certificates()?.first()?;
    let parsed = webpki::EndEntityCert::try_from(der).ok()?;
    let digest = digest::digest(&digest::SHA256, der);
    Some(ClientCertificate {
        dns: parsed
            .valid_dns_names()
            .map(str::to_ascii_lowercase)
            .collect(),
        uris: parsed.valid_uri_names().map(str::to_owned).collect(),
        sha256: digest
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
    })
}
