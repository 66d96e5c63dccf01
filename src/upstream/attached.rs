//! Forwarding of outbound requests: with a token, and once more with a newer one where the upstream refuses it.

use std::rc::Rc;
use std::sync::Arc;

use http::header::{AUTHORIZATION, CONTENT_LOCATION, LOCATION};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Body as _;

use super::origin::Back;
use super::passing::{Outgoing, X_REQUEST_ID, clients_headers, hop_headers};
use super::pool::Pool;
use super::sending::{Answer, Sending};
use super::{Opener, Origin};
use crate::authz::Granted;
use crate::credential::{AccessToken, Attached, Credentials};
use crate::proxy::{Exchange, Keep, RequestBody, ResponseBody, Sealed};
use crate::rejection::Rejection;
use crate::snapshot::{Listener, Outbound};

/// Sends a request with its token to the upstream, whatever the request itself calls it, and passes its answer.
///
/// # Errors
/// The upstream does not answer, or not in a form that can be passed on; the request body broke rules.
pub(crate) async fn forward_attached(
    attached: Attached<Sealed>,
    listener: &Listener,
    outbound: &Outbound,
    pool: &Pool,
    credentials: &Credentials,
    exchange: &Rc<Exchange>,
) -> Result<Response<ResponseBody>, Rejection> {
    let (mut granted, token, sealed) = attached.open(&Opener(()));
    failpoint!(Open, Err(Rejection::Internal));
    exchange.attached(outbound.credential.name());
    let back = outbound
        .rewrite_location
        .as_ref()
        .and_then(|_| Back::to(&granted.head));
    let headers = headers(&mut granted, outbound, exchange);
    let outgoing = Outgoing::new(granted, headers, sealed, listener, exchange)?;
    let body = RequestBody::new(outgoing.body, Rc::clone(exchange), outgoing.limit);
    let bodiless = body.is_end_stream();
    let keep = body.keep(outgoing.declared, outbound.replay_body);
    let sending = Sending {
        pool,
        listener,
        exchange,
    };
    let deadline = outgoing.passing.deadline();
    let again = outgoing.head.clone();
    let request = with_token(outgoing.head, &token).map(|()| body.kept_in(&keep));
    let mut answer = sending.watched(request, deadline).await?;
    if answer.0.status() == StatusCode::UNAUTHORIZED {
        // Boxed: hardly any request comes here.
        let refused = Refused {
            sending,
            outbound,
            credentials,
            token,
        };
        let is_there = bodiless || (exchange.request_has_ended() && is_whole(keep.as_deref()));
        if is_there {
            answer = Box::pin(refused.again(answer, again, keep, deadline)).await?;
        } else {
            refused.renew_for_the_next();
        }
    }
    if let (Some(own), Some(back)) = (&outbound.rewrite_location, &back) {
        lead_back(answer.0.headers_mut(), own, back);
    }
    outgoing.passing.pass(answer)
}

/// The caller's fields and those of the hop. Who the caller is, the upstream is not told: it knows the credential.
fn headers(granted: &mut Granted, outbound: &Outbound, exchange: &Exchange) -> HeaderMap {
    let mut headers = clients_headers(granted, &outbound.authority, exchange);
    headers.remove(AUTHORIZATION);
    let id = exchange.id_value(&headers, true);
    headers.insert(X_REQUEST_ID, id);
    hop_headers(granted, &mut headers);
    headers
}

fn with_token(mut head: Request<()>, token: &AccessToken) -> Request<()> {
    head.headers_mut()
        .insert(AUTHORIZATION, token.authorization().clone());
    head
}

fn is_whole(keep: Option<&Keep>) -> bool {
    keep.is_some_and(Keep::is_whole)
}

/// A request whose token the upstream has refused.
struct Refused<'a> {
    sending: Sending<'a>,
    outbound: &'a Outbound,
    credentials: &'a Credentials,
    token: Arc<AccessToken>,
}

impl Refused<'_> {
    /// Sends the request once more with a newer token; passes the upstream's 401 on where there is none, or where one was
    /// made just now that would be refused again.
    async fn again(
        self,
        answer: Answer,
        head: Request<()>,
        keep: Option<Rc<Keep>>,
        deadline: Option<std::time::Duration>,
    ) -> Result<Answer, Rejection> {
        let exchange = self.sending.exchange;
        let credential = &self.outbound.credential;
        let renewed = self.credentials.renew(credential, &self.token).await;
        let now = exchange.clock().now();
        let Some(token) = renewed.ok().flatten().filter(|token| token.is_good(now)) else {
            return Ok(answer);
        };
        drop(answer);
        exchange.sent_again();
        let body = RequestBody::again(keep, Rc::clone(exchange));
        let request = with_token(head, &token).map(|()| body);
        self.sending.watched(request, deadline).await
    }

    /// What has gone by is not there to be sent again: the caller gets the 401, the next one another token.
    fn renew_for_the_next(self) {
        let (credentials, token) = (self.credentials.clone(), self.token);
        let credential = Arc::clone(&self.outbound.credential);
        tokio::task::spawn_local(async move {
            drop(credentials.renew(&credential, &token).await);
        });
    }
}

/// Lets absolute references of the upstream to itself lead to where its caller has come from.
fn lead_back(headers: &mut HeaderMap, own: &Origin, back: &Back) {
    for name in [LOCATION, CONTENT_LOCATION] {
        let led: Option<HeaderValue> = headers
            .get(&name)
            .and_then(|written| own.lead_back(written, back));
        if let Some(led) = led {
            headers.insert(name, led);
        }
    }
}
