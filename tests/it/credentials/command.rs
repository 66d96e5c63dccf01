//! `countersign token`, in a process of its own.

use std::process::{Command, Output};

use serde_json::Value;

use crate::bed::keys::b64;
use crate::bed::{Behaviour, TokenEndpoint};

const SECRET: &str = "Y29tbWFuZC1saW5lLWNsaWVudC1zZWNyZXQ";

/// Runs it with a configuration whose credentials are `agent` and, where `two`, `other`.
fn token(endpoint: &TokenEndpoint, two: bool, arguments: &[&str]) -> Output {
    let place = tempfile::tempdir().expect("a folder");
    let credential = |name: &str| {
        format!(
            "  {name}: {{token_endpoint: {{url: \"{}\"}}, allow_http: true, client_id: agent, client_authentication: {{client_secret_post: {{file: secret}}}}}}\n",
            endpoint.url()
        )
    };
    let mut config = "outbound: {name: out, listen: \"127.0.0.1:0\", upstream: \"http://127.0.0.1:8000\", credential: agent}\ncredentials:\n".to_owned();
    config.push_str(&credential("agent"));
    if two {
        config.push_str(&credential("other"));
    }
    std::fs::write(place.path().join("secret"), SECRET).expect("a file");
    let file = place.path().join("config.yaml");
    std::fs::write(&file, config).expect("a file");
    Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(["token", "--config"])
        .arg(file)
        .args(arguments)
        .output()
        .expect("the program")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("an exit code")
}

/// All that was said; never the secret.
fn said(output: &Output) -> String {
    let all = [output.stdout.clone(), output.stderr.clone()].concat();
    let all = String::from_utf8(all).expect("text");
    assert!(!all.contains(SECRET), "{all}");
    all
}

fn answers(endpoint: &TokenEndpoint, status: u16, body: &Value) {
    endpoint.behave(Behaviour::Answers(
        status,
        "application/json",
        body.to_string(),
    ));
}

#[test]
fn a1_token_tells_of_an_opaque_token_and_shows_it_only_when_asked() {
    let endpoint = TokenEndpoint::start();
    let output = token(&endpoint, false, &[]);
    let text = said(&output);
    assert_eq!(code(&output), 0, "{text}");
    for word in ["agent (client_secret_post)", "obtained", "300s", "opaque"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(!text.contains(&endpoint.issued()[0]), "{text}");
    let output = token(&endpoint, false, &["--reveal"]);
    assert!(said(&output).contains(&endpoint.issued()[1]));
    assert_eq!(endpoint.asked(), 2, "one request for each command");
}

#[test]
fn a1_token_decodes_claims_and_lets_none_of_them_fool_a_terminal() {
    let endpoint = TokenEndpoint::start();
    let claims =
        serde_json::json!({"sub": "agent", "aud": "usage-api", "odd": "\u{1b}[31mred\u{202e}"});
    let jwt = format!(
        "{}.{}.c2ln",
        b64(r#"{"alg":"ES256"}"#),
        b64(claims.to_string())
    );
    let body = serde_json::json!({"access_token": jwt, "token_type": "bearer", "expires_in": "60", "scope": "usage.read"});
    answers(&endpoint, 200, &body);
    let text = said(&token(&endpoint, false, &[]));
    for word in ["JWT", "60s", "usage.read", "\"aud\": \"usage-api\""] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(
        !text.contains('\u{1b}') && !text.contains('\u{202e}'),
        "{text:?}"
    );
    assert!(!text.contains(&jwt), "{text}");
    let output = token(&endpoint, false, &["--output", "json"]);
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["claims"], claims);
    assert_eq!(told["header"]["alg"], "ES256");
    assert_eq!(
        (&told["state"], &told["kind"]),
        (&"obtained".into(), &"jwt".into())
    );
    assert_eq!(told.get("access_token"), None);
    let output = token(&endpoint, false, &["--output", "json", "--reveal"]);
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["access_token"], jwt);
}

#[test]
fn a1_token_tells_refusals_in_words_with_a_hint_and_exits_with_1() {
    let endpoint = TokenEndpoint::start();
    for (error, word) in [
        ("invalid_client", "registered"),
        ("unauthorized_client", "Service accounts roles"),
        // Keycloak has these words for a wrong secret and for a proof that is missing, oidc-provider the third.
        ("unauthorized_client", "wrong secret"),
        ("invalid_request", "`dpop`"),
        ("invalid_grant", "`dpop`"),
        ("invalid_scope", "`scopes`"),
        ("invalid_target", "`resource`"),
    ] {
        let description = format!("no: {SECRET}");
        let body = serde_json::json!({"error": error, "error_description": description});
        answers(&endpoint, 400, &body);
        let output = token(&endpoint, false, &[]);
        let text = said(&output);
        assert_eq!(code(&output), 1, "{text}");
        assert!(
            text.contains("failed") && text.contains(error) && text.contains(word),
            "{text}"
        );
        let output = token(&endpoint, false, &["--output", "json"]);
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!((code(&output), &told["oauth_error"]), (1, &error.into()));
    }
    endpoint.behave(Behaviour::Resets);
    let output = token(&endpoint, false, &[]);
    assert_eq!(code(&output), 1);
    assert!(said(&output).contains("connection: "));
}

#[test]
fn a1_token_knows_which_credential_is_meant() {
    let endpoint = TokenEndpoint::start();
    for (arguments, two, exit, word) in [
        (&["--credential", "agent"][..], true, 0, "obtained"),
        (&["--credential", "other"], true, 0, "other"),
        (
            &[],
            true,
            2,
            "--credential is missing; one of: agent, other",
        ),
        (
            &["--credential", "nobody"],
            true,
            2,
            "no credential called `nobody`; one of: agent, other",
        ),
        (&["--config", "/nowhere.yaml"], false, 2, "--config"),
    ] {
        let output = token(&endpoint, two, arguments);
        let text = said(&output);
        assert_eq!(code(&output), exit, "{arguments:?}: {text}");
        assert!(text.contains(word), "{text}");
    }
    let bad = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(["token", "--config", "/nowhere.yaml"])
        .output()
        .expect("the program");
    assert_eq!(code(&bad), 64, "{}", said(&bad));
}
