//! The HTTP/1.1 service of the admin and probes listeners, on the control thread.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::answers::{Asked, answer};
use super::{AdminState, Surface};
use crate::drain::DrainSignal;

/// Most connections at a time; probes and scrapes need a few.
const CONNECTIONS: usize = 64;
/// From connecting, or the last answer, to the end of the next head.
const HEAD: Duration = Duration::from_secs(10);
/// A connection lives at most so long; clients of this kind simply come again.
const LIFE: Duration = Duration::from_secs(300);
/// When no connection can be accepted (no file descriptors), the next attempt waits.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `drain` has ended: probes are answered while the proxy drains. Needs a runtime with I/O and time.
pub async fn serve(
    listener: TcpListener,
    state: Arc<AdminState>,
    surface: Surface,
    mut drain: DrainSignal,
) {
    let surface = Arc::new(surface);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = drain.ended() => return,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&state), Arc::clone(&surface)));
                }
                Err(error) => {
                    tracing::warn!(error = %error, "admin.accept_failed");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
}

async fn connection(stream: TcpStream, state: Arc<AdminState>, surface: Arc<Surface>) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let asked = Asked {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
        };
        let response = answer(&state, &surface, asked).map(Full::<Bytes>::new);
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    // How a caller of ours goes away is its own business.
    if let Ok(Err(error)) = tokio::time::timeout(LIFE, serving).await {
        tracing::debug!(error = %error, "admin.connection_failed");
    }
}
