//! An HTTP/2 client over the `h2` crate, with prior knowledge or over TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Uri};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::runtime::{handle, wait};
use super::{Request, Response};

/// What came instead of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The stream was reset, with this error code.
    Reset(u32),
    /// The connection was ended, with this error code if there was one.
    Closed(Option<u32>),
}

impl From<h2::Error> for Failure {
    fn from(error: h2::Error) -> Self {
        match error.reason() {
            Some(reason) if error.is_reset() => Self::Reset(reason.into()),
            reason => Self::Closed(reason.map(Into::into)),
        }
    }
}

/// An HTTP/2 connection.
pub struct H2Connection {
    send: SendRequest<Bytes>,
    scheme: &'static str,
}

/// A stream whose answer is read step by step.
pub struct H2Stream {
    send: h2::SendStream<Bytes>,
    response: Option<h2::client::ResponseFuture>,
    body: Option<h2::RecvStream>,
}

async fn connect(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<SendRequest<Bytes>, Failure> {
    let (send, connection) = h2::client::Builder::new()
        .initial_window_size(1 << 20)
        .initial_connection_window_size(1 << 22)
        .handshake(io)
        .await?;
    handle().spawn(async move {
        let _ = connection.await;
    });
    Ok(send)
}

impl H2Connection {
    /// With prior knowledge.
    pub fn plain(address: SocketAddr) -> Self {
        let send = wait(async move {
            connect(TcpStream::connect(address).await.expect("a connection")).await
        });
        Self {
            send: send.expect("an HTTP/2 connection"),
            scheme: "http",
        }
    }

    /// Over TLS with ALPN.
    pub fn tls(address: SocketAddr, config: Arc<rustls::ClientConfig>) -> Self {
        let send = wait(async move {
            let tcp = TcpStream::connect(address).await.expect("a connection");
            let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
            let tls = tokio_rustls::TlsConnector::from(config)
                .connect(name, tcp)
                .await
                .expect("a handshake");
            assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "ALPN");
            connect(tls).await
        });
        Self {
            send: send.expect("an HTTP/2 connection"),
            scheme: "https",
        }
    }

    /// Opens a stream; `end` when no body follows.
    pub fn open(&self, request: &Request, end: bool) -> Result<H2Stream, Failure> {
        let mut send = self.send.clone();
        let head = head(request, self.scheme);
        let (response, stream) = wait(async move {
            send = send.ready().await?;
            send.send_request(head, end)
        })?;
        Ok(H2Stream {
            send: stream,
            response: Some(response),
            body: None,
        })
    }

    /// Sends a request and reads its whole answer.
    pub fn exchange(&self, request: &Request) -> Result<Response, Failure> {
        let mut stream = self.open(request, request.body.is_empty())?;
        if !request.body.is_empty() {
            stream.push(&request.body, true);
        }
        let mut response = stream.head()?;
        while let Some(piece) = stream.next()? {
            response.body.extend_from_slice(&piece);
        }
        response.trailers = stream.trailers()?;
        Ok(response)
    }
}

/// Whether the `h2` crate can say this request at all; what it cannot is said by `raw_h2`.
pub fn can_say(request: &Request) -> bool {
    request
        .target
        .parse::<http::uri::PathAndQuery>()
        .is_ok_and(|target| target.as_str() == request.target)
        && request.target.starts_with('/')
        && request.host.parse::<http::uri::Authority>().is_ok()
        && http::Method::from_bytes(request.method.as_bytes()).is_ok()
        && request.headers.iter().all(|(name, value)| {
            http::HeaderName::from_bytes(name.as_bytes()).is_ok()
                && http::HeaderValue::from_bytes(value.as_bytes()).is_ok()
                && !matches!(
                    name.to_ascii_lowercase().as_str(),
                    "connection"
                        | "transfer-encoding"
                        | "upgrade"
                        | "keep-alive"
                        | "proxy-connection"
                )
        })
}

fn head(request: &Request, scheme: &str) -> http::Request<()> {
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(request.host.as_str())
        .path_and_query(request.target.as_str())
        .build()
        .expect("a URI");
    let mut head = http::Request::builder()
        .method(request.method.as_str())
        .uri(uri);
    for (name, value) in &request.headers {
        head = head.header(name.to_ascii_lowercase(), value.as_bytes());
    }
    head.body(()).expect("a request")
}

fn lines(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect()
}

impl H2Stream {
    /// Sends a piece of the body; `end` when it is the last.
    pub fn push(&mut self, data: &[u8], end: bool) {
        // The peer may have ended the stream already: that shows at reading.
        let _ = self.send.send_data(Bytes::copy_from_slice(data), end);
    }

    /// Ends the request with trailers.
    pub fn push_trailers(&mut self, trailers: &[(&str, &str)]) {
        let mut map = HeaderMap::new();
        for (name, value) in trailers {
            let name = http::HeaderName::from_bytes(name.as_bytes()).expect("a name");
            map.append(name, value.parse().expect("a value"));
        }
        let _ = self.send.send_trailers(map);
    }

    /// Cancels the stream.
    pub fn cancel(mut self) {
        self.send.send_reset(h2::Reason::CANCEL);
    }

    /// Reads the head of the answer.
    pub fn head(&mut self) -> Result<Response, Failure> {
        let response = self.response.take().expect("the head is read once");
        let (parts, body) = wait(response)?.into_parts();
        self.body = Some(body);
        Ok(Response {
            status: parts.status.as_u16(),
            headers: lines(&parts.headers),
            ..Response::default()
        })
    }

    /// Reads a piece of the body; `None` at its end.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        // An empty DATA frame may carry the end.
        loop {
            match self.frame()? {
                Some(piece) if piece.is_empty() => {}
                other => return Ok(other),
            }
        }
    }

    fn frame(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let mut body = self.body.take().expect("the head comes first");
        let (body, piece) = wait(async move {
            let piece = body.data().await;
            if let Some(Ok(piece)) = &piece {
                let _ = body.flow_control().release_capacity(piece.len());
            }
            (body, piece)
        });
        self.body = Some(body);
        match piece {
            None => Ok(None),
            Some(Ok(piece)) => Ok(Some(piece.to_vec())),
            Some(Err(error)) => Err(error.into()),
        }
    }

    /// Reads the trailers.
    pub fn trailers(&mut self) -> Result<Vec<(String, String)>, Failure> {
        let mut body = self.body.take().expect("the body comes first");
        let trailers = wait(async move { body.trailers().await })?;
        Ok(trailers
            .map(|trailers| lines(&trailers))
            .unwrap_or_default())
    }
}
