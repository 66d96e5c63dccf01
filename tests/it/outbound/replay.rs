//! After a 401 of the upstream: one renewal, one replay, and only of what is there to be sent again (A4).

use std::time::Duration;

use super::{From, bearer, get, post, record, setup, token_number};
use crate::bed::h2_client::H2Connection;
use crate::bed::h2_upstream::H2Upstream;
use crate::bed::{Bed, Next, Request, Response, TokenEndpoint, Upstream, eventually, reconcile};

fn tokens_seen(bed: &Bed) -> Vec<usize> {
    bed.upstream.requests().iter().map(token_number).collect()
}

#[test]
fn a4_a_refused_token_costs_exactly_one_more_upstream_request() {
    for request in [
        get("/x?y"),
        Request::new("DELETE", "/x").host("127.0.0.1"),
        post("/x", "a body that fits"),
        post("/x", vec![b'x'; 64 * 1024]),
    ] {
        let endpoint = TokenEndpoint::start();
        let bed = setup(&endpoint, "")
            .upstream(From::token(2).upstream())
            .start();
        let answer = bed.send(&request).expect(200);
        assert_eq!(
            answer.body, request.body,
            "the answer to the second request"
        );
        assert_eq!(tokens_seen(&bed), [1, 2]);
        let seen = bed.upstream.requests();
        assert_eq!(
            seen[1].header("authorization"),
            Some(&*bearer(&endpoint, 2))
        );
        assert_eq!(
            (&seen[0].target, &seen[0].body),
            (&seen[1].target, &seen[1].body)
        );
        let length = |seen: &crate::bed::Captured| seen.header("content-length").map(str::to_owned);
        assert_eq!(length(&seen[0]), length(&seen[1]));
        assert_eq!(endpoint.asked(), 2);
        let record = record(&bed, 1);
        assert_eq!(record["replayed"], true, "{record}");
        assert_eq!(
            (&record["status"], &record["decision"]),
            (&200.into(), &"allowed".into())
        );
        assert_eq!(record["bytes_in"], request.body.len(), "counted once");
        assert_eq!(
            bed.proxy.metric("countersign_upstream_replays_total", ""),
            1.0
        );
        // The next one has a token that is taken.
        assert_eq!(bed.send(&get("/next")).status, 200);
        assert_eq!(tokens_seen(&bed), [1, 2, 2]);
        assert_eq!(endpoint.asked(), 2);
        reconcile(&bed);
    }
}

#[test]
fn a4_chunked_and_http2_bodies_are_sent_again_whole() {
    let endpoint = TokenEndpoint::start();
    let from = From::token(2);
    let bed = setup(&endpoint, "").upstream(from.upstream()).start();
    let mut client = bed.proxy.connect();
    let answer = client.exchange("POST /x HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n4\r\n two\r\n0\r\n\r\n");
    assert_eq!(answer.expect(200).body, b"one two");
    bed.clock.advance(Duration::from_secs(120));
    from.set(endpoint.issued().len() + 1);
    let http2 = H2Connection::plain(bed.proxy.addr());
    let mut stream = http2
        .open(&Request::new("PUT", "/h2").host("localhost"), false)
        .expect("a stream");
    stream.push(b"three", false);
    stream.push(b" four", true);
    assert_eq!(stream.head().expect("a head").status, 200);
    let seen = bed.upstream.requests();
    assert_eq!(seen.len(), 4);
    assert_eq!(
        (seen[0].body.as_slice(), seen[1].body.as_slice()),
        (&b"one two"[..], &b"one two"[..])
    );
    assert_eq!(
        (seen[2].body.as_slice(), seen[3].body.as_slice()),
        (&b"three four"[..], &b"three four"[..])
    );
}

#[test]
fn a4_http2_upstreams_get_the_replay_too() {
    let endpoint = TokenEndpoint::start();
    let upstream = H2Upstream::start();
    let bed = setup(&endpoint, "").upstream_url(&upstream.url()).start();
    let answer = bed.send(&post("/wants-second", "body")).expect(200);
    assert_eq!(answer.body, b"body");
    let seen = upstream.requests();
    assert_eq!(seen.len(), 2);
    assert_eq!(
        (&seen[0].body, &seen[1].body),
        (&b"body".to_vec(), &b"body".to_vec())
    );
    assert_eq!(seen[1].headers["authorization"], bearer(&endpoint, 2));
}

/// Both attempts are over for their caller; what holds their bodies must not hold the request in flight.
#[test]
fn a4_an_http2_upstream_that_takes_no_body_holds_neither_attempt() {
    let endpoint = TokenEndpoint::start();
    let upstream = H2Upstream::without_a_window();
    let bed = setup(&endpoint, "").upstream_url(&upstream.url()).start();
    let answer = bed.send(&post("/early-second", "body"));
    assert_eq!(answer.status, 200);
    eventually("the first attempt is let go", || {
        upstream.requests().len() == 1
    });
    bed.clock.advance(Duration::from_secs(35));
    eventually("and so is the second", || upstream.requests().len() == 2);
    let record = record(&bed, 1);
    assert_eq!(record["replayed"], true, "{record}");
    reconcile(&bed);
}

#[test]
fn a4_an_endless_401_is_let_go_before_the_second_attempt() {
    let endpoint = TokenEndpoint::start();
    let upstream = Upstream::scripted(|exchange| {
        exchange.body()?;
        if token_number(&exchange.request) > 1 {
            return exchange.echo();
        }
        exchange.write("HTTP/1.1 401 Unauthorized\r\ntransfer-encoding: chunked\r\n\r\n")?;
        // Until the proxy closes.
        loop {
            exchange.chunk([b'x'; 16 * 1024])?;
        }
    });
    let bed = setup(&endpoint, "").upstream(upstream).start();
    assert_eq!(bed.send(&post("/x", "body")).expect(200).body, b"body");
    assert_eq!(tokens_seen(&bed), [1, 2]);
    bed.upstream.await_open(1);
    reconcile(&bed);
}

#[test]
fn a4_a_body_that_was_asked_for_with_100_is_asked_for_once_and_sent_twice() {
    let endpoint = TokenEndpoint::start();
    let bed = setup(&endpoint, "")
        .upstream(From::token(2).upstream())
        .start();
    let mut client = bed.proxy.connect();
    client.send(
        "POST /x HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n",
    );
    assert_eq!(client.read_interim(), 100);
    client.send("body");
    assert_eq!(client.read().expect(200).body, b"body");
    let seen = bed.upstream.requests();
    assert_eq!(tokens_seen(&bed), [1, 2]);
    for seen in seen {
        assert_eq!(
            (seen.body.as_slice(), seen.header("expect")),
            (&b"body"[..], None)
        );
    }
}

#[test]
fn a4_a_body_that_is_larger_or_still_coming_is_never_sent_again() {
    let endpoint = TokenEndpoint::start();
    let bed = setup(&endpoint, "replay_body: 1KiB")
        .upstream(From::token(2).upstream())
        .start();
    let larger = bed.send(&post("/larger", vec![b'x'; 1025]));
    assert_eq!(larger.status, 401, "the upstream's own answer");
    assert_eq!(
        larger.header("www-authenticate"),
        Some("Bearer error=\"invalid_token\"")
    );
    assert_eq!(larger.body, b"no");
    assert_eq!(tokens_seen(&bed), [1]);
    let record = record(&bed, 1);
    assert!(record["replayed"].is_null(), "{record}");
    assert_eq!(
        (&record["status"], &record["decision"]),
        (&401.into(), &"allowed".into())
    );
    // The token is renewed all the same, for the next request.
    endpoint.await_asked(2);
    eventually("the newer token is attached", || {
        bed.send(&get("/next")).status == 200
    });
    assert_eq!(endpoint.asked(), 2);
    assert!(
        bed.upstream
            .requests()
            .iter()
            .filter(|seen| seen.target == "/larger")
            .count()
            == 1
    );
}

#[test]
fn a4_a_streamed_body_is_not_replayed_blindly() {
    let endpoint = TokenEndpoint::start();
    // Refuses on sight, before the body has come.
    let upstream = Upstream::scripted(|exchange| {
        if token_number(&exchange.request) < 2 {
            exchange.write("HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno")?;
            exchange.await_close()?;
            return Ok(Next::Close);
        }
        exchange.echo()
    });
    let bed = setup(&endpoint, "").upstream(upstream).start();
    let mut client = bed.proxy.connect();
    client.send(
        "POST /up HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n4\r\nmore\r\n",
    );
    assert_eq!(client.read().status, 401);
    assert_eq!(bed.upstream.requests().len(), 1);
    endpoint.await_asked(2);
    eventually("the newer token is attached", || {
        bed.send(&get("/next")).status == 200
    });
}

#[test]
fn a4_without_a_buffer_only_requests_without_a_body_are_sent_again() {
    let endpoint = TokenEndpoint::start();
    let from = From::token(2);
    let bed = setup(&endpoint, "replay_body: 0B")
        .upstream(from.upstream())
        .start();
    assert_eq!(bed.send(&get("/x")).status, 200);
    bed.clock.advance(Duration::from_secs(120));
    let asked = endpoint.issued().len();
    from.set(asked + 1);
    assert_eq!(bed.send(&post("/x", "y")).status, 401);
    let empty = "POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n";
    endpoint.await_asked(asked + 1);
    eventually("the newer token is attached", || {
        bed.proxy.connect().exchange(empty).status == 200
    });
}

#[test]
fn a4_a_second_401_passes_on_and_a_broken_upstream_is_no_flood_of_token_requests() {
    let endpoint = TokenEndpoint::start();
    let from = From::token(usize::MAX);
    let bed = setup(&endpoint, "").upstream(from.upstream()).start();
    assert_eq!(bed.send(&get("/first")).status, 401);
    assert_eq!(tokens_seen(&bed), [1, 2], "one replay, and no more");
    // Within the cooldown there is no renewal, and so no replay.
    for n in 3..=22 {
        assert_eq!(bed.send(&get("/again")).status, 401);
        assert_eq!(bed.upstream.requests().len(), n);
    }
    assert_eq!(
        endpoint.asked(),
        2,
        "one forced token request in the cooldown"
    );
    from.set(3);
    eventually("the cooldown is over", || {
        bed.clock.advance(Duration::from_secs(5));
        bed.send(&get("/later")).status == 200
    });
    assert_eq!(endpoint.asked(), 3);
    reconcile(&bed);
}

#[test]
fn a4_a_hundred_refused_at_once_make_one_token_request_and_a_hundred_replays() {
    const CALLERS: usize = 100;
    let endpoint = TokenEndpoint::start();
    let bed = setup(&endpoint, "")
        .upstream(From::token(2).upstream())
        .workers(2)
        .start();
    endpoint.await_asked(1);
    let address = bed.proxy.addr();
    let callers: Vec<_> = (0..CALLERS)
        .map(|n| {
            std::thread::spawn(move || -> Response {
                crate::bed::Connection::open(address)
                    .exchange(post(&format!("/{n}"), n.to_string()).bytes())
            })
        })
        .collect();
    for (n, caller) in callers.into_iter().enumerate() {
        let answer = caller.join().expect("an answer").expect(200);
        assert_eq!(answer.text(), n.to_string(), "each its own");
    }
    assert_eq!(endpoint.asked(), 2, "one renewal for all");
    let seen = bed.upstream.requests();
    for n in 0..CALLERS {
        let own: Vec<usize> = seen
            .iter()
            .filter(|seen| seen.target == format!("/{n}"))
            .map(token_number)
            .collect();
        assert!(own == [1, 2] || own == [2], "/{n}: {own:?}");
    }
    reconcile(&bed);
}

#[test]
fn a4_a_renewal_that_fails_leaves_the_upstreams_401() {
    let endpoint = TokenEndpoint::start();
    let bed = setup(&endpoint, "")
        .upstream(From::token(2).upstream())
        .start();
    endpoint.await_asked(1);
    assert_eq!(bed.send(&get("/warm")).status, 200, "renewed once");
    let endpoint = TokenEndpoint::start();
    let bed = setup(&endpoint, "")
        .upstream(From::token(2).upstream())
        .start();
    endpoint.await_asked(1);
    eventually("the first token is held", || !endpoint.issued().is_empty());
    endpoint.behave(crate::bed::Behaviour::Answers(
        500,
        "text/html",
        "<html>".into(),
    ));
    let answer = bed.send(&get("/x"));
    assert_eq!((answer.status, answer.text().as_str()), (401, "no"));
    assert_eq!(tokens_seen(&bed), [1]);
}
