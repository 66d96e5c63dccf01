//! Start-up self-test of the crypto library: what cannot verify a known token, or verifies a changed one, must not
//! judge real ones.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::authn::{Algorithm, KeySet};

const VECTORS: &str = include_str!("self_test/vectors.json");

#[derive(Deserialize)]
struct Vectors {
    jwks: serde_json::Value,
    tokens: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    alg: String,
    kid: String,
    token: String,
}

/// Verifies one built-in token per algorithm, and that each fails when its message or its signature is changed.
pub(super) fn run() -> Result<(), String> {
    let vectors: Vectors = serde_json::from_str(VECTORS).map_err(|error| error.to_string())?;
    let (keys, skipped) =
        KeySet::parse(vectors.jwks.to_string().as_bytes()).map_err(|error| error.to_string())?;
    if let Some(skipped) = skipped.first() {
        return Err(format!(
            "a built-in key is not accepted: {}",
            skipped.reason
        ));
    }
    for vector in &vectors.tokens {
        check(&keys, vector)?;
    }
    Ok(())
}

fn check(keys: &KeySet, vector: &Vector) -> Result<(), String> {
    let fault = |what: &str| format!("{}: {what}", vector.alg);
    let algorithm = Algorithm::from_name(&vector.alg).ok_or_else(|| fault("unknown"))?;
    let key = keys.with_kid(&vector.kid).ok_or_else(|| fault("no key"))?;
    let (message, signature) = vector
        .token
        .rsplit_once('.')
        .ok_or_else(|| fault("no signature"))?;
    let mut signature = URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|error| fault(&error.to_string()))?;
    if !key.verify(algorithm, message.as_bytes(), &signature) {
        return Err(fault("a good signature does not verify"));
    }
    let changed = format!("{message}x");
    if key.verify(algorithm, changed.as_bytes(), &signature) {
        return Err(fault("a signature verifies for another message"));
    }
    if let Some(last) = signature.last_mut() {
        *last ^= 1;
    }
    if key.verify(algorithm, message.as_bytes(), &signature) {
        return Err(fault("a changed signature verifies"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn invariant_67_the_self_test_passes_on_this_machine() {
        super::run().unwrap();
    }
}
