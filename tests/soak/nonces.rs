//! Invariant 32: whatever is aborted, answered early, half read or reset: an answer goes to the one who asked.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use http::Request;

use crate::Size;
use crate::client::{
    Answer, Client, Failure, Payload, Protocol, Stream, get, post, run as run_load,
};
use crate::program::Program;
use crate::report::Report;
use crate::tokens::Random;
use crate::upstream::{Pieces, Upstream};
use crate::world::{Places, World};

const REST: &str = "routes: [{path: /**, allow: anyone}]\n";

/// Loops of one request at a time: a third over HTTP/1, the others share HTTP/2 connections.
const LOOPS: u64 = 300;
const SHARED: usize = 4;

/// What came of the requests.
#[derive(Default)]
struct Counts {
    own: Cell<u64>,
    foreign: Cell<u64>,
    ends: RefCell<BTreeMap<&'static str, u64>>,
}

impl Counts {
    fn end(&self, what: &'static str) {
        *self.ends.borrow_mut().entry(what).or_default() += 1;
    }
}

pub fn run(size: Size, report: &mut Report) {
    let requests = size.of(500_000_u64, 20_000);
    let world = World::new();
    let upstream = Upstream::start();
    let places = Places::new();
    let config = world.config("config.yaml", places, upstream.address, REST);
    let program = Program::quiet(&config, places);
    let counts = Rc::new(Counts::default());
    run_load(load(places, requests, &counts));
    report.figure("requests", requests);
    report.at_least(
        "answers with the request's own nonce",
        counts.own.get(),
        requests / 4,
    );
    report.exactly("answers with another's", counts.foreign.get(), 0);
    for (what, count) in counts.ends.borrow().iter() {
        report.at_least(what, *count, 1);
    }
    program.await_idle();
    report.figure(
        "upstream connections reused",
        program.metric("countersign_upstream_connections_total", "reused"),
    );
    report.exactly("exit code", program.stop().code().unwrap_or(-1), 0);
}

async fn load(places: Places, requests: u64, counts: &Rc<Counts>) {
    let shared: Rc<RefCell<Vec<Option<Client>>>> = Rc::default();
    for _ in 0..SHARED {
        shared.borrow_mut().push(None);
    }
    let next = Rc::new(Cell::new(0));
    let mut loops = Vec::new();
    for n in 0..LOOPS {
        let (shared, next, counts) = (Rc::clone(&shared), Rc::clone(&next), Rc::clone(counts));
        loops.push(tokio::task::spawn_local(async move {
            let mut random = Random(n);
            let mut own: Option<Client> = None;
            while next.get() < requests {
                let number = next.get();
                next.set(number + 1);
                if n % 3 == 0 {
                    let mut client = match own.take().filter(|client| !client.is_closed()) {
                        Some(client) => client,
                        None => Client::http1(places.inbound).await.expect("a connection"),
                    };
                    if one(&mut Way::Own(&mut client), number, &mut random, &counts).await {
                        own = Some(client);
                    }
                } else {
                    let slot = number as usize % SHARED;
                    let stream = borrow(places, &shared, slot).await;
                    one(&mut Way::Shared(stream), number, &mut random, &counts).await;
                }
            }
        }));
    }
    for one in loops {
        one.await.expect("a loop of the load");
    }
}

/// A stream of a shared connection, which is made anew when it has ended.
async fn borrow(places: Places, shared: &Rc<RefCell<Vec<Option<Client>>>>, slot: usize) -> Stream {
    let alive = |client: &&Client| !client.is_closed();
    if let Some(stream) = shared.borrow()[slot]
        .as_ref()
        .filter(alive)
        .and_then(Client::stream)
    {
        return stream;
    }
    let client = Client::connect(places.inbound, Protocol::Http2)
        .await
        .expect("a connection");
    let stream = client.stream().expect("HTTP/2");
    // Another loop may have been faster; streams in flight on its connection must not be cut.
    if let Some(old) = shared.borrow_mut()[slot].replace(client) {
        tokio::task::spawn_local(async move {
            tokio::time::sleep(Duration::from_secs(30)).await;
            drop(old);
        });
    }
    stream
}

enum Way<'a> {
    Own(&'a mut Client),
    Shared(Stream),
}

impl Way<'_> {
    async fn exchange(&mut self, request: Request<Payload>) -> Result<Answer, Failure> {
        match self {
            Self::Own(client) => client.exchange(request).await,
            Self::Shared(stream) => Answer::whole(stream.send(request).await?).await,
        }
    }
}

/// One request; whether its connection may take another.
async fn one(way: &mut Way<'_>, number: u64, random: &mut Random, counts: &Counts) -> bool {
    let nonce = format!("nonce-{number}");
    let body = vec![b'x'; random.below(100_000) as usize];
    let (mut request, whole, may_fail) = match random.below(100) {
        0..30 => (get("/echo", None), nonce.clone(), false),
        30..55 => (post("/echo", None, body), nonce.clone(), false),
        // The upstream answers and closes while the body is on its way: either may win.
        55..65 => (post("/early", None, body), nonce.clone(), true),
        65..75 => (post("/half", None, body), nonce.clone(), true),
        75..85 => (get("/reset", None), String::new(), true),
        85..95 => (get("/broken", None), String::new(), true),
        _ => (get("/stream", None), Pieces::whole_stream(&nonce), false),
    };
    // What may have been acted on is not sent again when the upstream closes a connection that was used before.
    let posts = request.method() == http::Method::POST;
    request
        .headers_mut()
        .insert("x-nonce", nonce.parse().expect("a value"));
    let exchange = way.exchange(request);
    let answer = if random.below(8) == 0 {
        let patience = Duration::from_micros(random.below(20_000));
        match tokio::time::timeout(patience, exchange).await {
            Ok(answer) => answer,
            Err(_) => {
                counts.end("aborted by the client");
                return false;
            }
        }
    } else {
        exchange.await
    };
    match answer {
        Ok(answer) if answer.status == 200 && answer.body == whole.as_bytes() => {
            counts.own.set(counts.own.get() + 1);
            // After an early answer the rest of the body is in the way, and the connection may end.
            !may_fail && !answer.closes()
        }
        Ok(answer) if answer.status == 502 && (may_fail || posts) => {
            counts.end("answered 502: the upstream broke off");
            false
        }
        Ok(answer) => {
            eprintln!("{} {:?} instead of {whole:?}", answer.status, answer.body);
            counts.foreign.set(counts.foreign.get() + 1);
            false
        }
        Err(Failure::Unsent(_)) => {
            counts.end("not sent: the connection had ended");
            false
        }
        Err(Failure::Lost(why)) => {
            if may_fail {
                counts.end("cut off with the upstream's answer");
            } else {
                eprintln!("lost: {why}");
                counts.end("lost without a reason");
                counts.foreign.set(counts.foreign.get() + 1);
            }
            false
        }
    }
}
