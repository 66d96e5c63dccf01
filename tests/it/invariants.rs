//! The invariants, in order of damage; each negative has its positive twin.

mod credentials;
mod faults;
mod framing;
mod headers;
mod key_sets;
mod mediation;
mod requests;
mod targets;
pub mod tokens;
mod upgrades;
