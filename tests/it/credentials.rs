//! Credentials behind a running proxy: one token request however many wait, outages, secrets that are rotated.

mod command;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::bed::{
    Bed, Behaviour, Captured, Connection, Request, Setup, TokenEndpoint, eventually, secrets,
};

const OLD: &str = "b2xkLWNsaWVudC1zZWNyZXQtb2Ytb3Vycw";
const NEW: &str = "bmV3LWNsaWVudC1zZWNyZXQtb2Ytb3Vycw";

/// A proxy with one outbound listener, and a secret in the file `client-secret`.
fn bed(endpoint: &TokenEndpoint, workers: usize) -> Bed {
    secrets::learn("a client secret", OLD);
    secrets::learn("a client secret", NEW);
    let head = "
workers: @WORKERS@
admin: {listen: 127.0.0.1:0}
drain: {delay: 0s, deadline: 1s}
outbound:
  - {name: plain, listen: 127.0.0.1:0, upstream: @UPSTREAM@, credential: agent}
";
    let credentials = format!(
        "credentials:
  agent:
    token_endpoint: {{url: {}}}
    allow_http: true
    client_id: agent
    client_authentication: {{client_secret_basic: {{file: \"@DIR@/client-secret\"}}}}
",
        endpoint.url()
    );
    Setup::bare(&credentials)
        .head_only(head)
        .file("client-secret", OLD)
        .workers(workers)
        .start()
}

fn get(target: &str) -> Request {
    Request::get(target).host("127.0.0.1")
}

/// What `/status` says of the credential.
fn status(bed: &Bed) -> serde_json::Value {
    bed.proxy.admin_get("/status").json()["credentials"][0].clone()
}

#[test]
fn a3_a_hundred_and_a_thousand_concurrent_first_requests_make_one_token_request() {
    for callers in [100, 1000] {
        let endpoint = TokenEndpoint::start();
        endpoint.behave(Behaviour::Holds);
        let bed = bed(&endpoint, 2);
        let mut waiting: Vec<Connection> = (0..callers)
            .map(|n| {
                let mut caller = Connection::open(bed.proxy.addr());
                caller.send(get(&format!("/{n}")).bytes());
                caller
            })
            .collect();
        eventually("all of them wait", || {
            let active = bed.proxy.metric("http_server_active_requests", "");
            active >= f64::from(callers)
        });
        assert!(
            bed.upstream.requests().is_empty(),
            "nothing without a token"
        );
        endpoint.behave(Behaviour::Issues);
        for caller in &mut waiting {
            assert_eq!(caller.read().status, 200);
        }
        assert_eq!(endpoint.asked(), 1);
        let token = format!("Bearer {}", endpoint.issued()[0]);
        let seen = bed.upstream.requests();
        assert_eq!(seen.len(), waiting.len());
        assert!(
            seen.iter()
                .all(|it| it.header("authorization") == Some(&*token))
        );
    }
}

#[test]
fn a5_ten_minutes_of_outage_through_the_proxy() {
    let endpoint = TokenEndpoint::start();
    let bed = bed(&endpoint, 1);
    assert_eq!(bed.send(&get("/before")).status, 200);
    let token = format!("Bearer {}", endpoint.issued()[0]);
    let down = Behaviour::Answers(503, "text/html", "<html>down</html>".to_owned());
    endpoint.behave(down);
    let (mut passed, mut faulted) = (0, 0);
    for second in (0..600).step_by(10) {
        let answer = bed.send(&get("/during"));
        if second < 300 {
            assert_eq!(answer.status, 200, "at {second}: {}", answer.text());
            passed += 1;
        } else {
            assert_eq!(answer.status, 503, "at {second}");
            let retry_after = answer.header("retry-after").expect("a time");
            assert!((1..=60).contains(&retry_after.parse().expect("seconds")));
            assert_eq!(answer.header("www-authenticate"), None);
            faulted += 1;
        }
        bed.clock.advance(Duration::from_secs(10));
    }
    assert_eq!((passed, faulted), (30, 30));
    let seen = bed.upstream.requests();
    assert_eq!(seen.len(), 31, "nothing of those that were refused");
    assert!(
        seen.iter()
            .all(|it| it.header("authorization") == Some(&*token))
    );
    let ready = bed.proxy.admin_get("/readyz");
    assert_eq!(
        ready.status,
        503,
        "nothing else is served here: {}",
        ready.text()
    );
    assert!(ready.text().contains("credential agent has no token"));
    // What is under way ends first; then one back-off step is all that it takes.
    eventually("the next token request is yet to come", || {
        status(&bed)["next_request_seconds"].as_u64() > Some(0)
    });
    endpoint.behave(Behaviour::Issues);
    bed.clock.advance(Duration::from_secs(30));
    assert_eq!(bed.send(&get("/after")).status, 200);
    let last = bed.upstream.requests().pop().expect("a request");
    assert_ne!(last.header("authorization"), Some(&*token));
    assert_eq!(bed.proxy.admin_get("/readyz").status, 200);
}

/// Whether a token request showed this secret.
fn shows(request: &Captured, secret: &str) -> bool {
    let basic = format!("Basic {}", STANDARD.encode(format!("agent:{secret}")));
    request.header("authorization") == Some(&*basic)
}

#[test]
fn a7_a_rotated_secret_is_used_at_once_where_the_old_one_failed_and_costs_no_token() {
    let endpoint = TokenEndpoint::start();
    let bed = bed(&endpoint, 1);
    assert_eq!(bed.send(&get("/one")).status, 200);
    std::fs::write(bed.dir.path().join("client-secret"), format!("{NEW}\n")).expect("a file");
    bed.proxy.reload_as_is().expect("a reload");
    assert_eq!(bed.send(&get("/two")).status, 200);
    assert_eq!(endpoint.asked(), 1, "the token is still good");
    bed.clock.advance(Duration::from_secs(270));
    endpoint.await_asked(2);
    let requests = endpoint.requests();
    assert!(shows(&requests[0], OLD) && shows(&requests[1], NEW));

    let body = r#"{"error":"invalid_client"}"#.to_owned();
    let refusing = TokenEndpoint::start();
    refusing.behave(Behaviour::Answers(401, "application/json", body));
    let bed = self::bed(&refusing, 1);
    let answer = bed.send(&get("/refused"));
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["oauth_error"], "invalid_client");
    refusing.behave(Behaviour::Issues);
    std::fs::write(bed.dir.path().join("client-secret"), NEW).expect("a file");
    bed.proxy.reload_as_is().expect("a reload");
    assert_eq!(
        bed.send(&get("/healed")).status,
        200,
        "the clock stood still"
    );
    assert!(shows(&refusing.requests()[1], NEW));
}

#[test]
fn a7_a_secret_that_goes_missing_refuses_the_reload_and_loses_nothing() {
    let endpoint = TokenEndpoint::start();
    let bed = bed(&endpoint, 1);
    assert_eq!(bed.send(&get("/one")).status, 200);
    let file = bed.dir.path().join("client-secret");
    for empty in [true, false] {
        if empty {
            std::fs::write(&file, "\n").expect("a file");
        } else {
            std::fs::remove_file(&file).expect("no file");
        }
        let refused = bed.proxy.reload_as_is().expect_err("a refusal");
        let word = if empty { "is empty" } else { "no such file" };
        assert!(refused.contains(word), "{refused}");
        assert_eq!(bed.send(&get("/two")).status, 200);
    }
    assert_eq!(endpoint.asked(), 1);
}

#[test]
fn a5_metrics_tell_what_became_of_token_requests() {
    let endpoint = TokenEndpoint::start();
    endpoint.lifetime(None);
    let bed = bed(&endpoint, 1);
    assert_eq!(bed.send(&get("/one")).status, 200);
    let metric = |name: &str, label: &str| bed.proxy.metric(name, label);
    let requests = "countersign_credential_requests_total";
    assert_eq!(
        metric(requests, "outcome=\"obtained\"").to_bits(),
        1_f64.to_bits()
    );
    let end = metric("countersign_credential_expiry_timestamp_seconds", "agent");
    let start = bed.clock.now().unix.as_secs() as f64;
    assert_eq!(
        end.to_bits(),
        (start + 300.0).to_bits(),
        "five minutes where nothing is said"
    );
    bed.proxy.await_event("credential.lifetime_missing");
    let page = bed.proxy.admin_get("/").text();
    assert!(page.contains("client_secret_basic"), "{page}");
    assert!(!page.contains(&endpoint.issued()[0]));
}
