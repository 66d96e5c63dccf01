//! Sending one request upstream: on a connection that is there or a new one, under the deadlines that apply.

use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use http::header::{CONNECTION, HOST, TRANSFER_ENCODING, UPGRADE};
use http::uri::Scheme;
use http::{Method, Request, Response, Version};
use http_body::Body as _;
use hyper::body::Incoming;

use super::UpstreamAddress;
use super::pool::{Connection, Lease, Pool};
use crate::credential::AccessToken;
use crate::proxy::{Exchange, RequestBody};
use crate::rejection::Rejection;
use crate::snapshot::Listener;

/// Where one request is sent.
#[derive(Clone, Copy)]
pub(super) struct Sending<'a> {
    pub(super) pool: &'a Pool,
    pub(super) listener: &'a Listener,
    pub(super) exchange: &'a Rc<Exchange>,
    /// The token that goes with it.
    pub(super) token: Option<&'a AccessToken>,
}

pub(super) type Answer = (Response<Incoming>, Option<Lease>);

impl Sending<'_> {
    /// Sends under the deadlines that apply: none for a request without a body and without a response timeout.
    pub(super) async fn watched(
        &self,
        request: Box<Request<RequestBody>>,
        deadline: Option<Duration>,
    ) -> Result<Answer, Rejection> {
        let mut sending = pin!(self.send(request));
        if deadline.is_none() && self.exchange.request_has_ended() {
            return sending.await;
        }
        // Boxed, as everything that few requests need: what every request needs stays small and is cheap to move.
        let overdue = Box::pin(self.overdue(deadline));
        tokio::select! {
            answer = sending.as_mut() => answer,
            rejection = overdue => Err(rejection),
        }
    }

    /// Ends when the body has stalled, or the answer is late.
    async fn overdue(&self, deadline: Option<Duration>) -> Rejection {
        let clock = self.exchange.clock();
        let timeouts = &self.listener.settings.timeouts;
        let most = timeouts.request_body_idle;
        loop {
            if self.exchange.request_has_ended() {
                let Some(deadline) = deadline else {
                    return std::future::pending().await;
                };
                clock.sleep(deadline).await;
                return Rejection::UpstreamTimeout;
            }
            let now = clock.tick();
            // An upstream that does not read is not the caller's fault, and must not hold both connections for ever:
            // that a caller has gone is not seen either while nothing is read (INVARIANTS 58, 59).
            let undelivered = self.exchange.request_undelivered_since();
            if undelivered.is_some_and(|since| now.since(since) >= timeouts.stalled_reader) {
                return Rejection::UpstreamTimeout;
            }
            let stalls = self.exchange.request_stalls_since();
            if stalls.is_some_and(|since| now.since(since) >= most) {
                return Rejection::BodyTimeout;
            }
            let due = match (undelivered, stalls) {
                (Some(since), _) => since.plus(timeouts.stalled_reader).min(now.plus(most)),
                (None, since) => since.unwrap_or(now).plus(most),
            };
            tokio::select! {
                () = clock.sleep_until(due) => {}
                () = self.exchange.request_end() => {}
            }
        }
    }

    async fn send(&self, mut request: Box<Request<RequestBody>>) -> Result<Answer, Rejection> {
        let (now, timeouts) = (self.exchange.coarse(), &self.listener.settings.timeouts);
        let counters = self.exchange.upstream_counters();
        if let Some(connection) = self
            .pool
            .reuse(&self.listener.target, now, timeouts.upstream_idle)
            .await
        {
            if let Some(counters) = counters {
                counters.reused.increment();
            }
            match self.send_on(connection, request).await {
                Ok(answer) => return Ok(answer),
                Err(Unsent::Final(rejection)) => return Err(rejection),
                Err(Unsent::Again(again)) => request = again,
            }
            if let Some(counters) = counters {
                counters.retries.increment();
            }
        }
        let connected = Box::pin(self.pool.connect(
            &self.listener.target,
            self.exchange.clock(),
            timeouts,
        ))
        .await;
        if let Some(counters) = counters {
            let outcome = match &connected {
                Ok(_) => &counters.opened,
                Err(_) => &counters.failed,
            };
            outcome.increment();
        }
        let connection = connected?;
        // Connecting takes time, and an expired token is never sent.
        let now = self.exchange.clock().now();
        if self.token.is_some_and(|token| !token.is_good(now)) {
            return Err(AccessToken::ended());
        }
        match self.send_on(connection, request).await {
            Ok(answer) => Ok(answer),
            Err(Unsent::Final(rejection)) => Err(rejection),
            Err(Unsent::Again(_)) => Err(Rejection::UpstreamUnreachable),
        }
    }

    async fn send_on(
        &self,
        connection: Connection,
        request: Box<Request<RequestBody>>,
    ) -> Result<Answer, Unsent> {
        match connection {
            Connection::Http2 {
                mut sender,
                stream,
                tasks,
            } => {
                self.exchange.request_shares(&tasks);
                let tls = matches!(
                    self.listener.settings.upstream.address,
                    UpstreamAddress::Https { .. }
                );
                failpoint!(async Send2, Err(Unsent::Final(Rejection::UpstreamUnreachable)));
                let sent = sender.try_send_request(for_http2(*request, tls)).await;
                sent.map(|answer| (answer, Some(Lease::of_stream(stream))))
                    .map_err(|mut error| match error.take_message() {
                        Some(request) => Unsent::Again(Box::new(request)),
                        None => Unsent::Final(self.fault(error.error())),
                    })
            }
            Connection::Http1 {
                mut connection,
                reused,
            } => {
                // RFC 9110 section 9.2.2: only what is safe and has no body may be sent twice, and only when
                // the connection was reused and brought no byte (it may have been closing).
                let spare = (reused && request.body().is_end_stream())
                    .then(|| replayable(&request))
                    .flatten();
                connection.meter.expect_head();
                failpoint!(async Send, Err(Unsent::Final(Rejection::UpstreamUnreachable)));
                match connection.sender.try_send_request(*request).await {
                    Ok(answer) => {
                        connection.meter.head_came();
                        Ok((answer, Some(self.pool.lease(connection))))
                    }
                    Err(mut error) => Err(match (error.take_message(), spare) {
                        (Some(request), _) => Unsent::Again(Box::new(request)),
                        (None, Some(spare)) if connection.meter.is_untouched() => Unsent::Again(
                            Box::new(spare.map(|()| RequestBody::none(Rc::clone(self.exchange)))),
                        ),
                        (None, _) => Unsent::Final(self.fault(error.error())),
                    }),
                }
            }
        }
    }

    fn fault(&self, error: &hyper::Error) -> Rejection {
        tracing::debug!(%error, "upstream.failed");
        if let Some(rejection) = self.exchange.request_fault() {
            return rejection;
        }
        if error.is_parse() || error.is_parse_too_large() || breaks_rules(error) {
            Rejection::UpstreamInvalid
        } else {
            Rejection::UpstreamUnreachable
        }
    }
}

/// What we read there is no answer: `Metered` says so.
fn breaks_rules(error: &hyper::Error) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|error| error.kind() == io::ErrorKind::InvalidData)
}

enum Unsent {
    /// Nothing was sent: it may be tried on another connection.
    Again(Box<Request<RequestBody>>),
    Final(Rejection),
}

fn replayable(request: &Request<RequestBody>) -> Option<Box<Request<()>>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD)
        || request.headers().contains_key(UPGRADE)
    {
        return None;
    }
    let mut spare = Request::new(());
    *spare.method_mut() = request.method().clone();
    *spare.uri_mut() = request.uri().clone();
    *spare.headers_mut() = request.headers().clone();
    Some(Box::new(spare))
}

/// HTTP/2 carries the authority in the target, not in `Host` (RFC 9113 section 8.3.1).
fn for_http2(mut request: Request<RequestBody>, tls: bool) -> Request<RequestBody> {
    let authority = request.headers_mut().remove(HOST);
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.authority =
        authority.and_then(|value| http::uri::Authority::try_from(value.as_bytes()).ok());
    if parts.authority.is_some() {
        parts.scheme = Some(if tls { Scheme::HTTPS } else { Scheme::HTTP });
    }
    if let Ok(uri) = http::Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    request.headers_mut().remove(CONNECTION);
    request.headers_mut().remove(TRANSFER_ENCODING);
    *request.version_mut() = Version::HTTP_2;
    request
}
