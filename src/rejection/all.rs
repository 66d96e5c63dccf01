//! Every refusal once, for whoever must have an answer to each: documentation, explanations, cases, tests.

use std::sync::LazyLock;
use std::time::Duration;

use super::faults::CONDITION_REASONS;
use super::{CredentialFault, Malformed, PathFault, Refusal, Rejection, TokenFault};

/// Lists variants, and does not compile when one is missing.
macro_rules! every {
    ($type:ident: $($variant:ident),+ $(,)?) => {{
        fn exhaustive(value: &$type) {
            match value {
                $($type::$variant => {})+
            }
        }
        let all = vec![$($type::$variant),+];
        all.iter().for_each(exhaustive);
        all
    }};
}

fn malformed() -> Vec<Malformed> {
    every!(Malformed: Syntax, Framing, Chunk, Authority, Target, Credentials, Upgrade, Expect, HeadTooLarge,
        TargetTooLong, BodyTooLarge, HeadTimeout, Version)
}

fn path_faults() -> Vec<PathFault> {
    every!(PathFault: DotSegment, EmptySegment, Backslash, EncodedSlash, ControlCharacter, InvalidEncoding,
        InvalidUtf8, RawByte, Semicolon, EncodedPercent, EncodedDelimiter)
}

pub(super) fn token_faults() -> Vec<TokenFault> {
    every!(TokenFault: TooLarge, Malformed, UnsupportedHeader, Algorithm, Type, Issuer, Audience, Client, Expired,
        NotYetValid, Claim, Lifetime, UnknownKey, Signature, Inactive, ServiceAccount, Scheme, Confirmation, Bound,
        Certificate, NotBound, ProofMissing, ProofRepeated, ProofMalformed, ProofHeader, ProofType, ProofAlgorithm,
        ProofClaim, ProofMethod, ProofTarget, ProofTime, ProofToken, ProofKey, ProofBinding, ProofSignature,
        ProofReplayed, ActorMissing, Actor)
}

pub(super) fn refusals() -> Vec<Refusal> {
    let mut all = vec![
        Refusal::Nobody,
        Refusal::Caller,
        Refusal::Scope("a b".into()),
        Refusal::Account,
        Refusal::AccountRequired,
        Refusal::IdentityTooLarge,
        // A condition that has no word yet.
        Refusal::Condition(""),
    ];
    all.extend(
        CONDITION_REASONS
            .iter()
            .map(|(key, _)| Refusal::Condition(key)),
    );
    for refusal in &all {
        match refusal {
            Refusal::Nobody
            | Refusal::Caller
            | Refusal::Scope(_)
            | Refusal::Account
            | Refusal::AccountRequired
            | Refusal::Condition(_)
            | Refusal::IdentityTooLarge => {}
        }
    }
    all
}

/// One of each: every reason that a record can have, once.
#[must_use]
pub fn all() -> Vec<Rejection> {
    let retry_after = Duration::from_secs(1);
    let mut all = vec![
        Rejection::NoRoute,
        Rejection::NearMiss,
        Rejection::MethodNotAllowed {
            allow: "GET".into(),
        },
        Rejection::NoToken,
        Rejection::UseNonce { nonce: "n".into() },
        Rejection::TooManyProofs { retry_after },
        Rejection::KeysUnavailable { retry_after },
        Rejection::ReviewUnavailable { retry_after },
        Rejection::RateLimited { retry_after },
        Rejection::Misdirected,
        Rejection::WebPage,
        Rejection::OwnAuthorization,
        Rejection::TokenUnavailable(CredentialFault {
            oauth_error: Some("invalid_client"),
            retry_after,
        }),
        Rejection::Overloaded,
        Rejection::Draining,
        Rejection::Internal,
        Rejection::UpstreamUnreachable,
        Rejection::UpstreamTimeout,
        Rejection::UpstreamInvalid,
        Rejection::BodyTimeout,
        Rejection::ClientGone,
    ];
    all.extend(malformed().into_iter().map(Rejection::Malformed));
    all.extend(path_faults().into_iter().map(Rejection::AmbiguousPath));
    all.extend(token_faults().into_iter().map(Rejection::InvalidToken));
    all.extend(refusals().into_iter().map(Rejection::Forbidden));
    all.iter().for_each(exhaustive);
    all
}

/// The reasons of [`all`].
#[must_use]
pub fn reasons() -> &'static [&'static str] {
    static REASONS: LazyLock<Vec<&str>> =
        LazyLock::new(|| all().iter().map(Rejection::reason).collect());
    &REASONS
}

/// Does not compile when a variant is missing.
fn exhaustive(rejection: &Rejection) {
    match rejection {
        Rejection::Malformed(_)
        | Rejection::AmbiguousPath(_)
        | Rejection::NoRoute
        | Rejection::NearMiss
        | Rejection::MethodNotAllowed { .. }
        | Rejection::NoToken
        | Rejection::InvalidToken(_)
        | Rejection::UseNonce { .. }
        | Rejection::TooManyProofs { .. }
        | Rejection::KeysUnavailable { .. }
        | Rejection::ReviewUnavailable { .. }
        | Rejection::Forbidden(_)
        | Rejection::RateLimited { .. }
        | Rejection::Misdirected
        | Rejection::WebPage
        | Rejection::OwnAuthorization
        | Rejection::TokenUnavailable(_)
        | Rejection::Overloaded
        | Rejection::Draining
        | Rejection::Internal
        | Rejection::UpstreamUnreachable
        | Rejection::UpstreamTimeout
        | Rejection::UpstreamInvalid
        | Rejection::BodyTimeout
        | Rejection::ClientGone => {}
    }
}
