//! What is known about an issuer's keys, for readiness, metrics and the status page.

use serde::Serialize;

use super::KeySourceSettings;
use super::state::State;
use crate::clock::Tick;

/// Whether an issuer's tokens can be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyHealth {
    /// Keys are held and the last attempt brought them.
    Usable,
    /// Keys are held and serve, but the last attempt failed, or they come from the copy on disk.
    Stale,
    /// No keys are held: tokens of this issuer get 503.
    Unavailable,
}

/// The state of one issuer's keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IssuerKeyStatus {
    /// The issuer's configured name.
    pub issuer: String,
    /// `discover`, `url`, `file` or `inline`.
    pub source: &'static str,
    /// The URL or the path; nothing for inline keys.
    pub location: Option<String>,
    /// Whether the issuer's tokens can be judged.
    pub health: KeyHealth,
    /// Ids of the usable keys held.
    pub kids: Vec<String>,
    /// Keys of the last good document that cannot be used.
    pub skipped: usize,
    /// Whether what is held was read from the copy on disk.
    pub from_disk: bool,
    /// When the held keys were last confirmed by their source, in seconds since the epoch.
    pub fetched_at: Option<i64>,
    /// Seconds since then (monotonic).
    pub age_seconds: Option<u64>,
    /// Seconds until the held keys stop serving if no refresh succeeds.
    pub expires_in_seconds: Option<u64>,
    /// Seconds until the next scheduled attempt; nothing for inline keys.
    pub next_refresh_seconds: Option<u64>,
    /// Attempts that brought a usable document.
    pub fetches_ok: u64,
    /// Attempts that did not.
    pub fetches_failed: u64,
    /// Attempts that unknown key ids asked for; contained in the two counts above.
    pub fetches_forced: u64,
    /// Attempts that failed since the last success.
    pub consecutive_failures: u32,
    /// Why the last attempt failed; nothing after a success.
    pub last_error: Option<String>,
}

impl IssuerKeyStatus {
    pub(super) fn of(name: &str, settings: &KeySourceSettings, state: &State, now: Tick) -> Self {
        let held = state.held.as_ref();
        let (source, location) = settings.source.describe();
        Self {
            issuer: name.to_owned(),
            source,
            location,
            health: match held {
                None => KeyHealth::Unavailable,
                Some(held) if held.from_disk || state.failures > 0 => KeyHealth::Stale,
                Some(_) => KeyHealth::Usable,
            },
            kids: held.map_or_else(Vec::new, |held| {
                held.kids.iter().map(ToString::to_string).collect()
            }),
            skipped: held.map_or(0, |held| held.skipped),
            from_disk: held.is_some_and(|held| held.from_disk),
            fetched_at: held.map(|held| held.fetched_at.as_secs()),
            age_seconds: held.map(|held| {
                let here = now.since(held.since);
                here.saturating_add(held.age_before).as_secs()
            }),
            expires_in_seconds: held
                .and_then(|held| held.until)
                .map(|until| until.since(now).as_secs()),
            next_refresh_seconds: state.next.map(|next| next.since(now).as_secs()),
            fetches_ok: state.fetches_ok,
            fetches_failed: state.fetches_failed,
            fetches_forced: state.fetches_forced,
            consecutive_failures: state.failures,
            last_error: state.last_error.clone(),
        }
    }
}
