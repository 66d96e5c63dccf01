//! The properties that the fuzz targets hold the proxy to, one module a target: `check` takes any bytes and panics where
//! a property does not hold.
//!
//! Two places use them: the targets under `fuzz_targets/`, and the crate's own tests, which replay the committed corpora.
//! Oracles are written naively and on purpose not like the product.

pub mod claims;
pub mod config;
pub mod connection;
pub mod decide;
pub mod end_to_end;
pub mod guard;
pub mod header_filter;
pub mod jwks;
mod request;
mod signing;
mod strict_json;
pub mod target;
pub mod token;
