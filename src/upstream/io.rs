//! The upstream's bytes, metered: what comes before a response head is bounded.

mod frames;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(super) use frames::HeadAllowance;

use super::lines::HeadLines;
use crate::net::Stream;
use frames::Frames;

/// Most bytes of one response head together with the 1xx answers before it. hyper skips any number of 1xx answers
/// (INVARIANTS 65: a hostile upstream sends a million of them). hyper's buffer is no larger: several of its size are full
/// while a caller does not read (INVARIANTS 58).
pub(super) const HEAD_BYTES: u32 = 32 * 1024;

const UNLIMITED: u32 = u32::MAX;

/// How many bytes may still come before the response head. Shared between the I/O and the one who sends.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter(Arc<AtomicU32>);

impl Meter {
    /// A request is about to be sent: its response head is counted.
    pub(super) fn expect_head(&self) {
        self.0.store(HEAD_BYTES, Ordering::Relaxed);
    }

    /// The head has come: the body may be of any size.
    pub(super) fn head_came(&self) {
        self.0.store(UNLIMITED, Ordering::Relaxed);
    }

    /// Whether not one byte has come since [`Meter::expect_head`].
    pub(super) fn is_untouched(&self) -> bool {
        self.0.load(Ordering::Relaxed) == HEAD_BYTES
    }

    /// Counts what one read brought. A read may bring the head and much of the body together, on a warm connection more
    /// than [`HEAD_BYTES`]: when the first bytes are those of a final answer, nothing is left to count (hyper bounds the
    /// head itself).
    fn take(&self, bytes: &[u8]) -> io::Result<()> {
        let left = self.0.load(Ordering::Relaxed);
        if left == UNLIMITED {
            return Ok(());
        }
        if left == HEAD_BYTES && begins_final_answer(bytes) {
            self.head_came();
            return Ok(());
        }
        match u32::try_from(bytes.len())
            .ok()
            .and_then(|bytes| left.checked_sub(bytes))
        {
            Some(left) => {
                self.0.store(left, Ordering::Relaxed);
                Ok(())
            }
            None => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "response head too large",
            )),
        }
    }
}

/// Whether these are the first bytes of an answer that is not 1xx.
fn begins_final_answer(bytes: &[u8]) -> bool {
    bytes
        .strip_prefix(b"HTTP/1.")
        .and_then(|rest| rest.get(1..3))
        .is_some_and(|rest| matches!(rest, [b' ', b'2'..=b'5']))
}

/// What is counted of what comes.
#[derive(Debug)]
enum Counted {
    Http1(Meter, HeadLines),
    Http2(Frames),
}

impl Counted {
    /// Counts what one read brought.
    fn count(&mut self, brought: &[u8]) -> io::Result<()> {
        match self {
            Self::Http1(meter, lines) => {
                if meter.is_untouched() {
                    *lines = HeadLines::default();
                }
                lines.look(brought).map_err(|_| {
                    io::Error::new(io::ErrorKind::InvalidData, "bare LF in a response head")
                })?;
                meter.take(brought)
            }
            Self::Http2(frames) => frames.read(brought),
        }
    }
}

/// A stream to the upstream.
#[derive(Debug)]
pub(super) struct Metered {
    stream: Stream,
    counted: Counted,
    /// The upstream takes no more. It may have answered (413, say) before it closed: what it wrote is read first, and
    /// the end of that ends the connection.
    deaf: bool,
    /// The last write found no room: the upstream does not read.
    blocked: bool,
}

impl Metered {
    /// A stream that speaks HTTP/1.
    pub(super) fn http1(stream: Stream, meter: Meter) -> Self {
        Self::new(stream, Counted::Http1(meter, HeadLines::over()))
    }

    /// A stream that speaks HTTP/2.
    pub(super) const fn http2(stream: Stream, allowance: HeadAllowance) -> Self {
        Self::new(stream, Counted::Http2(Frames::new(allowance)))
    }

    const fn new(stream: Stream, counted: Counted) -> Self {
        Self {
            stream,
            counted,
            deaf: false,
            blocked: false,
        }
    }

    fn wrote(
        &mut self,
        outcome: Poll<io::Result<usize>>,
        offered: usize,
    ) -> Poll<io::Result<usize>> {
        self.blocked = outcome.is_pending();
        match outcome {
            Poll::Ready(Err(error)) if is_gone(&error) => {
                self.deaf = true;
                Poll::Ready(Ok(offered))
            }
            other => other,
        }
    }
}

impl Drop for Metered {
    /// A request was given up in the middle, and the upstream is not reading. The system would go on trying to deliver what it
    /// holds of it, and then forget the connection without a word: the upstream would never learn that nobody waits.
    fn drop(&mut self) {
        if self.blocked {
            self.stream.reset_on_close();
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let this = &mut *self;
        match Pin::new(&mut this.stream).poll_read(cx, buffer) {
            Poll::Ready(Ok(())) => {
                let brought = buffer.filled().get(before..).unwrap_or_default();
                Poll::Ready(this.counted.count(brought))
            }
            other => other,
        }
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.deaf {
            return Poll::Ready(Ok(bytes.len()));
        }
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(outcome, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let offered = slices.iter().map(|slice| slice.len()).sum();
        if self.deaf {
            return Poll::Ready(Ok(offered));
        }
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(outcome, offered)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.deaf {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
