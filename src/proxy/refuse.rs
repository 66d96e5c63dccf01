//! The end of a request that does not pass: an answer of ours, and a bounded discarding of what the caller still sends.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderValue, Response, header};
use http_body::Body;
use hyper::body::Incoming;

use super::answer::AnswerContext;
use super::body::{ResponseBody, Sealed};
use super::exchange::Exchange;
use super::metadata::ResourceMetadata;
use super::way::Way;
use super::worker::ConnectionState;
use crate::authz::Routed;
use crate::clock::Clock;
use crate::rejection::Rejection;
use crate::request::{Canonical, Facts, Refused};
use crate::snapshot::Listener;

/// Most bytes of a refused body that are read and thrown away, so that the caller can read the answer.
const DISCARD_BYTES: u64 = 1024 * 1024;
/// Longest time for that.
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// A request whose way ended before the upstream's answer.
#[derive(Debug)]
pub(crate) struct Ended(Box<Inner>);

#[derive(Debug)]
struct Inner {
    rejection: Rejection,
    facts: Option<Facts>,
    body: Option<Incoming>,
}

impl From<Box<Refused<Sealed>>> for Ended {
    fn from(refused: Box<Refused<Sealed>>) -> Self {
        let (rejection, facts, sealed) = refused.into_parts();
        Self::new(rejection, Some(facts), Some(sealed.body))
    }
}

impl From<Rejection> for Ended {
    fn from(rejection: Rejection) -> Self {
        Self::new(rejection, None, None)
    }
}

impl Ended {
    fn new(rejection: Rejection, facts: Option<Facts>, body: Option<Incoming>) -> Self {
        Self(Box::new(Inner {
            rejection,
            facts,
            body,
        }))
    }

    pub(super) fn with_body(rejection: Rejection, body: Incoming) -> Self {
        Self::new(rejection, None, Some(body))
    }

    /// Makes the answer and sees to the rest of the body.
    pub(super) fn answer(
        self,
        way: &Way<'_>,
        origin: Option<&HeaderValue>,
        is_head: bool,
    ) -> Response<ResponseBody> {
        let Way {
            snapshot,
            connection,
            exchange,
            ..
        } = way;
        let Inner {
            rejection,
            facts,
            body,
        } = *self.0;
        failpoint!(
            Render,
            Response::new(ResponseBody::ours(bytes::Bytes::new(), Rc::clone(exchange)))
        );
        let route = facts.as_ref().and_then(|facts| facts.route.as_ref());
        let listener = snapshot.listener(connection.listener());
        let template = route
            .and_then(|route| route.answers())
            .or(listener.and_then(|listener| listener.settings.answers.as_ref()));
        let id = exchange.id();
        let context = AnswerContext {
            request_id: id.as_str(),
            head: is_head,
            cors: listener
                .and_then(|listener| listener.cors.as_ref())
                .map(|cors| (cors, origin)),
            schemes: listener.map(|listener| &listener.schemes),
        };
        let mut answer = snapshot.answers.get(template).render(&rejection, &context);
        way.onlooker
            .refuse(&rejection, route, &snapshot.config, &mut answer);
        let mut answer = answer.map(|bytes| ResponseBody::ours(bytes, Rc::clone(exchange)));
        let unread = body.filter(|body| !body.is_end_stream());
        if unread.is_some() || closes(&rejection) {
            connection.close_after(answer.headers_mut());
        }
        exchange.refused(rejection, facts, answer.status());
        if let Some(body) = unread {
            tokio::task::spawn_local(discard(body, exchange.clock().clone()));
        }
        answer
    }
}

/// Our answer to a preflight (`preflight: answer`).
pub(super) fn preflight(
    routed: Routed<Sealed>,
    listener: &Listener,
    exchange: &Rc<Exchange>,
) -> Response<ResponseBody> {
    let methods = HeaderValue::from_str(routed.route().allowed_methods())
        .unwrap_or(HeaderValue::from_static(""));
    let origin = routed.head().headers().get(header::ORIGIN);
    let answer = match &listener.cors {
        Some(cors) => cors.answer_preflight(&methods, origin, exchange.id().as_str()),
        None => Response::new(bytes::Bytes::new()),
    };
    let (facts, _nothing) = routed.end();
    ours(answer, facts, exchange)
}

/// Our answer to a request for metadata.
pub(super) fn metadata(
    request: Canonical<Sealed>,
    metadata: &ResourceMetadata,
    listener: &Listener,
    exchange: &Rc<Exchange>,
) -> Result<Response<ResponseBody>, Box<Refused<Sealed>>> {
    let id = exchange.id();
    match metadata.answer(request.head(), listener.cors.as_ref(), id.as_str()) {
        Ok(answer) => {
            let (facts, _nothing) = request.end();
            Ok(ours(answer, facts, exchange))
        }
        Err(rejection) => Err(request.refuse(rejection)),
    }
}

/// An answer of ours that is no refusal, to a request without a body.
fn ours(
    answer: Response<bytes::Bytes>,
    facts: Facts,
    exchange: &Rc<Exchange>,
) -> Response<ResponseBody> {
    exchange.answered(facts, answer.status());
    answer.map(|bytes| ResponseBody::ours(bytes, Rc::clone(exchange)))
}

/// After a message that was not HTTP, or a refused upgrade, nothing that follows on the connection is a request.
const fn closes(rejection: &Rejection) -> bool {
    matches!(
        rejection,
        Rejection::Malformed(_)
            | Rejection::BodyTimeout
            | Rejection::UpstreamUnreachable
            | Rejection::Internal
    )
}

impl ConnectionState {
    /// Says that the connection closes after this answer; HTTP/2 has no such field (RFC 9113 section 8.2.2).
    pub(super) fn close_after(&self, headers: &mut http::HeaderMap) {
        if !self.is_http2() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

async fn discard(mut body: Incoming, clock: Clock) {
    let reading = async {
        failpoint!(async Discard);
        let mut left = DISCARD_BYTES;
        while let Some(Ok(frame)) =
            std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await
        {
            let length = frame.data_ref().map_or(0, bytes::Bytes::len);
            match left.checked_sub(u64::try_from(length).unwrap_or(u64::MAX)) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    tokio::select! {
        () = reading => {}
        () = clock.sleep(DISCARD_TIME) => {}
    }
}

/// Turns a panic inside the request path into a refusal: one request's bug must not end the others, nor pass.
pub(super) fn contain_panics<F, T>(future: F) -> impl Future<Output = Result<T, Ended>>
where
    F: Future<Output = Result<T, Ended>>,
{
    Contained { future }
}

pin_project_lite::pin_project! {
    struct Contained<F> {
        #[pin]
        future: F,
    }
}

impl<F, T> Future for Contained<F>
where
    F: Future<Output = Result<T, Ended>>,
{
    type Output = Result<T, Ended>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.project().future;
        std::panic::catch_unwind(AssertUnwindSafe(|| future.poll(cx)))
            .unwrap_or_else(|_| Poll::Ready(Err(Ended::from(Rejection::Internal))))
    }
}
