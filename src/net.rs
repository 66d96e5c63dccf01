//! Byte streams: TCP, Unix sockets and TLS behind one type. What only Unix has is `platform`'s.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use smallvec::SmallVec;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

pub use crate::platform::UnixStream;

/// A connected byte stream, in either direction.
#[derive(Debug)]
pub enum Stream {
    /// Plain TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// TLS over TCP.
    Tls(Box<tokio_rustls::TlsStream<TcpStream>>),
}

/// Silence after which the system asks whether the other side is still there, how often it asks again, and how many times.
const ASK_AFTER: Duration = Duration::from_secs(30);
const ASK_AGAIN: Duration = Duration::from_secs(10);
#[cfg(target_os = "linux")]
const ASK_TIMES: u32 = 3;

/// Sends small pieces at once, and finds out within a minute that the other side has vanished without a word (a cable, a
/// firewall's memory): a stream that waits for it would otherwise wait for ever. On this level, for PINGs of HTTP/2 make
/// gRPC servers end connections (`too_many_pings`). `patience` is how long the other side may take nothing.
///
/// # Errors
/// What the system says.
pub(crate) fn prepare(stream: &TcpStream, patience: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(ASK_AFTER)
        .with_interval(ASK_AGAIN);
    #[cfg(target_os = "linux")]
    let keepalive = keepalive.with_retries(ASK_TIMES);
    socket.set_tcp_keepalive(&keepalive)?;
    // The same for what was sent and is not acknowledged. But Linux also ends a connection by this whose other side lives
    // and has no room, so it is left to the system's own patience where readers may stall for longer.
    #[cfg(target_os = "linux")]
    {
        let most = ASK_AFTER + ASK_AGAIN * ASK_TIMES;
        if patience <= most {
            socket.set_tcp_user_timeout(Some(most))?;
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = patience;
    Ok(())
}

impl Stream {
    /// Makes the close of this stream a reset: what was written and is not yet taken is thrown away, and the other side learns
    /// of the end at once. A Unix socket tells of its end anyhow.
    pub(crate) fn reset_on_close(&self) {
        let tcp = match self {
            Self::Tcp(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
            Self::Unix(_) => return,
        };
        // Nothing to do about a failure: the close is then an ordinary one.
        drop(SockRef::from(tcp).set_linger(Some(Duration::ZERO)));
    }
}

/// The most that is given to TLS in one slice. rustls copies what it encrypts slice by slice, to an unaligned place. From 2,112
/// bytes on such a copy is `rep movsb` in glibc, where the CPU calls that fast, and AMD's Zen 3 and 4 do and are several times
/// slower at it than with vector instructions: a quarter of all CPU time of large answers.
const PIECE: usize = 2048;

/// What rustls takes at once, 64 KiB, and a head.
const PIECES: usize = 40;

/// As much of `slices` as may be taken at once, in slices of at most `PIECE` bytes.
fn pieces<'a>(slices: &'a [io::IoSlice<'_>]) -> SmallVec<[io::IoSlice<'a>; PIECES]> {
    slices
        .iter()
        .flat_map(|slice| slice.chunks(PIECE))
        .take(PIECES)
        .map(io::IoSlice::new)
        .collect()
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) if bytes.len() <= PIECE => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => {
                let slices = [io::IoSlice::new(bytes)];
                Pin::new(stream).poll_write_vectored(cx, &pieces(&slices))
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A head and a small body, or a head alone: send(2) of one piece is cheaper than writev(2).
        const SMALL: usize = 2048;
        let total = slices
            .iter()
            .fold(0usize, |sum, slice| sum.saturating_add(slice.len()));
        if total <= SMALL {
            let mut joined = [0; SMALL];
            let mut length = 0usize;
            for slice in slices {
                if let Some(place) = joined
                    .get_mut(length..)
                    .and_then(|rest| rest.get_mut(..slice.len()))
                {
                    place.copy_from_slice(slice);
                    length = length.saturating_add(slice.len());
                }
            }
            return self.poll_write(cx, joined.get(..length).unwrap_or_default());
        }
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, &pieces(slices)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Connects to a Unix socket.
///
/// # Errors
/// As `connect(2)`; always where there are no Unix sockets.
pub async fn connect_unix(path: &std::path::Path) -> io::Result<Stream> {
    UnixStream::connect(path).await.map(Stream::Unix)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_tls_is_given_is_all_there_and_in_small_slices() {
        let bytes: Vec<u8> = (0..200_000u32)
            .map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1])
            .collect();
        let (head, rest) = bytes.split_at(300);
        let (body, more) = rest.split_at(32 * 1024 + 1);
        let slices = [head, &[], body, more].map(io::IoSlice::new);
        let cut = pieces(&slices);
        assert!(cut.iter().all(|piece| (1..=PIECE).contains(&piece.len())));
        let joined = |pieces: &[io::IoSlice<'_>]| -> Vec<u8> {
            pieces.iter().flat_map(|piece| piece.to_vec()).collect()
        };
        let taken = joined(&cut);
        assert!(taken.len() > 64 * 1024, "{}", taken.len());
        assert!(bytes.starts_with(&taken));
        let whole = [head, body].map(io::IoSlice::new);
        assert_eq!(joined(&pieces(&whole)), bytes[..300 + body.len()]);
        assert!(pieces(&[]).is_empty());
    }

    /// Where readers may stall for an hour, the system must not end their connections after a minute.
    #[tokio::test]
    async fn invariant_59_the_system_is_as_patient_as_the_configuration() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let second = Duration::from_secs(1);
        for (patience, limit) in [
            (second, Some(second * 60)),
            (second * 60, Some(second * 60)),
            (second * 61, None),
            (second * 3600, None),
        ] {
            let stream = TcpStream::connect(address).await.unwrap();
            prepare(&stream, patience).unwrap();
            let socket = SockRef::from(&stream);
            assert_eq!(socket.tcp_user_timeout().unwrap(), limit, "{patience:?}");
            assert!(socket.keepalive().unwrap(), "{patience:?}");
        }
    }
}
