//! `issuers`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Scope, keys, reviews, twins};
use crate::authn::{
    Algorithm, Audiences, ClaimMappings, ClaimPath, DpopSettings, IssuerSettings, KeyIdRule,
    TokenSources,
};
use crate::config::Code;
use crate::config::VerifierSettings;
use crate::config::node::{Node, Value};
use crate::config::problem::Place;
use crate::config::scalar;
use crate::config::schema::{CLAIM_MAPPINGS, DPOP, ISSUER, JWKS};
use crate::config::suggest;
use crate::config::view::View;
use crate::jwks::KeySourceSettings;
use crate::listener::{Limits, ListenerSettings};

const ALGORITHMS: [(&str, Algorithm); 10] = [
    ("RS256", Algorithm::Rs256),
    ("RS384", Algorithm::Rs384),
    ("RS512", Algorithm::Rs512),
    ("PS256", Algorithm::Ps256),
    ("PS384", Algorithm::Ps384),
    ("PS512", Algorithm::Ps512),
    ("ES256", Algorithm::Es256),
    ("ES384", Algorithm::Es384),
    ("EdDSA", Algorithm::EdDsa),
    ("Ed25519", Algorithm::Ed25519),
];

/// `max_lifetime` of ServiceAccount tokens where it is not written.
const LONGEST_SERVICE_ACCOUNT: Duration = Duration::from_secs(24 * 60 * 60);

/// All issuers.
pub(super) fn compile(
    root: &View<'_>,
    listeners: &[ListenerSettings],
    scope: &mut Scope<'_>,
) -> Vec<(IssuerSettings, VerifierSettings)> {
    let token_bytes = listeners
        .first()
        .map_or(Limits::default().token_bytes, |listener| {
            listener.limits.token_bytes
        });
    let mut out = Vec::new();
    let mut names: BTreeMap<&str, &Place> = BTreeMap::new();
    let mut values: BTreeMap<&str, (&str, &Place)> = BTreeMap::new();
    for node in root.items("issuers") {
        let view = View::new(node, &ISSUER);
        let name = view.text("name").unwrap_or_default();
        if let Some(first) = names.insert(name, view.place("name"))
            && !name.is_empty()
        {
            let line = first.line;
            scope.report.find(
                Code::Ambiguous,
                view.place("name"),
                format!("two issuers are called `{name}`; the other is at line {line}"),
            );
        }
        for node in view.items("issuer") {
            let Some(iss) = node.text() else { continue };
            match values.insert(iss, (name, &node.at)) {
                Some((other, first)) if other != name => scope.report.find_try(
                    Code::Ambiguous,
                    &node.at,
                    format!("`{other}` (line {}) and `{name}` share the issuer {}: a token could be taken for either's", first.line, node.shown()),
                    "make them one issuer, and tell callers apart by conditions",
                ),
                _ => near_twin(node, iss, &values, scope),
            }
        }
        let compiled = issuer(&view, token_bytes, scope);
        if let Some((_, VerifierSettings::Keys(keys))) = &compiled {
            own_cache(&view, keys, &out, scope);
        }
        out.extend(compiled);
    }
    reviews::one_opaque(root, scope);
    out
}

/// Two sources in one file would throw out each other's copy, and neither would survive a restart.
fn own_cache(
    view: &View<'_>,
    keys: &KeySourceSettings,
    others: &[(IssuerSettings, VerifierSettings)],
    scope: &mut Scope<'_>,
) {
    let other = others.iter().find(|(_, other)| {
        let other = other.keys().and_then(|other| other.cache.as_ref());
        keys.cache.is_some() && other == keys.cache.as_ref()
    });
    if let Some((other, _)) = other {
        scope.report.error(
            view.sub("jwks", &JWKS).place("cache"),
            format!("`{}` keeps its keys in this file already", other.name),
        );
    }
}

/// Words that look like more than they are.
pub(super) fn no_wildcards(items: &[Node], scope: &mut Scope<'_>) {
    for node in items {
        if node.text() == Some("*") {
            scope.report.find_try(
                Code::Wildcard,
                &node.at,
                "`*` would be compared as it stands: there are no wildcards",
                "name the values, or leave the key out",
            );
        }
    }
}

/// Two values that differ in a trailing slash or in case are most often one slip.
fn near_twin(
    node: &Node,
    iss: &str,
    values: &BTreeMap<&str, (&str, &Place)>,
    scope: &mut Scope<'_>,
) {
    let same = |other: &str| twins::skeleton(other) == twins::skeleton(iss);
    if let Some((other, _)) = values
        .iter()
        .find(|(other, _)| **other != iss && same(other))
    {
        scope.report.find_try(
            Code::LookAlike,
            &node.at,
            format!("looks like `{other}`, and differs from it in case, a slash at the end, or letters that look alike"),
            "`iss` is compared byte for byte: write it as the tokens have it",
        );
    }
}

fn issuer(
    view: &View<'_>,
    token_bytes: usize,
    scope: &mut Scope<'_>,
) -> Option<(IssuerSettings, VerifierSettings)> {
    let issuers = view.texts("issuer");
    let audiences = audiences(view, scope);
    let verifier = verifier(view, &issuers, audiences.as_ref(), scope);
    let algorithms = algorithms(view, scope);
    if view.text("name") == Some("anonymous") {
        scope.report.find(
            Code::Ambiguous,
            view.place("name"),
            "`anonymous` is reserved: assertions say it of requests without a token",
        );
    }
    let clients = view.has("clients").then(|| view.texts("clients"));
    let kubernetes = view.flag("kubernetes");
    for key in [
        "audiences",
        "clients",
        "token_types",
        "required_claims",
        "scopes_supported",
    ] {
        no_wildcards(view.items(key), scope);
    }
    if audiences == Some(Audiences::Unchecked) && kubernetes {
        scope.report.error_try(
            view.place("audiences"),
            "tokens of ServiceAccounts must be made for us: with `unchecked`, every service that a pod sends a token to could use it here",
            "audiences: [usage-api], the `audience` of the pod's projected token",
        );
    } else if audiences == Some(Audiences::Unchecked) && clients.is_none() {
        scope.report.find_try(
            Code::AudienceUnchecked,
            view.place("audiences"),
            "neither `aud` nor the client is checked: a token that this issuer made for any other service is taken",
            "name `clients`, or the audience that tokens for this service have",
        );
    }
    let settings = IssuerSettings {
        name: Arc::from(view.text("name")?),
        issuers,
        audiences: audiences?,
        clients,
        algorithms,
        leeway: view.span("leeway"),
        required_claims: required_claims(view),
        token_types: token_types(view, scope),
        // Nobody can take a ServiceAccount's token back before it ends (invariant 17).
        max_lifetime: view
            .duration("max_lifetime")
            .or(kubernetes.then_some(LONGEST_SERVICE_ACCOUNT)),
        kubernetes,
        claim_mappings: claim_mappings(&view.sub("claim_mappings", &CLAIM_MAPPINGS)),
        scope_implies: scope_implies(view),
        key_id: match view.text("key_id") {
            Some("only_key") => KeyIdRule::OnlyKey,
            _ => KeyIdRule::Required,
        },
        token_sources: token_sources(view),
        token_bytes,
        dpop: dpop(view, scope),
    };
    Some((settings, verifier?))
}

/// What shows that a token is the issuer's: keys, or somebody who is asked.
fn verifier(
    view: &View<'_>,
    issuers: &[String],
    audiences: Option<&Audiences>,
    scope: &mut Scope<'_>,
) -> Option<VerifierSettings> {
    if view.has("verify") {
        return reviews::compile(view, issuers, audiences, scope).map(VerifierSettings::Review);
    }
    let jwks = view.sub_if("jwks", &JWKS)?;
    keys::compile(&jwks, issuers, scope).map(VerifierSettings::Keys)
}

fn audiences(view: &View<'_>, scope: &mut Scope<'_>) -> Option<Audiences> {
    let node = view.get("audiences")?;
    match &node.value {
        Value::List(items) => {
            for item in items.iter().filter(|item| item.text() == Some("unchecked")) {
                scope.report.find_try(
                    Code::Value,
                    &item.at,
                    "in a list `unchecked` is an audience of that name",
                    "audiences: unchecked",
                );
            }
            Some(Audiences::AnyOf(view.texts("audiences")))
        }
        Value::Scalar(_) => (node.text() == Some("unchecked")).then_some(Audiences::Unchecked),
        Value::Map(_) => None,
    }
}

fn algorithms(view: &View<'_>, scope: &mut Scope<'_>) -> Vec<Algorithm> {
    let mut out = Vec::new();
    for name in view.texts("algorithms") {
        match ALGORITHMS.iter().find(|(known, _)| *known == name) {
            Some((_, algorithm)) => out.push(*algorithm),
            None => unknown_algorithm(view, &name, scope),
        }
    }
    out
}

fn unknown_algorithm(view: &View<'_>, name: &str, scope: &mut Scope<'_>) {
    let place = view
        .items("algorithms")
        .iter()
        .find(|node| node.text() == Some(name))
        .map_or_else(|| view.place("algorithms"), |node| &node.at);
    let upper = name.to_ascii_uppercase();
    let names: Vec<&str> = ALGORITHMS.iter().map(|(name, _)| *name).collect();
    let (message, suggestion) = if upper == "NONE" {
        (
            "`none` is no signature: anybody could write such a token".to_owned(),
            None,
        )
    } else if upper.starts_with("HS") {
        (
            format!(
                "`{name}` is a MAC: whoever verifies with its key can forge with it, and a public key taken for one would let anybody forge"
            ),
            None,
        )
    } else if upper == "ES512" || upper == "ES256K" {
        (format!("`{name}` is not supported"), None)
    } else {
        (
            format!("`{name}` is no signature algorithm"),
            suggest::did_you_mean(name, names.iter().copied()),
        )
    };
    let suggestion = suggestion.unwrap_or_else(|| format!("one of: {}", names.join(", ")));
    scope.report.error_try(place, message, suggestion);
}

/// `exp` is required whatever is written: a token that never ends is none that can be lost. Where somebody is asked he knows
/// whether it has been lost, and need not say when it ends.
fn required_claims(view: &View<'_>) -> Vec<String> {
    let mut claims = view.texts("required_claims");
    if view.has("verify") {
        claims.retain(|claim| claim != "exp" || view.has("required_claims"));
        return claims;
    }
    if !claims.iter().any(|claim| claim == "exp") {
        claims.push("exp".to_owned());
    }
    claims
}

/// Lower-case, without the `application/` that RFC 7515 section 4.1.9 lets senders leave out; empty for an absent `typ`.
fn token_types(view: &View<'_>, scope: &mut Scope<'_>) -> Vec<String> {
    let mut types = Vec::new();
    for word in view.texts("token_types") {
        let word = word.to_ascii_lowercase();
        let word = word.strip_prefix("application/").unwrap_or(&word);
        if ["id", "logout+jwt", "dpop+jwt", "secevent+jwt"].contains(&word) {
            scope.report.find(
                Code::Value,
                view.place("token_types"),
                format!("`{word}` tokens are no access tokens and are always refused"),
            );
        }
        types.push(if word == "absent" {
            String::new()
        } else {
            word.to_owned()
        });
    }
    types
}

fn claim_mappings(view: &View<'_>) -> ClaimMappings {
    let homes = |key: &str| -> Vec<ClaimPath> {
        view.texts(key)
            .iter()
            .filter_map(|text| scalar::claim_path(text).ok())
            .collect()
    };
    ClaimMappings {
        subject: homes("subject"),
        client: homes("client"),
        account: homes("account"),
        scopes: homes("scopes"),
        roles: homes("roles"),
        groups: homes("groups"),
    }
}

fn scope_implies(view: &View<'_>) -> BTreeMap<String, Vec<String>> {
    view.get("scope_implies")
        .map(Node::entries)
        .unwrap_or_default()
        .iter()
        .map(|entry| {
            let implied = entry
                .value
                .each()
                .iter()
                .filter_map(|node| node.text().map(str::to_owned))
                .collect();
            (entry.key.clone(), implied)
        })
        .collect()
}

/// `off` is none.
fn dpop(view: &View<'_>, scope: &mut Scope<'_>) -> Option<DpopSettings> {
    let short = view.text("dpop");
    let view = match short {
        Some("off") => return None,
        Some(_) => view.sub_default(&DPOP),
        None => view.sub("dpop", &DPOP),
    };
    let mode = match short {
        Some(mode) => mode,
        None => view.text("mode")?,
    };
    Some(DpopSettings {
        required: mode == "require",
        algorithms: algorithms(&view, scope),
        lifetime: view.span("lifetime"),
        nonce: view.text("nonce") == Some("required"),
        proofs: view.count("proofs"),
    })
}

fn token_sources(view: &View<'_>) -> TokenSources {
    let words = view.texts("token_sources");
    let has = |word: &str| words.iter().any(|found| found == word);
    TokenSources {
        basic_password: has("basic_password"),
        websocket_protocol: has("websocket_protocol"),
    }
}
