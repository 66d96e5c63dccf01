//! Nonces that we hand out for proofs (RFC 9449 section 9): a proof with a fresh one was not made long ago, whatever its
//! `iat` says, and not for another process.

use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::Now;

/// How long a nonce is the current one; it is taken for as long again. Nanoseconds of the monotonic clock.
const PERIOD: u64 = 120 * 1_000_000_000;

/// What is left of the MAC: nobody has longer than two periods to guess.
const BYTES: usize = 18;

/// The nonces of a process. Nothing is kept of them: every worker makes the same ones, of a secret and the time.
#[derive(Debug)]
pub(super) struct Nonces(Option<hmac::Key>);

impl Default for Nonces {
    fn default() -> Self {
        // Without randomness there are none, and where one is required nothing passes.
        Self(hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new()).ok())
    }
}

impl Nonces {
    /// The current one.
    pub(super) fn current(&self, now: Now) -> Option<Box<str>> {
        self.of(period(now))
    }

    /// Whether `nonce` is the current one, or was just before.
    pub(super) fn is_fresh(&self, nonce: &str, now: Now) -> bool {
        let period = period(now);
        [Some(period), period.checked_sub(1)]
            .into_iter()
            .flatten()
            .any(|period| self.of(period).as_deref() == Some(nonce))
    }

    fn of(&self, period: u64) -> Option<Box<str>> {
        let tag = hmac::sign(self.0.as_ref()?, &period.to_be_bytes());
        let bytes = tag.as_ref().get(..BYTES)?;
        Some(URL_SAFE_NO_PAD.encode(bytes).into_boxed_str())
    }
}

const fn period(now: Now) -> u64 {
    now.tick.as_nanos() / PERIOD
}
