//! The bed tests itself: a bed that sees nothing would let everything pass.

use countersign::clock::{Clock, UnixTime};

use crate::bed::h2_client::H2Connection;
use crate::bed::h2_upstream::H2Upstream;
use crate::bed::raw_h2::{self, Outcome};
use crate::bed::{
    Behaviour, Connection, Issuer, Key, Mode, Next, Request, START, TokenEndpoint, Upstream, keys,
    tls,
};

fn clock() -> Clock {
    Clock::manual(UnixTime::from_secs(START))
}

#[test]
fn upstream_captures_exact_bytes_and_echoes() {
    let upstream = Upstream::start();
    let mut client = Connection::open(upstream.address());
    let bytes = b"POST /a%2fb?x HTTP/1.1\r\nHOST: a\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\n0\r\nx-t: 1\r\n\r\n";
    let response = client.exchange(bytes).expect(200);
    assert_eq!(response.body, b"abc");
    assert_eq!(response.header("x-target"), Some("/a%2fb?x"));
    let request = upstream.only();
    assert_eq!(request.bytes()[..10], bytes[..10]);
    assert_eq!(request.body, b"abc");
    assert_eq!(request.trailers, b"x-t: 1\r\n\r\n");
    assert!(request.complete);
    assert_eq!(upstream.bytes(), bytes.len() as u64);
    client.exchange(Request::get("/two").bytes()).expect(200);
    assert_eq!(upstream.connections(), 1);
    drop(client);
    upstream.await_open(0);
}

#[test]
fn upstream_speaks_tls_and_unix() {
    let upstream = Upstream::tls(|exchange| exchange.echo());
    let mut client = Connection::tls(upstream.address(), tls::client_config(&[b"http/1.1"], None));
    client
        .exchange(Request::post("/t", "body").bytes())
        .expect(200);
    assert_eq!(upstream.only().body, b"body");
    let unix = Upstream::unix(|exchange| exchange.echo());
    let url = unix.url();
    let path = url.strip_prefix("unix:").expect("a path");
    let mut client = Connection::unix(path.as_ref());
    client.exchange(Request::get("/u").bytes()).expect(200);
    assert_eq!(unix.only().target, "/u");
}

#[test]
fn upstream_follows_its_script() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        exchange.chunk("one")?;
        exchange.write("garbage")?;
        Ok(Next::Close)
    });
    let mut client = Connection::open(upstream.address());
    client.send(Request::get("/").bytes());
    assert_eq!(client.read_head().expect("a head").status, 200);
    assert_eq!(client.chunk(), b"one");
    assert_eq!(client.read_end(), b"garbage");
}

#[test]
fn issuer_serves_signs_rotates_and_fails() {
    let issuer = Issuer::start(&clock());
    let address = issuer
        .jwks_url()
        .replace("http://", "")
        .replace("/jwks", "");
    let get = |path: &str| {
        Connection::open(address.parse().expect("an address")).exchange(Request::get(path).bytes())
    };
    let keys = get("/jwks").expect(200).json();
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        get("/.well-known/openid-configuration").json()["jwks_uri"]
            .as_str()
            .map(|uri| uri.ends_with("/jwks")),
        Some(true)
    );
    issuer.rotate(&keys::ED25519_1);
    issuer.withdraw("rsa-1");
    let keys = get("/jwks").json();
    let kids: Vec<_> = keys["keys"]
        .as_array()
        .expect("keys")
        .iter()
        .map(|key| key["kid"].clone())
        .collect();
    assert_eq!(kids, ["es256-1", "ed25519-1"]);
    issuer.mode(Mode::Answer(500, "text/html", "<p>".into()));
    assert_eq!(get("/jwks").expect(500).text(), "<p>");
    assert_eq!(issuer.fetches(), 3);
}

#[test]
fn tokens_verify_with_the_published_keys() {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
    let issuer = Issuer::start(&clock());
    let all: [(&'static Key, Algorithm); 6] = [
        (&keys::RSA_1, Algorithm::RS256),
        (&keys::RSA_2, Algorithm::RS256),
        (&keys::PS_1, Algorithm::PS256),
        (&keys::ES256_1, Algorithm::ES256),
        (&keys::ES384_1, Algorithm::ES384),
        (&keys::ED25519_1, Algorithm::EdDSA),
    ];
    for (key, algorithm) in all {
        let jwk = serde_json::from_value(key.jwk()).expect("a JWK");
        let verifier = DecodingKey::from_jwk(&jwk).expect("a key");
        let mut validation = Validation::new(algorithm);
        validation.validate_exp = false;
        validation.set_audience(&["api"]);
        let good = issuer.token().key(key).sign();
        decode::<serde_json::Value>(&good, &verifier, &validation)
            .unwrap_or_else(|error| panic!("{}: {error}", key.kid));
        let evil = issuer.token().key(key).signed_by(other(key)).sign();
        assert!(
            decode::<serde_json::Value>(&evil, &verifier, &validation).is_err(),
            "{}",
            key.kid
        );
    }
}

fn other(key: &Key) -> &'static Key {
    if key.kid == keys::RSA_1.kid {
        &keys::RSA_2
    } else {
        &keys::RSA_1
    }
}

#[test]
fn h2_client_and_upstream_speak() {
    let upstream = H2Upstream::start();
    let address = upstream
        .url()
        .replace("h2c://", "")
        .parse()
        .expect("an address");
    let client = H2Connection::plain(address);
    let response = client
        .exchange(&Request::post("/p.S/M", "ping").header("te", "trailers"))
        .expect("an answer");
    assert_eq!((response.status, response.text().as_str()), (200, "ping"));
    assert!(
        response
            .trailers
            .contains(&("grpc-status".into(), "0".into()))
    );
    assert_eq!(upstream.requests()[0].path, "/p.S/M");
    assert_eq!(upstream.requests()[0].authority, "api.test");
    let fields: [(&str, &[u8]); 4] = [
        (":method", b"GET"),
        (":scheme", b"http"),
        (":authority", b"a"),
        (":path", b"/x"),
    ];
    assert_eq!(
        raw_h2::ask(address, &fields, None, None),
        Outcome::Status(200)
    );
    assert!(raw_h2::ask(address, &fields[..1], None, None).is_refused_below());
}

#[test]
fn token_endpoint_issues_holds_back_and_counts() {
    let endpoint = TokenEndpoint::start();
    let address = endpoint.address();
    let ask = move || Connection::open(address).exchange(Request::post("/token", "a=b").bytes());
    let answer: serde_json::Value = serde_json::from_str(&ask().expect(200).text()).expect("JSON");
    assert_eq!(answer["access_token"], endpoint.issued()[0]);
    assert_eq!(answer["expires_in"], 300);
    endpoint.behave(Behaviour::Holds);
    let held = std::thread::spawn(ask);
    endpoint.await_asked(2);
    endpoint.lifetime(None);
    endpoint.behave(Behaviour::Issues);
    let answer = held.join().expect("an answer").expect(200).text();
    assert!(!answer.contains("expires_in"), "{answer}");
    endpoint.behave(Behaviour::Answers(400, "application/json", "{}".into()));
    assert_eq!(ask().status, 400);
    assert_eq!((endpoint.asked(), endpoint.issued().len()), (3, 2));
    assert_eq!(endpoint.requests()[0].body, b"a=b");
    assert!(endpoint.url().starts_with(&endpoint.issuer()));
}
