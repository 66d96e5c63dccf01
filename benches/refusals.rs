//! What a refused token costs beside an accepted one, in instructions: invariant 62. Not a benchmark of time.
//!
//! `benches/refusals.sh` counts them with valgrind, kind by kind. Without arguments (as `cargo test` and `cargo bench` run
//! it) every kind is judged once and its outcome checked.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "a benchmark that cannot start must stop; it prints its kinds, of which there is a table"
)]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use countersign::authn::{
    self, Identified, Issuer, Issuers, KeyCell, KeySet, KeyState, TokenCache,
};
use countersign::authz::Policy;
use countersign::clock::{Clock, Now, UnixTime};
use countersign::config;
use countersign::request::{Canonical, Connection, RequestRules};
use serde_json::{Value, json};

// As the program does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RSA: &str = include_str!("../tests/fixtures/keys/rsa-1.pem");
const P256: &str = include_str!("../tests/fixtures/keys/es256-1.pem");
const START: i64 = 1_800_000_000;
const DOCUMENT: &str = "
inbound: {listen: 127.0.0.1:0, upstream: http://127.0.0.1:9}
admin: {listen: 127.0.0.1:0}
issuers:
  - {name: main, issuer: https://id.example.org, jwks: {file: jwks.json}, audiences: [api], algorithms: [RS256, ES256]}
routes: [{path: /**, allow: {issuer: main}}]
";

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn der(pem: &str) -> Vec<u8> {
    let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(text).unwrap()
}

struct Keys {
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
}

impl Keys {
    fn new() -> Self {
        Self {
            rsa: RsaKeyPair::from_pkcs8(&der(RSA)).unwrap(),
            p256: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der(P256)).unwrap(),
        }
    }

    fn jwks(&self) -> String {
        let public = self.rsa.public_key();
        let n = encode(public.modulus().big_endian_without_leading_zero());
        let e = encode(public.exponent().big_endian_without_leading_zero());
        let (x, y) = self.p256.public_key().as_ref().split_at(1).1.split_at(32);
        json!({"keys": [
            {"kty": "RSA", "kid": "RS256", "n": n, "e": e},
            {"kty": "EC", "kid": "ES256", "crv": "P-256", "x": encode(x), "y": encode(y)},
        ]})
        .to_string()
    }

    fn sign(&self, alg: &str, header: &str, payload: &str) -> String {
        let message = format!("{}.{}", encode(header), encode(payload));
        let random = SystemRandom::new();
        let signature = if alg == "ES256" {
            let signature = self.p256.sign(&random, message.as_bytes()).unwrap();
            encode(signature)
        } else {
            let mut signature = vec![0; self.rsa.public_modulus_len()];
            self.rsa
                .sign(
                    &RSA_PKCS1_SHA256,
                    &random,
                    message.as_bytes(),
                    &mut signature,
                )
                .unwrap();
            encode(signature)
        };
        format!("{message}.{signature}")
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://id.example.org", "aud": "api", "sub": "f:4f2c:alice", "azp": "web", "scope": "read write profile",
        "iat": START, "exp": START + 300, "account": "acme", "jti": "a1b2c3d4e5f6", "email": "alice@example.org",
        "realm_access": {"roles": ["offline_access", "uma_authorization", "default-roles"]},
    })
}

/// A token by name, and the reason for which it is refused (`None`: it is accepted).
fn token(keys: &Keys, kind: &str) -> Option<(String, Option<&'static str>)> {
    let header = |alg: &str| format!(r#"{{"alg":"{alg}","kid":"{alg}"}}"#);
    let good = |alg: &str| keys.sign(alg, &header(alg), &claims().to_string());
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        let members = claims.as_object_mut().unwrap();
        members.insert(name.to_owned(), value);
        keys.sign("RS256", &header("RS256"), &claims.to_string())
    };
    // Of as many bytes as may be, and a signature that nobody made.
    let bomb = |member: &str| {
        let text = claims().to_string();
        let rest = text.strip_suffix('}').unwrap();
        let payload = format!("{rest},{member}}}");
        format!(
            "{}.{}.{}",
            encode(header("RS256")),
            encode(payload),
            encode([7; 256])
        )
    };
    let many = |first: &str, more: &str, last: &str, times: usize| {
        format!("{first}{}{last}", more.repeat(times))
    };
    let names = |times: usize| {
        use std::fmt::Write as _;
        let mut text = String::from("\"x\":{\"\":0");
        for n in 0..times {
            write!(text, ",\"{n:x}\":0").unwrap();
        }
        text + "}"
    };
    Some(match kind {
        "accepted RS256" => (good("RS256"), None),
        "accepted ES256" => (good("ES256"), None),
        // As one from an issuer that says all groups.
        "accepted RS256, 16 KiB" => {
            let groups: Vec<String> = (0..282)
                .map(|n| format!("{n:08x}-0000-4000-8000-{n:012x}"))
                .collect();
            (with("groups", json!(groups)), None)
        }
        "bad signature RS256" => (bomb("\"x\":0"), Some("token_signature")),
        "bad signature ES256" => {
            let good = good("ES256");
            let (signed, _) = good.rsplit_once('.').unwrap();
            (
                format!("{signed}.{}", encode([7; 64])),
                Some("token_signature"),
            )
        }
        "dots" => (".".repeat(16_384), Some("token_malformed")),
        "letters" => ("A".repeat(16_384), Some("token_malformed")),
        "zeros in three parts" => {
            let part = "A".repeat(7_000);
            (format!("{part}.{part}.AAAA"), Some("token_malformed"))
        }
        "too large" => ("A".repeat(16_385), Some("token_too_large")),
        "deep" => (bomb(&"\"x\":[".repeat(2_000)), Some("token_malformed")),
        "issuer" => (
            with("iss", json!("https://else.example.org")),
            Some("token_issuer"),
        ),
        "expired" => (with("exp", json!(START - 300)), Some("token_expired")),
        "audience" => (with("aud", json!("other")), Some("token_audience")),
        "type" => (with("typ", json!("ID")), Some("token_type")),
        "unknown key" => (
            keys.sign(
                "RS256",
                r#"{"alg":"RS256","kid":"x"}"#,
                &claims().to_string(),
            ),
            Some("needs a key"),
        ),
        "algorithm" => (
            keys.sign(
                "RS256",
                r#"{"alg":"HS256","kid":"RS256"}"#,
                &claims().to_string(),
            ),
            Some("token_algorithm"),
        ),
        "one long text" => (
            bomb(&many("\"x\":\"", "x", "\"", 11_500)),
            Some("token_signature"),
        ),
        "escapes" => (
            bomb(&many("\"x\":\"", "\\u0041", "\"", 1_900)),
            Some("token_signature"),
        ),
        "numbers" => (
            bomb(&many("\"x\":[0", ",0", "]", 5_700)),
            Some("token_malformed"),
        ),
        "texts" => (
            bomb(&many("\"x\":[\"\"", ",\"\"", "]", 3_800)),
            Some("token_malformed"),
        ),
        "lists" => (
            bomb(&many("\"x\":[[]", ",[]", "]", 3_800)),
            Some("token_malformed"),
        ),
        "values and a text" => {
            let text = "x".repeat(9_400);
            (
                bomb(&many(
                    &format!("\"y\":\"{text}\",\"x\":[0"),
                    ",0",
                    "]",
                    1_000,
                )),
                Some("token_signature"),
            )
        }
        "names" => (bomb(&names(1_100)), Some("token_malformed")),
        "digits" => (
            bomb(&many("\"nbf\":-1", "0", "", 11_500)),
            Some("token_signature"),
        ),
        "names in the header" => {
            let text = names(1_100);
            let header = format!(r#"{{"alg":"RS256","kid":"RS256",{text}}}"#);
            let signature = encode([7; 256]);
            let payload = encode(claims().to_string());
            (
                format!("{}.{payload}.{signature}", encode(header)),
                Some("token_malformed"),
            )
        }
        _ => return None,
    })
}

const KINDS: [&str; 25] = [
    "accepted RS256",
    "accepted RS256, 16 KiB",
    "accepted ES256",
    "bad signature RS256",
    "bad signature ES256",
    "dots",
    "letters",
    "zeros in three parts",
    "too large",
    "deep",
    "issuer",
    "expired",
    "audience",
    "type",
    "unknown key",
    "algorithm",
    "one long text",
    "escapes",
    "numbers",
    "texts",
    "values and a text",
    "lists",
    "names",
    "digits",
    "names in the header",
];

struct World {
    policy: Policy,
    issuers: Issuers,
    rules: RequestRules,
    connection: Arc<Connection>,
    now: Now,
}

impl World {
    fn new(keys: &Keys) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("countersign.yaml");
        std::fs::write(directory.path().join("jwks.json"), keys.jwks()).unwrap();
        std::fs::write(&path, DOCUMENT).unwrap();
        let config = config::load(&path, None).unwrap();
        let (set, skipped) = KeySet::parse(keys.jwks().as_bytes()).unwrap();
        assert!(skipped.is_empty());
        let cell = Arc::new(KeyCell::default());
        cell.store(KeyState::Usable(set));
        let (settings, _) = config.issuers.first().unwrap();
        Self {
            policy: config.policy.at(1),
            issuers: Issuers::new(vec![Arc::new(Issuer::new(settings.clone(), cell))]),
            rules: RequestRules {
                header_bytes: 1 << 16,
                ..RequestRules::default()
            },
            connection: Arc::new(Connection {
                listener: "inbound".into(),
                peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
                tls: false,
                unix: false,
                client_certificate: None,
            }),
            now: Clock::manual(UnixTime::from_secs(START)).now(),
        }
    }

    /// Judges it as a request's token, without a cache. The one function whose instructions are counted.
    #[inline(never)]
    fn judge(&self, token: &str) -> Option<&'static str> {
        let request = http::Request::get("/x")
            .header("host", "api.example.org")
            .header("authorization", format!("Bearer {token}"));
        let parts = request.body(()).unwrap().into_parts().0;
        let canonical = Canonical::parse(parts, (), &self.connection, &self.rules);
        let routed = canonical.ok().unwrap().route(&self.policy, self.now);
        let mut cache = TokenCache::new(0);
        let routed = routed.ok().unwrap();
        match authn::identify(routed, &self.issuers, &[], &mut cache, self.now) {
            Identified::Known(_) => None,
            Identified::NeedsKey(..) => Some("needs a key"),
            Identified::NeedsReview(..) => Some("needs a review"),
            Identified::Rejected(refused) => Some(refused.rejection().reason()),
        }
    }
}

fn main() {
    let keys = Keys::new();
    let world = World::new(&keys);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [kind, count] = arguments.as_slice()
        && let (Some((token, expected)), Ok(count)) = (token(&keys, kind), count.parse::<usize>())
    {
        for _ in 0..count {
            assert_eq!(
                black_box(world.judge(black_box(&token))),
                expected,
                "{kind}"
            );
        }
        return;
    }
    for kind in KINDS {
        let (token, expected) = token(&keys, kind).unwrap();
        assert_eq!(world.judge(&token), expected, "{kind}");
        assert!(token.len() <= 16_385, "{kind}: {}", token.len());
        println!("{kind}");
    }
}
