//! An HTTP/2 upstream with prior knowledge, for gRPC: echoes messages as they come and ends with trailers; `/early` is
//! answered at once, `/deaf` reads nothing, `/wants-second` answers 401 to the first token of the bed's
//! token endpoint, and `/early-second` does so at once.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Response};

use super::runtime::{handle, wait};

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct H2Captured {
    pub method: String,
    pub path: String,
    pub authority: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

/// The upstream.
pub struct H2Upstream {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<H2Captured>>>,
    task: tokio::task::JoinHandle<()>,
}

impl H2Upstream {
    /// Starts it.
    pub fn start() -> Self {
        Self::with(h2::server::Builder::new())
    }

    /// Starts one that takes no byte of a body.
    pub fn without_a_window() -> Self {
        let mut builder = h2::server::Builder::new();
        builder.initial_window_size(0);
        Self::with(builder)
    }

    fn with(builder: h2::server::Builder) -> Self {
        let listener = wait(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let captured = Arc::clone(&requests);
        let task = handle().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (captured, builder) = (Arc::clone(&captured), builder.clone());
                handle().spawn(async move {
                    let Ok(mut connection) = builder.handshake(stream).await else {
                        return;
                    };
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        handle().spawn(answer(request, respond, Arc::clone(&captured)));
                    }
                });
            }
        });
        Self {
            address,
            requests,
            task,
        }
    }

    /// For `upstream:`.
    pub fn url(&self) -> String {
        format!("h2c://{}", self.address)
    }

    /// Requests whose end has come.
    pub fn requests(&self) -> Vec<H2Captured> {
        self.requests.lock().expect("requests").clone()
    }
}

impl Drop for H2Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    request: http::Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    captured: Arc<Mutex<Vec<H2Captured>>>,
) {
    let (parts, mut body) = request.into_parts();
    let mut seen = H2Captured {
        method: parts.method.to_string(),
        path: parts
            .uri
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default(),
        authority: parts
            .uri
            .authority()
            .map(ToString::to_string)
            .unwrap_or_default(),
        headers: parts.headers,
        body: Vec::new(),
        trailers: None,
    };
    let first = seen.headers.get("authorization");
    let first = first.is_some_and(|value| value.as_bytes().starts_with(b"Bearer at-1-"));
    let refused = first && seen.path == "/early-second";
    let head = Response::builder()
        .status(if refused { 401 } else { 200 })
        .header("content-type", "application/grpc")
        .body(())
        .expect("a response");
    if seen.path == "/wants-second" && first {
        while let Some(Ok(piece)) = body.data().await {
            seen.body.extend_from_slice(&piece);
        }
        captured.lock().expect("requests").push(seen);
        let refusal = Response::builder()
            .status(401)
            .body(())
            .expect("a response");
        let _ = respond.send_response(refusal, true);
        return;
    }
    // An answer that is over before its request is, which goes on.
    let early = seen.path.starts_with("/early");
    let Ok(mut stream) = respond.send_response(head, early) else {
        return;
    };
    if seen.path == "/deaf" {
        // Reads nothing, and waits to be left.
        let _ = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
        captured.lock().expect("requests").push(seen);
        return;
    }
    while let Some(Ok(piece)) = body.data().await {
        let _ = body.flow_control().release_capacity(piece.len());
        seen.body.extend_from_slice(&piece);
        if !early && stream.send_data(piece, false).is_err() {
            return;
        }
    }
    seen.trailers = body.trailers().await.ok().flatten();
    captured.lock().expect("requests").push(seen);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers.insert("grpc-message", HeaderValue::from_static("fine"));
    trailers.insert("x-auth-subject", HeaderValue::from_static("forged"));
    let _ = stream.send_trailers(trailers);
}
