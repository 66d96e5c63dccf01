//! Clocks that jump, through the running proxy.

use crate::bed::keys::RSA_1;
use crate::bed::{Mode, Request, Setup, Token, Variant, assert_forwarded, reconcile};
use countersign::clock::UnixTime;

const CONFIG: &str = "
issuers:
  - {name: main, issuer: @ISSUER@, jwks: {url: @JWKS@, allow_http: true}, audiences: [api]}
identity: {assertion: {header: x-auth-assertion, issuer: countersign, audience: api, lifetime: 60s}}
callers: {web: {issuer: main}}
routes: [{path: /open, allow: anyone}, {path: /closed, allow: web}]
";

const HOUR: i64 = 3600;

#[test]
fn invariant_51_jumps_of_the_wall_clock_admit_nothing_expired_and_fetch_nothing() {
    let bed = Setup::bare(CONFIG).start();
    bed.proxy.await_issuer_events("jwks.refreshed", "main", 1);
    let start = bed.clock.now().unix.as_secs();
    let closed = |token: &str| bed.get("/closed", token).status;
    let at = |now: i64| Token::new(&bed.issuer.iss, &RSA_1, now).sign();
    let old = at(start);
    assert_eq!(closed(&old), 200);
    // The issuer is away: a storm would show as failures.
    bed.issuer.mode(Mode::Reset);
    for (name, now, fresh) in [
        ("an hour on", start + HOUR, 200),
        ("an hour back", start - HOUR, 200),
        ("1970", 0, 200),
        ("before the epoch", -HOUR, 200),
        ("the end of 32 bits", i64::from(i32::MAX) + 1, 200),
        ("2106", i64::from(u32::MAX) + 1, 200),
        ("the end of time", i64::MAX, 401),
        ("its beginning", i64::MIN, 401),
    ] {
        bed.clock.set_wall(UnixTime::from_secs(now));
        // Remembered as good, and expired or not yet valid now.
        assert_eq!(closed(&old), 401, "{name}");
        let expected = closed(&at(now.clamp(-HOUR, 1 << 40)));
        assert_eq!(expected, fresh, "{name}");
        assert_forwarded(&bed, Variant::PLAIN, &Request::get("/open"));
        assert_eq!(bed.proxy.admin_get("/readyz").status, 200, "{name}");
        assert_eq!(bed.issuer.fetches(), 1, "{name}");
    }
    bed.clock.set_wall(UnixTime::from_secs(start));
    assert_eq!(closed(&old), 200, "and back");
    assert_eq!(bed.issuer.fetches(), 1);
    reconcile(&bed);
}
