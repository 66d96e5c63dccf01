//! `allow`.

use std::sync::Arc;

use super::callers::{Callers, WORDS};
use super::conditions::{self, Within};
use super::{Scope, alternatives};
use crate::authz::{Access, Alternative, MethodRow, MethodTable};
use crate::config::Code;
use crate::config::node::{Node, Value};
use crate::config::scalar;
use crate::config::schema::ALTERNATIVE;
use crate::config::shape::is_method_table;
use crate::config::suggest;
use crate::config::view::View;

/// What a route gives its alternatives.
#[derive(Debug)]
pub(super) struct Around<'a> {
    pub(super) callers: &'a Callers,
    pub(super) parameters: &'a [Arc<str>],
    pub(super) actor_issuer: Option<&'a str>,
}

/// `allow`: with a table, or for every method.
pub(super) fn table(node: &Node, around: &Around<'_>, scope: &mut Scope<'_>) -> MethodTable {
    if !is_method_table(node.entries()) {
        return MethodTable::Every(access(node, around, scope));
    }
    let mut rows: Vec<MethodRow> = Vec::new();
    for entry in node.entries() {
        let methods = scalar::methods(&entry.key).unwrap_or_default();
        for (at, method) in methods.iter().enumerate() {
            let twice = rows.iter().any(|row| row.methods.contains(method))
                || methods.iter().take(at).any(|other| other == method);
            if twice {
                scope.report.find(
                    Code::Ambiguous,
                    &entry.key_at,
                    format!("{method} is listed twice"),
                );
            }
        }
        let access = access(&entry.value, around, scope);
        if !methods.is_empty() {
            rows.push(MethodRow { methods, access });
        }
    }
    MethodTable::Rows(rows)
}

fn access(node: &Node, around: &Around<'_>, scope: &mut Scope<'_>) -> Access {
    match node.text() {
        Some("anyone") => return Access::Anyone,
        Some("nobody") => return Access::Nobody,
        _ => {}
    }
    let (mut anonymous, mut opaque) = (false, false);
    let mut alternatives: Vec<Alternative> = Vec::new();
    let mut placed = Vec::new();
    for one in node.each() {
        match one.text() {
            Some("anonymous") => anonymous = true,
            Some("opaque") => opaque = true,
            Some(word @ ("anyone" | "nobody")) => scope.report.error_try(
                &one.at,
                format!("`{word}` stands alone: beside it nothing else has a meaning"),
                "`anonymous` lets requests without a token pass beside others",
            ),
            _ => {
                let Some(alternative) = alternative(one, around, scope) else {
                    continue;
                };
                alternatives::unreachable(one, &alternative, &alternatives, scope);
                placed.push((one, alternative.clone()));
                alternatives.push(alternative);
            }
        }
    }
    widened(node, &alternatives, scope);
    alternatives::wildcard_accounts(&placed, scope);
    if opaque {
        not_asked(node, &alternatives, scope);
    }
    if !anonymous && !opaque && alternatives.is_empty() {
        // What was written has errors that were reported; what is left of it allows nobody.
        return Access::Nobody;
    }
    Access::Rules {
        anonymous,
        opaque,
        alternatives,
    }
}

fn alternative(node: &Node, around: &Around<'_>, scope: &mut Scope<'_>) -> Option<Alternative> {
    if let Some(name) = node.text() {
        return caller(node, name, around, scope).map(|caller| Alternative::of_caller(&caller, []));
    }
    if !matches!(node.value, Value::Map(_)) {
        return None;
    }
    let view = View::new(node, &ALTERNATIVE);
    let base = base(&view, around, scope);
    let within = Within {
        kubernetes: base
            .as_ref()
            .is_none_or(|base| scope.is_kubernetes(&base.issuer)),
        parameters: around.parameters,
        actor_issuer: around.actor_issuer,
    };
    let mut more = conditions::compile(&view, &within, scope);
    if let Some(actor) = view.get("actor") {
        more.extend(conditions::actor(actor, &within, around.callers, scope));
    }
    let mut base = base?;
    alternatives::unknown_scopes(&view, &base.issuer, scope);
    more.retain(|condition| !base.conditions.contains(condition));
    base.conditions.extend(more);
    alternatives::impossible(node, &base.issuer, &base.conditions, scope);
    Some(base)
}

/// The caller or the issuer that an alternative names.
fn base(view: &View<'_>, around: &Around<'_>, scope: &mut Scope<'_>) -> Option<Alternative> {
    match (view.get("caller"), view.get("issuer")) {
        (Some(node), None) => {
            let caller = caller(node, node.text()?, around, scope)?;
            Some(Alternative::of_caller(&caller, []))
        }
        (None, Some(node)) => {
            let issuer = scope.issuer(Some(node))?;
            Some(Alternative::of_issuer(Arc::from(issuer.name), Vec::new()))
        }
        (Some(_), Some(node)) => {
            scope.report.error_try(
                &node.at,
                "a caller has its issuer already",
                "keep one of `caller` and `issuer`",
            );
            None
        }
        (None, None) => {
            scope.report.error_try(
                view.at(),
                "names neither a caller nor an issuer: its conditions would hold for tokens of every issuer",
                "add `caller: NAME` or `issuer: NAME`",
            );
            None
        }
    }
}

fn caller(
    node: &Node,
    name: &str,
    around: &Around<'_>,
    scope: &mut Scope<'_>,
) -> Option<crate::authz::Caller> {
    match around.callers.get(name) {
        Some(caller) => caller.clone(),
        None => {
            let is_issuer = scope.issuers.iter().any(|issuer| issuer.name == name);
            let names: Vec<&str> = around
                .callers
                .keys()
                .map(String::as_str)
                .chain(WORDS)
                .collect();
            let suggestion = if is_issuer {
                format!("`{name}` is an issuer; for every token of it write {{issuer: {name}}}")
            } else if name.contains('{') {
                "a parameter stands in `account` or `claims`, never for a caller".to_owned()
            } else {
                suggest::one_of(name, &names)
            };
            scope.report.find_try(
                Code::UnknownName,
                &node.at,
                format!("there is no caller called {}", node.shown()),
                suggestion,
            );
            None
        }
    }
}

/// Where opaque tokens pass untouched, nobody is asked about them: callers who have no other tokens are not known there.
fn not_asked(node: &Node, alternatives: &[Alternative], scope: &mut Scope<'_>) {
    let asked = alternatives.iter().find_map(|alternative| {
        let mut issuers = scope.issuers.iter();
        issuers.find(|issuer| issuer.opaque && issuer.name == &*alternative.issuer)
    });
    if let Some(issuer) = asked {
        let name = issuer.name;
        scope.report.error_try(
            &node.at,
            format!(
                "`opaque` lets every token that is no JWT pass untouched: `{name}`, which verifies such tokens, would not be asked about them"
            ),
            "remove `opaque`, or give its tokens a route of their own",
        );
    }
}

/// Conditions that bind nobody, since the same caller is let pass without them beside.
fn widened(node: &Node, alternatives: &[Alternative], scope: &mut Scope<'_>) {
    for (at, narrow) in alternatives.iter().enumerate() {
        // One before it makes it unreachable, which was reported.
        let covered = alternatives
            .iter()
            .skip(at + 1)
            .any(|wide| wide.caller == narrow.caller && narrow.implies(wide));
        if covered {
            scope.report.find_try(
                Code::ConditionWithoutEffect,
                &node.at,
                "an alternative's conditions have no effect: another one lets the same caller pass without them",
                "remove the wider alternative, or the conditions",
            );
        }
    }
}
