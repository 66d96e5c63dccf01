//! `callers`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::conditions::{self, Within};
use super::{Scope, alternatives, routes};
use crate::authz::{Caller, ObservedCaller};
use crate::config::Code;
use crate::config::node::{Entry, Node};
use crate::config::schema::CALLER_BLOCK;
use crate::config::view::View;

/// Words that `allow` has a meaning for.
pub(super) const WORDS: [&str; 4] = ["anyone", "anonymous", "opaque", "nobody"];

/// Callers by name; `None` for one that has errors of its own, so that references to it bring no more.
pub(super) type Callers = BTreeMap<String, Option<Caller>>;

/// All of `callers`.
#[derive(Debug, Default)]
pub(super) struct AllCallers {
    pub(super) by_name: Callers,
    /// Those of whom decisions are recorded and not enforced.
    pub(super) observed: Vec<ObservedCaller>,
}

/// All callers.
pub(super) fn compile(root: &View<'_>, scope: &mut Scope<'_>) -> AllCallers {
    let entries = root.get("callers").map(Node::entries).unwrap_or_default();
    let mut callers = Callers::new();
    let mut observed = Vec::new();
    let mut seen: Vec<(&str, Caller)> = Vec::new();
    for entry in entries {
        if WORDS.contains(&entry.key.as_str()) {
            scope.report.find(
                Code::Ambiguous,
                &entry.key_at,
                format!(
                    "`{}` is a word of `allow` and cannot be a caller's name",
                    entry.key
                ),
            );
        }
        // Of conditions that are wrong nothing is left to be said about routes.
        let until = routes::observe(&View::new(&entry.value, &CALLER_BLOCK), scope);
        let caller =
            caller(entry, scope).filter(|_| !scope.report.has_error_below(&entry.key_at.path));
        if let Some(caller) = &caller {
            twin(entry, caller, &seen, scope);
            observed.extend(until.map(|until| ObservedCaller {
                caller: caller.clone(),
                until: until.until,
                enforced: until.enforced,
            }));
            seen.push((&entry.key, caller.clone()));
        }
        callers.insert(entry.key.clone(), caller);
    }
    AllCallers {
        by_name: callers,
        observed,
    }
}

fn caller(entry: &Entry, scope: &mut Scope<'_>) -> Option<Caller> {
    let view = View::new(&entry.value, &CALLER_BLOCK);
    let issuer = scope.issuer(view.get("issuer"));
    let within = Within {
        kubernetes: issuer.is_none_or(|issuer| issuer.kubernetes),
        parameters: &[],
        actor_issuer: None,
    };
    let conditions = conditions::compile(&view, &within, scope);
    let issuer = issuer?.name;
    alternatives::impossible(&entry.value, issuer, &conditions, scope);
    alternatives::unknown_scopes(&view, issuer, scope);
    Some(Caller {
        name: Arc::from(entry.key.as_str()),
        issuer: Arc::from(issuer),
        conditions,
    })
}

/// Two callers with the same conditions could be taken for one another; which one logs and identity would name is chance.
fn twin(entry: &Entry, caller: &Caller, seen: &[(&str, Caller)], scope: &mut Scope<'_>) {
    let same = |other: &Caller| {
        other.issuer == caller.issuer
            && other.conditions.len() == caller.conditions.len()
            && other
                .conditions
                .iter()
                .all(|condition| caller.conditions.contains(condition))
    };
    if let Some((name, _)) = seen.iter().find(|(_, other)| same(other)) {
        scope.report.find_try(
            Code::Ambiguous,
            &entry.key_at,
            format!(
                "`{}` and `{name}` have the same conditions: they are one caller",
                entry.key
            ),
            "remove one of them, or add the condition that tells them apart",
        );
    }
}
