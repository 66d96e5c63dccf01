//! One worker's connections to one upstream. Nothing crosses a thread.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;

use super::io::{HEAD_BYTES, HeadAllowance, Meter, Metered};
use super::target::{Protocol, Target};
use crate::clock::{Clock, Tick};
use crate::listener::Timeouts;
use crate::proxy::{RequestBody, Signal, StreamExecutor};
use crate::rejection::Rejection;

/// Most idle connections that one worker keeps to one upstream.
const MOST_IDLE: usize = 1024;

/// What one answer may hold of an HTTP/2 connection while its caller reads nothing, and all of them together: with less
/// than that many times the first, a few callers who do not read would stop the answers of all others.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 512 * 1024 * 1024;

/// Idle connections, most recently used last; or one multiplexed connection.
#[derive(Debug)]
pub(crate) struct Pool {
    state: Rc<RefCell<State>>,
}

#[derive(Debug)]
struct State {
    target: Arc<Target>,
    idle: Vec<Idle>,
    multiplexed: Vec<Multiplexed>,
}

/// An HTTP/2 connection, which as many requests share as the upstream allows.
#[derive(Debug)]
struct Multiplexed {
    sender: http2::SendRequest<RequestBody>,
    /// Most streams that the upstream takes at once.
    most: Rc<Cell<usize>>,
    /// One reference beside ours for every stream.
    streams: Rc<()>,
    /// What their answers may bring before their bodies.
    heads: HeadAllowance,
    tasks: StreamExecutor,
}

impl Multiplexed {
    fn stream(&self) -> Connection {
        self.heads
            .expect_answer(Rc::strong_count(&self.streams).saturating_sub(1));
        Connection::Http2 {
            sender: self.sender.clone(),
            stream: Rc::clone(&self.streams),
            tasks: self.tasks.clone(),
        }
    }

    fn has_room(&self) -> bool {
        Rc::strong_count(&self.streams) <= self.most.get()
    }
}

#[derive(Debug)]
struct Idle {
    connection: Http1,
    since: Tick,
}

/// An HTTP/1.1 connection that one request may use.
#[derive(Debug)]
pub(super) struct Http1 {
    pub(super) sender: http1::SendRequest<RequestBody>,
    pub(super) meter: Meter,
    /// What it is connected to: a reload may aim the pool elsewhere while a request is on its way.
    target: Arc<Target>,
    abandoned: Rc<Signal>,
}

/// A connection as the pool hands it out.
#[derive(Debug)]
pub(super) enum Connection {
    /// Exclusive; `reused` says that a request passed on it before.
    Http1 { connection: Http1, reused: bool },
    /// Shared.
    Http2 {
        sender: http2::SendRequest<RequestBody>,
        /// Held as long as the stream is open.
        stream: Rc<()>,
        /// Those of all its streams.
        tasks: StreamExecutor,
    },
}

/// The way back to the pool for a connection whose request and response both ended cleanly.
#[derive(Debug)]
pub struct Lease(Leased);

#[derive(Debug)]
enum Leased {
    Http1 {
        connection: Http1,
        pool: Weak<RefCell<State>>,
    },
    Stream {
        _open: Rc<()>,
    },
}

impl Drop for Http1 {
    /// Whoever lets go of a connection that is not given back wants nothing more of it. hyper itself would go on until it
    /// has sent the rest of the request, to an upstream that may never read it.
    fn drop(&mut self) {
        self.abandoned.set();
    }
}

impl Lease {
    /// A stream of a shared connection; it is open until this is dropped.
    pub(super) const fn of_stream(stream: Rc<()>) -> Self {
        Self(Leased::Stream { _open: stream })
    }

    /// Ends the connection at once, whatever is still being sent on it; false for a shared one.
    pub(crate) fn abandon(self) -> bool {
        match self.0 {
            Leased::Http1 { .. } => true,
            Leased::Stream { .. } => false,
        }
    }

    /// Returns the connection, which is idle since `now`.
    pub(crate) fn give_back(self, now: Tick) {
        let Leased::Http1 { connection, pool } = self.0 else {
            return;
        };
        let Some(pool) = pool.upgrade() else {
            return;
        };
        let mut state = pool.borrow_mut();
        if Arc::ptr_eq(&state.target, &connection.target) && state.idle.len() < MOST_IDLE {
            state.idle.push(Idle {
                connection,
                since: now,
            });
        }
    }
}

impl Pool {
    pub(crate) fn new(target: Arc<Target>) -> Self {
        Self {
            state: Rc::new(RefCell::new(State {
                target,
                idle: Vec::new(),
                multiplexed: Vec::new(),
            })),
        }
    }

    /// Follows a reload: connections to another target are of no use any more.
    pub(crate) fn aim(&self, target: &Arc<Target>) {
        let mut state = self.state.borrow_mut();
        if !Arc::ptr_eq(&state.target, target) {
            state.target = Arc::clone(target);
            state.idle.clear();
            state.multiplexed.clear();
        }
    }

    /// Drops connections that have been idle for `most`.
    pub(crate) fn sweep(&self, now: Tick, most: Duration) {
        let mut state = self.state.borrow_mut();
        state.idle.retain(|idle| now.since(idle.since) < most);
        if state.idle.is_empty() {
            // Room for a thousand was for a burst.
            state.idle = Vec::new();
        }
        // One shared connection may stay; more were for a burst.
        let mut kept = false;
        state.multiplexed.retain(|shared| {
            let used = Rc::strong_count(&shared.streams) > 1;
            let keep = !shared.sender.is_closed() && (used || !kept);
            kept |= keep;
            keep
        });
    }

    pub(super) fn lease(&self, connection: Http1) -> Lease {
        Lease(Leased::Http1 {
            connection,
            pool: Rc::downgrade(&self.state),
        })
    }

    /// The most recently used connection to `target` that is ready and not older than `most`. A reload may have aimed the
    /// pool elsewhere since the request began: what is meant for one upstream must not reach the other.
    pub(super) async fn reuse(
        &self,
        target: &Arc<Target>,
        now: Tick,
        most: Duration,
    ) -> Option<Connection> {
        if !Arc::ptr_eq(&self.state.borrow().target, target) {
            return None;
        }
        let open = |shared: &&Multiplexed| !shared.sender.is_closed() && shared.has_room();
        if let Some(shared) = self.state.borrow().multiplexed.iter().find(open) {
            return Some(shared.stream());
        }
        loop {
            failpoint!(Reuse, None);
            let mut idle = self.state.borrow_mut().idle.pop()?;
            if now.since(idle.since) >= most {
                // Older ones lie below.
                self.state.borrow_mut().idle.clear();
                return None;
            }
            let ready = poll_fn(|cx| Poll::Ready(idle.connection.sender.poll_ready(cx))).await;
            if matches!(ready, Poll::Ready(Ok(()))) {
                return Some(Connection::Http1 {
                    connection: idle.connection,
                    reused: true,
                });
            }
        }
    }

    /// A new connection to `target`, which is the one of the request's own snapshot.
    pub(super) async fn connect(
        &self,
        target: &Arc<Target>,
        clock: &Clock,
        timeouts: &Timeouts,
    ) -> Result<Connection, Rejection> {
        let connecting = async {
            failpoint!(async Connect, Err(Rejection::UpstreamUnreachable));
            let (stream, protocol) =
                target
                    .connect(timeouts.stalled_reader)
                    .await
                    .map_err(|error| {
                        tracing::debug!(%error, "upstream.connect_failed");
                        Rejection::UpstreamUnreachable
                    })?;
            self.handshake(target, stream, protocol).await
        };
        tokio::select! {
            connected = connecting => connected,
            () = clock.sleep(timeouts.upstream_connect) => Err(Rejection::UpstreamTimeout),
        }
    }

    async fn handshake(
        &self,
        target: &Arc<Target>,
        stream: crate::net::Stream,
        protocol: Protocol,
    ) -> Result<Connection, Rejection> {
        match protocol {
            Protocol::Http1 => Self::handshake_http1(target, stream).await,
            Protocol::Http2 => self.handshake_http2(target, stream).await,
        }
    }

    async fn handshake_http1(
        target: &Arc<Target>,
        stream: crate::net::Stream,
    ) -> Result<Connection, Rejection> {
        failpoint!(async Handshake, Err(Rejection::UpstreamUnreachable));
        let meter = Meter::default();
        meter.head_came();
        let io = TokioIo::new(Metered::http1(stream, meter.clone()));
        // Each direction is buffered up to this much while the other side does not read (INVARIANTS 58); hyper's own
        // 400 KiB, several times over, would be too much.
        let head_bytes = usize::try_from(HEAD_BYTES).unwrap_or(usize::MAX);
        let (sender, driver) = http1::Builder::new()
            .max_header_size(head_bytes)
            .max_buf_size(head_bytes)
            .handshake(io)
            .await
            .map_err(|_| Rejection::UpstreamUnreachable)?;
        let abandoned = Rc::new(Signal::default());
        let gone = Rc::clone(&abandoned);
        // The one who waits for the response learns of errors.
        tokio::task::spawn_local(async move { gone.ends(driver.with_upgrades()).await });
        Ok(Connection::Http1 {
            connection: Http1 {
                sender,
                meter,
                target: Arc::clone(target),
                abandoned,
            },
            reused: false,
        })
    }

    async fn handshake_http2(
        &self,
        target: &Arc<Target>,
        stream: crate::net::Stream,
    ) -> Result<Connection, Rejection> {
        failpoint!(async Handshake2, Err(Rejection::UpstreamUnreachable));
        let heads = HeadAllowance::default();
        let tasks = StreamExecutor::default();
        let io = TokioIo::new(Metered::http2(stream, heads.clone()));
        let (sender, mut driver) = http2::Builder::new(tasks.clone())
            .max_header_list_size(HEAD_BYTES)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(io)
            .await
            .map_err(|_| Rejection::UpstreamUnreachable)?;
        let most = Rc::new(Cell::new(driver.current_max_send_streams()));
        let told = Rc::clone(&most);
        tokio::task::spawn_local(poll_fn(move |cx| {
            let ended = Pin::new(&mut driver).poll(cx).map(drop);
            told.set(driver.current_max_send_streams());
            ended
        }));
        let shared = Multiplexed {
            sender,
            most,
            streams: Rc::new(()),
            heads,
            tasks,
        };
        let stream = shared.stream();
        let mut state = self.state.borrow_mut();
        if Arc::ptr_eq(&state.target, target) {
            state.multiplexed.push(shared);
        }
        Ok(stream)
    }
}
