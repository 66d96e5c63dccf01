//! What a connection's guard tells its worker's sweeper and service, without locks.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use http::Method;

use super::REFUSED_METHOD;
use crate::clock::Tick;
use crate::listener::Timeouts;
use crate::rejection::Malformed;

#[cfg(test)]
mod tests;

/// A monotonic clock that a worker sets a few times per second and everyone else only reads: a read is a load.
#[derive(Clone, Debug, Default)]
pub(crate) struct CoarseClock(Arc<AtomicU64>);

impl From<Arc<AtomicU64>> for CoarseClock {
    /// Reads a cell that holds nanoseconds of the monotonic clock.
    fn from(cell: Arc<AtomicU64>) -> Self {
        Self(cell)
    }
}

#[cfg(test)]
impl CoarseClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub(crate) fn new(now: Tick) -> Self {
        Self(Arc::new(AtomicU64::new(now.as_nanos())))
    }

    /// Moves it.
    pub(crate) fn set(&self, now: Tick) {
        self.0.store(now.as_nanos(), Relaxed);
    }
}

impl CoarseClock {
    /// Where it stands.
    #[must_use]
    pub(crate) fn now(&self) -> Tick {
        Tick::from_nanos(self.0.load(Relaxed))
    }
}

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its first byte.
    First,
    /// The rest of a head.
    Head,
    /// The rest of a body.
    Body,
    /// The next request, or the end of the answers to those before.
    Between,
    /// An answer to a request for an upgrade; what the client sent behind it is held back.
    Upgrade,
    /// HTTP/2: frames pass as they are.
    Http2,
    /// After a 101: bytes pass as they are.
    Tunnel,
    /// Nothing: no further byte is read as HTTP.
    Refused,
}

impl Phase {
    const ALL: [Self; 8] = [
        Self::First,
        Self::Head,
        Self::Body,
        Self::Between,
        Self::Upgrade,
        Self::Http2,
        Self::Tunnel,
        Self::Refused,
    ];

    fn code(self) -> u8 {
        let at = Self::ALL.iter().position(|phase| *phase == self);
        at.and_then(|at| u8::try_from(at).ok()).unwrap_or_default()
    }

    fn from_code(code: u8) -> Self {
        Self::ALL
            .get(usize::from(code))
            .copied()
            .unwrap_or(Self::Refused)
    }
}

/// A deadline that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// Nothing came after the connection was opened. Close it.
    FirstByte,
    /// A head did not become complete. [`GuardState::expire_head`] answers 408.
    Head,
    /// A request body brings nothing and no answer began.
    Body,
    /// No request is in flight and none comes. Close it.
    Idle,
    /// The client takes nothing although bytes wait for it. Close it.
    Reader,
}

/// Shared by a connection's guard, its service and the sweeper. Relaxed atomics: each is a fact of its own.
#[derive(Debug)]
pub(crate) struct GuardState {
    clock: CoarseClock,
    phase: AtomicU8,
    last_read: AtomicU64,
    last_write: AtomicU64,
    /// When the last answer ended; at first, when the connection was opened.
    last_answer: AtomicU64,
    head_start: AtomicU64,
    /// Since when a write waits; 0 when none does.
    write_blocked: AtomicU64,
    read_waits: AtomicBool,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    /// Requests that began, and whose answers ended.
    began: AtomicU64,
    ended: AtomicU64,
    answering: AtomicBool,
    /// The client sent more while an answer is on its way.
    holds_head: AtomicBool,
    expired: AtomicBool,
    switched: AtomicBool,
    refused_head: OnceLock<Malformed>,
    refused_body: OnceLock<Malformed>,
}

impl GuardState {
    /// A connection that was just opened.
    #[must_use]
    pub(crate) fn new(clock: CoarseClock) -> Arc<Self> {
        let now = clock.now().as_nanos();
        Arc::new(Self {
            clock,
            phase: AtomicU8::new(Phase::First.code()),
            last_read: AtomicU64::new(now),
            last_write: AtomicU64::new(now),
            last_answer: AtomicU64::new(now),
            head_start: AtomicU64::new(now),
            write_blocked: AtomicU64::new(0),
            read_waits: AtomicBool::new(true),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            began: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            answering: AtomicBool::new(false),
            holds_head: AtomicBool::new(false),
            expired: AtomicBool::new(false),
            switched: AtomicBool::new(false),
            refused_head: OnceLock::new(),
            refused_body: OnceLock::new(),
        })
    }

    /// Why the head that `method` came with was refused; `None` for a real request.
    ///
    /// The guard hands hyper a request of its own in place of a bad head. A client cannot send it: on HTTP/1 the guard
    /// refuses its method, and on HTTP/2 no head is ever refused here.
    #[must_use]
    pub(crate) fn verdict(&self, method: &Method) -> Option<Malformed> {
        let verdict = self.refused_head.get().copied()?;
        (method.as_str() == REFUSED_METHOD).then_some(verdict)
    }

    /// Why the body of the request at hand broke off; answer it (400) if no answer has begun.
    #[must_use]
    pub(crate) fn refused_body(&self) -> Option<Malformed> {
        self.refused_body.get().copied()
    }

    /// What the connection is waiting for.
    #[must_use]
    pub(crate) fn phase(&self) -> Phase {
        Phase::from_code(self.phase.load(Relaxed))
    }

    /// Bytes read from the client.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Relaxed)
    }

    /// Bytes written to the client.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Relaxed)
    }

    /// Requests whose answers have not ended.
    #[must_use]
    pub(crate) fn in_flight(&self) -> u64 {
        let ended = self.ended.load(Relaxed);
        self.began.load(Relaxed).saturating_sub(ended)
    }

    /// The service took an HTTP/2 request. (On HTTP/1 the guard counts the heads itself.)
    pub(crate) fn request_began(&self) {
        self.began.fetch_add(1, Relaxed);
    }

    /// The head of the answer was handed to hyper: from here on the request body may stall.
    pub(crate) fn answer_began(&self) {
        self.answering.store(true, Relaxed);
    }

    /// The answer's body ended or was dropped. Every request, the guard's own included, needs exactly one. Whether the
    /// next head is held back and the connection's task must look again.
    pub(crate) fn answer_ended(&self) -> bool {
        self.ended.fetch_add(1, Relaxed);
        let now = self.clock.now().as_nanos();
        self.last_write.store(now, Relaxed);
        self.last_answer.store(now, Relaxed);
        self.holds_head.swap(false, Relaxed)
    }

    /// The upstream agreed to the upgrade. From now on bytes pass untouched, those held back first.
    pub(crate) fn switch_to_raw(&self) {
        self.switched.store(true, Relaxed);
    }

    /// Ends an unfinished head with [`Malformed::HeadTimeout`]. Wake the connection's task afterwards: the guard gives
    /// hyper the refused request at the next poll. Does nothing when the head has become complete in between.
    pub(crate) fn expire_head(&self) {
        self.expired.store(true, Relaxed);
    }

    /// The deadline that has passed, if any. Phases of a TLS handshake and of HTTP/2 streams are not seen here.
    #[must_use]
    pub(crate) fn overdue(&self, now: Tick, timeouts: &Timeouts) -> Option<Overdue> {
        let since = |cell: &AtomicU64| now.since(Tick::from_nanos(cell.load(Relaxed)));
        if self.write_blocked.load(Relaxed) != 0
            && since(&self.write_blocked) > timeouts.stalled_reader
        {
            return Some(Overdue::Reader);
        }
        match self.phase() {
            Phase::First => {
                (since(&self.head_start) > timeouts.header).then_some(Overdue::FirstByte)
            }
            // While earlier answers are still on their way, the client may take its time with the next request.
            Phase::Head => {
                let waited = since(&self.head_start).min(since(&self.last_write));
                (self.in_flight() == 0 && waited > timeouts.header).then_some(Overdue::Head)
            }
            // A body that nobody reads does not stall: the upstream's back-pressure is not the client's fault.
            Phase::Body => (self.read_waits.load(Relaxed)
                && !self.answering.load(Relaxed)
                && since(&self.last_read) > timeouts.request_body_idle)
                .then_some(Overdue::Body),
            // PINGs are bytes too, and no reason to stay: what counts on HTTP/2 is requests.
            Phase::Http2 => (self.in_flight() == 0
                && since(&self.last_answer) > timeouts.idle_connection)
                .then_some(Overdue::Idle),
            Phase::Between | Phase::Upgrade | Phase::Refused => {
                let quiet = since(&self.last_read).min(since(&self.last_write));
                (self.in_flight() == 0 && quiet > timeouts.idle_connection).then_some(Overdue::Idle)
            }
            Phase::Tunnel => None,
        }
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase.code(), Relaxed);
    }

    pub(super) fn head_started(&self) {
        self.head_start.store(self.clock.now().as_nanos(), Relaxed);
        self.expired.store(false, Relaxed);
        self.set_phase(Phase::Head);
    }

    pub(super) fn head_passed(&self) {
        self.began.fetch_add(1, Relaxed);
        self.answering.store(false, Relaxed);
    }

    pub(super) fn refuse_head(&self, verdict: Malformed) {
        // The first verdict stands; the guard reads no further head.
        let _ = self.refused_head.set(verdict);
        self.set_phase(Phase::Refused);
    }

    pub(super) fn refuse_body(&self, verdict: Malformed) {
        let _ = self.refused_body.set(verdict);
        self.set_phase(Phase::Refused);
    }

    pub(super) fn holds_head(&self) {
        self.holds_head.store(true, Relaxed);
    }

    pub(super) fn head_expired(&self) -> bool {
        self.expired.load(Relaxed)
    }

    pub(super) fn is_switched(&self) -> bool {
        self.switched.load(Relaxed)
    }

    pub(super) fn did_read(&self, bytes: usize) {
        add(&self.bytes_in, bytes);
        self.last_read.store(self.clock.now().as_nanos(), Relaxed);
        self.read_waits.store(false, Relaxed);
    }

    pub(super) fn read_waits(&self) {
        self.read_waits.store(true, Relaxed);
    }

    pub(super) fn did_write(&self, bytes: usize) {
        add(&self.bytes_out, bytes);
        self.last_write.store(self.clock.now().as_nanos(), Relaxed);
        self.write_blocked.store(0, Relaxed);
    }

    pub(super) fn write_waits(&self) {
        if self.write_blocked.load(Relaxed) == 0 {
            let now = self.clock.now().as_nanos().max(1);
            self.write_blocked.store(now, Relaxed);
        }
    }
}

/// The guard is the only writer: no read-modify-write is needed.
fn add(cell: &AtomicU64, bytes: usize) {
    let more = u64::try_from(bytes).unwrap_or(u64::MAX);
    cell.store(cell.load(Relaxed).saturating_add(more), Relaxed);
}
