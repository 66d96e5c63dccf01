//! Typed refusals: one closed enum, and everything that is known about each of them in one place.

use std::time::Duration;

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
    /// We are the ones who cannot judge: keys are not obtainable.
    KeysUnavailable {
        /// When to come again.
        retry_after: Duration,
    },
    /// The principal is known, policy refuses.
    Forbidden(Refusal),
    /// Too many requests of this caller.
    RateLimited {
        /// When to come again.
        retry_after: Duration,
    },
    /// We are at a limit of our own.
    Overloaded,
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
    /// `sub` and the `kubernetes.io` claims do not agree (ServiceAccount tokens).
    ServiceAccount,
    /// The credential is of a scheme or shape that this route does not take.
    Scheme,
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
    /// Another condition of the alternative that came closest.
    Condition(&'static str),
}
