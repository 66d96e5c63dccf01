use super::*;

fn limit(requests: u32, per: Duration) -> RateLimit {
    RateLimit::new(RateLimitSettings {
        by: RateLimitKey::ClientAddress,
        before_authentication: true,
        requests,
        per,
    })
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn t08_the_601st_request_in_a_minute_is_too_many() {
    let limit = limit(600, Duration::from_secs(60));
    let caller = address("192.0.2.1");
    for start in [0, 3_600_000_000_001, u64::MAX / 1000] {
        let now = Tick::from_nanos(start);
        for _ in 0..600 {
            assert_eq!(limit.admit_address(caller, now), Ok(()));
        }
        assert_eq!(
            limit.admit_address(caller, now),
            Err(Duration::from_secs(1))
        );
        assert_eq!(
            limit.admit_address(address("192.0.2.2"), now),
            Ok(()),
            "another caller"
        );
        // One more every 100 ms.
        let later = now.plus(Duration::from_millis(100));
        assert_eq!(limit.admit_address(caller, later), Ok(()));
        assert!(limit.admit_address(caller, later).is_err());
    }
}

#[test]
fn the_time_to_come_again_is_true() {
    for (requests, per) in [(1, 60), (7, 60), (3, 1), (1, 86_400), (u32::MAX, 1)] {
        let limit = limit(requests, Duration::from_secs(per));
        let now = Tick::from_nanos(12_345_678_901);
        for _ in 0..requests.min(7) {
            assert_eq!(
                limit.admit_address(address("192.0.2.1"), now),
                Ok(()),
                "{requests}"
            );
        }
        if requests > 7 {
            continue;
        }
        let wait = limit.admit_address(address("192.0.2.1"), now).unwrap_err();
        assert!(wait >= Duration::from_secs(1) && wait.subsec_nanos() == 0);
        assert_eq!(
            limit.admit_address(address("192.0.2.1"), now.plus(wait)),
            Ok(()),
            "{requests} per {per}"
        );
    }
}

#[test]
fn addresses_of_one_site_count_together() {
    let now = Tick::from_nanos(0);
    for (one, other, together) in [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
        ("192.0.2.1", "::ffff:192.0.2.1", true),
        ("192.0.2.1", "192.0.2.2", false),
    ] {
        let limit = limit(1, Duration::from_secs(60));
        assert_eq!(limit.admit_address(address(one), now), Ok(()));
        assert_eq!(
            limit.admit_address(address(other), now).is_err(),
            together,
            "{one} {other}"
        );
    }
}

#[test]
fn principals_of_two_issuers_or_kinds_count_apart() {
    let now = Tick::from_nanos(0);
    let limit = limit(1, Duration::from_secs(60));
    for (issuer, kind, name) in [("a", 1, "x"), ("b", 1, "x"), ("a", 2, "x"), ("a", 1, "y")] {
        assert_eq!(limit.admit_principal(issuer, kind, name, now), Ok(()));
        assert!(limit.admit_principal(issuer, kind, name, now).is_err());
    }
}

#[test]
fn invariant_63_a_flood_of_addresses_neither_grows_the_table_nor_frees_anyone() {
    let limit = limit(2, Duration::from_secs(3600));
    let now = Tick::from_nanos(1);
    let caller = address("192.0.2.1");
    assert_eq!(limit.admit_address(caller, now), Ok(()));
    assert_eq!(limit.admit_address(caller, now), Ok(()));
    let admitted = (0..200_000_u32)
        .filter(|n| {
            limit
                .admit_address(IpAddr::V4((0x0a00_0000 + n).into()), now)
                .is_ok()
        })
        .count();
    // Each of the table's places, the shared ones included, passes two requests at most.
    assert!(admitted <= 2 * SETS * (WAYS + 1), "{admitted}");
    assert!(
        limit.admit_address(caller, now).is_err(),
        "the flood did not make us forget"
    );
    // What ran out makes room again.
    let later = now.plus(Duration::from_secs(3600));
    assert_eq!(limit.admit_address(address("198.51.100.1"), later), Ok(()));
}

#[test]
fn workers_share_a_limit() {
    let limit = Arc::new(limit(1000, Duration::from_secs(60)));
    let count = || {
        let limit = Arc::clone(&limit);
        move || {
            (0..1000)
                .filter(|_| {
                    limit
                        .admit_address(address("192.0.2.1"), Tick::from_nanos(5))
                        .is_ok()
                })
                .count()
        }
    };
    let workers: Vec<_> = (0..4).map(|_| std::thread::spawn(count())).collect();
    let admitted: usize = workers
        .into_iter()
        .map(|worker| worker.join().unwrap())
        .sum();
    assert!(admitted <= 1000 && admitted > 900, "{admitted}");
}

#[test]
fn an_unchanged_limit_survives_a_reload() {
    let limits = RateLimits::default();
    let route: Arc<str> = "r".into();
    let settings = *limit(1, Duration::from_secs(60)).settings();
    let first = limits.obtain(&route, settings, 0);
    assert!(Arc::ptr_eq(&first, &limits.obtain(&route, settings, 0)));
    let changed = RateLimitSettings {
        requests: 2,
        ..settings
    };
    assert!(!Arc::ptr_eq(&first, &limits.obtain(&route, changed, 0)));
    assert!(!Arc::ptr_eq(
        &first,
        &limits.obtain(&"other".into(), settings, 0)
    ));
    drop(first);
    limits.obtain(&route, changed, 0);
    assert_eq!(
        limits.0.lock().unwrap().len(),
        1,
        "what no policy uses is dropped"
    );
}
