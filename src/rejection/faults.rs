//! The words and statuses of the finer faults.

use http::StatusCode;

use super::{Malformed, PathFault, Refusal, TokenFault};

impl Malformed {
    /// The status of this fault.
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Syntax
            | Self::Framing
            | Self::Chunk
            | Self::Authority
            | Self::Target
            | Self::Credentials
            | Self::Upgrade => StatusCode::BAD_REQUEST,
            Self::Expect => StatusCode::EXPECTATION_FAILED,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::HeadTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        }
    }

    pub(super) const fn problem_type(self) -> &'static str {
        match self {
            Self::Syntax
            | Self::Framing
            | Self::Chunk
            | Self::Authority
            | Self::Target
            | Self::Credentials
            | Self::Upgrade => "malformed_request",
            Self::Expect => "expectation_failed",
            Self::HeadTooLarge => "head_too_large",
            Self::TargetTooLong => "target_too_long",
            Self::BodyTooLarge => "body_too_large",
            Self::HeadTimeout => "request_timeout",
            Self::Version => "version_not_supported",
        }
    }

    pub(super) const fn message(self) -> &'static str {
        match self {
            Self::Syntax | Self::Framing | Self::Chunk => "malformed request",
            Self::Authority => "missing or ambiguous host",
            Self::Target => "request target not supported",
            Self::Credentials => "more than one credential",
            Self::Upgrade => "method or upgrade not supported",
            Self::Expect => "expectation not supported",
            Self::HeadTooLarge => "request header fields too large",
            Self::TargetTooLong => "request target too long",
            Self::BodyTooLarge => "request body too large",
            Self::HeadTimeout => "the request did not arrive in time",
            Self::Version => "HTTP version not supported",
        }
    }

    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Syntax => "malformed_syntax",
            Self::Framing => "malformed_framing",
            Self::Chunk => "malformed_chunk",
            Self::Authority => "malformed_authority",
            Self::Target => "malformed_target",
            Self::Credentials => "several_credentials",
            Self::Upgrade => "upgrade_not_allowed",
            Self::Expect => "expectation_not_supported",
            Self::HeadTooLarge => "head_too_large",
            Self::TargetTooLong => "target_too_long",
            Self::BodyTooLarge => "body_too_large",
            Self::HeadTimeout => "head_timeout",
            Self::Version => "version_not_supported",
        }
    }
}

impl PathFault {
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::DotSegment => "path_dot_segment",
            Self::EmptySegment => "path_empty_segment",
            Self::Backslash => "path_backslash",
            Self::EncodedSlash => "path_encoded_slash",
            Self::ControlCharacter => "path_control_character",
            Self::InvalidEncoding => "path_invalid_encoding",
            Self::InvalidUtf8 => "path_invalid_utf8",
            Self::RawByte => "path_raw_byte",
            Self::Semicolon => "path_semicolon",
            Self::EncodedPercent => "path_encoded_percent",
            Self::EncodedDelimiter => "path_encoded_delimiter",
        }
    }
}

impl TokenFault {
    /// Whether the proof is at fault. Clients must be able to tell (RFC 9449 section 7.1): another token would not help.
    pub(super) const fn is_of_proof(self) -> bool {
        match self {
            Self::ProofMissing
            | Self::ProofRepeated
            | Self::ProofMalformed
            | Self::ProofHeader
            | Self::ProofType
            | Self::ProofAlgorithm
            | Self::ProofClaim
            | Self::ProofMethod
            | Self::ProofTarget
            | Self::ProofTime
            | Self::ProofToken
            | Self::ProofKey
            | Self::ProofBinding
            | Self::ProofSignature
            | Self::ProofReplayed => true,
            Self::TooLarge
            | Self::Malformed
            | Self::UnsupportedHeader
            | Self::Algorithm
            | Self::Type
            | Self::Issuer
            | Self::Audience
            | Self::Client
            | Self::Expired
            | Self::NotYetValid
            | Self::Claim
            | Self::Lifetime
            | Self::UnknownKey
            | Self::Signature
            | Self::Inactive
            | Self::ServiceAccount
            | Self::Scheme
            | Self::Confirmation
            | Self::Bound
            | Self::Certificate
            | Self::NotBound
            | Self::ActorMissing
            | Self::Actor => false,
        }
    }

    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::TooLarge => "token_too_large",
            Self::Malformed => "token_malformed",
            Self::UnsupportedHeader => "token_unsupported_header",
            Self::Algorithm => "token_algorithm",
            Self::Type => "token_type",
            Self::Issuer => "token_issuer",
            Self::Audience => "token_audience",
            Self::Client => "token_client",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::Claim => "token_claim",
            Self::Lifetime => "token_lifetime",
            Self::UnknownKey => "token_unknown_key",
            Self::Signature => "token_signature",
            Self::Inactive => "token_inactive",
            Self::ServiceAccount => "token_service_account",
            Self::Scheme => "token_scheme",
            Self::Confirmation => "token_confirmation",
            Self::Bound => "token_bound",
            Self::Certificate => "token_certificate",
            Self::NotBound => "token_not_bound",
            Self::ProofMissing => "dpop_missing",
            Self::ProofRepeated => "dpop_repeated",
            Self::ProofMalformed => "dpop_malformed",
            Self::ProofHeader => "dpop_unsupported_header",
            Self::ProofType => "dpop_type",
            Self::ProofAlgorithm => "dpop_algorithm",
            Self::ProofClaim => "dpop_claim",
            Self::ProofMethod => "dpop_method",
            Self::ProofTarget => "dpop_target",
            Self::ProofTime => "dpop_time",
            Self::ProofToken => "dpop_token",
            Self::ProofKey => "dpop_key",
            Self::ProofBinding => "dpop_binding",
            Self::ProofSignature => "dpop_signature",
            Self::ProofReplayed => "dpop_replayed",
            Self::ActorMissing => "actor_missing",
            Self::Actor => "actor_invalid",
        }
    }
}

impl Refusal {
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Nobody => "nobody_may",
            Self::Caller => "caller_not_allowed",
            Self::Scope(_) => "scope_missing",
            Self::Account => "account_mismatch",
            Self::AccountRequired => "account_required",
            Self::Condition(key) => condition_reason(key),
            Self::IdentityTooLarge => "identity_too_large",
        }
    }
}

/// Configuration keys of conditions and their reasons: metrics must not carry words that nobody listed.
pub(super) const CONDITION_REASONS: &[(&str, &str)] = &[
    ("issuer", "condition_issuer"),
    ("client", "condition_client"),
    ("subject", "condition_subject"),
    ("service_account", "condition_service_account"),
    ("scopes", "condition_scopes"),
    ("any_scope", "condition_any_scope"),
    ("roles", "condition_roles"),
    ("groups", "condition_groups"),
    ("client_address", "condition_client_address"),
    ("client_certificate", "condition_client_certificate"),
    ("claims", "condition_claims"),
    ("account", "condition_account"),
    ("actor", "condition_actor"),
];

fn condition_reason(key: &str) -> &'static str {
    CONDITION_REASONS
        .iter()
        .find(|(known, _)| *known == key)
        .map_or("condition", |(_, reason)| reason)
}
