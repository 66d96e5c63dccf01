//! The schedule of one source: when to try, whom to let wait, what to answer. No I/O.

use std::time::Duration;

use super::document::Digest;
use super::{KeySourceSettings, Obtained};
use crate::clock::{Now, Tick, UnixTime};

/// First pause after a failure while no keys are held.
const COLD_BACKOFF: Duration = Duration::from_secs(1);
/// Longest pause after a failure while no keys are held.
const COLD_BACKOFF_CEILING: Duration = Duration::from_secs(60);
/// Least value of Retry-After.
const LEAST_RETRY: Duration = Duration::from_secs(1);
/// Shortest cooldown and interval, whatever was configured: an issuer is never asked in a tight loop.
const LEAST_PAUSE: Duration = Duration::from_secs(1);
/// Files are looked at this often at least: some mounts never signal a change.
const FILE_POLL: Duration = Duration::from_secs(15);

/// What is held.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) kids: Vec<Box<str>>,
    pub(super) skipped: usize,
    pub(super) digest: Digest,
    pub(super) from_disk: bool,
    pub(super) fetched_at: UnixTime,
    /// When they were last confirmed; `age_before` older than this tick.
    pub(super) since: Tick,
    /// Age that was there when this process took the keys (from disk).
    pub(super) age_before: Duration,
    /// From then on they do not serve. `None`: inline keys, which cannot age.
    pub(super) until: Option<Tick>,
}

/// The schedule and the memory of one source.
#[derive(Debug)]
pub(super) struct State {
    pub(super) held: Option<Held>,
    /// An attempt is running, or asked for and about to.
    pub(super) in_flight: bool,
    /// An attempt was asked for: by an unknown key id, or because a file changed.
    pub(super) asked: bool,
    /// The next scheduled attempt; `None`: never (inline).
    pub(super) next: Option<Tick>,
    last_attempt: Option<Tick>,
    last_forced: Option<Tick>,
    pub(super) last_error: Option<String>,
    pub(super) failures: u32,
    pub(super) fetches_ok: u64,
    pub(super) fetches_failed: u64,
    pub(super) fetches_forced: u64,
}

/// What a requester does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It has its answer.
    Answer(Obtained),
    /// It waits for the attempt in flight.
    Wait,
    /// It waits, and the source's task must be woken.
    WakeAndWait,
}

impl State {
    /// Nothing held; the first attempt is due at `next`.
    pub(super) const fn new(next: Option<Tick>) -> Self {
        Self {
            held: None,
            in_flight: false,
            asked: false,
            next,
            last_attempt: None,
            last_forced: None,
            last_error: None,
            failures: 0,
            fetches_ok: 0,
            fetches_failed: 0,
            fetches_forced: 0,
        }
    }

    /// What a request gets that wants the key `kid` (`None`: any), which it did not find.
    pub(super) fn judge(
        &mut self,
        kid: Option<&str>,
        settings: &KeySourceSettings,
        now: Tick,
    ) -> Judgement {
        if let Some(held) = &self.held
            && kid.is_none_or(|kid| held.kids.iter().any(|held| **held == *kid))
        {
            return Judgement::Answer(Obtained::Refreshed);
        }
        if self.in_flight {
            return Judgement::Wait;
        }
        if self.next.is_none() {
            return Judgement::Answer(if self.held.is_some() {
                Obtained::Absent
            } else {
                Obtained::Unavailable {
                    retry_after: settings.cooldown.max(LEAST_RETRY),
                }
            });
        }
        // The task has not come round to an attempt that is due: it will, without being forced.
        if self.next.is_some_and(|next| next <= now) {
            return Judgement::Wait;
        }
        let allowed = self.force_allowed_at(settings);
        if allowed <= now {
            self.in_flight = true;
            self.asked = true;
            self.last_forced = Some(now);
            self.fetches_forced += 1;
            return Judgement::WakeAndWait;
        }
        if self.held.is_some() && self.failures == 0 {
            return Judgement::Answer(Obtained::Absent);
        }
        let retry_after = self
            .next
            .map_or(allowed, |next| next.min(allowed))
            .since(now);
        Judgement::Answer(Obtained::Unavailable {
            retry_after: retry_after.max(LEAST_RETRY),
        })
    }

    /// From when on an unknown key id may force an attempt. After a failure every attempt counts against the cooldown:
    /// retries are on their way already, and an issuer that is down must not be asked more often for being down.
    fn force_allowed_at(&self, settings: &KeySourceSettings) -> Tick {
        let after = |attempt: Option<Tick>| {
            attempt.map_or(Tick::default(), |at| {
                at.plus(settings.cooldown.max(LEAST_PAUSE))
            })
        };
        let forced = after(self.last_forced);
        if self.failures == 0 {
            forced
        } else {
            forced.max(after(self.last_attempt))
        }
    }

    /// The source's file changed, or its settings did.
    pub(super) const fn ask(&mut self) {
        self.asked = true;
    }

    /// Whether an attempt is to be made now; if so it has begun.
    pub(super) fn begin(&mut self, now: Tick) -> bool {
        let due = self.asked || self.next.is_some_and(|next| next <= now);
        if due {
            self.asked = false;
            self.in_flight = true;
            self.last_attempt = Some(now);
        }
        due
    }

    /// An attempt brought a usable document; `max_age` is what the issuer said about its lifetime.
    pub(super) fn succeed(
        &mut self,
        held: Held,
        max_age: Option<Duration>,
        settings: &KeySourceSettings,
        now: Tick,
    ) {
        self.in_flight = false;
        self.held = Some(held);
        self.failures = 0;
        self.last_error = None;
        self.fetches_ok += 1;
        let interval = refresh_interval(max_age, settings);
        self.next = self.next.map(|_| now.plus(jittered(interval)));
    }

    /// An attempt failed: what is held stays.
    pub(super) fn fail(&mut self, error: String, settings: &KeySourceSettings, now: Tick) {
        self.in_flight = false;
        self.last_error = Some(error);
        self.failures = self.failures.saturating_add(1);
        self.fetches_failed += 1;
        let retry = now.plus(jittered(self.backoff(settings)));
        // A forced attempt that fails does not put off the refresh that is scheduled (invariant 44).
        self.next = self
            .next
            .map(|next| if next > now { next.min(retry) } else { retry });
    }

    fn backoff(&self, settings: &KeySourceSettings) -> Duration {
        let (first, ceiling) = match (&self.held, &settings.source) {
            (None, _) => (COLD_BACKOFF, COLD_BACKOFF_CEILING),
            (Some(_), super::KeySource::File(_)) => (COLD_BACKOFF, FILE_POLL),
            // With keys in hand there is no hurry, and the issuer may be down because of its load.
            (Some(_), _) => (settings.cooldown, settings.refresh),
        };
        let doublings = self.failures.saturating_sub(1).min(16);
        let pause = first.saturating_mul(2_u32.saturating_pow(doublings));
        pause.min(ceiling).max(COLD_BACKOFF)
    }

    /// Drops what is held when its time is up; says whether that happened.
    pub(super) fn expire(&mut self, now: Tick) -> bool {
        let over = self
            .held
            .as_ref()
            .and_then(|held| held.until)
            .is_some_and(|until| until <= now);
        if over {
            self.held = None;
            // With nothing in hand there is hurry again.
            let soon = now.plus(COLD_BACKOFF);
            self.next = self.next.map(|next| next.min(soon));
        }
        over
    }

    /// The settings changed in a way that leaves the keys trusted: the new intervals count from now on.
    pub(super) fn adjust(&mut self, settings: &KeySourceSettings, now: Now) {
        if let Some(held) = &mut self.held
            && held.until.is_some()
        {
            held.until = Some(stale_at(held.since, held.age_before, settings));
        }
        let latest = now.tick.plus(refresh_interval(None, settings));
        self.next = self.next.map(|next| next.min(latest));
    }
}

/// When keys that were `age` old at `since` stop serving.
pub(super) fn stale_at(since: Tick, age: Duration, settings: &KeySourceSettings) -> Tick {
    since.plus(settings.max_stale.saturating_sub(age))
}

fn refresh_interval(max_age: Option<Duration>, settings: &KeySourceSettings) -> Duration {
    let longest = match &settings.source {
        super::KeySource::File(_) => settings.refresh.min(FILE_POLL),
        _ => settings.refresh,
    };
    let floor = settings.refresh_floor;
    max_age
        .map_or(longest, |said| {
            said.clamp(floor, settings.refresh_ceiling.max(floor))
                .min(longest)
        })
        .max(LEAST_PAUSE)
}

/// Up to 10 % less than `of`: replicas that started together must not ask together, and a withdrawn key must not outlive
/// the interval (invariant 41), so the jitter only shortens.
fn jittered(of: Duration) -> Duration {
    let mut random = [0_u8; 2];
    if aws_lc_rs::rand::fill(&mut random).is_err() {
        return of;
    }
    let tenth = of / 10;
    let share = u32::from(u16::from_le_bytes(random));
    of.saturating_sub((tenth / u32::from(u16::MAX)).saturating_mul(share))
}

#[cfg(test)]
mod tests;
