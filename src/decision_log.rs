//! Logs with decision records (docs/decision-record.md), read back line by line: memory does not grow with them.
//!
//! A log of a cluster has other lines as well: events of the program, lines of other containers, a prefix of the collector
//! before each line. What is no decision record is passed over and counted; what looks like one and cannot be read is named.

mod record;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

pub use record::Record;

/// Longest line that is looked at, in bytes. A record has at most some 40 KiB.
const LINE_BYTES: usize = 256 * 1024;

/// Lines that are named when they cannot be read; the rest is counted.
const NAMED: usize = 5;

/// A log: a file, or standard input (`-`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    path: PathBuf,
}

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct LogError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// What the lines were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All lines, blank ones excluded.
    pub lines: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Records of requests.
    pub requests: u64,
    /// Records of connections, which ended before a request existed.
    pub connections: u64,
    /// Lines that are no decision records.
    pub other: u64,
    /// Lines that begin like a decision record and cannot be read.
    pub bad: u64,
    /// The first of those: where, and why.
    pub named: Vec<String>,
    /// The time of the earliest record, as written.
    pub first: Option<String>,
    /// The time of the latest record, as written.
    pub last: Option<String>,
}

impl Log {
    /// The log at `path`; `-` is standard input.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// How many bytes it has, where that is known before it is read.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        let file = std::fs::metadata(&self.path).ok()?;
        file.is_file().then_some(file.len())
    }

    fn open(&self) -> Result<Box<dyn Read>, LogError> {
        if self.path == Path::new("-") {
            return Ok(Box::new(io::stdin()));
        }
        match std::fs::File::open(&self.path) {
            Ok(file) => Ok(Box::new(file)),
            Err(source) => Err(self.failed(source)),
        }
    }

    /// Its name.
    pub(crate) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Gives `each` every line without its end, its number from 1, whether it had an end, and how many bytes it took.
    ///
    /// # Errors
    /// It cannot be opened, or read to its end.
    pub(crate) fn lines(
        &self,
        mut each: impl FnMut(&[u8], u64, bool, u64),
    ) -> Result<(), LogError> {
        let mut reader = BufReader::with_capacity(LINE_BYTES, self.open()?);
        let mut line = Vec::new();
        let mut number = 0_u64;
        loop {
            let mut bytes = 0;
            let taken = take_line(&mut reader, &mut line, &mut bytes);
            let taken = taken.map_err(|error| self.failed(error))?;
            if taken == Taken::End {
                return Ok(());
            }
            number += 1;
            each(&line, number, taken == Taken::Whole, bytes);
        }
    }

    fn failed(&self, source: io::Error) -> LogError {
        LogError {
            path: self.path.clone(),
            source,
        }
    }
}

/// Reads `logs` one after another. `each` gets every record of a request, and its bytes as they stand in the log; `looking`
/// the counts so far, after every line.
///
/// # Errors
/// A log cannot be opened, or read to its end.
pub fn read(
    logs: &[Log],
    mut each: impl FnMut(&Record, &[u8]),
    mut looking: impl FnMut(&Counts),
) -> Result<Counts, LogError> {
    let mut counts = Counts::default();
    for log in logs {
        log.lines(|line, number, _, bytes| {
            let read = Line::read(line);
            counts.bytes = counts.bytes.saturating_add(bytes);
            counts.add(&read, || format!("{}:{number}", log.path.display()));
            if let Line::Request(record, bytes) = &read {
                each(record, bytes);
            }
            looking(&counts);
        })?;
    }
    Ok(counts)
}

/// How a reading of a line went.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// There was none.
    End,
    /// Up to the end of the log, which is no end of a line.
    Rest,
    /// One with its end.
    Whole,
}

/// The next line, without its end; what is beyond [`LINE_BYTES`] is dropped.
fn take_line(reader: &mut impl BufRead, line: &mut Vec<u8>, bytes: &mut u64) -> io::Result<Taken> {
    line.clear();
    let mut taken = Taken::End;
    loop {
        let held = match reader.fill_buf() {
            Ok(held) => held,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if held.is_empty() {
            return Ok(taken);
        }
        taken = Taken::Rest;
        let end = memchr::memchr(b'\n', held);
        let (piece, used) = match end {
            Some(end) => (held.get(..end).unwrap_or_default(), end + 1),
            None => (held, held.len()),
        };
        let room = (LINE_BYTES + 1).saturating_sub(line.len());
        line.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
        *bytes = bytes.saturating_add(u64::try_from(used).unwrap_or_default());
        reader.consume(used);
        if end.is_some() {
            return Ok(Taken::Whole);
        }
    }
}

/// A line of a log.
enum Line<'l> {
    Blank,
    Request(Box<Record>, &'l [u8]),
    Connection(Box<Record>),
    Other,
    Bad(String),
}

impl<'l> Line<'l> {
    fn read(line: &'l [u8]) -> Self {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Self::Blank;
        }
        // `kubectl logs --prefix` and the like write something before the record.
        let Some(start) = memchr::memchr(b'{', line) else {
            return Self::Other;
        };
        let text = line.get(start..).unwrap_or_default();
        let is_ours = text.starts_with(br#"{"v":"#);
        if line.len() > LINE_BYTES {
            return if is_ours {
                Self::Bad("longer than any decision record".to_owned())
            } else {
                Self::Other
            };
        }
        let record = match serde_json::from_slice::<Record>(text) {
            Ok(record) => Box::new(record),
            Err(error) if is_ours => return Self::Bad(error.to_string()),
            Err(_) => return Self::Other,
        };
        match (record.v, record.kind.as_deref()) {
            (Some(1), Some("request")) => Self::Request(record, text),
            (Some(1), Some("connection")) => Self::Connection(record),
            (Some(version), Some("request" | "connection")) => {
                Self::Bad(format!("version {version} of the schema is not known"))
            }
            _ => Self::Other,
        }
    }
}

impl Counts {
    fn add(&mut self, line: &Line<'_>, place: impl Fn() -> String) {
        self.lines += u64::from(!matches!(line, Line::Blank));
        match line {
            Line::Blank => {}
            Line::Request(record, _) => {
                self.requests += 1;
                self.saw(record.time.as_deref());
            }
            Line::Connection(record) => {
                self.connections += 1;
                self.saw(record.time.as_deref());
            }
            Line::Other => self.other += 1,
            Line::Bad(why) => {
                self.bad += 1;
                if self.named.len() < NAMED {
                    self.named.push(format!("{}: {why}", place()));
                }
            }
        }
    }

    /// Times of records sort as text: RFC 3339 in UTC with milliseconds.
    fn saw(&mut self, time: Option<&str>) {
        let Some(time) = time else { return };
        if self.first.as_deref().is_none_or(|first| time < first) {
            self.first = Some(time.to_owned());
        }
        if self.last.as_deref().is_none_or(|last| last < time) {
            self.last = Some(time.to_owned());
        }
    }

    /// What was passed over, in words; nothing where nothing was.
    #[must_use]
    pub fn passed_over(&self) -> Vec<String> {
        let kinds = [
            (
                self.other,
                "lines are no decision records and were passed over",
            ),
            (
                self.connections,
                "records are about connections that ended before a request existed",
            ),
            (
                self.bad,
                "lines look like decision records and cannot be read",
            ),
        ];
        let mut said: Vec<String> = kinds
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{} {what}", with_commas(*count)))
            .collect();
        said.extend(self.named.iter().map(|line| format!("  {line}")));
        said
    }
}

/// A number for people: `1,234,567`.
pub(crate) fn with_commas(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Counts by key, of a bounded number of keys: what a log holds may be an attacker's.
#[derive(Clone, Debug)]
pub(crate) struct Bounded<K, V> {
    map: BTreeMap<K, V>,
    most: usize,
    /// How often a key found no place.
    pub(crate) beyond: u64,
}

impl<K: Ord, V: Default> Bounded<K, V> {
    pub(crate) const fn new(most: usize) -> Self {
        Self {
            map: BTreeMap::new(),
            most,
            beyond: 0,
        }
    }

    /// The value of `key`; `None` where there is no place for one more.
    pub(crate) fn at(&mut self, key: K) -> Option<&mut V> {
        if self.map.len() >= self.most && !self.map.contains_key(&key) {
            self.beyond += 1;
            return None;
        }
        Some(self.map.entry(key).or_default())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.map.iter()
    }
}
