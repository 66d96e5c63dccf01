//! What the form of the status page asks: a request and claims, or a recorded request by its id. Never a token: what is asked
//! stands in a URL, and browsers keep those.

use serde_json::Value;

use super::AdminState;
use crate::case::{Case, Claimed, Members, Request};
use crate::explain::{Again, Explainer, Explanation};
use crate::telemetry::{blanked_target, holds_token, percent_decoded};

/// The fields of the form, as they were filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Form {
    /// `GET /path`, or a path alone.
    pub(super) request: String,
    /// The name of the listener; empty: the first.
    pub(super) listener: String,
    /// `Host`.
    pub(super) host: String,
    /// The address of the client.
    pub(super) from: String,
    /// The configured name of the token's issuer.
    pub(super) issuer: String,
    /// What the token says, a JSON object.
    pub(super) claims: String,
    /// In place of all that: the id of a request that was refused lately.
    pub(super) id: String,
}

/// What came of asking.
#[derive(Debug)]
pub(super) enum Told {
    /// Nothing was asked.
    Nothing,
    /// What becomes of the request.
    Request(Box<Explanation>),
    /// What became of a recorded one, and what would now.
    Record(Box<Again>),
    /// Why there is no explanation, in words.
    Refused(String),
}

/// A question with its answer.
#[derive(Debug)]
pub(super) struct Asked {
    /// As it is shown again; empty where it held a token.
    pub(super) form: Form,
    pub(super) told: Told,
}

const TOKEN: &str = "That holds a token, or something that looks like one. It was not looked at and is not repeated here, but it stood \
in a URL: the browser remembers it. Let it be revoked or run out. Ask with the claims of a token, or give the token itself to \
`countersign explain --token-file`.";

impl Asked {
    /// Nothing was asked.
    pub(super) fn nothing() -> Self {
        Self {
            form: Form::default(),
            told: Told::Nothing,
        }
    }

    /// Answers the query of `/explain`, `application/x-www-form-urlencoded`. Nothing is sent, fetched or counted.
    pub(super) fn answer(query: &str, state: &AdminState) -> Self {
        // Before anything is taken apart, so that no part of a token can stay behind; `holds_token` decodes once more.
        if holds_token(&decoded(query)) || holds_token(query) {
            return Self {
                form: Form::default(),
                told: Told::Refused(TOKEN.to_owned()),
            };
        }
        let form = Form::read(query);
        let told = match form.is_empty() {
            true => Ok(Told::Nothing),
            false => (state.explainer)().and_then(|explainer| form.answer(&explainer, state)),
        };
        Self {
            told: told.unwrap_or_else(Told::Refused),
            form,
        }
    }
}

impl Form {
    fn read(query: &str) -> Self {
        let mut form = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let field = match name {
                "request" => &mut form.request,
                "listener" => &mut form.listener,
                "host" => &mut form.host,
                "from" => &mut form.from,
                "issuer" => &mut form.issuer,
                "claims" => &mut form.claims,
                "id" => &mut form.id,
                _ => continue,
            };
            decoded(value).trim().clone_into(field);
        }
        // The query takes no part in any decision: parameters that carry credentials need not be repeated.
        if let Some(blanked) = blanked_target(&form.request) {
            form.request = blanked;
        }
        form
    }

    fn is_empty(&self) -> bool {
        self.request.is_empty() && self.id.is_empty()
    }

    fn answer(&self, explainer: &Explainer, state: &AdminState) -> Result<Told, String> {
        if self.id.is_empty() {
            let told = explainer.explain(&self.case()?, state.clock.now().unix);
            return told
                .map(|told| Told::Request(Box::new(told)))
                .map_err(|error| error.to_string());
        }
        let records = state.telemetry.recent_refusals();
        let mut records = records
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let id = Value::from(self.id.as_str());
        let record = records.find(|record| record.get("request_id") == Some(&id));
        let record = record.ok_or(
            "That request is not among the recent refusals any more; `countersign explain --log FILE --request-id ID` reads a log.",
        )?;
        let again = explainer.explain_record(&record);
        again
            .map(|again| Told::Record(Box::new(again)))
            .map_err(|error| error.to_string())
    }

    fn case(&self) -> Result<Case, String> {
        let mut words = self.request.split_whitespace();
        let (method, target) = match (words.next(), words.next(), words.next()) {
            (Some(target), None, None) => ("GET", target),
            (Some(method), Some(target), None) => (method, target),
            _ => return Err("A request is written METHOD /path.".to_owned()),
        };
        let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let mut request = Request::new(method, target);
        request.host = some(&self.host);
        request.listener = some(&self.listener);
        request.peer = some(&self.from)
            .map(|from| from.parse())
            .transpose()
            .map_err(|_| "The client's address is no IP address.".to_owned())?;
        let mut case = Case::new(request);
        let claims: Option<Members> = some(&self.claims)
            .map(|claims| serde_json::from_str(&claims))
            .transpose()
            .map_err(|error| format!("The claims are no JSON object: {error}."))?;
        let issuer = some(&self.issuer);
        if claims.is_some() || issuer.is_some() {
            let claimed = Claimed::new(issuer.as_deref(), claims.unwrap_or_default());
            case.token = Some(claimed.into());
        }
        Ok(case)
    }
}

fn decoded(text: &str) -> String {
    String::from_utf8_lossy(&percent_decoded(&text.replace('+', " "))).into_owned()
}
