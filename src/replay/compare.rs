//! A recorded decision beside the one of another configuration.

use super::kind::Kinds;
use crate::decision_log::Record;
use crate::explain::{Explanation, RecordError, Verdict};
use crate::rejection::Decision;

/// What comes of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    /// Policy has no part in it.
    Apart,
    Same,
    Unknown,
    Different(Box<Difference>),
}

/// How requests are decided differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// They were refused, and pass.
    LetIn,
    /// They were refused, and may pass.
    MayBeLetIn,
    /// They pass as another caller.
    OtherCaller,
    /// They passed, and are refused.
    Refused,
    /// They passed, and may be refused.
    MayBeRefused,
    /// They are refused for another reason.
    OtherReason,
}

/// Requests that are decided differently in the same way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// How.
    pub change: Change,
    /// Who asked: the client, or `anonymous`.
    pub who: String,
    /// The route that owned them; empty: none.
    pub route_then: String,
    /// The route that owns them; empty: none.
    pub route: String,
    /// Why they were refused, or would have been; empty: policy let them pass.
    pub then: String,
    /// Why they are refused; empty: they pass. Where they pass as another caller, the callers.
    pub now: String,
}

impl Change {
    /// For people and programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::LetIn => "let_in",
            Self::MayBeLetIn => "may_be_let_in",
            Self::OtherCaller => "other_caller",
            Self::Refused => "refused",
            Self::MayBeRefused => "may_be_refused",
            Self::OtherReason => "other_reason",
        }
    }

    /// Whether the configuration opens something by it, or may; another caller may have other rights behind the proxy.
    #[must_use]
    pub const fn is_wider(self) -> bool {
        matches!(self, Self::LetIn | Self::MayBeLetIn | Self::OtherCaller)
    }

    /// Whether it is a difference in what passes, and not only in its reason.
    #[must_use]
    pub const fn matters(self) -> bool {
        !matches!(self, Self::OtherReason)
    }
}

/// What is not decided by policy, and what a record has too little of.
pub(super) fn without_policy(record: &Record) -> Option<Compared> {
    let reason = record.reason.as_deref().unwrap_or_default();
    let apart = [
        "malformed_",
        "rate_limited",
        "expectation_",
        "head_",
        "target_too_long",
        "body_too_large",
        "version_",
        "overloaded",
        "draining",
        "internal",
        "identity_too_large",
    ];
    if record.is_outbound() || apart.iter().any(|own| reason.starts_with(own)) {
        return Some(Compared::Apart);
    }
    let target = record.target.as_deref().unwrap_or_default();
    let path = record.path.as_deref().unwrap_or(target);
    if record.method.is_none()
        || target.is_empty()
        || path.contains("[redacted]")
        || target.ends_with('…')
    {
        return Some(Compared::Unknown);
    }
    // The protocol that was asked for is not recorded.
    (reason == "upgrade_not_allowed").then_some(Compared::Unknown)
}

/// The listener is not there any more.
pub(super) fn elsewhere(record: &Record, error: &RecordError) -> Compared {
    match error {
        RecordError::NoRequest => Compared::Unknown,
        RecordError::Case(error) => {
            Then::of(record).now(record, "", Now::Refused(error.to_string()))
        }
    }
}

/// Both decisions.
pub(super) fn compare(
    record: &Record,
    told: &Explanation,
    unknown: bool,
    kinds: &Kinds,
) -> Compared {
    let then = Then::of(record);
    let route = told.route.as_ref().map_or("", |route| &*route.name);
    let is_public = told
        .route
        .as_ref()
        .is_some_and(|route| route.asks == "no token is looked at");
    let now = match told.verdict {
        Verdict::Unjudged => return Compared::Unknown,
        Verdict::Forwarded | Verdict::Answered if unknown && !is_public => {
            return Compared::Unknown;
        }
        Verdict::Forwarded | Verdict::Answered => {
            Now::Passes(told.caller.as_deref().unwrap_or_default().to_owned())
        }
        Verdict::Refused { reason, .. } => {
            let of_token = reason == "no_token" || reason.starts_with("token_");
            let gone = record.is_verified()
                && record
                    .issuer
                    .as_ref()
                    .is_some_and(|issuer| !kinds.issuers.contains(issuer));
            match of_token {
                // What the token was, no record has: the same as then, or not.
                true if unknown => return Compared::Unknown,
                true if gone => Now::Refused("token_issuer".to_owned()),
                true if has_unknown_token(record) => Now::May(reason.to_owned()),
                _ if may_hold(record, told) => Now::May(reason.to_owned()),
                _ => Now::Refused(reason.to_owned()),
            }
        }
    };
    then.now(record, route, now)
}

/// Whether the request may have had a token that nobody looked at: it was refused before, or let pass whoever asks.
fn has_unknown_token(record: &Record) -> bool {
    let before = |reason: &str| {
        [
            "path_",
            "near_miss",
            "no_route",
            "nobody_may",
            "method_not_allowed",
        ]
        .iter()
        .any(|own| reason.starts_with(own))
    };
    record.issuer.is_none() && record.refusal().is_none_or(before)
}

/// Whether an alternative fails by conditions alone that no record shows.
fn may_hold(record: &Record, told: &Explanation) -> bool {
    let hidden = |what: &str| match what {
        "roles" | "groups" | "client_certificate" | "actor" => true,
        "subject" | "service_account" => record
            .subject
            .as_deref()
            .is_some_and(|subject| subject.starts_with("hmac:")),
        other => other.strip_prefix("claims.").is_some_and(|path| {
            record
                .claims
                .as_ref()
                .is_none_or(|claims| !claims.contains_key(path))
        }),
    };
    told.alternatives.iter().any(|alternative| {
        let mut failing = alternative
            .conditions
            .iter()
            .filter(|condition| condition.holds == Some(false))
            .peekable();
        alternative.of_issuer
            && failing.peek().is_some()
            && failing.all(|condition| hidden(&condition.check.what))
    })
}

/// The recorded decision.
struct Then {
    /// It passed, be it because nothing was enforced.
    passed: bool,
    reason: String,
}

/// The decision of the configuration.
enum Now {
    Passes(String),
    May(String),
    Refused(String),
}

impl Then {
    fn of(record: &Record) -> Self {
        let refused = record.decision.as_deref() == Some(Decision::Denied.as_str());
        // Keys were not to be had, or the reviewer: that is no decision.
        let unjudged = record.reason.as_deref().is_some_and(|reason| {
            ["keys_", "review_", "dpop_too_many"]
                .iter()
                .any(|own| reason.starts_with(own))
        });
        Self {
            passed: !refused && !unjudged,
            reason: record.refusal().unwrap_or_default().to_owned(),
        }
    }

    fn now(self, record: &Record, route: &str, now: Now) -> Compared {
        let caller_then = record.caller.as_deref().unwrap_or_default();
        let (change, now) = match (self.passed, now) {
            (true, Now::Passes(caller)) => {
                // Of who only passed because nothing was enforced, nobody was named.
                if caller == caller_then || !self.reason.is_empty() || !record.is_verified() {
                    return Compared::Same;
                }
                (
                    Change::OtherCaller,
                    format!("{} → {}", named(caller_then), named(&caller)),
                )
            }
            (true, Now::May(reason)) => (Change::MayBeRefused, reason),
            (true, Now::Refused(reason)) => (Change::Refused, reason),
            (false, Now::Passes(_)) => (Change::LetIn, String::new()),
            (false, Now::May(reason)) => (Change::MayBeLetIn, reason),
            (false, Now::Refused(reason)) if reason == self.reason => return Compared::Same,
            (false, Now::Refused(reason)) => (Change::OtherReason, reason),
        };
        Compared::Different(Box::new(Difference {
            change,
            who: record.who().to_owned(),
            route_then: record.route.clone().unwrap_or_default(),
            route: route.to_owned(),
            then: self.reason,
            now,
        }))
    }
}

fn named(caller: &str) -> &str {
    if caller.is_empty() { "nobody" } else { caller }
}
