//! Requests that wait for a token.

use tokio::task::LocalSet;

use super::*;

/// That many requests at once, as workers make them.
async fn flood(world: &World, requests: usize) -> Vec<Result<String, CredentialFault>> {
    let local = LocalSet::new();
    let mut waiting = JoinSet::new();
    for _ in 0..requests {
        let (credentials, cell, clock) =
            (world.credentials.clone(), world.cell(), world.clock.clone());
        waiting.spawn_local_on(
            async move {
                let token = credentials.obtain(&cell).await?;
                assert!(token.is_good(clock.now()));
                Ok(value(&token))
            },
            &local,
        );
    }
    local.run_until(waiting.join_all()).await
}

#[tokio::test]
async fn a3_a_hundred_and_a_thousand_first_requests_make_one_token_request() {
    for requests in [100, 1000] {
        let idp = Idp::start().await;
        idp.reply_at("/token", token("one", 300));
        let world = World::new();
        world.configure([settings(&idp)]);
        let answers = flood(&world, requests).await;
        assert!(
            answers.iter().all(|it| it.as_deref() == Ok("Bearer one")),
            "{answers:?}"
        );
        assert_eq!(answers.len(), requests);
        assert_eq!(idp.requests(), 1);
    }
}

#[tokio::test]
async fn a3_a_thousand_requests_while_the_server_fails_make_one_token_request_too() {
    let idp = Idp::start().await;
    idp.reply_at("/token", refusal(400, "invalid_scope"));
    let world = World::new();
    world.configure([settings(&idp)]);
    for _ in 0..3 {
        let answers = flood(&world, 1000).await;
        for answer in answers {
            let fault = answer.unwrap_err();
            assert_eq!(fault.oauth_error, Some("invalid_scope"));
            assert!(fault.retry_after >= secs(1));
        }
        assert_eq!(idp.requests(), 1);
    }
}

#[tokio::test]
async fn a3_waiters_are_bounded_in_number_and_in_time() {
    let idp = Idp::start().await;
    idp.reply_at("/token", Reply::Hang);
    let mut settings = settings(&idp);
    settings.timeout = secs(60);
    let world = World::new();
    world.configure([settings]);
    idp.asked(1).await;
    let client = world.credentials.of_name("agent");
    let mut places = Vec::new();
    while let Some(place) = crate::waiters::Place::take(client.id, MOST_WAITERS) {
        places.push(place);
    }
    world.obtain().await.unwrap_err();
    drop(places);

    let waiting = async {
        let started = world.clock.tick();
        world.obtain().await.unwrap_err();
        world.clock.tick().since(started)
    };
    let moving = async {
        tokio::task::yield_now().await;
        world.clock.advance(LONGEST_WAIT);
    };
    let (waited, ()) = tokio::join!(waiting, moving);
    assert_eq!(waited, LONGEST_WAIT);
    assert_eq!(idp.requests(), 1);
}

#[tokio::test]
async fn a4_refused_tokens_are_renewed_once_for_all_who_were_refused() {
    let idp = Idp::start().await;
    idp.reply_at("/token", token("one", 300));
    let world = World::with(settings(&idp)).await;
    let refused = world.credentials.obtain(&world.cell()).await.unwrap();
    idp.reply_at("/token", token("two", 300));
    let local = LocalSet::new();
    let mut waiting = JoinSet::new();
    for _ in 0..100 {
        let (credentials, cell, refused) = (
            world.credentials.clone(),
            world.cell(),
            Arc::clone(&refused),
        );
        waiting.spawn_local_on(
            async move { credentials.renew(&cell, &refused).await },
            &local,
        );
    }
    let renewed = local.run_until(waiting.join_all()).await;
    let renewed = renewed.into_iter().map(|it| value(&it.unwrap().unwrap()));
    assert!(renewed.clone().all(|it| it == "Bearer two"));
    assert_eq!(renewed.len(), 100);
    assert_eq!(idp.requests(), 2);

    // A broken upstream refuses whatever it gets: no flood of token requests comes of it.
    for _ in 0..100 {
        let newest = world.credentials.obtain(&world.cell()).await.unwrap();
        let renewed = world
            .credentials
            .renew(&world.cell(), &newest)
            .await
            .unwrap();
        assert!(renewed.is_none());
    }
    assert_eq!(idp.requests(), 2);
    world.clock.advance(secs(30));
    let newest = world.credentials.obtain(&world.cell()).await.unwrap();
    assert!(
        world
            .credentials
            .renew(&world.cell(), &newest)
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(idp.requests(), 3);
    assert_eq!(world.status().requests_forced, 2);
}

#[tokio::test]
async fn a4_a_renewal_that_fails_is_told_and_leaves_the_token() {
    let idp = Idp::start().await;
    idp.reply_at("/token", token("one", 300));
    let world = World::with(settings(&idp)).await;
    let refused = world.credentials.obtain(&world.cell()).await.unwrap();
    idp.reply_at("/token", refusal(401, "invalid_client"));
    let fault = world
        .credentials
        .renew(&world.cell(), &refused)
        .await
        .unwrap_err();
    assert_eq!(fault.oauth_error, Some("invalid_client"));
    assert_eq!(world.status().health, CredentialHealth::Stale);
    assert_eq!(world.obtain().await.as_deref(), Ok("Bearer one"));
    let within = world.credentials.renew(&world.cell(), &refused).await;
    assert!(within.unwrap().is_none());
    assert_eq!(idp.requests(), 2);
}

#[tokio::test]
async fn a3_who_goes_away_takes_nothing_along() {
    let idp = Idp::start().await;
    idp.reply_at("/token", Reply::Hang);
    let world = World::new();
    world.configure([settings(&idp)]);
    idp.asked(1).await;
    let gone = tokio::time::timeout(Duration::ZERO, world.obtain()).await;
    assert!(gone.is_err());
    idp.reply_at("/token", token("one", 300));
    world.clock.advance(secs(5));
    world.ended(1).await;
    world.next_request().await;
    assert_eq!(world.obtain().await.as_deref(), Ok("Bearer one"));
}
