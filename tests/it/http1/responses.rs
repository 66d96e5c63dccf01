//! Invariant 65.
