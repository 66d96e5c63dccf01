//! Streams pass with the token that they were opened with, and end as the upstream ends them (A6).

use std::time::Duration;

use super::{From, get, post, record, setup, token_number};
use crate::bed::h2_client::{Failure, H2Connection};
use crate::bed::{Bed, Next, TokenEndpoint, Upstream, reconcile};

const SSE: &str = "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// Events as they are asked for: the test sends a line to the upstream's other requests.
fn events() -> Upstream {
    Upstream::scripted(|exchange| match exchange.request.target.as_str() {
        "/events" => {
            exchange.write(format!("HTTP/1.1 200 OK\r\n{SSE}"))?;
            exchange.chunk("data: one\n\n")?;
            // Until the proxy closes, which it does when the caller has gone.
            exchange.await_close()?;
            Ok(Next::Close)
        }
        "/three" => {
            exchange.write(format!("HTTP/1.1 200 OK\r\n{SSE}"))?;
            for data in ["data: one\n\n", "data: two\n\n", "data: three\n\n"] {
                exchange.chunk(data)?;
            }
            exchange.write("0\r\n\r\n")?;
            Ok(Next::KeepAlive)
        }
        "/broken" => {
            exchange.write(format!("HTTP/1.1 200 OK\r\n{SSE}"))?;
            exchange.chunk("data: one\n\n")?;
            Ok(Next::Close)
        }
        "/refused" => exchange.answer(403, "content-type: text/plain\r\n", b"not you"),
        _ => exchange.echo(),
    })
}

fn bed(endpoint: &TokenEndpoint) -> Bed {
    setup(endpoint, "").upstream(events()).start()
}

#[test]
fn a6_events_come_as_they_are_sent_and_outlive_the_token_that_opened_the_stream() {
    let endpoint = TokenEndpoint::start();
    let bed = bed(&endpoint);
    let mut client = bed.proxy.connect();
    client.send(get("/events").bytes());
    let head = client.read_head().expect("a head");
    assert_eq!(
        (head.status, head.header("content-type")),
        (200, Some("text/event-stream"))
    );
    assert_eq!(client.chunk(), b"data: one\n\n");
    // The token ends; the stream does not, and the next request has another.
    bed.clock.advance(Duration::from_secs(400));
    crate::bed::eventually("a newer token", || endpoint.issued().len() > 1);
    crate::bed::eventually("it is attached", || {
        bed.send(&get("/x")).status == 200
            && bed
                .upstream
                .requests()
                .last()
                .is_some_and(|seen| token_number(seen) > 1)
    });
    assert_eq!(token_number(&bed.upstream.requests()[0]), 1);
    drop(client);
    let ended = crate::bed::PATIENCE;
    assert!(ended > Duration::ZERO);
    bed.upstream.await_open(1);
}

#[test]
fn a6_an_end_is_clean_where_the_upstreams_is_and_only_there() {
    let endpoint = TokenEndpoint::start();
    let bed = bed(&endpoint);
    let mut client = bed.proxy.connect();
    let whole = client.exchange(get("/three").bytes()).expect(200);
    assert_eq!(whole.text(), "data: one\n\ndata: two\n\ndata: three\n\n");
    let refused = client.exchange(get("/refused").bytes());
    assert_eq!((refused.status, refused.text().as_str()), (403, "not you"));
    assert_eq!(
        client.exchange(get("/x").bytes()).status,
        200,
        "the same connection goes on"
    );
    client.send(get("/broken").bytes());
    assert!(
        client.read_to("GET").is_err(),
        "a broken stream must not look whole"
    );
    let http2 = H2Connection::plain(bed.proxy.addr());
    assert_eq!(
        http2.exchange(&get("/three")).expect("an answer").text(),
        whole.text()
    );
    assert!(matches!(
        http2.exchange(&get("/broken")),
        Err(Failure::Reset(_))
    ));
    assert_eq!(
        http2.exchange(&get("/refused")).expect("an answer").status,
        403
    );
}

#[test]
fn a6_a_stream_that_is_refused_for_its_token_is_opened_once_more() {
    let endpoint = TokenEndpoint::start();
    let upstream = Upstream::scripted(|exchange| {
        if token_number(&exchange.request) < 2 {
            return exchange.answer(401, "", b"");
        }
        exchange.write(format!("HTTP/1.1 200 OK\r\n{SSE}"))?;
        exchange.chunk("data: one\n\n")?;
        exchange.await_close()?;
        Ok(Next::Close)
    });
    let bed = setup(&endpoint, "").upstream(upstream).start();
    let mut client = bed.proxy.connect();
    client.send(get("/events").bytes());
    assert_eq!(client.read_head().expect("a head").status, 200);
    assert_eq!(client.chunk(), b"data: one\n\n");
    assert_eq!(bed.upstream.requests().len(), 2);
    drop(client);
    let record = record(&bed, 1);
    assert_eq!(
        (&record["replayed"], &record["end"]),
        (&true.into(), &"client_gone".into())
    );
    bed.upstream.await_open(0);
}

#[test]
fn a6_a_websocket_passes_with_its_token_and_no_other_upgrade_does() {
    let endpoint = TokenEndpoint::start();
    let upstream = Upstream::scripted(|exchange| {
        if token_number(&exchange.request) < 2 {
            return exchange.answer(401, "", b"");
        }
        exchange.write(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        )?;
        exchange.echo_raw()
    });
    let bed = setup(&endpoint, "").upstream(upstream).start();
    let ask = |protocol: &str| {
        format!(
            "GET /ws HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: {protocol}\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    };
    let mut client = bed.proxy.connect();
    client.send(ask("websocket"));
    assert_eq!(client.read_head().expect("a head").status, 101);
    client.send("ping");
    assert_eq!(client.take(4), b"ping");
    assert_eq!(
        bed.upstream.requests().len(),
        2,
        "the first token was refused, the second upgraded"
    );
    let refused = bed.proxy.connect().exchange(ask("irc"));
    assert_eq!(refused.status, 400);
    assert_eq!(bed.upstream.requests().len(), 2);
}

#[test]
fn a6_bodies_of_any_size_pass_both_ways() {
    let endpoint = TokenEndpoint::start();
    let bed = setup(&endpoint, "")
        .upstream(From::token(1).upstream())
        .start();
    let body: Vec<u8> = (0..8 * 1024 * 1024_usize).map(|n| n as u8).collect();
    let answer = bed.send(&post("/x", &body)).expect(200);
    assert!(answer.body == body);
    let record = record(&bed, 1);
    assert_eq!(
        (&record["bytes_in"], &record["bytes_out"]),
        (&body.len().into(), &body.len().into())
    );
    reconcile(&bed);
}
