//! What changes from one configuration to another, for whoever calls and for whoever must answer for it.
//!
//! Policy is compared by what it decides ([`compare`]): the order of routes, their names, and how alternatives are written
//! down are no difference. What else matters to safety (keys, audiences, algorithms, limits, …) is compared setting by
//! setting, with the way that each change goes where that is known, and "may" where it depends on what nobody knows here.
//!
//! [`compare`]: crate::authz::compare

mod case;
mod issuers;
mod listeners;
mod routes;
mod settings;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod words;

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::authn::{Issuer, Issuers, KeyCell};
use crate::authz::compare::{self, Comparison, Difference, Effect, Region, Side};
use crate::clock::Now;
use crate::config::{Config, VerifierSettings};
use crate::identity::Source;
use crate::listener::ListenerSettings;

/// What changes from one configuration to another.
#[derive(Debug)]
pub struct Diff {
    /// What is decided differently, region by region.
    pub policy: Vec<Line>,
    /// What else is different.
    pub settings: Vec<Line>,
    /// There was too much to compare: there may be more.
    pub incomplete: bool,
}

/// A difference, in words.
#[derive(Clone, Debug)]
pub struct Line {
    /// Which way it goes.
    pub way: Way,
    /// For which requests; `None`: a setting.
    pub region: Option<Region>,
    /// What it is about: a place in the configuration, where it is a setting.
    pub place: String,
    /// One sentence.
    pub words: String,
    /// A request that shows it, as `explain` and `test` read it: keys in the order in which people read them.
    pub case: Option<Vec<(&'static str, Value)>>,
    /// What was compared, of policy.
    pub difference: Option<Difference>,
}

/// Which way a difference goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Way {
    /// Something passes that did not.
    Wider,
    /// Something does not pass that did.
    Narrower,
    /// The upstream is told something else.
    Identity,
    /// Something may pass that did not.
    MayWiden,
    /// Something may not pass that did.
    MayNarrow,
    /// Either may be.
    May,
    /// Nothing passes, or does not pass, for this alone.
    Note,
}

impl Way {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Wider => "wider",
            Self::Narrower => "narrower",
            Self::Identity => "identity",
            Self::MayWiden => "may be wider",
            Self::MayNarrow => "may be narrower",
            Self::May => "may be either",
            Self::Note => "note",
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What all differences together come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing is decided differently, and nothing can be.
    Same,
    /// Whatever is different, nothing passes that did not.
    Narrower,
    /// Something passes that did not, or may pass, or the upstream is told something else.
    Wider,
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Narrower => "narrower",
            Self::Wider => "wider",
        }
    }
}

impl Diff {
    /// All lines: policy first.
    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.policy.iter().chain(&self.settings)
    }

    /// What they come to.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let of = |line: &Line| match line.way {
            Way::Wider | Way::MayWiden | Way::May | Way::Identity => Verdict::Wider,
            Way::Narrower | Way::MayNarrow => Verdict::Narrower,
            Way::Note => Verdict::Same,
        };
        // Who has not seen all knows of nothing that it is not there.
        let unseen = self.incomplete.then_some(Verdict::Wider);
        let all = self.lines().map(of).chain(unseen);
        all.max().unwrap_or(Verdict::Same)
    }
}

/// Compares two configurations, as they are `now`.
#[must_use]
pub fn diff(old: &Config, new: &Config, now: Now) -> Diff {
    let (old_issuers, new_issuers) = (issuers_of(old), issuers_of(new));
    let tells_caller = tells_caller(old) || tells_caller(new);
    let pairs = listeners::pairs(old, new);
    let names: Vec<(Option<&str>, Option<&str>)> = pairs
        .iter()
        .map(|(old, new)| (old.map(name), new.map(name)))
        .collect();
    let Comparison {
        differences,
        owners,
        incomplete,
    } = compare::compare(
        side(old, &old_issuers, tells_caller),
        side(new, &new_issuers, tells_caller),
        &names,
        now,
    );
    let about = case::About::new(old, new, now);
    let mut settings = Vec::new();
    issuers::compare(old, new, &mut settings);
    listeners::compare(&pairs, &mut settings);
    routes::compare(old, new, &owners, now, &mut settings);
    settings::compare(old, new, &mut settings);
    Diff {
        policy: differences
            .into_iter()
            .map(|own| line(own, &about))
            .collect(),
        settings,
        incomplete,
    }
}

fn side<'c>(config: &'c Config, issuers: &'c Issuers, tells_caller: bool) -> Side<'c> {
    Side {
        policy: &config.policy,
        issuers,
        tells_caller,
    }
}

fn name(listener: &ListenerSettings) -> &str {
    &listener.name
}

fn line(difference: Difference, about: &case::About<'_>) -> Line {
    let words = words::sentence(&difference);
    let (way, words) = match difference.effect {
        // What is refused under a route that only observes passes all the same.
        Effect::Wider if difference.observed => (Way::MayWiden, format!("{words} (only observed)")),
        Effect::Narrower if difference.observed => {
            (Way::MayNarrow, format!("{words} (only observed)"))
        }
        Effect::Wider => (Way::Wider, words),
        Effect::Narrower => (Way::Narrower, words),
        Effect::Identity(_) => (Way::Identity, words),
    };
    Line {
        way,
        region: Some(difference.region.clone()),
        place: String::new(),
        words,
        case: Some(about.case(&difference.witness)),
        difference: Some(difference),
    }
}

/// Issuers without their keys, which comparing needs not.
fn issuers_of(config: &Config) -> Issuers {
    let issuers = config.issuers.iter().map(|(settings, verifier)| {
        let issuer = match verifier {
            VerifierSettings::Keys(_) => {
                Issuer::new(settings.clone(), Arc::new(KeyCell::default()))
            }
            VerifierSettings::Review(review) => {
                Issuer::new(settings.clone(), Arc::new(review.reviewer()))
            }
        };
        Arc::new(issuer)
    });
    Issuers::new(issuers.collect())
}

/// Whether upstreams learn the name of a caller.
fn tells_caller(config: &Config) -> bool {
    let mut headers = config.identity.headers.iter();
    config.identity.assertion.is_some() || headers.any(|own| own.source == Source::Caller)
}

/// Collects settings' lines of one place.
struct Place<'l> {
    place: String,
    lines: &'l mut Vec<Line>,
}

impl<'l> Place<'l> {
    fn new(place: impl Into<String>, lines: &'l mut Vec<Line>) -> Self {
        Self {
            place: place.into(),
            lines,
        }
    }

    fn say(&mut self, way: Way, words: impl Into<String>) {
        self.lines.push(Line {
            way,
            region: None,
            place: self.place.clone(),
            words: words.into(),
            case: None,
            difference: None,
        });
    }

    /// What a list has more, and what less.
    fn lists<T: PartialEq>(
        &mut self,
        old: &[T],
        new: &[T],
        show: impl Fn(&T) -> String,
        more: (Way, &str),
        less: (Way, &str),
    ) {
        let beyond = |all: &[T], others: &[T]| -> Vec<String> {
            all.iter()
                .filter(|own| !others.contains(own))
                .map(&show)
                .collect()
        };
        for (items, (way, words)) in [(beyond(new, old), more), (beyond(old, new), less)] {
            if !items.is_empty() {
                self.say(way, words.replace("{}", &items.join(", ")));
            }
        }
    }

    /// A number that lets more pass the higher it is.
    fn amount<T: PartialOrd>(
        &mut self,
        old: &T,
        new: &T,
        show: impl Fn(&T) -> String,
        ways: (Way, Way),
        what: &str,
    ) {
        if old != new {
            let way = if new > old { ways.0 } else { ways.1 };
            self.say(
                way,
                format!("{what}: {} (before: {})", show(new), show(old)),
            );
        }
    }
}
