//! The key that signs, and those that are published beside it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{PublicKey, SigningAlgorithm, SigningKey, SigningKeyError, parse};
use crate::clock::UnixTime;
use crate::config::Secret;

/// The key that signs, and those published for verifying beside it: the next ones, which the operator listed after it,
/// and the replaced ones until every assertion they signed and every cached key set has expired.
#[derive(Clone, Debug)]
pub struct SigningKeys {
    current: SigningKey,
    others: Vec<Published>,
}

#[derive(Clone, Debug)]
struct Published {
    key: PublicKey,
    /// `None`: as long as it is configured.
    until: Option<UnixTime>,
}

impl SigningKeys {
    /// Reads a PEM file (PKCS#8, or SEC 1 for P-256) or a shared secret (anything without PEM, at least 32 bytes, one
    /// line end at the end ignored). Of several keys the first signs and all are published.
    ///
    /// # Errors
    /// There is no usable key, or it is not one for `algorithm`.
    pub fn parse(
        secret: &Secret,
        algorithm: Option<SigningAlgorithm>,
    ) -> Result<Self, SigningKeyError> {
        let mut keys = parse::keys(secret, algorithm)?.into_iter();
        let current = keys.next().ok_or(SigningKeyError::NoPrivateKey)?;
        let others = keys
            .filter_map(|key| key.public())
            .map(|key| Published { key, until: None })
            .collect();
        Ok(Self { current, others })
    }

    /// A new key pair, kept in memory only.
    ///
    /// # Errors
    /// The random source or the crypto library failed.
    pub fn generate(algorithm: SigningAlgorithm) -> Result<Self, SigningKeyError> {
        Ok(Self {
            current: SigningKey::generate(algorithm)?,
            others: Vec::new(),
        })
    }

    /// The key that signs.
    #[must_use]
    pub const fn current(&self) -> &SigningKey {
        &self.current
    }

    /// `new`, publishing until `now` + `overlap` also what `previous` published and `new` does not.
    ///
    /// `overlap` must be at least the lifetime of assertions, and should cover the time for which verifiers cache keys.
    #[must_use]
    pub fn rotated(previous: &Self, new: Self, now: UnixTime, overlap: Duration) -> Self {
        let end = now.plus(i64::try_from(overlap.as_secs()).unwrap_or(i64::MAX));
        let mut rotated = new;
        let replaced = previous
            .current
            .public()
            .map(|key| Published { key, until: None })
            .into_iter()
            .chain(previous.others.iter().cloned());
        for old in replaced {
            let until = old.until.unwrap_or(end);
            if until > now && !rotated.publishes(old.key.id()) {
                rotated.others.push(Published {
                    key: old.key,
                    until: Some(until),
                });
            }
        }
        rotated
    }

    fn publishes(&self, id: &str) -> bool {
        self.current.id() == id || self.others.iter().any(|other| other.key.id() == id)
    }

    /// What verifiers may use at `now`, the signing key first. Shared secrets are not among them.
    pub fn published(&self, now: UnixTime) -> impl Iterator<Item = PublicKey> {
        self.current.public().into_iter().chain(
            self.others
                .iter()
                .filter(move |other| other.until.is_none_or(|until| now < until))
                .map(|other| other.key.clone()),
        )
    }

    /// The key set document (RFC 7517 section 5) at `now`.
    #[must_use]
    pub fn jwks(&self, now: UnixTime) -> Value {
        jwks(self.published(now))
    }
}

/// A key set of `keys`; of those with the same `kid`, one.
pub(in crate::identity) fn jwks(keys: impl IntoIterator<Item = PublicKey>) -> Value {
    let mut seen: Vec<PublicKey> = Vec::new();
    for key in keys {
        if seen.iter().all(|earlier| earlier.id() != key.id()) {
            seen.push(key);
        }
    }
    let keys: Vec<&Value> = seen.iter().map(PublicKey::jwk).collect();
    json!({ "keys": keys })
}
