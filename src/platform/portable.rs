//! The twin for systems that are no Unix. Files there inherit what the directory allows, and owners have no numbers.
//!
//! Checked by the compiler on Unix, and untested where it would run.

use std::fs;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Signal;

/// A bound Unix socket: there are none.
#[derive(Debug)]
pub(crate) enum BoundUnix {}

/// A Unix socket that accepts: there are none.
#[derive(Debug)]
pub(crate) enum ListeningUnix {}

/// A connection between two runtimes: there are none.
#[derive(Debug)]
pub(crate) enum DetachedUnix {}

/// A connection over a Unix socket: there are none.
#[derive(Debug)]
pub enum UnixStream {}

impl UnixStream {
    /// Fails.
    ///
    /// # Errors
    /// Always.
    #[expect(clippy::unused_async, reason = "as on Unix")]
    pub async fn connect(_: &Path) -> io::Result<Self> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

impl AsyncRead for UnixStream {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match *self.get_mut() {}
    }
}

impl AsyncWrite for UnixStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        match *self.get_mut() {}
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self.get_mut() {}
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self.get_mut() {}
    }
}

/// Fails: `unix:` addresses cannot be listened on.
pub(crate) fn bind_unix(_: &Path) -> io::Result<BoundUnix> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// Never called.
pub(crate) fn listen_unix(bound: BoundUnix) -> io::Result<ListeningUnix> {
    match bound {}
}

/// Never called.
#[expect(clippy::unused_async, reason = "as on Unix")]
pub(crate) async fn accept_unix(listening: &ListeningUnix) -> io::Result<UnixStream> {
    match *listening {}
}

/// Never called.
pub(crate) fn detach_unix(stream: UnixStream) -> io::Result<DetachedUnix> {
    match stream {}
}

/// Never called.
pub(crate) fn attach_unix(stream: DetachedUnix) -> io::Result<UnixStream> {
    match stream {}
}

/// Does nothing: on Windows the option would let others bind beside us.
pub(crate) fn skip_time_wait(_: &socket2::Socket) -> io::Result<()> {
    Ok(())
}

/// Control-C, or nothing.
#[derive(Debug)]
pub(crate) struct Signals(bool);

impl Signals {
    pub(crate) fn new(ours: bool) -> Self {
        Self(ours)
    }

    pub(crate) async fn next(&mut self) -> Signal {
        if self.0 && tokio::signal::ctrl_c().await.is_ok() {
            return Signal::End;
        }
        std::future::pending().await
    }
}

/// Does nothing.
pub(crate) fn yield_to_workers() {}

/// Does nothing.
pub(crate) fn small_pages() {}

/// Does nothing: there is no such limit.
pub(crate) fn raise_open_files() {}

/// How many CPUs this process may run on.
pub(crate) fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// No limit is known.
pub(crate) fn open_files_limit() -> Option<u64> {
    None
}

/// As the directory allows.
pub(crate) fn private(options: &mut fs::OpenOptions) -> &mut fs::OpenOptions {
    options
}

/// As the directory above allows.
pub(crate) fn private_directory(builder: &mut fs::DirBuilder) -> &mut fs::DirBuilder {
    builder
}

/// Not known, so nobody is warned.
pub(crate) fn readable_by_anyone(_: &fs::Metadata) -> bool {
    false
}

/// Not known.
pub(crate) fn writable_by_anyone(_: &fs::Metadata) -> bool {
    false
}

/// Everybody is the same user.
pub(crate) fn owner(_: &fs::Metadata) -> u32 {
    0
}

/// Everybody is the same user.
pub(crate) fn own_user() -> u32 {
    0
}

/// Not known.
pub(crate) fn terminal_width() -> Option<usize> {
    None
}
