//! npm's `oidc-provider`: opaque tokens, asked about by a client of ours. (It does not introspect JWTs.)

use crate::bed::{Bed, Request, Setup, Variant, assert_forwarded, assert_refused, keys, reconcile};
use crate::real_idp::{Provider, SECRET};

/// The test's own lines, around what is asked.
fn bed(provider: &Provider, client: &str, more: &str) -> Bed {
    let config = format!(
        r#"
issuers:
  - name: provider
    issuer: "{}"
    verify:
      introspection:
        discover: true
        {client}
        max_cache: 0s
    audiences: [usage-api]
    required_claims: [client_id]
    {more}
identity:
  headers: {{x-auth-client: client, x-auth-scopes: scopes}}
callers: {{agent: {{issuer: provider, client: secret-client, scopes: [usage:read]}}}}
routes:
  - {{path: /health, allow: anyone}}
  - {{path: /usage, allow: agent}}
"#,
        provider.issuer()
    );
    Setup::bare(&config)
        .file("secret", SECRET)
        .file("wrong", "not the secret")
        .file("key.pem", keys::ES256_1.pem())
        .system_clock()
        .start()
}

const BASIC: &str = r#"client_id: post-client
        client_authentication: {client_secret_post: {file: "@DIR@/secret"}}"#;

fn usage(token: &str) -> Request {
    Request::get("/usage").bearer(token)
}

#[test]
fn introspection_by_a_real_idp_of_opaque_tokens_until_they_are_revoked() {
    let Some(provider) = Provider::start() else {
        return;
    };
    let bed = bed(&provider, BASIC, "");
    let opaque = provider.token("usage-api:opaque");
    assert!(!opaque.contains('.'), "{opaque}");
    let seen = assert_forwarded(&bed, Variant::PLAIN, &usage(&opaque));
    assert_eq!(seen.header("x-auth-client"), Some("secret-client"));
    assert_eq!(seen.header("x-auth-scopes"), Some("usage:read"));
    // Of the same provider, for somebody else.
    let elsewhere = provider.token("other-api:opaque");
    assert_refused(
        &bed,
        Variant::PLAIN,
        &usage(&elsewhere),
        401,
        "token_audience",
    );
    assert_refused(
        &bed,
        Variant::PLAIN,
        &usage("invented"),
        401,
        "token_inactive",
    );
    // Revoked where it came from: seen with the next request, since nothing is remembered here.
    provider.revoke(&opaque);
    assert_refused(&bed, Variant::PLAIN, &usage(&opaque), 401, "token_inactive");
    reconcile(&bed);
}

#[test]
fn introspection_by_a_real_idp_with_a_key_and_with_a_wrong_secret() {
    let Some(provider) = Provider::start() else {
        return;
    };
    let signed = r#"client_id: key-client
        client_authentication: {private_key_jwt: {key: {file: "@DIR@/key.pem"}, kid: es256-1}}"#;
    let asking = bed(&provider, signed, "");
    let opaque = provider.token("usage-api:opaque");
    assert_forwarded(&asking, Variant::PLAIN, &usage(&opaque));
    reconcile(&asking);

    let wrong = BASIC.replace("/secret", "/wrong");
    let refused = bed(&provider, &wrong, "");
    assert_refused(
        &refused,
        Variant::PLAIN,
        &usage(&opaque),
        503,
        "review_unavailable",
    );
    let event = refused.proxy.await_event("review.failed");
    assert_eq!(
        event["error"],
        "our own credentials are refused: status 401, invalid_client"
    );
    reconcile(&refused);
}

#[test]
fn introspection_by_a_real_idp_sees_a_token_end() {
    let Some(provider) = Provider::start() else {
        return;
    };
    let bed = bed(&provider, BASIC, "max_lifetime: 10m");
    let short = provider.token("usage-api:brief");
    // The provider says when it ends; it lives for a second at most.
    crate::bed::eventually("the end of the token", || {
        let answer = bed.send(&usage(&short));
        assert!([200, 401].contains(&answer.status), "{}", answer.status);
        answer.status == 401
    });
    let opaque = provider.token("usage-api:opaque");
    assert_forwarded(&bed, Variant::PLAIN, &usage(&opaque));
    // With the provider gone, nothing can be said: 503, not a pass.
    drop(provider);
    assert_refused(
        &bed,
        Variant::PLAIN,
        &usage(&opaque),
        503,
        "review_unavailable",
    );
    reconcile(&bed);
}
