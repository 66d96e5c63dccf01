//! The integration suite: everything here runs a proxy in this process, on ports that the system picks.
//!
//! `bed` holds the test bed (byte-capturing upstream, issuer, clients, the verdict of a test); the other modules hold
//! the tests, named after the requirement rows (`s08_…`, `t11_…`) and the invariants (`invariant_24_…`) they prove.

#![expect(
    unreachable_pub,
    clippy::as_conversions,
    clippy::string_slice,
    clippy::too_many_lines,
    clippy::needless_pass_by_value,
    let_underscore_drop,
    reason = "test code: nothing here meets hostile input, and tables are long"
)]

#[cfg(test)]
mod at_most_once;
#[cfg(test)]
mod attack_data;
#[cfg(test)]
mod attack_decision;
#[cfg(test)]
mod bed;
#[cfg(test)]
mod bed_tests;
#[cfg(test)]
mod caps;
#[cfg(test)]
mod certificates;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod differential;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod editors;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod exposure;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod http1;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod hygiene;
#[cfg(test)]
mod inject;
#[cfg(test)]
mod invariants;
#[cfg(test)]
mod kubernetes;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod mutants;
#[cfg(test)]
mod outbound;
#[cfg(test)]
mod pairing;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod portable;
#[cfg(test)]
mod probe;
#[cfg(test)]
mod program;
#[cfg(test)]
mod purity;
#[cfg(test)]
mod real_idp;
#[cfg(test)]
mod receipts;
#[cfg(test)]
mod reviews;
#[cfg(test)]
mod smartem;
#[cfg(test)]
mod stalls;
#[cfg(test)]
mod status_page;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod supply_chain;
#[cfg(test)]
mod threat_model;
#[cfg(feature = "otlp")]
#[cfg(test)]
mod tracing;
#[cfg(test)]
mod tuist;
#[cfg(test)]
mod webhook;
