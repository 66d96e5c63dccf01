//! Many requests at once, known and unknown.

use std::time::Duration;

use super::cluster::{atlas, bed, config, now, review, usage};
use crate::bed::idp::{Document, State, Then};
use crate::bed::reviewer::{ApiServer, projected};
use crate::bed::{
    Connection, Setup, Variant, assert_forwarded, assert_refused, eventually, keys, reconcile,
};

fn hanging() -> State {
    State::Says(Document::Answer, Vec::new(), Then::Hang)
}

/// Waits until the proxy has so many requests in flight.
fn await_active(bed: &crate::bed::Bed, n: usize) {
    eventually("requests in flight", || {
        bed.proxy.metric("http_server_active_requests", "") as usize >= n
    });
}

#[test]
fn a_thousand_requests_with_one_new_token_are_one_question() {
    let server = ApiServer::start();
    let bed = Setup::bare(&config(&server))
        .workers(2)
        .inbound("limits: {connections_per_address: 2000}")
        .start();
    let token = atlas(&server, &bed);
    server.idp.is(hanging());
    let mut clients: Vec<Connection> = (0..1000)
        .map(|_| {
            let mut client = bed.proxy.connect();
            client.send(usage(&token).bytes());
            client
        })
        .collect();
    server.idp.await_posted(1);
    await_active(&bed, 1000);
    assert_eq!(review(&bed)["in_flight"], 1);
    // The one who asked first has gone: the others have their answer all the same.
    drop(clients.remove(0));
    // The question fails, for all of them.
    bed.clock.advance(Duration::from_secs(2));
    for client in &mut clients {
        assert_eq!(client.read().status, 503);
    }
    assert_eq!(server.asked(), 1);
    // Who waits does so for as long as the question may take, not for its end.
    eventually("the question's end", || review(&bed)["in_flight"] == 0);

    server.idp.is(State::Serving);
    bed.clock.advance(Duration::from_secs(1));
    for client in &mut clients {
        client.send(usage(&token).bytes());
    }
    for client in &mut clients {
        assert_eq!(client.read().status, 200);
    }
    assert_eq!(server.asked(), 2);
    reconcile(&bed);
}

#[test]
fn invariant_43_unknown_tokens_cost_a_bounded_number_of_questions() {
    let server = ApiServer::start();
    let bed = bed(&server);
    let known = atlas(&server, &bed);
    assert_forwarded(&bed, Variant::PLAIN, &usage(&known));
    server.idp.is(hanging());
    let invented = |id: usize| {
        let token = projected(&keys::RSA_1, "atlas-production", "atlas", now(&bed));
        usage(&token.claim("jti", id).sign())
    };
    let mut waiting: Vec<Connection> = (0..64)
        .map(|id| {
            let mut client = bed.proxy.connect();
            client.send(invented(id).bytes());
            client
        })
        .collect();
    await_active(&bed, 64);
    eventually("questions", || review(&bed)["in_flight"] == 64);
    // One more is one too many; what is known passes.
    for id in 64..80 {
        assert_refused(
            &bed,
            Variant::PLAIN,
            &invented(id),
            503,
            "review_unavailable",
        );
    }
    assert_forwarded(&bed, Variant::PLAIN, &usage(&known));
    assert_eq!(
        bed.proxy
            .metric("countersign_reviews_total", "outcome=\"shed\"") as u64,
        16
    );
    assert_eq!(
        bed.proxy.metric("countersign_reviews_in_flight", "") as u64,
        64
    );
    bed.clock.advance(Duration::from_secs(2));
    for client in &mut waiting {
        assert_eq!(client.read().status, 503);
    }
    // Who waits does so for as long as the question may take, not for its end.
    eventually("the questions' end", || review(&bed)["in_flight"] == 0);
    assert!(server.asked() <= 65, "{}", server.asked());
    // Their places are free again.
    server.idp.is(State::Serving);
    assert_refused(&bed, Variant::PLAIN, &invented(100), 401, "token_inactive");
    reconcile(&bed);
}

/// Connections to the endpoint are used again: asking often costs no handshake each time.
#[test]
fn questions_share_connections() {
    use crate::bed::{Request, Upstream};
    let endpoint = Upstream::scripted(|exchange| {
        exchange.body()?;
        exchange.answer(
            200,
            "content-type: application/json\r\n",
            br#"{"active": true, "aud": "api", "sub": "robot"}"#,
        )
    });
    let config = format!(
        "
issuers:
  - name: server
    issuer: https://id.example.org
    verify:
      introspection:
        url: {}/introspect
        client_id: api
        client_authentication: {{client_secret_post: {{secret: \"${{file:@DIR@/secret}}\"}}}}
        max_cache: 0s
    audiences: [api]
callers: {{robot: {{issuer: server}}}}
routes: [{{path: /x, allow: robot}}]
",
        endpoint.url()
    );
    let bed = Setup::bare(&config)
        .file("secret", "s3cret-of-the-proxy")
        .start();
    for _ in 0..5 {
        assert_forwarded(&bed, Variant::PLAIN, &Request::get("/x").bearer("opaque"));
    }
    // `max_cache: 0s` asks for every request.
    assert_eq!(endpoint.requests().len(), 5);
    assert_eq!(endpoint.connections(), 1);
    reconcile(&bed);
}
