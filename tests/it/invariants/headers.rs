//! Invariants 19 to 21: nothing that a client writes into fields is taken for ours.

use crate::bed::h2_client::H2Connection;
use crate::bed::standard::standard;
use crate::bed::{
    Captured, Request, Variant, assert_forwarded, assert_refused, contains, exchanged,
};

const RESERVED: [&str; 6] = [
    "x-auth-subject",
    "x-auth-client",
    "x-auth-account",
    "x-auth-scopes",
    "x-auth-email",
    "x-auth-assertion",
];

/// Spellings that some server, CGI gateway or WSGI stack folds into the same name.
fn spellings(name: &str) -> Vec<String> {
    let mixed: String = name
        .chars()
        .enumerate()
        .map(|(at, c)| {
            if at % 2 == 0 {
                c.to_ascii_uppercase()
            } else {
                c
            }
        })
        .collect();
    vec![
        name.to_owned(),
        name.to_uppercase(),
        mixed,
        name.replace('-', "_"),
        name.replace('-', "."),
        name.replacen('-', "_", 1),
        name.replace('-', "_").to_uppercase(),
        name.replace('-', "~"),
        name.replace('-', "!"),
        name.replace('-', "|"),
    ]
}

/// The upstream saw each identity header at most once, never with a client's value.
#[track_caller]
fn assert_ours(seen: &Captured, forged: &str) {
    assert!(
        !contains(&seen.bytes(), forged.as_bytes()),
        "{:?}",
        seen.headers
    );
    for name in RESERVED {
        assert!(seen.all(name).len() <= 1, "{name}: {:?}", seen.headers);
    }
    assert_eq!(seen.header("x-auth-subject"), Some("alice"));
    for (name, _) in &seen.headers {
        let clean = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        assert!(clean, "{name}");
    }
}

#[test]
fn invariant_19_no_client_value_survives_under_a_reserved_name() {
    let bed = standard();
    let token = bed.token().sign();
    let mut variants = Variant::ALL.into_iter().cycle();
    for name in RESERVED {
        for spelling in spellings(name) {
            for count in [1, 2, 50] {
                let mut before = Request::get("/any/x");
                let mut after = Request::get("/any/x").bearer(&token);
                for _ in 0..count {
                    before = before.header(&spelling, "forged-value");
                    after = after.header(&spelling, "forged-value");
                }
                for request in [before.bearer(&token), after] {
                    let variant = variants.next().expect("one of six");
                    assert_ours(&assert_forwarded(&bed, variant, &request), "forged-value");
                }
            }
        }
    }
    let spaced = b"GET /any/x HTTP/1.1\r\nhost: api.test\r\nx-auth-subject : forged\r\n\r\n";
    crate::bed::raw_refused_everywhere(&bed, spaced, 400, "malformed_syntax");
}

#[test]
fn invariant_19_reserved_names_of_the_upstream_do_not_reach_the_caller() {
    let upstream = crate::bed::Upstream::scripted(|exchange| {
        let forged = "x-auth-subject: leak\r\nX_Auth_Account: leak\r\nx-fine: yes\r\n";
        exchange.answer(200, forged, b"")
    });
    let bed = crate::bed::standard::setup().upstream(upstream).start();
    for variant in Variant::ALL {
        let response = exchanged(&bed, variant, &Request::get("/public")).expect(200);
        let leaks = |(_, value): &(String, String)| value.contains("leak");
        assert!(
            !response.headers.iter().any(leaks),
            "{:?}",
            response.headers
        );
        assert_eq!(response.header("x-fine"), Some("yes"));
    }
}

const CONNECTIONS: &[&str] = &[
    "close, X-Auth-Subject, Authorization, Host, Content-Length, X-Auth-Assertion",
    "x-auth-subject",
    "X-AUTH-SUBJECT,x-auth-client",
    "keep-alive,authorization",
    "x-custom, x-auth-account",
    "x-custom,\tclose",
    "Cookie, x-custom",
    "x-auth-scopes,,,",
    "x-custom;q=1, close",
    "te, x-custom",
];

#[test]
fn invariant_20_connection_cannot_delete_or_nominate_our_headers() {
    let bed = standard();
    let token = bed.token().sign();
    for value in CONNECTIONS {
        for split in [false, true] {
            let mut request = Request::get("/any/x").header("x-custom", "client-custom");
            if split {
                for part in value.split(',') {
                    request = request.header("Connection", part);
                }
            } else {
                request = request.header("connection", value);
            }
            // HTTP/2 has no such field (RFC 9113 section 8.2.2).
            for variant in Variant::ALL
                .into_iter()
                .filter(|variant| variant.can_say(&request))
            {
                let with_token = request.clone().bearer(&token);
                let seen = assert_forwarded(&bed, variant, &with_token);
                assert_ours(&seen, "forged");
                let claims_kept = seen.header("x-auth-assertion").is_some()
                    && seen.header("x-auth-client") == Some("web");
                assert!(claims_kept, "{value}: {:?}", seen.headers);
                assert_eq!(seen.header("host"), Some("api.test"));
                if value.contains("x-custom") {
                    assert_eq!(seen.header("x-custom"), None, "{value}: {:?}", seen.headers);
                }
                assert_refused(&bed, variant, &request, 401, "no_token");
            }
        }
    }
    let seen = assert_forwarded(
        &bed,
        Variant::PLAIN,
        &Request::get("/any/x")
            .header("x-custom", "kept")
            .bearer(&token),
    );
    assert_eq!(seen.header("x-custom"), Some("kept"));
}

#[test]
fn invariant_20_hop_by_hop_fields_stop_here() {
    let bed = standard();
    let request = Request::get("/any/x")
        .header("keep-alive", "hop=1")
        .header("proxy-connection", "hop")
        .header("proxy-authorization", "Basic hop")
        .header("proxy-authenticate", "hop")
        .header("te", "trailers, hop")
        .header("trailer", "x-hop")
        .bearer(bed.token().sign());
    let seen = assert_forwarded(&bed, Variant::PLAIN, &request);
    assert!(!contains(&seen.bytes(), b"hop"), "{:?}", seen.headers);
    let said_over_http2 = Request::get("/any/x")
        .header("proxy-authorization", "Basic hop")
        .header("proxy-authenticate", "hop")
        .header("te", "trailers")
        .header("trailer", "x-hop")
        .bearer(bed.token().sign());
    for variant in Variant::ALL {
        let seen = assert_forwarded(&bed, variant, &said_over_http2);
        assert!(!contains(&seen.bytes(), b"hop"), "{:?}", seen.headers);
        assert_eq!(seen.header("te"), None);
    }
}

#[test]
fn invariant_21_request_trailers_never_reach_the_upstream() {
    let bed = standard();
    let token = bed.token().claim("scope", "write").sign();
    for name in [
        "x-auth-subject",
        "x-auth-assertion",
        "x-custom",
        "authorization",
        "content-length",
        "host",
    ] {
        let head = format!(
            "POST /orders/1 HTTP/1.1\r\nhost: api.test\r\nauthorization: Bearer {token}\r\ntrailer: {name}\r\n\
             transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n{name}: forged-value\r\n\r\n"
        );
        let response = bed.proxy.connect().exchange(&head);
        if response.status == 200 {
            let seen = bed.upstream.await_complete();
            assert!(!contains(&seen.bytes(), b"forged-value"), "{name}");
            assert_eq!(seen.header("trailer"), None);
            assert_eq!(seen.body, b"abc");
            assert_eq!(seen.trailers, b"\r\n");
        } else {
            assert_eq!(response.status, 400, "{name}");
        }
    }
    let client = crate::bed::tls::client_config(&[b"h2"], None);
    for http2 in [
        H2Connection::plain(bed.proxy.addr()),
        H2Connection::tls(bed.proxy.address("tls"), client),
    ] {
        // The second one comes on a kept-alive connection.
        for target in ["/orders/2", "/orders/3"] {
            let request = Request::new("POST", target)
                .header("trailer", "x-custom")
                .bearer(&token);
            let mut stream = http2.open(&request, false).expect("a stream");
            stream.push(b"abc", false);
            stream.push_trailers(&[
                ("x-auth-subject", "forged-value"),
                ("x-custom", "forged-value"),
            ]);
            assert_eq!(stream.head().expect("an answer").status, 200);
            let seen = bed.upstream.await_complete();
            assert_eq!(seen.target, target);
            assert!(!contains(&seen.bytes(), b"forged-value"));
            assert_eq!(seen.header("trailer"), None);
        }
    }
}

#[test]
fn invariant_21_response_trailers_stop_here_unless_a_route_carries_grpc() {
    let upstream = crate::bed::Upstream::scripted(|exchange| {
        exchange
            .write("HTTP/1.1 200 OK\r\ntrailer: x-late\r\ntransfer-encoding: chunked\r\n\r\n")?;
        exchange.chunk("abc")?;
        exchange.write("0\r\nx-late: leak\r\nx-auth-subject: leak\r\n\r\n")?;
        Ok(crate::bed::Next::KeepAlive)
    });
    let bed = crate::bed::standard::setup().upstream(upstream).start();
    for variant in Variant::ALL {
        let request = Request::get("/public").header("te", "trailers");
        let response = exchanged(&bed, variant, &request);
        assert_eq!(
            (response.status, &*response.body),
            (200, &b"abc"[..]),
            "{variant:?}"
        );
        assert!(response.trailers.is_empty(), "{:?}", response.trailers);
        assert_eq!(response.header("trailer"), None);
    }
}
