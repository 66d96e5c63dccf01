//! Reading receipts back.

use std::collections::HashSet;
use std::fmt;

use serde_json::Value;

use super::receipt::{Receipt, Seal, Unsigned};
use super::{Link, SealKind, link};
use crate::authn::KeySet;

/// Faults that are named; the rest is counted.
const NAMED: usize = 20;

/// Most logs of processes that are followed at once. One that was killed stays open; of more than these the one that was
/// silent longest is given up.
const OPEN: usize = 1024;

/// Holds a log to its receipts, line by line. Memory grows with the number of processes (32 bytes each), not of lines.
#[derive(Debug)]
pub struct Verifier {
    keys: KeySet,
    /// Logs that have begun and not ended; the one whose line came last is last.
    open: Vec<Run>,
    /// Processes whose beginning was read.
    seen: HashSet<Link>,
    verdict: Verdict,
}

/// The log of one process, as far as it was read.
#[derive(Debug)]
struct Run {
    process: Link,
    link: Link,
    /// Number of the next line.
    next: u64,
    /// Lines after the last seal.
    unsealed: u64,
    /// As many there may be.
    lines: u64,
    dropped: u64,
    /// When it was sealed last, and the number of that seal.
    sealed: (String, u64),
    began: String,
    at: Place,
}

/// Where a line stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named.
    pub log: String,
    /// From 1.
    pub line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.log, self.line)
    }
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Link and bytes do not fit.
    #[error(
        "altered, or put in: it is not the line with this number that was written after the one before it"
    )]
    Altered,
    /// Numbers are left out.
    #[error("{0} lines are missing before it")]
    Missing(u64),
    /// Its number was there already.
    #[error("repeated, or out of order: a line with this number, or a later one, came before")]
    Repeated,
    /// No log goes on with it.
    #[error("part of no log that is open here: the beginning is missing, or the end came before")]
    Stray,
    /// A record of ours without a receipt.
    #[error("a record without a receipt: altered, put in, or written while receipts were off")]
    Plain,
    /// A seal without signature, a signature on what is no seal, or one that names another process.
    #[error("not a seal of this log, and looks like one")]
    NoSeal,
    /// The signature is not over this line.
    #[error("the signature does not hold")]
    Signature,
    /// Nobody gave the key.
    #[error("signed with a key that is not among the given ones")]
    UnknownKey,
    /// The seal before says after how many lines there is another one.
    #[error(
        "more lines than {0} without a seal: the seal before them says that there is one by then"
    )]
    Unsealed(u64),
    /// There is not one receipt.
    #[error("no log begins here: there are no receipts")]
    Nothing,
}

impl Fault {
    /// Its name for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Altered => "altered",
            Self::Missing(_) => "missing",
            Self::Repeated => "repeated",
            Self::Stray => "stray",
            Self::Plain => "plain",
            Self::NoSeal => "no_seal",
            Self::Signature => "signature",
            Self::UnknownKey => "unknown_key",
            Self::Unsealed(_) => "unsealed",
            Self::Nothing => "nothing",
        }
    }
}

/// How a log stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Every line is sealed, and every process has ended its log.
    Intact,
    /// Nothing is wrong with what is there, and it is not all: the processes dropped lines, as their seals say.
    Dropped,
    /// Nothing is wrong, but the end of a log is not there: the process runs, was killed, or the end was cut off.
    Open,
    /// Something was removed, altered, repeated, moved or put in, or cannot be judged.
    Broken,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Lines, blank ones excluded.
    pub lines: u64,
    /// Lines that fit into a chain, seals included.
    pub receipts: u64,
    /// Seals that hold.
    pub seals: u64,
    /// Lines after the last seal of their log.
    pub unsealed: u64,
    /// Lines of something else.
    pub other: u64,
    /// Lines that the processes had to drop, as their seals say; at least, where an end is missing.
    pub dropped: u64,
    /// Logs of processes.
    pub processes: u64,
    /// Logs that do not end.
    pub unended: Vec<Unended>,
    /// The last line was cut off in the middle.
    pub is_cut: bool,
    /// Lines with a fault.
    pub faults: u64,
    /// The first of them.
    pub named: Vec<(Place, Fault)>,
}

/// A log without an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unended {
    /// When it began, as its first line says.
    pub began: String,
    /// Where.
    pub at: Place,
    /// When its last seal was made, as that says.
    pub sealed: String,
    /// The number of that line.
    pub seq: u64,
    /// Lines after it.
    pub unsealed: u64,
}

impl Verdict {
    /// In one word.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        if self.faults > 0 {
            Standing::Broken
        } else if !self.unended.is_empty() || self.is_cut {
            Standing::Open
        } else if self.dropped > 0 {
            Standing::Dropped
        } else {
            Standing::Intact
        }
    }
}

impl Verifier {
    /// Holds seals to these keys.
    #[must_use]
    pub fn new(keys: KeySet) -> Self {
        Self {
            keys,
            open: Vec::new(),
            seen: HashSet::new(),
            verdict: Verdict::default(),
        }
    }

    /// The next line, without its end; `is_whole` where it had one.
    pub fn line(&mut self, line: &[u8], is_whole: bool, place: &Place) {
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        self.verdict.lines += 1;
        match Receipt::read(line) {
            None => self.without(line, is_whole, place),
            Some(receipt) => match receipt.seal() {
                Some(seal) if seal.kind == SealKind::Begin => self.begin(&receipt, seal, place),
                seal => self.follow(&receipt, seal.as_ref(), place),
            },
        }
    }

    /// What was found in all lines.
    #[must_use]
    pub fn finish(mut self) -> Verdict {
        if self.verdict.processes == 0 && self.verdict.faults == 0 {
            self.fault(&Place::default(), Fault::Nothing);
        }
        while !self.open.is_empty() {
            let run = self.open.remove(0);
            self.give_up(run);
        }
        self.verdict
    }

    fn fault(&mut self, place: &Place, fault: Fault) {
        self.verdict.faults += 1;
        if self.verdict.named.len() < NAMED {
            self.verdict.named.push((place.clone(), fault));
        }
    }

    /// A line that is no receipt.
    fn without(&mut self, line: &[u8], is_whole: bool, place: &Place) {
        match Plain::of(line) {
            Plain::Other => self.verdict.other += 1,
            Plain::Part if !is_whole && !self.open.is_empty() => self.verdict.is_cut = true,
            Plain::Part | Plain::Record => self.fault(place, Fault::Plain),
        }
    }

    fn begin(&mut self, receipt: &Receipt<'_>, seal: Seal, place: &Place) {
        if self.seen.contains(&seal.process) {
            return self.fault(place, Fault::Repeated);
        }
        if receipt.seq != 0 || link(&seal.process, receipt.body) != receipt.link {
            self.fault(place, Fault::Altered);
        } else if let Err(why) = receipt.verify(&self.keys) {
            self.fault(place, why.into());
        } else {
            self.seen.insert(seal.process);
            self.verdict.seals += 1;
        }
        self.verdict.receipts += 1;
        self.verdict.processes += 1;
        if self.open.len() >= OPEN {
            let silent = self.open.remove(0);
            self.give_up(silent);
        }
        self.open.push(Run {
            process: seal.process,
            link: receipt.link,
            next: 1,
            unsealed: 0,
            lines: seal.lines,
            dropped: seal.dropped,
            sealed: (seal.time.clone(), 0),
            began: seal.time,
            at: place.clone(),
        });
    }

    /// A line that goes on with a log.
    fn follow(&mut self, receipt: &Receipt<'_>, seal: Option<&Seal>, place: &Place) {
        let numbered = |run: &Run| run.next == receipt.seq;
        // After a fault in a number the links alone lead on; they cover the numbers.
        let doubtful = self.verdict.faults > 0;
        let found = self.open.iter().rposition(|run| {
            (doubtful || numbered(run)) && link(&run.link, receipt.body) == receipt.link
        });
        let fault = match found {
            Some(_) => None,
            None => Some(self.misfit(receipt)),
        };
        // Where it does not fit, the log is followed from here all the same, to find what else is wrong.
        let at = match (found, fault) {
            (Some(at), _) => Some(at),
            (None, Some(Fault::Altered)) => self.open.iter().rposition(numbered),
            (None, Some(Fault::Missing(_))) => self.open.len().checked_sub(1),
            (None, _) => None,
        };
        let run = at.map(|at| self.open.remove(at));
        if let Some(fault) = fault {
            self.fault(place, fault);
        } else {
            self.verdict.receipts += 1;
        }
        let Some(mut run) = run else { return };
        run.link = receipt.link;
        run.next = receipt.seq.saturating_add(1);
        run.unsealed += 1;
        if fault.is_none() && receipt.is_seal() {
            match self.sealed(receipt, seal, &run) {
                Ok(()) => {
                    self.verdict.seals += 1;
                    run.unsealed = 0;
                    if let Some(seal) = seal {
                        run.lines = seal.lines;
                        run.sealed = (seal.time.clone(), receipt.seq);
                    }
                }
                Err(fault) => self.fault(place, fault),
            }
        } else if fault.is_none() && run.unsealed.checked_sub(1) == Some(run.lines) {
            self.fault(place, Fault::Unsealed(run.lines));
        }
        if let Some(seal) = seal.filter(|seal| seal.process == run.process) {
            self.verdict.dropped += seal.dropped.saturating_sub(run.dropped);
            run.dropped = seal.dropped;
            if seal.kind == SealKind::End {
                self.verdict.unsealed += run.unsealed;
                return;
            }
        }
        self.open.push(run);
    }

    /// Why no log goes on with this line.
    fn misfit(&self, receipt: &Receipt<'_>) -> Fault {
        let Some(last) = self.open.last() else {
            return Fault::Stray;
        };
        if self.open.iter().any(|run| run.next == receipt.seq) {
            Fault::Altered
        } else {
            match receipt.seq.checked_sub(last.next) {
                Some(missing) => Fault::Missing(missing),
                None => Fault::Repeated,
            }
        }
    }

    /// Whether a line that fits is a seal of its log.
    fn sealed(&self, receipt: &Receipt<'_>, seal: Option<&Seal>, run: &Run) -> Result<(), Fault> {
        match seal {
            Some(seal) if seal.process == run.process => Ok(receipt.verify(&self.keys)?),
            Some(_) | None => Err(Fault::NoSeal),
        }
    }

    fn give_up(&mut self, run: Run) {
        self.verdict.unsealed += run.unsealed;
        if self.verdict.unended.len() < OPEN {
            let (sealed, seq) = run.sealed;
            self.verdict.unended.push(Unended {
                began: run.began,
                at: run.at,
                sealed,
                seq,
                unsealed: run.unsealed,
            });
        }
    }
}

impl From<Unsigned> for Fault {
    fn from(why: Unsigned) -> Self {
        match why {
            Unsigned::Bad => Self::Signature,
            Unsigned::UnknownKey => Self::UnknownKey,
        }
    }
}

/// What a line without a receipt is.
enum Plain {
    /// Something that whoever reads decision records takes for a line of ours, wherever in the line it begins.
    Record,
    /// It begins like one, and cannot be read.
    Part,
    /// Not ours.
    Other,
}

impl Plain {
    fn of(line: &[u8]) -> Self {
        let Some(at) = memchr::memchr(b'{', line) else {
            return Self::Other;
        };
        let text = line.get(at..).unwrap_or_default();
        let is_ours = text.starts_with(br#"{"v":"#);
        // Of members that are there twice the last one counts, as for most who read logs.
        match serde_json::from_slice::<Value>(text) {
            Ok(value) if is_ours || is_record(&value) => Self::Record,
            Ok(_) => Self::Other,
            Err(_) if is_ours || r#"{"v":"#.as_bytes().starts_with(text) => Self::Part,
            Err(_) => Self::Other,
        }
    }
}

fn is_record(value: &Value) -> bool {
    let kind = value.get("type").and_then(Value::as_str);
    value.get("v").is_some() && matches!(kind, Some("request" | "connection" | "event" | "receipt"))
}
