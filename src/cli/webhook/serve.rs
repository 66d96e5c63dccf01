//! The HTTPS service of the webhook: bounded in connections, bodies and time.

use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::certificate::Certificate;
use crate::clock::Clock;
use crate::config::DrainSettings;
use crate::drain::{Drain, DrainSignal, Phase};
use crate::inject::{
    Decision, MOST_BYTES, Request, Reviewed, not_json, review, too_busy, too_large,
};
use crate::platform::{Signal, Signals};

/// Most connections at a time; each may hold a body.
const CONNECTIONS: usize = 64;
/// Larger bodies than this are read by two at a time: together they would fill the memory that the chart gives.
const SMALL: u64 = 256 * 1024;
const LARGE_AT_A_TIME: usize = 2;
/// For the handshake, for a head, and for a body: an API server waits for 30 seconds at most.
const PATIENCE: Duration = Duration::from_secs(10);
/// A connection is let go after so long, so that its client sees a new certificate.
const LIFE: Duration = Duration::from_secs(300);
/// When no connection can be accepted (no file descriptors), the next attempt waits.
const PAUSE: Duration = Duration::from_millis(100);

type Answer = Response<Full<Bytes>>;

/// What answers reviews.
pub(super) struct Desk {
    request: Request,
    large: Semaphore,
}

impl Desk {
    pub(super) fn new(request: Request) -> Rc<Self> {
        Rc::new(Self {
            request,
            large: Semaphore::new(LARGE_AT_A_TIME),
        })
    }
}

/// The webhook.
pub(super) struct Server {
    pub(super) certificate: Rc<Certificate>,
    pub(super) desk: Rc<Desk>,
    pub(super) clock: Clock,
    pub(super) drain: Drain,
    pub(super) settings: DrainSettings,
}

impl Server {
    /// Serves until the drain that a signal begins is over.
    pub(super) async fn run(self, listener: TcpListener, mut signals: Signals) {
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, "webhook.started");
        }
        let mut connections = JoinSet::new();
        let mut closing = self.drain.signal();
        loop {
            tokio::select! {
                () = closing.closing() => break,
                signal = signals.next() => self.signal(signal),
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                    Ok((stream, _)) => {
                        let acceptor = TlsAcceptor::from(self.certificate.served());
                        connections.spawn_local(connection(stream, acceptor, Rc::clone(&self.desk), self.drain.signal()));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "listener.accept_failed");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        let mut ended = self.drain.signal();
        while !connections.is_empty() {
            tokio::select! {
                () = ended.ended() => break,
                signal = signals.next() => self.signal(signal),
                _ = connections.join_next() => {}
            }
        }
        tracing::info!("drain.finished");
    }

    fn signal(&self, signal: Signal) {
        match signal {
            Signal::Reload => self.certificate.reload(),
            Signal::End if self.drain.signal().phase() > Phase::Serving => self.drain.end(),
            Signal::End => {
                tracing::info!("drain.started");
                let (drain, clock, settings) =
                    (self.drain.clone(), self.clock.clone(), self.settings);
                tokio::task::spawn_local(async move {
                    drain.run(settings, &clock, std::future::pending()).await;
                });
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    desk: Rc<Desk>,
    mut drain: DrainSignal,
) {
    let stream = match tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, "webhook.connection_failed");
            return;
        }
        Err(_) => return,
    };
    let service = service_fn(|asked: hyper::Request<Incoming>| {
        let desk = Rc::clone(&desk);
        async move { Ok::<_, Infallible>(answer(asked, &desk).await) }
    });
    let mut serving = pin!(
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .max_buf_size(64 * 1024)
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        ended = serving.as_mut() => {
            if let Err(error) = ended {
                tracing::debug!(%error, "webhook.connection_failed");
            }
            return;
        }
        () = tokio::time::sleep(LIFE) => {}
        () = drain.closing() => {}
    }
    serving.as_mut().graceful_shutdown();
    tokio::select! {
        // How it goes away is the client's business.
        _ = serving => {}
        () = drain.ended() => {}
    }
}

async fn answer(asked: hyper::Request<Incoming>, desk: &Desk) -> Answer {
    let all = match asked.uri().path() {
        "/healthz" if matches!(*asked.method(), Method::GET | Method::HEAD) => {
            return plain(StatusCode::OK, "ok\n");
        }
        "/healthz" => return refuse_method("GET, HEAD"),
        "/inject" => false,
        "/inject/all" => true,
        _ => return plain(StatusCode::NOT_FOUND, "not found\n"),
    };
    if *asked.method() != Method::POST {
        return refuse_method("POST");
    }
    let reviewed = reviewed(asked, all, desk).await;
    log(&reviewed);
    let mut answer = Response::new(Full::new(Bytes::from(reviewed.body)));
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}

async fn reviewed(asked: hyper::Request<Incoming>, all: bool, desk: &Desk) -> Reviewed {
    let content_type = asked.headers().get(header::CONTENT_TYPE);
    let content_type = content_type
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return not_json(media_type);
    }
    let length = asked.body().size_hint().exact();
    let mut _turn = None;
    if length.is_none_or(|length| length > SMALL) {
        match tokio::time::timeout(PATIENCE, desk.large.acquire()).await {
            Ok(turn) => _turn = turn.ok(),
            Err(_) => return too_busy(),
        }
    }
    let body = Limited::new(asked.into_body(), MOST_BYTES).collect();
    match tokio::time::timeout(PATIENCE, body).await {
        Ok(Ok(body)) => review(&body.to_bytes(), all, &desk.request),
        Ok(Err(error)) if error.is::<LengthLimitError>() => too_large(),
        // A body that broke off, or did not come: what there is of it is no review.
        Ok(Err(_)) | Err(_) => review(&[], all, &desk.request),
    }
}

fn log(reviewed: &Reviewed) {
    let (namespace, name) = (reviewed.namespace.as_str(), reviewed.name.as_str());
    match &reviewed.decision {
        Decision::Injected => tracing::info!(namespace, name, "webhook.injected"),
        Decision::Untouched(reason) => {
            tracing::debug!(namespace, name, reason, "webhook.untouched")
        }
        Decision::Denied(reason) => tracing::info!(namespace, name, reason, "webhook.denied"),
        Decision::Unreadable(reason) => tracing::warn!(reason, "webhook.unreadable"),
    }
}

fn plain(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *answer.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, plain);
    answer
}

fn refuse_method(allow: &'static str) -> Answer {
    let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
    let allow = HeaderValue::from_static(allow);
    answer.headers_mut().insert(header::ALLOW, allow);
    answer
}
