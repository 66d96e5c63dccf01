//! Invariant 58: a thousand bodies of 1 GiB, and nobody who takes them.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Method;
use http_body_util::Either;

use crate::Size;
use crate::client::{Client, Protocol, get, request, run as run_load};
use crate::program::Program;
use crate::report::Report;
use crate::upstream::{Pieces, Upstream};
use crate::world::{Places, World};

const REST: &str = "routes: [{path: /**, allow: anyone}]\n";

/// What a connection may cost.
const BOUND: u64 = 256;

/// Nothing has moved for this long: it has stalled.
const STILL: Duration = Duration::from_secs(2);
/// How long the other side may take to be told.
const TOLD: Duration = Duration::from_secs(90);

pub fn run(size: Size, report: &mut Report) {
    let connections = size.of(1000, 100);
    for (protocol, up) in [
        (Protocol::Http1, true),
        (Protocol::Http1, false),
        (Protocol::Http2, true),
        (Protocol::Http2, false),
    ] {
        direction(connections, protocol, up, report);
    }
}

fn direction(connections: u64, protocol: Protocol, up: bool, report: &mut Report) {
    let name = format!("{protocol:?} {}", if up { "up" } else { "down" });
    let world = World::new();
    let upstream = Upstream::start();
    let places = Places::new();
    let config = world.config("config.yaml", places, upstream.address, REST);
    let program = Program::quiet(&config, places);
    let (base, files) = (program.rss(), program.files());
    let seen = Arc::clone(&upstream.seen);
    let given = Arc::new(AtomicU64::new(0));
    run_load(async {
        let mut held = Vec::new();
        for _ in 0..connections {
            held.push(stall(places, protocol, up, &given).await);
        }
        let moved = || given.load(Ordering::Relaxed) + seen.given.load(Ordering::Relaxed);
        let (mut last, mut still) = (moved(), Duration::ZERO);
        while still < STILL || seen.stalled.load(Ordering::Relaxed) < connections {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let now = moved();
            still = if now == last {
                still + Duration::from_millis(200)
            } else {
                Duration::ZERO
            };
            last = now;
        }
        let rss = program.rss();
        let each = rss.saturating_sub(base) / connections;
        report.exactly(
            &format!("{name}: connections that stall"),
            seen.stalled.load(Ordering::Relaxed),
            connections,
        );
        report.figure(
            &format!("{name}: KiB given per connection, the system's buffers included"),
            moved() / connections / 1024,
        );
        report.at_most(&format!("{name}: resident KiB per connection"), each, BOUND);
        // The callers go away; the upstream still does not read.
        drop(held);
        let left = await_files(&program, files).await;
        report.exactly(
            &format!("{name}: descriptors left after the callers went"),
            left,
            0,
        );
        seen.reads.store(true, Ordering::Relaxed);
        let mut waited = Duration::ZERO;
        while seen.ended.load(Ordering::Relaxed) < connections && waited < TOLD {
            tokio::time::sleep(Duration::from_millis(100)).await;
            waited += Duration::from_millis(100);
        }
        report.exactly(
            &format!("{name}: requests that ended at the upstream"),
            seen.ended.load(Ordering::Relaxed),
            connections,
        );
    });
    program.await_idle();
    report.figure(
        &format!("{name}: resident KiB before / after"),
        format!("{base} / {}", program.rss()),
    );
    drop(program);
}

/// Opens a connection whose body does not get on, and holds it until it is dropped.
async fn stall(
    places: Places,
    protocol: Protocol,
    up: bool,
    given: &Arc<AtomicU64>,
) -> Rc<dyn std::any::Any> {
    let mut client = Client::connect(places.inbound, protocol)
        .await
        .expect("a connection");
    if up {
        let body = Either::Right(Pieces::gib(given));
        let request = request(Method::POST, "/sink", None, body);
        let task = tokio::task::spawn_local(async move {
            drop(client.send(request).await);
            drop(client);
        });
        Rc::new(Aborted(task))
    } else {
        let Ok(response) = client.send(get("/fountain", None)).await else {
            panic!("no answer");
        };
        Rc::new((response, client))
    }
}

/// A task that ends when this is dropped.
struct Aborted(tokio::task::JoinHandle<()>);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Waits until the program has closed what it opened; how many descriptors it did not.
async fn await_files(program: &Program, base: usize) -> usize {
    let mut waited = Duration::ZERO;
    while program.files() > base && waited < TOLD {
        tokio::time::sleep(Duration::from_millis(100)).await;
        waited += Duration::from_millis(100);
    }
    program.files().saturating_sub(base)
}
