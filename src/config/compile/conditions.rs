//! Conditions of callers and alternatives.

use std::sync::Arc;

use super::Scope;
use super::callers::Callers;
use super::issuers::no_wildcards;
use crate::authz::{
    AccountRule, ActorRule, CertificateNames, ClaimValue, Condition, ServiceAccount,
};
use crate::config::Code;
use crate::config::node::Node;
use crate::config::scalar;
use crate::config::schema::{ACTOR, CERTIFICATE};
use crate::config::suggest;
use crate::config::view::View;

/// What surrounds conditions.
#[derive(Debug)]
pub(super) struct Within<'a> {
    /// The issuer has `kubernetes: true` (or is unknown, which was reported).
    pub(super) kubernetes: bool,
    /// The parameters that every path of the route binds; none in a caller.
    pub(super) parameters: &'a [Arc<str>],
    /// The issuer of the route's `actor_token`.
    pub(super) actor_issuer: Option<&'a str>,
}

/// The conditions of a mapping, in a fixed order so that equal ones are equal.
pub(super) fn compile(
    view: &View<'_>,
    within: &Within<'_>,
    scope: &mut Scope<'_>,
) -> Vec<Condition> {
    let mut out = Vec::new();
    for key in [
        "client",
        "subject",
        "scopes",
        "any_scope",
        "roles",
        "groups",
    ] {
        no_wildcards(view.items(key), scope);
    }
    let boxed =
        |key: &str| -> Option<Vec<Box<str>>> { view.has(key).then(|| sorted(view.texts(key))) };
    out.extend(boxed("client").map(Condition::Client));
    out.extend(boxed("subject").map(Condition::Subject));
    out.extend(service_accounts(view, within.kubernetes, scope));
    out.extend(certificate(view, scope));
    if view.has("client_address") {
        let mut networks: Vec<ipnet::IpNet> = view
            .texts("client_address")
            .iter()
            .filter_map(|text| scalar::network(text).ok())
            .collect();
        networks.sort();
        out.push(Condition::ClientAddress(networks));
    }
    out.extend(boxed("scopes").map(Condition::Scopes));
    out.extend(boxed("any_scope").map(Condition::AnyScope));
    out.extend(boxed("roles").map(Condition::Roles));
    out.extend(boxed("groups").map(Condition::Groups));
    claims(view, within, scope, &mut out);
    out.extend(account(view, within, scope));
    out
}

fn sorted(mut texts: Vec<String>) -> Vec<Box<str>> {
    texts.sort();
    texts.dedup();
    texts.into_iter().map(String::into_boxed_str).collect()
}

fn service_accounts(view: &View<'_>, kubernetes: bool, scope: &mut Scope<'_>) -> Option<Condition> {
    let node = view.get("service_account")?;
    if !kubernetes {
        scope.report.error_try(
            &node.at,
            "`service_account` is for issuers with `kubernetes: true`; another issuer could write any `sub` it likes",
            "write `kubernetes: true` at the issuer, or use `subject`",
        );
    }
    let mut accounts = Vec::new();
    for item in node.each() {
        match item.text().map(ServiceAccount::parse) {
            Some(Ok(account)) => accounts.push(account),
            // The shape has its own words for what is not NAMESPACE/NAME at all.
            Some(Err(error))
                if item
                    .text()
                    .is_some_and(|t| scalar::service_account(t).is_ok()) =>
            {
                scope.report.find(Code::Value, &item.at, error.to_string());
            }
            Some(Err(_)) | None => {}
        }
    }
    accounts.sort_by(|a, b| a.subject().cmp(b.subject()));
    Some(Condition::ServiceAccount(accounts))
}

fn certificate(view: &View<'_>, scope: &mut Scope<'_>) -> Option<Condition> {
    let view = view.sub_if("client_certificate", &CERTIFICATE)?;
    if !scope.client_certificates {
        scope.report.error_try(
            view.at(),
            "no listener asks for client certificates",
            "give `inbound` a `tls.client_ca`",
        );
    }
    let mut names = CertificateNames {
        dns: sorted(
            view.texts("dns")
                .iter()
                .map(|name| name.to_ascii_lowercase())
                .collect(),
        ),
        uris: sorted(view.texts("uri")),
        sha256: Vec::new(),
    };
    for node in view.items("sha256") {
        let digest = node
            .text()
            .unwrap_or_default()
            .replace(':', "")
            .to_ascii_lowercase();
        if digest.len() != 64 || !digest.bytes().all(|b| b.is_ascii_hexdigit()) {
            scope.report.find(
                Code::Value,
                &node.at,
                format!("{} is no SHA-256 in hexadecimal", node.shown()),
            );
        }
        names.sha256.push(digest.into());
    }
    for node in view.items("dns") {
        if node.text().is_some_and(|text| text.contains('*')) {
            scope.report.find(
                Code::Wildcard,
                &node.at,
                "names of certificates are compared as a whole; there are no wildcards",
            );
        }
    }
    if names.dns.is_empty() && names.uris.is_empty() && names.sha256.is_empty() {
        scope.report.find_try(
            Code::EmptySet,
            view.at(),
            "names nothing, so no certificate would do",
            "one of: dns, uri, sha256",
        );
    }
    Some(Condition::ClientCertificate(names))
}

fn claims(view: &View<'_>, within: &Within<'_>, scope: &mut Scope<'_>, out: &mut Vec<Condition>) {
    for entry in view.get("claims").map(Node::entries).unwrap_or_default() {
        let Ok(path) = scalar::claim_path(&entry.key) else {
            continue;
        };
        let mut values = Vec::new();
        no_wildcards(entry.value.each(), scope);
        for node in entry.value.each() {
            if let Some(flag) = node.flag() {
                values.push(ClaimValue::Boolean(flag));
            } else if let Some(text) = node.text() {
                values.push(match braced(text) {
                    Some(name) => match parameter(node, name, within, scope) {
                        Some(name) => ClaimValue::Parameter(name),
                        None => continue,
                    },
                    None => ClaimValue::Text(text.into()),
                });
            }
        }
        out.push(Condition::Claim { path, values });
    }
}

fn account(view: &View<'_>, within: &Within<'_>, scope: &mut Scope<'_>) -> Option<Condition> {
    let node = view.get("account")?;
    let text = node.text()?;
    if text == "required" {
        return Some(Condition::Account(AccountRule::Required));
    }
    match braced(text) {
        Some(name) => parameter(node, name, within, scope)
            .map(|name| Condition::Account(AccountRule::Parameter(name))),
        None => {
            let suggestion = if within.parameters.iter().any(|name| **name == *text) {
                format!("account: \"{{{text}}}\"")
            } else {
                "write `required`, or a parameter of the path: account: \"{account}\"".to_owned()
            };
            scope.report.find_try(
                Code::Value,
                &node.at,
                format!("{} is neither `required` nor a parameter; there are no wildcards and no fixed accounts", node.shown()),
                suggestion,
            );
            None
        }
    }
}

/// The name in `{name}`.
fn braced(text: &str) -> Option<&str> {
    text.strip_prefix('{')?.strip_suffix('}')
}

fn parameter(
    node: &Node,
    name: &str,
    within: &Within<'_>,
    scope: &mut Scope<'_>,
) -> Option<Arc<str>> {
    let found = within.parameters.iter().find(|bound| ***bound == *name);
    if found.is_none() {
        let names: Vec<&str> = within.parameters.iter().map(AsRef::as_ref).collect();
        let suggestion = if names.is_empty() {
            "the path has no parameter; a parameter is a whole segment in braces".to_owned()
        } else {
            suggest::one_of(name, &names)
        };
        scope.report.find_try(
            Code::UnboundParameter,
            &node.at,
            format!("the path does not bind `{{{name}}}`"),
            suggestion,
        );
    }
    found.map(Arc::clone)
}

/// `actor`: a mapping, or the name of a caller.
pub(super) fn actor(
    node: &Node,
    within: &Within<'_>,
    callers: &Callers,
    scope: &mut Scope<'_>,
) -> Option<Condition> {
    let rule = match node.text() {
        Some(name) => actor_by_name(node, name, callers, scope)?,
        None => {
            let view = View::new(node, &ACTOR);
            let issuer = scope.issuer(view.get("issuer"))?;
            let mut conditions = Vec::new();
            let boxed = |key: &str| view.has(key).then(|| sorted(view.texts(key)));
            conditions.extend(boxed("client").map(Condition::Client));
            conditions.extend(boxed("subject").map(Condition::Subject));
            conditions.extend(service_accounts(&view, issuer.kubernetes, scope));
            ActorRule {
                issuer: Arc::from(issuer.name),
                conditions,
            }
        }
    };
    match within.actor_issuer {
        Some(issuer) if *issuer == *rule.issuer => {}
        Some(issuer) => scope.report.error(
            &node.at,
            format!(
                "the second token of this route is of `{issuer}`, never of `{}`",
                rule.issuer
            ),
        ),
        None => scope.report.error_try(
            &node.at,
            "the route takes no second token, so there is never an actor",
            "give the route an `actor_token`",
        ),
    }
    Some(Condition::Actor(rule))
}

fn actor_by_name(
    node: &Node,
    name: &str,
    callers: &Callers,
    scope: &mut Scope<'_>,
) -> Option<ActorRule> {
    let Some(caller) = callers.get(name) else {
        let names: Vec<&str> = callers.keys().map(String::as_str).collect();
        scope.unknown(&node.at, "caller", node, &names);
        return None;
    };
    let caller = caller.as_ref()?;
    let judged = |condition: &Condition| {
        matches!(
            condition,
            Condition::Client(_) | Condition::Subject(_) | Condition::ServiceAccount(_)
        )
    };
    if !caller.conditions.iter().all(judged) {
        scope.report.error(
            &node.at,
            format!("`{name}` has conditions that an actor is not judged by; client, subject and service_account are"),
        );
        return None;
    }
    Some(ActorRule {
        issuer: Arc::clone(&caller.issuer),
        conditions: caller.conditions.clone(),
    })
}
