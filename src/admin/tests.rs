mod credentials;
mod page;

use http::{HeaderMap, Method, Response, Uri};
use serde_json::{Value, json};

use super::answers::{Asked, answer};
use super::*;
use crate::app::LogSink;
use crate::clock::UnixTime;
use crate::drain::{Drain, Phase};
use crate::jwks::{IssuerKeyStatus, KeyHealth};
use crate::rejection::Rejection;
use crate::request::Facts;
use crate::telemetry::{LogSettings, Outcome};

fn issuer(name: &str, health: KeyHealth) -> IssuerKeyStatus {
    IssuerKeyStatus {
        issuer: name.into(),
        source: "url",
        location: Some("https://id.example.org/<keys>".into()),
        health,
        kids: vec!["k1".into()],
        skipped: 0,
        from_disk: false,
        fetched_at: Some(1000),
        age_seconds: Some(5),
        expires_in_seconds: Some(86_395),
        next_refresh_seconds: Some(60),
        fetches_ok: 1,
        fetches_failed: 0,
        fetches_forced: 0,
        consecutive_failures: 0,
        last_error: None,
    }
}

fn with_issuers(issuers: Vec<IssuerKeyStatus>) -> (AdminState, Drain) {
    let clock = Clock::manual(UnixTime::from_secs(1000));
    let (sender, _) = std::sync::mpsc::channel();
    let telemetry = Telemetry::start(
        &LogSettings::default(),
        LogSink::Channel(sender),
        clock.clone(),
    )
    .unwrap();
    let drain = Drain::default();
    let state = AdminState {
        telemetry: Arc::new(telemetry),
        started: clock.now(),
        clock,
        config_file: "countersign.yaml".into(),
        workers: 2,
        hosts: vec!["admin.example.org".into()],
        readiness: Readiness::pending(["listeners are not bound"]),
        drain: drain.signal(),
        reload: ReloadStatus::default(),
        issuers: Arc::new(move || issuers.clone()),
        reviews: Arc::new(Vec::new),
        credentials: Arc::new(Vec::new),
        listeners: Box::new(|| vec![ListenerStatus::default()]),
        outbound: Box::new(Vec::new),
        history: Arc::default(),
        explainer: Box::new(|| Err("no <configuration>".into())),
        certificates: Arc::new(Vec::new),
        upstreams: Box::new(Vec::new),
        observed_callers: Box::new(Vec::new),
        routes: Box::new(|| {
            vec![RouteStatus {
                name: "/<b>".into(),
                paths: vec!["/**".into()],
                allow: vec![AllowStatus {
                    methods: vec!["GET".into()],
                    who: "user".into(),
                }],
                ..RouteStatus::default()
            }]
        }),
        jwks: Box::new(|| json!({"keys": [{"kty": "OKP", "kid": "a"}]})),
    };
    state.reload.loaded(1, state.clock.now());
    (state, drain)
}

fn state() -> (AdminState, Drain) {
    let (state, drain) = with_issuers(vec![issuer("dls", KeyHealth::Usable)]);
    state.readiness.done("listeners are not bound");
    (state, drain)
}

fn ask(
    state: &AdminState,
    surface: &Surface,
    method: &Method,
    target: &str,
    headers: &[(&'static str, &str)],
) -> Response<bytes::Bytes> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    let uri: Uri = target.parse().unwrap();
    let asked = Asked {
        method,
        uri: &uri,
        headers: &map,
    };
    answer(state, surface, asked)
}

fn get(state: &AdminState, target: &str) -> (u16, String) {
    let response = ask(
        state,
        &Surface::Admin,
        &Method::GET,
        target,
        &[("host", "127.0.0.1:9090")],
    );
    (
        response.status().as_u16(),
        String::from_utf8(response.body().to_vec()).unwrap(),
    )
}

const PATHS: [&str; 7] = [
    "/",
    "/explain",
    "/livez",
    "/readyz",
    "/metrics",
    "/status",
    "/.well-known/jwks.json",
];

#[test]
fn invariant_37_admin_answers_get_and_head_only() {
    let (state, _drain) = state();
    for path in PATHS {
        let host = [("host", "localhost")];
        let get = ask(&state, &Surface::Admin, &Method::GET, path, &host);
        assert_eq!(get.status(), 200, "{path}");
        assert_eq!(get.headers()["cache-control"], "no-store");
        assert_eq!(get.headers()["x-content-type-options"], "nosniff");
        assert!(
            get.headers()["content-security-policy"]
                .to_str()
                .unwrap()
                .contains("default-src 'none'")
        );
        let head = ask(&state, &Surface::Admin, &Method::HEAD, path, &host);
        assert!(head.status() == 200 && head.body().is_empty());
        for method in [
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::OPTIONS,
            Method::TRACE,
        ] {
            let refused = ask(&state, &Surface::Admin, &method, path, &host);
            assert_eq!(refused.status(), 405, "{method} {path}");
            assert_eq!(refused.headers()["allow"], "GET, HEAD");
        }
    }
    assert_eq!(get(&state, "/config").0, 404);
}

#[test]
fn invariant_37_admin_checks_host_against_dns_rebinding() {
    let (state, _drain) = state();
    let status = |headers: &[(&'static str, &str)]| {
        ask(&state, &Surface::Admin, &Method::GET, "/status", headers)
            .status()
            .as_u16()
    };
    for ours in [
        "127.0.0.1",
        "127.0.0.1:9090",
        "[::1]:9090",
        "[::1]",
        "localhost:1",
        "LOCALHOST",
        "admin.example.org:9090",
    ] {
        assert_eq!(status(&[("host", ours)]), 200, "{ours}");
    }
    for foreign in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example:9090",
        "",
        "a@127.0.0.1",
        "127.0.0.1:x",
    ] {
        assert_eq!(status(&[("host", foreign)]), 403, "{foreign}");
    }
    assert_eq!(status(&[]), 403);
    assert_eq!(status(&[("host", "localhost"), ("host", "localhost")]), 403);
    let absolute = ask(
        &state,
        &Surface::Admin,
        &Method::GET,
        "http://evil.example/status",
        &[("host", "localhost")],
    );
    assert_eq!(absolute.status(), 403);
}

#[test]
fn invariant_37_probes_serve_only_what_is_listed() {
    let (state, _drain) = state();
    let probes = Surface::Probes(vec![Probe::Livez, Probe::Jwks]);
    for path in PATHS {
        let response = ask(
            &state,
            &probes,
            &Method::GET,
            path,
            &[("host", "pod.example.org")],
        );
        let listed = matches!(path, "/livez" | "/.well-known/jwks.json");
        assert_eq!(response.status() == 200, listed, "{path}");
        if !listed {
            assert_eq!(response.status(), 404);
        }
    }
}

#[test]
fn readiness_says_in_words_what_is_missing() {
    let (state, drain) = with_issuers(vec![issuer("dls", KeyHealth::Unavailable)]);
    assert_eq!(
        get(&state, "/readyz"),
        (
            503,
            "not ready\nmissing: listeners are not bound\nmissing: issuer dls has no usable keys\n"
                .into()
        )
    );
    assert_eq!(
        get(&state, "/livez"),
        (200, "ok\n".into()),
        "a restart would not help"
    );
    drop(drain);

    let (state, drain) = self::state();
    assert_eq!(get(&state, "/readyz"), (200, "ready\n".into()));
    drain.advance(Phase::Leaving);
    assert_eq!(
        get(&state, "/readyz"),
        (503, "not ready\nmissing: the proxy is draining\n".into())
    );
    let (code, body) = get(&state, "/readyz?verbose");
    assert_eq!(code, 503);
    assert_eq!(
        serde_json::from_str::<Value>(&body).unwrap(),
        json!({"ready": false, "missing": ["the proxy is draining"], "degraded": []})
    );
}

#[test]
fn invariant_35_no_keys_at_all_is_not_ready_and_one_issuer_of_several_degrades() {
    let (state, _drain) = with_issuers(vec![
        issuer("dls", KeyHealth::Usable),
        issuer("atlas", KeyHealth::Unavailable),
        issuer("old", KeyHealth::Stale),
    ]);
    state.readiness.done("listeners are not bound");
    let ready = state.ready();
    assert!(ready.ready);
    assert_eq!(
        ready.degraded,
        [
            "the keys of issuer old could not be refreshed",
            "issuer atlas has no usable keys"
        ]
    );
    let (none, _drain) = with_issuers(vec![]);
    none.readiness.done("listeners are not bound");
    assert!(
        none.ready().ready,
        "a configuration without issuers needs no keys"
    );
}

#[test]
fn invariant_54_a_failed_reload_stays_ready_and_is_told() {
    let (state, _drain) = state();
    state.reload.failed(
        "config.yaml:3:1: routes[0].alow: unknown key".into(),
        state.clock.now(),
    );
    assert_eq!(get(&state, "/readyz").0, 200);
    let status: Value = serde_json::from_str(&get(&state, "/status").1).unwrap();
    assert_eq!(status["config"]["generation"], 1);
    assert_eq!(
        status["config"]["last_error"],
        "config.yaml:3:1: routes[0].alow: unknown key"
    );
    state.reload.loaded(2, state.clock.now());
    assert_eq!(state.status().config.last_error, None);
}

#[test]
fn status_and_page_show_counts_and_escape_what_callers_sent() {
    let (state, _drain) = state();
    let recorder = state.telemetry.worker().listener("in");
    for rejection in [None, Some(&Rejection::NoToken)] {
        recorder.began();
        let outcome = Outcome {
            rejection,
            request_id: "<script>alert(1)</script>",
            status: 401,
            ..Outcome::default()
        };
        recorder.ended(&Facts::default(), &outcome, state.clock.now());
    }
    state.telemetry.flush();
    let status = state.status();
    assert_eq!(
        (
            status.requests.total,
            status.requests.allowed,
            status.requests.denied
        ),
        (2, 1, 1)
    );
    assert_eq!(status.refusals_by_reason["no_token"], 1);
    assert_eq!(status.recent_refusals.len(), 1);
    let (_, page) = get(&state, "/");
    assert!(
        page.contains("no_token") && page.contains("&lt;script&gt;") && page.contains("/&lt;b&gt;")
    );
    assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("style="));
}

#[test]
fn metrics_and_keys_are_served_in_their_formats() {
    let (state, _drain) = state();
    state
        .telemetry
        .metrics()
        .observe_keys(&state.issuers)
        .unwrap();
    let (_, text) = get(&state, "/metrics");
    assert!(text.contains("countersign_ready_info 1"));
    assert!(
        text.contains(r#"countersign_key_set_age_seconds{issuer="dls"} 5"#),
        "{text}"
    );
    let response = ask(
        &state,
        &Surface::Admin,
        &Method::GET,
        "/.well-known/jwks.json",
        &[("host", "[::1]")],
    );
    assert_eq!(
        response.headers()["content-type"],
        "application/jwk-set+json"
    );
    assert_eq!(
        &response.body()[..],
        br#"{"keys":[{"kid":"a","kty":"OKP"}]}"#
    );
}

#[test]
fn probes_are_answered_over_a_socket_until_the_drain_has_ended() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (state, drain) = state();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let signal = drain.signal();
        let serving = serve(listener, Arc::new(state), Surface::Admin, signal);
        let client = async {
            let mut answers = Vec::new();
            for phase in [Phase::Serving, Phase::Closing] {
                drain.advance(phase);
                let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
                stream
                    .write_all(
                        b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                    )
                    .await
                    .unwrap();
                let mut text = String::new();
                stream.read_to_string(&mut text).await.unwrap();
                answers.push(text);
            }
            drain.end();
            answers
        };
        let (answers, ()) = tokio::join!(client, serving);
        assert!(answers[0].starts_with("HTTP/1.1 200 "), "{}", answers[0]);
        assert!(answers[1].starts_with("HTTP/1.1 503 "), "{}", answers[1]);
    });
}
