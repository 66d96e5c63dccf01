//! `credentials`: what loads, and what is said of what does not.

use super::*;
use crate::credential::{ClientAuthentication, TokenEndpoint};

const GOOD: &str = "credentials: {agent: {token_endpoint: {url: https://id.example.org/token}, client_id: agent, client_authentication: {client_secret_basic: {file: client-secret}}}}";

const USED: &str = "outbound: {name: out, listen: 127.0.0.1:0, upstream: https://usage.example.org, credential: agent, paths: [/**]}";

fn good() -> String {
    and(&format!("{GOOD}\n{USED}"))
}

/// [`GOOD`] with `old` replaced.
fn but(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old), "{old}");
    and(&format!("{}\n{USED}", GOOD.replacen(old, new, 1)))
}

const BASIC: &str = "{client_secret_basic: {file: client-secret}}";

#[test]
fn a1_a_credential_has_defaults() {
    let config = Place::new().load(&good()).unwrap();
    let [agent] = config.credentials.as_slice() else {
        panic!("{:?}", config.credentials);
    };
    assert_eq!(&*agent.name, "agent");
    let url = "https://id.example.org/token".to_owned();
    assert_eq!(agent.endpoint, TokenEndpoint::Url(url));
    let seconds = [agent.refresh_before, agent.timeout, agent.cooldown].map(|it| it.as_secs());
    assert_eq!(seconds, [30, 5, 30]);
    assert!(!agent.allow_http);
}

#[test]
fn a_pairing_or_a_key_of_proofs_that_is_wrong_is_told_with_its_place() {
    refused(&[
        (
            but("{url:", "{pair: https://api.example.org, url:"),
            "credentials.agent.token_endpoint: takes one of `discover`, `url` and `pair`",
        ),
        (
            but("{url:", "{pair:"),
            "credentials.agent.token_endpoint: `pair` and `issuers` belong together",
        ),
        (
            but("{url:", "{issuers: [https://id.example.org], url:"),
            "credentials.agent.token_endpoint: `pair` and `issuers` belong together",
        ),
        (
            but("{url:", "{issuers: [http://id.example.org], pair:"),
            "credentials.agent.token_endpoint.issuers[0]: tokens over plain http",
        ),
        (
            but("client_id:", "dpop: {algorithm: RS256}, client_id:"),
            "credentials.agent.dpop.algorithm: ",
        ),
        (
            but(
                "client_id:",
                "dpop: {key: {file: client-secret}}, client_id:",
            ),
            "credentials.agent.dpop.key: ",
        ),
    ]);
}

#[test]
fn a1_a_credential_that_is_wrong_is_told_with_its_place() {
    refused(&[
        (
            but("{url: https://id.example.org/token}", "{}"),
            "credentials.agent.token_endpoint: takes one of `discover`, `url` and `pair`",
        ),
        (
            but("{url:", "{discover: https://id.example.org, url:"),
            "credentials.agent.token_endpoint: takes one of `discover`, `url` and `pair`",
        ),
        (
            but("{url:", "{uri:"),
            "credentials.agent.token_endpoint.uri: unknown key `uri`",
        ),
        (
            but("https:", "http:"),
            "credentials.agent.token_endpoint.url: tokens over plain http",
        ),
        (
            but("url: https:", "discover: HTTP:"),
            "credentials.agent.token_endpoint.discover: ",
        ),
        (
            but("https://id", "https://user:word@id"),
            "credentials.agent.token_endpoint.url",
        ),
        (
            but("client_id: agent, ", ""),
            "credentials.agent: `client_id` is missing",
        ),
        (
            but(
                ", client_authentication: {client_secret_basic: {file: client-secret}}",
                "",
            ),
            "credentials.agent: `client_authentication` is missing",
        ),
    ]);
    let allowed = but("https:", "http:").replace("client_id", "allow_http: true, client_id");
    Place::new().load(&allowed).unwrap();
}

#[test]
fn a1_a_credential_that_asks_for_nonsense_is_told() {
    refused(&[
        (
            but(BASIC, "{}"),
            "credentials.agent.client_authentication: names no way of authenticating",
        ),
        (
            but(
                "{client_secret_basic:",
                "{client_assertion: {file: client-assertion}, client_secret_basic:",
            ),
            "names several ways of authenticating: client_secret_basic, client_assertion",
        ),
        (
            but("client_secret_basic", "client_secret_baisc"),
            "client_secret_baisc`",
        ),
        (
            but("{file: client-secret}", "{}"),
            "client_secret_basic: takes one of `file` and `secret`",
        ),
        (
            but("client_id: agent", "client_id: agent, scopes: [\"a b\"]"),
            "credentials.agent.scopes[0]",
        ),
        (
            but("client_id: agent", "client_id: agent, resource: usage"),
            "credentials.agent.resource: `usage` is no absolute URI without a fragment",
        ),
        (
            but(
                "client_id: agent",
                "client_id: agent, resource: \"urn:a#b\"",
            ),
            "credentials.agent.resource: `urn:a#b` is no absolute URI without a fragment",
        ),
        (
            but("client_id: agent", "client_id: agent, refresh_before: 0s"),
            "credentials.agent.refresh_before: must be at least 1s",
        ),
        (
            but("client_id: agent", "client_id: agent, timeout: 2m"),
            "credentials.agent.timeout: must be at most 1m",
        ),
        (
            but(
                "client_id: agent",
                "client_id: agent, ca: {file: client-secret}",
            ),
            "has no certificate in PEM",
        ),
        (but("{agent:", "{\"an agent\":"), "credentials"),
    ]);
}

#[test]
fn a2_keys_and_assertions_that_are_none_are_told() {
    let way = |way: &str| but(BASIC, way);
    refused(&[
        (
            way("{private_key_jwt: {key: {file: tls.crt}}}"),
            "tls.crt holds no private key",
        ),
        (
            way("{private_key_jwt: {key: {file: client-secret}}}"),
            "client-secret is not valid PEM",
        ),
        (
            way("{private_key_jwt: {key: {file: assertion.pem}, algorithm: RS256}}"),
            "holds a P-256 key (ES256), but the algorithm is RS256",
        ),
        (
            way("{private_key_jwt: {key: {file: assertion.pem}, algorithm: HS256}}"),
            "private_key_jwt.algorithm",
        ),
        (
            way("{private_key_jwt: {key: {file: nowhere.pem}}}"),
            "nowhere.pem: no such file",
        ),
        (way("{private_key_jwt: {kid: a}}"), "`key` is missing"),
        (
            way("{client_assertion: {file: nowhere}}"),
            "nowhere: no such file",
        ),
        (
            way("{client_assertion: {file: tls.crt}}"),
            "tls.crt: has no token in it",
        ),
        (way("{client_assertion: {}}"), "`file` is missing"),
        (
            way("{tls_client_auth: {certificate: {file: tls.crt}}}"),
            "`key` is missing",
        ),
        (
            way("{tls_client_auth: {certificate: {file: tls.crt}, key: {file: assertion.pem}}}"),
            "certificate and key do not go together",
        ),
    ]);
}

#[test]
fn a7_a_missing_or_empty_secret_refuses_the_start_with_words() {
    let place = Place::new();
    for (text, expected) in [
        (None, "client-secret: no such file"),
        (Some(""), "client-secret is empty"),
        (Some("\n"), "client-secret is empty"),
        (Some("  \n"), "client-secret is empty"),
        (
            Some("one\ntwo\n"),
            "client-secret has control characters or several lines in it",
        ),
        (
            Some("one\n\n"),
            "client-secret has control characters or several lines in it",
        ),
    ] {
        match text {
            Some(text) => place.secret("client-secret", text),
            None => fs::remove_file(place.path("client-secret")).unwrap(),
        }
        let problems = place.problems(&good());
        assert_eq!(problems.len(), 1, "{text:?}: {problems:?}");
        assert!(problems[0].contains(expected), "{text:?}: {problems:?}");
        place.load(&good()).unwrap_err();
    }
    place.secret("client-secret", "a secret \n");
    place.load(&good()).unwrap();
    let unset = but("{file: client-secret}", "{secret: \"${NOT_SET}\"}");
    refused(&[(unset, "the environment variable `NOT_SET` is not set")]);
}

#[test]
fn a7_secrets_come_from_files_and_the_environment_without_their_line_end() {
    let mut place = Place::new();
    place.set("AGENT_SECRET", "a-client-secret");
    let unix = good();
    place.secret("windows", "a-client-secret\r\n");
    for (name, text) in [
        ("file", unix),
        ("windows", but("client-secret}", "windows}")),
        (
            "environment",
            but("{file: client-secret}", "{secret: \"${AGENT_SECRET}\"}"),
        ),
        (
            "file in a text",
            but(
                "{file: client-secret}",
                &format!(
                    "{{secret: \"${{file:{}}}\"}}",
                    place.path("client-secret").display()
                ),
            ),
        ),
    ] {
        let config = place
            .load(&text)
            .unwrap_or_else(|problems| panic!("{name}: {problems}"));
        let ClientAuthentication::SecretBasic(secret) = &config.credentials[0].authentication
        else {
            panic!("{name}");
        };
        assert_eq!(secret.expose(), b"a-client-secret", "{name}");
    }
}

#[test]
fn a7_secret_files_are_watched_and_projected_tokens_are_not() {
    let place = Place::new();
    let config = place.load(&good()).unwrap();
    assert!(config.files.contains(&place.path("client-secret")));
    let projected = but(BASIC, "{client_assertion: {file: client-assertion}}");
    let config = place.load(&projected).unwrap();
    assert!(!config.files.contains(&place.path("client-assertion")));
}

#[test]
fn invariant_46_a_secret_that_stands_in_the_document_is_an_error_and_is_not_shown() {
    for way in [
        "{client_secret_basic: hunter2canary}",
        "{client_secret_basic: {secret: hunter2canary}}",
        "{client_secret_post: {secret: hunter2canary}}",
        "{client_secret_post: [hunter2canary]}",
        "{client_secret: hunter2canary}",
        "{private_key_jwt: hunter2canary}",
        "{private_key_jwt: {key: hunter2canary}}",
        "{private_key_jwt: {key: {secret: hunter2canary}}}",
    ] {
        let problems = Place::new().load(&but(BASIC, way)).expect_err(way);
        let shown = format!("{problems}{}", problems.to_json());
        assert!(!shown.contains("hunter2canary"), "{way}: {shown}");
        assert!(problems.errors() > 0, "{way}");
    }
}
