//! What was answered, for as long as it counts, and what is being asked. Bounded, whatever strangers send.

use std::collections::{HashMap, VecDeque};

use tokio::sync::watch;

use crate::authn::{Review, Reviewer};
use crate::clock::{Now, Tick};

/// A keyed hash of a token.
pub(super) type Key = [u8; 32];

/// What came of a question: what was said, and when it was asked. `None`: nothing that could be understood.
pub(super) type Outcome = Option<(Review, Now)>;

/// Where the outcome of a question will be; `None` until then.
pub(super) type Pending = watch::Receiver<Option<Outcome>>;

/// Most tokens that hold, and about how many bytes of claims.
const MOST_ACTIVE: usize = 16 * 1024;
const MOST_ACTIVE_BYTES: usize = 8 * 1024 * 1024;
/// Most others. They have a place of their own: strangers, who bring as many as they like, push out nothing else.
const MOST_OTHERS: usize = 4096;

/// What an answer takes beside its claims: two map entries and the claims' own frame.
const ENTRY_OVERHEAD: usize = 256;

#[derive(Debug)]
pub(super) struct Memory {
    entries: HashMap<Key, Entry>,
    active: Shelf,
    others: Shelf,
    serial: u64,
}

#[derive(Debug)]
enum Entry {
    Pending(Pending),
    Kept {
        outcome: Outcome,
        until: Tick,
        serial: u64,
    },
}

/// Entries in the order of their coming.
#[derive(Debug)]
struct Shelf {
    order: VecDeque<Place>,
    most: usize,
    bytes: usize,
    most_bytes: usize,
}

#[derive(Debug)]
struct Place {
    key: Key,
    serial: u64,
    until: Tick,
    weight: usize,
}

/// What is known about a token.
#[derive(Debug)]
pub(super) enum Known {
    /// What was said.
    Outcome(Outcome),
    /// It is being asked.
    Pending(Pending),
    Nothing,
}

impl Memory {
    pub(super) fn new() -> Self {
        let shelf = |most, most_bytes| Shelf {
            order: VecDeque::new(),
            most,
            bytes: 0,
            most_bytes,
        };
        Self {
            entries: HashMap::new(),
            active: shelf(MOST_ACTIVE, MOST_ACTIVE_BYTES),
            others: shelf(MOST_OTHERS, usize::MAX),
            serial: 0,
        }
    }

    /// Tokens that something is known of, what no longer counts and was not replaced yet included.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn look(&self, key: &Key, reviewer: &Reviewer, now: Now) -> Known {
        match self.entries.get(key) {
            Some(Entry::Pending(pending)) => Known::Pending(pending.clone()),
            Some(Entry::Kept { outcome, until, .. }) if *until > now.tick => match outcome {
                Some((Review::Active(_), asked)) if !reviewer.counts(*asked, now) => Known::Nothing,
                outcome => Known::Outcome(outcome.clone()),
            },
            Some(Entry::Kept { .. }) | None => Known::Nothing,
        }
    }

    pub(super) fn ask(&mut self, key: Key, pending: Pending) {
        self.entries.insert(key, Entry::Pending(pending));
    }

    /// Keeps an outcome until then.
    pub(super) fn keep(&mut self, key: Key, outcome: Outcome, until: Tick, now: Tick) {
        self.entries.remove(&key);
        if until <= now {
            return;
        }
        let (shelf, weight) = match &outcome {
            Some((review @ Review::Active(_), _)) => (&mut self.active, review.weight()),
            Some((Review::Inactive, _)) | None => (&mut self.others, 0),
        };
        let weight = weight.saturating_add(ENTRY_OVERHEAD);
        // One giant must not push everybody else out.
        if weight > shelf.most_bytes / 8 {
            return;
        }
        self.serial = self.serial.wrapping_add(1);
        let serial = self.serial;
        shelf.make_room(weight, now, &mut self.entries);
        shelf.bytes = shelf.bytes.saturating_add(weight);
        shelf.order.push_back(Place {
            key,
            serial,
            until,
            weight,
        });
        let kept = Entry::Kept {
            outcome,
            until,
            serial,
        };
        self.entries.insert(key, kept);
    }
}

impl Shelf {
    /// Takes out what counts no longer, and the oldest where there is no room.
    fn make_room(&mut self, weight: usize, now: Tick, entries: &mut HashMap<Key, Entry>) {
        while let Some(first) = self.order.front() {
            let full = self.order.len() >= self.most
                || self.bytes.saturating_add(weight) > self.most_bytes;
            if first.until > now && !full {
                return;
            }
            self.bytes = self.bytes.saturating_sub(first.weight);
            // A newer entry of the same token has a place of its own.
            let is_first = |entry: &Entry| matches!(entry, Entry::Kept { serial, .. } if *serial == first.serial);
            if entries.get(&first.key).is_some_and(is_first) {
                entries.remove(&first.key);
            }
            self.order.pop_front();
        }
    }
}
