//! Bodies as they pass: counted, bounded, never collected.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::exchange::Exchange;
use super::refuse::Ended;
use super::worker::ConnectionState;
use crate::rejection::Rejection;
use crate::request::{ReservedNames, is_reserved_spelling};
use crate::upstream::Lease;

/// What a canonical request carries along, sealed: the unread body and the handle for an upgrade.
#[derive(Debug)]
pub struct Sealed {
    pub(crate) body: Incoming,
    pub(crate) upgrade: Option<OnUpgrade>,
}

impl Sealed {
    /// Takes a request apart, unless it is the guard's stand-in for bytes that were no request.
    pub(super) fn take(
        request: http::Request<Incoming>,
        connection: &ConnectionState,
    ) -> Result<(http::request::Parts, Self), Ended> {
        let (mut parts, body) = request.into_parts();
        if let Some(malformed) = connection.guard().verdict(&parts.method) {
            return Err(Ended::with_body(Rejection::Malformed(malformed), body));
        }
        let upgrade = parts.extensions.remove::<OnUpgrade>();
        Ok((parts, Self { body, upgrade }))
    }
}

/// Why a body ends early.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The other side's fault, or it went away.
    #[error(transparent)]
    Http(#[from] hyper::Error),
    /// The request body is larger than the route allows.
    #[error("request body too large")]
    TooLarge,
    /// The stream's token expired (`end_at_expiry`).
    #[error("token expired")]
    Expired,
}

/// Pieces that others follow and that fill less of hyper's buffer than this are copied out of it.
const WORTH_A_BUFFER: usize = 24 * 1024;

/// A piece as received keeps the whole buffer that it was read into: a few small ones, waiting for a reader, would hold
/// many times their size (INVARIANTS 58).
fn let_go(piece: Bytes) -> Bytes {
    if piece.len() < WORTH_A_BUFFER {
        Bytes::copy_from_slice(&piece)
    } else {
        piece
    }
}

/// A request body on its way to the upstream.
///
/// Trailers end here: a trailer field could say what we stripped from the head (INVARIANTS 21).
#[derive(Debug)]
pub struct RequestBody {
    incoming: Option<Incoming>,
    exchange: Rc<Exchange>,
    left: u64,
    /// Where what passes is kept; where there is no body to pass, what is sent again.
    keep: Option<Rc<Keep>>,
}

/// The body of a request as far as it has passed, to be sent again; nothing once it became larger than it may.
#[derive(Debug)]
pub(crate) struct Keep {
    most: usize,
    bytes: RefCell<Option<Vec<u8>>>,
}

impl Keep {
    fn add(&self, data: &[u8]) {
        let mut bytes = self.bytes.borrow_mut();
        let fits = |kept: &Vec<u8>| kept.len().saturating_add(data.len()) <= self.most;
        match &mut *bytes {
            Some(kept) if fits(kept) => kept.extend_from_slice(data),
            _ => *bytes = None,
        }
    }

    /// Whether all that has passed is kept.
    pub(crate) fn is_whole(&self) -> bool {
        self.bytes.borrow().is_some()
    }

    fn len(&self) -> usize {
        self.bytes.borrow().as_ref().map_or(0, Vec::len)
    }

    fn take(&self) -> Option<Bytes> {
        let kept = self.bytes.take().filter(|kept| !kept.is_empty());
        kept.map(Bytes::from)
    }
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, exchange: Rc<Exchange>, limit: Option<u64>) -> Self {
        let incoming = (!incoming.is_end_stream()).then_some(incoming);
        if incoming.is_none() {
            exchange.request_ended();
        }
        let mut body = Self::none(exchange);
        body.incoming = incoming;
        body.left = limit.unwrap_or(u64::MAX);
        body
    }

    /// Where this body can be kept as it passes: it is no larger than `most`, as far as is known now (`declared`).
    pub(crate) fn keep(&self, declared: u64, most: usize) -> Option<Rc<Keep>> {
        let declared = usize::try_from(declared).unwrap_or(usize::MAX);
        let keeps = self.incoming.is_some() && declared <= most && most > 0;
        keeps.then(|| {
            Rc::new(Keep {
                most,
                bytes: RefCell::new(Some(Vec::with_capacity(declared))),
            })
        })
    }

    /// This body, kept as it passes.
    pub(crate) fn kept_in(mut self, keep: &Option<Rc<Keep>>) -> Self {
        self.keep = keep.clone();
        self
    }

    /// What was kept of a body that has passed, once more.
    pub(crate) fn again(keep: Option<Rc<Keep>>, exchange: Rc<Exchange>) -> Self {
        let mut body = Self::none(exchange);
        body.keep = keep;
        body
    }

    /// The body of a request that has none.
    pub(crate) fn none(exchange: Rc<Exchange>) -> Self {
        exchange.request_held();
        Self {
            incoming: None,
            exchange,
            left: 0,
            keep: None,
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.exchange.request_let_go();
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.exchange.request_polled();
        let Some(incoming) = &mut self.incoming else {
            let again = self.keep.as_ref().and_then(|keep| keep.take());
            return Poll::Ready(again.map(|bytes| Ok(Frame::data(bytes))));
        };
        let frame = match poll_request(incoming, cx) {
            Poll::Pending => {
                self.exchange.request_awaited();
                return Poll::Pending;
            }
            Poll::Ready(Some(Err(error))) => {
                self.exchange.request_broke();
                return Poll::Ready(Some(Err(error)));
            }
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(None) => {
                self.exchange.request_ended();
                return Poll::Ready(None);
            }
        };
        let Ok(data) = frame.into_data() else {
            self.exchange.request_ended();
            return Poll::Ready(None);
        };
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        let Some(left) = self.left.checked_sub(length) else {
            self.exchange.request_too_large();
            return Poll::Ready(Some(Err(BodyError::TooLarge)));
        };
        self.left = left;
        if let Some(keep) = &self.keep {
            keep.add(&data);
        }
        self.exchange.request_bytes(length);
        if self.is_end_stream() {
            self.exchange.request_ended();
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        Poll::Ready(Some(Ok(Frame::data(let_go(data)))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.incoming {
            Some(incoming) => incoming.is_end_stream(),
            None => self.keep.as_ref().is_none_or(|keep| keep.len() == 0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let kept = || self.keep.as_ref().map_or(0, |keep| keep.len());
        match &self.incoming {
            Some(incoming) => incoming.size_hint(),
            None => SizeHint::with_exact(u64::try_from(kept()).unwrap_or(u64::MAX)),
        }
    }
}

fn poll_request(
    incoming: &mut Incoming,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
    failpoint!(poll RequestBody, Poll::Ready(Some(Err(BodyError::Expired))));
    Pin::new(incoming)
        .poll_frame(cx)
        .map(|frame| frame.map(|frame| frame.map_err(Into::into)))
}

/// A response body on its way to the caller. The exchange ends when it is dropped.
#[derive(Debug)]
pub struct ResponseBody {
    kind: Kind,
    exchange: Rc<Exchange>,
}

#[derive(Debug)]
enum Kind {
    Ours(Option<Bytes>),
    Theirs(Box<Theirs>),
}

#[derive(Debug)]
struct Theirs {
    incoming: Incoming,
    lease: Option<Lease>,
    trailers: Option<Arc<ReservedNames>>,
    expiry: Option<Expiry>,
    released: bool,
}

/// The end of a stream that ends with its token.
pub(crate) struct Expiry(Pin<Box<dyn Future<Output = ()>>>);

impl Expiry {
    pub(crate) fn new(until: impl Future<Output = ()> + 'static) -> Self {
        Self(Box::pin(until))
    }

    /// Waits for the end.
    pub(crate) async fn reached(self) {
        self.0.await;
    }
}

impl std::fmt::Debug for Expiry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Expiry")
    }
}

/// How an upstream's body passes.
#[derive(Debug, Default)]
pub(crate) struct Passage {
    /// Trailers pass (gRPC), save reserved names.
    pub(crate) trailers: Option<Arc<ReservedNames>>,
    /// When this future ends, so does the stream.
    pub(crate) expiry: Option<Expiry>,
}

impl ResponseBody {
    /// A body of ours.
    pub(crate) const fn ours(bytes: Bytes, exchange: Rc<Exchange>) -> Self {
        Self {
            kind: Kind::Ours(Some(bytes)),
            exchange,
        }
    }

    /// The upstream's body; `lease` returns its connection to the pool when both messages ended cleanly.
    pub(crate) fn theirs(
        incoming: Incoming,
        lease: Option<Lease>,
        passage: Passage,
        exchange: Rc<Exchange>,
    ) -> Self {
        let Passage { trailers, expiry } = passage;
        Self {
            kind: Kind::Theirs(Box::new(Theirs {
                incoming,
                lease,
                trailers,
                expiry,
                released: false,
            })),
            exchange,
        }
    }
}

impl Theirs {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &Exchange,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(expiry) = &mut self.expiry
            && expiry.0.as_mut().poll(cx).is_ready()
        {
            exchange.expired();
            return Poll::Ready(Some(Err(BodyError::Expired)));
        }
        failpoint!(poll ResponseBody, Poll::Ready(Some(Err(BodyError::Expired))));
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Pending => {
                exchange.upstream_waits();
                Poll::Pending
            }
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    exchange.response_bytes(u64::try_from(data.len()).unwrap_or(u64::MAX));
                } else {
                    self.release(exchange);
                    return Poll::Ready(self.trailers(frame).map(Ok));
                }
                if self.incoming.is_end_stream() {
                    self.release(exchange);
                    return Poll::Ready(Some(Ok(frame)));
                }
                let frame = frame.map_data(let_go);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                exchange.upstream_broke();
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                self.release(exchange);
                Poll::Ready(None)
            }
        }
    }

    fn trailers(&self, frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
        let reserved = self.trailers.as_deref()?;
        let trailers = frame.into_trailers().ok()?;
        let passing = trailers
            .iter()
            .filter(|(name, _)| !is_reserved_spelling(name.as_str(), reserved))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Some(Frame::trailers(passing))
    }

    fn release(&mut self, exchange: &Exchange) {
        if !std::mem::replace(&mut self.released, true) {
            exchange.answer_passed(self.lease.take());
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        match &mut this.kind {
            Kind::Ours(bytes) => {
                let frame = bytes.take().filter(|bytes| !bytes.is_empty());
                if let Some(bytes) = &frame {
                    this.exchange
                        .response_bytes(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                }
                this.exchange.response_ended();
                Poll::Ready(frame.map(|bytes| Ok(Frame::data(bytes))))
            }
            Kind::Theirs(theirs) => theirs.poll_frame(cx, &this.exchange),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Ours(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Kind::Theirs(theirs) => theirs.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Ours(bytes) => SizeHint::with_exact(
                bytes
                    .as_ref()
                    .map_or(0, |bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            ),
            Kind::Theirs(theirs) => theirs.incoming.size_hint(),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // A response without a body (204, 304, HEAD) is never polled.
        match &mut self.kind {
            Kind::Theirs(theirs) if theirs.incoming.is_end_stream() => {
                theirs.release(&self.exchange)
            }
            Kind::Ours(None) => self.exchange.response_ended(),
            Kind::Ours(Some(bytes)) if bytes.is_empty() => self.exchange.response_ended(),
            Kind::Theirs(_) | Kind::Ours(Some(_)) => {}
        }
        self.exchange.answer_over();
    }
}
