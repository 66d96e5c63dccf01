//! Whose tokens a security scheme is about.

use std::collections::{BTreeMap, BTreeSet};

use super::Options;
use crate::config::written::{self, flow};
use crate::config::{Config, Entry, Node};
use crate::openapi::Document;
use crate::openapi::security::{Scheme, Security};

/// What an OpenID Connect issuer's discovery document is called (OpenID Connect Discovery 1.0, section 4).
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Issuers of the schemes that operations use, and who may call of each.
#[derive(Debug)]
pub(super) struct Parties {
    /// By scheme: the issuer, or why there is none.
    issuers: BTreeMap<String, Result<String, String>>,
    /// By issuer: callers, or the issuer itself.
    callers: BTreeMap<String, Vec<Party>>,
    /// Issuers that are not there yet.
    pub(super) made: Vec<Made>,
}

/// Who a token is of, as alternatives name them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Party {
    Caller(String),
    Issuer(String),
}

/// An issuer that the policy defines, for somebody to complete.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) name: String,
    /// `iss`, where the document tells.
    pub(super) iss: Option<String>,
    /// Schemes that it stands for, with what they are.
    pub(super) schemes: Vec<String>,
    pub(super) scopes: BTreeSet<String>,
}

impl Parties {
    pub(super) fn new(document: &Document, options: &Options) -> Result<Self, String> {
        let given: BTreeMap<&str, &str> = options
            .issuers
            .iter()
            .map(|(scheme, issuer)| (scheme.as_str(), issuer.as_str()))
            .collect();
        let config = options.current.as_ref().map(|current| &current.config);
        for (scheme, issuer) in &given {
            let known = document.schemes.get(*scheme);
            if !known.is_some_and(Scheme::is_token) {
                return Err(format!(
                    "the document has no scheme `{scheme}` that takes tokens"
                ));
            }
            if config.is_some_and(|config| config.verifier(issuer).is_none()) {
                return Err(format!("there is no issuer called `{issuer}`"));
            }
            if written::name(issuer) != **issuer {
                return Err(format!("`{issuer}` is no name that an issuer can have"));
            }
        }
        let mut parties = Self {
            issuers: BTreeMap::new(),
            callers: BTreeMap::new(),
            made: Vec::new(),
        };
        for scheme in used(document) {
            let found = match (document.schemes.get(scheme), config) {
                (None, _) => Err(format!("the scheme `{scheme}` is not in the document")),
                (Some(Scheme::Other(words)), _) => Err(format!("{words} is not checked here")),
                (Some(_), _) if given.contains_key(scheme) && config.is_some() => {
                    Ok(given.get(scheme).copied().unwrap_or_default().to_owned())
                }
                (Some(own), Some(config)) => of_config(scheme, own, config),
                (Some(own), None) => Ok(parties.make(scheme, own, given.get(scheme).copied())),
            };
            parties.issuers.insert(scheme.to_owned(), found);
        }
        if let Some(current) = &options.current {
            let callers = current.tree.get("callers").map(Node::entries);
            parties.callers = callers_of(callers.unwrap_or_default());
        }
        Ok(parties)
    }

    /// The issuer of a scheme.
    pub(super) fn issuer(&self, scheme: &str) -> Result<&str, String> {
        match self.issuers.get(scheme) {
            Some(Ok(name)) => Ok(name),
            Some(Err(why)) => Err(why.clone()),
            None => Err(format!("the scheme `{scheme}` is not in the document")),
        }
    }

    /// Who may call with tokens of an issuer: its callers, where it has some.
    pub(super) fn of(&self, issuer: &str) -> Vec<Party> {
        let callers = self.callers.get(issuer).filter(|own| !own.is_empty());
        callers
            .cloned()
            .unwrap_or_else(|| vec![Party::Issuer(issuer.to_owned())])
    }

    /// The issuer that stands for a scheme where there is no configuration. Two schemes of one OpenID Connect provider are one.
    fn make(&mut self, scheme: &str, own: &Scheme, given: Option<&str>) -> String {
        let iss = match own {
            Scheme::OpenIdConnect { url } => url.as_deref().and_then(issuer_of),
            Scheme::Bearer | Scheme::OAuth2 { .. } | Scheme::Other(_) => None,
        };
        let words = match own {
            Scheme::OAuth2 {
                token_url: Some(url),
                ..
            } => format!(
                "{}, tokens from {}",
                own.words(),
                crate::openapi::read::clean(url)
            ),
            _ => own.words(),
        };
        let words = format!("{} ({words})", crate::openapi::read::clean(scheme));
        let scopes = match own {
            Scheme::OAuth2 { scopes, .. } => scopes.clone(),
            Scheme::Bearer | Scheme::OpenIdConnect { .. } | Scheme::Other(_) => BTreeSet::new(),
        };
        let same = self.made.iter_mut().find(|made| match given {
            Some(name) => made.name == name,
            None => iss.is_some() && made.iss == iss,
        });
        if let Some(made) = same {
            made.schemes.push(words);
            made.scopes.extend(scopes);
            made.iss = made.iss.take().or(iss);
            return made.name.clone();
        }
        let wanted = given.map_or_else(|| written::name(scheme), str::to_owned);
        let mut name = wanted.clone();
        let mut number = 2_usize;
        while self.made.iter().any(|made| made.name == name) {
            name = format!("{wanted}-{number}");
            number += 1;
        }
        self.made.push(Made {
            name: name.clone(),
            iss,
            schemes: vec![words],
            scopes,
        });
        name
    }
}

/// The schemes that operations use, in order.
fn used(document: &Document) -> BTreeSet<&str> {
    let operations = document.operations.iter();
    let said = operations.filter_map(|operation| match &operation.security {
        Security::Said { alternatives, .. } => Some(alternatives),
        Security::Unsaid => None,
    });
    let schemes = said.flatten().flat_map(|alternative| alternative.keys());
    schemes.map(String::as_str).collect()
}

/// The `iss` of a discovery document's address, where policy can discover it.
fn issuer_of(url: &str) -> Option<String> {
    let iss = url.strip_suffix(DISCOVERY)?;
    let rest = iss.strip_prefix("https://")?;
    let host = rest.split('/').next().unwrap_or_default();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/:".contains(&b);
    let named = host.starts_with(|c: char| c.is_ascii_alphanumeric()) && rest.len() <= 512;
    (named && rest.bytes().all(plain)).then(|| iss.to_owned())
}

/// The issuer of a scheme in a configuration: the one with the same `iss`, the one of the same name, or the only one.
fn of_config(scheme: &str, own: &Scheme, config: &Config) -> Result<String, String> {
    let all = || config.issuers.iter().map(|(issuer, _)| issuer);
    if let Scheme::OpenIdConnect { url: Some(url) } = own {
        let iss = url.strip_suffix(DISCOVERY).unwrap_or(url);
        let mut same = all().filter(|issuer| issuer.issuers.iter().any(|own| **own == *iss));
        if let Some(issuer) = same.next() {
            return Ok(issuer.name.to_string());
        }
    }
    if let Some(issuer) = all().find(|issuer| *issuer.name == *scheme) {
        return Ok(issuer.name.to_string());
    }
    let mut rest = all();
    match (rest.next(), rest.next()) {
        (Some(only), None) => Ok(only.name.to_string()),
        _ => Err(format!(
            "which issuer makes tokens for `{0}` is not said (--issuer '{0}=NAME')",
            crate::openapi::read::clean(scheme)
        )),
    }
}

/// Callers by their issuer, without those that another one contains: what it lets pass would let them pass as well.
fn callers_of(entries: &[Entry]) -> BTreeMap<String, Vec<Party>> {
    let conditions = |entry: &Entry| -> BTreeSet<(String, String)> {
        let own = entry.value.entries().iter();
        own.filter(|one| !["mode", "until", "enforce"].contains(&one.key.as_str()))
            .map(|one| (one.key.clone(), flow(&one.value)))
            .collect()
    };
    let all: Vec<(&Entry, BTreeSet<(String, String)>)> = entries
        .iter()
        .map(|entry| (entry, conditions(entry)))
        .collect();
    let mut callers: BTreeMap<String, Vec<Party>> = BTreeMap::new();
    for (entry, own) in &all {
        let contained = all
            .iter()
            .any(|(_, other)| other != own && other.is_subset(own));
        let issuer = entry.value.get("issuer").and_then(Node::text);
        if let (Some(issuer), false) = (issuer, contained) {
            let party = Party::Caller(entry.key.clone());
            callers.entry(issuer.to_owned()).or_default().push(party);
        }
    }
    callers
}
