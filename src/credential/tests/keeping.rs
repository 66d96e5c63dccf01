//! Servers that behave: what is sent, when, and what a reload keeps.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

#[tokio::test]
async fn a1_a_secret_goes_as_basic_form_encoded_first() {
    let idp = Idp::start().await;
    idp.reply_at("/token", token("one", 300));
    let mut settings = settings(&idp);
    settings.client_id = Some("an agent".to_owned());
    let world = World::with(settings).await;
    assert_eq!(world.held().as_deref(), Some("Bearer one"));
    let head = idp.head(0);
    assert!(head.starts_with("POST /token HTTP/1.1\r\n"), "{head}");
    let basic = STANDARD.encode("an+agent:correct+horse%3Abattery%26staple");
    assert!(
        head.contains(&format!("authorization: Basic {basic}\r\n")),
        "{head}"
    );
    assert!(
        head.contains("content-type: application/x-www-form-urlencoded\r\n"),
        "{head}"
    );
    assert!(head.contains("accept-encoding: identity\r\n"), "{head}");
    let only = ("grant_type".to_owned(), "client_credentials".to_owned());
    assert_eq!(form(&idp, 0), [only]);
}

#[tokio::test]
async fn a1_a_secret_goes_in_the_form_with_scope_audience_and_resources() {
    let idp = Idp::start().await;
    idp.reply_at("/token", token("one", 300));
    let mut settings = settings(&idp);
    settings.authentication = ClientAuthentication::SecretPost(secret(SECRET));
    settings.scopes = vec!["usage.read".to_owned(), "usage.write".to_owned()];
    settings.audience = Some("https://usage.example.org".to_owned());
    settings.resources = vec![
        "https://a.example.org/?b=c&d".to_owned(),
        "urn:b".to_owned(),
    ];
    World::with(settings).await;
    assert!(!idp.head(0).to_ascii_lowercase().contains("authorization:"));
    let expected = [
        ("grant_type", "client_credentials"),
        ("client_id", "agent"),
        ("client_secret", SECRET),
        ("scope", "usage.read usage.write"),
        ("audience", "https://usage.example.org"),
        ("resource", "https://a.example.org/?b=c&d"),
        ("resource", "urn:b"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(form(&idp, 0), expected);
}

#[tokio::test]
async fn a1_the_token_endpoint_is_discovered_and_its_issuer_is_ours_byte_for_byte() {
    const METADATA: &str = "/realms/dls/.well-known/openid-configuration";
    let idp = Idp::start().await;
    idp.reply_at("/token", token("one", 300));
    let issuer = idp.url("/realms/dls");
    let metadata = |issuer: &str| {
        let document = serde_json::json!({"issuer": issuer, "token_endpoint": idp.url("/token")});
        Reply::Ok(JSON, document.to_string().into_bytes())
    };
    idp.reply_at(METADATA, metadata(&format!("{issuer}/")));
    let mut settings = settings(&idp);
    settings.endpoint = TokenEndpoint::Discover {
        issuer: issuer.clone(),
    };
    let world = World::with(settings).await;
    let status = world.status();
    assert_eq!(status.health, CredentialHealth::Unavailable);
    assert_eq!(
        status.last_error.as_deref(),
        Some("discovery: `issuer` is not the configured one")
    );
    assert_eq!(
        idp.paths(),
        [METADATA],
        "no secret goes to a place that another issuer named"
    );
    idp.reply_at(METADATA, metadata(&issuer));
    world.next_request().await;
    assert_eq!(world.held().as_deref(), Some("Bearer one"));
    assert_eq!(idp.paths(), [METADATA, METADATA, "/token"]);
}

#[tokio::test]
async fn a3_a_token_is_replaced_in_the_background_before_its_end() {
    let idp = Idp::start().await;
    idp.reply_at("/token", token("one", 300));
    let world = World::with(settings(&idp)).await;
    idp.reply_at("/token", token("two", 300));
    let next = world.status().next_request_seconds;
    assert!((263..=270).contains(&next), "{next}");
    world.clock.advance(secs(263));
    assert_eq!(world.held().as_deref(), Some("Bearer one"));
    assert_eq!(idp.requests(), 1);
    world.clock.advance(secs(7));
    world.ended(2).await;
    assert_eq!(
        world.held().as_deref(),
        Some("Bearer two"),
        "nobody asked for it"
    );
    assert_eq!(idp.requests(), 2);
}

#[tokio::test]
async fn a7_a_rotated_secret_keeps_the_token_and_ends_a_failure_at_once() {
    let idp = Idp::start().await;
    idp.reply_at("/token", token("one", 300));
    let world = World::with(settings(&idp)).await;
    let cell = world.cell();
    let mut rotated = settings(&idp);
    rotated.authentication = ClientAuthentication::SecretBasic(secret("new"));
    world.configure([rotated.clone()]);
    assert!(Arc::ptr_eq(&cell, &world.cell()));
    assert_eq!(world.held().as_deref(), Some("Bearer one"));
    assert_eq!(idp.requests(), 1, "there is no need to ask");

    // The server rotated first: the old secret fails, and the new one is tried as soon as it is there.
    let idp = Idp::start().await;
    idp.reply_at("/token", refusal(401, "invalid_client"));
    let world = World::with(settings(&idp)).await;
    for _ in 0..6 {
        world.next_request().await;
    }
    assert!(world.status().next_request_seconds > 10);
    let fault = world.obtain().await.unwrap_err();
    assert_eq!(fault.oauth_error, Some("invalid_client"));
    idp.reply_at("/token", token("two", 300));
    rotated.endpoint = TokenEndpoint::Url(idp.url("/token"));
    world.configure([rotated]);
    assert_eq!(
        world.obtain().await.as_deref(),
        Ok("Bearer two"),
        "the clock did not move"
    );
    let basic = STANDARD.encode("agent:new");
    assert!(
        idp.head(7)
            .contains(&format!("authorization: Basic {basic}\r\n"))
    );
}

#[tokio::test]
async fn a7_another_client_or_another_token_starts_from_nothing() {
    type Change = fn(&mut CredentialSettings);
    const CHANGES: [(&str, Change, bool); 8] = [
        (
            "client",
            |it| it.client_id = Some("other".to_owned()),
            false,
        ),
        ("scopes", |it| it.scopes = vec!["a".to_owned()], false),
        ("audience", |it| it.audience = Some("a".to_owned()), false),
        (
            "resource",
            |it| it.resources = vec!["urn:a".to_owned()],
            false,
        ),
        (
            "endpoint",
            |it| it.endpoint = TokenEndpoint::Url("http://127.0.0.1:1/".to_owned()),
            false,
        ),
        (
            "times",
            |it| (it.refresh_before, it.timeout, it.cooldown) = (secs(1), secs(1), secs(1)),
            true,
        ),
        (
            "ca",
            |it| it.ca = Some(Secret::new(b"x".to_vec(), None)),
            true,
        ),
        (
            "method",
            |it| it.authentication = ClientAuthentication::SecretPost(secret("x")),
            true,
        ),
    ];
    for (what, change, kept) in CHANGES {
        let idp = Idp::start().await;
        idp.reply_at("/token", token("one", 300));
        let world = World::with(settings(&idp)).await;
        let cell = world.cell();
        let mut changed = settings(&idp);
        change(&mut changed);
        world.configure([changed]);
        assert_eq!(Arc::ptr_eq(&cell, &world.cell()), kept, "{what}");
        assert_eq!(world.held().is_some(), kept, "{what}");
        // A request that pinned the snapshot of before goes on with what it has.
        assert!(cell.current(world.clock.now()).is_some(), "{what}");
    }
}

/// Without a `client_id` the assertion says who the client is.
#[tokio::test]
async fn a7_the_assertion_of_another_account_does_not_inherit_the_token() {
    let dir = tempfile::tempdir().unwrap();
    let assertion = |name: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, format!("eyJ.{name}.AA")).unwrap();
        ClientAuthentication::AssertionFile(path)
    };
    for (client_id, kept) in [(None, false), (Some("agent".to_owned()), true)] {
        let idp = Idp::start().await;
        idp.reply_at("/token", token("one", 300));
        let mut settings = settings(&idp);
        settings.client_id = client_id;
        settings.authentication = assertion("one");
        let world = World::with(settings.clone()).await;
        world.configure([settings.clone()]);
        assert!(world.held().is_some(), "nothing has changed");
        settings.authentication = assertion("other");
        world.configure([settings.clone()]);
        assert_eq!(world.held().is_some(), kept, "{:?}", settings.client_id);
    }
}

#[tokio::test]
async fn a_credential_that_is_gone_is_not_asked_for_any_more() {
    let idp = Idp::start().await;
    idp.reply_at("/token", token("one", 300));
    let world = World::with(settings(&idp)).await;
    let cell = world.cell();
    world.configure([]);
    assert!(world.credentials.status().is_empty());
    world.clock.advance(secs(300));
    let fault = world.credentials.obtain(&cell).await.unwrap_err();
    assert_eq!(fault.oauth_error, None);
    assert_eq!(idp.requests(), 1);
}

#[tokio::test]
async fn a7_nothing_that_is_shown_holds_a_secret_or_a_token() {
    let idp = Idp::start().await;
    idp.reply_at("/token", token("a-token-of-some-length", 300));
    let world = World::with(settings(&idp)).await;
    let token = world.cell().current(world.clock.now()).unwrap();
    let shown = format!(
        "{:?} {:?} {:?} {:?} {}",
        world.credentials,
        settings(&idp),
        token,
        world.status(),
        serde_json::to_string(&world.status()).unwrap()
    );
    for secret in ["correct horse", "a-token", "Y29ycmVjd"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("client_secret_basic"), "{shown}");
}
