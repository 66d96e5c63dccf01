//! The invariants, in order of damage; each negative has its positive twin.

mod accountability;
mod bodies;
mod conditions;
mod credentials;
mod faults;
mod framing;
mod headers;
pub mod identity;
mod key_sets;
mod mediation;
mod places;
mod requests;
mod rules;
mod secrets;
mod targets;
pub mod tokens;
mod upgrades;
