//! A decision record, explained once more: the request as far as a record has it, under the configuration that is given.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::meaning::Meaning;
use super::story::{Explanation, Verdict};
use super::{CaseError, Explainer};
use crate::authn::{ClaimPath, IssuerSettings};
use crate::case::{Case, Claimed, Members, Protocol, RealToken, Request, Token};
use crate::clock::UnixTime;
use crate::config::{Config, date};
use crate::rejection::Decision;

/// What a record says of the decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// When it ended, as written.
    pub time: String,
    /// `allowed`, `denied` or `errored`.
    pub decision: String,
    /// Why.
    pub reason: Option<String>,
    /// The status of the answer.
    pub status: Option<u64>,
    /// The route.
    pub route: Option<String>,
    /// The caller.
    pub caller: Option<String>,
    /// The generation of the configuration that decided.
    pub generation: Option<u64>,
}

/// A record, explained.
#[derive(Clone, Debug)]
pub struct Again {
    /// What was decided.
    pub recorded: Recorded,
    /// What is decided now, and why.
    pub now: Explanation,
    /// Whether the two are the same; `None` where a record does not say enough to tell.
    pub same: Option<bool>,
}

/// Why a record cannot be explained.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It is about a connection, or has no method and target.
    #[error("the record has no request: it ended before one was read")]
    NoRequest,
    /// The configuration is another one's.
    #[error(transparent)]
    Case(#[from] CaseError),
}

impl Explainer {
    /// Explains a record of `docs/decision-record.md` under this configuration.
    ///
    /// # Errors
    /// It has no request, or one of another configuration.
    pub fn explain_record(&self, record: &Value) -> Result<Again, RecordError> {
        let read = Read { record };
        let recorded = read.recorded();
        let mut notes = Vec::new();
        let case = read
            .case(&self.config, &mut notes)
            .ok_or(RecordError::NoRequest)?;
        let mut told = self.explain(&case, UnixTime::default())?;
        told.notes.extend(notes);
        let same_reason = told.verdict.reason() == recorded.reason.as_deref();
        let missing = if read.credential_is_unknown() {
            Some("credential")
        } else if read.fields_are_unknown() && !same_reason {
            Some("header fields")
        } else {
            None
        };
        if let Some(missing) = missing {
            stands(&mut told, &recorded, missing);
        }
        let unknown = missing.is_some();
        let reached = is_beyond_policy(recorded.reason.as_deref());
        let same = match (unknown, told.verdict) {
            (true, _) | (_, Verdict::Unjudged) => None,
            (false, verdict) if reached => Some(verdict.decision() == Decision::Allowed.as_str()),
            (false, verdict) => {
                let reason = verdict.reason();
                Some(
                    verdict.decision() == recorded.decision && reason == recorded.reason.as_deref(),
                )
            }
        };
        if reached && let Some(reason) = &recorded.reason {
            told.meaning = Meaning::of(reason);
        }
        Ok(Again {
            recorded,
            now: told,
            same,
        })
    }
}

impl Explainer {
    /// What this configuration makes of a recorded request at `at`, as far as a record has it; and whether it had a credential
    /// that the record does not tell of, so that it was asked here without one.
    pub(crate) fn replay(
        &self,
        record: &Value,
        at: UnixTime,
    ) -> Result<(Explanation, bool), RecordError> {
        let read = Read { record };
        let case = read.case(&self.config, &mut Vec::new());
        let mut case = case.ok_or(RecordError::NoRequest)?;
        case.at = Some(at);
        if let Some(protocol) = read.text("upgrade") {
            let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            case.request.headers.push(own("connection", "upgrade"));
            case.request.headers.push(own("upgrade", protocol));
        }
        Ok((self.explain(&case, at)?, read.credential_is_unknown()))
    }
}

/// What was wrong with something that no record has, only the record can tell.
fn stands(told: &mut Explanation, recorded: &Recorded, missing: &str) {
    let known = recorded.reason.as_deref().and_then(Meaning::of);
    let Some(meaning) = known else { return };
    told.verdict = Verdict::Refused {
        decision: match recorded.decision.as_str() {
            "errored" => Decision::Errored,
            _ => Decision::Denied,
        },
        reason: meaning.reason,
    };
    told.meaning = Some(meaning);
    told.answer = None;
    told.identity = None;
    told.principal = None;
    told.alternatives.clear();
    told.notes.push(format!(
        "the record does not have the {missing}: the reason is the recorded one, and only the reading of the request and its route were made anew"
    ));
}

/// Whether policy had let the request pass when it failed.
fn is_beyond_policy(reason: Option<&str>) -> bool {
    reason.is_some_and(|reason| {
        [
            "upstream_",
            "client_gone",
            "body_timeout",
            "overloaded",
            "draining",
            "internal",
        ]
        .iter()
        .any(|own| reason.starts_with(own))
    })
}

struct Read<'a> {
    record: &'a Value,
}

impl Read<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        self.record.get(key).and_then(Value::as_str)
    }

    fn recorded(&self) -> Recorded {
        let own = |key: &str| self.text(key).map(str::to_owned);
        let number = |key: &str| self.record.get(key).and_then(Value::as_u64);
        Recorded {
            time: own("time").unwrap_or_default(),
            decision: own("decision").unwrap_or_default(),
            reason: own("reason"),
            status: number("status"),
            route: own("route"),
            caller: own("caller"),
            generation: number("generation"),
        }
    }

    /// Whether the request had a credential that the record does not tell of: it was refused before it held.
    fn credential_is_unknown(&self) -> bool {
        let reason = self
            .text("reason")
            .or(self.text("observed"))
            .unwrap_or_default();
        ["token_", "dpop_", "actor_", "keys_", "several_credentials"]
            .iter()
            .any(|own| reason.starts_with(own))
            && reason != "token_unavailable"
    }

    /// Whether it was refused for what may have stood in its header fields, which no record has.
    fn fields_are_unknown(&self) -> bool {
        let reason = self.text("reason").unwrap_or_default();
        ["malformed_", "head_", "expectation_", "upgrade_not_"]
            .iter()
            .any(|own| reason.starts_with(own))
    }

    fn case(&self, config: &Config, notes: &mut Vec<String>) -> Option<Case> {
        let mut request = Request::new(self.text("method")?, self.text("target")?);
        request.host = self.text("host").map(str::to_owned);
        request.listener = self.text("listener").map(str::to_owned);
        request.protocol = match self.text("protocol") {
            Some("HTTP/2") => Protocol::Http2,
            Some("HTTP/1.0") => Protocol::Http10,
            _ => Protocol::Http11,
        };
        let address = |key: &str| self.text(key).and_then(|text| text.parse::<IpAddr>().ok());
        let client = address("client_address");
        request.peer = address("peer_address").or(client);
        if let (Some(client), Some(peer)) = (client, request.peer)
            && client != peer
        {
            let forwarded = ("x-forwarded-for".to_owned(), client.to_string());
            request.headers.push(forwarded);
        }
        notes.push("a record has no header fields: what depends on one (a preflight, an upgrade, an actor's token) cannot be told from it".to_owned());
        if self.record.to_string().contains("[redacted]") {
            notes.push(
                "parts of the record are redacted, and stand in the request as they are written"
                    .to_owned(),
            );
        }
        let mut case = Case::new(request);
        case.at = self.text("time").and_then(time);
        case.token = self.token(config, notes);
        Some(case)
    }

    fn token(&self, config: &Config, notes: &mut Vec<String>) -> Option<Token> {
        if self.text("principal") == Some("opaque") {
            return Some(RealToken::new("opaque").into());
        }
        let name = self.text("issuer")?;
        let issuer = config.issuers.iter().map(|(issuer, _)| issuer);
        let issuer = issuer.into_iter().find(|issuer| *issuer.name == *name)?;
        let mut claims = Map::new();
        self.parties(issuer, &mut claims, notes);
        for (path, value) in self
            .record
            .get("claims")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            if let Ok(path) = ClaimPath::parse(path) {
                put(&mut claims, &path, value.clone());
            }
        }
        Some(Claimed::new(Some(name), claims).into())
    }

    /// What policy calls subject, client, account and scopes goes back to where this issuer keeps it.
    fn parties(&self, issuer: &IssuerSettings, claims: &mut Members, notes: &mut Vec<String>) {
        let mappings = &issuer.claim_mappings;
        let homes = [
            ("subject", &mappings.subject),
            ("client", &mappings.client),
            ("account", &mappings.account),
        ];
        for (key, homes) in homes {
            if let (Some(value), Some(home)) = (self.text(key), homes.first()) {
                if value.starts_with("hmac:") {
                    notes.push("the record has the subject's hash: conditions on it are not those of the request".to_owned());
                }
                put(claims, home, json!(value));
            }
        }
        let scopes = self.record.get("scopes").and_then(Value::as_array);
        if let (Some(scopes), Some(home)) = (scopes, mappings.scopes.first()) {
            let scopes: Vec<&str> = scopes.iter().filter_map(Value::as_str).collect();
            put(claims, home, json!(scopes.join(" ")));
        }
        notes.push(
            "roles and groups are not in a record unless a condition on `claims` reads them"
                .to_owned(),
        );
    }
}

/// Puts a value where `path` finds it.
fn put(claims: &mut Members, path: &ClaimPath, value: Value) {
    let mut names = path.names().iter();
    let Some(last) = names.next_back() else {
        return;
    };
    let mut members = claims;
    for name in names {
        let next = members.entry(name.clone()).or_insert_with(|| json!({}));
        let Value::Object(inner) = next else { return };
        members = inner;
    }
    members.insert(last.clone(), value);
}

/// A record's time, without its milliseconds.
fn time(text: &str) -> Option<UnixTime> {
    let whole = text.split('.').next().unwrap_or_default();
    date(&format!("{}Z", whole.trim_end_matches('Z'))).ok()
}
