//! The positive twin of every search: what is there is found.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::{Secrets, forms};
use crate::bed::keys;

const SECRET: &[u8] = b"canary/\xff+of?the>\"tests\"\nthat nobody may see";

fn taught() -> Secrets {
    let mut secrets = Secrets::default();
    secrets.learn("the canary", SECRET);
    secrets
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn invariant_46_a_canary_that_is_there_is_found_in_every_form() {
    let text = String::from_utf8_lossy(SECRET).into_owned();
    let percent: String = SECRET.iter().map(|byte| format!("%{byte:02X}")).collect();
    let mut rows = vec![
        ("raw", SECRET.to_vec()),
        ("hex", hex(SECRET).into_bytes()),
        ("hex in upper case", hex(SECRET).to_uppercase().into_bytes()),
        ("JSON", serde_json::json!({ "x": text }).to_string().into()),
        ("debug text", format!("{:?}", "that nobody may see").into()),
        ("debug bytes", format!("{SECRET:?}").into()),
        (
            "percent",
            b"canary%2F%FF%2Bof%3Fthe%3E%22tests%22%0Athat%20nobody".to_vec(),
        ),
        (
            "percent in lower case",
            b"canary%2f%ff%2bof%3fthe%3e%22tests%22%0athat%20nobody".to_vec(),
        ),
        ("the first half", SECRET[..32].to_vec()),
        ("the second half", SECRET[SECRET.len() - 32..].to_vec()),
    ];
    for before in ["", "u", "us", "user:"] {
        let whole = [before.as_bytes(), SECRET, b"after"].concat();
        rows.push(("base64", STANDARD.encode(&whole).into()));
        rows.push(("base64url", URL_SAFE.encode(&whole).into()));
    }
    let secrets = taught();
    for (form, text) in rows {
        let output = [b"{\"time\":\"T\",\"x\":\"", text.as_slice(), b"\"}\n"].concat();
        let found = secrets.find(&output);
        assert!(
            found.is_some_and(|found| found.contains("the canary")),
            "{form}: {}",
            crate::bed::show(&output)
        );
    }
    // Escapes of what needs none: nothing of ours writes so, and it is not looked for.
    assert!(secrets.find(percent.as_bytes()).is_none());
}

#[test]
fn what_is_not_there_is_not_found() {
    let mut secrets = taught();
    assert!(secrets.find(b"").is_none());
    assert!(
        secrets
            .find(b"{\"time\":\"T\",\"event\":\"a.b\"}")
            .is_none()
    );
    assert!(secrets.find(&SECRET[..15]).is_none(), "less than a piece");
    secrets.learn("filler", &[b'a'; 64]);
    assert!(secrets.find(&[b'a'; 64]).is_none(), "no secret at all");
}

#[test]
fn a_token_is_found_by_any_of_its_parts() {
    let token = crate::bed::Token::new("https://id.example.org", &keys::ES256_1, 0).sign();
    let mut secrets = Secrets::default();
    secrets.learn_token(&token);
    let (message, signature) = token.rsplit_once('.').expect("a token");
    let (_, payload) = message.split_once('.').expect("a message");
    for part in [&token, payload, signature, &STANDARD.encode(&token)] {
        assert!(secrets.find(part.as_bytes()).is_some(), "{part}");
    }
    assert!(secrets.find(hex(signature.as_bytes()).as_bytes()).is_some());
    // A proxy of the bed looks for what any part of the bed has signed.
    assert!(super::find(token.as_bytes()).is_some());
}

#[test]
fn private_keys_are_found_and_public_ones_are_not() {
    for key in [
        &keys::RSA_1,
        &keys::RSA_2,
        &keys::ES256_1,
        &keys::ES384_1,
        &keys::ED25519_1,
    ] {
        let der = keys::der(key.pem());
        let parts = forms::private_parts(&der);
        assert!(!parts.is_empty(), "{}", key.kid);
        let mut secrets = Secrets::default();
        for part in parts {
            assert!(part.len() >= 32, "{}: {part:?}", key.kid);
            secrets.learn(key.kid, &part);
        }
        let jwk = key.jwk().to_string();
        assert!(secrets.find(jwk.as_bytes()).is_none(), "{jwk}");
        assert!(secrets.find(key.pem().as_bytes()).is_some(), "{}", key.kid);
        assert!(secrets.find(&der).is_some(), "{}", key.kid);
    }
}
