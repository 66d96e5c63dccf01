//! The way of a request, from its head to the upstream and back.

use std::rc::Rc;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::{Body as _, Incoming};

use super::body::{ResponseBody, Sealed};
use super::exchange::Exchange;
use super::refuse::Ended;
use super::stream::StreamTask;
use super::worker::{ConnectionState, Worker};
use crate::authn::{self, Identified, Known};
use crate::authz::Routed;
use crate::clock::Now;
use crate::jwks::Obtained;
use crate::rejection::{Rejection, TokenFault};
use crate::request::{Canonical, Refused};
use crate::snapshot::{Inbound, Snapshot};
use crate::upstream;

/// Answers one request of a connection; `stream` is its part of a connection that it shares.
///
/// The exchange begins here and not in the future: that of a caller who has gone meanwhile is dropped unpolled, and a
/// request must leave a record (INVARIANTS 70).
pub(crate) fn answer(
    worker: Rc<Worker>,
    connection: Rc<ConnectionState>,
    stream: Option<Rc<StreamTask>>,
    request: Request<Incoming>,
) -> impl Future<Output = Response<ResponseBody>> {
    let snapshot = worker.shared.snapshot.load_full();
    let now = worker.now();
    let exchange = Exchange::begin(&worker, &connection, stream, snapshot.generation, now.tick);
    pass(worker, connection, snapshot, exchange, request, now)
}

async fn pass(
    worker: Rc<Worker>,
    connection: Rc<ConnectionState>,
    snapshot: Arc<Snapshot>,
    exchange: Rc<Exchange>,
    request: Request<Incoming>,
    now: Now,
) -> Response<ResponseBody> {
    let origin = request.headers().get(http::header::ORIGIN).cloned();
    let is_head = request.method() == http::Method::HEAD;
    let way = Way {
        worker: &worker,
        snapshot: &snapshot,
        connection: &connection,
        exchange: &exchange,
    };
    let outcome = super::refuse::contain_panics(way.pass(request, now)).await;
    exchange.answer_begins();
    let mut answer = match outcome {
        Ok(answer) => answer,
        Err(ended) => ended.answer(&snapshot, &connection, &exchange, origin.as_ref(), is_head),
    };
    if worker.is_leaving() {
        connection.leave_after(&mut answer);
    }
    answer
}

struct Way<'a> {
    worker: &'a Worker,
    snapshot: &'a Snapshot,
    connection: &'a ConnectionState,
    exchange: &'a Rc<Exchange>,
}

impl Way<'_> {
    /// The steps, in order. Each takes the value of the one before; none can be left out.
    async fn pass(
        &self,
        request: Request<Incoming>,
        now: Now,
    ) -> Result<Response<ResponseBody>, Ended> {
        failpoint!(Snapshot, Err(Rejection::Internal.into()));
        let inbound = self
            .snapshot
            .inbound(self.connection.listener())
            .ok_or(Rejection::Internal)?;
        failpoint!(Take, Err(Rejection::Internal.into()));
        let (parts, sealed) = Sealed::take(request, self.connection)?;
        self.exchange.admit(inbound)?;
        failpoint!(Admit, Err(Rejection::Internal.into()));
        let body_follows = !sealed.body.is_end_stream();
        failpoint!(Read, Err(Rejection::Internal.into()));
        let request = Canonical::parse(parts, sealed, self.connection.facts(), &inbound.rules)?
            .with_body(body_follows);
        failpoint!(Route, Err(Rejection::Internal.into()));
        let routed = request.route(&self.snapshot.policy, now)?;
        if routed.is_preflight_to_answer() {
            return Ok(self.answer_preflight(&routed, inbound));
        }
        let (known, now) = self.identify(routed, now).await?;
        failpoint!(Authorize, Err(Rejection::Internal.into()));
        let allowed = known.authorize(now)?;
        failpoint!(Vouch, Err(Rejection::Internal.into()));
        let vouched = allowed.vouch(&self.snapshot.identity, now)?;
        failpoint!(Pool, Err(Rejection::Internal.into()));
        let pool = self.worker.pool(inbound).ok_or(Rejection::Internal)?;
        Ok(upstream::forward(vouched, inbound, pool, self.exchange).await?)
    }

    fn answer_preflight(
        &self,
        routed: &Routed<Sealed>,
        inbound: &Inbound,
    ) -> Response<ResponseBody> {
        super::refuse::preflight(routed, inbound, self.exchange)
    }

    /// Verifies the credentials; waits for a key, once for each of the two tokens that a request may carry. Also gives
    /// the time, which has passed when a key was waited for.
    async fn identify(
        &self,
        routed: Routed<Sealed>,
        now: Now,
    ) -> Result<(Known<Sealed>, Now), Box<Refused<Sealed>>> {
        let issuers = &self.snapshot.issuers;
        let unknown = Rejection::InvalidToken(TokenFault::UnknownKey);
        let (mut routed, mut now) = (routed, now);
        for _ in 0..3 {
            failpoint!(Identify, Err(routed.refuse(Rejection::Internal)));
            // The cache is not held while waiting: other requests of this worker need it.
            let identified = authn::identify(routed, issuers, &mut self.worker.tokens(), now);
            let (waiting, wanted) = match identified {
                Identified::Known(known) => return Ok((known, now)),
                Identified::Rejected(refused) => return Err(refused),
                Identified::NeedsKey(waiting, wanted) => (waiting, wanted),
            };
            // Boxed: hardly any request waits, and every request would carry it.
            let obtained = Box::pin(self.worker.shared.keys.obtain(&wanted)).await;
            now = self.worker.now();
            let rejection = match obtained {
                Obtained::Refreshed => {
                    routed = waiting;
                    continue;
                }
                Obtained::Absent => unknown,
                Obtained::Unavailable { retry_after } => Rejection::KeysUnavailable { retry_after },
            };
            failpoint!(GiveUp, Err(waiting.refuse(Rejection::Internal)));
            return authn::give_up(waiting, rejection, issuers, now).map(|known| (known, now));
        }
        authn::give_up(routed, unknown, issuers, now).map(|known| (known, now))
    }
}
