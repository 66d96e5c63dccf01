//! Principals that stand for all others.
//!
//! Conditions only ever ask for something to be there, never for something to be absent. So whoever an alternative lets
//! pass has at least what it asks for, and the principal who has no more than that is the hardest one for the other policy to
//! let pass: if that one passes, so do all. What an alternative leaves to choice (one of these clients, one of these
//! networks) is tried value by value, save that values which no condition tells apart are one.

mod addresses;
mod choices;
mod class;
mod making;

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::draft::Home;
use crate::authz::condition::{ActorRule, Alternative, Condition};
use crate::clock::Now;
use crate::request::ClientCertificate;

pub(super) use addresses::Addresses;
pub(super) use class::Class;

/// Most principals of one alternative; conditions that people write have a few values each.
const MOST_POINTS: usize = 4096;

/// How long tokens last, where no issuer wants them to be shorter; seconds.
const LIFETIME: i64 = 60;

/// One of the two policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Old,
    New,
}

/// A second token.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Second {
    #[default]
    Absent,
    Claims(Map<String, Value>),
    /// One that does not hold.
    Bad,
}

/// A principal that stands for others, and what else about its request conditions ask for.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) claims: Map<String, Value>,
    pub(super) second: Second,
    pub(super) client: IpAddr,
    pub(super) certificate: Option<ClientCertificate>,
    /// Which values of each condition it stands for; of the clients that the issuer takes last, when it names any.
    pub(super) chosen: Vec<Vec<usize>>,
}

/// Where the alternatives of a row are asked.
pub(super) struct Site<'s> {
    pub(super) which: Which,
    pub(super) now: Now,
    pub(super) classes: &'s [Class],
    /// The value of a path's parameter.
    pub(super) parameter: &'s dyn Fn(&str) -> Option<String>,
    /// The values of parameters of both paths: what their comparison with a claim tells apart.
    pub(super) segments: &'s [String],
    /// Whether it is compared with case folded.
    pub(super) folds: &'s dyn Fn(&str) -> bool,
    /// Conditions of both rows: what their values tell apart.
    pub(super) conditions: &'s [&'s Condition],
    /// Where an address can be, so far as both rows tell.
    pub(super) addresses: &'s Addresses,
    /// The issuer whose second token is looked at.
    pub(super) second: Option<&'s str>,
    /// Whether it must be there.
    pub(super) wants_second: bool,
    /// Makes strings that no policy has.
    pub(super) fresh: &'s dyn Fn(&str) -> String,
}

/// What came of an alternative.
#[derive(Debug, Default)]
pub(super) struct Expanded {
    pub(super) points: Vec<Point>,
    /// What they chose from: the conditions of the alternatives, each followed by those of its issuer.
    pub(super) conditions: Vec<Condition>,
    /// There are more than were tried.
    pub(super) cut: bool,
    /// Values that parameters of the path must have for the alternative to hold at all.
    pub(super) wanted: Vec<Wanted>,
}

/// A value that a parameter of one policy's path must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) which: Which,
    pub(super) parameter: String,
    pub(super) value: String,
}

/// Values of a condition with their places in it.
type Group = Vec<(usize, String)>;

/// A choice among the values of a condition: what it asks for, and which values are no different.
#[derive(Clone, Debug)]
struct Choice {
    needs: Vec<Need>,
    values: Vec<usize>,
}

/// How a string stands in a claim.
#[derive(Clone, Copy, Debug)]
enum Form {
    /// Alone.
    Single,
    /// Alone, or in a list when it must be.
    Text,
    /// In a list.
    Member,
}

/// A parameter of one policy's path.
#[derive(Clone, Debug)]
struct Named {
    which: Which,
    name: String,
    /// Its value is meant in the other case.
    swapped: bool,
}

#[derive(Clone, Debug)]
enum Need {
    String(Form, Home, String),
    Word(Home, String),
    Flag(Home, bool),
    Present(Home),
    /// The value of a parameter, or that in another case.
    Parameter {
        home: Home,
        form: Form,
        text: String,
        of: Named,
    },
    Address(IpAddr),
    Dns(String),
    Uri(String),
    Sha256(String),
    /// Of the second token, which is of this class.
    Second(usize, Vec<(Home, String)>),
}

/// The principals that stand for all whom each of these alternatives lets pass, every one where it is asked.
pub(super) fn expand(parts: &[(&Site<'_>, &Alternative)]) -> Expanded {
    let mut all = Expanded::default();
    let Some((first, _)) = parts.first() else {
        return all;
    };
    for class in first.classes {
        let is_theirs = |(site, own): &(&Site<'_>, &Alternative)| class.is(site.which, &own.issuer);
        if parts.iter().all(is_theirs) {
            expand_in(class, parts, &mut all);
        }
    }
    all
}

fn expand_in(class: &Class, parts: &[(&Site<'_>, &Alternative)], all: &mut Expanded) {
    let mut choices: Vec<Vec<Choice>> = Vec::new();
    let mut conditions: Vec<Condition> = Vec::new();
    let mut by_address = false;
    for (site, alternative) in parts {
        let Some(issuer) = class.issuer(site.which) else {
            return;
        };
        let implied = site.implied(class, issuer);
        for condition in alternative.conditions.iter().chain(&implied) {
            choices.push(site.choices(condition, class, issuer));
            by_address |= matches!(condition, Condition::ClientAddress(_));
            conditions.push(condition.clone());
        }
        let acts = |own: &Condition| matches!(own, Condition::Actor(_));
        let mut all = parts.iter().flat_map(|(_, own)| &own.conditions);
        let is_there = parts.iter().any(|(site, _)| site.wants_second) || all.any(acts);
        // Where there is a second token, it must hold, whether or not it had to be there.
        if let Some(issuer) = site.second
            && is_there
        {
            let rule = ActorRule::of_issuer(issuer);
            choices.push(site.actor(&rule));
            conditions.push(Condition::Actor(rule));
        }
    }
    let Some((site, _)) = parts.first() else {
        return;
    };
    if !by_address && site.addresses.covered {
        choices.push(site.addresses.everywhere());
    }
    let count = choices
        .iter()
        .try_fold(1_usize, |count, own| count.checked_mul(own.len()));
    let count = count.unwrap_or(usize::MAX);
    all.cut |= count > MOST_POINTS;
    let mut decoys = class.decoys(site.which);
    decoys.extend(site.hiding(class));
    for number in 0..count.min(MOST_POINTS) {
        let mut rest = number;
        let mut chosen: Vec<&Choice> = Vec::with_capacity(choices.len());
        for own in &choices {
            chosen.extend(own.get(rest % own.len().max(1)));
            rest /= own.len().max(1);
        }
        for decoys in &decoys {
            match site.point(class, &chosen, decoys) {
                Ok(point) => all.points.extend(point),
                Err(wanted) => all.wanted.extend(wanted),
            }
        }
    }
    if all.conditions.is_empty() {
        all.conditions = conditions;
    }
}
