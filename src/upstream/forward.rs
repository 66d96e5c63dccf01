//! Forwarding of inbound requests: the one call site that sends a vouched request upstream.

use std::rc::Rc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};

use super::Opener;
use super::passing::{Outgoing, Passing, X_REQUEST_ID, clients_headers, hop_headers};
use super::pool::Pool;
use super::sending::Sending;
use crate::authz::Granted;
use crate::identity::{IdentityHeaders, Vouched};
use crate::proxy::{Exchange, RequestBody, ResponseBody, Sealed};
use crate::rejection::Rejection;
use crate::snapshot::Listener;

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Sends a vouched request to the upstream and passes its answer. Accepts nothing else.
///
/// What is done before the first wait is done by the call: the future keeps nothing of it, and every request in flight has
/// one.
///
/// # Errors
/// The upstream does not answer, or not in a form that can be passed on; the request body broke rules.
pub(crate) fn forward<'a>(
    vouched: Vouched<Sealed>,
    listener: &'a Listener,
    pool: &'a Pool,
    exchange: &'a Rc<Exchange>,
) -> impl Future<Output = Result<Response<ResponseBody>, Rejection>> + use<'a> {
    let ready = ready(vouched, listener, exchange);
    async move {
        let (request, passing) = ready?;
        let sending = Sending {
            pool,
            listener,
            exchange,
            token: None,
        };
        let deadline = passing.deadline();
        let answer = sending.watched(request, deadline).await?;
        passing.pass(answer)
    }
}

/// What is sent, and how its answer passes.
fn ready<'a>(
    vouched: Vouched<Sealed>,
    listener: &'a Listener,
    exchange: &'a Rc<Exchange>,
) -> Result<(Box<Request<RequestBody>>, Passing<'a>), Rejection> {
    let (mut granted, identity, sealed) = vouched.open(&Opener(()));
    failpoint!(Open, Err(Rejection::Internal));
    let headers = headers(&mut granted, &identity, listener, exchange);
    let outgoing = Outgoing::new(granted, headers, sealed, listener, exchange)?;
    let body = RequestBody::new(outgoing.body, Rc::clone(exchange), outgoing.limit);
    Ok((Box::new(outgoing.head.map(|()| body)), outgoing.passing))
}

/// The fields that go upstream: the client's, those of the hop, and last the identity, which replaces all.
fn headers(
    granted: &mut Granted,
    identity: &IdentityHeaders,
    listener: &Listener,
    exchange: &Exchange,
) -> HeaderMap {
    let host = granted.head.authority.written.clone();
    let mut headers = clients_headers(granted, &host, exchange);
    for name in &listener.rules.actor_headers {
        headers.remove(name);
    }
    let head = &granted.head;
    if head.authorization_is_hop {
        // The route forwards `Authorization`, but the client said that it ends here (RFC 9110 section 7.6.1).
        headers.remove(AUTHORIZATION);
    }
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
    hop_headers(granted, &mut headers);
    identity.set_on(&mut headers);
    headers
}
