//! What a condition wants, and what it finds, in words. Whether it holds is not decided here.

use serde_json::{Number, Value};

use super::story::Check;
use crate::authn::{ClaimPath, Claims, Issuer, Json, Verified};
use crate::authz::{
    AccountRule, ActorRule, CertificateNames, ClaimValue, Condition, Routed, ServiceAccount,
};
use crate::request::ClientCertificate;

/// What conditions look at.
pub(super) struct Request<'a, B> {
    pub(super) routed: &'a Routed<B>,
    /// `None`: nobody in particular asks, or it is not known yet.
    pub(super) verified: Option<&'a Verified>,
    pub(super) actor: Option<&'a Verified>,
}

impl<B> Request<'_, B> {
    pub(super) fn check(&self, condition: &Condition) -> Check {
        Check {
            what: what(condition),
            wanted: self.wanted(condition),
            found: self.found(condition),
        }
    }

    fn wanted(&self, condition: &Condition) -> String {
        match condition {
            Condition::Client(values)
            | Condition::Subject(values)
            | Condition::AnyScope(values)
            | Condition::Roles(values)
            | Condition::Groups(values) => one_of(values),
            Condition::Scopes(values) => match values.as_slice() {
                [only] => only.to_string(),
                several => format!("all of {}", several.join(" ")),
            },
            Condition::ServiceAccount(accounts) => one_of(
                &accounts
                    .iter()
                    .map(ServiceAccount::subject)
                    .collect::<Vec<_>>(),
            ),
            Condition::ClientAddress(networks) => {
                one_of(&networks.iter().map(ToString::to_string).collect::<Vec<_>>())
            }
            Condition::ClientCertificate(names) => certificate_names(names),
            Condition::Claim { values, .. } => one_of(
                &values
                    .iter()
                    .map(|value| self.value(value))
                    .collect::<Vec<_>>(),
            ),
            Condition::Account(AccountRule::Required) => "any account".to_owned(),
            Condition::Account(AccountRule::Parameter(name)) => self.parameter(name),
            Condition::Actor(rule) => actor(rule),
        }
    }

    fn value(&self, value: &ClaimValue) -> String {
        match value {
            ClaimValue::Text(text) => text.to_string(),
            ClaimValue::Boolean(flag) => flag.to_string(),
            ClaimValue::Parameter(name) => self.parameter(name),
        }
    }

    fn parameter(&self, name: &str) -> String {
        let value = self.routed.parameter(name).unwrap_or("nothing");
        let folds = self
            .routed
            .route()
            .settings()
            .fold
            .iter()
            .any(|own| **own == *name);
        let folded = if folds {
            ", in any case of letters"
        } else {
            ""
        };
        format!("{value} ({{{name}}} of the path{folded})")
    }

    fn found(&self, condition: &Condition) -> String {
        if let Some(found) = self.found_of_connection(condition) {
            return found;
        }
        if let Condition::Actor(_) = condition {
            return self.actor.map_or_else(
                || "no second token".to_owned(),
                |actor| {
                    let party = actor.subject().or(actor.client()).unwrap_or("nobody");
                    format!("{party} of {}", actor.issuer().name())
                },
            );
        }
        let Some(verified) = self.verified else {
            return "no token that holds".to_owned();
        };
        let mappings = &verified.issuer().settings().claim_mappings;
        let one = |value: Option<&str>, homes: &[ClaimPath]| {
            value.map_or_else(|| nothing_at(homes), str::to_owned)
        };
        let list = |values: &[Box<str>], homes: &[ClaimPath]| match values {
            [] => nothing_at(homes),
            values => values.join(" "),
        };
        match condition {
            Condition::Client(_) => one(verified.client(), &mappings.client),
            Condition::Subject(_) | Condition::ServiceAccount(_) => {
                subject(verified, verified.issuer())
            }
            Condition::Scopes(_) | Condition::AnyScope(_) => {
                list(verified.scopes(), &mappings.scopes)
            }
            Condition::Roles(_) => list(verified.roles(), &mappings.roles),
            Condition::Groups(_) => list(verified.groups(), &mappings.groups),
            Condition::Account(_) => one(verified.account(), &mappings.account),
            Condition::Claim { path, .. } => verified
                .claims()
                .get(path)
                .map_or_else(|| "nothing".to_owned(), |value| json(value).to_string()),
            Condition::ClientAddress(_) | Condition::ClientCertificate(_) | Condition::Actor(_) => {
                String::new()
            }
        }
    }

    fn found_of_connection(&self, condition: &Condition) -> Option<String> {
        let head = self.routed.head();
        match condition {
            Condition::ClientAddress(_) => Some(head.client().to_canonical().to_string()),
            Condition::ClientCertificate(_) => {
                let certificate = head.connection().client_certificate.as_ref();
                Some(certificate.map_or_else(|| "no client certificate".to_owned(), certificate_of))
            }
            _ => None,
        }
    }
}

/// What a condition is called.
pub(super) fn what(condition: &Condition) -> String {
    match condition {
        Condition::Claim { path, .. } => format!("claims.{path}"),
        other => other.name().to_owned(),
    }
}

fn subject(verified: &Verified, issuer: &Issuer) -> String {
    let homes = &issuer.settings().claim_mappings.subject;
    verified
        .subject()
        .map_or_else(|| nothing_at(homes), str::to_owned)
}

fn nothing_at(homes: &[ClaimPath]) -> String {
    if homes.is_empty() {
        return "nothing: the issuer's `claim_mappings` have no place for it".to_owned();
    }
    let homes: Vec<String> = homes.iter().map(ToString::to_string).collect();
    format!("nothing at {}", homes.join(", "))
}

fn one_of<T: AsRef<str>>(values: &[T]) -> String {
    match values {
        [] => "nothing, so nobody".to_owned(),
        [only] => only.as_ref().to_owned(),
        several => {
            let several: Vec<&str> = several.iter().map(AsRef::as_ref).collect();
            format!("one of {}", several.join(" | "))
        }
    }
}

fn certificate_names(names: &CertificateNames) -> String {
    let all: Vec<&str> = names
        .dns
        .iter()
        .chain(&names.uris)
        .chain(&names.sha256)
        .map(AsRef::as_ref)
        .collect();
    one_of(&all)
}

fn certificate_of(own: &ClientCertificate) -> String {
    let mut names: Vec<&str> = own
        .dns
        .iter()
        .chain(&own.uris)
        .map(String::as_str)
        .collect();
    names.extend(Some(own.sha256.as_str()).filter(|digest| !digest.is_empty()));
    names.join(" ")
}

fn actor(rule: &ActorRule) -> String {
    let mut parts = vec![format!("a second token of {}", rule.issuer)];
    for condition in &rule.conditions {
        let values = match condition {
            Condition::Client(values) | Condition::Subject(values) => one_of(values),
            Condition::ServiceAccount(accounts) => one_of(
                &accounts
                    .iter()
                    .map(ServiceAccount::subject)
                    .collect::<Vec<_>>(),
            ),
            _ => continue,
        };
        parts.push(format!("{} {values}", condition.name()));
    }
    parts.join(", ")
}

/// All claims of a token.
pub(super) fn claims(claims: &Claims) -> Value {
    claims
        .iter()
        .map(|(name, value)| (name.to_owned(), json(value)))
        .collect()
}

/// A claim. A number keeps its digits where a JSON number can hold them.
pub(super) fn json(value: Json<'_>) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(flag),
        Json::Number(text) => text
            .parse::<Number>()
            .map_or_else(|_| Value::String(text.to_string()), Value::Number),
        Json::Text(text) => Value::String(text.to_string()),
        Json::List(list) => list.iter().map(json).collect(),
        Json::Object(members) => members
            .iter()
            .map(|(name, value)| (name.to_owned(), json(value)))
            .collect(),
    }
}
