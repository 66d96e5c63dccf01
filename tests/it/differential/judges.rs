//! Three verifiers with the same keys and the same demands: `accept`, or why not.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};

use countersign::authn::{
    self, Identified, Issuer, Issuers, KeyCell, KeySet, KeyState, TokenCache,
};
use countersign::authz::Policy;
use countersign::clock::{Clock, UnixTime};
use countersign::request::{Canonical, Connection, RequestRules};
use serde_json::{Value, json};

use super::generate::{Candidate, ISSUER};
use crate::bed::keys::{self, b64};
use crate::bed::{Key, START};
use crate::program::{node, root, run};

const ALGORITHMS: [&str; 10] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "Ed25519",
];
const LEEWAY: u64 = 30;

/// Keys of all kinds, free of `alg` so that everybody decides alone what they fit; and some that verify nothing.
fn jwks() -> Value {
    let free = |key: &Key| {
        let mut jwk = key.jwk();
        jwk.as_object_mut().expect("an object").remove("alg");
        jwk
    };
    let with = |key: &Key, kid: &str, name: &str, value: Value| {
        let mut jwk = free(key);
        jwk["kid"] = json!(kid);
        jwk[name] = value;
        jwk
    };
    json!({"keys": [
        keys::RSA_1.jwk(),
        free(&keys::RSA_2),
        free(&keys::ES256_1),
        keys::ES384_1.jwk(),
        free(&keys::ED25519_1),
        with(&keys::ES256_1, "for encryption", "use", json!("enc")),
        with(&keys::ES256_1, "for signing only", "key_ops", json!(["sign"])),
        {"kty": "oct", "kid": "oct", "alg": "HS256", "k": b64("a shared secret")},
    ]})
}

const CONFIG: &str = "
inbound: {listen: 127.0.0.1:0, upstream: http://127.0.0.1:9}
admin: {listen: 127.0.0.1:0}
issuers:
  - {name: main, issuer: https://main.example, jwks: {file: jwks.json}, audiences: [api], leeway: 30s, algorithms: [@ALGORITHMS@]}
routes: [{path: /**, allow: {issuer: main}}]
";

/// Through everything that a request goes through up to the verdict, without sockets and without memory.
pub fn ours(candidates: &[Candidate]) -> &'static [String] {
    static VERDICTS: OnceLock<Vec<String>> = OnceLock::new();
    VERDICTS.get_or_init(|| judge_all(candidates))
}

fn judge_all(candidates: &[Candidate]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("countersign.yaml");
    let document = jwks().to_string();
    std::fs::write(folder.path().join("jwks.json"), &document).expect("a file");
    std::fs::write(
        &path,
        CONFIG.replace("@ALGORITHMS@", &ALGORITHMS.join(", ")),
    )
    .expect("a file");
    let config = countersign::config::load(&path, None).expect("a configuration");
    let (settings, _) = config.issuers.first().expect("an issuer");
    let (set, skipped) = KeySet::parse(document.as_bytes()).expect("a key set");
    assert_eq!((set.len(), skipped.len()), (5, 3));
    let cell = Arc::new(KeyCell::default());
    cell.store(KeyState::Usable(set));
    let issuers = Issuers::new(vec![Arc::new(Issuer::new(settings.clone(), cell))]);
    let policy: Policy = config.policy.at(1);
    let connection = Arc::new(Connection {
        listener: "inbound".into(),
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
        tls: false,
        unix: false,
        client_certificate: None,
    });
    let now = Clock::manual(UnixTime::from_secs(START)).now();
    let judge = |candidate: &Candidate| {
        let (parts, ()) = http::Request::get("/x")
            .header("host", "api.test")
            .header("authorization", format!("Bearer {}", candidate.token))
            .body(())
            .expect("a request")
            .into_parts();
        let rules = RequestRules::default();
        let canonical = match Canonical::parse(parts, (), &connection, &rules) {
            Ok(canonical) => canonical,
            Err(refused) => return refused.rejection().reason().to_owned(),
        };
        let routed = canonical
            .route(&policy, now)
            .unwrap_or_else(|_| panic!("there is one route"));
        let mut cache = TokenCache::new(0);
        match authn::identify(routed, &issuers, &[], &mut cache, now) {
            Identified::Known(_) => "accept".to_owned(),
            Identified::NeedsKey(..) => "token_unknown_key".to_owned(),
            Identified::NeedsReview(..) => "no keys here".to_owned(),
            Identified::Rejected(refused) => refused.rejection().reason().to_owned(),
        }
    };
    candidates.iter().map(judge).collect()
}

/// The crate, as its documentation and [its issues] say to use it: key by `kid`, algorithms of the key's family alone, all
/// claims required, `nbf` looked at.
///
/// [its issues]: https://github.com/Keats/jsonwebtoken/issues
pub fn jsonwebtoken(candidates: &[Candidate]) -> Vec<String> {
    use jsonwebtoken::jwk::{AlgorithmParameters, JwkSet};
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
    let set: JwkSet = serde_json::from_value(jwks()).expect("a key set");
    let verify = |token: &str| -> Result<(), String> {
        let text = |error: jsonwebtoken::errors::Error| {
            let text = format!("{:?}", error.kind());
            let end = text.find(['(', '{']).unwrap_or(text.len());
            text[..end].trim().to_owned()
        };
        let header = decode_header(token).map_err(text)?;
        let kid = header.kid.ok_or("no kid")?;
        let jwk = set.find(&kid).ok_or("no such key")?;
        let key = DecodingKey::from_jwk(jwk).map_err(text)?;
        let algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => vec![
                Algorithm::RS256,
                Algorithm::RS384,
                Algorithm::RS512,
                Algorithm::PS256,
                Algorithm::PS384,
                Algorithm::PS512,
            ],
            AlgorithmParameters::EllipticCurve(_) => vec![Algorithm::ES256, Algorithm::ES384],
            AlgorithmParameters::OctetKeyPair(_) => vec![Algorithm::EdDSA],
            _ => return Err("no such key type".to_owned()),
        };
        let mut validation = Validation::new(header.alg);
        validation.algorithms = algorithms;
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&["api"]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        decode::<Value>(token, &key, &validation)
            .map(|_| ())
            .map_err(text)
    };
    candidates
        .iter()
        .map(|candidate| verify(&candidate.token).map_or_else(|error| error, |()| "accept".into()))
        .collect()
}

/// npm's `jose`; `None` where it is not installed.
pub fn jose(candidates: &[Candidate]) -> Option<Vec<String>> {
    let mut node = node("node", "examples/node")?;
    let input = json!({
        "jwks": jwks(),
        "issuer": ISSUER,
        "audience": "api",
        "algorithms": ALGORITHMS,
        "leeway": LEEWAY,
        "now": START,
        "tokens": candidates.iter().map(|candidate| candidate.token.as_str()).collect::<Vec<_>>(),
    });
    node.arg(root().join("tests/node/verify_tokens.mjs"));
    let output = run(&mut node, &input.to_string());
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let verdicts = String::from_utf8(output.stdout).expect("text");
    Some(verdicts.lines().map(str::to_owned).collect())
}
