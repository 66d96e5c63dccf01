use super::*;
use crate::jwks::KeySource;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(seconds: u64) -> Tick {
    Tick::default().plus(secs(seconds))
}

fn remote() -> KeySourceSettings {
    KeySourceSettings {
        source: KeySource::Url("https://idp.example/jwks".to_owned()),
        ..KeySourceSettings::default()
    }
}

fn held(now: Tick, settings: &KeySourceSettings) -> Held {
    Held {
        kids: vec!["a".into()],
        skipped: 0,
        digest: Digest::default(),
        from_disk: false,
        fetched_at: UnixTime::default(),
        since: now,
        age_before: Duration::ZERO,
        until: Some(stale_at(now, Duration::ZERO, settings)),
    }
}

/// Pauses after one, two, … failures, each at its time.
fn pauses(state: &mut State, settings: &KeySourceSettings, failures: usize) -> Vec<u64> {
    let mut now = at(100);
    let mut pauses = Vec::new();
    for _ in 0..failures {
        state.next = Some(now);
        assert!(state.begin(now));
        state.fail(String::new(), settings, now);
        let pause = state.next.unwrap().since(now);
        // The jitter only shortens, by a tenth at most.
        pauses.push(u64::try_from(pause.as_millis().div_ceil(1000)).unwrap());
        now = state.next.unwrap();
    }
    pauses
}

fn roughly(pauses: &[u64], expected: &[u64]) -> bool {
    pauses.len() == expected.len()
        && pauses
            .iter()
            .zip(expected)
            .all(|(pause, expected)| pause <= expected && *pause >= expected * 9 / 10)
}

#[test]
fn failures_back_off_up_to_a_minute_while_nothing_is_held() {
    let mut state = State::new(Some(at(0)));
    let pauses = pauses(&mut state, &remote(), 9);
    let expected = [1, 2, 4, 8, 16, 32, 60, 60, 60];
    assert!(roughly(&pauses, &expected), "{pauses:?}");
}

#[test]
fn failures_back_off_from_the_cooldown_to_the_interval_while_keys_are_held() {
    let settings = remote();
    let mut state = State::new(Some(at(0)));
    state.succeed(held(at(0), &settings), None, &settings, at(0));
    let pauses = pauses(&mut state, &settings, 7);
    let expected = [30, 60, 120, 240, 480, 900, 900];
    assert!(roughly(&pauses, &expected), "{pauses:?}");
}

#[test]
fn a_very_long_outage_does_not_overflow() {
    let mut settings = remote();
    settings.refresh = Duration::MAX;
    settings.cooldown = Duration::MAX;
    settings.max_stale = Duration::MAX;
    let mut state = State::new(Some(at(0)));
    state.succeed(
        held(at(0), &settings),
        Some(Duration::MAX),
        &settings,
        at(0),
    );
    state.failures = u32::MAX;
    state.ask();
    assert!(state.begin(at(0)));
    state.fail(String::new(), &settings, at(0));
    assert_eq!(state.failures, u32::MAX);
    assert!(matches!(
        state.judge(Some("b"), &settings, at(1)),
        Judgement::Answer(Obtained::Unavailable { .. })
    ));
}

#[test]
fn the_earlier_of_max_age_and_interval_counts() {
    let settings = remote();
    for (max_age, interval) in [
        (None, 900),
        (Some(0), 60),
        (Some(59), 60),
        (Some(300), 300),
        (Some(3600), 900),
        (Some(u64::MAX), 900),
    ] {
        let interval_of = refresh_interval(max_age.map(secs), &settings);
        assert_eq!(interval_of, secs(interval), "{max_age:?}");
    }
    let mut long = remote();
    long.refresh = secs(86_400);
    assert_eq!(refresh_interval(Some(secs(7200)), &long), secs(3600));
    long.source = KeySource::File("jwks.json".into());
    assert_eq!(refresh_interval(None, &long), FILE_POLL);
}

#[test]
fn invariant_43_one_forced_attempt_per_cooldown_whatever_its_outcome() {
    let settings = remote();
    let absent = Judgement::Answer(Obtained::Absent);
    let mut state = State::new(Some(at(0)));
    assert_eq!(state.judge(Some("b"), &settings, at(0)), Judgement::Wait);
    assert!(state.begin(at(0)));
    state.succeed(held(at(0), &settings), None, &settings, at(0));
    assert_eq!(
        state.judge(Some("a"), &settings, at(1)),
        Judgement::Answer(Obtained::Refreshed)
    );
    // An idle issuer is asked at once.
    assert_eq!(
        state.judge(Some("b"), &settings, at(1)),
        Judgement::WakeAndWait
    );
    assert_eq!(state.judge(Some("c"), &settings, at(1)), Judgement::Wait);
    assert!(state.begin(at(1)));
    assert!(!state.asked);
    state.succeed(held(at(2), &settings), None, &settings, at(2));
    assert_eq!(state.judge(Some("b"), &settings, at(2)), absent);
    assert_eq!(state.judge(Some("b"), &settings, at(30)), absent);
    assert_eq!(
        state.judge(Some("b"), &settings, at(31)),
        Judgement::WakeAndWait
    );
    assert!(state.begin(at(31)));
    state.fail(String::new(), &settings, at(31));
    for second in 31..58 {
        let Judgement::Answer(Obtained::Unavailable { retry_after }) =
            state.judge(Some("b"), &settings, at(second))
        else {
            panic!("the last attempt failed: nobody can tell");
        };
        assert!(retry_after >= secs(1) && retry_after <= secs(30));
    }
    assert_eq!(state.fetches_forced, 2);
}

#[test]
fn invariant_44_a_forced_failure_does_not_put_off_what_is_scheduled() {
    let settings = remote();
    let mut state = State::new(Some(at(0)));
    state.succeed(held(at(0), &settings), None, &settings, at(0));
    let scheduled = at(5);
    state.next = Some(scheduled);
    assert_eq!(
        state.judge(Some("b"), &settings, at(1)),
        Judgement::WakeAndWait
    );
    assert!(state.begin(at(1)));
    state.fail(String::new(), &settings, at(1));
    assert_eq!(state.next, Some(scheduled));
}

#[test]
fn invariant_35_keys_end_at_max_stale() {
    let settings = remote();
    let mut state = State::new(Some(at(0)));
    state.succeed(held(at(10), &settings), None, &settings, at(10));
    let end = at(10).plus(settings.max_stale);
    assert!(!state.expire(Tick::from_nanos(end.as_nanos() - 1)));
    assert!(state.expire(end));
    assert!(state.held.is_none());
    assert!(!state.expire(end));
}

#[test]
fn intervals_of_nothing_make_no_tight_loop() {
    let mut settings = remote();
    settings.refresh = Duration::ZERO;
    settings.refresh_floor = Duration::ZERO;
    settings.cooldown = Duration::ZERO;
    assert_eq!(refresh_interval(None, &settings), secs(1));
    assert_eq!(refresh_interval(Some(secs(0)), &settings), secs(1));
    let mut state = State::new(Some(at(0)));
    state.succeed(held(at(0), &settings), None, &settings, at(0));
    state.next = Some(at(100));
    assert_eq!(
        state.judge(Some("b"), &settings, at(1)),
        Judgement::WakeAndWait
    );
    assert!(state.begin(at(1)));
    state.succeed(held(at(1), &settings), None, &settings, at(1));
    let absent = Judgement::Answer(Obtained::Absent);
    assert_eq!(state.judge(Some("b"), &settings, at(1)), absent);
}
