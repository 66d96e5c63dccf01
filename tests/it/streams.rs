//! Bodies and streams in every direction, over every kind of upstream.

use crate::bed::h2_client::{Failure, H2Connection};
use crate::bed::h2_upstream::H2Upstream;
use crate::bed::{
    Bed, Next, Request, Setup, Upstream, Variant, assert_forwarded, assert_raw_refused, contains,
    tls,
};

const OPEN: &str = "routes: [{path: /**, allow: anyone}]\n";
const MEGA: usize = 1024 * 1024;

fn bed(upstream: Upstream) -> Bed {
    Setup::new(OPEN).upstream(upstream).tls().start()
}

#[test]
fn large_bodies_pass_both_ways_in_every_protocol() {
    let bed = bed(Upstream::start());
    let body: Vec<u8> = (0..4 * MEGA).map(|n| (n % 251) as u8).collect();
    let request = Request::post("/large", &body);
    let response = bed.send(&request).expect(200);
    assert!(response.body == body, "HTTP/1.1");
    let plain = H2Connection::plain(bed.proxy.addr());
    let secure = H2Connection::tls(bed.proxy.address("tls"), tls::client_config(&[b"h2"], None));
    for client in [plain, secure] {
        let response = client.exchange(&request).expect("an answer");
        assert_eq!(response.status, 200, "{}", bed.proxy.log_text());
        assert!(response.body == body, "HTTP/2");
    }
    let request = bed.upstream.requests().pop().expect("a request");
    assert!(request.body == body);
}

#[test]
fn bodies_pass_before_they_end_and_answers_before_the_body_ends() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        loop {
            let piece = exchange.body_piece()?;
            if piece.is_empty() {
                exchange.write("0\r\n\r\n")?;
                return Ok(Next::KeepAlive);
            }
            exchange.chunk(&piece)?;
        }
    });
    let bed = bed(upstream);
    let mut client = bed.proxy.connect();
    client.send("POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n");
    assert_eq!(client.read_head().expect("a head").status, 200);
    assert_eq!(client.chunk(), b"one");
    client.send("3\r\ntwo\r\n");
    assert_eq!(client.chunk(), b"two");
    client.send("0\r\n\r\n");
    assert!(client.chunk().is_empty());
    let http2 = H2Connection::plain(bed.proxy.addr());
    let mut stream = http2
        .open(&Request::new("POST", "/y"), false)
        .expect("a stream");
    stream.push(b"one", false);
    assert_eq!(stream.head().expect("a head").status, 200);
    assert_eq!(
        stream.next().expect("a piece").as_deref(),
        Some(&b"one"[..])
    );
    stream.push(b"two", true);
    assert_eq!(
        stream.next().expect("a piece").as_deref(),
        Some(&b"two"[..])
    );
    assert_eq!(stream.next().expect("the end"), None);
}

#[test]
fn an_early_answer_reaches_the_caller_although_the_body_is_unread() {
    let upstream = Upstream::scripted(|exchange| {
        exchange
            .write("HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno")?;
        Ok(Next::Close)
    });
    let bed = bed(upstream);
    let mut client = bed.proxy.connect();
    client.send("POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nstart");
    let response = client.read().expect(413);
    assert_eq!(response.body, b"no");
}

#[test]
fn an_upstream_that_breaks_mid_answer_breaks_the_callers_answer_too() {
    for (head, body) in [
        ("content-length: 100\r\n\r\n", "part"),
        ("transfer-encoding: chunked\r\n\r\n", "4\r\npart\r\n"),
    ] {
        let upstream = Upstream::scripted(move |exchange| {
            exchange.write(format!("HTTP/1.1 200 OK\r\n{head}{body}"))?;
            Ok(Next::Close)
        });
        let bed = bed(upstream);
        let mut client = bed.proxy.connect();
        client.send(Request::get("/x").bytes());
        assert!(
            client.read_to("GET").is_err(),
            "an incomplete answer must not look whole"
        );
        let http2 = H2Connection::plain(bed.proxy.addr());
        let answer = http2.exchange(&Request::get("/x"));
        assert!(matches!(answer, Err(Failure::Reset(_))), "{answer:?}");
    }
}

#[test]
fn a_cancelled_http2_stream_closes_the_upstream_request() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        exchange.chunk("begun")?;
        exchange.await_close()?;
        Ok(Next::Close)
    });
    let bed = bed(upstream);
    let http2 = H2Connection::plain(bed.proxy.addr());
    let mut stream = http2.open(&Request::get("/x"), true).expect("a stream");
    assert_eq!(stream.head().expect("a head").status, 200);
    assert!(stream.next().expect("a piece").is_some());
    stream.cancel();
    bed.upstream.await_open(0);
}

#[test]
fn expect_100_continue_waits_for_the_grant() {
    let lines = "callers: {web: {issuer: main}}\nroutes: [{path: /**, allow: web}]\n";
    let bed = Setup::new(lines).start();
    let token = bed.token().sign();
    let head = |expect: &str, token: &str| {
        format!(
            "POST /x HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\ncontent-length: 4\r\nexpect: {expect}\r\n\r\n"
        )
    };
    let mut client = bed.proxy.connect();
    client.send(head("100-continue", &token));
    assert_eq!(client.read_interim(), 100);
    client.send("abcd");
    assert_eq!(client.read().expect(200).body, b"abcd");
    assert_eq!(bed.upstream.only().header("expect"), None);
    let mut client = bed.proxy.connect();
    let refused = client.exchange(head("100-continue", "bad")).expect(401);
    assert!(refused.interim.is_empty());
    for expect in ["200-ok", "y 100-continue", "100-continue, x"] {
        let bytes = head(expect, &token);
        let status = bed.proxy.connect().exchange(&bytes).status;
        assert_eq!(status, 417, "{expect}");
    }
    assert_eq!(bed.upstream.requests().len(), 1);
}

#[test]
fn interim_answers_are_bounded() {
    let upstream = Upstream::scripted(|exchange| {
        if exchange.request.target == "/few" {
            exchange.write("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(3))?;
            return exchange.echo();
        }
        for _ in 0..10_000 {
            exchange.write("HTTP/1.1 103 Early Hints\r\n\r\n")?;
        }
        exchange.echo()
    });
    let bed = bed(upstream);
    assert_eq!(bed.send(&Request::get("/few")).status, 200);
    assert_eq!(bed.send(&Request::get("/flood")).status, 502);
}

#[test]
fn an_answer_without_length_ends_with_the_connection() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.write("HTTP/1.1 200 OK\r\n\r\nuntil the end")?;
        Ok(Next::Close)
    });
    let bed = bed(upstream);
    assert_eq!(
        bed.send(&Request::get("/x")).expect(200).body,
        b"until the end"
    );
}

#[test]
fn a_unix_socket_upstream() {
    let bed = bed(Upstream::unix(|exchange| exchange.echo()));
    let seen = assert_forwarded(&bed, Variant::PLAIN, &Request::post("/u?x", "body"));
    assert_eq!(
        (seen.body.as_slice(), seen.header("host")),
        (&b"body"[..], Some("api.test"))
    );
}

#[test]
fn an_https_upstream_whose_certificate_must_be_good() {
    let upstream = Upstream::tls(|exchange| exchange.echo());
    let url = upstream.url();
    let trusting = format!(
        "{{url: {url}, ca: {{file: \"{}\"}}}}",
        tls::file("ca.crt").display()
    );
    let trusted = Setup::new(OPEN)
        .upstream(upstream)
        .upstream_url(&trusting)
        .start();
    let seen = assert_forwarded(&trusted, Variant::PLAIN, &Request::post("/t", "body"));
    assert_eq!(
        (seen.body.as_slice(), seen.header("host")),
        (&b"body"[..], Some("api.test"))
    );
    let distrusting = Setup::new(OPEN).upstream_url(&url).start();
    let response = distrusting.send(&Request::get("/t"));
    assert_eq!(response.status, 502);
    assert_eq!(trusted.upstream.requests().len(), 1);
}

const GRPC: &str = "
identity: {headers: {x-auth-subject: subject}}
callers: {web: {issuer: main}}
routes:
  - {path: /p.Service/**, allow: web, grpc: true}
  - {path: /plain, allow: web}
";

#[test]
fn grpc_passes_with_trailers_in_both_directions_as_it_flows() {
    let upstream = H2Upstream::start();
    let bed = Setup::new(GRPC).upstream_url(&upstream.url()).tls().start();
    let token = bed.token().sign();
    let call = |path: &str| {
        Request::new("POST", path)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .bearer(&token)
    };
    for client in [
        H2Connection::plain(bed.proxy.addr()),
        H2Connection::tls(bed.proxy.address("tls"), tls::client_config(&[b"h2"], None)),
    ] {
        let mut stream = client
            .open(&call("/p.Service/Chat"), false)
            .expect("a stream");
        stream.push(b"one", false);
        let head = stream.head().expect("a head");
        assert_eq!(
            (head.status, head.header("content-type")),
            (200, Some("application/grpc"))
        );
        assert_eq!(
            stream.next().expect("a piece").as_deref(),
            Some(&b"one"[..])
        );
        stream.push(b"two", true);
        assert_eq!(
            stream.next().expect("a piece").as_deref(),
            Some(&b"two"[..])
        );
        assert_eq!(stream.next().expect("the end"), None);
        let trailers = stream.trailers().expect("trailers");
        assert!(
            trailers.contains(&("grpc-status".into(), "0".into())),
            "{trailers:?}"
        );
        assert!(
            !trailers.iter().any(|(name, _)| name == "x-auth-subject"),
            "{trailers:?}"
        );
    }
    let seen = upstream.requests().remove(0);
    assert_eq!(
        (seen.method.as_str(), seen.headers["te"].as_bytes()),
        ("POST", &b"trailers"[..])
    );
    assert_eq!(seen.headers["x-auth-subject"], "alice");
    assert!(seen.headers.get("authorization").is_none());
    let client = H2Connection::plain(bed.proxy.addr());
    let mut stream = client
        .open(&call("/p.Service/Up"), false)
        .expect("a stream");
    stream.push(b"x", false);
    stream.push_trailers(&[("x-late", "leak")]);
    assert_eq!(stream.head().expect("a head").status, 200);
    while stream.next().expect("a piece").is_some() {}
    let seen = upstream.requests().pop().expect("a request");
    assert!(seen.trailers.is_none(), "request trailers never pass");
    let plain = client.exchange(&call("/plain")).expect("an answer");
    assert!(plain.trailers.is_empty(), "{:?}", plain.trailers);
    let refused = client
        .exchange(&Request::new("POST", "/p.Service/Chat"))
        .expect("an answer");
    assert_eq!(refused.status, 401);
}

#[test]
fn limits_of_the_head_are_the_documented_defaults() {
    let bed = bed(Upstream::start());
    let many = |n: usize| format!("GET /x HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(n));
    assert_raw_refused(&bed, many(101).as_bytes(), 431, "head_too_large");
    let big = format!(
        "GET /x HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "y".repeat(33 * 1024)
    );
    assert_raw_refused(&bed, big.as_bytes(), 431, "head_too_large");
    let long = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "y".repeat(8 * 1024));
    assert_raw_refused(&bed, long.as_bytes(), 414, "target_too_long");
    let mut client = bed.proxy.connect();
    assert_eq!(client.exchange(many(95)).status, 200);
    let nearly = format!(
        "GET /{} HTTP/1.1\r\nhost: a\r\n\r\n",
        "y".repeat(8 * 1024 - 1)
    );
    assert_eq!(client.exchange(nearly).status, 200);
}

#[test]
fn a_body_over_the_limit_of_its_route_is_413() {
    let lines = "routes: [{path: /**, allow: anyone, limits: {body_bytes: 10B}}]\n";
    let bed = Setup::new(lines).start();
    let over = Request::post("/x", [b'x'; 11]).bytes();
    assert_raw_refused(&bed, &over, 413, "body_too_large");
    assert_forwarded(&bed, Variant::PLAIN, &Request::post("/x", [b'x'; 10]));
    let mut client = bed.proxy.connect();
    let response = client.exchange("POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n");
    assert_eq!(response.status, 413);
    assert!(!contains(&response.body, b"01234567890"));
}

#[test]
fn forwarded_headers_of_trusted_peers_only() {
    let lines = "routes: [{path: /**, allow: anyone}]\n";
    let spoof = || {
        Request::get("/x")
            .header("x-forwarded-for", "203.0.113.9, 127.0.0.1")
            .header("x-forwarded-proto", "https")
            .header("forwarded", "for=203.0.113.9")
    };
    let distrusting = Setup::new(lines).start();
    let seen = assert_forwarded(&distrusting, Variant::PLAIN, &spoof());
    assert!(
        !contains(&seen.bytes(), b"203.0.113.9"),
        "{:?}",
        seen.headers
    );
    let trusting = Setup::new(lines)
        .inbound("trusted_proxies: [127.0.0.0/8]")
        .start();
    let seen = assert_forwarded(&trusting, Variant::PLAIN, &spoof());
    assert!(
        seen.header("x-forwarded-for")
            .is_some_and(|value| value.contains("203.0.113.9")),
        "{:?}",
        seen.headers
    );
    let record = trusting.proxy.records().remove(0);
    assert_eq!(record["client_address"], "203.0.113.9", "{record}");
}

const WEBSOCKET: &str = "
issuers:
  - {name: main, issuer: @ISSUER@, jwks: {file: \"@DIR@/jwks.json\"}, audiences: [api], token_sources: [websocket_protocol]}
callers: {web: {issuer: main}}
routes: [{path: /ws, allow: web, upgrade: [websocket]}]
";

#[test]
fn a_browsers_token_in_the_kubernetes_websocket_subprotocol() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-protocol: chat\r\n\r\n")?;
        exchange.echo_raw()
    });
    let bed = Setup::bare(WEBSOCKET).upstream(upstream).start();
    let encoded = crate::bed::keys::b64(bed.token().sign());
    let ask = |protocols: &str| {
        format!(
            "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: {protocols}\r\n\r\n"
        )
    };
    let mut client = bed.proxy.connect();
    client.send(ask(&format!(
        "base64url.bearer.authorization.k8s.io.{encoded}, chat"
    )));
    let head = client.read_head().expect("a head");
    assert_eq!(head.status, 101);
    assert_eq!(head.header("sec-websocket-protocol"), Some("chat"));
    client.send("ping");
    assert_eq!(client.take(4), b"ping");
    let seen = bed.upstream.only();
    assert_eq!(
        seen.header("sec-websocket-protocol"),
        Some("chat"),
        "the token is stripped"
    );
    assert!(!contains(&seen.bytes(), encoded.as_bytes()));
    for protocols in ["chat", "base64url.bearer.authorization.k8s.io.x, chat"] {
        let status = bed.proxy.connect().exchange(ask(protocols)).status;
        assert_eq!(status, 401, "{protocols}");
    }
    assert_eq!(bed.upstream.requests().len(), 1);
}
