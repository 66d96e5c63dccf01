//! Invariants 29 to 32: every request stands alone, and answers go to those who asked.

use serde_json::json;

use crate::bed::h2_client::H2Connection;
use crate::bed::standard::{self, standard};
use crate::bed::{
    Before, Next, Request, Setup, Upstream, Variant, assert_forwarded, assert_refused, contains,
    forwarded_everywhere, keys, refused_everywhere,
};

#[test]
fn invariant_29_methods_are_exact_tokens() {
    let bed = standard();
    let token = bed.token().sign();
    for method in [
        "get", "Get", "gEt", "GET!", "GETX", "PROPFIND", "PURGE", "DELETE", "HEAD", "PATCH",
        "OPTIONS",
    ] {
        let request = Request::new(method, "/orders/1").bearer(&token);
        for variant in Variant::ALL {
            let response = assert_refused(&bed, variant, &request, 405, "method_not_allowed");
            let allow = response.header("allow").expect("Allow").to_owned();
            for listed in ["GET", "POST", "PUT"] {
                assert!(allow.split(", ").any(|word| word == listed), "{allow}");
            }
        }
    }
    for method in ["get", "PROPFIND", "LOCK"] {
        let request = Request::new(method, "/any/x").bearer(&token);
        refused_everywhere(&bed, &request, 405, "method_not_allowed");
    }
    assert_forwarded(
        &bed,
        Variant::PLAIN,
        &Request::get("/orders/1").bearer(&token),
    );
    for method in ["HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        assert_forwarded(
            &bed,
            Variant::PLAIN,
            &Request::new(method, "/any/x").bearer(&token),
        );
    }
}

#[test]
fn invariant_30_pipelined_requests_are_judged_one_by_one() {
    let bed = standard();
    let with = Request::get("/any/1").bearer(bed.token().sign());
    let without = Request::get("/any/2");
    let mut client = bed.proxy.connect();
    client.send([with.bytes(), without.bytes()].concat());
    assert_eq!(client.read().status, 200);
    assert_eq!(client.read().status, 401);
    let mut client = bed.proxy.connect();
    client.send(
        [
            with.bytes(),
            with.bytes(),
            Request::get("/health").bytes(),
            without.bytes(),
            with.bytes(),
        ]
        .concat(),
    );
    for _ in 0..3 {
        assert_eq!(client.read().status, 200);
    }
    assert_eq!(client.read().status, 401);
    assert!(
        bed.upstream
            .requests()
            .iter()
            .all(|request| request.target != "/any/2")
    );
    let records = bed.proxy.await_records(6);
    let subjects: Vec<_> = records
        .iter()
        .map(|record| record["subject"].as_str())
        .collect();
    assert_eq!(subjects[..2], [Some("alice"), None]);
}

#[test]
fn invariant_30_streams_of_one_connection_share_no_identity() {
    let bed = standard();
    let client = H2Connection::plain(bed.proxy.addr());
    let token = bed.token().sign();
    let with = Request::get("/any/1").bearer(&token);
    assert_eq!(client.exchange(&with).expect("an answer").status, 200);
    assert_eq!(
        client
            .exchange(&Request::get("/any/2"))
            .expect("an answer")
            .status,
        401
    );
    let bob = Request::get("/any/3").bearer(bed.token().claim("sub", "bob").sign());
    let mut streams: Vec<_> = [&with, &bob, &with, &bob]
        .iter()
        .map(|request| client.open(request, true).expect("a stream"))
        .collect();
    for stream in &mut streams {
        assert_eq!(stream.head().expect("an answer").status, 200);
    }
    for request in bed.upstream.requests() {
        let who = if request.target == "/any/3" {
            "bob"
        } else {
            "alice"
        };
        assert_eq!(request.header("x-auth-subject"), Some(who));
    }
}

#[test]
fn invariant_30_the_body_of_a_refused_request_is_never_a_request() {
    let bed = standard();
    let inner = Request::get("/public").bytes();
    let length = inner.len();
    let inner = String::from_utf8(inner).expect("text");
    for message in [
        format!("POST /any/x HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{inner}"),
        format!(
            "POST /any/x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n{inner}\r\n0\r\n\r\n"
        ),
        format!(
            "POST /any/x HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\nexpect: 100-continue\r\n\r\n{inner}"
        ),
        format!("GET /any/x HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{inner}"),
    ] {
        let before = Before::now(&bed);
        let mut client = bed.proxy.connect();
        let response = client.send(&message).read();
        assert_eq!(response.status, 401, "{message}");
        assert!(response.interim.is_empty(), "no 100 for a refused request");
        assert_eq!(response.header("connection"), Some("close"), "{message}");
        client.half_close();
        client.assert_closed();
        before.assert_nothing_upstream(&bed, &message);
    }
    let mut client = bed.proxy.connect();
    let (head, body) = inner.split_at(10);
    let start =
        format!("POST /any/x HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{head}");
    assert_eq!(client.send(start).read().status, 401);
    client.send(body);
    client.half_close();
    client.assert_closed();
    assert_eq!(bed.upstream.connections(), 0);
    let posted = Request::post("/any/x", &inner).bearer(bed.token().sign());
    assert_eq!(
        assert_forwarded(&bed, Variant::PLAIN, &posted).body,
        inner.as_bytes()
    );
}

const PAIR: &str = "
callers: {web: {issuer: main, client: web}}
routes:
  - {path: /health, allow: anyone}
  - {path: /foo, allow: {issuer: main, scopes: [foo]}}
  - {path: /bar, allow: {issuer: main, scopes: [bar]}}
";

#[test]
fn invariant_31_what_was_verified_once_is_judged_anew_every_time() {
    let bed = Setup::new(PAIR).tls().start();
    let token = bed.token().claim("scope", "foo").sign();
    let foo = Request::get("/foo").bearer(&token);
    let bar = Request::get("/bar").bearer(&token);
    for _ in 0..3 {
        for variant in Variant::ALL {
            assert_forwarded(&bed, variant, &foo);
            assert_refused(&bed, variant, &bar, 403, "scope_missing");
        }
    }
    // Near its end, at the beginning of the signature, and with another payload: what was verified is not this.
    let (signed, signature) = token.rsplit_once('.').expect("a signature");
    let changed = |at: usize| {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).expect("text")
    };
    let header = signed.split('.').next().expect("a header");
    let root = bed
        .token()
        .claim("scope", "foo")
        .claim("sub", "root")
        .sign();
    let payload = root.split('.').nth(1).expect("a payload");
    for forged in [
        changed(token.len() - 20),
        changed(signed.len() + 1),
        format!("{header}.{payload}.{signature}"),
    ] {
        let request = Request::get("/foo").bearer(forged);
        refused_everywhere(&bed, &request, 401, "token_signature");
    }
    bed.clock.advance(std::time::Duration::from_secs(300 + 61));
    refused_everywhere(&bed, &foo, 401, "token_expired");
}

#[test]
fn invariant_31_a_removed_key_ends_cached_verdicts() {
    let bed = Setup::new(PAIR).tls().start();
    let foo = Request::get("/foo").bearer(bed.token().claim("scope", "foo").sign());
    forwarded_everywhere(&bed, &foo);
    bed.republish("main", vec![keys::ES256_1.jwk()]);
    refused_everywhere(&bed, &foo, 401, "token_unknown_key");
    bed.republish("main", vec![keys::RSA_1.jwk()]);
    forwarded_everywhere(&bed, &foo);
    let mut same_kid = keys::RSA_2.jwk();
    same_kid["kid"] = json!("rsa-1");
    bed.republish("main", vec![same_kid]);
    refused_everywhere(&bed, &foo, 401, "token_signature");
}

#[test]
fn invariant_31_a_reload_ends_what_the_old_policy_allowed() {
    let bed = Setup::new(PAIR).tls().start();
    let foo = Request::get("/foo").bearer(bed.token().claim("scope", "foo").sign());
    forwarded_everywhere(&bed, &foo);
    bed.reload(&PAIR.replace("scopes: [foo]", "scopes: [baz]"))
        .expect("a reload");
    refused_everywhere(&bed, &foo, 403, "scope_missing");
    bed.reload(PAIR).expect("a reload");
    forwarded_everywhere(&bed, &foo);
}

/// Answers by what the target asks for, always with the request's own nonce.
fn nonces() -> Upstream {
    Upstream::scripted(|exchange| {
        let target = exchange.request.target.clone();
        let nonce = target.rsplit('/').next().unwrap_or_default().to_owned();
        let head = format!("HTTP/1.1 200 OK\r\nx-nonce: {nonce}\r\n");
        if target.starts_with("/early") {
            exchange.write(format!(
                "{head}content-length: {}\r\n\r\n{nonce}",
                nonce.len()
            ))?;
            return Ok(Next::Close);
        }
        if target.starts_with("/reset") {
            exchange.body()?;
            exchange.write(format!("{head}content-length: 1000\r\n\r\n{nonce}"))?;
            return Ok(Next::Reset);
        }
        exchange.body()?;
        exchange.write(format!("{head}transfer-encoding: chunked\r\n\r\n"))?;
        exchange.chunk(&nonce)?;
        exchange.write("0\r\n\r\n")?;
        Ok(Next::KeepAlive)
    })
}

#[test]
fn invariant_32_answers_go_to_those_who_asked() {
    let bed = Setup::new("routes: [{path: /**, allow: anyone}]\n")
        .upstream(nonces())
        .workers(2)
        .start();
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let bed = &bed;
            scope.spawn(move || {
                let mut client = bed.proxy.connect();
                for step in 0..60 {
                    let nonce = format!("n{thread}-{step}");
                    let (kind, method) = [
                        ("plain", "GET"),
                        ("plain", "POST"),
                        ("early", "POST"),
                        ("reset", "POST"),
                        ("abort", "GET"),
                        ("half", "GET"),
                    ][(thread * 7 + step) % 6];
                    let mut request = Request::new(method, &format!("/{kind}/{nonce}"));
                    if method == "POST" {
                        request = request.body(vec![b'x'; 3000]);
                    }
                    client.send(request.bytes());
                    if kind == "abort" {
                        client = bed.proxy.connect();
                        continue;
                    }
                    let Ok(head) = client.read_head() else {
                        client = bed.proxy.connect();
                        continue;
                    };
                    if head.status == 200 {
                        assert_eq!(head.header("x-nonce"), Some(&*nonce));
                    } else {
                        assert_eq!(head.status, 502, "{kind}");
                    }
                    if kind != "plain" {
                        client = bed.proxy.connect();
                        continue;
                    }
                    assert_eq!(head.status, 200);
                    assert_eq!(client.chunk(), nonce.as_bytes());
                    assert!(client.chunk().is_empty());
                    assert_eq!(client.take(2), b"\r\n");
                }
            });
        }
    });
    for request in bed.upstream.requests() {
        assert!(!contains(&request.head, b"\r\n\r\nGET"), "one message each");
    }
}

/// An upstream that answers before it reads a body, and then takes the body for a request, must not give its answer to the
/// next caller (an early-response gadget).
#[test]
fn invariant_32_a_connection_that_answered_before_the_request_had_ended_is_not_used_again() {
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let upstream = Upstream::scripted(|exchange| match exchange.request.target.as_str() {
        "/any/early" => {
            exchange.write("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly")?;
            Ok(Next::KeepAlive)
        }
        "/smuggled" => {
            if !exchange.next_bytes()?.is_empty() {
                exchange.write("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged")?;
            }
            Ok(Next::Close)
        }
        _ => exchange.echo(),
    });
    let bed = standard::setup().upstream(upstream).start();
    let token = bed.token().sign();
    let mut client = bed.proxy.connect();
    client.send(format!(
        "POST /any/x HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\ncontent-length: 4\r\n\r\nabcd"
    ));
    assert_eq!(client.read().status, 200, "the positive twin");
    let early = Request::post("/any/early", smuggled).bearer(&token);
    let bytes = early.bytes();
    let (head, body) = bytes.split_at(bytes.len() - smuggled.len());
    client.send(head);
    assert_eq!(client.read().body, b"early");
    client.send(body);
    // The body has passed when the upstream has taken it for a request.
    bed.upstream.await_requests(3);
    let next = bed.send(&Request::get("/public"));
    assert_eq!(next.header("x-target"), Some("/public"), "{}", next.text());
    let of: Vec<_> = bed
        .upstream
        .requests()
        .iter()
        .map(|request| (request.target.clone(), request.connection))
        .collect();
    assert_eq!(
        of[1].1, of[0].1,
        "a connection that is clean is used again: {of:?}"
    );
    assert_ne!(of[3].1, of[1].1, "{of:?}");
}

#[test]
fn invariant_32_a_broken_upstream_connection_is_not_used_again() {
    for after in [
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nx-evil: 1\r\ncontent-length: 4\r\n\r\nevil",
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
    ] {
        let upstream = Upstream::scripted(move |exchange| {
            exchange.body()?;
            exchange.write(after)?;
            Ok(Next::KeepAlive)
        });
        let bed = standard::setup().upstream(upstream).start();
        for _ in 0..3 {
            let response = bed.send(&Request::get("/public")).expect(200);
            assert_eq!(response.body, b"ok");
            assert_eq!(response.header("x-evil"), None);
        }
        assert_eq!(bed.upstream.connections(), 3, "one connection for each");
    }
    let bed = standard();
    for _ in 0..3 {
        bed.send(&Request::get("/public")).expect(200);
    }
    let of: Vec<_> = bed
        .upstream
        .requests()
        .iter()
        .map(|request| request.connection)
        .collect();
    assert_eq!(of, [0, 0, 0]);
    assert_eq!(
        bed.upstream.connections(),
        1,
        "a clean connection is used again"
    );
}
