//! Invariants 11, 13, 15 and 16 where a configuration asks for more, or for less, than the rest of the tests do.

use serde_json::json;

use crate::bed::{Request, Setup, forwarded_everywhere, keys, refused_everywhere};

const ISSUER: &str = "
issuers:
  - name: main
    issuer: @ISSUER@
    jwks: {file: @DIR@/jwks.json}
    audiences: [api]
    required_claims: [azp]
    claim_mappings: {account: account}
";

#[test]
fn invariant_13_exp_is_required_whatever_is_configured() {
    let lines = format!(
        "{ISSUER}routes: [{{path: /health, allow: anyone}}, {{path: /x, allow: {{issuer: main}}}}]\n"
    );
    let bed = Setup::bare(&lines).tls().start();
    let go = |token: crate::bed::Token| Request::get("/x").bearer(token.sign());
    for exp in [
        json!(null),
        json!("9999999999"),
        json!([9_999_999_999_i64]),
        json!(true),
    ] {
        let request = go(bed.token().claim("exp", exp));
        refused_everywhere(&bed, &request, 401, "token_claim");
    }
    refused_everywhere(&bed, &go(bed.token().without("exp")), 401, "token_claim");
    refused_everywhere(&bed, &go(bed.token().without("azp")), 401, "token_claim");
    forwarded_everywhere(&bed, &go(bed.token().without("sub")));
}

const TOGETHER: &str = "
routes:
  - {path: /health, allow: anyone}
  - path: /all
    allow: {issuer: main, client: web, scopes: [read], roles: [admin], groups: [staff], claims: {tenant: acme}, account: required}
  - {path: /either, allow: [{issuer: main, client: web, scopes: [read]}, {issuer: main, roles: [admin]}]}
";

/// A claim, and a value of it that fails the condition on it.
const FAILING: &[(&str, &str)] = &[
    ("azp", "other"),
    ("scope", "write"),
    ("roles", "user"),
    ("groups", "guests"),
    ("tenant", "other"),
    ("account", ""),
];

#[test]
fn invariant_15_all_conditions_of_an_alternative_hold_together() {
    let bed = Setup::bare(&format!("{ISSUER}{TOGETHER}")).tls().start();
    let good = || {
        bed.token()
            .claim("roles", json!(["admin"]))
            .claim("groups", json!(["staff"]))
            .claim("tenant", "acme")
            .claim("account", "a")
    };
    let go = |path: &str, token: crate::bed::Token| Request::get(path).bearer(token.sign());
    let reason = "caller_not_allowed|scope_missing|condition_roles|condition_groups|condition_claims|account_required|account_mismatch|condition_client";
    for (claim, value) in FAILING {
        let request = go("/all", good().claim(claim, *value));
        refused_everywhere(&bed, &request, 403, reason);
    }
    forwarded_everywhere(&bed, &go("/all", good()));
    // What one alternative asks for does not make up for what another one lacks.
    let pieces = bed
        .token()
        .claim("azp", "other")
        .claim("roles", json!(["user"]));
    refused_everywhere(&bed, &go("/either", pieces), 403, reason);
    let one = bed
        .token()
        .claim("azp", "other")
        .claim("roles", json!(["admin"]));
    forwarded_everywhere(&bed, &go("/either", one));
    forwarded_everywhere(&bed, &go("/either", bed.token()));
}

const ACCOUNTS: &str = "
routes:
  - {path: /health, allow: anyone}
  - {path: '/users/{account}/data', allow: {issuer: main, account: '{account}'}, paths: [encoded_slash]}
  - {path: /own, allow: {issuer: main, account: required}}
";

#[test]
fn invariant_16_an_account_is_no_path_and_not_nothing() {
    let bed = Setup::bare(&format!("{ISSUER}{ACCOUNTS}")).tls().start();
    let go = |path: &str, account: serde_json::Value| {
        Request::get(path).bearer(bed.token().claim("account", account).sign())
    };
    // The upstream may take `a%2fb` for `a`, and the rest for something else.
    for account in ["a/b", "a", "b", "a%2fb"] {
        let request = go("/users/a%2fb/data", json!(account));
        refused_everywhere(&bed, &request, 403, "account_mismatch");
    }
    for account in [json!(""), json!(null), json!(["a"]), json!(1)] {
        refused_everywhere(&bed, &go("/own", account), 403, "account_required");
    }
    forwarded_everywhere(&bed, &go("/users/a/data", json!("a")));
    forwarded_everywhere(&bed, &go("/own", json!("a")));
}

const ONE_KEY: &str = "
issuers:
  - {name: main, issuer: @ISSUER@, jwks: {file: @DIR@/one.json}, audiences: [api]}
  - {name: only, issuer: 'https://only.example', jwks: {file: @DIR@/one.json}, audiences: [api], key_id: only_key}
  - {name: several, issuer: 'https://several.example', jwks: {file: @DIR@/jwks.json}, audiences: [api], key_id: only_key}
routes:
  - {path: /health, allow: anyone}
  - {path: /x, allow: [{issuer: main}, {issuer: only}, {issuer: several}]}
";

#[test]
fn invariant_11_a_token_without_kid_needs_the_rule_and_an_only_key() {
    let set = json!({"keys": [keys::RSA_1.jwk()]}).to_string();
    let bed = Setup::bare(ONE_KEY).file("one.json", &set).tls().start();
    let of = |issuer: &str| bed.token().claim("iss", issuer);
    let go = |token: crate::bed::Token| Request::get("/x").bearer(token.sign());
    for issuer in [&*bed.issuer.iss, "https://several.example"] {
        let nameless = go(of(issuer).without_header("kid"));
        refused_everywhere(&bed, &nameless, 401, "token_unknown_key");
        forwarded_everywhere(&bed, &go(of(issuer)));
    }
    let nameless = go(of("https://only.example").without_header("kid"));
    forwarded_everywhere(&bed, &nameless);
    // A name that is not there is not no name.
    let other = go(of("https://only.example").header("kid", "rsa-9"));
    refused_everywhere(&bed, &other, 401, "token_unknown_key");
}
