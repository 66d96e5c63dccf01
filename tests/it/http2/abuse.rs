//! Invariant 61: abuse of HTTP/2 ends its connection, in bounded memory, without harm to other connections, and without
//! more requests upstream than the limit of streams.

use std::sync::atomic::{AtomicBool, Ordering};

use super::holding::Holding;
use crate::bed::daemon::Daemon;
use crate::bed::eventually;
use crate::bed::raw_h2::frames::{self, CANCEL, DATA, END_STREAM, HEADERS};
use crate::bed::raw_h2::{Block, Event, Peer, code, frame};

const OPEN: &str = "routes: [{path: /**, allow: anyone}]\n";

/// Streams that one connection may have open, as documented (`limits.streams`).
pub const STREAMS: usize = 100;
/// Most growth of the process by any of them.
const GROWTH: u64 = 20 * 1024 * 1024;

/// What a flood ends in.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// GOAWAY with one of these codes, then the end.
    GoAway(&'static [&'static str]),
    /// The end, with or without a GOAWAY.
    Closed,
    /// The connection goes on: what was asked for is harmless.
    Lives,
}

struct Flood {
    name: &'static str,
    /// Why it is one.
    why: &'static str,
    settings: &'static [(u16, u32)],
    run: fn(&mut Peer, &Holding),
    end: End,
}

const CALM: End = End::GoAway(&["ENHANCE_YOUR_CALM"]);

/// The numbers of a client's streams.
fn streams() -> impl Iterator<Item = u32> {
    (1..).step_by(2)
}

fn hold() -> Vec<u8> {
    Block::request("/hold").0
}

/// Sends what `bytes` says for so many streams, until the other side has had enough.
fn each(peer: &mut Peer, most: usize, bytes: impl Fn(u32) -> Vec<u8>) {
    for stream in streams().take(most) {
        if peer.try_send(&bytes(stream)).is_err() {
            return;
        }
    }
}

/// A request and what then makes the server give it up.
fn each_broken_by(peer: &mut Peer, most: usize, then: impl Fn(u32) -> Vec<u8>) {
    let block = hold();
    each(peer, most, |stream| {
        [frames::get(stream, &block), then(stream)].concat()
    });
}

fn repeat(peer: &mut Peer, most: usize, bytes: &[u8]) {
    for _ in 0..most {
        if peer.try_send(bytes).is_err() {
            return;
        }
    }
}

/// Waits until what was sent so far has been read.
fn is_read(peer: &mut Peer) -> bool {
    peer.send(frames::ping(b"so far??"));
    !peer.until(|event| matches!(event, Event::Pong(_))).is_end()
}

/// A big entry of the dynamic table, and so many references to it, in one frame.
fn bomb(peer: &mut Peer, name: &str, value: usize, times: usize) {
    let fill = Block::get().insert(name, &vec![b'a'; value]);
    peer.send(frames::get(1, &fill.0));
    let _ = peer.answer(1);
    let block = Block::get().indexed(62, times);
    assert!(block.0.len() < 16384, "one frame");
    peer.send(frames::get(3, &block.0));
}

const FLOODS: &[Flood] = &[
    Flood {
        name: "rapid reset, in one go",
        why: "CVE-2023-44487",
        settings: &[],
        run: |peer, _| each_broken_by(peer, 5000, |stream| frames::reset(stream, CANCEL)),
        end: CALM,
    },
    Flood {
        name: "rapid reset, each after its request is read",
        why: "the same, under the radar of what counts resets of unread requests",
        settings: &[],
        run: |peer, _| {
            let block = hold();
            peer.ignores_pings = true;
            for stream in streams().take(5000) {
                peer.send(frames::get(stream, &block));
                if !is_read(peer) {
                    return;
                }
                peer.send(frames::reset(stream, CANCEL));
            }
        },
        end: End::Closed,
    },
    Flood {
        name: "rapid reset, a hundred at a time",
        why: "the same, with as many requests upstream as allowed",
        settings: &[],
        run: |peer, upstream| {
            let block = hold();
            for round in 0..50 {
                let these = || streams().skip(round * 100).take(100);
                let ask: Vec<_> = these()
                    .flat_map(|stream| frames::get(stream, &block))
                    .collect();
                let reset: Vec<_> = these()
                    .flat_map(|stream| frames::reset(stream, CANCEL))
                    .collect();
                let before = upstream.all();
                peer.send(ask);
                // Until they are all upstream, or no more come because the connection takes no more.
                while upstream.all() < before + 100 {
                    if !is_read(peer) {
                        return;
                    }
                }
                peer.send(reset);
            }
        },
        end: End::Closed,
    },
    Flood {
        name: "rapid reset of bodies that the upstream waits for",
        why: "the same; that the body broke off is known before the reset is, and no answer of ours may count as one",
        settings: &[],
        run: |peer, upstream| {
            let block = hold();
            for round in 0..50 {
                let these = || streams().skip(round * 100).take(100);
                let ask: Vec<_> = these()
                    .flat_map(|stream| frames::post(stream, &block))
                    .collect();
                let reset: Vec<_> = these()
                    .flat_map(|stream| {
                        [frame(DATA, 0, stream, b"x"), frames::reset(stream, CANCEL)].concat()
                    })
                    .collect();
                let before = upstream.all();
                peer.send(ask);
                while upstream.all() < before + 100 {
                    if !is_read(peer) {
                        return;
                    }
                }
                peer.send(reset);
            }
        },
        end: End::Closed,
    },
    Flood {
        name: "MadeYouReset by a window update of nothing",
        why: "CVE-2025-8671",
        settings: &[],
        run: |peer, _| each_broken_by(peer, 5000, |stream| frames::window(stream, 0)),
        end: End::GoAway(&["PROTOCOL_ERROR"]),
    },
    Flood {
        name: "MadeYouReset by a window that overflows",
        why: "CVE-2025-8671",
        settings: &[],
        run: |peer, _| each_broken_by(peer, 5000, |stream| frames::window(stream, 0x7fff_ffff)),
        end: CALM,
    },
    Flood {
        name: "MadeYouReset by DATA behind the end",
        why: "CVE-2025-8671",
        settings: &[],
        run: |peer, _| each_broken_by(peer, 5000, |stream| frame(DATA, 0, stream, b"x")),
        end: End::GoAway(&["PROTOCOL_ERROR", "ENHANCE_YOUR_CALM"]),
    },
    Flood {
        name: "MadeYouReset by a stream that depends on itself",
        why: "CVE-2025-8671",
        settings: &[],
        run: |peer, _| each_broken_by(peer, 5000, |stream| frames::priority(stream, stream)),
        end: CALM,
    },
    Flood {
        name: "MadeYouReset by PRIORITY of a wrong size",
        why: "CVE-2025-8671",
        settings: &[],
        run: |peer, _| {
            each_broken_by(peer, 5000, |stream| {
                frame(frames::PRIORITY, 0, stream, b"1234")
            })
        },
        end: End::GoAway(&["PROTOCOL_ERROR"]),
    },
    Flood {
        name: "malformed requests",
        why: "each is reset by us",
        settings: &[],
        run: |peer, _| {
            let block = Block::get().literal("connection", b"close").0;
            each(peer, 5000, |stream| frames::get(stream, &block));
        },
        end: CALM,
    },
    Flood {
        name: "more streams than allowed, without end",
        why: "each is refused",
        settings: &[],
        run: |peer, _| {
            let block = hold();
            each(peer, 5000, |stream| frames::get(stream, &block));
        },
        end: CALM,
    },
    Flood {
        name: "CONTINUATION, full frames",
        why: "CVE-2024-27316 and kin",
        settings: &[],
        run: |peer, _| {
            let piece = Block::default().literal("x", &[b'a'; 16000]).0;
            peer.send(frame(HEADERS, END_STREAM, 1, &Block::get().0));
            repeat(peer, 4096, &frame(frames::CONTINUATION, 0, 1, &piece));
        },
        end: CALM,
    },
    Flood {
        name: "CONTINUATION, empty frames",
        why: "CVE-2024-27316 and kin",
        settings: &[],
        run: |peer, _| {
            peer.send(frame(HEADERS, END_STREAM, 1, &Block::get().0));
            repeat(peer, 100_000, &frame(frames::CONTINUATION, 0, 1, b""));
        },
        end: CALM,
    },
    Flood {
        name: "CONTINUATION, a field each",
        why: "CVE-2024-27316 and kin",
        settings: &[],
        run: |peer, _| {
            let piece = Block::default().literal("x", b"a").0;
            peer.send(frame(HEADERS, END_STREAM, 1, &Block::get().0));
            repeat(peer, 100_000, &frame(frames::CONTINUATION, 0, 1, &piece));
        },
        end: CALM,
    },
    Flood {
        name: "HPACK bomb",
        why: "12,000 references to 3.9 KB",
        settings: &[],
        run: |peer, _| bomb(peer, "x", 3900, 12_000),
        end: CALM,
    },
    Flood {
        name: "HPACK bomb of cookies",
        why: "crumbs are counted as they come",
        settings: &[],
        run: |peer, _| bomb(peer, "cookie", 3900, 12_000),
        end: CALM,
    },
    Flood {
        name: "HPACK bomb of hosts",
        why: "fields that are taken out later are counted all the same",
        settings: &[],
        run: |peer, _| bomb(peer, "host", 3900, 12_000),
        end: CALM,
    },
    Flood {
        name: "cookie crumbs",
        why: "16,000 of one byte",
        settings: &[],
        run: |peer, _| bomb(peer, "cookie", 1, 16_000),
        end: CALM,
    },
    Flood {
        name: "empty fields",
        why: "16,000 references to `x:` cost as much as 32 bytes each (RFC 9113 section 6.5.2)",
        settings: &[],
        run: |peer, _| bomb(peer, "x", 0, 16_000),
        end: CALM,
    },
    Flood {
        name: "empty DATA",
        why: "work without bytes that flow control would count",
        settings: &[],
        run: |peer, _| {
            peer.send(frames::post(1, &hold()));
            repeat(peer, 100_000, &frame(DATA, 0, 1, b""));
        },
        end: CALM,
    },
    Flood {
        name: "padding only",
        why: "the same, with bytes that nobody sees",
        settings: &[],
        run: |peer, _| {
            peer.send(frames::post(1, &hold()));
            repeat(
                peer,
                20_000,
                &frame(DATA, frames::PADDED, 1, &[9, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            );
        },
        end: CALM,
    },
    Flood {
        name: "PING, answers unread",
        why: "answers must not queue up",
        settings: &[],
        run: |peer, _| {
            peer.write_patience(std::time::Duration::from_millis(500));
            repeat(peer, 100, &frames::ping(b"ping....").repeat(10_000));
        },
        end: End::Closed,
    },
    Flood {
        name: "SETTINGS, acknowledgements unread",
        why: "acknowledgements must not queue up",
        settings: &[],
        run: |peer, _| {
            peer.write_patience(std::time::Duration::from_millis(500));
            repeat(peer, 100, &frames::settings(&[(4, 65_535)]).repeat(10_000));
        },
        end: End::Closed,
    },
    Flood {
        name: "PRIORITY and unknown frames",
        why: "nothing is kept of what means nothing",
        settings: &[],
        run: |peer, _| {
            let mut bytes = frames::priority(1, 3);
            bytes.extend(frame(0xbf, 0xff, 5, b"what?"));
            repeat(peer, 100, &bytes.repeat(1000));
        },
        end: End::Lives,
    },
    Flood {
        name: "a hundred answers and no window for them",
        why: "slow reading: what waits is little",
        settings: &[(4, 0)],
        run: |peer, _| {
            let block = Block::get().0;
            each(peer, 100, |stream| frames::get(stream, &block));
            for _ in 0..100 {
                let head = peer.until(|event| matches!(event, Event::Head(_, 200, _)));
                assert!(!head.is_end(), "every answer begins");
            }
        },
        end: End::Lives,
    },
    Flood {
        name: "a hundred large answers and a window of one byte",
        why: "slow reading: a byte of window lets a whole piece of the answer be buffered",
        settings: &[(4, 1)],
        run: |peer, _| {
            let block = Block::request("/large").0;
            each(peer, 100, |stream| frames::get(stream, &block));
            for _ in 0..100 {
                let data = peer.until(|event| matches!(event, Event::Data(_, 1, false)));
                assert!(!data.is_end(), "every answer begins");
            }
        },
        end: End::Lives,
    },
    Flood {
        name: "as many requests as allowed",
        why: "the positive twin",
        settings: &[],
        run: |peer, upstream| {
            let block = hold();
            each(peer, 100, |stream| frames::get(stream, &block));
            eventually("all are upstream", || upstream.outstanding() == STREAMS);
        },
        end: End::Lives,
    },
];

/// Tells the victim that the flood is over, however it went.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Fails unless the connection is as the flood says.
fn assert_end(flood: &Flood, peer: &mut Peer) {
    match &flood.end {
        End::Lives => assert!(peer.lives(), "{}: the connection is dead", flood.name),
        End::Closed if flood.name.contains("unread") => {
            // What it did not read it never will: that it is closed in time is shown with a clock that can be moved.
        }
        End::Closed => drop(peer.end()),
        End::GoAway(codes) => {
            let said = peer.end().map(code);
            assert!(
                said.is_some_and(|code| codes.contains(&code)),
                "{}: GOAWAY {said:?}, not {codes:?}",
                flood.name
            );
        }
    }
}

#[test]
fn invariant_61_floods_end_in_bounded_memory_and_without_harm_to_others() {
    let upstream = Holding::start();
    let daemon = Daemon::start(&upstream.url(), OPEN);
    assert_eq!(daemon.get("/x"), 200);
    for flood in FLOODS {
        let before = daemon.forget_peak_memory();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // The victim: another connection, whose requests are all answered.
            let victim = scope.spawn(|| {
                let mut client = daemon.connect();
                loop {
                    let last = over.load(Ordering::Acquire);
                    let bytes = crate::bed::Request::get("/x").bytes();
                    assert_eq!(client.exchange(bytes).status, 200, "{}", flood.name);
                    if last {
                        break;
                    }
                }
            });
            let mut peer = Peer::over(daemon.connect(), flood.settings);
            let ends = Ends(&over);
            (flood.run)(&mut peer, &upstream);
            assert_end(flood, &mut peer);
            drop((ends, peer));
            victim.join().expect("the victim is answered");
        });
        let grown = daemon.peak_memory().saturating_sub(before);
        assert!(
            grown < GROWTH,
            "{} ({}): {grown} bytes more",
            flood.name,
            flood.why
        );
        if std::env::var_os("BED_DEBUG").is_some() {
            eprintln!("{}: {} KiB", flood.name, grown / 1024);
        }
        let peak = upstream.peak();
        assert!(
            peak <= STREAMS,
            "{} ({}): {peak} requests outstanding upstream",
            flood.name,
            flood.why
        );
        eventually("nothing is left upstream", || upstream.outstanding() == 0);
    }
    assert_eq!(daemon.get("/x"), 200);
}
