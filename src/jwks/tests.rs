//! The keys of issuers that behave and of issuers that do not, with a clock that moves when told to.

mod faults;
mod fetching;
mod local;
mod reload;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::{
    IssuerKeyStatus, KeyHealth, KeyRefresher, KeySource, KeySourceSettings, Keys, Obtained,
};
use crate::authn::{KeyCell, KeyState};
use crate::clock::{Clock, UnixTime};
use crate::fetch::idp::{self, Idp, Reply};

/// Real time that no step of a test takes; only a hanging test gets there.
const PATIENCE: Duration = Duration::from_secs(20);
const START: UnixTime = UnixTime::from_secs(1_800_000_000);

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Keys with their refresher running.
struct World {
    clock: Clock,
    keys: Keys,
    _tasks: JoinSet<()>,
}

impl World {
    fn new() -> Self {
        Self::at(Clock::manual(START))
    }

    fn at(clock: Clock) -> Self {
        let (keys, refresher) = Keys::start(clock.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(KeyRefresher::run(refresher));
        Self {
            clock,
            keys,
            _tasks: tasks,
        }
    }

    /// Keys that nobody refreshes.
    fn new_without_tasks() -> Self {
        let clock = Clock::manual(START);
        let (keys, _) = Keys::start(clock.clone());
        Self {
            clock,
            keys,
            _tasks: JoinSet::new(),
        }
    }

    /// A world with the one issuer `dls`, whose keys were fetched from `idp` once.
    async fn with(idp: &Idp, adjust: impl FnOnce(&mut KeySourceSettings)) -> Self {
        let world = Self::new();
        let mut settings = url_settings(idp);
        adjust(&mut settings);
        world.configure([("dls", settings)]);
        world.ended("dls", 1).await;
        world
    }

    fn configure<const N: usize>(&self, issuers: [(&str, KeySourceSettings); N]) {
        let issuers = issuers.map(|(name, settings)| (Arc::from(name), settings));
        self.keys.prepare(issuers).commit();
    }

    fn status(&self, name: &str) -> IssuerKeyStatus {
        let all = self.keys.status();
        all.into_iter().find(|one| one.issuer == name).unwrap()
    }

    fn health(&self, name: &str) -> KeyHealth {
        self.status(name).health
    }

    fn cell(&self, name: &str) -> Arc<KeyCell> {
        Arc::clone(&self.keys.source(name).cell)
    }

    fn kids(&self, name: &str) -> Vec<String> {
        kids(&self.cell(name))
    }

    async fn obtain(&self, name: &str, kid: &str) -> Obtained {
        self.keys.source(name).obtain(Some(kid)).await
    }

    /// Waits until that many attempts have ended.
    async fn ended(&self, name: &str, attempts: u64) {
        self.until(name, |status| {
            status.fetches_ok + status.fetches_failed >= attempts
        })
        .await;
    }

    async fn until(&self, name: &str, holds: impl Fn(&IssuerKeyStatus) -> bool) {
        let mut ends = self.keys.source(name).ends();
        let waiting = async {
            while !holds(&self.status(name)) {
                ends.changed().await.unwrap();
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("not reached: {:?}", self.status(name));
        }
    }

    fn attempts(&self, name: &str) -> u64 {
        let status = self.status(name);
        status.fetches_ok + status.fetches_failed
    }

    /// Lets the next scheduled attempt of an issuer that answers or closes happen.
    async fn next_attempt(&self, name: &str) {
        let before = self.attempts(name);
        let wait = self.status(name).next_refresh_seconds.unwrap() + 1;
        self.clock.advance(secs(wait));
        self.ended(name, before + 1).await;
    }
}

fn url_settings(idp: &Idp) -> KeySourceSettings {
    KeySourceSettings {
        source: KeySource::Url(idp.url("/jwks")),
        allow_http: true,
        ..KeySourceSettings::default()
    }
}

fn kids(cell: &KeyCell) -> Vec<String> {
    match &*cell.load() {
        KeyState::Unavailable => Vec::new(),
        KeyState::Usable(keys) => keys.kids().map(str::to_owned).collect(),
    }
}

const fn is_unavailable(obtained: Obtained) -> bool {
    matches!(obtained, Obtained::Unavailable { retry_after } if retry_after.as_secs() >= 1)
}

/// Runs one ignored test in a process of its own, whose environment differs.
fn alone(test: &str, environment: &[(&str, &str)]) {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    let name = format!("jwks::tests::{test}");
    child.args(["--exact", &name, "--ignored"]);
    child.env_remove("NO_PROXY").env_remove("no_proxy");
    child.envs(environment.iter().copied());
    let output = child.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}
