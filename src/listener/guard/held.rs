//! Bytes that were read and must wait.

use tokio::io::ReadBuf;

/// Bytes that were read and not yet handed over.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: Vec<u8>,
    start: usize,
    /// How many of them, from the start, are checked and may go.
    released: usize,
}

impl Held {
    pub(super) fn pending(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending().is_empty()
    }

    pub(super) fn push(&mut self, more: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(more);
    }

    pub(super) fn drop_first(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.bytes.len());
        if self.start == self.bytes.len() {
            self.clear();
        }
    }

    /// Gives the memory back: idle connections are many.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn release(&mut self, count: usize) {
        self.released = count.min(self.pending().len());
    }

    /// Hands over what is released, as far as it fits; false when nothing is.
    pub(super) fn hand_over(&mut self, to: &mut ReadBuf<'_>) -> bool {
        let count = self.released.min(to.remaining());
        let Some(bytes) = self.pending().get(..count).filter(|_| self.released > 0) else {
            return false;
        };
        to.put_slice(bytes);
        self.released -= count;
        self.drop_first(count);
        true
    }
}
