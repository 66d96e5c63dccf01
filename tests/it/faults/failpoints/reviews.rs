//! Waiting for what somebody else says of a token, and asking for it.

use countersign::failpoint::{Fault, Point, arm};

use super::table::Comes::{After, At, Served};
use super::table::INTERNAL;
use super::{await_met, last_record, reconcile_all, secs, settled};
use crate::bed::{
    Before, Request, Setup, Upstream, Variant, assert_forwarded, assert_recorded, eventually,
};

const CONFIG: &str = "
issuers:
  - name: asked
    issuer: https://id.example.org
    verify:
      introspection:
        url: @ENDPOINT@/introspect
        client_id: api
        client_authentication: {client_secret_post: {file: @DIR@/secret}}
    audiences: [api]
callers: {robot: {issuer: asked}}
routes: [{path: /health, allow: anyone}, {path: /x, allow: robot}]
";

pub(super) fn the_way_of_a_question() {
    let endpoint = Upstream::scripted(|exchange| {
        exchange.body()?;
        let answer = br#"{"active": true, "aud": "api", "sub": "robot"}"#;
        exchange.answer(200, "content-type: application/json\r\n", answer)
    });
    let bed = Setup::bare(&CONFIG.replace("@ENDPOINT@", &endpoint.url()))
        .file("secret", "only-for-this-test")
        .start();
    let unavailable = (503, "review_unavailable");
    let mut number = 0;
    for (point, fault, comes) in [
        (Point::Review, Fault::Error, At(503, "review_unavailable")),
        (Point::Review, Fault::Panic, INTERNAL),
        (
            Point::Review,
            Fault::Hang,
            After(2, 503, "review_unavailable"),
        ),
        (Point::Fetch, Fault::Error, At(503, "review_unavailable")),
        (Point::Fetch, Fault::Panic, At(503, "review_unavailable")),
        (
            Point::Fetch,
            Fault::Hang,
            After(2, 503, "review_unavailable"),
        ),
    ] {
        let what = format!("{point:?} {fault:?}");
        number += 1;
        let token = format!("token-{number}");
        let request = Request::get("/x").bearer(&token);
        let records = settled(&bed);
        let before = Before::now(&bed);
        arm(point, fault);
        let mut client = bed.proxy.connect();
        client.send(request.bytes());
        await_met();
        if let After(seconds, ..) = comes {
            bed.clock.advance(secs(seconds));
        }
        let (status, reason) = match comes {
            At(status, reason) | After(_, status, reason) => (status, reason),
            Served => unavailable,
        };
        assert_eq!(client.read().status, status, "{what}");
        assert_recorded(&last_record(&bed, records), status, reason);
        before.assert_nothing_upstream(&bed, &what);
        if (point, fault) == (Point::Fetch, Fault::Panic) {
            bed.proxy.await_event("review.task_failed");
        }
        // No question is pending for ever.
        let in_flight = || bed.proxy.metric("countersign_reviews_in_flight", "");
        eventually(&what, || in_flight() < 0.5);
        bed.clock.advance(secs(1));
        assert_forwarded(&bed, Variant::PLAIN, &request);
    }
    reconcile_all(&bed);
}
