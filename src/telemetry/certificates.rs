//! Metrics of the certificates that we show, read from their status.

use std::sync::Arc;

use super::metrics::seconds;
use super::{Kind, Metrics};
use crate::certificate::CertificateStatus;

/// Where the status of all certificates comes from.
pub type CertificateStatuses = Arc<dyn Fn() -> Vec<CertificateStatus> + Send + Sync>;

impl Metrics {
    /// Adds the metrics of certificates.
    ///
    /// # Errors
    /// They were added before.
    pub fn observe_certificates(&self, status: &CertificateStatuses) -> prometheus::Result<()> {
        self.certificates(
            status,
            "countersign_certificate_expiry_timestamp_seconds",
            "When a certificate that we show ends, in seconds since the epoch.",
            |certificate| certificate.not_after,
        )?;
        self.certificates(
            status,
            "countersign_certificate_start_timestamp_seconds",
            "From when a certificate that we show is good, in seconds since the epoch.",
            |certificate| certificate.not_before,
        )
    }

    fn certificates(
        &self,
        status: &CertificateStatuses,
        name: &str,
        help: &str,
        date: fn(&CertificateStatus) -> i64,
    ) -> prometheus::Result<()> {
        let read = Arc::clone(status);
        self.observe(name, help, &["use", "name"], Kind::Gauge, move || {
            let sample = |certificate: CertificateStatus| {
                let date = seconds(date(&certificate));
                (
                    vec![certificate.shown_by.to_owned(), certificate.name],
                    date,
                )
            };
            read().into_iter().map(sample).collect()
        })
    }
}
