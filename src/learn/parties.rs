//! Who asks: callers of the current policy, and clients that become callers.

use std::collections::{BTreeMap, BTreeSet};

use super::current::Current;
use crate::config::written as text;
use crate::decision_log::Record;

/// Most parties that are told apart.
const MOST: usize = 1024;

/// A kind of principal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Party {
    /// A caller that the current policy names.
    Caller(String),
    /// A client of an issuer.
    Client { issuer: String, client: String },
    /// A Kubernetes ServiceAccount, `namespace/name`.
    ServiceAccount { issuer: String, account: String },
    /// Tokens without a client.
    Issuer(String),
    /// A word of `allow`: `anyone`, `anonymous`, `opaque`.
    Word(&'static str),
}

/// All parties of a log.
#[derive(Debug, Default)]
pub(super) struct Parties {
    known: Vec<Party>,
    index: BTreeMap<Party, usize>,
    /// The callers that records name them as.
    called: Vec<BTreeSet<String>>,
}

impl Parties {
    /// The index of a party; `None` where there are too many.
    pub(super) fn intern(&mut self, party: Party, called: Option<&str>) -> Option<usize> {
        let at = match self.index.get(&party) {
            Some(at) => *at,
            None if self.known.len() >= MOST => return None,
            None => {
                self.known.push(party.clone());
                self.called.push(BTreeSet::new());
                self.index.insert(party, self.known.len() - 1);
                self.known.len() - 1
            }
        };
        if let (Some(called), Some(names)) = (called, self.called.get_mut(at))
            && names.len() < 2
        {
            names.insert(called.to_owned());
        }
        Some(at)
    }

    pub(super) fn get(&self, at: usize) -> Option<&Party> {
        self.known.get(at)
    }

    /// What each is called in policy.
    pub(super) fn names(&self, current: Option<&Current>) -> Vec<String> {
        let mut taken: BTreeSet<String> = ["anyone", "anonymous", "opaque", "nobody"]
            .map(str::to_owned)
            .into();
        if let Some(current) = current {
            taken.extend(current.callers.iter().map(|(name, _)| name.clone()));
        }
        let mut names = Vec::with_capacity(self.known.len());
        for (at, party) in self.known.iter().enumerate() {
            let name = match party {
                Party::Caller(name) => name.clone(),
                Party::Word(word) => (*word).to_owned(),
                Party::Client { issuer, client } => self.free(at, client, issuer, &mut taken),
                Party::ServiceAccount { issuer, account } => {
                    let own = account.rsplit('/').next().unwrap_or(account);
                    self.free(at, own, issuer, &mut taken)
                }
                Party::Issuer(issuer) => self.free(at, issuer, issuer, &mut taken),
            };
            names.push(name);
        }
        names
    }

    /// A name that nobody has: what records call it, or what it is.
    fn free(&self, at: usize, own: &str, issuer: &str, taken: &mut BTreeSet<String>) -> String {
        let called = self.called.get(at).filter(|names| names.len() == 1);
        let called = called.and_then(BTreeSet::first).filter(|name| {
            let with_it = self.called.iter().filter(|names| names.contains(*name));
            with_it.count() == 1
        });
        let own = text::name(called.map_or(own, String::as_str));
        let with_issuer = text::name(&format!("{own}.{issuer}"));
        let mut number = 2;
        let mut name = own.clone();
        while taken.contains(&name) {
            name = if number == 2 && !taken.contains(&with_issuer) {
                with_issuer.clone()
            } else {
                let base: String = own.chars().take(48).collect();
                format!("{base}-{number}")
            };
            number += 1;
        }
        taken.insert(name.clone());
        name
    }
}

/// A name of Kubernetes.
fn is_label(text: &str) -> bool {
    let of_label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    !text.is_empty() && text.chars().all(of_label)
}

impl Party {
    /// Who a verified record is of.
    pub(super) fn of(record: &Record, current: Option<&Current>) -> Option<Self> {
        let issuer = record.issuer.clone()?;
        if let (Some(current), Some(caller)) = (current, &record.caller)
            && current.callers.iter().any(|(name, _)| name == caller)
        {
            return Some(Self::Caller(caller.clone()));
        }
        let subject = record.subject.as_deref().unwrap_or_default();
        let service_account = subject
            .strip_prefix("system:serviceaccount:")
            .and_then(|rest| rest.split_once(':'))
            .filter(|(namespace, name)| is_label(namespace) && is_label(name));
        let party = match (&record.client, service_account) {
            (Some(client), _) => Self::Client {
                issuer,
                client: client.clone(),
            },
            (None, Some((namespace, name)))
                if current.is_none_or(|current| current.is_kubernetes(&issuer)) =>
            {
                Self::ServiceAccount {
                    issuer,
                    account: format!("{namespace}/{name}"),
                }
            }
            (None, _) => Self::Issuer(issuer),
        };
        // A caller that policy has for this very party keeps its name.
        let known = current.and_then(|current| {
            let mut callers = current.callers.iter();
            callers.find(|(_, node)| party.is_defined_by(node))
        });
        Some(known.map_or(party, |(name, _)| Self::Caller(name.clone())))
    }

    /// What a caller's definition has to say for this party.
    pub(super) fn definition(&self) -> Option<Vec<(&'static str, &str)>> {
        Some(match self {
            Self::Client { issuer, client } => vec![("issuer", issuer), ("client", client)],
            Self::ServiceAccount { issuer, account } => {
                vec![("issuer", issuer), ("service_account", account)]
            }
            Self::Issuer(issuer) => vec![("issuer", issuer)],
            Self::Caller(_) | Self::Word(_) => return None,
        })
    }

    fn is_defined_by(&self, node: &crate::config::Node) -> bool {
        let Some(wanted) = self.definition() else {
            return false;
        };
        let is_condition = |key: &str| !["mode", "until", "enforce"].contains(&key);
        let conditions = node.entries().iter();
        let conditions = conditions.filter(|entry| is_condition(&entry.key));
        conditions.count() == wanted.len()
            && wanted.iter().all(|(key, value)| {
                let own = node.get(key);
                own.is_some_and(|own| matches!(own.each(), [one] if one.text() == Some(*value)))
            })
    }
}
