//! Issuers that are down, lie, or change their keys.

use super::*;

fn bad_documents() -> Vec<(&'static str, Reply)> {
    let mut truncated = idp::jwks(&["a"]);
    truncated.truncate(truncated.len() - 10);
    let twice = serde_json::json!({"keys": [idp::jwk("a"), idp::jwk("a")]}).to_string();
    let mut padded = idp::jwks(&["b"]);
    padded.resize(super::super::DOCUMENT_BYTES + 1, b' ');
    let html = b"<html>Bad Gateway</html>".to_vec();
    vec![
        ("no keys", Reply::Ok("", br#"{"keys":[]}"#.to_vec())),
        ("no member", Reply::Ok("", b"{}".to_vec())),
        ("nothing", Reply::Ok("", Vec::new())),
        ("html", Reply::Ok("content-type: text/html\r\n", html)),
        ("truncated", Reply::Ok("", truncated)),
        ("duplicate kid", Reply::Ok("", twice.into_bytes())),
        (
            "only unusable keys",
            Reply::Ok(
                "",
                br#"{"keys":[{"kty":"oct","kid":"a","k":"AAAA"}]}"#.to_vec(),
            ),
        ),
        ("too large", Reply::Ok("", padded)),
        ("endless", Reply::Endless),
        (
            "compressed",
            Reply::Ok("content-encoding: gzip\r\n", idp::jwks(&["b"])),
        ),
        ("500", Reply::Status(500, "")),
        ("404", Reply::Status(404, "")),
        ("204", Reply::Status(204, "")),
        ("redirect", Reply::Status(302, "location: /elsewhere\r\n")),
        ("reset", Reply::Reset),
    ]
}

#[tokio::test]
async fn invariant_42_a_bad_document_never_replaces_a_good_one() {
    let idp = Idp::start().await;
    idp.reply_at("/elsewhere", Reply::keys(&["b"]));
    idp.reply(Reply::keys(&["a"]));
    let world = World::with(&idp, |_| {}).await;
    for (name, reply) in bad_documents() {
        let failed = world.status("dls").fetches_failed;
        idp.reply(reply);
        world.next_attempt("dls").await;
        assert_eq!(world.status("dls").fetches_failed, failed + 1, "{name}");
        assert_eq!(world.kids("dls"), ["a"], "{name}");
        assert_eq!(world.health("dls"), KeyHealth::Stale, "{name}");
        assert!(world.status("dls").last_error.is_some(), "{name}");
        idp.reply(Reply::keys(&["a"]));
        world.next_attempt("dls").await;
        assert_eq!(world.health("dls"), KeyHealth::Usable, "{name}");
    }
    assert!(!idp.paths().contains(&"/elsewhere".to_owned()));
    idp.reply(Reply::keys(&["b"]));
    world.next_attempt("dls").await;
    assert_eq!(world.kids("dls"), ["b"], "a good one does");
}

#[tokio::test]
async fn invariant_42_one_bad_key_does_not_spoil_the_set() {
    let idp = Idp::start().await;
    let oct = serde_json::json!({"kty": "oct", "kid": "shared", "k": "AAAA"});
    let document = serde_json::json!({"keys": [oct, idp::jwk("a")]}).to_string();
    idp.reply(Reply::Ok("", document.into_bytes()));
    let world = World::with(&idp, |_| {}).await;
    assert_eq!(world.kids("dls"), ["a"]);
    assert_eq!(world.status("dls").kids, ["a"]);
    assert_eq!(world.status("dls").skipped, 1);
    assert_eq!(world.obtain("dls", "shared").await, Obtained::Absent);
}

#[tokio::test]
async fn s14_a_cold_issuer_that_is_down_is_unavailable_and_heals_by_itself() {
    for (name, reply) in bad_documents() {
        let idp = Idp::start().await;
        idp.reply(reply);
        let world = World::with(&idp, |_| {}).await;
        assert_eq!(world.health("dls"), KeyHealth::Unavailable, "{name}");
        assert!(is_unavailable(world.obtain("dls", "a").await), "{name}");
        idp.reply(Reply::keys(&["a"]));
        world.next_attempt("dls").await;
        let healed = world.obtain("dls", "a").await;
        assert_eq!(healed, Obtained::Refreshed, "{name}");
        assert_eq!(world.health("dls"), KeyHealth::Usable, "{name}");
    }
}

#[tokio::test]
async fn s14_an_issuer_that_hangs_or_dribbles_is_given_up_after_the_timeout() {
    for reply in [Reply::Hang, Reply::Slow] {
        let idp = Idp::start().await;
        idp.reply(reply);
        let world = World::new();
        world.configure([("dls", url_settings(&idp))]);
        idp.asked(1).await;
        world.clock.advance(secs(5));
        world.ended("dls", 1).await;
        let status = world.status("dls");
        assert_eq!(status.last_error.as_deref(), Some("timed out"));
        assert_eq!(status.health, KeyHealth::Unavailable);
        assert!(is_unavailable(world.obtain("dls", "a").await));
        idp.reply(Reply::keys(&["a"]));
        world.next_attempt("dls").await;
        assert_eq!(world.kids("dls"), ["a"]);
    }
}

#[tokio::test]
async fn invariant_39_six_hours_of_outage_lose_nothing() {
    let idp = Idp::start().await;
    idp.reply(Reply::keys(&["a"]));
    let world = World::with(&idp, |_| {}).await;
    let faults = [
        Reply::Status(500, ""),
        Reply::Hang,
        Reply::Reset,
        Reply::Ok("", b"<html>".to_vec()),
        Reply::Slow,
    ];
    let mut faults = faults.iter().cycle();
    while world.clock.tick().as_nanos() < 6 * 3600 * 1_000_000_000 {
        let fault = faults.next().unwrap().clone();
        let hangs = matches!(fault, Reply::Hang | Reply::Slow);
        idp.reply(fault);
        let (requests, attempts) = (idp.requests(), world.attempts("dls"));
        let wait = world.status("dls").next_refresh_seconds.unwrap() + 1;
        assert!(wait <= 15 * 60 + 1);
        world.clock.advance(secs(wait));
        idp.asked(requests + 1).await;
        if hangs {
            assert_eq!(world.kids("dls"), ["a"], "while a fetch hangs");
            world.clock.advance(secs(5));
        }
        world.ended("dls", attempts + 1).await;
        assert_eq!(world.kids("dls"), ["a"]);
        assert_eq!(world.health("dls"), KeyHealth::Stale);
        assert!(is_unavailable(world.obtain("dls", "unknown").await));
    }
    assert!(world.status("dls").fetches_failed >= 20);
    idp.reply(Reply::keys(&["a"]));
    world.next_attempt("dls").await;
    assert_eq!(world.health("dls"), KeyHealth::Usable);
}

#[tokio::test]
async fn invariant_35_past_max_stale_nothing_serves_until_the_issuer_is_back() {
    let idp = Idp::start().await;
    idp.reply(Reply::keys(&["a"]));
    let world = World::with(&idp, |settings| settings.max_stale = secs(3600)).await;
    idp.reply(Reply::Status(503, ""));
    while world.status("dls").expires_in_seconds.unwrap() > 16 * 60 {
        world.next_attempt("dls").await;
        assert_eq!(world.kids("dls"), ["a"]);
    }
    let left = world.status("dls").expires_in_seconds.unwrap();
    world.clock.advance(secs(left + 1));
    world.until("dls", |status| status.kids.is_empty()).await;
    assert_eq!(world.health("dls"), KeyHealth::Unavailable);
    assert!(world.kids("dls").is_empty());
    assert!(is_unavailable(world.obtain("dls", "a").await));
    idp.reply(Reply::keys(&["a"]));
    world.next_attempt("dls").await;
    assert_eq!(world.kids("dls"), ["a"]);
}

#[tokio::test]
async fn s16_invariant_41_a_withdrawn_key_ends_with_the_next_refresh() {
    let idp = Idp::start().await;
    idp.reply(Reply::keys(&["old", "new"]));
    let world = World::with(&idp, |settings| settings.refresh = secs(300)).await;
    assert_eq!(world.kids("dls"), ["old", "new"]);
    idp.reply(Reply::keys(&["new"]));
    assert!(world.status("dls").next_refresh_seconds.unwrap() <= 300);
    world.next_attempt("dls").await;
    assert_eq!(world.kids("dls"), ["new"]);
    assert_eq!(world.obtain("dls", "old").await, Obtained::Absent);
    assert_eq!(world.obtain("dls", "new").await, Obtained::Refreshed);
}

#[tokio::test]
async fn invariant_44_a_flood_does_not_starve_the_scheduled_refresh() {
    let idp = Idp::start().await;
    idp.reply(Reply::keys(&["a"]));
    let world = World::with(&idp, |settings| settings.refresh = secs(300)).await;
    let due = world.status("dls").next_refresh_seconds.unwrap();
    idp.reply(Reply::Status(500, ""));
    assert!(is_unavailable(world.obtain("dls", "invented").await));
    world.clock.advance(secs(40));
    assert!(is_unavailable(world.obtain("dls", "invented").await));
    assert!(world.status("dls").next_refresh_seconds.unwrap() <= due - 39);
    idp.reply(Reply::keys(&["a", "rotated"]));
    world.next_attempt("dls").await;
    assert_eq!(world.kids("dls"), ["a", "rotated"]);
}

#[tokio::test]
async fn invariant_51_wall_clock_jumps_cause_no_fetch_and_end_no_keys() {
    let idp = Idp::start().await;
    idp.reply(Reply::keys(&["a"]));
    let world = World::with(&idp, |_| {}).await;
    let before = world.status("dls");
    for wall in [
        0,
        -1,
        i64::from(u32::MAX),
        START.as_secs() + 10 * 365 * 86_400,
    ] {
        world.clock.set_wall(UnixTime::from_secs(wall));
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert_eq!(world.status("dls"), before);
        assert_eq!(world.kids("dls"), ["a"]);
    }
    assert_eq!(idp.requests(), 1);
}

#[derive(Clone, Default)]
struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// In a process of its own: whether an event is written is remembered by all threads, and others have no subscriber.
#[test]
fn events_tell_what_an_operator_must_act_on() {
    alone("faults::alone_events", &[]);
}

#[tokio::test]
#[ignore = "run by events_tell_what_an_operator_must_act_on"]
async fn alone_events() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::INFO)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let idp = Idp::start().await;
    idp.reply(Reply::Status(500, ""));
    let world = World::with(&idp, |settings| settings.max_stale = secs(1000)).await;
    let oct = serde_json::json!({"kty": "oct", "kid": "shared", "k": "AAAA"});
    let document = serde_json::json!({"keys": [oct, idp::jwk("a")]}).to_string();
    idp.reply(Reply::Ok("", document.clone().into_bytes()));
    world.next_attempt("dls").await;
    world.next_attempt("dls").await;
    idp.reply(Reply::Status(500, ""));
    world.next_attempt("dls").await;
    world.clock.advance(secs(1000));
    world.until("dls", |status| status.kids.is_empty()).await;
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let events: Vec<_> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|event| format!("{} {}", event["level"], event["fields"]["message"]).replace('"', ""))
        .collect();
    assert_eq!(
        events[..5],
        [
            "ERROR jwks.refresh_failed",
            "INFO jwks.refreshed",
            "WARN jwks.key_skipped",
            // The second success changed nothing: no event above debug.
            "WARN jwks.refresh_failed",
            "ERROR jwks.stale",
        ]
    );
}
