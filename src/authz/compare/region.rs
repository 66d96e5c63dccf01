//! What requests a difference is about, and how many small differences become few lines.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::Method;

use super::{Answer, Witness};
use crate::authz::access::TABLELESS_METHODS;
use crate::authz::condition::{Alternative, Condition};
use crate::authz::pattern::HostPattern;

/// A difference: for these requests, of these principals, the new policy says something else than the old one.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Which way.
    pub effect: Effect,
    /// The route that refuses only observes: the request passes all the same.
    pub observed: bool,
    /// For which requests.
    pub region: Region,
    /// Whose.
    pub who: Who,
    /// A request that shows it.
    pub witness: Witness,
    /// What the old policy says to the witness.
    pub old: Answer,
    /// What the new policy says to it.
    pub new: Answer,
    /// What the one that refuses it would have wanted besides: conditions of the alternative that came closest.
    pub lacking: Vec<Condition>,
}

/// Which way a difference goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// The new policy lets pass what the old one refuses.
    Wider,
    /// The old policy lets pass what the new one refuses.
    Narrower,
    /// Both let it pass, and the upstream is told something else.
    Identity(Change),
}

/// What the upstream is told differently.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// Who asks: a principal, or nobody in particular.
    Told {
        /// It is told now; before it was not.
        now: bool,
    },
    /// Which caller it is.
    Caller {
        /// Before.
        from: Option<Arc<str>>,
        /// Now.
        to: Option<Arc<str>>,
    },
    /// Who the party of the second token is.
    Second {
        /// It is told now; before it was not.
        now: bool,
    },
    /// The `Authorization` field as it came.
    Authorization {
        /// It is forwarded now; before it was not.
        now: bool,
    },
}

/// Requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// The listener.
    pub listener: Arc<str>,
    /// Hosts.
    pub hosts: Hosts,
    /// Methods.
    pub methods: Vec<Method>,
    /// Paths.
    pub paths: Vec<PathLabel>,
    /// What else makes them special.
    pub kind: Kind,
}

/// Hosts, so far as routes name any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    /// These patterns; where `others` is set as well and this is empty, every host is meant.
    pub named: Vec<HostPattern>,
    /// Hosts that no route names.
    pub others: bool,
}

/// Paths that a difference is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PathLabel {
    /// Those that match.
    Pattern(String),
    /// Other spellings: letters of another case, a slash more or less at the end.
    Spelling(String),
    /// Those that match and hold what parsers read differently: `paths:` has the words for it.
    Ambiguous(String, &'static str),
}

/// What makes a request special.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nothing.
    Ordinary,
    /// It asks for another protocol.
    Upgrade(Box<str>),
    /// It is a preflight from this origin, for this method.
    Preflight {
        /// The origin.
        origin: Box<str>,
        /// The method that is asked about.
        wanted: Method,
    },
}

/// Whose requests.
#[derive(Clone, Debug, PartialEq)]
pub enum Who {
    /// Whoever it is: no token is looked at.
    Anyone,
    /// Everybody whom the policy that lets them pass lets pass: its other one refuses them all.
    Everybody,
    /// Without a token.
    NoToken,
    /// With a token that is no JWT.
    Opaque,
    /// With a token that this lets pass.
    Token(Alternative),
    /// With a second token that does not hold, whatever the first one is.
    BadSecond,
    /// With a second token that holds, whatever the first one is.
    Second,
}

/// One small difference.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) effect: Effect,
    pub(super) observed: bool,
    pub(super) who: Who,
    pub(super) kind: Kind,
    pub(super) label: PathLabel,
    pub(super) methods: Vec<Method>,
    pub(super) host: usize,
    pub(super) witness: Witness,
    pub(super) old: Answer,
    pub(super) new: Answer,
    pub(super) lacking: Vec<Condition>,
}

#[derive(Debug)]
struct Entry {
    finding: Finding,
    hosts: BTreeSet<usize>,
    labels: Vec<PathLabel>,
}

/// The small differences of a listener.
#[derive(Debug, Default)]
pub(super) struct Collected {
    listener: Arc<str>,
    hosts: Vec<Option<HostPattern>>,
    entries: Vec<Entry>,
}

impl Collected {
    pub(super) fn new(listener: &Arc<str>, hosts: Vec<Option<HostPattern>>) -> Self {
        Self {
            listener: Arc::clone(listener),
            hosts,
            entries: Vec::new(),
        }
    }

    /// Its number.
    pub(super) fn add(&mut self, finding: Finding) -> usize {
        self.entries.push(Entry {
            hosts: BTreeSet::from([finding.host]),
            labels: vec![finding.label.clone()],
            finding,
        });
        self.entries.len().saturating_sub(1)
    }

    /// What was found before holds for another host as well.
    pub(super) fn also_on(&mut self, numbers: &[usize], host: usize) {
        for number in numbers {
            if let Some(entry) = self.entries.get_mut(*number) {
                entry.hosts.insert(host);
            }
        }
    }

    /// Differences, as few as say the same: methods come together first, then hosts, then paths.
    pub(super) fn into_differences(self) -> Vec<Difference> {
        let Self {
            listener,
            hosts,
            mut entries,
        } = self;
        entries = merged(entries, |one, other| {
            let same = one.hosts == other.hosts && one.labels == other.labels;
            same.then(|| {
                for method in &other.finding.methods {
                    if !one.finding.methods.contains(method) {
                        one.finding.methods.push(method.clone());
                    }
                }
            })
        });
        for entry in &mut entries {
            entry.finding.methods.sort_by_key(order);
        }
        entries = merged(entries, |one, other| {
            let same = one.finding.methods == other.finding.methods && one.labels == other.labels;
            same.then(|| one.hosts.extend(&other.hosts))
        });
        entries = merged(entries, |one, other| {
            let same = one.finding.methods == other.finding.methods && one.hosts == other.hosts;
            same.then(|| {
                let new = |label: &PathLabel| !one.labels.contains(label);
                let labels: Vec<_> = other
                    .labels
                    .iter()
                    .filter(|own| new(own))
                    .cloned()
                    .collect();
                one.labels.extend(labels);
            })
        });
        let mut differences: Vec<Difference> = entries
            .into_iter()
            .map(|entry| entry.difference(&listener, &hosts))
            .collect();
        differences.sort_by(|one, other| {
            let key = |own: &Difference| (rank(&own.effect), own.region.paths.first().cloned());
            key(one).cmp(&key(other))
        });
        differences
    }
}

impl Entry {
    fn difference(self, listener: &Arc<str>, hosts: &[Option<HostPattern>]) -> Difference {
        let Self {
            finding,
            hosts: own,
            labels: mut paths,
        } = self;
        paths.sort();
        Difference {
            effect: finding.effect,
            observed: finding.observed,
            region: Region {
                listener: Arc::clone(listener),
                hosts: named(hosts, &own),
                methods: finding.methods,
                paths,
                kind: finding.kind,
            },
            who: finding.who,
            witness: finding.witness,
            old: finding.old,
            new: finding.new,
            lacking: finding.lacking,
        }
    }
}

/// Joins entries that are alike but for what `join` brings together.
fn merged(entries: Vec<Entry>, join: impl Fn(&mut Entry, &Entry) -> Option<()>) -> Vec<Entry> {
    let mut out: Vec<Entry> = Vec::new();
    for entry in entries {
        let joined = out.iter_mut().any(|own| {
            own.finding.effect == entry.finding.effect
                && own.finding.observed == entry.finding.observed
                && own.finding.who == entry.finding.who
                && own.finding.lacking == entry.finding.lacking
                && own.finding.kind == entry.finding.kind
                && join(own, &entry).is_some()
        });
        if !joined {
            out.push(entry);
        }
    }
    out
}

fn named(all: &[Option<HostPattern>], hosts: &BTreeSet<usize>) -> Hosts {
    if hosts.len() == all.len() {
        return Hosts {
            named: Vec::new(),
            others: true,
        };
    }
    let own = hosts.iter().filter_map(|at| all.get(*at));
    Hosts {
        others: own.clone().any(Option::is_none),
        named: own.flatten().cloned().collect(),
    }
}

/// In the order that people expect, then by name.
fn order(method: &Method) -> (usize, String) {
    let known = TABLELESS_METHODS.iter().position(|own| own == method);
    (known.unwrap_or(usize::MAX), method.to_string())
}

const fn rank(effect: &Effect) -> u8 {
    match effect {
        Effect::Wider => 0,
        Effect::Identity(_) => 1,
        Effect::Narrower => 2,
    }
}
