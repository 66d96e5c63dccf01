//! What a worker's sweeper walks over: its open connections and the exchanges in flight.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

/// Weak references with O(1) entry and leave.
#[derive(Debug)]
pub(crate) struct Registry<T>(Rc<RefCell<Slots<T>>>);

#[derive(Debug)]
struct Slots<T> {
    entries: Vec<Option<Weak<T>>>,
    free: Vec<usize>,
}

/// A place in a registry; dropping it frees it.
#[derive(Debug)]
pub(crate) struct Place<T> {
    slots: Rc<RefCell<Slots<T>>>,
    index: usize,
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(Slots {
            entries: Vec::new(),
            free: Vec::new(),
        })))
    }
}

impl<T> Registry<T> {
    /// Enters `entry` until the place is dropped.
    pub(crate) fn enter(&self, entry: &Rc<T>) -> Place<T> {
        let mut slots = self.0.borrow_mut();
        let index = slots.free.pop().unwrap_or_else(|| {
            slots.entries.push(None);
            slots.entries.len().saturating_sub(1)
        });
        if let Some(slot) = slots.entries.get_mut(index) {
            *slot = Some(Rc::downgrade(entry));
        }
        Place {
            slots: Rc::clone(&self.0),
            index,
        }
    }

    /// Whether nothing is entered. Gives memory back after a burst.
    pub(crate) fn is_empty(&self) -> bool {
        let mut slots = self.0.borrow_mut();
        let empty = slots.free.len() == slots.entries.len();
        if empty && !slots.entries.is_empty() {
            *slots = Slots {
                entries: Vec::new(),
                free: Vec::new(),
            };
        }
        empty
    }

    /// Calls `visit` for every entry that is alive.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&T)) {
        let alive: Vec<Rc<T>> = self
            .0
            .borrow()
            .entries
            .iter()
            .flatten()
            .filter_map(Weak::upgrade)
            .collect();
        // Visiting may drop the last strong reference, which frees its place.
        for entry in alive {
            visit(&entry);
        }
    }
}

impl<T> Drop for Place<T> {
    fn drop(&mut self) {
        let mut slots = self.slots.borrow_mut();
        if let Some(slot) = slots.entries.get_mut(self.index) {
            *slot = None;
            let index = self.index;
            slots.free.push(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_reused_and_memory_returns() {
        let registry = Registry::default();
        let entries: Vec<Rc<u8>> = (0..100).map(Rc::new).collect();
        let places: Vec<Place<u8>> = entries.iter().map(|entry| registry.enter(entry)).collect();
        let mut seen = 0;
        registry.for_each(|_| seen += 1);
        assert_eq!(seen, 100);
        assert!(!registry.is_empty());
        drop(places);
        assert!(registry.is_empty());
        assert!(registry.0.borrow().entries.is_empty());
        let again = registry.enter(&entries[0]);
        assert_eq!(again.index, 0);
    }
}
