use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::authn::KeySet;
use crate::clock::{Tick, UnixTime};
use crate::identity::{SigningAlgorithm, SigningKeys};

fn settings(algorithm: SigningAlgorithm) -> Arc<ReceiptSettings> {
    Arc::new(ReceiptSettings {
        keys: SigningKeys::generate(algorithm).unwrap(),
        lines: 4,
        every: Duration::from_secs(10),
    })
}

fn key_set(all: &[&Arc<ReceiptSettings>]) -> KeySet {
    let keys: Vec<serde_json::Value> = all
        .iter()
        .map(|settings| settings.keys.current().public().unwrap().jwk().clone())
        .collect();
    let document = serde_json::json!({ "keys": keys }).to_string();
    KeySet::parse(document.as_bytes()).unwrap().0
}

/// The log of a process: `begin`, `records` lines with a seal after every fourth, `end`.
fn log(settings: &Arc<ReceiptSettings>, records: u64) -> Vec<Vec<u8>> {
    log_that_lost(settings, records, 0)
}

/// The same, where so many lines were dropped before the end.
fn log_that_lost(settings: &Arc<ReceiptSettings>, records: u64, lost: u64) -> Vec<Vec<u8>> {
    let moment = Moment {
        wall: (UnixTime::from_secs(1_800_000_000), 7),
        dropped: 3,
    };
    let mut out = Vec::new();
    let mut lines = Vec::new();
    let mut chain = Chain::begin(Arc::clone(settings), moment, &mut out).unwrap();
    lines.push(std::mem::take(&mut out));
    for number in 0..records {
        let line = format!(
            r#"{{"v":1,"type":"request","target":"/{number}","claims":{{"a":"b","chain":"x"}}}}"#
        );
        chain.line(line.as_bytes(), Tick::default(), &mut out);
        lines.push(std::mem::take(&mut out));
        if chain.is_due(Tick::default()) {
            chain.checkpoint(moment, &mut out).unwrap();
            lines.push(std::mem::take(&mut out));
        }
    }
    let lost = Moment {
        dropped: 3 + lost,
        ..moment
    };
    chain.end(lost, &mut out).unwrap();
    lines.push(out);
    lines
}

fn text(lines: &[Vec<u8>]) -> Vec<u8> {
    lines
        .iter()
        .flat_map(|line| line.iter().copied().chain([b'\n']))
        .collect()
}

fn verdict(keys: KeySet, text: &[u8]) -> Verdict {
    let mut verifier = Verifier::new(keys);
    let mut place = Place::default();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        place.line += 1;
        let whole = line.strip_suffix(b"\n");
        verifier.line(whole.unwrap_or(line), whole.is_some(), &place);
    }
    verifier.finish()
}

fn standing(settings: &Arc<ReceiptSettings>, lines: &[Vec<u8>]) -> Standing {
    verdict(key_set(&[settings]), &text(lines)).standing()
}

#[test]
fn what_was_written_verifies_with_its_key_and_no_other() {
    for algorithm in [SigningAlgorithm::Es256, SigningAlgorithm::EdDsa] {
        let (own, other) = (settings(algorithm), settings(algorithm));
        let lines = log(&own, 9);
        let found = verdict(key_set(&[&own]), &text(&lines));
        assert_eq!(found.standing(), Standing::Intact, "{found:?}");
        let counts = (found.receipts, found.seals, found.dropped, found.unsealed);
        assert_eq!(counts, (13, 4, 0, 0));
        let found = verdict(key_set(&[&other]), &text(&lines));
        assert_eq!(found.standing(), Standing::Broken);
        assert!(
            found
                .named
                .iter()
                .all(|(_, fault)| *fault == Fault::UnknownKey)
        );
    }
}

#[test]
fn a_log_whose_process_dropped_lines_is_not_intact() {
    let own = settings(SigningAlgorithm::EdDsa);
    let lines = log_that_lost(&own, 9, 2);
    let found = verdict(key_set(&[&own]), &text(&lines));
    assert_eq!((found.standing(), found.dropped), (Standing::Dropped, 2));
    assert_eq!((found.faults, found.unended.len()), (0, 0));
    // Those before its beginning are another log's.
    assert_eq!(standing(&own, &log_that_lost(&own, 9, 0)), Standing::Intact);
}

#[test]
fn more_lines_without_a_seal_than_the_last_seal_allows_are_a_fault() {
    let own = settings(SigningAlgorithm::EdDsa);
    let moment = Moment::default();
    let mut lines = Vec::new();
    let mut out = Vec::new();
    let mut chain = Chain::begin(Arc::clone(&own), moment, &mut out).unwrap();
    lines.push(std::mem::take(&mut out));
    let add = |chain: &mut Chain, lines: &mut Vec<Vec<u8>>| {
        let mut out = Vec::new();
        chain.line(br#"{"v":1,"type":"request"}"#, Tick::default(), &mut out);
        lines.push(out);
    };
    for _ in 0..4 {
        add(&mut chain, &mut lines);
    }
    assert_eq!(standing(&own, &lines), Standing::Open);
    let found = verdict(key_set(&[&own]), &text(&lines));
    let [open] = found.unended.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!((open.seq, open.unsealed), (0, 4));
    // Whoever goes on with the links, which needs no key, does not get far.
    for _ in 0..3 {
        add(&mut chain, &mut lines);
        let found = verdict(key_set(&[&own]), &text(&lines));
        assert_eq!(found.standing(), Standing::Broken);
        assert_eq!(found.named.len(), 1, "{found:?}");
        assert_eq!(found.named[0].1, Fault::Unsealed(4));
        assert_eq!(found.named[0].0.line, 6);
    }
    // Where the intervals change, a seal says so.
    lines.truncate(1);
    let mut chain = Chain::begin(Arc::clone(&own), moment, &mut out).unwrap();
    lines[0] = std::mem::take(&mut out);
    add(&mut chain, &mut lines);
    assert!(!chain.is_due(Tick::default()));
    chain.follow(Arc::new(ReceiptSettings {
        lines: 6,
        ..(*own).clone()
    }));
    assert!(chain.is_due(Tick::default()));
    chain.checkpoint(moment, &mut out).unwrap();
    lines.push(std::mem::take(&mut out));
    assert!(!chain.is_due(Tick::default()));
    for _ in 0..6 {
        add(&mut chain, &mut lines);
    }
    let found = verdict(key_set(&[&own]), &text(&lines));
    assert_eq!(found.standing(), Standing::Open, "{found:?}");
    assert_eq!((found.unended[0].seq, found.unsealed), (2, 6));
}

#[test]
fn every_byte_of_every_line_counts() {
    let own = settings(SigningAlgorithm::Es256);
    let whole = text(&log(&own, 5));
    for at in 0..whole.len() {
        let mut altered = whole.clone();
        altered[at] ^= 0x01;
        let found = verdict(key_set(&[&own]), &altered);
        // The last one is the end of the last line, which may as well have been cut off.
        let expected = if at + 1 == whole.len() {
            Standing::Open
        } else {
            Standing::Broken
        };
        assert_eq!(found.standing(), expected, "byte {at}: {found:?}");
    }
}

#[test]
fn the_first_fault_is_named_and_the_rest_is_followed() {
    let own = settings(SigningAlgorithm::Es256);
    let lines = log(&own, 9);
    let faults = |lines: &[Vec<u8>]| -> Vec<(u64, Fault)> {
        let found = verdict(key_set(&[&own]), &text(lines));
        let named = found.named.iter();
        named.map(|(place, fault)| (place.line, *fault)).collect()
    };
    let mut removed = lines.clone();
    removed.remove(3);
    assert_eq!(faults(&removed), [(4, Fault::Missing(1))]);
    let mut altered = lines.clone();
    altered[3][20] ^= 1;
    assert_eq!(faults(&altered), [(4, Fault::Altered)]);
    let mut repeated = lines.clone();
    repeated.insert(7, lines[3].clone());
    assert_eq!(faults(&repeated), [(8, Fault::Repeated)]);
    let mut moved = lines.clone();
    moved.swap(3, 4);
    assert_eq!(
        faults(&moved),
        [(4, Fault::Missing(1)), (5, Fault::Repeated)]
    );
    let mut inserted = lines.clone();
    inserted.insert(
        2,
        br#"{"v":1,"type":"request","target":"/forged"}"#.to_vec(),
    );
    assert_eq!(faults(&inserted), [(3, Fault::Plain)]);
    for forged in [
        r#"[pod/a] {"type":"request","v":1,"target":"/forged"}"#,
        r#"{"type":"other","type":"request","v":1,"target":"/forged"}"#,
        r#"{"t\u0079pe":"request","v":1,"target":"/forged"}"#,
        r#"{"v":1,"target":"/forged"}"#,
    ] {
        inserted[2] = forged.as_bytes().to_vec();
        assert_eq!(faults(&inserted), [(3, Fault::Plain)], "{forged}");
    }
    inserted[2] = br#"{"type":"request","level":"info","message":"of another program"}"#.to_vec();
    assert_eq!(faults(&inserted), []);
    let mut behind = lines.clone();
    behind.push(lines[3].clone());
    assert_eq!(faults(&behind), [(14, Fault::Stray)]);
    assert_eq!(faults(&lines[1..3]), [(1, Fault::Stray), (2, Fault::Stray)]);
    assert_eq!(faults(&[]), [(0, Fault::Nothing)]);
    let again: Vec<_> = lines.iter().chain(&lines).cloned().collect();
    assert_eq!(faults(&again)[0], (14, Fault::Repeated));
}

/// Whoever alters a line can make all links after it anew, but not the seals.
#[test]
fn links_made_anew_do_not_make_up_for_a_seal() {
    let own = settings(SigningAlgorithm::Es256);
    let lines = log(&own, 3);
    let mut forged = lines.clone();
    let mut before = Receipted::of(&lines[0]).link;
    for (number, line) in forged.iter_mut().enumerate().skip(1) {
        let Receipted { mut body, rest, .. } = Receipted::of(line);
        if number == 2 {
            body = String::from_utf8(body)
                .unwrap()
                .replace("/1", "/9")
                .into_bytes();
        }
        before = link(&before, &body);
        *line = body;
        line.extend_from_slice(b",\"chain\":\"");
        let mut text = String::new();
        base64::Engine::encode_string(
            &base64::engine::general_purpose::URL_SAFE_NO_PAD,
            before,
            &mut text,
        );
        line.extend_from_slice(text.as_bytes());
        line.extend_from_slice(&rest);
    }
    let found = verdict(key_set(&[&own]), &text(&forged));
    assert_eq!(found.named.len(), 1, "{found:?}");
    assert_eq!(found.named[0].1, Fault::Signature);
    // Without the seal it was never sealed; a seal without its signature is none.
    assert_eq!(standing(&own, &forged[..4]), Standing::Open);
    let mut bare = lines.clone();
    let at = memchr::memmem::rfind(&bare[4], b",\"jws\"").unwrap();
    bare[4].truncate(at);
    bare[4].push(b'}');
    let found = verdict(key_set(&[&own]), &text(&bare));
    assert_eq!(found.named[0].1, Fault::Signature);
    let mut dressed = lines.clone();
    dressed[2].pop();
    dressed[2].extend_from_slice(&lines[4][at..]);
    let found = verdict(key_set(&[&own]), &text(&dressed));
    assert_eq!(found.named[0].1, Fault::NoSeal);
}

struct Receipted {
    body: Vec<u8>,
    link: Link,
    /// What follows the link.
    rest: Vec<u8>,
}

impl Receipted {
    fn of(line: &[u8]) -> Self {
        let read = receipt::Receipt::read(line).unwrap();
        let at = read.body.len() + b",\"chain\":\"".len() + 43;
        Self {
            body: read.body.to_vec(),
            link: read.link,
            rest: line[at..].to_vec(),
        }
    }
}

#[test]
fn an_end_that_is_not_there_is_no_fault_and_not_intact() {
    let own = settings(SigningAlgorithm::EdDsa);
    let lines = log(&own, 9);
    for kept in 1..lines.len() {
        let found = verdict(key_set(&[&own]), &text(&lines[..kept]));
        assert_eq!(found.standing(), Standing::Open, "{kept}: {found:?}");
        assert_eq!(found.unended.len(), 1);
    }
    // Cut off in the middle of a line, as by a kill.
    let whole = text(&lines);
    let (cut, _) = whole.split_at(whole.len() - 300);
    let found = verdict(key_set(&[&own]), cut);
    assert_eq!((found.standing(), found.is_cut), (Standing::Open, true));
    // What a killed process left does not spoil the next one's log.
    let both: Vec<_> = lines[..7].iter().cloned().chain(log(&own, 2)).collect();
    let found = verdict(key_set(&[&own]), &text(&both));
    assert_eq!((found.standing(), found.processes), (Standing::Open, 2));
    assert_eq!(found.unsealed, 1);
}

#[test]
fn another_type_of_token_is_no_seal() {
    let own = settings(SigningAlgorithm::Es256);
    let mut lines = log(&own, 1);
    let Receipted { body, rest, .. } = Receipted::of(&lines[0]);
    let signed = [&lines[0][..lines[0].len() - rest.len()], b"\"}"].concat();
    for (typ, expected) in [
        ("countersign+jwt", Standing::Broken),
        (RECEIPT_TYPE, Standing::Intact),
    ] {
        use base64::Engine as _;
        let b64 = &base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let key = own.keys.current();
        let header = format!(r#"{{"alg":"ES256","typ":"{typ}","kid":"{}"}}"#, key.id());
        let header = b64.encode(header);
        let signature = key
            .sign(format!("{header}.{}", b64.encode(&signed)).as_bytes())
            .unwrap();
        let (start, _) = signed.split_at(signed.len() - 1);
        lines[0] = start.to_vec();
        lines[0].extend_from_slice(
            format!(r#","jws":"{header}..{}"}}"#, b64.encode(signature)).as_bytes(),
        );
        assert_eq!(Receipted::of(&lines[0]).body, body);
        assert_eq!(standing(&own, &lines), expected, "{typ}");
    }
}

#[derive(Clone, Debug)]
enum Edit {
    Remove(usize),
    Repeat(usize, usize),
    Swap(usize, usize),
    Byte(usize, u8),
    Foreign(usize, usize),
    Cut(usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = 0..10_000_usize;
    prop_oneof![
        place.clone().prop_map(Edit::Remove),
        (place.clone(), place.clone()).prop_map(|(from, to)| Edit::Repeat(from, to)),
        (place.clone(), place.clone()).prop_map(|(one, other)| Edit::Swap(one, other)),
        (place.clone(), 1..=255_u8).prop_map(|(at, by)| Edit::Byte(at, by)),
        (place.clone(), place.clone()).prop_map(|(from, to)| Edit::Foreign(from, to)),
        place.prop_map(Edit::Cut),
    ]
}

impl Edit {
    fn apply(&self, lines: &mut Vec<Vec<u8>>, foreign: &[Vec<u8>]) {
        if lines.is_empty() {
            return;
        }
        let n = lines.len();
        match *self {
            Self::Remove(at) => drop(lines.remove(at % n)),
            Self::Repeat(from, to) => lines.insert(to % (n + 1), lines[from % n].clone()),
            Self::Swap(one, other) => lines.swap(one % n, other % n),
            Self::Byte(at, by) => {
                let line = &mut lines[at % n];
                let place = (at / n) % line.len();
                line[place] ^= by;
            }
            // Not its `begin`: another process may begin at any time.
            Self::Foreign(from, to) => {
                let line = &foreign[1 + from % (foreign.len() - 1)];
                lines.insert(to % (n + 1), line.clone());
            }
            Self::Cut(at) => lines.truncate(at % (n + 1)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_edit_goes_unnoticed(edits in proptest::collection::vec(edit(), 1..5), records in 0..12_u64) {
        let own = settings(SigningAlgorithm::EdDsa);
        let (lines, foreign) = (log(&own, records), log(&own, 5));
        let mut edited = lines.clone();
        for edit in &edits {
            edit.apply(&mut edited, &foreign);
        }
        let found = standing(&own, &edited);
        if edited == lines {
            prop_assert_eq!(found, Standing::Intact);
        } else if !edited.is_empty() && lines.starts_with(&edited) {
            prop_assert_eq!(found, Standing::Open);
        } else if edits.len() == 1 {
            prop_assert_eq!(found, Standing::Broken);
        } else {
            prop_assert_ne!(found, Standing::Intact);
        }
    }

    #[test]
    fn logs_of_several_processes_may_be_mixed(order in proptest::collection::vec(0..3_usize, 0..60)) {
        let own = [
            settings(SigningAlgorithm::EdDsa),
            settings(SigningAlgorithm::Es256),
            settings(SigningAlgorithm::EdDsa),
        ];
        let mut logs: Vec<_> = own.iter().map(|own| log(own, 7).into_iter()).collect();
        let mut mixed: Vec<_> = order.iter().filter_map(|at| logs[*at].next()).collect();
        mixed.push(b"INFO: uvicorn says {something}".to_vec());
        mixed.extend(logs.into_iter().flatten());
        let keys = key_set(&[&own[0], &own[1], &own[2]]);
        let found = verdict(keys, &text(&mixed));
        prop_assert_eq!(found.standing(), Standing::Intact);
        prop_assert_eq!((found.processes, found.other, found.dropped), (3, 1, 0));
    }
}
