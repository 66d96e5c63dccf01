//! A least-privilege policy from what was observed.
//!
//! A [`Learner`] takes decision records one by one and keeps what they have in common, never the records: paths as a tree of
//! segments ([`tree`]), who asked ([`parties`]), and what was left out ([`questions`]). [`Learner::finish`] finds the
//! templates and writes the policy ([`draft`], [`write`]).
//!
//! **What is learned**: requests whose token was verified, that policy let pass, and that the upstream fulfilled. All else is
//! a question to the operator, who may take it in ([`Include`]): a refusal that was only observed is a refusal, an answer
//! 404 is a sign of a scan, a request without a token says nothing about who may. And where callers have their own account
//! in a path, a request of one of them for another account is left out, whatever the policy of the time thought of it.

mod current;
mod draft;
mod include;
mod parties;
mod questions;
mod segments;
mod template;
#[cfg(test)]
mod tests;
mod tree;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crate::authz::PathPattern;
use crate::clock::UnixTime;
use crate::config;
use crate::decision_log::{Counts, Record};
use crate::replay::{Change, Replay};

pub use current::Current;
pub use include::{Include, IncludeError};
pub use questions::{Question, Refused, Why};

use draft::Route;
use parties::{Parties, Party};
use questions::Questions;
use template::Template;
use tree::{Node, Standing, Step, Use, UseKey};

/// Most segments of a path that is learned.
const SEGMENTS: usize = 32;

/// Most nodes of all trees.
const NODES: usize = 50_000;

/// Most records that are kept as they came, to be tried on what was learned.
const SAMPLES: usize = 2_000;

/// What an operator says about learning.
#[derive(Debug, Default)]
pub struct Options {
    /// The policy that takes its place: what it says besides routes is kept.
    pub current: Option<Current>,
    /// Requests that are taken in although they were refused.
    pub include: Vec<Include>,
    /// Whether every observed refusal of a verified token is taken in, save those of other accounts.
    pub accept_observed: bool,
}

/// Learns from records.
#[derive(Debug)]
pub struct Learner {
    options: Options,
    /// By what routes are narrowed to (hosts, listener), as lines of a route.
    trees: BTreeMap<String, Node>,
    room: usize,
    samples: usize,
    parties: Parties,
    /// Names of routes by their index.
    routes: Vec<String>,
    questions: Questions,
    figures: Figures,
}

/// How many requests became what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// All requests, without those of outbound listeners.
    pub requests: u64,
    /// Learned from.
    pub learned: u64,
    /// Refused, or would have been.
    pub refused: u64,
    /// CORS preflights, which go a way of their own.
    pub preflights: u64,
    /// Of outbound listeners.
    pub outbound: u64,
}

/// What was learned.
#[derive(Debug)]
pub struct Learned {
    /// The document.
    pub policy: String,
    /// How many routes it has.
    pub routes: usize,
    /// How many callers those allow.
    pub callers: usize,
    /// How many of the routes say that they are unsure of something.
    pub unsure: usize,
    /// How many requests became what.
    pub figures: Figures,
    /// Who was refused, or would have been, under the policy of the time.
    pub refused: Vec<Refused>,
    /// Requests that were left out.
    pub questions: Vec<Question>,
    /// Requests that found no place in what is remembered: too many paths, or clients.
    pub beyond: u64,
    /// Records of what was learned, to be tried on the document.
    pub samples: Vec<Box<[u8]>>,
}

impl Learner {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            options,
            trees: BTreeMap::new(),
            room: NODES,
            samples: SAMPLES,
            parties: Parties::default(),
            routes: Vec::new(),
            questions: Questions::default(),
            figures: Figures::default(),
        }
    }

    /// Learns from one record; `line` are its bytes.
    pub fn record(&mut self, record: &Record, line: &[u8]) {
        let listener = record.listener.as_deref().unwrap_or_default();
        let current = self.options.current.as_ref();
        if record.is_outbound() || current.is_some_and(|current| current.is_outbound(listener)) {
            self.figures.outbound += 1;
            return;
        }
        self.figures.requests += 1;
        if let Some(reason) = record.refusal() {
            self.figures.refused += 1;
            self.questions.refused(record, reason);
        }
        let segments = record.path.as_deref().and_then(segments::segments_of);
        let Some(segments) = segments.filter(|segments| segments.len() <= SEGMENTS) else {
            return;
        };
        let method = record.method.as_deref().unwrap_or_default();
        let is_anonymous = record.principal.as_deref() == Some("anonymous");
        if method == "OPTIONS" && is_anonymous && record.is_allowed() {
            self.figures.preflights += 1;
            return;
        }
        match self.judge(record, &segments) {
            Ok(taken) => self.take(record, line, segments, &taken),
            Err(why) => {
                let party = Party::of(record, self.options.current.as_ref());
                self.questions.ask(record, &segments, why, party);
            }
        }
    }

    /// Whether a request is learned from, and as whose.
    fn judge(&self, record: &Record, segments: &[String]) -> Result<Taken, Why> {
        let current = self.options.current.as_ref();
        let mut include = self.options.include.iter();
        if let Some(include) = include.find(|include| include.takes(record, segments)) {
            let party = match Party::of(record, current) {
                Some(party) if record.is_verified() => party,
                _ => Party::Word("anyone"),
            };
            let pinned = Some(include.steps(segments));
            return Ok(Taken { party, pinned });
        }
        let refusal = record.refusal();
        if let Some(reason) = refusal {
            let taken = self.options.accept_observed
                && record.is_verified()
                && record.observed.is_some()
                && record.is_fulfilled()
                && !reason.starts_with("account_");
            let party = Party::of(record, current).filter(|_| taken);
            let accepted = |party| Taken {
                party,
                pinned: None,
            };
            return party.map(accepted).ok_or_else(|| Why::refused(reason));
        }
        if !record.is_allowed() || !record.is_fulfilled() {
            return Err(Why::NotFulfilled(record.status.unwrap_or_default()));
        }
        let party = match record.principal.as_deref() {
            None => Party::of(record, current).ok_or(Why::Anonymous)?,
            Some("opaque") => self.word(record, &["opaque"]).ok_or(Why::Opaque)?,
            Some(_) => self
                .word(record, &["anyone", "anonymous"])
                .ok_or(Why::Anonymous)?,
        };
        Ok(Taken {
            party,
            pinned: None,
        })
    }

    /// The word by which policy let a request pass without a verified token, where it meant this very path.
    fn word(&self, record: &Record, words: &[&'static str]) -> Option<Party> {
        let route = record.route.as_deref()?;
        let method = record.method.as_deref()?;
        let Some(current) = &self.options.current else {
            // A route is called by its path unless it has a name.
            let exact = words.contains(&"anyone") && record.path.as_deref() == Some(route);
            return exact.then_some(Party::Word("anyone"));
        };
        let at = current.route(route)?;
        let said = |word: &&&str| {
            let exact = current.says(at, method, word);
            // Whether an opaque token is good, the upstream knows, and it was.
            exact.is_some_and(|exact| exact || **word == "opaque")
        };
        words.iter().find(said).map(|word| Party::Word(word))
    }

    fn take(&mut self, record: &Record, line: &[u8], segments: Vec<String>, taken: &Taken) {
        let called = record.caller.as_deref();
        let Some(party) = self.parties.intern(taken.party.clone(), called) else {
            self.questions.beyond += 1;
            return;
        };
        let name = record.route.as_deref().unwrap_or_default();
        let route = self.route(name);
        let current = self.options.current.as_ref();
        let narrowed = current.and_then(|current| Some(current.narrowed(current.route(name)?)));
        let account = record.account.as_deref().filter(|_| record.is_verified());
        let spelled = match current {
            Some(current) => current.spelled(name, &segments),
            // A route is called by its path unless it has a name.
            None => PathPattern::parse(name)
                .ok()
                .filter(|path| current::matches(path, &segments))
                .map(|path| current::spelled(&path, segments.len())),
        };
        let (steps, standing) = steps(&segments, account, taken, &spelled.unwrap_or_default());
        let key = UseKey {
            method: record.method.clone().unwrap_or_default(),
            party,
            route,
            standing,
        };
        let tree = self.trees.entry(narrowed.unwrap_or_default()).or_default();
        let account = account.unwrap_or_default();
        let Some(node) = tree.descend(steps, (party, account), &mut self.room) else {
            self.questions.beyond += 1;
            return;
        };
        self.figures.learned += 1;
        let is_new = !node.uses.contains_key(&key);
        let sample = (is_new && self.samples > 0).then(|| Box::from(line));
        self.samples -= usize::from(sample.is_some());
        node.uses.entry(key).or_default().add(Use {
            count: 1,
            scopes: record.scopes.iter().cloned().collect(),
            example: segments,
            sample,
            upgrade: record.upgrade.iter().cloned().collect(),
        });
    }

    fn route(&mut self, name: &str) -> usize {
        const MOST: usize = 4096;
        let known = self.routes.iter().position(|own| own == name);
        known.unwrap_or_else(|| {
            if self.routes.len() < MOST {
                self.routes.push(name.to_owned());
            }
            self.routes.len() - 1
        })
    }

    /// What was learned.
    #[must_use]
    pub fn finish(mut self, counts: &Counts) -> Learned {
        let names = self.parties.names(self.options.current.as_ref());
        let mut drafts: Vec<Route> = Vec::new();
        let mut samples = Vec::new();
        let mut templates: Vec<Template> = Vec::new();
        for (narrowed, mut tree) in std::mem::take(&mut self.trees) {
            tree.settle();
            let found = tree.into_templates();
            let drafting = draft::Drafting {
                current: self.options.current.as_ref(),
                routes: &self.routes,
                parties: &self.parties,
                names: &names,
            };
            for template in &found {
                let foreign = self.questions.foreign(template, &self.parties, &names);
                self.figures.learned -= foreign;
                drafts.extend(drafting.route(&narrowed, template));
            }
            templates.extend(found);
        }
        for template in &mut templates {
            let learned = template.uses.iter_mut();
            let learned = learned.filter(|(key, _)| key.standing != Standing::Foreign);
            samples.extend(learned.filter_map(|(_, found)| found.sample.take()));
        }
        let questions = self
            .questions
            .settle(&templates, &self.parties, &mut drafts);
        let used: BTreeSet<usize> = drafts.iter().flat_map(Route::parties).collect();
        let unsure = drafts
            .iter()
            .filter(|route| !route.unsure.is_empty())
            .count();
        Learned {
            policy: write::document(&write::Whole {
                current: self.options.current.as_ref(),
                drafts: &drafts,
                parties: &self.parties,
                names: &names,
                used: &used,
                figures: self.figures,
                counts,
                left_out: questions.iter().map(|question| question.count).sum(),
            }),
            routes: drafts.len(),
            callers: used
                .iter()
                .filter(|at| !matches!(self.parties.get(**at), Some(Party::Word(_))))
                .count(),
            unsure,
            figures: self.figures,
            refused: self.questions.all_refused(),
            beyond: self.questions.beyond,
            questions,
            samples,
        }
    }
}

/// What came of trying a policy on the requests that it was learned from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// Kinds of requests that were tried.
    pub kinds: usize,
    /// Those that would not pass: the request, and why.
    pub refused: Vec<(String, String)>,
}

impl Learned {
    /// Tries the policy at `at` on one request of each kind that it was learned from, as a configuration in the place of
    /// `path`. What depends on something that no record has may pass.
    ///
    /// # Errors
    /// The policy is not valid, or what it names cannot be used.
    pub fn tried(&self, path: &Path, at: UnixTime) -> Result<Tried, String> {
        let config = config::load_written(path, &self.policy);
        let config = config.map_err(|problems| problems.render())?;
        let mut replay = Replay::new(Arc::new(config), at)?;
        for sample in &self.samples {
            if let Ok(record) = serde_json::from_slice(sample) {
                replay.record(&record, sample);
            }
        }
        let refused = replay.differences().into_iter();
        let refused = refused.filter(|(one, _)| one.change == Change::Refused);
        Ok(Tried {
            kinds: self.samples.len(),
            refused: refused
                .map(|(one, seen)| (seen.example.clone(), one.now.clone()))
                .collect(),
        })
    }
}

/// A request that is learned from.
struct Taken {
    party: Party,
    /// What the operator said of its path; `None` where it is learned by itself.
    pinned: Option<Vec<Option<bool>>>,
}

/// The way down the tree, and how the request stands to the account in it.
/// `spelled` are the segments that the route of the time spells out (`true`), and those that it has a parameter for: both
/// stay what they are, so that a route beside it, and an account that is called like a word of the path, change nothing.
fn steps(
    segments: &[String],
    account: Option<&str>,
    taken: &Taken,
    spelled: &[Option<bool>],
) -> (Vec<Step>, Standing) {
    let spelled = |at: usize| spelled.get(at).copied().flatten();
    let is_word = |at: usize| {
        let segment = segments.get(at).filter(|segment| !segment.is_empty());
        let by_looks = segment.is_some_and(|segment| !segments::is_value(segment));
        spelled(at).unwrap_or(by_looks)
    };
    let account = account.filter(|account| !account.is_empty());
    let own = account.and_then(|account| {
        let mut all = segments.iter().enumerate().skip(1);
        let found = all.find(|(at, segment)| {
            segment.eq_ignore_ascii_case(account) && spelled(*at) != Some(true) && is_word(at - 1)
        });
        found.map(|(at, _)| at)
    });
    let pinned = taken.pinned.as_deref().unwrap_or_default();
    let steps = segments.iter().enumerate().map(|(at, segment)| {
        let text = segment.clone();
        match pinned.get(at).copied().flatten().or(spelled(at)) {
            _ if own == Some(at) => Step::Own(text, spelled(at) == Some(false)),
            Some(true) => Step::Pinned(text),
            Some(false) => Step::Value(text),
            None if segments::is_value(segment) => Step::Value(text),
            // Nobody knows who it was: no name that looks alike is opened for that.
            None if matches!(taken.party, Party::Word(_)) => Step::Pinned(text),
            None => Step::Literal(text),
        }
    });
    let standing = match (own, account) {
        (Some(at), _) => Standing::Own(at),
        (None, _) if taken.pinned.is_some() => Standing::Accepted,
        (None, Some(_)) => Standing::Other,
        (None, None) => Standing::Without,
    };
    (steps.collect(), standing)
}
