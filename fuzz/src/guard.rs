//! The guard under hyper, bytes to bytes: what it passes is read alike by hyper, by `httparse` and by a strict reader
//! written here, what it refuses deserves it, and neither depends on how the bytes were split.

pub(crate) mod strict;
mod under_hyper;

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use countersign::fuzzing::{Verdicts, guard};
use countersign::rejection::Malformed;
use http::Method;
use tokio::io::{AsyncRead, ReadBuf};

/// What hyper reads in place of a bad head.
const CANNED: &[u8] =
    b"COUNTERSIGN-REFUSED / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";

/// The first byte chooses how the rest is split.
pub fn check(data: &[u8]) {
    let Some((seed, bytes)) = data.split_first() else {
        return;
    };
    let ours = strict::read(bytes, strict::FIELDS);
    // Whether bytes behind a request for another protocol come before its answer makes a difference, and may.
    let upgrades = ours.messages.iter().any(strict::Message::upgrades);
    let whole = run(&[bytes], 16_384, false);
    for (pieces, buffer) in splits(*seed, bytes) {
        let split = run(&pieces, buffer, seed & 32 != 0 && !upgrades);
        assert_eq!(split.head, whole.head, "the verdict depends on the split");
        assert_eq!(split.body, whole.body, "the verdict depends on the split");
        if whole.body.is_none() {
            assert_eq!(
                split.passed, whole.passed,
                "what passes depends on the split"
            );
        } else {
            // Of a body that breaks, more or less may have passed before.
            let shorter = split.passed.len().min(whole.passed.len());
            assert_eq!(split.passed[..shorter], whole.passed[..shorter]);
        }
    }
    assert_eq!(whole.head.is_some(), ours.refused_head, "{:?}", whole.head);
    assert_eq!(whole.body.is_some(), ours.refused_body, "{:?}", whole.body);
    let passed = ours.passed();
    if whole.body.is_none() {
        assert_eq!(
            whole.passed, passed,
            "other bytes than a strict reader takes"
        );
    } else {
        assert!(passed.starts_with(&whole.passed) || whole.passed.starts_with(&passed));
    }
    read_alike(&ours, &whole.passed);
    under_hyper::check(&ours, bytes, &passed);
}

struct Outcome {
    passed: Vec<u8>,
    head: Option<Malformed>,
    body: Option<Malformed>,
}

/// Whole, byte by byte, and in pieces of a length of its own.
fn splits(seed: u8, bytes: &[u8]) -> Vec<(Vec<&[u8]>, usize)> {
    let size = 1 + usize::from(seed & 31);
    let at = bytes.len() * usize::from(seed) / 256;
    let (first, second) = bytes.split_at(at);
    vec![
        (bytes.chunks(1).collect(), 4096),
        (bytes.chunks(size).collect(), 8192),
        (vec![first, second], 1 + usize::from(seed)),
    ]
}

/// A socket that brings these pieces, not ready between them, then ends.
struct Script<'a> {
    pieces: VecDeque<&'a [u8]>,
    ready: bool,
    left: Rc<Cell<usize>>,
}

impl AsyncRead for Script<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.ready = !self.ready;
        if !self.ready {
            return Poll::Pending;
        }
        if let Some(piece) = self.pieces.pop_front() {
            let (now, later) = piece.split_at(piece.len().min(buf.remaining()));
            buf.put_slice(now);
            if !later.is_empty() {
                self.pieces.push_front(later);
            }
        }
        self.left.set(self.pieces.len());
        Poll::Ready(Ok(()))
    }
}

/// Reads all there is. Requests are answered at the first pause, or when nothing more comes.
fn run(pieces: &[&[u8]], size: usize, soon: bool) -> Outcome {
    let pieces: VecDeque<&[u8]> = pieces
        .iter()
        .copied()
        .filter(|piece| !piece.is_empty())
        .collect();
    let left = Rc::new(Cell::new(pieces.len()));
    let (mut guarded, verdicts) = guard(Script {
        pieces,
        ready: false,
        left: Rc::clone(&left),
    });
    let mut cx = Context::from_waker(Waker::noop());
    let mut passed = Vec::new();
    let mut space = vec![0; size];
    let mut idle = 0;
    while idle < 4 {
        let mut buf = ReadBuf::new(&mut space);
        match Pin::new(&mut guarded).poll_read(&mut cx, &mut buf) {
            Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                passed.extend_from_slice(buf.filled());
                idle = 0;
                continue;
            }
            Poll::Ready(Ok(())) => idle += 1,
            Poll::Ready(Err(_)) => break,
            Poll::Pending if left.get() > 0 => {}
            Poll::Pending => idle += 1,
        }
        if soon || left.get() == 0 {
            answer(&verdicts);
        }
    }
    let head = verdicts.of_head(&refused_method());
    if head.is_some() {
        assert!(passed.ends_with(CANNED), "a refused head is told to hyper");
        passed.truncate(passed.len() - CANNED.len());
    }
    Outcome {
        passed,
        head,
        body: verdicts.of_body(),
    }
}

fn answer(verdicts: &Verdicts) {
    while verdicts.in_flight() > 0 {
        verdicts.answer_ended();
    }
}

fn refused_method() -> Method {
    Method::from_bytes(b"COUNTERSIGN-REFUSED").expect("a method")
}

/// `httparse` reads the same heads in the same places.
fn read_alike(ours: &strict::Reading, passed: &[u8]) {
    let mut at = 0;
    for message in &ours.messages {
        let Some(rest) = passed.get(at..) else {
            break;
        };
        if rest.len() < message.head.len() {
            break;
        }
        let mut fields = [httparse::EMPTY_HEADER; 128];
        let mut request = httparse::Request::new(&mut fields);
        let status = request.parse(rest).expect("httparse refuses what passes");
        assert_eq!(
            status,
            httparse::Status::Complete(message.head.len()),
            "another end of the head"
        );
        assert_eq!(request.method, Some(&*message.method));
        assert_eq!(request.path.map(str::as_bytes), Some(&*message.target));
        assert_eq!(request.headers.len(), message.fields.len());
        for (theirs, (name, value)) in request.headers.iter().zip(&message.fields) {
            assert_eq!((theirs.name, theirs.value), (&**name, &**value));
        }
        at += message.length();
    }
}
