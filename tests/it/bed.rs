//! The test bed. Everything waits for events with a bound of [`PATIENCE`], so that a hang fails and nothing sleeps.

pub mod client;
pub mod daemon;
pub mod forge;
pub mod h2_client;
pub mod h2_upstream;
pub mod idp;
pub mod issuer;
pub mod keys;
pub mod proxy;
pub mod raw_h2;
pub mod request;
pub mod reviewer;
pub mod runtime;
pub mod secrets;
pub mod setup;
pub mod standard;
pub mod tls;
pub mod token;
pub mod token_endpoint;
pub mod upstream;
pub mod verdict;
pub mod wire;

use std::time::Duration;

pub use client::{Connection, Response};
pub use issuer::{Issuer, Mode};
pub use keys::Key;
pub use proxy::Proxy;
pub use request::Request;
pub use setup::{Bed, Setup};
pub use token::Token;
pub use token_endpoint::{Behaviour, TokenEndpoint};
pub use upstream::{Captured, Next, Upstream};
pub use verdict::{
    Before, Variant, assert_denied, assert_forwarded, assert_raw_refused, assert_recorded,
    assert_refused, exchanged, forwarded_everywhere, raw_refused_everywhere, reconcile,
    refused_everywhere,
};

/// How long the bed waits for anything that should happen at once. Longer than any internal bound of the proxy that a
/// test may meet (1 s for an unknown key, 2 s of discarding a refused body), shorter than a person's patience.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Where manual clocks start: 2027-01-15T08:00:00Z.
pub const START: i64 = 1_800_000_000;

/// Whether `needle` occurs in `haystack`.
pub fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    needle.is_empty()
        || haystack
            .windows(needle.len())
            .any(|window| window == needle)
}

/// Bytes for people.
pub fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Tries until `holds`, with patience. For what leaves no event to wait for.
#[track_caller]
pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    let clock = countersign::clock::Clock::system();
    let start = clock.tick();
    while !holds() {
        assert!(
            clock.tick().since(start) < PATIENCE,
            "waited in vain: {what}"
        );
        std::thread::yield_now();
    }
}
