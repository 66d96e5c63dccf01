//! Servers that are down, lie, or refuse.

use super::*;

const GOOD: &str = r#"{"access_token":"x","token_type":"Bearer","expires_in":300}"#;

/// What a server may answer, and what is said of it. `answer/answers.txt` has more on bodies.
fn faults() -> Vec<(&'static str, Reply, &'static str)> {
    const GZIP: &str = "content-type: application/json\r\ncontent-encoding: gzip\r\n";
    const HTML: &str = "content-type: text/html\r\n";
    let says = |headers, body: &str| Reply::Ok(headers, body.as_bytes().to_vec());
    let mac = GOOD.replace("Bearer", "mac");
    let brief = GOOD.replace("300", "0");
    let padded = format!("{GOOD}{}", " ".repeat(10 * 1024 * 1024));
    let rows = [
        (
            "500",
            Reply::Status(500, ""),
            "status 500 without an OAuth error",
        ),
        (
            "html",
            says(HTML, "<html>"),
            "no token answer: its content type is not application/json",
        ),
        (
            "html as json",
            says(JSON, "<html>"),
            "no token answer: no JSON object, or a member given twice",
        ),
        (
            "10 MiB",
            says(JSON, &padded),
            "the document is larger than 256 KiB",
        ),
        (
            "endless",
            Reply::Endless,
            "the document is larger than 256 KiB",
        ),
        (
            "gzip",
            says(GZIP, GOOD),
            "the answer is compressed, which was not asked for",
        ),
        (
            "redirect",
            Reply::Status(307, "location: /elsewhere\r\n"),
            "status 307: redirects are not followed",
        ),
        (
            "type",
            says(JSON, &mac),
            "no token answer: its `token_type` is not Bearer",
        ),
        (
            "lifetime",
            says(JSON, &brief),
            "no token answer: its `expires_in` is not a number of at least 1",
        ),
        (
            "refusal",
            refusal(401, "invalid_client"),
            "invalid_client (status 401)",
        ),
    ];
    rows.into()
}

#[tokio::test]
async fn a5_a_server_in_any_state_costs_no_token_that_is_held_and_heals_by_itself() {
    let idp = Idp::start().await;
    idp.reply_at("/elsewhere", token("elsewhere", 300));
    idp.reply_at("/token", token("good", 86_400));
    let world = World::with(settings(&idp)).await;
    for (name, reply, words) in faults() {
        idp.reply_at("/token", reply);
        let refused = world.credentials.obtain(&world.cell()).await.unwrap();
        world.clock.advance(secs(30));
        world
            .credentials
            .renew(&world.cell(), &refused)
            .await
            .unwrap_err();
        let status = world.status();
        assert_eq!(status.last_error.as_deref(), Some(words), "{name}");
        assert_eq!(status.health, CredentialHealth::Stale, "{name}");
        assert_eq!(world.held().as_deref(), Some("Bearer good"), "{name}");
        idp.reply_at("/token", token("good", 86_400));
        world.next_request().await;
        assert_eq!(world.status().health, CredentialHealth::Usable, "{name}");
        assert_eq!(world.status().last_error, None, "{name}");
    }
    assert!(!idp.paths().contains(&"/elsewhere".to_owned()));
}

#[tokio::test]
async fn a5_a_cold_start_against_a_server_in_any_state_faults_and_heals_within_a_step() {
    for (name, reply, words) in faults() {
        let idp = Idp::start().await;
        idp.reply_at("/token", reply);
        let world = World::with(settings(&idp)).await;
        let fault = world.obtain().await.unwrap_err();
        let error = words.split(' ').next().filter(|_| name == "refusal");
        assert_eq!(fault.oauth_error, error, "{name}");
        assert_eq!(fault.retry_after, secs(1), "{name}");
        assert_eq!(
            world.status().health,
            CredentialHealth::Unavailable,
            "{name}"
        );
        assert_eq!(world.status().last_error.as_deref(), Some(words), "{name}");
        idp.reply_at("/token", token("good", 300));
        world.clock.advance(secs(1));
        assert_eq!(world.obtain().await.as_deref(), Ok("Bearer good"), "{name}");
    }
}

#[tokio::test]
async fn a5_a_server_that_hangs_dribbles_or_hangs_up_is_given_up() {
    for (reply, words) in [
        (Reply::Hang, "timed out"),
        (Reply::Slow, "timed out"),
        (Reply::Reset, "connection: "),
    ] {
        let hangs = !matches!(reply, Reply::Reset);
        let idp = Idp::start().await;
        idp.reply_at("/token", reply);
        let world = World::new();
        world.configure([settings(&idp)]);
        idp.asked(1).await;
        if hangs {
            world.clock.advance(secs(5));
        }
        world.ended(1).await;
        let error = world.status().last_error.unwrap();
        assert!(error.starts_with(words), "{error}");
        assert_eq!(world.status().requests_unreachable, 1);
        idp.reply_at("/token", token("good", 300));
        world.next_request().await;
        assert_eq!(world.obtain().await.as_deref(), Ok("Bearer good"));
    }
}

/// The done line of the issue: ten minutes without a server, a token that ends meanwhile.
#[tokio::test]
async fn a5_ten_minutes_of_outage() {
    let idp = Idp::start().await;
    idp.reply_at("/token", token("before", 300));
    let world = World::with(settings(&idp)).await;
    idp.reply_at("/token", Reply::Status(503, "retry-after: 5\r\n"));
    let start = world.clock.tick();
    let elapsed = || world.clock.tick().since(start);
    let (mut served, mut faulted) = (0, 0);
    while elapsed() < secs(600) {
        match world.obtain().await {
            Ok(token) => {
                assert_eq!(token, "Bearer before");
                assert!(elapsed() < secs(300), "after its end");
                served += 1;
            }
            Err(fault) => {
                assert!(elapsed() >= secs(300), "before its end, at {:?}", elapsed());
                assert!(
                    (secs(1)..=secs(60)).contains(&fault.retry_after),
                    "{fault:?}"
                );
                faulted += 1;
            }
        }
        let before = world.requests();
        let due = world.status().next_request_seconds == 0;
        world.clock.advance(secs(1));
        if due {
            world.ended(before + 1).await;
        }
    }
    assert_eq!((served, faulted), (300, 300));
    let asked = idp.requests();
    assert!(
        (12..=60).contains(&asked),
        "it was asked with back-off: {asked}"
    );
    idp.reply_at("/token", token("after", 300));
    let step = world.status().next_request_seconds;
    assert!(step <= 30, "one back-off step: {step}");
    world.next_request().await;
    assert_eq!(world.obtain().await.as_deref(), Ok("Bearer after"));
}

#[tokio::test]
async fn a5_a_suspended_machine_does_not_send_what_ended_while_it_slept() {
    let idp = Idp::start().await;
    idp.reply_at("/token", token("before", 300));
    let world = World::with(settings(&idp)).await;
    idp.reply_at("/token", token("after", 300));
    world.clock.advance(secs(10));
    // The monotonic clock stood still.
    world.clock.set_wall(START.plus(8 * 3600));
    assert_eq!(world.held(), None);
    assert_eq!(
        world.obtain().await.as_deref(),
        Ok("Bearer after"),
        "at once"
    );
    assert_eq!(idp.requests(), 2);
}

#[tokio::test]
async fn a5_tokens_that_live_shortly_are_replaced_all_the_time_and_never_sent_late() {
    let idp = Idp::start().await;
    idp.reply_at("/token", token("short", 2));
    let world = World::with(settings(&idp)).await;
    for _ in 0..50 {
        assert_eq!(world.obtain().await.as_deref(), Ok("Bearer short"));
        world.clock.advance(Duration::from_millis(700));
    }
    let asked = idp.requests();
    assert!((15..=36).contains(&asked), "{asked}");
}

#[tokio::test]
async fn a5_plain_http_is_refused_unless_allowed_and_nothing_is_sent() {
    let idp = Idp::start().await;
    idp.reply_at("/token", token("one", 300));
    let mut settings = settings(&idp);
    settings.allow_http = false;
    let world = World::with(settings).await;
    let error = world.status().last_error.unwrap();
    assert_eq!(error, "url: plain http needs `allow_http: true`");
    assert_eq!(idp.requests(), 0);
}

#[tokio::test]
async fn a5_a_panic_of_the_task_is_a_failure_like_any_other() {
    let idp = Idp::start().await;
    idp.reply_at("/token", token("one", 300));
    let world = World::with(settings(&idp)).await;
    world.credentials.of_name("agent").recover();
    assert_eq!(world.status().requests_internal, 1);
    assert_eq!(world.status().health, CredentialHealth::Stale);
    world.next_request().await;
    assert_eq!(world.status().health, CredentialHealth::Usable);
}
