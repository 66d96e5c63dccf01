use std::collections::VecDeque;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::clock::Tick;

mod hyper_above;

const LIMITS: HeadLimits = HeadLimits {
    header_bytes: 2048,
    headers: 100,
    target_bytes: 1024,
};

/// A socket that yields these pieces, one per read, not ready between them, then ends or stays silent.
struct Script {
    pieces: VecDeque<Vec<u8>>,
    ready: bool,
    ends: bool,
}

impl Script {
    fn new(pieces: &[&[u8]], ends: bool) -> Self {
        Self {
            pieces: pieces.iter().map(|piece| piece.to_vec()).collect(),
            ready: false,
            ends,
        }
    }
}

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.ready = !self.ready;
        if !self.ready && !self.pieces.is_empty() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(mut piece) = self.pieces.pop_front() else {
            return if self.ends {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            };
        };
        let fits = piece.len().min(buf.remaining());
        buf.put_slice(&piece[..fits]);
        if fits < piece.len() {
            self.pieces.push_front(piece.split_off(fits));
        }
        Poll::Ready(Ok(()))
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    out: Vec<u8>,
    ended: bool,
    broken: bool,
    head: Option<Malformed>,
    body: Option<Malformed>,
}

impl Outcome {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }
}

fn state() -> Arc<GuardState> {
    GuardState::new(CoarseClock::new(Tick::from_nanos(1)))
}

fn own_method() -> http::Method {
    http::Method::from_bytes(REFUSED_METHOD.as_bytes()).unwrap()
}

/// Reads all there is, as hyper would, through buffers of `size`. Every request is answered as soon as it was read.
fn drain(guard: &mut Guard<Script>, size: usize) -> Outcome {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let mut outcome = Outcome {
        out: Vec::new(),
        ended: false,
        broken: false,
        head: None,
        body: None,
    };
    let mut space = vec![0; size];
    loop {
        if guard.shared.phase() == Phase::Between && guard.shared.in_flight() > 0 {
            guard.shared.answer_ended();
        }
        let mut buf = ReadBuf::new(&mut space);
        match Pin::new(&mut *guard).poll_read(&mut cx, &mut buf) {
            Poll::Ready(Ok(())) if buf.filled().is_empty() => outcome.ended = true,
            Poll::Ready(Ok(())) => {
                outcome.out.extend_from_slice(buf.filled());
                continue;
            }
            Poll::Ready(Err(_)) => outcome.broken = true,
            Poll::Pending if !guard.io.pieces.is_empty() => continue,
            Poll::Pending => {}
        }
        break;
    }
    outcome.head = guard.shared.verdict(&own_method());
    outcome.body = guard.shared.refused_body();
    outcome
}

fn run(pieces: &[&[u8]], size: usize, ends: bool) -> Outcome {
    drain(
        &mut Guard::with_state(Script::new(pieces, ends), state(), LIMITS),
        size,
    )
}

const GET: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKED: &str = "PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nt: v\r\n\r\n";

#[test]
fn invariant_24_good_requests_pass_byte_for_byte_pipelined_and_split_anywhere() {
    let all = format!("{GET}{POST}{CHUNKED}{GET}{CHUNKED}{POST}{POST}{GET}");
    for ends in [false, true] {
        let expected = Outcome {
            out: all.clone().into_bytes(),
            ended: ends,
            broken: false,
            head: None,
            body: None,
        };
        for size in [1, 7, 100, 8192] {
            let bytes = all.as_bytes();
            assert_eq!(run(&[bytes], size, ends), expected, "{size}");
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(run(&single, size, ends), expected, "{size}");
            for at in 1..bytes.len() {
                let (first, second) = bytes.split_at(at);
                assert_eq!(run(&[first, second], size, ends), expected, "{at} {size}");
            }
        }
    }
}

#[test]
fn invariant_24_nothing_behind_a_bad_head_is_ever_read_as_http() {
    let canned = String::from_utf8(CANNED.to_vec()).unwrap();
    for (bad, verdict) in [
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Malformed::Target),
        ("GET / HTTP/1.1\nHost: a\n\n", Malformed::Syntax),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", Malformed::Syntax),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Malformed::Syntax),
        (
            "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            Malformed::Framing,
        ),
        ("GET / HTTP/2.0\r\n\r\n", Malformed::Version),
        (
            "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
            Malformed::Upgrade,
        ),
        ("\r\n\r\nGET / HTTP/1.1\r\n\r\n", Malformed::Syntax),
        (
            "COUNTERSIGN-REFUSED / HTTP/1.1\r\nHost: a\r\n\r\n",
            Malformed::Syntax,
        ),
    ] {
        for before in ["", GET, POST, CHUNKED] {
            let input = format!("{before}{bad}{GET}{GET}");
            let expected = format!("{before}{canned}");
            for at in 1..input.len() {
                let (first, second) = input.as_bytes().split_at(at);
                for ends in [false, true] {
                    let outcome = run(&[first, second], 8192, ends);
                    assert_eq!(outcome.text(), expected, "{bad:?} {at}");
                    assert_eq!(outcome.head, Some(verdict), "{bad:?} {at}");
                    assert!(!outcome.ended && !outcome.broken, "the answer closes");
                }
            }
            let single: Vec<&[u8]> = input.as_bytes().chunks(1).collect();
            assert_eq!(run(&single, 3, false).text(), expected);
        }
    }
}

#[test]
fn invariant_25_a_bad_chunk_breaks_the_body_and_ends_reading() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for bad in [
        "zz\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nabc\r\n0x1\r\n",
        "0\r\n\n",
        "3\nabc",
    ] {
        let input = format!("{GET}{head}{bad}{GET}");
        let whole = format!("{GET}{head}{bad}");
        for at in 1..input.len() {
            let (first, second) = input.as_bytes().split_at(at);
            let mut guard = Guard::with_state(Script::new(&[first, second], true), state(), LIMITS);
            let outcome = drain(&mut guard, 8192);
            assert!(outcome.broken, "{bad:?} {at}");
            assert_eq!(outcome.body, Some(Malformed::Chunk));
            assert_eq!(outcome.head, None);
            let passed = outcome.text();
            assert!(whole.starts_with(&passed) && passed.starts_with(&format!("{GET}{head}")));
            let after = drain(&mut guard, 8192);
            assert!(after.ended && after.out.is_empty(), "nothing more is read");
        }
    }
}

#[test]
fn one_empty_line_before_a_request_line_is_dropped() {
    for (input, expected) in [
        (format!("\r\n{GET}"), GET.to_owned()),
        (format!("{POST}\r\n{GET}"), format!("{POST}{GET}")),
        (format!("\r\n{GET}\r\n{GET}"), format!("{GET}{GET}")),
    ] {
        for at in 1..input.len() {
            let (first, second) = input.as_bytes().split_at(at);
            assert_eq!(run(&[first, second], 8192, false).text(), expected, "{at}");
        }
    }
}

#[test]
fn what_is_not_complete_is_withheld() {
    let outcome = run(&[b"GET / HTTP/1.1\r\nHost: a\r\n"], 8192, true);
    assert!(outcome.out.is_empty() && outcome.ended && outcome.head.is_none());
    let outcome = run(&[b"GET / HTTP/1.1\r\nHost: a\r\n\r"], 8192, false);
    assert!(outcome.out.is_empty() && !outcome.ended);
}

#[test]
fn invariant_57_large_heads_pass_through_small_buffers_or_are_refused() {
    let head = |length: usize| format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(length));
    let fits = head(2048 - 23);
    assert_eq!(run(&[fits.as_bytes()], 100, false).text(), fits);
    let large = head(2048 - 22);
    assert_eq!(
        run(&[large.as_bytes()], 100, false).head,
        Some(Malformed::HeadTooLarge)
    );
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(1024));
    assert_eq!(
        run(&[long.as_bytes()], 100, false).head,
        Some(Malformed::TargetTooLong)
    );
}

#[test]
fn invariant_28_bytes_behind_an_upgrade_wait_for_its_answer() {
    let head = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let early = format!("{head}frame");
    for at in 1..early.len() {
        let (first, second) = early.as_bytes().split_at(at);
        let fresh = || Guard::with_state(Script::new(&[first, second], false), state(), LIMITS);

        let mut guard = fresh();
        let outcome = drain(&mut guard, 8192);
        assert_eq!(outcome.text(), head, "held back");
        assert_eq!(guard.shared.phase(), Phase::Upgrade);
        guard.shared.switch_to_raw();
        guard.io.pieces.push_back(b"\0\r\nmore".to_vec());
        assert_eq!(drain(&mut guard, 3).text(), "frame\0\r\nmore");
        assert_eq!(guard.shared.phase(), Phase::Tunnel);

        let mut guard = fresh();
        drain(&mut guard, 8192);
        guard.shared.answer_ended();
        guard.io.pieces.push_back(GET.as_bytes().to_vec());
        let outcome = drain(&mut guard, 8192);
        assert!(
            outcome.ended && outcome.out.is_empty(),
            "early bytes are never a request"
        );
    }
    let mut guard = Guard::with_state(Script::new(&[head.as_bytes()], false), state(), LIMITS);
    drain(&mut guard, 8192);
    guard.shared.answer_ended();
    guard.io.pieces.push_back(GET.as_bytes().to_vec());
    assert_eq!(
        drain(&mut guard, 8192).text(),
        GET,
        "the positive twin: HTTP goes on"
    );
}

#[test]
fn http_2_is_told_by_its_preface() {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let mut told = |input: &str, at: usize| {
        let (first, second) = input.as_bytes().split_at(at.min(input.len()));
        let mut guard = Guard::with_state(Script::new(&[first, second], true), state(), LIMITS);
        loop {
            match guard.poll_preface(&mut cx) {
                Poll::Ready(protocol) => return (protocol.unwrap(), drain(&mut guard, 8192)),
                Poll::Pending => {}
            }
        }
    };
    let frames = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0";
    for at in 1..frames.len() {
        let (protocol, outcome) = told(frames, at);
        assert_eq!(protocol, Preface::Http2);
        assert_eq!(outcome.text(), frames);
        let (protocol, outcome) = told(GET, at);
        assert_eq!((protocol, outcome.text()), (Preface::Http1, GET.to_owned()));
    }
    let (protocol, outcome) = told("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 5);
    assert_eq!(
        (protocol, outcome.head),
        (Preface::Http1, Some(Malformed::Version))
    );
    assert_eq!(told("PRI", 1).0, Preface::Http1);
    assert_eq!(told("", 0).0, Preface::Http1);
}

#[test]
fn invariant_59_an_expired_head_becomes_a_refusal() {
    let mut guard = Guard::with_state(Script::new(&[b"GET / HT"], false), state(), LIMITS);
    assert!(drain(&mut guard, 8192).out.is_empty());
    assert_eq!(guard.shared.phase(), Phase::Head);
    guard.shared.expire_head();
    let outcome = drain(&mut guard, 8192);
    assert_eq!(outcome.out, CANNED);
    assert_eq!(outcome.head, Some(Malformed::HeadTimeout));

    let mut guard = Guard::with_state(Script::new(&[GET.as_bytes()], false), state(), LIMITS);
    drain(&mut guard, 8192);
    guard.shared.expire_head();
    guard.io.pieces.push_back(GET.as_bytes().to_vec());
    assert_eq!(
        drain(&mut guard, 8192).text(),
        GET,
        "too late: the head was complete"
    );
}

#[test]
fn s12_what_is_sent_ahead_of_an_answer_is_held_and_the_end_is_seen() {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let mut poll = |guard: &mut Guard<Script>| {
        let mut space = [0; 8192];
        let mut buf = ReadBuf::new(&mut space);
        let polled = Pin::new(guard).poll_read(&mut cx, &mut buf);
        polled.map_ok(|()| String::from_utf8_lossy(buf.filled()).into_owned())
    };
    let text = format!("{GET}{GET}{POST}");
    let mut guard = Guard::with_state(Script::new(&[text.as_bytes()], false), state(), LIMITS);
    assert!(matches!(poll(&mut guard), Poll::Ready(Ok(head)) if head == GET));
    assert!(poll(&mut guard).is_pending());
    assert!(guard.shared.answer_ended(), "look again");
    assert!(matches!(poll(&mut guard), Poll::Ready(Ok(head)) if head == GET));
    assert!(poll(&mut guard).is_pending());
    guard.io.ends = true;
    assert!(matches!(poll(&mut guard), Poll::Ready(Ok(end)) if end.is_empty()));

    let mut guard = Guard::with_state(Script::new(&[GET.as_bytes()], false), state(), LIMITS);
    assert!(matches!(poll(&mut guard), Poll::Ready(Ok(head)) if head == GET));
    assert!(poll(&mut guard).is_pending());
    assert!(!guard.shared.answer_ended(), "nothing is held");
}

#[test]
fn phases_and_bytes_are_counted() {
    let mut guard = Guard::with_state(Script::new(&[], false), state(), LIMITS);
    let shared = Arc::clone(&guard.shared);
    assert_eq!(shared.phase(), Phase::First);
    for (piece, phase) in [
        (&GET.as_bytes()[..5], Phase::Head),
        (&GET.as_bytes()[5..], Phase::Between),
        (&POST.as_bytes()[..POST.len() - 1], Phase::Body),
        (b"o", Phase::Between),
        (b"\xff", Phase::Refused),
    ] {
        guard.io.pieces.push_back(piece.to_vec());
        drain(&mut guard, 8192);
        assert_eq!(shared.phase(), phase);
    }
    assert_eq!(
        shared.bytes_in(),
        u64::try_from(GET.len() + POST.len() + 1).unwrap()
    );
    assert_eq!(shared.in_flight(), 1, "the refused one is answered too");
}

proptest! {
    /// Whatever the guard lets through, hyper's parser reads as one head of the same length.
    #[test]
    fn invariant_24_accepted_heads_are_heads_to_httparse(
        line in "(GET|P[!a-zA-Z]{1,3}) /[!-~]{0,12} HTTP/1\\.[01]",
        fields in proptest::collection::vec("[!#-'*-9A-Z^-z|~:]{1,6}: ?[ -~\t\u{80}\r\n\0]{0,8}", 0..4),
    ) {
        let input = format!("{line}\r\n{}\r\n\r\n", fields.join("\r\n"));
        let outcome = run(&[input.as_bytes()], 8192, false);
        if outcome.head.is_none() && !outcome.out.is_empty() {
            let mut headers = [httparse::EMPTY_HEADER; 16];
            let mut request = httparse::Request::new(&mut headers);
            let parsed = request.parse(&outcome.out).unwrap();
            let end = input.find("\r\n\r\n").unwrap() + 4;
            prop_assert_eq!(parsed, httparse::Status::Complete(end));
        }
    }

    #[test]
    fn any_split_gives_the_same_and_nothing_panics(
        input in proptest::collection::vec(
            prop_oneof![
                Just(GET.as_bytes().to_vec()),
                Just(POST.as_bytes().to_vec()),
                Just(CHUNKED.as_bytes().to_vec()),
                Just(b"\r\n".to_vec()),
                proptest::collection::vec(any::<u8>(), 0..6),
            ],
            0..5,
        ),
        size in 1usize..50,
        step in 1usize..20,
    ) {
        let bytes = input.concat();
        let whole = run(&[&bytes], 8192, true);
        let pieces: Vec<&[u8]> = bytes.chunks(step).collect();
        let split = run(&pieces, size, true);
        prop_assert_eq!((whole.head, whole.body), (split.head, split.body));
        if whole.body.is_none() {
            prop_assert_eq!(whole.out, split.out);
        }
    }
}
