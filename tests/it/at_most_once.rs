//! A request that may have been acted on is never sent twice.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::bed::{Bed, Next, Request, Setup, Upstream, reconcile};

const ROUTES: &str = "
routes:
  - path: /**
    allow: anyone
";

/// An upstream whose first connection answers `/warm`, then reads a request and closes without a byte.
fn bed() -> Bed {
    let requests = AtomicUsize::new(0);
    let upstream = Upstream::scripted(move |exchange| {
        let seen = requests.fetch_add(1, Ordering::SeqCst);
        exchange.body()?;
        if seen == 1 {
            Ok(Next::Close)
        } else {
            exchange.echo()
        }
    });
    Setup::new(ROUTES).upstream(upstream).start()
}

/// The answer, and how often the request arrived, when its pooled connection dies under it.
fn on_a_dying_connection(request: &Request) -> (u16, usize) {
    let bed = bed();
    bed.send(&Request::get("/warm")).expect(200);
    let response = bed.send(request);
    let arrived = bed
        .upstream
        .requests()
        .iter()
        .filter(|seen| seen.target == request.target)
        .count();
    assert_eq!(
        bed.upstream.requests()[1].connection,
        0,
        "the pooled connection is used first"
    );
    bed.send(&Request::get("/after")).expect(200);
    reconcile(&bed);
    (response.status, arrived)
}

#[test]
fn invariant_68_what_may_have_been_acted_on_is_not_sent_twice() {
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        for body in ["", "body"] {
            let request = Request::new(method, "/orders").body(body);
            assert_eq!(
                on_a_dying_connection(&request),
                (502, 1),
                "{method} {body:?}"
            );
        }
    }
    // Safe, but what a body does to it nobody knows.
    assert_eq!(
        on_a_dying_connection(&Request::get("/orders").body("body")),
        (502, 1)
    );
}

#[test]
fn invariant_68_a_bodyless_get_is_sent_once_more_on_another_connection() {
    assert_eq!(on_a_dying_connection(&Request::get("/orders")), (200, 2));
    assert_eq!(
        on_a_dying_connection(&Request::new("HEAD", "/orders")),
        (200, 2)
    );
}
