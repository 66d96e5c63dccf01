//! The thread that writes log lines. Workers queue them and go on; a slow or blocked sink costs lines, never requests.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use super::ring::{Producer, Ring};
use super::text;
use crate::app::LogSink;
use crate::clock::Clock;
use crate::identity::SigningFailed;
use crate::platform;
use crate::receipts::{Chain, Moment, ReceiptSettings};

/// While lines keep coming, they are collected for this long: one write for many, and no wake-up per request.
const COLLECT: Duration = Duration::from_millis(5);
/// Most bytes of events that wait.
const EVENT_BYTES: usize = 1024 * 1024;
/// Refusals kept for the status page.
const RECENT: usize = 50;
/// A batch is written when it is this large, however much is queued.
const BATCH_BYTES: usize = 64 * 1024;

/// Lines that were lost because the sink did not keep up.
#[derive(Debug, Default)]
pub(super) struct DroppedLines {
    /// Records of allowed requests.
    pub(super) allowed: AtomicU64,
    /// Records of refused requests and connections.
    pub(super) refused: AtomicU64,
    /// Events.
    pub(super) events: AtomicU64,
}

impl DroppedLines {
    pub(super) fn samples(&self) -> Vec<super::Sampled> {
        samples([
            ("allowed", &self.allowed),
            ("refused", &self.refused),
            ("event", &self.events),
        ])
    }

    fn all(&self) -> u64 {
        [&self.allowed, &self.refused, &self.events]
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum()
    }
}

/// Seals of receipts.
#[derive(Debug, Default)]
pub(super) struct Seals {
    signed: AtomicU64,
    /// The crypto library failed; it is tried again.
    failed: AtomicU64,
}

impl Seals {
    pub(super) fn samples(&self) -> Vec<super::Sampled> {
        samples([("signed", &self.signed), ("failed", &self.failed)])
    }

    fn count<T>(&self, sealed: &Result<T, SigningFailed>) {
        let count = match sealed {
            Ok(_) => &self.signed,
            Err(_) => &self.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn samples<const N: usize>(counts: [(&str, &AtomicU64); N]) -> Vec<super::Sampled> {
    let read = |count: &AtomicU64| {
        f64::from(u32::try_from(count.load(Ordering::Relaxed)).unwrap_or(u32::MAX))
    };
    counts
        .map(|(kind, count)| (vec![kind.to_owned()], read(count)))
        .into()
}

/// What the queues, the threads that fill them and the writer share.
#[derive(Debug, Default)]
pub(super) struct Queues {
    rings: Mutex<Vec<Arc<Ring>>>,
    events: Mutex<Events>,
    recent: Mutex<VecDeque<String>>,
    writer: OnceLock<Thread>,
    asleep: AtomicBool,
    stop: AtomicBool,
    /// Lines for people instead of JSON.
    pub(super) text: AtomicBool,
    pub(super) dropped: DroppedLines,
    pub(super) seals: Seals,
}

#[derive(Debug, Default)]
struct Events {
    lines: Vec<Vec<u8>>,
    bytes: usize,
    flushes: Vec<SyncSender<()>>,
    /// Receipts are to be made so from here on, or no longer.
    receipts: Option<Option<Arc<ReceiptSettings>>>,
}

/// A poisoned lock only means that a thread panicked between two pushes; lines are whole either way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queues {
    /// A queue for one more worker.
    pub(super) fn worker(&self) -> Producer {
        let (ring, producer) = Ring::with_producer();
        lock(&self.rings).push(ring);
        producer
    }

    /// Queues an event; events are rare and may lock.
    pub(super) fn event(&self, line: Vec<u8>) {
        {
            let mut events = lock(&self.events);
            if events.bytes + line.len() > EVENT_BYTES {
                self.dropped.events.fetch_add(1, Ordering::Relaxed);
                return;
            }
            events.bytes += line.len();
            events.lines.push(line);
        }
        self.poke();
    }

    /// Makes receipts so from the next line on.
    pub(super) fn seal_with(&self, receipts: Option<Arc<ReceiptSettings>>) {
        lock(&self.events).receipts = Some(receipts);
        self.poke();
    }

    /// Wakes the writer if it sleeps. The fence pairs with that in [`Queues::sleep`]: either we see that it sleeps, or it
    /// sees our line.
    pub(super) fn poke(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed) {
            self.wake();
        }
    }

    /// Wakes the writer even while it collects.
    pub(super) fn wake(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    /// Waits until everything that was queued before is written.
    pub(super) fn flush(&self) {
        let (done, wait) = std::sync::mpsc::sync_channel(1);
        lock(&self.events).flushes.push(done);
        self.poke();
        self.wake();
        // The writer is gone when this fails; then nothing is left to wait for.
        let _: Result<(), _> = wait.recv_timeout(Duration::from_secs(5));
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.poke();
        self.wake();
    }

    /// The last refusals, newest first, as JSON lines.
    pub(super) fn recent(&self) -> Vec<String> {
        lock(&self.recent).iter().rev().cloned().collect()
    }

    fn remember(&self, line: &[u8]) {
        let mut recent = lock(&self.recent);
        if recent.len() >= RECENT {
            recent.pop_front();
        }
        recent.push_back(String::from_utf8_lossy(line).into_owned());
    }

    fn sleep(&self, longest: Option<Duration>) {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let idle = !self.stop.load(Ordering::Acquire)
            && lock(&self.rings).iter().all(|ring| ring.is_empty())
            && {
                let events = lock(&self.events);
                events.lines.is_empty() && events.flushes.is_empty() && events.receipts.is_none()
            };
        match longest {
            _ if !idle => {}
            None => std::thread::park(),
            Some(longest) => std::thread::park_timeout(longest),
        }
        self.asleep.store(false, Ordering::Relaxed);
    }
}

/// Runs until the queues are stopped and empty.
pub(super) fn run(queues: &Queues, sink: LogSink, clock: &Clock) {
    // Set before the first line can be waited for: `poke` finds the flag `asleep` only after this.
    drop(queues.writer.set(std::thread::current()));
    let mut out = Output::new(queues, sink, clock);
    loop {
        let stopping = queues.stop.load(Ordering::Acquire);
        if pass(queues, &mut out) {
            std::thread::park_timeout(COLLECT);
        } else if stopping {
            return out.end();
        } else {
            queues.sleep(out.patience());
        }
    }
}

/// Writes what is queued; whether there was something.
fn pass(queues: &Queues, out: &mut Output<'_>) -> bool {
    out.text = queues.text.load(Ordering::Relaxed);
    let events = std::mem::take(&mut *lock(&queues.events));
    let rings: Vec<_> = lock(&queues.rings).iter().map(Arc::clone).collect();
    let mut any = !events.lines.is_empty() || !events.flushes.is_empty();
    if let Some(receipts) = events.receipts {
        out.seal_with(receipts);
    }
    for line in &events.lines {
        out.line(line);
    }
    let mut line = Vec::new();
    for ring in &rings {
        while let Some(refusal) = ring.pop(&mut line) {
            any = true;
            if refusal {
                queues.remember(&line);
            }
            out.line(&line);
        }
    }
    lock(&queues.rings).retain(|ring| !ring.is_done());
    out.seal_if_due();
    out.flush();
    for done in events.flushes {
        let _: Result<(), _> = done.try_send(());
    }
    any
}

struct Output<'q> {
    sink: LogSink,
    batch: Vec<u8>,
    text: bool,
    colour: bool,
    /// As configured.
    receipts: Option<Arc<ReceiptSettings>>,
    chain: Option<Chain>,
    /// A line with its receipt. Reused.
    linked: Vec<u8>,
    clock: &'q Clock,
    dropped: &'q DroppedLines,
    seals: &'q Seals,
}

impl<'q> Output<'q> {
    fn new(queues: &'q Queues, sink: LogSink, clock: &'q Clock) -> Self {
        let colour = matches!(sink, LogSink::Stdout) && platform::shows_colour(&std::io::stdout());
        Self {
            sink,
            batch: Vec::new(),
            text: false,
            colour,
            receipts: None,
            chain: None,
            linked: Vec::new(),
            clock,
            dropped: &queues.dropped,
            seals: &queues.seals,
        }
    }

    fn line(&mut self, line: &[u8]) {
        if let Some(receipts) = self.receipts.clone() {
            return self.linked_line(line, receipts);
        }
        let text = self.text.then(|| text::render(line, self.colour)).flatten();
        self.write(text.as_deref().unwrap_or(line));
    }

    /// A line with its receipt; before the first one a seal that begins the log.
    fn linked_line(&mut self, line: &[u8], receipts: Arc<ReceiptSettings>) {
        let mut linked = std::mem::take(&mut self.linked);
        linked.clear();
        if self.chain.is_none() {
            let begun = Chain::begin(receipts, self.moment(), &mut linked);
            self.seals.count(&begun);
            self.chain = begun.ok();
            self.write_if_any(&linked);
            linked.clear();
        }
        let tick = self.clock.tick();
        match &mut self.chain {
            Some(chain) => chain.line(line, tick, &mut linked),
            // Nothing random, or nothing signed: whoever verifies the log is told, and the next line tries again.
            None => linked.extend_from_slice(line),
        }
        self.write(&linked);
        self.linked = linked;
        self.seal_if_due();
    }

    /// Goes on with these settings: a chain ends where there are none, and begins with the next line.
    fn seal_with(&mut self, receipts: Option<Arc<ReceiptSettings>>) {
        self.receipts = receipts;
        match (&self.receipts, &mut self.chain) {
            (Some(receipts), Some(chain)) => {
                chain.follow(Arc::clone(receipts));
                self.seal_if_due();
            }
            (None, Some(_)) => self.end_chain(),
            (_, None) => {}
        }
    }

    fn seal_if_due(&mut self) {
        let Some(chain) = &self.chain else { return };
        if chain.is_due(self.clock.tick()) {
            let moment = self.moment();
            let mut seal = Vec::new();
            if let Some(chain) = &mut self.chain {
                self.seals.count(&chain.checkpoint(moment, &mut seal));
            }
            self.write_if_any(&seal);
        }
    }

    fn end_chain(&mut self) {
        if let Some(chain) = self.chain.take() {
            let mut seal = Vec::new();
            self.seals.count(&chain.end(self.moment(), &mut seal));
            self.write_if_any(&seal);
        }
    }

    /// How long the writer may sleep although nothing comes.
    fn patience(&self) -> Option<Duration> {
        // A seal that failed is tried again, and not at once.
        const LEAST: Duration = Duration::from_millis(100);
        let wait = self.chain.as_ref()?.wait(self.clock.tick())?;
        Some(wait.max(LEAST))
    }

    fn moment(&self) -> Moment {
        Moment {
            wall: self.clock.wall(),
            dropped: self.dropped.all(),
        }
    }

    fn end(mut self) {
        self.end_chain();
        self.flush();
    }

    fn write_if_any(&mut self, line: &[u8]) {
        if !line.is_empty() {
            self.write(line);
        }
    }

    fn write(&mut self, line: &[u8]) {
        match &self.sink {
            LogSink::Stdout => {
                self.batch.extend_from_slice(line);
                self.batch.push(b'\n');
                if self.batch.len() >= BATCH_BYTES {
                    self.flush();
                }
            }
            // The reader may have gone; a log that nobody reads is no reason to stop.
            LogSink::Channel(channel) => drop(channel.send(line.to_vec())),
        }
    }

    fn flush(&mut self) {
        if !self.batch.is_empty() {
            let mut stdout = std::io::stdout().lock();
            // Nobody could be told about a closed standard output.
            drop(stdout.write_all(&self.batch).and_then(|()| stdout.flush()));
            self.batch.clear();
        }
    }
}
