//! Invariant 62: what bad tokens at line rate from one client cost, and what another caller notices. Figures only.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crate::Size;
use crate::client::{Client, get, run as run_load};
use crate::program::Program;
use crate::report::Report;
use crate::tokens::{ES256, Maker, PS512, Random, b64};
use crate::upstream::Upstream;
use crate::victim;
use crate::world::{Places, World};

const REST: &str = "
callers: {web: {issuer: main}}
routes: [{path: /**, allow: web}]
";

const CONNECTIONS: u64 = 8;

type Make = fn(&Maker, &mut Random) -> String;

/// What the attacker sends, and the answer; the first row is no attack but what good tokens cost at first sight.
const KINDS: [(&str, u16, Make); 6] = [
    (
        "good ES256 tokens, each for the first time",
        200,
        |maker, random| maker.es256(&format!("subject-{}", random.next())),
    ),
    ("8 KiB of dots", 401, |_, _| ".".repeat(8 * 1024)),
    ("8 KiB of nested arrays", 401, |_, _| {
        let bomb = "[".repeat(6 * 1024);
        format!(
            "{}.{}.{}",
            b64(r#"{"alg":"ES256","kid":"es256"}"#),
            b64(bomb),
            b64("signature")
        )
    }),
    ("another key id each", 401, |maker, random| {
        let signature = random.bytes(64);
        maker.forged("ES256", &format!("{}", random.next()), &signature)
    }),
    ("random ES256 signatures", 401, |maker, random| {
        let signature = random.bytes(64);
        maker.forged("ES256", ES256, &signature)
    }),
    ("random PS512 signatures", 401, |maker, random| {
        let mut signature = random.bytes(256);
        // Below the modulus, or it would be refused unread.
        signature[0] = 1;
        maker.forged("PS512", PS512, &signature)
    }),
];

pub fn run(size: Size, report: &mut Report) {
    let time = Duration::from_secs(size.of(15, 2));
    let world = World::new();
    let upstream = Upstream::start();
    let places = Places::new();
    let program = Program::quiet(
        &world.config("config.yaml", places, upstream.address, REST),
        places,
    );
    let quiet = victim::beside(places.inbound, time).join();
    let mut quiet = quiet.expect("a victim");
    report.figure("p50 / p99 of another caller, quiet, µs", quiet.latencies());
    for (name, status, make) in KINDS {
        let before = program.cpu();
        let victim = victim::beside(places.inbound, time);
        let (sent, wrong) = run_load(attack(places, time, status, make));
        let mut served = victim.join().expect("a victim");
        let micros = (program.cpu() - before) * 1e6 / (sent + served.answered).max(1) as f64;
        report.figure(&format!("{name}: per second"), sent / time.as_secs());
        report.figure(
            &format!("{name}: CPU per request, µs"),
            format!("{micros:.1}"),
        );
        report.exactly(&format!("{name}: answers other than {status}"), wrong, 0);
        report.exactly(
            &format!("{name}: another caller's requests that failed"),
            served.failed,
            0,
        );
        report.figure(&format!("{name}: its p50 / p99, µs"), served.latencies());
    }
    drop(program);
}

async fn attack(places: Places, time: Duration, status: u16, make: Make) -> (u64, u64) {
    let over = Rc::new(Cell::new(false));
    let (sent, wrong) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let maker = Rc::new(Maker::new());
    for n in 0..CONNECTIONS {
        let (over, maker) = (Rc::clone(&over), Rc::clone(&maker));
        let (sent, wrong) = (Rc::clone(&sent), Rc::clone(&wrong));
        tokio::task::spawn_local(async move {
            let mut random = Random(n);
            let mut client = Client::http1(places.inbound).await.expect("a connection");
            while !over.get() {
                let token = make(&maker, &mut random);
                let right = match client.exchange(get("/x", Some(&token))).await {
                    Ok(answer) => answer.status == status,
                    Err(_) => false,
                };
                if !right {
                    wrong.set(wrong.get() + 1);
                    client = Client::http1(places.inbound).await.expect("a connection");
                }
                sent.set(sent.get() + 1);
            }
        });
    }
    tokio::time::sleep(time).await;
    over.set(true);
    (sent.get(), wrong.get())
}
