//! The upstream, on a thread of its own. What it does is what the first segment of the path says.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};

use crate::client::{Local, Protocol};
use crate::tokens;

/// A body of 1 GiB.
pub const GIB: u64 = 1 << 30;

/// Pieces of a stream, and the time between them.
const PIECES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(25);

/// What the upstream has seen.
#[derive(Default)]
pub struct Seen {
    pub requests: AtomicU64,
    /// Connections that are open.
    pub open: AtomicU64,
    /// Requests under `/sink` and `/fountain` that have begun.
    pub stalled: AtomicU64,
    /// Those that are over.
    pub ended: AtomicU64,
    /// `/sink` may read now.
    pub reads: AtomicBool,
    /// Bytes that fountains have given.
    pub given: Arc<AtomicU64>,
    /// How often the key set was asked for under `/jwks`.
    pub fetches: AtomicU64,
    mode: AtomicU8,
}

/// How the server of the key set behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Up,
    Down,
    Hang,
    Empty,
}

impl Seen {
    /// Changes how the key set is served.
    pub fn mode(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::Relaxed);
    }

    async fn keys(&self) -> io::Result<String> {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        let mode = self.mode.load(Ordering::Relaxed);
        if mode == Mode::Hang as u8 {
            std::future::pending::<()>().await;
        }
        match mode {
            up if up == Mode::Up as u8 => Ok(tokens::jwks()),
            empty if empty == Mode::Empty as u8 => Ok(r#"{"keys":[]}"#.to_owned()),
            _ => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }
}

/// A running upstream; its thread ends with the process.
pub struct Upstream {
    pub address: SocketAddr,
    pub seen: Arc<Seen>,
}

impl Upstream {
    pub fn start() -> Self {
        Self::of(Protocol::Http1)
    }

    /// One that speaks this.
    pub fn of(protocol: Protocol) -> Self {
        let seen = Arc::new(Seen::default());
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)
            .expect("a socket");
        // Small, so that a stalled body costs the system little; accepted sockets inherit it.
        socket.set_recv_buffer_size(64 * 1024).expect("a buffer");
        socket
            .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
            .expect("a port");
        socket.listen(4096).expect("a listener");
        socket.set_nonblocking(true).expect("a listener");
        let listener = std::net::TcpListener::from(socket);
        let address = listener.local_addr().expect("an address");
        let of_thread = Arc::clone(&seen);
        std::thread::spawn(move || {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .build_local(LocalOptions::default())
                .expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("a listener");
                accept(listener, protocol, of_thread).await;
            });
        });
        Self { address, seen }
    }
}

async fn accept(listener: TcpListener, protocol: Protocol, seen: Arc<Seen>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let seen = Arc::clone(&seen);
        tokio::task::spawn_local(async move {
            seen.open.fetch_add(1, Ordering::Relaxed);
            let of_answers = Arc::clone(&seen);
            let service = service_fn(move |request| {
                let seen = Arc::clone(&of_answers);
                async move { answer(request, &seen).await }
            });
            let io = TokioIo::new(stream);
            let _ = match protocol {
                Protocol::Http1 => http1::Builder::new().serve_connection(io, service).await,
                Protocol::Http2 => {
                    http2::Builder::new(Local)
                        .serve_connection(io, service)
                        .await
                }
            };
            seen.open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

type Answer = Either<Full<Bytes>, Pieces>;

async fn answer(request: Request<Incoming>, seen: &Arc<Seen>) -> io::Result<Response<Answer>> {
    seen.requests.fetch_add(1, Ordering::Relaxed);
    let text = |name: &str| text(request.headers(), name).to_owned();
    let (nonce, id) = (text("x-nonce"), text("x-request-id"));
    let first = request
        .uri()
        .path()
        .split('/')
        .nth(1)
        .unwrap_or_default()
        .to_owned();
    let mut body = request.into_body();
    let mut answered = Response::new(Either::Left(Full::new(Bytes::from(nonce.clone()))));
    match first.as_str() {
        "early" => drop(body),
        "half" => drop(body.frame().await),
        "reset" => return Err(io::ErrorKind::ConnectionReset.into()),
        "broken" => *answered.body_mut() = Either::Right(Pieces::broken(nonce.into())),
        "stream" => {
            drop(body.collect().await);
            *answered.body_mut() = Either::Right(Pieces::stream(nonce.into()));
        }
        "mebibyte" | "pieces" => {
            drop(body.collect().await);
            *answered.body_mut() = if first == "pieces" {
                Either::Right(Pieces::new(Bytes::from_static(&[b'x'; 4000]), 16))
            } else {
                Either::Left(Full::from(vec![b'x'; 1 << 20]))
            };
        }
        "fountain" => {
            seen.stalled.fetch_add(1, Ordering::Relaxed);
            *answered.body_mut() = Either::Right(Pieces::fountain(seen));
        }
        "sink" => {
            let _ended = Ended::begin(seen);
            while !seen.reads.load(Ordering::Relaxed) {
                tokio::time::sleep(PAUSE).await;
            }
            while let Some(frame) = body.frame().await {
                frame.map_err(io::Error::other)?;
            }
        }
        "jwks" => *answered.body_mut() = Either::Left(Full::from(seen.keys().await?)),
        "token" => answered = token(),
        "error" => *answered.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR,
        _ => drop(body.collect().await.map_err(io::Error::other)?),
    }
    if let Ok(id) = id.parse() {
        answered.headers_mut().insert("x-seen-id", id);
    }
    Ok(answered)
}

/// What a token endpoint says.
fn token() -> Response<Answer> {
    let text = r#"{"access_token":"an-access-token","token_type":"Bearer","expires_in":3600}"#;
    let mut response = Response::new(Either::Left(Full::from(text)));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert("content-type", json);
    response
}

/// The value of a field, or nothing.
pub fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// One of the requests that stall, until it is dropped.
struct Ended(Arc<Seen>);

impl Ended {
    fn begin(seen: &Arc<Seen>) -> Self {
        seen.stalled.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(seen))
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// A body in pieces.
pub struct Pieces {
    piece: Bytes,
    left: u64,
    /// Bytes, where their number is said in the head.
    said: Option<u64>,
    given: Option<Arc<AtomicU64>>,
    _ended: Option<Ended>,
    breaks: bool,
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Pieces {
    /// So many pieces, one after another, and their number is not said.
    pub const fn new(piece: Bytes, left: u64) -> Self {
        Self {
            piece,
            left,
            said: None,
            given: None,
            _ended: None,
            breaks: false,
            pause: None,
        }
    }

    /// The nonce again and again, with pauses.
    fn stream(nonce: Bytes) -> Self {
        let pause = Some(Box::pin(tokio::time::sleep(PAUSE)));
        Self {
            pause,
            ..Self::new(nonce, u64::from(PIECES))
        }
    }

    /// The nonce once, then the end of the connection.
    fn broken(nonce: Bytes) -> Self {
        Self {
            breaks: true,
            ..Self::new(nonce, 1)
        }
    }

    /// 1 GiB; `given` counts what was taken.
    pub fn gib(given: &Arc<AtomicU64>) -> Self {
        const PIECE: usize = 16 * 1024;
        static ZEROS: [u8; PIECE] = [0; PIECE];
        let pieces = GIB / PIECE as u64;
        Self {
            said: Some(GIB),
            given: Some(Arc::clone(given)),
            ..Self::new(Bytes::from_static(&ZEROS), pieces)
        }
    }

    fn fountain(seen: &Arc<Seen>) -> Self {
        Self {
            _ended: Some(Ended(Arc::clone(seen))),
            ..Self::gib(&seen.given)
        }
    }

    /// What a whole stream is.
    pub fn whole_stream(nonce: &str) -> String {
        nonce.repeat(PIECES as usize)
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            let broken = std::mem::take(&mut self.breaks);
            return Poll::Ready(broken.then(|| Err(io::ErrorKind::BrokenPipe.into())));
        }
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(cx));
            self.pause = Some(Box::pin(tokio::time::sleep(PAUSE)));
        }
        self.left -= 1;
        if let Some(given) = &self.given {
            given.fetch_add(self.piece.len() as u64, Ordering::Relaxed);
        }
        Poll::Ready(Some(Ok(Frame::data(self.piece.clone()))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0 && !self.breaks
    }

    fn size_hint(&self) -> SizeHint {
        self.said
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
