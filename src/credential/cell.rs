//! What workers read: the token that is held, if it is good.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use http::HeaderValue;

use super::proof::Binding;
use crate::clock::{Now, Tick, UnixTime};

/// An access token, ready to be attached. Its value is shown nowhere.
pub struct AccessToken {
    authorization: HeaderValue,
    binding: Option<Binding>,
    serial: u64,
    end: End,
}

/// From when on a token is not used, by either clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) tick: Tick,
    pub(crate) unix: UnixTime,
}

impl End {
    pub(crate) fn is_past(self, now: Now) -> bool {
        self.tick <= now.tick || self.unix <= now.unix
    }
}

impl AccessToken {
    pub(crate) const fn new(
        authorization: HeaderValue,
        binding: Option<Binding>,
        serial: u64,
        end: End,
    ) -> Self {
        Self {
            authorization,
            binding,
            serial,
            end,
        }
    }

    /// The value of `Authorization`; marked as sensitive.
    #[must_use]
    pub const fn authorization(&self) -> &HeaderValue {
        &self.authorization
    }

    /// The key that it is bound to: every request needs a proof then (RFC 9449 section 7).
    pub(crate) const fn binding(&self) -> Option<&Binding> {
        self.binding.as_ref()
    }

    /// Counts the tokens of this process: a token with a greater one is newer.
    #[must_use]
    pub const fn serial(&self) -> u64 {
        self.serial
    }

    /// Whether it may still be sent.
    #[must_use]
    pub fn is_good(&self, now: Now) -> bool {
        !self.end.is_past(now)
    }
}

impl std::fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessToken")
            .field("serial", &self.serial)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// The place of one credential's token. It stays over reloads for as long as the token does.
#[derive(Debug)]
pub struct CredentialCell {
    name: Arc<str>,
    token: ArcSwapOption<AccessToken>,
}

impl CredentialCell {
    pub(crate) const fn new(name: Arc<str>) -> Self {
        Self {
            name,
            token: ArcSwapOption::const_empty(),
        }
    }

    /// The configured name of the credential.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The token, if one is held that is good now.
    #[must_use]
    pub fn current(&self, now: Now) -> Option<Arc<AccessToken>> {
        let token = self.token.load();
        let good = token.as_ref().filter(|token| token.is_good(now));
        good.map(Arc::clone)
    }

    pub(crate) fn store(&self, token: Option<Arc<AccessToken>>) {
        self.token.store(token);
    }
}
