//! What is known about an endpoint, for readiness, metrics and the status page.

use serde::Serialize;

use super::ReviewSettings;
use super::endpoint::State;

/// Whether tokens of the issuer can be judged, as far as the last question told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewHealth {
    /// Nothing was asked yet.
    Untried,
    /// The last question was answered.
    Usable,
    /// It was not: tokens that nothing is known of get 503.
    Failing,
}

/// How often what came of questions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) active: u64,
    pub(super) inactive: u64,
    pub(super) unreachable: u64,
    pub(super) credentials: u64,
    pub(super) malformed: u64,
    pub(super) internal: u64,
    pub(super) shed: u64,
}

/// The state of one issuer's reviews.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReviewStatus {
    /// The issuer's configured name.
    pub issuer: String,
    /// `token_review` or `introspection`.
    pub kind: &'static str,
    /// The API server, the endpoint, or the issuer that names it.
    pub location: Option<String>,
    /// Whether tokens can be judged.
    pub health: ReviewHealth,
    /// Questions under way.
    pub in_flight: usize,
    /// Tokens that something is remembered of.
    pub remembered: usize,
    /// When the last answer came, in seconds since the epoch.
    pub last_success_at: Option<i64>,
    /// Answers that a token holds.
    pub reviews_active: u64,
    /// Answers that it does not.
    pub reviews_inactive: u64,
    /// Questions that were not answered, or by a status that is none of an answer.
    pub reviews_unreachable: u64,
    /// Questions that our own credentials were too little for.
    pub reviews_credentials: u64,
    /// Answers that could not be understood.
    pub reviews_malformed: u64,
    /// Questions that could not be made.
    pub reviews_internal: u64,
    /// Requests that got 503 because too many questions were under way.
    pub reviews_shed: u64,
    /// Questions that failed since the last answer.
    pub consecutive_failures: u32,
    /// Why the last one failed; nothing after an answer.
    pub last_error: Option<String>,
}

impl ReviewStatus {
    pub(super) fn of(
        name: &str,
        settings: &ReviewSettings,
        state: &State,
        remembered: usize,
    ) -> Self {
        let (kind, location) = settings.endpoint.describe();
        let counts = state.counts;
        Self {
            issuer: name.to_owned(),
            kind,
            location,
            health: match (state.failures, state.last_success) {
                (0, None) => ReviewHealth::Untried,
                (0, Some(_)) => ReviewHealth::Usable,
                _ => ReviewHealth::Failing,
            },
            in_flight: state.in_flight,
            remembered,
            last_success_at: state.last_success.map(crate::clock::UnixTime::as_secs),
            reviews_active: counts.active,
            reviews_inactive: counts.inactive,
            reviews_unreachable: counts.unreachable,
            reviews_credentials: counts.credentials,
            reviews_malformed: counts.malformed,
            reviews_internal: counts.internal,
            reviews_shed: counts.shed,
            consecutive_failures: state.failures,
            last_error: state.last_error.clone(),
        }
    }
}
