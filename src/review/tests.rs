//! What is remembered, and for how long.

use std::sync::Arc;

use super::memory::{Key, Known, Memory, Outcome};
use super::*;
use crate::authn::Review;
use crate::clock::{Clock, Now, UnixTime};

const TEN: Duration = Duration::from_secs(10);

fn reviewer() -> Reviewer {
    Reviewer {
        kind: ReviewKind::Introspection,
        max_cache: TEN,
        opaque: true,
    }
}

fn key(number: u64) -> Key {
    let mut key = Key::default();
    key[..8].copy_from_slice(&number.to_be_bytes());
    key
}

fn active(now: Now, bytes: usize) -> Outcome {
    let body = format!(r#"{{"active": true, "sub": "{}"}}"#, "a".repeat(bytes));
    Some((Review::of_introspection(body.as_bytes()).unwrap(), now))
}

fn is_known(memory: &Memory, number: u64, now: Now) -> bool {
    matches!(
        memory.look(&key(number), &reviewer(), now),
        Known::Outcome(_)
    )
}

#[test]
fn an_answer_is_found_until_it_counts_no_longer() {
    let clock = Clock::manual(UnixTime::from_secs(1000));
    let mut memory = Memory::new();
    let asked = clock.now();
    memory.keep(key(1), active(asked, 8), asked.tick.plus(TEN), asked.tick);
    memory.keep(
        key(2),
        Some((Review::Inactive, asked)),
        asked.tick.plus(NEGATIVE),
        asked.tick,
    );
    memory.keep(key(3), None, asked.tick.plus(PAUSE), asked.tick);
    let known = |memory: &Memory| [1, 2, 3, 4].map(|number| is_known(memory, number, clock.now()));
    assert_eq!(known(&memory), [true, true, true, false]);
    clock.advance(PAUSE);
    assert_eq!(known(&memory), [true, true, false, false]);
    clock.advance(Duration::from_secs(4));
    assert_eq!(known(&memory), [true, false, false, false]);
    clock.advance(Duration::from_secs(4));
    assert_eq!(known(&memory), [true, false, false, false]);
    clock.advance(Duration::from_secs(1));
    assert_eq!(known(&memory), [false, false, false, false]);
    // An answer that came too late to count is not kept at all.
    memory.keep(key(5), active(asked, 8), asked.tick.plus(TEN), clock.tick());
    assert!(!is_known(&memory, 5, clock.now()));
}

#[test]
fn invariant_63_what_is_remembered_is_bounded_and_strangers_push_out_no_good_token() {
    let clock = Clock::manual(UnixTime::from_secs(1000));
    let now = clock.now();
    let mut memory = Memory::new();
    memory.keep(key(0), active(now, 8), now.tick.plus(TEN), now.tick);
    for number in 1..=100_000 {
        let outcome = (number % 2 == 0).then_some((Review::Inactive, now));
        memory.keep(key(number), outcome, now.tick.plus(NEGATIVE), now.tick);
    }
    assert_eq!(memory.len(), 4096 + 1);
    assert!(is_known(&memory, 0, now));
    assert!(is_known(&memory, 100_000, now));
    assert!(!is_known(&memory, 1, now));
    // Tokens that hold, by number.
    for number in 200_000..250_000 {
        memory.keep(key(number), active(now, 8), now.tick.plus(TEN), now.tick);
    }
    assert_eq!(memory.len(), 4096 + 16 * 1024);
    assert!(!is_known(&memory, 0, now));
    assert!(is_known(&memory, 249_999, now));
    // And by bytes; one that takes an eighth of all room is not kept.
    for number in 300_000..301_000 {
        memory.keep(
            key(number),
            active(now, 100_000),
            now.tick.plus(TEN),
            now.tick,
        );
    }
    assert!(memory.len() < 4096 + 100, "{}", memory.len());
    assert!(is_known(&memory, 300_999, now));
    memory.keep(key(7), active(now, 2_000_000), now.tick.plus(TEN), now.tick);
    assert!(!is_known(&memory, 7, now));
    // What counts no longer makes room first.
    clock.advance(TEN);
    let later = clock.now();
    memory.keep(key(8), active(later, 8), later.tick.plus(TEN), later.tick);
    memory.keep(key(9), None, later.tick.plus(PAUSE), later.tick);
    assert_eq!(memory.len(), 2);
}

#[test]
fn a_newer_answer_about_a_token_outlives_the_place_of_the_older_one() {
    let clock = Clock::manual(UnixTime::from_secs(1000));
    let mut memory = Memory::new();
    let first = clock.now();
    memory.keep(key(1), active(first, 8), first.tick.plus(TEN), first.tick);
    clock.advance(Duration::from_secs(5));
    let second = clock.now();
    memory.keep(
        key(1),
        active(second, 8),
        second.tick.plus(TEN),
        second.tick,
    );
    clock.advance(Duration::from_secs(6));
    let third = clock.now();
    memory.keep(key(2), active(third, 8), third.tick.plus(TEN), third.tick);
    assert!(is_known(&memory, 1, third));
    assert_eq!(memory.len(), 2);
}

fn settings(server: &str, max_cache: Duration) -> ReviewSettings {
    ReviewSettings {
        endpoint: ReviewEndpoint::TokenReview {
            server: server.to_owned(),
            token: PathBuf::from(OWN_TOKEN),
            audiences: vec!["usage-api".to_owned()],
        },
        max_cache,
        timeout: Duration::from_secs(2),
        roots: Roots::Platform,
    }
}

#[test]
fn invariant_31_a_reload_keeps_answers_of_the_same_reviewer_alone() {
    let (reviews, _keeper) = Reviews::start(Clock::manual(UnixTime::from_secs(1000)));
    let name: Arc<str> = "atlas".into();
    let load = |settings: ReviewSettings| {
        let prepared = reviews.prepare([(Arc::clone(&name), settings)]);
        let reviewer = Arc::clone(&prepared.reviewers()[&name]);
        prepared.commit();
        reviewer
    };
    let server = "https://kubernetes.default.svc";
    let first = load(settings(server, TEN));
    let mut patient = settings(server, TEN);
    patient.timeout = Duration::from_secs(9);
    assert!(Arc::ptr_eq(&first, &load(patient)));
    let mut own = settings(server, TEN);
    if let ReviewEndpoint::TokenReview { token, .. } = &mut own.endpoint {
        *token = PathBuf::from("/elsewhere");
    }
    assert!(Arc::ptr_eq(&first, &load(own)), "who we are may change");
    let shorter = load(settings(server, Duration::from_secs(5)));
    assert!(
        !Arc::ptr_eq(&first, &shorter),
        "answers count for a shorter time"
    );
    let mut others = settings(server, Duration::from_secs(5));
    if let ReviewEndpoint::TokenReview { audiences, .. } = &mut others.endpoint {
        audiences.push("reports".to_owned());
    }
    let others = load(others);
    assert!(!Arc::ptr_eq(&shorter, &others), "another question");
    assert!(!Arc::ptr_eq(
        &others,
        &load(settings("https://10.0.0.1:6443", TEN))
    ));
}
