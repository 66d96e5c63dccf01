//! The schedule, row by row.

use std::sync::Arc;

use super::super::{ClientAuthentication, ClientSecret, TokenEndpoint};
use super::*;
use crate::config::Secret;
use crate::fetch::FetchError;

const NOON: i64 = 1_800_000_000;

fn settings(refresh_before: u64, cooldown: u64) -> CredentialSettings {
    let secret = Secret::new(b"secret".to_vec(), None);
    CredentialSettings {
        name: Arc::from("agent"),
        endpoint: TokenEndpoint::Url("https://id.example.org/token".to_owned()),
        client_id: Some("agent".to_owned()),
        authentication: ClientAuthentication::SecretBasic(ClientSecret::new(&secret).unwrap()),
        scopes: Vec::new(),
        audience: None,
        resources: Vec::new(),
        dpop: None,
        refresh_before: Duration::from_secs(refresh_before),
        timeout: Duration::from_secs(5),
        cooldown: Duration::from_secs(cooldown),
        ca: None,
        allow_http: false,
    }
}

const fn millis(millis: u64) -> Tick {
    Tick::from_nanos(millis * 1_000_000)
}

fn at(seconds: u64) -> Now {
    Now {
        tick: millis(seconds * 1000),
        unix: UnixTime::from_secs(NOON + i64::try_from(seconds).unwrap()),
    }
}

fn down() -> TokenError {
    TokenError::Fetch(FetchError::Timeout)
}

/// A state whose token with the serial 1 was asked for at 0 and lives that long.
fn holding(lifetime: u64, settings: &CredentialSettings) -> State {
    let mut state = State::new(at(0).tick);
    assert!(state.begin(at(0).tick));
    grant(&mut state, 1, 0, lifetime, settings);
    state
}

fn grant(state: &mut State, serial: u64, now: u64, lifetime: u64, settings: &CredentialSettings) {
    let held = Held {
        serial,
        since: at(now),
        lifetime: Duration::from_secs(lifetime),
    };
    state.succeed(held, settings, at(now), 0);
}

fn fault(seconds: u64) -> Judgement {
    Judgement::Fault(CredentialFault {
        oauth_error: None,
        retry_after: Duration::from_secs(seconds),
    })
}

#[test]
fn a3_a_token_is_replaced_before_its_end_or_in_the_last_fifth_of_a_short_life() {
    // lifetime, refresh_before, chance, next in milliseconds
    const ROWS: [(u64, u64, u16, u64); 9] = [
        (300, 30, 0, 270_000),
        (300, 30, u16::MAX, 264_000),
        (3600, 30, 0, 3_570_000),
        (3600, 600, 0, 3_000_000),
        (60, 30, 0, 48_000),
        (10, 30, 0, 8_000),
        (10, 30, u16::MAX, 7_600),
        (2, 30, 0, 1_600),
        (1, 30, u16::MAX, 1_000),
    ];
    for (lifetime, before, random, next) in ROWS {
        let settings = settings(before, 30);
        let held = Held {
            serial: 1,
            since: at(0),
            lifetime: Duration::from_secs(lifetime),
        };
        let found = refresh_at(&held, &settings, random);
        let error = found.since(millis(next)).max(millis(next).since(found));
        assert!(
            error < Duration::from_millis(1),
            "{lifetime} {before} {random}: {found:?}"
        );
    }
}

#[test]
fn a5_failures_back_off_and_the_server_may_ask_for_more_within_bounds() {
    let mut state = State::new(at(0).tick);
    for pause in [1, 2, 4, 8, 16, 30, 30, 30] {
        state.fail(&down(), None, at(0).tick, 0);
        assert_eq!(state.next, millis(pause * 1000));
    }
    state.fail(&down(), None, at(0).tick, u16::MAX);
    assert!(
        state.next <= millis(27_001),
        "chance only shortens: {:?}",
        state.next
    );
    for (said, pause) in [(0, 1), (1, 1), (7, 7), (60, 60), (86_400, 60)] {
        let mut state = State::new(at(0).tick);
        state.fail(&down(), Some(Duration::from_secs(said)), at(0).tick, 0);
        assert_eq!(state.next, millis(pause * 1000), "Retry-After: {said}");
    }
}

#[test]
fn a5_an_expired_token_is_not_ready_by_either_clock() {
    let settings = settings(30, 30);
    let rows = [
        (at(0), true),
        (at(299), true),
        (at(300), false),
        // The machine slept: the monotonic clock stood still.
        (
            Now {
                unix: UnixTime::from_secs(NOON + 300),
                ..at(10)
            },
            false,
        ),
        // Somebody set the clock back: the token is not younger for that.
        (
            Now {
                unix: UnixTime::from_secs(NOON - 5000),
                ..at(300)
            },
            false,
        ),
        (
            Now {
                unix: UnixTime::from_secs(NOON - 5000),
                ..at(299)
            },
            true,
        ),
    ];
    for (now, good) in rows {
        let mut state = holding(300, &settings);
        state.next = millis(u64::from(u32::MAX));
        let judgement = state.obtain(now);
        assert_eq!(judgement == Judgement::Ready, good, "{now:?}");
        if !good {
            assert_eq!(judgement, Judgement::Wait, "{now:?}");
            assert_eq!(state.next, now.tick, "it is asked for at once");
        }
        assert_eq!(state.expire(now), !good);
        assert_eq!(state.held.is_none(), !good);
    }
}

#[test]
fn a3_those_who_come_while_a_request_is_in_flight_wait_for_it() {
    let mut state = State::new(at(0).tick);
    assert_eq!(state.obtain(at(0)), Judgement::Wait, "it is due");
    assert!(state.begin(at(0).tick));
    for _ in 0..1000 {
        assert_eq!(state.obtain(at(1)), Judgement::Wait);
    }
    state.fail(&down(), None, at(1).tick, 0);
    for _ in 0..1000 {
        assert_eq!(state.obtain(at(1)), fault(1));
    }
    assert!(
        !state.begin(millis(1999)),
        "callers do not bring it forward"
    );
    assert_eq!(state.obtain(at(2)), Judgement::Wait);
    assert!(state.begin(at(2).tick));
    grant(&mut state, 1, 2, 300, &settings(30, 30));
    assert_eq!(state.obtain(at(2)), Judgement::Ready);
}

#[test]
fn a4_one_forced_request_per_cooldown_whatever_came_of_it() {
    let settings = settings(30, 20);
    let mut state = holding(300, &settings);
    assert_eq!(state.renew(1, false, &settings, at(10)), Judgement::Wait);
    assert_eq!(
        state.renew(1, false, &settings, at(10)),
        Judgement::Wait,
        "they share it"
    );
    assert_eq!(state.counts.forced, 1);
    assert!(state.begin(at(10).tick));
    assert_eq!(state.obtain(at(10)), Judgement::Ready, "the others go on");
    grant(&mut state, 2, 10, 300, &settings);
    assert_eq!(state.renew(1, true, &settings, at(10)), Judgement::Ready);
    assert_eq!(
        state.renew(1, false, &settings, at(11)),
        Judgement::Ready,
        "a late one"
    );
    assert_eq!(state.renew(2, false, &settings, at(29)), Judgement::Cooling);
    assert_eq!(state.renew(2, false, &settings, at(30)), Judgement::Wait);
    assert!(state.begin(at(30).tick));
    state.fail(&down(), None, at(31).tick, 0);
    let waited = state.renew(2, true, &settings, at(31));
    assert_eq!(waited, fault(1), "who waited in vain knows");
    assert_eq!(state.renew(2, false, &settings, at(31)), Judgement::Cooling);
    assert_eq!(
        state.obtain(at(31)),
        Judgement::Ready,
        "the token that is held serves on"
    );
    // The retry counts, too: a server that is down is not asked more often for that.
    assert!(state.begin(at(32).tick));
    state.fail(&down(), None, at(32).tick, 0);
    assert_eq!(
        state.renew(2, false, &settings, at(51)),
        Judgement::Wait,
        "the retry is due"
    );
    assert!(state.begin(at(51).tick));
    state.fail(&down(), None, at(51).tick, 0);
    assert_eq!(state.renew(2, false, &settings, at(54)), Judgement::Cooling);
    assert_eq!(state.counts.forced, 2);
}

#[test]
fn a4_a_refused_token_that_has_ended_is_like_none() {
    let settings = settings(30, 30);
    let mut state = holding(10, &settings);
    state.begin(at(8).tick);
    state.fail(&down(), None, at(8).tick, 0);
    state.begin(at(9).tick);
    state.fail(&down(), None, at(10).tick, 0);
    assert_eq!(state.renew(1, false, &settings, at(10)), fault(2));
}

#[test]
fn a7_changed_settings_keep_a_good_token_and_end_a_pause() {
    let settings = settings(30, 30);
    let mut state = holding(300, &settings);
    let next = state.next;
    state.adjust(&settings, at(5), 0);
    assert_eq!((state.next, state.held.is_some()), (next, true));

    let mut failed = State::new(at(0).tick);
    for _ in 0..9 {
        failed.fail(&down(), None, at(0).tick, 0);
    }
    failed.adjust(&settings, at(1), 0);
    assert_eq!(failed.obtain(at(1)), Judgement::Wait);
    assert!(failed.begin(at(1).tick), "at once");

    // What is in flight was made with the old secret.
    let mut flying = State::new(at(0).tick);
    assert!(flying.begin(at(0).tick));
    flying.adjust(&settings, at(0), 0);
    flying.fail(&down(), None, at(1).tick, 0);
    assert!(flying.begin(at(1).tick), "at once");
    flying.fail(&down(), None, at(1).tick, 0);
    assert!(!flying.begin(at(1).tick), "once");
}

#[test]
fn a5_no_server_is_asked_in_a_tight_loop() {
    let settings = settings(30, 1);
    // A server whose tokens live for a second, and callers who never stop.
    let mut state = State::new(at(0).tick);
    let mut requests = 0;
    for tick in 0..600_u64 {
        let now = Now {
            tick: millis(tick * 100),
            unix: UnixTime::from_secs(NOON + i64::try_from(tick / 10).unwrap()),
        };
        let _ = state.obtain(now);
        if state.begin(now.tick) {
            requests += 1;
            let held = Held {
                serial: requests,
                since: now,
                lifetime: Duration::from_secs(1),
            };
            state.succeed(held, &settings, now, u16::MAX);
        }
    }
    assert_eq!(requests, 60);
}
