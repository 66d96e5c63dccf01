//! `verify` of an issuer.

#![expect(clippy::too_many_lines, reason = "tables")]

use std::time::Duration;

use super::*;
use crate::review::{IntrospectionEndpoint, ReviewEndpoint, Roots};

const KEYS: &str = "    jwks: {file: jwks.json}\n";

/// [`MINIMAL`] with these lines instead of its keys.
fn verified(lines: &str) -> String {
    with(KEYS, lines)
}

fn cluster(more: &str) -> String {
    verified(&format!(
        "    kubernetes: true\n    verify: {{token_review: {{{more}}}}}\n"
    ))
    .replace("client: agent", "service_account: a/b")
}

const CLIENT: &str =
    "client_id: api, client_authentication: {client_secret_basic: {file: client-secret}}";

fn introspected(more: &str) -> String {
    verified(&format!(
        "    verify: {{introspection: {{{CLIENT}{more}}}}}\n"
    ))
}

#[test]
fn an_issuer_may_be_asked_about_instead_of_having_keys() {
    let place = Place::new();
    let config = place.load(&cluster("")).unwrap();
    let (issuer, verifier) = &config.issuers[0];
    let review = verifier.review().unwrap();
    assert!(issuer.kubernetes && verifier.keys().is_none());
    assert_eq!(issuer.required_claims, ["sub"]);
    assert_eq!(issuer.max_lifetime, Some(Duration::from_secs(24 * 3600)));
    assert_eq!(
        (review.max_cache, review.timeout),
        (Duration::from_secs(10), Duration::from_secs(2))
    );
    let ReviewEndpoint::TokenReview {
        server,
        token,
        audiences,
    } = &review.endpoint
    else {
        panic!("a TokenReview");
    };
    assert_eq!(server, "https://kubernetes.default.svc");
    assert_eq!(token.to_str(), Some(crate::review::OWN_TOKEN));
    assert_eq!(audiences, &["api"]);
    assert!(
        matches!(&review.roots, Roots::File(path) if path.to_str() == Some(crate::review::CLUSTER_CA))
    );

    let config = place.load(&introspected(", discover: true")).unwrap();
    let review = config.issuers[0].1.review().unwrap();
    let ReviewEndpoint::Introspection {
        endpoint,
        issuer,
        client_id,
        opaque,
        ..
    } = &review.endpoint
    else {
        panic!("introspection");
    };
    assert_eq!(*endpoint, IntrospectionEndpoint::Discover);
    assert_eq!(issuer, "https://id.example.org");
    assert_eq!(client_id.as_deref(), Some("api"));
    assert!(*opaque);
    // `exp` is required where it is written, and only there.
    let strict = introspected(", discover: true")
        .replace("audiences:", "required_claims: [exp]\n    audiences:");
    assert_eq!(
        place.load(&strict).unwrap().issuers[0].0.required_claims,
        ["exp"]
    );
    for allowed in [
        introspected(", url: https://id.example.org/introspect"),
        introspected(", url: 'http://localhost:8080/introspect'"),
        introspected(", url: 'http://127.0.0.1/introspect', max_cache: 60s"),
        cluster("server: 'http://[::1]:8001', max_cache: 1m"),
    ] {
        let problems = place.problems(&allowed);
        assert!(problems.is_empty(), "{allowed}\n{problems:?}");
    }
}

#[test]
fn tokens_are_verified_in_one_way_and_the_words_say_which_is_missing() {
    let both = introspected(", discover: true").replace("    verify", &format!("{KEYS}    verify"));
    refused(&[
        (verified(""), "issuers[0]: `jwks` is missing"),
        (
            both,
            "issuers[0].jwks: `jwks` and `verify`: tokens of an issuer are verified in one way",
        ),
        (verified("    verify: {}\n"), "issuers[0].verify"),
        (
            verified(&format!(
                "    verify: {{token_review: {{}}, introspection: {{{CLIENT}, discover: true}}}}\n"
            )),
            "issuers[0].verify: takes one of `token_review` and `introspection`",
        ),
        (
            introspected(", discover: true")
                .replace("audiences:", "algorithms: [RS256]\n    audiences:"),
            "issuers[0].algorithms: `algorithms` is for signatures that are verified here",
        ),
        (
            introspected(", discover: true")
                .replace("audiences:", "key_id: only_key\n    audiences:"),
            "issuers[0].key_id: `key_id` is for signatures that are verified here",
        ),
        (
            cluster("").replace("kubernetes: true", "kubernetes: false"),
            "issuers[0].verify.token_review: an API server is asked about tokens of ServiceAccounts",
        ),
        (
            cluster("").replace("[api]", "unchecked"),
            "issuers[0].audiences: tokens of ServiceAccounts must be made for us",
        ),
        (
            introspected(", discover: true")
                .replace("    verify", "    kubernetes: true\n    verify"),
            "issuers[0].verify.introspection: a cluster has no introspection endpoint",
        ),
        (
            introspected(""),
            "introspection: takes one of `discover: true` and `url`",
        ),
        (
            introspected(", discover: false"),
            "introspection: takes one of `discover: true` and `url`",
        ),
        (
            introspected(", discover: true, url: https://id.example.org/i"),
            "introspection: takes one of `discover: true` and `url`",
        ),
        (
            introspected(", discover: true").replace("client_id: api, ", ""),
            "introspection: `client_id` is missing",
        ),
        (
            introspected(", discover: true")
                .replace("client_secret_basic: {file: client-secret}", ""),
            "client_authentication",
        ),
        (cluster("token: {file: nowhere}"), "token.file: "),
        (cluster("ca: {file: nowhere}"), "nowhere: no such file"),
        (cluster("max_cache: 61m"), "must be at most 1h"),
        (cluster("max_stale: 1h"), "unknown key `max_stale`"),
    ]);
}

#[test]
fn invariant_45_nobody_is_asked_over_plain_http_but_on_this_machine() {
    let expected = "questions about tokens over plain http";
    refused(&[
        (
            introspected(", url: http://id.example.org/introspect"),
            expected,
        ),
        (
            introspected(", url: HTTP://id.example.org/introspect"),
            expected,
        ),
        (
            introspected(", url: 'http://10.0.0.1:8080/introspect'"),
            expected,
        ),
        (
            introspected(", url: 'http://localhost.example.org/introspect'"),
            expected,
        ),
        (
            introspected(", discover: true")
                .replace("https://id.example.org", "http://id.example.org"),
            expected,
        ),
        (cluster("server: http://kubernetes.default.svc"), expected),
    ]);
}

#[test]
fn a_token_that_says_nothing_of_its_issuer_is_of_the_only_one() {
    let another = |more: &str| {
        introspected(", discover: true").replace(
            "callers:",
            &format!(
                "  - name: other\n    issuer: https://other.example.org\n    audiences: [api]\n    verify: {{introspection: {{{CLIENT}, discover: true{more}}}}}\ncallers:\n  other: {{issuer: other}}"
            ),
        )
    };
    refused(&[(
        another(""),
        "issuers[1].verify: `dls` (line 5) and `other` are both asked about tokens that are no JWTs",
    )]);
    let place = Place::new();
    let problems = place.problems(&another(", opaque: false"));
    assert!(problems.is_empty(), "{problems:?}");
    // Where such tokens pass untouched, nobody is asked about them.
    let untouched = |more: &str| {
        introspected(&format!(", discover: true{more}"))
            .replace("allow: agent", "allow: [agent, opaque]")
    };
    refused(&[(
        untouched(""),
        "`opaque` lets every token that is no JWT pass untouched: `dls`, which verifies such tokens",
    )]);
    place.load(&untouched(", opaque: false")).unwrap();
    let apart = introspected(", discover: true").replace(
        "allow: agent}",
        "allow: agent}\n  - {path: /projects, allow: opaque}",
    );
    place.load(&apart).unwrap();
}

#[test]
fn a_long_memory_of_answers_is_warned_of() {
    let place = Place::new();
    for (text, warned) in [
        (introspected(", discover: true, max_cache: 2m"), true),
        (cluster("max_cache: 1h"), true),
        (cluster("max_cache: 60s"), false),
        (cluster("max_cache: 0s"), false),
    ] {
        let problems = place.problems(&text);
        let found = problems.iter().any(|it| {
            it.contains("warning: ") && it.contains("a token that was revoked is taken for another")
        });
        assert_eq!(found, warned, "{text}\n{problems:?}");
        place.load(&text).unwrap();
    }
}
