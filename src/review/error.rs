//! Why a question about a token has no answer.

use crate::authn::ReviewFault;
use crate::credential::TokenError;
use crate::fetch::FetchError;

/// Why a question has no answer. Its words hold nothing of the token, nor of what we show.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReviewError {
    /// The endpoint, or the issuer that names it, could not be asked.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The endpoint does not take our own credentials.
    #[error("our own credentials are refused: status {status}{}", named(*error))]
    Credentials {
        /// The status.
        status: u16,
        /// The OAuth error, where there was one.
        error: Option<&'static str>,
    },
    /// Another status than the one of an answer.
    #[error("status {0}")]
    Status(u16),
    /// The answer is none.
    #[error("no answer: {0}")]
    Answer(#[from] ReviewFault),
    /// Our own token cannot be read.
    #[error("our own token: {0}")]
    OwnToken(String),
    /// The CA certificates cannot be read.
    #[error("ca: {0}")]
    Ca(String),
    /// What shows who we are could not be made.
    #[error(transparent)]
    Authentication(#[from] TokenError),
    /// Nobody wants to know any more, or the task that asked has panicked.
    #[error("given up")]
    GivenUp,
    /// A bug.
    #[error("internal error")]
    Internal,
}

fn named(error: Option<&str>) -> String {
    error.map_or_else(String::new, |error| format!(", {error}"))
}

/// What kind of failure it is, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Unreachable,
    Credentials,
    Malformed,
    Internal,
}

impl ReviewError {
    pub(super) const fn kind(&self) -> Failure {
        match self {
            Self::Fetch(_) | Self::Status(_) => Failure::Unreachable,
            Self::Credentials { .. } | Self::OwnToken(_) => Failure::Credentials,
            Self::Answer(_) => Failure::Malformed,
            Self::Ca(_) | Self::Authentication(_) | Self::GivenUp | Self::Internal => {
                Failure::Internal
            }
        }
    }

    /// What most often is behind it, for the operator.
    pub(super) const fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Credentials { status: 403, .. } => {
                "the endpoint knows us and does not let us ask; in Kubernetes, bind our ServiceAccount to the ClusterRole system:auth-delegator"
            }
            Self::Credentials { .. } => {
                "the endpoint does not know us: the client's id, secret or key, or in Kubernetes the file with our own token"
            }
            Self::OwnToken(_) => "mount the pod's own token, or name another file in `token`",
            _ => return None,
        })
    }
}
