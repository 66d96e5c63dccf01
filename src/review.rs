//! Verdicts that are asked for: Kubernetes' TokenReview, and token introspection (RFC 7662).
//!
//! The second verifier of tokens beside keys ([`crate::jwks`]), for issuers whose tokens say nothing, or whose revocations must
//! be seen before a token ends. [`crate::authn`] says which token has to be asked about, [`Reviews::ask`] asks, and hands the
//! answer back; what the answer is worth is decided there.
//!
//! - One question at a time per token: requests with the same token share it, whichever worker they are on. A requester that
//!   goes away takes nothing with it.
//! - What unknown tokens cost is bounded by number: [`IN_FLIGHT`] questions per issuer, and 503 above that.
//! - An answer counts for `max_cache` from when it was asked for, a refusal for [`NEGATIVE`], a failure for [`PAUSE`]. Nothing
//!   counts longer because the endpoint is down: who cannot ask cannot judge.
//! - Answers are found by a keyed hash of the token; the token itself is not kept.
//!
//! A reload first [prepares](Reviews::prepare) and then [commits](Prepared::commit): answers stay where whom we ask, and what,
//! has not changed.

mod ask;
mod endpoint;
mod error;
mod handle;
mod memory;
mod status;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use crate::authn::{ReviewKind, Reviewer};
use crate::config::Secret;
use crate::credential::ClientAuthentication;

pub use error::ReviewError;
pub use handle::{Prepared, ReviewKeeper, Reviews};
pub use status::{ReviewHealth, ReviewStatus};

/// Most questions about tokens of one issuer at a time. With answers of 256 KiB at most they take 16 MiB.
pub const IN_FLIGHT: usize = 64;

/// Most requests of one worker that wait for answers about tokens of one issuer at a time.
pub const MOST_WAITERS: u32 = 4096;

/// How long a token that does not hold is refused without asking again.
pub const NEGATIVE: Duration = Duration::from_secs(5);

/// How long after a failure nothing is asked about the same token again.
pub const PAUSE: Duration = Duration::from_secs(1);

/// Where a pod finds its own token, and the certificates of its cluster's API server.
pub(crate) const OWN_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
pub(crate) const CLUSTER_CA: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";

/// Who is asked about an issuer's tokens, and how.
#[derive(Clone, Debug)]
pub struct ReviewSettings {
    /// Who.
    pub endpoint: ReviewEndpoint,
    /// For how long an answer counts, from when it was asked for.
    pub max_cache: Duration,
    /// Limit of one question, discovery included.
    pub timeout: Duration,
    /// The certificates that the endpoint's is checked with.
    pub roots: Roots,
}

/// Who is asked.
#[derive(Clone, Debug)]
pub enum ReviewEndpoint {
    /// The API server of a cluster.
    TokenReview {
        /// Its URL, without a path.
        server: String,
        /// The file with our own token. Read for every question: the platform replaces it every hour.
        token: PathBuf,
        /// The audiences that a token must be made for.
        audiences: Vec<String>,
    },
    /// An authorization server.
    Introspection {
        /// Where.
        endpoint: IntrospectionEndpoint,
        /// The issuer, which assertions of ours are made for.
        issuer: String,
        /// `client_id`, which the server knows us by; an assertion may say it alone.
        client_id: Option<String>,
        /// How we show that we are that client.
        authentication: ClientAuthentication,
        /// Whether it is asked about tokens that are no JWTs.
        opaque: bool,
    },
}

/// Where tokens are introspected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntrospectionEndpoint {
    /// Where the issuer's metadata says (RFC 8414, OIDC discovery).
    Discover,
    /// At this URL.
    Url(String),
}

/// Certificates that an endpoint's is checked with.
#[derive(Clone, Debug)]
pub enum Roots {
    /// The platform's.
    Platform,
    /// These, in PEM.
    Pinned(Secret),
    /// Those in a file, read when a connection is prepared.
    File(PathBuf),
}

impl Roots {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Platform, Self::Platform) => true,
            (Self::Pinned(one), Self::Pinned(other)) => one.expose() == other.expose(),
            (Self::File(one), Self::File(other)) => one == other,
            _ => false,
        }
    }
}

impl ReviewSettings {
    /// What judging needs to know of it.
    #[must_use]
    pub fn reviewer(&self) -> Reviewer {
        let (kind, opaque) = match self.endpoint {
            ReviewEndpoint::TokenReview { .. } => (ReviewKind::TokenReview, false),
            ReviewEndpoint::Introspection { opaque, .. } => (ReviewKind::Introspection, opaque),
        };
        Reviewer {
            kind,
            max_cache: self.max_cache,
            opaque,
        }
    }

    /// Whether answers that came under `other` may be believed under these settings: the same question to the same endpoint.
    /// How we show who we are may change.
    pub(crate) fn same_reviewer(&self, other: &Self) -> bool {
        self.reviewer() == other.reviewer()
            && self.roots.is(&other.roots)
            && self.endpoint.is(&other.endpoint)
    }
}

impl ReviewEndpoint {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::TokenReview {
                    server, audiences, ..
                },
                Self::TokenReview {
                    server: other_server,
                    audiences: other_audiences,
                    ..
                },
            ) => server == other_server && audiences == other_audiences,
            (
                Self::Introspection {
                    endpoint,
                    issuer,
                    client_id,
                    ..
                },
                Self::Introspection {
                    endpoint: other_endpoint,
                    issuer: other_issuer,
                    client_id: other_client,
                    ..
                },
            ) => (endpoint, issuer, client_id) == (other_endpoint, other_issuer, other_client),
            _ => false,
        }
    }

    /// The kind of the question and the place it goes to, for people.
    pub(crate) fn describe(&self) -> (&'static str, Option<String>) {
        match self {
            Self::TokenReview { server, .. } => ("token_review", crate::fetch::shown(server)),
            Self::Introspection {
                endpoint, issuer, ..
            } => (
                "introspection",
                match endpoint {
                    IntrospectionEndpoint::Discover => crate::fetch::shown(issuer),
                    IntrospectionEndpoint::Url(url) => crate::fetch::shown(url),
                },
            ),
        }
    }
}

/// What came of asking.
#[derive(Clone, Debug)]
pub enum Asked {
    /// There is an answer.
    Answered(crate::authn::Reviewed),
    /// There is none: the endpoint does not answer, or too much is being asked.
    Unavailable {
        /// When to come again; at least a second.
        retry_after: Duration,
    },
}
