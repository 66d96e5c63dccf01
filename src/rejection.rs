//! Typed refusals: one closed enum, and everything that is known about each of them in one place.
//!
//! A new refusal is one variant and one arm in each `match` below; the compiler finds them. Two words describe it:
//! [`Rejection::problem_type`] is for callers and coarse, so that they learn nothing that helps to guess; and
//! [`Rejection::reason`] is for the decision record and metrics, fine and unique.

mod all;
mod faults;

use std::fmt;
use std::time::Duration;

use http::StatusCode;

pub use all::{all, reasons};

use crate::credential::CredentialFault;
use crate::proxy::AnswerKind;

/// Why a request does not pass. Only this type knows the status, the challenge, the problem type and the reason word.
///
/// `Display` is the text for the decision record; callers see [`Rejection::message`] alone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// The message is not HTTP as a proxy must demand it (RFC 9112), or says two things at once.
    Malformed(Malformed),
    /// The path can be read in two ways.
    AmbiguousPath(PathFault),
    /// No route matches.
    NoRoute,
    /// A more specific route would match if case were folded or a trailing slash dropped.
    NearMiss,
    /// The route does not list the method.
    MethodNotAllowed {
        /// The value of `Allow` (RFC 9110 section 10.2.1).
        allow: Box<str>,
    },
    /// No credential where one is needed (RFC 6750 section 3: no error code).
    NoToken,
    /// A credential that does not hold. Callers cannot tell these apart.
    InvalidToken(TokenFault),
    /// The proof has no nonce of ours, or an old one (RFC 9449 section 9).
    UseNonce {
        /// One that is good now.
        nonce: Box<str>,
    },
    /// We are the ones who cannot judge: so many proofs are remembered that there is no room for another.
    TooManyProofs {
        /// When to come again.
        retry_after: Duration,
    },
    /// We are the ones who cannot judge: keys are not obtainable.
    KeysUnavailable {
        /// When to come again.
        retry_after: Duration,
    },
    /// We are the ones who cannot judge: whoever judges the issuer's tokens could not be asked, or gave no answer.
    ReviewUnavailable {
        /// When to come again.
        retry_after: Duration,
    },
    /// The principal is known, policy refuses.
    Forbidden(Refusal),
    /// Outbound: the caller asked for another host than those that the listener answers under.
    Misdirected,
    /// Outbound: a browser sent it for a web page.
    WebPage,
    /// Outbound: the caller brought an `Authorization` of its own.
    OwnAuthorization,
    /// Outbound: there is no access token to attach.
    TokenUnavailable(CredentialFault),
    /// Too many requests of this caller.
    RateLimited {
        /// When to come again.
        retry_after: Duration,
    },
    /// We are at a limit of our own.
    Overloaded,
    /// We are about to end and take no new requests on this connection.
    Draining,
    /// Our own fault inside the request path; nothing was forwarded.
    Internal,
    /// The upstream refused the connection, or broke it.
    UpstreamUnreachable,
    /// The upstream did not answer in time.
    UpstreamTimeout,
    /// The upstream's answer is not acceptable.
    UpstreamInvalid,
    /// The request body stalled before the response began.
    BodyTimeout,
    /// The downstream went away before the answer began; nobody sees the status (499, as nginx records it).
    ClientGone,
}

/// How a message fails HTTP. Each has its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Malformed {
    /// Request line, header line, line ending or white space (RFC 9112 sections 2.2, 3 and 5). 400.
    Syntax,
    /// Content-Length and Transfer-Encoding quarrel, or one of them is not exact (RFC 9112 section 6). 400.
    Framing,
    /// Chunked framing (RFC 9112 section 7.1). 400.
    Chunk,
    /// Missing, repeated, invalid or disagreeing authority (RFC 9110 section 7.2). 400.
    Authority,
    /// A request target that is not origin-form, or absolute-form that agrees with Host. 400.
    Target,
    /// More than one credential. 400.
    Credentials,
    /// CONNECT, TRACE, or an upgrade that the route does not allow. 400.
    Upgrade,
    /// An `Expect` other than `100-continue`. 417.
    Expect,
    /// The head is larger than the limit. 431.
    HeadTooLarge,
    /// The target is longer than the limit. 414.
    TargetTooLong,
    /// The body is larger than the route allows. 413.
    BodyTooLarge,
    /// The head did not arrive in time. 408.
    HeadTimeout,
    /// HTTP version not supported. 505.
    Version,
}

/// What makes a path ambiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PathFault {
    /// `.` or `..`, raw or encoded.
    DotSegment,
    /// `//` anywhere.
    EmptySegment,
    /// A backslash, raw or encoded.
    Backslash,
    /// `%2f`.
    EncodedSlash,
    /// An encoded control character, DEL included.
    ControlCharacter,
    /// An invalid percent-encoding.
    InvalidEncoding,
    /// Percent-encoded bytes that are not UTF-8.
    InvalidUtf8,
    /// A raw byte above 0x7F.
    RawByte,
    /// `;`.
    Semicolon,
    /// `%25` before two hexadecimal digits.
    EncodedPercent,
    /// `%3f` or `%23`.
    EncodedDelimiter,
}

/// Why a token does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenFault {
    /// Larger than the limit; not read.
    TooLarge,
    /// Not a compact JWS of three non-empty base64url parts, or its JSON is not strict.
    Malformed,
    /// `crit`, `b64`, `zip`, `enc`, or a `cty` that nests.
    UnsupportedHeader,
    /// `alg` is not in the issuer's list or does not fit the key.
    Algorithm,
    /// `typ` is not accepted, or it is an ID token.
    Type,
    /// `iss` is missing, not a string, or not configured.
    Issuer,
    /// `aud` does not contain one of ours.
    Audience,
    /// `azp` (or `client_id`) is not in the allow-list.
    Client,
    /// Past `exp`.
    Expired,
    /// Before `nbf`, or `iat` in the future.
    NotYetValid,
    /// A required claim is missing, or a claim has the wrong type.
    Claim,
    /// `exp` − `iat` is over the cap, or `iat` is missing where a cap is set.
    Lifetime,
    /// The key id is not in the issuer's set, or missing where it must be given.
    UnknownKey,
    /// The signature does not verify.
    Signature,
    /// Whoever judges the issuer's tokens says that it does not hold: revoked, ended, or never issued.
    Inactive,
    /// `sub` and the `kubernetes.io` claims do not agree (ServiceAccount tokens).
    ServiceAccount,
    /// The credential is of a scheme or shape that this route does not take.
    Scheme,
    /// `cnf` names a way of confirmation that is not known, or is not well-formed.
    Confirmation,
    /// It is bound to a key (`cnf.jkt`) and came without a proof of it, as a plain bearer.
    Bound,
    /// It is bound to another client certificate (`cnf.x5t#S256`) than the connection's, if that has one.
    Certificate,
    /// It is bound to no key where it must be: under the DPoP scheme, or where the issuer's tokens are `require`d to be.
    NotBound,
    /// Under the DPoP scheme, and without a proof.
    ProofMissing,
    /// More than one proof.
    ProofRepeated,
    /// The proof is not a compact JWS with strict JSON, or too large.
    ProofMalformed,
    /// The proof has a `crit`, `b64`, `zip`, `enc` or `cty`.
    ProofHeader,
    /// The proof's `typ` is not `dpop+jwt`.
    ProofType,
    /// The proof's `alg` is not in the issuer's list.
    ProofAlgorithm,
    /// A claim of the proof is missing or of the wrong type.
    ProofClaim,
    /// `htm` is another method.
    ProofMethod,
    /// `htu` is another URL.
    ProofTarget,
    /// The proof is too old, or from the future.
    ProofTime,
    /// `ath` is not the hash of this token.
    ProofToken,
    /// The proof's `jwk` is missing, private, or not fit for its `alg`.
    ProofKey,
    /// The proof's key is not the one that the token is bound to.
    ProofBinding,
    /// The proof's signature does not verify.
    ProofSignature,
    /// The proof was used before.
    ProofReplayed,
    /// The second token that the route asks for is missing.
    ActorMissing,
    /// The second token does not hold.
    Actor,
}

/// Why policy refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The route is for nobody.
    Nobody,
    /// No alternative names this caller.
    Caller,
    /// A scope was what was missing; the value is for `scope="…"` (RFC 6750 section 3.1).
    Scope(Box<str>),
    /// The account in the path is not the principal's.
    Account,
    /// The route needs an account and the principal has none.
    AccountRequired,
    /// Another condition of the alternative that came closest; the word is its configuration key.
    Condition(&'static str),
    /// An identity value is too large to be sent upstream; it is never truncated.
    IdentityTooLarge,
}

/// How a request ended, for decision records and metrics. Every request is exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// It was forwarded and an answer of the upstream began.
    Allowed,
    /// It was refused for what it is.
    Denied,
    /// It could not be judged or served: our limits, our keys, the upstream, or a caller that went away.
    Errored,
}

impl Decision {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Allowed, Self::Denied, Self::Errored];

    /// `allowed`, `denied` or `errored`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Errored => "errored",
        }
    }

    /// What a request that ended with `rejection` (or without one) was.
    #[must_use]
    pub const fn of(rejection: Option<&Rejection>) -> Self {
        match rejection {
            None => Self::Allowed,
            Some(rejection) => rejection.decision(),
        }
    }
}

/// The `WWW-Authenticate` challenge of a refusal (RFC 6750 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge<'a> {
    /// `Bearer` without an error code: no credential was there.
    Bare,
    /// `error="invalid_token"`, without a description: all of them look alike.
    InvalidToken,
    /// `error="invalid_dpop_proof"`: the token may be good, what proves that it is the caller's own is not.
    InvalidProof,
    /// `error="use_dpop_nonce"`, and the nonce.
    UseNonce(&'a str),
    /// `error="insufficient_scope"` and the scopes that would do, separated by spaces.
    InsufficientScope(&'a str),
}

/// How soon an overloaded or ending proxy may be asked again.
const RETRY_SOON: Duration = Duration::from_secs(1);

impl Rejection {
    /// The usual status; an answer template may say another one for 401 and 403.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(fault) => fault.status(),
            Self::AmbiguousPath(_) | Self::OwnAuthorization => StatusCode::BAD_REQUEST,
            Self::NoRoute | Self::NearMiss | Self::Forbidden(_) | Self::WebPage => {
                StatusCode::FORBIDDEN
            }
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoToken | Self::InvalidToken(_) | Self::UseNonce { .. } => {
                StatusCode::UNAUTHORIZED
            }
            Self::KeysUnavailable { .. }
            | Self::ReviewUnavailable { .. }
            | Self::TooManyProofs { .. }
            | Self::TokenUnavailable(_)
            | Self::Overloaded
            | Self::Draining => StatusCode::SERVICE_UNAVAILABLE,
            Self::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::UpstreamUnreachable | Self::UpstreamInvalid => StatusCode::BAD_GATEWAY,
            Self::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::ClientGone => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        }
    }

    /// The challenge that goes with the usual status.
    #[must_use]
    pub const fn challenge(&self) -> Option<Challenge<'_>> {
        match self {
            Self::NoToken => Some(Challenge::Bare),
            Self::InvalidToken(fault) if fault.is_of_proof() => Some(Challenge::InvalidProof),
            Self::InvalidToken(_) => Some(Challenge::InvalidToken),
            Self::UseNonce { nonce } => Some(Challenge::UseNonce(nonce)),
            Self::Forbidden(Refusal::Scope(scopes)) => Some(Challenge::InsufficientScope(scopes)),
            Self::Malformed(_)
            | Self::AmbiguousPath(_)
            | Self::NoRoute
            | Self::NearMiss
            | Self::MethodNotAllowed { .. }
            | Self::KeysUnavailable { .. }
            | Self::ReviewUnavailable { .. }
            | Self::TooManyProofs { .. }
            | Self::Forbidden(_)
            | Self::Misdirected
            | Self::WebPage
            | Self::OwnAuthorization
            | Self::TokenUnavailable(_)
            | Self::RateLimited { .. }
            | Self::Overloaded
            | Self::Draining
            | Self::Internal
            | Self::UpstreamUnreachable
            | Self::UpstreamTimeout
            | Self::UpstreamInvalid
            | Self::BodyTimeout
            | Self::ClientGone => None,
        }
    }

    /// When to come again, where that helps (`Retry-After`, RFC 9110 section 10.2.3).
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::KeysUnavailable { retry_after }
            | Self::ReviewUnavailable { retry_after }
            | Self::TooManyProofs { retry_after }
            | Self::RateLimited { retry_after } => Some(*retry_after),
            Self::TokenUnavailable(fault) => Some(fault.retry_after),
            Self::Overloaded | Self::Draining => Some(RETRY_SOON),
            Self::Malformed(_)
            | Self::AmbiguousPath(_)
            | Self::NoRoute
            | Self::NearMiss
            | Self::MethodNotAllowed { .. }
            | Self::NoToken
            | Self::InvalidToken(_)
            | Self::UseNonce { .. }
            | Self::Forbidden(_)
            | Self::Misdirected
            | Self::WebPage
            | Self::OwnAuthorization
            | Self::Internal
            | Self::UpstreamUnreachable
            | Self::UpstreamTimeout
            | Self::UpstreamInvalid
            | Self::BodyTimeout
            | Self::ClientGone => None,
        }
    }

    /// What the authorization server said (RFC 6749 section 5.2), where that is why: a word of a closed list.
    #[must_use]
    pub const fn oauth_error(&self) -> Option<&'static str> {
        match self {
            Self::TokenUnavailable(fault) => fault.oauth_error,
            _ => None,
        }
    }

    /// The word for callers, last part of the problem type (RFC 9457); coarse on purpose.
    #[must_use]
    pub const fn problem_type(&self) -> &'static str {
        match self {
            Self::Malformed(fault) => fault.problem_type(),
            Self::AmbiguousPath(_) => "ambiguous_path",
            // One word for all three: a refused caller does not learn which routes exist.
            Self::NoRoute | Self::NearMiss | Self::Forbidden(_) => "forbidden",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::NoToken => "no_token",
            Self::InvalidToken(fault) if fault.is_of_proof() => "invalid_dpop_proof",
            Self::InvalidToken(_) => "invalid_token",
            Self::UseNonce { .. } => "use_dpop_nonce",
            Self::Misdirected => "misdirected_request",
            Self::WebPage => "web_page",
            Self::OwnAuthorization => "authorization_not_allowed",
            Self::TokenUnavailable(_) => "token_unavailable",
            Self::KeysUnavailable { .. }
            | Self::ReviewUnavailable { .. }
            | Self::TooManyProofs { .. }
            | Self::Overloaded
            | Self::Draining => "unavailable",
            Self::RateLimited { .. } => "rate_limited",
            Self::Internal => "internal",
            Self::UpstreamUnreachable | Self::UpstreamInvalid => "bad_gateway",
            Self::UpstreamTimeout => "gateway_timeout",
            Self::BodyTimeout => "request_timeout",
            Self::ClientGone => "client_gone",
        }
    }

    /// The sentence for callers; templates may word it differently per [`AnswerKind`].
    #[must_use]
    pub const fn message(&self) -> &'static str {
        match self {
            Self::Malformed(fault) => fault.message(),
            Self::AmbiguousPath(_) => "ambiguous path",
            Self::NoRoute | Self::NearMiss | Self::Forbidden(_) => "access denied",
            Self::MethodNotAllowed { .. } => "method not allowed",
            Self::NoToken => "missing bearer token",
            Self::InvalidToken(fault) if fault.is_of_proof() => "invalid DPoP proof",
            Self::InvalidToken(_) => "invalid token",
            Self::UseNonce { .. } => "the DPoP proof needs a nonce",
            Self::Misdirected => "this listener does not answer under that host",
            Self::WebPage => "this listener does not answer web pages",
            Self::OwnAuthorization => {
                "the request brings an Authorization of its own; this listener attaches one"
            }
            Self::TokenUnavailable(_) => "no access token for the upstream can be had now",
            Self::KeysUnavailable { .. }
            | Self::ReviewUnavailable { .. }
            | Self::TooManyProofs { .. } => "authentication is temporarily unavailable",
            Self::RateLimited { .. } => "too many requests",
            Self::Overloaded | Self::Draining => "service unavailable",
            Self::Internal => "internal error",
            Self::UpstreamUnreachable => "the upstream is not reachable",
            Self::UpstreamInvalid => "the upstream did not answer as it must",
            Self::UpstreamTimeout => "the upstream did not answer in time",
            Self::BodyTimeout => "the request body did not arrive in time",
            Self::ClientGone => "the client went away",
        }
    }

    /// The word for decision records and metrics: snake_case, unique, stable.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(fault) => fault.reason(),
            Self::AmbiguousPath(fault) => fault.reason(),
            Self::NoRoute => "no_route",
            Self::NearMiss => "near_miss",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::NoToken => "no_token",
            Self::InvalidToken(fault) => fault.reason(),
            Self::UseNonce { .. } => "dpop_nonce",
            Self::TooManyProofs { .. } => "dpop_too_many",
            Self::KeysUnavailable { .. } => "keys_unavailable",
            Self::ReviewUnavailable { .. } => "review_unavailable",
            Self::Forbidden(refusal) => refusal.reason(),
            Self::Misdirected => "host_not_ours",
            Self::WebPage => "web_page",
            Self::OwnAuthorization => "authorization_not_allowed",
            Self::TokenUnavailable(_) => "token_unavailable",
            Self::RateLimited { .. } => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Draining => "draining",
            Self::Internal => "internal",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamInvalid => "upstream_invalid",
            Self::BodyTimeout => "body_timeout",
            Self::ClientGone => "client_gone",
        }
    }

    /// Which wording of an answer template applies.
    #[must_use]
    pub const fn kind(&self) -> AnswerKind {
        match self {
            Self::Malformed(_)
            | Self::AmbiguousPath(_)
            | Self::MethodNotAllowed { .. }
            | Self::Misdirected
            | Self::WebPage
            | Self::OwnAuthorization
            | Self::BodyTimeout
            | Self::ClientGone => AnswerKind::BadRequest,
            Self::NoRoute | Self::NearMiss | Self::Forbidden(_) => AnswerKind::Refused,
            Self::NoToken => AnswerKind::NoToken,
            Self::InvalidToken(_) | Self::UseNonce { .. } => AnswerKind::InvalidToken,
            Self::KeysUnavailable { .. }
            | Self::ReviewUnavailable { .. }
            | Self::TooManyProofs { .. }
            | Self::TokenUnavailable(_)
            | Self::Overloaded
            | Self::Draining
            | Self::Internal => AnswerKind::Unavailable,
            Self::RateLimited { .. } => AnswerKind::RateLimited,
            Self::UpstreamUnreachable | Self::UpstreamTimeout | Self::UpstreamInvalid => {
                AnswerKind::Upstream
            }
        }
    }

    /// Whether the request was refused for what it is, or could not be served.
    #[must_use]
    pub const fn decision(&self) -> Decision {
        match self {
            Self::Malformed(_)
            | Self::AmbiguousPath(_)
            | Self::NoRoute
            | Self::NearMiss
            | Self::MethodNotAllowed { .. }
            | Self::NoToken
            | Self::InvalidToken(_)
            | Self::UseNonce { .. }
            | Self::Forbidden(_)
            | Self::Misdirected
            | Self::WebPage
            | Self::OwnAuthorization
            | Self::RateLimited { .. } => Decision::Denied,
            Self::KeysUnavailable { .. }
            | Self::ReviewUnavailable { .. }
            | Self::TokenUnavailable(_)
            | Self::TooManyProofs { .. }
            | Self::Overloaded
            | Self::Draining
            | Self::Internal
            | Self::UpstreamUnreachable
            | Self::UpstreamTimeout
            | Self::UpstreamInvalid
            | Self::BodyTimeout
            | Self::ClientGone => Decision::Errored,
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for Rejection {}

impl From<TokenFault> for Rejection {
    fn from(fault: TokenFault) -> Self {
        Self::InvalidToken(fault)
    }
}

#[cfg(test)]
mod tests;
