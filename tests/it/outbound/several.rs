//! Several upstreams with credentials of their own in one process (A8), and what a reload changes of them.

use super::{From, HEAD, SECRET, credentials, get, token_number, with_listeners};
use crate::bed::h2_client::H2Connection;
use crate::bed::{Bed, Behaviour, Connection, TokenEndpoint, Upstream, reconcile};

/// Two listeners, each with an upstream and a credential of its own.
fn two(first: &TokenEndpoint, second: &TokenEndpoint, other: &Upstream) -> Bed {
    let head = format!(
        "{HEAD}  - name: other\n    listen: 127.0.0.1:0\n    upstream: {}\n    credential: second\n",
        other.url()
    );
    let more = credentials(second).replace("credentials:\n  agent:", "  second:");
    crate::bed::Setup::bare(&format!("{}{more}", credentials(first)))
        .head_only(&head)
        .file("client-secret", SECRET)
        .start()
}

#[test]
fn a8_each_upstream_gets_the_token_of_its_own_credential_and_no_other() {
    let (first, second, other) = (
        TokenEndpoint::start(),
        TokenEndpoint::start(),
        Upstream::start(),
    );
    let bed = two(&first, &second, &other);
    for n in 0..10 {
        let target = format!("/{n}");
        assert_eq!(bed.send(&get(&target)).status, 200);
        let address = bed.proxy.address("other");
        assert_eq!(
            Connection::open(address)
                .exchange(get(&target).bytes())
                .status,
            200
        );
        let http2 = H2Connection::plain(address);
        assert_eq!(
            http2.exchange(&get(&target)).expect("an answer").status,
            200
        );
    }
    for (upstream, own, foreign) in [(&bed.upstream, &first, &second), (&other, &second, &first)] {
        let token = format!("Bearer {}", own.issued()[0]);
        for seen in upstream.requests() {
            assert_eq!(seen.header("authorization"), Some(&*token));
            assert!(!crate::bed::contains(
                &seen.bytes(),
                foreign.issued()[0].as_bytes()
            ));
        }
        assert_eq!(own.asked(), 1);
    }
    assert_eq!(
        (bed.upstream.requests().len(), other.requests().len()),
        (10, 20)
    );
    // Whatever a request calls it, one listener never leads to the other's upstream.
    let foreign = other.url().replace("http://", "");
    let by_name = format!("GET http://{foreign}/own HTTP/1.1\r\nhost: {foreign}\r\n\r\n");
    assert_eq!(bed.proxy.connect().exchange(by_name).status, 200);
    assert_eq!(
        bed.upstream.requests().pop().expect("a request").target,
        "/own"
    );
    assert_eq!(other.requests().len(), 20);
    let records = bed.proxy.await_records(31);
    let of = |credential: &str| {
        records
            .iter()
            .filter(|record| record["credential"] == credential)
            .count()
    };
    assert_eq!((of("agent"), of("second")), (11, 20));
}

#[test]
fn a8_one_credential_that_fails_takes_only_its_own_listener_along() {
    let (first, second, other) = (
        TokenEndpoint::start(),
        TokenEndpoint::start(),
        Upstream::start(),
    );
    second.behave(Behaviour::Answers(
        400,
        "application/json",
        r#"{"error":"invalid_scope"}"#.into(),
    ));
    let bed = two(&first, &second, &other);
    assert_eq!(bed.send(&get("/x")).status, 200);
    let failing = Connection::open(bed.proxy.address("other")).exchange(get("/x").bytes());
    assert_eq!(failing.expect(503).json()["oauth_error"], "invalid_scope");
    assert_eq!(other.requests().len(), 0);
}

/// [`two`], with one listener that a reload leads to the other upstream with the other credential.
fn moving(
    first: &TokenEndpoint,
    second: &TokenEndpoint,
    from: Upstream,
    other: &Upstream,
) -> (Bed, String) {
    let more = credentials(second).replace("credentials:\n  agent:", "  second:");
    let bed = crate::bed::Setup::bare(&format!("{}{more}", credentials(first)))
        .head_only(HEAD)
        .upstream(from)
        .file("client-secret", SECRET)
        .start();
    let moved = bed
        .text
        .replace(&bed.upstream.url(), &other.url())
        .replace("credential: agent", "credential: second");
    (bed, moved)
}

#[test]
fn a8_a_reload_under_load_never_sends_one_credentials_token_to_the_others_upstream() {
    let (first, second, other) = (
        TokenEndpoint::start(),
        TokenEndpoint::start(),
        Upstream::start(),
    );
    let (bed, moved) = moving(&first, &second, Upstream::start(), &other);
    let address = bed.proxy.addr();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let stop = std::sync::Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut statuses = Vec::new();
                let mut client = Connection::open(address);
                while !stop.load(std::sync::atomic::Ordering::SeqCst) && statuses.len() < 5_000 {
                    statuses.push(client.exchange(get("/x").bytes()).status);
                }
                statuses
            })
        })
        .collect();
    let original = bed.text.clone();
    for n in 0..20 {
        let seen = (bed.upstream.requests().len(), other.requests().len());
        bed.proxy
            .reload(if n % 2 == 0 { &moved } else { &original })
            .expect("a reload");
        crate::bed::eventually("requests go where the reload leads them", || {
            if n % 2 == 0 {
                other.requests().len() > seen.1
            } else {
                bed.upstream.requests().len() > seen.0
            }
        });
    }
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    for caller in callers {
        let statuses = caller.join().expect("a caller");
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    }
    for (upstream, own) in [(&bed.upstream, &first), (&other, &second)] {
        let tokens: Vec<String> = own
            .issued()
            .iter()
            .map(|token| format!("Bearer {token}"))
            .collect();
        let seen = upstream.requests();
        assert!(!seen.is_empty());
        for request in seen {
            let sent = request.header("authorization").expect("a token");
            assert!(
                tokens.iter().any(|own| own == sent),
                "a foreign token at {}",
                upstream.url()
            );
        }
    }
    reconcile(&bed);
}

#[test]
fn a8_a_replay_goes_to_the_upstream_that_refused_though_a_reload_has_moved_the_listener() {
    let (first, second, other) = (
        TokenEndpoint::start(),
        TokenEndpoint::start(),
        Upstream::start(),
    );
    let (bed, moved) = moving(&first, &second, From::token(2).upstream(), &other);
    first.await_asked(1);
    crate::bed::eventually("the first token is held", || !first.issued().is_empty());
    first.behave(Behaviour::Holds);
    let address = bed.proxy.addr();
    let waiting =
        std::thread::spawn(move || Connection::open(address).exchange(get("/old").bytes()));
    first.await_asked(2);
    bed.proxy.reload(&moved).expect("a reload");
    // A connection to the new upstream lies ready, where the replay could find it.
    assert_eq!(bed.send(&get("/new")).status, 200);
    first.behave(Behaviour::Issues);
    assert_eq!(waiting.join().expect("an answer").status, 200);
    let old: Vec<usize> = bed.upstream.requests().iter().map(token_number).collect();
    assert_eq!(old, [1, 2]);
    let targets: Vec<String> = other
        .requests()
        .into_iter()
        .map(|seen| seen.target)
        .collect();
    assert_eq!(targets, ["/new"]);
}

#[test]
fn a_listener_does_not_change_its_kind_on_a_reload() {
    let endpoint = TokenEndpoint::start();
    let bed = with_listeners(&endpoint, HEAD).start();
    let inbound = bed
        .fill("issuers:\n  - {name: main, issuer: https://id.example.org, jwks: {file: \"@DIR@/jwks.json\"}, audiences: [api]}\nroutes: [{path: /**, allow: anyone}]\n")
        .replace("outbound:", "inbound:")
        .replace("    credential: agent\n", "");
    let error = bed.proxy.reload(&inbound).expect_err("refused");
    assert!(error.contains("needs a restart"), "{error}");
    assert_eq!(bed.send(&get("/x")).status, 200);
    assert!(token_number(&bed.upstream.only()) > 0);
}
