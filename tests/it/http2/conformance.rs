//! RFC 9113, sections 4 to 8, case by case (`data/http2.txt`).

use super::notation::{self, Row, Step};
use crate::bed::raw_h2::{Outcome, Peer, code};
use crate::bed::{Bed, Next, Setup, Upstream, reconcile};

const CASES: &str = include_str!("../data/http2.txt");

const ROUTES: &str = "
routes:
  - {path: /**, allow: {GET: anyone, POST: anyone}}
";

fn bed() -> Bed {
    let upstream = Upstream::scripted(|exchange| {
        if exchange.request.target == "/hold" {
            exchange.await_close()?;
            return Ok(Next::Close);
        }
        exchange.echo()
    });
    Setup::new(ROUTES).upstream(upstream).tls().start()
}

fn said(outcome: Outcome, peer: &mut Peer) -> String {
    match outcome {
        Outcome::Status(status) => status.to_string(),
        Outcome::Reset(number) => format!("reset {}", code(number)),
        Outcome::Closed(Some(number)) => {
            let _ = peer.end();
            format!("goaway {}", code(number))
        }
        Outcome::Closed(None) => "closed".to_owned(),
        Outcome::Silence => "silence".to_owned(),
    }
}

/// What happened, in the words of the row.
fn outcome(bed: &Bed, row: &Row, peer: &mut Peer) -> String {
    let mut upstream = bed.upstream.requests().len();
    for step in &row.steps {
        match step {
            Step::Send(bytes) => {
                peer.send(bytes);
            }
            Step::Sync => {
                upstream += 1;
                bed.upstream.await_requests(upstream);
            }
            Step::Await(stream) => {
                upstream += 1;
                let first = peer.answer(*stream);
                if first != Outcome::Status(200) {
                    return format!("{stream} {}", said(first, peer));
                }
            }
        }
    }
    let mut all = Vec::new();
    for expected in &row.outcome {
        let what = match expected.split_once(' ') {
            _ if expected == "alive" => "alive".to_owned(),
            Some(("goaway", _)) | None => {
                // Never answered: reads on to what ends the connection.
                let answer = peer.answer(u32::MAX);
                said(answer, peer)
            }
            Some((stream, _)) => {
                let answer = peer.answer(stream.parse().expect("a stream"));
                match answer {
                    Outcome::Closed(_) | Outcome::Silence => said(answer, peer),
                    _ => format!("{stream} {}", said(answer, peer)),
                }
            }
        };
        all.push(what);
    }
    let ends = all
        .iter()
        .any(|what| !what.starts_with(|c: char| c.is_ascii_digit()) && what != "alive");
    if !ends && !peer.lives() {
        all.push("and the connection is dead".to_owned());
    }
    all.join(", ")
}

/// Where the row is wrong, if it is.
fn check(bed: &Bed, row: &Row, mut peer: Peer) -> Option<String> {
    let before = bed.upstream.mark();
    let outcome = outcome(bed, row, &mut peer);
    // Whatever was begun ends with its connection: afterwards nothing more can arrive.
    drop(peer);
    let seen = bed.upstream.requests().split_off(before.2);
    let whole = seen.iter().filter(|request| request.complete).count();
    let upstream = match seen.len() {
        0 if bed.upstream.mark().1 != before.1 => "bytes".to_owned(),
        begun if begun > whole => "cut".to_owned(),
        _ => whole.to_string(),
    };
    let expected = row.outcome.join(", ");
    let good = outcome == expected && upstream == row.upstream;
    (!good).then(|| format!("{}\n    got: {upstream} | {outcome}", row.text))
}

#[test]
fn invariant_61_rfc_9113_case_by_case() {
    let bed = bed();
    let rows = notation::rows(CASES);
    let mut wrong = Vec::new();
    for row in &rows {
        let plain = check(&bed, row, Peer::plain(bed.proxy.addr()));
        wrong.extend(plain.map(|text| format!("h2c {text}")));
        let secure = check(&bed, row, Peer::tls(bed.proxy.address("tls")));
        wrong.extend(secure.map(|text| format!("tls {text}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let negative = rows.iter().filter(|row| {
        !row.outcome
            .iter()
            .any(|word| word.ends_with(" 200") || word == "alive")
    });
    assert!(negative.count() >= 60);
    assert!(
        rows.iter().any(|row| row.section.starts_with('5'))
            && rows.iter().any(|row| row.section.starts_with('8'))
    );
    reconcile(&bed);
}
