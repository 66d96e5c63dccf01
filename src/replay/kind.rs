//! Which records are alike: what a decision depends on, and no more. Most requests of a log are like another one.

use std::collections::BTreeSet;

use crate::authz::{Access, Condition, PatternSegment};
use crate::config::Config;
use crate::decision_log::Record;

/// What the policy of a configuration looks at.
#[derive(Debug)]
pub(super) struct Kinds {
    /// Literals of paths, in lower case: other segments are one like the other, save where conditions compare them.
    literals: BTreeSet<String>,
    subject: bool,
    address: bool,
    pub(super) issuers: BTreeSet<String>,
}

impl Kinds {
    pub(super) fn of(config: &Config) -> Self {
        let mut kinds = Self {
            literals: BTreeSet::new(),
            // Namespace and name of a ServiceAccount are in its subject.
            subject: config.issuers.iter().any(|(issuer, _)| issuer.kubernetes),
            address: config
                .policy
                .observed_callers()
                .iter()
                .any(|own| !own.enforced.is_nobody()),
            issuers: config
                .issuers
                .iter()
                .map(|(issuer, _)| issuer.name.to_string())
                .collect(),
        };
        for route in config.policy.routes() {
            let settings = route.settings();
            kinds.address |= !settings.enforced.is_nobody();
            for segment in settings.paths.iter().flat_map(|path| path.segments()) {
                if let PatternSegment::Literal(text) = segment {
                    kinds.literals.insert(text.to_ascii_lowercase());
                }
            }
            for access in settings.table.accesses() {
                let Access::Rules { alternatives, .. } = access else {
                    continue;
                };
                for condition in alternatives.iter().flat_map(|own| &own.conditions) {
                    kinds.subject |= matches!(
                        condition,
                        Condition::Subject(_) | Condition::ServiceAccount(_)
                    );
                    kinds.address |= matches!(condition, Condition::ClientAddress(_));
                }
            }
        }
        kinds
    }

    /// Records with the same key are decided alike, then and now.
    pub(super) fn key(&self, record: &Record) -> Vec<u8> {
        let mut key = Vec::with_capacity(256);
        let mut put = |text: Option<&str>| {
            // A length before each: no two lists of texts make one key.
            let text = text.map(str::as_bytes);
            let length = text.map_or(u64::MAX, |text| {
                u64::try_from(text.len()).unwrap_or_default()
            });
            key.extend_from_slice(&length.to_le_bytes());
            key.extend_from_slice(text.unwrap_or_default());
        };
        for text in [
            &record.listener,
            &record.decision,
            &record.reason,
            &record.observed,
            &record.method,
            &record.host,
            &record.protocol,
            &record.route,
            &record.caller,
            &record.principal,
            &record.issuer,
            &record.client,
            &record.account,
            &record.upgrade,
        ] {
            put(text.as_deref());
        }
        put(record.subject.as_deref().filter(|_| self.subject));
        put(record.client_address.as_deref().filter(|_| self.address));
        put(record.peer_address.as_deref().filter(|_| self.address));
        put(record.subject.as_deref().map(|subject| {
            if subject.starts_with("hmac:") {
                "h"
            } else {
                "s"
            }
        }));
        for scope in &record.scopes {
            put(Some(scope));
        }
        put(None);
        let claims = record
            .claims
            .as_ref()
            .map(|claims| serde_json::to_string(claims).unwrap_or_default());
        put(claims.as_deref());
        self.path(record, &mut put);
        key
    }

    fn path(&self, record: &Record, put: &mut impl FnMut(Option<&str>)) {
        let path = record.path.as_deref().or(record.target.as_deref());
        let path = path.unwrap_or_default();
        // Claims may be compared with any segment; an escape may hide a literal.
        let raw = record.claims.is_some() || path.contains(['%', ';', '\\', '[', '…']);
        let account = record.account.as_deref().unwrap_or_default();
        for segment in path.split('/') {
            let is_known = |text: &str| self.literals.contains(&text.to_ascii_lowercase());
            put(Some(match segment {
                _ if raw => segment,
                "" | "." | ".." => segment,
                _ if is_known(segment) => segment,
                _ if segment == account => "\u{1}",
                _ if segment.eq_ignore_ascii_case(account) => "\u{2}",
                _ => "\u{3}",
            }));
        }
    }
}
