//! What a worker's listener counts and records.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::HeaderMap;

use super::cells::{Counter, Gauge, Histogram};
use super::metrics::WorkerFamilies;
use super::record::{ConnectionEnd, End, Outcome, Scribe, Subjects};
use super::ring::{Producer, Pushed};
use super::spans::Tracer;
use super::{AccessLog, Shared, Span};
use crate::authz::Route;
use crate::clock::Now;
use crate::rejection::Decision;
use crate::request::Facts;

/// The name under which requests count that no route owned.
const NO_ROUTE: &str = "none";

/// One worker's share of telemetry. Stays on its thread.
#[derive(Debug)]
pub struct WorkerTelemetry {
    shared: Arc<Shared>,
    producer: Rc<Producer>,
    tracer: Rc<Tracer>,
    /// The worker's cache of verified tokens.
    pub cache: CacheCounters,
}

/// Counters of a worker's cache of verified tokens.
#[derive(Debug)]
pub struct CacheCounters {
    /// A token was there.
    pub hits: Counter,
    /// It was not, and was verified.
    pub misses: Counter,
    /// An entry made room for another.
    pub evictions: Counter,
}

impl WorkerTelemetry {
    pub(super) fn new(shared: Arc<Shared>, tracer: Tracer) -> Self {
        let families = &shared.metrics.workers;
        let cache = CacheCounters {
            hits: families.cache_lookups.counter(&["hit"]),
            misses: families.cache_lookups.counter(&["miss"]),
            evictions: families.cache_evictions.counter(&[]),
        };
        let producer = Rc::new(shared.queues.worker());
        Self {
            shared,
            producer,
            tracer: Rc::new(tracer),
            cache,
        }
    }

    /// The recorder of one listener on this worker. Make it once and keep it.
    #[must_use]
    pub fn listener(&self, name: &str) -> Recorder {
        let families = &self.shared.metrics.workers;
        Recorder {
            requests: families.requests.counter(&[name]),
            active: families.active.gauge(&[name]),
            connections: Connections {
                total: families.connections.counter(&[name]),
                open: families.connections_open.gauge(&[name]),
                refused: RefCell::default(),
            },
            upstream: UpstreamCounters {
                opened: families.upstream_connections.counter(&[name, "opened"]),
                reused: families.upstream_connections.counter(&[name, "reused"]),
                failed: families.upstream_connections.counter(&[name, "failed"]),
                retries: families.upstream_retries.counter(&[name]),
                replays: families.upstream_replays.counter(&[name]),
                wait: families.upstream_wait.histogram(&[name]),
            },
            bytes_in: families.request_bytes.counter(&[name]),
            bytes_out: families.response_bytes.counter(&[name]),
            routes: RefCell::default(),
            scribe: Scribe::new(name),
            line: RefCell::new(Vec::with_capacity(1024)),
            listener: name.into(),
            shared: Arc::clone(&self.shared),
            producer: Rc::clone(&self.producer),
            tracer: Rc::clone(&self.tracer),
        }
    }
}

/// Counts and records what happens on one listener of one worker.
///
/// For each request [`Recorder::began`] and, however it ends, [`Recorder::ended`], once each.
#[derive(Debug)]
pub struct Recorder {
    /// Connections of callers.
    pub connections: Connections,
    /// Connections to the upstream.
    pub upstream: UpstreamCounters,
    requests: Counter,
    active: Gauge,
    bytes_in: Counter,
    bytes_out: Counter,
    routes: RefCell<Routes>,
    scribe: Scribe,
    /// Reused; no record allocates.
    line: RefCell<Vec<u8>>,
    listener: Box<str>,
    shared: Arc<Shared>,
    producer: Rc<Producer>,
    tracer: Rc<Tracer>,
}

/// Connections of callers.
#[derive(Debug)]
pub struct Connections {
    total: Counter,
    open: Gauge,
    refused: RefCell<Vec<(&'static str, Counter)>>,
}

impl Connections {
    /// One was accepted.
    pub fn opened(&self) {
        self.total.increment();
        self.open.up();
    }

    /// One that was accepted is closed.
    pub fn closed(&self) {
        self.open.down();
    }
}

/// Connections to the upstream.
#[derive(Debug)]
pub struct UpstreamCounters {
    /// One was established.
    pub opened: Counter,
    /// An idle one was used again.
    pub reused: Counter,
    /// One could not be established.
    pub failed: Counter,
    /// A request was sent again on another connection.
    pub retries: Counter,
    /// A request was sent again with a newer access token.
    pub replays: Counter,
    wait: Histogram,
}

/// Handles of routes: found by address at each request, by name once per generation.
#[derive(Debug, Default)]
struct Routes {
    generation: u64,
    /// A weak reference keeps the address from being given to another route, and nothing else.
    by_address: HashMap<usize, (Weak<Route>, Rc<RouteCells>)>,
    by_name: HashMap<Box<str>, Rc<RouteCells>>,
}

/// The series of one route on one listener; each is made when it is first needed.
#[derive(Debug)]
struct RouteCells {
    name: Box<str>,
    allowed: Counter,
    refused: RefCell<Vec<(&'static str, Counter)>>,
    observed: RefCell<Vec<(&'static str, Counter)>>,
    durations: RefCell<[Option<Histogram>; CLASSES.len()]>,
    ends: RefCell<Vec<(End, Counter)>>,
}

const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

impl Recorder {
    /// A request has begun.
    pub fn began(&self) {
        self.requests.increment();
        self.active.up();
    }

    /// Whether the record of such a decision is written; when not, nothing needs to be formatted for it.
    #[must_use]
    pub fn writes(&self, decision: Decision) -> bool {
        match self.shared.control.access() {
            AccessLog::All => true,
            AccessLog::Denied => decision != Decision::Allowed,
            AccessLog::None => false,
        }
    }

    /// Whether spans are exported.
    #[must_use]
    pub fn traces(&self) -> bool {
        self.tracer.is_on()
    }

    /// Takes part in the request's trace, where spans are exported: `headers` then name `span` as the parent of what
    /// follows. The first call for a request counts.
    pub fn join_trace(&self, span: &Cell<Span>, headers: &mut HeaderMap) {
        self.tracer.join(span, headers);
    }

    /// A request is over, whatever became of it.
    pub fn ended(&self, facts: &Facts, outcome: &Outcome<'_>, now: Now) {
        self.tracer.ended(facts, outcome, now.tick);
        self.active.down();
        self.count(facts, outcome);
        let decision = Decision::of(outcome.rejection);
        let refusal = decision != Decision::Allowed || outcome.observed.is_some();
        let written = match self.shared.control.access() {
            AccessLog::All => true,
            AccessLog::Denied => refusal,
            AccessLog::None => false,
        };
        if written {
            let mut line = self.line.borrow_mut();
            let subjects = Subjects {
                how: self.shared.control.subject(),
                key: &self.shared.subject_key,
            };
            self.scribe
                .request(&mut line, facts, outcome, subjects, now);
            self.push(&line, refusal);
        }
    }

    /// A connection ended before a request existed.
    pub fn connection_refused(&self, end: &ConnectionEnd<'_>, now: Now) {
        // Rare, so the handle may be resolved here; reasons are a closed list.
        self.bump(&self.connections.refused, end.reason, || {
            self.families()
                .connection_refusals
                .counter(&[&self.listener, end.reason])
        });
        if self.shared.control.access() != AccessLog::None {
            let mut line = self.line.borrow_mut();
            self.scribe.connection(&mut line, end, now);
            self.push(&line, true);
        }
    }

    fn push(&self, line: &[u8], refusal: bool) {
        match self.producer.push(line, refusal) {
            Pushed::Queued => self.shared.queues.poke(),
            Pushed::Crowded => self.shared.queues.wake(),
            Pushed::Dropped => {
                let dropped = &self.shared.queues.dropped;
                let count = if refusal {
                    &dropped.refused
                } else {
                    &dropped.allowed
                };
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn families(&self) -> &WorkerFamilies {
        &self.shared.metrics.workers
    }

    fn count(&self, facts: &Facts, outcome: &Outcome<'_>) {
        let cells = match &facts.route {
            Some(route) => self.route(route, outcome.generation),
            None => self.named(NO_ROUTE),
        };
        match outcome.rejection {
            None => cells.allowed.increment(),
            Some(rejection) => {
                let reason = rejection.reason();
                self.bump(&cells.refused, reason, || {
                    let decision = rejection.decision().as_str();
                    self.families().decisions.counter(&[
                        &self.listener,
                        &cells.name,
                        decision,
                        reason,
                    ])
                });
            }
        }
        if let Some(observed) = outcome.observed {
            let reason = observed.reason();
            self.bump(&cells.observed, reason, || {
                self.families()
                    .observed
                    .counter(&[&self.listener, &cells.name, reason])
            });
        }
        if outcome.end != End::Complete {
            self.bump(&cells.ends, outcome.end, || {
                self.families()
                    .ends
                    .counter(&[&self.listener, &cells.name, outcome.end.as_str()])
            });
        }
        self.time(&cells, outcome.status, outcome.duration);
        if let Some(upstream) = outcome.upstream {
            self.upstream.wait.observe(upstream);
        }
        self.bytes_in.add(outcome.bytes_in);
        self.bytes_out.add(outcome.bytes_out);
    }

    fn time(&self, cells: &RouteCells, status: u16, duration: Duration) {
        let class = usize::from(status / 100);
        let class = if class < CLASSES.len() { class } else { 0 };
        if let Some(slot) = cells.durations.borrow_mut().get_mut(class) {
            slot.get_or_insert_with(|| {
                self.families().durations.histogram(&[
                    &self.listener,
                    &cells.name,
                    CLASSES.get(class).copied().unwrap_or("none"),
                ])
            })
            .observe(duration);
        }
    }

    /// Counts under `word`; a few words per route are ever used, so a list is searched faster than a table.
    fn bump<W: PartialEq + Copy>(
        &self,
        list: &RefCell<Vec<(W, Counter)>>,
        word: W,
        make: impl FnOnce() -> Counter,
    ) {
        let mut list = list.borrow_mut();
        if let Some((_, counter)) = list.iter().find(|(known, _)| *known == word) {
            return counter.increment();
        }
        let counter = make();
        counter.increment();
        list.push((word, counter));
    }

    fn route(&self, route: &Arc<Route>, generation: u64) -> Rc<RouteCells> {
        let address = Arc::as_ptr(route).addr();
        let mut routes = self.routes.borrow_mut();
        // Requests of an old generation may end after those of a new one began; only a newer one clears.
        if routes.generation < generation {
            routes.generation = generation;
            routes.by_address.clear();
        }
        if let Some((_, cells)) = routes.by_address.get(&address) {
            return Rc::clone(cells);
        }
        drop(routes);
        let cells = self.named(route.name());
        self.routes
            .borrow_mut()
            .by_address
            .insert(address, (Arc::downgrade(route), Rc::clone(&cells)));
        cells
    }

    fn named(&self, name: &str) -> Rc<RouteCells> {
        if let Some(cells) = self.routes.borrow().by_name.get(name) {
            return Rc::clone(cells);
        }
        let cells = Rc::new(RouteCells {
            name: name.into(),
            allowed: self
                .families()
                .decisions
                .counter(&[&self.listener, name, "allowed", ""]),
            refused: RefCell::default(),
            observed: RefCell::default(),
            durations: RefCell::default(),
            ends: RefCell::default(),
        });
        self.routes
            .borrow_mut()
            .by_name
            .insert(name.into(), Rc::clone(&cells));
        cells
    }
}
