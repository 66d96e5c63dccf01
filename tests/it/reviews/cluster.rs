//! A cluster's API server is asked (TokenReview).

use std::time::Duration;

use serde_json::{Value, json};

use crate::bed::idp::Posted;
use crate::bed::reviewer::{ApiServer, CLUSTER, PATH, projected, status};
use crate::bed::{
    Bed, Request, Setup, Variant, assert_forwarded, assert_refused, forwarded_everywhere, keys,
    reconcile, refused_everywhere,
};

/// The cluster is asked; or its keys are pinned, and nobody is.
const ASKED: &str = "{token_review: {server: \"@SERVER@\", ca: {file: \"@CERTS@/ca.crt\"}, token: {file: \"@TOKEN@\"}}}";

pub(super) const CONFIG: &str = r#"
issuers:
  - name: atlas
    issuer: https://kubernetes.default.svc.cluster.local
    @VERIFIED@
    audiences: [usage-api]
    max_lifetime: 1h
    kubernetes: true
identity:
  headers:
    x-auth-subject: subject
    x-auth-groups: groups
    x-auth-pod: claims.kubernetes.io.pod.name
    x-auth-pod-uid: claims.kubernetes.io.pod.uid
    x-auth-namespace: claims.kubernetes.io.namespace
    x-auth-issuer: issuer
    x-auth-jti: claims.jti
callers:
  atlas: {issuer: atlas, service_account: atlas-production/atlas}
  team: {issuer: atlas, groups: ["system:serviceaccounts:atlas-production"]}
  pod: {issuer: atlas, claims: {kubernetes.io.pod.name: atlas-0}}
routes:
  - {path: /health, allow: anyone}
  - {path: /usage, allow: atlas}
  - {path: /team, allow: team}
  - {path: /pod, allow: pod}
  - path: /both
    allow: {caller: atlas, actor: {issuer: atlas, service_account: tools/runner}}
    actor_token: {header: x-actor, issuer: atlas}
  - {path: /optional, allow: [anonymous, atlas]}
"#;

pub(super) fn config(server: &ApiServer) -> String {
    CONFIG
        .replace("@VERIFIED@", &format!("verify: {ASKED}"))
        .replace("@SERVER@", &server.url())
        .replace("@TOKEN@", &server.own_token().display().to_string())
}

pub(super) fn bed(server: &ApiServer) -> Bed {
    Setup::bare(&config(server)).start()
}

pub(super) fn now(bed: &Bed) -> i64 {
    bed.clock.now().unix.as_secs()
}

pub(super) fn atlas(server: &ApiServer, bed: &Bed) -> String {
    server.token("atlas-production", "atlas", now(bed))
}

pub(super) fn usage(token: &str) -> Request {
    Request::get("/usage").bearer(token)
}

pub(super) fn review(bed: &Bed) -> Value {
    bed.proxy.admin_get("/status").expect(200).json()["reviews"][0].clone()
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Exactly this is asked; the fake server takes nothing else.
#[test]
fn token_review_asks_with_the_exact_document_and_our_own_token() {
    let server = ApiServer::start();
    let bed = Setup::bare(&config(&server)).tls().start();
    let token = atlas(&server, &bed);
    forwarded_everywhere(&bed, &usage(&token));
    let [posted]: [Posted; 1] = server.idp.posted().try_into().expect("one question");
    assert_eq!(posted.path, PATH);
    let document: Value = serde_json::from_slice(&posted.body).expect("JSON");
    assert_eq!(
        document,
        json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": ["usage-api"]},
        })
    );
    assert!(
        posted
            .header("authorization")
            .starts_with("Bearer own-first-")
    );
    assert_eq!(posted.header("content-type"), "application/json");
    // What the API server does not know does not hold.
    let unknown = projected(&keys::RSA_1, "atlas-production", "unknown", now(&bed)).sign();
    refused_everywhere(&bed, &usage(&unknown), 401, "token_inactive");
    let told = review(&bed);
    assert_eq!(told["kind"], "token_review");
    assert_eq!(told["health"], "usable");
    assert_eq!(
        (&told["reviews_active"], &told["reviews_inactive"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        bed.proxy
            .metric("countersign_reviews_total", "outcome=\"active\"") as u64,
        1
    );
    assert_eq!(
        bed.proxy.metric("countersign_reviews_in_flight", "") as u64,
        0
    );
    reconcile(&bed);
}

#[test]
fn token_review_one_policy_for_both_verifiers_and_the_upstream_sees_no_difference() {
    let server = ApiServer::start();
    let asked = bed(&server);
    let pinned = CONFIG.replace("@VERIFIED@", "jwks: {file: \"@DIR@/jwks.json\"}");
    let offline = Setup::bare(&pinned).issuer_called(CLUSTER).start();
    let tokens = ["atlas", "other"].map(|name| server.token("atlas-production", name, now(&asked)));
    let foreign = server.token("tools", "atlas", now(&asked));
    let [atlas, other] = &tokens;
    for (path, token, passes) in [
        ("/usage", atlas, true),
        ("/usage", other, false),
        ("/usage", &foreign, false),
        ("/team", atlas, true),
        ("/team", other, true),
        ("/team", &foreign, false),
        ("/pod", atlas, true),
        ("/pod", other, false),
        ("/optional", atlas, true),
    ] {
        let request = Request::get(path).bearer(token);
        if !passes {
            for bed in [&asked, &offline] {
                assert_refused(
                    bed,
                    Variant::PLAIN,
                    &request,
                    403,
                    "condition_service_account|condition_groups|condition_claims|caller_not_allowed",
                );
            }
            continue;
        }
        let [one, two] =
            [&asked, &offline].map(|bed| assert_forwarded(bed, Variant::PLAIN, &request));
        for name in [
            "x-auth-subject",
            "x-auth-groups",
            "x-auth-pod",
            "x-auth-pod-uid",
            "x-auth-namespace",
            "x-auth-issuer",
            "x-auth-jti",
        ] {
            assert!(one.header(name).is_some(), "{name}");
            assert_eq!(one.header(name), two.header(name), "{name}");
        }
    }
    // Records differ in nothing that policy knows.
    let of = |bed: &Bed| {
        let record = bed.proxy.records().remove(0);
        ["subject", "issuer", "caller", "route", "decision"].map(|name| record[name].clone())
    };
    assert_eq!(of(&asked), of(&offline));
    assert_eq!(server.asked(), 3, "each token once");
}

#[test]
fn token_review_a_deleted_pod_is_refused_within_the_bound() {
    let server = ApiServer::start();
    let bed = bed(&server);
    let (gone, stays) = (atlas(&server, &bed), {
        let token = projected(&keys::RSA_1, "atlas-production", "atlas", now(&bed))
            .claim("jti", "2")
            .sign();
        server.says(&token, status("atlas-production", "atlas"));
        token
    });
    for token in [&gone, &stays] {
        assert_forwarded(&bed, Variant::PLAIN, &usage(token));
    }
    server.revoke(&gone);
    bed.clock.advance(secs(9));
    // What was said counts for ten seconds, from when it was asked.
    assert_forwarded(&bed, Variant::PLAIN, &usage(&gone));
    bed.clock.advance(secs(1));
    assert_refused(&bed, Variant::PLAIN, &usage(&gone), 401, "token_inactive");
    assert_forwarded(&bed, Variant::PLAIN, &usage(&stays));
    assert_eq!(server.asked(), 4);
    // The refusal is remembered as well, for a shorter time.
    for _ in 0..3 {
        assert_refused(&bed, Variant::PLAIN, &usage(&gone), 401, "token_inactive");
    }
    assert_eq!(server.asked(), 4);
    server.says(&gone, status("atlas-production", "atlas"));
    bed.clock.advance(secs(5));
    assert_forwarded(&bed, Variant::PLAIN, &usage(&gone));
    assert_eq!(server.asked(), 5);
    // A token ends for itself, however long an answer counts, and nobody is asked about it any more.
    bed.clock.advance(secs(400));
    assert_refused(&bed, Variant::PLAIN, &usage(&gone), 401, "token_expired");
    assert_eq!(server.asked(), 5);
    reconcile(&bed);
}

#[test]
fn token_review_our_own_token_is_read_for_every_question() {
    let server = ApiServer::start();
    let bed = bed(&server);
    let token = atlas(&server, &bed);
    assert_forwarded(&bed, Variant::PLAIN, &usage(&token));
    server.rotate("second");
    bed.clock.advance(secs(10));
    assert_forwarded(&bed, Variant::PLAIN, &usage(&token));
    let last = server.idp.posted().pop().expect("a question");
    assert!(
        last.header("authorization")
            .starts_with("Bearer own-second-")
    );
    // Gone for a moment: we cannot judge.
    let there = std::fs::read(server.own_token()).expect("a file");
    std::fs::remove_file(server.own_token()).expect("a file");
    bed.clock.advance(secs(10));
    assert_refused(
        &bed,
        Variant::PLAIN,
        &usage(&token),
        503,
        "review_unavailable",
    );
    let event = bed.proxy.await_event("review.failed");
    assert!(
        event["error"]
            .as_str()
            .unwrap_or_default()
            .starts_with("our own token: "),
        "{event}"
    );
    std::fs::write(server.own_token(), there).expect("a file");
    bed.clock.advance(secs(1));
    assert_forwarded(&bed, Variant::PLAIN, &usage(&token));
    bed.proxy.await_event("review.recovered");
    reconcile(&bed);
}

#[test]
fn token_review_without_the_right_to_ask_is_503_and_says_what_is_missing() {
    let server = ApiServer::start();
    let bed = bed(&server);
    let token = atlas(&server, &bed);
    server.forbid();
    assert_refused(
        &bed,
        Variant::PLAIN,
        &usage(&token),
        503,
        "review_unavailable",
    );
    let event = bed.proxy.await_event("review.failed");
    assert_eq!(event["level"], "error");
    assert_eq!(
        event["error"],
        "our own credentials are refused: status 403"
    );
    assert!(
        event["hint"]
            .as_str()
            .unwrap_or_default()
            .contains("system:auth-delegator"),
        "{event}"
    );
    let told = review(&bed);
    assert_eq!(told["health"], "failing");
    assert_eq!(told["reviews_credentials"], 1);
    assert_eq!(
        told["last_error"],
        "our own credentials are refused: status 403"
    );
    // It is not taken out of service for it: it would never ask again.
    let ready = bed.proxy.admin_get("/readyz?verbose");
    assert_eq!(ready.status, 200);
    assert!(
        ready
            .text()
            .contains("tokens of issuer atlas could not be reviewed"),
        "{}",
        ready.text()
    );
    let page = bed.proxy.admin_get("/").expect(200).text();
    assert!(page.contains("our own credentials are refused"), "{page}");

    server.permit();
    bed.clock.advance(secs(1));
    assert_forwarded(&bed, Variant::PLAIN, &usage(&token));
    let told = review(&bed);
    assert_eq!(
        (&told["health"], &told["last_error"]),
        (&json!("usable"), &Value::Null)
    );
    reconcile(&bed);
}

#[test]
fn token_review_what_the_answer_says_is_not_believed_blindly() {
    let server = ApiServer::start();
    let bed = bed(&server);
    let fresh = |id: &str, status: Value| {
        let token = projected(&keys::RSA_1, "atlas-production", "atlas", now(&bed))
            .claim("jti", id)
            .sign();
        server.says(&token, status);
        token
    };
    let with = |pointer: &str, value: Value| {
        let mut status = status("atlas-production", "atlas");
        *status.pointer_mut(pointer).expect(pointer) = value;
        status
    };
    for (id, status, refusal) in [
        ("good", status("atlas-production", "atlas"), None),
        (
            "two audiences",
            with("/audiences", json!(["other", "usage-api"])),
            None,
        ),
        (
            "another audience",
            with("/audiences", json!(["https://kubernetes.default.svc"])),
            Some((401, "token_audience")),
        ),
        (
            "no audience",
            with("/audiences", json!([])),
            Some((401, "token_audience")),
        ),
        (
            "a person",
            with("/user/username", json!("alice")),
            Some((401, "token_service_account")),
        ),
        (
            "a node",
            with("/user/username", json!("system:node:one")),
            Some((401, "token_service_account")),
        ),
        // The token says atlas, the cluster says other: the cluster is right.
        (
            "another account",
            with(
                "/user/username",
                json!("system:serviceaccount:atlas-production:other"),
            ),
            Some((403, "caller_not_allowed")),
        ),
        (
            "not authenticated",
            with("/authenticated", json!(false)),
            Some((401, "token_inactive")),
        ),
        (
            "not quite true",
            with("/authenticated", json!("true")),
            Some((503, "review_unavailable")),
        ),
        (
            "groups as a text",
            with("/user/groups", json!("system:masters")),
            Some((503, "review_unavailable")),
        ),
    ] {
        let request = usage(&fresh(id, status));
        match refusal {
            None => drop(assert_forwarded(&bed, Variant::PLAIN, &request)),
            Some((status, reason)) => drop(assert_refused(
                &bed,
                Variant::PLAIN,
                &request,
                status,
                reason,
            )),
        }
    }
    // Nobody is asked about tokens of others, or about none at all.
    let asked = server.asked();
    assert_refused(
        &bed,
        Variant::PLAIN,
        &usage("opaque"),
        401,
        "token_malformed",
    );
    let elsewhere = bed.token().sign();
    assert_refused(
        &bed,
        Variant::PLAIN,
        &usage(&elsewhere),
        401,
        "token_issuer",
    );
    assert_refused(
        &bed,
        Variant::PLAIN,
        &Request::get("/usage"),
        401,
        "no_token",
    );
    assert_forwarded(&bed, Variant::PLAIN, &Request::get("/optional"));
    let anybody = fresh("public", status("atlas-production", "atlas"));
    assert_forwarded(
        &bed,
        Variant::PLAIN,
        &Request::get("/health").bearer(&anybody),
    );
    assert_eq!(server.asked(), asked);
    reconcile(&bed);
}

#[test]
fn token_review_two_tokens_of_a_request_are_two_questions() {
    let server = ApiServer::start();
    let bed = bed(&server);
    let (first, runner) = (
        atlas(&server, &bed),
        server.token("tools", "runner", now(&bed)),
    );
    let both = |actor: &str| {
        Request::get("/both")
            .bearer(&first)
            .header("x-actor", actor)
    };
    let seen = assert_forwarded(&bed, Variant::PLAIN, &both(&runner));
    assert_eq!(seen.header("x-actor"), None);
    assert_eq!(server.asked(), 2);
    let unknown = projected(&keys::RSA_1, "tools", "runner", now(&bed))
        .claim("jti", "2")
        .sign();
    assert_refused(&bed, Variant::PLAIN, &both(&unknown), 401, "actor_invalid");
    assert_refused(&bed, Variant::PLAIN, &both(&first), 403, "condition_actor");
    // Where the second one cannot be judged, that is 503 as well.
    server.idp.is(crate::bed::idp::State::Refusing);
    let other = projected(&keys::RSA_1, "tools", "runner", now(&bed))
        .claim("jti", "3")
        .sign();
    assert_refused(
        &bed,
        Variant::PLAIN,
        &both(&other),
        503,
        "review_unavailable",
    );
    assert_forwarded(&bed, Variant::PLAIN, &both(&runner));
    reconcile(&bed);
}

#[test]
fn token_review_a_reload_forgets_what_another_reviewer_said() {
    let server = ApiServer::start();
    let bed = bed(&server);
    let token = atlas(&server, &bed);
    assert_forwarded(&bed, Variant::PLAIN, &usage(&token));
    // Nothing of it changed.
    bed.proxy.reload(&bed.text).expect("a reload");
    assert_forwarded(&bed, Variant::PLAIN, &usage(&token));
    assert_eq!(server.asked(), 1);
    // For how long an answer counts.
    let shorter = bed
        .text
        .replace("token_review: {", "token_review: {max_cache: 1s, ");
    bed.proxy.reload(&shorter).expect("a reload");
    assert_forwarded(&bed, Variant::PLAIN, &usage(&token));
    assert_eq!(server.asked(), 2);
    // Somebody else.
    let other = ApiServer::start();
    let elsewhere = bed.text.replace(&server.url(), &other.url()).replace(
        &server.own_token().display().to_string(),
        &other.own_token().display().to_string(),
    );
    bed.proxy.reload(&elsewhere).expect("a reload");
    assert_refused(&bed, Variant::PLAIN, &usage(&token), 401, "token_inactive");
    assert_eq!((server.asked(), other.asked()), (2, 1));
    reconcile(&bed);
}
