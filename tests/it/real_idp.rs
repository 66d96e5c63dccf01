//! A certified OpenID provider (npm's `oidc-provider`) as the issuer: discovery, and the access tokens it makes.

mod bound;
mod credentials;

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign::clock::Clock;
use serde_json::{Value, json};

use crate::bed::{
    Bed, Connection, Key, Request, Setup, Token, Variant, assert_forwarded, assert_refused, keys,
    reconcile, secrets,
};
use crate::program::{Program, node};

pub const SECRET: &str = "only-for-this-test";

/// The provider, running.
pub struct Provider {
    program: Program,
}

impl Provider {
    /// `None`, and said so, where it cannot run.
    pub fn start() -> Option<Self> {
        let mut node = node("oidc-provider", "tests/oidc-provider")?;
        let client_keys = [&keys::ES256_1, &keys::RSA_1, &keys::PS_1, &keys::ED25519_1];
        let client_keys = json!({"keys": client_keys.map(Key::jwk)}).to_string();
        node.arg("server.mjs")
            .env("CLIENT_SECRET", SECRET)
            .env("CLIENT_JWKS", client_keys);
        Some(Self {
            program: Program::start(&mut node),
        })
    }

    pub fn issuer(&self) -> &str {
        &self.program.place
    }

    fn address(&self) -> SocketAddr {
        self.issuer()
            .trim_start_matches("http://")
            .parse()
            .expect("an address")
    }

    /// Asks the token endpoint; `resource` is `AUDIENCE:ALGORITHM`.
    fn ask(&self, resource: &str, form: &str, authorization: Option<&str>) -> (u16, Value) {
        let body =
            format!("grant_type=client_credentials&scope=usage:read&resource=urn:{resource}{form}");
        let mut request = Request::post("/token", body)
            .host(&self.address().to_string())
            .header("content-type", "application/x-www-form-urlencoded");
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let response = Connection::open(self.address()).exchange(request.bytes());
        (response.status, response.json())
    }

    /// An access token of `secret-client` (`client_secret_basic`).
    pub fn token(&self, resource: &str) -> String {
        let token = access_token(&self.ask(resource, "", Some(&basic())));
        secrets::learn_token(&token);
        token
    }

    /// `secret-client` gives a token back (RFC 7009).
    pub fn revoke(&self, token: &str) {
        let request = Request::post("/token/revocation", format!("token={token}"))
            .host(&self.address().to_string())
            .header("content-type", "application/x-www-form-urlencoded")
            .header("authorization", &basic());
        drop(
            Connection::open(self.address())
                .exchange(request.bytes())
                .expect(200),
        );
    }

    /// Asks as `key-client` (`private_key_jwt`) with an assertion signed by `key`.
    fn ask_with_key(&self, resource: &str, key: &'static Key) -> (u16, Value) {
        let id = format!("{}-{}", key.kid, resource.len());
        self.ask_with(resource, &self.assertion(&id, key))
    }

    /// An assertion of `key-client` with this id, signed by `key`.
    fn assertion(&self, id: &str, key: &'static Key) -> String {
        let now = Clock::system().now().unix.as_secs();
        Token::new("key-client", &keys::ES256_1, now)
            .header("typ", "JWT")
            .claim("sub", "key-client")
            .claim("aud", self.issuer())
            .claim("jti", format!("{now}-{id}"))
            .signed_by(key)
            .sign()
    }

    fn ask_with(&self, resource: &str, assertion: &str) -> (u16, Value) {
        let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
        self.ask(
            resource,
            &format!("&client_assertion_type={kind}&client_assertion={assertion}"),
            None,
        )
    }
}

fn basic() -> String {
    let pair = STANDARD.encode(format!("secret-client:{SECRET}"));
    format!("Basic {pair}")
}

fn access_token((status, answer): &(u16, Value)) -> String {
    assert_eq!(*status, 200, "{answer}");
    answer["access_token"].as_str().expect("a token").to_owned()
}

fn bed(provider: &Provider) -> Bed {
    let config = r#"
issuers:
  - name: provider
    issuer: "@PROVIDER@"
    jwks: {discover: true, allow_http: true}
    audiences: [usage-api]
    algorithms: [RS256, ES256, EdDSA, Ed25519]
    token_types: [at+jwt]
    required_claims: [exp, sub]
identity:
  headers: {x-auth-subject: subject, x-auth-client: client, x-auth-scopes: scopes}
routes:
  - path: /health
    allow: anyone
  - path: /usage
    allow: {issuer: provider, scopes: [usage:read]}
  - path: /admin
    allow: {issuer: provider, client: key-client, scopes: [usage:write]}
"#;
    let bed = Setup::bare(&config.replace("@PROVIDER@", provider.issuer()))
        .tls()
        .system_clock()
        .start();
    bed.proxy
        .await_issuer_events("jwks.refreshed", "provider", 1);
    bed
}

fn usage(token: impl AsRef<str>) -> Request {
    Request::get("/usage").bearer(token)
}

/// The token with one bit of the piece changed.
fn tampered(token: &str, piece: usize) -> String {
    let mut pieces: Vec<String> = token.split('.').map(str::to_owned).collect();
    let at = pieces[piece].len() / 2;
    let other = if pieces[piece].as_bytes()[at] == b'A' {
        "B"
    } else {
        "A"
    };
    pieces[piece].replace_range(at..=at, other);
    pieces.join(".")
}

#[test]
fn real_idp_discovery_and_every_algorithm_through_the_proxy() {
    let Some(provider) = Provider::start() else {
        return;
    };
    let bed = bed(&provider);
    for algorithm in ["RS256", "ES256", "EdDSA", "Ed25519"] {
        let token = provider.token(&format!("usage-api:{algorithm}"));
        for variant in Variant::ALL {
            let seen = assert_forwarded(&bed, variant, &usage(&token));
            assert_eq!(
                seen.header("x-auth-subject"),
                Some("secret-client"),
                "{algorithm}"
            );
            assert_eq!(
                seen.header("x-auth-client"),
                Some("secret-client"),
                "{algorithm}"
            );
            assert_eq!(
                seen.header("x-auth-scopes"),
                Some("usage:read"),
                "{algorithm}"
            );
            assert_eq!(seen.header("authorization"), None, "{algorithm}");
        }
        // Whole and good in all but one thing.
        assert_refused(
            &bed,
            Variant::PLAIN,
            &usage(tampered(&token, 2)),
            401,
            "token_signature",
        );
        assert_refused(
            &bed,
            Variant::PLAIN,
            &usage(tampered(&token, 1)),
            401,
            "token_malformed|token_signature|token_claim|token_issuer|token_expired|token_audience",
        );
        let elsewhere = provider.token(&format!("other-api:{algorithm}"));
        assert_refused(
            &bed,
            Variant::PLAIN,
            &usage(elsewhere),
            401,
            "token_audience",
        );
        // Good, and not for this route.
        let admin = Request::get("/admin").bearer(&token);
        assert_refused(
            &bed,
            Variant::PLAIN,
            &admin,
            403,
            "condition_client|caller_not_allowed|scope_missing",
        );
    }
    // Signed by the provider, with an algorithm that is not this issuer's here.
    let token = provider.token("usage-api:PS256");
    assert_refused(&bed, Variant::PLAIN, &usage(token), 401, "token_algorithm");
    reconcile(&bed);
}

#[test]
fn real_idp_private_key_jwt_client_through_the_proxy() {
    let Some(provider) = Provider::start() else {
        return;
    };
    let bed = bed(&provider);
    let token = access_token(&provider.ask_with_key("usage-api:ES256", &keys::ES256_1));
    let seen = assert_forwarded(&bed, Variant::PLAIN, &usage(token));
    assert_eq!(seen.header("x-auth-client"), Some("key-client"));
    // The provider itself refuses an assertion that its client did not sign.
    let (status, answer) = provider.ask_with_key("usage-api:RS256", &keys::RSA_1);
    assert_eq!(
        (status, answer["error"].as_str()),
        (401, Some("invalid_client"))
    );
}

#[test]
fn real_idp_outage_after_the_start_loses_nothing() {
    let Some(provider) = Provider::start() else {
        return;
    };
    let bed = bed(&provider);
    let token = provider.token("usage-api:ES256");
    drop(provider);
    assert_forwarded(&bed, Variant::PLAIN, &usage(&token));
    assert_refused(
        &bed,
        Variant::PLAIN,
        &usage(tampered(&token, 2)),
        401,
        "token_signature",
    );
}
