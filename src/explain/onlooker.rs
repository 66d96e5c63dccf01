//! What a listener that explains (`explain: true`) tells of the requests that it answers: in a field of every answer, and in
//! the document of a refusal.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, Uri};
use serde_json::Value;

use super::story::{Alternative, Explanation};
use super::{Draft, Verdict};
use crate::authn::Known;
use crate::authz::{Allowed, Evaluation, Route};
use crate::clock::Now;
use crate::config::Config;
use crate::rejection::Rejection;
use crate::request::Refused;
use crate::telemetry::blanked_target;

/// The field, a dictionary of RFC 9651.
const FIELD: HeaderName = HeaderName::from_static("countersign-explain");

/// Looks on while a listener decides; where it does not explain, there is nobody.
///
/// Boxed: every request keeps room for it.
#[derive(Default)]
pub(crate) struct Onlooker(Option<Box<RefCell<Draft>>>);

impl Onlooker {
    /// Looks at a request that comes to a listener which explains.
    pub(crate) fn at(
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        listener: &Arc<str>,
        now: Now,
    ) -> Self {
        let draft = Draft::of_request(method, uri, headers, listener, now);
        Self(Some(Box::new(RefCell::new(draft))))
    }

    /// Lets it see something; `see` is not called where nobody looks.
    pub(crate) fn look(&self, see: impl FnOnce(&mut Draft)) {
        if let Some(draft) = &self.0 {
            see(&mut draft.borrow_mut());
        }
    }

    /// [`Known::authorize`], before whoever looks.
    pub(crate) fn authorize<B>(
        &self,
        known: Known<B>,
        now: Now,
    ) -> Result<Allowed<B>, Box<Refused<B>>> {
        if self.0.is_none() {
            return known.authorize(now);
        }
        let mut evaluation = Evaluation::default();
        let allowed = known.authorize_watched(now, &mut evaluation);
        self.look(|draft| draft.evaluated(&evaluation));
        allowed
    }

    /// Sees a refusal, and tells of it in the answer: in its document where that is one of RFC 9457.
    pub(crate) fn refuse(
        &self,
        rejection: &Rejection,
        route: Option<&Arc<Route>>,
        config: &Config,
        answer: &mut Response<Bytes>,
    ) {
        let Some(draft) = &self.0 else { return };
        let mut draft = draft.borrow_mut();
        draft.refuse(rejection, route, config);
        let is_problem = |value: &HeaderValue| value.as_bytes() == b"application/problem+json";
        if !answer.headers().get(CONTENT_TYPE).is_some_and(is_problem) {
            return;
        }
        let mut body = answer.body().to_vec();
        // HEAD: there is no document. One without a member is nobody's refusal.
        if body.pop() != Some(b'}') || body.len() < 2 {
            return;
        }
        let mut told = draft.told().to_json();
        blank(&mut told);
        body.extend_from_slice(b",\"explanation\":");
        body.extend_from_slice(told.to_string().as_bytes());
        body.push(b'}');
        let length = HeaderValue::from(body.len());
        answer.headers_mut().insert(CONTENT_LENGTH, length);
        *answer.body_mut() = body.into();
    }

    /// Puts the field on an answer.
    pub(crate) fn sign<B>(&self, answer: &mut Response<B>) {
        self.look(|draft| {
            if let Ok(value) = HeaderValue::from_str(&field(draft.told())) {
                answer.headers_mut().insert(FIELD, value);
            }
        });
    }
}

fn field(told: &Explanation) -> String {
    let mut out = format!("decision={}", told.verdict.decision());
    let mut add = |name: &str, value: &str| out.push_str(&format!(", {name}={}", quoted(value)));
    if let Some(reason) = told.verdict.reason() {
        add("reason", reason);
    }
    if let Some(observed) = told.observed {
        add("observed", observed);
    }
    if let Some(route) = &told.route {
        add("route", &route.name);
    }
    if let Some(caller) = told.caller.as_deref() {
        add("caller", caller);
    }
    if let Some(near) = told.near.first() {
        add("near", near);
    }
    let check = told
        .checks
        .first()
        .or_else(|| told.alternatives.iter().find_map(miss));
    if let (Some(check), Verdict::Refused { .. }) = (check, told.verdict) {
        add("what", &check.what);
        add("wanted", &check.wanted);
        add("found", &check.found);
    }
    out
}

/// The condition that decided against the request.
fn miss(alternative: &Alternative) -> Option<&super::Check> {
    let mut conditions = alternative.conditions.iter();
    conditions
        .find(|condition| alternative.decides && condition.holds == Some(false))
        .map(|condition| &condition.check)
}

/// Credentials where a caller put them, in a path, a query or a host: answers are kept and passed on, as records are.
fn blank(told: &mut Value) {
    match told {
        Value::String(text) => {
            if let Some(blanked) = blanked_target(text) {
                *text = blanked;
            }
        }
        Value::Array(list) => list.iter_mut().for_each(blank),
        Value::Object(members) => members.values_mut().for_each(blank),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A string of RFC 9651 section 3.3.3: what it cannot hold is left out, and it has an end.
fn quoted(text: &str) -> String {
    const MOST: usize = 256;
    let text = blanked_target(text).map_or(Cow::Borrowed(text), Cow::Owned);
    let mut out = String::from('"');
    for c in text.chars().filter(|c| matches!(c, ' '..='~')).take(MOST) {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}
