//! What is logged.

use super::*;

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
fn a5_a7_events_tell_an_operator_what_to_do_and_hold_nothing_secret() {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args([
        "--exact",
        "credential::tests::events::alone_events",
        "--ignored",
    ]);
    let output = child.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}

#[tokio::test]
#[ignore = "run by a5_a7_events_tell_an_operator_what_to_do_and_hold_nothing_secret"]
async fn alone_events() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let world = outage(&lines).await;
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    drop(world);
    let events: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|event| event["target"].as_str().unwrap().starts_with("countersign"))
        .collect();
    let names: Vec<String> = events
        .iter()
        .map(|event| format!("{} {}", event["level"], event["fields"]["message"]).replace('"', ""))
        .collect();
    let expected = [
        "ERROR credential.failed",
        "ERROR credential.failed",
        "INFO credential.obtained",
        "WARN credential.lifetime_missing",
        "WARN credential.failed",
    ];
    assert_eq!(names[..5], expected, "{text}");
    assert!(
        names.contains(&"ERROR credential.expired".to_owned()),
        "{text}"
    );
    let fields = |event: usize| &events[event]["fields"];
    assert_eq!(fields(0)["error"], "invalid_client (status 401)");
    assert_eq!(fields(0)["oauth_error"], "invalid_client");
    assert!(fields(0)["hint"].as_str().unwrap().contains("registered"));
    assert_eq!(fields(0)["credential"], "agent");
    assert_eq!(
        fields(1)["error"],
        "invalid_scope (status 400): unknownscope"
    );
    assert_eq!(fields(2)["scope"], "usage.read");
    assert_eq!(fields(2)["expires_in"], 300);
    assert_eq!(fields(4)["error"], "status 503 without an OAuth error");
    // What HTTP libraries say at the most talkative level is part of it.
    for secret in [
        "correct horse",
        "correct+horse",
        "Y29ycmVjd",
        "the-access-token",
    ] {
        assert!(!text.contains(secret), "{secret}");
    }
}

/// Refused twice, supplied once, and then nobody answers until the token has ended.
async fn outage(lines: &Lines) -> World {
    let idp = Idp::start().await;
    let body = format!(
        r#"{{"error":"invalid_client","error_description":"no client has the secret {SECRET}"}}"#
    );
    idp.reply_at("/token", Reply::Says(401, JSON, body.into_bytes()));
    let world = World::with(settings(&idp)).await;
    let body = r#"{"error":"invalid_scope","error_description":"unknown\nscope"}"#;
    idp.reply_at("/token", Reply::Says(400, JSON, body.into()));
    world.next_request().await;
    let body = r#"{"access_token":"the-access-token","token_type":"Bearer","scope":"usage.read"}"#;
    idp.reply_at("/token", Reply::Ok(JSON, body.into()));
    world.next_request().await;
    idp.reply_at("/token", Reply::Status(503, ""));
    world.next_request().await;
    world.clock.advance(secs(300));
    let mut ends = world.credentials.of_name("agent").ends();
    while world.status().health != CredentialHealth::Unavailable
        || !String::from_utf8_lossy(&lines.0.lock().unwrap()).contains("credential.expired")
    {
        ends.changed().await.unwrap();
    }
    world
}
