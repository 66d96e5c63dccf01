//! An identity provider in every state that one can be in. Cold: protected routes get 503 with `Retry-After`, never 401,
//! and readiness is off. Warm: valid tokens pass on the keys that are held, and the failure is counted and told. Both
//! heal by themselves.

mod table;

use std::time::Duration;

use serde_json::Value;

use crate::bed::idp::Document::{Discovery, Jwks};
use crate::bed::idp::{Idp, State};
use crate::bed::keys::{ES256_1, RSA_1};
use crate::bed::{
    Bed, Request, Setup, Variant, assert_forwarded, assert_refused, eventually, reconcile,
};

use table::Ends::{self, Late};
use table::{ELSEWHERE, Row, answer_states, connection_states, ok};

const CONFIG: &str = r#"
issuers:
  - name: idp
    issuer: "@IDP@"
    jwks: {discover: true, ca: {file: "@CERTS@/ca.crt"}}
    audiences: [api]
callers: {web: {issuer: idp}}
routes: [{path: /open, allow: anyone}, {path: /closed, allow: web}]
"#;

/// The provider's own name, where a document says it.
fn named(state: State, idp: &Idp) -> State {
    let State::Says(of, bytes, then) = state else {
        return state;
    };
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return State::Says(of, bytes, then);
    };
    let Some((_, body)) = text
        .split_once("\r\n\r\n")
        .filter(|(_, body)| body.contains("@SELF@"))
    else {
        return State::Says(of, bytes, then);
    };
    ok(of, "", body.replace("@SELF@", &idp.issuer()))
}

fn bed(idp: &Idp) -> Bed {
    Setup::bare(&CONFIG.replace("@IDP@", &idp.issuer())).start()
}

fn keys(bed: &Bed) -> Value {
    bed.proxy.admin_get("/status").expect(200).json()["issuers"][0].clone()
}

fn fetches(bed: &Bed, outcome: &str) -> u64 {
    let label = format!("outcome=\"{outcome}\"");
    bed.proxy.metric("countersign_key_fetches_total", &label) as u64
}

/// Waits for the end of an attempt that fails; `connections` is what the provider had seen before it.
fn fails(bed: &Bed, idp: &Idp, ends: Ends, connections: usize, failures: usize) {
    if ends == Late {
        // It is on its way; then its time passes, second by second.
        idp.await_connections(connections + 1);
        for _ in 0..5 {
            bed.clock.advance(Duration::from_secs(1));
            idp.tick();
        }
    }
    bed.proxy
        .await_issuer_events("jwks.refresh_failed", "idp", failures);
}

/// Lets the next scheduled attempt begin.
fn next_attempt(bed: &Bed) {
    let wait = keys(bed)["next_refresh_seconds"]
        .as_u64()
        .expect("a schedule");
    bed.clock.advance(Duration::from_secs(wait + 1));
}

fn run((name, state, ends, error): Row) {
    let idp = Idp::start(State::Serving);
    let state = named(state, &idp);
    idp.is(state.clone());
    let bed = bed(&idp);
    let valid = |bed: &Bed| {
        let now = bed.clock.now().unix.as_secs();
        Request::get("/closed").bearer(idp.token(&RSA_1, now).sign())
    };

    // Cold.
    fails(&bed, &idp, ends, 0, 1);
    let told = keys(&bed);
    let last_error = told["last_error"].as_str().unwrap_or_default();
    assert!(last_error.contains(error), "{name}: {last_error}");
    let refused = assert_refused(&bed, Variant::PLAIN, &valid(&bed), 503, "keys_unavailable");
    let retry: u64 = refused
        .header("retry-after")
        .expect(name)
        .parse()
        .expect(name);
    assert!((1..=60).contains(&retry), "{name}: {retry}");
    assert_eq!(refused.header("www-authenticate"), None, "{name}");
    assert_refused(
        &bed,
        Variant::PLAIN,
        &Request::get("/closed"),
        401,
        "no_token",
    );
    assert_forwarded(&bed, Variant::PLAIN, &Request::get("/open"));
    assert_eq!(bed.proxy.admin_get("/readyz").status, 503, "{name}");
    assert_eq!(bed.proxy.admin_get("/livez").status, 200, "{name}");
    assert_eq!(fetches(&bed, "failed"), 1, "{name}");

    // It heals by itself.
    idp.is(State::Serving);
    next_attempt(&bed);
    bed.proxy.await_issuer_events("jwks.refreshed", "idp", 1);
    assert_forwarded(&bed, Variant::PLAIN, &valid(&bed));
    assert_eq!(bed.proxy.admin_get("/readyz").status, 200, "{name}");
    assert_eq!(fetches(&bed, "ok"), 1, "{name}");

    // Warm. A discovery document is believed for an hour, so that its fault shows only then.
    let mut good = 1;
    if matches!(state, State::Says(Discovery, ..)) {
        for _ in 0..4 {
            good += 1;
            next_attempt(&bed);
            eventually(name, || fetches(&bed, "ok") == good);
        }
    }
    idp.publish(&[&ES256_1]);
    let before = idp.connections();
    idp.is(state);
    next_attempt(&bed);
    fails(&bed, &idp, ends, before, 2);
    assert_forwarded(&bed, Variant::PLAIN, &valid(&bed));
    assert_eq!(fetches(&bed, "failed"), 2, "{name}");
    let told = keys(&bed);
    assert_eq!(told["health"], "stale", "{name}: {told}");
    assert_eq!(
        told["kids"],
        serde_json::json!([RSA_1.kid]),
        "{name}: {told}"
    );
    assert_eq!(told["consecutive_failures"], 1, "{name}: {told}");
    let last_error = told["last_error"].as_str().unwrap_or_default();
    assert!(last_error.contains(error), "{name}: {last_error}");
    assert_eq!(
        bed.proxy.admin_get("/readyz").status,
        200,
        "{name}: it can judge tokens"
    );
    let now = bed.clock.now().unix.as_secs();
    let rotated = Request::get("/closed").bearer(idp.token(&ES256_1, now).sign());
    assert_refused(&bed, Variant::PLAIN, &rotated, 503, "keys_unavailable");

    // And again.
    idp.is(State::Serving);
    next_attempt(&bed);
    eventually(name, || fetches(&bed, "ok") == good + 1);
    assert_eq!(keys(&bed)["health"], "usable", "{name}");
    let now = bed.clock.now().unix.as_secs();
    assert_forwarded(
        &bed,
        Variant::PLAIN,
        &Request::get("/closed").bearer(idp.token(&ES256_1, now).sign()),
    );
    assert!(!idp.paths().contains(&ELSEWHERE.to_owned()), "{name}");
    reconcile(&bed);
}

#[test]
fn invariant_35_39_42_45_whatever_the_connection_to_the_issuer_does() {
    connection_states().into_iter().for_each(run);
}

#[test]
fn invariant_35_39_42_45_whatever_the_issuer_answers() {
    answer_states().into_iter().for_each(run);
}

/// OpenID Connect Discovery does not say that `jwks_uri` is of the issuer's origin, and large providers have it elsewhere:
/// it is followed, with the same certificate checks.
#[test]
fn invariant_45_keys_may_be_at_another_origin_that_the_issuer_names() {
    let keys = Idp::start(State::Serving);
    let idp = Idp::start(State::Serving);
    let document = serde_json::json!({
        "issuer": idp.issuer(), "jwks_uri": format!("{}/jwks", keys.issuer()),
    });
    idp.is(ok(Discovery, "", document.to_string()));
    let bed = bed(&idp);
    bed.proxy.await_issuer_events("jwks.refreshed", "idp", 1);
    let now = bed.clock.now().unix.as_secs();
    let request = Request::get("/closed").bearer(idp.token(&RSA_1, now).sign());
    assert_forwarded(&bed, Variant::PLAIN, &request);
    assert_eq!((keys.fetches(), idp.fetches()), (1, 0));
}

/// Some providers say `text/plain`: what counts is what the document is.
#[test]
fn invariant_42_a_wrong_content_type_spoils_no_good_document() {
    let idp = Idp::start(State::Serving);
    let good = serde_json::json!({"keys": [RSA_1.jwk()]}).to_string();
    idp.is(ok(Jwks, "content-type: text/html\r\n", good));
    let bed = bed(&idp);
    bed.proxy.await_issuer_events("jwks.refreshed", "idp", 1);
    let now = bed.clock.now().unix.as_secs();
    let request = Request::get("/closed").bearer(idp.token(&RSA_1, now).sign());
    assert_forwarded(&bed, Variant::PLAIN, &request);
}
