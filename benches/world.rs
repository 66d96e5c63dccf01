//! What a worker holds, without its sockets: for the benches.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use countersign::authn::{
    self, Identified, Issuer, Issuers, KeyCell, KeySet, KeyState, Known, TokenCache,
};
use countersign::authz::{Policy, Routed};
use countersign::clock::{Clock, Now, UnixTime};
use countersign::config;
use countersign::identity::Identity;
use countersign::request::{Canonical, Connection, RequestRules, ReservedNames};
use http::request::Parts;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;

const RSA: &str = include_str!("../tests/fixtures/keys/rsa-1.pem");
const P256: &str = include_str!("../tests/fixtures/keys/es256-1.pem");
pub(crate) const START: i64 = 1_800_000_000;

/// How large, and of what kind.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    /// Routes, two of them in use.
    pub(crate) routes: usize,
    /// Issuers, one of them in use.
    pub(crate) issuers: usize,
    /// Whether an assertion says who called.
    pub(crate) assertion: bool,
    /// What signs tokens.
    pub(crate) algorithm: Algorithm,
}

impl Default for Size {
    fn default() -> Self {
        Self {
            routes: 10,
            issuers: 1,
            assertion: false,
            algorithm: Algorithm::RS256,
        }
    }
}

/// What a worker holds.
pub(crate) struct World {
    pub(crate) policy: Policy,
    issuers: Issuers,
    pub(crate) identity: Identity,
    rules: RequestRules,
    connection: Arc<Connection>,
    token: String,
    pub(crate) now: Now,
}

/// A document with routes that nobody asks for, beside the two that are asked for, and issuers of whom no token comes.
pub(crate) fn document(size: Size) -> String {
    let mut text = "
inbound: {listen: 127.0.0.1:0, upstream: http://127.0.0.1:9}
admin: {listen: 127.0.0.1:0}
identity:
  headers: {x-auth-subject: subject, x-auth-client: client, x-auth-scopes: scopes, x-auth-account: account}
"
    .to_owned();
    if size.assertion {
        text.push_str("  assertion: {audience: api}\n");
    }
    text.push_str("issuers:\n");
    for number in 0..size.issuers {
        let (name, host) = match number {
            0 => ("main".to_owned(), "id".to_owned()),
            _ => (format!("other{number}"), format!("id{number}")),
        };
        writeln!(
            text,
            "  - {{name: {name}, issuer: 'https://{host}.example.org', jwks: {{file: jwks.json}}, audiences: [api], algorithms: [{:?}]}}",
            size.algorithm
        )
        .unwrap();
    }
    text.push_str(
        "callers:\n  web: {issuer: main, client: web}\nroutes:\n  - {path: /health, allow: anyone}\n  \
         - path: /accounts/{account}/usage\n    allow: {GET: {caller: web, scopes: [read]}}\n",
    );
    for number in 2..size.routes {
        writeln!(
            text,
            "  - {{path: '/service{}/items/{{item}}/part{number}', allow: web}}",
            number % 50
        )
        .unwrap();
    }
    text
}

/// The key set of the issuers.
pub(crate) fn jwks(algorithm: Algorithm) -> String {
    let encode = |number: &[u8]| URL_SAFE_NO_PAD.encode(number);
    let key = match algorithm {
        Algorithm::ES256 => {
            let pair =
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der(P256)).unwrap();
            let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
            json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)})
        }
        _ => {
            let pair = RsaKeyPair::from_pkcs8(&der(RSA)).unwrap();
            let public = pair.public_key();
            let (n, e) = (public.modulus(), public.exponent());
            let (n, e) = (
                n.big_endian_without_leading_zero(),
                e.big_endian_without_leading_zero(),
            );
            json!({"kty": "RSA", "n": encode(n), "e": encode(e)})
        }
    };
    let mut key = key;
    key["kid"] = "main".into();
    json!({ "keys": [key] }).to_string()
}

fn der(pem: &str) -> Vec<u8> {
    let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(text).unwrap()
}

/// One of many tokens of the same kind.
pub(crate) fn token(algorithm: Algorithm, number: usize, now: i64) -> String {
    let key = match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_pem(P256.as_bytes()),
        _ => EncodingKey::from_rsa_pem(RSA.as_bytes()),
    };
    let mut header = Header::new(algorithm);
    header.kid = Some("main".into());
    let claims = json!({
        "iss": "https://id.example.org", "aud": "api", "sub": "f:4f2c:alice", "azp": "web", "scope": "read write profile",
        "iat": now, "exp": now + 3600, "account": "acme", "jti": format!("a1b2c3d4e5f6-{number}"), "email": "alice@example.org",
        "realm_access": {"roles": ["offline_access", "uma_authorization", "default-roles"]},
    });
    encode(&header, &claims, &key.unwrap()).unwrap()
}

impl World {
    pub(crate) fn new(size: Size) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("countersign.yaml");
        std::fs::write(directory.path().join("jwks.json"), jwks(size.algorithm)).unwrap();
        std::fs::write(&path, document(size)).unwrap();
        let config = config::load(&path, None).unwrap();
        let (keys, skipped) = KeySet::parse(jwks(size.algorithm).as_bytes()).unwrap();
        assert!(skipped.is_empty());
        let cell = Arc::new(KeyCell::default());
        cell.store(KeyState::Usable(keys));
        let issuers = config
            .issuers
            .iter()
            .map(|(settings, _)| Arc::new(Issuer::new(settings.clone(), Arc::clone(&cell))));
        let identity = Identity::new(Arc::clone(&config.identity), 1).unwrap();
        Self {
            policy: config.policy.at(1),
            issuers: Issuers::new(issuers.collect()),
            rules: RequestRules {
                reserved: Arc::new(ReservedNames::new(identity.reserved())),
                ..RequestRules::default()
            },
            identity,
            connection: Arc::new(Connection {
                listener: "inbound".into(),
                peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
                tls: false,
                unix: false,
                client_certificate: None,
            }),
            token: token(size.algorithm, 0, START),
            now: Clock::manual(UnixTime::from_secs(START)).now(),
        }
    }

    /// What a caller asks.
    pub(crate) fn parts(&self) -> Parts {
        let request = http::Request::get("/accounts/acme/usage?from=2026-01-01&to=2026-02-01")
            .header("host", "api.example.org")
            .header(
                "user-agent",
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
            )
            .header("accept", "application/json")
            .header("accept-encoding", "gzip, br")
            .header("x-forwarded-for", "192.0.2.7")
            .header("authorization", format!("Bearer {}", self.token));
        request.body(()).unwrap().into_parts().0
    }

    pub(crate) fn canonical(&self, parts: Parts) -> Canonical<()> {
        Canonical::parse(parts, (), &self.connection, &self.rules)
            .ok()
            .unwrap()
    }

    pub(crate) fn routed(&self) -> Routed<()> {
        self.canonical(self.parts())
            .route(&self.policy, self.now)
            .ok()
            .unwrap()
    }

    pub(crate) fn known(&self, routed: Routed<()>, cache: &mut TokenCache) -> Known<()> {
        match authn::identify(routed, &self.issuers, &[], cache, self.now) {
            Identified::Known(known) => known,
            Identified::NeedsKey(..) | Identified::NeedsReview(..) | Identified::Rejected(_) => {
                unreachable!("a good token")
            }
        }
    }

    /// A cache that knows the token.
    pub(crate) fn warm(&self) -> TokenCache {
        let mut cache = TokenCache::new(1 << 20);
        drop(self.known(self.routed(), &mut cache));
        cache
    }
}
