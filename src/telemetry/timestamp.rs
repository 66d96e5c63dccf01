//! Timestamps as RFC 3339 writes them, in UTC, with milliseconds.

use crate::clock::{Now, UnixTime};

const DAY: i64 = 86_400;

/// Appends `2026-11-23T09:53:38.123Z`.
///
/// Years outside 0 to 9999 cannot be written in RFC 3339; a clock that is so wrong is clamped.
pub(crate) fn rfc3339(out: &mut Vec<u8>, time: UnixTime, millis: u16) {
    let secs = time.as_secs().clamp(-62_167_219_200, 253_402_300_799);
    let (year, month, day) = civil(secs.div_euclid(DAY));
    let second = secs.rem_euclid(DAY);
    digits(out, year, 4);
    out.push(b'-');
    digits(out, month, 2);
    out.push(b'-');
    digits(out, day, 2);
    out.push(b'T');
    digits(out, second / 3600, 2);
    out.push(b':');
    digits(out, second / 60 % 60, 2);
    out.push(b':');
    digits(out, second % 60, 2);
    out.push(b'.');
    digits(out, i64::from(millis.min(999)), 3);
    out.push(b'Z');
}

/// The date of a day counted from 1970-01-01 (proleptic Gregorian calendar), in eras of 400 years that begin in March.
const fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

fn digits(out: &mut Vec<u8>, value: i64, count: u32) {
    for place in (0..count).rev() {
        let digit = value / 10_i64.pow(place) % 10;
        out.push(b'0' + u8::try_from(digit).unwrap_or(0));
    }
}

/// Milliseconds for clocks that tell whole seconds: the monotonic clock, put in step with the wall clock whenever the
/// two disagree about the second. It never contradicts the wall clock.
#[derive(Debug, Default)]
pub(crate) struct Milliseconds(std::cell::Cell<i128>);

impl Milliseconds {
    /// The milliseconds of `now`.
    pub(crate) fn of(&self, now: Now) -> u16 {
        const SECOND: i128 = 1_000_000_000;
        let tick = i128::from(now.tick.as_nanos());
        let begin = i128::from(now.unix.as_secs()) * SECOND;
        let guess = (tick + self.0.get()).clamp(begin, begin + SECOND - 1);
        self.0.set(guess - tick);
        u16::try_from((guess - begin) / 1_000_000).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Tick;

    #[test]
    fn dates_are_written_as_rfc_3339() {
        for (secs, millis, text) in [
            (0, 0, "1970-01-01T00:00:00.000Z"),
            (-1, 999, "1969-12-31T23:59:59.999Z"),
            (951_782_400, 5, "2000-02-29T00:00:00.005Z"),
            (951_868_799, 5, "2000-02-29T23:59:59.005Z"),
            (1_795_427_618, 123, "2026-11-23T09:53:38.123Z"),
            (4_294_967_296, 1, "2106-02-07T06:28:16.001Z"),
            (i64::MAX, 0, "9999-12-31T23:59:59.000Z"),
            (i64::MIN, 0, "0000-01-01T00:00:00.000Z"),
        ] {
            let mut out = Vec::new();
            rfc3339(&mut out, UnixTime::from_secs(secs), millis);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn milliseconds_follow_the_monotonic_clock_within_the_second() {
        let at = |secs, millis: u64| Now {
            unix: UnixTime::from_secs(secs),
            tick: Tick::from_nanos(millis * 1_000_000),
        };
        let milliseconds = Milliseconds::default();
        assert_eq!(milliseconds.of(at(100, 7)), 0);
        assert_eq!(milliseconds.of(at(100, 257)), 250);
        assert_eq!(
            milliseconds.of(at(101, 507)),
            0,
            "the wall clock is right about the second"
        );
        assert_eq!(milliseconds.of(at(101, 607)), 100);
        assert_eq!(
            milliseconds.of(at(50, 700)),
            999,
            "after a step back, time within the second stands"
        );
    }
}
