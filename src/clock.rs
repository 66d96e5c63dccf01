//! Time as an argument: the only place that reads a clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Seconds since 1970-01-01T00:00:00Z (RFC 7519 NumericDate, whole seconds). May be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(i64);

impl UnixTime {
    /// The time `seconds` after the epoch.
    #[must_use]
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds)
    }

    /// The time of a year, month and day, and an hour, minute and second (the sixtieth is a leap second), in UTC and the
    /// proleptic Gregorian calendar. `None` where there is none such, and beyond the years 0 to 9999.
    #[must_use]
    pub fn from_civil(
        [year, month, day]: [i64; 3],
        [hour, minute, second]: [i64; 3],
    ) -> Option<Self> {
        let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        let longest = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        let exists = (0..=9999).contains(&year)
            && (1..=longest).contains(&day)
            && (0..24).contains(&hour)
            && (0..60).contains(&minute)
            && (0..=60).contains(&second);
        let days = days_since_epoch(year, month, day);
        exists.then_some(Self(days * 86_400 + hour * 3600 + minute * 60 + second))
    }

    /// Seconds since the epoch.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0
    }

    /// This time moved by `seconds`, stopping at the ends of the range.
    #[must_use]
    pub const fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

/// In eras of 400 years that begin in March.
const fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month <= 2 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// A point on the monotonic clock: time since the clock was made. Wall-clock jumps do not touch it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(u64);

impl Tick {
    /// The point `nanos` nanoseconds after the clock was made.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock was made.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time from `earlier` to this point; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The point `by` after this one.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

/// Both clocks, read together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Wall clock: token times.
    pub unix: UnixTime,
    /// Monotonic clock: cooldowns, rate limits, durations.
    pub tick: Tick,
}

/// Where time comes from.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System(std::time::Instant),
    Manual(Arc<Manual>),
}

#[derive(Debug)]
struct Manual {
    unix: AtomicI64,
    tick: AtomicU64,
    moved: tokio::sync::watch::Sender<u64>,
}

impl Clock {
    /// The machine's clocks.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn system() -> Self {
        Self(Source::System(std::time::Instant::now()))
    }

    /// A clock that only moves when told to; for tests.
    #[must_use]
    pub fn manual(start: UnixTime) -> Self {
        Self(Source::Manual(Arc::new(Manual {
            unix: AtomicI64::new(start.as_secs()),
            tick: AtomicU64::new(0),
            moved: tokio::sync::watch::Sender::new(0),
        })))
    }

    /// Both clocks now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now(&self) -> Now {
        match &self.0 {
            Source::System(_) => {
                let unix =
                    match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
                        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
                        Err(before) => i64::try_from(before.duration().as_secs())
                            .map_or(i64::MIN, |secs| -secs),
                    };
                Now {
                    unix: UnixTime(unix),
                    tick: self.tick(),
                }
            }
            Source::Manual(manual) => Now {
                unix: UnixTime(manual.unix.load(Ordering::Acquire)),
                tick: self.tick(),
            },
        }
    }

    /// The wall clock with its milliseconds, for log lines of threads that do not carry a [`Now`].
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn wall(&self) -> (UnixTime, u16) {
        match &self.0 {
            Source::System(_) => {
                let after = std::time::SystemTime::now()
                    .duration_since(std::time::SystemTime::UNIX_EPOCH)
                    .unwrap_or_default();
                let millis = u16::try_from(after.subsec_millis()).unwrap_or(0);
                let secs = i64::try_from(after.as_secs()).unwrap_or(i64::MAX);
                (UnixTime(secs), millis)
            }
            Source::Manual(_) => (self.now().unix, 0),
        }
    }

    /// The wall clock as precisely as it is known, as time since the epoch, with the monotonic clock at that moment.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn wall_exact(&self) -> (Duration, Tick) {
        let wall = match &self.0 {
            Source::System(_) => std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap_or_default(),
            Source::Manual(_) => {
                Duration::from_secs(u64::try_from(self.now().unix.as_secs()).unwrap_or(0))
            }
        };
        (wall, self.tick())
    }

    /// The monotonic clock now.
    #[must_use]
    pub fn tick(&self) -> Tick {
        match &self.0 {
            Source::System(start) => {
                Tick(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX))
            }
            Source::Manual(manual) => Tick(manual.tick.load(Ordering::Acquire)),
        }
    }

    /// Moves a manual clock (both the wall clock and the monotonic one); does nothing to the system clock.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(manual) = &self.0 {
            manual.unix.fetch_add(
                i64::try_from(by.as_secs()).unwrap_or(i64::MAX),
                Ordering::AcqRel,
            );
            manual.tick.fetch_add(
                u64::try_from(by.as_nanos()).unwrap_or(u64::MAX),
                Ordering::AcqRel,
            );
            manual
                .moved
                .send_modify(|moves| *moves = moves.wrapping_add(1));
        }
    }

    /// Sets a manual wall clock, leaving the monotonic one: what an operator's `date -s` does.
    pub fn set_wall(&self, to: UnixTime) {
        if let Source::Manual(manual) = &self.0 {
            manual.unix.store(to.as_secs(), Ordering::Release);
            manual
                .moved
                .send_modify(|moves| *moves = moves.wrapping_add(1));
        }
    }

    /// Waits until the monotonic clock has reached `deadline`.
    pub async fn sleep_until(&self, deadline: Tick) {
        match &self.0 {
            Source::System(_) => tokio::time::sleep(deadline.since(self.tick())).await,
            Source::Manual(manual) => {
                let mut moved = manual.moved.subscribe();
                while self.tick() < deadline {
                    if moved.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Waits for `by` on the monotonic clock.
    pub async fn sleep(&self, by: Duration) {
        self.sleep_until(self.tick().plus(by)).await;
    }

    /// Waits until the wall clock has reached `time`. A wall clock that jumps is noticed within a minute.
    pub async fn sleep_until_unix(&self, time: UnixTime) {
        const LOOK: i64 = 60;
        loop {
            let left = time.as_secs().saturating_sub(self.now().unix.as_secs());
            if left <= 0 {
                return;
            }
            match &self.0 {
                Source::System(_) => {
                    let wait = u64::try_from(left.min(LOOK)).unwrap_or(1);
                    tokio::time::sleep(Duration::from_secs(wait)).await;
                }
                Source::Manual(manual) => {
                    let mut moved = manual.moved.subscribe();
                    if self.now().unix < time && moved.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}
