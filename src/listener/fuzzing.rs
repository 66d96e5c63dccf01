//! The guard, for `fuzz/`.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll};

use http::Method;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Limits;
use super::guard::{Guard, GuardHandle};
use crate::rejection::Malformed;

/// A guarded stream: hyper's traits and tokio's.
#[derive(Debug)]
pub struct Guarded<T>(Guard<T>);

/// What the guard has to say of its connection.
#[derive(Clone, Debug)]
pub struct Verdicts(GuardHandle);

/// Guards a fresh HTTP/1 connection with the default limits.
pub fn guard<T>(io: T) -> (Guarded<T>, Verdicts) {
    let (guard, handle) = Guard::new(io, &Limits::default(), Arc::new(AtomicU64::new(1)));
    (Guarded(guard), Verdicts(handle))
}

impl Verdicts {
    /// Why a head was refused; the request that hyper sees in its place has this method.
    #[must_use]
    pub fn of_head(&self, method: &Method) -> Option<Malformed> {
        self.0.verdict(method)
    }

    /// Why a body broke off.
    #[must_use]
    pub fn of_body(&self) -> Option<Malformed> {
        self.0.refused_body()
    }

    /// Requests whose answers have not ended.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.0.in_flight()
    }

    /// The answer to a request has ended.
    pub fn answer_ended(&self) {
        self.0.answer_ended();
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Guarded<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut self.0), cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.0), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(Pin::new(&mut self.0), cx)
    }
}
