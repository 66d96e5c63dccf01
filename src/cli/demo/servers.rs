//! The thread that serves the development issuer and the upstream.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use super::issuer::Issuer;
use super::upstream::Upstream;

/// Most bytes of a body that either of them reads.
const BODY_BYTES: usize = 64 * 1024;

/// The running servers; they end when this is dropped.
#[derive(Debug)]
pub(super) struct Servers {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Servers {
    /// Serves on listeners that are bound already: whoever connects from now on is answered.
    pub(super) fn start(
        issuer: (TcpListener, Arc<Issuer>),
        upstream: (TcpListener, Arc<Upstream>),
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let listeners = {
            let _inside = runtime.enter();
            (listener(issuer.0)?, listener(upstream.0)?)
        };
        let (issuer, upstream) = (issuer.1, upstream.1);
        let thread = std::thread::Builder::new()
            .name("demo-servers".to_owned())
            .spawn(move || {
                let local = LocalSet::new();
                local.spawn_local(serve(listeners.0, move |request| {
                    let issuer = Arc::clone(&issuer);
                    async move { issuer.answer(request).await }
                }));
                local.spawn_local(serve(listeners.1, move |request| {
                    let upstream = Arc::clone(&upstream);
                    async move { upstream.answer(request).await }
                }));
                // An error means that the owner is gone, which is the same.
                local.block_on(&runtime, async { drop(stopped.await) });
            })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            drop(thread.join());
        }
    }
}

fn listener(listener: TcpListener) -> io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}

async fn serve<H, F>(listener: tokio::net::TcpListener, handler: H)
where
    H: Fn(Request<Incoming>) -> F + 'static,
    F: Future<Output = Response<Full<Bytes>>> + 'static,
{
    let handler = Rc::new(handler);
    while let Ok((stream, _)) = listener.accept().await {
        let handler = Rc::clone(&handler);
        tokio::task::spawn_local(async move {
            let service = service_fn(move |request| {
                let answer = handler(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            // A caller that goes away is no news.
            drop(
                http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            );
        });
    }
}

/// The whole body, if it is small enough.
pub(super) async fn body(body: Incoming) -> Option<Bytes> {
    let collected = Limited::new(body, BODY_BYTES).collect().await.ok()?;
    Some(collected.to_bytes())
}

/// A JSON answer that nobody keeps.
pub(super) fn json(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{value}\n"))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
