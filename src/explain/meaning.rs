//! What each reason means, what to look at, and a case that brings it about.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use crate::case::{self, Case};
use crate::rejection::{self, Rejection};

/// One line each: the reason, what it means, what to look at, and why no case brings it about (nothing where one does),
/// separated by tabs. `docs/operations.md` has the same words.
const WORDS: &str = include_str!("reasons/words.txt");

/// A configuration in which the cases of [`CASES`] meet their reasons.
pub(super) const CONFIG: &str = include_str!("reasons/countersign.yaml");

/// A case for each reason that a case can bring about; its name is the reason.
pub(super) const CASES: &str = include_str!("reasons/cases.yaml");

/// What a reason means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// The reason, as the decision record has it.
    pub reason: &'static str,
    /// What happened.
    pub means: &'static str,
    /// What to look at, or to do.
    pub look_at: &'static str,
    /// Whether a case can bring it about.
    pub reach: Reach,
}

/// Whether a case can bring a reason about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// One does: [`Meaning::case`].
    Case,
    /// None can, and why.
    Beyond(&'static str),
}

fn words() -> &'static BTreeMap<&'static str, Meaning> {
    static TABLE: LazyLock<BTreeMap<&str, Meaning>> = LazyLock::new(|| {
        WORDS
            .lines()
            .filter_map(|line| {
                let mut parts = line.split('\t');
                let reason = parts.next()?;
                let meaning = Meaning {
                    reason,
                    means: parts.next()?,
                    look_at: parts.next()?,
                    reach: match parts.next().unwrap_or_default() {
                        "" => Reach::Case,
                        why => Reach::Beyond(why),
                    },
                };
                Some((reason, meaning))
            })
            .collect()
    });
    &TABLE
}

/// What a refusal means. Every one has its words; a test holds the table to the enum.
#[must_use]
pub fn meaning(rejection: &Rejection) -> Meaning {
    Meaning::of(rejection.reason()).unwrap_or(Meaning {
        reason: rejection.reason(),
        means: "a refusal that this version has no words for",
        look_at: "please report it",
        reach: Reach::Beyond("it has no words"),
    })
}

impl Meaning {
    /// What a reason means; `None` for a word that no record has.
    #[must_use]
    pub fn of(reason: &str) -> Option<Self> {
        words().get(reason).copied()
    }

    /// All of them, in the order of the enum.
    #[must_use]
    pub fn all() -> Vec<Self> {
        rejection::all().iter().map(meaning).collect()
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        let all = rejection::all();
        let own = all.iter().find(|own| own.reason() == self.reason);
        own.map(|own| own.status().as_u16())
    }

    /// A case that brings it about, in the example configuration of [`Self::example`].
    #[must_use]
    pub fn case(&self) -> Option<Case> {
        let file = case::parse(Path::new("cases.yaml"), CASES).ok()?;
        let mut cases = file.cases.into_iter();
        cases.find(|case| case.name.as_deref() == Some(self.reason))
    }

    /// The configuration that [`Self::case`] is about.
    #[must_use]
    pub const fn example() -> &'static str {
        CONFIG
    }
}
