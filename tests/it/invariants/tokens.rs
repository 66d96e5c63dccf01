//! Invariants 9 to 18 and 35: what a token must be.

mod accounts;
mod algorithms;
mod allow_lists;
mod certificates;
mod data;
mod no_keys;
mod spellings;
pub mod table;
