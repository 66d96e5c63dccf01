//! What inbound and outbound forwarding share: from a granted request to what is sent, and from the upstream's answer to
//! what its caller gets.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::sending::Answer;
use super::{response, trace, tunnel};
use crate::authz::{Granted, Route};
use crate::proxy::{Exchange, Expiry, Passage, ResponseBody, Sealed};
use crate::rejection::{Malformed, Rejection};
use crate::request::Head;
use crate::snapshot::Listener;

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The client's fields without what each hop says anew. The hop's own come in beside them.
pub(super) fn clients_headers(
    granted: &mut Granted,
    host: &HeaderValue,
    exchange: &Exchange,
) -> HeaderMap {
    /// Fields that a hop adds, identity included.
    const OWN_FIELDS: usize = 12;
    let mut headers = std::mem::take(&mut granted.head.headers);
    // Ours come in beside the client's: grow once.
    headers.reserve(OWN_FIELDS);
    trace::sift(&mut headers);
    exchange.traced(&mut headers);
    headers.remove(CONTENT_LENGTH);
    headers.insert(http::header::HOST, host.clone());
    headers
}

/// Adds what this hop agrees on with the next one: trailers, an upgrade, the framing of the body.
pub(super) fn hop_headers(granted: &Granted, headers: &mut HeaderMap) {
    let head = &granted.head;
    if granted.route.grpc() && head.te_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if let Some(protocol) = &head.upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol.clone());
    }
    frame(head, headers);
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

/// A request that is ready to be sent.
pub(super) struct Outgoing<'a> {
    pub(super) head: Request<()>,
    pub(super) body: Incoming,
    /// Bytes of the body, as far as they are known before it comes.
    pub(super) declared: u64,
    /// Most bytes of it.
    pub(super) limit: Option<u64>,
    pub(super) passing: Passing<'a>,
}

/// How the answer passes.
pub(super) struct Passing<'a> {
    listener: &'a Listener,
    exchange: &'a Rc<Exchange>,
    route: Arc<Route>,
    wanted: Option<HeaderValue>,
    upgrade: Option<OnUpgrade>,
    passage: Passage,
}

impl<'a> Outgoing<'a> {
    /// Puts together what is sent. From here on the request counts as granted.
    ///
    /// # Errors
    /// It says that its body is larger than it may be.
    pub(super) fn new(
        granted: Granted,
        headers: HeaderMap,
        sealed: Sealed,
        listener: &'a Listener,
        exchange: &'a Rc<Exchange>,
    ) -> Result<Self, Rejection> {
        let Sealed { body, upgrade } = sealed;
        let limit = granted
            .route
            .body_bytes()
            .or(listener.settings.limits.body_bytes);
        let declared = granted
            .head
            .content_length
            .unwrap_or_else(|| body.size_hint().lower());
        let passing = Passing {
            listener,
            exchange,
            route: Arc::clone(&granted.route),
            wanted: granted.head.upgrade.clone(),
            upgrade,
            passage: passage(&granted, listener, exchange),
        };
        let head = head(&granted, headers);
        exchange.granted(granted);
        failpoint!(Head, Err(Rejection::Internal));
        if limit.is_some_and(|limit| declared > limit) {
            return Err(Rejection::Malformed(Malformed::BodyTooLarge));
        }
        Ok(Self {
            head,
            body,
            declared,
            limit,
            passing,
        })
    }
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

fn head(granted: &Granted, headers: HeaderMap) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = granted.head.method.clone();
    *request.uri_mut() = granted.head.path.target.clone().into();
    *request.headers_mut() = headers;
    request
}

impl Passing<'_> {
    /// How long the head of the answer may take.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let timeouts = &self.listener.settings.timeouts;
        self.route.response_timeout().or(timeouts.upstream_response)
    }

    /// Passes an answer on.
    ///
    /// # Errors
    /// It cannot be: its framing is not one, or it is an upgrade that nobody asked for.
    pub(super) fn pass(self, (answer, lease): Answer) -> Result<Response<ResponseBody>, Rejection> {
        failpoint!(Answer, Err(Rejection::UpstreamInvalid));
        self.exchange.upstream_answered(answer.status());
        let (mut parts, body) = answer.into_parts();
        if response::quarrels(&parts.headers) {
            return Err(Rejection::UpstreamInvalid);
        }
        parts.version = Version::HTTP_11;
        let reserved = &self.listener.rules.reserved;
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            let answer = Response::from_parts(parts, body);
            return tunnel::open(
                answer,
                self.wanted,
                self.upgrade,
                reserved,
                self.passage,
                lease,
                self.exchange,
            );
        }
        response::sanitise(&mut parts.headers, reserved, self.route.grpc());
        let body = ResponseBody::theirs(body, lease, self.passage, Rc::clone(self.exchange));
        Ok(Response::from_parts(parts, body))
    }
}
