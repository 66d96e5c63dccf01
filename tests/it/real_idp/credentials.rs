//! Tokens that we obtain ourselves from the certified provider, with every way of authenticating that it takes.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::{Provider, SECRET, bed, usage};
use crate::bed::{Variant, assert_forwarded, keys};

/// A folder with a configuration that has one credential.
pub(super) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        for (name, text) in [
            ("secret", format!("{SECRET}\n")),
            ("odd", format!("{SECRET} a:b+c&d%25=\n")),
            ("wrong", "not the secret".to_owned()),
            ("rsa.pem", keys::RSA_1.pem().to_owned()),
            ("pss.pem", keys::PS_1.pem().to_owned()),
            ("p256.pem", keys::ES256_1.pem().to_owned()),
            ("ed25519.pem", keys::ED25519_1.pem().to_owned()),
        ] {
            place.write(name, &text);
        }
        place
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }

    /// What `countersign token` says about a credential, and whether a token came.
    pub(super) fn ask(
        &self,
        provider: &Provider,
        client: &str,
        way: &str,
        more: &str,
    ) -> (bool, Value) {
        let issuer = provider.issuer();
        let config = format!(
            r#"
inbound: {{listen: "127.0.0.1:0", upstream: "http://127.0.0.1:8000"}}
issuers:
  - {{name: provider, issuer: "{issuer}", jwks: {{discover: true, allow_http: true}}, audiences: [api]}}
routes: [{{path: /**, allow: {{issuer: provider}}}}]
credentials:
  agent:
    token_endpoint: {{discover: "{issuer}"}}
    allow_http: true
    client_id: {client}
    client_authentication: {way}
    scopes: [usage:read]
    {more}
"#
        );
        let file = self.write("config.yaml", &config);
        let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .args([
                "token",
                "--credential",
                "agent",
                "--reveal",
                "--output",
                "json",
                "--config",
            ])
            .arg(file)
            .output()
            .expect("the program");
        let said = String::from_utf8_lossy(&output.stdout);
        let told = serde_json::from_str(&said)
            .unwrap_or_else(|_| panic!("{said} {}", String::from_utf8_lossy(&output.stderr)));
        (output.status.success(), told)
    }
}

/// A token came, and it is what was asked for.
#[track_caller]
fn obtained((came, told): &(bool, Value), client: &str) -> String {
    assert!(came, "{told}");
    assert_eq!(told["kind"], "jwt", "{told}");
    assert_eq!(told["claims"]["client_id"], json!(client), "{told}");
    assert_eq!(told["claims"]["aud"], "usage-api", "{told}");
    assert_eq!(told["claims"]["scope"], "usage:read", "{told}");
    assert_eq!(told["expires_in_seconds"], 300, "{told}");
    told["access_token"].as_str().expect("a token").to_owned()
}

pub(super) const RESOURCE: &str = "resource: \"urn:usage-api:ES256\"";

#[test]
fn a1_real_idp_takes_the_secret_as_basic_and_in_the_form() {
    let Some(provider) = Provider::start() else {
        return;
    };
    let (place, bed) = (Place::new(), bed(&provider));
    for (client, way) in [
        ("secret-client", "{client_secret_basic: {file: secret}}"),
        ("odd-client", "{client_secret_basic: {file: odd}}"),
        ("post-client", "{client_secret_post: {file: secret}}"),
    ] {
        let token = obtained(&place.ask(&provider, client, way, RESOURCE), client);
        let seen = assert_forwarded(&bed, Variant::PLAIN, &usage(&token));
        assert_eq!(seen.header("x-auth-client"), Some(client));
    }
}

#[test]
fn a2_real_idp_takes_an_assertion_of_every_algorithm_again_and_again() {
    let Some(provider) = Provider::start() else {
        return;
    };
    let (place, bed) = (Place::new(), bed(&provider));
    for (algorithm, key) in [
        ("RS256", "{key: {file: rsa.pem}, algorithm: RS256}"),
        (
            "RS256",
            "{key: {file: rsa.pem}, algorithm: RS256, kid: rsa-1}",
        ),
        ("PS256", "{key: {file: pss.pem}}"),
        ("ES256", "{key: {file: p256.pem}, kid: es256-1}"),
        ("EdDSA", "{key: {file: ed25519.pem}}"),
    ] {
        let client = format!("key-client-{algorithm}");
        let way = format!("{{private_key_jwt: {key}}}");
        for _ in 0..2 {
            let token = obtained(&place.ask(&provider, &client, &way, RESOURCE), &client);
            let seen = assert_forwarded(&bed, Variant::PLAIN, &usage(&token));
            assert_eq!(seen.header("x-auth-client"), Some(client.as_str()));
        }
    }
    // Of an algorithm that is not this client's.
    let way = "{private_key_jwt: {key: {file: rsa.pem}}}";
    let (came, told) = place.ask(&provider, "key-client-RS256", way, RESOURCE);
    assert!(!came);
    assert_eq!(told["oauth_error"], "invalid_client", "{told}");
}

#[test]
fn a2_real_idp_refuses_an_assertion_that_it_has_seen() {
    let Some(provider) = Provider::start() else {
        return;
    };
    let place = Place::new();
    let first = provider.assertion("first", &keys::ES256_1);
    place.write("projected", &first);
    let way = "{client_assertion: {file: projected}}";
    obtained(
        &place.ask(&provider, "key-client", way, RESOURCE),
        "key-client",
    );
    let (status, answer) = provider.ask_with("usage-api:ES256", &first);
    assert_eq!((status, &answer["error"]), (401, &json!("invalid_client")));
    // A projected token is not ours to vary: the one who projects it puts another there.
    let (came, told) = place.ask(&provider, "key-client", way, RESOURCE);
    assert!(!came, "{told}");
    place.write("projected", &provider.assertion("second", &keys::ES256_1));
    obtained(
        &place.ask(&provider, "key-client", way, RESOURCE),
        "key-client",
    );
}

#[test]
fn a1_real_idp_refusals_are_told_in_words_with_a_hint() {
    let Some(provider) = Provider::start() else {
        return;
    };
    let place = Place::new();
    let basic = "{client_secret_basic: {file: secret}}";
    for (client, way, more, error, word) in [
        (
            "secret-client",
            "{client_secret_basic: {file: wrong}}",
            RESOURCE,
            "invalid_client",
            "secret",
        ),
        ("nobody", basic, RESOURCE, "invalid_client", "client id"),
        (
            "secret-client",
            basic,
            "resource: \"urn:elsewhere\"",
            "invalid_target",
            "`resource`",
        ),
        (
            "key-client",
            basic,
            RESOURCE,
            "invalid_client",
            "way of authenticating",
        ),
    ] {
        let (came, told) = place.ask(&provider, client, way, more);
        assert!(!came, "{told}");
        assert_eq!(told["oauth_error"], error, "{told}");
        assert!(
            told["hint"]
                .as_str()
                .is_some_and(|hint| hint.contains(word)),
            "{told}"
        );
        assert!(told.get("access_token").is_none(), "{told}");
        assert!(!told.to_string().contains(SECRET), "{told}");
    }
}
