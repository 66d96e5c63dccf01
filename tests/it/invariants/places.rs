//! Invariants 36 and 37: where requests go, and where they do not.

use crate::bed::standard::{self, standard};
use crate::bed::{Connection, Request, Upstream, Variant, contains, exchanged, refused_everywhere};

#[test]
fn invariant_36_the_upstream_is_only_the_configured_address() {
    let trap = Upstream::start();
    let trapped = trap.address().to_string();
    let upstream = Upstream::scripted({
        let trapped = trapped.clone();
        move |exchange| {
            if exchange.request.target == "/health" {
                return exchange.echo();
            }
            exchange.answer(302, &format!("location: http://{trapped}/\r\n"), b"")
        }
    });
    let bed = standard::setup().upstream(upstream).start();
    for request in [
        Request::get("/public").host(&trapped),
        Request::get(&format!("http://{trapped}/public")).host(&trapped),
        Request::get("/public").header("forwarded", &format!("host={trapped}")),
        Request::get("/public").header("x-forwarded-host", &trapped),
        Request::get("/public").header("x-forwarded-server", &trapped),
    ] {
        for variant in Variant::ALL
            .into_iter()
            .filter(|variant| variant.can_say(&request))
        {
            let response = exchanged(&bed, variant, &request).expect(302);
            assert_eq!(
                response.header("location"),
                Some(&*format!("http://{trapped}/"))
            );
        }
    }
    assert_eq!(trap.connections(), 0);
}

#[test]
fn invariant_37_admin_is_another_listener() {
    let bed = standard();
    for path in [
        "/metrics",
        "/readyz",
        "/livez",
        "/status",
        "/config",
        "/.well-known/jwks.json",
    ] {
        refused_everywhere(&bed, &Request::get(path), 403, "no_route");
    }
    assert!(bed.proxy.admin().ip().is_loopback());
    let ask = |request: &Request| {
        Connection::open(bed.proxy.admin())
            .send(request.bytes())
            .read_to(&request.method)
            .expect("an answer")
    };
    let host = bed.proxy.admin().to_string();
    for path in [
        "/livez",
        "/readyz",
        "/metrics",
        "/status",
        "/",
        "/.well-known/jwks.json",
    ] {
        let answer = ask(&Request::get(path).host(&host)).expect(200);
        assert!(!contains(&answer.body, b"PRIVATE"), "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        ask(&Request::new(method, "/status").host(&host)).expect(405);
    }
    // A web page that re-binds its own name to 127.0.0.1 must not read admin.
    let status = ask(&Request::get("/status").host("evil.example")).status;
    assert!(matches!(status, 400 | 403 | 421), "{status}");
}
