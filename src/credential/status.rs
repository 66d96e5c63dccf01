//! What is known about a credential, for readiness, metrics and the status page. Never the token.

use serde::Serialize;

use super::state::State;
use super::{ClientAuthentication, CredentialSettings, TokenEndpoint};
use crate::clock::Now;

/// Whether there is a token to attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialHealth {
    /// A token is held, and the last request brought it.
    Usable,
    /// A token is held that is good, but the last request failed.
    Stale,
    /// No token is held yet, and none was refused: the first request is on its way.
    Pending,
    /// No token is held: requests get 503.
    Unavailable,
}

/// The state of one credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CredentialStatus {
    /// Its configured name.
    pub credential: String,
    /// `discover`, `url` or `pair`.
    pub source: &'static str,
    /// The issuer or the token endpoint, without its query.
    pub location: Option<String>,
    /// The client's id, where it has one.
    pub client_id: Option<String>,
    /// How the client authenticates.
    pub authentication: &'static str,
    /// Whether there is a token to attach.
    pub health: CredentialHealth,
    /// When the held token ends, in seconds since the epoch.
    pub expires_at: Option<i64>,
    /// Seconds until then.
    pub expires_in_seconds: Option<u64>,
    /// Seconds until the next token request.
    pub next_request_seconds: u64,
    /// When the last token came, in seconds since the epoch.
    pub last_success_at: Option<i64>,
    /// Token requests that brought a token.
    pub requests_obtained: u64,
    /// Token requests that the authorization server refused with an OAuth error.
    pub requests_refused: u64,
    /// Token requests whose answer was no token.
    pub requests_malformed: u64,
    /// Token requests that were not answered.
    pub requests_unreachable: u64,
    /// Token requests that could not be made.
    pub requests_internal: u64,
    /// Token requests that refused tokens asked for; contained in the counts above.
    pub requests_forced: u64,
    /// Token requests that failed since the last success.
    pub consecutive_failures: u32,
    /// Why the last one failed; nothing after a success.
    pub last_error: Option<String>,
    /// The OAuth error of the last one, if it was one.
    pub last_oauth_error: Option<&'static str>,
}

impl CredentialStatus {
    pub(super) fn of(settings: &CredentialSettings, state: &State, now: Now) -> Self {
        let end = state
            .held
            .map(|held| held.end())
            .filter(|end| !end.is_past(now));
        let (source, location) = settings.endpoint.describe();
        let failed = state.last_error.as_ref();
        let counts = state.counts;
        Self {
            credential: settings.name.to_string(),
            source,
            location,
            client_id: settings.client_id.clone(),
            authentication: settings.authentication.name(),
            health: match end {
                Some(_) if state.failures > 0 => CredentialHealth::Stale,
                Some(_) => CredentialHealth::Usable,
                None if failed.is_none() && state.last_success.is_none() => {
                    CredentialHealth::Pending
                }
                None => CredentialHealth::Unavailable,
            },
            expires_at: end.map(|end| end.unix.as_secs()),
            expires_in_seconds: end.map(|end| end.tick.since(now.tick).as_secs()),
            next_request_seconds: state.next.since(now.tick).as_secs(),
            last_success_at: state.last_success.map(crate::clock::UnixTime::as_secs),
            requests_obtained: counts.obtained,
            requests_refused: counts.refused,
            requests_malformed: counts.malformed,
            requests_unreachable: counts.unreachable,
            requests_internal: counts.internal,
            requests_forced: counts.forced,
            consecutive_failures: state.failures,
            last_error: failed.map(|failed| failed.text.clone()),
            last_oauth_error: failed.and_then(|failed| failed.oauth_error),
        }
    }
}

impl TokenEndpoint {
    /// The kind of the endpoint and its place, for people.
    pub(crate) fn describe(&self) -> (&'static str, Option<String>) {
        match self {
            Self::Discover { issuer } => ("discover", crate::fetch::shown(issuer)),
            Self::Url(url) => ("url", crate::fetch::shown(url)),
            Self::Pair { resource, .. } => ("pair", crate::fetch::shown(resource)),
        }
    }
}

impl ClientAuthentication {
    /// Its name in the configuration, which is the one of RFC 7591 where it has one there.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SecretBasic(_) => "client_secret_basic",
            Self::SecretPost(_) => "client_secret_post",
            Self::PrivateKey { .. } => "private_key_jwt",
            Self::AssertionFile(_) => "client_assertion",
            Self::Certificate { .. } => "tls_client_auth",
        }
    }
}
