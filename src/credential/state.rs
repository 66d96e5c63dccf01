//! The schedule of one credential: when to ask for a token, whom to let wait, what to answer. No I/O, no clock, no chance.

use std::time::Duration;

use super::cell::End;
use super::{CredentialFault, CredentialSettings, TokenError};
use crate::clock::{Now, Tick, UnixTime};

/// First pause after a failure.
const BACKOFF: Duration = Duration::from_secs(1);
/// Longest pause after a failure that the server said nothing about.
pub(super) const BACKOFF_CEILING: Duration = Duration::from_secs(30);
/// Longest pause that a server can ask for with `Retry-After`: its word must not outlast its outage.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);
/// Shortest pause between two token requests that nobody forced, whatever lifetimes say: no server is asked in a tight loop.
const LEAST_PAUSE: Duration = Duration::from_secs(1);
/// Least value of Retry-After.
const LEAST_RETRY: Duration = Duration::from_secs(1);
/// A token is replaced no earlier than in the last fifth of its life.
const SHARE: u32 = 5;

/// What is held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) serial: u64,
    /// When its request began: its life counts from there, since the server's began later.
    pub(super) since: Now,
    pub(super) lifetime: Duration,
}

impl Held {
    pub(super) fn end(&self) -> End {
        let seconds = i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX);
        End {
            tick: self.since.tick.plus(self.lifetime),
            unix: self.since.unix.plus(seconds.max(1)),
        }
    }

    fn is_good(&self, now: Now) -> bool {
        !self.end().is_past(now)
    }
}

/// The schedule and the memory of one credential.
#[derive(Debug)]
pub(super) struct State {
    pub(super) held: Option<Held>,
    pub(super) in_flight: bool,
    /// The settings changed while an attempt was in flight: should it fail, the next one follows at once.
    again: bool,
    /// The next token request.
    pub(super) next: Tick,
    last_attempt: Option<Tick>,
    last_forced: Option<Tick>,
    /// Since the last success.
    pub(super) failures: u32,
    /// Of the last attempt, if it failed.
    pub(super) last_error: Option<Failed>,
    pub(super) counts: Counts,
    pub(super) last_success: Option<UnixTime>,
}

/// How an attempt failed, for answers, metrics and people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) oauth_error: Option<&'static str>,
    /// In words, without anything secret.
    pub(super) text: String,
}

/// Token requests so far, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) obtained: u64,
    pub(super) refused: u64,
    pub(super) malformed: u64,
    pub(super) unreachable: u64,
    pub(super) internal: u64,
    /// Those that refused tokens asked for; contained in the others.
    pub(super) forced: u64,
}

/// What a requester does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// The token that is held is what it wants.
    Ready,
    /// It waits for the attempt in flight, or for the one that the task, which must be woken, is about to make.
    Wait,
    /// No more is done about the refused token for now.
    Cooling,
    /// There is no token.
    Fault(CredentialFault),
}

impl State {
    /// Nothing held; the first attempt is due at once.
    pub(super) const fn new(now: Tick) -> Self {
        Self {
            held: None,
            in_flight: false,
            again: false,
            next: now,
            last_attempt: None,
            last_forced: None,
            failures: 0,
            last_error: None,
            counts: Counts {
                obtained: 0,
                refused: 0,
                malformed: 0,
                unreachable: 0,
                internal: 0,
                forced: 0,
            },
            last_success: None,
        }
    }

    /// What a request gets that wants a token.
    pub(super) fn obtain(&mut self, now: Now) -> Judgement {
        if self.held.is_some_and(|held| held.is_good(now)) {
            return Judgement::Ready;
        }
        if self.in_flight || self.next <= now.tick {
            return Judgement::Wait;
        }
        if self.failures > 0 {
            return Judgement::Fault(self.fault(now.tick));
        }
        // The token ended before its time: the machine slept, or somebody set the clock. The schedule knows nothing of it.
        let soon = self
            .last_attempt
            .map_or(now.tick, |at| at.plus(LEAST_PAUSE));
        self.next = self.next.min(soon.max(now.tick));
        Judgement::Wait
    }

    /// What a request gets whose token, the one with this serial, was refused; `waited` when it has waited for an attempt.
    pub(super) fn renew(
        &mut self,
        refused: u64,
        waited: bool,
        settings: &CredentialSettings,
        now: Now,
    ) -> Judgement {
        match self.held.filter(|held| held.is_good(now)) {
            None => return self.obtain(now),
            Some(held) if held.serial > refused => return Judgement::Ready,
            Some(_) => {}
        }
        if self.in_flight || self.next <= now.tick {
            return Judgement::Wait;
        }
        if waited && self.failures > 0 {
            return Judgement::Fault(self.fault(now.tick));
        }
        if self.force_allowed_at(settings) > now.tick {
            return Judgement::Cooling;
        }
        self.last_forced = Some(now.tick);
        self.counts.forced += 1;
        self.next = now.tick;
        Judgement::Wait
    }

    /// From when on a refused token may force an attempt. After a failure every attempt counts against the cooldown:
    /// retries are on their way already, and a server that is down must not be asked more often for being down.
    fn force_allowed_at(&self, settings: &CredentialSettings) -> Tick {
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

    /// What is said while there is no token.
    pub(super) fn fault(&self, now: Tick) -> CredentialFault {
        CredentialFault {
            oauth_error: self.last_error.as_ref().and_then(|error| error.oauth_error),
            retry_after: self.next.since(now).max(LEAST_RETRY),
        }
    }

    /// Whether an attempt is to be made now; if so it has begun.
    pub(super) fn begin(&mut self, now: Tick) -> bool {
        let due = self.next <= now;
        if due {
            self.in_flight = true;
            self.last_attempt = Some(now);
        }
        due
    }

    /// An attempt brought a token.
    pub(super) fn succeed(
        &mut self,
        held: Held,
        settings: &CredentialSettings,
        now: Now,
        random: u16,
    ) {
        self.in_flight = false;
        self.again = false;
        self.held = Some(held);
        self.failures = 0;
        self.last_error = None;
        self.counts.obtained += 1;
        self.last_success = Some(now.unix);
        self.next = refresh_at(&held, settings, random);
    }

    /// An attempt failed: what is held stays. `retry_after` is what the server said.
    pub(super) fn fail(
        &mut self,
        error: &TokenError,
        retry_after: Option<Duration>,
        now: Tick,
        random: u16,
    ) {
        self.in_flight = false;
        self.failures = self.failures.saturating_add(1);
        let count = match error {
            TokenError::Refused { .. } => &mut self.counts.refused,
            TokenError::Answer(_) => &mut self.counts.malformed,
            TokenError::Fetch(_) | TokenError::Status(_) => &mut self.counts.unreachable,
            TokenError::Assertion(_) | TokenError::Internal => &mut self.counts.internal,
        };
        *count += 1;
        self.last_error = Some(Failed {
            oauth_error: error.oauth_error(),
            text: error.to_string(),
        });
        let doublings = self.failures.saturating_sub(1).min(16);
        let backoff = BACKOFF
            .saturating_mul(2_u32.saturating_pow(doublings))
            .min(BACKOFF_CEILING);
        let asked = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
        let pause = backoff.saturating_sub(share(backoff / 10, random));
        self.next = if std::mem::take(&mut self.again) {
            now
        } else {
            now.plus(pause.max(asked))
        };
    }

    /// Drops what is held when its time is up; says whether that happened.
    pub(super) fn expire(&mut self, now: Now) -> bool {
        let over = self.held.is_some_and(|held| !held.is_good(now));
        if over {
            self.held = None;
        }
        over
    }

    /// The settings changed in a way that leaves the token good. Where there is trouble they may be what ends it: they are
    /// tried at once.
    pub(super) fn adjust(&mut self, settings: &CredentialSettings, now: Now, random: u16) {
        self.again = self.in_flight;
        match self.held.filter(|held| held.is_good(now)) {
            Some(held) if self.failures == 0 => {
                self.next = refresh_at(&held, settings, random).max(now.tick);
            }
            _ => {
                self.failures = 0;
                self.next = now.tick;
            }
        }
    }
}

/// When a token is replaced: `refresh_before` its end, or in the last fifth of a short life; up to a fifth of that time
/// earlier, so that replicas that started together do not ask together.
fn refresh_at(held: &Held, settings: &CredentialSettings, random: u16) -> Tick {
    let ahead = settings.refresh_before.min(held.lifetime / SHARE);
    let ahead = ahead.saturating_add(share(ahead / SHARE, random));
    let after = held.lifetime.saturating_sub(ahead).max(LEAST_PAUSE);
    held.since.tick.plus(after)
}

/// A random part of `of`.
fn share(of: Duration, random: u16) -> Duration {
    (of / u32::from(u16::MAX)).saturating_mul(u32::from(random))
}

#[cfg(test)]
mod tests;
