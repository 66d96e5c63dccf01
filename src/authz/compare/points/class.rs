//! Tokens of the same issuers, and what both policies find in them.

use std::sync::Arc;

use super::Which;
use crate::authn::{Audiences, ClaimPath, Issuer, Issuers};
use crate::authz::compare::draft::Home;

/// Tokens of the same `iss` values, and who they are to both policies.
#[derive(Clone, Debug)]
pub(in crate::authz::compare) struct Class {
    pub(super) iss: Vec<String>,
    old: Option<Arc<Issuer>>,
    new: Option<Arc<Issuer>>,
}

impl Class {
    /// All tokens that one of the two takes.
    pub(in crate::authz::compare) fn all(old: &Issuers, new: &Issuers) -> Vec<Self> {
        let mut classes: Vec<Self> = Vec::new();
        for issuer in old.iter().chain(new.iter()) {
            for iss in &issuer.settings().issuers {
                if classes.iter().any(|class| class.iss.contains(iss)) {
                    continue;
                }
                let (old, new) = (old.by_iss(iss), new.by_iss(iss));
                let name = |issuer: Option<&Arc<Issuer>>| issuer.map(|own| Arc::clone(own.name()));
                let same = classes.iter_mut().find(|class| {
                    name(class.old.as_ref()) == name(old) && name(class.new.as_ref()) == name(new)
                });
                match same {
                    Some(class) => class.iss.push(iss.clone()),
                    None => classes.push(Self {
                        iss: vec![iss.clone()],
                        old: old.cloned(),
                        new: new.cloned(),
                    }),
                }
            }
        }
        classes
    }

    pub(in crate::authz::compare) fn issuer(&self, which: Which) -> Option<&Arc<Issuer>> {
        match which {
            Which::Old => self.old.as_ref(),
            Which::New => self.new.as_ref(),
        }
    }

    pub(in crate::authz::compare) fn is(&self, which: Which, name: &str) -> bool {
        self.issuer(which).is_some_and(|own| **own.name() == *name)
    }

    pub(super) fn both(&self) -> impl Iterator<Item = &Arc<Issuer>> {
        self.old.iter().chain(&self.new)
    }

    /// The strings that its issuers ask for.
    pub(in crate::authz::compare) fn constants(&self) -> impl Iterator<Item = Box<str>> {
        let asked = self.both().flat_map(|issuer| {
            let settings = issuer.settings();
            let audiences = match &settings.audiences {
                Audiences::AnyOf(audiences) => audiences.as_slice(),
                Audiences::Unchecked => &[],
            };
            settings.clients.iter().flatten().chain(audiences)
        });
        asked.chain(&self.iss).map(|text| text.as_str().into())
    }

    /// Whether both policies find the same in a token.
    pub(super) fn reads_alike(&self) -> bool {
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => {
                let (old, new) = (old.settings(), new.settings());
                old.claim_mappings == new.claim_mappings && old.scope_implies == new.scope_implies
            }
            _ => true,
        }
    }

    /// Claims that the policy of `which` does not look at and the other one does, in the place of those that it would look
    /// at next: sets of them that a token may have besides. The empty set is the first.
    pub(super) fn decoys(&self, which: Which) -> Vec<Vec<Home>> {
        let mut sets = vec![Vec::new()];
        if let (Some(old), Some(new), false) = (&self.old, &self.new, self.reads_alike()) {
            let (own, other) = match which {
                Which::Old => (old, new),
                Which::New => (new, old),
            };
            let mut all = Vec::new();
            for (own, other) in homes_of(own).into_iter().zip(homes_of(other)) {
                let only: Vec<Home> = other
                    .into_iter()
                    .filter(|home| !own.contains(home))
                    .collect();
                all.extend(only.iter().cloned());
                sets.extend((!only.is_empty()).then_some(only));
            }
            sets.extend((sets.len() > 2).then_some(all));
        }
        // A ServiceAccount has groups unless its token says otherwise.
        let kubernetes = self.both().find(|issuer| issuer.settings().kubernetes);
        let groups = kubernetes.and_then(|own| own.settings().claim_mappings.groups.first());
        sets.extend(groups.map(|home| vec![home.home()]));
        sets
    }

    /// Whether both policies take the same tokens for the same, so far as conditions can tell.
    pub(in crate::authz::compare) fn is_one(&self) -> bool {
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => {
                let (old, new) = (old.settings(), new.settings());
                self.reads_alike() && old.clients == new.clients && old.kubernetes == new.kubernetes
            }
            _ => false,
        }
    }
}

/// Where an issuer keeps each of the things that policy speaks of.
pub(super) fn homes_of(issuer: &Issuer) -> [Vec<Home>; 6] {
    mapped(issuer).map(|homes| homes.iter().map(ClaimPath::home).collect())
}

pub(super) fn mapped(issuer: &Issuer) -> [Vec<ClaimPath>; 6] {
    let own = &issuer.settings().claim_mappings;
    [
        &own.subject,
        &own.client,
        &own.account,
        &own.scopes,
        &own.roles,
        &own.groups,
    ]
    .map(Clone::clone)
}

pub(super) fn subject_homes(issuer: &Issuer) -> Vec<ClaimPath> {
    if issuer.settings().kubernetes {
        vec![ClaimPath::top("sub")]
    } else {
        issuer.settings().claim_mappings.subject.clone()
    }
}

/// Whether `scope` implies `other`, directly or not.
pub(super) fn implies(issuer: &Issuer, scope: &str, other: &str) -> bool {
    issuer.expand(vec![scope]).iter().any(|own| **own == *other)
}
