//! Invariant 42 and 9: what an issuer may publish, from the data files in `tests/it/data/jwks/`.

use serde_json::{Value, json};

use crate::bed::forge::{Forged, Members, World, key};
use crate::bed::keys::{self, Key};
use crate::bed::{
    Bed, Request, START, Setup, Upstream, Variant, assert_forwarded, assert_refused, eventually,
    forwarded_everywhere, reconcile, refused_everywhere,
};

const POLICY: &str = "
issuers:
  - name: main
    issuer: @ISSUER@
    jwks: {file: @DIR@/jwks.json}
    audiences: [api]
    algorithms: [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, Ed25519]
callers: {web: {issuer: main}}
routes: [{path: /health, allow: anyone}, {path: /**, allow: web}]
";

fn bed() -> Bed {
    Setup::bare(POLICY)
        .issuer_called("https://main.example")
        .tls()
        .start()
}

/// The lines of a data file, in cells.
#[track_caller]
fn cells<const N: usize>(text: &str) -> Vec<(usize, [&str; N])> {
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(at, line)| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let cells = <[&str; N]>::try_from(cells);
            (
                at + 1,
                cells.unwrap_or_else(|_| panic!("line {}: {line}", at + 1)),
            )
        })
        .collect()
}

fn good_keys() -> Vec<Value> {
    vec![keys::RSA_1.jwk(), keys::ES256_1.jwk()]
}

fn get(token: &str) -> Request {
    Request::get("/x").bearer(token)
}

/// Tokens of the keys that stand beside a bad one.
#[track_caller]
fn good_ones_go_on(bed: &Bed) {
    for key in [&keys::RSA_1, &keys::ES256_1] {
        forwarded_everywhere(bed, &get(&bed.token().key(key).sign()));
    }
}

/// Fails unless the key called `kid` (`None`: one that has no name to tell) was left out for `reason`.
#[track_caller]
fn assert_skipped(bed: &Bed, kid: Option<&str>, reason: &str) {
    let told = bed.proxy.events().into_iter().any(|event| {
        event["event"] == "jwks.key_skipped"
            && event["reason"] == reason
            && kid.is_none_or(|kid| event["kid"] == kid)
    });
    assert!(told, "no event about {kid:?}, {reason}");
}

#[test]
fn invariant_42_weak_keys_verify_nothing_that_they_signed() {
    let bed = bed();
    let rows = cells::<3>(include_str!("../data/jwks/weak.txt"));
    let jwks = rows
        .iter()
        .map(|(_, [_, jwk, _])| serde_json::from_str(jwk).expect("a JWK"));
    let jwks: Vec<Value> = jwks.chain(good_keys()).collect();
    bed.republish("main", jwks.clone());
    bed.proxy
        .await_issuer_events("jwks.key_skipped", "main", rows.len());
    for ((line, [expected, _, token]), jwk) in rows.iter().zip(&jwks) {
        println!("line {line}");
        let reason = expected.strip_prefix("skipped ").expect("skipped");
        assert_skipped(&bed, jwk["kid"].as_str(), reason);
        for variant in Variant::ALL {
            let request = get(token);
            let head = assert_refused(
                &bed,
                variant,
                &request,
                401,
                "token_unknown_key|token_algorithm|token_malformed",
            );
            assert!(head.header("www-authenticate").is_some());
        }
    }
    good_ones_go_on(&bed);
    reconcile(&bed);
}

/// A JWK that a row makes of one of ours.
fn made(world: &World, line: usize, changes: &str) -> (&'static Key, Option<String>, Vec<u8>) {
    let (base, changes) = changes.split_once(" ; ").unwrap_or((changes, ""));
    let base = key(base);
    let mut jwk = base.jwk();
    jwk["kid"] = json!(format!("row-{line}"));
    let mut world = world.clone();
    for name in ["n", "x", "y"] {
        if let Some(number) = jwk[name].as_str() {
            world.names.push((name, number.to_owned()));
        }
    }
    let mut members = Members::of(jwk.as_object().expect("an object").clone());
    for change in changes.split(" ; ").filter(|change| !change.is_empty()) {
        members.step(change);
    }
    let text = world.fill(&members.text());
    let kid = serde_json::from_slice::<Value>(&text).expect("JSON")["kid"]
        .as_str()
        .map(str::to_owned);
    (base, kid, text)
}

#[test]
fn invariant_09_and_42_a_bad_key_verifies_nothing_and_good_ones_beside_it_do() {
    let bed = bed();
    let trap = Upstream::start();
    let world = World {
        now: START,
        names: vec![("iss", bed.issuer.iss.clone()), ("trap", trap.url())],
    };
    let rows = cells::<4>(include_str!("../data/jwks/keys.txt"));
    let mut skipped = 0;
    // A set has 64 keys at most.
    for rows in rows.chunks(60) {
        let made: Vec<_> = rows
            .iter()
            .map(|(line, [_, changes, _, _])| made(&world, *line, changes))
            .collect();
        let jwks = made
            .iter()
            .map(|(_, _, text)| serde_json::from_slice(text).expect("JSON"));
        bed.republish("main", jwks.chain(good_keys()).collect());
        skipped += rows
            .iter()
            .filter(|(_, [expected, ..])| expected.starts_with("skipped"))
            .count();
        bed.proxy
            .await_issuer_events("jwks.key_skipped", "main", skipped);
        for ((line, [expected, _, steps, _]), (base, kid, _)) in rows.iter().zip(&made) {
            println!("line {line}");
            let (header, claims) = bed.token().parts();
            let named = kid.clone().unwrap_or_else(|| format!("row-{line}"));
            let token = Forged::new(&world, base, header, claims)
                .steps(&format!(
                    "header alg=\"{}\" ; header kid={}",
                    base.alg,
                    json!(named)
                ))
                .steps(steps)
                .token();
            match *expected {
                "used" => forwarded_everywhere(&bed, &get(&token)),
                "verifies nothing" => {
                    refused_everywhere(&bed, &get(&token), 401, "token_signature");
                }
                "not for this" => refused_everywhere(&bed, &get(&token), 401, "token_algorithm"),
                _ => {
                    let reason = expected.strip_prefix("skipped ").expect("an outcome");
                    // Events tell a shortened name.
                    let told = kid.as_deref().filter(|kid| kid.starts_with("row-"));
                    assert_skipped(&bed, told, reason);
                    refused_everywhere(&bed, &get(&token), 401, "token_unknown_key");
                }
            }
        }
        good_ones_go_on(&bed);
    }
    assert_eq!(trap.connections(), 0, "nobody follows a key's links");
    reconcile(&bed);
}

#[test]
fn invariant_42_a_bad_document_never_replaces_a_good_file() {
    let bed = bed();
    let path = bed.dir.path().join("jwks.json");
    let good = std::fs::read(&path).expect("the keys");
    let new = || bed.token().key(&keys::RSA_2).sign();
    let world = World {
        now: START,
        names: vec![("new", keys::RSA_2.jwk().to_string())],
    };
    let put = |document: &[u8]| {
        let beside = path.with_extension("beside");
        std::fs::write(&beside, document).expect("a file");
        std::fs::rename(&beside, &path).expect("a rename");
        bed.clock.advance(std::time::Duration::from_secs(61));
    };
    bed.proxy.await_issuer_events("jwks.refreshed", "main", 1);
    for (line, [expected, document, _]) in cells::<3>(include_str!("../data/jwks/documents.txt")) {
        println!("line {line}");
        let (text, size) = match document.split_once("<pad ") {
            Some((text, size)) => (text, size.trim_end_matches('>').parse().expect("a size")),
            None => (document, 0),
        };
        let mut document = if text.starts_with("<html") {
            text.as_bytes().to_vec()
        } else {
            world.fill(text)
        };
        if document.len() < size {
            document.resize(size, b' ');
        }
        if expected == "taken" {
            bed.proxy.await_new_keys("main", || put(&document));
            assert_forwarded(&bed, Variant::PLAIN, &get(&new()));
            let old = get(&bed.token().sign());
            assert_refused(&bed, Variant::PLAIN, &old, 401, "token_unknown_key");
            bed.proxy.await_new_keys("main", || put(&good));
        } else {
            let failed = "jwks.refresh_failed";
            let before = bed.proxy.issuer_events(failed, "main");
            put(&document);
            bed.proxy.await_issuer_events(failed, "main", before + 1);
            // A second look at the document before may fail once more in between.
            eventually(&format!("line {line}: {expected}"), || {
                let events = bed.proxy.events();
                let told = events.iter().rfind(|event| event["event"] == failed);
                told.and_then(|told| told["error"].as_str())
                    .is_some_and(|error| error.contains(expected))
            });
        }
        assert_forwarded(&bed, Variant::PLAIN, &get(&bed.token().sign()));
        let other = get(&new());
        let response = bed.send(&other);
        assert!(matches!(response.status, 401 | 503), "line {line}");
    }
    reconcile(&bed);
}
