//! How many requests of this worker wait for one issuer's keys.
//!
//! A worker is a thread, so the count is a thread's. It is kept per issuer: one issuer that hangs must not take the places
//! of the others.

use std::cell::RefCell;
use std::collections::HashMap;
use std::marker::PhantomData;

thread_local! {
    static WAITING: RefCell<HashMap<u64, u32>> = RefCell::default();
}

/// A place among the waiting; given back when dropped. Stays on its thread.
#[derive(Debug)]
pub(super) struct Place {
    source: u64,
    on_this_thread: PhantomData<*const ()>,
}

impl Place {
    /// A place among those who wait for `source`, if there is one.
    pub(super) fn take(source: u64) -> Option<Self> {
        WAITING.with_borrow_mut(|waiting| {
            let count = waiting.entry(source).or_default();
            (*count < super::MOST_WAITERS).then(|| {
                *count += 1;
                Self {
                    source,
                    on_this_thread: PhantomData,
                }
            })
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        WAITING.with_borrow_mut(|waiting| {
            if let Some(count) = waiting.get_mut(&self.source) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    waiting.remove(&self.source);
                }
            }
        });
    }
}
