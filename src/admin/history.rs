//! Decisions of the last minutes, for charts.
//!
//! Workers count decisions as they do anyway (`countersign_decisions_total`). The control thread looks at the sums every few
//! seconds, and whenever somebody asks; what they grew by since the look before counts to the minute of the look. So the
//! request path does nothing for it, and what ends just before the turn of a minute may count to the next one.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::clock::Tick;
use crate::telemetry::{Decided, Metrics};

/// How many minutes are kept, the running one included.
pub const MINUTES: usize = 30;

const NANOS_OF_MINUTE: u64 = 60 * 1_000_000_000;

/// What was decided in the last minutes. Bounded by the series of the metric, which come from the configuration.
#[derive(Debug, Default)]
pub struct History(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Sums at the last look.
    sums: HashMap<Series, u64>,
    /// The oldest first; minutes in which nothing ended are not there.
    minutes: VecDeque<(u64, BTreeMap<Series, u64>)>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Series {
    listener: Box<str>,
    route: Box<str>,
    decision: Box<str>,
    reason: Box<str>,
}

/// What ended in each of the last minutes, the oldest first; the last entry is the running minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Forwarded and answered.
    pub allowed: [u64; MINUTES],
    /// Refused.
    pub denied: [u64; MINUTES],
    /// Could not be judged or served.
    pub errored: [u64; MINUTES],
}

/// Decisions of the last minutes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LastMinutes {
    /// All of them.
    pub total: Tally,
    /// Of routes that had any.
    pub routes: BTreeMap<String, Tally>,
    /// Refused and failed requests, by reason.
    pub reasons: BTreeMap<String, Tally>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            allowed: [0; MINUTES],
            denied: [0; MINUTES],
            errored: [0; MINUTES],
        }
    }
}

impl Tally {
    /// Sums of all minutes: allowed, denied, errored.
    #[must_use]
    pub fn sums(&self) -> [u64; 3] {
        [&self.allowed, &self.denied, &self.errored].map(|counts| counts.iter().sum())
    }

    /// Allowed, denied and errored of each minute.
    pub fn minutes(&self) -> impl Iterator<Item = [u64; 3]> + '_ {
        let refused = self.denied.iter().zip(&self.errored);
        let all = self.allowed.iter().zip(refused);
        all.map(|(allowed, (denied, errored))| [*allowed, *denied, *errored])
    }

    fn add(&mut self, place: usize, decision: &str, count: u64) {
        let counts = match decision {
            "allowed" => &mut self.allowed,
            "denied" => &mut self.denied,
            _ => &mut self.errored,
        };
        if let Some(held) = counts.get_mut(place) {
            *held = held.saturating_add(count);
        }
    }
}

impl History {
    /// Counts what ended since the last look.
    pub fn look(&self, metrics: &Metrics, now: Tick) {
        self.count(metrics.decided(), minute(now));
    }

    fn count(&self, all: Vec<Decided>, minute: u64) {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = &mut *guard;
        for decided in all {
            let series = Series {
                listener: decided.listener,
                route: decided.route,
                decision: decided.decision,
                reason: decided.reason,
            };
            let before = kept.sums.get(&series).copied().unwrap_or(0);
            let more = decided.count.saturating_sub(before);
            if more == 0 {
                continue;
            }
            kept.sums.insert(series.clone(), decided.count);
            if kept.minutes.back().is_none_or(|(last, _)| *last != minute) {
                kept.minutes.push_back((minute, BTreeMap::new()));
            }
            if let Some((_, counts)) = kept.minutes.back_mut() {
                let held = counts.entry(series).or_default();
                *held = held.saturating_add(more);
            }
        }
        while kept
            .minutes
            .front()
            .is_some_and(|(first, _)| place(*first, minute).is_none())
        {
            kept.minutes.pop_front();
        }
    }

    /// What was decided in the last minutes.
    #[must_use]
    pub fn last(&self, now: Tick) -> LastMinutes {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = minute(now);
        let mut last = LastMinutes::default();
        for (minute, counts) in &kept.minutes {
            let Some(place) = place(*minute, now) else {
                continue;
            };
            for (series, count) in counts {
                let add = |tally: &mut Tally| tally.add(place, &series.decision, *count);
                add(&mut last.total);
                if !series.route.is_empty() {
                    add(last.routes.entry(series.route.to_string()).or_default());
                }
                if *series.decision != *"allowed" {
                    add(last.reasons.entry(series.reason.to_string()).or_default());
                }
            }
        }
        last
    }
}

const fn minute(now: Tick) -> u64 {
    now.as_nanos() / NANOS_OF_MINUTE
}

/// Where a minute stands in a [`Tally`] of now; `None` where it is too long ago.
fn place(minute: u64, now: u64) -> Option<usize> {
    let ago = usize::try_from(now.saturating_sub(minute)).ok()?;
    (MINUTES - 1).checked_sub(ago)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(route: &str, decision: &str, reason: &str, count: u64) -> Decided {
        Decided {
            listener: "in".into(),
            route: route.into(),
            decision: decision.into(),
            reason: reason.into(),
            count,
        }
    }

    fn at(minute: u64) -> Tick {
        Tick::from_nanos(minute * NANOS_OF_MINUTE + 1)
    }

    #[test]
    fn what_sums_grew_by_counts_to_the_minute_of_the_look() {
        let history = History::default();
        history.count(vec![decided("/a", "allowed", "", 5)], 100);
        history.count(
            vec![
                decided("/a", "allowed", "", 7),
                decided("/a", "denied", "no_token", 1),
                decided("/b", "errored", "keys_unavailable", 2),
            ],
            101,
        );
        history.count(vec![decided("/a", "allowed", "", 7)], 102);
        let last = history.last(at(102));
        assert_eq!(last.total.sums(), [7, 1, 2]);
        let tail: Vec<_> = last.total.minutes().skip(MINUTES - 3).collect();
        assert_eq!(tail, [[5, 0, 0], [2, 1, 2], [0, 0, 0]]);
        assert_eq!(last.routes["/a"].sums(), [7, 1, 0]);
        assert_eq!(last.routes["/b"].sums(), [0, 0, 2]);
        let reasons: Vec<_> = last.reasons.keys().map(String::as_str).collect();
        assert_eq!(reasons, ["keys_unavailable", "no_token"]);
    }

    #[test]
    fn what_is_too_long_ago_goes_and_nothing_else() {
        let history = History::default();
        history.count(vec![decided("/a", "allowed", "", 1)], 0);
        let edge = u64::try_from(MINUTES).unwrap() - 1;
        assert_eq!(history.last(at(edge)).total.allowed[0], 1);
        assert_eq!(history.last(at(edge + 1)).total.sums(), [0; 3]);
        history.count(vec![decided("/a", "allowed", "", 2)], 1000);
        assert_eq!(history.0.lock().unwrap().minutes.len(), 1);
        assert_eq!(history.last(at(1000)).total.sums(), [1, 0, 0]);
    }

    #[test]
    fn a_route_without_requests_has_no_row() {
        let history = History::default();
        history.count(vec![decided("/a", "allowed", "", 0)], 1);
        assert_eq!(history.last(at(1)), LastMinutes::default());
    }
}
