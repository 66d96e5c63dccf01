//! Forwarding: the one call site that sends a request upstream.

use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;

use super::pool::{Connection, Lease, Pool};
use super::{Opener, UpstreamAddress, response, trace, tunnel};
use crate::authz::Granted;
use crate::identity::{IdentityHeaders, Vouched};
use crate::proxy::{Exchange, Expiry, Passage, RequestBody, ResponseBody, Sealed};
use crate::rejection::{Malformed, Rejection};
use crate::request::Head;
use crate::snapshot::Listener;

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Fields that a hop adds, identity included.
const OWN_FIELDS: usize = 12;

/// Sends a vouched request to the upstream and passes its answer. Accepts nothing else.
///
/// # Errors
/// The upstream does not answer, or not in a form that can be passed on; the request body broke rules.
pub(crate) async fn forward(
    vouched: Vouched<Sealed>,
    listener: &Listener,
    pool: &Pool,
    exchange: &Rc<Exchange>,
) -> Result<Response<ResponseBody>, Rejection> {
    let (mut granted, identity, sealed) = vouched.open(&Opener(()));
    let Sealed { body, upgrade } = sealed;
    failpoint!(Open, Err(Rejection::Internal));
    let limit = granted
        .route
        .body_bytes()
        .or(listener.settings.limits.body_bytes);
    let passage = passage(&granted, listener, exchange);
    let headers = headers(&mut granted, &identity, listener, exchange);
    let declared = granted
        .head
        .content_length
        .unwrap_or_else(|| body.size_hint().lower());
    let request = head(&granted, headers);
    let (wanted, route) = (granted.head.upgrade.clone(), Arc::clone(&granted.route));
    exchange.granted(granted);
    failpoint!(Head, Err(Rejection::Internal));
    if limit.is_some_and(|limit| declared > limit) {
        return Err(Rejection::Malformed(Malformed::BodyTooLarge));
    }
    let request = request.map(|()| RequestBody::new(body, Rc::clone(exchange), limit));
    let deadline = route
        .response_timeout()
        .or(listener.settings.timeouts.upstream_response);
    let sending = Sending {
        pool,
        listener,
        exchange,
    };
    let (answer, lease) = sending.watched(request, deadline).await?;
    failpoint!(Answer, Err(Rejection::UpstreamInvalid));
    exchange.upstream_answered(answer.status());
    let (mut parts, body) = answer.into_parts();
    if response::quarrels(&parts.headers) {
        return Err(Rejection::UpstreamInvalid);
    }
    parts.version = Version::HTTP_11;
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        let answer = Response::from_parts(parts, body);
        return tunnel::open(
            answer,
            wanted,
            upgrade,
            &listener.rules.reserved,
            passage,
            lease,
            exchange,
        );
    }
    response::sanitise(&mut parts.headers, &listener.rules.reserved, route.grpc());
    let body = ResponseBody::theirs(body, lease, passage, Rc::clone(exchange));
    Ok(Response::from_parts(parts, body))
}

fn passage(granted: &Granted, listener: &Listener, exchange: &Exchange) -> Passage {
    let mut passage = Passage {
        trailers: granted
            .route
            .grpc()
            .then(|| Arc::clone(&listener.rules.reserved)),
        expiry: None,
    };
    if let Some(until) = granted.until.filter(|_| granted.route.end_at_expiry()) {
        let clock = exchange.clock().clone();
        passage.expiry = Some(Expiry::new(
            async move { clock.sleep_until_unix(until).await },
        ));
    }
    passage
}

/// The fields that go upstream: the client's, those of the hop, and last the identity, which replaces all.
fn headers(
    granted: &mut Granted,
    identity: &IdentityHeaders,
    listener: &Listener,
    exchange: &Exchange,
) -> HeaderMap {
    let mut headers = std::mem::take(&mut granted.head.headers);
    for name in &listener.rules.actor_headers {
        headers.remove(name);
    }
    // Ours come in beside the client's: grow once.
    headers.reserve(OWN_FIELDS);
    let head = &granted.head;
    if head.authorization_is_hop {
        // The route forwards `Authorization`, but the client said that it ends here (RFC 9110 section 7.6.1).
        headers.remove(AUTHORIZATION);
    }
    trace::sift(&mut headers);
    exchange.traced(&mut headers);
    headers.remove(CONTENT_LENGTH);
    headers.insert(HOST, head.authority.written.clone());
    exchange.forwarded_for(head, &mut headers);
    if !(head.trusted_peer && headers.contains_key(&X_FORWARDED_PROTO)) {
        let scheme = if head.connection().tls {
            "https"
        } else {
            "http"
        };
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
    }
    let id = exchange.id_value(&headers, head.trusted_peer);
    headers.insert(X_REQUEST_ID, id);
    if granted.route.grpc() && head.te_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if let Some(protocol) = &head.upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol.clone());
    }
    frame(head, &mut headers);
    identity.set_on(&mut headers);
    headers
}

/// hyper frames the body anew (INVARIANTS 24): one canonical Content-Length, or chunked. What it would leave out is said
/// here.
fn frame(head: &Head, headers: &mut HeaderMap) {
    match head.content_length {
        // Nothing is said of an empty body, and some upstreams refuse a POST that says nothing (411).
        Some(0) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        // A GET or HEAD would lose a body of unknown length.
        None if head.body_follows => {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        _ => {}
    }
}

fn head(granted: &Granted, headers: HeaderMap) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = granted.head.method.clone();
    *request.uri_mut() = granted.head.path.target.clone().into();
    *request.headers_mut() = headers;
    request
}

struct Sending<'a> {
    pool: &'a Pool,
    listener: &'a Listener,
    exchange: &'a Rc<Exchange>,
}

type Answer = (Response<Incoming>, Option<Lease>);

impl Sending<'_> {
    /// Sends under the deadlines that apply: none for a request without a body and without a response timeout.
    async fn watched(
        &self,
        request: Request<RequestBody>,
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

    async fn send(&self, request: Request<RequestBody>) -> Result<Answer, Rejection> {
        let (now, timeouts) = (
            self.exchange.clock().tick(),
            &self.listener.settings.timeouts,
        );
        let mut request = request;
        let counters = self.exchange.upstream_counters();
        if let Some(connection) = self.pool.reuse(now, timeouts.upstream_idle).await {
            if let Some(counters) = counters {
                counters.reused.increment();
            }
            match self.send_on(connection, request).await {
                Ok(answer) => return Ok(answer),
                Err(Unsent::Final(rejection)) => return Err(rejection),
                Err(Unsent::Again(again)) => request = *again,
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
        match self.send_on(connection, request).await {
            Ok(answer) => Ok(answer),
            Err(Unsent::Final(rejection)) => Err(rejection),
            Err(Unsent::Again(_)) => Err(Rejection::UpstreamUnreachable),
        }
    }

    async fn send_on(
        &self,
        connection: Connection,
        request: Request<RequestBody>,
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
                let sent = sender.try_send_request(for_http2(request, tls)).await;
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
                let spare = (reused && self.exchange.request_has_ended())
                    .then(|| replayable(&request))
                    .flatten();
                connection.meter.expect_head();
                failpoint!(async Send, Err(Unsent::Final(Rejection::UpstreamUnreachable)));
                match connection.sender.try_send_request(request).await {
                    Ok(answer) => {
                        connection.meter.head_came();
                        Ok((
                            answer,
                            Some(self.pool.lease(connection, self.exchange.clock())),
                        ))
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

fn replayable(request: &Request<RequestBody>) -> Option<Request<()>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD)
        || request.headers().contains_key(UPGRADE)
    {
        return None;
    }
    let mut spare = Request::new(());
    *spare.method_mut() = request.method().clone();
    *spare.uri_mut() = request.uri().clone();
    *spare.headers_mut() = request.headers().clone();
    Some(spare)
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
