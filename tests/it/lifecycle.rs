//! Reload, TLS, client certificates, drain: the process around the requests.

use std::time::Duration;

use crate::bed::h2_client::H2Connection;
use crate::bed::keys::{RSA_1, RSA_2};
use crate::bed::{
    Bed, Connection, Key, Request, Setup, Upstream, Variant, assert_forwarded, assert_refused,
    eventually, tls,
};

const ALLOW_X: &str = "routes: [{path: /x, allow: anyone}, {path: /y, allow: nobody}]\n";
const ALLOW_Y: &str = "routes: [{path: /x, allow: nobody}, {path: /y, allow: anyone}]\n";

#[test]
fn every_request_is_judged_by_exactly_one_generation() {
    let bed = Setup::new(ALLOW_X).workers(2).start();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (bed, stop) = (&bed, &stop);
            scope.spawn(move || {
                let mut client = bed.proxy.connect();
                let mut n = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) || n < 50 {
                    n += 1;
                    let path = if n % 2 == 0 { "/x" } else { "/y" };
                    let response = client.send(Request::get(path).bytes()).read();
                    assert!(matches!(response.status, 200 | 403), "{}", response.status);
                    if response.header("connection") == Some("close") {
                        client = bed.proxy.connect();
                    }
                }
            });
        }
        for n in 0..40 {
            bed.reload(if n % 2 == 0 { ALLOW_Y } else { ALLOW_X })
                .expect("a reload");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    // Not by odd and even numbers: the watcher may reload once more.
    let mut open_in = std::collections::HashMap::new();
    for record in bed.proxy.records() {
        let generation = record["generation"].as_u64().expect("a generation");
        let open_x = (record["decision"] == "allowed") == (record["path"] == "/x");
        let known = *open_in.entry(generation).or_insert(open_x);
        assert_eq!(open_x, known, "{record}");
    }
}

/// Each configuration trusts its own key and opens its own path: a request that saw the routes of one and the keys of the
/// other would pass where it must not.
#[test]
fn invariant_53_no_request_sees_the_routes_of_one_configuration_and_the_keys_of_another() {
    const KEYS: [(&str, &Key); 2] = [("/x", &RSA_1), ("/y", &RSA_2)];
    let bed = Setup::new(ALLOW_X).workers(2).start();
    let configurations = KEYS.map(|(path, key)| {
        let name = key.kid;
        // Both under one name, so that nobody waits for a key.
        let mut jwk = key.jwk();
        jwk["kid"] = "k".into();
        let keys = serde_json::json!({"keys": [jwk]}).to_string();
        std::fs::write(bed.dir.path().join(format!("{name}.json")), keys).expect("a file");
        let other = if path == "/x" { "/y" } else { "/x" };
        bed.fill(&format!(
            "issuers: [{{name: main, issuer: \"@ISSUER@\", jwks: {{file: \"@DIR@/{name}.json\"}}, audiences: [api], algorithms: [RS256]}}]\n\
             callers: {{web: {{issuer: main}}}}\n\
             routes: [{{name: of-{name}, path: {path}, allow: web}}, {{name: not-{name}, path: {other}, allow: nobody}}]\n"
        ))
    });
    bed.proxy.reload(&configurations[0]).expect("a reload");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for (path, key) in [KEYS[0], KEYS[1], ("/x", &RSA_2), ("/y", &RSA_1)] {
            let token = bed.token().key(key).header("kid", "k").sign();
            let request = Request::get(path)
                .bearer(token)
                .header("x-key", key.kid)
                .bytes();
            let (bed, stop) = (&bed, &stop);
            scope.spawn(move || {
                let mut client = bed.proxy.connect();
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let status = client.send(&request).read().status;
                    assert!(matches!(status, 200 | 401 | 403), "{status}");
                }
            });
        }
        for n in 1..20 {
            // Each gets its turn.
            let seen = bed.upstream.requests().len();
            bed.proxy.reload(&configurations[n % 2]).expect("a reload");
            bed.upstream.await_requests(seen + 1);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let passed = bed.upstream.requests();
    for (path, key) in KEYS {
        assert!(passed.iter().any(|request| request.target == path));
        for request in passed.iter().filter(|request| request.target == path) {
            assert_eq!(request.header("x-key"), Some(key.kid), "{path}");
        }
    }
    let mut policy_of = std::collections::HashMap::new();
    for record in bed.proxy.records() {
        let generation = record["generation"].as_u64().expect("a generation");
        let route = record["route"].as_str().expect("a route");
        let (_, policy) = route.split_once('-').expect("a name of ours");
        let known = policy_of.entry(generation).or_insert(policy.to_owned());
        assert_eq!(policy, known, "{record}");
    }
}

#[test]
fn a_reload_that_changes_the_listener_says_so_and_serves_on() {
    let bed = Setup::new(ALLOW_X).start();
    let moved = bed
        .text
        .replace(
            "listen: 127.0.0.1:0\n    upstream",
            "listen: 127.0.0.2:0\n    upstream",
        )
        .replace("workers: 1", "workers: 2");
    assert_ne!(moved, bed.text);
    drop(bed.proxy.reload(&moved));
    bed.proxy.await_event("config.restart_needed");
    assert_eq!(bed.send(&Request::get("/x")).status, 200);
}

#[test]
fn a_document_that_ended_in_end_is_only_replaced_by_one_that_does() {
    let whole = format!("{ALLOW_X}end: true\n");
    let bed = Setup::new(&whole).start();
    assert!(bed.reload("routes: [{path: /x, allow: nobody}]\n").is_err());
    assert_eq!(bed.send(&Request::get("/x")).status, 200);
    bed.reload("routes: [{path: /x, allow: nobody}]\nend: true\n")
        .expect("a whole one");
    assert_eq!(bed.send(&Request::get("/x")).status, 403);
}

#[test]
fn a_changed_file_is_noticed_without_being_told() {
    let bed = Setup::new(ALLOW_X).system_clock().start();
    assert_eq!(bed.send(&Request::get("/y")).status, 403);
    let text = bed.text.replace(ALLOW_X, ALLOW_Y);
    assert_ne!(text, bed.text);
    let beside = bed.config.with_extension("new");
    std::fs::write(&beside, text).expect("a file");
    std::fs::rename(&beside, &bed.config).expect("a rename");
    eventually("the new policy", || {
        bed.send(&Request::get("/y")).status == 200
    });
    assert_eq!(bed.send(&Request::get("/x")).status, 403);
}

#[test]
fn tls_by_alpn_and_http1_over_tls() {
    let bed = Setup::new(ALLOW_X).tls().start();
    let address = bed.proxy.address("tls");
    let mut client = Connection::tls(address, tls::client_config(&[b"http/1.1"], None));
    assert_eq!(client.exchange(Request::get("/x").bytes()).status, 200);
    assert_eq!(client.exchange(Request::get("/y").bytes()).status, 403);
    let mut silent = Connection::tls(address, tls::client_config(&[], None));
    assert_eq!(silent.exchange(Request::get("/x").bytes()).status, 200);
    let http2 = H2Connection::tls(address, tls::client_config(&[b"h2", b"http/1.1"], None));
    assert_eq!(
        http2
            .exchange(&Request::get("/x"))
            .expect("an answer")
            .status,
        200
    );
    let mut plain = Connection::open(address);
    plain.send(Request::get("/x").bytes());
    let answer = plain.read_end();
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    assert_eq!(bed.upstream.requests().len(), 3);
}

const CERTIFICATES: &str = "
callers: {web: {issuer: main}}
routes:
  - {path: /open, allow: anyone}
  - {path: /atlas, allow: {caller: web, client_certificate: {uri: \"spiffe://example.org/atlas\"}}}
";

fn with_client_ca(word: &str) -> Bed {
    let listener = format!(
        "workers: 1\nadmin: {{listen: 127.0.0.1:0}}\ndrain: {{delay: 0s, deadline: 1s}}\ninbound:\n  - name: tls\n    listen: 127.0.0.1:0\n    upstream: @UPSTREAM@\n    tls: {{certificate: {{file: \"@CERTS@/tls.crt\"}}, key: {{file: \"@CERTS@/tls.key\"}}, client_ca: {{file: \"@CERTS@/ca.crt\"}}, client_certificate: {word}}}\n"
    );
    Setup::new(CERTIFICATES).head_only(&listener).start()
}

fn go(bed: &Bed, identity: Option<&tls::Identity>, request: &Request) -> Option<u16> {
    let config = tls::client_config(&[b"http/1.1"], identity);
    let mut client = Connection::tls(bed.proxy.address("tls"), config);
    client
        .send(request.bytes())
        .read_to("GET")
        .ok()
        .map(|response| response.status)
}

#[test]
fn client_certificates_as_a_condition() {
    let bed = with_client_ca("optional");
    let atlas = tls::identity(&["atlas.example.org"], &["spiffe://example.org/atlas"]);
    let other = tls::identity(&["other.example.org"], &["spiffe://example.org/atlas2"]);
    let request = Request::get("/atlas").bearer(bed.token().sign());
    assert_eq!(go(&bed, Some(&atlas), &request), Some(200));
    assert_eq!(go(&bed, Some(&other), &request), Some(403));
    assert_eq!(go(&bed, None, &request), Some(403));
    assert_eq!(
        go(&bed, Some(&atlas), &Request::get("/atlas")),
        Some(401),
        "a certificate is no token"
    );
    assert_eq!(go(&bed, None, &Request::get("/open")), Some(200));
    assert_eq!(bed.upstream.requests().len(), 2);
    let bed = with_client_ca("required");
    assert_eq!(go(&bed, Some(&atlas), &Request::get("/open")), Some(200));
    assert_eq!(
        go(&bed, None, &Request::get("/open")),
        None,
        "refused at the handshake"
    );
    assert_eq!(bed.upstream.requests().len(), 1);
}

#[test]
fn draining_turns_readiness_off_and_lets_requests_finish() {
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::scripted(move |exchange| {
        if exchange.request.target == "/x" {
            wait.lock()
                .expect("wait")
                .recv_timeout(crate::bed::PATIENCE)
                .map_err(std::io::Error::other)?;
        }
        exchange.echo()
    });
    let head = "workers: 1\nadmin: {listen: 127.0.0.1:0}\ndrain: {delay: 0s, deadline: 60s}\n";
    let bed = Setup::new(ALLOW_X).head(head).upstream(upstream).start();
    let mut client = bed.proxy.connect();
    client.send(Request::get("/x").bytes());
    bed.upstream.await_request();
    let address = bed.proxy.addr();
    let (proxy, upstream) = (bed.proxy, bed.upstream);
    let stopping = proxy.stop();
    stopping.await_refusing(address);
    go_on.send(()).expect("the upstream");
    let response = client.read().expect(200);
    assert_eq!(response.header("connection"), Some("close"));
    client.assert_closed();
    stopping.await_end();
    assert_eq!(upstream.requests().len(), 1);
}

/// Found by the soak test: kept-alive connections were served as before until they were closed, sometimes under a
/// request that was on its way.
#[test]
fn invariant_66_answers_of_a_drain_ask_clients_to_leave_before_connections_close() {
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::scripted(move |exchange| {
        if exchange.request.header("x-hold").is_some() {
            wait.lock()
                .expect("wait")
                .recv_timeout(crate::bed::PATIENCE)
                .map_err(std::io::Error::other)?;
        }
        exchange.echo()
    });
    let head = "workers: 1\nadmin: {listen: 127.0.0.1:0}\ndrain: {delay: 5s, deadline: 60s}\n";
    let bed = Setup::new(ALLOW_X).head(head).upstream(upstream).start();
    let address = bed.proxy.addr();
    let mut kept = bed.proxy.connect();
    let mut refused = bed.proxy.connect();
    let http2 = H2Connection::plain(address);
    for (client, path, status) in [(&mut kept, "/x", 200), (&mut refused, "/y", 403)] {
        let response = client.exchange(Request::get(path).bytes());
        assert_eq!(response.status, status);
        assert_eq!(response.header("connection"), None, "nothing ends yet");
    }
    let mut held = http2
        .open(&Request::get("/x").header("x-hold", "1"), true)
        .expect("a stream");
    bed.upstream.await_requests(2);
    let (proxy, clock) = (bed.proxy, bed.clock);
    let stopping = proxy.stop();
    eventually("answers say so", || {
        let response = stopping.proxy().send(&Request::get("/x"));
        assert_eq!(response.status, 200, "accepted and served meanwhile");
        response.header("connection") == Some("close")
    });
    assert_eq!(stopping.proxy().admin_get("/readyz").status, 503);
    for (client, path, status) in [(&mut kept, "/x", 200), (&mut refused, "/y", 403)] {
        let response = client.exchange(Request::get(path).bytes());
        assert_eq!(response.status, status);
        assert_eq!(response.header("connection"), Some("close"));
        client.assert_closed();
    }
    let response = http2.exchange(&Request::get("/x")).expect("an answer");
    assert_eq!(response.status, 200, "served, and GOAWAY after it");
    eventually("the HTTP/2 client was asked to leave", || {
        http2.exchange(&Request::get("/x")).is_err()
    });
    go_on.send(()).expect("the upstream");
    let response = held.head().expect("what was in flight is answered");
    assert_eq!(response.status, 200);
    clock.advance(Duration::from_secs(5));
    stopping.await_refusing(address);
    stopping.await_end();
}

/// Found by the soak test: a stream that had begun before the drain could not say that its connection ends, and the next
/// request met the end.
#[test]
fn invariant_66_after_an_answer_from_before_the_drain_one_more_request_is_served() {
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let upstream = Upstream::scripted(move |exchange| {
        if exchange.request.header("x-hold").is_none() {
            return exchange.echo();
        }
        exchange.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        exchange.chunk("begun")?;
        let waiting = wait.lock().expect("wait");
        waiting
            .recv_timeout(crate::bed::PATIENCE)
            .map_err(std::io::Error::other)?;
        exchange.write("0\r\n\r\n")?;
        Ok(crate::bed::Next::KeepAlive)
    });
    let bed = Setup::new(ALLOW_X).upstream(upstream).start();
    let address = bed.proxy.addr();
    let mut client = bed.proxy.connect();
    client.send(Request::get("/x").header("x-hold", "1").bytes());
    let head = client.read_head().expect("a head");
    assert_eq!(head.header("connection"), None, "nothing ends yet");
    let mut idle = bed.proxy.connect();
    assert_eq!(idle.exchange(Request::get("/x").bytes()).status, 200);
    let proxy = bed.proxy;
    let stopping = proxy.stop();
    stopping.await_refusing(address);
    idle.assert_closed();
    go_on.send(()).expect("the upstream");
    assert_eq!(client.chunk(), b"begun");
    assert_eq!(client.chunk(), b"", "the end");
    assert_eq!(client.take(2), b"\r\n");
    let response = client.exchange(Request::get("/x").bytes());
    assert_eq!(response.status, 200);
    assert_eq!(response.header("connection"), Some("close"));
    client.assert_closed();
    stopping.await_end();
}

#[test]
fn unix_listener_and_host_routes() {
    let lines = "
routes:
  - {path: /x, allow: nobody}
  - {path: /x, hosts: [\"*.example.org\"], allow: anyone}
  - {path: /x, hosts: [closed.example.org], allow: nobody}
";
    let bed = Setup::new(lines).start();
    for (host, status) in [
        ("a.example.org", 200),
        ("A.EXAMPLE.ORG", 200),
        ("a.example.org.", 200),
        ("a.example.org:8080", 200),
        ("closed.example.org", 403),
        ("CLOSED.example.org.", 403),
        ("example.org", 403),
        ("aexample.org", 403),
        ("a.example.org.evil", 403),
    ] {
        let response = bed.send(&Request::get("/x").host(host));
        assert_eq!(response.status, status, "{host}");
    }
}

#[test]
fn observe_mode_decides_and_records_but_lets_pass_until_its_date() {
    let lines = "
callers: {web: {issuer: main}}
routes: [{path: /x, allow: web, mode: observe, until: 2027-01-31}, {path: /y, allow: web}]
";
    let bed = Setup::new(lines).start();
    assert_eq!(bed.send(&Request::get("/x")).status, 200);
    assert_refused(&bed, Variant::PLAIN, &Request::get("/y"), 401, "no_token");
    let record = bed.proxy.records().remove(0);
    assert_eq!(
        record["observed"], "no_token",
        "what would have been: {record}"
    );
    assert_forwarded(
        &bed,
        Variant::PLAIN,
        &Request::get("/y").bearer(bed.token().sign()),
    );
    bed.clock.advance(Duration::from_secs(30 * 86_400));
    assert_eq!(bed.send(&Request::get("/x")).status, 401);
}

#[test]
fn deadlines_close_what_stalls() {
    let bed = Setup::new(ALLOW_X).start();
    for start in [
        "",
        "G",
        "PRI",
        "GET /x HTTP/1.1\r\nhost: a\r\nx",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /x HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        let mut client = bed.proxy.connect();
        client.send(start);
        if start.ends_with("a\r\n\r\n") {
            assert_eq!(client.read().status, 200);
        } else {
            // Something must have been accepted before time passes; a request on another connection shows that.
            assert_eq!(bed.send(&Request::get("/x")).status, 200);
        }
        for _ in 0..8 {
            bed.clock.advance(Duration::from_secs(10));
            assert_eq!(bed.send(&Request::get("/x")).status, 200);
        }
        let answer = client.read_end();
        let allowed =
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 408") || start.starts_with("PRI *");
        assert!(allowed, "{}", answer.escape_ascii());
    }
}
