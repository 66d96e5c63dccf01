//! What admin tells about credentials.

use super::*;
use crate::credential::{CredentialHealth, CredentialStatus};

fn credential(name: &str, health: CredentialHealth) -> CredentialStatus {
    let held = matches!(health, CredentialHealth::Usable | CredentialHealth::Stale);
    CredentialStatus {
        credential: name.into(),
        source: "discover",
        location: Some("https://id.example.org/<realm>".into()),
        client_id: Some("agent".into()),
        authentication: "private_key_jwt",
        health,
        expires_at: held.then_some(1300),
        expires_in_seconds: held.then_some(300),
        next_request_seconds: 270,
        last_success_at: held.then_some(1000),
        requests_obtained: u64::from(held),
        requests_refused: 2,
        requests_malformed: 0,
        requests_unreachable: 3,
        requests_internal: 0,
        requests_forced: 0,
        consecutive_failures: 0,
        last_error: Some("invalid_client (status 401)".into()),
        last_oauth_error: Some("invalid_client"),
    }
}

fn with(issuers: Vec<IssuerKeyStatus>, credentials: Vec<CredentialStatus>) -> AdminState {
    let (mut state, drain) = with_issuers(issuers);
    // Nobody drains here; a drain that is dropped would count as ended.
    std::mem::forget(drain);
    state.readiness.done("listeners are not bound");
    state.credentials = Arc::new(move || credentials.clone());
    state
}

#[test]
fn a5_a_credential_without_a_token_degrades_unless_nothing_else_is_served() {
    use CredentialHealth::{Pending, Stale, Unavailable, Usable};
    // issuers, credentials, ready, what is said
    let rows: [(usize, &[CredentialHealth], bool, &[&str]); 8] = [
        (1, &[Usable], true, &[]),
        (1, &[Pending], true, &[]),
        (
            1,
            &[Stale],
            true,
            &["the token of credential 0 could not be renewed"],
        ),
        (1, &[Unavailable], true, &["credential 0 has no token"]),
        (0, &[Unavailable], false, &["credential 0 has no token"]),
        (
            0,
            &[Unavailable, Usable],
            true,
            &["credential 0 has no token"],
        ),
        (0, &[Pending], true, &[]),
        (0, &[], true, &[]),
    ];
    for (issuers, healths, ready, said) in rows {
        let credentials = healths
            .iter()
            .enumerate()
            .map(|(number, health)| credential(&number.to_string(), *health))
            .collect();
        let issuers = vec![issuer("dls", KeyHealth::Usable); issuers];
        let found = with(issuers, credentials).ready();
        assert_eq!(found.ready, ready, "{healths:?}");
        assert_eq!(
            [found.missing, found.degraded].concat(),
            said,
            "{healths:?}"
        );
    }
}

#[test]
fn a5_status_page_and_metrics_tell_the_state_of_credentials() {
    let credentials = vec![
        credential("agent", CredentialHealth::Stale),
        credential("other", CredentialHealth::Unavailable),
    ];
    let state = with(vec![issuer("dls", KeyHealth::Usable)], credentials);
    let status: Value = serde_json::from_str(&get(&state, "/status").1).unwrap();
    assert_eq!(status["credentials"][0]["health"], "stale");
    assert_eq!(status["credentials"][0]["expires_at"], 1300);
    assert_eq!(
        status["credentials"][1]["last_oauth_error"],
        "invalid_client"
    );
    let (_, page) = get(&state, "/");
    for expected in [
        "\"Credential\">agent</td><td data-head=\"Token\" class=\"warn\">held, not renewed</td>",
        "<code>agent</code> private_key_jwt</td>",
        "\"Ends\" class=\"span\">in 5 min 0 s</td>",
        "\"Next request\" class=\"span\">in 4 min 30 s</td>",
        "\"Last error\">invalid_client (status 401)</td>",
        "class=\"bad\">none: 503</td>",
        "https://id.example.org/&lt;realm&gt;",
    ] {
        assert!(page.contains(expected), "{expected}: {page}");
    }
    let metrics = state.telemetry.metrics();
    metrics.observe_credentials(&state.credentials).unwrap();
    let (_, text) = get(&state, "/metrics");
    for expected in [
        "countersign_credential_usable{credential=\"agent\"} 1",
        "countersign_credential_usable{credential=\"other\"} 0",
        "countersign_credential_expiry_timestamp_seconds{credential=\"agent\"} 1300",
        "countersign_credential_last_success_timestamp_seconds{credential=\"agent\"} 1000",
        "countersign_credential_requests_total{credential=\"agent\",outcome=\"obtained\"} 1",
        "countersign_credential_requests_total{credential=\"other\",outcome=\"refused\"} 2",
        "countersign_credential_requests_total{credential=\"other\",outcome=\"unreachable\"} 3",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(
        !text.contains("expiry_timestamp_seconds{credential=\"other\"}"),
        "{text}"
    );
    let none = with(vec![issuer("dls", KeyHealth::Usable)], Vec::new());
    assert!(!get(&none, "/").1.contains("Credentials"));
}
