//! Certificates and keys: read and tried at load, so that a bad one is found before a handshake finds it.

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Scope;
use crate::config::Code;
use crate::config::Secret;
use crate::config::problem::Place;
use crate::config::schema::TLS;
use crate::config::view::View;
use crate::listener::TlsSettings;

/// `tls` of a listener.
pub(super) fn downstream(listener: &View<'_>, scope: &mut Scope<'_>) -> Option<TlsSettings> {
    let view = listener.sub_if("tls", &TLS)?;
    let pair = pair(&view, scope);
    let client_ca = ca(&view, "client_ca", scope);
    if view.has("client_certificate") && !view.has("client_ca") {
        scope.report.error_try(
            view.place("client_certificate"),
            "`client_certificate` needs `client_ca`",
            "without one no certificate is asked for",
        );
    }
    let (certificate, key) = pair?;
    Some(TlsSettings {
        certificate,
        key,
        client_certificate_required: view.text("client_certificate") == Some("required"),
        client_ca,
    })
}

/// `certificate` and `key`, which must belong together.
pub(super) fn pair(view: &View<'_>, scope: &mut Scope<'_>) -> Option<(Secret, Secret)> {
    match (view.has("certificate"), view.has("key")) {
        (true, false) => scope.report.find(
            Code::MissingKey,
            view.place("certificate"),
            "`certificate` needs its `key`",
        ),
        (false, true) => scope.report.find(
            Code::MissingKey,
            view.place("key"),
            "`key` needs its `certificate`",
        ),
        (true, true) | (false, false) => {}
    }
    let certificate = view.file("certificate").and_then(|(path, at)| {
        let file = scope.files.bytes(path, at, scope.report)?;
        certificates(&file, at, scope).map(|chain| (file, chain))
    });
    let key = view.file("key").and_then(|(path, at)| {
        let file = scope.files.secret(path, at, scope.report)?;
        private_key(&file, at, scope).map(|key| (file, key, at))
    });
    let ((certificate, chain), (secret, key, at)) = (certificate?, key?);
    match rustls::sign::CertifiedKey::from_der(chain, key, &default_provider()) {
        Ok(_) => Some((certificate, secret)),
        Err(error) => {
            scope.report.find(
                Code::File,
                at,
                format!("certificate and key do not go together: {error}"),
            );
            None
        }
    }
}

/// CA certificates.
pub(super) fn ca(view: &View<'_>, key: &str, scope: &mut Scope<'_>) -> Option<Secret> {
    let (path, at) = view.file(key)?;
    let file = scope.files.bytes(path, at, scope.report)?;
    let mut store = RootCertStore::empty();
    for certificate in certificates(&file, at, scope)? {
        if let Err(error) = store.add(certificate) {
            scope
                .report
                .find(Code::File, at, format!("{}: {error}", shown(&file)));
            return None;
        }
    }
    Some(file)
}

fn certificates(
    file: &Secret,
    at: &Place,
    scope: &mut Scope<'_>,
) -> Option<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(file.expose()).collect();
    let message = match found {
        Ok(chain) if !chain.is_empty() => return Some(chain),
        Ok(_) => "has no certificate in PEM in it",
        Err(_) => "is not valid PEM",
    };
    scope
        .report
        .find(Code::File, at, format!("{}: {message}", shown(file)));
    None
}

fn private_key(file: &Secret, at: &Place, scope: &mut Scope<'_>) -> Option<PrivateKeyDer<'static>> {
    let key = PrivateKeyDer::from_pem_slice(file.expose()).ok();
    if key.is_none() {
        scope.report.find_try(
            Code::File,
            at,
            format!("{}: has no private key in PEM in it", shown(file)),
            "an encrypted key must be decrypted first",
        );
    }
    key
}

fn shown(file: &Secret) -> String {
    file.file()
        .map(|path| path.display().to_string())
        .unwrap_or_default()
}
