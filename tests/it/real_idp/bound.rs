//! Tokens that the certified provider binds to a key of ours (DPoP, RFC 9449), with a nonce on each side, through both proxies.

use serde_json::{Value, json};

use super::credentials::{Place, RESOURCE};
use super::{Provider, SECRET};
use crate::bed::{Bed, Connection, Proxy, Request, Setup, Variant, assert_refused};

/// The service takes bound tokens only. Its place is not known before it is bound.
fn service(provider: &Provider) -> Bed {
    let config = r#"
issuers:
  - name: provider
    issuer: "@PROVIDER@"
    jwks: {discover: true, allow_http: true}
    audiences: [usage-api]
    algorithms: [ES256]
    token_types: [at+jwt]
    dpop: {mode: require, nonce: required}
identity:
  headers: {x-auth-client: client, x-auth-scopes: scopes}
routes:
  - path: /usage
    allow: {issuer: provider, scopes: [usage:read]}
"#;
    let bed = Setup::bare(&config.replace("@PROVIDER@", provider.issuer()))
        .inbound("external_url: 'http://127.0.0.1:1'")
        .system_clock()
        .start();
    bed.proxy
        .await_issuer_events("jwks.refreshed", "provider", 1);
    let place = format!("'http://{}'", bed.proxy.addr());
    bed.proxy
        .reload(&bed.text.replace("'http://127.0.0.1:1'", &place))
        .expect("a good configuration");
    bed
}

/// The program's side.
fn calling(provider: &Provider, service: &Bed) -> Proxy {
    let text = format!(
        "workers: 1
admin: {{listen: 127.0.0.1:0}}
drain: {{delay: 0s, deadline: 1s}}
outbound: {{name: out, listen: 127.0.0.1:0, upstream: 'http://{}', credential: agent, paths: [/usage]}}
credentials:
  agent:
    token_endpoint: {{discover: '{}'}}
    allow_http: true
    client_id: bound-client
    client_authentication: {{client_secret_basic: {{file: agent.secret}}}}
    scopes: [usage:read]
    {RESOURCE}
    dpop: {{algorithm: ES256}}
",
        service.proxy.addr(),
        provider.issuer()
    );
    let folder = service.dir.path();
    std::fs::write(folder.join("agent.secret"), SECRET).expect("a file");
    let config = folder.join("calling.yaml");
    std::fs::write(&config, text).expect("a file");
    Proxy::try_start(&config, &service.clock, &["out"]).expect("a start")
}

#[test]
fn real_idp_binds_a_token_to_our_key_and_two_proxies_prove_that_it_is_ours() {
    let Some(provider) = Provider::start() else {
        return;
    };
    let service = service(&provider);
    let calling = calling(&provider, &service);
    let address = calling.address("out");
    for n in 1..=3 {
        let request = Request::get("/usage").host(&address.to_string());
        let response = Connection::open(address).exchange(request.bytes());
        assert_eq!(response.status, 200, "{n}: {}", calling.log_text());
        let seen = service.upstream.await_requests(n);
        assert_eq!(seen.header("x-auth-client"), Some("bound-client"));
        assert_eq!(seen.header("x-auth-scopes"), Some("usage:read"));
        for absent in ["authorization", "dpop"] {
            assert_eq!(seen.header(absent), None, "{absent} reached the backend");
        }
    }
    // The service's nonce was learned once; the provider's before there was a token at all.
    let reasons: Vec<Value> = (service.proxy.await_records(4).iter())
        .map(|record| record["reason"].clone())
        .collect();
    let learned = [json!("dpop_nonce"), Value::Null, Value::Null, Value::Null];
    assert_eq!(reasons, learned);
}

#[test]
fn real_idp_token_that_is_bound_opens_nothing_alone() {
    let Some(provider) = Provider::start() else {
        return;
    };
    let (place, service) = (Place::new(), service(&provider));
    let basic = "{client_secret_basic: {file: secret}}";
    let ask = |client: &str, more: &str| place.ask(&provider, client, basic, more);
    let with_proofs = format!("{RESOURCE}\n    dpop: {{algorithm: EdDSA}}");
    let (came, told) = ask("bound-client", &with_proofs);
    assert!(came, "{told}");
    assert!(told["claims"]["cnf"]["jkt"].is_string(), "{told}");
    let stolen = told["access_token"].as_str().expect("a token");
    for (scheme, reason) in [("Bearer", "token_bound"), ("DPoP", "dpop_missing")] {
        let request = Request::get("/usage").header("authorization", &format!("{scheme} {stolen}"));
        assert_refused(&service, Variant::PLAIN, &request, 401, reason);
    }
    // Nor does one that is bound to nothing.
    let (came, told) = ask("secret-client", RESOURCE);
    assert!(came, "{told}");
    assert_eq!(told["claims"].get("cnf"), None, "{told}");
    let request = Request::get("/usage").bearer(told["access_token"].as_str().expect("a token"));
    assert_refused(&service, Variant::PLAIN, &request, 401, "token_not_bound");
    // The provider keeps to it: this client gets no token without a proof.
    let (came, told) = ask("bound-client", RESOURCE);
    assert!(!came, "{told}");
    assert_eq!(told["oauth_error"], "invalid_grant", "{told}");
}
