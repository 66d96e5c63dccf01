//! HTTP/2 from the upstream, metered: heads that nobody asked for are bounded.
//!
//! hyper and h2 skip any number of 1xx answers (INVARIANTS 65), each of them work for us, while their request waits. Only
//! frames that carry heads are counted: what bodies and windows need is in proportion to what flow control allows.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Heads of one answer: those before the last, that one, and trailers; twice what one of them may have.
const ANSWER_BYTES: u64 = 128 * 1024;

/// Answers that may come late, after their callers have left.
const SPARE: u64 = 8;

const HEAD_LENGTH: usize = 9;
const HEADERS: u8 = 1;
const PUSH_PROMISE: u8 = 5;
const CONTINUATION: u8 = 9;

/// How many bytes of heads the answers that are outstanding may still bring.
#[derive(Clone, Debug, Default)]
pub(in crate::upstream) struct HeadAllowance(Arc<AtomicU64>);

impl HeadAllowance {
    /// A request is about to be sent beside `others`: what was not used by those that have ended is forfeit.
    pub(in crate::upstream) fn expect_answer(&self, others: usize) {
        let others = u64::try_from(others).unwrap_or(u64::MAX);
        let most = others.saturating_add(SPARE).saturating_mul(ANSWER_BYTES);
        let left = self.0.load(Ordering::Relaxed).min(most);
        self.0
            .store(left.saturating_add(ANSWER_BYTES), Ordering::Relaxed);
    }

    fn take(&self, bytes: u64) -> io::Result<()> {
        let left = self.0.load(Ordering::Relaxed).checked_sub(bytes);
        let left = left.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "more heads than were asked for")
        })?;
        self.0.store(left, Ordering::Relaxed);
        Ok(())
    }
}

/// Finds the frames in what is read.
#[derive(Debug)]
pub(super) struct Frames {
    allowance: HeadAllowance,
    head: [u8; HEAD_LENGTH],
    /// How much of the head is there.
    have: usize,
    /// How much of the frame's payload is to come.
    payload: usize,
}

impl Frames {
    pub(super) const fn new(allowance: HeadAllowance) -> Self {
        Self {
            allowance,
            head: [0; HEAD_LENGTH],
            have: 0,
            payload: 0,
        }
    }

    /// Counts what one read brought.
    pub(super) fn read(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        loop {
            let skipped = self.payload.min(rest.len());
            self.payload -= skipped;
            rest = rest.get(skipped..).unwrap_or_default();
            let Some((byte, after)) = rest.split_first() else {
                return Ok(());
            };
            rest = after;
            if let Some(place) = self.head.get_mut(self.have) {
                *place = *byte;
            }
            self.have += 1;
            if self.have == HEAD_LENGTH {
                self.have = 0;
                self.begin()?;
            }
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        let [high, middle, low, kind, ..] = self.head;
        let length = u32::from_be_bytes([0, high, middle, low]);
        self.payload = usize::try_from(length).unwrap_or(usize::MAX);
        if matches!(kind, HEADERS | PUSH_PROMISE | CONTINUATION) {
            // The frame's own head too: an empty one is not free.
            return self.allowance.take(u64::from(length) + 9);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: usize) -> Vec<u8> {
        let [_, high, middle, low] = u32::try_from(length).unwrap().to_be_bytes();
        let mut bytes = vec![high, middle, low, kind, 0, 0, 0, 0, 1];
        bytes.extend(vec![kind; length]);
        bytes
    }

    #[test]
    fn only_frames_with_heads_are_counted_however_they_are_split() {
        let bytes = [
            frame(HEADERS, 100),
            frame(0, 70_000),
            frame(4, 6),
            frame(CONTINUATION, 0),
        ];
        let bytes = bytes.concat();
        for size in [1, 2, 7, 9, 10, 1000, bytes.len()] {
            let allowance = HeadAllowance::default();
            allowance.expect_answer(0);
            let mut frames = Frames::new(allowance.clone());
            for piece in bytes.chunks(size) {
                frames.read(piece).unwrap();
            }
            let left = allowance.0.load(Ordering::Relaxed);
            assert_eq!(left, ANSWER_BYTES - 100 - 9 - 9, "{size}");
        }
    }

    #[test]
    fn invariant_65_what_outstanding_answers_may_bring_is_bounded() {
        let allowance = HeadAllowance::default();
        let mut frames = Frames::new(allowance.clone());
        assert!(
            frames.read(&frame(HEADERS, 0)).is_err(),
            "nothing was asked for"
        );
        // A thousand requests one after the other save nothing up.
        for _ in 0..1000 {
            allowance.expect_answer(0);
        }
        let most = |answers| answers * ANSWER_BYTES;
        assert_eq!(allowance.0.load(Ordering::Relaxed), most(SPARE + 1));
        // Two at once may bring one answer more.
        allowance.expect_answer(1);
        assert_eq!(allowance.0.load(Ordering::Relaxed), most(SPARE + 2));
        let mut frames = Frames::new(allowance);
        let head = frame(HEADERS, 16_000);
        let heads = (0..1000).take_while(|_| frames.read(&head).is_ok()).count();
        assert_eq!(heads, 81);
    }
}
