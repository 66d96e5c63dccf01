//! Alternatives with fewer values.

use std::sync::Arc;

use crate::authz::compare::points::{Expanded, Point};
use crate::authz::condition::{Alternative, CertificateNames, ClaimValue, Condition};

/// The alternative with those values only that the failing principals stand for.
pub(super) fn restricted(
    alternative: &Alternative,
    expanded: &Expanded,
    failing: &[&Point],
) -> Alternative {
    let mut conditions = Vec::new();
    let own = alternative.conditions.len();
    for (at, condition) in expanded.conditions.iter().enumerate() {
        let mut values: Vec<usize> = failing
            .iter()
            .filter_map(|point| point.chosen.get(at))
            .flatten()
            .copied()
            .collect();
        values.sort_unstable();
        values.dedup();
        let narrow = narrowed(condition, &values);
        if at < own || (narrow != *condition && !conditions.contains(&narrow)) {
            conditions.push(narrow);
        }
    }
    Alternative {
        caller: alternative.caller.clone(),
        issuer: Arc::clone(&alternative.issuer),
        conditions,
    }
}

fn narrowed(condition: &Condition, values: &[usize]) -> Condition {
    fn pick<T: Clone>(all: &[T], values: &[usize]) -> Vec<T> {
        values
            .iter()
            .filter_map(|at| all.get(*at))
            .cloned()
            .collect()
    }
    match condition {
        Condition::Client(all) => Condition::Client(pick(all, values)),
        Condition::Subject(all) => Condition::Subject(pick(all, values)),
        Condition::ServiceAccount(all) => Condition::ServiceAccount(pick(all, values)),
        Condition::AnyScope(all) => Condition::AnyScope(pick(all, values)),
        Condition::Roles(all) => Condition::Roles(pick(all, values)),
        Condition::Groups(all) => Condition::Groups(pick(all, values)),
        Condition::ClientAddress(all) => Condition::ClientAddress(pick(all, values)),
        Condition::Claim { path, values: all } => Condition::Claim {
            path: path.clone(),
            values: pick::<ClaimValue>(all, values),
        },
        Condition::ClientCertificate(names) => {
            Condition::ClientCertificate(certificate(names, values))
        }
        Condition::Scopes(_) | Condition::Account(_) | Condition::Actor(_) => condition.clone(),
    }
}

fn certificate(names: &CertificateNames, values: &[usize]) -> CertificateNames {
    let (dns, uris) = (names.dns.len(), names.uris.len());
    let pick = |all: &[Box<str>], before: usize| {
        let is_chosen = |at: usize| values.contains(&at.saturating_add(before));
        let chosen = all.iter().enumerate().filter(|(at, _)| is_chosen(*at));
        chosen.map(|(_, name)| name.clone()).collect()
    };
    CertificateNames {
        dns: pick(&names.dns, 0),
        uris: pick(&names.uris, dns),
        sha256: pick(&names.sha256, dns.saturating_add(uris)),
    }
}
