//! Invariant 43: a flood of invented key ids, whatever the issuer's server does meanwhile.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use countersign::clock::Clock;

use crate::Size;
use crate::client::{Client, get, run as run_load};
use crate::program::Program;
use crate::report::Report;
use crate::tokens::{ISSUER, Maker, Random};
use crate::upstream::{Mode, Upstream};
use crate::victim;
use crate::world::{Places, World};

const ROUTES: &str = "
callers: {web: {issuer: main}}
routes: [{path: /**, allow: web}]
";

/// More than may wait for a key, so that others always come.
const CONNECTIONS: u64 = 256;

pub fn run(size: Size, report: &mut Report) {
    let seconds = Duration::from_secs(size.of(60, 5));
    let world = World::new();
    let upstream = Upstream::start();
    let places = Places::new();
    let issuers = format!(
        "issuers:\n  - name: main\n    issuer: {ISSUER}\n    jwks: {{url: \"http://{}/jwks\", allow_http: true}}\n    \
         audiences: [api]\n    algorithms: [EdDSA]\n",
        upstream.address
    );
    let config = world.write(
        "config.yaml",
        places,
        upstream.address,
        &format!("{issuers}{ROUTES}"),
    );
    let program = Program::quiet(&config, places);
    let quiet_for = seconds.min(Duration::from_secs(10));
    let quiet = victim::beside(places.inbound, quiet_for).join();
    let mut quiet = quiet.expect("a victim");
    report.figure("p50 / p99 of another caller, quiet, µs", quiet.latencies());
    for (name, mode) in [
        ("up", Mode::Up),
        ("down", Mode::Down),
        ("hanging", Mode::Hang),
        ("empty set", Mode::Empty),
    ] {
        upstream.seen.mode(mode);
        let before = upstream.seen.fetches.load(Ordering::Relaxed);
        let victim = victim::beside(places.inbound, seconds);
        let (refused, wrong) = run_load(flood(places, seconds));
        let mut served = victim.join().expect("a victim");
        let fetches = upstream.seen.fetches.load(Ordering::Relaxed) - before;
        let rate = refused / seconds.as_secs();
        report.figure(
            &format!("{name}: invented key ids refused per second"),
            rate,
        );
        report.exactly(&format!("{name}: other answers to them"), wrong, 0);
        report.at_most(
            &format!("{name}: fetches in {} s", seconds.as_secs()),
            fetches,
            3,
        );
        report.at_least(
            &format!("{name}: another caller's requests that passed"),
            served.answered,
            1,
        );
        report.exactly(&format!("{name}: and that did not"), served.failed, 0);
        report.figure(&format!("{name}: its p50 / p99, µs"), served.latencies());
    }
    drop(program);
}

async fn flood(places: Places, time: Duration) -> (u64, u64) {
    let clock = Clock::system();
    let end = clock.tick().plus(time);
    let (refused, wrong) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let maker = Rc::new(Maker::new());
    for n in 0..CONNECTIONS {
        let (clock, maker) = (clock.clone(), Rc::clone(&maker));
        let (refused, wrong) = (Rc::clone(&refused), Rc::clone(&wrong));
        tokio::task::spawn_local(async move {
            let mut random = Random(n);
            let signature = random.bytes(64);
            let mut client = Client::http1(places.inbound).await.expect("a connection");
            while clock.tick() < end {
                let kid = format!("{:016x}", random.next());
                let token = maker.forged("EdDSA", &kid, &signature);
                let cell = match client.exchange(get("/x", Some(&token))).await {
                    Ok(answer) if matches!(answer.status, 401 | 503) => &refused,
                    _ => {
                        client = Client::http1(places.inbound).await.expect("a connection");
                        &wrong
                    }
                };
                cell.set(cell.get() + 1);
            }
        });
    }
    tokio::time::sleep(time).await;
    (refused.get(), wrong.get())
}
