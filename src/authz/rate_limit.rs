//! Rate limits that all workers share.
//!
//! The generic cell rate algorithm: each key has a theoretical arrival time (TAT); a request moves it on by one emission
//! interval (`per` / `requests`) and passes while it is at most `per` ahead of now. So `requests` may come at once, and
//! one more after each interval. A key whose TAT is past is as good as a key never seen, so forgetting it loses nothing.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::clock::Tick;

#[cfg(test)]
mod tests;

/// Keys of one set; 64 bytes, a cache line.
const WAYS: usize = 8;
/// Sets of one limit. With [`WAYS`]: 16,384 keys that are being limited at one time, in 128 KiB.
const SETS: usize = 2048;
/// A slot is a tag of 20 bits above a TAT of 44: enough for 14 years at the finest limit that is taken, 10,000 a second.
const TAT_BITS: u32 = 44;
const TAT_MAX: u64 = (1 << TAT_BITS) - 1;
/// TATs count quarters of the emission interval.
const QUARTERS: u64 = 4;

/// A limit as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RateLimitSettings {
    /// What it counts by.
    pub by: RateLimitKey,
    /// `before: authentication`; otherwise after it, and only requests that policy allows.
    pub before_authentication: bool,
    /// So many requests may come at once.
    pub requests: u32,
    /// The time in which so many more may come.
    pub per: Duration,
}

/// What a limit counts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RateLimitKey {
    /// The client's address (IPv6: its /64).
    ClientAddress,
    /// Issuer and subject (or client) of the principal; anonymous and opaque requests count by their address.
    Principal,
}

/// Limits that outlive a configuration: one that is the same before and after a reload goes on counting.
///
/// Cheap to clone; all clones are one. Only the compilation of a configuration locks it.
#[derive(Clone, Debug, Default)]
pub struct RateLimits(Arc<Mutex<HashMap<LimitName, Weak<RateLimit>>>>);

/// Route, place in the route, and settings.
type LimitName = (Arc<str>, usize, RateLimitSettings);

impl RateLimits {
    /// The limit of this name that is in use, or a new one.
    pub(super) fn obtain(
        &self,
        route: &Arc<str>,
        settings: RateLimitSettings,
        at: usize,
    ) -> Arc<RateLimit> {
        let mut limits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        limits.retain(|_, limit| limit.strong_count() > 0);
        let name = (Arc::clone(route), at, settings);
        if let Some(limit) = limits.get(&name).and_then(Weak::upgrade) {
            return limit;
        }
        let limit = Arc::new(RateLimit::new(settings));
        limits.insert(name, Arc::downgrade(&limit));
        limit
    }
}

/// A limit that all workers share: a table of fixed size, written with one compare-and-swap per request.
///
/// Where all eight slots of a key's set are taken by keys that are being limited, further keys of the set share a
/// ninth: under a flood of addresses some callers are then limited together, and none passes unlimited.
pub struct RateLimit {
    settings: RateLimitSettings,
    per_nanos: u64,
    hasher: RandomState,
    slots: Box<[AtomicU64]>,
    shared: Box<[AtomicU64]>,
}

impl RateLimit {
    fn new(settings: RateLimitSettings) -> Self {
        let zeroes = |count| {
            std::iter::repeat_with(AtomicU64::default)
                .take(count)
                .collect()
        };
        Self {
            settings,
            per_nanos: u64::try_from(settings.per.as_nanos())
                .unwrap_or(u64::MAX)
                .max(1),
            hasher: RandomState::new(),
            slots: zeroes(SETS * WAYS),
            shared: zeroes(SETS),
        }
    }

    /// As configured.
    #[must_use]
    pub const fn settings(&self) -> &RateLimitSettings {
        &self.settings
    }

    /// As if nothing had been counted. For explanations, which have limits of their own.
    pub(super) fn forget(&self) {
        for slot in self.slots.iter().chain(&self.shared) {
            slot.store(0, Ordering::Relaxed);
        }
    }

    /// Counts a request of a client address.
    pub(super) fn admit_address(&self, client: IpAddr, now: Tick) -> Result<(), Duration> {
        let network = match client.to_canonical() {
            IpAddr::V4(address) => (4_u8, u64::from(address.to_bits())),
            // One site has a /64 at the least: a limit by whole addresses would be none.
            IpAddr::V6(address) => (6, u64::try_from(address.to_bits() >> 64).unwrap_or(0)),
        };
        self.admit(self.hasher.hash_one(network), now)
    }

    /// Counts a request of a principal.
    pub(super) fn admit_principal(
        &self,
        issuer: &str,
        kind: u8,
        name: &str,
        now: Tick,
    ) -> Result<(), Duration> {
        self.admit(self.hasher.hash_one((issuer, kind, name)), now)
    }

    /// `Err` is the time until one request would pass, in whole seconds.
    fn admit(&self, key: u64, now: Tick) -> Result<(), Duration> {
        let now = self.quarters(now);
        let tag = (key >> TAT_BITS) << TAT_BITS;
        let set = usize::try_from(key).unwrap_or(0) % SETS;
        let start = set.saturating_mul(WAYS);
        let ways = self
            .slots
            .get(start..start.saturating_add(WAYS))
            .unwrap_or_default();
        // Each failed swap means that another worker counted a request meanwhile: a few rounds settle it.
        for _ in 0..16 {
            let mut free = None;
            let mut own = None;
            for slot in ways {
                let held = slot.load(Ordering::Relaxed);
                if held & TAT_MAX <= now {
                    free = free.or(Some((slot, held)));
                } else if held & !TAT_MAX == tag {
                    own = Some((slot, held));
                    break;
                }
            }
            let (slot, held) = match own.or(free) {
                Some(place) => place,
                None => match self.shared.get(set) {
                    Some(slot) => (slot, slot.load(Ordering::Relaxed)),
                    None => break,
                },
            };
            let next = self.next(held & TAT_MAX, now)?;
            let swap =
                slot.compare_exchange_weak(held, tag | next, Ordering::Relaxed, Ordering::Relaxed);
            if swap.is_ok() {
                return Ok(());
            }
        }
        Err(Duration::from_secs(1))
    }

    /// The TAT after one more request.
    fn next(&self, tat: u64, now: u64) -> Result<u64, Duration> {
        let next = tat.max(now).saturating_add(QUARTERS);
        let latest = now.saturating_add(QUARTERS.saturating_mul(u64::from(self.settings.requests)));
        if next <= latest && next <= TAT_MAX {
            return Ok(next);
        }
        let quarters = u128::from(next.saturating_sub(latest).max(1));
        let requests = u128::from(self.settings.requests.max(1));
        let nanos = quarters * u128::from(self.per_nanos) / (requests * u128::from(QUARTERS));
        // `Retry-After` has whole seconds (RFC 9110 section 10.2.3); rounded down, the client would come too early.
        let seconds = nanos.div_ceil(1_000_000_000).max(1);
        Err(Duration::from_secs(
            u64::try_from(seconds).unwrap_or(u64::MAX),
        ))
    }

    fn quarters(&self, now: Tick) -> u64 {
        let requests = u128::from(self.settings.requests);
        let quarters = u128::from(now.as_nanos()) * requests * u128::from(QUARTERS)
            / u128::from(self.per_nanos);
        u64::try_from(quarters).unwrap_or(TAT_MAX).min(TAT_MAX)
    }
}

impl std::fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimit")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
