//! A proof opens one request, whichever worker has it.

use std::time::Duration;

use super::proofs::Client;
use crate::bed::keys::RSA_2;
use crate::bed::verdict::Before;
use crate::bed::{
    Bed, Connection, Request, Setup, Variant, assert_forwarded, assert_recorded, assert_refused,
    exchanged, refused_everywhere,
};

fn setup(dpop: &str) -> Setup {
    Setup::bare(&lines(dpop)).inbound("external_url: 'https://api.test'")
}

fn lines(dpop: &str) -> String {
    format!("
issuers:
  - {{name: main, issuer: @ISSUER@, jwks: {{file: @DIR@/jwks.json}}, audiences: [api], dpop: {dpop}}}
routes:
  - {{path: /health, allow: anyone}}
  - {{path: /any/**, allow: {{issuer: main}}}}
  - {{path: /denied, allow: {{issuer: main, client: nobody-there}}}}
")
}

/// Sends on a connection; the status, and the reason of the record where it was refused.
#[track_caller]
fn send(bed: &Bed, connection: &mut Connection, request: &Request) -> (u16, String) {
    let answer = connection.exchange(request.bytes());
    if answer.status == 200 {
        return (200, String::new());
    }
    let record = bed
        .proxy
        .await_record(answer.header("x-request-id").expect("an id"));
    (
        answer.status,
        record["reason"].as_str().expect("a reason").to_owned(),
    )
}

#[test]
fn a_proof_passes_once_on_all_workers_together() {
    let bed = setup("accept").workers(2).start();
    let client = Client::new(&bed);
    // The second connection goes to the worker that has none yet.
    let (mut one, mut other) = (bed.proxy.connect(), bed.proxy.connect());
    let replayed = (401, "dpop_replayed".to_owned());
    for _ in 0..3 {
        let request = client.request("as issued");
        assert_eq!(send(&bed, &mut one, &request).0, 200);
        assert_eq!(send(&bed, &mut one, &request), replayed, "the same worker");
        assert_eq!(send(&bed, &mut other, &request), replayed, "another worker");
        let request = client.request("as issued");
        assert_eq!(send(&bed, &mut other, &request).0, 200);
        assert_eq!(
            send(&bed, &mut one, &request),
            replayed,
            "the other way round"
        );
    }
    assert_eq!(bed.upstream.requests().len(), 6);
}

#[test]
fn a_used_name_is_used_in_whatever_spelling_and_protocol() {
    let bed = Setup::bare(&lines("accept"))
        .inbound("external_url: 'https://api.test'")
        .tls()
        .start();
    let client = Client::new(&bed);
    let request = client.request("claim jti=\"the-name\"");
    assert_forwarded(&bed, Variant::PLAIN, &request);
    refused_everywhere(&bed, &request, 401, "dpop_replayed");
    for again in [
        "claim jti=\"the-name\"",
        "claim jti=\"the\\u002dname\"",
        "claim jti=\"the-name\" ; claim iat=<now-20>",
        "claim jti=\"the-name\" ; path /any/other",
        "claim jti=\"the-name\" ; access claim x=1",
    ] {
        refused_everywhere(&bed, &client.request(again), 401, "dpop_replayed");
    }
    // Another key's proofs have names of their own: nobody can use up those of others.
    assert_forwarded(
        &bed,
        Variant::PLAIN,
        &client.request("claim jti=\"the-name\" ; by es384-1"),
    );
    assert_forwarded(
        &bed,
        Variant::PLAIN,
        &client.request("claim jti=\"The-name\""),
    );
}

#[test]
fn of_many_at_the_same_time_one_passes() {
    let bed = setup("accept").workers(2).start();
    let client = Client::new(&bed);
    for round in 1..=10 {
        let request = client.request("as issued");
        let passed: usize = std::thread::scope(|scope| {
            let ask = || usize::from(bed.send(&request).status == 200);
            let senders: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            senders
                .into_iter()
                .map(|sender| sender.join().expect("an answer"))
                .sum()
        });
        assert_eq!((passed, bed.upstream.requests().len()), (1, round));
    }
}

#[test]
fn only_proofs_that_hold_are_used_up() {
    let bed = setup("accept").start();
    let client = Client::new(&bed);
    // Somebody who sees the name but has no key cannot use it up.
    for (steps, reason) in [
        ("signature flip 3", "dpop_signature"),
        ("holds es384-1", "dpop_binding"),
        ("claim htm=\"POST\"", "dpop_method"),
        ("scheme Bearer", "token_bound"),
        ("access claim exp=1", "token_expired"),
    ] {
        let request = client.request(&format!("claim jti=\"wanted\" ; {steps}"));
        assert_refused(&bed, Variant::PLAIN, &request, 401, reason);
    }
    let wanted = client.request("claim jti=\"wanted\"");
    assert_forwarded(&bed, Variant::PLAIN, &wanted);
    // What policy refuses was a proof of that request all the same.
    let denied = client.request("path /denied");
    assert_refused(&bed, Variant::PLAIN, &denied, 403, "caller_not_allowed");
    assert_refused(&bed, Variant::PLAIN, &denied, 401, "dpop_replayed");
}

#[test]
fn a_used_proof_stays_used_until_it_is_too_old_also_over_a_reload() {
    let bed = setup("accept").start();
    let client = Client::new(&bed);
    let request = client.request("claim iat=<now+30>");
    assert_forwarded(&bed, Variant::PLAIN, &request);
    for (dpop, seconds) in [
        ("accept", 29),
        ("require", 30),
        ("{mode: accept, nonce: none}", 30),
    ] {
        assert_refused(&bed, Variant::PLAIN, &request, 401, "dpop_replayed");
        bed.proxy.reload(&bed.fill(&lines(dpop))).expect("a reload");
        bed.clock.advance(Duration::from_secs(seconds));
    }
    // 89 s later: the last second of its life.
    assert_refused(&bed, Variant::PLAIN, &request, 401, "dpop_replayed");
    bed.clock.advance(Duration::from_secs(1));
    assert_refused(&bed, Variant::PLAIN, &request, 401, "dpop_time");
    assert_forwarded(&bed, Variant::PLAIN, &client.request("as issued"));
    // And a longer life does not bring it back.
    bed.proxy
        .reload(&bed.fill(&lines("{mode: accept, lifetime: 10m}")))
        .expect("a reload");
    assert_refused(
        &bed,
        Variant::PLAIN,
        &request,
        401,
        "dpop_replayed|dpop_time",
    );
    assert_forwarded(&bed, Variant::PLAIN, &client.request("as issued"));
}

#[test]
fn a_used_proof_stays_used_when_a_reload_renames_the_issuer() {
    let bed = setup("accept").start();
    let client = Client::new(&bed);
    let request = client.request("as issued");
    assert_forwarded(&bed, Variant::PLAIN, &request);
    for name in ["renamed", "main"] {
        let lines = lines("accept").replace("main", name);
        bed.proxy.reload(&bed.fill(&lines)).expect("a reload");
        assert_refused(&bed, Variant::PLAIN, &request, 401, "dpop_replayed");
        assert_forwarded(&bed, Variant::PLAIN, &client.request("as issued"));
    }
}

#[test]
fn a_full_set_refuses_what_is_new_and_forgets_nothing() {
    let bed = setup("{mode: accept, proofs: 16}").start();
    let client = Client::new(&bed);
    let (mut used, mut refused) = (Vec::new(), 0);
    for _ in 0..40 {
        let request = client.request("as issued");
        let before = Before::now(&bed);
        let answer = exchanged(&bed, Variant::PLAIN, &request);
        if answer.status == 200 {
            used.push(request);
            continue;
        }
        assert_eq!(answer.status, 503, "never 401: the client cannot help it");
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(answer.header("www-authenticate"), None);
        before.assert_nothing_upstream(&bed, &request);
        let id = answer.header("x-request-id").expect("an id");
        assert_recorded(&bed.proxy.await_record(id), 503, "dpop_too_many");
        refused += 1;
    }
    assert!(
        used.len() <= 16 && used.len() > 4 && refused > 0,
        "{} used",
        used.len()
    );
    for request in &used {
        assert_refused(&bed, Variant::PLAIN, request, 401, "dpop_replayed");
    }
    // Plain bearers do not care.
    let bearer = client.request("scheme Bearer ; access claim -cnf ; proofs 0");
    assert_forwarded(&bed, Variant::PLAIN, &bearer);
    bed.clock.advance(Duration::from_secs(60));
    for _ in 0..4 {
        // A place for each, wherever it falls: the old ones have ended.
        let answer = exchanged(&bed, Variant::PLAIN, &client.request("as issued"));
        assert!(matches!(answer.status, 200 | 503), "{}", answer.status);
    }
    assert_eq!(exchanged(&bed, Variant::PLAIN, &used[0]).status, 401);
    bed.proxy
        .reload(&bed.fill(&lines("{mode: accept, proofs: 1600}")))
        .expect("a reload");
    assert_forwarded(&bed, Variant::PLAIN, &client.request("as issued"));
}

#[test]
fn a_proof_is_not_used_up_while_a_key_is_waited_for() {
    let lines = "
issuers:
  - {name: main, issuer: @ISSUER@, jwks: {url: @JWKS@, allow_http: true}, audiences: [api], dpop: accept}
routes:
  - {path: /any/**, allow: {issuer: main}}
";
    let bed = Setup::bare(lines)
        .inbound("external_url: 'https://api.test'")
        .start();
    bed.proxy.await_issuer_events("jwks.refreshed", "main", 1);
    bed.clock.advance(Duration::from_secs(31));
    bed.issuer.rotate(&RSA_2);
    let client = Client::new(&bed);
    let request = client.request("access key rsa-2");
    assert_forwarded(&bed, Variant::PLAIN, &request);
    assert_refused(&bed, Variant::PLAIN, &request, 401, "dpop_replayed");
}
