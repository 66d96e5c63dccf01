//! What every request meets, whichever way it goes: it begins, it is answered, and a panic is contained.

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::{Body as _, Incoming};

use super::body::{ResponseBody, Sealed};
use super::exchange::Exchange;
use super::refuse::Ended;
use super::stream::StreamTask;
use super::worker::{ConnectionState, Worker};
use crate::clock::Now;
use crate::explain::Onlooker;
use crate::rejection::Rejection;
use crate::request::Canonical;
use crate::snapshot::{Listener, Snapshot};

/// Answers one request of a connection; `stream` is its part of a connection that it shares.
///
/// The exchange begins here and not in the future: that of a caller who has gone meanwhile is dropped unpolled, and a
/// request must leave a record (INVARIANTS 70).
///
/// Boxed, as the request in it: hyper moves the future before it polls it, and keeps room for it in every connection that
/// is idle.
pub(crate) fn answer(
    worker: Rc<Worker>,
    connection: Rc<ConnectionState>,
    stream: Option<Rc<StreamTask>>,
    request: Request<Incoming>,
) -> Pin<Box<impl Future<Output = Result<Response<ResponseBody>, Infallible>>>> {
    let snapshot = worker.shared.snapshot.load_full();
    let now = worker.now();
    let exchange = Exchange::begin(&worker, &connection, stream, snapshot.generation, now.tick);
    let request = Box::new(request);
    Box::pin(pass(worker, connection, snapshot, exchange, request, now))
}

async fn pass(
    worker: Rc<Worker>,
    connection: Rc<ConnectionState>,
    snapshot: Arc<Snapshot>,
    exchange: Rc<Exchange>,
    request: Box<Request<Incoming>>,
    now: Now,
) -> Result<Response<ResponseBody>, Infallible> {
    let origin = request.headers().get(http::header::ORIGIN).cloned();
    let is_head = request.method() == http::Method::HEAD;
    let way = Way {
        worker: &worker,
        snapshot: &snapshot,
        connection: &connection,
        exchange: &exchange,
        onlooker: onlooker(&snapshot, &connection, &request, now),
    };
    let outcome = super::refuse::contain_panics(way.pass(request, now)).await;
    exchange.answer_begins();
    let mut answer = match outcome {
        Ok(answer) => answer,
        Err(ended) => ended.answer(&way, origin.as_ref(), is_head),
    };
    way.onlooker.sign(&mut answer);
    if worker.is_leaving() {
        connection.leave_after(&mut answer);
    }
    Ok(answer)
}

/// Whoever looks on, where the listener explains.
fn onlooker(
    snapshot: &Snapshot,
    connection: &ConnectionState,
    request: &Request<Incoming>,
    now: Now,
) -> Onlooker {
    let listener = snapshot.listener(connection.listener());
    match listener.filter(|listener| listener.settings.explain.to(connection.facts())) {
        None => Onlooker::default(),
        Some(listener) => Onlooker::at(
            request.method(),
            request.uri(),
            request.headers(),
            &listener.settings.name,
            now,
        ),
    }
}

/// One request's surroundings.
pub(super) struct Way<'a> {
    pub(super) worker: &'a Worker,
    pub(super) snapshot: &'a Snapshot,
    pub(super) connection: &'a ConnectionState,
    pub(super) exchange: &'a Rc<Exchange>,
    pub(super) onlooker: Onlooker,
}

impl Way<'_> {
    async fn pass(
        &self,
        request: Box<Request<Incoming>>,
        now: Now,
    ) -> Result<Response<ResponseBody>, Ended> {
        failpoint!(Snapshot, Err(Rejection::Internal.into()));
        let listener = self
            .snapshot
            .listener(self.connection.listener())
            .ok_or(Rejection::Internal)?;
        match &listener.outbound {
            None => self.inbound(listener, request, now).await,
            Some(outbound) => self.outbound(listener, outbound, request, now).await,
        }
    }

    /// The first step of every way: the one reading of the request.
    pub(super) fn read(
        &self,
        listener: &Listener,
        request: Box<Request<Incoming>>,
    ) -> Result<Canonical<Sealed>, Ended> {
        failpoint!(Take, Err(Rejection::Internal.into()));
        let (parts, sealed) = Sealed::take(*request, self.connection)?;
        self.exchange.admit(listener)?;
        failpoint!(Admit, Err(Rejection::Internal.into()));
        let body_follows = !sealed.body.is_end_stream();
        failpoint!(Read, Err(Rejection::Internal.into()));
        let facts = self.connection.facts();
        Ok(Canonical::parse(parts, sealed, facts, &listener.rules)?.with_body(body_follows))
    }
}
