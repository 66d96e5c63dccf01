//! Who may ask for an operation, from what its document asks for.

use std::collections::BTreeSet;

use super::parties::{Parties, Party};
use crate::config;
use crate::config::written::{list, scalar};
use crate::openapi::read::clean;
use crate::openapi::security::{self, Scheme, Security};
use crate::openapi::{Document, Operation};

/// A row of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Access {
    /// The alternatives as they are written; a word is one.
    pub(super) lines: Vec<String>,
    pub(super) why: Why,
    /// What there is to say about it.
    pub(super) remarks: Vec<String>,
}

/// What a row comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Tokens are asked for.
    Token,
    /// It is open, and the operator trusts the document in that.
    Public,
    /// Nothing is said.
    Unsaid,
    /// It is open in the document.
    Closed,
    /// What is asked for cannot be said or checked.
    Unchecked,
}

impl Access {
    pub(super) fn nobody(why: Why, remark: String) -> Self {
        Self {
            lines: vec!["nobody".to_owned()],
            why,
            remarks: vec![remark],
        }
    }

    /// On one line, as it would be written beside a method.
    pub(super) fn line(&self) -> String {
        match self.lines.as_slice() {
            [one] => one.clone(),
            all => format!("[{}]", all.join(", ")),
        }
    }
}

/// Who may ask for an operation.
pub(super) fn access(
    document: &Document,
    operation: &Operation,
    parties: &Parties,
    trust_public: bool,
) -> Access {
    let (anonymous, alternatives) = match &operation.security {
        Security::Unsaid => {
            let remark = "the document does not say who may".to_owned();
            return Access::nobody(Why::Unsaid, remark);
        }
        Security::Said {
            anonymous,
            alternatives,
        } => (*anonymous, alternatives),
    };
    let mut rules: Vec<Rule> = Vec::new();
    let mut remarks = Vec::new();
    for alternative in alternatives {
        match rule(document, alternative, parties) {
            Ok(rule) => rules.push(rule),
            Err(why) => remarks.push(format!("left out: {why}")),
        }
    }
    let mut lines = lines(&rules, parties);
    if anonymous {
        // Tokens are looked at only where the document speaks of some.
        let word = if alternatives.is_empty() {
            "anyone"
        } else {
            "anonymous"
        };
        lines.insert(0, word.to_owned());
        let opened = Access {
            lines,
            why: Why::Public,
            remarks,
        };
        if trust_public {
            return opened;
        }
        let remark = format!("the document lets everybody pass; if so: {}", opened.line());
        return Access::nobody(Why::Closed, remark);
    }
    if lines.is_empty() {
        let remark = remarks.join("; ");
        return Access::nobody(Why::Unchecked, remark);
    }
    Access {
        lines,
        why: Why::Token,
        remarks,
    }
}

/// A token of an issuer that has these scopes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    issuer: String,
    scopes: BTreeSet<String>,
}

/// One rule for schemes that are all needed, or why there is none.
fn rule(
    document: &Document,
    alternative: &security::Alternative,
    parties: &Parties,
) -> Result<Rule, String> {
    let mut rule: Option<Rule> = None;
    for (scheme, wanted) in alternative {
        let issuer = parties.issuer(scheme)?;
        let bearer = matches!(document.schemes.get(scheme), Some(Scheme::Bearer));
        if let (true, Some(role)) = (bearer, wanted.first()) {
            return Err(format!(
                "`{}` of `{}` is a role, of which the document does not say more",
                clean(role),
                clean(scheme)
            ));
        }
        if let Some(wrong) = wanted.iter().find(|scope| config::scope(scope).is_err()) {
            return Err(format!("`{}` is no scope", clean(wrong)));
        }
        let all = rule.get_or_insert_with(|| Rule {
            issuer: issuer.to_owned(),
            scopes: BTreeSet::new(),
        });
        if all.issuer != issuer {
            return Err(format!("tokens of `{}` and `{issuer}` at once", all.issuer));
        }
        all.scopes.extend(wanted.iter().cloned());
    }
    rule.ok_or_else(|| "nothing is asked for".to_owned())
}

/// Alternatives, without those that another one makes needless.
fn lines(rules: &[Rule], parties: &Parties) -> Vec<String> {
    let needless = |at: usize, rule: &Rule| {
        rules.iter().enumerate().any(|(other_at, other)| {
            let wider = other.issuer == rule.issuer && other.scopes.is_subset(&rule.scopes);
            wider && (other.scopes != rule.scopes || other_at < at)
        })
    };
    let mut lines = Vec::new();
    for (at, rule) in rules.iter().enumerate() {
        if needless(at, rule) {
            continue;
        }
        for party in parties.of(&rule.issuer) {
            lines.push(line(&party, &rule.scopes));
        }
    }
    lines
}

fn line(party: &Party, scopes: &BTreeSet<String>) -> String {
    let who = match party {
        Party::Caller(name) if scopes.is_empty() => return scalar(name),
        Party::Caller(name) => format!("caller: {}", scalar(name)),
        Party::Issuer(name) => format!("issuer: {}", scalar(name)),
    };
    if scopes.is_empty() {
        return format!("{{{who}}}");
    }
    let scopes = list(scopes.iter().map(String::as_str));
    format!("{{{who}, scopes: {scopes}}}")
}
