//! From a case to its YAML document.

use serde_json::Value as Json;
use serde_yaml::{Mapping, Value};

use super::{Case, Claimed, Expect, Proof, Protocol, Request, Source, Token, TokenKind};
use crate::clock::UnixTime;
use crate::telemetry::timestamp::rfc3339;

pub(super) fn yaml(case: &Case) -> String {
    let mut out = Mapping::new();
    text(&mut out, "name", case.name.as_deref());
    put(&mut out, "request", request(&case.request));
    match &case.token {
        Some(Token {
            kind: TokenKind::Claims(claimed),
            source: Source::Bearer,
            ..
        }) if claimed.header.is_empty() && !claimed.forged && !claimed.keyless => {
            self::claimed(&mut out, claimed);
        }
        Some(one) => put(&mut out, "token", token(one)),
        None => {}
    }
    if let Some(actor) = &case.actor {
        put(&mut out, "actor", token(actor));
    }
    text(&mut out, "at", case.at.map(date).as_deref());
    if case.repeat != 1 {
        put(&mut out, "repeat", case.repeat);
    }
    if let Some(expect) = &case.expect {
        put(&mut out, "expect", self::expect(expect));
    }
    serde_yaml::to_string(&out).unwrap_or_default()
}

fn put(out: &mut Mapping, key: &str, value: impl Into<Value>) {
    out.insert(key.into(), value.into());
}

fn text(out: &mut Mapping, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        put(out, key, value);
    }
}

/// As [`crate::config::date`] reads it.
pub(crate) fn date(time: UnixTime) -> String {
    let mut out = Vec::new();
    rfc3339(&mut out, time, 0);
    let text = String::from_utf8(out).unwrap_or_default();
    text.replace(".000Z", "Z")
}

fn of_json(value: &Json) -> Value {
    serde_yaml::to_value(value).unwrap_or_default()
}

fn object(members: &super::Members) -> Value {
    let entries = members.iter();
    let entries = entries.map(|(key, value)| (Value::from(key.as_str()), of_json(value)));
    Value::Mapping(entries.collect())
}

fn request(request: &Request) -> Value {
    let plain = Request::new(&request.method, &request.target);
    if *request == plain && !request.target.contains(' ') {
        return format!("{} {}", request.method, request.target).into();
    }
    let mut out = Mapping::new();
    put(&mut out, "method", request.method.as_str());
    put(&mut out, "path", request.target.as_str());
    text(&mut out, "host", request.host.as_deref());
    let mut headers = Mapping::new();
    for (name, value) in &request.headers {
        match headers.get_mut(name.as_str()) {
            Some(Value::Sequence(values)) => values.push(value.as_str().into()),
            Some(first) => {
                *first = Value::Sequence(vec![first.clone(), value.as_str().into()]);
            }
            None => put(&mut headers, name, value.as_str()),
        }
    }
    if !headers.is_empty() {
        put(&mut out, "headers", headers);
    }
    text(
        &mut out,
        "peer",
        request.peer.map(|peer| peer.to_string()).as_deref(),
    );
    text(&mut out, "listener", request.listener.as_deref());
    if request.protocol != Protocol::default() {
        put(&mut out, "protocol", request.protocol.as_str());
    }
    if let Some(length) = request.body {
        put(&mut out, "body", length);
    }
    if let Some(certificate) = &request.certificate {
        let mut names = Mapping::new();
        let list = |values: &[String]| -> Value {
            Value::Sequence(values.iter().map(|value| value.as_str().into()).collect())
        };
        if !certificate.dns.is_empty() {
            put(&mut names, "dns", list(&certificate.dns));
        }
        if !certificate.uris.is_empty() {
            put(&mut names, "uri", list(&certificate.uris));
        }
        if !certificate.sha256.is_empty() {
            put(&mut names, "sha256", certificate.sha256.as_str());
        }
        put(&mut out, "client_certificate", names);
    }
    Value::Mapping(out)
}

fn claimed(out: &mut Mapping, claimed: &Claimed) {
    text(out, "issuer", claimed.issuer.as_deref());
    if !claimed.claims.is_empty() {
        put(out, "claims", object(&claimed.claims));
    }
}

fn token(token: &Token) -> Value {
    let mut out = Mapping::new();
    match &token.kind {
        TokenKind::Claims(one) => {
            claimed(&mut out, one);
            if !one.header.is_empty() {
                put(&mut out, "header", object(&one.header));
            }
            if one.forged {
                put(&mut out, "signature", "bad");
            }
            if one.keyless {
                put(&mut out, "keys", "unavailable");
            }
        }
        // The token itself is nobody's to read.
        TokenKind::Real(_) => put(&mut out, "value", "…"),
    }
    if token.source != Source::default() {
        put(&mut out, "source", token.source.word());
    }
    if token.proof != Proof::default() {
        put(&mut out, "proof", proof(&token.proof));
    }
    Value::Mapping(out)
}

fn proof(proof: &Proof) -> Value {
    let mut out = Mapping::new();
    for (key, members) in [("claims", &proof.claims), ("header", &proof.header)] {
        if !members.is_empty() {
            put(&mut out, key, object(members));
        }
    }
    if proof.forged {
        put(&mut out, "signature", "bad");
    }
    if proof.other_key {
        put(&mut out, "key", "other");
    }
    if proof.count != 1 {
        put(&mut out, "count", proof.count);
    }
    Value::Mapping(out)
}

fn expect(expect: &Expect) -> Value {
    let mut out = Mapping::new();
    text(
        &mut out,
        "decision",
        expect.decision.map(|decision| decision.as_str()),
    );
    if let Some(status) = expect.status {
        put(&mut out, "status", status);
    }
    text(&mut out, "reason", expect.reason.as_deref());
    text(&mut out, "observed", expect.observed.as_deref());
    text(&mut out, "route", expect.route.as_deref());
    if let Some(caller) = &expect.caller {
        let caller = caller
            .as_deref()
            .map_or(Value::Null, |caller| caller.into());
        put(&mut out, "caller", caller);
    }
    let mut identity = Mapping::new();
    for (name, value) in &expect.identity {
        let value = value.as_deref().map_or(Value::Null, |value| value.into());
        put(&mut identity, name, value);
    }
    if !identity.is_empty() {
        put(&mut out, "identity", identity);
    }
    if !expect.assertion.is_empty() {
        put(&mut out, "assertion", object(&expect.assertion));
    }
    Value::Mapping(out)
}
