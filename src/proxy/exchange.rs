//! One request and its answer, watched from start to end: what the decision record and the metrics are made of.
//!
//! An exchange ends when its last part is dropped: the record is written then, once, however the request ended.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::registry::Place;
use super::stream::{StreamExecutor, StreamTask};
use super::worker::{ConnectionState, RequestId, Worker};
use crate::authz::Granted;
use crate::clock::{Clock, Now, Tick};
use crate::drain::Phase;
use crate::rejection::{Decision, Malformed, Rejection};
use crate::request::{Facts, Head};
use crate::snapshot::Listener;
use crate::telemetry::{End, Outcome, Span, UpstreamCounters};
use crate::upstream::{Lease, trace_id};

/// A request on its way; shared by the bodies that pass for it.
#[derive(Debug)]
pub struct Exchange {
    worker: Rc<Worker>,
    connection: Rc<ConnectionState>,
    generation: u64,
    started: Tick,
    forwarded: Cell<Tick>,
    number: u64,
    place: RefCell<Option<Place<Self>>>,
    /// Its own part of a connection that it shares with others.
    stream: Option<Rc<StreamTask>>,
    admitted: Cell<bool>,
    facts: RefCell<Facts>,
    rejection: RefCell<Option<Rejection>>,
    observed: RefCell<Option<Rejection>>,
    trace: RefCell<Option<Box<str>>>,
    /// Outbound: the credential whose token it was sent with.
    credential: RefCell<Option<Arc<str>>>,
    /// Outbound: it was sent again with another token.
    sent_again: Cell<bool>,
    span: Cell<Span>,
    end: Cell<Option<End>>,
    status: Cell<u16>,
    request: Request,
    response: Response,
}

#[derive(Debug, Default)]
struct Request {
    bytes: Cell<u64>,
    /// The upstream connection that it shares with others, until it is sent there.
    shares: RefCell<Option<StreamExecutor>>,
    /// What sends its body there.
    sending: RefCell<Option<Rc<StreamTask>>>,
    /// Since when the upstream waits for more of it.
    awaited: Cell<Option<Tick>>,
    /// Set while bytes are with hyper that it has not asked to follow up: the upstream may have stopped reading.
    handed_over: Cell<Option<Tick>>,
    /// Bodies of it that are with hyper: one that has ended may still wait there for the upstream to take the last piece.
    held: Cell<u32>,
    /// Set when the answer has ended before the request: when bytes came last since.
    lingers: Cell<Option<Tick>>,
    /// The connection to the upstream meanwhile; nobody uses it again.
    lease: RefCell<Option<Lease>>,
    ended: Cell<bool>,
    fault: Cell<Option<RequestFault>>,
    end: tokio::sync::Notify,
}

#[derive(Clone, Copy, Debug)]
enum RequestFault {
    TooLarge,
    Broke,
}

#[derive(Debug, Default)]
struct Response {
    bytes: Cell<u64>,
    upstream_head: Cell<Option<Tick>>,
    /// Set while bytes are with hyper that it has not asked to follow up: the reader may have stalled.
    handed_over: Cell<Option<Tick>>,
    upgraded: Cell<bool>,
    begun: Cell<bool>,
    over: Cell<bool>,
}

impl Exchange {
    pub(super) fn begin(
        worker: &Rc<Worker>,
        connection: &Rc<ConnectionState>,
        stream: Option<Rc<StreamTask>>,
        generation: u64,
        started: Tick,
    ) -> Rc<Self> {
        connection.request_began();
        if let Some(recorder) = worker.recorder(connection.listener()) {
            recorder.began();
        }
        let exchange = Rc::new(Self {
            worker: Rc::clone(worker),
            connection: Rc::clone(connection),
            generation,
            started,
            forwarded: Cell::new(started),
            number: worker.next_number(),
            place: RefCell::default(),
            stream,
            admitted: Cell::new(false),
            facts: RefCell::default(),
            rejection: RefCell::default(),
            observed: RefCell::default(),
            trace: RefCell::default(),
            credential: RefCell::default(),
            sent_again: Cell::new(false),
            span: Cell::default(),
            end: Cell::default(),
            status: Cell::new(0),
            request: Request::default(),
            response: Response::default(),
        });
        *exchange.place.borrow_mut() = Some(worker.watch(&exchange));
        exchange
    }

    /// Counts the request among those in flight, all workers together.
    pub(super) fn admit(&self, listener: &Listener) -> Result<(), Rejection> {
        let limit = listener.settings.limits.requests_in_flight;
        // A connection that is shared may want one to the upstream for each of its requests.
        let most = limit.min(self.worker.shared.most_connections);
        let before = self.worker.shared.in_flight.fetch_add(1, Ordering::Relaxed);
        self.admitted.set(true);
        if before >= most {
            Err(Rejection::Overloaded)
        } else {
            Ok(())
        }
    }

    /// What is counted of connections to the upstream.
    pub(crate) fn upstream_counters(&self) -> Option<&UpstreamCounters> {
        let recorder = self.worker.recorder(self.connection.listener())?;
        Some(&recorder.upstream)
    }

    /// Both clocks, after something was waited for.
    pub(crate) fn now(&self) -> Now {
        self.worker.now()
    }

    /// The monotonic clock as of the last event on this worker, the beginning of this request or a later one.
    pub(crate) fn coarse(&self) -> Tick {
        self.worker.coarse()
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.worker.shared.clock
    }

    /// The request's id, 32 hexadecimal digits; that of a trusted peer where it sent one.
    pub(crate) fn id_value(&self, headers: &HeaderMap, trusted_peer: bool) -> HeaderValue {
        const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
        let given = trusted_peer.then(|| headers.get(&X_REQUEST_ID)).flatten();
        match given {
            Some(given) if given.len() <= 128 && given.to_str().is_ok() => given.clone(),
            _ => HeaderValue::from_str(self.id().as_str()).unwrap_or(HeaderValue::from_static("-")),
        }
    }

    /// The request's id, as records and answers carry it.
    pub(crate) fn id(&self) -> RequestId {
        self.worker.id(self.number)
    }

    /// Sets `X-Forwarded-For`: a trusted peer's list grows by the peer, anybody else starts a new one.
    pub(crate) fn forwarded_for(&self, head: &Head, headers: &mut HeaderMap) {
        const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
        let peer = self.connection.peer_value();
        let trusted = head.trusted_peer;
        let list = trusted.then(|| headers.get(&X_FORWARDED_FOR)).flatten();
        let value = list.and_then(|list| {
            HeaderValue::from_bytes(&[list.as_bytes(), b", ", peer.as_bytes()].concat()).ok()
        });
        headers.insert(X_FORWARDED_FOR, value.unwrap_or_else(|| peer.clone()));
    }

    /// Remembers the trace that the request belongs to, and takes part in it where spans are exported: `headers` then
    /// name our own span as the parent.
    pub(crate) fn traced(&self, headers: &mut HeaderMap) {
        if let Some(recorder) = self.worker.recorder(self.connection.listener()) {
            recorder.join_trace(&self.span, headers);
        }
        *self.trace.borrow_mut() = trace_id(headers).map(Box::from);
    }

    // The request.

    pub(crate) fn request_bytes(&self, bytes: u64) {
        self.request
            .bytes
            .set(self.request.bytes.get().saturating_add(bytes));
        self.request.awaited.set(None);
        self.request.handed_over.set(Some(self.worker.coarse()));
        if self.request.lingers.get().is_some() {
            self.request.lingers.set(Some(self.worker.coarse()));
        }
    }

    /// The request goes to an upstream connection that it shares.
    pub(crate) fn request_shares(&self, streams: &StreamExecutor) {
        self.request.shares.replace(Some(streams.clone()));
    }

    /// hyper asks for more of the body: for the first time before it hands over the task that will send it.
    pub(super) fn request_polled(&self) {
        self.request_taken();
        if let Some(streams) = self.request.shares.take() {
            self.request.sending.replace(Some(streams.announce()));
        }
    }

    /// What was handed over has been taken.
    pub(crate) fn request_taken(&self) {
        self.request.handed_over.set(None);
    }

    /// Since when the upstream has taken nothing although bytes wait for it.
    pub(crate) fn request_undelivered_since(&self) -> Option<Tick> {
        self.request.handed_over.get()
    }

    pub(crate) fn request_ended(&self) {
        self.request_taken();
        if !self.request.ended.replace(true) {
            self.request.end.notify_waiters();
        }
    }

    pub(super) fn request_held(&self) {
        self.request
            .held
            .set(self.request.held.get().saturating_add(1));
    }

    pub(super) fn request_let_go(&self) {
        self.request
            .held
            .set(self.request.held.get().saturating_sub(1));
    }

    pub(crate) fn request_broke(&self) {
        self.request.fault.set(Some(RequestFault::Broke));
    }

    pub(crate) fn request_too_large(&self) {
        self.request.fault.set(Some(RequestFault::TooLarge));
    }

    pub(crate) fn request_has_ended(&self) -> bool {
        self.request.ended.get()
    }

    /// The upstream waits for more of the body.
    pub(super) fn request_awaited(&self) {
        if self.request.awaited.get().is_none() {
            self.request.awaited.set(Some(self.worker.coarse()));
        }
    }

    /// Since when the caller has brought nothing although more is waited for.
    pub(crate) fn request_stalls_since(&self) -> Option<Tick> {
        self.request.awaited.get()
    }

    /// Waits for the end of the request body.
    pub(crate) async fn request_end(&self) {
        if !self.request.ended.get() {
            self.request.end.notified().await;
        }
    }

    /// The request's own fault, when sending it failed.
    pub(crate) fn request_fault(&self) -> Option<Rejection> {
        match self.request.fault.get()? {
            RequestFault::TooLarge => Some(Rejection::Malformed(Malformed::BodyTooLarge)),
            RequestFault::Broke => Some(match self.connection.guard().refused_body() {
                Some(malformed) => Rejection::Malformed(malformed),
                None => Rejection::ClientGone,
            }),
        }
    }

    // The answer.

    /// What is known of an allowed request.
    pub(crate) fn granted(&self, granted: Granted) {
        let Granted {
            head,
            route,
            principal,
            caller,
            observed,
            ..
        } = granted;
        *self.observed.borrow_mut() = observed;
        self.forwarded.set(self.worker.coarse());
        *self.facts.borrow_mut() = Facts {
            head: Some(head),
            as_read: None,
            route: Some(route),
            principal,
            caller,
        };
    }

    /// It goes to the upstream with a token of this credential.
    pub(crate) fn attached(&self, credential: &Arc<str>) {
        *self.credential.borrow_mut() = Some(Arc::clone(credential));
    }

    /// It is sent again with another token.
    pub(crate) fn sent_again(&self) {
        self.sent_again.set(true);
        self.stop_sending();
        if let Some(counters) = self.upstream_counters() {
            counters.replays.increment();
        }
    }

    pub(crate) fn refused(&self, rejection: Rejection, facts: Option<Facts>, status: StatusCode) {
        if let Some(facts) = facts {
            self.ends_with(facts);
        }
        *self.rejection.borrow_mut() = Some(rejection);
        self.status.set(status.as_u16());
    }

    /// An answer of ours that is no refusal.
    pub(super) fn answered(&self, facts: Facts, status: StatusCode) {
        self.ends_with(facts);
        self.status.set(status.as_u16());
    }

    /// What is known of a request that goes no further.
    fn ends_with(&self, mut facts: Facts) {
        if let Some(head) = &mut facts.head {
            self.traced(&mut head.headers);
        }
        *self.facts.borrow_mut() = facts;
    }

    pub(crate) fn upstream_answered(&self, status: StatusCode) {
        self.status.set(status.as_u16());
        self.response
            .upstream_head
            .set(Some(self.worker.shared.clock.tick()));
    }

    pub(crate) fn response_bytes(&self, bytes: u64) {
        self.response
            .bytes
            .set(self.response.bytes.get().saturating_add(bytes));
        self.response.handed_over.set(Some(self.worker.coarse()));
    }

    pub(crate) fn upstream_waits(&self) {
        self.response.handed_over.set(None);
    }

    /// The last of the answer is with hyper. The reader has not taken it yet: a window of nothing can keep it there.
    pub(crate) fn response_ended(&self) {
        if self.end.get().is_none() {
            self.end.set(Some(End::Complete));
        }
    }

    /// The upstream's answer has ended. Its connection is used again if the request had ended before: an upstream that
    /// answers without having read the body may take it for the next request, and its answer to that one would be the
    /// next caller's.
    pub(crate) fn answer_passed(&self, lease: Option<Lease>) {
        self.response_ended();
        if self.request.ended.get() {
            if let Some(lease) = lease {
                lease.give_back(self.coarse());
            }
        } else {
            self.request.lingers.set(Some(self.worker.coarse()));
            *self.request.lease.borrow_mut() = lease;
        }
    }

    /// Since when a request has brought nothing, or its upstream taken nothing, although its answer has ended.
    pub(super) fn lingers_since(&self) -> Option<Tick> {
        let request = &self.request;
        let over = request.ended.get() && request.held.get() == 0;
        request.lingers.get().filter(|_| !over)
    }

    /// The rest of the request is not waited for any more.
    pub(super) fn give_up(&self) {
        let lease = self.request.lease.take();
        if self.request.ended.get() {
            // The caller has done its part, and may go on with the connection.
            return self.stop_sending();
        }
        if !lease.is_some_and(Lease::abandon) {
            self.close();
        }
    }

    /// Ends the stream, where the connection is shared with others, or the connection.
    fn close(&self) {
        let Some(stream) = &self.stream else {
            return self.connection.kill();
        };
        stream.cut();
        self.stop_sending();
    }

    /// An upstream connection that is shared holds the body, and with that the stream.
    fn stop_sending(&self) {
        if let Some(sending) = self.request.sending.take() {
            sending.cut();
        }
    }

    /// The head of the answer is with hyper.
    pub(super) fn answer_begins(&self) {
        self.response.begun.set(true);
        self.connection.guard().answer_began();
    }

    /// The caller has the answer, or will not have it.
    pub(crate) fn answer_over(&self) {
        self.response.handed_over.set(None);
        if !self.response.over.replace(true) {
            self.connection.answer_ended();
            if self.request.ended.get() && self.request.held.get() > 0 {
                self.request.lingers.set(Some(self.worker.coarse()));
            }
        }
    }

    /// The reader takes nothing.
    pub(super) fn stalled(&self) {
        self.end.set(Some(End::Stalled));
        self.close();
    }

    pub(crate) fn upstream_broke(&self) {
        self.end.set(Some(End::UpstreamBroke));
    }

    pub(crate) fn expired(&self) {
        self.end.set(Some(End::Expired));
    }

    pub(crate) fn upgraded(&self, tunnel: impl Future<Output = ()> + 'static) {
        self.response.upgraded.set(true);
        self.connection.upgraded(Box::pin(tunnel));
    }

    /// Since when a reader has taken nothing although bytes wait for it: the caller, or an upstream that has already
    /// answered (one that has not is forwarding's affair, which answers in its stead).
    pub(super) fn stalled_since(&self) -> Option<Tick> {
        let upstream = self.request_undelivered_since();
        let answered = self.response.upstream_head.get();
        self.response
            .handed_over
            .get()
            .or(upstream.filter(|_| answered.is_some()))
    }

    pub(super) fn connection(&self) -> &ConnectionState {
        &self.connection
    }
}

impl Exchange {
    /// What ended a request that has neither a refusal nor the head of an answer: its caller left, or a bug of ours. It
    /// was not allowed, whatever became of the decision.
    fn cut(&self) -> Option<Rejection> {
        let answered = self.status.get() != 0 || self.rejection.borrow().is_some();
        (!answered).then(|| {
            if std::thread::panicking() {
                Rejection::Internal
            } else {
                Rejection::ClientGone
            }
        })
    }

    /// Whether there was somebody to answer: a body that breaks off because of a reset may be seen before the reset, and
    /// is answered to nobody.
    fn was_answered(&self) -> bool {
        let gone = matches!(*self.rejection.borrow(), Some(Rejection::ClientGone));
        self.response.begun.get() && !gone
    }

    fn record(&self) {
        let Some(recorder) = self.worker.recorder(self.connection.listener()) else {
            return;
        };
        let now = self.worker.now();
        if recorder.traces() && self.trace.borrow().is_none() {
            // Its fields were never read: a trace of its own.
            self.traced(&mut HeaderMap::new());
        }
        let facts = self.facts.borrow();
        let rejection = self.rejection.borrow();
        let cut = self.cut();
        let rejection = rejection.as_ref().or(cut.as_ref());
        let observed = self.observed.borrow();
        let trace = self.trace.borrow();
        let credential = self.credential.borrow();
        let decision = Decision::of(rejection);
        // Formatted only for a record that is written.
        let written = recorder.writes(decision) || observed.is_some();
        let id = written.then(|| self.id());
        let upgrade = facts
            .head
            .as_ref()
            .filter(|_| self.response.upgraded.get())
            .and_then(|head| head.upgrade.as_ref());
        let outcome = Outcome {
            request_id: id.as_ref().map_or("", RequestId::as_str),
            generation: self.generation,
            trace_id: trace.as_deref(),
            span: self.span.get(),
            rejection,
            observed: observed.as_ref(),
            credential: credential.as_deref(),
            replayed: self.sent_again.get(),
            status: match &cut {
                Some(cut) => cut.status().as_u16(),
                None => self.status.get(),
            },
            peer: Some(self.connection.facts().peer),
            duration: now.tick.since(self.started),
            upstream: self
                .response
                .upstream_head
                .get()
                .map(|head| head.since(self.forwarded.get())),
            bytes_in: self.request.bytes.get(),
            bytes_out: self.response.bytes.get(),
            upgrade: upgrade.and_then(|value| value.to_str().ok()),
            end: self
                .end
                .get()
                .unwrap_or_else(|| match self.worker.shared.drain.phase() {
                    Phase::Ended => End::Drained,
                    _ => End::ClientGone,
                }),
        };
        recorder.ended(&facts, &outcome, now);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.answer_over();
        self.connection.request_over(self.was_answered());
        if self.admitted.get() {
            self.worker.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
        self.record();
        self.place.borrow_mut().take();
        self.worker.somebody_left();
    }
}
