//! The guard under the real hyper: wake-ups, the canned request, upgrades.

use std::convert::Infallible;
use std::sync::Mutex;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use tokio::io::DuplexStream;

use hyper_util::rt::TokioIo;

use super::*;

type Seen = Arc<Mutex<Vec<String>>>;

async fn answer(
    request: Request<Incoming>,
    shared: Arc<GuardState>,
    seen: Seen,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let status = if shared.verdict(&parts.method).is_some() {
        StatusCode::BAD_REQUEST
    } else if body.collect().await.is_err() {
        assert_eq!(shared.refused_body(), Some(Malformed::Chunk));
        StatusCode::BAD_REQUEST
    } else {
        seen.lock().unwrap().push(parts.uri.path().to_owned());
        StatusCode::OK
    };
    shared.answer_ended();
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    Ok(response)
}

fn serve(io: DuplexStream) -> (Seen, Arc<GuardState>, impl Future<Output = ()>) {
    let shared = state();
    let seen = Seen::default();
    let guarded = Guard::with_state(io, Arc::clone(&shared), LIMITS);
    let (seen_by, state_of) = (Arc::clone(&seen), Arc::clone(&shared));
    let service =
        service_fn(move |request| answer(request, Arc::clone(&state_of), Arc::clone(&seen_by)));
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(guarded, service);
    (seen, shared, async move { drop(connection.await) })
}

fn on_runtime<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

/// Sends `pieces`, each after the server has come to rest, closes the sending side only at the end, and reads it all.
fn talk(pieces: &[&[u8]], close: bool) -> (String, Vec<String>) {
    on_runtime(async {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let (seen, _, connection) = serve(server);
        let sending = async {
            for piece in pieces {
                // The server closes as soon as it has refused.
                if client.write_all(piece).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            if close {
                // Lets the answers out first: a client that is gone gets none.
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
                client.shutdown().await.unwrap();
            }
            let mut answers = String::new();
            client.read_to_string(&mut answers).await.unwrap();
            answers
        };
        let (answers, ()) = tokio::join!(sending, connection);
        let seen = seen.lock().unwrap().clone();
        (answers, seen)
    })
}

fn statuses(answers: &str) -> Vec<&str> {
    answers
        .split("HTTP/1.1 ")
        .skip(1)
        .filter_map(|answer| answer.get(..3))
        .collect()
}

#[test]
fn invariant_30_pipelined_requests_are_answered_however_they_arrive() {
    let all = format!("{GET}{POST}{CHUNKED}{GET}");
    let bytes = all.as_bytes();
    for at in 1..bytes.len() {
        let (first, second) = bytes.split_at(at);
        let (answers, seen) = talk(&[first, second], true);
        assert_eq!(statuses(&answers), ["200"; 4], "{at}");
        assert_eq!(seen, ["/a", "/b", "/c", "/a"], "{at}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(statuses(&talk(&single, true).0), ["200"; 4]);
}

#[test]
fn invariant_24_a_bad_head_is_answered_and_the_connection_closed() {
    let input = format!("{GET}GET /#x HTTP/1.1\r\nHost: a\r\n\r\n{GET}");
    for at in 1..input.len() {
        let (first, second) = input.as_bytes().split_at(at);
        let (answers, seen) = talk(&[first, second], false);
        assert_eq!(statuses(&answers), ["200", "400"], "{at}");
        assert_eq!(seen, ["/a"]);
    }
}

#[test]
fn invariant_25_a_bad_chunk_is_answered_400_and_the_connection_closed() {
    let head = "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let input = format!("{GET}{head}3\r\nabcd\r\n0\r\n\r\n{GET}");
    for at in 1..input.len() {
        let (first, second) = input.as_bytes().split_at(at);
        let (answers, seen) = talk(&[first, second], false);
        assert_eq!(statuses(&answers), ["200", "400"], "{at}");
        assert_eq!(seen, ["/a"]);
    }
}

#[test]
fn the_guard_is_send_when_its_socket_is() {
    fn is_send<T: Send + Unpin + 'static>() {}
    is_send::<Guard<DuplexStream>>();
    is_send::<Guard<tokio::net::TcpStream>>();
}

#[test]
fn invariant_28_after_a_101_bytes_pass_untouched() {
    on_runtime(async {
        let (mut client, server) = tokio::io::duplex(4096);
        let shared = state();
        let guarded = Guard::with_state(server, Arc::clone(&shared), LIMITS);
        let (give, take) = tokio::sync::oneshot::channel();
        let give = Mutex::new(Some(give));
        let service = service_fn(|mut request: Request<Incoming>| {
            let upgrade = hyper::upgrade::on(&mut request);
            drop(give.lock().unwrap().take().unwrap().send(upgrade));
            shared.switch_to_raw();
            shared.answer_ended();
            let response = Response::builder()
                .status(StatusCode::SWITCHING_PROTOCOLS)
                .header("connection", "upgrade")
                .header("upgrade", "echo")
                .body(Empty::<Bytes>::new());
            std::future::ready(response)
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(guarded, service)
            .with_upgrades();
        let tunnel = async {
            let mut io = TokioIo::new(take.await.unwrap().await.unwrap());
            let mut got = [0; 10];
            io.read_exact(&mut got).await.unwrap();
            io.write_all(b"back").await.unwrap();
            got
        };
        let talking = async {
            let head =
                b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nearly";
            client.write_all(head).await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                answer.push(client.read_u8().await.unwrap());
            }
            client.write_all(b"\nlate").await.unwrap();
            let mut back = [0; 4];
            client.read_exact(&mut back).await.unwrap();
            (answer, back)
        };
        let (ended, got, (answer, back)) = tokio::join!(connection, tunnel, talking);
        ended.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 101"));
        assert_eq!((&got, &back), (b"early\nlate", b"back"));
    });
}
