//! One issuer's keys: the cell that workers read, the task that keeps it fresh, and the requests that wait for it.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};

use super::document::Document;
use super::lifetime::max_age;
use super::state::{Held, Judgement, State, stale_at};
use super::status::IssuerKeyStatus;
use super::{
    DOCUMENT_BYTES, FetchError, KeyError, KeySource, KeySourceSettings, Obtained, last_good,
};
use crate::authn::{KeyCell, KeyState};
use crate::clock::{Clock, Tick, UnixTime};
use crate::fetch::{Discovery, Fetched, Fetcher};
use crate::waiters::{self, Place};

/// One issuer's keys.
#[derive(Debug)]
pub(super) struct Source {
    /// Unique in the process: a name may come back with another source.
    pub(super) id: u64,
    pub(super) name: Arc<str>,
    pub(super) cell: Arc<KeyCell>,
    pub(super) clock: Clock,
    settings: ArcSwap<KeySourceSettings>,
    state: Mutex<State>,
    /// Wakes the task.
    wake: Notify,
    /// Counts what may change a waiter's answer or the keys' end.
    finished: watch::Sender<u64>,
}

/// What is remembered between attempts.
#[derive(Debug, Default)]
struct Way {
    fetcher: Fetcher,
    discovery: Discovery,
    copying: last_good::Copying,
}

/// Where a document came from.
#[derive(Clone, Copy, Debug)]
enum Origin {
    /// Its source, with the lifetime that was said.
    Source(Option<Duration>),
    /// The copy on disk, fetched then, that old.
    Disk(UnixTime, Duration),
}

impl Source {
    /// A source that holds what can be had without the network: inline keys, the file, the copy on disk.
    pub(super) fn open(name: Arc<str>, settings: KeySourceSettings, clock: Clock) -> Self {
        let next = match settings.source {
            KeySource::Inline(_) => None,
            _ => Some(clock.tick()),
        };
        let source = Self {
            id: waiters::next_id(),
            name,
            cell: Arc::default(),
            clock,
            settings: ArcSwap::from_pointee(settings),
            state: Mutex::new(State::new(next)),
            wake: Notify::new(),
            finished: watch::Sender::new(0),
        };
        source.open_local();
        source
    }

    fn open_local(&self) {
        let settings = self.settings.load_full();
        let local = match &settings.source {
            KeySource::Inline(document) => document.clone().into_bytes(),
            KeySource::File(path) => match read_file(path) {
                Ok(document) => document,
                Err(error) => return self.fail(&error, &settings),
            },
            KeySource::Discover { .. } | KeySource::Url(_) => return self.open_copy(&settings),
        };
        match Document::parse(local) {
            Ok(document) => self.install(document, Origin::Source(None), &settings),
            Err(error) => self.fail(&error, &settings),
        }
    }

    fn open_copy(&self, settings: &KeySourceSettings) {
        let Some(path) = &settings.cache else { return };
        match last_good::read(path, settings, self.clock.now().unix) {
            Ok((document, fetched_at, age)) => {
                self.install(document, Origin::Disk(fetched_at, age), settings);
            }
            Err(last_good::CopyError::Io(error))
                if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(issuer = %self.name, error = %error, "jwks.cache_ignored");
            }
        }
    }

    pub(super) fn settings(&self) -> Arc<KeySourceSettings> {
        self.settings.load_full()
    }

    /// Takes over settings that leave the held keys trusted.
    pub(super) fn adjust(&self, settings: KeySourceSettings) {
        self.state().adjust(&settings, self.clock.now());
        self.settings.store(Arc::new(settings));
        self.announce();
        self.wake.notify_one();
    }

    /// The source's file may have changed.
    pub(super) fn look_again(&self) {
        self.state().ask();
        self.wake.notify_one();
    }

    /// After a panic of the task.
    pub(super) fn recover(&self) {
        let settings = self.settings();
        let now = self.clock.tick();
        self.state()
            .fail("internal error".to_owned(), &settings, now);
        self.announce();
    }

    /// Waits for a key on behalf of a request.
    pub(super) async fn obtain(&self, kid: Option<&str>) -> Obtained {
        const BUSY: Obtained = Obtained::Unavailable {
            retry_after: super::LONGEST_WAIT,
        };
        let deadline = self.clock.tick().plus(super::LONGEST_WAIT);
        let mut finished = self.finished.subscribe();
        let mut place = None;
        loop {
            finished.mark_unchanged();
            let settings = self.settings.load();
            match self.state().judge(kid, &settings, self.clock.tick()) {
                Judgement::Answer(answer) => return answer,
                Judgement::Wait => {}
                Judgement::WakeAndWait => self.wake.notify_one(),
            }
            drop(settings);
            if place.is_none() {
                place = Place::take(self.id, super::MOST_WAITERS);
            }
            if place.is_none() {
                return BUSY;
            }
            let changed = async {
                failpoint!(async Wait, false);
                finished.changed().await.is_ok()
            };
            tokio::select! {
                biased;
                changed = changed => if !changed { return BUSY },
                () = self.clock.sleep_until(deadline) => return BUSY,
            }
        }
    }

    /// Keeps the cell fresh, for ever.
    pub(super) async fn keep(self: Arc<Self>) {
        tokio::join!(self.refresh(), self.age());
    }

    async fn refresh(&self) {
        let mut way = Way::default();
        loop {
            self.due().await;
            let settings = self.settings();
            let deadline = self.clock.tick().plus(settings.timeout);
            let attempt = tokio::select! {
                biased;
                attempt = self.attempt(&mut way, &settings) => attempt,
                () = self.clock.sleep_until(deadline) => Err(FetchError::Timeout.into()),
            };
            match attempt {
                Ok((document, max_age)) => {
                    let copy = (settings.is_remote() && settings.cache.is_some())
                        .then(|| document.bytes.clone());
                    self.install(document, Origin::Source(max_age), &settings);
                    if let Some(copy) = copy {
                        way.copying.write(self, copy, &settings).await;
                    }
                }
                Err(error) => {
                    way.fetcher.reset();
                    way.discovery.forget();
                    self.fail(&error, &settings);
                }
            }
        }
    }

    /// Waits until an attempt is to be made.
    async fn due(&self) {
        loop {
            let next = {
                let mut state = self.state();
                if state.begin(self.clock.tick()) {
                    return;
                }
                state.next
            };
            tokio::select! {
                () = self.wake.notified() => {}
                () = self.reached(next) => {}
            }
        }
    }

    async fn attempt(
        &self,
        way: &mut Way,
        settings: &Arc<KeySourceSettings>,
    ) -> Result<(Document, Option<Duration>), KeyError> {
        let (body, max_age) = match &settings.source {
            KeySource::Discover { issuer } => {
                let now = self.clock.tick();
                let conditions = settings.conditions();
                let metadata = way
                    .discovery
                    .ask(issuer, &mut way.fetcher, &conditions, now)
                    .await?;
                let url = metadata
                    .jwks_uri
                    .ok_or(FetchError::Discovery("no `jwks_uri`"))?;
                fetch(way, &url, settings).await?
            }
            KeySource::Url(url) => fetch(way, url, settings).await?,
            KeySource::File(path) => {
                let path = path.clone();
                let body = tokio::task::spawn_blocking(move || read_file(&path))
                    .await
                    .map_err(|error| KeyError::File(error.into()))??;
                (body, None)
            }
            KeySource::Inline(document) => (document.clone().into_bytes(), None),
        };
        Ok((Document::parse(body)?, max_age))
    }

    /// Ends the keys when their time is up.
    async fn age(&self) {
        let mut finished = self.finished.subscribe();
        loop {
            finished.mark_unchanged();
            let (expired, until, error) = {
                let mut state = self.state();
                let expired = state.expire(self.clock.tick());
                let until = state.held.as_ref().and_then(|held| held.until);
                (expired, until, state.last_error.clone())
            };
            if expired {
                self.cell.store(KeyState::Unavailable);
                tracing::error!(issuer = %self.name, error, "jwks.stale");
                self.announce();
                self.wake.notify_one();
            }
            tokio::select! {
                changed = finished.changed() => if changed.is_err() { return },
                () = self.reached(until) => {}
            }
        }
    }

    async fn reached(&self, at: Option<Tick>) {
        match at {
            Some(at) => self.clock.sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    fn install(&self, document: Document, origin: Origin, settings: &KeySourceSettings) {
        let now = self.clock.now();
        let (from_disk, fetched_at, age_before, max_age) = match origin {
            Origin::Source(max_age) => (false, now.unix, Duration::ZERO, max_age),
            Origin::Disk(fetched_at, age) => (true, fetched_at, age, None),
        };
        let held = Held {
            kids: document.kids,
            skipped: document.skipped.len(),
            digest: document.digest,
            from_disk,
            fetched_at,
            since: now.tick,
            age_before,
            until: (!matches!(settings.source, KeySource::Inline(_)))
                .then(|| stale_at(now.tick, age_before, settings)),
        };
        let mut state = self.state();
        let unchanged = state
            .held
            .as_ref()
            .is_some_and(|before| before.digest == held.digest);
        let keys = held.kids.len();
        // The cell first: whoever is told that keys came must find them there. An unchanged document leaves it alone, so
        // that verdicts on tokens seen before need no second look.
        if !unchanged {
            self.cell.store(KeyState::Usable(document.keys));
        }
        if from_disk {
            state.held = Some(held);
        } else {
            state.succeed(held, max_age, settings, now.tick);
        }
        drop(state);
        self.announce();
        if unchanged {
            tracing::debug!(issuer = %self.name, keys, "jwks.refreshed");
            return;
        }
        tracing::info!(issuer = %self.name, keys, from_disk, "jwks.refreshed");
        for key in document.skipped {
            tracing::warn!(issuer = %self.name, kid = key.kid, reason = key.reason, "jwks.key_skipped");
        }
    }

    fn fail(&self, error: &KeyError, settings: &KeySourceSettings) {
        let now = self.clock.tick();
        let mut state = self.state();
        state.fail(error.to_string(), settings, now);
        let held = state.held.is_some();
        let failures = state.failures;
        let retry_in = state.next.map(|next| next.since(now).as_secs());
        drop(state);
        self.announce();
        if held {
            tracing::warn!(issuer = %self.name, error = %error, failures, retry_in, "jwks.refresh_failed");
        } else {
            tracing::error!(issuer = %self.name, error = %error, failures, retry_in, "jwks.refresh_failed");
        }
    }

    /// What is known, for people and metrics.
    pub(super) fn status(&self) -> IssuerKeyStatus {
        let now = self.clock.tick();
        IssuerKeyStatus::of(&self.name, &self.settings(), &self.state(), now)
    }

    /// Nothing panics while the lock is held; were it so, the state would still be whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self) {
        self.finished
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Sees every end of an attempt.
    #[cfg(test)]
    pub(super) fn ends(&self) -> watch::Receiver<u64> {
        self.finished.subscribe()
    }
}

/// The keys at `url`, and what was said about their lifetime.
async fn fetch(
    way: &mut Way,
    url: &str,
    settings: &KeySourceSettings,
) -> Result<(Vec<u8>, Option<Duration>), FetchError> {
    const KEY_SET: &str = "application/jwk-set+json, application/json";
    let conditions = settings.conditions();
    let Fetched { headers, body, .. } = way.fetcher.get(url, KEY_SET, &conditions).await?;
    Ok((body, max_age(&headers)))
}

fn read_file(path: &Path) -> Result<Vec<u8>, KeyError> {
    last_good::read_at_most(path, DOCUMENT_BYTES).map_err(KeyError::File)
}
