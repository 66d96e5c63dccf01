//! A bounded queue of log lines from one worker to the writer, without locks.
//!
//! One producer, one consumer. Lines are kept as words, because words are what safe code can share between threads.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// Bytes of one worker's queue: about 400 records.
const QUEUE_BYTES: usize = 256 * 1024;
/// The part that ordinary lines leave free for refusals.
const RESERVED: usize = 4;
/// Longest line; the caps of the fields keep records far below.
const LINE_BYTES: usize = 32 * 1024;

const WORD: usize = size_of::<u64>();
const REFUSAL: u64 = 1 << 32;

/// What both ends share.
#[derive(Debug)]
pub(crate) struct Ring {
    words: Box<[AtomicU64]>,
    written: AtomicUsize,
    read: AtomicUsize,
    /// The producer is gone; what is queued is still to be written.
    closed: AtomicBool,
}

/// The worker's end.
#[derive(Debug)]
pub(super) struct Producer {
    ring: Arc<Ring>,
    /// One thread at a time may push.
    _not_sync: PhantomData<Cell<()>>,
}

/// How a push went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// Queued.
    Queued,
    /// Queued, and the queue is more than half full.
    Crowded,
    /// There was no room; the line is lost.
    Dropped,
}

impl Ring {
    pub(super) fn with_producer() -> (Arc<Self>, Producer) {
        Self::of_bytes(QUEUE_BYTES)
    }

    fn of_bytes(bytes: usize) -> (Arc<Self>, Producer) {
        let words = (bytes / WORD).next_power_of_two();
        let ring = Arc::new(Self {
            words: (0..words).map(|_| AtomicU64::new(0)).collect(),
            written: AtomicUsize::new(0),
            read: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        });
        let producer = Producer {
            ring: Arc::clone(&ring),
            _not_sync: PhantomData,
        };
        (ring, producer)
    }

    fn word(&self, position: usize) -> Option<&AtomicU64> {
        self.words
            .get(position & (self.words.len().wrapping_sub(1)))
    }

    /// Takes the oldest line into `line`; `Some(true)` when it tells of a refusal. For the one consumer.
    pub(super) fn pop(&self, line: &mut Vec<u8>) -> Option<bool> {
        let read = self.read.load(Ordering::Relaxed);
        if read == self.written.load(Ordering::Acquire) {
            return None;
        }
        let header = self.word(read)?.load(Ordering::Relaxed);
        let length = usize::try_from(header & (REFUSAL - 1)).ok()?;
        line.clear();
        for offset in 0..length.div_ceil(WORD) {
            let word = self.word(read.wrapping_add(1).wrapping_add(offset))?;
            line.extend_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
        }
        line.truncate(length);
        self.read.store(
            read.wrapping_add(1).wrapping_add(length.div_ceil(WORD)),
            Ordering::Release,
        );
        Some(header & REFUSAL != 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.read.load(Ordering::Acquire) == self.written.load(Ordering::Acquire)
    }

    /// Whether nothing is queued and nothing will be.
    pub(super) fn is_done(&self) -> bool {
        self.closed.load(Ordering::Acquire) && self.is_empty()
    }
}

impl Producer {
    /// Queues a line, or drops it: the request path never waits for a log. Refusals may use the last quarter.
    pub(super) fn push(&self, line: &[u8], refusal: bool) -> Pushed {
        let ring = &*self.ring;
        let capacity = ring.words.len();
        let written = ring.written.load(Ordering::Relaxed);
        let used = written.wrapping_sub(ring.read.load(Ordering::Acquire));
        let need = 1 + line.len().div_ceil(WORD);
        let room = if refusal {
            capacity
        } else {
            capacity - capacity / RESERVED
        };
        if used + need > room || line.len() > LINE_BYTES {
            return Pushed::Dropped;
        }
        let length = u64::try_from(line.len()).unwrap_or(0);
        self.store(written, length | if refusal { REFUSAL } else { 0 });
        let (words, rest) = line.as_chunks::<WORD>();
        let mut position = written.wrapping_add(1);
        for word in words {
            self.store(position, u64::from_le_bytes(*word));
            position = position.wrapping_add(1);
        }
        if !rest.is_empty() {
            let mut word = [0; WORD];
            word.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            self.store(position, u64::from_le_bytes(word));
        }
        // Publishes the words above.
        ring.written
            .store(written.wrapping_add(need), Ordering::Release);
        if used + need > capacity / 2 {
            Pushed::Crowded
        } else {
            Pushed::Queued
        }
    }

    fn store(&self, position: usize, word: u64) {
        if let Some(slot) = self.ring.word(position) {
            slot.store(word, Ordering::Relaxed);
        }
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.ring.closed.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_as_they_went_in_around_the_end_of_the_ring() {
        let (ring, producer) = Ring::of_bytes(256);
        let mut line = Vec::new();
        for round in 0..200_usize {
            let text = "x".repeat(round % 40);
            assert_ne!(
                producer.push(text.as_bytes(), round % 3 == 0),
                Pushed::Dropped
            );
            assert_eq!(ring.pop(&mut line), Some(round % 3 == 0));
            assert_eq!(line, text.as_bytes());
        }
        assert_eq!(ring.pop(&mut line), None);
        assert!(!ring.is_done());
        drop(producer);
        assert!(ring.is_done());
    }

    #[test]
    fn a_full_ring_drops_ordinary_lines_first() {
        let (ring, producer) = Ring::of_bytes(1024);
        let line = [b'a'; 56];
        let mut ordinary = 0;
        while producer.push(&line, false) != Pushed::Dropped {
            ordinary += 1;
        }
        assert_eq!(ordinary, 12, "three quarters of 16");
        let mut refusals = 0;
        while producer.push(&line, true) != Pushed::Dropped {
            refusals += 1;
        }
        assert_eq!(refusals, 4);
        let mut out = Vec::new();
        assert_eq!(ring.pop(&mut out), Some(false));
        assert_eq!(producer.push(&line, true), Pushed::Crowded);
    }

    #[test]
    fn two_threads_lose_and_mix_nothing() {
        let (ring, producer) = Ring::of_bytes(4096);
        let writer = std::thread::spawn(move || {
            let mut sent = 0_u32;
            while sent < 20_000 {
                if producer.push(format!("line {sent}").as_bytes(), true) != Pushed::Dropped {
                    sent += 1;
                }
            }
        });
        let mut line = Vec::new();
        let mut next = 0_u32;
        while !ring.is_done() {
            if ring.pop(&mut line).is_some() {
                assert_eq!(line, format!("line {next}").as_bytes());
                next += 1;
            }
        }
        writer.join().unwrap();
        assert_eq!(next, 20_000);
    }
}
