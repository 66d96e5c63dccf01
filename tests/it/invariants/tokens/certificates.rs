//! Tokens that are bound to a client certificate (RFC 8705): on its connections they pass, on no others.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::json;

use crate::bed::h2_client::H2Connection;
use crate::bed::keys::{b64, der};
use crate::bed::tls::{self, Identity};
use crate::bed::{Bed, Connection, PATIENCE, Request, Response, Setup, assert_recorded};

const LISTENERS: &str = "
workers: 1
admin: {listen: 127.0.0.1:0}
drain: {delay: 0s, deadline: 1s}
inbound:
  - name: tls
    listen: 127.0.0.1:0
    upstream: @UPSTREAM@
    tls: {certificate: {file: \"@CERTS@/tls.crt\"}, key: {file: \"@CERTS@/tls.key\"}, client_ca: {file: \"@CERTS@/ca.crt\"}, client_certificate: optional}
  - {name: plain, listen: 127.0.0.1:0, upstream: @UPSTREAM@}
";

const POLICY: &str = "
routes:
  - {path: /health, allow: anyone}
  - {path: /x, allow: {issuer: main}}
  - {path: /acting, allow: {issuer: main}, actor_token: {header: x-actor, issuer: main, required: true}}
";

fn bed() -> Bed {
    Setup::new(POLICY).head_only(LISTENERS).start()
}

fn thumbprint(identity: &Identity) -> String {
    b64(digest(&SHA256, &der(&identity.certificate)))
}

/// A request with a token that is bound to the certificate of `identity`.
fn bound(bed: &Bed, identity: &Identity) -> Request {
    let cnf = json!({"x5t#S256": thumbprint(identity)});
    Request::get("/x").bearer(bed.token().claim("cnf", cnf).sign())
}

/// Nothing passed, and the record says why.
#[track_caller]
fn refused(bed: &Bed, response: &Response, reason: &str) {
    assert_eq!(response.status, 401);
    let id = response.header("x-request-id").expect("an id");
    assert_recorded(&bed.proxy.await_record(id), 401, reason);
}

#[test]
fn a_token_passes_on_connections_of_its_own_certificate_alone() {
    let bed = bed();
    let (own, other) = (
        tls::identity(&["own.example.org"], &[]),
        tls::identity(&["own.example.org"], &[]),
    );
    let (ours, unbound) = (
        bound(&bed, &own),
        Request::get("/x").bearer(bed.token().sign()),
    );
    let theirs = bound(&bed, &other);
    let address = bed.proxy.address("tls");
    let h1 = |identity: Option<&Identity>| {
        Connection::tls(address, tls::client_config(&[b"http/1.1"], identity))
    };
    let h2 = |identity: Option<&Identity>| {
        H2Connection::tls(address, tls::client_config(&[b"h2"], identity))
    };
    // Kept alive and in turns: a verdict belongs to a request, not to a connection or to the cache of tokens.
    let (mut with_own, mut with_other, mut with_none) =
        (h1(Some(&own)), h1(Some(&other)), h1(None));
    let mut plain = Connection::open(bed.proxy.address("plain"));
    let before = bed.upstream.requests().len();
    for _ in 0..2 {
        assert_eq!(with_own.exchange(ours.bytes()).status, 200);
        refused(
            &bed,
            &with_own.exchange(theirs.bytes()),
            "token_certificate",
        );
        assert_eq!(with_other.exchange(theirs.bytes()).status, 200);
        refused(
            &bed,
            &with_other.exchange(ours.bytes()),
            "token_certificate",
        );
        refused(&bed, &with_none.exchange(ours.bytes()), "token_certificate");
        refused(&bed, &plain.exchange(ours.bytes()), "token_certificate");
        for connection in [&mut with_own, &mut with_none, &mut plain] {
            assert_eq!(connection.exchange(unbound.bytes()).status, 200);
        }
    }
    assert_eq!(bed.upstream.requests().len(), before + 2 * 5);
    let (with_own, with_other, with_none) = (h2(Some(&own)), h2(Some(&other)), h2(None));
    for _ in 0..2 {
        let ask = |connection: &H2Connection| connection.exchange(&ours).expect("an answer");
        assert_eq!(ask(&with_own).status, 200);
        refused(&bed, &ask(&with_other), "token_certificate");
        refused(&bed, &ask(&with_none), "token_certificate");
    }
    assert_eq!(bed.upstream.requests().len(), before + 2 * 6);
}

#[test]
fn a_second_token_is_bound_as_the_first_is() {
    let bed = bed();
    let own = tls::identity(&["own.example.org"], &[]);
    let cnf = json!({"x5t#S256": thumbprint(&own)});
    let request = Request::get("/acting")
        .bearer(bed.token().sign())
        .header("x-actor", &bed.token().claim("cnf", cnf).sign());
    let ask = |identity: Option<&Identity>| {
        let config = tls::client_config(&[b"http/1.1"], identity);
        Connection::tls(bed.proxy.address("tls"), config).exchange(request.bytes())
    };
    assert_eq!(ask(Some(&own)).status, 200);
    refused(&bed, &ask(None), "actor_invalid");
    let to_a_key = bed.token().claim("cnf", json!({"jkt": b64([7; 32])}));
    let request = Request::get("/acting")
        .bearer(bed.token().sign())
        .header("x-actor", &to_a_key.sign());
    let answer = Connection::open(bed.proxy.address("plain")).exchange(request.bytes());
    refused(&bed, &answer, "actor_invalid");
}

/// One request on a TLS connection; its status, and whether the session was resumed.
fn ask(bed: &Bed, config: &Arc<rustls::ClientConfig>, request: &Request) -> (u16, bool) {
    let tcp = TcpStream::connect(bed.proxy.address("tls")).expect("a connection");
    tcp.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
    let session = rustls::ClientConnection::new(Arc::clone(config), name).expect("a session");
    let mut stream = rustls::StreamOwned::new(session, tcp);
    stream.write_all(&request.bytes()).expect("a request");
    let mut start = [0; 12];
    stream.read_exact(&mut start).expect("an answer");
    let status = String::from_utf8_lossy(&start[9..])
        .parse()
        .expect("a status");
    let resumed = stream.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
    (status, resumed)
}

#[test]
fn a_resumed_session_has_the_certificate_that_it_began_with() {
    let bed = bed();
    let (own, other) = (
        tls::identity(&["own.example.org"], &[]),
        tls::identity(&["other.example.org"], &[]),
    );
    let ours = bound(&bed, &own);
    let config = |identity| tls::client_config(&[b"http/1.1"], identity);
    let (with_own, with_other, with_none) =
        (config(Some(&own)), config(Some(&other)), config(None));
    for (config, status) in [(&with_own, 200), (&with_other, 401), (&with_none, 401)] {
        assert_eq!(ask(&bed, config, &ours), (status, false), "a new session");
        assert_eq!(ask(&bed, config, &ours), (status, true), "a resumed one");
    }
    assert_eq!(bed.upstream.requests().len(), 2);
}
