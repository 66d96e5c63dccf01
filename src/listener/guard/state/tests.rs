use std::time::Duration;

use super::*;

fn at(seconds: u64) -> Tick {
    Tick::default().plus(Duration::from_secs(seconds))
}

/// A connection opened at 100 s.
fn opened() -> (CoarseClock, Arc<GuardState>, Timeouts) {
    let clock = CoarseClock::new(at(100));
    let state = GuardState::new(clock.clone());
    (clock, state, Timeouts::default())
}

#[test]
fn invariant_59_nothing_sent_after_accept() {
    let (_, state, timeouts) = opened();
    assert_eq!(state.overdue(at(110), &timeouts), None);
    assert_eq!(state.overdue(at(111), &timeouts), Some(Overdue::FirstByte));
}

#[test]
fn invariant_59_a_head_is_bounded_from_its_first_byte_however_it_trickles() {
    let (clock, state, timeouts) = opened();
    clock.set(at(105));
    state.did_read(1);
    state.head_started();
    for second in 106..=115 {
        clock.set(at(second));
        state.did_read(1);
        assert_eq!(state.overdue(at(second), &timeouts), None, "{second}");
    }
    assert_eq!(state.overdue(at(116), &timeouts), Some(Overdue::Head));
    state.head_passed();
    state.set_phase(Phase::Between);
    assert_eq!(state.overdue(at(116), &timeouts), None);
}

#[test]
fn invariant_59_the_next_head_may_wait_for_the_answer_before_it() {
    let (clock, state, timeouts) = opened();
    state.head_passed();
    state.head_started();
    assert_eq!(state.overdue(at(1000), &timeouts), None);
    clock.set(at(1000));
    state.answer_ended();
    assert_eq!(state.overdue(at(1010), &timeouts), None);
    assert_eq!(state.overdue(at(1011), &timeouts), Some(Overdue::Head));
}

#[test]
fn invariant_59_idle_connections_end_and_streams_do_not() {
    for phase in [Phase::Between, Phase::Http2, Phase::Upgrade] {
        let (clock, state, timeouts) = opened();
        state.request_began();
        state.set_phase(phase);
        assert_eq!(state.overdue(at(100_000), &timeouts), None, "{phase:?}");
        clock.set(at(200));
        state.answer_ended();
        assert_eq!(state.overdue(at(260), &timeouts), None);
        assert_eq!(state.overdue(at(261), &timeouts), Some(Overdue::Idle));
    }
    let (_, state, timeouts) = opened();
    state.set_phase(Phase::Tunnel);
    assert_eq!(state.overdue(at(100_000), &timeouts), None);
    state.set_phase(Phase::Http2);
    assert_eq!(
        state.overdue(at(161), &timeouts),
        Some(Overdue::Idle),
        "a lone preface"
    );
}

#[test]
fn invariant_59_pings_do_not_keep_an_idle_http2_connection() {
    let (clock, state, timeouts) = opened();
    state.set_phase(Phase::Http2);
    for second in [130, 160] {
        clock.set(at(second));
        state.did_read(17);
        state.did_write(17);
        assert_eq!(state.overdue(at(second), &timeouts), None, "{second}");
    }
    assert_eq!(state.overdue(at(161), &timeouts), Some(Overdue::Idle));
}

#[test]
fn invariant_59_stalled_bodies_end_until_the_answer_begins() {
    let (clock, state, timeouts) = opened();
    state.head_passed();
    state.set_phase(Phase::Body);
    state.did_read(10);
    assert_eq!(state.overdue(at(1000), &timeouts), None, "nobody reads");
    state.read_waits();
    assert_eq!(state.overdue(at(130), &timeouts), None);
    assert_eq!(state.overdue(at(131), &timeouts), Some(Overdue::Body));
    clock.set(at(131));
    state.did_read(1);
    state.read_waits();
    assert_eq!(state.overdue(at(161), &timeouts), None);
    state.answer_began();
    assert_eq!(state.overdue(at(1000), &timeouts), None);
}

#[test]
fn invariant_59_a_reader_that_takes_nothing() {
    let (clock, state, timeouts) = opened();
    state.set_phase(Phase::Tunnel);
    state.write_waits();
    clock.set(at(120));
    state.write_waits();
    assert_eq!(state.overdue(at(160), &timeouts), None);
    assert_eq!(state.overdue(at(161), &timeouts), Some(Overdue::Reader));
    state.did_write(1);
    assert_eq!(state.overdue(at(1000), &timeouts), None);
    assert_eq!(state.bytes_out(), 1);
}

#[test]
fn phases_survive_their_codes() {
    for phase in Phase::ALL {
        assert_eq!(Phase::from_code(phase.code()), phase);
    }
}

#[test]
fn only_the_guards_own_request_shows_a_verdict() {
    let (_, state, _) = opened();
    let own = Method::from_bytes(REFUSED_METHOD.as_bytes()).unwrap();
    assert_eq!(state.verdict(&own), None);
    state.refuse_head(Malformed::Framing);
    state.refuse_head(Malformed::Syntax);
    assert_eq!(state.verdict(&own), Some(Malformed::Framing));
    assert_eq!(state.verdict(&Method::GET), None);
}
