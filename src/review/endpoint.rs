//! One endpoint: what is remembered of its answers, what is being asked, and the requests that wait for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use tokio::sync::{mpsc, watch};
use zeroize::Zeroizing;

use super::ask::Asker;
use super::error::{Failure, ReviewError};
use super::memory::{Key, Known, Memory, Outcome};
use super::status::{Counts, ReviewStatus};
use super::{IN_FLIGHT, MOST_WAITERS, NEGATIVE, PAUSE, ReviewSettings};
use crate::authn::{Review, Reviewer};
use crate::clock::{Clock, Now, Tick, UnixTime};
use crate::fetch::FetchError;
use crate::waiters::{self, Place};

/// Least time between two log lines about failures: a caller's odd token must not fill the log.
const QUIET: Duration = Duration::from_secs(10);

/// One endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    id: u64,
    name: Arc<str>,
    pub(super) reviewer: Arc<Reviewer>,
    clock: Clock,
    settings: ArcSwap<ReviewSettings>,
    asker: Asker,
    /// Keyed, so that what is kept says nothing about tokens.
    hash: hmac::Key,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    memory: Memory,
    pub(super) in_flight: usize,
    pub(super) counts: Counts,
    pub(super) failures: u32,
    pub(super) last_error: Option<String>,
    pub(super) last_success: Option<UnixTime>,
    /// The last failure that was logged, and whether its end was.
    told: Option<(Tick, bool)>,
}

/// A question to be asked, on the control thread.
#[derive(Debug)]
pub(super) struct Job {
    endpoint: Arc<Endpoint>,
    key: Key,
    token: Zeroizing<Box<[u8]>>,
    asked: Now,
    answer: watch::Sender<Option<Outcome>>,
    finished: bool,
}

impl Endpoint {
    pub(super) fn new(name: Arc<str>, settings: ReviewSettings, clock: Clock) -> Self {
        let hash = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            // Without chance the hash is an ordinary one, which is as hard to collide with.
            .unwrap_or_else(|_| hmac::Key::new(hmac::HMAC_SHA256, &[]));
        Self {
            id: waiters::next_id(),
            name,
            reviewer: Arc::new(settings.reviewer()),
            clock,
            settings: ArcSwap::from_pointee(settings),
            asker: Asker::new(),
            hash,
            state: Mutex::new(State {
                memory: Memory::new(),
                in_flight: 0,
                counts: Counts::default(),
                failures: 0,
                last_error: None,
                last_success: None,
                told: None,
            }),
        }
    }

    pub(super) fn settings(&self) -> Arc<ReviewSettings> {
        self.settings.load_full()
    }

    /// Takes over settings under which answers stay good.
    pub(super) fn adjust(&self, settings: ReviewSettings) {
        self.settings.store(Arc::new(settings));
        self.asker.forget();
    }

    /// The outcome of a question about `token`: one that counts still, or else that of a question which all who want to know
    /// share. `None`: nobody could say.
    pub(super) async fn ask(
        self: &Arc<Self>,
        token: &[u8],
        jobs: &mpsc::UnboundedSender<Job>,
    ) -> Outcome {
        let mut pending = match self.look(token, jobs) {
            Known::Outcome(outcome) => return outcome,
            Known::Pending(pending) => pending,
            Known::Nothing => return None,
        };
        let _place = Place::take(self.id, MOST_WAITERS)?;
        let deadline = self.clock.tick().plus(self.settings.load().timeout);
        let answered = async {
            failpoint!(async Review, None);
            pending.wait_for(Option::is_some).await.ok()?.clone()?
        };
        tokio::select! {
            biased;
            outcome = answered => outcome,
            () = self.clock.sleep_until(deadline) => None,
        }
    }

    /// What is known of a token; the question about it where nothing is. Nothing where too much is being asked.
    fn look(self: &Arc<Self>, token: &[u8], jobs: &mpsc::UnboundedSender<Job>) -> Known {
        let key = self.key(token);
        let asked = self.clock.now();
        let mut state = self.state();
        let known = state.memory.look(&key, &self.reviewer, asked);
        if !matches!(known, Known::Nothing) {
            return known;
        }
        if state.in_flight >= IN_FLIGHT {
            state.counts.shed += 1;
            return Known::Nothing;
        }
        let (answer, pending) = watch::channel(None);
        state.in_flight += 1;
        state.memory.ask(key, pending.clone());
        drop(state);
        let job = Job {
            endpoint: Arc::clone(self),
            key,
            token: Zeroizing::new(token.into()),
            asked,
            answer,
            finished: false,
        };
        // Where nobody takes jobs any more, the job ends here, and with it the waiting.
        drop(jobs.send(job));
        Known::Pending(pending)
    }

    fn key(&self, token: &[u8]) -> Key {
        let mut key = Key::default();
        let tag = hmac::sign(&self.hash, token);
        key.iter_mut()
            .zip(tag.as_ref())
            .for_each(|(to, from)| *to = *from);
        key
    }

    /// Keeps what came of a question, and tells.
    fn finish(&self, key: Key, asked: Now, result: Result<Review, ReviewError>) -> Outcome {
        let now = self.clock.now();
        let mut state = self.state();
        state.in_flight = state.in_flight.saturating_sub(1);
        let to_tell = match &result {
            Ok(review) => state.succeeded(review, now),
            Err(error) => state.failed(error, now),
        };
        let failures = state.failures;
        let outcome = result.as_ref().ok().map(|review| (review.clone(), asked));
        let until = match &outcome {
            Some((Review::Active(_), _)) => asked.tick.plus(self.reviewer.max_cache),
            Some((Review::Inactive, _)) => asked.tick.plus(NEGATIVE),
            None => now.tick.plus(PAUSE),
        };
        state.memory.keep(key, outcome.clone(), until, now.tick);
        drop(state);
        match result {
            _ if !to_tell => {}
            Ok(_) => tracing::info!(issuer = %self.name, "review.recovered"),
            Err(error) => {
                let hint = error.hint();
                tracing::error!(issuer = %self.name, %error, hint, failures, "review.failed");
            }
        }
        outcome
    }

    /// What is known, for people and metrics.
    pub(super) fn status(&self) -> ReviewStatus {
        let state = self.state();
        ReviewStatus::of(
            &self.name,
            &self.settings.load(),
            &state,
            state.memory.len(),
        )
    }

    /// Nothing panics while the lock is held; were it so, the state would still be whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether it is to be told: after a failure that was.
    fn succeeded(&mut self, review: &Review, now: Now) -> bool {
        match review {
            Review::Active(_) => self.counts.active += 1,
            Review::Inactive => self.counts.inactive += 1,
        }
        self.failures = 0;
        self.last_error = None;
        self.last_success = Some(now.unix);
        match &mut self.told {
            Some((_, over @ false)) => {
                *over = true;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Whether it is to be told: not too often, and not where nobody wanted to know.
    fn failed(&mut self, error: &ReviewError, now: Now) -> bool {
        match error.kind() {
            Failure::Unreachable => self.counts.unreachable += 1,
            Failure::Credentials => self.counts.credentials += 1,
            Failure::Malformed => self.counts.malformed += 1,
            Failure::Internal => self.counts.internal += 1,
        }
        self.failures = self.failures.saturating_add(1);
        self.last_error = Some(error.to_string());
        let quiet = (self.told).is_some_and(|(at, _)| now.tick.since(at) < QUIET);
        let tells = !quiet && !matches!(error, ReviewError::GivenUp);
        if tells {
            self.told = Some((now.tick, false));
        }
        tells
    }
}

impl Job {
    /// Asks, and hands the outcome to all who wait.
    pub(super) async fn run(mut self) {
        let endpoint = Arc::clone(&self.endpoint);
        let settings = endpoint.settings();
        let deadline = self.asked.tick.plus(settings.timeout);
        let result = tokio::select! {
            biased;
            result = endpoint.asker.ask(&settings, &self.token, &endpoint.clock) => result,
            () = endpoint.clock.sleep_until(deadline) => Err(FetchError::Timeout.into()),
        };
        if let Err(ReviewError::Fetch(_)) = &result {
            endpoint.asker.forget();
        }
        self.finish(result);
    }

    fn finish(&mut self, result: Result<Review, ReviewError>) {
        self.finished = true;
        let outcome = self.endpoint.finish(self.key, self.asked, result);
        self.answer.send_replace(Some(outcome));
    }
}

/// A question that was given up, or whose task panicked, is one that failed: nobody must find it pending for ever.
impl Drop for Job {
    fn drop(&mut self) {
        if !self.finished {
            self.finish(Err(ReviewError::GivenUp));
        }
    }
}
