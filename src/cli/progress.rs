//! How far a long reading of logs has come, on a terminal.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

use super::output;
use crate::clock::{Clock, Tick};
use crate::decision_log::{self, Counts, Log, Record, with_commas};
use crate::telemetry::json::visible;

/// What takes no longer needs no progress.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often it is shown.
const EVERY: Duration = Duration::from_millis(200);

/// Lines between two looks at the clock.
const LINES: u64 = 4096;

/// A line on standard error that is written over and over; nothing where that is no terminal.
pub(super) struct Progress {
    clock: Clock,
    started: Tick,
    shown: Option<Tick>,
    /// Bytes of all logs, where that is known.
    all: Option<u64>,
    is_terminal: bool,
}

/// Reads the decision records of logs, showing how far it is.
///
/// # Errors
/// A log cannot be read; in words, for people.
pub(super) fn records(
    paths: &[PathBuf],
    take: impl FnMut(&Record, &[u8]),
) -> Result<Counts, String> {
    let logs: Vec<Log> = paths.iter().map(|path| Log::new(path)).collect();
    let mut progress = Progress::new(&logs);
    let read = decision_log::read(&logs, take, |counts| progress.look(counts));
    progress.end();
    read.map_err(|error| visible(&error.to_string()))
}

impl Progress {
    pub(super) fn new(logs: &[Log]) -> Self {
        let clock = Clock::system();
        Self {
            started: clock.tick(),
            shown: None,
            all: logs.iter().map(Log::size).sum(),
            is_terminal: std::io::stderr().is_terminal(),
            clock,
        }
    }

    /// After each line.
    pub(super) fn look(&mut self, counts: &Counts) {
        if !self.is_terminal || !counts.lines.is_multiple_of(LINES) {
            return;
        }
        let now = self.clock.tick();
        let due = match self.shown {
            Some(shown) => now.since(shown) >= EVERY,
            None => now.since(self.started) >= PATIENCE,
        };
        if due {
            self.shown = Some(now);
            output::err(&format!("\r{}\x1b[K", line(counts, self.all)));
        }
    }

    /// Takes the line away.
    pub(super) fn end(&self) {
        if self.shown.is_some() {
            output::err("\r\x1b[K");
        }
    }
}

fn line(counts: &Counts, all: Option<u64>) -> String {
    let megabytes = with_commas(counts.bytes / 1_000_000);
    let mut text = format!("{} lines, {megabytes} MB", with_commas(counts.lines));
    if let Some(all) = all.filter(|all| *all > 0) {
        let percent = counts.bytes.saturating_mul(100) / all;
        text.push_str(&format!(
            " of {} ({percent} %)",
            with_commas(all / 1_000_000)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_much_is_left_where_that_is_known() {
        let counts = Counts {
            lines: 1_234_567,
            bytes: 512_000_000,
            ..Counts::default()
        };
        assert_eq!(
            line(&counts, Some(1_024_000_000)),
            "1,234,567 lines, 512 MB of 1,024 (50 %)"
        );
        assert_eq!(line(&counts, None), "1,234,567 lines, 512 MB");
    }
}
