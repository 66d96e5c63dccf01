//! Upgrades: after the upstream's 101 for the very protocol that was asked for, bytes pass both ways.

use std::rc::Rc;

use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Response};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::response;
use crate::proxy::{Exchange, Passage, ResponseBody};
use crate::rejection::Rejection;
use crate::request::ReservedNames;

/// Passes a 101 on and connects both sides; refuses one that nobody asked for (RFC 9110 section 15.2.2).
pub(super) fn open(
    mut answer: Response<Incoming>,
    wanted: Option<HeaderValue>,
    downstream: Option<OnUpgrade>,
    reserved: &ReservedNames,
    passage: Passage,
    exchange: &Rc<Exchange>,
) -> Result<Response<ResponseBody>, Rejection> {
    let (Some(wanted), Some(downstream)) = (wanted, downstream) else {
        return Err(Rejection::UpstreamInvalid);
    };
    if !response::accepts_upgrade(answer.headers(), &wanted) {
        return Err(Rejection::UpstreamInvalid);
    }
    let upstream = hyper::upgrade::on(&mut answer);
    let (mut parts, _) = answer.into_parts();
    response::sanitise(&mut parts.headers, reserved, false);
    parts
        .headers
        .insert(CONNECTION, HeaderValue::from_static("upgrade"));
    parts.headers.insert(UPGRADE, wanted);
    exchange.upgraded();
    let tunnel = Rc::clone(exchange);
    let expiry = async move {
        match passage.expiry {
            Some(expiry) => expiry.reached().await,
            None => std::future::pending().await,
        }
    };
    tokio::task::spawn_local(async move {
        let (Ok(downstream), Ok(upstream)) = tokio::join!(downstream, upstream) else {
            return;
        };
        let (mut downstream, mut upstream) = (TokioIo::new(downstream), TokioIo::new(upstream));
        let ended = tokio::select! {
            ended = tokio::io::copy_bidirectional(&mut downstream, &mut upstream) => ended,
            () = expiry => return tunnel.expired(),
        };
        if let Ok((up, down)) = ended {
            tunnel.request_bytes(up);
            tunnel.response_bytes(down);
        }
        tunnel.response_ended();
    });
    Ok(Response::from_parts(
        parts,
        ResponseBody::ours(Bytes::new(), Rc::clone(exchange)),
    ))
}
