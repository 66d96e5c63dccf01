//! A certificate authority of our own, made once per run.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate and its key, as PEM.
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: tempfile::TempDir,
    server: Identity,
}

fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "bed authority");
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let dir = tempfile::tempdir().expect("a directory");
        let server = issue(&issuer, &["localhost"], &["127.0.0.1"], &[]);
        let write = |name: &str, text: &str| {
            std::fs::write(dir.path().join(name), text).expect("a file");
        };
        write("ca.crt", &issuer.pem());
        write("tls.crt", &server.certificate);
        write("tls.key", &server.key);
        Authority {
            issuer,
            dir,
            server,
        }
    })
}

fn issue(
    issuer: &CertifiedIssuer<'static, KeyPair>,
    names: &[&str],
    addresses: &[&str],
    uris: &[&str],
) -> Identity {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("parameters");
    for address in addresses {
        params
            .subject_alt_names
            .push(SanType::IpAddress(address.parse().expect("an address")));
    }
    for uri in uris {
        params
            .subject_alt_names
            .push(SanType::URI((*uri).try_into().expect("a URI")));
    }
    sign(issuer, params)
}

fn sign(issuer: &CertifiedIssuer<'static, KeyPair>, mut params: CertificateParams) -> Identity {
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, issuer).expect("a certificate");
    super::secrets::learn_key("a TLS key", &key.serialize_pem());
    Identity {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    }
}

/// A certificate of our authority for these names and URIs.
pub fn identity(names: &[&str], uris: &[&str]) -> Identity {
    issue(&authority().issuer, names, &[], uris)
}

/// A certificate of our authority for `localhost` that ended in 2020.
pub fn expired() -> Identity {
    let mut params = CertificateParams::new(["localhost".to_owned()]).expect("parameters");
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    sign(&authority().issuer, params)
}

/// A certificate of our authority for `localhost` that is good between two days.
pub fn between(from: (i32, u8, u8), to: (i32, u8, u8)) -> Identity {
    let mut params = CertificateParams::new(["localhost".to_owned()]).expect("parameters");
    params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
    params.not_after = rcgen::date_time_ymd(to.0, to.1, to.2);
    sign(&authority().issuer, params)
}

/// A certificate for `localhost` of an authority that nobody trusts.
pub fn stranger() -> Identity {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    Identity {
        certificate: own.cert.pem(),
        key: own.signing_key.serialize_pem(),
    }
}

/// `ca.crt`, `tls.crt` or `tls.key` on disk.
pub fn file(name: &str) -> PathBuf {
    authority().dir.path().join(name)
}

/// The directory of those files.
pub fn dir() -> &'static Path {
    authority().dir.path()
}

fn chain(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .expect("certificates")
}

/// TLS of an upstream.
pub fn server_config(alpn: &[&[u8]]) -> Arc<rustls::ServerConfig> {
    server_config_of(&authority().server, alpn)
}

/// TLS of a server that presents `server`.
pub fn server_config_of(server: &Identity, alpn: &[&[u8]]) -> Arc<rustls::ServerConfig> {
    let key = PrivateKeyDer::from_pem_slice(server.key.as_bytes()).expect("a key");
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain(&server.certificate), key)
        .expect("a server configuration");
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

/// TLS of a client that trusts our authority, presenting `client` if given.
pub fn client_config(alpn: &[&[u8]], client: Option<&Identity>) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in chain(&authority().issuer.pem()) {
        roots.add(certificate).expect("a root");
    }
    let builder = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let mut config = match client {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("a key");
            builder
                .with_client_auth_cert(chain(&identity.certificate), key)
                .expect("a client certificate")
        }
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
