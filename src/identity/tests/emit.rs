//! Vouched requests for verifiers in other languages: `tests/python/verify_signature.py` and `examples/` read them.

use super::*;
use crate::clock::Clock;
use crate::config::Secret;

const SECRET: &str = "a shared secret of thirty-two by";

fn keys(algorithm: SigningAlgorithm) -> Arc<SigningKeys> {
    Arc::new(match algorithm {
        SigningAlgorithm::Hs256 => {
            SigningKeys::parse(&Secret::new(SECRET.into(), None), Some(algorithm)).unwrap()
        }
        SigningAlgorithm::Es256 | SigningAlgorithm::EdDsa => {
            SigningKeys::generate(algorithm).unwrap()
        }
    })
}

fn request(asked: &Asked, identity: &Identity, now: UnixTime) -> Value {
    let headers: serde_json::Map<String, Value> = asked
        .headers(identity, now)
        .iter()
        .map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap())))
        .collect();
    json!({
        "method": asked.method,
        "target": asked.target,
        "authority": asked.authority.to_str().unwrap(),
        "headers": headers,
    })
}

/// Prints one line, `vouched: {…}`. Signatures in it are good for 30 s, assertions for an hour.
///
/// `cargo test --lib identity::tests::emit -- --ignored --nocapture | sed -n 's/^vouched: //p'`
#[test]
#[ignore = "prints input for verifiers in other languages"]
fn prints_vouched_requests() {
    let now = Clock::system().now().unix;
    let mut sets = Vec::new();
    for algorithm in [
        SigningAlgorithm::Es256,
        SigningAlgorithm::EdDsa,
        SigningAlgorithm::Hs256,
    ] {
        for bind in [
            Binding::NONE,
            Binding {
                method: true,
                target: true,
                authority: true,
            },
        ] {
            let keys = keys(algorithm);
            let mut assertion = assertion(algorithm, bind);
            assertion.key = KeySettings::Configured(Arc::clone(&keys));
            assertion.lifetime = Duration::from_secs(3600);
            let mut signature = signature(algorithm);
            signature.key = KeySettings::Configured(Arc::clone(&keys));
            let settings = IdentitySettings {
                assertion: Some(assertion),
                signature: Some(signature),
                ..settings()
            };
            let identity = Identity::new(settings, 1).unwrap();
            let mut known = Asked::by(Principal::Known(alice()));
            known.actor = Some(verified(&json!({"sub": "robot"})));
            sets.push(json!({
                "algorithm": algorithm.name(),
                "bound": !bind.is_none(),
                "kid": keys.current().id(),
                "jwks": identity.jwks(now),
                "secret": (algorithm == SigningAlgorithm::Hs256).then_some(SECRET),
                "reserved": identity.reserved().iter().map(HeaderName::as_str).collect::<Vec<_>>(),
                "known": request(&known, &identity, now),
                "anonymous": request(&Asked::by(Principal::Anonymous), &identity, now),
            }));
        }
    }
    println!("\nvouched: {}", json!(sets));
}
