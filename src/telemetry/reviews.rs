//! Metrics of reviews, read from their status.

use std::sync::Arc;

use super::{Kind, Metrics, Sampled};
use crate::review::ReviewStatus;

/// Where the status of all reviewers comes from.
pub type ReviewStatuses = Arc<dyn Fn() -> Vec<ReviewStatus> + Send + Sync>;

impl Metrics {
    /// Adds the metrics of reviews.
    ///
    /// # Errors
    /// They were added before.
    pub fn observe_reviews(&self, status: &ReviewStatuses) -> prometheus::Result<()> {
        let read = Arc::clone(status);
        self.observe(
            "countersign_reviews_total",
            "Questions about tokens of an issuer, by what came of them.",
            &["issuer", "outcome"],
            Kind::Counter,
            move || read().iter().flat_map(outcomes).collect(),
        )?;
        let read = Arc::clone(status);
        self.observe(
            "countersign_reviews_in_flight",
            "Questions about tokens of an issuer that are under way.",
            &["issuer"],
            Kind::Gauge,
            move || {
                let value = |review: ReviewStatus| {
                    let in_flight = u64::try_from(review.in_flight).unwrap_or(u64::MAX);
                    (vec![review.issuer], float(in_flight))
                };
                read().into_iter().map(value).collect()
            },
        )?;
        let read = Arc::clone(status);
        self.observe(
            "countersign_review_last_success_timestamp_seconds",
            "When the last answer about a token of an issuer came, in seconds since the epoch.",
            &["issuer"],
            Kind::Gauge,
            move || {
                let value = |review: ReviewStatus| {
                    let at = u64::try_from(review.last_success_at?).unwrap_or_default();
                    Some((vec![review.issuer], float(at)))
                };
                read().into_iter().filter_map(value).collect()
            },
        )
    }
}

fn outcomes(review: &ReviewStatus) -> [Sampled; 7] {
    [
        ("active", review.reviews_active),
        ("inactive", review.reviews_inactive),
        ("unreachable", review.reviews_unreachable),
        ("credentials", review.reviews_credentials),
        ("malformed", review.reviews_malformed),
        ("internal", review.reviews_internal),
        ("shed", review.reviews_shed),
    ]
    .map(|(outcome, count)| {
        let labels = vec![review.issuer.clone(), outcome.to_owned()];
        (labels, float(count))
    })
}

fn float(value: u64) -> f64 {
    f64::from(u32::try_from(value).unwrap_or(u32::MAX))
}
