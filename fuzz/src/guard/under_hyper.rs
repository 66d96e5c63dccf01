//! The real hyper: above the guard, and alone on the bytes that the guard passes.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use countersign::fuzzing::{Verdicts, guard};
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::strict::{Message, Reading};

/// A request as a service sees it.
#[derive(Debug, PartialEq)]
struct Seen {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    /// `None` when it did not come whole.
    body: Option<Bytes>,
}

/// A socket that has these bytes, then stays silent until it is told to end; what is written is dropped.
#[derive(Clone)]
struct Socket {
    bytes: Rc<RefCell<(Vec<u8>, bool)>>,
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.bytes.borrow_mut();
        if state.0.is_empty() && !state.1 {
            return Poll::Pending;
        }
        let count = state.0.len().min(buf.remaining());
        buf.put_slice(&state.0[..count]);
        state.0.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Compares three readings: strict, of hyper above the guard, of hyper alone.
pub(super) fn check(ours: &Reading, sent: &[u8], passed: &[u8]) {
    let (above, refused) = serve(sent, true);
    let (alone, _) = serve(passed, false);
    assert_eq!(above, alone, "hyper reads otherwise above the guard");
    for (seen, message) in above.iter().zip(&ours.messages) {
        same(seen, message);
    }
    assert!(
        above.len() <= ours.messages.len(),
        "hyper sees more requests"
    );
    match above
        .len()
        .checked_sub(1)
        .and_then(|last| ours.messages.get(last))
    {
        Some(last) if above.len() < ours.messages.len() => {
            assert!(last.may_close(), "hyper stops early");
        }
        None if !ours.messages.is_empty() => panic!("hyper sees nothing"),
        // What is refused is answered, unless the connection was closed before.
        last => {
            assert!(ours.refused_head || !refused);
            assert!(refused || !ours.refused_head || last.is_some_and(Message::may_close));
        }
    }
}

fn same(seen: &Seen, message: &Message) {
    assert_eq!(seen.method.as_str(), message.method);
    if message.target.starts_with(b"/") {
        let target = seen
            .uri
            .path_and_query()
            .map(|target| target.as_str().as_bytes());
        assert_eq!(target, Some(&*message.target), "another target");
    } else {
        assert_eq!(
            Uri::try_from(&*message.target).ok().as_ref(),
            Some(&seen.uri)
        );
    }
    assert_eq!(seen.version == Version::HTTP_10, message.http10);
    assert_eq!(seen.headers.len(), message.fields.len());
    for (name, _) in &message.fields {
        let theirs = seen
            .headers
            .get_all(name)
            .iter()
            .map(http::HeaderValue::as_bytes);
        assert!(theirs.eq(message.field(name)), "other values of {name}");
    }
    let body = message.complete.then_some(&*message.content);
    assert_eq!(seen.body.as_deref(), body, "another body");
}

/// What a service sees of these bytes, and whether the guard's own request was among it.
fn serve(bytes: &[u8], guarded: bool) -> (Vec<Seen>, bool) {
    let socket = Socket {
        bytes: Rc::new(RefCell::new((bytes.to_vec(), false))),
    };
    let log = Rc::new(Log::default());
    if guarded {
        let (io, verdicts) = guard(socket.clone());
        drive(&socket, io, &log, Some(&verdicts));
    } else {
        drive(&socket, socket.clone(), &log, None);
    }
    let refused = *log.refused.borrow();
    (log.seen.take(), refused)
}

#[derive(Default)]
struct Log {
    seen: RefCell<Vec<Seen>>,
    refused: RefCell<bool>,
}

fn drive<T>(socket: &Socket, io: T, log: &Rc<Log>, verdicts: Option<&Verdicts>)
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let service = service_fn(|request| answer(request, Rc::clone(log), verdicts.cloned()));
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection);
    let mut cx = Context::from_waker(Waker::noop());
    let mut quiet = 0;
    let mut before = (0, 0);
    // Nobody wakes: polled until nothing has changed for a while, then once more behind the end of the socket.
    for _ in 0..100_000 {
        if let Poll::Ready(ended) = connection.as_mut().poll(&mut cx) {
            let unread = ended.is_err_and(|error| error.is_parse());
            assert!(!unread, "hyper cannot read what passes");
            return;
        }
        let now = (log.seen.borrow().len(), socket.bytes.borrow().0.len());
        quiet = if now == before { quiet + 1 } else { 0 };
        before = now;
        if quiet > 6 {
            let ended = std::mem::replace(&mut socket.bytes.borrow_mut().1, true);
            if ended {
                return;
            }
            quiet = 0;
        }
    }
    panic!("hyper does not come to rest");
}

async fn answer(
    request: Request<Incoming>,
    log: Rc<Log>,
    verdicts: Option<Verdicts>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let refused = verdicts
        .as_ref()
        .is_some_and(|verdicts| verdicts.of_head(&parts.method).is_some());
    if refused {
        *log.refused.borrow_mut() = true;
    } else {
        let at = {
            let mut seen = log.seen.borrow_mut();
            seen.push(Seen {
                method: parts.method,
                uri: parts.uri,
                version: parts.version,
                headers: parts.headers,
                body: None,
            });
            seen.len() - 1
        };
        if let Ok(body) = body.collect().await {
            log.seen.borrow_mut()[at].body = Some(body.to_bytes());
        }
    }
    if let Some(verdicts) = verdicts {
        verdicts.answer_ended();
    }
    Ok(Response::new(Empty::new()))
}
