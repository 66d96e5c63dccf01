//! The data path under attack: what was once wrong, and stays right.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use bytes::Bytes;

use crate::bed::runtime::{handle, wait};
use crate::bed::{Bed, Next, Request, Setup, Upstream, eventually};

const OPEN: &str = "routes: [{path: /**, allow: anyone}]\n";
const WS: &str = "routes: [{path: /ws, allow: {GET: anyone}, upgrade: [websocket]}]\n";
const ASK: &str =
    "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
const GRANT: &str =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

fn in_flight(bed: &Bed) -> f64 {
    bed.proxy.metric("http_server_active_requests", "")
}

fn open_connections(bed: &Bed) -> f64 {
    bed.proxy.metric("countersign_open_connections", "")
}

/// A request that is under way while a reload moves the upstream must not leave its connection to those after it.
#[test]
fn invariant_36_a_connection_to_the_old_upstream_is_not_reused_after_a_reload() {
    let (go, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let old = Upstream::scripted(move |exchange| {
        if exchange.request.target == "/slow" {
            let _ = gate.lock().expect("the gate").recv();
        }
        exchange.answer(200, "", b"old")
    });
    let new = Upstream::scripted(|exchange| exchange.answer(200, "", b"new"));
    let bed = Setup::new(OPEN).upstream(old).start();
    let mut slow = bed.proxy.connect();
    slow.send(Request::get("/slow").bytes());
    bed.upstream.await_request();
    bed.proxy
        .reload(&bed.text.replace(&bed.upstream.url(), &new.url()))
        .expect("a reload");
    assert_eq!(bed.send(&Request::get("/x")).body, b"new");
    go.send(()).expect("the upstream waits");
    assert_eq!(slow.read().body, b"old");
    for _ in 0..3 {
        assert_eq!(bed.send(&Request::get("/x")).body, b"new");
    }
    assert_eq!(bed.upstream.requests().len(), 1);
}

#[test]
fn invariant_65_answers_in_a_framing_that_is_not_undone_are_bad_gateways() {
    for (headers, body, status) in [
        (
            "transfer-encoding: gzip, chunked",
            "3\r\nabc\r\n0\r\n\r\n",
            502,
        ),
        (
            "transfer-encoding: gzip\r\ntransfer-encoding: chunked",
            "3\r\nabc\r\n0\r\n\r\n",
            502,
        ),
        ("transfer-encoding: gzip", "abc", 502),
        ("content-length: 3, 3", "abc", 502),
        (
            "content-length: 3\r\ntransfer-encoding: chunked",
            "3\r\nabc\r\n0\r\n\r\n",
            502,
        ),
        ("transfer-encoding: chunked", "3\r\nabc\r\n0\r\n\r\n", 200),
        ("content-length: 3", "abc", 200),
    ] {
        let upstream = Upstream::scripted(move |exchange| {
            exchange.write(format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n{body}"))?;
            Ok(Next::Close)
        });
        let bed = Setup::new(OPEN).upstream(upstream).start();
        assert_eq!(bed.send(&Request::get("/x")).status, status, "{headers}");
    }
}

/// hyper refuses some targets by itself, before a request exists; the guard is there first, and a record tells.
#[test]
fn invariant_70_targets_that_the_http_library_refuses_leave_a_record() {
    for target in ["/a<b>", "http://", "?x", "http://[::1", "://", "a:b:c"] {
        let bed = Setup::new(OPEN).start();
        let mut client = bed.proxy.connect();
        client.send(format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n"));
        assert_eq!(client.read().status, 400, "{target}");
        client.assert_closed();
        let record = bed.proxy.await_records(1).remove(0);
        assert_eq!(record["status"], 400, "{target}: {record}");
        assert_eq!(bed.upstream.connections(), 0);
    }
}

/// A request sent ahead must not hide that the caller has left.
#[test]
fn s12_a_caller_that_leaves_is_noticed_behind_a_pipelined_request() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        exchange.chunk("one")?;
        exchange.await_close()?;
        Ok(Next::Close)
    });
    let bed = Setup::new(OPEN).upstream(upstream).start();
    let mut client = bed.proxy.connect();
    let request = Request::get("/x").bytes();
    client.send([&request[..], &request[..]].concat());
    assert_eq!(client.read_head().expect("a head").status, 200);
    assert_eq!(client.chunk(), b"one");
    drop(client);
    bed.upstream.await_open(0);
    eventually("nothing in flight", || in_flight(&bed) == 0.0);
    assert_eq!(bed.upstream.requests().len(), 1);
}

#[test]
fn invariant_30_many_pipelined_requests_are_answered_in_order() {
    let bed = Setup::new(OPEN).start();
    let mut client = bed.proxy.connect();
    let many: Vec<u8> = (0..500)
        .flat_map(|n| Request::post(&format!("/{n}"), format!("body {n}")).bytes())
        .collect();
    let mut writer = client.reader();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            writer.send(&many);
        });
        for n in 0..500 {
            assert_eq!(client.read().text(), format!("body {n}"));
        }
    });
}

/// An answer that came early does not let the rest of the request take for ever.
#[test]
fn invariant_59_a_body_that_stalls_after_its_answer_ends() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")?;
        exchange.await_close()?;
        Ok(Next::Close)
    });
    let bed = Setup::new(OPEN).upstream(upstream).start();
    let mut client = bed.proxy.connect();
    client.send("POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\nabc");
    assert_eq!(client.read().status, 200);
    assert_eq!(in_flight(&bed), 1.0);
    // The sweeper looks at every step.
    for _ in 0..4 {
        bed.clock.advance(Duration::from_secs(10));
        std::thread::yield_now();
    }
    bed.upstream.await_open(0);
    client.assert_closed();
    eventually("nothing in flight", || in_flight(&bed) == 0.0);
    let record = bed.proxy.await_records(1).remove(0);
    assert_eq!(record["status"], 200, "{record}");
}

/// The same where the upstream never reads what it has answered already.
#[test]
fn invariant_59_an_upstream_that_stops_reading_after_its_answer_is_left() {
    let (done, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let upstream = Upstream::scripted(move |exchange| {
        exchange.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")?;
        let _ = held.lock().expect("a gate").recv();
        Ok(Next::Close)
    });
    let bed = Setup::new(OPEN).upstream(upstream).start();
    let mut client = bed.proxy.connect();
    client.send("POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 100000000\r\n\r\n");
    let mut writer = client.reader();
    std::thread::scope(|scope| {
        scope.spawn(move || while writer.try_send(&[0; 65536]).is_ok() {});
        assert_eq!(client.read().status, 200);
        eventually("nothing in flight", || {
            bed.clock.advance(Duration::from_secs(10));
            in_flight(&bed) == 0.0
        });
    });
    drop(done);
}

/// An HTTP/2 upstream that takes `most` streams at once: `/flood` never ends, `/hold` answers and stays silent.
fn h2_upstream(most: u32) -> String {
    let listener = wait(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("an address");
    handle().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            handle().spawn(async move {
                let mut builder = h2::server::Builder::new();
                builder.max_concurrent_streams(most);
                let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else {
                    return;
                };
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    let path = request.uri().path().to_owned();
                    let head = http::Response::new(());
                    let Ok(mut body) = respond.send_response(head, path == "/x") else {
                        return;
                    };
                    handle().spawn(async move {
                        let floods = path == "/flood";
                        loop {
                            if !floods {
                                break;
                            }
                            body.reserve_capacity(16384);
                            match std::future::poll_fn(|cx| body.poll_capacity(cx)).await {
                                Some(Ok(room)) => {
                                    let data = Bytes::from(vec![0; room]);
                                    if body.send_data(data, false).is_err() {
                                        return;
                                    }
                                }
                                _ => return,
                            }
                        }
                        if path == "/hold" {
                            std::future::pending::<()>().await;
                        }
                    });
                }
            });
        }
    });
    format!("h2c://{address}")
}

#[test]
fn invariant_58_callers_who_do_not_read_do_not_stop_the_answers_of_others() {
    let bed = Setup::new(OPEN).upstream_url(&h2_upstream(100)).start();
    let mut stalled: Vec<_> = (0..12).map(|_| bed.proxy.connect()).collect();
    for client in &mut stalled {
        client.send(Request::get("/flood").bytes());
        assert_eq!(client.read_head().expect("a head").status, 200);
        // Enough that the window of each is in use.
        client.take(8 * 1024 * 1024);
    }
    assert_eq!(bed.send(&Request::get("/x")).status, 200);
}

#[test]
fn invariant_32_more_streams_than_an_upstream_takes_open_another_connection() {
    let bed = Setup::new(OPEN).upstream_url(&h2_upstream(2)).start();
    let mut streams: Vec<_> = (0..5).map(|_| bed.proxy.connect()).collect();
    for client in &mut streams {
        client.send(Request::get("/hold").bytes());
        assert_eq!(client.read_head().expect("a head").status, 200);
    }
    assert_eq!(bed.send(&Request::get("/x")).status, 200);
    let opened = "countersign_upstream_connections_total";
    assert_eq!(bed.proxy.metric(opened, "opened"), 3.0);
}

/// An upstream that answers and closes before it has read the request is heard all the same.
#[test]
fn an_answer_is_heard_although_the_upstream_takes_no_more() {
    for _ in 0..10 {
        let upstream = Upstream::scripted(|exchange| {
            exchange.write(
                "HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 3\r\n\r\nbig",
            )?;
            Ok(Next::Close)
        });
        let bed = Setup::new(OPEN).upstream(upstream).start();
        let mut client = bed.proxy.connect();
        let mut writer = client.reader();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let head = "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 50000000\r\n\r\n";
                let _ = writer.try_send(head.as_bytes());
                for _ in 0..16 {
                    let _ = writer.try_send(&[0; 65536]);
                }
            });
            let response = client.read();
            assert_eq!(response.status, 413, "{}", response.text());
        });
    }
}

#[test]
fn invariant_60_a_tunnel_stays_a_connection() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.write(GRANT)?;
        exchange.echo_raw()
    });
    let bed = Setup::new(WS)
        .upstream(upstream)
        .inbound("limits: {connections: 2}\n")
        .start();
    let mut tunnels: Vec<_> = (0..2).map(|_| bed.proxy.connect()).collect();
    for tunnel in &mut tunnels {
        tunnel.send(ASK);
        assert_eq!(tunnel.read_head().expect("a head").status, 101);
        tunnel.send("hello");
        assert_eq!(tunnel.take(5), b"hello");
    }
    assert_eq!(open_connections(&bed), 2.0);
    bed.proxy.connect().assert_closed();
    drop(tunnels);
    eventually("room again", || open_connections(&bed) == 0.0);
    let mut client = bed.proxy.connect();
    client.send(ASK);
    assert_eq!(client.read_head().expect("a head").status, 101);
}

#[test]
fn invariant_59_a_tunnel_whose_caller_takes_nothing_is_closed() {
    let ended = Arc::new(Mutex::new(false));
    let told = Arc::clone(&ended);
    let upstream = Upstream::scripted(move |exchange| {
        exchange.write(GRANT)?;
        while exchange.write([0; 65536]).is_ok() {}
        *told.lock().expect("a flag") = true;
        Ok(Next::Close)
    });
    let bed = Setup::new(WS).upstream(upstream).start();
    let mut client = bed.proxy.connect();
    client.send(ASK);
    assert_eq!(client.read_head().expect("a head").status, 101);
    eventually("the end of the tunnel", || {
        bed.clock.advance(Duration::from_secs(10));
        *ended.lock().expect("a flag")
    });
    let record = bed.proxy.await_records(1).remove(0);
    assert_eq!(record["end"], "reader_stalled", "{record}");
    assert!(record["bytes_out"].as_u64() > Some(65536), "{record}");
}

#[test]
fn invariant_59_a_tunnel_ends_soon_after_one_side_has() {
    let (done, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let upstream = Upstream::scripted(move |exchange| {
        exchange.write(GRANT)?;
        exchange.await_close()?;
        exchange.write("last words")?;
        let _ = held.lock().expect("a gate").recv();
        Ok(Next::Close)
    });
    let bed = Setup::new(WS).upstream(upstream).start();
    let mut client = bed.proxy.connect();
    client.send(ASK);
    assert_eq!(client.read_head().expect("a head").status, 101);
    client.half_close();
    assert_eq!(client.take(10), b"last words");
    eventually("the end of the tunnel", || {
        bed.clock.advance(Duration::from_secs(5));
        in_flight(&bed) == 0.0
    });
    client.assert_closed();
    drop(done);
}
