//! Proofs that were used (RFC 9449 section 11.1): each opens one request, on whichever worker.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::sync::{Mutex, PoisonError};

use crate::clock::UnixTime;

#[cfg(test)]
mod tests;

/// Locks that proofs are spread over, so that workers hardly ever meet.
const SHARDS: usize = 16;

/// Most entries that one call takes out: more than it puts in, and few enough to hold the lock for a moment only.
const TAKEN_OUT: usize = 4;

/// Who made a proof, and its `jti`; a digest of both.
pub(super) type ProofId = [u8; 16];

/// Used proofs of one issuer's tokens, bounded, shared by the workers. Survives reloads.
///
/// An entry stays until its proof is too old to be taken again. When there is no room, new proofs are refused: to forget
/// early would be to let a used one in.
#[derive(Debug)]
pub(super) struct ReplaySet {
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Debug)]
struct Shard {
    seen: HashSet<ProofId>,
    /// By `iat`, the oldest first.
    by_time: BinaryHeap<Reverse<(i64, ProofId)>>,
    /// The latest `iat` of an entry that was taken out. What is not later may have been used, however the clock or the
    /// lifetime has changed since.
    forgotten: i64,
}

/// How long proofs are taken, and how many are remembered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Seconds from `iat`.
    pub(super) lifetime: i64,
    /// Entries, about.
    pub(super) entries: usize,
}

/// Why a proof does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Used {
    /// It was used.
    Seen,
    /// Nobody knows any more: it is as old as entries that were taken out.
    Forgotten,
    /// There is no room to remember it.
    Full,
}

impl Default for ReplaySet {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }
}

impl Default for Shard {
    fn default() -> Self {
        Self {
            seen: HashSet::new(),
            by_time: BinaryHeap::new(),
            forgotten: i64::MIN,
        }
    }
}

impl ReplaySet {
    /// Remembers a proof that holds, made at `issued_at`.
    ///
    /// # Errors
    /// It was used before, or we could not tell.
    pub(super) fn remember(
        &self,
        id: ProofId,
        issued_at: UnixTime,
        bounds: Bounds,
        now: UnixTime,
    ) -> Result<(), Used> {
        // The id is a digest: any byte of it is as good as another.
        let [first, ..] = id;
        let Some(shard) = self.shards.get(usize::from(first) % SHARDS) else {
            return Err(Used::Full);
        };
        // A panic inside leaves at most an entry too many.
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        shard.take_out(now.as_secs().saturating_sub(bounds.lifetime));
        let issued_at = issued_at.as_secs();
        if issued_at <= shard.forgotten {
            return Err(Used::Forgotten);
        }
        if shard.seen.contains(&id) {
            return Err(Used::Seen);
        }
        if shard.seen.len() >= (bounds.entries / SHARDS).max(1) {
            return Err(Used::Full);
        }
        shard.seen.insert(id);
        shard.by_time.push(Reverse((issued_at, id)));
        Ok(())
    }

    /// Proofs that are remembered.
    #[cfg(test)]
    fn len(&self) -> usize {
        let len = |shard: &Mutex<Shard>| shard.lock().map_or(0, |shard| shard.seen.len());
        self.shards.iter().map(len).sum()
    }
}

impl Shard {
    /// Takes out some of the entries whose `iat` is `latest` at most.
    fn take_out(&mut self, latest: i64) {
        for _ in 0..TAKEN_OUT {
            let Some(Reverse((issued_at, id))) = self.by_time.peek().copied() else {
                return;
            };
            if issued_at > latest {
                return;
            }
            self.by_time.pop();
            self.seen.remove(&id);
            self.forgotten = self.forgotten.max(issued_at);
        }
    }
}
