//! Forwarding of outbound requests: with a token, and once more with a newer one where the upstream refuses it.

use std::rc::Rc;
use std::sync::Arc;

use http::header::{AUTHORIZATION, CONTENT_LOCATION, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Body as _;

use super::origin::Back;
use super::passing::{Outgoing, X_REQUEST_ID, clients_headers, hop_headers};
use super::pool::Pool;
use super::sending::{Answer, Sending};
use super::{Opener, Origin};
use crate::authz::Granted;
use crate::credential::{AccessToken, Attached, Credentials, DPOP, DPOP_NONCE, nonce};
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
        token: Some(&token),
    };
    let deadline = outgoing.passing.deadline();
    let again = outgoing.head.clone();
    let attaching = Attaching { outbound, exchange };
    let request = attaching
        .put(&token, outgoing.head)?
        .map(|()| body.kept_in(&keep));
    let mut answer = sending.watched(Box::new(request), deadline).await?;
    let wants_nonce = attaching.hear(&token, &answer.0);
    if answer.0.status() == StatusCode::UNAUTHORIZED {
        // Boxed: hardly any request comes here.
        let refused = Refused {
            sending,
            attaching,
            credentials,
            token: &token,
            wants_nonce,
        };
        let is_there = bodiless || (exchange.request_has_ended() && is_whole(keep.as_deref()));
        if is_there {
            answer = Box::pin(refused.again(answer, again, keep, deadline)).await?;
        } else if !wants_nonce {
            refused.renew_for_the_next();
        }
    }
    // It was for us.
    answer.0.headers_mut().remove(DPOP_NONCE);
    if let (Some(own), Some(back)) = (&outbound.rewrite_location, &back) {
        lead_back(answer.0.headers_mut(), own, back);
    }
    outgoing.passing.pass(answer)
}

/// The caller's fields and those of the hop. Who the caller is, the upstream is not told: it knows the credential.
fn headers(granted: &mut Granted, outbound: &Outbound, exchange: &Exchange) -> HeaderMap {
    let mut headers = clients_headers(granted, &outbound.authority, exchange);
    headers.remove(AUTHORIZATION);
    headers.remove(DPOP);
    let id = exchange.id_value(&headers, true);
    headers.insert(X_REQUEST_ID, id);
    hop_headers(granted, &mut headers);
    headers
}

#[derive(Clone, Copy)]
struct Attaching<'a> {
    outbound: &'a Outbound,
    exchange: &'a Exchange,
}

impl Attaching<'_> {
    /// Puts the token on, and where it is bound to a key, the proof that we hold it: one for this request alone.
    fn put(self, token: &AccessToken, mut head: Request<()>) -> Result<Request<()>, Rejection> {
        if let Some(binding) = token.binding() {
            let url = format!("{}{}", self.outbound.origin, head.uri().path());
            let nonce = self.outbound.nonce.load();
            let nonce = nonce.as_deref().map(String::as_str);
            let now = self.exchange.clock().now().unix;
            let proof = binding.prove(head.method().as_str(), &url, nonce, now);
            let proof = proof.ok_or(Rejection::Internal)?;
            head.headers_mut().insert(DPOP, proof);
        }
        let authorization = token.authorization().clone();
        head.headers_mut().insert(AUTHORIZATION, authorization);
        Ok(head)
    }

    /// Keeps the nonce that the upstream wants from now on. Says whether that is why it refused: another nonce would do,
    /// and the token is good.
    fn hear<B>(self, token: &AccessToken, answer: &Response<B>) -> bool {
        if token.binding().is_none() {
            return false;
        }
        let Some(nonce) = nonce(answer.headers()) else {
            return false;
        };
        let known = self.outbound.nonce.load();
        if known.as_deref().map(String::as_str) != Some(nonce) {
            self.outbound.nonce.store(Some(Arc::new(nonce.to_owned())));
        }
        answer.status() == StatusCode::UNAUTHORIZED
            && answer
                .headers()
                .get_all(WWW_AUTHENTICATE)
                .iter()
                .any(|challenge| {
                    memchr::memmem::find(challenge.as_bytes(), b"use_dpop_nonce").is_some()
                })
    }
}

fn is_whole(keep: Option<&Keep>) -> bool {
    keep.is_some_and(Keep::is_whole)
}

/// A request whose token the upstream has refused.
struct Refused<'a> {
    sending: Sending<'a>,
    attaching: Attaching<'a>,
    credentials: &'a Credentials,
    token: &'a Arc<AccessToken>,
    /// Another proof would do: the upstream has told the nonce that it misses (RFC 9449 section 9).
    wants_nonce: bool,
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
        failpoint!(Renew, Ok(answer));
        let token = if self.wants_nonce {
            Some(Arc::clone(self.token))
        } else {
            let credential = &self.attaching.outbound.credential;
            let renewed = self.credentials.renew(credential, self.token).await;
            renewed.ok().flatten()
        };
        let now = exchange.now();
        let Some(token) = token.filter(|token| token.is_good(now)) else {
            return Ok(answer);
        };
        drop(answer);
        exchange.sent_again();
        let body = RequestBody::again(keep, Rc::clone(exchange));
        let request = self.attaching.put(&token, head)?.map(|()| body);
        let sending = Sending {
            token: Some(&token),
            ..self.sending
        };
        let answer = sending.watched(Box::new(request), deadline).await?;
        self.attaching.hear(&token, &answer.0);
        Ok(answer)
    }

    /// What has gone by is not there to be sent again: the caller gets the 401, the next one another token.
    fn renew_for_the_next(self) {
        let (credentials, token) = (self.credentials.clone(), Arc::clone(self.token));
        let credential = Arc::clone(&self.attaching.outbound.credential);
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
