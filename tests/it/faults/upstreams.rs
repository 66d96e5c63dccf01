//! Upstreams that misbehave: a bad gateway or a cut answer, bounded, and their connection is never used again.

use crate::bed::runtime::{handle, wait};
use crate::bed::upstream::Exchange;
use crate::bed::{Next, Request, Setup, Upstream, reconcile};

const OPEN: &str = "routes: [{path: /**, allow: anyone}]\n";

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Comes {
    /// A bad gateway.
    Bad,
    /// The head of a 200, and an answer that is seen to be cut.
    Cut,
    /// An answer that is whole.
    Whole(u16, &'static str),
}

use Comes::{Bad, Cut, Whole};

/// A name, what the upstream writes, how often it writes the second part (until the proxy has enough), and what comes.
type Row = (&'static str, Vec<u8>, (Vec<u8>, usize), Comes);

fn rows() -> Vec<Row> {
    let ok = "HTTP/1.1 200 OK\r\n";
    let row = |name, first: &str, again: &str, times, comes| -> Row {
        (
            name,
            first.as_bytes().to_vec(),
            (again.as_bytes().to_vec(), times),
            comes,
        )
    };
    let long = format!(
        "{ok}x-long: {}\r\ncontent-length: 0\r\n\r\n",
        "a".repeat(100 * 1024)
    );
    vec![
        row("nothing", "", "", 0, Bad),
        row("no status line", "content-length: 0\r\n\r\n", "", 0, Bad),
        row("garbage", "\0\u{1}\u{2}garbage\r\n\r\n", "", 0, Bad),
        row("another protocol", "SSH-2.0-OpenSSH_9.2\r\n", "", 0, Bad),
        row("HTTP/3", "HTTP/3 200 OK\r\n\r\n", "", 0, Bad),
        row("a bare head", "HTTP/1.1 200 OK", "", 0, Bad),
        row("100 KiB in one field", &long, "", 0, Bad),
        row(
            "100 KiB of fields",
            ok,
            "x-many: 0123456789abcdef\r\n",
            4096,
            Bad,
        ),
        row(
            "a head without end",
            ok,
            "x-more: and more\r\n",
            1 << 20,
            Bad,
        ),
        row(
            "a status line without end",
            "HTTP/1.1 200 ",
            "OK ",
            1 << 20,
            Bad,
        ),
        row(
            "a million 1xx",
            "",
            "HTTP/1.1 103 Early Hints\r\n\r\n",
            1_000_000,
            Bad,
        ),
        row(
            "101, unasked",
            "HTTP/1.1 101 Go\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
            "",
            0,
            Bad,
        ),
        row(
            "two lengths",
            &format!("{ok}content-length: 1\r\ncontent-length: 2\r\n\r\nab"),
            "",
            0,
            Bad,
        ),
        row(
            "a body that is cut",
            &format!("{ok}content-length: 10\r\n\r\nabc"),
            "",
            0,
            Cut,
        ),
        row(
            "chunks that are cut",
            &format!("{ok}transfer-encoding: chunked\r\n\r\n5\r\nab"),
            "",
            0,
            Cut,
        ),
        row(
            "a chunk size without end",
            &format!("{ok}transfer-encoding: chunked\r\n\r\n1\r\na\r\n"),
            "0",
            1 << 20,
            Cut,
        ),
        row(
            "a chunk extension without end",
            &format!("{ok}transfer-encoding: chunked\r\n\r\n1\r\na\r\n1;"),
            "x",
            1 << 20,
            Cut,
        ),
        row(
            "a chunk that is none",
            &format!("{ok}transfer-encoding: chunked\r\n\r\n1\r\na\r\nzz\r\n"),
            "",
            0,
            Cut,
        ),
        row(
            "trailers without end",
            &format!("{ok}transfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"),
            "x-t: more\r\n",
            1 << 18,
            Cut,
        ),
        row(
            "HTTP/1.0, to the end",
            "HTTP/1.0 200 OK\r\n\r\nto the end",
            "",
            0,
            Whole(200, "to the end"),
        ),
        row(
            "HTTP/1.1, to the end",
            &format!("{ok}\r\nto the end"),
            "",
            0,
            Whole(200, "to the end"),
        ),
        row(
            "more than was said",
            &format!("{ok}content-length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\n\r\nforged"),
            "",
            0,
            Whole(200, "abc"),
        ),
        row(
            "some 1xx",
            "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na",
            "",
            0,
            Whole(200, "a"),
        ),
        row(
            "an answer to what it has not read",
            "HTTP/1.1 413 No\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno",
            "",
            0,
            Whole(413, "no"),
        ),
    ]
}

fn misbehave(
    exchange: &mut Exchange<'_>,
    (_, first, (again, times), _): &Row,
) -> std::io::Result<Next> {
    exchange.write(first)?;
    // In pieces that a socket takes at once.
    let piece = again.repeat(1024.min((*times).max(1)));
    for _ in 0..times.div_ceil(1024) {
        exchange.write(&piece)?;
    }
    Ok(Next::Close)
}

#[test]
fn invariant_65_a_hostile_upstream_is_a_bad_gateway_at_worst_and_is_left() {
    for row in rows() {
        let (name, comes) = (row.0, row.3);
        let upstream = Upstream::scripted(move |exchange| match &*exchange.request.target {
            "/good" => exchange.echo(),
            _ => misbehave(exchange, &row),
        });
        let bed = Setup::new(OPEN).upstream(upstream).start();
        let mut client = bed.proxy.connect();
        client.send(Request::post("/bad", "a body").bytes());
        let goes_on = match comes {
            Bad | Whole(..) => {
                let answer = client.read();
                let wanted = match comes {
                    Whole(status, body) => {
                        assert_eq!(answer.text(), body, "{name}");
                        status
                    }
                    Bad | Cut => 502,
                };
                assert_eq!(answer.status, wanted, "{name}");
                answer.header("connection") != Some("close")
            }
            Cut => {
                let head = client.read_head().expect(name);
                assert_eq!(head.status, 200, "{name}");
                let rest = client.read_end();
                assert!(!rest.ends_with(b"0\r\n\r\n"), "{name}: seen to be cut");
                false
            }
        };
        if !goes_on {
            client = bed.proxy.connect();
        }
        // Without a body it may be sent again: of an upstream that closes after a whole answer, the proxy may hear late.
        let answer = client.exchange(Request::get("/good").bytes());
        assert_eq!(answer.status, 200, "{name}");
        let requests = bed.upstream.requests();
        assert_eq!(requests.len(), 2, "{name}: each was sent once");
        assert_ne!(
            requests[0].connection, requests[1].connection,
            "{name}: its connection is left"
        );
        bed.proxy.await_records(2);
        reconcile(&bed);
    }
}

const DIRTY: &str = "HTTP/1.1 200 OK\r\n\
    connection: keep-alive, x-nominated\r\nkeep-alive: timeout=5\r\nproxy-connection: keep-alive\r\n\
    proxy-authenticate: Basic\r\nupgrade: h2c\r\nte: trailers\r\ntrailer: x-after\r\nx-nominated: a\r\n\
    x-auth-subject: forged\r\nX-Auth_Subject: forged\r\nx-auth-assertion: forged\r\n\
    set-cookie: a=1; Path=/\r\nset-cookie: b=2; HttpOnly\r\nx-kept: yes\r\n\
    transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-after: forged\r\nx-auth-subject: forged\r\n\r\n";

#[test]
fn invariant_65_hop_by_hop_and_reserved_fields_of_answers_end_here() {
    let lines = "
identity:
  headers: {x-auth-subject: subject}
  assertion: {header: x-auth-assertion, issuer: countersign, audience: api, lifetime: 60s}
routes: [{path: /**, allow: anyone}]
";
    let upstream = Upstream::scripted(|exchange| {
        exchange.body()?;
        exchange.write(DIRTY)?;
        Ok(Next::KeepAlive)
    });
    let bed = Setup::new(lines).upstream(upstream).start();
    let mut client = bed.proxy.connect();
    for _ in 0..2 {
        let answer = client.exchange(Request::get("/x").bytes());
        assert_eq!((answer.status, answer.text().as_str()), (200, "abc"));
        for gone in [
            "keep-alive",
            "proxy-connection",
            "proxy-authenticate",
            "upgrade",
            "te",
            "trailer",
            "x-nominated",
            "x-auth-subject",
            "x-auth_subject",
            "x-auth-assertion",
            "connection",
        ] {
            assert!(answer.all(gone).is_empty(), "{gone}: {:?}", answer.headers);
        }
        assert_eq!(answer.all("set-cookie"), ["a=1; Path=/", "b=2; HttpOnly"]);
        assert_eq!(answer.header("x-kept"), Some("yes"));
        assert!(answer.trailers.is_empty(), "{:?}", answer.trailers);
    }
}

/// An HTTP/2 upstream that does what its path says.
async fn hostile(listener: tokio::net::TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        handle().spawn(async move {
            let Ok(mut connection) = h2::server::handshake(stream).await else {
                return;
            };
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let mut head = http::Response::new(());
                match request.uri().path() {
                    "/reset" => respond.send_reset(h2::Reason::INTERNAL_ERROR),
                    "/goaway" => connection.abrupt_shutdown(h2::Reason::ENHANCE_YOUR_CALM),
                    "/vanish" => return,
                    path => {
                        if path == "/huge" {
                            for n in 0..100 {
                                let name: http::HeaderName =
                                    format!("x-{n}").parse().expect("a name");
                                let value = "a".repeat(1024).parse().expect("a value");
                                head.headers_mut().insert(name, value);
                            }
                        }
                        drop(respond.send_response(head, true));
                    }
                }
            }
        });
    }
}

#[test]
fn invariant_65_a_hostile_http2_upstream_is_a_bad_gateway_and_the_next_request_is_served() {
    let listener = wait(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
    let url = format!("h2c://{}", listener.local_addr().expect("an address"));
    let serving = handle().spawn(hostile(listener));
    let bed = Setup::new(OPEN).upstream_url(&url).start();
    for path in ["/reset", "/goaway", "/vanish", "/huge"] {
        for _ in 0..2 {
            assert_eq!(bed.send(&Request::post(path, "body")).status, 502, "{path}");
            assert_eq!(
                bed.send(&Request::post("/good", "body")).status,
                200,
                "after {path}"
            );
        }
    }
    bed.proxy.await_records(16);
    reconcile(&bed);
    serving.abort();
}

/// A caller that leaves before an answer began was recorded as allowed.
#[test]
fn invariant_70_a_caller_that_leaves_before_the_answer_is_no_allowed_request() {
    let upstream = Upstream::scripted(|exchange| {
        exchange.await_close()?;
        Ok(Next::Close)
    });
    let bed = Setup::new(OPEN).upstream(upstream).start();
    let mut client = bed.proxy.connect();
    client.send(Request::get("/x").bytes());
    bed.upstream.await_request();
    drop(client);
    let record = bed.proxy.await_records(1).remove(0);
    assert_eq!(record["decision"], "errored", "{record}");
    assert_eq!(record["reason"], "client_gone", "{record}");
    assert_eq!(record["status"], 499, "{record}");
    reconcile(&bed);
}
