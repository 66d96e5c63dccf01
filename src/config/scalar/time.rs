//! Durations and dates.

use std::time::Duration;

use crate::clock::UnixTime;

/// `10s`, `1h30m`, `250ms`, `7d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let bad =
        || format!("`{text}` is no duration; write a number and a unit: 250ms, 10s, 1m, 1h30m, 7d");
    if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
        return Err(format!("`{text}` has no unit; write `{text}s` for seconds"));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    let mut before = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at_checked(digits).ok_or_else(bad)?;
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at_checked(letters).ok_or_else(bad)?;
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(bad()),
        };
        // Units fall from left to right: `1m1h` is a slip of the pen.
        if millis >= before {
            return Err(bad());
        }
        before = millis;
        let number: u64 = number.parse().map_err(|_| bad())?;
        let part = number.checked_mul(millis).ok_or_else(bad)?;
        total = total
            .checked_add(Duration::from_millis(part))
            .ok_or_else(bad)?;
        rest = after;
    }
    if text.is_empty() {
        Err(bad())
    } else {
        Ok(total)
    }
}

/// A duration as [`duration`] reads it.
pub(crate) fn show_duration(duration: Duration) -> String {
    let mut out = String::new();
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    for (unit, size) in [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1),
    ] {
        let count = millis / size;
        // One day is `24h`, as people write it.
        if count > 0 && !(unit == "d" && count == 1) {
            out.push_str(&format!("{count}{unit}"));
            millis %= size;
        }
    }
    if out.is_empty() { "0s".to_owned() } else { out }
}

/// `2026-12-31` (its end, UTC) or `2026-12-31T12:00:00Z`.
pub(crate) fn date(text: &str) -> Result<UnixTime, String> {
    let bad = || format!("`{text}` is no date; write 2026-12-31 or 2026-12-31T12:00:00Z");
    let (day, time) = match text.split_once(['T', ' ']) {
        Some((day, time)) => (day, Some(time.strip_suffix('Z').ok_or_else(bad)?)),
        None => (text, None),
    };
    let numbers = |text: &str, separator: char| -> Option<[i64; 3]> {
        let mut parts = text.split(separator).map(|part| {
            let digits = part.bytes().all(|b| b.is_ascii_digit()) && part.len() <= 4;
            part.parse::<i64>().ok().filter(|_| digits)
        });
        let found = [parts.next()??, parts.next()??, parts.next()??];
        parts.next().is_none().then_some(found)
    };
    let day = numbers(day, '-').filter(|[year, ..]| *year >= 1970);
    let time = time.map(|time| numbers(time, ':').ok_or_else(bad));
    let time = time.transpose()?;
    let begin = UnixTime::from_civil(day.ok_or_else(bad)?, time.unwrap_or_default());
    let to_its_end = if time.is_none() { 86_400 } else { 0 };
    Ok(begin.ok_or_else(bad)?.plus(to_its_end))
}
