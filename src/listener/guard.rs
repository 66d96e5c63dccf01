//! STUB
use super::{Limits, Timeouts};
use crate::{clock::Tick, rejection::Malformed};
use hyper_util::rt::TokioIo;
use std::{
    pin::Pin,
    sync::{Arc, atomic::AtomicU64},
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite};
pub(crate) struct Guard<T>(TokioIo<T>);
#[derive(Debug)]
pub(crate) struct GuardHandle;
pub(crate) enum Preface {
    Http1,
    Http2,
}
impl GuardHandle {
    pub(crate) fn verdict(&self, _: &http::Method) -> Option<Malformed> {
        None
    }
    pub(crate) fn switch_to_raw(&self) {}
    pub(crate) fn overdue(&self, _: Tick, _: &Timeouts) -> Option<()> {
        None
    }
}
impl<T> Guard<T> {
    pub(crate) fn new(io: T, _: &Limits, _: Arc<AtomicU64>) -> (Self, GuardHandle) {
        (Self(TokioIo::new(io)), GuardHandle)
    }
    pub(crate) async fn preface(&mut self) -> std::io::Result<Preface> {
        Ok(Preface::Http1)
    }
}
impl<T: AsyncRead + Unpin> hyper::rt::Read for Guard<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        b: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, b)
    }
}
impl<T: AsyncWrite + Unpin> hyper::rt::Write for Guard<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        b: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, b)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        b: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, b)
    }
}
