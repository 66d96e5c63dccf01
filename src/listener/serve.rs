//! Serving one connection: TLS, the guard, HTTP/1.1 or HTTP/2.

use std::error::Error as _;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;

use super::bind::Accepted;
use super::guard::{Guard, Preface};
use super::{Limits, tls};
use crate::net::Stream;
use crate::proxy::{self, ConnectionState, StreamExecutor, Worker};
use crate::request::Connection;
use crate::telemetry::ConnectionEnd;

/// Windows that one HTTP/2 connection may fill before anybody reads: what a stalled upstream costs us.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
const SEND_BUFFER: usize = 32 * 1024;

/// How long an HTTP/1 client that was not told to leave may still use its connection when the drain closes all.
const LAST_REQUEST: Duration = Duration::from_secs(1);

/// hyper's buffer beyond the largest head; at least 8 KiB, by its own rule.
const HEAD_ROOM: usize = 8 * 1024;

/// Fields that hyper accepts by itself.
const HYPER_HEADERS: usize = 100;

/// Serves `accepted` until it ends, by the listener `index`.
pub(crate) async fn serve(worker: Rc<Worker>, index: usize, accepted: Accepted) {
    let peer = accepted.peer();
    let recorder = worker.recorder(index);
    let counted = Counted::new(&worker, index);
    let place = counted.place;
    failpoint!(Serve);
    if let Err(ended) = within_cap(&worker, index, accepted, place).await {
        tracing::debug!(error = %ended, "connection.ended");
        if let (Some(recorder), Some(reason)) = (recorder, ended.reason()) {
            let end = ConnectionEnd {
                peer,
                reason,
                status: None,
                request_id: None,
            };
            recorder.connection_refused(&end, worker.now());
        }
    }
}

/// A tunnel does not outlive its connection, not even one that never ran.
struct TunnelEnds<'a>(&'a ConnectionState);

impl Drop for TunnelEnds<'_> {
    fn drop(&mut self) {
        self.0.drop_tunnel();
    }
}

/// One of the connections that are open, however its task ends: a panic must not leave it counted.
struct Counted<'a> {
    worker: &'a Worker,
    index: usize,
    /// How many there were before it.
    place: usize,
}

impl<'a> Counted<'a> {
    fn new(worker: &'a Worker, index: usize) -> Self {
        if let Some(recorder) = worker.recorder(index) {
            recorder.connections.opened();
        }
        let place = worker.shared.connections.fetch_add(1, Ordering::Relaxed);
        Self {
            worker,
            index,
            place,
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if let Some(recorder) = self.worker.recorder(self.index) {
            recorder.connections.closed();
        }
        self.worker
            .shared
            .connections
            .fetch_sub(1, Ordering::Relaxed);
        self.worker.somebody_left();
    }
}

async fn within_cap(
    worker: &Rc<Worker>,
    index: usize,
    accepted: Accepted,
    place: usize,
) -> Result<(), Ended> {
    let snapshot = worker.shared.snapshot.load_full();
    let listener = snapshot.listener(index).ok_or(Ended::Cap)?;
    let limits = listener.settings.limits.clone();
    let peer = accepted.peer();
    let _source = worker
        .shared
        .sources
        .enter(peer, limits.connections_per_address)
        .ok_or(Ended::Cap)?;
    if place >= limits.connections.min(worker.shared.most_connections) {
        return Err(Ended::Cap);
    }
    let patience = listener.settings.timeouts.stalled_reader;
    let (stream, client_certificate) = match (&listener.tls, accepted.into_stream(patience)?) {
        (Some(config), Stream::Tcp(tcp)) => {
            let handshake = async {
                failpoint!(async TlsHandshake, Err(std::io::ErrorKind::Other.into()));
                tokio_rustls::TlsAcceptor::from(Arc::clone(config))
                    .accept(tcp)
                    .await
            };
            let tls = tokio::select! {
                tls = handshake => tls.map_err(Ended::Tls)?,
                () = worker.shared.clock.sleep(listener.settings.timeouts.header) => return Err(Ended::Handshake),
            };
            let certificate = tls::client_certificate(tls.get_ref().1);
            (Stream::Tls(Box::new(tls.into())), certificate)
        }
        (_, stream) => (stream, None),
    };
    let facts = Arc::new(Connection {
        listener: Arc::clone(&listener.settings.name),
        peer,
        tls: listener.tls.is_some(),
        unix: matches!(stream, Stream::Unix(_)),
        client_certificate,
    });
    drop(snapshot);
    // The guard's deadlines count from the coarse clock. After a pause of the whole process (a frozen container, a
    // suspended machine) that is old, and the sweeper would take a fresh connection for one that idles since then.
    worker.now();
    let (guard, handle) = Guard::new(stream, &limits, worker.coarse_cell());
    let state = Rc::new(ConnectionState::new(facts, index, handle));
    let _watched = worker.watch_connection(&state);
    let _ends = TunnelEnds(&state);
    speak(worker, &state, guard, &limits).await
}

/// Tells the protocol by the first bytes, then serves until the connection ends, is killed, or the drain is over.
async fn speak(
    worker: &Rc<Worker>,
    state: &Rc<ConnectionState>,
    mut guard: Guard<Stream>,
    limits: &Limits,
) -> Result<(), Ended> {
    let preface = async {
        failpoint!(async Preface, Err(std::io::ErrorKind::Other.into()));
        guard.preface().await
    };
    let preface = tokio::select! {
        biased;
        // What a client has sent before the drain is served.
        preface = preface => preface?,
        () = state.killed().wait() => return Err(Ended::Killed),
        () = worker.shared.closing() => return Ok(()),
    };
    let streams = StreamExecutor::default();
    let service = {
        let (worker, state, streams) = (Rc::clone(worker), Rc::clone(state), streams.clone());
        service_fn(move |request| {
            let stream = (preface == Preface::Http2).then(|| streams.announce());
            proxy::answer(Rc::clone(&worker), Rc::clone(&state), stream, request)
        })
    };
    state.speaks(preface);
    match preface {
        Preface::Http1 => {
            let mut builder = http1::Builder::new();
            // What a stalled body may hold here: a head must fit in, and no more is needed (INVARIANTS 58).
            builder.max_buf_size(limits.header_bytes.saturating_add(HEAD_ROOM));
            // The guard counts fields. hyper's own limit is only raised where it must be: said aloud, it costs two
            // allocations per head.
            if limits.headers > HYPER_HEADERS {
                builder.max_headers(limits.headers);
            }
            let connection = pin!(builder.serve_connection(guard, service).with_upgrades());
            drive(worker, state, connection, |connection| {
                connection.graceful_shutdown()
            })
            .await
        }
        Preface::Http2 => {
            let mut builder = http2::Builder::new(streams);
            builder
                .max_concurrent_streams(limits.streams)
                .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .max_send_buf_size(SEND_BUFFER);
            // Boxed: twice the size of the other, which every connection would have to have room for.
            let mut connection = Box::pin(builder.serve_connection(guard, service));
            drive(worker, state, connection.as_mut(), |connection| {
                connection.graceful_shutdown()
            })
            .await
        }
    }
}

async fn drive<C>(
    worker: &Worker,
    state: &ConnectionState,
    mut connection: Pin<&mut C>,
    finish: impl FnOnce(Pin<&mut C>),
) -> Result<(), Ended>
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut finish = Some(finish);
    // Boxed: no connection needs it before the end.
    let mut closing: Option<Pin<Box<dyn Future<Output = ()> + '_>>> = None;
    loop {
        if worker.is_closing() && finish.is_some() && closing.is_none() {
            closing = Some(Box::pin(may_close(worker, state)));
        }
        let turn = poll_fn(|cx| {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(Turn::Ended(ended));
            }
            if state.killed().poll(cx).is_ready() {
                return Poll::Ready(Turn::Killed);
            }
            if state.poked().poll(cx).is_ready() {
                return Poll::Ready(Turn::Poked);
            }
            match &mut closing {
                Some(closing) => closing.as_mut().poll(cx).map(|()| Turn::Close),
                None => Poll::Pending,
            }
        });
        let finishes = match turn.await {
            Turn::Ended(ended) => {
                ended.map_err(|error| of_http(error, state))?;
                break;
            }
            Turn::Killed if state.cancels_too_much() => return Err(Ended::Cancels),
            Turn::Killed => return Err(Ended::Killed),
            Turn::Poked => state.is_leaving(),
            Turn::Close => {
                closing = None;
                true
            }
        };
        if finishes && let Some(finish) = finish.take() {
            finish(connection.as_mut());
        }
    }
    if state.cancels_too_much() {
        return Err(Ended::Cancels);
    }
    // After a 101 the connection lives on as a tunnel: counted, and under the sweeper's eyes.
    tokio::select! {
        () = state.tunnel() => Ok(()),
        () = state.killed().wait() => Err(Ended::Killed),
        () = worker.shared.ended() => Err(Ended::Drained),
    }
}

/// Why a connection's task looks up.
enum Turn {
    /// The connection has ended.
    Ended(hyper::Result<()>),
    Killed,
    Poked,
    /// The drain closes it.
    Close,
}

/// Waits until the drain may close this connection. An answer that began before the drain could not say that the connection
/// ends after it: its client has a moment to send what it may already be sending, and is told by that answer.
async fn may_close(worker: &Worker, state: &ConnectionState) {
    if !state.is_http2() && state.guard().in_flight() > 0 {
        worker.answered(state).await;
        worker.shared.clock.sleep(LAST_REQUEST).await;
    }
}

/// What HTTP/2 itself refuses ends in GOAWAY and an error of its own, not in one of the socket.
fn of_http(error: hyper::Error, state: &ConnectionState) -> Ended {
    if state.is_http2()
        && error
            .source()
            .is_some_and(|source| !source.is::<std::io::Error>())
    {
        Ended::Http2(error)
    } else if error.is_parse() {
        Ended::Malformed(error)
    } else {
        Ended::Http(error)
    }
}

/// Why a connection ended other than by its peers.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("too many connections")]
    Cap,
    #[error("TLS handshake timed out")]
    Handshake,
    #[error("TLS handshake")]
    Tls(#[source] std::io::Error),
    #[error("a deadline passed")]
    Killed,
    #[error("too many cancelled requests")]
    Cancels,
    #[error("drained")]
    Drained,
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error(transparent)]
    Malformed(hyper::Error),
    #[error(transparent)]
    Http2(hyper::Error),
}

impl Ended {
    /// The word for the connection record, where the connection was refused rather than over.
    fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Cap => Some("too_many_connections"),
            Self::Handshake => Some("tls_handshake_timeout"),
            Self::Tls(_) => Some("tls_handshake"),
            Self::Malformed(_) => Some("malformed"),
            Self::Http2(_) | Self::Cancels => Some("http2_protocol"),
            Self::Killed | Self::Drained | Self::Io(_) | Self::Http(_) => None,
        }
    }
}
