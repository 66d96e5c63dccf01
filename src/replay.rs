//! Recorded requests under another configuration: what would now be decided differently.
//!
//! Each record is made into the request it was, as far as it has it, and goes the way of every request
//! ([`Explainer`]). What a record does not have (roles, groups, certificates, a hashed subject, claims
//! that the policy of the time did not read) makes a *may* of what depends on it. What counts is whether a request passes: what
//! was only observed passed then.

mod compare;
mod kind;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::clock::UnixTime;
use crate::config::Config;
use crate::decision_log::{Bounded, Record};
use crate::explain::Explainer;

pub use compare::{Change, Difference};

use compare::Compared;
use kind::Kinds;

/// Most kinds of requests whose outcome is remembered, and most differences that are told apart.
const MOST: usize = 100_000;

/// Replays records.
#[derive(Debug)]
pub struct Replay {
    explainer: Explainer,
    at: UnixTime,
    kinds: Kinds,
    memo: HashMap<Vec<u8>, Compared>,
    differences: Bounded<Difference, Seen>,
    figures: Figures,
}

/// How often a difference was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Requests.
    pub count: u64,
    /// The first of them: method and path.
    pub example: String,
    /// Its request id, for `explain --request-id`.
    pub request_id: String,
}

/// How many requests became what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// All requests.
    pub requests: u64,
    /// Decided as they were.
    pub same: u64,
    /// Decided differently.
    pub different: u64,
    /// Of which it cannot be told, because the record has too little.
    pub unknown: u64,
    /// That policy has no part in: of outbound listeners, refused by HTTP itself, limited.
    pub apart: u64,
    /// Kinds of requests that were judged; the others were like one of these.
    pub kinds: u64,
}

impl Replay {
    /// Prepares a configuration, as of `at`.
    ///
    /// # Errors
    /// The configuration is valid, and a part of it cannot be used; says which.
    pub fn new(config: Arc<Config>, at: UnixTime) -> Result<Self, String> {
        Ok(Self {
            kinds: Kinds::of(&config),
            explainer: Explainer::pinned(config)?,
            at,
            memo: HashMap::new(),
            differences: Bounded::new(MOST),
            figures: Figures::default(),
        })
    }

    /// Replays one record; `line` are its bytes.
    pub fn record(&mut self, record: &Record, line: &[u8]) {
        self.figures.requests += 1;
        let outcome = match compare::without_policy(record) {
            Some(outcome) => outcome,
            None => {
                let key = self.kinds.key(record);
                match self.memo.get(&key) {
                    Some(outcome) => outcome.clone(),
                    None => self.judge(record, line, key),
                }
            }
        };
        match outcome {
            Compared::Apart => self.figures.apart += 1,
            Compared::Same => self.figures.same += 1,
            Compared::Unknown => self.figures.unknown += 1,
            Compared::Different(difference) => {
                self.figures.different += 1;
                let Some(seen) = self.differences.at(*difference) else {
                    return;
                };
                seen.count += 1;
                if seen.count == 1 {
                    let own = |text: &Option<String>| text.clone().unwrap_or_default();
                    let path = record.path.as_ref().or(record.target.as_ref());
                    seen.example = format!("{} {}", own(&record.method), own(&path.cloned()));
                    seen.request_id = own(&record.request_id);
                }
            }
        }
    }

    fn judge(&mut self, record: &Record, line: &[u8], key: Vec<u8>) -> Compared {
        self.figures.kinds += 1;
        let outcome = match serde_json::from_slice::<Value>(line) {
            Ok(value) => match self.explainer.replay(&value, self.at) {
                Ok((told, unknown)) => compare::compare(record, &told, unknown, &self.kinds),
                Err(error) => compare::elsewhere(record, &error),
            },
            Err(_) => Compared::Unknown,
        };
        if self.memo.len() >= MOST {
            self.memo.clear();
        }
        self.memo.insert(key, outcome.clone());
        outcome
    }

    /// How many requests became what.
    #[must_use]
    pub const fn figures(&self) -> Figures {
        self.figures
    }

    /// What is decided differently: what opens first, then the most frequent.
    #[must_use]
    pub fn differences(&self) -> Vec<(&Difference, &Seen)> {
        let mut all: Vec<(&Difference, &Seen)> = self.differences.iter().collect();
        all.sort_by_key(|(difference, seen)| (difference.change, std::cmp::Reverse(seen.count)));
        all
    }

    /// Requests that are decided differently in a way for which there was no place: nobody knows which way those go.
    #[must_use]
    pub const fn untold(&self) -> u64 {
        self.differences.beyond
    }

    /// Whether something opens, or may; `None`: nothing is different but reasons.
    #[must_use]
    pub fn is_wider(&self) -> Option<bool> {
        let mut any = None;
        for (difference, _) in self.differences.iter() {
            if difference.change.matters() {
                any = Some(any.unwrap_or_default() || difference.change.is_wider());
            }
        }
        any
    }
}
