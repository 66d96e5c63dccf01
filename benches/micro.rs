//! What the pure core costs per request. `cargo bench`; figures are compared by people, never pass or fail.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot start must stop"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{KeyPair as _, RsaKeyPair};
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
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::request::Parts;
use serde_json::json;

const PEM: &str = include_str!("../tests/fixtures/keys/rsa-1.pem");
const START: i64 = 1_800_000_000;

/// What a worker holds.
struct World {
    policy: Policy,
    issuers: Issuers,
    identity: Identity,
    rules: RequestRules,
    connection: Arc<Connection>,
    token: String,
    now: Now,
}

/// A document with `routes` routes that nobody asks for, beside the two that are asked for.
fn document(routes: usize, assertion: bool) -> String {
    let mut text = "
inbound: {listen: 127.0.0.1:0, upstream: http://127.0.0.1:9}
admin: {listen: 127.0.0.1:0}
issuers:
  - {name: main, issuer: https://id.example.org, jwks: {file: jwks.json}, audiences: [api], algorithms: [RS256]}
identity:
  headers: {x-auth-subject: subject, x-auth-client: client, x-auth-scopes: scopes, x-auth-account: account}
"
    .to_owned();
    if assertion {
        text.push_str("  assertion: {audience: api}\n");
    }
    text.push_str(
        "callers:\n  web: {issuer: main, client: web}\nroutes:\n  - {path: /health, allow: anyone}\n  \
         - path: /accounts/{account}/usage\n    allow: {GET: {caller: web, scopes: [read]}}\n",
    );
    for number in 2..routes {
        writeln!(
            text,
            "  - {{path: '/service{}/items/{{item}}/part{number}', allow: web}}",
            number % 50
        )
        .unwrap();
    }
    text
}

fn jwks() -> String {
    let pair = RsaKeyPair::from_pkcs8(&der()).unwrap();
    let public = pair.public_key();
    let encode = |number: &[u8]| URL_SAFE_NO_PAD.encode(number);
    let (n, e) = (public.modulus(), public.exponent());
    let (n, e) = (
        n.big_endian_without_leading_zero(),
        e.big_endian_without_leading_zero(),
    );
    json!({"keys": [{"kty": "RSA", "kid": "rsa-1", "alg": "RS256", "n": encode(n), "e": encode(e)}]}).to_string()
}

fn der() -> Vec<u8> {
    let text: String = PEM.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(text).unwrap()
}

fn token() -> String {
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some("rsa-1".into());
    let claims = json!({
        "iss": "https://id.example.org", "aud": "api", "sub": "f:4f2c:alice", "azp": "web", "scope": "read write profile",
        "iat": START, "exp": START + 300, "account": "acme", "jti": "a1b2c3d4e5f6", "email": "alice@example.org",
        "realm_access": {"roles": ["offline_access", "uma_authorization", "default-roles"]},
    });
    encode(
        &header,
        &claims,
        &EncodingKey::from_rsa_pem(PEM.as_bytes()).unwrap(),
    )
    .unwrap()
}

impl World {
    fn new(routes: usize, assertion: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("countersign.yaml");
        std::fs::write(directory.path().join("jwks.json"), jwks()).unwrap();
        std::fs::write(&path, document(routes, assertion)).unwrap();
        let config = config::load(&path, None).unwrap();
        let (keys, skipped) = KeySet::parse(jwks().as_bytes()).unwrap();
        assert!(skipped.is_empty());
        let cell = Arc::new(KeyCell::default());
        cell.store(KeyState::Usable(keys));
        let (settings, _) = config.issuers.first().unwrap();
        let identity = Identity::new(Arc::clone(&config.identity), 1).unwrap();
        Self {
            policy: config.policy.at(1),
            issuers: Issuers::new(vec![Arc::new(Issuer::new(settings.clone(), cell))]),
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
            token: token(),
            now: Clock::manual(UnixTime::from_secs(START)).now(),
        }
    }

    fn parts(&self) -> Parts {
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

    fn canonical(&self, parts: Parts) -> Canonical<()> {
        Canonical::parse(parts, (), &self.connection, &self.rules)
            .ok()
            .unwrap()
    }

    fn routed(&self) -> Routed<()> {
        self.canonical(self.parts())
            .route(&self.policy, self.now)
            .ok()
            .unwrap()
    }

    fn known(&self, routed: Routed<()>, cache: &mut TokenCache) -> Known<()> {
        match authn::identify(routed, &self.issuers, &[], cache, self.now) {
            Identified::Known(known) => known,
            Identified::NeedsKey(..) | Identified::NeedsReview(..) | Identified::Rejected(_) => {
                unreachable!("a good token")
            }
        }
    }

    /// A cache that knows the token.
    fn warm(&self) -> TokenCache {
        let mut cache = TokenCache::new(1 << 20);
        drop(self.known(self.routed(), &mut cache));
        cache
    }
}

fn reading(criterion: &mut Criterion) {
    let world = World::new(10, false);
    criterion.bench_function("canonicalise", |bench| {
        bench.iter_batched(
            || world.parts(),
            |parts| world.canonical(parts),
            BatchSize::SmallInput,
        );
    });
}

fn routing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    for routes in [10, 100, 1000] {
        let world = World::new(routes, false);
        group.bench_function(routes.to_string(), |bench| {
            bench.iter_batched(
                || world.canonical(world.parts()),
                |request| request.route(&world.policy, world.now),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn identifying(criterion: &mut Criterion) {
    let world = World::new(10, false);
    let mut cache = world.warm();
    criterion.bench_function("identify/seen before", |bench| {
        bench.iter_batched(
            || world.routed(),
            |routed| world.known(routed, &mut cache),
            BatchSize::SmallInput,
        );
    });
    let mut nothing = TokenCache::new(0);
    criterion.bench_function("identify/RS256", |bench| {
        bench.iter_batched(
            || world.routed(),
            |routed| world.known(routed, &mut nothing),
            BatchSize::SmallInput,
        );
    });
}

fn deciding(criterion: &mut Criterion) {
    let world = World::new(10, false);
    let mut cache = world.warm();
    criterion.bench_function("authorize", |bench| {
        bench.iter_batched(
            || world.known(world.routed(), &mut cache),
            |known| known.authorize(world.now),
            BatchSize::SmallInput,
        );
    });
}

fn vouching(criterion: &mut Criterion) {
    for (name, assertion) in [
        ("vouch/headers", false),
        ("vouch/headers and assertion", true),
    ] {
        let world = World::new(10, assertion);
        let mut cache = world.warm();
        criterion.bench_function(name, |bench| {
            bench.iter_batched(
                || {
                    world
                        .known(world.routed(), &mut cache)
                        .authorize(world.now)
                        .ok()
                        .unwrap()
                },
                |allowed| allowed.vouch(&world.identity, world.now),
                BatchSize::SmallInput,
            );
        });
    }
}

/// All of it, for a token seen before.
fn whole(criterion: &mut Criterion) {
    let world = World::new(100, true);
    let mut cache = world.warm();
    criterion.bench_function("whole way, seen before", |bench| {
        bench.iter_batched(
            || world.parts(),
            |parts| {
                let routed = world
                    .canonical(parts)
                    .route(&world.policy, world.now)
                    .ok()
                    .unwrap();
                let allowed = world
                    .known(routed, &mut cache)
                    .authorize(world.now)
                    .ok()
                    .unwrap();
                black_box(allowed.vouch(&world.identity, world.now).is_ok())
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = reading, routing, identifying, deciding, vouching, whole
}
criterion_main!(benches);
