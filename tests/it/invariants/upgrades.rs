//! Invariant 28: CONNECT, TRACE and protocol upgrades.

use crate::bed::{
    Bed, Next, Request, Setup, Upstream, contains, forwarded_everywhere, raw_refused_everywhere,
    refused_everywhere, show,
};

const ROUTES: &str = "
callers: {web: {issuer: main}}
routes:
  - {path: /health, allow: anyone}
  - {path: /ws, allow: web, upgrade: [websocket]}
  - {path: /**, allow: anyone}
";

const ASK: &str = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[test]
fn invariant_28_connect_trace_and_unwanted_upgrades_never_reach_the_upstream() {
    let bed = Setup::new(ROUTES).tls().start();
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    for (head, reason) in [
        (
            "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n",
            "upgrade_not_allowed|malformed_target",
        ),
        (
            "CONNECT / HTTP/1.1\r\nhost: a\r\n",
            "upgrade_not_allowed|malformed_target",
        ),
        ("TRACE / HTTP/1.1\r\nhost: a\r\n", "upgrade_not_allowed"),
        (
            "TRACE /x HTTP/1.1\r\nhost: a\r\nmax-forwards: 0\r\n",
            "upgrade_not_allowed",
        ),
        (
            "GET /x HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n",
            "upgrade_not_allowed",
        ),
        (
            "GET /x HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: TLS/1.0\r\n",
            "upgrade_not_allowed",
        ),
        (
            "GET /x HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n",
            "upgrade_not_allowed",
        ),
        (
            "GET /x HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nUpgrade: WebSocket, h2c\r\n",
            "upgrade_not_allowed",
        ),
    ] {
        let bytes = format!("{head}\r\n{smuggled}");
        raw_refused_everywhere(&bed, bytes.as_bytes(), 400, reason);
    }
    let with_token = format!(
        "GET /ws HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
        bed.token().sign()
    );
    raw_refused_everywhere(&bed, with_token.as_bytes(), 400, "upgrade_not_allowed");
    // HTTP/2 says CONNECT in its own way (below) and knows no upgrades.
    refused_everywhere(
        &bed,
        &Request::new("TRACE", "/x"),
        400,
        "upgrade_not_allowed",
    );
    forwarded_everywhere(&bed, &Request::get("/x"));
}

#[test]
fn invariant_28_connect_over_http2() {
    use crate::bed::raw_h2::{Outcome, ask_everywhere};
    let bed = Setup::new(ROUTES).tls().start();
    let refused: &[&[(&str, &[u8])]] = &[
        &[(":method", b"CONNECT"), (":authority", b"a:443")],
        &[
            (":method", b"CONNECT"),
            (":scheme", b"http"),
            (":path", b"/x"),
            (":authority", b"a"),
        ],
        &[
            (":method", b"CONNECT"),
            (":protocol", b"websocket"),
            (":scheme", b"http"),
            (":path", b"/ws"),
            (":authority", b"a"),
        ],
        &[
            (":method", b"TRACE"),
            (":scheme", b"http"),
            (":path", b"/x"),
            (":authority", b"a"),
        ],
    ];
    for fields in refused {
        for outcome in ask_everywhere(&bed, fields) {
            let refused =
                matches!(outcome, Outcome::Status(400 | 405 | 501)) || outcome.is_refused_below();
            assert!(refused, "{outcome:?} for {fields:?}");
        }
    }
    let seen = bed.upstream.requests();
    assert!(seen.iter().all(|request| request.target == "/health"));
    let good: [(&str, &[u8]); 4] = [
        (":method", b"GET"),
        (":scheme", b"http"),
        (":path", b"/x"),
        (":authority", b"a"),
    ];
    assert_eq!(ask_everywhere(&bed, &good), [Outcome::Status(200); 4]);
}

fn websocket(bed: &Bed, token: &str) -> String {
    let token = if token.is_empty() {
        String::new()
    } else {
        format!("authorization: Bearer {token}\r\n")
    };
    let _ = bed;
    format!("GET /ws HTTP/1.1\r\nhost: a\r\n{token}{ASK}\r\n")
}

fn echoing() -> Upstream {
    Upstream::scripted(|exchange| {
        if exchange.request.header("upgrade").is_none() {
            return exchange.echo();
        }
        assert!(exchange.ahead().is_empty(), "no client byte before the 101");
        exchange.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")?;
        exchange.echo_raw()
    })
}

#[test]
fn invariant_28_an_upgrade_passes_on_its_route_after_the_token_and_a_101() {
    let bed = Setup::new(ROUTES).upstream(echoing()).start();
    raw_refused_everywhere(&bed, websocket(&bed, "").as_bytes(), 401, "no_token");
    raw_refused_everywhere(
        &bed,
        websocket(&bed, "x.y.z").as_bytes(),
        401,
        "token_malformed",
    );
    let mut client = bed.proxy.connect();
    client.send(format!("{}early", websocket(&bed, &bed.token().sign())));
    let head = client.read_head().expect("a head");
    assert_eq!(head.status, 101, "{}", show(&head.head));
    assert_eq!(head.header("upgrade"), Some("websocket"));
    assert_eq!(client.take(5), b"early");
    client.send(b"\x81\x02hi GET / HTTP/1.1\r\n\r\n");
    assert_eq!(client.take(23), b"\x81\x02hi GET / HTTP/1.1\r\n\r\n");
    // Behind two of GET /health.
    let all = bed.upstream.requests();
    let [_, _, seen] = &all[..] else {
        panic!("{} requests", all.len());
    };
    assert_eq!(seen.header("upgrade"), Some("websocket"));
    assert_eq!(
        seen.header("sec-websocket-key"),
        Some("dGhlIHNhbXBsZSBub25jZQ==")
    );
    assert_eq!(seen.header("authorization"), None);
    drop(client);
    bed.upstream.await_open(0);
}

#[test]
fn invariant_28_the_upstream_going_away_ends_the_tunnel() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nbye")?;
        Ok(Next::Close)
    });
    let bed = Setup::new(ROUTES).upstream(upstream).start();
    let mut client = bed.proxy.connect();
    client.send(websocket(&bed, &bed.token().sign()));
    assert_eq!(client.read_head().expect("a head").status, 101);
    assert_eq!(client.read_end(), b"bye");
}

#[test]
fn invariant_28_another_answer_leaves_the_connection_in_http() {
    let upstream = Upstream::scripted(|exchange| {
        if exchange.request.header("upgrade").is_some() {
            return exchange.answer(426, "upgrade: websocket\r\n", b"no");
        }
        exchange.echo()
    });
    let bed = Setup::new(ROUTES).upstream(upstream).start();
    let mut client = bed.proxy.connect();
    client.send(websocket(&bed, &bed.token().sign()));
    assert_eq!(client.read().status, 426);
    client.send(b"GET /ws HTTP/1.1\r\nhost: a\r\n\r\n");
    if let Ok(second) = client.read_to("GET") {
        assert_eq!(second.status, 401, "judged like any other");
    }
}

#[test]
fn invariant_28_a_101_nobody_asked_for_is_a_bad_gateway() {
    for upgrade in ["upgrade: websocket", "upgrade: h2c", "x: y"] {
        let upstream = Upstream::scripted(move |exchange| {
            exchange.write(format!(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n{upgrade}\r\n\r\nSECRET"
            ))?;
            Ok(Next::Close)
        });
        let bed = Setup::new(ROUTES).upstream(upstream).start();
        let response = bed.send(&Request::get("/x"));
        assert_eq!(response.status, 502, "{upgrade}");
        assert!(!contains(&response.body, b"SECRET"));
        let mut client = bed.proxy.connect();
        let wrong = websocket(&bed, &bed.token().sign());
        client.send(wrong);
        let status = client.read_head().expect("a head").status;
        assert_eq!(
            status == 101,
            upgrade == "upgrade: websocket",
            "{upgrade}: {status}"
        );
    }
}
