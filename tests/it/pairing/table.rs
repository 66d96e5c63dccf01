//! The rows of `tests/it/data/dpop.txt`, through a running proxy.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::proofs::Client;
use crate::bed::{
    Bed, Request, Setup, Upstream, Variant, assert_forwarded, assert_refused, exchanged, reconcile,
    refused_everywhere,
};
use crate::invariants::tokens::table::rows;

const POLICY: &str = "
issuers:
  - {name: main, issuer: @ISSUER@, jwks: {file: @DIR@/jwks.json}, audiences: [api], dpop: accept}
  - {name: strict, issuer: 'https://strict.example', jwks: {file: @DIR@/jwks.json}, audiences: [api], dpop: {mode: require, algorithms: [ES256], lifetime: 10s}}
  - {name: off, issuer: 'https://off.example', jwks: {file: @DIR@/jwks.json}, audiences: [api]}
callers: {web: {issuer: main, client: web}}
routes:
  - {path: /health, allow: anyone}
  - {path: /any/**, allow: web}
  - {path: /strict, allow: {issuer: strict}}
  - {path: /off, allow: {issuer: off}}
  - {path: /open, allow: anyone, authorization: forward}
  - {path: /kept, allow: web, authorization: forward}
  - {path: /scoped, allow: {issuer: main, scopes: [write]}}
";

const INBOUND: &str = "external_url: ['https://api.test', 'http://plain.test:8080']";

fn bed() -> Bed {
    Setup::bare(POLICY).inbound(INBOUND).tls().start()
}

#[test]
fn a_proof_is_for_one_request_made_now_by_the_key_of_the_token() {
    let text = include_str!("../data/dpop.txt");
    let trap = Upstream::start();
    let bed = bed();
    let mut client = Client::new(&bed);
    client.names.push(("trap", trap.url()));
    let rows = rows(text);
    assert!(rows.len() > 150, "{}", rows.len());
    let mut wrong = Vec::new();
    for row in rows {
        let judge = || match row.expected.split_once(' ') {
            None if row.expected == "pass" => {
                for variant in Variant::ALL {
                    let request = client.request(&row.steps);
                    if variant.can_say(&request) {
                        let seen = assert_forwarded(&bed, variant, &request);
                        assert_eq!(seen.header("dpop").or(seen.header("authorization")), None);
                    }
                }
            }
            None => refused_everywhere(&bed, &client.request(&row.steps), 401, &row.expected),
            Some((status, reason)) => {
                let status = status.parse().expect("a status");
                refused_everywhere(&bed, &client.request(&row.steps), status, reason);
            }
        };
        if catch_unwind(AssertUnwindSafe(judge)).is_err() {
            wrong.push(format!("line {}: {}", row.line, row.steps));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(trap.connections(), 0, "nobody follows a proof's links");
    reconcile(&bed);
}

#[test]
fn a_proof_never_reaches_the_upstream() {
    let bed = bed();
    let client = Client::new(&bed);
    // A token that was bound stays here too, where the route forwards the others: what is left proves nothing.
    for (steps, authorization) in [
        ("path /kept", false),
        ("path /kept ; scheme Bearer ; access claim -cnf", true),
        ("path /open", true),
        ("path /open ; scheme Bearer", true),
        ("path /any/x", false),
    ] {
        for variant in Variant::ALL {
            let request = client.request(steps);
            let seen = assert_forwarded(&bed, variant, &request);
            assert_eq!(seen.header("dpop"), None, "{steps}");
            assert_eq!(
                seen.header("authorization").is_some(),
                authorization,
                "{steps}"
            );
        }
    }
    // Nor does another spelling of the field.
    let request = Request::get("/open")
        .header("d_pop", "x")
        .header("DPOP", "a-proof-of-sorts");
    let seen = assert_forwarded(&bed, Variant::PLAIN, &request);
    assert_eq!(seen.header("d_pop").or(seen.header("dpop")), None);
}

#[test]
fn a_token_is_verified_once_and_every_proof_of_it() {
    let bed = bed();
    let client = Client::new(&bed);
    let count = |outcome| {
        bed.proxy
            .metric("countersign_token_cache_lookups_total", outcome)
    };
    for _ in 0..5 {
        assert_forwarded(&bed, Variant::PLAIN, &client.request("as issued"));
        // In between: a proof that does not hold beside a token that is known to.
        let bad = client.request("signature flip 3");
        assert_refused(&bed, Variant::PLAIN, &bad, 401, "dpop_signature");
        let stolen = client.request("scheme Bearer ; proofs 0");
        assert_refused(&bed, Variant::PLAIN, &stolen, 401, "token_bound");
    }
    crate::bed::eventually("what the sweeper tells", || {
        bed.clock.advance(std::time::Duration::from_millis(250));
        count("outcome=\"hit\"") >= 14.0 && count("outcome=\"miss\"") <= 1.0
    });
}

#[track_caller]
fn challenges(bed: &Bed, request: &Request, status: u16) -> Vec<String> {
    let answer = exchanged(bed, Variant::PLAIN, request).expect(status);
    let all = answer.all("www-authenticate");
    all.into_iter().map(str::to_owned).collect()
}

#[test]
fn challenges_name_both_schemes_and_what_was_wrong_with_which() {
    let bed = bed();
    let client = Client::new(&bed);
    let algs = "algs=\"RS256 PS256 ES256 ES384 EdDSA Ed25519\"";
    let realm = "realm=\"countersign\"";
    assert_eq!(
        challenges(&bed, &Request::get("/any/x"), 401),
        [format!("Bearer {realm}"), format!("DPoP {realm}, {algs}")]
    );
    // A stolen token looks like any other that does not hold.
    for steps in [
        "scheme Bearer",
        "scheme Bearer ; credential a.b.c",
        "credential a.b.c",
        "access claim -cnf",
        "access claim exp=1",
    ] {
        assert_eq!(
            challenges(&bed, &client.request(steps), 401),
            [
                format!("Bearer {realm}, error=\"invalid_token\""),
                format!("DPoP {realm}, error=\"invalid_token\", {algs}")
            ],
            "{steps}"
        );
    }
    for steps in [
        "proofs 0",
        "signature flip 1",
        "claim iat=0",
        "holds es384-1",
    ] {
        let request = client.request(steps);
        let answer = exchanged(&bed, Variant::PLAIN, &request).expect(401);
        assert_eq!(
            answer.all("www-authenticate"),
            [format!(
                "DPoP {realm}, error=\"invalid_dpop_proof\", {algs}"
            )],
            "{steps}"
        );
        assert_eq!(
            answer.json()["type"],
            "urn:countersign:problem:invalid_dpop_proof"
        );
        assert_eq!(answer.header("dpop-nonce"), None);
    }
    let scope = "error=\"insufficient_scope\", scope=\"write\"";
    assert_eq!(
        challenges(&bed, &client.request("path /scoped"), 403),
        [
            format!("Bearer {realm}, {scope}"),
            format!("DPoP {realm}, {scope}, {algs}")
        ]
    );
}

#[test]
fn where_all_want_proofs_nobody_is_asked_for_a_bearer() {
    let policy = "
issuers:
  - {name: main, issuer: @ISSUER@, jwks: {file: @DIR@/jwks.json}, audiences: [api], dpop: {mode: require, algorithms: [ES256, ES384]}}
routes: [{path: /**, allow: {issuer: main}}]
";
    let bed = Setup::bare(policy)
        .inbound("resource_metadata: {resource: 'https://api.test/v1'}")
        .start();
    let metadata = "https://api.test/.well-known/oauth-protected-resource/v1";
    let start = format!("DPoP realm=\"countersign\", resource_metadata=\"{metadata}\"");
    let algs = "algs=\"ES256 ES384\"";
    assert_eq!(
        challenges(&bed, &Request::get("/x"), 401),
        [format!("{start}, {algs}")]
    );
    let plain = Request::get("/x").bearer(bed.token().sign());
    assert_eq!(
        challenges(&bed, &plain, 401),
        [format!("{start}, error=\"invalid_token\", {algs}")]
    );
    // The resource's origin is what proofs are for, its path is not looked at.
    let client = Client::new(&bed);
    assert_forwarded(&bed, Variant::PLAIN, &client.request("path /any/x"));
    let told = bed
        .send(&Request::get("/.well-known/oauth-protected-resource"))
        .expect(200)
        .json();
    assert_eq!(
        told["dpop_signing_alg_values_supported"],
        serde_json::json!(["ES256", "ES384"])
    );
    assert_eq!(told["dpop_bound_access_tokens_required"], true);
    assert_eq!(told["bearer_methods_supported"], serde_json::json!([]));
}
