//! The holder of tokens that are bound to a key: makes proofs (RFC 9449), good ones and others.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::CaseError;
use super::stand_in::sign;
use crate::case::{Members, Proof, Request};
use crate::clock::UnixTime;
use crate::identity::{SigningAlgorithm, SigningKey};

/// Who holds tokens, and somebody else.
#[derive(Debug)]
pub(super) struct Holder {
    own: SigningKey,
    other: SigningKey,
}

/// What a proof is for.
pub(super) struct About<'a> {
    pub(super) request: &'a Request,
    /// Scheme and authority that the listener is known by.
    pub(super) origin: &'a str,
    pub(super) token: &'a str,
    pub(super) now: UnixTime,
}

impl Holder {
    pub(super) fn new() -> Result<Self, String> {
        let key = || {
            SigningKey::generate(SigningAlgorithm::Es256)
                .map_err(|error| format!("no key to make proofs with: {error}"))
        };
        Ok(Self {
            own: key()?,
            other: key()?,
        })
    }

    /// What tokens say that are bound to its key (RFC 9449 section 6.1).
    pub(super) fn thumbprint(&self) -> &str {
        self.own.id()
    }

    /// The fields `DPoP` of a request.
    pub(super) fn prove(&self, proof: &Proof, about: &About<'_>) -> Result<Vec<String>, CaseError> {
        let key = if proof.other_key {
            &self.other
        } else {
            &self.own
        };
        let mut header = members(json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": bare(key)}));
        let path = about.request.target.split('?').next().unwrap_or_default();
        let hash = digest::digest(&digest::SHA256, about.token.as_bytes());
        let mut claims = members(json!({
            "jti": "explained",
            "htm": about.request.method,
            "htu": format!("{}{path}", about.origin.trim_end_matches('/')),
            "iat": about.now.as_secs(),
            "ath": URL_SAFE_NO_PAD.encode(hash),
        }));
        for (all, own) in [(&mut header, &proof.header), (&mut claims, &proof.claims)] {
            all.extend(own.clone());
            all.retain(|_, value| !value.is_null());
        }
        let made = sign(key, &header, &claims, proof.forged)?;
        Ok((0..proof.count).map(|_| made.to_string()).collect())
    }
}

/// The public half, without names and uses (RFC 7638 section 3.2).
fn bare(key: &SigningKey) -> Value {
    let jwk = key.public().map(|public| public.jwk().clone());
    let mut members = members(jwk.unwrap_or_default());
    members.retain(|name, _| !["kid", "alg", "use"].contains(&name.as_str()));
    Value::Object(members)
}

fn members(value: Value) -> Members {
    match value {
        Value::Object(members) => members,
        _ => Members::new(),
    }
}
