//! Instructions per step and per request: figures that hardly change from run to run, unlike times.
//!
//! `benches/instructions.sh` counts them with valgrind and compares them with `benches/instructions.json`. Without arguments
//! (as `cargo test` and `cargo bench` run it) every case is done once and named.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark that cannot start must stop; it prints its cases"
)]

mod world;

use std::hint::black_box;
use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};

use countersign::authn::TokenCache;
use countersign::clock::Clock;
use jsonwebtoken::Algorithm;
use world::{Size, World};

// As the program does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What valgrind counts, and nothing else.
#[inline(never)]
fn counted<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

type Case = (&'static str, fn(usize));

const CASES: &[Case] = &[
    ("canonicalise", |times| {
        let world = World::new(Size::default());
        for _ in 0..times {
            let parts = world.parts();
            drop(counted(|| world.canonical(parts)));
        }
    }),
    ("route, 10 routes", |times| route(10, times)),
    ("route, 100 routes", |times| route(100, times)),
    ("route, 1,000 routes", |times| route(1000, times)),
    ("route, 10,000 routes", |times| route(10_000, times)),
    ("identify, seen before", |times| seen(1, 1, times)),
    ("identify, seen before, 1,000 tokens", |times| {
        seen(1, 1000, times);
    }),
    ("identify, seen before, 100 issuers", |times| {
        seen(100, 1, times);
    }),
    ("identify, RS256", |times| first(Algorithm::RS256, 1, times)),
    ("identify, RS256, 100 issuers", |times| {
        first(Algorithm::RS256, 100, times);
    }),
    ("identify, ES256", |times| first(Algorithm::ES256, 1, times)),
    ("authorize", |times| {
        let world = World::new(Size::default());
        let mut cache = world.warm();
        for _ in 0..times {
            let known = world.known(world.routed(), &mut cache);
            drop(counted(|| known.authorize(world.now)));
        }
    }),
    ("vouch, headers", |times| vouch(false, times)),
    ("vouch, headers and assertion", |times| vouch(true, times)),
];

fn route(routes: usize, times: usize) {
    let world = World::new(Size {
        routes,
        ..Size::default()
    });
    for _ in 0..times {
        let request = world.canonical(world.parts());
        drop(counted(|| request.route(&world.policy, world.now)));
    }
}

fn seen(issuers: usize, tokens: usize, times: usize) {
    let size = Size {
        issuers,
        algorithm: Algorithm::ES256,
        ..Size::default()
    };
    let world = World::new(size);
    let mut cache = if tokens > 1 {
        crowded(&world, size, tokens)
    } else {
        world.warm()
    };
    for _ in 0..times {
        let routed = world.routed();
        drop(counted(|| world.known(routed, &mut cache)));
    }
}

/// A cache that knows so many tokens, the one that comes among them.
fn crowded(world: &World, size: Size, tokens: usize) -> TokenCache {
    let mut cache = TokenCache::new(64 << 20);
    for number in 0..tokens {
        let token = world::token(size.algorithm, number, world::START);
        let mut parts = world.parts();
        parts
            .headers
            .insert("authorization", format!("Bearer {token}").parse().unwrap());
        let routed = world
            .canonical(parts)
            .route(&world.policy, world.now)
            .ok()
            .unwrap();
        drop(world.known(routed, &mut cache));
    }
    drop(world.known(world.routed(), &mut cache));
    assert!(cache.len() >= tokens);
    cache
}

fn first(algorithm: Algorithm, issuers: usize, times: usize) {
    let world = World::new(Size {
        issuers,
        algorithm,
        ..Size::default()
    });
    let mut nothing = TokenCache::new(0);
    for _ in 0..times {
        let routed = world.routed();
        drop(counted(|| world.known(routed, &mut nothing)));
    }
}

fn vouch(assertion: bool, times: usize) {
    let world = World::new(Size {
        assertion,
        ..Size::default()
    });
    let mut cache = world.warm();
    for _ in 0..=times {
        let known = world.known(world.routed(), &mut cache);
        let allowed = known.authorize(world.now).ok().unwrap();
        // The first time headers are prepared and the assertion is signed.
        drop(counted(|| allowed.vouch(&world.identity, world.now)));
    }
}

/// So many requests through the program, run by `wrapper` (`valgrind --tool=…`), over sockets: eight connections, one
/// token, identity headers and assertion, and the answer of a small upstream.
fn requests(number: usize, access: &str, wrapper: &[String]) {
    let upstream = upstream();
    let folder = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap();
    let size = Size {
        assertion: true,
        ..Size::default()
    };
    let head = format!("workers: 1\nlog: {{access: {access}}}\ninbound: {{listen: '{address}'");
    let document = world::document(size)
        .replace("http://127.0.0.1:9", &format!("http://{upstream}"))
        .replace("inbound: {listen: 127.0.0.1:0", &head);
    let now = Clock::system().now().unix.as_secs();
    let token = world::token(size.algorithm, 0, now);
    std::fs::write(folder.path().join("jwks.json"), world::jwks(size.algorithm)).unwrap();
    let config = folder.path().join("countersign.yaml");
    std::fs::write(&config, document).unwrap();
    let mut line: Vec<String> = wrapper.to_vec();
    line.push(env!("CARGO_BIN_EXE_countersign").to_owned());
    let mut child = Command::new(&line[0])
        .args(&line[1..])
        .args(["run", "--config"])
        .arg(&config)
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stdout.take().unwrap());
    started(&mut log);
    let drained = std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    ask(address, &token, number);
    // The end that Kubernetes asks for; what was counted is told then.
    assert!(
        Command::new("kill")
            .arg(child.id().to_string())
            .status()
            .unwrap()
            .success()
    );
    assert!(child.wait().unwrap().success());
    drained.join().unwrap().unwrap();
}

/// Waits until the program says in its log that it has started.
fn started(log: &mut impl std::io::BufRead) {
    let mut line = String::new();
    while log.read_line(&mut line).unwrap() > 0 {
        if line.contains("\"event\":\"proxy.started\"") {
            return;
        }
        line.clear();
    }
    unreachable!("it starts before its log ends")
}

fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            std::thread::spawn(move || {
                let mut connection = connection.unwrap();
                while !head(&mut connection).is_empty() {
                    let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok";
                    connection.write_all(answer.as_bytes()).unwrap();
                }
            });
        }
    });
    address
}

/// Up to the empty line; empty at the end of the connection. Heads come in one piece or a few, and nothing behind them.
fn head(connection: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        let more = connection.read(&mut piece).unwrap_or(0);
        read.extend_from_slice(&piece[..more]);
        if more == 0 || read.windows(4).any(|four| four == b"\r\n\r\n") {
            return read;
        }
    }
}

fn ask(address: SocketAddr, token: &str, number: usize) {
    const CONNECTIONS: usize = 8;
    let request = format!(
        "GET /accounts/acme/usage?from=2026-01-01 HTTP/1.1\r\nhost: api.example.org\r\naccept: application/json\r\n\
         user-agent: instructions\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    let mut connections: Vec<TcpStream> = (0..CONNECTIONS)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    for _ in 0..number.div_ceil(CONNECTIONS) {
        for connection in &mut connections {
            connection.write_all(request.as_bytes()).unwrap();
        }
        for connection in &mut connections {
            let answer = head(connection);
            assert!(
                answer.starts_with(b"HTTP/1.1 200"),
                "{}",
                String::from_utf8_lossy(&answer)
            );
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench" && argument != "--test")
        .collect();
    match arguments.as_slice() {
        [] => {
            for (name, case) in CASES {
                case(1);
                println!("{name}");
            }
        }
        [word, number, access, wrapper @ ..] if word == "requests" => {
            requests(number.parse().unwrap(), access, wrapper);
        }
        [name, times] => {
            let (_, case) = CASES.iter().find(|(own, _)| own == name).unwrap();
            case(times.parse().unwrap());
        }
        _ => unreachable!("instructions [CASE TIMES | requests NUMBER ACCESS WRAPPER…]"),
    }
}
