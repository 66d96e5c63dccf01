//! SmartEM Decisions: a FastAPI backend behind Keycloak (rows S1 to S25).

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::{Value, json};

use crate::bed::{
    Bed, Before, Connection, Issuer, Mode, Next, Request, Setup, Token, Upstream, Variant,
    assert_forwarded, assert_refused, contains, forwarded_everywhere, keys, refused_everywhere,
};

/// The public name of the realm; its keys come from elsewhere (split horizon).
const REALM: &str = "https://keycloak.example.org/realms/dls";
const LOCAL: &str = "http://localhost:30090/realms/dls";

const CONFIG: &str = r#"
issuers:
  - name: dls
    issuer: [https://keycloak.example.org/realms/dls, http://localhost:30090/realms/dls]
    jwks: {url: "@JWKS@", allow_http: true}
    audiences: unchecked
    clients: [SmartEM_User, SmartEM_Agent]
    algorithms: [RS256]
    leeway: 60s
    required_claims: [exp, azp]
identity:
  headers: {x-auth-subject: subject, x-auth-client: client, x-auth-fedid: claims.fedId, x-auth-user: claims.preferred_username}
callers:
  user: {issuer: dls, client: SmartEM_User}
  agent: {issuer: dls, client: SmartEM_Agent}
routes:
  - path: [/health, /status, /docs, /openapi.json, /version]
    allow: anyone
  - path: /debug/**
    allow: nobody
  - path: /agent/{agent}/**
    allow: agent
  - path: /bound/{agent}
    allow: {caller: agent, claims: {agent_id: "{agent}"}}
  - path: /cut
    allow: {GET: [user, agent]}
    end_at_expiry: true
  - path: /**
    allow:
      GET, HEAD: [user, agent]
      POST, PUT, DELETE: agent
answers:
  fastapi: {body: {detail: "{message}"}}
"#;

fn setup() -> Setup {
    Setup::bare(CONFIG)
        .inbound("answers: fastapi\ncors: {origins: [https://app.example.org], preflight: forward}")
        .issuer_called(REALM)
        .tls()
}

fn bed() -> Bed {
    setup().start()
}

/// A user's token as Keycloak makes it.
fn user(bed: &Bed) -> Token {
    bed.token()
        .header("typ", "JWT")
        .claim("aud", "account")
        .claim("azp", "SmartEM_User")
        .claim("typ", "Bearer")
        .claim("scope", "openid profile email")
        .claim("preferred_username", "devuser")
        .claim("fedId", "dev12345")
        .claim("realm_access", json!({"roles": ["offline_access"]}))
}

/// An agent's token.
fn agent(bed: &Bed) -> Token {
    user(bed)
        .claim("azp", "SmartEM_Agent")
        .claim("sub", "service-account-smartem_agent")
        .without("fedId")
}

fn get(token: Token) -> Request {
    Request::get("/acquisitions").bearer(token.sign())
}

#[test]
fn s01_rs256_is_pinned_for_the_issuer() {
    let bed = bed();
    bed.issuer.publish(vec![
        keys::RSA_1.jwk(),
        keys::ES256_1.jwk(),
        keys::PS_1.jwk(),
    ]);
    forwarded_everywhere(&bed, &get(user(&bed)));
    let algorithm = "token_algorithm|token_malformed";
    for token in [
        user(&bed).header("alg", "none").with_signature(""),
        user(&bed)
            .header("alg", "HS256")
            .sign_hmac(&keys::RSA_1.public_bytes()),
        user(&bed).key(&keys::PS_1).sign(),
        user(&bed).alg("PS256").sign(),
        user(&bed).alg("RS512").sign(),
        user(&bed).key(&keys::ES256_1).sign(),
    ] {
        refused_everywhere(
            &bed,
            &Request::get("/acquisitions").bearer(token),
            401,
            algorithm,
        );
    }
}

#[test]
fn s02_several_exact_issuers_with_keys_from_elsewhere() {
    let bed = bed();
    for iss in [REALM, LOCAL] {
        forwarded_everywhere(&bed, &get(user(&bed).claim("iss", iss)));
    }
    for iss in [
        "https://keycloak.example.org/realms/dls/",
        "https://keycloak.example.org/realms/other",
        "http://localhost:30090/realms/dls/",
        "HTTP://localhost:30090/realms/dls",
        "http://keycloak-service:8080/realms/dls",
    ] {
        refused_everywhere(
            &bed,
            &get(user(&bed).claim("iss", iss)),
            401,
            "token_issuer",
        );
    }
    assert_eq!(bed.issuer.discoveries(), 0);
}

#[test]
fn s03_the_azp_allow_list_decides_where_aud_says_nothing() {
    let bed = bed();
    forwarded_everywhere(&bed, &get(user(&bed)));
    forwarded_everywhere(&bed, &get(agent(&bed)));
    let reason = "token_client|token_claim";
    refused_everywhere(&bed, &get(user(&bed).without("azp")), 401, reason);
    for azp in [
        json!("other"),
        json!(["SmartEM_User"]),
        json!(""),
        json!(1),
        Value::Null,
        json!({"a": 1}),
        json!("smartem_user"),
    ] {
        refused_everywhere(&bed, &get(user(&bed).claim("azp", azp)), 401, reason);
    }
}

#[test]
fn s04_a_leeway_of_sixty_seconds() {
    let bed = bed();
    forwarded_everywhere(&bed, &get(user(&bed).expires_in(-30)));
    forwarded_everywhere(&bed, &get(user(&bed).expires_in(-59)));
    refused_everywhere(&bed, &get(user(&bed).expires_in(-61)), 401, "token_expired");
}

#[test]
fn s05_exp_is_required_and_id_tokens_are_refused() {
    let bed = bed();
    refused_everywhere(
        &bed,
        &get(user(&bed).without("exp")),
        401,
        "token_claim|token_malformed",
    );
    refused_everywhere(&bed, &get(user(&bed).claim("typ", "ID")), 401, "token_type");
    for typ in ["Refresh", "Logout"] {
        let status = bed.send(&get(user(&bed).claim("typ", typ))).status;
        assert_eq!(status, 401, "{typ}");
    }
    forwarded_everywhere(&bed, &get(user(&bed).claim("typ", "Bearer")));
}

#[test]
fn s06_works_without_sub_where_required_claims_says_so() {
    let bed = bed();
    let seen = assert_forwarded(&bed, Variant::PLAIN, &get(user(&bed).without("sub")));
    assert_eq!(seen.header("x-auth-subject"), None, "absent, not empty");
    assert_eq!(seen.header("x-auth-client"), Some("SmartEM_User"));
    assert_eq!(seen.header("x-auth-fedid"), Some("dev12345"));
    assert_eq!(seen.header("x-auth-user"), Some("devuser"));
    let seen = assert_forwarded(&bed, Variant::PLAIN, &get(user(&bed)));
    assert_eq!(seen.header("x-auth-subject"), Some("alice"));
    let strict = CONFIG.replace("required_claims: [exp, azp]", "required_claims: [exp, sub]");
    let bed = Setup::bare(&strict)
        .inbound("answers: fastapi")
        .issuer_called(REALM)
        .start();
    assert_eq!(bed.send(&get(user(&bed).without("sub"))).status, 401);
}

#[test]
fn s07_errors_look_like_fastapis() {
    let bed = bed();
    let response = bed.send(&Request::get("/acquisitions")).expect(401);
    assert_eq!(response.header("content-type"), Some("application/json"));
    let body = response.json();
    assert_eq!(
        body.as_object()
            .map(|body| body.keys().cloned().collect::<Vec<_>>()),
        Some(vec!["detail".to_owned()])
    );
    assert!(body["detail"].is_string());
    assert!(
        response
            .header("www-authenticate")
            .is_some_and(|value| value.starts_with("Bearer"))
    );
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let bad = bed.get("/acquisitions", "x.y.z").expect(401);
    assert!(
        bad.header("www-authenticate")
            .is_some_and(|value| value.contains("error=\"invalid_token\""))
    );
    assert!(bad.json()["detail"].is_string());
    let refused = bed
        .send(&Request::post("/acquisitions", "{}").bearer(user(&bed).sign()))
        .expect(403);
    assert!(refused.json()["detail"].is_string());
}

#[test]
fn s08_exact_exempt_paths() {
    let bed = bed();
    for path in [
        "/health",
        "/status",
        "/openapi.json",
        "/docs",
        "/version",
        "/%73tatus",
        "/status?x=1",
    ] {
        forwarded_everywhere(&bed, &Request::get(path));
        forwarded_everywhere(&bed, &Request::get(path).bearer("garbage"));
    }
    refused_everywhere(&bed, &Request::get("//status"), 400, "path_empty_segment");
    let token = user(&bed).sign();
    for path in ["/Health", "/status/", "/STATUS", "/docs/"] {
        for request in [Request::get(path), Request::get(path).bearer(&token)] {
            refused_everywhere(&bed, &request, 403, "near_miss");
        }
    }
    for path in [
        "/statuses",
        "/status/x",
        "/x/status",
        "/status.",
        "/status%20",
    ] {
        refused_everywhere(&bed, &Request::get(path), 401, "no_token");
    }
}

#[test]
fn s09_cors_for_browsers() {
    let bed = bed();
    let preflight = |origin: &str| {
        Request::new("OPTIONS", "/acquisitions")
            .header("origin", origin)
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization")
    };
    let seen = assert_forwarded(&bed, Variant::PLAIN, &preflight("https://app.example.org"));
    assert_eq!(seen.header("x-auth-subject"), None);
    let allowed = |response: &crate::bed::Response| {
        response
            .header("access-control-allow-origin")
            .map(str::to_owned)
    };
    let origin = Some("https://app.example.org".to_owned());
    let from = |request: Request| request.header("origin", "https://app.example.org");
    let unauthorized = bed.send(&from(Request::get("/acquisitions"))).expect(401);
    assert_eq!(allowed(&unauthorized), origin);
    assert!(
        unauthorized
            .header("vary")
            .is_some_and(|vary| vary.to_lowercase().contains("origin"))
    );
    assert_eq!(
        allowed(&bed.send(&from(Request::get("/debug/x"))).expect(403)),
        origin
    );
    assert_eq!(
        allowed(
            &bed.send(&Request::get("/acquisitions").header("origin", "https://evil.example"))
                .expect(401)
        ),
        None
    );
    assert_eq!(
        allowed(&bed.send(&Request::get("/acquisitions")).expect(401)),
        None
    );
    let dead = down(Mode::Answer(500, "text/plain", String::new()));
    let unavailable = dead.send(&from(get(user(&dead)))).expect(503);
    assert_eq!(allowed(&unavailable), origin);
    let bare = Request::new("OPTIONS", "/acquisitions").header("origin", "https://app.example.org");
    let status = bed.send(&bare).status;
    assert!(
        matches!(status, 401 | 405),
        "no preflight without the method it asks for: {status}"
    );
}

/// An upstream whose answer is one SSE stream that a test feeds; it reports when the proxy has gone.
fn sse() -> (
    Upstream,
    std::sync::mpsc::Sender<&'static str>,
    std::sync::mpsc::Receiver<()>,
) {
    let (feed, food) = channel::<&'static str>();
    let (gone, left) = channel();
    let food = Mutex::new(food);
    let gone = Mutex::new(gone);
    let upstream = Upstream::scripted(move |exchange| {
        if exchange.request.target == "/health" {
            return exchange.echo();
        }
        exchange.write("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")?;
        while let Ok(event) = food
            .lock()
            .expect("food")
            .recv_timeout(crate::bed::PATIENCE)
        {
            if event == "end" {
                exchange.write("0\r\n\r\n")?;
                return Ok(Next::KeepAlive);
            }
            if event == "watch" {
                exchange.await_close()?;
                break;
            }
            exchange.chunk(event)?;
        }
        gone.lock()
            .expect("gone")
            .send(())
            .map_err(std::io::Error::other)?;
        Ok(Next::Close)
    });
    (upstream, feed, left)
}

fn open_stream(bed: &Bed, target: &str, token: Token) -> Connection {
    let mut client = bed.proxy.connect();
    client.send(
        Request::get(target)
            .bearer(token.sign())
            .header("accept", "text/event-stream")
            .bytes(),
    );
    assert_eq!(client.read_head().expect("a head").status, 200);
    client
}

#[test]
fn s10_sse_passes_unbuffered() {
    let (upstream, feed, _left) = sse();
    let bed = setup().upstream(upstream).start();
    let mut client = open_stream(&bed, "/events", user(&bed));
    for event in [": ping\n\n", "data: 1\n\n", "d"] {
        feed.send(event).expect("the upstream");
        assert_eq!(client.chunk(), event.as_bytes(), "each event on its own");
    }
    feed.send("end").expect("the upstream");
    assert!(client.chunk().is_empty());
}

#[test]
fn s11_a_stream_outlives_its_token_and_ten_idle_minutes_unless_the_route_cuts_it() {
    let (upstream, feed, _left) = sse();
    let bed = setup().upstream(upstream).start();
    let mut client = open_stream(&bed, "/events", user(&bed));
    feed.send(": ping\n\n").expect("the upstream");
    assert_eq!(client.chunk(), b": ping\n\n");
    bed.clock.advance(Duration::from_secs(600));
    bed.clock.advance(Duration::from_secs(3600));
    assert_eq!(
        bed.send(&get(user(&bed).claim("exp", crate::bed::START)))
            .status,
        401
    );
    feed.send("data: late\n\n").expect("the upstream");
    assert_eq!(client.chunk(), b"data: late\n\n");
    feed.send("end").expect("the upstream");
    assert!(client.chunk().is_empty());
}

#[test]
fn s11_a_route_may_end_streams_at_expiry() {
    let (upstream, feed, left) = sse();
    let bed = setup().upstream(upstream).start();
    let mut client = open_stream(&bed, "/cut", user(&bed).expires_in(100));
    feed.send(": ping\n\n").expect("the upstream");
    assert_eq!(client.chunk(), b": ping\n\n");
    feed.send("watch").expect("the upstream");
    bed.clock.advance(Duration::from_secs(100 + 61));
    assert_eq!(client.try_chunk(), None, "cut, not ended in order");
    left.recv_timeout(crate::bed::PATIENCE)
        .expect("the upstream's stream is closed too");
}

#[test]
fn s12_a_client_that_goes_away_closes_the_upstream_stream() {
    let (upstream, feed, left) = sse();
    let bed = setup().upstream(upstream).start();
    for _ in 0..2 {
        let mut client = open_stream(&bed, "/events", user(&bed));
        feed.send(": ping\n\n").expect("the upstream");
        assert_eq!(client.chunk(), b": ping\n\n");
        feed.send("watch").expect("the upstream");
        drop(client);
        left.recv_timeout(crate::bed::PATIENCE)
            .expect("the upstream saw the end");
    }
}

#[test]
fn s13_draining_keeps_streams_until_the_deadline() {
    let (upstream, feed, _left) = sse();
    let head = "workers: 1\nadmin: {listen: 127.0.0.1:0}\ndrain: {delay: 0s, deadline: 60s}\n";
    let bed = setup().upstream(upstream).head(head).start();
    let mut client = open_stream(&bed, "/events", user(&bed));
    feed.send(": ping\n\n").expect("the upstream");
    assert_eq!(client.chunk(), b": ping\n\n");
    let address = bed.proxy.addr();
    let clock = bed.clock.clone();
    let (proxy, _upstream) = (bed.proxy, bed.upstream);
    let stopping = proxy.stop();
    stopping.await_refusing(address);
    feed.send("data: still here\n\n").expect("the upstream");
    assert_eq!(client.chunk(), b"data: still here\n\n");
    clock.advance(Duration::from_secs(61));
    assert_eq!(client.try_chunk(), None, "the deadline ends it");
    stopping.await_end();
}

/// With an IdP that is out of order from the start.
fn down(mode: Mode) -> Bed {
    let clock = countersign::clock::Clock::manual(countersign::clock::UnixTime::from_secs(
        crate::bed::START,
    ));
    let dead = Issuer::start(&clock);
    dead.mode(mode);
    let lines = CONFIG.replace("@JWKS@", &dead.jwks_url());
    let bed = Setup::bare(&lines)
        .inbound("answers: fastapi\ncors: {origins: [https://app.example.org], preflight: forward}")
        .issuer_called(REALM)
        .start();
    std::mem::forget(dead); // it must stay as it is until the end of the process
    bed
}

/// The wait for a key is bounded by a second of the proxy's clock; time passes until the answer is there.
fn answer_as_time_passes(bed: &Bed, request: &Request) -> crate::bed::Response {
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| bed.send(request));
        for _ in 0..36_000 {
            if answer.is_finished() {
                break;
            }
            // Not before the request is there: its head has a time limit of its own.
            if bed.proxy.metric("http_server_active_requests", "") > 0.5 {
                bed.clock.advance(Duration::from_millis(500));
            }
            std::thread::yield_now();
        }
        answer.join().expect("an answer")
    })
}

#[test]
fn s14_an_idp_outage_is_503_with_retry_after_never_401() {
    for mode in [
        Mode::Answer(500, "text/plain", "down".into()),
        Mode::Answer(200, "text/html", "<html>maintenance</html>".into()),
        Mode::Answer(200, "application/json", String::new()),
        Mode::Answer(200, "application/json", "{\"keys\":[]}".into()),
        Mode::Answer(404, "text/plain", String::new()),
        Mode::Reset,
        Mode::Hang,
    ] {
        let bed = down(mode.clone());
        let token = user(&bed);
        let before = Before::now(&bed);
        let response = answer_as_time_passes(&bed, &get(token.expires_in(86_400)));
        assert_eq!(response.status, 503, "{mode:?}");
        assert!(response.header("retry-after").is_some(), "{mode:?}");
        assert!(response.json()["detail"].is_string());
        before.assert_nothing_upstream(&bed, &mode);
        assert_eq!(
            bed.send(&Request::get("/acquisitions")).status,
            401,
            "no token is no token"
        );
        assert_eq!(bed.send(&Request::get("/status")).status, 200);
    }
}

#[test]
fn s15_invented_kids_cost_one_fetch_per_window_and_a_rotated_kid_works() {
    let bed = bed();
    assert_eq!(bed.send(&get(user(&bed))).status, 200);
    let first = bed.issuer.fetches();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let bed = &bed;
            scope.spawn(move || {
                let mut client = bed.proxy.connect();
                for n in 0..125 {
                    let token = user(bed).header("kid", format!("invented-{thread}-{n}"));
                    client.send(get(token).bytes());
                    let response = client.read();
                    assert!(matches!(response.status, 401 | 503), "{}", response.status);
                    if response
                        .header("connection")
                        .is_some_and(|value| value == "close")
                    {
                        client = bed.proxy.connect();
                    }
                }
            });
        }
    });
    assert!(
        bed.issuer.fetches() <= first + 1,
        "{} fetches",
        bed.issuer.fetches() - first
    );
    assert_eq!(bed.send(&get(user(&bed))).status, 200);
    bed.issuer.rotate(&keys::RSA_2);
    bed.clock.advance(Duration::from_secs(31));
    assert_eq!(
        bed.send(&get(user(&bed))).status,
        200,
        "the rotated key works"
    );
    assert_eq!(
        bed.send(&get(user(&bed).key(&keys::RSA_1))).status,
        200,
        "and the old one still does"
    );
}

#[test]
fn s16_a_withdrawn_key_stops_working_within_the_refresh_interval() {
    let bed = bed();
    let request = get(user(&bed).expires_in(86_400));
    forwarded_everywhere(&bed, &request);
    let fetches = bed.issuer.fetches();
    bed.issuer.withdraw("rsa-1");
    bed.clock.advance(Duration::from_secs(16 * 60));
    bed.issuer.await_fetches(fetches + 1);
    bed.proxy.await_issuer_events("jwks.refreshed", "dls", 2);
    refused_everywhere(&bed, &request, 401, "token_unknown_key");
}

#[test]
fn s17_authentication_comes_before_the_body() {
    let bed = bed();
    let before = Before::now(&bed);
    let mut client = bed.proxy.connect();
    client.send("POST /acquisitions HTTP/1.1\r\nhost: a\r\ncontent-length: 10485760\r\n\r\n");
    assert_eq!(
        client.read().status,
        401,
        "answered before a byte of the body"
    );
    let mut client = bed.proxy.connect();
    let body = vec![b'x'; 10 * 1024 * 1024];
    let request = Request::post("/acquisitions", &body);
    let bytes = request.bytes();
    std::thread::scope(|scope| {
        let (mut answer, pump) = (
            client.reader(),
            scope.spawn(move || {
                let _ = client.try_send(&bytes);
            }),
        );
        assert_eq!(answer.read().status, 401);
        pump.join().expect("the pump");
    });
    let malformed = bed.send(&Request::post("/acquisitions", "{not json"));
    assert_eq!(malformed.status, 401);
    before.assert_nothing_upstream(&bed, &"a refused body");
    let allowed = Request::post("/acquisitions", &body).bearer(agent(&bed).sign());
    assert_eq!(
        assert_forwarded(&bed, Variant::PLAIN, &allowed).body.len(),
        body.len()
    );
}

#[test]
fn s18_a_401_means_that_nothing_reached_the_upstream() {
    let bed = bed();
    for token in [
        String::new(),
        "x".into(),
        user(&bed).expires_in(-100).sign(),
        user(&bed).signed_by(&keys::RSA_2).sign(),
    ] {
        for _ in 0..3 {
            let mut request = Request::post("/acquisitions", "{}");
            if !token.is_empty() {
                request = request.bearer(&token);
            }
            assert_eq!(bed.send(&request).status, 401);
        }
    }
    assert_eq!(bed.upstream.mark(), (0, 0, 0));
    let once = Request::post("/acquisitions", "{}").bearer(agent(&bed).sign());
    assert_forwarded(&bed, Variant::PLAIN, &once);
    assert_eq!(bed.upstream.requests().len(), 1);
}

#[test]
fn s19_per_client_method_and_path_rules() {
    let bed = bed();
    let caller = "caller_not_allowed|condition_client";
    for method in ["POST", "PUT", "DELETE"] {
        let request = Request::new(method, "/acquisitions");
        refused_everywhere(
            &bed,
            &request.clone().bearer(user(&bed).sign()),
            403,
            caller,
        );
        forwarded_everywhere(&bed, &request.bearer(agent(&bed).sign()));
    }
    refused_everywhere(
        &bed,
        &Request::new("PATCH", "/acquisitions").bearer(agent(&bed).sign()),
        405,
        "method_not_allowed",
    );
    let path = Request::get("/agent/7/session");
    refused_everywhere(&bed, &path.clone().bearer(user(&bed).sign()), 403, caller);
    forwarded_everywhere(&bed, &path.bearer(agent(&bed).sign()));
    for path in ["/debug", "/debug/x", "/%64ebug/x", "/debug/"] {
        refused_everywhere(
            &bed,
            &Request::get(path).bearer(agent(&bed).sign()),
            403,
            "nobody_may",
        );
    }
}

/// The 87 operations of the real API, and who calls each.
const OPERATIONS: &str = include_str!("data/smartem-routes.json");

#[test]
fn s19_every_operation_of_the_real_api() {
    let bed = bed();
    let document: Value = serde_json::from_str(OPERATIONS).expect("JSON");
    let routes = document["routes"].as_array().expect("routes");
    assert!(routes.len() >= 80);
    let (user, agent) = (user(&bed).sign(), agent(&bed).sign());
    let mut client = bed.proxy.connect();
    let mut go = |method: &str, path: &str, token: &str| {
        let request = Request::new(method, path).bearer(token);
        let response = client
            .send(request.bytes())
            .read_to(method)
            .expect("an answer");
        if response.header("connection") == Some("close") {
            client = bed.proxy.connect();
        }
        response.status
    };
    for route in routes {
        let method = route["method"].as_str().expect("a method");
        let path = route["path"].as_str().expect("a path");
        let path: String = path
            .split('/')
            .map(|part| if part.starts_with('{') { "7" } else { part })
            .collect::<Vec<_>>()
            .join("/");
        let required = route["auth"] == "required";
        let exempt = ["/health", "/status", "/docs", "/openapi.json", "/version"].contains(&&*path);
        let closed = path.starts_with("/debug");
        let agents = path.starts_with("/agent/");
        for (token, may) in [
            (&user, !closed && !agents && (method == "GET" || exempt)),
            (&agent, !closed && method != "PATCH"),
        ] {
            let status = go(method, &path, token);
            assert_eq!(status == 200, may, "{method} {path} {status}");
        }
        if required && !exempt {
            assert!(
                matches!(go(method, &path, "bad"), 401 | 403 | 405),
                "{method} {path}"
            );
        }
    }
}

#[test]
fn s20_a_path_segment_may_be_bound_to_a_claim() {
    let bed = bed();
    let request =
        |id: &str| Request::get("/bound/agent-7").bearer(agent(&bed).claim("agent_id", id).sign());
    forwarded_everywhere(&bed, &request("agent-7"));
    for id in ["agent-8", "agent-77", "Agent-7", ""] {
        refused_everywhere(
            &bed,
            &request(id),
            403,
            "condition_claims|caller_not_allowed",
        );
    }
    let without = Request::get("/bound/agent-7").bearer(agent(&bed).sign());
    refused_everywhere(&bed, &without, 403, "condition_claims|caller_not_allowed");
}

#[test]
fn s21_byte_transparent_otherwise() {
    type Row = (u16, &'static str, &'static str);
    let rows: &[Row] = &[
        (307, "location: http://api.test/acquisitions/\r\n", ""),
        (
            404,
            "content-type: application/json\r\n",
            "{\"detail\":\"Not Found\"}",
        ),
        (405, "allow: GET\r\n", ""),
        (422, "content-type: application/json\r\n", "{\"detail\":[]}"),
        (
            200,
            "etag: \"abc\"\r\ncache-control: private\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n",
            "x",
        ),
        (
            206,
            "content-range: bytes 0-1/4\r\naccept-ranges: bytes\r\n",
            "ab",
        ),
        (
            401,
            "www-authenticate: Bearer realm=\"upstream\"\r\n",
            "upstream's own",
        ),
        (503, "retry-after: 7\r\n", "upstream's own"),
        (200, "content-encoding: gzip\r\n", "\u{1f}not really gzip"),
    ];
    for (status, headers, body) in rows {
        let upstream =
            Upstream::scripted(move |exchange| exchange.answer(*status, headers, body.as_bytes()));
        let bed = setup().upstream(upstream).start();
        let response = bed.send(&get(user(&bed)));
        assert_eq!(
            (response.status, response.body.as_slice()),
            (*status, body.as_bytes())
        );
        for line in headers.lines() {
            let (name, value) = line.split_once(": ").expect("a header");
            assert!(
                response.all(name).contains(&value),
                "{line}: {:?}",
                response.headers
            );
        }
        assert_eq!(
            response.header("access-control-allow-origin"),
            None,
            "upstream answers are left alone"
        );
    }
}

#[test]
fn s21_requests_arrive_as_they_were() {
    let bed = bed();
    let request = Request::get("/acquisitions/1/image?size=small&q=%C3%A9")
        .host("smartem.example.org:8443")
        .header("range", "bytes=0-1")
        .header("if-none-match", "\"abc\"")
        .header("accept-encoding", "gzip")
        .header("cookie", "a=1")
        .header("user-agent", "agent/1")
        .bearer(user(&bed).sign());
    let seen = assert_forwarded(&bed, Variant::PLAIN, &request);
    assert_eq!(seen.target, request.target);
    assert_eq!(seen.header("host"), Some("smartem.example.org:8443"));
    for (name, value) in &request.headers[..5] {
        assert_eq!(seen.header(name), Some(&**value), "{name}");
    }
    let empty = Request::new("POST", "/acquisitions").bearer(agent(&bed).sign());
    let seen = assert_forwarded(&bed, Variant::PLAIN, &empty);
    assert!(seen.body.is_empty());
    let head = Request::new("HEAD", "/acquisitions").bearer(user(&bed).sign());
    let response = bed.send(&head).expect(200);
    assert!(response.body.is_empty());
    let old = format!(
        "GET /acquisitions HTTP/1.0\r\nhost: api.test\r\nauthorization: Bearer {}\r\n\r\n",
        user(&bed).sign()
    );
    let mut client = bed.proxy.connect();
    let response = client.exchange(&old).expect(200);
    assert_eq!(
        response.header("transfer-encoding"),
        None,
        "HTTP/1.0 knows no chunks"
    );
    client.assert_closed();
}

#[test]
fn s22_duplicate_authorization_is_refused() {
    let bed = bed();
    let token = user(&bed).sign();
    let request = Request::get("/acquisitions").bearer(&token);
    forwarded_everywhere(&bed, &request);
    refused_everywhere(
        &bed,
        &request.clone().bearer(&token),
        400,
        "several_credentials",
    );
    refused_everywhere(
        &bed,
        &request.header("AUTHORIZATION", "Basic eDp5"),
        400,
        "several_credentials",
    );
}

#[test]
fn s23_a_missing_configuration_does_not_start() {
    for (cut, named) in [
        (
            "    issuer: [https://keycloak.example.org/realms/dls, http://localhost:30090/realms/dls]\n",
            "issuer",
        ),
        ("    jwks: {url: \"@JWKS@\", allow_http: true}\n", "jwks"),
        ("    audiences: unchecked\n", "audiences"),
    ] {
        assert!(CONFIG.contains(cut));
        let error = Setup::bare(&CONFIG.replace(cut, ""))
            .inbound("answers: fastapi")
            .try_start()
            .err()
            .expect("no start");
        assert!(error.contains(named), "{named}: {error}");
    }
    let clock = countersign::clock::Clock::system();
    let missing = std::path::Path::new("/nonexistent/countersign.yaml");
    let error = crate::bed::Proxy::try_start(missing, &clock, &[])
        .err()
        .expect("no start");
    assert!(error.contains("countersign.yaml"), "{error}");
}

#[test]
fn s24_the_audit_names_who_where_and_why_and_never_a_token() {
    let bed = bed();
    let token = user(&bed).sign();
    let expired = user(&bed).expires_in(-100).sign();
    let request = Request::get("/acquisitions?secret-query=1")
        .bearer(&token)
        .header("cookie", "canary-cookie");
    assert_forwarded(&bed, Variant::PLAIN, &request);
    assert_refused(
        &bed,
        Variant::PLAIN,
        &Request::get("/acquisitions").bearer(&expired),
        401,
        "token_expired",
    );
    assert_refused(
        &bed,
        Variant::PLAIN,
        &Request::post("/acquisitions", "canary-body").bearer(&token),
        403,
        "caller_not_allowed|condition_client",
    );
    let records = bed.proxy.records();
    let allowed = &records[0];
    assert_eq!(allowed["client"], "SmartEM_User", "{allowed}");
    assert_eq!(allowed["subject"], "alice", "{allowed}");
    assert_eq!(allowed["issuer"], "dls", "{allowed}");
    assert_eq!(allowed["caller"], "user", "{allowed}");
    assert_eq!(allowed["method"], "GET", "{allowed}");
    assert_eq!(allowed["path"], "/acquisitions", "{allowed}");
    assert!(allowed["route"].is_string(), "{allowed}");
    assert!(allowed["request_id"].is_string(), "{allowed}");
    assert!(allowed["generation"].is_u64(), "{allowed}");
    assert_eq!(records[2]["client"], "SmartEM_User", "{}", records[2]);
    let log = bed.proxy.log_text();
    for secret in [&*token, &*expired, "canary-cookie", "canary-body", "eyJ"] {
        assert!(!log.contains(secret), "{secret} in the log");
    }
    for part in token.split('.') {
        assert!(!log.contains(part));
    }
}

#[test]
fn s24_the_request_id_of_an_answer_leads_to_its_record() {
    let bed = bed();
    let response = bed.send(&get(user(&bed).expires_in(-100))).expect(401);
    let id = response.header("x-request-id").expect("a request id");
    assert_eq!(bed.proxy.await_record(id)["reason"], "token_expired");
    assert!(
        !contains(&response.body, b"expired"),
        "the caller does not learn why"
    );
}

#[test]
fn s25_the_proxys_own_health_is_apart_from_a_proxied_health() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.answer(
            503,
            "content-type: application/json\r\n",
            b"{\"status\":\"down\"}",
        )
    });
    let bed = setup().upstream(upstream).start();
    let response = bed.send(&Request::get("/health")).expect(503);
    assert_eq!(response.text(), "{\"status\":\"down\"}");
    bed.proxy.admin_get("/livez").expect(200);
}
