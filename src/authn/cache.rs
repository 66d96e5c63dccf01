use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::sync::Arc;

use super::{Algorithm, Issuer, Issuers, KeyIdRule, KeySet, KeyState, Trust, Verified};
use zeroize::Zeroizing;

use crate::clock::Now;

#[cfg(test)]
mod tests;

/// Bytes of a worker's cache where the configuration does not say otherwise: several thousand tokens.
pub const DEFAULT_CACHE_BYTES: usize = 16 * 1024 * 1024;

/// What an entry takes beside its token and what the token says: slot, map entry, prepared identity headers and assertion.
const ENTRY_OVERHEAD: usize = 1536;

/// Bytes of the token's end that are hashed. The signature ends there, which no sender can choose freely.
const HASHED: usize = 32;

/// Verified tokens of one worker, bounded.
///
/// Positive verdicts only, so what strangers send never grows it. A verdict is good for the very same token alone (the
/// whole token is compared), for the same issuer definition, and while a fresh verification would select the same key:
/// a refresh of the key set revalidates entries rather than flushing them, a withdrawn key ends them. Where somebody was
/// asked, it is good for as long as his answer counts. Times are checked at every hit. Whatever does not hold is a miss, and
/// the caller verifies anew.
pub struct TokenCache {
    limit: usize,
    held: usize,
    by_hash: HashMap<u64, usize, KeyedAlready>,
    slots: Vec<Option<Entry>>,
    free: Vec<usize>,
    /// Where eviction looks next.
    hand: usize,
    /// Keyed, so that nobody can aim at collisions.
    hasher: RandomState,
    counts: CacheCounts,
}

/// A verdict to keep.
pub(super) struct Verdict {
    pub(super) verified: Rc<Verified>,
    pub(super) basis: Basis,
}

/// What a verdict rests on.
pub(super) enum Basis {
    /// The key with [`Verified::thumbprint`], selected by the token's `kid`.
    Key {
        algorithm: Algorithm,
        kid: Option<Box<str>>,
    },
    /// What the issuer's reviewer said when it was asked then.
    Review { asked: Now },
}

struct Entry {
    hash: u64,
    /// Wiped when it leaves.
    token: Zeroizing<Box<[u8]>>,
    /// The issuer as it is defined now; refreshed after a reload that did not change it.
    issuer: Arc<Issuer>,
    verdict: Verdict,
    weight: usize,
    /// Hit since the hand passed last.
    used: bool,
}

/// What a cache was good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// A verdict was there and stood.
    pub hits: u64,
    /// None was there, or it did not stand any more.
    pub misses: u64,
    /// A verdict made room for another.
    pub evictions: u64,
}

impl TokenCache {
    /// A cache that holds at most about `bytes` of tokens, claims and what is prepared for them
    /// ([`DEFAULT_CACHE_BYTES`]); 0 keeps nothing.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self {
            limit: bytes,
            held: 0,
            by_hash: HashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            hand: 0,
            counts: CacheCounts::default(),
            hasher: RandomState::new(),
        }
    }

    /// Tokens held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// About how many bytes are held.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.held
    }

    /// What the cache was good for, since it was made.
    #[must_use]
    pub const fn counts(&self) -> CacheCounts {
        self.counts
    }

    /// The verdict on `token`, if it still stands.
    pub(super) fn get(
        &mut self,
        token: &[u8],
        issuers: &Issuers,
        now: Now,
    ) -> Option<Rc<Verified>> {
        let found = self.find(token, issuers, now);
        let count = if found.is_some() {
            &mut self.counts.hits
        } else {
            &mut self.counts.misses
        };
        *count = count.wrapping_add(1);
        found
    }

    fn find(&mut self, token: &[u8], issuers: &Issuers, now: Now) -> Option<Rc<Verified>> {
        let hash = self.hash(token);
        let at = *self.by_hash.get(&hash)?;
        let entry = self.slots.get_mut(at)?.as_mut()?;
        if **entry.token != *token {
            return None;
        }
        if entry.stands(issuers, now) {
            entry.used = true;
            return Some(Rc::clone(&entry.verdict.verified));
        }
        self.remove(at);
        None
    }

    /// Keeps a verdict.
    pub(super) fn insert(&mut self, token: &[u8], verdict: Verdict) {
        let weight = ENTRY_OVERHEAD
            .saturating_add(token.len())
            .saturating_add(verdict.verified.weight());
        // One giant must not push everybody else out.
        if weight > self.limit / 8 {
            return;
        }
        let hash = self.hash(token);
        if let Some(&at) = self.by_hash.get(&hash) {
            self.remove(at);
        }
        self.make_room(weight);
        let entry = Entry {
            hash,
            token: Zeroizing::new(token.into()),
            issuer: Arc::clone(&verdict.verified.issuer),
            verdict,
            weight,
            used: false,
        };
        let at = match self.free.pop() {
            Some(at) => at,
            None => {
                self.slots.push(None);
                self.slots.len() - 1
            }
        };
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = Some(entry);
            self.held = self.held.saturating_add(weight);
            self.by_hash.insert(hash, at);
        }
    }

    /// Second chance (CLOCK): the hand spares what was hit since it passed last. Each step either evicts or clears a mark
    /// that a hit has paid for.
    fn make_room(&mut self, weight: usize) {
        while self.held.saturating_add(weight) > self.limit && !self.by_hash.is_empty() {
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
            let at = self.hand;
            self.hand += 1;
            match self.slots.get_mut(at).and_then(Option::as_mut) {
                Some(entry) if entry.used => entry.used = false,
                Some(_) => {
                    self.remove(at);
                    self.counts.evictions = self.counts.evictions.wrapping_add(1);
                }
                None => {}
            }
        }
    }

    fn remove(&mut self, at: usize) {
        if let Some(entry) = self.slots.get_mut(at).and_then(Option::take) {
            self.held = self.held.saturating_sub(entry.weight);
            self.by_hash.remove(&entry.hash);
            self.free.push(at);
        }
    }

    fn hash(&self, token: &[u8]) -> u64 {
        self.hasher
            .hash_one(token.last_chunk::<HASHED>().map_or(token, |end| end))
    }
}

impl Entry {
    fn stands(&mut self, issuers: &Issuers, now: Now) -> bool {
        let Some(current) = issuers.current(&self.issuer) else {
            return false;
        };
        if !Arc::ptr_eq(current, &self.issuer) {
            self.issuer = Arc::clone(current);
        }
        self.verdict.verified.check_times(now).is_ok() && self.verdict.stands(&self.issuer, now)
    }
}

impl Verdict {
    /// Whether what it rests on is there still.
    fn stands(&self, issuer: &Issuer, now: Now) -> bool {
        match (&self.basis, issuer.trust()) {
            (Basis::Key { algorithm, kid }, Trust::Keys(cell)) => match &**cell.peek() {
                KeyState::Usable(keys) => self.key_stands(*algorithm, kid.as_deref(), keys, issuer),
                KeyState::Unavailable => false,
            },
            (Basis::Review { asked }, Trust::Review(reviewer)) => reviewer.counts(*asked, now),
            (Basis::Key { .. }, Trust::Review(_)) | (Basis::Review { .. }, Trust::Keys(_)) => false,
        }
    }

    /// Whether a fresh verification would take the same key.
    fn key_stands(
        &self,
        algorithm: Algorithm,
        kid: Option<&str>,
        keys: &KeySet,
        issuer: &Issuer,
    ) -> bool {
        let key = match (kid, issuer.settings.key_id) {
            (Some(kid), _) => keys.with_kid(kid),
            (None, KeyIdRule::OnlyKey) => keys.only(),
            (None, KeyIdRule::Required) => None,
        };
        key.is_some_and(|key| {
            key.thumbprint() == self.verified.thumbprint
                && key.algorithms().any(|own| own == algorithm)
        })
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache")
            .field("tokens", &self.len())
            .field("bytes", &self.held)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// The map's hasher: its keys are keyed hashes already.
#[derive(Clone, Copy, Debug, Default)]
struct KeyedAlready;

impl BuildHasher for KeyedAlready {
    type Hasher = Passing;

    fn build_hasher(&self) -> Passing {
        Passing(0)
    }
}

#[derive(Debug)]
struct Passing(u64);

impl std::hash::Hasher for Passing {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}
