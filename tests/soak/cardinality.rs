//! Invariant 63: a million distinct values of everything that callers choose; memory and metrics do not grow.

use std::cell::Cell;
use std::rc::Rc;

use crate::Size;
use crate::client::{Client, Failure, get, run as run_load};
use crate::program::Program;
use crate::report::Report;
use crate::tokens::{Maker, Random};
use crate::upstream::Upstream;
use crate::world::{Places, World};

const REST: &str = "
identity: {headers: {x-auth-subject: subject}}
callers: {web: {issuer: main}}
routes:
  - {path: /open/**, allow: anyone}
  - {path: /**, allow: web}
";

const CONNECTIONS: u64 = 32;

pub fn run(size: Size, report: &mut Report) {
    let values = size.of(1_000_000_u64, 60_000);
    let world = World::new();
    let upstream = Upstream::start();
    let places = Places::new();
    let program = Program::quiet(
        &world.config("config.yaml", places, upstream.address, REST),
        places,
    );
    // Fills what has a fixed size, the cache of verified tokens above all.
    let warm = values / 4;
    let mut failed = go(places, 0, warm);
    let (rss, series) = (program.rss(), program.series());
    failed += go(places, warm, values);
    let (after, series_after) = (program.rss(), program.series());
    report.figure(
        "distinct subjects, key ids, paths, hosts and user agents, of each",
        values,
    );
    report.exactly("answers other than expected", failed, 0);
    report.figure("resident after a quarter of them, KiB", rss);
    report.figure("resident after all, KiB", after);
    if size.quick {
        report.figure(
            "growth, KiB (the cache of tokens is still filling)",
            after.saturating_sub(rss),
        );
    } else {
        report.at_most("growth, KiB", after.saturating_sub(rss), 5 * 1024);
    }
    report.figure("series of metrics after a quarter", series);
    report.exactly("series of metrics after all", series_after, series);
    report.figure(
        "tokens that made room in the cache",
        program.metric("countersign_token_cache_evictions_total", ""),
    );
}

/// Sends the values of this range and counts what was not answered as expected.
fn go(places: Places, from: u64, to: u64) -> u64 {
    let next = Rc::new(Cell::new(from));
    let failed = Rc::new(Cell::new(0));
    run_load(async {
        let maker = Rc::new(Maker::new());
        let mut loops = Vec::new();
        for _ in 0..CONNECTIONS {
            let (next, failed, maker) = (Rc::clone(&next), Rc::clone(&failed), Rc::clone(&maker));
            loops.push(tokio::task::spawn_local(async move {
                let mut client = Client::http1(places.inbound).await.expect("a connection");
                loop {
                    let n = next.get();
                    if n >= to {
                        return;
                    }
                    next.set(n + 1);
                    for (expected, request) in both(&maker, n) {
                        match client.exchange(request).await {
                            Ok(answer) if answer.status == expected => {}
                            Ok(answer) => {
                                eprintln!("{} instead of {expected}", answer.status);
                                failed.set(failed.get() + 1);
                            }
                            Err(failure) => {
                                if let Failure::Lost(why) = failure {
                                    eprintln!("lost: {why}");
                                }
                                failed.set(failed.get() + 1);
                                client = Client::http1(places.inbound).await.expect("a connection");
                            }
                        }
                    }
                }
            }));
        }
        for one in loops {
            one.await.expect("a loop of the load");
        }
    });
    failed.get()
}

/// One that passes, with a subject of its own, and one that is refused for a key id of its own.
fn both(maker: &Maker, n: u64) -> [(u16, http::Request<crate::client::Payload>); 2] {
    let known = maker.of(&format!("subject-{n}"));
    let unknown = maker.forged("EdDSA", &format!("kid-{n}"), &Random(n).bytes(64));
    [(200, known), (401, unknown)].map(|(status, token)| {
        let mut request = get(&format!("/path-{n}/{n}?query={n}"), Some(&token));
        let headers = request.headers_mut();
        let value = |text: String| text.parse().expect("a value");
        headers.insert("host", value(format!("host-{n}.example.org")));
        headers.insert("user-agent", value(format!("agent/{n}")));
        headers.insert("x-request-id", value(format!("id-{n}")));
        (status, request)
    })
}
