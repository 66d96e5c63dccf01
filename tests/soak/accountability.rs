//! Invariant 70: a million mixed requests; what the clients counted, the counters, and the decision records agree.

use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Method;
use http_body_util::{Either, Full};
use rustix::process::Signal;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::Size;
use crate::client::{Client, Failure, Payload, Protocol, get, post, request, run as run_load};
use crate::program::{Program, sum};
use crate::report::Report;
use crate::tokens::{ED25519, Maker, Random};
use crate::upstream::Upstream;
use crate::world::{Places, World};

const REST: &str = "
callers: {web: {issuer: main}}
routes:
  - {path: /open/**, allow: anyone}
  - {path: /closed/**, allow: nobody}
  - {path: /**, allow: {\"GET, POST\": web}}
";

const LOOPS: u64 = 48;

/// What the clients counted.
#[derive(Default)]
struct Counts {
    sent: Cell<u64>,
    /// Of those, HTTP/2 requests that were reset before their answer: the proxy may never have seen them as requests.
    reset: Cell<u64>,
    aborted: Cell<u64>,
    /// Answers that are not the expected ones.
    wrong: Cell<u64>,
}

fn more(cell: &Cell<u64>) {
    cell.set(cell.get() + 1);
}

pub fn run(size: Size, report: &mut Report) {
    let requests = size.of(1_000_000, 100_000);
    let world = World::new();
    let upstream = Upstream::start();
    let places = Places::new();
    let config = world.config("config.yaml", places, upstream.address, REST);
    let ids: Arc<Mutex<(u64, HashSet<String>)>> = Arc::default();
    let into = Arc::clone(&ids);
    let mut program = Program::start(&config, places, move |line| {
        if line.is_record() {
            let mut ids = into.lock().expect("ids");
            ids.0 += 1;
            ids.1.insert(line.request_id.to_string());
        }
    });
    let counts = Rc::new(Counts::default());
    run_load(load(places, requests, &counts));
    program.await_idle();
    let metrics = program.metrics();
    program.signal(Signal::TERM);
    let code = program.wait().code().unwrap_or(-1);
    let count = |name: &str, label: &str| sum(&metrics, name, label);
    let begun = count("countersign_requests_total", "");
    let decided = |word: &str| {
        count(
            "countersign_decisions_total",
            &format!("decision=\"{word}\""),
        )
    };
    let decisions = [decided("allowed"), decided("denied"), decided("errored")];
    let dropped = |kind: &str| {
        count(
            "countersign_dropped_log_lines_total",
            &format!("kind=\"{kind}\""),
        )
    };
    let dropped = dropped("allowed") + dropped("refused");
    let ids = ids.lock().expect("ids");
    report.figure("requests sent", counts.sent.get());
    report.at_least("of them aborted by the client", counts.aborted.get(), 1);
    report.exactly("answers other than expected", counts.wrong.get(), 0);
    report.at_most("requests that began", begun, counts.sent.get());
    report.at_least(
        "and at least those that HTTP/2 did not reset",
        begun,
        counts.sent.get() - counts.reset.get(),
    );
    report.figure(
        "allowed / denied / errored",
        decisions.map(|count| count.to_string()).join(" / "),
    );
    report.exactly("decisions", decisions.iter().sum(), begun);
    report.figure(
        "decision records dropped because nobody read as fast",
        dropped,
    );
    report.exactly(
        "decision records, with those dropped",
        ids.0 + dropped,
        begun,
    );
    report.exactly("distinct request ids in records", ids.1.len() as u64, ids.0);
    report.exactly("exit code", code, 0);
}

async fn load(places: Places, requests: u64, counts: &Rc<Counts>) {
    let maker = Maker::new();
    let next = Rc::new(Cell::new(0));
    let mut loops = Vec::new();
    for n in 0..LOOPS {
        let (next, counts) = (Rc::clone(&next), Rc::clone(counts));
        let token = maker.of(&format!("caller-{}", n % 7));
        let bad = maker.forged("EdDSA", ED25519, &[7; 64]);
        let protocol = if n % 4 == 0 {
            Protocol::Http2
        } else {
            Protocol::Http1
        };
        loops.push(tokio::task::spawn_local(async move {
            let mut random = Random(n);
            let mut client = None;
            while next.get() < requests {
                next.set(next.get() + 1);
                if protocol == Protocol::Http1 && random.below(20) == 0 {
                    abort_http1(places, &token, &mut random, &counts).await;
                    continue;
                }
                let one = match client.take().filter(|client: &Client| !client.is_closed()) {
                    Some(client) => client,
                    None => Client::connect(places.inbound, protocol)
                        .await
                        .expect("a connection"),
                };
                client = exchange(one, protocol, &token, &bad, &mut random, &counts).await;
            }
        }));
    }
    for one in loops {
        one.await.expect("a loop of the load");
    }
}

/// What is asked, and the answer.
fn choose(token: &str, bad: &str, random: &mut Random) -> (u16, http::Request<Payload>) {
    let good = Some(token);
    match random.below(100) {
        0..40 => (200, get("/echo", good)),
        40..50 => (200, post("/echo", good, vec![b'x'; 4000])),
        50..60 => (200, get("/open/x", None)),
        60..68 => (401, get("/echo", None)),
        68..76 => (401, get("/echo", Some(bad))),
        76..82 => (403, get("/closed/x", good)),
        82..88 => (
            405,
            request(Method::DELETE, "/echo", good, Either::Left(Full::default())),
        ),
        88..92 => (400, get("/a/%2e%2e/echo", good)),
        92..96 => (500, get("/error", good)),
        _ => (502, get("/reset", good)),
    }
}

/// One request and its answer; gives the connection back if it may take another.
async fn exchange(
    mut client: Client,
    protocol: Protocol,
    token: &str,
    bad: &str,
    random: &mut Random,
    counts: &Counts,
) -> Option<Client> {
    let (expected, asked) = choose(token, bad, random);
    let impatient = protocol == Protocol::Http2 && random.below(20) == 0;
    let patience = Duration::from_micros(if impatient {
        random.below(2000)
    } else {
        60_000_000
    });
    match tokio::time::timeout(patience, client.exchange(asked)).await {
        Err(_) => {
            more(&counts.sent);
            more(&counts.reset);
            more(&counts.aborted);
            Some(client)
        }
        Ok(Ok(answer)) => {
            more(&counts.sent);
            if answer.status != expected {
                eprintln!("{} instead of {expected}", answer.status);
                more(&counts.wrong);
            }
            (!answer.closes()).then_some(client)
        }
        Ok(Err(Failure::Unsent(_))) => None,
        Ok(Err(Failure::Lost(why))) => {
            eprintln!("lost: {why}");
            more(&counts.sent);
            more(&counts.wrong);
            None
        }
    }
}

/// A whole head, perhaps a part of a body, and the end of the connection.
async fn abort_http1(places: Places, token: &str, random: &mut Random, counts: &Counts) {
    let text = match random.below(3) {
        0 => format!("GET /stream HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\r\n"),
        1 => format!(
            "POST /echo HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\ncontent-length: 100\r\n\r\nabc"
        ),
        _ => "GET /closed/x HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(),
    };
    let mut stream = TcpStream::connect(places.inbound)
        .await
        .expect("a connection");
    stream.write_all(text.as_bytes()).await.expect("a head");
    more(&counts.sent);
    more(&counts.aborted);
}
