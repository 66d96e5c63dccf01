//! One credential: the cell that workers read, the task that keeps it supplied, and the requests that wait for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arc_swap::ArcSwap;
use http::HeaderValue;
use tokio::sync::{Notify, watch};
use zeroize::Zeroizing;

use super::answer::Granted;
use super::error::Failure;
use super::proof::{Binding, ProofKey};
use super::request::Way;
use super::state::{Held, Judgement, State};
use super::status::CredentialStatus;
use super::{
    AccessToken, CredentialCell, CredentialFault, CredentialSettings, LONGEST_WAIT, MOST_WAITERS,
    TokenError,
};
use crate::clock::{Clock, Now, Tick};
use crate::waiters::{self, Place};

/// One credential.
#[derive(Debug)]
pub(super) struct Client {
    /// Unique in the process: a name may come back as another client.
    pub(super) id: u64,
    pub(super) name: Arc<str>,
    pub(super) cell: Arc<CredentialCell>,
    clock: Clock,
    /// What tokens are bound to, once one was asked for.
    proof: OnceLock<ProofKey>,
    settings: ArcSwap<CredentialSettings>,
    state: Mutex<State>,
    /// Wakes the task.
    wake: Notify,
    /// Counts what may change a waiter's answer or the token's end.
    finished: watch::Sender<u64>,
}

/// What a requester wants.
#[derive(Clone, Copy, Debug)]
enum Want {
    /// Any token that is good.
    Any,
    /// One that is newer than the one with this serial, which was refused.
    Newer(u64),
}

impl Client {
    pub(super) fn new(settings: CredentialSettings, clock: Clock) -> Self {
        Self {
            id: waiters::next_id(),
            name: Arc::clone(&settings.name),
            cell: Arc::new(CredentialCell::new(Arc::clone(&settings.name))),
            state: Mutex::new(State::new(clock.tick())),
            clock,
            proof: OnceLock::new(),
            settings: ArcSwap::from_pointee(settings),
            wake: Notify::new(),
            finished: watch::Sender::new(0),
        }
    }

    pub(super) fn settings(&self) -> Arc<CredentialSettings> {
        self.settings.load_full()
    }

    /// Takes over settings that leave the token good.
    pub(super) fn adjust(&self, settings: CredentialSettings) {
        let now = self.clock.now();
        self.state().adjust(&settings, now, random());
        self.settings.store(Arc::new(settings));
        self.announce();
        self.wake.notify_one();
    }

    /// After a panic of the task.
    pub(super) fn recover(&self) {
        self.fail(&TokenError::Internal.into());
        self.wake.notify_one();
    }

    pub(super) async fn obtain(&self) -> Result<Arc<AccessToken>, CredentialFault> {
        match self.wait_for(Want::Any).await? {
            Some(token) => Ok(token),
            None => Err(self.fault()),
        }
    }

    pub(super) async fn renew(
        &self,
        refused: u64,
    ) -> Result<Option<Arc<AccessToken>>, CredentialFault> {
        self.wait_for(Want::Newer(refused)).await
    }

    fn fault(&self) -> CredentialFault {
        self.state().fault(self.clock.tick())
    }

    async fn wait_for(&self, want: Want) -> Result<Option<Arc<AccessToken>>, CredentialFault> {
        let deadline = self.clock.tick().plus(LONGEST_WAIT);
        let mut finished = self.finished.subscribe();
        let mut place = None;
        loop {
            finished.mark_unchanged();
            let now = self.clock.now();
            match self.judge(want, place.is_some(), now) {
                Judgement::Ready => {
                    if let Some(token) = self.cell.current(now) {
                        return Ok(Some(token));
                    }
                    // It ended between the two looks, and the next one sees that.
                    continue;
                }
                Judgement::Cooling => return Ok(None),
                Judgement::Fault(fault) => return Err(fault),
                Judgement::Wait => self.wake.notify_one(),
            }
            if place.is_none() {
                place = Place::take(self.id, MOST_WAITERS);
            }
            if place.is_none() {
                return Err(self.fault());
            }
            tokio::select! {
                biased;
                changed = finished.changed() => if changed.is_err() { return Err(self.fault()) },
                () = self.clock.sleep_until(deadline) => return Err(self.fault()),
            }
        }
    }

    fn judge(&self, want: Want, waited: bool, now: Now) -> Judgement {
        let mut state = self.state();
        match want {
            Want::Any => state.obtain(now),
            Want::Newer(refused) => state.renew(refused, waited, &self.settings.load(), now),
        }
    }

    /// Keeps the cell supplied, for ever.
    pub(super) async fn keep(self: Arc<Self>) {
        tokio::join!(self.refresh(), self.age());
    }

    async fn refresh(&self) {
        let mut way = Way::default();
        let mut last = self.settings();
        loop {
            self.due().await;
            let settings = self.settings();
            if !Arc::ptr_eq(&last, &settings) {
                way.forget();
                last = Arc::clone(&settings);
            }
            let since = self.clock.now();
            let outcome = match self.proof_key(&settings) {
                Ok(key) => way.ask(&settings, key, &self.clock).await,
                Err(error) => Err(error.into()),
            };
            match outcome {
                Ok(granted) => self.install(&granted, since, &settings),
                Err(failure) => self.fail(&failure),
            }
        }
    }

    /// The key that tokens are bound to. Settings that mean another key mean another client.
    fn proof_key(&self, settings: &CredentialSettings) -> Result<Option<&ProofKey>, TokenError> {
        let Some(wanted) = &settings.dpop else {
            return Ok(None);
        };
        if self.proof.get().is_none() {
            let key = wanted.key().map_err(|_| TokenError::Internal)?;
            // Only this task sets it.
            let _already = self.proof.set(key);
        }
        Ok(self.proof.get())
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
                () = self.clock.sleep_until(next) => {}
            }
        }
    }

    /// Lets go of the token when its time is up.
    async fn age(&self) {
        let mut finished = self.finished.subscribe();
        loop {
            finished.mark_unchanged();
            let (expired, end, error) = {
                let mut state = self.state();
                let expired = state.expire(self.clock.now());
                let end = state.held.map(|held| held.end().tick);
                (expired, end, state.last_error.clone())
            };
            if expired {
                self.cell.store(None);
                let error = error.map(|error| error.text);
                tracing::error!(credential = %self.name, error, "credential.expired");
                self.announce();
                self.wake.notify_one();
            }
            tokio::select! {
                changed = finished.changed() => if changed.is_err() { return },
                () = self.reached(end) => {}
            }
        }
    }

    async fn reached(&self, at: Option<Tick>) {
        match at {
            Some(at) => self.clock.sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    fn install(&self, granted: &Granted, since: Now, settings: &CredentialSettings) {
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        let held = Held {
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            since,
            lifetime: granted.lifetime,
        };
        let binding = (self.proof.get())
            .filter(|_| settings.dpop.is_some())
            .map(|key| Binding::new(key.clone(), &granted.token));
        let scheme = if binding.is_some() { "DPoP" } else { "Bearer" };
        let Some(authorization) = authorization(scheme, granted) else {
            return self.fail(&TokenError::Internal.into());
        };
        let token = AccessToken::new(authorization, binding, held.serial, held.end());
        let mut state = self.state();
        // The cell first: whoever is told that a token came must find it there.
        self.cell.store(Some(Arc::new(token)));
        state.succeed(held, settings, self.clock.now(), random());
        let refresh_in = state.next.since(self.clock.tick()).as_secs();
        drop(state);
        self.announce();
        let expires_in = granted.lifetime.as_secs();
        let scope = granted.scope.as_deref();
        tracing::info!(credential = %self.name, expires_in, refresh_in, scope, "credential.obtained");
        if !granted.lifetime_given {
            tracing::warn!(credential = %self.name, assumed = expires_in, "credential.lifetime_missing");
        }
    }

    fn fail(&self, failure: &Failure) {
        let Failure { error, retry_after } = failure;
        let now = self.clock.now();
        let mut state = self.state();
        state.fail(error, *retry_after, now.tick, random());
        let failures = state.failures;
        let retry_in = state.next.since(now.tick).as_secs();
        drop(state);
        self.announce();
        let oauth_error = error.oauth_error();
        let hint = oauth_error.and_then(super::hint);
        if self.cell.current(now).is_some() {
            tracing::warn!(credential = %self.name, %error, oauth_error, hint, failures, retry_in, "credential.failed");
        } else {
            tracing::error!(credential = %self.name, %error, oauth_error, hint, failures, retry_in, "credential.failed");
        }
    }

    /// What is known, for people and metrics.
    pub(super) fn status(&self) -> CredentialStatus {
        CredentialStatus::of(&self.settings(), &self.state(), self.clock.now())
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

fn authorization(scheme: &str, granted: &Granted) -> Option<HeaderValue> {
    let value = Zeroizing::new(format!("{scheme} {}", *granted.token));
    let mut value = HeaderValue::from_str(&value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn random() -> u16 {
    let mut random = [0_u8; 2];
    // Without chance replicas ask together: no reason to fail.
    match aws_lc_rs::rand::fill(&mut random) {
        Ok(()) => u16::from_le_bytes(random),
        Err(_) => 0,
    }
}
