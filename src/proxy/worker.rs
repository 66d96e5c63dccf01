//! A worker: one thread, one runtime, its own upstream connections and its own cache of verified tokens.

use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use http::HeaderValue;

use super::exchange::Exchange;
use super::registry::{Place, Registry};
use super::signal::Signal;
use crate::authn::{CacheCounts, TokenCache};
use crate::clock::{Clock, Now, Tick};
use crate::credential::Credentials;
use crate::drain::{DrainSignal, Phase};
use crate::jwks::Keys;
use crate::listener::{GuardHandle, Overdue, Preface, Sources, Timeouts};
use crate::request::Connection;
use crate::review::Reviews;
use crate::snapshot::{Listener, SnapshotCell};
use crate::telemetry::{Recorder, WorkerTelemetry};
use crate::upstream::Pool;

/// Most requests that an HTTP/2 client may cancel before they are answered, above those that were answered (rapid reset,
/// CVE-2023-44487: each costs an upstream connection, and the upstream may not notice that nobody waits). Then the
/// connection takes no more; at twice as many it ends at once.
const CANCELLED: u32 = 500;

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Most bytes of verified tokens that one worker keeps.
    pub(crate) token_cache: usize,
    pub(crate) snapshot: Arc<SnapshotCell>,
    pub(crate) keys: Keys,
    pub(crate) reviews: Reviews,
    pub(crate) credentials: Credentials,
    pub(crate) clock: Clock,
    pub(crate) drain: DrainSignal,
    pub(crate) connections: AtomicUsize,
    /// Most of them that the limit of open files has room for, and most requests in flight beside them.
    pub(crate) most_connections: usize,
    pub(crate) in_flight: AtomicUsize,
    pub(crate) sources: Sources,
}

impl Shared {
    /// Waits until connections are to be left.
    pub(crate) async fn leaving(&self) {
        self.drain.clone().reached(Phase::Leaving).await;
    }

    /// Waits until no more connections are accepted.
    pub(crate) async fn closing(&self) {
        self.drain.clone().closing().await;
    }

    /// Waits until whatever is left is cut.
    pub(crate) async fn ended(&self) {
        self.drain.clone().ended().await;
    }
}

/// One worker.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    telemetry: WorkerTelemetry,
    recorders: Vec<Recorder>,
    tokens: RefCell<TokenCache>,
    /// What was told to telemetry of the cache.
    told: Cell<CacheCounts>,
    pools: Vec<Pool>,
    /// Nanoseconds of the monotonic clock, as of the last time that anybody asked; read on every byte that passes.
    coarse: Arc<AtomicU64>,
    /// What the ids of its requests begin with: hexadecimal digits.
    id_prefix: [u8; 16],
    requests: Cell<u64>,
    exchanges: Registry<Exchange>,
    connections: Registry<ConnectionState>,
    /// Told when a connection or an exchange has ended.
    left: tokio::sync::Notify,
    /// The drain has begun: every answer asks its client to leave the connection.
    leaving: Cell<bool>,
    /// The drain closes connections.
    closing: Cell<bool>,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, telemetry: WorkerTelemetry) -> Self {
        let snapshot = shared.snapshot.load_full();
        let recorders = snapshot
            .listeners
            .iter()
            .map(|listener| telemetry.listener(&listener.settings.name))
            .collect();
        let pools = snapshot
            .listeners
            .iter()
            .map(|listener| Pool::new(Arc::clone(&listener.target)))
            .collect();
        let mut random = [0; 8];
        // Ids must differ between workers and restarts; without randomness they start from zero.
        let _ = aws_lc_rs::rand::fill(&mut random);
        Self {
            tokens: RefCell::new(TokenCache::new(shared.token_cache)),
            coarse: Arc::new(AtomicU64::new(shared.clock.tick().as_nanos())),
            shared,
            telemetry,
            recorders,
            told: Cell::default(),
            pools,
            id_prefix: digits(u64::from_be_bytes(random)),
            requests: Cell::new(0),
            exchanges: Registry::default(),
            connections: Registry::default(),
            left: tokio::sync::Notify::new(),
            leaving: Cell::new(false),
            closing: Cell::new(false),
        }
    }

    /// The drain has begun.
    pub(crate) fn leave(&self) {
        self.leaving.set(true);
    }

    /// The drain closes connections: told to each of them, so that none has to watch for it at every request.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        self.connections
            .for_each(|connection| connection.poked.set());
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.get()
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.get()
    }

    /// Both clocks.
    pub(crate) fn now(&self) -> Now {
        let now = self.shared.clock.now();
        self.coarse.store(now.tick.as_nanos(), Ordering::Relaxed);
        now
    }

    /// The monotonic clock as somebody read it last; at most a sweep old.
    pub(crate) fn coarse(&self) -> Tick {
        Tick::from_nanos(self.coarse.load(Ordering::Relaxed))
    }

    /// The cell that [`Worker::coarse`] reads, for the guards.
    pub(crate) fn coarse_cell(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.coarse)
    }

    pub(super) fn tokens(&self) -> RefMut<'_, TokenCache> {
        self.tokens.borrow_mut()
    }

    /// The connections to a listener's upstream.
    pub(super) fn pool(&self, listener: &Listener) -> Option<&Pool> {
        let pool = self.pools.get(listener.index)?;
        pool.aim(&listener.target);
        Some(pool)
    }

    /// Counts and records what happens on a listener.
    pub(crate) fn recorder(&self, listener: usize) -> Option<&Recorder> {
        self.recorders.get(listener)
    }

    pub(super) fn next_number(&self) -> u64 {
        let number = self.requests.get().wrapping_add(1);
        self.requests.set(number);
        number
    }

    /// The id of the worker's request `number`.
    pub(super) fn id(&self, number: u64) -> RequestId {
        let mut id = [0; 32];
        let (worker, request) = id.split_at_mut(16);
        worker.copy_from_slice(&self.id_prefix);
        request.copy_from_slice(&digits(number));
        RequestId(id)
    }

    /// Puts an exchange under the sweeper's eyes.
    pub(super) fn watch(&self, exchange: &Rc<Exchange>) -> Place<Exchange> {
        self.exchanges.enter(exchange)
    }

    /// Puts a connection under the sweeper's eyes.
    pub(crate) fn watch_connection(
        &self,
        connection: &Rc<ConnectionState>,
    ) -> Place<ConnectionState> {
        self.connections.enter(connection)
    }

    /// Wakes who waits for the worker to be idle.
    pub(crate) fn somebody_left(&self) {
        self.left.notify_waiters();
    }

    /// Waits until nothing is in flight on this connection.
    pub(crate) async fn answered(&self, connection: &ConnectionState) {
        while connection.guard.in_flight() > 0 {
            self.left.notified().await;
        }
    }

    /// Waits until no connection is open and nothing is in flight.
    pub(crate) async fn idle(&self) {
        while !(self.connections.is_empty() && self.exchanges.is_empty()) {
            self.left.notified().await;
        }
    }

    fn tell_cache(&self) {
        let (now, told) = (self.tokens.borrow().counts(), self.told.get());
        let cache = &self.telemetry.cache;
        cache.hits.add(now.hits.wrapping_sub(told.hits));
        cache.misses.add(now.misses.wrapping_sub(told.misses));
        cache
            .evictions
            .add(now.evictions.wrapping_sub(told.evictions));
        self.told.set(now);
    }

    /// One sweep: readers that take nothing, upstream connections that are idle too long.
    pub(crate) fn sweep(&self) {
        let now = self.now().tick;
        self.tell_cache();
        let snapshot = self.shared.snapshot.load();
        for listener in &snapshot.listeners {
            if let Some(pool) = self.pools.get(listener.index) {
                pool.aim(&listener.target);
                pool.sweep(now, listener.settings.timeouts.upstream_idle);
            }
        }
        self.exchanges.for_each(|exchange| {
            let connection = exchange.connection();
            let stalled = snapshot
                .listener(connection.listener())
                .is_some_and(|listener| {
                    let most = listener.settings.timeouts.stalled_reader;
                    exchange
                        .stalled_since()
                        .is_some_and(|since| now.since(since) >= most)
                });
            if stalled {
                exchange.stalled();
            }
            let lingers = snapshot
                .listener(connection.listener())
                .is_some_and(|listener| {
                    let most = listener.settings.timeouts.request_body_idle;
                    exchange
                        .lingers_since()
                        .is_some_and(|since| now.since(since) >= most)
                });
            if lingers {
                exchange.give_up();
            }
        });
        self.connections.for_each(|connection| {
            if let Some(listener) = snapshot.listener(connection.listener()) {
                connection.keep_deadlines(now, &listener.settings.timeouts);
            }
        });
    }
}

/// 32 hexadecimal digits: the worker, then the number of the request on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestId([u8; 32]);

impl RequestId {
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The 16 hexadecimal digits of a number.
fn digits(number: u64) -> [u8; 16] {
    let mut digits = number.to_be_bytes().map(|byte| [byte >> 4, byte & 15]);
    for pair in &mut digits {
        *pair = pair.map(|nibble| nibble + if nibble < 10 { b'0' } else { b'a' - 10 });
    }
    let mut flat = [0; 16];
    for (to, from) in flat.iter_mut().zip(digits.as_flattened()) {
        *to = *from;
    }
    flat
}

/// A downstream connection, as its requests and the sweeper see it.
pub(crate) struct ConnectionState {
    facts: Arc<Connection>,
    listener: usize,
    peer: HeaderValue,
    guard: GuardHandle,
    http2: Cell<bool>,
    /// The protocol is known.
    speaks: Cell<bool>,
    /// The client was asked to leave.
    leaving: Cell<bool>,
    poked: Signal,
    killed: Signal,
    /// Requests that the client cancelled, less those that were answered.
    cancelled: Cell<u32>,
    tunnel: Cell<Option<Tunnel>>,
}

/// What passes bytes both ways after a 101, until either side goes away.
type Tunnel = std::pin::Pin<Box<dyn Future<Output = ()>>>;

impl std::fmt::Debug for ConnectionState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectionState")
            .field("facts", &self.facts)
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}

impl ConnectionState {
    pub(crate) fn new(facts: Arc<Connection>, listener: usize, guard: GuardHandle) -> Self {
        let peer = HeaderValue::from_str(&facts.peer.to_string())
            .unwrap_or(HeaderValue::from_static("unknown"));
        Self {
            facts,
            listener,
            peer,
            guard,
            http2: Cell::new(false),
            speaks: Cell::new(false),
            leaving: Cell::new(false),
            poked: Signal::default(),
            killed: Signal::default(),
            cancelled: Cell::new(0),
            tunnel: Cell::default(),
        }
    }

    pub(super) const fn facts(&self) -> &Arc<Connection> {
        &self.facts
    }

    pub(crate) const fn listener(&self) -> usize {
        self.listener
    }

    pub(super) const fn peer_value(&self) -> &HeaderValue {
        &self.peer
    }

    pub(crate) const fn guard(&self) -> &GuardHandle {
        &self.guard
    }

    pub(crate) fn is_http2(&self) -> bool {
        self.http2.get()
    }

    /// The client's first bytes told what it speaks.
    pub(crate) fn speaks(&self, preface: Preface) {
        self.http2.set(preface == Preface::Http2);
        self.speaks.set(true);
    }

    /// Asks the client to take its next request elsewhere, while there is time: a connection that ends by itself later
    /// may end under a request that is on its way (INVARIANTS 66). HTTP/1 says so in this answer, HTTP/2 by GOAWAY.
    pub(super) fn leave_after<B>(&self, answer: &mut http::Response<B>) {
        if self.http2.get() {
            self.leaving.set(true);
            self.poked.set();
        } else if answer.status() != http::StatusCode::SWITCHING_PROTOCOLS {
            self.close_after(answer.headers_mut());
        }
    }

    /// The HTTP/2 client is to be asked to leave.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.get()
    }

    /// A request began. On HTTP/1 the guard counts heads itself.
    pub(super) fn request_began(&self) {
        if self.http2.get() {
            self.guard.request_began();
        }
    }

    /// The upstream agreed to an upgrade: `tunnel` runs in the connection's own task.
    pub(super) fn upgraded(&self, tunnel: Tunnel) {
        self.guard.switch_to_raw();
        self.tunnel.set(Some(tunnel));
    }

    /// Runs the tunnel to its end, if there is one.
    pub(crate) async fn tunnel(&self) {
        if let Some(tunnel) = self.tunnel.take() {
            tunnel.await;
        }
    }

    /// Ends a tunnel that did not run: it holds its exchange, which holds this connection.
    pub(crate) fn drop_tunnel(&self) {
        drop(self.tunnel.take());
    }

    /// An answer has ended: a request that the guard held back behind it may come.
    pub(super) fn answer_ended(&self) {
        if self.guard.answer_ended() {
            self.poked.set();
        }
    }

    /// A request has ended, answered or not. On HTTP/1 a cancelled one costs the client its connection already.
    pub(super) fn request_over(&self, answered: bool) {
        if !self.http2.get() {
            return;
        }
        let before = self.cancelled.get();
        if answered {
            // Who was over the limit once stays there.
            if before <= CANCELLED {
                self.cancelled.set(before.saturating_sub(1));
            }
            return;
        }
        self.cancelled.set(before.saturating_add(1));
        if before == CANCELLED {
            self.leaving.set(true);
            self.poked.set();
        } else if before >= CANCELLED.saturating_mul(2) {
            self.kill();
        }
    }

    /// Whether the client has cancelled more requests than it may.
    pub(crate) fn cancels_too_much(&self) -> bool {
        self.cancelled.get() > CANCELLED
    }

    /// Does what a deadline asks for that has passed.
    fn keep_deadlines(&self, now: Tick, timeouts: &Timeouts) {
        match self.guard.overdue(now, timeouts) {
            // An unfinished head is answered; before the protocol is known there is nothing to answer in.
            Some(Overdue::Head) if self.speaks.get() => {
                self.guard.expire_head();
                self.poked.set();
            }
            Some(Overdue::Head | Overdue::FirstByte | Overdue::Idle | Overdue::Reader) => {
                self.kill()
            }
            // Forwarding answers 408, or the answer has begun and the body may take its time.
            Some(Overdue::Body) | None => {}
        }
    }

    /// Set when the connection's task must look again.
    pub(crate) const fn poked(&self) -> &Signal {
        &self.poked
    }

    /// Ends the connection at once.
    pub(crate) fn kill(&self) {
        self.killed.set();
    }

    /// Set when it ends at once.
    pub(crate) const fn killed(&self) -> &Signal {
        &self.killed
    }
}
