//! Refusals rendered as responses: problem+json (RFC 9457) or a configured template, challenges, CORS.

mod challenge;
mod cors;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use challenge::Challenges;
pub use challenge::Schemes;
pub use cors::{Cors, is_preflight};

use crate::rejection::Rejection;
use crate::telemetry::json;

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

/// A compiled answer template: rendering neither parses nor looks anything up.
#[derive(Debug)]
pub struct Answer {
    body: Body,
    content_type: HeaderValue,
    kinds: BTreeMap<AnswerKind, AnswerTemplate>,
    challenges: Challenges,
}

#[derive(Debug)]
enum Body {
    Problem,
    Template(Vec<Piece>),
}

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Message,
    Status,
    Reason,
    RequestId,
}

/// What an answer says besides the refusal itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnswerContext<'a> {
    /// The request id; the decision record carries the same.
    pub request_id: &'a str,
    /// The request was HEAD: the answer has the length of a body, and none.
    pub head: bool,
    /// CORS of the listener, and the request's `Origin`.
    pub cors: Option<(&'a Cors, Option<&'a HeaderValue>)>,
    /// What the listener's challenges say.
    pub schemes: Option<&'a Schemes>,
}

impl Answer {
    /// Prepares a template.
    #[must_use]
    pub fn compile(settings: &AnswersSettings) -> Self {
        let (body, content_type) = match &settings.body {
            None => (Body::Problem, "application/problem+json"),
            Some(template) => (Body::Template(pieces(&template.0)), "application/json"),
        };
        Self {
            body,
            content_type: HeaderValue::from_static(content_type),
            kinds: settings.kinds.clone(),
            challenges: Challenges::compile(settings),
        }
    }

    /// The answer to a refused request. The caller decides whether the connection closes.
    #[must_use]
    pub fn render(&self, rejection: &Rejection, context: &AnswerContext<'_>) -> Response<Bytes> {
        let wording = self.kinds.get(&rejection.kind());
        let status = wording
            .and_then(|wording| wording.status)
            .and_then(|status| StatusCode::from_u16(status).ok())
            .unwrap_or_else(|| rejection.status());
        let message = wording
            .and_then(|wording| wording.message.as_deref())
            .map_or_else(|| own_message(rejection), Cow::Borrowed);

        let body = self.body(rejection, status, &message, context.request_id);
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, self.content_type.clone());
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        request_id(headers, context.request_id);
        if let Some(after) = rejection.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
        }
        if let Rejection::MethodNotAllowed { allow } = rejection {
            headers.insert(ALLOW, header_value(allow));
        }
        if let Some((cors, origin)) = context.cors {
            cors.decorate(headers, origin);
        }
        self.challenges
            .set(rejection, status, context.schemes, headers);
        if !context.head {
            *response.body_mut() = Bytes::from(body);
        }
        response
    }

    fn body(
        &self,
        rejection: &Rejection,
        status: StatusCode,
        message: &str,
        request_id: &str,
    ) -> Vec<u8> {
        let mut out = Vec::with_capacity(192);
        match &self.body {
            Body::Problem => {
                out.extend_from_slice(b"{\"type\":\"urn:countersign:problem:");
                out.extend_from_slice(rejection.problem_type().as_bytes());
                out.extend_from_slice(b"\",\"title\":");
                json::string(&mut out, status.canonical_reason().unwrap_or("Error"));
                out.extend_from_slice(b",\"status\":");
                out.extend_from_slice(status.as_str().as_bytes());
                out.extend_from_slice(b",\"detail\":");
                json::string(&mut out, message);
                out.extend_from_slice(b",\"request_id\":");
                json::string(&mut out, request_id);
                if let Some(error) = rejection.oauth_error() {
                    out.extend_from_slice(b",\"oauth_error\":");
                    json::string(&mut out, error);
                }
                out.push(b'}');
            }
            Body::Template(pieces) => {
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                        Piece::Message => json::escaped(&mut out, message),
                        Piece::Status => out.extend_from_slice(status.as_str().as_bytes()),
                        Piece::Reason => {
                            out.extend_from_slice(rejection.problem_type().as_bytes());
                        }
                        Piece::RequestId => json::escaped(&mut out, request_id),
                    }
                }
            }
        }
        out
    }
}

/// All answer templates of a configuration, compiled.
#[derive(Debug)]
pub struct Answers {
    default: Arc<Answer>,
    named: BTreeMap<AnswersName, Arc<Answer>>,
}

impl Answers {
    /// Compiles what is configured under `answers:`; a template named `default` replaces problem+json.
    #[must_use]
    pub fn compile(settings: &BTreeMap<AnswersName, Arc<AnswersSettings>>) -> Self {
        let named: BTreeMap<_, _> = settings
            .iter()
            .map(|(name, settings)| (Arc::clone(name), Arc::new(Answer::compile(settings))))
            .collect();
        let default = named.get("default").map_or_else(
            || Arc::new(Answer::compile(&AnswersSettings::default())),
            Arc::clone,
        );
        Self { default, named }
    }

    /// The template that a route or listener names; the default for none, and for a name that does not exist (the
    /// configuration has made sure that there is none such).
    #[must_use]
    pub fn get(&self, name: Option<&AnswersName>) -> &Arc<Answer> {
        name.and_then(|name| self.named.get(name))
            .unwrap_or(&self.default)
    }
}

impl Default for Answers {
    fn default() -> Self {
        Self::compile(&BTreeMap::new())
    }
}

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The sentence for callers. What the authorization server said stands in it also where a template shapes the body.
fn own_message(rejection: &Rejection) -> Cow<'static, str> {
    match rejection.oauth_error() {
        Some(error) => Cow::Owned(format!("{}: {error}", rejection.message())),
        None => Cow::Borrowed(rejection.message()),
    }
}

/// Splits the template's JSON into what stands and what is filled in. Only strings are looked at, and since a value
/// is escaped as it goes in, it cannot leave its string.
fn pieces(template: &serde_json::Value) -> Vec<Piece> {
    const FIELDS: [(&str, Piece); 4] = [
        ("{message}", Piece::Message),
        ("{status}", Piece::Status),
        ("{reason}", Piece::Reason),
        ("{request_id}", Piece::RequestId),
    ];
    let text = template.to_string();
    let mut rest = text.as_str();
    let mut pieces = Vec::new();
    let mut plain = String::new();
    // Outside strings a brace is followed by a quote or a brace, so a field can only be met inside one.
    'text: while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        for (name, piece) in FIELDS {
            if let Some(after) = from.strip_prefix(name) {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(piece);
                rest = after;
                continue 'text;
            }
        }
        plain.push('{');
        rest = from.strip_prefix('{').unwrap_or_default();
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    pieces
}

/// Says the id that the decision record has.
pub(super) fn request_id(headers: &mut HeaderMap, id: &str) {
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(X_REQUEST_ID, id);
    }
}

/// A quoted-string (RFC 9110 section 5.6.4); what cannot stand in one is left out.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars().filter(|c| matches!(c, ' '..='~')) {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// Of text that holds visible ASCII only by construction; anything else gives an empty value, never a panic.
fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Rounded up: a client that comes a moment too early would only be refused again.
fn whole_seconds(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_add(u64::from(duration.subsec_nanos() > 0))
        .max(1)
}

#[cfg(test)]
mod tests;
