//! How many requests of this worker wait for one thing: an issuer's keys, or an access token.
//!
//! A worker is a thread, so the count is a thread's. It is kept per thing: one issuer that hangs must not take the places
//! of the others.

use std::cell::RefCell;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

thread_local! {
    static WAITING: RefCell<HashMap<u64, u32>> = RefCell::default();
}

/// A name for a thing to wait for, unique in the process.
pub(crate) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A place among the waiting; given back when dropped. Stays on its thread.
#[derive(Debug)]
pub(crate) struct Place {
    thing: u64,
    on_this_thread: PhantomData<*const ()>,
}

impl Place {
    /// A place among those who wait for `thing`, if fewer than `most` wait.
    pub(crate) fn take(thing: u64, most: u32) -> Option<Self> {
        WAITING.with_borrow_mut(|waiting| {
            let count = waiting.entry(thing).or_default();
            (*count < most).then(|| {
                *count += 1;
                Self {
                    thing,
                    on_this_thread: PhantomData,
                }
            })
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        WAITING.with_borrow_mut(|waiting| {
            if let Some(count) = waiting.get_mut(&self.thing) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    waiting.remove(&self.thing);
                }
            }
        });
    }
}
