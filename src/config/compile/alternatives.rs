//! What is said about alternatives beside one another, and beside what their issuer's tokens can be.

use std::collections::BTreeSet;

use super::{IssuerName, Scope};
use crate::authz::{AccountRule, Alternative, Condition};
use crate::config::Code;
use crate::config::node::Node;
use crate::config::suggest;
use crate::config::view::View;

/// An alternative that lets pass nobody whom one before it does not: it never decides, and names no caller.
pub(super) fn unreachable(
    node: &Node,
    alternative: &Alternative,
    before: &[Alternative],
    scope: &mut Scope<'_>,
) {
    if before.contains(alternative) {
        scope.report.find_try(
            Code::UnreachableAlternative,
            &node.at,
            "says the same as another alternative of the list",
            "remove one of them",
        );
    } else if let Some(wide) = before.iter().find(|wide| alternative.implies(wide)) {
        scope.report.find_try(
            Code::UnreachableAlternative,
            &node.at,
            format!(
                "never decides anything: `{}` before it lets pass everybody whom it would",
                name(wide)
            ),
            "put the narrower alternative first, so that its caller is the one that is recorded and told; or remove it",
        );
    }
}

fn name(alternative: &Alternative) -> &str {
    alternative.caller.as_ref().unwrap_or(&alternative.issuer)
}

/// Conditions that no token of the issuer can fulfil together.
pub(super) fn impossible(
    node: &Node,
    issuer: &str,
    conditions: &[Condition],
    scope: &mut Scope<'_>,
) {
    let found = scope.issuers.iter().find(|own| own.name == issuer);
    // No error: who takes a client out of `clients` in a hurry must not be held up by what policy still says of it.
    if let Some(reason) = found.and_then(|issuer| not_taken(issuer, conditions)) {
        scope.report.find(Code::ClientNotTaken, &node.at, reason);
    }
    if let Some(reason) = contradiction(conditions) {
        scope.report.find_try(
            Code::UnreachableAlternative,
            &node.at,
            reason,
            "correct one of the two",
        );
    }
}

/// Clients whose tokens the issuer's own `clients` refuses.
fn not_taken(issuer: &IssuerName<'_>, conditions: &[Condition]) -> Option<String> {
    let taken = issuer.node.get("clients")?;
    let is_taken = |client: &str| taken.each().iter().any(|own| own.text() == Some(client));
    conditions.iter().find_map(|condition| match condition {
        Condition::Client(clients) if !clients.iter().any(|client| is_taken(client)) => {
            Some(format!(
                "no token of the client `{}` is ever taken: `clients` of the issuer `{}` does not name it",
                clients.join("`, `"),
                issuer.name
            ))
        }
        _ => None,
    })
}

/// A token has one client and one subject.
fn contradiction(conditions: &[Condition]) -> Option<String> {
    let (mut clients, mut subjects) = (Vec::new(), Vec::new());
    for condition in conditions {
        match condition {
            Condition::Client(values) => clients.push(texts(values)),
            Condition::Subject(values) => subjects.push(texts(values)),
            Condition::ServiceAccount(accounts) => {
                subjects.push(accounts.iter().map(|own| own.subject()).collect());
            }
            _ => {}
        }
    }
    for (what, sets) in [("client", &clients), ("subject", &subjects)] {
        let mut sets = sets.iter();
        let first: Option<BTreeSet<&str>> = sets.next().cloned();
        let common = first.map(|first| {
            sets.fold(first, |common: BTreeSet<&str>, own| {
                common.intersection(own).copied().collect()
            })
        });
        if common.is_some_and(|common| common.is_empty()) {
            return Some(format!(
                "no token can fulfil it: its conditions, those of its caller included, want two different {what}s"
            ));
        }
    }
    None
}

fn texts(values: &[Box<str>]) -> BTreeSet<&str> {
    values.iter().map(AsRef::as_ref).collect()
}

/// Scopes that no token of the issuer can carry, where the issuer says which ones its tokens can.
pub(super) fn unknown_scopes(view: &View<'_>, issuer: &str, scope: &mut Scope<'_>) {
    let found = scope.issuers.iter().find(|own| own.name == issuer);
    let Some(known) = found.and_then(|issuer| carried(issuer.node)) else {
        return;
    };
    let names: Vec<&str> = known.iter().copied().collect();
    for node in view.items("scopes").iter().chain(view.items("any_scope")) {
        if let Some(text) = node.text().filter(|text| !known.contains(text)) {
            scope.report.find_try(
                Code::UnknownScope,
                &node.at,
                format!("no token of `{issuer}` has the scope `{text}`, by its `scopes_supported`"),
                suggest::one_of(text, &names),
            );
        }
    }
}

/// `scopes_supported`, and what those stand for.
fn carried(issuer: &Node) -> Option<BTreeSet<&str>> {
    let declared = issuer.get("scopes_supported")?;
    let mut known: BTreeSet<&str> = declared.each().iter().filter_map(Node::text).collect();
    let implied = issuer.get("scope_implies").map(Node::entries);
    let implied = implied.unwrap_or_default();
    loop {
        let reached = implied.iter().filter(|entry| known.contains(&*entry.key));
        let more = reached.flat_map(|entry| entry.value.each().iter().filter_map(Node::text));
        let more: BTreeSet<&str> = more.filter(|own| !known.contains(own)).collect();
        if more.is_empty() {
            return Some(known);
        }
        known.extend(more);
    }
}

/// Beside an alternative for an account's own data, one that reaches every account and is for nobody in particular.
pub(super) fn wildcard_accounts(alternatives: &[(&Node, Alternative)], scope: &mut Scope<'_>) {
    let own_account = |alternative: &Alternative| {
        let mut all = alternative.conditions.iter();
        all.any(|own| matches!(own, Condition::Account(AccountRule::Parameter(_))))
    };
    if !alternatives.iter().any(|(_, own)| own_account(own)) {
        return;
    }
    for (node, alternative) in alternatives {
        let in_particular = alternative.conditions.iter().any(|condition| {
            !matches!(
                condition,
                Condition::Scopes(_)
                    | Condition::AnyScope(_)
                    | Condition::ClientAddress(_)
                    | Condition::Account(_)
            )
        });
        if !own_account(alternative) && !in_particular {
            scope.report.find_try(
                Code::WildcardAccount,
                &node.at,
                format!(
                    "reaches every account, for whatever token of `{}`: another alternative keeps each account to its own",
                    alternative.issuer
                ),
                "name the client, the subject or the ServiceAccount that may, or add the `account` of the path",
            );
        }
    }
}
