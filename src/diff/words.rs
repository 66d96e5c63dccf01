//! Differences of policy in one sentence each.

use crate::authz::compare::{Change, Difference, Effect, Hosts, Kind, PathLabel, Who};
use crate::authz::{Condition, TABLELESS_METHODS};
use crate::cli::show;

/// What is different, and for whom.
pub(super) fn sentence(difference: &Difference) -> String {
    let who = who(&difference.who);
    let who = match &difference.region.kind {
        Kind::Ordinary => who,
        Kind::Upgrade(protocol) => format!("{who}, to upgrade to {protocol}"),
        Kind::Preflight { origin, wanted } if difference.who == Who::Anyone => {
            format!("anyone, in a preflight of {origin} for {wanted}")
        }
        Kind::Preflight { origin, wanted } => {
            format!("{who}, in a preflight of {origin} for {wanted}")
        }
    };
    match &difference.effect {
        Effect::Identity(change) => format!("{who}: {}", changed(change)),
        Effect::Wider => {
            let before = difference.old.decision.as_ref().err();
            format!("{who}{}", because(difference, before.copied(), true))
        }
        Effect::Narrower => {
            let now = difference.new.decision.as_ref().err();
            format!("{who}{}", because(difference, now.copied(), false))
        }
    }
}

fn who(who: &Who) -> String {
    match who {
        Who::Anyone => "anyone, with any token or none".to_owned(),
        Who::Everybody => "everybody whom the route lets pass".to_owned(),
        Who::NoToken => "whoever has no token".to_owned(),
        Who::Opaque => "whoever has a token that is no JWT".to_owned(),
        Who::Token(alternative) => {
            let text = show::alternative(alternative);
            if alternative.caller.is_some() {
                format!("caller {text}")
            } else {
                format!("tokens of {text}")
            }
        }
        Who::BadSecond => "whoever has a second token that does not hold".to_owned(),
        Who::Second => "whoever has a second token".to_owned(),
    }
}

fn changed(change: &Change) -> String {
    let named = |caller: &Option<std::sync::Arc<str>>| match caller {
        Some(name) => format!("`{name}`"),
        None => "nobody by name".to_owned(),
    };
    match change {
        Change::Told { now: true } => "the upstream is told who it is".to_owned(),
        Change::Told { now: false } => "the upstream is no longer told who it is".to_owned(),
        Change::Caller { from, to } => format!(
            "the upstream is told caller {} instead of {}",
            named(to),
            named(from)
        ),
        Change::Second { now: true } => "the second token is looked at".to_owned(),
        Change::Second { now: false } => "the second token is no longer looked at".to_owned(),
        Change::Authorization { now: true } => {
            "the upstream gets the token (`Authorization` is forwarded)".to_owned()
        }
        Change::Authorization { now: false } => "the upstream no longer gets the token".to_owned(),
    }
}

/// Why the policy that refuses does.
fn because(difference: &Difference, reason: Option<&'static str>, before: bool) -> String {
    let tense = if before { "before, " } else { "now " };
    let is = |was: &str, is: &str| {
        if before {
            was.to_owned()
        } else {
            is.to_owned()
        }
    };
    if let Some(needed) = needed(difference) {
        return format!("; {tense}{} {needed}", is("needed", "needs"));
    }
    let why = match reason {
        Some("no_route") => is("no route had the path", "no route has the path"),
        Some("near_miss") => is(
            "it was refused as a near miss of a more specific path",
            "it is refused as a near miss of a more specific path",
        ),
        Some("method_not_allowed") => is("the method was not listed", "the method is not listed"),
        Some("nobody_may") => is("nobody was let pass", "nobody is let pass"),
        Some("no_token") => is("a token was needed", "a token is needed"),
        Some("token_issuer") => is("the issuer was not trusted", "the issuer is not trusted"),
        Some("token_client") => is(
            "the issuer's `clients` did not have it",
            "the issuer's `clients` do not have it",
        ),
        Some("caller_not_allowed") => is("nobody like that was named", "nobody like that is named"),
        Some("actor_missing") => is("a second token was needed", "a second token is needed"),
        Some("upgrade_not_allowed") => is("no upgrade was allowed", "no upgrade is allowed"),
        _ if !difference.lacking.is_empty() => {
            is("nobody like that was named", "nobody like that is named")
        }
        Some(other) => format!("it {} refused ({other})", is("was", "is")),
        None => return String::new(),
    };
    format!("; {tense}{why}")
}

/// What the closest alternative wants besides, unless that is to be somebody else.
fn needed(difference: &Difference) -> Option<String> {
    let is_party = |own: &Condition| {
        matches!(
            own,
            Condition::Client(_) | Condition::Subject(_) | Condition::ServiceAccount(_)
        )
    };
    if difference.lacking.is_empty() || difference.lacking.iter().any(is_party) {
        return None;
    }
    let has = |condition: &Condition| match &difference.who {
        Who::Token(alternative) => alternative.conditions.contains(condition),
        _ => false,
    };
    let needed = difference.lacking.iter().map(|condition| {
        let text = show::condition(condition);
        // What both want is not there for one of them: a parameter is compared otherwise.
        if has(condition) {
            format!("{text} in the same letters (no `fold`)")
        } else {
            text
        }
    });
    Some(needed.collect::<Vec<_>>().join(" and "))
}

/// Methods as the tables of policy write them; `*` for all that speak without a table.
pub(crate) fn methods(methods: &[http::Method]) -> String {
    if methods == TABLELESS_METHODS {
        return "*".to_owned();
    }
    let names: Vec<&str> = methods.iter().map(http::Method::as_str).collect();
    names.join(", ")
}

/// A path, or what is special about it.
pub(crate) fn path(label: &PathLabel) -> String {
    match label {
        PathLabel::Pattern(pattern) => pattern.clone(),
        PathLabel::Spelling(path) => format!("other spellings of {path}"),
        PathLabel::Ambiguous(pattern, word) => format!("{pattern} with {word}"),
    }
}

/// Hosts; nothing where every host is meant.
pub(crate) fn hosts(hosts: &Hosts) -> Option<String> {
    if hosts.others && hosts.named.is_empty() {
        return None;
    }
    let named = hosts.named.iter().map(ToString::to_string);
    let others = hosts.others.then(|| "other hosts".to_owned());
    Some(named.chain(others).collect::<Vec<_>>().join(", "))
}
