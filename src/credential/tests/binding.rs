//! Tokens that are bound to a key (RFC 9449), and resources that say where their tokens come from (RFC 9728).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::identity::SigningAlgorithm;

const RESOURCE: &str = "/.well-known/oauth-protected-resource";
const METADATA: &str = "/.well-known/openid-configuration";

fn bound(token: &str) -> Reply {
    let body = json!({"access_token": token, "token_type": "DPoP", "expires_in": 300});
    Reply::Ok(JSON, body.to_string().into_bytes())
}

fn wants_nonce() -> Reply {
    let body = json!({"error": "use_dpop_nonce"}).to_string().into_bytes();
    Reply::Says(
        400,
        "content-type: application/json\r\ndpop-nonce: first.nonce\r\n",
        body,
    )
}

/// The claims of the proof that a request had, if it had one.
fn proof(idp: &Idp, request: usize) -> Option<Value> {
    let head = idp.head(request);
    let mut proofs = head.lines().filter_map(|line| line.strip_prefix("dpop: "));
    let proof = proofs.next()?;
    assert!(proofs.next().is_none(), "two proofs");
    let claims = proof.split('.').nth(1).unwrap();
    Some(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap())
}

fn with_dpop(idp: &Idp) -> CredentialSettings {
    let mut settings = settings(idp);
    settings.dpop = Some(ProofKeySettings::Generated(SigningAlgorithm::Es256));
    settings
}

#[tokio::test]
async fn a_bound_token_is_asked_for_with_a_proof_and_attached_under_its_scheme() {
    let idp = Idp::start().await;
    idp.reply_at("/token", bound("one"));
    let world = World::with(with_dpop(&idp)).await;
    assert_eq!(world.held().as_deref(), Some("DPoP one"));
    let claims = proof(&idp, 0).unwrap();
    assert_eq!(claims["htm"], "POST");
    assert_eq!(claims["htu"], idp.url("/token"));
    assert_eq!(claims["nonce"], Value::Null);
    // Without the key's configuration there is no proof.
    idp.reply_at("/token", token("two", 300));
    let plain = World::with(settings(&idp)).await;
    assert_eq!(plain.held().as_deref(), Some("Bearer two"));
    assert_eq!(proof(&idp, 1), None);
}

#[tokio::test]
async fn a_server_that_binds_nothing_is_not_believed() {
    let idp = Idp::start().await;
    idp.reply_at("/token", token("stolen", 300));
    let world = World::with(with_dpop(&idp)).await;
    assert_eq!(world.held(), None);
    let error = world.status().last_error.unwrap();
    assert!(error.contains("bound to no key"), "{error}");
    idp.reply_at("/token", bound("one"));
    world.next_request().await;
    assert_eq!(world.held().as_deref(), Some("DPoP one"));
    // The other way round: a token with a key that we do not have is of no use.
    let plain = World::with(settings(&idp)).await;
    assert_eq!(plain.held(), None);
}

#[tokio::test]
async fn a_nonce_that_the_server_wants_costs_one_more_request_once() {
    let idp = Idp::start().await;
    let once = Reply::Once(Box::new(wants_nonce()), Box::new(bound("one")));
    idp.reply_at("/token", once);
    let world = World::with(with_dpop(&idp)).await;
    assert_eq!(world.held().as_deref(), Some("DPoP one"));
    assert_eq!(idp.requests(), 2);
    assert_eq!(proof(&idp, 0).unwrap()["nonce"], Value::Null);
    assert_eq!(proof(&idp, 1).unwrap()["nonce"], "first.nonce");
    assert_ne!(
        proof(&idp, 0).unwrap()["jti"],
        proof(&idp, 1).unwrap()["jti"]
    );
    // It is remembered.
    idp.reply_at("/token", bound("two"));
    world.next_request().await;
    assert_eq!(idp.requests(), 3);
    assert_eq!(proof(&idp, 2).unwrap()["nonce"], "first.nonce");
    // A server that is never content is asked no more often than any other that refuses.
    idp.reply_at("/token", wants_nonce());
    world.next_request().await;
    assert_eq!(idp.requests(), 4);
    assert_eq!(world.status().last_oauth_error, Some("use_dpop_nonce"));
}

#[tokio::test]
async fn a_reload_keeps_the_generated_key_and_the_token_that_is_bound_to_it() {
    let idp = Idp::start().await;
    idp.reply_at("/token", bound("one"));
    let world = World::with(with_dpop(&idp)).await;
    world.configure([with_dpop(&idp)]);
    assert_eq!(world.held().as_deref(), Some("DPoP one"));
    let mut other = with_dpop(&idp);
    other.dpop = Some(ProofKeySettings::Generated(SigningAlgorithm::EdDsa));
    world.configure([other]);
    assert_eq!(
        world.held(),
        None,
        "the token is bound to the key that is gone"
    );
}

/// A resource that names this server, and the server itself.
fn paired(idp: &Idp, document: &Value) -> CredentialSettings {
    let issuer = idp.url("");
    let metadata = json!({"issuer": issuer, "token_endpoint": idp.url("/token")});
    idp.reply_at(METADATA, Reply::Ok(JSON, metadata.to_string().into_bytes()));
    idp.reply_at(RESOURCE, Reply::Ok(JSON, document.to_string().into_bytes()));
    idp.reply_at("/token", token("one", 300));
    let mut settings = settings(idp);
    settings.endpoint = TokenEndpoint::Pair {
        resource: idp.url(""),
        issuers: vec!["https://elsewhere.example".to_owned(), issuer],
    };
    settings
}

fn field(idp: &Idp, request: usize, name: &str) -> Option<String> {
    let found = form(idp, request).into_iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value)
}

#[tokio::test]
async fn issuer_scopes_and_resource_are_learned_from_the_resource() {
    let idp = Idp::start().await;
    let document = json!({
        "resource": idp.url(""),
        "authorization_servers": ["https://unlisted.example", idp.url("")],
        "scopes_supported": ["read", "write"],
    });
    let world = World::with(paired(&idp, &document)).await;
    assert_eq!(world.held().as_deref(), Some("Bearer one"));
    assert_eq!(idp.paths(), [RESOURCE, METADATA, "/token"]);
    assert_eq!(field(&idp, 2, "scope").as_deref(), Some("read write"));
    assert_eq!(field(&idp, 2, "resource"), Some(idp.url("")));
    // What the operator wrote counts more.
    let mut written = paired(&idp, &document);
    written.scopes = vec!["read".to_owned()];
    written.resources = vec!["urn:other".to_owned()];
    World::with(written).await;
    assert_eq!(field(&idp, 5, "scope").as_deref(), Some("read"));
    assert_eq!(field(&idp, 5, "resource").as_deref(), Some("urn:other"));
}

#[tokio::test]
async fn a_resource_cannot_send_us_to_an_issuer_that_nobody_listed() {
    let idp = Idp::start().await;
    let url = idp.url("");
    for document in [
        json!({"resource": url, "authorization_servers": ["https://evil.example"]}),
        json!({"resource": url, "authorization_servers": [format!("{url}/")]}),
        json!({"resource": url}),
        json!({"resource": "https://other.example", "authorization_servers": [url]}),
        json!({"authorization_servers": [url]}),
        json!({"resource": url, "authorization_servers": [url], "dpop_bound_access_tokens_required": true}),
    ] {
        let before = idp.requests();
        let world = World::with(paired(&idp, &document)).await;
        assert_eq!(world.held(), None, "{document}");
        assert_eq!(idp.paths()[before..], [RESOURCE], "{document}");
    }
    let good = json!({"resource": url, "authorization_servers": [url]});
    let world = World::with(paired(&idp, &good)).await;
    assert_eq!(world.held().as_deref(), Some("Bearer one"));
}

#[tokio::test]
async fn a_nonce_of_one_server_is_not_shown_to_another() {
    let idp = Idp::start().await;
    let servers = [idp.url("/a"), idp.url("/b")];
    for server in &servers {
        let path = server.replace(&idp.url(""), "");
        let metadata = json!({"issuer": server, "token_endpoint": format!("{server}/token")});
        let reply = Reply::Ok(JSON, metadata.to_string().into_bytes());
        idp.reply_at(&format!("{path}{METADATA}"), reply);
    }
    let names = |server: &str| {
        let document = json!({"resource": idp.url(""), "authorization_servers": [server]});
        idp.reply_at(RESOURCE, Reply::Ok(JSON, document.to_string().into_bytes()));
    };
    let mut settings = with_dpop(&idp);
    settings.endpoint = TokenEndpoint::Pair {
        resource: idp.url(""),
        issuers: servers.to_vec(),
    };
    names(&servers[0]);
    let granted = Reply::Once(Box::new(bound("one")), Box::new(Reply::Reset));
    idp.reply_at(
        "/a/token",
        Reply::Once(Box::new(wants_nonce()), Box::new(granted)),
    );
    idp.reply_at("/b/token", bound("two"));
    let world = World::with(settings).await;
    assert_eq!(world.held().as_deref(), Some("DPoP one"));
    // The first one fails, and the resource names the other.
    world.next_request().await;
    names(&servers[1]);
    world.next_request().await;
    let paths = idp.paths();
    let shown: Vec<_> = (0..paths.len())
        .filter_map(|at| Some((paths[at].clone(), proof(&idp, at)?["nonce"].clone())))
        .collect();
    let first = ("/a/token".to_owned(), json!("first.nonce"));
    assert_eq!(
        shown,
        [
            ("/a/token".to_owned(), Value::Null),
            first.clone(),
            first,
            ("/b/token".to_owned(), Value::Null),
        ]
    );
    assert_eq!(world.held().as_deref(), Some("DPoP two"));
}
