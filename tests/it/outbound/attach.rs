//! The token is attached, and nothing else is said of the caller.

use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use super::{bearer, credentials, get, post, record, setup, with_listeners};
use crate::bed::h2_client::H2Connection;
use crate::bed::h2_upstream::H2Upstream;
use crate::bed::{
    Behaviour, Connection, TokenEndpoint, Upstream, Variant, assert_forwarded, assert_raw_refused,
    assert_refused, reconcile, tls,
};

#[test]
fn a1_a_program_without_tokens_reaches_an_upstream_that_wants_one() {
    let endpoint = TokenEndpoint::start();
    let bed = setup(&endpoint, "").start();
    let own = bed.upstream.url().replace("http://", "");
    let requests = [get("/x?y=z"), post("/x", "body"), get("/50%/a//b/../c;d")];
    for request in &requests {
        let seen = assert_forwarded(&bed, Variant::PLAIN, request);
        assert_eq!(seen.header("authorization"), Some(&*bearer(&endpoint, 1)));
        assert_eq!(seen.all("host"), [own.as_str()], "the upstream's own name");
        assert_eq!(seen.target, request.target, "as it came");
        assert_eq!(seen.body, request.body);
    }
    let http2 = H2Connection::plain(bed.proxy.addr());
    let answer = http2.exchange(&post("/h2", "body")).expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (200, "body"));
    let seen = bed.upstream.await_requests(4);
    assert_eq!(seen.header("authorization"), Some(&*bearer(&endpoint, 1)));
    assert_eq!(seen.all("host"), [own.as_str()]);
    assert_eq!(endpoint.asked(), 1, "one token request for all");
    let record = record(&bed, 4);
    assert_eq!(record["credential"], "agent", "{record}");
    assert_eq!(
        (&record["listener"], &record["route"]),
        (&"plain".into(), &"plain".into())
    );
    for absent in ["principal", "caller", "replayed", "issuer"] {
        assert!(record[absent].is_null(), "{absent}: {record}");
    }
    reconcile(&bed);
}

#[test]
fn a1_over_a_unix_socket_any_host_is_the_upstreams_affair() {
    let endpoint = TokenEndpoint::start();
    let head = super::HEAD.replace(
        "listen: 127.0.0.1:0\n    upstream",
        "listen: \"unix:@DIR@/agent.sock\"\n    upstream",
    );
    let bed = with_listeners(&endpoint, &head).start();
    let own = bed.upstream.url().replace("http://", "");
    let mut client = Connection::unix(&bed.dir.path().join("agent.sock"));
    for (request, passes) in [
        ("GET /x HTTP/1.1\r\nhost: docker\r\n\r\n", 200),
        (
            "GET /x HTTP/1.1\r\nhost: docker\r\norigin: https://evil.example\r\n\r\n",
            200,
        ),
        (
            "GET http://evil.example/x HTTP/1.1\r\nhost: evil.example\r\n\r\n",
            421,
        ),
    ] {
        assert_eq!(client.exchange(request).status, passes, "{request}");
    }
    let seen = bed.upstream.await_requests(2);
    assert_eq!(seen.all("host"), [own.as_str()]);
    assert_eq!(seen.header("authorization"), Some(&*bearer(&endpoint, 1)));
    assert_eq!(bed.upstream.requests().len(), 2);
}

#[test]
fn what_a_caller_says_of_itself_stays_here_and_its_own_fields_pass() {
    let endpoint = TokenEndpoint::start();
    let bed = setup(&endpoint, "").start();
    let request = get("/x")
        .header("cookie", "session=of-the-program; theme=dark")
        .header("x_underscored", "kept")
        .header("x-http-method-override", "PUT")
        .header("x-auth-subject", "whatever")
        .header(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        .header("x-forwarded-for", "192.0.2.7")
        .header("x-forwarded-host", "evil.example")
        .header("forwarded", "for=192.0.2.7")
        .header(
            "proxy-authorization",
            "Basic cHJveHktb3duLXNlY3JldC12YWx1ZQ==",
        )
        .header("connection", "x-hop, keep-alive")
        .header("x-hop", "here")
        .header("te", "gzip")
        .header("user-agent", "SmartEM/1");
    let seen = assert_forwarded(&bed, Variant::PLAIN, &request);
    for (name, value) in [
        ("cookie", "session=of-the-program; theme=dark"),
        ("x_underscored", "kept"),
        ("x-http-method-override", "PUT"),
        ("x-auth-subject", "whatever"),
        ("user-agent", "SmartEM/1"),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
    ] {
        assert_eq!(seen.all(name), [value], "{name}");
    }
    assert_eq!(
        bed.send(&get("/y").header("x-request-id", "of-the-program"))
            .status,
        200
    );
    let last = bed.upstream.requests().pop().expect("a request");
    assert_eq!(last.all("x-request-id"), ["of-the-program"]);
    for name in [
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "forwarded",
        "via",
        "proxy-authorization",
        "x-hop",
        "te",
    ] {
        assert!(seen.all(name).is_empty(), "{name}: {:?}", seen.headers);
    }
}

#[test]
fn an_authorization_of_the_callers_own_is_refused_or_replaced_and_never_passes() {
    let endpoint = TokenEndpoint::start();
    let own = || {
        get("/x").header(
            "authorization",
            "Basic b3duLWNyZWRlbnRpYWwtb2YtdGhlLXByb2dyYW0=",
        )
    };
    let refusing = setup(&endpoint, "").start();
    assert_refused(
        &refusing,
        Variant::PLAIN,
        &own(),
        400,
        "authorization_not_allowed",
    );
    assert_forwarded(&refusing, Variant::PLAIN, &get("/x"));
    let replacing = setup(&endpoint, "authorization: replace").start();
    let seen = assert_forwarded(&replacing, Variant::PLAIN, &own());
    assert_eq!(seen.all("authorization").len(), 1);
    assert!(
        seen.header("authorization")
            .expect("ours")
            .starts_with("Bearer at-")
    );
    let nominated = "GET /x HTTP/1.1\r\nhost: localhost\r\nauthorization: Basic YTpi\r\nconnection: authorization\r\n\r\n";
    assert_raw_refused(
        &refusing,
        nominated.as_bytes(),
        400,
        "authorization_not_allowed",
    );
    let twice = "GET /x HTTP/1.1\r\nhost: localhost\r\nauthorization: Basic YTpi\r\nauthorization: Basic YTpi\r\n\r\n";
    for bed in [&refusing, &replacing] {
        assert_raw_refused(bed, twice.as_bytes(), 400, "several_credentials");
    }
}

#[test]
fn a5_without_a_token_the_answer_names_the_oauth_error_and_nothing_goes_upstream() {
    let endpoint = TokenEndpoint::start();
    let body = r#"{"error":"invalid_client","error_description":"what nobody else should read"}"#;
    endpoint.behave(Behaviour::Answers(401, "application/json", body.to_owned()));
    let bed = setup(&endpoint, "").start();
    let answer = assert_refused(&bed, Variant::PLAIN, &get("/x"), 503, "token_unavailable");
    let problem = answer.json();
    assert_eq!(problem["type"], "urn:countersign:problem:token_unavailable");
    assert_eq!(problem["oauth_error"], "invalid_client", "{problem}");
    assert!(
        problem["detail"]
            .as_str()
            .expect("text")
            .ends_with(": invalid_client")
    );
    assert!(!answer.text().contains("nobody else"), "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    assert!(answer.header("www-authenticate").is_none());
    // It heals by itself.
    endpoint.behave(Behaviour::Issues);
    crate::bed::eventually("the credential heals", || {
        bed.clock.advance(Duration::from_secs(5));
        bed.send(&get("/healed")).status == 200
    });
    let seen = bed.upstream.await_request();
    assert_eq!(seen.header("authorization"), Some(&*bearer(&endpoint, 1)));
}

/// Passes one connection on to `to`, once it is told to; tells when it has come.
fn gate(to: std::net::SocketAddr) -> (std::net::SocketAddr, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (came, has_come) = mpsc::channel();
    let (open, opens) = mpsc::channel();
    std::thread::spawn(move || -> std::io::Result<u64> {
        let (near, _) = listener.accept()?;
        let _ = came.send(());
        let _ = opens.recv();
        let far = TcpStream::connect(to)?;
        let (mut from, mut into) = (near.try_clone()?, far.try_clone()?);
        std::thread::spawn(move || std::io::copy(&mut from, &mut into));
        std::io::copy(&mut &far, &mut &near)
    });
    (address, has_come, open)
}

#[test]
fn a5_a_token_that_ends_while_the_upstream_is_being_connected_to_is_not_sent() {
    for (passes, status) in [(0, 200), (1, 503)] {
        let endpoint = TokenEndpoint::start();
        endpoint.lifetime(Some(100));
        let upstream = Upstream::tls(|exchange| exchange.echo());
        let (address, has_come, open) = gate(upstream.address());
        let url = format!(
            "{{url: \"https://localhost:{}\", ca: {{file: \"{}\"}}}}",
            address.port(),
            tls::file("ca.crt").display()
        );
        let bed = setup(&endpoint, "")
            .upstream(upstream)
            .upstream_url(&url)
            .start();
        crate::bed::eventually("a token is held", || {
            let status = bed.proxy.admin_get("/status").expect(200).json();
            status["credentials"][0]["health"] == "usable"
        });
        // No other one comes.
        endpoint.behave(Behaviour::Resets);
        bed.clock.advance(Duration::from_secs(99));
        let proxy = bed.proxy.addr();
        let caller =
            std::thread::spawn(move || Connection::open(proxy).exchange(get("/x").bytes()));
        has_come
            .recv_timeout(crate::bed::PATIENCE)
            .expect("the proxy connects");
        bed.clock.advance(Duration::from_secs(passes));
        open.send(()).expect("the gate");
        assert_eq!(caller.join().expect("an answer").status, status);
        assert_eq!(bed.upstream.requests().len(), usize::from(status == 200));
        reconcile(&bed);
    }
}

#[test]
fn a1_http2_upstreams_are_told_their_own_authority_and_grpc_passes() {
    let endpoint = TokenEndpoint::start();
    let upstream = H2Upstream::start();
    let own = upstream.url().replace("h2c://", "");
    let bed = setup(&endpoint, "").upstream_url(&upstream.url()).start();
    let client = H2Connection::plain(bed.proxy.addr());
    let call = post("/p.S/M", "ping").header("te", "trailers");
    let answer = client.exchange(&call).expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (200, "ping"));
    assert!(
        answer
            .trailers
            .contains(&("grpc-status".into(), "0".into()))
    );
    let seen = upstream.requests().remove(0);
    assert_eq!(seen.authority, own);
    assert!(seen.headers.get("host").is_none());
    assert_eq!(seen.headers["authorization"], bearer(&endpoint, 1));
    assert_eq!(seen.headers["te"], "trailers");
}

#[test]
fn a1_an_https_upstream_is_verified_and_told_its_own_name() {
    let endpoint = TokenEndpoint::start();
    let upstream = Upstream::tls(|exchange| exchange.echo());
    let url = upstream.url();
    let trusting = format!(
        "{{url: {url}, ca: {{file: \"{}\"}}}}",
        tls::file("ca.crt").display()
    );
    let trusted = setup(&endpoint, "")
        .upstream(upstream)
        .upstream_url(&trusting)
        .start();
    let seen = assert_forwarded(&trusted, Variant::PLAIN, &get("/t"));
    assert_eq!(seen.header("host"), url.strip_prefix("https://"));
    let distrusting = setup(&endpoint, "").upstream_url(&url).start();
    assert_eq!(distrusting.send(&get("/t")).status, 502);
    assert_eq!(
        trusted.upstream.requests().len(),
        1,
        "no token to whom nobody vouches for"
    );
}

#[test]
fn admin_and_commands_show_what_an_outbound_listener_does() {
    let endpoint = TokenEndpoint::start();
    let bed = setup(&endpoint, "paths: [/agent/**, /status]").start();
    assert_forwarded(&bed, Variant::PLAIN, &get("/status"));
    let status = bed.proxy.admin_get("/status").expect(200).json();
    let own = &status["outbound"][0];
    assert_eq!(own["listener"], "plain", "{status}");
    assert_eq!(own["credential"], "agent");
    assert_eq!(own["upstream"], bed.upstream.url());
    assert_eq!(own["paths"], serde_json::json!(["/agent/**", "/status"]));
    assert_eq!((&own["allowed"], &own["refused"]), (&1.into(), &0.into()));
    let page = bed.proxy.admin_get("/").expect(200).text();
    assert!(
        page.contains("Outbound") && page.contains("/agent/**"),
        "{page}"
    );
    assert!(!credentials(&endpoint).contains(super::SECRET));
}
