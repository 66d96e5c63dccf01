//! A client of either protocol that sends a request once, whatever happens.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::JoinHandle;

use crate::upstream::Pieces;

/// A request's body.
pub type Payload = Either<Full<Bytes>, Pieces>;

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

/// Why there is no answer.
pub enum Failure {
    /// Nothing was written: the connection had ended before. Another one may take it, and that is no second try.
    Unsent(Request<Payload>),
    /// It was sent, and no answer came.
    Lost(String),
}

/// A connection; closed when dropped.
pub struct Client {
    sender: Sender,
    driver: JoinHandle<()>,
}

enum Sender {
    One(http1::SendRequest<Payload>),
    Two(http2::SendRequest<Payload>),
}

/// Requests of one HTTP/2 connection, as many as there are copies.
#[derive(Clone)]
pub struct Stream(http2::SendRequest<Payload>);

impl Client {
    pub async fn connect(address: SocketAddr, protocol: Protocol) -> Result<Self, String> {
        let text = |error: &dyn std::error::Error| format!("connecting: {error}");
        let socket = TcpSocket::new_v4().map_err(|error| text(&error))?;
        // Small, so that a stalled body costs the system little.
        socket
            .set_recv_buffer_size(64 * 1024)
            .map_err(|error| text(&error))?;
        let stream = socket
            .connect(address)
            .await
            .map_err(|error| text(&error))?;
        stream.set_nodelay(true).map_err(|error| text(&error))?;
        Self::over(stream, protocol).await
    }

    /// A connection over what is connected already.
    pub async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
        protocol: Protocol,
    ) -> Result<Self, String> {
        let text = |error: &dyn std::error::Error| format!("connecting: {error}");
        let io = TokioIo::new(stream);
        Ok(match protocol {
            Protocol::Http1 => {
                let (sender, driver) = http1::handshake(io).await.map_err(|error| text(&error))?;
                let driver = tokio::task::spawn_local(async move { drop(driver.await) });
                Self {
                    sender: Sender::One(sender),
                    driver,
                }
            }
            Protocol::Http2 => {
                let (sender, driver) = http2::handshake(Local, io)
                    .await
                    .map_err(|error| text(&error))?;
                let driver = tokio::task::spawn_local(async move { drop(driver.await) });
                Self {
                    sender: Sender::Two(sender),
                    driver,
                }
            }
        })
    }

    pub async fn http1(address: SocketAddr) -> Result<Self, String> {
        Self::connect(address, Protocol::Http1).await
    }

    /// The way to send requests beside each other; HTTP/2 alone has one.
    pub fn stream(&self) -> Option<Stream> {
        match &self.sender {
            Sender::One(_) => None,
            Sender::Two(sender) => Some(Stream(sender.clone())),
        }
    }

    /// Whether the connection has ended, or the other side said that it will.
    pub fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::One(sender) => sender.is_closed(),
            Sender::Two(sender) => sender.is_closed(),
        }
    }

    /// Sends once.
    pub async fn send(&mut self, request: Request<Payload>) -> Result<Response<Incoming>, Failure> {
        match &mut self.sender {
            Sender::One(sender) => {
                if sender.ready().await.is_err() {
                    return Err(Failure::Unsent(request));
                }
                sender.try_send_request(request).await.map_err(failure)
            }
            Sender::Two(sender) => Stream(sender.clone()).send(request).await,
        }
    }

    /// Sends once and reads the whole answer.
    pub async fn exchange(&mut self, request: Request<Payload>) -> Result<Answer, Failure> {
        Answer::whole(self.send(request).await?).await
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Stream {
    pub async fn send(&mut self, request: Request<Payload>) -> Result<Response<Incoming>, Failure> {
        if self.0.ready().await.is_err() {
            return Err(Failure::Unsent(request));
        }
        self.0
            .try_send_request(absolute(request))
            .await
            .map_err(failure)
    }
}

fn failure(mut error: hyper::client::conn::TrySendError<Request<Payload>>) -> Failure {
    match error.take_message() {
        Some(request) => Failure::Unsent(request),
        None => Failure::Lost(chain(error.error())),
    }
}

/// An error with its causes.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// HTTP/2 carries the authority in the target.
fn absolute(mut request: Request<Payload>) -> Request<Payload> {
    let host = request.headers_mut().remove(http::header::HOST);
    let host = host
        .as_ref()
        .and_then(|host| host.to_str().ok())
        .unwrap_or("api.test");
    let uri: Uri = format!("http://{host}{}", request.uri())
        .parse()
        .expect("a target");
    *request.uri_mut() = uri;
    request
}

/// An answer that was read to its end.
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub async fn whole(response: Response<Incoming>) -> Result<Self, Failure> {
        let (parts, body) = response.into_parts();
        let body = body
            .collect()
            .await
            .map_err(|error| Failure::Lost(chain(&error)))?;
        Ok(Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.to_bytes(),
        })
    }

    /// The other side said that the connection ends.
    pub fn closes(&self) -> bool {
        crate::upstream::text(&self.headers, "connection").eq_ignore_ascii_case("close")
    }
}

/// A request without a body.
pub fn get(target: &str, token: Option<&str>) -> Request<Payload> {
    request(Method::GET, target, token, Either::Left(Full::default()))
}

/// A request with this body.
pub fn post(target: &str, token: Option<&str>, body: impl Into<Bytes>) -> Request<Payload> {
    request(
        Method::POST,
        target,
        token,
        Either::Left(Full::new(body.into())),
    )
}

/// Any request.
pub fn request(
    method: Method,
    target: &str,
    token: Option<&str>,
    body: Payload,
) -> Request<Payload> {
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", "api.test");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.body(body).expect("a request")
}

/// Runs everything of hyper's on this thread.
#[derive(Clone, Copy)]
pub struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move { drop(future.await) });
    }
}

/// Runs the load on this thread.
pub fn run<T>(load: impl Future<Output = T>) -> T {
    Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .expect("a runtime")
        .block_on(load)
}
