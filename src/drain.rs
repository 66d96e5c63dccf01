//! The end of life, and readiness before it.
//!
//! [`Drain::run`] walks through the phases; everybody else watches a [`DrainSignal`]:
//!
//! | phase | not ready | accepts | what ends it |
//! |---|---|---|---|
//! | `Serving` | | yes | SIGTERM or SIGINT: [`Drain::run`] |
//! | `Leaving` | yes | yes; every answer asks its client to leave: GOAWAY, `Connection: close` | `drain.delay`: load balancers take notice meanwhile |
//! | `Closing` | yes | no; idle connections close | the last request, or `drain.deadline` |
//! | `Ended` | yes | no; what is left is cut | |
//!
//! A phase never goes back. A second signal goes to `Ended` at once ([`Drain::end`]).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::DrainSettings;

/// How far the end of life has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Nothing ends.
    #[default]
    Serving,
    /// Not ready any more, and still accepting.
    Leaving,
    /// No new connections; open ones finish their requests and close.
    Closing,
    /// What is still open is cut.
    Ended,
}

/// Watches the phase; cheap to clone.
#[derive(Clone, Debug)]
pub struct DrainSignal(watch::Receiver<Phase>);

impl DrainSignal {
    /// The phase now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Waits until `phase` is reached or passed. A [`Drain`] that was dropped counts as ended: nobody waits for ever for
    /// an owner that is gone.
    pub async fn reached(&mut self, phase: Phase) {
        // The error means that the owner is gone.
        drop(self.0.wait_for(|now| *now >= phase).await.map(|now| *now));
    }

    /// Waits for [`Phase::Closing`].
    pub async fn closing(&mut self) {
        self.reached(Phase::Closing).await;
    }

    /// Waits for [`Phase::Ended`].
    pub async fn ended(&mut self) {
        self.reached(Phase::Ended).await;
    }
}

/// Leads through the phases.
#[derive(Clone, Debug)]
pub struct Drain(watch::Sender<Phase>);

impl Default for Drain {
    fn default() -> Self {
        Self(watch::Sender::new(Phase::Serving))
    }
}

impl Drain {
    /// A signal to hand out.
    #[must_use]
    pub fn signal(&self) -> DrainSignal {
        DrainSignal(self.0.subscribe())
    }

    /// Moves to `phase`, never back. Whether it moved.
    pub fn advance(&self, phase: Phase) -> bool {
        self.0.send_if_modified(|now| {
            let later = phase > *now;
            if later {
                *now = phase;
            }
            later
        })
    }

    /// Ends at once: a second signal, or nothing is left to wait for.
    pub fn end(&self) {
        self.advance(Phase::Ended);
    }

    /// Walks from `Serving` to `Ended`. `idle` resolves when no request is in flight; it is asked for only once
    /// connections are refused, so that it cannot be true too early. Returns early when [`Drain::end`] is called.
    pub async fn run(
        &self,
        settings: DrainSettings,
        clock: &Clock,
        idle: impl Future<Output = ()>,
    ) {
        let mut signal = self.signal();
        self.advance(Phase::Leaving);
        tokio::select! {
            () = clock.sleep(settings.delay) => {}
            () = signal.ended() => return,
        }
        self.advance(Phase::Closing);
        tokio::select! {
            () = clock.sleep(settings.deadline) => {}
            () = idle => {}
            () = signal.ended() => {}
        }
        self.end();
    }
}

/// What stands between the start and the first traffic. Each name is taken off once and never comes back; faults that come and
/// go, such as keys that ran out, are asked for when readiness is asked for.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<BTreeSet<&'static str>>>);

impl Readiness {
    /// Not ready until each of `pending` (in words: `listeners are not bound`) is done.
    #[must_use]
    pub fn pending(pending: impl IntoIterator<Item = &'static str>) -> Self {
        Self(Arc::new(Mutex::new(pending.into_iter().collect())))
    }

    /// `name` is done.
    pub fn done(&self, name: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
    }

    /// What is still missing, in words.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .copied()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::UnixTime;

    const SETTINGS: DrainSettings = DrainSettings {
        delay: Duration::from_secs(5),
        deadline: Duration::from_secs(30),
    };

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(future)
    }

    /// Lets the drain run as far as it can without time passing.
    async fn settle() {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn s13_a_drain_leaves_waits_closes_and_ends_at_the_deadline() {
        block_on(async {
            let clock = Clock::manual(UnixTime::from_secs(0));
            let drain = Drain::default();
            let signal = drain.signal();
            let run = drain.run(SETTINGS, &clock, std::future::pending());
            let watch = async {
                settle().await;
                assert_eq!(signal.phase(), Phase::Leaving);
                clock.advance(Duration::from_secs(5));
                settle().await;
                assert_eq!(signal.phase(), Phase::Closing);
                clock.advance(Duration::from_secs(29));
                settle().await;
                assert_eq!(signal.phase(), Phase::Closing);
                clock.advance(Duration::from_secs(1));
            };
            tokio::join!(run, watch);
            assert_eq!(signal.phase(), Phase::Ended);
        });
    }

    #[test]
    fn invariant_66_a_drain_ends_early_when_nothing_is_in_flight() {
        block_on(async {
            let clock = Clock::manual(UnixTime::from_secs(0));
            let drain = Drain::default();
            let mut signal = drain.signal();
            let run = drain.run(SETTINGS, &clock, std::future::ready(()));
            let watch = async {
                settle().await;
                assert_eq!(
                    signal.phase(),
                    Phase::Leaving,
                    "idle does not shorten the delay"
                );
                clock.advance(Duration::from_secs(5));
                signal.ended().await;
            };
            tokio::join!(run, watch);
        });
    }

    #[test]
    fn invariant_66_a_second_signal_ends_at_once() {
        block_on(async {
            let clock = Clock::manual(UnixTime::from_secs(0));
            let drain = Drain::default();
            let run = drain.run(SETTINGS, &clock, std::future::pending());
            let second = async {
                settle().await;
                drain.end();
            };
            tokio::join!(run, second);
            assert_eq!(drain.signal().phase(), Phase::Ended);
            assert!(!drain.advance(Phase::Serving), "there is no way back");
        });
    }

    #[test]
    fn a_signal_whose_drain_is_gone_does_not_hang() {
        block_on(async {
            let mut signal = Drain::default().signal();
            signal.closing().await;
        });
    }

    #[test]
    fn readiness_names_what_is_missing_and_never_goes_back() {
        let readiness =
            Readiness::pending(["listeners are not bound", "the self-test has not run"]);
        readiness.done("listeners are not bound");
        assert_eq!(readiness.missing(), ["the self-test has not run"]);
        readiness.done("the self-test has not run");
        assert!(readiness.missing().is_empty());
    }
}
