//! Metrics of issuers' keys, read from their status.

use std::sync::Arc;

use super::{Kind, Metrics, Sampled};
use crate::jwks::{IssuerKeyStatus, KeyHealth};

/// Where the status of all issuers comes from.
pub type KeyStatus = Arc<dyn Fn() -> Vec<IssuerKeyStatus> + Send + Sync>;

impl Metrics {
    /// Adds the metrics of issuers' keys.
    ///
    /// # Errors
    /// They were added before.
    pub fn observe_keys(&self, status: &KeyStatus) -> prometheus::Result<()> {
        self.keys(
            status,
            "countersign_key_set_age_seconds",
            "Time since an issuer's keys were last confirmed by their source.",
            |issuer| issuer.age_seconds.map(float),
        )?;
        self.keys(
            status,
            "countersign_key_set_remaining_seconds",
            "Time until an issuer's keys stop serving if no refresh succeeds.",
            |issuer| issuer.expires_in_seconds.map(float),
        )?;
        self.keys(
            status,
            "countersign_issuer_usable_keys",
            "Keys of an issuer that can verify tokens; none when its tokens get 503.",
            |issuer| {
                let held = issuer.health != KeyHealth::Unavailable;
                Some(
                    u32::try_from(issuer.kids.len())
                        .map_or(0.0, |keys| if held { f64::from(keys) } else { 0.0 }),
                )
            },
        )?;
        let read = Arc::clone(status);
        self.observe(
            "countersign_key_fetches_total",
            "Attempts to obtain an issuer's keys, by outcome.",
            &["issuer", "outcome"],
            Kind::Counter,
            move || {
                read()
                    .into_iter()
                    .flat_map(|issuer| {
                        [("ok", issuer.fetches_ok), ("failed", issuer.fetches_failed)].map(
                            |(outcome, count)| {
                                (
                                    vec![issuer.issuer.clone(), outcome.to_owned()],
                                    float(count),
                                )
                            },
                        )
                    })
                    .collect()
            },
        )
    }

    fn keys(
        &self,
        status: &KeyStatus,
        name: &str,
        help: &str,
        value: fn(&IssuerKeyStatus) -> Option<f64>,
    ) -> prometheus::Result<()> {
        let read = Arc::clone(status);
        self.observe(name, help, &["issuer"], Kind::Gauge, move || {
            read()
                .into_iter()
                .filter_map(|issuer| {
                    let value = value(&issuer)?;
                    Some::<Sampled>((vec![issuer.issuer], value))
                })
                .collect()
        })
    }
}

fn float(value: u64) -> f64 {
    f64::from(u32::try_from(value).unwrap_or(u32::MAX))
}
