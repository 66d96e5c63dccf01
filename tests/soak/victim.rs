//! Somebody with a good token while others attack: is it answered, and how soon?

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use countersign::clock::Clock;

use crate::client::{Client, Failure, get, run as run_load};
use crate::tokens::Maker;

/// Time between two requests.
const PACE: Duration = Duration::from_millis(10);

/// What came of it.
#[derive(Default)]
pub struct Served {
    pub answered: u64,
    pub failed: u64,
    micros: Vec<u64>,
}

impl Served {
    /// The latency that this share of requests does not exceed, in microseconds.
    pub fn percentile(&mut self, share: f64) -> u64 {
        self.micros.sort_unstable();
        let at = (self.micros.len() as f64 * share) as usize;
        self.micros
            .get(at.min(self.micros.len().saturating_sub(1)))
            .copied()
            .unwrap_or(0)
    }

    /// Both percentiles for people.
    pub fn latencies(&mut self) -> String {
        format!("{} / {}", self.percentile(0.5), self.percentile(0.99))
    }
}

/// Runs on a thread of its own for this long: what is measured must not queue behind the attack's own client.
pub fn beside(address: SocketAddr, time: Duration) -> JoinHandle<Served> {
    std::thread::spawn(move || run_load(serve(address, time)))
}

/// One request at a time, a hundred times per second.
async fn serve(address: SocketAddr, time: Duration) -> Served {
    let clock = Clock::system();
    let token = Maker::new().of("victim");
    let mut served = Served::default();
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut client = None;
    let end = clock.tick().plus(time);
    while clock.tick() < end {
        pace.tick().await;
        let began = clock.tick();
        let mut one = match client.take() {
            Some(client) => client,
            None => match Client::http1(address).await {
                Ok(client) => client,
                Err(_) => {
                    served.failed += 1;
                    continue;
                }
            },
        };
        match one.exchange(get("/echo", Some(&token))).await {
            Ok(answer) if answer.status == 200 => {
                served.answered += 1;
                served
                    .micros
                    .push(clock.tick().since(began).as_micros() as u64);
                client = Some(one);
            }
            Err(Failure::Unsent(_)) => {}
            Ok(_) | Err(Failure::Lost(_)) => served.failed += 1,
        }
    }
    served
}
