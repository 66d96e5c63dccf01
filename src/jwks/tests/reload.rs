//! What a configuration reload does to keys.

use super::*;
use crate::authn::{Issuer, IssuerSettings, KeyWanted};

fn named(name: &str, settings: &KeySourceSettings) -> [(Arc<str>, KeySourceSettings); 1] {
    [(Arc::from(name), settings.clone())]
}

#[tokio::test]
async fn a_source_that_stays_keeps_its_keys_and_its_schedule() {
    let idp = Idp::start().await;
    idp.reply(Reply::keys(&["a"]));
    let world = World::with(&idp, |_| {}).await;
    let (cell, before) = (world.cell("dls"), world.status("dls"));
    for _ in 0..100 {
        let prepared = world.keys.prepare(named("dls", &url_settings(&idp)));
        assert!(Arc::ptr_eq(&prepared.cell("dls").unwrap(), &cell));
        assert!(prepared.cells().contains_key("dls"));
        prepared.commit();
    }
    assert_eq!(world.status("dls"), before);
    assert_eq!(idp.requests(), 1);
    let mut sooner = url_settings(&idp);
    sooner.refresh = secs(120);
    sooner.max_stale = secs(600);
    world.keys.prepare(named("dls", &sooner)).commit();
    assert!(Arc::ptr_eq(&world.cell("dls"), &cell));
    assert!(world.status("dls").next_refresh_seconds.unwrap() <= 120);
    assert!(world.status("dls").expires_in_seconds.unwrap() <= 600);
    world.next_attempt("dls").await;
    assert_eq!(idp.requests(), 2);
}

#[tokio::test]
async fn a_source_that_changes_starts_from_nothing_and_nothing_changes_before_the_commit() {
    let idp = Idp::start().await;
    idp.reply(Reply::keys(&["a"]));
    idp.reply_at("/moved", Reply::Status(500, ""));
    let world = World::with(&idp, |_| {}).await;
    let old = world.cell("dls");
    let mut moved = url_settings(&idp);
    moved.source = KeySource::Url(idp.url("/moved"));
    let prepared = world.keys.prepare(named("dls", &moved));
    let new = prepared.cell("dls").unwrap();
    assert!(!Arc::ptr_eq(&new, &old));
    assert!(Arc::ptr_eq(&world.cell("dls"), &old));
    drop(prepared);
    assert_eq!(
        world.kids("dls"),
        ["a"],
        "a reload that fails changes nothing"
    );

    let prepared = world.keys.prepare(named("dls", &moved));
    let new = prepared.cell("dls").unwrap();
    prepared.commit();
    world.ended("dls", 1).await;
    assert!(Arc::ptr_eq(&world.cell("dls"), &new));
    assert!(
        kids(&new).is_empty(),
        "the old source's keys are not trusted"
    );
    assert_eq!(
        kids(&old),
        ["a"],
        "a request that pinned the old snapshot ends in peace"
    );
    idp.reply_at("/moved", Reply::keys(&["b"]));
    world.next_attempt("dls").await;
    assert_eq!(kids(&new), ["b"]);
}

#[tokio::test]
async fn an_issuer_that_is_gone_is_not_fetched_any_more() {
    let idp = Idp::start().await;
    idp.reply(Reply::keys(&["a"]));
    let world = World::with(&idp, |_| {}).await;
    let gone = Arc::downgrade(&world.keys.source("dls"));
    let mut other = url_settings(&idp);
    other.source = KeySource::Url(idp.url("/other"));
    idp.reply_at("/other", Reply::keys(&["b"]));
    world.configure([("other", other)]);
    world.ended("other", 1).await;
    world.next_attempt("other").await;
    assert_eq!(world.keys.status().len(), 1);
    assert!(gone.upgrade().is_none(), "its task is gone as well");
    assert_eq!(idp.paths(), ["/jwks", "/other", "/other"]);
}

#[tokio::test]
async fn s02_one_issuer_that_hangs_does_not_hold_up_another() {
    let (hanging, healthy) = (Idp::start().await, Idp::start().await);
    hanging.reply(Reply::Hang);
    healthy.reply(Reply::keys(&["a"]));
    let world = World::new();
    world.configure([
        ("hanging", url_settings(&hanging)),
        ("healthy", url_settings(&healthy)),
    ]);
    hanging.asked(1).await;
    assert_eq!(world.obtain("healthy", "a").await, Obtained::Refreshed);
    assert_eq!(world.health("hanging"), KeyHealth::Unavailable);
}

#[tokio::test]
async fn obtain_answers_for_the_cell_that_the_request_pinned() {
    let idp = Idp::start().await;
    idp.reply(Reply::keys(&["a"]));
    let world = World::with(&idp, |_| {}).await;
    let wanted = |cell| KeyWanted {
        issuer: Arc::new(Issuer::new(issuer_settings("dls"), cell)),
        kid: Some("a".into()),
    };
    let live = world.keys.obtain(&wanted(world.cell("dls"))).await;
    assert_eq!(live, Obtained::Refreshed);
    let replaced = world.keys.obtain(&wanted(Arc::default())).await;
    assert!(is_unavailable(replaced));
}

fn issuer_settings(name: &str) -> IssuerSettings {
    use crate::authn::{Audiences, ClaimMappings, KeyIdRule, TokenSources};
    IssuerSettings {
        name: Arc::from(name),
        issuers: vec!["https://idp.example".to_owned()],
        audiences: Audiences::Unchecked,
        clients: None,
        algorithms: Vec::new(),
        leeway: Duration::ZERO,
        required_claims: Vec::new(),
        token_types: Vec::new(),
        max_lifetime: None,
        kubernetes: false,
        claim_mappings: ClaimMappings::default(),
        scope_implies: std::collections::BTreeMap::new(),
        key_id: KeyIdRule::Required,
        token_sources: TokenSources::default(),
        token_bytes: 16 * 1024,
        dpop: None,
    }
}
