//! Upgrades: after the upstream's 101 for the very protocol that was asked for, bytes pass both ways.

use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Response};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{Lease, response};
use crate::proxy::{Exchange, Passage, ResponseBody};
use crate::rejection::Rejection;
use crate::request::ReservedNames;

/// How long one side may go on after the other has ended.
const LAST_WORDS: Duration = Duration::from_secs(10);

const PIECE_BYTES: usize = 8 * 1024;

/// Passes a 101 on and connects both sides; refuses one that nobody asked for (RFC 9110 section 15.2.2).
pub(super) fn open(
    mut answer: Response<Incoming>,
    wanted: Option<HeaderValue>,
    downstream: Option<OnUpgrade>,
    reserved: &ReservedNames,
    passage: Passage,
    lease: Option<Lease>,
    exchange: &Rc<Exchange>,
) -> Result<Response<ResponseBody>, Rejection> {
    failpoint!(Upgrade, Err(Rejection::UpstreamInvalid));
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
    let tunnel = Rc::clone(exchange);
    let expiry = async move {
        match passage.expiry {
            Some(expiry) => expiry.reached().await,
            None => std::future::pending().await,
        }
    };
    exchange.upgraded(async move {
        let _lease = lease;
        failpoint!(async Tunnel);
        let (Ok(downstream), Ok(upstream)) = tokio::join!(downstream, upstream) else {
            return;
        };
        tokio::select! {
            () = run(TokioIo::new(downstream), TokioIo::new(upstream), &tunnel) => {
                tunnel.response_ended();
            }
            () = expiry => tunnel.expired(),
        }
    });
    Ok(Response::from_parts(
        parts,
        ResponseBody::ours(Bytes::new(), Rc::clone(exchange)),
    ))
}

/// Passes bytes both ways. When one side has ended, the other has a while for its last words: a peer that never closes
/// must not hold the tunnel open.
async fn run<D, U>(downstream: D, upstream: U, exchange: &Exchange)
where
    D: AsyncRead + AsyncWrite,
    U: AsyncRead + AsyncWrite,
{
    let (mut from_caller, mut to_caller) = tokio::io::split(downstream);
    let (mut from_upstream, mut to_upstream) = tokio::io::split(upstream);
    let up = async {
        let counted = |bytes| exchange.request_bytes(bytes);
        let taken = || exchange.request_taken();
        pass(&mut from_caller, &mut to_upstream, counted, taken).await
    };
    let down = async {
        let counted = |bytes| exchange.response_bytes(bytes);
        let taken = || exchange.upstream_waits();
        pass(&mut from_upstream, &mut to_caller, counted, taken).await
    };
    let (mut up, mut down) = (pin!(up), pin!(down));
    let last_words = exchange.clock().clone();
    tokio::select! {
        ended = &mut up => if ended.is_ok() {
            tokio::select! {
                _ended = down => {}
                () = last_words.sleep(LAST_WORDS) => {}
            }
        },
        ended = &mut down => if ended.is_ok() {
            tokio::select! {
                _ended = up => {}
                () = last_words.sleep(LAST_WORDS) => {}
            }
        },
    }
}

/// One direction, to its end: what was read is written before more is read.
async fn pass(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    counted: impl Fn(u64),
    taken: impl Fn(),
) -> io::Result<()> {
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        let count = from.read(&mut buffer).await?;
        let Some(piece) = buffer.get(..count).filter(|piece| !piece.is_empty()) else {
            return to.shutdown().await;
        };
        counted(u64::try_from(count).unwrap_or(u64::MAX));
        to.write_all(piece).await?;
        to.flush().await?;
        taken();
    }
}
