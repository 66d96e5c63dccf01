//! What of a policy cases exercise: which rows of its routes, which of their alternatives, and in which directions.
//!
//! An alternative is exercised in both directions where some case passes by it, and where each of its conditions has a case
//! that it alone keeps out: whoever removed that condition would see a case fail.

use std::sync::Arc;

use serde_json::{Value, json};

use super::found;
use super::story::{Alternative, Explanation, Principal, Verdict};
use crate::authz::{self, Access, MethodTable};
use crate::cli::show;
use crate::config::Config;
use crate::listener::ListenerSettings;

/// What of a configuration's policy was exercised.
#[derive(Debug)]
pub struct Coverage {
    rows: Vec<Row>,
}

/// A row of a route's table, or a path that an outbound listener reaches.
#[derive(Debug)]
struct Row {
    owner: Owner,
    /// As a reader of the configuration knows it.
    route: String,
    methods: String,
    seen: bool,
    ways: Vec<Way>,
}

/// What a request is told by that a row is exercised by.
#[derive(Debug, PartialEq, Eq)]
enum Owner {
    /// The name of a route, and the number of the row.
    Route(Arc<str>, usize),
    /// The name of an outbound listener, and a path of it.
    Outbound(Arc<str>, String),
}

/// One way to pass: an alternative, or a word.
#[derive(Debug)]
struct Way {
    who: String,
    kind: Kind,
    passes: bool,
    /// What keeps out, and whether it did: each condition, or the alternative itself where it has none.
    fails: Vec<(Option<String>, bool)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `anonymous`.
    Anonymous,
    /// `opaque`.
    Opaque,
    /// Of the row's alternatives, the one with this number.
    Alternative(usize),
}

/// Something that no case exercises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The route, by its name.
    pub route: String,
    /// The methods of its row.
    pub methods: String,
    /// The alternative; `None`: the whole row.
    pub who: Option<String>,
    /// What there is no case of.
    pub missing: Missing,
}

/// A direction in which no case goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// None at all.
    Everything,
    /// One that passes by it.
    Passing,
    /// One that this condition alone keeps out; `None`: that it keeps out, having no condition.
    Refused(Option<String>),
}

impl Missing {
    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Everything => "no case".to_owned(),
            Self::Passing => "no case that it lets pass".to_owned(),
            Self::Refused(Some(condition)) => {
                format!("no case that its `{condition}` alone keeps out")
            }
            Self::Refused(None) => "no case that it does not let pass".to_owned(),
        }
    }
}

impl Gap {
    /// For programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (direction, condition) = match &self.missing {
            Missing::Everything => ("both", None),
            Missing::Passing => ("passes", None),
            Missing::Refused(condition) => ("refused", condition.as_deref()),
        };
        json!({
            "route": self.route,
            "methods": self.methods,
            "who": self.who,
            "direction": direction,
            "condition": condition,
            "missing": self.missing.words(),
        })
    }
}

impl Coverage {
    /// What there is to exercise.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let routes = config.policy.routes().iter();
        let mut rows: Vec<Row> = routes.flat_map(|route| rows(route)).collect();
        rows.extend(config.listeners.iter().flat_map(outbound));
        Self { rows }
    }

    /// Counts a case. One that could not be judged exercised nothing.
    pub fn count(&mut self, told: &Explanation) {
        if told.verdict == Verdict::Unjudged {
            return;
        }
        let owner = match &told.route {
            Some(route) => route
                .row
                .map(|row| Owner::Route(Arc::clone(&route.name), row)),
            None => reached(told),
        };
        let rows = self.rows.iter_mut();
        let own = owner.and_then(|owner| rows.into_iter().find(|row| row.owner == owner));
        if let Some(row) = own {
            row.seen = true;
            row.ways.iter_mut().for_each(|way| way.count(told));
        }
    }

    /// How much was exercised, and how much there is.
    #[must_use]
    pub fn score(&self) -> (usize, usize) {
        let seen = self.rows.iter().filter(|row| row.seen).count();
        let ways = self.rows.iter().flat_map(|row| &row.ways);
        let directions = ways.flat_map(|way| {
            let fails = way.fails.iter().map(|(_, seen)| *seen);
            std::iter::once(way.passes).chain(fails)
        });
        let (mut covered, mut total) = (seen, self.rows.len());
        for direction in directions {
            covered += usize::from(direction);
            total += 1;
        }
        (covered, total)
    }

    /// The same in percent, rounded down: 100 is everything. Where there is nothing to exercise, nothing is missing.
    #[must_use]
    pub fn percent(&self) -> usize {
        let (covered, total) = self.score();
        (covered * 100).checked_div(total).unwrap_or(100)
    }

    /// What no case exercises, in the order of the configuration.
    #[must_use]
    pub fn gaps(&self) -> Vec<Gap> {
        self.rows.iter().flat_map(Row::gaps).collect()
    }

    /// For programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (covered, total) = self.score();
        json!({
            "percent": self.percent(),
            "covered": covered,
            "total": total,
            "gaps": self.gaps().iter().map(Gap::to_json).collect::<Value>(),
        })
    }
}

/// The path of an outbound listener that a request was within reach of.
fn reached(told: &Explanation) -> Option<Owner> {
    let credential = told.identity.as_ref()?.credential.as_ref();
    credential.filter(|_| told.verdict == Verdict::Forwarded)?;
    let owner = told.routes.iter().find(|seen| seen.owns)?;
    Some(Owner::Outbound(
        Arc::clone(&told.listener),
        owner.path.clone(),
    ))
}

fn rows(route: &authz::Route) -> Vec<Row> {
    let methods: Vec<String> = match &route.settings().table {
        MethodTable::Every(_) | MethodTable::Any(_) => vec!["all methods".to_owned()],
        MethodTable::Rows(_) => show::table(&route.settings().table)
            .into_iter()
            .map(|(methods, _)| methods)
            .collect(),
    };
    let access = route.settings().table.accesses();
    let rows = methods.into_iter().zip(access).enumerate();
    rows.map(|(at, (methods, access))| Row {
        owner: Owner::Route(Arc::clone(route.name()), at),
        route: route.name().to_string(),
        methods,
        seen: false,
        ways: ways(access),
    })
    .collect()
}

fn outbound(listener: &ListenerSettings) -> Vec<Row> {
    let Some(outbound) = &listener.outbound else {
        return Vec::new();
    };
    let everything = vec!["/**".to_owned()];
    let paths = outbound.reach.paths().map_or(everything, |paths| {
        paths.iter().map(ToString::to_string).collect()
    });
    paths
        .into_iter()
        .map(|path| Row {
            owner: Owner::Outbound(Arc::clone(&listener.name), path.clone()),
            route: path,
            methods: format!("outbound {}", listener.name),
            seen: false,
            ways: Vec::new(),
        })
        .collect()
}

fn ways(access: &Access) -> Vec<Way> {
    let Access::Rules {
        anonymous,
        opaque,
        alternatives,
    } = access
    else {
        return Vec::new();
    };
    let word = |kind, word: &str| Way {
        who: word.to_owned(),
        kind,
        passes: false,
        fails: Vec::new(),
    };
    let mut ways = Vec::new();
    ways.extend(anonymous.then(|| word(Kind::Anonymous, "anonymous")));
    ways.extend(opaque.then(|| word(Kind::Opaque, "opaque")));
    ways.extend(alternatives.iter().enumerate().map(|(at, own)| {
        let mut conditions: Vec<_> = own
            .conditions
            .iter()
            .map(|condition| (Some(found::what(condition)), false))
            .collect();
        if conditions.is_empty() {
            conditions.push((None, false));
        }
        Way {
            who: match &own.caller {
                Some(caller) => caller.to_string(),
                None => format!("issuer {}", own.issuer),
            },
            kind: Kind::Alternative(at),
            passes: false,
            fails: conditions,
        }
    }));
    ways
}

impl Row {
    fn gaps(&self) -> Vec<Gap> {
        let gap = |who: Option<&str>, missing| Gap {
            route: self.route.clone(),
            methods: self.methods.clone(),
            who: who.map(str::to_owned),
            missing,
        };
        if !self.seen {
            return vec![gap(None, Missing::Everything)];
        }
        let mut gaps = Vec::new();
        for way in &self.ways {
            let missing = way.missing();
            gaps.extend(missing.into_iter().map(|own| gap(Some(&way.who), own)));
        }
        gaps
    }
}

impl Way {
    fn count(&mut self, told: &Explanation) {
        let passes = told.verdict == Verdict::Forwarded && told.observed.is_none();
        match self.kind {
            Kind::Anonymous => {
                self.passes |= passes && matches!(told.principal, Some(Principal::Anonymous));
            }
            Kind::Opaque => {
                self.passes |= passes && matches!(told.principal, Some(Principal::Opaque));
            }
            Kind::Alternative(at) => {
                if let Some(own) = told.alternatives.get(at) {
                    self.passes |= passes && own.holds && own.decides;
                    self.refused(own);
                }
            }
        }
    }

    fn refused(&mut self, own: &Alternative) {
        if own.conditions.is_empty() {
            self.fails.iter_mut().for_each(|(_, seen)| {
                *seen |= !own.holds;
            });
            return;
        }
        let mut failing = own
            .conditions
            .iter()
            .enumerate()
            .filter_map(|(at, condition)| {
                let looked_at = own.of_issuer && condition.holds == Some(false);
                looked_at.then_some(at)
            });
        // Of several, none is the one that keeps out.
        if let (Some(only), None) = (failing.next(), failing.next())
            && let Some((_, seen)) = self.fails.get_mut(only)
        {
            *seen = true;
        }
    }

    fn missing(&self) -> Vec<Missing> {
        let nothing = !self.passes && self.fails.iter().all(|(_, seen)| !seen);
        if nothing {
            return vec![Missing::Everything];
        }
        let passing = (!self.passes).then_some(Missing::Passing);
        let refused = self.fails.iter().filter(|(_, seen)| !seen);
        passing
            .into_iter()
            .chain(refused.map(|(what, _)| Missing::Refused(what.clone())))
            .collect()
    }
}
