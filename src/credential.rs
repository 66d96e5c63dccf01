//! Access tokens for callers that cannot fetch them: obtained, kept and renewed.
//!
//! Every credential has one client, kept supplied by one task on the control thread. Workers read the token from a
//! [`CredentialCell`] without waiting; only where none is held that is good now do they wait, in
//! [`Credentials::obtain`], and never for longer than [`LONGEST_WAIT`].
//!
//! - One token request at a time per credential: its task makes them, requesters only wake it. A requester that goes
//!   away takes nothing with it.
//! - A token is never used past its end, whichever of the two clocks says so: the monotonic one stands still while a
//!   machine sleeps, the other one jumps.
//! - What refused tokens cost is bounded by time, not by traffic: one forced request per cooldown, counted from the
//!   request whatever its outcome.
//!
//! A reload first [prepares](Credentials::prepare) and then [commits](Prepared::commit): a credential that means the same
//! client and the same kind of token keeps its token, a rotated secret included.

mod answer;
mod assertion;
mod attached;
mod cell;
mod client;
mod error;
mod handle;
mod proof;
mod request;
mod state;
mod status;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::config::Secret;

pub(crate) use answer::{Granted, refusal};
pub use assertion::{AssertionError, ClientAlgorithm, ClientKey, ClientKeyError};
pub(crate) use assertion::{check as check_assertion_file, read_token as read_token_file};
pub use attached::Attached;
pub use cell::{AccessToken, CredentialCell};
pub use error::{TokenError, hint};
pub use handle::{CredentialKeeper, Credentials, Prepared};
pub(crate) use proof::{DPOP, DPOP_NONCE, nonce};
pub use proof::{ProofKey, ProofKeySettings};
pub(crate) use request::{Form, show};
pub use status::{CredentialHealth, CredentialStatus};

/// Longest that a request waits for a token.
pub const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Most requests of one worker that wait for the same token at a time.
pub const MOST_WAITERS: u32 = 4096;

/// Most bytes of an access token: as many as an inbound listener takes by default.
pub const TOKEN_BYTES: usize = 16 * 1024;

/// How long a token is used whose server did not say how long it lives. A shorter life shows as a 401 of the upstream.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// Longest time that a token is used, whatever its server said.
pub const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How a token is obtained.
#[derive(Clone, Debug)]
pub struct CredentialSettings {
    /// Its configured name.
    pub name: Arc<str>,
    /// Where.
    pub endpoint: TokenEndpoint,
    /// `client_id`, which the authorization server knows us by; an assertion may say it alone.
    pub client_id: Option<String>,
    /// How we show that we are that client.
    pub authentication: ClientAuthentication,
    /// The scopes asked for; none: the server's default.
    pub scopes: Vec<String>,
    /// `audience`, which some servers understand.
    pub audience: Option<String>,
    /// `resource` (RFC 8707).
    pub resources: Vec<String>,
    /// The key that tokens are bound to (RFC 9449); `None`: bearer tokens.
    pub dpop: Option<ProofKeySettings>,
    /// A token is replaced that long before its end, or at a share of a short lifetime.
    pub refresh_before: Duration,
    /// Limit of one attempt, discovery included.
    pub timeout: Duration,
    /// Least time between two token requests that refused tokens ask for, successful or not.
    pub cooldown: Duration,
    /// PEM CA certificates of the token endpoint; `None`: the platform's.
    pub ca: Option<Secret>,
    /// Plain http is allowed.
    pub allow_http: bool,
}

/// Where tokens come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenEndpoint {
    /// RFC 8414 or OIDC discovery, from this issuer URL.
    Discover {
        /// The issuer, as in its metadata.
        issuer: String,
    },
    /// The URL itself.
    Url(String),
    /// Where the resource itself says that its tokens come from (RFC 9728).
    Pair {
        /// The resource's identifier, an URL.
        resource: String,
        /// The issuers that may be believed.
        issuers: Vec<String>,
    },
}

/// How a client shows who it is.
#[derive(Clone, Debug)]
pub enum ClientAuthentication {
    /// A secret, as HTTP Basic (RFC 6749 section 2.3.1).
    SecretBasic(ClientSecret),
    /// A secret, in the form.
    SecretPost(ClientSecret),
    /// An assertion that we sign (RFC 7523 section 2.2).
    PrivateKey {
        /// What signs.
        key: ClientKey,
        /// The key's name at the server; none is sent when absent.
        kid: Option<String>,
        /// `aud`; the issuer where it is discovered, else the token endpoint.
        audience: Option<String>,
    },
    /// An assertion in this file (RFC 7523), such as a projected ServiceAccount token. Read at every token request.
    AssertionFile(PathBuf),
    /// A certificate (RFC 8705), PEM with its key.
    Certificate {
        /// The chain.
        certificate: Secret,
        /// Its key.
        key: Secret,
    },
}

/// A client's secret: text that is not empty, without the line end that editors add.
#[derive(Clone, Debug)]
pub struct ClientSecret(Secret);

impl ClientSecret {
    /// Takes `secret`.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn new(secret: &Secret) -> Result<Self, &'static str> {
        let bytes = secret.expose();
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err("is empty");
        }
        if std::str::from_utf8(bytes).is_err() {
            return Err("is not UTF-8 text");
        }
        if bytes.iter().any(u8::is_ascii_control) {
            return Err("has control characters or several lines in it");
        }
        let file = secret.file().map(std::path::Path::to_path_buf);
        Ok(Self(Secret::new(bytes.to_vec(), file)))
    }

    /// The secret, for a test that knows it.
    #[cfg(test)]
    pub(crate) fn expose(&self) -> &[u8] {
        self.0.expose()
    }

    fn text(&self) -> Zeroizing<String> {
        Zeroizing::new(String::from_utf8_lossy(self.0.expose()).into_owned())
    }
}

/// Asks for a token, once; for `countersign token`.
pub(crate) async fn request_once(
    settings: &CredentialSettings,
    clock: &crate::clock::Clock,
) -> Result<Granted, TokenError> {
    let key = settings.dpop.as_ref().map(ProofKeySettings::key);
    let key = key.transpose().map_err(|_| TokenError::Internal)?;
    let mut way = request::Way::default();
    way.ask(settings, key.as_ref(), clock)
        .await
        .map_err(|failure| failure.error)
}

/// Why there is no token. Becomes 503, never 401: the caller can do nothing about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialFault {
    /// The error that the authorization server gave last, if it is one that RFCs know; `other` for others. `None`: it
    /// gave none, because it did not answer or said nothing that makes sense.
    pub oauth_error: Option<&'static str>,
    /// When to come again; at least a second.
    pub retry_after: Duration,
}

impl CredentialSettings {
    /// Who the client is. Without an id only its assertion says so, and what is in another file is another's.
    fn client(&self) -> (Option<&str>, Option<&std::path::Path>) {
        let id = self.client_id.as_deref();
        match &self.authentication {
            ClientAuthentication::AssertionFile(path) if id.is_none() => (id, Some(path)),
            _ => (id, None),
        }
    }

    /// Whether a token obtained under `other` is one that these settings ask for. How it is asked for does not matter: a
    /// secret or a CA that was rotated keeps the token.
    fn same_token(&self, other: &Self) -> bool {
        self.endpoint == other.endpoint
            && self.client() == other.client()
            && self.scopes == other.scopes
            && self.audience == other.audience
            && self.resources == other.resources
            && match (&self.dpop, &other.dpop) {
                (None, None) => true,
                (Some(one), Some(other)) => one.same_key(other),
                _ => false,
            }
    }
}
