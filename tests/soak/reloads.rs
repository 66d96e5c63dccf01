//! Invariants 53 and 55: ten thousand reloads between two opposite policies under load.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;

use crate::Size;
use crate::client::{Answer, Client, Failure, Protocol, get, run as run_load};
use crate::program::{Program, eventually};
use crate::report::Report;
use crate::upstream::{Upstream, text};
use crate::world::{self, Places, World, replace};

/// The names of the routes say in every record which policy decided.
const POLICIES: [&str; 2] = [
    "routes: [{name: a-x, path: /x, allow: anyone}, {name: a-y, path: /y, allow: nobody}]\n",
    "routes: [{name: b-x, path: /x, allow: nobody}, {name: b-y, path: /y, allow: anyone}]\n",
];

/// Connections of each protocol, each with one request at a time.
const CONNECTIONS: usize = 4;

/// What the log told.
#[derive(Default)]
struct Log {
    /// By request id: generation, route and whether it was allowed.
    records: HashMap<u64, (u64, String, bool)>,
}

fn id(text: &str) -> u64 {
    // The first half names the worker; here are few of them, and mixing cannot collide in practice.
    let half = |range| {
        text.get(range)
            .and_then(|half| u64::from_str_radix(half, 16).ok())
    };
    half(0..16).unwrap_or(0) ^ half(16..32).unwrap_or(0)
}

pub fn run(size: Size, report: &mut Report) {
    let reloads = size.of(10_000_u64, 300);
    let warm = reloads / 10;
    let world = World::new();
    let upstream = Upstream::start();
    let places = Places::new();
    let texts = POLICIES.map(|lines| {
        world::text(
            places,
            upstream.address,
            &format!("{}{lines}", world.issuers()),
        )
    });
    let config = world.path("config.yaml");
    replace(&config, &texts[0]);
    let log = Arc::new(Mutex::new(Log::default()));
    let live = Arc::new(AtomicU64::new(0));
    let (into, told) = (Arc::clone(&log), Arc::clone(&live));
    let program = Program::start(&config, places, move |line| {
        if line.is_record() {
            let record = (
                line.generation,
                line.route.to_string(),
                line.decision == "allowed",
            );
            into.lock()
                .expect("the log")
                .records
                .insert(id(&line.request_id), record);
        } else if line.is_event("config.reloaded") {
            told.store(line.generation, Ordering::Release);
        }
    });
    let over = Arc::new(AtomicBool::new(false));
    let until = Arc::clone(&over);
    let load = std::thread::spawn(move || load(places, &until));
    let mut rss = Vec::new();
    let mut most = 0;
    for n in 1..=reloads {
        let before = live.load(Ordering::Acquire);
        replace(&config, &texts[(n % 2) as usize]);
        program.signal(Signal::HUP);
        eventually("the reload is live", || {
            live.load(Ordering::Acquire) > before
        });
        if n % warm == 0 {
            rss.push(program.rss());
        }
        most = most.max(program.rss());
    }
    // The last write is what stays, whatever the watcher still does.
    std::thread::sleep(Duration::from_secs(1));
    over.store(true, Ordering::Relaxed);
    let (answers, dropped) = load.join().expect("the load");
    let last = answers.len();
    let settled = program.rss();
    let losing = program.metric("countersign_dropped_log_lines_total", "");
    let failed = program.metric("countersign_config_reloads_total", "failed");
    let open = last_policy(places);
    let code = program.stop().code().unwrap_or(-1);
    let log = log.lock().expect("the log");
    let (mut unrecorded, mut inconsistent) = (0_u64, 0_u64);
    let mut generations: HashMap<u64, char> = HashMap::new();
    for (id, path, status) in &answers {
        let Some((generation, route, allowed)) = log.records.get(id) else {
            unrecorded += 1;
            continue;
        };
        let policy = route.chars().next().unwrap_or('?');
        let opens = if policy == 'a' { "/x" } else { "/y" };
        let right = *allowed == (*path == opens)
            && *status == if *allowed { 200 } else { 403 }
            && route.ends_with(path.trim_start_matches('/'))
            && *generations.entry(*generation).or_insert(policy) == policy;
        inconsistent += u64::from(!right);
    }
    report.exactly("exit code", code, 0);
    let wanted = if reloads.is_multiple_of(2) {
        "/x"
    } else {
        "/y"
    };
    report.figure("reloads", reloads);
    report.exactly("reloads that failed", failed, 0);
    report.figure("answers", last);
    report.figure("generations that decided something", generations.len());
    report.exactly(
        "answers that one generation does not explain",
        inconsistent,
        0,
    );
    report.at_most(
        "answers without a record, beyond those that the log dropped",
        unrecorded,
        losing,
    );
    report.exactly("connections dropped", dropped, 0);
    report.exactly(
        "the last policy written is live, opening",
        open.as_str(),
        wanted,
    );
    report.figure(
        "resident after the start and a tenth of the reloads, KiB",
        rss[0],
    );
    report.figure("resident after all, KiB", settled);
    report.at_most(
        "growth after warm-up, KiB",
        settled.saturating_sub(rss[0]),
        5 * 1024,
    );
    report.figure("most at any time, KiB", most);
}

/// The path that is open at the end.
fn last_policy(places: Places) -> String {
    run_load(async {
        let mut open = String::new();
        for path in ["/x", "/y"] {
            let mut client = Client::http1(places.inbound).await.expect("a connection");
            if let Ok(answer) = client.exchange(get(path, None)).await
                && answer.status == 200
            {
                open.push_str(path);
            }
        }
        open
    })
}

type Answers = Vec<(u64, &'static str, u16)>;

/// All answers, and how many connections were dropped.
fn load(places: Places, over: &Arc<AtomicBool>) -> (Answers, u64) {
    let answers: Rc<RefCell<Answers>> = Rc::default();
    let dropped = run_load(async {
        let mut loops = Vec::new();
        for n in 0..2 * CONNECTIONS {
            let (over, answers) = (Arc::clone(over), Rc::clone(&answers));
            let protocol = [Protocol::Http1, Protocol::Http2][n % 2];
            loops.push(tokio::task::spawn_local(async move {
                let mut client = Client::connect(places.inbound, protocol)
                    .await
                    .expect("a connection");
                let mut pace = tokio::time::interval(Duration::from_millis(2));
                let mut path = "/x";
                while !over.load(Ordering::Relaxed) {
                    pace.tick().await;
                    path = if path == "/x" { "/y" } else { "/x" };
                    match client.exchange(get(path, None)).await {
                        Ok(answer) if !answer.closes() => {
                            answers
                                .borrow_mut()
                                .push((seen(&answer), path, answer.status));
                        }
                        Ok(_) | Err(Failure::Unsent(_)) => return 1,
                        Err(Failure::Lost(why)) => {
                            eprintln!("lost: {why}");
                            return 1;
                        }
                    }
                }
                0
            }));
        }
        let mut dropped = 0;
        for one in loops {
            dropped += one.await.expect("a loop of the load");
        }
        dropped
    });
    (answers.take(), dropped)
}

/// The request's id: our own answers say it, the upstream's say which one it saw.
fn seen(answer: &Answer) -> u64 {
    let ours = text(&answer.headers, "x-seen-id");
    id(if ours.is_empty() {
        text(&answer.headers, "x-request-id")
    } else {
        ours
    })
}
