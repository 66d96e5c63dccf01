//! The certificates that we show, watched for their end.

use std::collections::BTreeSet;

use crate::certificate::{CertificateHealth, CertificateStatus, Validity};
use crate::clock::UnixTime;
use crate::config::{Config, Secret};
use crate::credential::ClientAuthentication;
use crate::review::ReviewEndpoint;

/// Tells of certificates that are near their end, each once.
#[derive(Debug, Default)]
pub(super) struct Certificates(BTreeSet<Told>);

/// A use, its name, the certificate's last second and what was told of it.
type Told = (&'static str, String, i64, bool);

impl Certificates {
    /// Looks now, and logs what has come near its end since the last look.
    pub(super) fn look(&mut self, config: &Config, now: UnixTime) {
        let mut current = BTreeSet::new();
        for status in statuses(config, now) {
            let ended = match status.health {
                CertificateHealth::Good => continue,
                CertificateHealth::Ending => false,
                CertificateHealth::Ended => true,
            };
            let told = (
                status.shown_by,
                status.name.clone(),
                status.not_after,
                ended,
            );
            if !self.0.contains(&told) {
                log(&status, ended);
            }
            current.insert(told);
        }
        self.0 = current;
    }
}

fn log(status: &CertificateStatus, ended: bool) {
    let (used, name, not_after) = (status.shown_by, &*status.name, status.end());
    if ended {
        tracing::error!(r#use = used, name, not_after, "certificate.ended");
    } else {
        tracing::warn!(r#use = used, name, not_after, "certificate.ending");
    }
}

/// Certificates that a configuration shows, towards callers and as a client. What is no certificate as far as its dates is
/// left out.
pub(super) fn statuses(config: &Config, now: UnixTime) -> Vec<CertificateStatus> {
    let mut found = Vec::new();
    let mut add = |used, name: &str, chain: &Secret| {
        let validity = Validity::of_leaf(chain.expose());
        found.extend(validity.map(|validity| CertificateStatus::new(used, name, validity, now)));
    };
    for listener in &config.listeners {
        if let Some(tls) = &listener.tls {
            add("listener", &listener.name, &tls.certificate);
        }
        if let Some((chain, _)) = &listener.upstream.client_certificate {
            add("upstream", &listener.name, chain);
        }
    }
    for (issuer, verifier) in &config.issuers {
        let asked = verifier.review().map(|review| &review.endpoint);
        if let Some(ReviewEndpoint::Introspection { authentication, .. }) = asked
            && let Some((chain, _)) = authentication.certificate()
        {
            add("issuer", &issuer.name, chain);
        }
    }
    for credential in &config.credentials {
        if let ClientAuthentication::Certificate { certificate, .. } = &credential.authentication {
            add("credential", &credential.name, certificate);
        }
    }
    found
}
