//! Invariant 65 on the wire, and the answers without a body of invariant 69: a table of raw answers of an upstream, and
//! the exact bytes that the caller gets of them.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use super::row::{Row, read, show};
use crate::bed::{Bed, Connection, Next, Setup, Upstream, assert_recorded};

/// A row of answers.
struct Case {
    row: Row,
    method: &'static str,
    version: &'static str,
    raw: Answer,
    downstream: Downstream,
    kept: bool,
}

/// What the upstream says, and how.
#[derive(Clone, Default)]
struct Answer {
    bytes: Vec<u8>,
    /// It closes the connection behind it.
    closes: bool,
    /// In pieces of this size.
    piece: usize,
}

enum Downstream {
    /// These bytes; then the connection ends, in order or broken off, or goes on.
    Bytes(Vec<u8>, After),
    Refused(u16, String),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum After {
    GoesOn,
    Closed,
    BrokenOff,
}

impl Case {
    #[track_caller]
    fn new(row: Row) -> Self {
        let (method, version) = match row.cells[0].split_once('/') {
            Some(("GET", "1.0")) => ("GET", "1.0"),
            None if row.cells[0] == "GET" => ("GET", "1.1"),
            None if row.cells[0] == "HEAD" => ("HEAD", "1.1"),
            None if row.cells[0] == "POST" => ("POST", "1.1"),
            _ => row.fail("GET, HEAD, POST or GET/1.0"),
        };
        let mut raw = row.bytes(1);
        let closes = raw.pop_if(|last| *last == b'!').is_some();
        let piece = raw.len().max(1);
        let downstream = match row.cells[2].split_once(' ') {
            Some((status, reason)) if status.len() == 3 => {
                let status = status.parse().unwrap_or_else(|_| row.fail("a status"));
                Downstream::Refused(status, reason.to_owned())
            }
            _ => {
                let mut bytes = row.bytes(2);
                let mut marks = 0;
                while bytes.pop_if(|last| *last == b'!').is_some() {
                    marks += 1;
                }
                let after = match marks {
                    0 => After::GoesOn,
                    1 => After::Closed,
                    _ => After::BrokenOff,
                };
                Downstream::Bytes(bytes, after)
            }
        };
        let kept = match row.cells[3].as_str() {
            "kept" => true,
            "left" => false,
            _ => row.fail("`kept` or `left`"),
        };
        Self {
            method,
            version,
            raw: Answer {
                bytes: raw,
                closes,
                piece,
            },
            downstream,
            kept,
            row,
        }
    }

    /// More follows the answer than was asked for: when it comes decides what it is taken for.
    const fn has_excess(&self) -> bool {
        let whole = matches!(self.downstream, Downstream::Bytes(_, After::GoesOn));
        whole && !self.kept && !self.raw.closes
    }

    /// On every way: at once and in pieces, as the first and as the second answer of a connection.
    fn run(&self, bed: &Bed, answer: &Mutex<Answer>) -> Result<(), String> {
        let pieces: &[usize] = if self.has_excess() {
            &[usize::MAX]
        } else {
            &[usize::MAX, 1, 7]
        };
        for piece in pieces {
            for second in [false, true] {
                let raw = Answer {
                    piece: (*piece).min(self.raw.piece),
                    ..self.raw.clone()
                };
                *answer.lock().expect("an answer") = raw;
                self.pass(bed, second).map_err(|failure| {
                    let cells = &self.row.cells;
                    format!(
                        "{failure}\n    {}\n    pieces of {piece}, second: {second}\n    {}",
                        cells[4], cells[1]
                    )
                })?;
            }
        }
        Ok(())
    }

    fn pass(&self, bed: &Bed, second: bool) -> Result<(), String> {
        let mut client = bed.proxy.connect();
        let mut records = bed.proxy.records().len();
        if second {
            client
                .exchange("GET /warm HTTP/1.1\r\nhost: a\r\n\r\n")
                .expect(200);
            records += 1;
        }
        bed.proxy.await_records(records);
        let before = bed.upstream.requests().len();
        let body = if self.method == "POST" {
            "content-length: 4\r\n\r\nabcd"
        } else {
            "\r\n"
        };
        let asked = format!(
            "{} /x HTTP/{}\r\nhost: a\r\n{body}",
            self.method, self.version
        );
        client.send(asked);
        let outcome = match &self.downstream {
            Downstream::Refused(status, reason) => self.refused(bed, &mut client, *status, reason),
            Downstream::Bytes(bytes, after) => self.passed(bed, client, (bytes, *after), records),
        };
        outcome?;
        bed.proxy.await_records(records + 2);
        let requests = bed.upstream.requests().split_off(before);
        let targets: Vec<_> = requests.iter().map(|seen| seen.target.as_str()).collect();
        // A GET that was sent on a connection that had been used may be sent once more (invariant 68).
        let [.., first, next] = &requests[..] else {
            return Err(format!("the upstream saw {targets:?}"));
        };
        if (first.target.as_str(), next.target.as_str()) != ("/x", "/next") {
            return Err(format!("the upstream saw {targets:?}"));
        }
        let kept = first.connection == next.connection;
        if kept != self.kept {
            return Err(format!("the upstream's connection was kept: {kept}"));
        }
        Ok(())
    }

    fn refused(
        &self,
        bed: &Bed,
        client: &mut Connection,
        status: u16,
        reason: &str,
    ) -> Result<(), String> {
        let response = client
            .read_to(self.method)
            .map_err(|error| error.to_string())?;
        if response.status != status {
            return Err(format!(
                "want {status}, got {}{}",
                show(&response.head),
                show(&response.body)
            ));
        }
        let id = response.header("x-request-id").ok_or("no request id")?;
        assert_recorded(&bed.proxy.await_record(id), status, reason);
        let next = ask_next(&mut bed.proxy.connect());
        (next == NEXT)
            .then_some(())
            .ok_or_else(|| format!("the next answer: {}", show(&next)))
    }

    fn passed(
        &self,
        bed: &Bed,
        mut client: Connection,
        (bytes, after): (&[u8], After),
        records: usize,
    ) -> Result<(), String> {
        let (got, next) = if after == After::GoesOn {
            let got = ask_next(&mut client);
            let at = got.len().saturating_sub(NEXT.len());
            let (got, next) = got.split_at(at);
            (got.to_vec(), next.to_vec())
        } else {
            let got = undated(&client.read_end());
            (got, ask_next(&mut bed.proxy.connect()))
        };
        let got = joined(&got);
        if got != bytes {
            return Err(format!("want {}\n    got {}", show(bytes), show(&got)));
        }
        if next != NEXT {
            return Err(format!("the next answer: {}", show(&next)));
        }
        bed.proxy.await_records(records + 2);
        let record = bed
            .proxy
            .records()
            .into_iter()
            .rfind(|record| record["path"] == "/x")
            .ok_or("no record")?;
        let broke = record["end"] == "upstream_broke";
        (broke == (after == After::BrokenOff))
            .then_some(())
            .ok_or_else(|| format!("{after:?}: {record}"))
    }
}

/// The answer to the last request.
const NEXT: &[u8] = b"HTTP/1.1 200 Scripted\r\ncontent-type: text/plain\r\nx-upstream: echo\r\nx-target: /next\r\nconnection: close\r\ncontent-length: 0\r\ndate: DATE\r\n\r\n";

/// Sends one more request, the last, and gives all that comes.
fn ask_next(client: &mut Connection) -> Vec<u8> {
    client.send("GET /next HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    undated(&client.read_end())
}

/// `DATE` for the values of `date` that we add.
fn undated(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let ours = line.starts_with(b"date: ") && line.ends_with(b" GMT\r\n") && line.len() == 37;
        out.extend_from_slice(if ours { b"date: DATE\r\n" } else { line });
    }
    out
}

/// The chunks of the first message joined, if it has any: where they are cut is a matter of how they came.
fn joined(bytes: &[u8]) -> Vec<u8> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return bytes.to_vec();
    };
    let (head, mut rest) = bytes.split_at(end + 4);
    if !crate::bed::contains(head, b"transfer-encoding: chunked\r\n") || rest.is_empty() {
        return bytes.to_vec();
    }
    let mut data = Vec::new();
    while let Some(at) = rest.windows(2).position(|window| window == b"\r\n") {
        let digits = String::from_utf8_lossy(&rest[..at]).into_owned();
        let size = usize::from_str_radix(&digits, 16).expect("a chunk size");
        assert_eq!(digits, format!("{size:X}"), "a chunk size");
        if size == 0 {
            break;
        }
        data.extend_from_slice(&rest[at + 2..at + 2 + size]);
        assert_eq!(&rest[at + 2 + size..at + 4 + size], b"\r\n");
        rest = &rest[at + 4 + size..];
    }
    let mut out = head.to_vec();
    if !data.is_empty() {
        out.extend(format!("{:X}\r\n", data.len()).into_bytes());
        out.extend(data);
        out.extend(b"\r\n");
    }
    out.extend(rest);
    out
}

/// A bed whose upstream answers `/x` with what `answer` holds.
fn bed(answer: &Arc<Mutex<Answer>>) -> Bed {
    let said = Arc::clone(answer);
    let upstream = Upstream::scripted(move |exchange| {
        if exchange.request.target != "/x" {
            return exchange.echo();
        }
        exchange.body()?;
        let answer = said.lock().expect("an answer").clone();
        for piece in answer.bytes.chunks(answer.piece) {
            exchange.write(piece)?;
            std::thread::yield_now();
        }
        Ok(if answer.closes {
            Next::Close
        } else {
            Next::KeepAlive
        })
    });
    Setup::new("routes: [{path: /**, allow: anyone}]\n")
        .upstream(upstream)
        .start()
}

#[test]
fn invariant_65_and_69_answers_are_framed_anew_or_are_bad_gateways() {
    let cases: Vec<Case> = read("responses.txt", 5)
        .into_iter()
        .map(Case::new)
        .collect();
    assert!(cases.len() >= 120, "{} rows", cases.len());
    let answer = Arc::new(Mutex::new(Answer::default()));
    let mut failures = String::new();
    // What was captured is looked through for every row: not too much of it.
    for cases in cases.chunks(8) {
        let bed = bed(&answer);
        for case in cases {
            if let Err(failure) = case.run(&bed, &answer) {
                writeln!(failures, "{}: {failure}", case.row.place).expect("a string");
            }
        }
        crate::bed::reconcile(&bed);
    }
    assert!(failures.is_empty(), "\n{failures}");
}
