//! The policy that most tests of the invariants use.

use super::{Bed, Setup};

/// Open, protected, per-method, per-account and closed routes, identity headers and an assertion.
pub const STANDARD: &str = r#"
identity:
  headers: {x-auth-subject: subject, x-auth-client: client, x-auth-account: account, x-auth-scopes: scopes, x-auth-email: claims.email}
  assertion: {header: x-auth-assertion, issuer: countersign, audience: api, lifetime: 60s}
callers:
  web: {issuer: main, client: web}
  operator: {issuer: main, client: operator}
routes:
  - path: [/health, /public]
    allow: anyone
  - path: /pki/ca/prod/**
    allow: anyone
  - path: /admin/**
    allow: operator
  - path: /orders/**
    allow:
      GET: {caller: web, scopes: [read]}
      POST, PUT: {caller: web, scopes: [write]}
  - path: /users/{account}/data
    allow: {issuer: main, account: "{account}"}
  - path: /any/**
    allow: web
  - path: /debug/**
    allow: nobody
"#;

/// [`STANDARD`] with a plain and a TLS listener, accounts in the claim `account`.
pub fn standard() -> Bed {
    setup().start()
}

/// The same before its start.
pub fn setup() -> Setup {
    Setup::bare(&format!("{ISSUER}{STANDARD}")).tls()
}

const ISSUER: &str = "
issuers:
  - name: main
    issuer: @ISSUER@
    jwks: {file: @DIR@/jwks.json}
    audiences: [api]
    algorithms: [RS256, ES256]
    claim_mappings: {account: account}
";
