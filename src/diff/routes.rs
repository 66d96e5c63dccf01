//! What routes say beside who may: what is not enforced, what is counted, and how long streams live. Two routes are compared
//! where they own the same requests, whatever they are called.

use std::collections::{BTreeMap, BTreeSet};

use super::listeners::capped;
use super::{Line, Place, Way};
use crate::authz::compare::Owners;
use crate::authz::{
    Caller, NearMiss, ObservedCaller, PathPattern, PatternSegment, RateLimitKey, RateLimitSettings,
    RouteSettings, Share,
};
use crate::clock::{Now, UnixTime};
use crate::config::{Config, show_duration};
use crate::request::PathAllowances;

/// Most paths that a line names.
const PATHS: usize = 4;

pub(super) fn compare(
    old: &Config,
    new: &Config,
    owners: &[Owners],
    now: Now,
    lines: &mut Vec<Line>,
) {
    let (before, after) = (by_name(old), by_name(new));
    let mut own: Vec<Line> = Vec::new();
    for pair in owners {
        let old = pair.old.as_deref().and_then(|name| before.get(name));
        let Some(new) = pair.new.as_deref().and_then(|name| after.get(name)) else {
            continue;
        };
        let mut place = Place::new(pair.path.clone(), &mut own);
        let observed = |own: &RouteSettings| Some((own.observe?, own.enforced));
        let before = old.and_then(|own| observed(own));
        observe(before, observed(new), now, &mut place);
        if let Some(old) = old {
            both(old, new, &mut place);
        }
    }
    callers(old, new, now, &mut own);
    readings(old, new, &mut own);
    lines.extend(together(own));
}

fn by_name(config: &Config) -> BTreeMap<&str, &RouteSettings> {
    let routes = config.policy.routes().iter();
    routes
        .map(|route| (&**route.name(), route.settings()))
        .collect()
}

/// One line where many paths say the same.
fn together(lines: Vec<Line>) -> Vec<Line> {
    let mut all: Vec<(Line, BTreeSet<String>)> = Vec::new();
    for line in lines {
        let place = line.place.clone();
        let same = all
            .iter_mut()
            .find(|(own, _)| own.way == line.way && own.words == line.words);
        match same {
            Some((_, places)) => {
                places.insert(place);
            }
            None => all.push((line, BTreeSet::from([place]))),
        }
    }
    let joined = all.into_iter().map(|(mut line, places)| {
        let shown: Vec<&str> = places.iter().take(PATHS).map(String::as_str).collect();
        line.place = shown.join(", ");
        if let Some(more) = places.len().checked_sub(PATHS).filter(|more| *more > 0) {
            line.place.push_str(&format!(" and {more} more"));
        }
        line
    });
    joined.collect()
}

/// Paths that a route takes although parsers read them differently are refused where another reading is another route's.
/// Which those are is not compared: it changes with the routes.
fn readings(old: &Config, new: &Config, lines: &mut Vec<Line>) {
    let takes = |config: &Config| -> Vec<String> {
        let routes = config.policy.routes().iter().map(|route| route.settings());
        let own = routes.filter(|own| {
            own.allowances != PathAllowances::default() && own.near_miss == NearMiss::Refuse
        });
        own.flat_map(|own| own.paths.iter().map(ToString::to_string))
            .collect()
    };
    let (before, after) = (takes(old), takes(new));
    let (old, new) = (owned(old), owned(new));
    if old == new {
        return;
    }
    let way = if old.is_subset(&new) {
        Way::MayNarrow
    } else if new.is_subset(&old) {
        Way::MayWiden
    } else {
        Way::May
    };
    for path in after.iter().filter(|own| before.contains(own)) {
        Place::new(path, lines).say(
            way,
            "paths that parsers read differently (`paths`) are refused where a reading is another route's, and routes have changed",
        );
    }
}

/// What is owned together: listener, hosts and paths of each route, without the names of parameters.
fn owned(config: &Config) -> BTreeSet<[String; 3]> {
    let routes = config.policy.routes().iter().map(|route| route.settings());
    let sorted = |mut all: Vec<String>| {
        all.sort();
        all.join(" ")
    };
    let own = routes.map(|own| {
        [
            own.listener.as_deref().unwrap_or_default().to_owned(),
            sorted(own.hosts.iter().map(ToString::to_string).collect()),
            sorted(own.paths.iter().map(shape).collect()),
        ]
    });
    own.collect()
}

fn shape(path: &PathPattern) -> String {
    let segment = |own: &PatternSegment| match own {
        PatternSegment::Literal(text) => text.to_string(),
        PatternSegment::Parameter(_) => "{}".to_owned(),
        PatternSegment::Rest => "**".to_owned(),
    };
    let segments: Vec<String> = path.segments().iter().map(segment).collect();
    segments.join("/")
}

/// Callers that are only observed.
fn callers(old: &Config, new: &Config, now: Now, lines: &mut Vec<Line>) {
    let before = old.policy.observed_callers().iter();
    let after = new.policy.observed_callers().iter();
    let all = [old, new].map(|config| config.policy.observed_callers());
    let names: BTreeSet<&str> = all
        .into_iter()
        .flatten()
        .map(|own| &*own.caller.name)
        .collect();
    for name in names {
        let mut place = Place::new(format!("callers.{name}"), lines);
        let named = |own: &&ObservedCaller| *own.caller.name == *name;
        let (old, new) = (before.clone().find(named), after.clone().find(named));
        let ramp = |own: &ObservedCaller| (own.until, own.enforced);
        observe(old.map(ramp), new.map(ramp), now, &mut place);
        let is_pending = |own: &ObservedCaller| pending(ramp(own), now);
        if let (Some(old), Some(new)) = (old, new)
            && is_pending(old)
            && is_pending(new)
            && !is_same(&old.caller, &new.caller)
        {
            place.say(
                Way::MayWiden,
                "is defined otherwise: another party is only observed, and what policy refuses of it passes",
            );
        }
    }
}

/// Whether the same tokens are this caller's. The order of conditions means nothing.
fn is_same(one: &Caller, other: &Caller) -> bool {
    let within = |one: &Caller, other: &Caller| {
        let mut all = one.conditions.iter();
        all.all(|own| other.conditions.contains(own))
    };
    one.issuer == other.issuer && within(one, other) && within(other, one)
}

/// Whether some are let pass that policy refuses.
fn pending((until, enforced): (UnixTime, Share), now: Now) -> bool {
    now.unix < until && !enforced.is_everybody()
}

/// What is only observed passes, whatever policy says of it; save for the share of clients for whom it is enforced.
fn observe(
    old: Option<(UnixTime, Share)>,
    new: Option<(UnixTime, Share)>,
    now: Now,
    place: &mut Place<'_>,
) {
    let day = |until: UnixTime| crate::case::date(until);
    let [old, new] = [old, new].map(|own| own.filter(|own| pending(*own, now)));
    if let (Some((_, old)), Some((_, new))) = (old, new)
        && old != new
    {
        let way = if new < old {
            Way::MayWiden
        } else {
            Way::MayNarrow
        };
        place.say(
            way,
            format!("is enforced for {new} of clients (before: {old})"),
        );
    }
    let until = |own: Option<(UnixTime, Share)>| own.map(|(until, _)| until);
    match (until(old), until(new)) {
        (old, new) if old == new => {}
        (None, Some(new)) => place.say(
            Way::MayWiden,
            format!(
                "only observes until {}: what policy refuses passes",
                day(new)
            ),
        ),
        (Some(_), None) => place.say(
            Way::MayNarrow,
            "is enforced; before, it only observed, and what policy refuses passed",
        ),
        (Some(old), Some(new)) => {
            let way = if new > old {
                Way::MayWiden
            } else {
                Way::MayNarrow
            };
            place.say(
                way,
                format!("only observes until {} (before: {})", day(new), day(old)),
            );
        }
        (None, None) => {}
    }
}

fn both(old: &RouteSettings, new: &RouteSettings, place: &mut Place<'_>) {
    rates(&old.rate_limit, &new.rate_limit, place);
    capped(
        (old.body_bytes, new.body_bytes),
        "`limits.body_bytes`",
        place,
    );
    match (old.end_at_expiry, new.end_at_expiry) {
        (true, false) => place.say(
            Way::Wider,
            "streams may outlive their token (no `end_at_expiry`)",
        ),
        (false, true) => place.say(
            Way::Narrower,
            "streams end with their token (`end_at_expiry`)",
        ),
        _ => {}
    }
    if let (Some(old), Some(new)) = (&old.actor_token, &new.actor_token)
        && old.header != new.header
    {
        place.say(
            Way::May,
            format!(
                "the second token is looked for in {} (before: {})",
                new.header, old.header
            ),
        );
    }
    match (old.grpc, new.grpc) {
        (false, true) => place.say(Way::Note, "trailers of responses pass (`grpc`)"),
        (true, false) => place.say(
            Way::Note,
            "trailers of responses do not pass any more (`grpc`)",
        ),
        _ => {}
    }
    let span =
        |own: Option<std::time::Duration>| own.map(show_duration).unwrap_or("none".to_owned());
    let timeouts = [
        (
            "upstream_response",
            old.response_timeout,
            new.response_timeout,
        ),
        ("response_idle", old.idle_timeout, new.idle_timeout),
    ];
    for (name, old, new) in timeouts {
        if old != new {
            place.say(
                Way::Note,
                format!("`timeouts.{name}`: {} (before: {})", span(new), span(old)),
            );
        }
    }
}

/// How often one may call: whether a request meets the limit depends on those before it.
fn rates(old: &[RateLimitSettings], new: &[RateLimitSettings], place: &mut Place<'_>) {
    let show = |limit: &RateLimitSettings| {
        let by = match limit.by {
            RateLimitKey::ClientAddress => "client_address",
            RateLimitKey::Principal => "principal",
        };
        let when = if limit.before_authentication {
            " before authentication"
        } else {
            ""
        };
        format!(
            "{} per {} by {by}{when}",
            limit.requests,
            show_duration(limit.per)
        )
    };
    let shown = |limits: &[RateLimitSettings]| {
        let limits: Vec<String> = limits.iter().map(show).collect();
        limits.join(" and ")
    };
    if old == new {
        return;
    }
    match (old, new) {
        ([], new) => place.say(
            Way::MayNarrow,
            format!("is limited to {} (`rate_limit`)", shown(new)),
        ),
        (old, []) => place.say(
            Way::MayWiden,
            format!(
                "is not limited any more (`rate_limit`; before: {})",
                shown(old)
            ),
        ),
        (old, new) => {
            let way = match (old, new) {
                ([one], [other]) if alike(one, other) => direction(one, other),
                _ => Way::May,
            };
            place.say(
                way,
                format!("is limited to {} (before: {})", shown(new), shown(old)),
            );
        }
    }
}

fn alike(one: &RateLimitSettings, other: &RateLimitSettings) -> bool {
    one.by == other.by && one.before_authentication == other.before_authentication
}

/// More at once and more over time, or less of both.
fn direction(old: &RateLimitSettings, new: &RateLimitSettings) -> Way {
    // old.requests / old.per against new.requests / new.per
    let before = u128::from(old.requests) * new.per.as_nanos();
    let after = u128::from(new.requests) * old.per.as_nanos();
    if new.requests >= old.requests && after >= before {
        Way::MayWiden
    } else if new.requests <= old.requests && after <= before {
        Way::MayNarrow
    } else {
        Way::May
    }
}
