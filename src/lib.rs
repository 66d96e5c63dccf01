//! Countersign is an authenticating reverse proxy that runs as a sidecar.
//!
//! # The life of a request
//!
//! ```text
//! downstream ─▶ listener ─▶ canonical request ─▶ route ─▶ authenticate ─▶ authorize ─▶ identity ─▶ forward ─▶ upstream
//!                 │               │                │            │               │            │
//!              limits,        400 if it can     403 if no    401 / 503      403, 429      strip, set,
//!              timeouts       be read two ways  route                                       sign
//! ```
//!
//! 1. [`listener`] accepts a connection. A guard between the socket and hyper hands over one complete, checked head and
//!    then exactly its body.
//! 2. [`request`] reads method, target, authority and headers once. What could be read in two ways is refused.
//! 3. [`authz`] finds the one route that owns the request.
//! 4. [`authn`] verifies the bearer token against the issuer's key set and gives a principal.
//! 5. [`authz`] decides whether the principal may.
//! 6. [`identity`] makes the headers that vouch for the caller.
//! 7. [`upstream`] forwards; it accepts nothing else than a vouched request.
//!
//! [`proxy`] calls these steps in order. Each step takes the value of the step before, which carries the unread body
//! along, sealed: a step cannot be skipped, and one request's grant can never meet another's body.
//!
//! On the calling side a request goes another way: read, found within reach of the program that sent it ([`authz::Reach`]),
//! given the access token that is held for it ([`credential`]), and forwarded. `proxy/outbound.rs` is that way in code.
//!
//! # The map
//!
//! The pure core (`request`, `authn`, `authz`, `identity`, `rejection`) does no I/O, knows no async and reads no clock.
//! Around it: `listener`, `proxy`, `upstream` (the data path), `jwks` (keys), `review` (verdicts that are asked for), `credential` (access tokens), `config` (document
//! to snapshot), `admin`, `telemetry`, and `app` which wires them. Apart from requests, `explain`, `learn`, `replay` and `openapi` are about policies
//! that nobody enforces yet, and `receipts` about logs that nobody may alter. What only Unix has is in `platform`, with a portable twin.

#[macro_use]
pub mod failpoint;

pub mod admin;
pub mod app;
pub mod authn;
pub mod authz;
pub mod case;
pub mod certificate;
pub mod cli;
pub mod clock;
pub mod config;
pub mod credential;
pub mod decision_log;
pub mod diff;
pub mod drain;
pub mod explain;
mod fetch;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod identity;
pub mod inject;
pub mod jwks;
pub mod learn;
pub mod listener;
pub mod net;
pub mod openapi;
mod platform;
pub mod proxy;
pub mod receipts;
pub mod rejection;
pub mod replay;
pub mod request;
pub mod review;
pub mod snapshot;
pub mod telemetry;
pub mod upstream;
mod waiters;

// The properties under `fuzz/src` name the crate as its users do.
#[cfg(test)]
extern crate self as countersign;
