use super::*;

const BOUNDS: Bounds = Bounds {
    lifetime: 60,
    entries: 16 * 100,
};

fn at(seconds: i64) -> UnixTime {
    UnixTime::from_secs(seconds)
}

/// An id of the first shard.
fn id(number: u32) -> ProofId {
    let mut id = [0; 16];
    id[12..].copy_from_slice(&number.to_be_bytes());
    id
}

#[test]
fn a_proof_is_used_once_until_it_is_too_old() {
    let set = ReplaySet::default();
    let remember = |issued_at, now| set.remember(id(1), at(issued_at), BOUNDS, at(now));
    assert_eq!(remember(100, 100), Ok(()));
    // The last second in which its time still holds.
    for now in [100, 130, 159] {
        assert_eq!(remember(100, now), Err(Used::Seen), "{now}");
    }
    // Another proof of the same name.
    assert_eq!(remember(159, 159), Err(Used::Seen));
    // From here on the proof's own time refuses it; the set does so by what it forgot.
    assert_eq!(remember(100, 160), Err(Used::Forgotten));
    assert_eq!(remember(161, 161), Ok(()), "the name is free again");
}

#[test]
fn what_was_forgotten_does_not_come_back_with_the_clock_or_a_longer_lifetime() {
    let set = ReplaySet::default();
    let remember = |number, issued_at, lifetime, now| {
        let bounds = Bounds { lifetime, ..BOUNDS };
        set.remember(id(number), at(issued_at), bounds, at(now))
    };
    assert_eq!(remember(1, 100, 60, 100), Ok(()));
    assert_eq!(remember(2, 170, 60, 170), Ok(()), "takes the first one out");
    // The clock steps back, or a reload lets proofs live longer.
    assert_eq!(remember(1, 100, 60, 120), Err(Used::Forgotten));
    assert_eq!(remember(1, 100, 3600, 175), Err(Used::Forgotten));
    assert_eq!(remember(3, 101, 60, 120), Ok(()), "what is later is known");
}

#[test]
fn a_full_set_forgets_nothing() {
    let set = ReplaySet::default();
    for number in 0..100 {
        assert_eq!(set.remember(id(number), at(100), BOUNDS, at(100)), Ok(()));
    }
    assert_eq!(
        set.remember(id(100), at(159), BOUNDS, at(159)),
        Err(Used::Full)
    );
    for number in 0..100 {
        let again = set.remember(id(number), at(100), BOUNDS, at(159));
        assert_eq!(again, Err(Used::Seen));
    }
    // Other shards have room.
    assert_eq!(set.remember([1; 16], at(159), BOUNDS, at(159)), Ok(()));
    // And when the entries have ended there is room again, at once.
    for number in 100..300 {
        assert_eq!(
            set.remember(id(number), at(160), BOUNDS, at(160)).is_ok(),
            number < 200
        );
    }
    assert_eq!(set.len(), 101);
}

#[test]
fn the_set_does_not_grow_with_time() {
    let set = ReplaySet::default();
    for second in 0..10_000_u32 {
        let number = i64::from(second);
        assert_eq!(
            set.remember(id(second), at(number), BOUNDS, at(number)),
            Ok(())
        );
        assert!(set.len() <= 60, "{}", set.len());
    }
}

#[test]
fn of_many_workers_one_gets_through() {
    let set = ReplaySet::default();
    for number in 0..200 {
        let passed: usize = std::thread::scope(|scope| {
            let ask = || {
                usize::from(
                    set.remember(id(number), at(number.into()), BOUNDS, at(number.into()))
                        .is_ok(),
                )
            };
            let workers: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap())
                .sum()
        });
        assert_eq!(passed, 1);
    }
}
