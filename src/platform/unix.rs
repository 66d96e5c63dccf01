//! Unix.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use super::Signal;

pub use tokio::net::UnixStream;

/// A bound Unix socket, not yet served.
pub(crate) type BoundUnix = std::os::unix::net::UnixListener;

/// A Unix socket that accepts.
pub(crate) type ListeningUnix = tokio::net::UnixListener;

/// A connection between two runtimes.
pub(crate) type DetachedUnix = std::os::unix::net::UnixStream;

/// Binds a Unix socket and listens.
pub(crate) fn bind_unix(path: &Path) -> io::Result<BoundUnix> {
    // A socket that nobody listens on is left over from a crash. Nothing else is ours to remove.
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let nobody = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if is_socket && DetachedUnix::connect(path).is_err_and(nobody) {
        fs::remove_file(path)?;
    }
    let listener = BoundUnix::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Hands a bound socket to the runtime of this thread.
pub(crate) fn listen_unix(bound: BoundUnix) -> io::Result<ListeningUnix> {
    ListeningUnix::from_std(bound)
}

/// The next connection.
pub(crate) async fn accept_unix(listening: &ListeningUnix) -> io::Result<UnixStream> {
    listening.accept().await.map(|(stream, _)| stream)
}

/// Lets go of this thread's runtime.
pub(crate) fn detach_unix(stream: UnixStream) -> io::Result<DetachedUnix> {
    stream.into_std()
}

/// Takes hold of this thread's runtime.
pub(crate) fn attach_unix(stream: DetachedUnix) -> io::Result<UnixStream> {
    UnixStream::from_std(stream)
}

/// Lets a listener bind where its connections of before are in TIME_WAIT. On Windows the same option lets others bind.
pub(crate) fn skip_time_wait(socket: &socket2::Socket) -> io::Result<()> {
    socket.set_reuse_address(true)
}

/// The signals that are ours, or none.
#[derive(Debug)]
pub(crate) struct Signals(Option<[Stream; 3]>);

impl Signals {
    pub(crate) fn new(ours: bool) -> Self {
        let streams = || -> io::Result<[Stream; 3]> {
            Ok([
                signal(SignalKind::hangup())?,
                signal(SignalKind::terminate())?,
                signal(SignalKind::interrupt())?,
            ])
        };
        let streams = ours.then(streams);
        if let Some(Err(error)) = &streams {
            tracing::error!(%error, "signals.unavailable");
        }
        Self(streams.and_then(Result::ok))
    }

    pub(crate) async fn next(&mut self) -> Signal {
        let Some([hangup, terminate, interrupt]) = &mut self.0 else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = hangup.recv() => Signal::Reload,
            _ = terminate.recv() => Signal::End,
            _ = interrupt.recv() => Signal::End,
        }
    }
}

/// What is not a request must not delay one: on Linux a niceness is the thread's own.
pub(crate) fn yield_to_workers() {
    #[cfg(target_os = "linux")]
    {
        const NICENESS: i32 = 5;
        // Without it everything works as well, only not as smoothly.
        let _unchanged = rustix::process::setpriority_process(None, NICENESS);
    }
}

/// A process of a few MiB needs no pages of 2 MiB: what little is used of each would be resident as a whole (measured: 15 MiB
/// instead of 2 at start, and no less CPU per request).
pub(crate) fn small_pages() {
    // Without it everything works as well, in more memory.
    #[cfg(target_os = "linux")]
    let _unchanged = rustix::thread::disable_transparent_huge_pages(true);
}

/// How many CPUs this process may run on, whatever its quota of them.
pub(crate) fn cpus() -> usize {
    #[cfg(target_os = "linux")]
    if let Ok(set) = rustix::thread::sched_getaffinity(None) {
        return usize::try_from(set.count()).unwrap_or(1);
    }
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Two sockets per request in flight soon pass the soft limit of 1,024 that many systems set; the hard limit is what the
/// operator meant.
pub(crate) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Without it the soft limit holds, as it was.
    let _unchanged = setrlimit(Resource::Nofile, raised);
}

/// How many files may be open; `None`: no limit is known.
pub(crate) fn open_files_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// For a new file or one that is written anew: what only its owner may read.
pub(crate) fn private(options: &mut fs::OpenOptions) -> &mut fs::OpenOptions {
    options.mode(0o600)
}

/// For a new directory: what only its owner may enter.
pub(crate) fn private_directory(builder: &mut fs::DirBuilder) -> &mut fs::DirBuilder {
    builder.mode(0o700)
}

/// Whether everybody may read the file.
pub(crate) fn readable_by_anyone(metadata: &fs::Metadata) -> bool {
    metadata.permissions().mode() & 0o004 != 0
}

/// Whether everybody may write it. The group may: Kubernetes sets that on every file of a volume with `fsGroup`.
pub(crate) fn writable_by_anyone(metadata: &fs::Metadata) -> bool {
    metadata.permissions().mode() & 0o002 != 0
}

/// The number of the user that the file belongs to.
pub(crate) fn owner(metadata: &fs::Metadata) -> u32 {
    metadata.uid()
}

/// The number of the user that we are.
pub(crate) fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Columns of the terminal.
pub(crate) fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
}
