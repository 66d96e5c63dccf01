//! An explanation for programs.

use serde_json::{Value, json};

use super::story::{
    Alternative, Answer, Check, Explanation, Identity, Party, Principal, Reading, Route, RouteSeen,
    Verdict,
};

impl Explanation {
    /// The explanation as a document; `docs/policy.md` describes it. Fields may be added.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut out = json!({
            "request": self.title,
            "at": self.at,
            "listener": &*self.listener,
            "decision": self.verdict.decision(),
            "answered_by": match self.verdict {
                Verdict::Forwarded => "upstream",
                Verdict::Answered | Verdict::Refused { .. } => "countersign",
                Verdict::Unjudged => "unknown",
            },
            "reason": self.verdict.reason(),
            "observed": self.observed,
            "reading": self.reading.as_ref().map(reading),
            "routes": self.routes.iter().map(seen).collect::<Value>(),
            "near": names(&self.near),
            "route": self.route.as_ref().map(route),
            "principal": self.principal.as_ref().map(principal),
            "actor": self.actor.as_ref().map(principal),
            "alternatives": self.alternatives.iter().map(alternative).collect::<Value>(),
            "caller": self.caller.as_deref(),
            "upstream": self.identity.as_ref().map(identity),
            "answer": self.answer.as_ref().map(answer),
            "notes": self.notes,
        });
        if let Value::Object(members) = &mut out {
            let checks = self.checks.iter().map(check).collect();
            members.insert("checks".to_owned(), checks);
            let meaning = self
                .meaning
                .map(|meaning| json!({"means": meaning.means, "look_at": meaning.look_at}));
            members.insert("meaning".to_owned(), json!(meaning));
        }
        out
    }
}

fn names(names: &[std::sync::Arc<str>]) -> Vec<&str> {
    names.iter().map(|name| &**name).collect()
}

fn pairs(pairs: &[(String, String)]) -> Value {
    pairs
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect()
}

fn reading(own: &Reading) -> Value {
    json!({
        "method": own.method,
        "target": own.target,
        "segments": own.segments,
        "trailing_slash": own.trailing_slash,
        "host": own.host,
        "client_address": own.client,
        "peer_address": own.peer,
        "dropped_headers": own.dropped,
    })
}

fn seen(own: &RouteSeen) -> Value {
    json!({
        "name": &*own.name,
        "path": own.path,
        "host": own.host,
        "host_matches": own.host_matches,
        "owns": own.owns,
    })
}

fn route(own: &Route) -> Value {
    json!({
        "name": &*own.name,
        "row": own.row,
        "parameters": pairs(&own.parameters),
        "asks": own.asks,
        "methods": own.methods,
        "observes_until": own.observes_until,
        "enforce": own.enforce,
    })
}

fn principal(own: &Principal) -> Value {
    match own {
        Principal::Anonymous => json!({"kind": "anonymous"}),
        Principal::Opaque => json!({"kind": "opaque"}),
        Principal::Known(party) => self::party(party),
    }
}

fn party(own: &Party) -> Value {
    json!({
        "kind": "known",
        "issuer": &*own.issuer,
        "subject": own.subject,
        "client": own.client,
        "account": own.account,
        "scopes": own.scopes,
        "roles": own.roles,
        "groups": own.groups,
        "expires": own.expires,
        "claims": own.claims,
        "signature_checked": own.verified,
    })
}

fn check(own: &Check) -> Value {
    json!({"what": own.what, "wanted": own.wanted, "found": own.found})
}

fn alternative(own: &Alternative) -> Value {
    let conditions = own.conditions.iter().map(|condition| {
        let mut out = check(&condition.check);
        if let Value::Object(members) = &mut out {
            members.insert("holds".to_owned(), json!(condition.holds));
        }
        out
    });
    json!({
        "name": own.name,
        "issuer": &*own.issuer,
        "of_issuer": own.of_issuer,
        "holds": own.holds,
        "decides": own.decides,
        "conditions": conditions.collect::<Value>(),
    })
}

fn identity(own: &Identity) -> Value {
    let assertion = own.assertion.as_ref();
    json!({
        "address": own.upstream,
        "headers": pairs(&own.headers),
        "assertion": assertion.map(|(header, claims)| json!({"header": header, "claims": claims})),
        "signed": own.signed,
        "authorization": own.authorization,
        "credential": own.credential.as_deref(),
    })
}

fn answer(own: &Answer) -> Value {
    // A name may come twice, so this is a list of pairs.
    let headers = own.headers.iter();
    let headers: Value = headers.map(|(name, value)| json!([name, value])).collect();
    json!({"status": own.status, "headers": headers, "body": own.body})
}
