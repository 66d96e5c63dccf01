//! Why a token request brought no token.

use std::time::Duration;

use super::assertion::AssertionError;
use crate::fetch::FetchError;

/// Why an attempt to obtain a token failed. Its words hold nothing secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The token endpoint, or the issuer that names it, could not be asked.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The authorization server said no (RFC 6749 section 5.2).
    #[error("{error} (status {status}){}", described(description.as_deref()))]
    Refused {
        /// Which of the errors that we know; `other` for others.
        error: &'static str,
        /// The status that came with it.
        status: u16,
        /// What it said for people, cleaned; nothing where it may have held a secret.
        description: Option<String>,
    },
    /// Another status than 200, without an OAuth error.
    #[error("status {0} without an OAuth error")]
    Status(u16),
    /// 200 with something that is no token answer.
    #[error("no token answer: {0}")]
    Answer(&'static str),
    /// What shows who we are could not be made.
    #[error(transparent)]
    Assertion(#[from] AssertionError),
    /// A bug.
    #[error("internal error")]
    Internal,
}

fn described(description: Option<&str>) -> String {
    description.map_or_else(String::new, |text| format!(": {text}"))
}

impl TokenError {
    /// The error that the server gave.
    pub(crate) const fn oauth_error(&self) -> Option<&'static str> {
        match self {
            Self::Refused { error, .. } => Some(*error),
            _ => None,
        }
    }
}

/// An attempt that failed, and when the server wants to be asked again.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: TokenError,
    pub(crate) retry_after: Option<Duration>,
}

impl<E: Into<TokenError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            error: error.into(),
            retry_after: None,
        }
    }
}

/// The errors of token endpoints that RFCs name. A server's own word becomes `other`: what callers are told is ours.
const KNOWN: [&str; 13] = [
    // RFC 6749 section 5.2
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    // RFC 6749 section 4.1.2.1, which servers send from here as well
    "access_denied",
    "server_error",
    "temporarily_unavailable",
    // RFC 8707 section 2
    "invalid_target",
    // RFC 9449 sections 5 and 8
    "invalid_dpop_proof",
    "use_dpop_nonce",
    // RFC 9396 section 5
    "invalid_authorization_details",
];

/// The known error that `word` is.
pub(crate) fn known_error(word: &str) -> &'static str {
    KNOWN
        .into_iter()
        .find(|known| *known == word)
        .unwrap_or("other")
}

/// What most often is behind an error, for the operator who registers a client.
#[must_use]
pub fn hint(error: &str) -> Option<&'static str> {
    Some(match error {
        "invalid_client" => {
            "the client id, the way of authenticating, or the secret or key is not what the server has registered"
        }
        "unauthorized_client" => {
            "the server does not let this client use client_credentials: enable it (Keycloak: `Service accounts roles`); Keycloak says the same of a wrong secret"
        }
        "invalid_scope" => {
            "one of `scopes` is unknown to the server, or not assigned to this client"
        }
        "invalid_target" => {
            "`resource` is unknown to the server, or not allowed for this client (RFC 8707)"
        }
        "unsupported_grant_type" => "the server does not offer client_credentials here",
        "invalid_grant" => {
            "the assertion was not accepted: its issuer, subject, audience or lifetime is not what the server expects; some servers say it where they miss a DPoP proof: see `dpop`"
        }
        "invalid_request" => {
            "the server misses a parameter, or got one that it does not take: see `audience`, `resource`, and the way of authenticating; Keycloak says it where it misses a DPoP proof, too: see `dpop`"
        }
        "use_dpop_nonce" | "invalid_dpop_proof" => "the server wants DPoP for this client",
        "server_error" | "temporarily_unavailable" => "the server is in trouble: try again",
        _ => return None,
    })
}
