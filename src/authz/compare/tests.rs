//! The comparison, held to brute force over an enumerated space of requests, and to what people expect of small examples.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;
use http::{HeaderName, HeaderValue, Method, Request};
use serde_json::{Map, Value, json};

use super::*;
use crate::authn::{
    self, Audiences, ClaimMappings, ClaimPath, Claims, Issuer, IssuerSettings, Issuers, KeyCell,
    KeyIdRule, Known, Principal, TokenSources, Verified,
};
use crate::authz::*;
use crate::clock::{Now, Tick, UnixTime};
use crate::proxy::{CorsSettings, Preflight};
use crate::request::{Canonical, ClientCertificate, Connection, RequestRules};

mod brute;
mod examples;
mod random;
mod space;

const NOW: Now = Now {
    unix: UnixTime::from_secs(1_800_000_000),
    tick: Tick::from_nanos(1_000_000_000),
};

thread_local! {
    static RULES: Rc<RequestRules> = Rc::new(RequestRules::default());
}

fn settings(name: &str) -> IssuerSettings {
    IssuerSettings {
        name: name.into(),
        issuers: vec![format!("https://{name}")],
        audiences: Audiences::AnyOf(vec!["api".to_owned()]),
        clients: None,
        algorithms: Vec::new(),
        leeway: Duration::from_secs(10),
        required_claims: vec!["exp".to_owned()],
        token_types: vec!["jwt".to_owned(), String::new()],
        max_lifetime: Some(Duration::from_secs(3600)),
        kubernetes: false,
        claim_mappings: ClaimMappings {
            account: vec![ClaimPath::top("account")],
            ..ClaimMappings::default()
        },
        scope_implies: BTreeMap::new(),
        key_id: KeyIdRule::Required,
        token_sources: TokenSources::default(),
        token_bytes: 4096,
        dpop: None,
    }
}

fn issuers(all: Vec<IssuerSettings>) -> Issuers {
    let issuer = |settings| Arc::new(Issuer::new(settings, Arc::new(KeyCell::default())));
    Issuers::new(all.into_iter().map(issuer).collect())
}

fn policy(cors: Option<CorsSettings>, routes: impl IntoIterator<Item = RouteSettings>) -> Policy {
    let mut builder = PolicyBuilder::default();
    builder.listener(&"inbound".into(), cors);
    for route in routes {
        // What conflicts with an earlier one is left out, as in a configuration that was mended.
        let _taken = builder.route(route);
    }
    builder.build()
}

/// Token and second token, as authentication would have them.
fn parties(
    routed: &Routed<()>,
    witness: &Witness,
    issuers: &Issuers,
) -> Option<(Principal, Option<Rc<Verified>>)> {
    let demand = routed.demand();
    if demand == Demand::Public {
        return Some((Principal::Anonymous, None));
    }
    let claims = |claims: &Map<String, Value>| {
        Claims::parse(Value::Object(claims.clone()).to_string().as_bytes()).unwrap()
    };
    let principal = match &witness.token {
        Presented::None if demand.takes_anonymous() => Principal::Anonymous,
        Presented::Opaque if demand.takes_opaque() => Principal::Opaque,
        Presented::None | Presented::Opaque | Presented::Bad => return None,
        Presented::Claims(own) => {
            Principal::Known(authn::assumed(&claims(own), None, issuers, NOW).ok()?)
        }
    };
    let second = match (routed.actor_token(), &witness.second) {
        (None, _) => None,
        (Some(wanted), Presented::None) => {
            if wanted.required {
                return None;
            }
            None
        }
        (Some(wanted), Presented::Claims(own)) => {
            let verified = authn::assumed(&claims(own), Some(&wanted.issuer), issuers, NOW);
            Some(verified.ok()?)
        }
        (Some(_), _) => return None,
    };
    Some((principal, second))
}

/// What the upstream would see of a request that passes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    known: bool,
    caller: Option<String>,
    second: bool,
    forwards: bool,
}

/// The decision on a described request, by the proxy's own steps.
fn decide(policy: &Policy, issuers: &Issuers, witness: &Witness) -> Option<Seen> {
    let mut request = Request::new(());
    *request.method_mut() = witness.method.clone();
    *request.uri_mut() = witness.target.parse().unwrap();
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_str(&witness.host).unwrap());
    for (name, value) in &witness.headers {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    let (parts, ()) = request.into_parts();
    let connection = Arc::new(Connection {
        listener: Arc::clone(&witness.listener),
        peer: witness.client,
        tls: false,
        unix: false,
        client_certificate: witness.certificate.clone(),
    });
    let rules = RULES.with(Rc::clone);
    let read = Canonical::parse(parts, (), &connection, &rules).ok()?;
    let routed = read.route(policy, NOW).ok()?;
    let (principal, second) = parties(&routed, witness, issuers)?;
    let forward = routed.route().authorization() == AuthorizationHeader::Forward;
    let seen = Seen {
        known: matches!(principal, Principal::Known(_)),
        caller: None,
        second: second.is_some(),
        forwards: witness.token != Presented::None
            && (forward || matches!(principal, Principal::Opaque)),
    };
    let allowed = Known::for_test(routed, principal, second)
        .authorize(NOW)
        .ok()?;
    Some(Seen {
        caller: allowed.caller().map(ToString::to_string),
        ..seen
    })
}

/// How the decisions on a request differ.
fn effects(old: Option<&Seen>, new: Option<&Seen>, tells_caller: bool) -> Vec<Effect> {
    let (old, new) = match (old, new) {
        (None, None) => return Vec::new(),
        (None, Some(_)) => return vec![Effect::Wider],
        (Some(_), None) => return vec![Effect::Narrower],
        (Some(old), Some(new)) => (old, new),
    };
    let mut all = Vec::new();
    if old.known != new.known {
        all.push(Change::Told { now: new.known });
    } else if tells_caller && old.caller != new.caller {
        all.push(Change::Caller {
            from: old.caller.as_deref().map(Into::into),
            to: new.caller.as_deref().map(Into::into),
        });
    }
    if old.second != new.second {
        all.push(Change::Second { now: new.second });
    }
    if old.forwards != new.forwards {
        all.push(Change::Authorization { now: new.forwards });
    }
    all.into_iter().map(Effect::Identity).collect()
}

/// Whether the witness of a difference shows it.
fn is_confirmed(
    difference: &Difference,
    old: (&Policy, &Issuers),
    new: (&Policy, &Issuers),
    tells_caller: bool,
) -> bool {
    let before = decide(old.0, old.1, &difference.witness);
    let after = decide(new.0, new.1, &difference.witness);
    effects(before.as_ref(), after.as_ref(), tells_caller).contains(&difference.effect)
        && difference.old.decision.is_ok() == before.is_some()
        && difference.new.decision.is_ok() == after.is_some()
}
