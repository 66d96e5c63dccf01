//! A policy held against an OpenAPI document: what one has and the other has not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::security::Security;
use super::template::{self, Mapped};
use super::{Document, Operation};
use crate::authn::IssuerSettings;
use crate::authz::{Access, Alternative, Condition, PathPattern, PatternSegment, Route};
use crate::config::{self, Code, Config, Node, Place, Problems, Report, Source};

/// Operations that one message names.
const SHOWN: usize = 5;

/// A value of a parameter: no literal of a pattern is one.
const ANY: &str = "\u{1}";

/// What was found.
#[derive(Debug)]
pub struct Compared {
    /// About the OpenAPI document.
    pub document: Problems,
    /// About the configuration.
    pub config: Problems,
}

/// Compares the routes of a configuration, which is at `file`, with the operations of a document.
///
/// # Errors
/// The configuration cannot be read again.
pub fn compare(document: &Document, config: &Config, file: &Path) -> Result<Compared, Problems> {
    let (text, tree) = config::as_written(file)?;
    let mut comparison = Comparison {
        config,
        in_document: Report::new(document.source.clone()),
        in_config: Report::new(Source::new(file, &text)),
        wide: BTreeMap::new(),
    };
    let operations: Vec<(&Operation, Vec<Mapped>)> = document
        .operations
        .iter()
        .filter(|operation| operation.method != http::Method::TRACE)
        .map(|operation| (operation, comparison.patterns(operation)))
        .collect();
    for unread in &document.unread {
        comparison.in_document.find(
            Code::OperationUncovered,
            &unread.at,
            format!("`{}` is not looked at: {}", unread.what, unread.why),
        );
    }
    for (operation, patterns) in &operations {
        comparison.operation(operation, patterns);
    }
    let places = Places::new(&tree);
    comparison.wide(&places);
    comparison.without_operation(&operations, &places);
    Ok(Compared {
        document: comparison.in_document.finish(),
        config: comparison.in_config.finish(),
    })
}

/// Where the paths of routes stand.
struct Places<'t>(Vec<&'t Node>);

impl<'t> Places<'t> {
    fn new(tree: &'t Node) -> Self {
        Self(
            tree.get("routes")
                .map(Node::each)
                .unwrap_or_default()
                .iter()
                .collect(),
        )
    }

    fn of(&self, route: usize, path: usize) -> Option<&'t Place> {
        let node = self.0.get(route)?.get("path")?;
        Some(node.each().get(path).map_or(&node.at, |own| &own.at))
    }
}

struct Comparison<'c> {
    config: &'c Config,
    in_document: Report,
    in_config: Report,
    /// Operations that only wide routes decide, by the number of the route and of its path.
    wide: BTreeMap<(usize, usize), Vec<String>>,
}

impl Comparison<'_> {
    /// The patterns of an operation, one for each base.
    fn patterns(&mut self, operation: &Operation) -> Vec<Mapped> {
        let mut all = Vec::new();
        for base in &operation.bases {
            match template::map(base, &operation.path) {
                Ok(mapped) => all.push(mapped),
                Err(why) => self.in_document.find(
                    Code::OperationUncovered,
                    &operation.at,
                    format!("{}: no route can have this path: {why}", operation.title()),
                ),
            }
        }
        all
    }

    fn operation(&mut self, operation: &Operation, patterns: &[Mapped]) {
        let owners: Vec<(Arc<Route>, PathPattern, &Mapped)> = patterns
            .iter()
            .flat_map(|mapped| {
                let path: Vec<&str> = mapped.pattern.segments().iter().map(example).collect();
                let owners = self.config.policy.owners(&path).into_iter();
                owners.map(move |(route, pattern)| (route, pattern, mapped))
            })
            .collect();
        let decided: Vec<(&Route, &PathPattern, &Mapped, &Access)> = owners
            .iter()
            .filter_map(|(route, pattern, mapped)| {
                let access = route.access(route.row(&operation.method)?)?;
                Some((&**route, pattern, *mapped, access))
            })
            .collect();
        if decided.is_empty() {
            let message = match owners.first() {
                _ if patterns.is_empty() => return,
                Some((route, _, _)) => format!(
                    "{}: the route `{}` does not list the method",
                    operation.title(),
                    route.name()
                ),
                None => format!("{}: no route covers it", operation.title()),
            };
            self.in_document
                .find(Code::OperationUncovered, &operation.at, message);
            return;
        }
        let wide = |pattern: &PathPattern, mapped: &Mapped| is_wide(pattern, &mapped.pattern);
        if decided
            .iter()
            .all(|(_, pattern, mapped, _)| wide(pattern, mapped))
            && let Some((route, pattern, _, _)) = decided.first()
            && let Some(at) = self.number(route, pattern)
        {
            self.wide.entry(at).or_default().push(operation.title());
        }
        for (route, _, _, access) in decided {
            if let Some(less) = self.asks_less(&operation.security, access) {
                self.in_document.find(
                    Code::OperationOpen,
                    &operation.at,
                    format!("{}: the route `{}` {less}", operation.title(), route.name()),
                );
                break;
            }
        }
    }

    fn number(&self, route: &Route, pattern: &PathPattern) -> Option<(usize, usize)> {
        let mut routes = self.config.policy.routes().iter();
        let number = routes.position(|own| own.name() == route.name())?;
        let mut paths = route.settings().paths.iter();
        Some((number, paths.position(|own| own == pattern)?))
    }

    /// What a row lets pass that an operation does not, in words.
    fn asks_less(&self, security: &Security, access: &Access) -> Option<String> {
        let Security::Said {
            anonymous: false,
            alternatives,
        } = security
        else {
            return None;
        };
        let wanted: Vec<BTreeSet<&str>> = alternatives
            .iter()
            .map(|own| own.values().flatten().map(String::as_str).collect())
            .collect();
        match access {
            Access::Nobody => None,
            Access::Anyone => {
                Some("lets anyone pass, and the document asks for a credential".to_owned())
            }
            Access::Rules {
                anonymous: true, ..
            } => Some(
                "lets pass who brings no token, and the document asks for a credential".to_owned(),
            ),
            Access::Rules { alternatives, .. } => alternatives
                .iter()
                .find_map(|own| self.lacking(own, &wanted)),
        }
    }

    /// The scopes that an alternative does not ask for, where the document asks for some.
    fn lacking(&self, alternative: &Alternative, wanted: &[BTreeSet<&str>]) -> Option<String> {
        let issuers = self.config.issuers.iter().map(|(settings, _)| settings);
        let mut issuers = issuers.filter(|settings| settings.name == alternative.issuer);
        let issuer = issuers.next()?;
        let mut all: Vec<&str> = Vec::new();
        let mut choices: Vec<&str> = Vec::new();
        for condition in &alternative.conditions {
            match condition {
                Condition::Scopes(scopes) => all.extend(scopes.iter().map(|scope| &**scope)),
                Condition::AnyScope(scopes) => choices.extend(scopes.iter().map(|scope| &**scope)),
                _ => {}
            }
        }
        let satisfied = |scopes: Vec<&str>| {
            let held = with_implied(issuer, scopes);
            wanted.iter().any(|own| own.is_subset(&held))
        };
        let fine = if choices.is_empty() {
            satisfied(all.clone())
        } else {
            choices
                .iter()
                .all(|choice| satisfied(all.iter().copied().chain([*choice]).collect()))
        };
        if fine {
            return None;
        }
        let who = alternative.caller.as_ref().unwrap_or(&alternative.issuer);
        let wanted: Vec<String> = wanted
            .iter()
            .map(|own| own.iter().copied().collect::<Vec<_>>().join(" "))
            .collect();
        Some(format!(
            "lets `{who}` pass without the scopes that the document asks for: `{}`",
            super::read::clean(&wanted.join("` or `"))
        ))
    }

    /// Says which operations only wide routes decide.
    fn wide(&mut self, places: &Places<'_>) {
        for ((route, path), operations) in std::mem::take(&mut self.wide) {
            let Some(at) = places.of(route, path) else {
                continue;
            };
            let shown: Vec<&str> = operations.iter().map(String::as_str).take(SHOWN).collect();
            let more = operations.len().saturating_sub(SHOWN);
            let more = if more > 0 {
                format!(", and {more} more")
            } else {
                String::new()
            };
            let plural = if operations.len() == 1 {
                " has"
            } else {
                "s have"
            };
            self.in_config.find(
                Code::OperationCatchAll,
                at,
                format!(
                    "{} operation{plural} no other route than this wide one: {}{more}",
                    operations.len(),
                    shown.join(", ")
                ),
            );
        }
    }

    /// Says which routes let somebody pass where there is no operation.
    fn without_operation(&mut self, operations: &[(&Operation, Vec<Mapped>)], places: &Places<'_>) {
        for (number, route) in self.config.policy.routes().iter().enumerate() {
            let lets = |operation: &Operation| {
                let row = route.row(&operation.method);
                row.and_then(|row| route.access(row))
                    .is_some_and(|access| *access != Access::Nobody)
            };
            if route
                .settings()
                .table
                .accesses()
                .all(|own| *own == Access::Nobody)
            {
                continue;
            }
            for (at, path) in route.settings().paths.iter().enumerate() {
                let mut behind = operations.iter().filter(|(_, patterns)| {
                    patterns.iter().any(|mapped| meet(path, &mapped.pattern))
                });
                let Some(place) = places.of(number, at) else {
                    continue;
                };
                let message = match behind.next() {
                    None => {
                        format!("no operation of the document has a path that `{path}` matches")
                    }
                    Some((first, _)) if !lets(first) && !behind.any(|(own, _)| lets(own)) => {
                        format!(
                            "no operation at `{path}` has a method for which the route lets somebody pass"
                        )
                    }
                    Some(_) => continue,
                };
                self.in_config
                    .find(Code::RouteWithoutOperation, place, message);
            }
        }
    }
}

/// Scopes, and those that they stand for.
fn with_implied<'a>(issuer: &'a IssuerSettings, scopes: Vec<&'a str>) -> BTreeSet<&'a str> {
    let mut open = scopes;
    let mut all = BTreeSet::new();
    while let Some(scope) = open.pop() {
        if all.insert(scope) {
            let implied = issuer.scope_implies.get(scope).into_iter().flatten();
            open.extend(implied.map(String::as_str));
        }
    }
    all
}

fn example(segment: &PatternSegment) -> &str {
    match segment {
        PatternSegment::Literal(text) => text,
        PatternSegment::Parameter(_) | PatternSegment::Rest => ANY,
    }
}

/// Whether a route's pattern matches an operation's path by its `**` alone, where the operation has more to say.
fn is_wide(route: &PathPattern, operation: &PathPattern) -> bool {
    match route.segments().split_last() {
        Some((PatternSegment::Rest, before)) => {
            let rest = operation.segments().get(before.len());
            rest.is_some_and(|segment| *segment != PatternSegment::Rest)
        }
        _ => false,
    }
}

/// Whether a path is matched by both.
fn meet(one: &PathPattern, other: &PathPattern) -> bool {
    let mut theirs = other.segments().iter();
    for own in one.segments() {
        let their = theirs.next();
        let fits = match (own, their) {
            (PatternSegment::Rest, _) | (_, Some(PatternSegment::Rest)) => return true,
            (_, None) => false,
            (PatternSegment::Literal(own), Some(PatternSegment::Literal(their))) => own == their,
            (PatternSegment::Literal(text), Some(PatternSegment::Parameter(_)))
            | (PatternSegment::Parameter(_), Some(PatternSegment::Literal(text))) => {
                !text.is_empty()
            }
            (PatternSegment::Parameter(_), Some(PatternSegment::Parameter(_))) => true,
        };
        if !fits {
            return false;
        }
    }
    matches!(theirs.next(), None | Some(PatternSegment::Rest))
}
