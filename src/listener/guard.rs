//! The guard between socket and hyper.
//!
//! hyper hides or mends what a proxy must refuse (fragments, Content-Length beside Transfer-Encoding, bare LF). The guard
//! withholds a head until it is complete and checked, then hands over exactly its body, then the next head. A bad head is
//! replaced by one canned request that asks to close; the service recognises it ([`GuardState::verdict`]) and
//! answers with an ordinary refusal. After a bad head or a bad chunk no byte is read as HTTP again.
//!
//! Bytes are read straight into hyper's buffer and checked there; only what must be held back (an unfinished head, the
//! next request) is copied. A single CRLF before a request line is dropped (RFC 9112 section 2.2: robust servers ignore
//! it; some clients still send one behind a POST body), a second one is refused.
//!
//! The guard speaks tokio's traits on both sides and hyper's towards hyper. It is `Send` when its socket is.

mod body;
mod head;
mod held;
mod state;
mod stream;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use head::HeadLimits;
pub(crate) use head::judge_target;
use state::CoarseClock;
pub(crate) use state::{GuardState, Overdue, Phase};

use super::Limits;
use crate::rejection::Malformed;
use body::Body;
use head::{CheckedHead, HeadScan};
use held::Held;

#[cfg(test)]
mod tests;

/// The method of the canned request. Refused from real clients.
pub(crate) const REFUSED_METHOD: &str = "COUNTERSIGN-REFUSED";

/// What hyper reads in place of a bad head.
const CANNED: &[u8] =
    b"COUNTERSIGN-REFUSED / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";

/// The connection preface of HTTP/2 with prior knowledge (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Most that a client may send behind a request for an upgrade before it is answered.
const UPGRADE_BYTES: usize = 16 * 1024;

/// Most that is held of what a client sends ahead of an answer; more stays in the socket.
const AHEAD_BYTES: usize = 16 * 1024;

/// Most that is read and dropped behind a bad head, so that the client can read the answer.
const DISCARD_BYTES: usize = 1024 * 1024;

/// The facts of a connection, for its service and its worker's sweeper.
pub(crate) type GuardHandle = Arc<GuardState>;

/// What the guard makes of the whole head of an HTTP/1 request, for explanations.
///
/// # Errors
/// How it fails HTTP.
pub(crate) fn judge_head(head: &[u8], limits: &Limits) -> Result<(), Malformed> {
    let checked = HeadScan::default().advance(head, &HeadLimits::from(limits))?;
    // A head that ends somewhere else than here would be two messages.
    match checked {
        Some(checked) if checked.length == head.len() => Ok(()),
        Some(_) | None => Err(Malformed::Syntax),
    }
}

/// What the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preface {
    /// HTTP/1.0 or HTTP/1.1, or nothing that begins like HTTP/2.
    Http1,
    /// HTTP/2, by prior knowledge or because TLS agreed on it.
    Http2,
}

/// The guard of one connection.
#[derive(Debug)]
pub(crate) struct Guard<T> {
    io: T,
    shared: Arc<GuardState>,
    limits: HeadLimits,
    mode: Mode,
    held: Held,
    /// Whether one empty line may still come before the request line.
    blank_line: bool,
}

/// What the next byte is part of.
#[derive(Debug)]
enum Mode {
    Head(HeadScan),
    Body(Body),
    /// The answer to a request for an upgrade.
    Upgrade,
    /// HTTP/2, or after a 101.
    Raw,
    /// A bad head: the canned request goes out, what the client still sends is dropped (so many bytes of it).
    Refused {
        dropped: usize,
    },
    /// A bad chunk, or bytes behind a request for an upgrade that was not granted.
    Closed,
}

impl<T> Guard<T> {
    /// Guards a fresh connection that speaks HTTP/1, unless [`Self::preface`] finds otherwise. `clock` holds nanoseconds
    /// of the monotonic clock and is moved by the worker.
    pub(crate) fn new(io: T, limits: &Limits, clock: Arc<AtomicU64>) -> (Self, GuardHandle) {
        let shared = GuardState::new(CoarseClock::from(clock));
        let guard = Self::with_state(io, Arc::clone(&shared), HeadLimits::from(limits));
        (guard, shared)
    }

    fn with_state(io: T, shared: Arc<GuardState>, limits: HeadLimits) -> Self {
        Self {
            io,
            shared,
            limits,
            mode: Mode::Head(HeadScan::default()),
            held: Held::default(),
            blank_line: true,
        }
    }

    /// Judges what was just read or held: how many bytes of `window` are one head and what is there of its body.
    fn judge(&mut self, window: &[u8]) -> Judged {
        let Mode::Head(scan) = &mut self.mode else {
            return Judged::Wait;
        };
        match scan.advance(window, &self.limits) {
            Ok(None) => Judged::Wait,
            Ok(Some(head)) => Judged::Pass(self.pass(head, window)),
            Err(verdict) => Judged::Refuse(verdict),
        }
    }

    /// A head holds: what follows is its body, and as much of it as is there goes along.
    fn pass(&mut self, head: CheckedHead, window: &[u8]) -> usize {
        self.shared.head_passed();
        if head.upgrade && head.framing == head::Framing::Length(0) {
            self.enter(Mode::Upgrade, Phase::Upgrade);
            return head.length;
        }
        let fresh = Body::new(head.framing, self.limits.header_bytes, self.limits.headers);
        let mut body = fresh.clone();
        let rest = window.get(head.length..).unwrap_or_default();
        // A bad chunk must not take the head with it: it is met again, alone, at the next read.
        let (body, taken) = match body.consume(rest) {
            Ok(taken) => (body, taken),
            Err(_) => (fresh, 0),
        };
        self.in_body(body);
        head.length + taken
    }

    fn in_body(&mut self, body: Body) {
        if body.is_done() {
            self.next_head();
        } else {
            self.enter(Mode::Body(body), Phase::Body);
        }
    }

    fn next_head(&mut self) {
        self.blank_line = true;
        self.enter(Mode::Head(HeadScan::default()), Phase::Between);
    }

    fn enter(&mut self, mode: Mode, phase: Phase) {
        self.mode = mode;
        self.shared.set_phase(phase);
    }

    fn refuse_head(&mut self, verdict: Malformed) {
        self.shared.head_passed();
        self.shared.refuse_head(verdict);
        self.mode = Mode::Refused { dropped: 0 };
        self.held.clear();
        self.held.push(CANNED);
        self.held.release(CANNED.len());
    }

    /// Takes the bytes behind `keep` out of `buf` and holds them.
    fn hold_back(&mut self, buf: &mut ReadBuf<'_>, keep: usize) {
        if let Some(excess) = buf.filled().get(keep..) {
            self.held.push(excess);
        }
        buf.set_filled(keep);
    }
}

/// What a look at a head says.
enum Judged {
    /// It is not complete.
    Wait,
    /// So many bytes may go.
    Pass(usize),
    Refuse(Malformed),
}

/// Whether a step has something for hyper.
enum Step {
    Again,
    Ready,
}

impl<T: AsyncRead + Unpin> Guard<T> {
    /// Tells by the first bytes what the client speaks; HTTP/2 then passes untouched. Nothing is lost: what was read goes
    /// to hyper first.
    ///
    /// # Errors
    /// What the socket says.
    pub(crate) async fn preface(&mut self) -> io::Result<Preface> {
        std::future::poll_fn(|cx| self.poll_preface(cx)).await
    }

    fn poll_preface(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Preface>> {
        if matches!(self.mode, Mode::Raw) {
            return Poll::Ready(Ok(Preface::Http2));
        }
        loop {
            let seen = self.held.pending();
            if seen.starts_with(PREFACE) {
                let all = seen.len();
                self.held.release(all);
                self.enter(Mode::Raw, Phase::Http2);
                return Poll::Ready(Ok(Preface::Http2));
            }
            if !PREFACE.starts_with(seen) {
                return Poll::Ready(Ok(Preface::Http1));
            }
            let mut space = [0; 4096];
            let mut buf = ReadBuf::new(&mut space);
            if ready!(self.poll_socket(cx, &mut buf))? == 0 {
                return Poll::Ready(Ok(Preface::Http1));
            }
            if self.shared.phase() == Phase::First {
                self.shared.head_started();
            }
            self.held.push(buf.filled());
        }
    }

    /// Reads the socket and counts; 0 is the end.
    fn poll_socket(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.io).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => {
                let count = buf.filled().len().saturating_sub(before);
                self.shared.did_read(count);
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                self.shared.read_waits();
                Poll::Pending
            }
        }
    }

    /// While an answer is on its way the socket is read only to see the client leave: hyper, given a next head, would not
    /// look again, and a stream would outlive its reader. What is sent ahead is held.
    fn step_ahead(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Step>> {
        if !self.held.is_empty() {
            self.shared.holds_head();
        }
        if self.held.pending().len() >= AHEAD_BYTES {
            return Poll::Pending;
        }
        let start = buf.filled().len();
        if ready!(self.poll_socket(cx, buf))? == 0 {
            return Poll::Ready(Ok(Step::Ready));
        }
        self.hold_back(buf, start);
        Poll::Ready(Ok(Step::Again))
    }

    /// A head: judged in what is held, or else where it was read.
    fn step_head(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<Step>> {
        if self.shared.in_flight() > 0 {
            return self.step_ahead(cx, buf);
        }
        if self.shared.head_expired() && self.shared.phase() == Phase::Head {
            self.refuse_head(Malformed::HeadTimeout);
            return Poll::Ready(Ok(Step::Again));
        }
        if !self.held.is_empty() && self.step_held_head() {
            return Poll::Ready(Ok(Step::Again));
        }
        let start = buf.filled().len();
        if ready!(self.poll_socket(cx, buf))? == 0 {
            return Poll::Ready(Ok(Step::Ready));
        }
        if !matches!(self.shared.phase(), Phase::Head) {
            self.shared.head_started();
        }
        let window = buf.filled().get(start..).unwrap_or_default();
        if !self.held.is_empty() || window.first() == Some(&b'\r') {
            self.hold_back(buf, start);
            return Poll::Ready(Ok(Step::Again));
        }
        match self.judge(window) {
            Judged::Wait => {
                self.hold_back(buf, start);
                Poll::Ready(Ok(Step::Again))
            }
            Judged::Pass(count) => {
                if count < window.len() {
                    self.hold_back(buf, start + count);
                }
                Poll::Ready(Ok(Step::Ready))
            }
            Judged::Refuse(verdict) => {
                buf.set_filled(start);
                self.refuse_head(verdict);
                Poll::Ready(Ok(Step::Again))
            }
        }
    }

    /// Judges a head in what is held; false when more must come.
    fn step_held_head(&mut self) -> bool {
        if self.shared.phase() != Phase::Head {
            self.shared.head_started();
        }
        let mut held = std::mem::take(&mut self.held);
        let fresh = matches!(&self.mode, Mode::Head(scan) if scan.is_fresh());
        if fresh && self.blank_line && held.pending() == b"\r" {
            self.held = held;
            return false;
        }
        if fresh && self.blank_line && held.pending().starts_with(b"\r\n") {
            self.blank_line = false;
            held.drop_first(2);
        }
        if held.is_empty() {
            return false;
        }
        match self.judge(held.pending()) {
            Judged::Wait => {
                self.held = held;
                false
            }
            Judged::Pass(count) => {
                held.release(count);
                self.held = held;
                true
            }
            Judged::Refuse(verdict) => {
                self.refuse_head(verdict);
                true
            }
        }
    }

    /// A body: counted where it was read, or else in what is held.
    fn step_body(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<Step>> {
        let start = buf.filled().len();
        let from_held = !self.held.is_empty();
        if !from_held && ready!(self.poll_socket(cx, buf))? == 0 {
            return Poll::Ready(Ok(Step::Ready));
        }
        let Mode::Body(body) = &mut self.mode else {
            return Poll::Ready(Ok(Step::Again));
        };
        let window = if from_held {
            self.held.pending()
        } else {
            buf.filled().get(start..).unwrap_or_default()
        };
        let length = window.len();
        let Ok(count) = body.consume(window) else {
            buf.set_filled(start);
            self.held.clear();
            self.mode = Mode::Closed;
            self.shared.refuse_body(Malformed::Chunk);
            let broken = io::Error::new(io::ErrorKind::InvalidData, "malformed chunk");
            return Poll::Ready(Err(broken));
        };
        let body = body.clone();
        self.in_body(body);
        if from_held {
            self.held.release(count);
            return Poll::Ready(Ok(Step::Again));
        }
        if count < length {
            self.hold_back(buf, start + count);
        }
        Poll::Ready(Ok(Step::Ready))
    }

    /// While an upgrade is pending the socket is read only to see the client leave; what it sends is held.
    fn step_upgrade(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Step>> {
        if self.shared.is_switched() {
            let all = self.held.pending().len();
            self.held.release(all);
            self.enter(Mode::Raw, Phase::Tunnel);
            return Poll::Ready(Ok(Step::Again));
        }
        if self.shared.in_flight() == 0 {
            // Not granted. What was sent before the answer was meant for the other protocol: it is never a request.
            if self.held.is_empty() {
                self.next_head();
            } else {
                self.held.clear();
                self.enter(Mode::Closed, Phase::Refused);
            }
            return Poll::Ready(Ok(Step::Again));
        }
        let start = buf.filled().len();
        if self.held.pending().len() >= UPGRADE_BYTES {
            // The answer is written by the same task, which polls again afterwards.
            return Poll::Pending;
        }
        if ready!(self.poll_socket(cx, buf))? == 0 {
            return Poll::Ready(Ok(Step::Ready));
        }
        self.hold_back(buf, start);
        if !self.shared.is_switched() && self.shared.in_flight() == 0 {
            // The answer ended since the last look: these bytes came after it.
            self.next_head();
        }
        Poll::Ready(Ok(Step::Again))
    }

    /// Behind a bad head: drops what comes. The end is not reported, for hyper would drop the answer that it is about to
    /// write; the answer closes the connection.
    fn step_refused(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Step>> {
        let start = buf.filled().len();
        loop {
            let Mode::Refused { dropped } = self.mode else {
                return Poll::Ready(Ok(Step::Again));
            };
            if dropped >= DISCARD_BYTES {
                return Poll::Pending;
            }
            let count = ready!(self.poll_socket(cx, buf)).unwrap_or(0);
            buf.set_filled(start);
            let dropped = match count {
                0 => DISCARD_BYTES,
                count => dropped.saturating_add(count),
            };
            self.mode = Mode::Refused { dropped };
        }
    }
}
