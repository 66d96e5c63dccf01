//! The thread that writes log lines. Workers queue them and go on; a slow or blocked sink costs lines, never requests.

use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use super::ring::{Producer, Ring};
use super::text;
use crate::app::LogSink;

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
        let read = |count: &AtomicU64| {
            f64::from(u32::try_from(count.load(Ordering::Relaxed)).unwrap_or(u32::MAX))
        };
        [
            ("allowed", &self.allowed),
            ("refused", &self.refused),
            ("event", &self.events),
        ]
        .map(|(kind, count)| (vec![kind.to_owned()], read(count)))
        .into()
    }
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
}

#[derive(Debug, Default)]
struct Events {
    lines: Vec<Vec<u8>>,
    bytes: usize,
    flushes: Vec<SyncSender<()>>,
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

    fn sleep(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let idle = !self.stop.load(Ordering::Acquire)
            && lock(&self.rings).iter().all(|ring| ring.is_empty())
            && {
                let events = lock(&self.events);
                events.lines.is_empty() && events.flushes.is_empty()
            };
        if idle {
            std::thread::park();
        }
        self.asleep.store(false, Ordering::Relaxed);
    }
}

/// Runs until the queues are stopped and empty.
pub(super) fn run(queues: &Queues, sink: LogSink) {
    // Set before the first line can be waited for: `poke` finds the flag `asleep` only after this.
    drop(queues.writer.set(std::thread::current()));
    let mut out = Output::new(sink);
    loop {
        let stopping = queues.stop.load(Ordering::Acquire);
        if pass(queues, &mut out) {
            std::thread::park_timeout(COLLECT);
        } else if stopping {
            return;
        } else {
            queues.sleep();
        }
    }
}

/// Writes what is queued; whether there was something.
fn pass(queues: &Queues, out: &mut Output) -> bool {
    out.text = queues.text.load(Ordering::Relaxed);
    let events = std::mem::take(&mut *lock(&queues.events));
    let rings: Vec<_> = lock(&queues.rings).iter().map(Arc::clone).collect();
    let mut any = !events.lines.is_empty() || !events.flushes.is_empty();
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
    out.flush();
    for done in events.flushes {
        let _: Result<(), _> = done.try_send(());
    }
    any
}

struct Output {
    sink: LogSink,
    batch: Vec<u8>,
    text: bool,
    colour: bool,
}

impl Output {
    fn new(sink: LogSink) -> Self {
        let colour = matches!(sink, LogSink::Stdout) && std::io::stdout().is_terminal();
        Self {
            sink,
            batch: Vec::new(),
            text: false,
            colour,
        }
    }

    fn line(&mut self, line: &[u8]) {
        let text = self.text.then(|| text::render(line, self.colour)).flatten();
        let line = text.as_deref().unwrap_or(line);
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
