//! The answer to a `TokenReview` (authentication.k8s.io/v1), turned into the claims that a projected ServiceAccount token
//! itself has: policy does not know which of the two was looked at.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Review, ReviewFault, document};
use crate::authn::Claims;
use crate::authn::json::{Json, Members};
use crate::authn::verify::service_account;

type Faulty<T> = Result<T, ReviewFault>;

const VERSION: &str = "authentication.k8s.io/v1";

pub(super) fn read(body: &[u8], asked: &[String]) -> Faulty<Review> {
    let answer = document(body)?;
    let members = answer.members();
    let says = |name: &str, value: &str| members.get(name).and_then(Json::as_str) == Some(value);
    if !says("apiVersion", VERSION) || !says("kind", "TokenReview") {
        return Err(ReviewFault::Document(
            "it is no TokenReview of authentication.k8s.io/v1",
        ));
    }
    let status = members.get("status").and_then(Json::as_object);
    let status = status.ok_or(ReviewFault::Document("it has no `status`"))?;
    let error = text(status, "error", "its `status.error` is no text")?;
    match status.get("authenticated") {
        Some(Json::Bool(true)) if error.is_empty() => {}
        Some(Json::Bool(true)) => {
            return Err(ReviewFault::Document(
                "it says `authenticated` and has an `error`",
            ));
        }
        // `false` is left out of the document. The error that comes with it is about the token: expired, its pod gone.
        Some(Json::Bool(false)) | None => return Ok(Review::Inactive),
        Some(_) => {
            return Err(ReviewFault::Document(
                "its `status.authenticated` is no boolean",
            ));
        }
    }
    let user = status.get("user").and_then(Json::as_object);
    let user = user.ok_or(ReviewFault::Document("it has no `status.user`"))?;
    let audiences = texts(
        status,
        "audiences",
        "its `status.audiences` is no list of texts",
    )?;
    claims(user, audiences, asked).map(|claims| Review::Active(Arc::new(claims)))
}

/// In the shape of a projected token. What the document says beyond that is left out.
fn claims(user: Members<'_>, audiences: Vec<&str>, asked: &[String]) -> Faulty<Claims> {
    let username = text(user, "username", "its `status.user.username` is no text")?;
    if username.is_empty() {
        return Err(ReviewFault::Document("it has no `status.user.username`"));
    }
    let uid = text(user, "uid", "its `status.user.uid` is no text")?;
    let groups = texts(
        user,
        "groups",
        "its `status.user.groups` is no list of texts",
    )?;
    let extra = Extra::of(user)?;
    // A server that knows nothing of audiences leaves them out, and so does one that took the token for its own: only what
    // was asked for shows that the token was made for us.
    let audiences = audiences
        .into_iter()
        .filter(|audience| asked.iter().any(|own| own == audience));
    let mut members = Map::new();
    members.insert("sub".into(), username.into());
    members.insert("aud".into(), audiences.collect());
    if !groups.is_empty() {
        members.insert("groups".into(), groups.into());
    }
    if let Some(id) = extra
        .only("credential-id")?
        .and_then(|id| id.strip_prefix("JTI="))
    {
        members.insert("jti".into(), id.into());
    }
    if let Some((namespace, name)) = service_account(username) {
        let mut kubernetes = Map::new();
        kubernetes.insert("namespace".into(), namespace.into());
        kubernetes.insert("serviceaccount".into(), object(Some(name), uid));
        for (what, name, uid) in [
            ("pod", "pod-name", "pod-uid"),
            ("node", "node-name", "node-uid"),
        ] {
            let (name, uid) = (extra.only(name)?, extra.only(uid)?.unwrap_or_default());
            if name.is_some() {
                kubernetes.insert(what.into(), object(name, uid));
            }
        }
        members.insert("kubernetes.io".into(), kubernetes.into());
    }
    Ok(Claims::parse(
        Value::Object(members).to_string().as_bytes(),
    )?)
}

/// `status.user.extra`: names to lists of texts.
struct Extra<'a>(Option<Members<'a>>);

impl<'a> Extra<'a> {
    fn of(user: Members<'a>) -> Faulty<Self> {
        match user.get("extra") {
            None | Some(Json::Null) => Ok(Self(None)),
            Some(Json::Object(extra)) => Ok(Self(Some(extra))),
            Some(_) => Err(ReviewFault::Document(
                "its `status.user.extra` is no mapping",
            )),
        }
    }

    /// The one value of `authentication.kubernetes.io/NAME`.
    fn only(&self, name: &str) -> Faulty<Option<&'a str>> {
        const WRONG: &str = "a list in its `status.user.extra` has not exactly one text";
        let name = format!("authentication.kubernetes.io/{name}");
        let Some(value) = self.0.and_then(|extra| extra.get(&name)) else {
            return Ok(None);
        };
        match value.as_list().filter(|list| list.len() == 1) {
            Some(list) => list.iter().next().and_then(Json::as_str).map(Some),
            None => None,
        }
        .ok_or(ReviewFault::Document(WRONG))
    }
}

/// A text; empty where it is absent.
fn text<'a>(members: Members<'a>, name: &str, wrong: &'static str) -> Faulty<&'a str> {
    match members.get(name) {
        None | Some(Json::Null) => Ok(""),
        Some(Json::Text(text)) => Ok(text),
        Some(_) => Err(ReviewFault::Document(wrong)),
    }
}

/// A list of texts; empty where it is absent. One text is no list here.
fn texts<'a>(members: Members<'a>, name: &str, wrong: &'static str) -> Faulty<Vec<&'a str>> {
    match members.get(name) {
        None | Some(Json::Null) => Ok(Vec::new()),
        Some(list @ Json::List(_)) => list.as_strings().ok_or(ReviewFault::Document(wrong)),
        Some(_) => Err(ReviewFault::Document(wrong)),
    }
}

/// `{name, uid}`, without what is absent.
fn object(name: Option<&str>, uid: &str) -> Value {
    let uid = Some(uid).filter(|uid| !uid.is_empty());
    let members = [("name", name), ("uid", uid)]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?))));
    Value::Object(members.collect())
}
