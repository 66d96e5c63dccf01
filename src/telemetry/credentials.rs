//! Metrics of credentials, read from their status.

use std::sync::Arc;

use super::{Kind, Metrics, Sampled};
use crate::credential::{CredentialHealth, CredentialStatus};

/// Where the status of all credentials comes from.
pub type CredentialStatuses = Arc<dyn Fn() -> Vec<CredentialStatus> + Send + Sync>;

impl Metrics {
    /// Adds the metrics of credentials.
    ///
    /// # Errors
    /// They were added before.
    pub fn observe_credentials(&self, status: &CredentialStatuses) -> prometheus::Result<()> {
        self.credentials(
            status,
            "countersign_credential_usable",
            "1 while an access token is held that may be sent.",
            |credential| {
                let held = matches!(
                    credential.health,
                    CredentialHealth::Usable | CredentialHealth::Stale
                );
                Some(if held { 1.0 } else { 0.0 })
            },
        )?;
        self.credentials(
            status,
            "countersign_credential_expiry_timestamp_seconds",
            "When the access token that is held ends, in seconds since the epoch.",
            |credential| credential.expires_at.map(float),
        )?;
        self.credentials(
            status,
            "countersign_credential_last_success_timestamp_seconds",
            "When the last access token came, in seconds since the epoch.",
            |credential| credential.last_success_at.map(float),
        )?;
        let read = Arc::clone(status);
        self.observe(
            "countersign_credential_requests_total",
            "Token requests, by outcome.",
            &["credential", "outcome"],
            Kind::Counter,
            move || read().iter().flat_map(outcomes).collect(),
        )
    }

    fn credentials(
        &self,
        status: &CredentialStatuses,
        name: &str,
        help: &str,
        value: fn(&CredentialStatus) -> Option<f64>,
    ) -> prometheus::Result<()> {
        let read = Arc::clone(status);
        self.observe(name, help, &["credential"], Kind::Gauge, move || {
            read()
                .into_iter()
                .filter_map(|credential| {
                    let value = value(&credential)?;
                    Some::<Sampled>((vec![credential.credential], value))
                })
                .collect()
        })
    }
}

fn outcomes(credential: &CredentialStatus) -> [Sampled; 5] {
    [
        ("obtained", credential.requests_obtained),
        ("refused", credential.requests_refused),
        ("malformed", credential.requests_malformed),
        ("unreachable", credential.requests_unreachable),
        ("internal", credential.requests_internal),
    ]
    .map(|(outcome, count)| {
        let labels = vec![credential.credential.clone(), outcome.to_owned()];
        (labels, float(i64::try_from(count).unwrap_or(i64::MAX)))
    })
}

fn float(value: i64) -> f64 {
    f64::from(u32::try_from(value).unwrap_or(if value < 0 { 0 } else { u32::MAX }))
}
