//! What was left out, and who was refused.

use std::collections::BTreeMap;

use super::draft::Route;
use super::parties::{Parties, Party};
use super::segments::is_value;
use super::template::Template;
use super::tree::Standing;
use crate::decision_log::{Bounded, Record};

/// Most kinds of either that are told apart.
const MOST: usize = 10_000;

/// Requests that are not learned from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who asked: the client, or `anonymous`.
    pub who: String,
    /// For what.
    pub method: String,
    /// For what: a path, with `{value}` for segments that look like identifiers.
    pub path: String,
    /// Why it is left out.
    pub why: Why,
    /// How often.
    pub count: u64,
    /// The first of them.
    pub example: String,
}

/// Why a request is not learned from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It was refused, or would have been.
    Refused(String),
    /// The upstream answered with this error (0: not at all).
    NotFulfilled(u16),
    /// It brought no token, and no route was made for it.
    Anonymous,
    /// It brought a token that nobody could read, and no route was made for it.
    Opaque,
    /// It was for another account than that of its token.
    OtherAccount,
}

/// Requests that policy refused, or would have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Who asked: the client, or `anonymous`.
    pub who: String,
    /// The route that owned them; empty: none.
    pub route: String,
    /// The reason, as the decision record has it.
    pub reason: String,
    /// How often.
    pub count: u64,
    /// How many of them passed, because the route only observed.
    pub passed: u64,
    /// The first of them.
    pub example: String,
}

type Ask = (String, String, String, Why);

#[derive(Clone, Debug, Default)]
struct Asked {
    count: u64,
    example: String,
    segments: Vec<String>,
    party: Option<Party>,
}

#[derive(Debug)]
pub(super) struct Questions {
    asked: Bounded<Ask, Asked>,
    refused: Bounded<(String, String, String), (u64, u64, String)>,
    foreign: Vec<Question>,
    pub(super) beyond: u64,
}

impl Default for Questions {
    fn default() -> Self {
        Self {
            asked: Bounded::new(MOST),
            refused: Bounded::new(MOST),
            foreign: Vec::new(),
            beyond: 0,
        }
    }
}

impl Why {
    pub(super) fn refused(reason: &str) -> Self {
        Self::Refused(reason.to_owned())
    }

    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Refused(reason) => reason.clone(),
            Self::NotFulfilled(0) => "the upstream did not answer".to_owned(),
            Self::NotFulfilled(status) => format!("the upstream answered {status}"),
            Self::Anonymous => "without a token".to_owned(),
            Self::Opaque => "a token that is no JWT".to_owned(),
            Self::OtherAccount => "another account's".to_owned(),
        }
    }

    /// One word, for programs.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Refused(reason) => reason,
            Self::NotFulfilled(_) => "not_fulfilled",
            Self::Anonymous => "anonymous",
            Self::Opaque => "opaque",
            Self::OtherAccount => "other_account",
        }
    }

    /// Whether an operator can take it in with `--include`.
    #[must_use]
    pub fn can_be_included(&self) -> bool {
        match self {
            // A token that does not hold, or a path with two readings, is no matter of policy.
            Self::Refused(reason) => {
                let policy = [
                    "no_token",
                    "no_route",
                    "near_miss",
                    "nobody_may",
                    "caller_not_allowed",
                    "method_not_allowed",
                    "scope_missing",
                ];
                policy.contains(&&**reason)
                    || reason.starts_with("condition")
                    || reason.starts_with("account_")
            }
            Self::NotFulfilled(_) | Self::Anonymous | Self::OtherAccount => true,
            Self::Opaque => false,
        }
    }
}

impl Questions {
    /// Who was refused, by route and reason.
    pub(super) fn refused(&mut self, record: &Record, reason: &str) {
        let route = record.route.clone().unwrap_or_default();
        let key = (record.who().to_owned(), route, reason.to_owned());
        let Some(found) = self.refused.at(key) else {
            return;
        };
        found.0 += 1;
        found.1 += u64::from(record.observed.is_some());
        if found.2.is_empty() {
            found.2 = example(record);
        }
    }

    /// A request that is left out.
    pub(super) fn ask(
        &mut self,
        record: &Record,
        segments: &[String],
        why: Why,
        party: Option<Party>,
    ) {
        let key = (
            record.who().to_owned(),
            record.method.clone().unwrap_or_default(),
            pattern(segments, record.account.as_deref()),
            why,
        );
        let Some(asked) = self.asked.at(key) else {
            return;
        };
        asked.count += 1;
        if asked.count == 1 {
            asked.example = example(record);
            asked.segments = segments.to_vec();
            asked.party = party;
        }
    }

    /// Requests for other accounts, which the policy of the time let pass; how many.
    pub(super) fn foreign(
        &mut self,
        template: &Template,
        parties: &Parties,
        names: &[String],
    ) -> u64 {
        let mut requests = 0;
        for (key, found) in &template.uses {
            if key.standing != Standing::Foreign {
                continue;
            }
            let who = match parties.get(key.party) {
                Some(Party::Client { client, .. }) => Some(client.clone()),
                _ => names.get(key.party).cloned(),
            };
            requests += found.count;
            self.foreign.push(Question {
                who: who.unwrap_or_default(),
                method: key.method.clone(),
                path: template.path(),
                why: Why::OtherAccount,
                count: found.count,
                example: format!("{} /{}", key.method, found.example.join("/")),
            });
        }
        requests
    }

    /// Who was refused, the most frequent first.
    pub(super) fn all_refused(&self) -> Vec<Refused> {
        let mut all: Vec<Refused> = self
            .refused
            .iter()
            .map(|((who, route, reason), (count, passed, example))| Refused {
                who: who.clone(),
                route: route.clone(),
                reason: reason.clone(),
                count: *count,
                passed: *passed,
                example: example.clone(),
            })
            .collect();
        all.sort_by_key(|refused| std::cmp::Reverse(refused.count));
        all
    }

    /// The questions that are left once templates are known, the most frequent first; routes learn of those about them.
    pub(super) fn settle(
        &mut self,
        templates: &[Template],
        parties: &Parties,
        routes: &mut [Route],
    ) -> Vec<Question> {
        let mut by_path: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        let mut all = std::mem::take(&mut self.foreign);
        for question in &all {
            by_path.entry(question.path.clone()).or_default().1 += question.count;
        }
        for ((who, method, path, why), asked) in self.asked.iter() {
            let owner = templates
                .iter()
                .filter_map(|template| Some((template.rank(&asked.segments)?, template)))
                .min_by(|one, other| one.0.cmp(&other.0))
                .map(|(_, template)| template);
            if is_covered(owner, method, asked, why, parties) {
                continue;
            }
            if let (Some(owner), true) = (owner, matches!(why, Why::Refused(_))) {
                by_path.entry(owner.path()).or_default().0 += asked.count;
            }
            all.push(Question {
                who: who.clone(),
                method: method.clone(),
                path: path.clone(),
                why: why.clone(),
                count: asked.count,
                example: asked.example.clone(),
            });
        }
        for route in routes {
            let (refused, foreign) = by_path.get(&route.path).copied().unwrap_or_default();
            if refused > 0 {
                route.unsure.push(format!(
                    "{} refused here, or would have been, and not let in",
                    requests(refused)
                ));
            }
            if foreign > 0 {
                route.unsure.push(format!(
                    "{} for another account than the caller's, and not let in",
                    requests(foreign)
                ));
            }
        }
        self.beyond += self.asked.beyond;
        all.sort_by_key(|question| std::cmp::Reverse(question.count));
        all
    }
}

/// Whether what was learned lets the request pass all the same: an error of the upstream, or of the moment.
fn is_covered(
    owner: Option<&Template>,
    method: &str,
    asked: &Asked,
    why: &Why,
    parties: &Parties,
) -> bool {
    let of_the_moment = match why {
        Why::NotFulfilled(_) => true,
        Why::Refused(reason) => reason == "rate_limited",
        _ => false,
    };
    let Some(owner) = owner.filter(|_| of_the_moment) else {
        return false;
    };
    owner.uses.keys().any(|key| {
        let same = match (parties.get(key.party), &asked.party) {
            (Some(Party::Word(_)), None) => true,
            (Some(own), Some(other)) => own == other,
            _ => false,
        };
        same && key.method == method && key.standing != Standing::Foreign
    })
}

/// How many, in words.
fn requests(count: u64) -> String {
    if count == 1 {
        "1 request was".to_owned()
    } else {
        format!("{count} requests were")
    }
}

fn example(record: &Record) -> String {
    let method = record.method.as_deref().unwrap_or_default();
    let path = record.path.as_deref().or(record.target.as_deref());
    format!("{method} {}", path.unwrap_or_default())
        .trim()
        .to_owned()
}

/// A path with its identifiers taken out.
fn pattern(segments: &[String], account: Option<&str>) -> String {
    let mut path = String::new();
    let mut number = 0;
    for segment in segments {
        path.push('/');
        if account.is_some_and(|account| segment.eq_ignore_ascii_case(account))
            && !path.contains("{account}")
        {
            path.push_str("{account}");
        } else if is_value(segment) {
            number += 1;
            let which = if number > 1 {
                number.to_string()
            } else {
                String::new()
            };
            path.push_str(&format!("{{value{which}}}"));
        } else {
            path.push_str(segment);
        }
    }
    path
}
