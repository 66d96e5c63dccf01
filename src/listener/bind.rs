//! Binding: exclusively. With `SO_REUSEPORT` another process of the same user could bind beside us and take tokens.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;

use super::ListenAddress;
use crate::net::Stream;
use crate::platform;

/// A full queue makes clients retry for seconds; the kernel cuts this to `somaxconn`.
const BACKLOG: i32 = 4096;

/// A bound socket, not yet served.
#[derive(Debug)]
pub struct Bound {
    socket: BoundSocket,
}

#[derive(Debug)]
enum BoundSocket {
    Tcp(std::net::TcpListener),
    Unix(platform::BoundUnix),
}

impl Bound {
    /// Binds and listens.
    ///
    /// # Errors
    /// As `bind(2)`.
    pub fn new(address: &ListenAddress) -> io::Result<Self> {
        let socket = match address {
            ListenAddress::Tcp(address) => BoundSocket::Tcp(tcp(*address)?),
            ListenAddress::Unix(path) => BoundSocket::Unix(platform::bind_unix(path)?),
        };
        Ok(Self { socket })
    }

    /// Where it is bound; `None` for Unix sockets.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        match &self.socket {
            BoundSocket::Tcp(listener) => listener.local_addr().ok(),
            BoundSocket::Unix(_) => None,
        }
    }

    /// Hands the socket to the runtime of this thread.
    pub(crate) fn listen(self) -> io::Result<Listening> {
        match self.socket {
            BoundSocket::Tcp(listener) => {
                tokio::net::TcpListener::from_std(listener).map(Listening::Tcp)
            }
            BoundSocket::Unix(listener) => platform::listen_unix(listener).map(Listening::Unix),
        }
    }
}

/// Binds a TCP address for listening, exclusively and without blocking.
///
/// # Errors
/// As `bind(2)`.
pub fn tcp(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    platform::skip_time_wait(&socket)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A socket that accepts.
#[derive(Debug)]
pub(crate) enum Listening {
    Tcp(tokio::net::TcpListener),
    Unix(platform::ListeningUnix),
}

/// A connection on its way to the worker that serves it.
#[derive(Debug)]
pub(crate) enum Accepted {
    Tcp(TcpStream, IpAddr),
    Unix(platform::UnixStream),
}

/// How long accepting rests when the process is out of file descriptors: it must neither end nor spin.
const REST: Duration = Duration::from_millis(50);

impl Listening {
    /// The next connection.
    pub(crate) async fn accept(&self) -> Accepted {
        loop {
            let accepted = match self {
                Self::Tcp(listener) => listener
                    .accept()
                    .await
                    .map(|(stream, peer)| Accepted::Tcp(stream, canonical(peer.ip()))),
                Self::Unix(listener) => platform::accept_unix(listener).await.map(Accepted::Unix),
            };
            match accepted {
                Ok(accepted) => return accepted,
                Err(error) if of_the_peer(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "listener.accept_failed");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }
}

fn of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

/// An IPv4 peer of a dual-stack socket is an IPv4 peer.
const fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

impl Accepted {
    /// The peer; loopback for Unix sockets.
    pub(crate) const fn peer(&self) -> IpAddr {
        match self {
            Self::Tcp(_, peer) => *peer,
            Self::Unix(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }

    /// The stream; `patience` is how long a caller may take nothing.
    pub(crate) fn into_stream(self, patience: Duration) -> io::Result<Stream> {
        match self {
            Self::Tcp(stream, _) => {
                crate::net::prepare(&stream, patience)?;
                Ok(Stream::Tcp(stream))
            }
            Self::Unix(stream) => Ok(Stream::Unix(stream)),
        }
    }

    /// Lets go of this thread's runtime.
    pub(crate) fn detach(self) -> io::Result<Detached> {
        match self {
            Self::Tcp(stream, peer) => stream.into_std().map(|stream| Detached::Tcp(stream, peer)),
            Self::Unix(stream) => platform::detach_unix(stream).map(Detached::Unix),
        }
    }
}

/// A connection between two runtimes.
#[derive(Debug)]
pub(crate) enum Detached {
    Tcp(std::net::TcpStream, IpAddr),
    Unix(platform::DetachedUnix),
}

impl Detached {
    /// Takes hold of this thread's runtime.
    pub(crate) fn attach(self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(stream, peer) => {
                TcpStream::from_std(stream).map(|stream| Accepted::Tcp(stream, peer))
            }
            Self::Unix(stream) => platform::attach_unix(stream).map(Accepted::Unix),
        }
    }
}
