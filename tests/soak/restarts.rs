//! Invariant 66: two instances restart in turn under load, and clients that never retry lose nothing.
//!
//! Half of the clients follow readiness, as those behind a load balancer do; the others stay on their connection until
//! they are told to leave it (`Connection: close`, GOAWAY), as those behind a Kubernetes Service do.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use countersign::clock::Clock;
use rustix::process::Signal;

use crate::Size;
use crate::client::{Answer, Client, Failure, Protocol, get, post, run as run_load};
use crate::program::{Program, eventually, is_ready};
use crate::report::Report;
use crate::tokens::Maker;
use crate::upstream::{Pieces, Upstream};
use crate::world::{Places, World};

const REST: &str = "
drain: {delay: 500ms, deadline: 20s}
callers: {web: {issuer: main}}
routes: [{path: /**, allow: web}]
";

/// Loops of one request at a time, of each kind; together they make a little over 1,000 requests per second.
const KEPT_ALIVE: usize = 28;
const STREAMS: usize = 8;
const MULTIPLEXED: usize = 12;
/// Requests of a loop start this far apart.
const PACE: Duration = Duration::from_millis(35);

/// What both sides of the run know.
struct Shared {
    places: [Places; 2],
    ready: [AtomicBool; 2],
    turn: AtomicUsize,
    over: AtomicBool,
}

impl Shared {
    /// The next instance that is ready: what a load balancer would choose.
    fn choose(&self) -> Option<usize> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        (0..2)
            .map(|n| (turn + n) % 2)
            .find(|one| self.is_ready(*one))
    }

    fn is_ready(&self, one: usize) -> bool {
        self.ready[one].load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn address(&self, one: usize) -> SocketAddr {
        self.places[one].inbound
    }
}

#[derive(Default)]
struct Counts {
    answered: Cell<u64>,
    streams: Cell<u64>,
    /// The connection had ended when a request was about to be written.
    unsent: Cell<u64>,
    refused: Cell<u64>,
    lost: RefCell<BTreeMap<String, u64>>,
}

impl Counts {
    fn lost(&self, why: String) {
        *self.lost.borrow_mut().entry(why).or_default() += 1;
    }
}

fn more(cell: &Cell<u64>) {
    cell.set(cell.get() + 1);
}

pub fn run(size: Size, report: &mut Report) {
    let restarts = size.of(200, 6);
    let world = World::new();
    let upstream = Upstream::start();
    let places = [Places::new(), Places::new()];
    let config =
        |one: usize| world.config(&format!("{one}.yaml"), places[one], upstream.address, REST);
    let configs = [config(0), config(1)];
    let start = |one: usize| Program::quiet(&configs[one], places[one]);
    let mut programs = [start(0), start(1)];
    let shared = Arc::new(Shared {
        places,
        ready: Default::default(),
        turn: AtomicUsize::new(0),
        over: AtomicBool::new(false),
    });
    let probing = Arc::clone(&shared);
    let probes = std::thread::spawn(move || probe(&probing));
    eventually("both are ready", || {
        shared.is_ready(0) && shared.is_ready(1)
    });
    let of_load = Arc::clone(&shared);
    let load = std::thread::spawn(move || load(&of_load));
    let clock = Clock::system();
    let began = clock.tick();
    let mut unclean = 0_u64;
    for n in 0..restarts {
        let one = n % 2;
        programs[one].signal(Signal::TERM);
        eventually("it is not ready", || !shared.is_ready(one));
        if !programs[one].wait().success() {
            unclean += 1;
        }
        programs[one] = start(one);
        eventually("it is ready again", || shared.is_ready(one));
    }
    let seconds = clock.tick().since(began).as_secs_f64();
    shared.over.store(true, Ordering::Relaxed);
    let counts = load.join().expect("the load");
    probes.join().expect("the probes");
    let (answered, streams, unsent, refused, lost) = counts;
    for (why, count) in &lost {
        eprintln!("lost {count}: {why}");
    }
    report.figure("restarts by SIGTERM", restarts);
    report.at_least(
        "requests per second",
        (answered as f64 / seconds) as u64,
        size.of(1000, 500),
    );
    report.figure("requests answered", answered);
    report.at_least("streams that were in flight and ended whole", streams, 1);
    report.figure(
        "requests not yet written when their connection ended",
        unsent,
    );
    report.exactly("connections refused", refused, 0);
    report.exactly("requests lost", lost.values().sum::<u64>(), 0);
    report.exactly("exit codes other than 0", unclean, 0);
    drop(programs);
    second_signal(report, &configs[0], places[0]);
}

/// What kubelet and its followers do, only faster.
fn probe(shared: &Shared) {
    while !shared.is_over() {
        for (place, ready) in shared.places.iter().zip(&shared.ready) {
            ready.store(is_ready(*place), Ordering::Relaxed);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

type Outcome = (u64, u64, u64, u64, BTreeMap<String, u64>);

fn load(shared: &Arc<Shared>) -> Outcome {
    let counts = Rc::new(Counts::default());
    run_load(async {
        let maker = Maker::new();
        let mut loops = Vec::new();
        for n in 0..KEPT_ALIVE + STREAMS {
            let (shared, counts) = (Arc::clone(shared), Rc::clone(&counts));
            let token = maker.of(&format!("caller-{n}"));
            let kind = match (n < KEPT_ALIVE, n % 4) {
                (false, _) => Kind::Stream,
                (true, 0) => Kind::Post,
                (true, _) => Kind::Get,
            };
            let follows = n % 2 == 0;
            loops.push(tokio::task::spawn_local(kept_alive(
                shared, counts, token, kind, follows,
            )));
        }
        for n in 0..2 {
            let (shared, counts) = (Arc::clone(shared), Rc::clone(&counts));
            let token = maker.of(&format!("many-{n}"));
            loops.push(tokio::task::spawn_local(multiplexed(
                shared,
                counts,
                token,
                n == 0,
            )));
        }
        for one in loops {
            one.await.expect("a loop of the load");
        }
    });
    let lost = counts.lost.take();
    (
        counts.answered.get(),
        counts.streams.get(),
        counts.unsent.get(),
        counts.refused.get(),
        lost,
    )
}

#[derive(Clone, Copy)]
enum Kind {
    Get,
    Post,
    Stream,
}

/// A connection to an instance that is ready.
async fn connect(shared: &Shared, counts: &Counts, protocol: Protocol) -> Option<(usize, Client)> {
    while !shared.is_over() {
        if let Some(one) = shared.choose() {
            match Client::connect(shared.address(one), protocol).await {
                Ok(client) => return Some((one, client)),
                Err(_) => more(&counts.refused),
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    None
}

async fn kept_alive(
    shared: Arc<Shared>,
    counts: Rc<Counts>,
    token: String,
    kind: Kind,
    follows: bool,
) {
    let mut pace = tokio::time::interval(PACE);
    let mut number = 0_u64;
    let mut request = None;
    while let Some((one, mut client)) = connect(&shared, &counts, Protocol::Http1).await {
        loop {
            let sending = match request.take() {
                Some(unsent) => unsent,
                None => {
                    pace.tick().await;
                    if shared.is_over() {
                        return;
                    }
                    if client.is_closed() || (follows && !shared.is_ready(one)) {
                        break;
                    }
                    number += 1;
                    make(kind, number, &token)
                }
            };
            let nonce = number.to_string();
            match client.exchange(sending).await {
                Ok(answer) => {
                    judge(&counts, kind, &nonce, &answer);
                    if answer.closes() {
                        break;
                    }
                }
                Err(Failure::Unsent(again)) => {
                    more(&counts.unsent);
                    request = Some(again);
                    break;
                }
                Err(Failure::Lost(why)) => {
                    counts.lost(format!("http/1: {why}"));
                    break;
                }
            }
        }
    }
}

async fn multiplexed(shared: Arc<Shared>, counts: Rc<Counts>, token: String, follows: bool) {
    while let Some((one, client)) = connect(&shared, &counts, Protocol::Http2).await {
        let mut beside = Vec::new();
        for n in 0..MULTIPLEXED {
            let mut stream = client.stream().expect("HTTP/2");
            let (shared, counts, token) = (Arc::clone(&shared), Rc::clone(&counts), token.clone());
            let kind = match n % 6 {
                0 => Kind::Post,
                1 => Kind::Stream,
                _ => Kind::Get,
            };
            beside.push(tokio::task::spawn_local(async move {
                let mut pace = tokio::time::interval(PACE);
                let mut number = n as u64;
                loop {
                    pace.tick().await;
                    if shared.is_over() || (follows && !shared.is_ready(one)) {
                        return;
                    }
                    number += 100;
                    let answer = match stream.send(make(kind, number, &token)).await {
                        Ok(response) => Answer::whole(response).await,
                        Err(failure) => Err(failure),
                    };
                    match answer {
                        Ok(answer) => judge(&counts, kind, &number.to_string(), &answer),
                        // The connection is going away: on to another one.
                        Err(Failure::Unsent(_)) => return more(&counts.unsent),
                        Err(Failure::Lost(why)) => return counts.lost(format!("http/2: {why}")),
                    }
                }
            }));
        }
        for one in beside {
            one.await.expect("a stream of the load");
        }
    }
}

fn make(kind: Kind, number: u64, token: &str) -> http::Request<crate::client::Payload> {
    let mut request = match kind {
        Kind::Get => get("/echo", Some(token)),
        Kind::Post => post("/echo", Some(token), vec![b'x'; 2000]),
        Kind::Stream => get("/stream", Some(token)),
    };
    request.headers_mut().insert("x-nonce", number.into());
    request
}

fn judge(counts: &Counts, kind: Kind, nonce: &str, answer: &Answer) {
    let whole = match kind {
        Kind::Get | Kind::Post => nonce.to_owned(),
        Kind::Stream => Pieces::whole_stream(nonce),
    };
    if answer.status != 200 {
        counts.lost(format!("status {}", answer.status));
    } else if answer.body != whole.as_bytes() {
        counts.lost("an answer that is not the one".to_owned());
    } else {
        more(&counts.answered);
        if matches!(kind, Kind::Stream) {
            more(&counts.streams);
        }
    }
}

/// A second SIGTERM ends what the first one would wait for.
fn second_signal(report: &mut Report, config: &std::path::Path, places: Places) {
    let mut program = Program::quiet(config, places);
    program.signal(Signal::TERM);
    eventually("it is not ready", || !program.is_ready());
    let clock = Clock::system();
    let began = clock.tick();
    program.signal(Signal::TERM);
    let status = program.wait();
    let took = clock.tick().since(began).as_millis();
    report.at_most("milliseconds from a second SIGTERM to the end", took, 400);
    report.exactly("its exit code", status.code().unwrap_or(-1), 0);
}
