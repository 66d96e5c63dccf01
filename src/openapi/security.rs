//! `security`: what a document asks of a caller.

use std::collections::{BTreeMap, BTreeSet};

use super::read::Reading;
use crate::config::{Code, Node, Report, Value};

/// Most schemes and scopes of one operation, in all its alternatives.
const MOST: usize = 128;

/// Longest name of a scheme or a scope, in bytes.
const LONGEST: usize = 256;

/// A way to prove who one is, as `components.securitySchemes` describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// A bearer token of whatever kind.
    Bearer,
    /// OAuth 2.0.
    OAuth2 {
        /// Where its tokens come from.
        token_url: Option<String>,
        /// The scopes that its flows offer.
        scopes: BTreeSet<String>,
    },
    /// OpenID Connect, by the address of its discovery document.
    OpenIdConnect { url: Option<String> },
    /// Something that policy does not check, in words.
    Other(String),
}

impl Scheme {
    /// Whether what proves it is a bearer token.
    pub(super) const fn is_token(&self) -> bool {
        !matches!(self, Self::Other(_))
    }

    /// What it is, for people.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Bearer => "a bearer token".to_owned(),
            Self::OAuth2 { .. } => "OAuth 2.0".to_owned(),
            Self::OpenIdConnect { .. } => "OpenID Connect".to_owned(),
            Self::Other(words) => words.clone(),
        }
    }
}

/// What an operation asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Security {
    /// Nothing is said, neither here nor for the whole document.
    #[default]
    Unsaid,
    /// One of these suffices.
    Said {
        /// Nobody need prove anything: an empty list, or an empty object in it.
        anonymous: bool,
        /// The others.
        alternatives: Vec<Alternative>,
    },
}

/// Schemes with their scopes, all of which are needed.
pub(super) type Alternative = BTreeMap<String, BTreeSet<String>>;

/// Reads a `security`. What cannot be read is an error: who may is never guessed.
pub(super) fn security(node: &Node, report: &mut Report) -> Security {
    let Value::List(items) = &node.value else {
        report.find_try(
            Code::Value,
            &node.at,
            format!("expected a list, found {}", node.described()),
            "`security` is a list of objects, one of which suffices",
        );
        return Security::Unsaid;
    };
    let mut left = MOST;
    let mut anonymous = items.is_empty();
    let mut alternatives = Vec::new();
    for item in items {
        match alternative(item, &mut left, report) {
            Some(own) if own.is_empty() => anonymous = true,
            Some(own) if alternatives.contains(&own) => {}
            Some(own) => alternatives.push(own),
            None => {}
        }
    }
    Security::Said {
        anonymous,
        alternatives,
    }
}

fn alternative(node: &Node, left: &mut usize, report: &mut Report) -> Option<Alternative> {
    let Value::Map(entries) = &node.value else {
        report.error(
            &node.at,
            format!("expected an object, found {}", node.described()),
        );
        return None;
    };
    let mut all = Alternative::new();
    for entry in entries {
        let Value::List(items) = &entry.value.value else {
            report.error(
                &entry.value.at,
                format!(
                    "expected a list of scopes, found {}",
                    entry.value.described()
                ),
            );
            return None;
        };
        let wanted = items.len() + 1;
        if wanted > *left || entry.key.len() > LONGEST {
            report.error(
                &entry.key_at,
                format!(
                    "more than {MOST} schemes and scopes, or a name longer than {LONGEST} bytes"
                ),
            );
            return None;
        }
        *left -= wanted;
        let mut scopes = BTreeSet::new();
        for item in items {
            let Some(text) = item.text().filter(|text| text.len() <= LONGEST) else {
                report.error(
                    &item.at,
                    format!("expected a scope, found {}", item.described()),
                );
                return None;
            };
            scopes.insert(text.to_owned());
        }
        all.insert(entry.key.clone(), scopes);
    }
    Some(all)
}

/// `components.securitySchemes`.
pub(super) fn schemes(reading: &Reading<'_>) -> BTreeMap<String, Scheme> {
    let components = reading.root.get("components");
    let schemes = components.and_then(|node| node.get("securitySchemes"));
    let schemes = schemes.map(Node::entries).unwrap_or_default().iter();
    schemes
        .map(|entry| {
            let scheme = match reading.resolved(&entry.value) {
                Ok(node) => scheme(node),
                Err(why) => Scheme::Other(format!("a scheme that is not read ({why})")),
            };
            (entry.key.clone(), scheme)
        })
        .collect()
}

fn scheme(node: &Node) -> Scheme {
    let text = |key: &str| node.get(key).and_then(Node::text);
    match text("type") {
        Some("http") => match text("scheme") {
            Some(own) if own.eq_ignore_ascii_case("bearer") => Scheme::Bearer,
            Some(own) => Scheme::Other(format!("HTTP authentication `{own}`")),
            None => Scheme::Other("HTTP authentication".to_owned()),
        },
        Some("oauth2") => {
            let flows = node.get("flows").map(Node::entries).unwrap_or_default();
            let urls = flows.iter().filter_map(|flow| {
                let url = flow.value.get("tokenUrl");
                url.or_else(|| flow.value.get("authorizationUrl"))?.text()
            });
            let scopes = flows.iter().filter_map(|flow| flow.value.get("scopes"));
            let scopes = scopes
                .flat_map(Node::entries)
                .map(|entry| entry.key.clone());
            Scheme::OAuth2 {
                token_url: urls.map(str::to_owned).next(),
                scopes: scopes.collect(),
            }
        }
        Some("openIdConnect") => Scheme::OpenIdConnect {
            url: text("openIdConnectUrl").map(str::to_owned),
        },
        Some("apiKey") => Scheme::Other(format!(
            "an API key ({} `{}`)",
            text("in").unwrap_or("in"),
            text("name").unwrap_or_default()
        )),
        Some("mutualTLS") => Scheme::Other("a client certificate".to_owned()),
        Some(other) => Scheme::Other(format!("a scheme of the unknown type `{other}`")),
        None => Scheme::Other("a scheme without a type".to_owned()),
    }
}
