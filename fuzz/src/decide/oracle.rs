//! The policy, read from its documentation, the slow way: every path of every route is tried, and the best one wins.

use countersign::request::PathAllowances;
use serde_json::Value;

use super::super::target;
use super::Asked;
use super::policy::{Need, Route, Rule, Who};
use super::token::Credential;

/// What a token that holds says.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) issuer: &'static str,
    pub(super) subject: Option<&'static str>,
    pub(super) client: Option<&'static str>,
    pub(super) account: Option<&'static str>,
    pub(super) scopes: &'static [&'static str],
    /// `r1` or `r3`, in a list that is one.
    pub(super) has_role: bool,
    /// `g1`, the same way.
    pub(super) has_group: bool,
    pub(super) tenant: Value,
}

/// What must come of a request.
pub(super) enum Expected<'a> {
    Allow {
        facts: Option<&'a Facts>,
        caller: Option<&'static str>,
        credential_passes: bool,
    },
    /// With this status, where only one thing is wrong.
    Refuse(Option<u16>),
    /// A path that its route takes although others read it otherwise: what they would make of it is not modelled.
    Unclear,
}

impl<'a> Expected<'a> {
    const fn nobody_known(credential_passes: bool) -> Self {
        Self::Allow {
            facts: None,
            caller: None,
            credential_passes,
        }
    }
}

/// How specific one segment is; the lowest wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Literal,
    Parameter,
    Rest,
}

/// A route, by one of its paths.
struct Match<'r> {
    route: &'r Route,
    ranks: Vec<Rank>,
    /// The segment under `{p}`.
    parameter: Option<String>,
}

pub(super) fn decide<'a>(routes: &[Route], asked: &'a Asked) -> Expected<'a> {
    if matches!(asked.credential, Credential::Twice | Credential::Several(_))
        || asked.method == "TRACE"
    {
        return Expected::Refuse(Some(400));
    }
    let Some((segments, needed)) = target::naive_reading(asked.target.as_bytes()) else {
        return Expected::Refuse(Some(400));
    };
    let path = asked.target.split('?').next().unwrap_or_default();
    let mut segments = segments;
    if path.ends_with('/') {
        segments.push(String::new());
    }
    let host = asked.host.split(':').next().unwrap_or_default();
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let Some(winner) = best(routes, &segments, &host, false) else {
        return Expected::Refuse(None);
    };
    let granted = winner.route.allowances;
    if lacks(needed, granted) {
        return Expected::Refuse(Some(400));
    }
    let plain = needed == PathAllowances::default();
    if !winner.route.near_miss_allowed && is_near_miss(routes, &winner, &segments, &host) {
        return Expected::Refuse(Some(403));
    }
    let expected = access(&winner, asked);
    match expected {
        Expected::Allow { .. } if !plain && !winner.route.near_miss_allowed => Expected::Unclear,
        Expected::Refuse(_) if !plain => Expected::Refuse(None),
        expected => expected,
    }
}

fn lacks(needed: PathAllowances, granted: PathAllowances) -> bool {
    (needed.encoded_slash && !granted.encoded_slash)
        || (needed.empty_segment && !granted.empty_segment)
        || (needed.semicolon && !granted.semicolon)
        || (needed.encoded_percent && !granted.encoded_percent)
}

/// The most specific path that matches, then the most specific host.
fn best<'r>(routes: &'r [Route], segments: &[String], host: &str, fold: bool) -> Option<Match<'r>> {
    let mut all = matches(routes, segments, host, fold);
    all.sort_by(|one, other| {
        one.ranks
            .cmp(&other.ranks)
            .then(host_rank(other.route).cmp(&host_rank(one.route)))
    });
    all.into_iter().next()
}

fn matches<'r>(routes: &'r [Route], segments: &[String], host: &str, fold: bool) -> Vec<Match<'r>> {
    let of_host = routes.iter().filter(|route| match route.host {
        None => true,
        Some(own) => match own.strip_prefix('*') {
            Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
            None => own == host,
        },
    });
    of_host
        .flat_map(|route| route.paths.iter().map(move |path| (route, path)))
        .filter_map(|(route, path)| {
            let (ranks, parameter) = ranks(path, segments, fold)?;
            Some(Match {
                route,
                ranks,
                parameter,
            })
        })
        .collect()
}

/// Longer is more specific; a name is more specific than any wildcard.
fn host_rank(route: &Route) -> usize {
    match route.host {
        None => 0,
        Some(host) if host.starts_with('*') => host.len(),
        Some(_) => usize::MAX,
    }
}

/// How a path matches: a rank for each segment, and one for its end.
fn ranks(pattern: &str, segments: &[String], fold: bool) -> Option<(Vec<Rank>, Option<String>)> {
    let pattern: Vec<&str> = pattern[1..].split('/').collect();
    let mut ranks = Vec::new();
    let mut parameter = None;
    for (at, piece) in pattern.iter().enumerate() {
        if *piece == "**" {
            ranks.push(Rank::Rest);
            return Some((ranks, parameter));
        }
        let segment = segments.get(at)?;
        if piece.starts_with('{') {
            if segment.is_empty() {
                return None;
            }
            if *piece == "{p}" {
                parameter = Some(segment.clone());
            }
            ranks.push(Rank::Parameter);
        } else if piece == segment || (fold && piece.eq_ignore_ascii_case(segment)) {
            ranks.push(Rank::Literal);
        } else {
            return None;
        }
    }
    ranks.push(Rank::Literal);
    (pattern.len() == segments.len()).then_some((ranks, parameter))
}

/// Another case of letters, or a slash more or less at the end, selects a more specific path.
fn is_near_miss(routes: &[Route], winner: &Match<'_>, segments: &[String], host: &str) -> bool {
    let mut spellings = vec![segments.to_vec()];
    match segments {
        [only] if only.is_empty() => {}
        [shorter @ .., last] if last.is_empty() => spellings.push(shorter.to_vec()),
        _ => spellings.push([segments, &[String::new()]].concat()),
    }
    spellings.iter().any(|spelling| {
        matches(routes, spelling, host, true)
            .iter()
            .any(|other| is_more_specific(&other.ranks, &winner.ranks))
    })
}

fn is_more_specific(one: &[Rank], than: &[Rank]) -> bool {
    for (at, rank) in one.iter().enumerate() {
        let other = than.get(at).copied().unwrap_or(Rank::Literal);
        if *rank != other {
            return *rank < other;
        }
    }
    false
}

fn access<'a>(winner: &Match<'_>, asked: &'a Asked) -> Expected<'a> {
    let every = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let row = winner.route.rows.iter().find(|(methods, _)| match methods {
        None => every.contains(&asked.method),
        Some(methods) => methods.contains(&asked.method),
    });
    let Some((_, who)) = row else {
        return Expected::Refuse(Some(405));
    };
    let forwards = winner.route.forwards;
    let (anonymous, opaque, alternatives) = match who {
        Who::Nobody => return Expected::Refuse(Some(403)),
        Who::Anyone => {
            let there = !matches!(asked.credential, Credential::Absent);
            return Expected::nobody_known(forwards && there);
        }
        Who::Rules {
            anonymous,
            opaque,
            alternatives,
        } => (*anonymous, *opaque, alternatives),
    };
    let second = asked.target.contains("ccess_token=");
    match &asked.credential {
        Credential::Absent if anonymous => Expected::nobody_known(false),
        Credential::Absent => Expected::Refuse(Some(401)),
        _ if second => Expected::Refuse(Some(400)),
        Credential::Opaque(_) if opaque => Expected::nobody_known(true),
        Credential::Token(_, Some(facts)) => {
            let holds = |rule: &&Rule| {
                rule.issuer == facts.issuer
                    && rule
                        .needs
                        .iter()
                        .all(|need| holds(need, facts, winner, asked))
            };
            match alternatives.iter().find(holds) {
                Some(rule) => Expected::Allow {
                    facts: Some(facts),
                    caller: rule.caller,
                    credential_passes: forwards,
                },
                None => Expected::Refuse(Some(403)),
            }
        }
        _ => Expected::Refuse(Some(401)),
    }
}

fn holds(need: &Need, facts: &Facts, winner: &Match<'_>, asked: &Asked) -> bool {
    let is = |own: Option<&str>, any: &[&str]| own.is_some_and(|own| any.contains(&own));
    let in_path = |value: &str| {
        winner.parameter.as_deref().is_some_and(|segment| {
            !value.contains('/')
                && !value.is_empty()
                && (segment == value || (winner.route.fold && segment.eq_ignore_ascii_case(value)))
        })
    };
    let tenants: Vec<&str> = match &facts.tenant {
        Value::String(one) => vec![one],
        Value::Array(list) if list.iter().all(Value::is_string) => {
            list.iter().filter_map(Value::as_str).collect()
        }
        _ => Vec::new(),
    };
    match need {
        Need::Client(any) => is(facts.client, any),
        Need::Subject(any) => is(facts.subject, any),
        Need::Scopes(all) => all.iter().all(|scope| facts.scopes.contains(scope)),
        Need::AnyScope(any) => any.iter().any(|scope| facts.scopes.contains(scope)),
        Need::Roles(_) => facts.has_role,
        Need::Groups(_) => facts.has_group,
        Need::Network(network) => network.starts_with("10.") == asked.trusted_peer,
        Need::TenantIs(text) => tenants.contains(text),
        Need::TenantTrue => facts.tenant == Value::Bool(true),
        Need::TenantInPath => tenants.iter().any(|tenant| in_path(tenant)),
        Need::Account => facts.account.is_some(),
        Need::AccountInPath => facts.account.is_some_and(in_path),
    }
}
