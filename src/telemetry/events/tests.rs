use serde_json::{Value, json};

use super::super::tests::{Lines, start};
use super::super::{LogLevel, LogSettings};

fn at(level: LogLevel, say: impl FnOnce()) -> Lines {
    let (telemetry, lines) = start(&LogSettings {
        level,
        ..LogSettings::default()
    });
    tracing::dispatcher::with_default(&telemetry.dispatch(), say);
    drop(telemetry);
    lines
}

#[test]
fn events_are_json_lines_with_constant_names() {
    let lines = at(LogLevel::Info, || {
        tracing::info!(target: "countersign::config", generation = 3_u64, ok = true, path = "a\nb", "config.reloaded");
        tracing::debug!(target: "countersign", "not.shown");
    });
    assert_eq!(
        lines.json(),
        [
            json!({"v": 1, "type": "event", "time": "1970-01-01T00:16:40.000Z", "level": "info",
            "event": "config.reloaded", "generation": 3, "ok": true, "path": "a\nb"})
        ]
    );
}

#[test]
fn the_level_changes_at_a_reload() {
    let (telemetry, lines) = start(&LogSettings::default());
    let say = || tracing::debug!(target: "countersign", "step");
    let dispatch = telemetry.dispatch();
    tracing::dispatcher::with_default(&dispatch, say);
    telemetry.apply(&LogSettings {
        level: LogLevel::Trace,
        ..LogSettings::default()
    });
    tracing::dispatcher::with_default(&dispatch, say);
    telemetry.apply(&LogSettings {
        level: LogLevel::Error,
        ..LogSettings::default()
    });
    tracing::dispatcher::with_default(&dispatch, say);
    drop(telemetry);
    assert_eq!(lines.json().len(), 1);
}

#[test]
fn other_crates_are_heard_from_warn_on_and_no_deeper() {
    let lines = at(LogLevel::Trace, || {
        tracing::debug!(target: "hyper::proto", "headers");
        tracing::info!(target: "countersigned", "not us");
        tracing::warn!(target: "rustls::conn", "odd record");
        tracing::trace!(target: "countersign", "ours");
    });
    let events: Vec<_> = lines
        .json()
        .iter()
        .map(|line| line["event"].clone())
        .collect();
    assert_eq!(events, ["odd record", "ours"]);
    assert_eq!(lines.json()[0]["target"], "rustls::conn");
}

#[test]
fn invariant_46_no_event_prints_a_token_or_an_authorization_header() {
    const CANARY: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl";
    let mut headers = http::HeaderMap::new();
    headers.insert("authorization", format!("Bearer {CANARY}").parse().unwrap());
    let lines = at(LogLevel::Trace, || {
        tracing::trace!(target: "countersign", token = CANARY, "a");
        tracing::trace!(target: "countersign", authorization = "Basic Y2FuYXJ5OmNhbmFyeQ==", "b");
        tracing::trace!(target: "countersign", headers = ?headers, "c");
        tracing::warn!(target: "hyper", "sent {CANARY}");
        tracing::warn!(target: "hyper", "opaque Bearer canarycanarycanary");
        tracing::trace!(target: "countersign", issuer = "https://id.example.org", "d");
    });
    let text = lines.text();
    assert_eq!(text.lines().count(), 6);
    assert!(
        !text.contains("eyJ") && !text.contains("canary") && !text.contains("Y2FuYXJ5"),
        "{text}"
    );
    assert!(text.contains("https://id.example.org"));
}

#[test]
fn the_name_of_a_credential_is_shown_and_its_secret_is_not() {
    let lines = at(LogLevel::Info, || {
        tracing::info!(target: "countersign", credential = "agent", client_secret = "canary", "credential.failed");
    });
    let line = &lines.json()[0];
    assert_eq!(line["credential"], "agent");
    assert_eq!(line["client_secret"], "[redacted]");
}

#[test]
fn invariant_47_events_stay_one_line_of_bounded_length() {
    let hostile = "\u{1b}[31m\r\n\u{2028}\"".repeat(100_000);
    let lines = at(LogLevel::Info, || {
        tracing::info!(target: "countersign", kid = %hostile, "jwks.refresh_failed");
    });
    let text = lines.text();
    assert_eq!(text.lines().count(), 1);
    assert!(text.len() < 16 * 1024);
    assert!(serde_json::from_str::<Value>(&text).is_ok());
}
