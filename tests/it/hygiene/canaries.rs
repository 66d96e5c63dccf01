//! Invariant 46: a canary in every place where a secret can be, through the real program, at TRACE; none in whatever comes
//! out of it that is not meant to carry it.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use serde_json::json;

use super::places::{
    BROKEN, COMMON_NAME, ENV_SECRET, FIELDS, FILE_SECRET, HMAC_SECRET, LEGACY, PRIVATE_JWK,
    QUERIES, answer, learn_all,
};
use super::process::{Process, free_address};
use crate::bed::h2_client::H2Connection;
use crate::bed::keys::{self, b64};
use crate::bed::secrets::{Secrets, assert_none, learn, learn_key, learn_token};
use crate::bed::{Captured, Connection, Issuer, Request, Upstream, contains, tls};

const CONFIG: &str = r#"
workers: 1
log: {level: trace}
inbound:
  - name: plain
    listen: @PLAIN@
    upstream: @UPSTREAM@
  - name: tls
    listen: @TLS@
    upstream: @UPSTREAM@
    tls:
      certificate: {file: @CERTS@/tls.crt}
      key: {file: @DIR@/tls.key}
      client_ca: {file: @CERTS@/ca.crt}
      client_certificate: optional
  - name: broken
    listen: @BROKEN@
    upstream: "http://127.0.0.1:1"
admin: {listen: @ADMIN@}
probes: {listen: @PROBES@, serve: [livez, readyz, metrics, jwks]}
issuers:
  - name: main
    issuer: @ISSUER@
    jwks: {file: @DIR@/jwks.json}
    audiences: [api]
    token_sources: [basic_password, websocket_protocol]
  - name: fetched
    issuer: @ISSUER2@
    jwks: {url: "@JWKS2@?apikey=${URL_SECRET}", allow_http: true, cache: @DIR@/cache.json}
    audiences: [api]
  - name: down
    issuer: https://down.example.org
    jwks: {url: "http://127.0.0.1:1/keys?code=${file:@DIR@/url.secret}", allow_http: true}
    audiences: [api]
identity:
  headers: {x-auth-subject: subject, x-auth-email: claims.email}
  assertion: {key: {file: @DIR@/assertion.pem}, audience: api}
  signature: {key: {secret: "${HMAC_SECRET}"}}
callers:
  anybody: {issuer: main}
routes:
  - {path: /**, allow: anybody}
  - {path: /public/**, allow: anyone}
  - {path: /forward, allow: anybody, authorization: forward}
  - {path: /opaque, allow: opaque, authorization: forward}
  - {path: /acting, allow: {issuer: main, actor: {issuer: fetched}}, actor_token: {header: x-actor, issuer: fetched, required: false}}
  - {path: /scoped, allow: {issuer: main, scopes: [none-has-it]}}
  - {path: /observed, allow: nobody, mode: observe, until: 2099-12-31}
  - {path: /down, allow: {issuer: down}}
  - {path: /ws, allow: anybody, upgrade: [websocket]}
  - {path: /grpc/**, allow: anybody, grpc: true}
"#;

struct World {
    dir: tempfile::TempDir,
    process: Process,
    upstream: Upstream,
    issuer: Issuer,
    second: Issuer,
    plain: std::net::SocketAddr,
    tls: std::net::SocketAddr,
    broken: std::net::SocketAddr,
    probes: std::net::SocketAddr,
}

fn start() -> World {
    learn_all();
    let clock = countersign::clock::Clock::system();
    let dir = tempfile::tempdir().expect("a directory");
    let upstream = Upstream::scripted(answer);
    let issuer = Issuer::start(&clock);
    let second = Issuer::start(&clock);
    // An issuer that publishes what it should keep.
    let mut leaky = keys::RSA_2.jwk();
    leaky["kid"] = json!("leaky");
    leaky["d"] = json!(PRIVATE_JWK);
    issuer.publish(vec![keys::RSA_1.jwk(), keys::ES256_1.jwk(), leaky]);
    issuer.write_jwks(&dir.path().join("jwks.json"));
    let write = |name: &str, text: &str| {
        std::fs::write(dir.path().join(name), text).expect("a file");
    };
    write("url.secret", &format!("{FILE_SECRET}\n"));
    write("assertion.pem", keys::ED25519_1.pem());
    learn_key("the key of assertions", keys::ED25519_1.pem());
    write(
        "tls.key",
        &std::fs::read_to_string(tls::file("tls.key")).expect("a key"),
    );
    let [plain, tls, broken, admin, probes] = std::array::from_fn(|_| free_address());
    let mut text = CONFIG.to_owned();
    for (name, value) in [
        ("@PLAIN@", plain.to_string()),
        ("@TLS@", tls.to_string()),
        ("@BROKEN@", broken.to_string()),
        ("@ADMIN@", admin.to_string()),
        ("@PROBES@", probes.to_string()),
        ("@UPSTREAM@", upstream.url()),
        ("@CERTS@", tls::dir().display().to_string()),
        ("@DIR@", dir.path().display().to_string()),
        ("@ISSUER2@", second.iss.clone()),
        ("@ISSUER@", issuer.iss.clone()),
        ("@JWKS2@", second.jwks_url()),
    ] {
        text = text.replace(name, &value);
    }
    let config = dir.path().join("countersign.yaml");
    std::fs::write(&config, text).expect("a file");
    let environment = [("HMAC_SECRET", HMAC_SECRET), ("URL_SECRET", ENV_SECRET)];
    let process = Process::start(&config, admin, &environment);
    process.await_word("jwks.refreshed", 2);
    World {
        dir,
        process,
        upstream,
        issuer,
        second,
        plain,
        tls,
        broken,
        probes,
    }
}

impl World {
    fn token(&self) -> crate::bed::Token {
        self.issuer
            .token()
            .claim("email", "canary@claims.example.org")
            .claim("note", "canary of a claim that nobody reads")
    }

    /// Sends over HTTP/1.1, with a request id of ours in the answer or without.
    fn send(&self, request: &Request) -> u16 {
        let response = Connection::open(self.plain)
            .send(request.bytes())
            .read_to(&request.method)
            .expect("an answer");
        if response.status != 200 {
            let head = format!("{:?}", response.headers);
            assert_none("the head of a refusal", head.as_bytes());
            assert_none("the body of a refusal", &response.body);
        }
        response.status
    }

    fn good_requests(&self) {
        let good = self.token().sign();
        for (name, value) in FIELDS {
            let request = Request::post("/any", "canary-of-a-body-of-a-request")
                .bearer(&good)
                .header(name, value);
            assert!(matches!(self.send(&request), 200 | 400), "{name}");
        }
        for query in QUERIES {
            let request = Request::get(&format!("/any?x=1&{query}&y=2")).bearer(&good);
            let status = self.send(&request);
            assert!(matches!(status, 200 | 400), "{query}: {status}");
            self.send(&Request::get(&format!("/public/x?{query}")));
        }
        for path in ["/forward", "/observed", "/public/x"] {
            assert_eq!(self.send(&Request::get(path).bearer(&good)), 200, "{path}");
        }
        let opaque = Request::get("/opaque").bearer("canary-of-a-token-that-is-opaque-000");
        assert_eq!(self.send(&opaque), 200);
        let password = STANDARD.encode(format!("user:{good}"));
        let basic = Request::get("/any").header("authorization", &format!("Basic {password}"));
        assert_eq!(self.send(&basic), 200);
        let actor = self.second.token().sign();
        let acting = Request::get("/acting")
            .bearer(&good)
            .header("x-actor", &actor);
        assert_eq!(self.send(&acting), 200);
        // A token where only a path, a method or a host should be.
        for target in [
            format!("/public/{good}"),
            format!("/public/reset/{}/now", good.replace("eyJ", "%65yJ")),
            format!("/public/x?y={good}"),
            format!("/public/x?{good}"),
        ] {
            self.send(&Request::get(&target));
        }
        self.send(&Request::new(&good, "/any"));
        self.send(&Request::get("/public/x").host(&good));
        let mut socket = Connection::open(self.plain);
        socket.send(format!(
            "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: base64url.bearer.authorization.k8s.io.{}, chat\r\n\r\n",
            b64(&good)
        ));
        assert_eq!(socket.read_head().expect("a head").status, 101);
        socket.send("canary-of-a-websocket-frame-88");
        assert_eq!(socket.take(30), b"canary-of-a-websocket-frame-88");
    }

    fn bad_tokens(&self) {
        let good = self.token();
        let evil = [
            good.clone().expires_in(-3600).sign(),
            good.clone().signed_by(&keys::RSA_2).sign(),
            good.clone().header("kid", "unknown-kid").sign(),
            good.clone().claim("aud", "other").sign(),
            good.clone().claim("iss", "https://evil.example.org").sign(),
            good.clone().claim("iss", "https://down.example.org").sign(),
            good.clone().header("alg", "none").with_signature(""),
            good.clone().header("crit", json!(["exp"])).sign(),
            good.clone()
                .raw_payload(b"[\"canary of a claim that nobody reads\"]")
                .sign(),
            good.clone().sign_hmac(HMAC_SECRET.as_bytes()),
            format!("{}.x", good.sign()),
            format!("{}=", good.sign()),
            "canary-of-a-token-that-is-opaque-000".to_owned(),
        ];
        for token in &evil {
            let status = self.send(&Request::get("/any").bearer(token));
            assert!(matches!(status, 401 | 503), "{status} {token}");
            for field in ["x-actor", "cookie"] {
                let request = Request::get("/acting")
                    .bearer(good.sign())
                    .header(field, token);
                self.send(&request);
            }
            for scheme in ["DPoP", "Negotiate", "Token", "Basic", ""] {
                let value = format!("{scheme} {token}");
                self.send(&Request::get("/any").header("authorization", &value));
            }
            self.send(&Request::get("/any").bearer(token).bearer(token));
        }
        let legacy = STANDARD.encode(LEGACY);
        for value in [format!("Basic {legacy}"), format!("basic {LEGACY}")] {
            self.send(&Request::get("/any").header("authorization", &value));
        }
        assert_eq!(self.send(&Request::get("/scoped").bearer(good.sign())), 403);
        assert_eq!(self.send(&Request::get("/down").bearer(good.sign())), 403);
    }

    fn broken_messages(&self) {
        for bytes in BROKEN {
            let mut connection = Connection::open(self.plain);
            connection.send(bytes);
            connection.half_close();
            assert_none("an answer to broken bytes", &connection.read_end());
            // The same where TLS was expected.
            let mut connection = Connection::open(self.tls);
            connection.send(bytes);
            connection.half_close();
            connection.read_end();
        }
        let good = self.token().sign();
        for path in ["/garbage", "/breaks"] {
            let request = Request::get(path)
                .bearer(&good)
                .header("connection", "close");
            let mut connection = Connection::open(self.plain);
            connection.send(request.bytes());
            connection.read_end();
        }
        let unreachable =
            Request::get("/any?token=canary-of-a-token-in-a-query-1234").bearer(&good);
        let answer = Connection::open(self.broken).exchange(unreachable.bytes());
        assert_eq!(answer.status, 502);
    }

    fn http2_and_certificates(&self) {
        let good = self.token().sign();
        let client = tls::identity(&[COMMON_NAME.replace(' ', "-").as_str()], &[]);
        learn("the client's certificate", keys::der(&client.certificate));
        let config = tls::client_config(&[b"h2"], Some(&client));
        let connection = H2Connection::tls(self.tls, config);
        let mut request = Request::get("/any").bearer(&good);
        for (name, value) in FIELDS.into_iter().filter(|(name, _)| !name.contains('_')) {
            request = request.header(name, value);
        }
        assert_eq!(
            connection.exchange(&request).expect("an answer").status,
            200
        );
        let expired = self.token().expires_in(-3600).sign();
        let refused = connection.exchange(&Request::get("/any").bearer(&expired));
        assert_eq!(refused.expect("an answer").status, 401);
        let cleartext = H2Connection::plain(self.plain);
        assert_eq!(cleartext.exchange(&request).expect("an answer").status, 200);
    }

    /// What the program gave the upstream is a secret of the two.
    fn learn_emitted(&self) {
        let seen: Vec<Captured> = self.upstream.requests();
        let all = |name: &str| -> Vec<String> {
            let values = seen.iter().filter_map(|one| one.header(name));
            values.map(str::to_owned).collect()
        };
        let assertions = all("x-auth-assertion");
        assert!(assertions.len() > 10, "assertions were emitted");
        for assertion in assertions {
            learn_token(&assertion);
        }
        let signatures = all("signature");
        assert!(signatures.len() > 10, "signatures were emitted");
        for signature in signatures {
            learn("a message signature", signature);
        }
    }

    /// Whatever others may read.
    fn assert_nothing_said(&self) {
        for path in ["/metrics", "/status", "/", "/readyz", "/livez", "/nothing"] {
            let page = self.process.page(path);
            assert_none(path, &page.head);
            assert_none(path, &page.body);
        }
        for path in ["/metrics", "/readyz", "/livez", "/.well-known/jwks.json"] {
            let host = self.probes.to_string();
            let ask = Request::get(path).host(&host).header("connection", "close");
            let page = Connection::open(self.probes).exchange(ask.bytes());
            assert_none(path, &page.body);
        }
        let arguments = self.process.arguments();
        assert!(contains(&arguments, b"run"), "arguments were read");
        assert_none("the arguments", &arguments);
        let copy = std::fs::read(self.dir.path().join("cache.json")).expect("the copy on disk");
        assert_none("the copy of fetched keys", &copy);
    }
}

#[test]
fn invariant_46_no_canary_of_any_place_is_in_any_output() {
    let mut world = start();
    world.good_requests();
    world.bad_tokens();
    world.broken_messages();
    world.http2_and_certificates();
    world.learn_emitted();
    // A reload that fails, with a secret in the line that is wrong, and one that does not.
    let config = world.dir.path().join("countersign.yaml");
    let text = std::fs::read_to_string(&config).expect("a text");
    rejected_reloads(&world, &config, &text);
    std::fs::write(&config, &text).expect("a file");
    world.process.signal(Signal::HUP);
    world.process.await_word("config.reloaded", 1);
    world.send(&Request::get("/any").bearer(world.token().sign()));
    world.assert_nothing_said();
    let end = world.process.stop();
    let said = world.process.said();
    assert!(end.success(), "{end}: {said}");
    // The positive twin: everything was said that is to be said, and the search works on it.
    assert!(said.lines().count() > 200, "{}", said.lines().count());
    for word in [
        "token_expired",
        "token_signature",
        "config.rejected",
        "jwks.refresh_failed",
        "upstream.failed",
        "upstream.connect_failed",
        "\"level\":\"debug\"",
    ] {
        assert!(said.contains(word), "{word} in {said}");
    }
    let mut twin = Secrets::default();
    twin.learn("a word of the log", b"\"type\":\"request\",\"time\"");
    assert!(twin.find(said.as_bytes()).is_some());
    for line in said.lines() {
        assert_none("the output", line.as_bytes());
        let parsed = serde_json::from_str::<serde_json::Value>(line);
        assert!(parsed.is_ok_and(|line| line.is_object()), "{line}");
    }
}

/// Configurations that are refused because of a line with a secret.
fn rejected_reloads(world: &World, config: &Path, text: &str) {
    let rows = [
        // A secret that is too short, or of the wrong shape.
        (
            "secret: \"${HMAC_SECRET}\"",
            "secret: [canary-of-a-secret-in-a-list-42]",
        ),
        (
            "secret: \"${HMAC_SECRET}\"",
            "secrte: canary-of-a-secret-under-a-wrong-key",
        ),
        (
            "secret: \"${HMAC_SECRET}\"",
            "secret: \"${canary-of-a-secret-in-a-reference}\"",
        ),
        (
            "{key: {secret: \"${HMAC_SECRET}\"}}",
            "{key: canary-of-a-secret-without-its-key}",
        ),
        ("level: trace", "level: \"${HMAC_SECRET}\""),
        ("/keys?code=", "/keys#canary-of-a-fragment-of-a-url?code="),
    ];
    for (n, (from, to)) in rows.into_iter().enumerate() {
        if let Some(at) = to.find("canary") {
            let canary = to[at..].split(['"', ']', '}', '?']).next().expect("it");
            learn("a configuration that is refused", canary);
        }
        let wrong = text.replace(from, to);
        assert_ne!(wrong, text, "{from}");
        std::fs::write(config, wrong).expect("a file");
        world.process.signal(Signal::HUP);
        world.process.await_word("config.rejected", n + 1);
    }
}
