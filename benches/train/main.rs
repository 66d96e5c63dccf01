//! The load that `.ci/dist` takes a profile of the program from: what sidecars do all day, and what is tried on them.
//!
//! `train PROGRAM FOLDER` runs an instrumented program, which leaves its profiles in the folder. Without arguments (as `cargo
//! test` and `cargo bench` run it) the ordinary program gets a little of everything.
//!
//! What is never run here is compiled for size and laid out far away. So refusals and attacks have their share: they must not
//! become the slow path.

#![expect(
    unreachable_pub,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::large_enum_variant,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    let_underscore_drop,
    reason = "not the product: what goes wrong here must stop the run and say so"
)]

mod callers;
#[path = "../../tests/soak/client.rs"]
#[allow(dead_code, reason = "the soak uses the rest")]
mod client;
#[path = "../../tests/soak/program.rs"]
#[allow(dead_code, reason = "the soak uses the rest")]
mod program;
#[path = "../../tests/soak/tokens.rs"]
#[allow(dead_code, reason = "the soak uses the rest")]
mod tokens;
#[path = "../../tests/soak/upstream.rs"]
#[allow(dead_code, reason = "the soak uses the rest")]
mod upstream;
#[path = "../../tests/soak/world.rs"]
#[allow(dead_code, reason = "the soak uses the rest")]
mod world;

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use callers::Callers;
use client::{Answer, Client, Failure, Protocol, get, post, request, run as run_load};
use http::{HeaderValue, Method};
use http_body_util::Either;
use program::{Program, eventually};
use rustix::process::Signal;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokens::ISSUER;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use upstream::{Pieces, Upstream};
use world::{Places, replace};

fn main() {
    let given: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench" && word != "--test")
        .collect();
    let (program, folder, share) = match given.as_slice() {
        [] => (env!("CARGO_BIN_EXE_countersign"), None, 250),
        [program, folder] => (program.as_str(), Some(PathBuf::from(folder)), 1),
        _ => panic!("train [PROGRAM FOLDER]"),
    };
    world::raise_open_files();
    // Every decision on record, as it is without a word about it, and none; a worker for each core, and one.
    for (access, workers) in [("all", "auto"), ("none", "1")] {
        let mut command = Command::new(program);
        if let Some(folder) = &folder {
            command.env("LLVM_PROFILE_FILE", folder.join("%m-%p.profraw"));
        }
        let asked = Life::new(access, workers, share).live(command);
        println!("access: {access}, workers: {workers}: {asked} requests");
    }
}

/// One life of the program, from its start to its drain.
struct Life {
    folder: tempfile::TempDir,
    access: &'static str,
    workers: &'static str,
    /// One in so many of the requests.
    share: u64,
    upstream: Upstream,
    upstream_h2: Upstream,
    plain: Places,
    tls: Places,
    outbound: SocketAddr,
    certificate: rcgen::CertifiedKey<rcgen::KeyPair>,
    callers: Rc<Callers>,
}

impl Life {
    fn new(access: &'static str, workers: &'static str, share: u64) -> Self {
        let certificate = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            access,
            workers,
            share,
            upstream: Upstream::start(),
            upstream_h2: Upstream::of(Protocol::Http2),
            plain: Places::new(),
            tls: Places::new(),
            outbound: Places::new().inbound,
            certificate: certificate.expect("a certificate"),
            callers: Rc::new(Callers::new()),
        }
    }

    fn live(&self, command: Command) -> u64 {
        let (config, reloads) = (self.folder.path().join("config.yaml"), Arc::default());
        self.write();
        let watched = Arc::<AtomicU64>::clone(&reloads);
        let mut program = Program::of(command, &config, self.plain, move |line| {
            if line.is_event("config.reloaded") {
                watched.fetch_add(1, Ordering::Relaxed);
            }
        });
        run_load(self.day());
        // Another policy, twice, and what changes with it: nothing that was cached is of its generation.
        for reload in 1..=2 {
            self.write();
            program.signal(Signal::HUP);
            eventually("it reloads", || reloads.load(Ordering::Relaxed) >= reload);
            run_load(self.load(self.plain.inbound, None, Protocol::Http1, (16, 1), 4000));
        }
        for _ in 0..20 {
            assert!(program.is_ready());
            assert!(program.series() > 0);
        }
        run_load(self.drain(&program));
        assert!(program.wait().success(), "it ends as it must");
        self.callers.asked.get()
    }

    /// The configuration, with one more route each time.
    fn write(&self) {
        let path = |name: &str| self.folder.path().join(name);
        let text = self.document();
        replace(&path("jwks.json"), &tokens::jwks());
        replace(&path("tls.crt"), &self.certificate.cert.pem());
        replace(
            &path("tls.key"),
            &self.certificate.signing_key.serialize_pem(),
        );
        replace(&path("secret"), "a secret of the training");
        replace(&path("config.yaml"), &text);
    }

    fn document(&self) -> String {
        let Self {
            access, workers, ..
        } = self;
        let (upstream, h2) = (self.upstream.address, self.upstream_h2.address);
        let (plain, admin) = (self.plain.inbound, self.plain.admin);
        let (tls, outbound) = (self.tls.inbound, self.outbound);
        let number = self.callers.asked.get();
        let mut text = format!(
            "
workers: {workers}
log: {{access: {access}}}
drain: {{delay: 0s, deadline: 30s}}
admin: {{listen: '{admin}'}}
inbound:
  - name: plain
    listen: '{plain}'
    upstream: http://{upstream}
    cors: {{origins: ['https://app.example.org'], preflight: forward}}
  - {{name: tls, listen: '{tls}', upstream: 'h2c://{h2}', tls: {{certificate: {{file: tls.crt}}, key: {{file: tls.key}}}}}}
outbound: {{name: out, listen: '{outbound}', upstream: 'http://{upstream}', credential: agent, hosts: [api.test]}}
credentials:
  agent:
    token_endpoint: {{url: 'http://{upstream}/token'}}
    allow_http: true
    client_id: agent
    client_authentication: {{client_secret_basic: {{file: secret}}}}
issuers:
  - name: main
    issuer: '{ISSUER}'
    jwks: {{file: jwks.json}}
    audiences: [api]
    algorithms: [RS256, ES256, EdDSA]
    claim_mappings: {{account: account}}
  - {{name: other, issuer: '{ISSUER}/other', jwks: {{url: 'http://{upstream}/jwks', allow_http: true}}, audiences: [api]}}
identity:
  headers: {{x-auth-subject: subject, x-auth-client: client, x-auth-scopes: scopes, x-auth-email: claims.email}}
  assertion: {{audience: api}}
callers: {{web: {{issuer: main, client: web}}, ours: {{issuer: other}}}}
routes:
  - {{path: [/health, /open/**], allow: anyone}}
  - {{path: /internal/**, allow: nobody}}
  - {{path: /admin/**, allow: {{caller: web, scopes: [admin]}}}}
  - {{path: /limited, allow: web, rate_limit: {{by: principal, requests: 1, per: 1h}}}}
  - path: /accounts/{{account}}/usage
    allow: {{GET: {{caller: web, scopes: [read], account: '{{account}}'}}}}
  - {{path: /**, allow: {{'GET, POST, OPTIONS': {{caller: web, scopes: [read]}}}}}}
  - {{path: /new/{number}, allow: ours}}
"
        );
        for number in 0..40 {
            text.push_str(&format!(
                "  - {{path: '/service{}/items/{{item}}/part{number}', allow: web}}\n",
                number % 8
            ));
        }
        text
    }

    /// All kinds of callers, one kind after another.
    async fn day(&self) {
        use Protocol::{Http1, Http2};
        let (plain, tls) = (self.plain.inbound, self.tls.inbound);
        // Tens of connections that are kept, and one at a time: each request then has its own wake-up.
        self.load(plain, None, Http1, (32, 1), 30_000).await;
        self.load(plain, None, Http1, (1, 1), 3000).await;
        self.load(plain, None, Http2, (4, 12), 14_000).await;
        self.load(tls, Some(self.tls(Http1, true)), Http1, (16, 1), 8000)
            .await;
        self.load(tls, Some(self.tls(Http2, true)), Http2, (2, 16), 8000)
            .await;
        // Connections that are not kept: full and resumed handshakes, and none.
        for resumed in [false, true] {
            let connector = self.tls(Http1, resumed);
            for _ in 0..self.some(150) {
                let connector = Some(connector.clone());
                self.load(tls, connector, Http1, (1, 1), self.share).await;
            }
        }
        for _ in 0..self.some(500) {
            self.load(plain, None, Http1, (1, 1), self.share).await;
        }
        for raw in MALFORMED {
            for _ in 0..self.some(60) {
                malformed(plain, raw).await;
            }
        }
        self.bodies(plain, None, Http1).await;
        self.bodies(plain, None, Http2).await;
        self.bodies(tls, Some(self.tls(Http1, true)), Http1).await;
        self.calls().await;
    }

    /// `full`, or its share, and one at least.
    fn some(&self, full: u64) -> u64 {
        full.div_ceil(self.share)
    }

    fn tls(&self, protocol: Protocol, resumed: bool) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots
            .add(self.certificate.cert.der().clone())
            .expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        if !resumed {
            config.resumption = Resumption::disabled();
        }
        config.alpn_protocols = match protocol {
            Protocol::Http1 => vec![b"http/1.1".to_vec()],
            Protocol::Http2 => vec![b"h2".to_vec()],
        };
        TlsConnector::from(Arc::new(config))
    }

    /// So many mixed requests, on `wide.0` connections with `wide.1` streams each.
    async fn load(
        &self,
        address: SocketAddr,
        connector: Option<TlsConnector>,
        protocol: Protocol,
        wide: (u64, u64),
        requests: u64,
    ) {
        let left = Rc::new(Cell::new(self.some(requests)));
        let mut lanes = Vec::new();
        for _ in 0..wide.0.min(left.get()) {
            let (callers, left) = (Rc::clone(&self.callers), Rc::clone(&left));
            let connector = connector.clone();
            lanes.push(tokio::task::spawn_local(async move {
                while left.get() > 0 {
                    let client = connect(address, connector.as_ref(), protocol).await;
                    match protocol {
                        Protocol::Http1 => callers.one_after_another(client, &left).await,
                        Protocol::Http2 => callers.beside_each_other(client, wide.1, &left).await,
                    }
                }
            }));
        }
        for lane in lanes {
            lane.await.expect("a lane");
        }
    }

    /// Bodies of several sizes, in both directions; their length is said, or it is not.
    async fn bodies(
        &self,
        address: SocketAddr,
        connector: Option<TlsConnector>,
        protocol: Protocol,
    ) {
        let mut client = connect(address, connector.as_ref(), protocol).await;
        let token = Some(self.callers.known[0].as_str());
        for _ in 0..self.some(60) {
            let chunked = Pieces::new(Bytes::from_static(&[b'y'; 1 << 14]), 16);
            for asked in [
                get("/mebibyte", token),
                get("/pieces", token),
                post("/orders", token, vec![b'x'; 1 << 20]),
                request(Method::POST, "/orders", token, Either::Right(chunked)),
            ] {
                self.callers.asked.set(self.callers.asked.get() + 1);
                answered(client.exchange(asked).await, 200);
            }
        }
    }

    /// The calling side: a program that has no token of its own.
    async fn calls(&self) {
        let left = Rc::new(Cell::new(self.some(12_000)));
        let mut lanes = Vec::new();
        for lane in 0..16 {
            let (callers, left) = (Rc::clone(&self.callers), Rc::clone(&left));
            let outbound = self.outbound;
            lanes.push(tokio::task::spawn_local(async move {
                let mut client = connect(outbound, None, Protocol::Http1).await;
                while callers.next(&left) {
                    let (status, asked) = match left.get() % 16 {
                        0 => (200, post("/agent/orders", None, vec![b'x'; 2000])),
                        1 => (400, get("/agent/orders", Some("one of its own"))),
                        _ => (200, get(&format!("/agent/{lane}?from=2026-01-01"), None)),
                    };
                    let answer = answered(client.exchange(asked).await, status);
                    if answer.closes() {
                        client = connect(outbound, None, Protocol::Http1).await;
                    }
                }
            }));
        }
        for lane in lanes {
            lane.await.expect("a lane");
        }
    }

    /// The end that Kubernetes asks for, with streams in flight.
    async fn drain(&self, program: &Program) {
        let mut streams = Vec::new();
        for (number, protocol) in [Protocol::Http1, Protocol::Http2].into_iter().enumerate() {
            let mut client = connect(self.plain.inbound, None, protocol).await;
            let mut asked = get("/stream", Some(&self.callers.known[number]));
            asked
                .headers_mut()
                .insert("x-nonce", HeaderValue::from_static("a piece of a stream"));
            let response = client.send(asked).await.ok().expect("an answer");
            streams.push((client, response));
        }
        program.signal(Signal::TERM);
        for (_client, response) in streams {
            answered(Answer::whole(response).await, 200);
        }
    }
}

async fn connect(
    address: SocketAddr,
    connector: Option<&TlsConnector>,
    protocol: Protocol,
) -> Client {
    let Some(connector) = connector else {
        return Client::connect(address, protocol)
            .await
            .expect("a connection");
    };
    let stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("an option");
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = connector.connect(name, stream).await.expect("a handshake");
    Client::over(stream, protocol).await.expect("a connection")
}

fn answered(answer: Result<Answer, Failure>, status: u16) -> Answer {
    match answer {
        Ok(answer) => {
            assert_eq!(answer.status, status, "{:?}", answer.body);
            answer
        }
        Err(Failure::Lost(why)) => panic!("{status} expected: {why}"),
        Err(Failure::Unsent(request)) => panic!("not sent: {} {}", request.method(), request.uri()),
    }
}

/// What cannot be read, or could be read in two ways. Each is answered with 400 or more, and the connection closed.
const MALFORMED: [&str; 8] = [
    "nothing of HTTP\r\n\r\n",
    "GET /health HTTP/1.1\r\n\r\n",
    "GET /health HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    "GET /health HTTP/1.1\r\nhost: a\r\nx y: z\r\n\r\n",
    "POST /orders HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /orders HTTP/1.1\r\nhost: a\r\ncontent-length: +3\r\n\r\nabc",
    "GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Basic eDp5\r\nauthorization: Bearer x\r\n\r\n",
    "GET /orders HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Basic eDp5\r\n\r\n",
];

async fn malformed(address: SocketAddr, raw: &str) {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(raw.as_bytes()).await.expect("a request");
    let mut answer = Vec::new();
    // The rest of what it was sent may reset the connection behind the answer.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(
        answer.starts_with(b"HTTP/1.1 4"),
        "{raw:?}: {}",
        String::from_utf8_lossy(&answer)
    );
}
