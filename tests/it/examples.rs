//! The examples of how an upstream verifies the identity, against a running proxy; and our signatures against verifiers
//! that other people wrote.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use crate::bed::{Bed, Captured, Connection, Request, Response, Setup, Token, Upstream, keys};
use crate::program::{self, Program};

/// The key of HS256 among the fixtures.
const SHARED: &str = "shared.secret";
const SECRET: &str = include_str!("../fixtures/keys/shared.secret");

const ROUTES: &str = r#"
callers:
  web: {issuer: main, client: web}
routes:
  - path: /public
    allow: anyone
  - path: /orders
    allow: {GET: web, POST: web}
"#;

const HEADERS: &str = "{x-auth-subject: subject, x-auth-client: client, x-auth-account: account, x-auth-scopes: scopes, x-auth-caller: caller}";

/// A proxy that vouches with this key, in front of an upstream that captures and then asks the example.
fn vouching(key: &str, bind: &str, upstream: Upstream) -> Bed {
    let identity = format!(
        "identity:\n  headers: {HEADERS}\n  signature: {{key: {key}}}\n  assertion: {{header: x-auth-assertion, \
         key: {key}, issuer: countersign, audience: usage-api, lifetime: 60s, bind: {bind}}}\n"
    );
    Setup::new(&format!("{identity}{ROUTES}"))
        .system_clock()
        .upstream(upstream)
        .start()
}

fn fixture(name: &str) -> String {
    format!(
        "{{file: {}}}",
        program::root()
            .join("tests/fixtures/keys")
            .join(name)
            .display()
    )
}

/// An upstream that hands everything to the example once that runs.
fn relay(to: &Arc<OnceLock<SocketAddr>>) -> Upstream {
    let to = Arc::clone(to);
    Upstream::scripted(move |exchange| {
        exchange.body()?;
        let address = *to.get().expect("the example runs");
        let response = ask(address, &exchange.request);
        exchange.answer(
            response.status,
            "content-type: application/json\r\n",
            &response.body,
        )
    })
}

/// Sends what was captured, byte for byte, on a connection of its own.
fn ask(address: SocketAddr, request: &Captured) -> Response {
    Connection::open(address).exchange(request.bytes())
}

/// The captured request with its head changed.
fn changed(request: &Captured, from: &str, to: &str) -> Captured {
    let head = String::from_utf8(request.head.clone()).expect("text");
    assert!(head.contains(from), "{from} is not in {head}");
    Captured {
        head: head.replacen(from, to, 1).into_bytes(),
        ..request.clone()
    }
}

/// Without the header line, or with another value in it.
fn with_header(request: &Captured, name: &str, value: Option<&str>) -> Captured {
    let mut head = String::new();
    for line in String::from_utf8(request.head.clone())
        .expect("text")
        .split_inclusive("\r\n")
    {
        if line.to_ascii_lowercase().starts_with(&format!("{name}:")) {
            if let Some(value) = value {
                write!(head, "{name}: {value}\r\n").expect("a line");
            }
        } else {
            head.push_str(line);
        }
    }
    assert!(head.as_bytes() != request.head, "{name} is not there");
    Captured {
        head: head.into_bytes(),
        ..request.clone()
    }
}

fn orders(bed: &Bed) -> Request {
    Request::get("/orders?page=1")
        .host("api.example.org:8080")
        .bearer(bed.token().sign())
}

/// Drives one example with a key of the fixtures. `start` gets what it must know of the proxy in its environment.
fn drive(key: &str, bound: bool, start: impl FnOnce(&[(&str, String)]) -> Program) {
    let place = Arc::new(OnceLock::new());
    let bind = if bound {
        "[method, target, authority]"
    } else {
        "none"
    };
    let bed = vouching(&fixture(key), bind, relay(&place));
    let mut environment = vec![
        ("PORT", "0".to_owned()),
        ("AUDIENCE", "usage-api".to_owned()),
        ("ISSUER", "countersign".to_owned()),
        (
            "BIND",
            if bound {
                "method,target,authority".to_owned()
            } else {
                String::new()
            },
        ),
    ];
    if key == SHARED {
        environment.push((
            "SECRET_FILE",
            program::root()
                .join("tests/fixtures/keys")
                .join(key)
                .display()
                .to_string(),
        ));
    } else {
        environment.push((
            "JWKS_URL",
            format!("http://{}/.well-known/jwks.json", bed.proxy.admin()),
        ));
    }
    let example = start(&environment);
    let port = example.place.parse().expect("a port");
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    place.set(address).expect("set once");

    // Through the proxy.
    let identity = bed.send(&orders(&bed)).expect(200).json();
    let wanted = json!({"anonymous": false, "sub": "alice", "idp": "main", "client_id": "web", "caller": "web", "scope": "read"});
    assert_eq!(identity, wanted);
    let known = bed.upstream.await_request();
    bed.send(
        &orders(&bed)
            .header("x-auth-assertion", "forged")
            .header("X_Auth_Subject", "root"),
    )
    .expect(200);
    let nobody = bed
        .send(&Request::get("/public").header("x-auth-assertion", "forged"))
        .expect(200)
        .json();
    assert_eq!(nobody, json!({"anonymous": true}));
    bed.send(&Request::get("/orders")).expect(401);

    // Around the proxy, with what was captured: as it was it passes, changed it does not.
    ask(address, &known).expect(200);
    refuses(address, &known);
    let elsewhere = if bound { 401 } else { 200 };
    ask(address, &changed(&known, "GET ", "POST ")).expect(elsewhere);
    ask(address, &changed(&known, "page=1", "page=2")).expect(elsewhere);
    ask(
        address,
        &changed(&known, "api.example.org:8080", "other.example.org"),
    )
    .expect(elsewhere);
    ask(
        address,
        &with_header(&known, "x-auth-subject", Some("root")),
    )
    .expect(elsewhere);
    ask(address, &with_header(&known, "x-auth-client", None)).expect(elsewhere);
    if key != SHARED {
        refuses_in_time(address, &known);
    }
}

/// Forged, absent or foreign assertions.
fn refuses(address: SocketAddr, known: &Captured) {
    let assertion = known
        .header("x-auth-assertion")
        .expect("an assertion")
        .to_owned();
    let (message, _) = assertion.rsplit_once('.').expect("three parts");
    let (header, _) = message.split_once('.').expect("two parts");
    let none = keys::b64(r#"{"alg":"none","typ":"countersign+jwt"}"#);
    for forged in [
        None,
        Some("junk".to_owned()),
        Some(format!("{message}.")),
        Some(format!("{message}.{}", "A".repeat(86))),
        Some(format!(
            "{header}.{}.{}",
            keys::b64(r#"{"sub":"root"}"#),
            "A".repeat(86)
        )),
        Some(format!(
            "{none}.{}.",
            message.split_once('.').expect("two parts").1
        )),
    ] {
        ask(
            address,
            &with_header(known, "x-auth-assertion", forged.as_deref()),
        )
        .expect(401);
    }
}

/// Signed by the proxy's own key, with other claims: good, expired, for another upstream, by another proxy.
fn refuses_in_time(address: SocketAddr, known: &Captured) {
    let assertion = known.header("x-auth-assertion").expect("an assertion");
    let piece = |index: usize| -> Value {
        use base64::Engine;
        let piece = assertion.split('.').nth(index).expect("a piece");
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(piece)
            .expect("base64url");
        serde_json::from_slice(&bytes).expect("JSON")
    };
    let (header, claims) = (piece(0), piece(1));
    let sign = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        let token = Token::new("", &keys::ES256_1, 0)
            .raw_header(header.to_string())
            .raw_payload(claims.to_string());
        with_header(known, "x-auth-assertion", Some(&token.sign()))
    };
    let iat = claims["iat"].as_i64().expect("seconds");
    ask(address, &sign("jti", json!("another"))).expect(200);
    ask(address, &sign("exp", json!(iat - 60))).expect(401);
    ask(address, &sign("aud", json!("other-api"))).expect(401);
    ask(address, &sign("iss", json!("other"))).expect(401);
}

fn drive_all(start: impl Fn(&[(&str, String)]) -> Program) {
    for (key, bound) in [
        ("es256-1.pem", true),
        ("es256-1.pem", false),
        (SHARED, true),
    ] {
        drive(key, bound, &start);
    }
}

#[test]
fn example_in_python_verifies_and_refuses() {
    if program::python("python").is_none() {
        return;
    }
    drive_all(|environment| {
        let mut python = program::python("python").expect("found before");
        python.arg(program::root().join("examples/python/app.py"));
        Program::start(python.envs(environment.iter().map(|(name, value)| (name, value))))
    });
}

#[test]
fn example_in_node_verifies_and_refuses() {
    if program::node("node", "examples/node").is_none() {
        return;
    }
    drive_all(|environment| {
        let mut node = program::node("node", "examples/node").expect("found before");
        node.arg("app.mjs");
        Program::start(node.envs(environment.iter().map(|(name, value)| (name, value))))
    });
}

/// What `tests/python/verify_signature.py` reads.
fn request(captured: &Captured) -> Value {
    let headers: serde_json::Map<String, Value> = captured
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), json!(value)))
        .collect();
    json!({
        "method": captured.method,
        "target": captured.target,
        "authority": captured.header("host"),
        "headers": headers,
    })
}

/// Signs with a running proxy and takes what arrived.
fn vouched(algorithm: &str, bound: bool) -> Value {
    let key = match algorithm {
        "ES256" => "es256-1.pem",
        "EdDSA" => "ed25519-1.pem",
        _ => SHARED,
    };
    let bind = if bound {
        "[method, target, authority]"
    } else {
        "none"
    };
    let bed = vouching(&fixture(key), bind, Upstream::start());
    bed.send(&orders(&bed)).expect(200);
    bed.send(&Request::get("/public?page=1").host("api.example.org:8080"))
        .expect(200);
    let arrived = bed.upstream.requests();
    let input = arrived[0].header("signature-input").expect("signed");
    let kid = input
        .split("keyid=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("a key id");
    json!({
        "algorithm": algorithm,
        "bound": bound,
        "kid": kid,
        "jwks": bed.proxy.admin_get("/.well-known/jwks.json").expect(200).json(),
        "secret": (algorithm == "HS256").then_some(SECRET.trim_end()),
        "reserved": ["x-auth-subject", "x-auth-client", "x-auth-account", "x-auth-scopes", "x-auth-caller",
            "x-auth-assertion", "signature", "signature-input"],
        "known": request(&arrived[0]),
        "anonymous": request(&arrived[1]),
    })
}

#[test]
fn invariant_22_signatures_verify_with_a_third_partys_verifier() {
    let Some(mut python) = program::python("python") else {
        return;
    };
    let sets: Vec<Value> = ["ES256", "EdDSA", "HS256"]
        .into_iter()
        .flat_map(|algorithm| [false, true].map(|bound| vouched(algorithm, bound)))
        .collect();
    python.arg(program::root().join("tests/python/verify_signature.py"));
    let output = program::run(&mut python, &Value::from(sets).to_string());
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        said.lines().filter(|line| line.starts_with("ok ")).count(),
        6,
        "{said}"
    );
}
