use std::collections::BTreeMap;
use std::sync::Arc;

/// The name of an answer template (`answers:`).
pub type AnswersName = Arc<str>;

/// Kinds of refusals that a template may word differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnswerKind {
    /// `no_token`.
    NoToken,
    /// `invalid_token`.
    InvalidToken,
    /// `refused`: policy says no (403).
    Refused,
    /// `unavailable`: we cannot judge (503).
    Unavailable,
    /// `rate_limited` (429).
    RateLimited,
    /// `bad_request` (400 and its kin).
    BadRequest,
    /// `upstream` (502, 504).
    Upstream,
}

/// Wording of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerTemplate {
    /// Status instead of the usual one; only 401 ↔ 403 and 403 → 404 are allowed.
    pub status: Option<u16>,
    /// What `{message}` becomes.
    pub message: Option<String>,
}

/// A JSON body with `{message}`, `{status}`, `{reason}` (the problem type's last word) and `{request_id}` in its strings.
#[derive(Clone, Debug, PartialEq)]
pub struct BodyTemplate(pub serde_json::Value);

/// A named answer template.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnswersSettings {
    /// `None`: RFC 9457 `application/problem+json`.
    pub body: Option<BodyTemplate>,
    /// Per kind.
    pub kinds: BTreeMap<AnswerKind, AnswerTemplate>,
    /// `realm` of the challenge.
    pub realm: Option<String>,
    /// `resource_metadata` of the challenge (RFC 9728).
    pub resource_metadata: Option<String>,
}

/// CORS on our own answers (Fetch standard); upstream answers are left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsSettings {
    /// Exact origins; `*` stands alone and forbids credentials.
    pub origins: Vec<String>,
    /// What a preflight meets.
    pub preflight: Preflight,
    /// Whether browsers may read answers to requests with credentials.
    pub credentials: bool,
    /// Answer header names that scripts may read.
    pub expose: Vec<String>,
    /// For `preflight: answer`: allowed request headers.
    pub headers: Vec<String>,
    /// For `preflight: answer`: seconds that browsers may keep the answer.
    pub max_age: u32,
}

/// What a preflight (OPTIONS with Origin and Access-Control-Request-Method) meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Preflight {
    /// It passes to the upstream unauthenticated, without identity.
    #[default]
    Forward,
    /// We answer it, from policy's methods.
    Answer,
    /// It is a request like any other.
    Authenticate,
}
