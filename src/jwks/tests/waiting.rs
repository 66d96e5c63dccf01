//! Requests that want a key which is not held.

use tokio::task::LocalSet;

use super::*;

#[tokio::test]
async fn s15_a_key_rotated_a_second_ago_works_at_once() {
    let idp = Idp::start().await;
    idp.reply(Reply::keys(&["old"]));
    let world = World::with(&idp, |_| {}).await;
    world.clock.advance(secs(1));
    idp.reply(Reply::keys(&["old", "new"]));
    assert_eq!(world.obtain("dls", "new").await, Obtained::Refreshed);
    assert_eq!(world.kids("dls"), ["old", "new"]);
    assert_eq!(idp.requests(), 2);
}

#[tokio::test]
async fn invariant_40_during_an_attack_a_rotated_key_works_within_one_cooldown() {
    let idp = Idp::start().await;
    idp.reply(Reply::keys(&["old"]));
    let world = World::with(&idp, |_| {}).await;
    assert_eq!(world.obtain("dls", "invented").await, Obtained::Absent);
    idp.reply(Reply::keys(&["old", "new"]));
    assert_eq!(world.obtain("dls", "new").await, Obtained::Absent);
    world.clock.advance(secs(30));
    assert_eq!(world.obtain("dls", "new").await, Obtained::Refreshed);
}

async fn flood(world: &World, from: u32, to: u32) -> (usize, usize) {
    let local = LocalSet::new();
    let mut waiting = JoinSet::new();
    for number in from..to {
        let source = world.keys.source("dls");
        waiting.spawn_local_on(
            async move { source.obtain(Some(&format!("invented-{number}"))).await },
            &local,
        );
    }
    let answers = local.run_until(waiting.join_all()).await;
    let absent = answers.iter().filter(|a| **a == Obtained::Absent).count();
    let unavailable = answers.iter().filter(|a| is_unavailable(**a)).count();
    assert_eq!(absent + unavailable, answers.len());
    (absent, unavailable)
}

#[tokio::test]
async fn s15_invariant_43_a_thousand_invented_kids_cost_one_fetch_per_window() {
    let idp = Idp::start().await;
    idp.reply(Reply::keys(&["a"]));
    let world = World::with(&idp, |_| {}).await;
    let (absent, _) = flood(&world, 0, 1000).await;
    assert!(absent >= 64, "those who waited know");
    assert_eq!(idp.requests(), 2);
    assert_eq!(flood(&world, 1000, 2000).await, (1000, 0));
    world.clock.advance(secs(29));
    assert_eq!(flood(&world, 0, 1000).await, (1000, 0));
    assert_eq!(idp.requests(), 2);
    world.clock.advance(secs(1));
    flood(&world, 0, 1000).await;
    assert_eq!(idp.requests(), 3);
    assert_eq!(world.status("dls").fetches_forced, 2);
    assert_eq!(world.kids("dls"), ["a"]);
}

#[tokio::test]
async fn invariant_43_failures_count_against_the_cooldown() {
    for reply in [
        Reply::Status(500, ""),
        Reply::Reset,
        Reply::Ok("", br#"{"keys":[]}"#.to_vec()),
    ] {
        let idp = Idp::start().await;
        idp.reply(Reply::keys(&["a"]));
        let world = World::with(&idp, |_| {}).await;
        idp.reply(reply);
        // A minute of flood, in steps of a second.
        for second in 0..60 {
            let (absent, _) = flood(&world, second * 10, second * 10 + 10).await;
            assert_eq!(absent, 0, "nobody can tell");
            world.clock.advance(secs(1));
        }
        assert!(idp.requests() <= 1 + 3, "{}", idp.requests());
        assert_eq!(world.kids("dls"), ["a"]);
    }
}

#[tokio::test]
async fn invariant_43_nobody_waits_longer_than_a_second_for_an_issuer_that_hangs() {
    let idp = Idp::start().await;
    idp.reply(Reply::keys(&["a"]));
    let world = World::with(&idp, |_| {}).await;
    idp.reply(Reply::Hang);
    let local = LocalSet::new();
    let mut waiting = JoinSet::new();
    for number in 0..1000 {
        let source = world.keys.source("dls");
        waiting.spawn_local_on(
            async move { source.obtain(Some(&format!("invented-{number}"))).await },
            &local,
        );
    }
    local
        .run_until(async {
            // Those who found no place have their answer at once.
            for _ in 0..936 {
                assert!(is_unavailable(waiting.join_next().await.unwrap().unwrap()));
            }
            assert!(waiting.try_join_next().is_none());
            idp.asked(2).await;
            // A known key waits for nothing.
            assert_eq!(world.obtain("dls", "a").await, Obtained::Refreshed);
            world.clock.advance(secs(1));
            let rest = waiting.join_all().await;
            assert_eq!(rest.len(), 64);
            assert!(rest.into_iter().all(is_unavailable));
        })
        .await;
    assert_eq!(idp.requests(), 2);
}

#[tokio::test]
async fn invariant_43_a_requester_that_goes_away_takes_nothing_with_it() {
    let idp = Idp::start().await;
    idp.reply(Reply::keys(&["old"]));
    let world = World::with(&idp, |_| {}).await;
    idp.reply(Reply::keys(&["old", "new"]));
    {
        let source = world.keys.source("dls");
        let mut gone = Box::pin(source.obtain(Some("new")));
        let polled = std::future::poll_fn(|context| {
            std::task::Poll::Ready(gone.as_mut().poll(context).is_pending())
        });
        assert!(polled.await);
    }
    world.ended("dls", 2).await;
    assert_eq!(world.kids("dls"), ["old", "new"]);
    assert_eq!(world.obtain("dls", "new").await, Obtained::Refreshed);
    assert_eq!(idp.requests(), 2);
}

#[tokio::test]
async fn places_are_given_back_and_are_per_issuer() {
    let idp = Idp::start().await;
    idp.reply(Reply::Hang);
    let world = World::new();
    world.configure([
        ("dls", url_settings(&idp)),
        (
            "pinned",
            KeySourceSettings {
                source: KeySource::Url(idp.url("/other")),
                allow_http: true,
                ..KeySourceSettings::default()
            },
        ),
    ]);
    let hold =
        |name| crate::waiters::Place::take(world.keys.source(name).id, super::super::MOST_WAITERS);
    let mut places: Vec<_> = (0..64).map(|_| hold("dls").unwrap()).collect();
    assert!(hold("dls").is_none());
    assert!(hold("pinned").is_some());
    places.pop();
    assert!(hold("dls").is_some());
}

#[tokio::test]
async fn the_first_request_waits_for_the_first_fetch() {
    let idp = Idp::start().await;
    idp.reply(Reply::keys(&["a"]));
    let world = World::new();
    world.configure([("dls", url_settings(&idp))]);
    assert_eq!(world.obtain("dls", "a").await, Obtained::Refreshed);
    let source = world.keys.source("dls");
    assert_eq!(source.obtain(None).await, Obtained::Refreshed);
    assert_eq!(idp.requests(), 1);
}
