//! Documents that load, and what they become.

use super::*;

#[test]
fn a_minimal_document_loads_without_a_warning() {
    let place = Place::new();
    let config = place
        .load(MINIMAL)
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert!(config.warnings.is_empty(), "{}", config.warnings);
    assert_eq!(config.files, [place.path("jwks.json")]);
    assert_eq!(config.policy.routes().len(), 1);
}

/// The shape of the benchmark's configuration: every address quoted or not, flow and block style mixed.
#[test]
fn the_configuration_of_the_benchmark_loads() {
    let place = Place::new();
    let text = format!(
        "\
workers: 1
inbound:
  listen: 127.0.0.1:18080
  upstream: http://127.0.0.1:18081
admin:
  listen: 127.0.0.1:0
issuers:
  - name: bench
    issuer: \"https://issuer.bench\"
    jwks: {{file: \"{}\"}}
    audiences: [\"bench-api\"]
    clients: [bench-web]
    algorithms: [\"RS256\"]
identity:
  headers: {{x-auth-subject: subject, x-auth-client: client, x-auth-scopes: scopes}}
  assertion: {{header: x-auth-assertion, audience: bench, lifetime: 60s}}
callers:
  web: {{issuer: bench, client: bench-web}}
routes:
  - path: /**
    allow:
      GET: [{{caller: web, scopes: [orders.read]}}]
log: {{access: none}}
",
        place.path("jwks.json").display()
    );
    let config = place
        .load(&text)
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert!(config.warnings.is_empty(), "{}", config.warnings);
    assert_eq!(config.workers, 1);
    assert_eq!(config.identity.headers.len(), 3);
    assert!(config.identity.assertion.is_some());
}
