//! Invariants 19 to 23: what the upstream is told about the caller comes from us alone.

use serde_json::json;

use crate::bed::standard::standard;
use crate::bed::{
    Bed, Captured, Request, Setup, Variant, assert_forwarded, assert_refused, contains,
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
                    let variant = if count == 2 {
                        Variant::ALL[2]
                    } else {
                        Variant::PLAIN
                    };
                    assert_ours(&assert_forwarded(&bed, variant, &request), "forged-value");
                }
            }
        }
    }
    let spaced = b"GET /any/x HTTP/1.1\r\nhost: api.test\r\nx-auth-subject : forged\r\n\r\n";
    crate::bed::assert_raw_refused(&bed, spaced, 400, "malformed_syntax");
}

#[test]
fn invariant_19_reserved_names_of_the_upstream_do_not_reach_the_caller() {
    let upstream = crate::bed::Upstream::scripted(|exchange| {
        let forged = "x-auth-subject: leak\r\nX_Auth_Account: leak\r\nx-fine: yes\r\n";
        exchange.answer(200, forged, b"")
    });
    let bed = crate::bed::standard::setup().upstream(upstream).start();
    let response = bed.send(&Request::get("/public")).expect(200);
    assert!(!contains(&response.head, b"leak"), "{:?}", response.headers);
    assert_eq!(response.header("x-fine"), Some("yes"));
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
            let response = bed.send(&request.clone().bearer(&token));
            if response.status == 400 {
                continue; // refusing a malformed Connection is the stricter reading
            }
            assert_eq!(response.status, 200, "{value}");
            let seen = bed.upstream.requests().pop().expect("a request");
            assert_ours(&seen, "forged");
            let claims_kept = seen.header("x-auth-assertion").is_some()
                && seen.header("x-auth-client") == Some("web");
            assert!(claims_kept, "{value}: {:?}", seen.headers);
            assert_eq!(seen.header("host"), Some("api.test"));
            if value.contains("x-custom") && !value.contains(';') {
                assert_eq!(seen.header("x-custom"), None, "{value}: {:?}", seen.headers);
            }
            assert_ne!(bed.send(&request).status, 200, "without a token: {value}");
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
    let http2 = crate::bed::h2_client::H2Connection::plain(bed.proxy.addr());
    let request = Request::new("POST", "/orders/2").bearer(&token);
    let mut stream = http2.open(&request, false).expect("a stream");
    stream.push(b"abc", false);
    stream.push_trailers(&[
        ("x-auth-subject", "forged-value"),
        ("x-custom", "forged-value"),
    ]);
    assert_eq!(stream.head().expect("an answer").status, 200);
    let seen = bed.upstream.await_complete();
    assert_eq!(seen.target, "/orders/2");
    assert!(!contains(&seen.bytes(), b"forged-value"));
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
    let response = bed.send(&Request::get("/public")).expect(200);
    assert_eq!(response.body, b"abc");
    assert!(response.trailers.is_empty(), "{:?}", response.trailers);
    assert_eq!(response.header("trailer"), None);
}

const BOUND: &str = "
identity:
  headers: {x-auth-subject: subject, x-auth-scopes: scopes}
  assertion: {header: x-auth-assertion, issuer: countersign, audience: api, lifetime: 60s, bind: [method, target, authority]}
callers: {web: {issuer: main}}
routes:
  - {path: /health, allow: anyone}
  - {path: /**, allow: web}
";

fn verified(bed: &Bed, assertion: &str) -> serde_json::Value {
    use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
    let header = decode_header(assertion).expect("a header");
    let keys = bed
        .proxy
        .admin_get("/.well-known/jwks.json")
        .expect(200)
        .json();
    let jwk = keys["keys"]
        .as_array()
        .expect("keys")
        .iter()
        .find(|key| key["kid"].as_str() == header.kid.as_deref())
        .expect("the published key");
    let key =
        DecodingKey::from_jwk(&serde_json::from_value(jwk.clone()).expect("a JWK")).expect("a key");
    let mut validation = Validation::new(header.alg);
    validation.validate_exp = false;
    validation.set_audience(&["api"]);
    validation.set_issuer(&["countersign"]);
    decode::<serde_json::Value>(assertion, &key, &validation)
        .expect("a good assertion")
        .claims
}

#[test]
fn invariant_22_the_assertion_verifies_and_a_bound_one_is_good_for_one_request() {
    let bed = Setup::new(BOUND).start();
    let token = bed.token().sign();
    let mut all = std::collections::BTreeSet::new();
    for (method, target, host) in [
        ("GET", "/a?x=1", "api.test"),
        ("GET", "/b", "api.test"),
        ("POST", "/a?x=1", "api.test"),
        ("GET", "/a?x=1", "other.test"),
    ] {
        let request = Request::new(method, target).host(host).bearer(&token);
        let seen = assert_forwarded(&bed, Variant::PLAIN, &request);
        let assertion = seen
            .header("x-auth-assertion")
            .expect("an assertion")
            .to_owned();
        let claims = verified(&bed, &assertion);
        assert_eq!(claims["sub"], "alice");
        assert_eq!(claims["iss"], "countersign");
        let now = crate::bed::START;
        let exp = claims["exp"].as_i64().expect("exp");
        assert!(exp > now && exp <= now + 60, "{claims}");
        let text = claims.to_string();
        assert!(text.contains(method), "{text}");
        assert!(all.insert(assertion), "each request has its own assertion");
    }
    let first = all.first().expect("an assertion").clone();
    let (message, _) = first.rsplit_once('.').expect("three parts");
    let other = all
        .last()
        .expect("another")
        .rsplit_once('.')
        .expect("three parts")
        .1;
    let keys = bed.proxy.admin_get("/.well-known/jwks.json").json();
    let swapped = format!("{message}.{other}");
    let key = serde_json::from_value(keys["keys"][0].clone()).expect("a JWK");
    let key = jsonwebtoken::DecodingKey::from_jwk(&key).expect("a key");
    let mut validation =
        jsonwebtoken::Validation::new(jsonwebtoken::decode_header(&first).expect("a header").alg);
    validation.validate_exp = false;
    validation.validate_aud = false;
    assert!(jsonwebtoken::decode::<serde_json::Value>(&swapped, &key, &validation).is_err());
}

#[test]
fn invariant_22_binding_is_required_beyond_loopback() {
    let unbound = BOUND.replace(
        ", bind: [method, target, authority]",
        ", key: {file: @DIR@/assertion.pem}",
    );
    let write = |lines: &str| {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("assertion.pem");
        std::fs::write(&path, include_str!("../../fixtures/keys/es256-1.pem")).expect("a file");
        (
            lines.replace("@DIR@/assertion.pem", &path.display().to_string()),
            dir,
        )
    };
    let (lines, _dir) = write(&unbound);
    let far = Setup::new(&lines)
        .upstream_url("http://192.0.2.1:80")
        .try_start();
    let error = far
        .err()
        .expect("an unbound assertion must not leave the machine unnoticed");
    assert!(error.contains("bind"), "{error}");
    let (lines, _dir) = write(&unbound.replace("lifetime: 60s", "lifetime: 60s, bind: none"));
    assert!(
        Setup::new(&lines)
            .upstream_url("http://192.0.2.1:80")
            .try_start()
            .is_ok()
    );
    let (lines, _dir) = write(&unbound);
    assert!(Setup::new(&lines).try_start().is_ok());
}

#[test]
fn invariant_23_claims_become_headers_safely_or_not_at_all() {
    let bed = standard();
    for value in [
        "a\r\nx-evil: 1",
        "a\nb",
        "a\0b",
        "\u{e9}",
        "\u{1f600}",
        "a\u{7f}b",
        "\u{2028}",
        "a\tb",
        "50%41",
        " a ",
        "a\\b\"c",
    ] {
        let token = bed.token().claim("sub", value).claim("email", value).sign();
        let request = Request::get("/any/x").bearer(&token);
        let response = bed.send(&request);
        if response.status != 200 {
            assert!(
                matches!(response.status, 401 | 403),
                "{} for {value:?}",
                response.status
            );
            continue;
        }
        let seen = bed.upstream.requests().pop().expect("a request");
        assert_eq!(seen.header("x-evil"), None, "{value:?}");
        let header = seen.header("x-auth-subject").expect("a subject");
        assert!(
            header.bytes().all(|byte| (0x20..0x7f).contains(&byte)),
            "{header:?}"
        );
        assert_eq!(percent_decoded(header), value, "injective: {header:?}");
    }
    let long = "x".repeat(12_000);
    let response =
        bed.send(&Request::get("/any/x").bearer(bed.token().claim("email", long.as_str()).sign()));
    if response.status == 200 {
        let seen = bed.upstream.requests().pop().expect("a request");
        assert_eq!(
            seen.header("x-auth-email").map(str::len),
            Some(12_000),
            "never truncated"
        );
    } else {
        assert!(matches!(response.status, 401 | 403));
    }
    let list = bed.token().claim("email", json!(["a", "b"])).sign();
    let seen = assert_forwarded(&bed, Variant::PLAIN, &Request::get("/any/x").bearer(list));
    assert!(seen.all("x-auth-email").len() <= 1);
    let plain = bed.token().claim("email", "alice@example.org").sign();
    let seen = assert_forwarded(&bed, Variant::PLAIN, &Request::get("/any/x").bearer(plain));
    assert_eq!(seen.header("x-auth-email"), Some("alice@example.org"));
    assert_refused(
        &bed,
        Variant::PLAIN,
        &Request::get("/any/x").bearer("x"),
        401,
        "token_malformed|token_scheme",
    );
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' && after.len() >= 2 {
            let digits = std::str::from_utf8(&after[..2]).expect("ASCII");
            bytes.push(u8::from_str_radix(digits, 16).expect("hexadecimal"));
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}
