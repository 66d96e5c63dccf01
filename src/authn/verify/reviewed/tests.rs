//! What an answer is worth.

#![expect(clippy::string_slice, reason = "ASCII")]
#![expect(clippy::too_many_lines, reason = "tables")]

use serde_json::{Value, json};

use super::*;
use crate::authn::credential::Source;
use crate::authn::tests::support::*;
use crate::authn::verify::{Origin, verify};
use crate::authn::{IssuerSettings, Issuers, TokenCache};

const OPAQUE: &str = "2YotnFZFEjr1zCsicMWpAA";

fn reviewer(kind: ReviewKind) -> Reviewer {
    Reviewer {
        kind,
        max_cache: std::time::Duration::from_secs(10),
        opaque: kind == ReviewKind::Introspection,
    }
}

fn of(settings: IssuerSettings, kind: ReviewKind) -> Issuers {
    let settings = IssuerSettings {
        required_claims: vec!["sub".to_owned()],
        ..settings
    };
    Issuers::new(vec![Arc::new(Issuer::new(
        settings,
        Arc::new(reviewer(kind)),
    ))])
}

fn introspecting() -> Issuers {
    of(settings(), ReviewKind::Introspection)
}

fn cluster() -> IssuerSettings {
    IssuerSettings {
        kubernetes: true,
        ..settings()
    }
}

/// What becomes of a token about which this was said at [`NOW`].
fn judged(
    token: &str,
    issuers: &Issuers,
    review: &Review,
    now: i64,
) -> Result<Rc<Verified>, String> {
    judged_with(token, issuers, review, now, &mut TokenCache::new(1 << 20))
}

fn judged_with(
    token: &str,
    issuers: &Issuers,
    review: &Review,
    now: i64,
    cache: &mut TokenCache,
) -> Result<Rc<Verified>, String> {
    let mut reviews = Vec::new();
    loop {
        let origin = Origin {
            source: Source::Bearer,
            issuer: None,
            reviews: &reviews,
        };
        match verify(token.as_bytes(), origin, issuers, cache, at(now)) {
            Ok(verified) => return Ok(verified),
            Err(Failure::Fault(fault)) => return Err(format!("{fault:?}")),
            Err(Failure::NeedsKey(_)) => return Err("needs a key".to_owned()),
            Err(Failure::NeedsReview(wanted)) if reviews.is_empty() => reviews.push(Reviewed {
                wanted,
                review: review.clone(),
                asked: at(NOW),
            }),
            Err(Failure::NeedsReview(_)) => return Err("asks twice".to_owned()),
        }
    }
}

fn said(claims: Value) -> Review {
    let mut answer = claims;
    answer["active"] = json!(true);
    Review::of_introspection(answer.to_string().as_bytes()).unwrap()
}

fn word(token: &str, issuers: &Issuers, review: &Review) -> String {
    match judged(token, issuers, review, NOW) {
        Ok(_) => "ok".to_owned(),
        Err(fault) => fault,
    }
}

#[test]
fn an_opaque_token_is_of_the_only_issuer_that_takes_such_tokens() {
    let issuers = introspecting();
    let review = said(claims());
    let verified = judged(OPAQUE, &issuers, &review, NOW).unwrap();
    assert_eq!(verified.subject(), Some("alice"));
    assert_eq!(verified.issuer().name().as_ref(), "dls");
    assert_eq!(verified.expires(), UnixTime::from_secs(NOW + 300));
    // Nobody takes them, or two do.
    assert_eq!(
        word(
            OPAQUE,
            &crate::authn::tests::support::issuers(vec![settings()]),
            &review
        ),
        "Malformed"
    );
    let other = IssuerSettings {
        name: "other".into(),
        issuers: vec!["https://other.example.org".to_owned()],
        ..settings()
    };
    let both = [settings(), other].map(|settings| {
        Arc::new(Issuer::new(
            settings,
            Arc::new(reviewer(ReviewKind::Introspection)),
        ))
    });
    let both = Issuers::new(both.to_vec());
    assert_eq!(word(OPAQUE, &both, &review), "Malformed");
    // Where it must be of one of them, that one is asked.
    let origin = Origin {
        source: Source::Header,
        issuer: Some("other"),
        reviews: &[],
    };
    match verify(
        OPAQUE.as_bytes(),
        origin,
        &both,
        &mut TokenCache::new(0),
        at(NOW),
    ) {
        Err(Failure::NeedsReview(wanted)) => assert_eq!(&**wanted.issuer.name(), "other"),
        other => panic!("{other:?}"),
    }
    for odd in ["", "a b", "=", "tok,en", "tökén"] {
        assert_eq!(word(odd, &issuers, &review), "Malformed", "{odd}");
    }
    assert_eq!(
        word(&"a".repeat(16 * 1024 + 1), &issuers, &review),
        "TooLarge"
    );
    assert_eq!(word(&"a".repeat(16 * 1024), &issuers, &review), "ok");
}

/// What is shaped like a JWT must be one: a token that says it is another issuer's is not shown to this one.
#[test]
fn invariant_48_a_jwt_is_found_by_its_issuer_and_shown_to_no_other() {
    let issuers = introspecting();
    let review = said(claims());
    assert_eq!(word(&rsa().token(&claims()), &issuers, &review), "ok");
    let other = claims_with(json!({"iss": "https://other.example.org"}));
    assert_eq!(word(&rsa().token(&other), &issuers, &review), "Issuer");
    for damaged in [
        "eyJhbGciOiJSUzI1NiJ9",
        "eyJhbGciOiJSUzI1NiJ9.e30.AA.AA.AA",
        "eyJ.e30.AA",
        "e30.e30.AA",
        "IHt9.e30.AA",
    ] {
        assert_eq!(word(damaged, &issuers, &review), "Malformed", "{damaged}");
    }
    // RFC 6750 has such an example: dots alone make no JWT.
    for opaque in ["mF_9.B5f-4.1JqM", "a.b.c.d.e", "ya29.a0Af"] {
        assert_eq!(word(opaque, &issuers, &review), "ok", "{opaque}");
    }
}

#[test]
fn nobody_is_asked_about_a_token_that_says_it_is_over() {
    let issuers = introspecting();
    let ask = |claims: Value| {
        let token = rsa().token(&claims);
        let origin = Origin {
            source: Source::Bearer,
            issuer: None,
            reviews: &[],
        };
        match verify(
            token.as_bytes(),
            origin,
            &issuers,
            &mut TokenCache::new(0),
            at(NOW),
        ) {
            Err(Failure::NeedsReview(_)) => "asked".to_owned(),
            Err(Failure::Fault(fault)) => format!("{fault:?}"),
            other => format!("{other:?}"),
        }
    };
    assert_eq!(ask(claims()), "asked");
    assert_eq!(ask(claims_with(json!({"exp": null, "iat": null}))), "asked");
    assert_eq!(ask(claims_with(json!({"exp": NOW - 61}))), "Expired");
    assert_eq!(ask(claims_with(json!({"nbf": NOW + 61}))), "NotYetValid");
    assert_eq!(ask(claims_with(json!({"exp": "never"}))), "Claim");
    assert_eq!(ask(claims_with(json!({"typ": "Refresh"}))), "Type");
}

#[test]
fn what_is_said_is_checked_as_the_claims_of_a_jwt_are() {
    let issuers = of(
        IssuerSettings {
            clients: Some(vec!["web".to_owned()]),
            ..settings()
        },
        ReviewKind::Introspection,
    );
    let base = || claims_with(json!({"client_id": "web"}));
    let with = |more: Value| {
        let mut claims = base();
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            }
        }
        word(OPAQUE, &issuers, &said(claims))
    };
    for (more, expected) in [
        (json!({}), "ok"),
        (json!({"iss": null}), "ok"),
        (json!({"iss": "https://other.example.org"}), "Issuer"),
        (json!({"iss": [ISS]}), "Issuer"),
        (json!({"aud": ["x", "api"]}), "ok"),
        (json!({"aud": null}), "Audience"),
        (json!({"aud": "api2"}), "Audience"),
        (json!({"aud": ["api", 7]}), "Audience"),
        (json!({"client_id": null}), "Client"),
        (json!({"client_id": "other"}), "Client"),
        (json!({"client_id": ["web"]}), "Client"),
        (json!({"exp": NOW - 61}), "Expired"),
        (json!({"exp": "7"}), "Claim"),
        (json!({"exp": null}), "ok"),
        (json!({"nbf": NOW + 61}), "NotYetValid"),
        (json!({"iat": NOW + 61}), "NotYetValid"),
        (json!({"sub": null}), "Claim"),
        (json!({"sub": 7}), "Claim"),
        (
            json!({"sub": "system:serviceaccount:a:b"}),
            "ServiceAccount",
        ),
        (json!({"cnf": {"other": "x"}}), "Confirmation"),
        (json!({"token_type": "Bearer"}), "ok"),
        (json!({"token_type": "bearer"}), "ok"),
        (json!({"token_type": "access_token"}), "ok"),
        (json!({"token_type": "refresh_token"}), "Type"),
        (json!({"token_type": "mac"}), "Type"),
        (json!({"token_type": ["Bearer"]}), "Type"),
        (json!({"token_use": "access_token"}), "ok"),
        (json!({"token_use": "refresh_token"}), "Type"),
        (json!({"token_use": "id"}), "Type"),
        (json!({"typ": "Bearer"}), "ok"),
        (json!({"typ": "Refresh"}), "Type"),
        (json!({"typ": "ID"}), "Type"),
        (json!({"token_type": "DPoP"}), "Confirmation"),
        (
            json!({"token_type": "DPoP", "cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}),
            "ok",
        ),
    ] {
        assert_eq!(with(more.clone()), expected, "{more}");
    }
    assert_eq!(word(OPAQUE, &issuers, &Review::Inactive), "Inactive");
}

/// Endpoints call refresh tokens active, too (RFC 7662 section 2.1). An audience tells them apart; without one, something must.
#[test]
fn where_audiences_are_unchecked_something_says_that_it_is_an_access_token() {
    let open = || {
        let settings = IssuerSettings {
            audiences: Audiences::Unchecked,
            ..settings()
        };
        of(settings, ReviewKind::Introspection)
    };
    let say = |more: Value| {
        let mut claims = claims_with(json!({"aud": null}));
        claims
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        word(OPAQUE, &open(), &said(claims))
    };
    assert_eq!(say(json!({})), "Type");
    for more in [
        json!({"token_type": "Bearer"}),
        json!({"typ": "Bearer"}),
        json!({"token_use": "access"}),
    ] {
        assert_eq!(say(more.clone()), "ok", "{more}");
    }
}

#[test]
fn a_verdict_lasts_as_long_as_the_answer_counts_and_never_longer_than_the_token() {
    let issuers = introspecting();
    let review = said(claims());
    let mut cache = TokenCache::new(1 << 20);
    let at_least = |now, cache: &mut TokenCache| {
        judged_with(OPAQUE, &issuers, &Review::Inactive, now, cache).is_ok()
    };
    judged_with(OPAQUE, &issuers, &review, NOW, &mut cache).unwrap();
    assert!(at_least(NOW, &mut cache));
    // `at` moves the wall clock; that ends it as well as the other one would.
    assert!(at_least(NOW + 9, &mut cache));
    assert!(!at_least(NOW + 10, &mut cache));

    // The token ends before the answer does (leeway included).
    let short = said(claims_with(json!({"exp": NOW - 55})));
    judged_with(OPAQUE, &issuers, &short, NOW, &mut cache).unwrap();
    assert!(at_least(NOW + 4, &mut cache));
    assert!(!at_least(NOW + 5, &mut cache));

    // It says nothing of its end: the answer's is its own.
    let endless = said(claims_with(json!({"exp": null, "iat": null})));
    let verified = judged(OPAQUE, &issuers, &endless, NOW).unwrap();
    assert_eq!(verified.expires(), UnixTime::from_secs(NOW + 10));
    // A JWT says it itself where the answer does not.
    let token = rsa().token(&claims_with(json!({"exp": NOW + 7})));
    let verified = judged(&token, &issuers, &endless, NOW).unwrap();
    assert_eq!(verified.expires(), UnixTime::from_secs(NOW + 7));
}

#[test]
fn invariant_31_an_answer_is_about_one_token_and_one_issuer() {
    let issuers = introspecting();
    fn origin(reviews: &[Reviewed]) -> Origin<'_> {
        Origin {
            source: Source::Bearer,
            issuer: None,
            reviews,
        }
    }
    let ask = |token: &str, reviews: &[Reviewed]| {
        verify(
            token.as_bytes(),
            origin(reviews),
            &issuers,
            &mut TokenCache::new(0),
            at(NOW),
        )
    };
    let Err(Failure::NeedsReview(wanted)) = ask(OPAQUE, &[]) else {
        panic!("a question");
    };
    let told = [Reviewed {
        wanted,
        review: said(claims()),
        asked: at(NOW),
    }];
    assert!(ask(OPAQUE, &told).is_ok());
    assert!(matches!(
        ask("another", &told),
        Err(Failure::NeedsReview(_))
    ));
    assert!(matches!(
        ask(&OPAQUE[..21], &told),
        Err(Failure::NeedsReview(_))
    ));
    // The same definition of before a reload that changed the reviewer.
    let other = introspecting();
    let asked = verify(
        OPAQUE.as_bytes(),
        origin(&told),
        &other,
        &mut TokenCache::new(0),
        at(NOW),
    );
    assert!(matches!(asked, Err(Failure::NeedsReview(_))));
}

#[test]
fn t02_invariant_17_the_same_service_account_by_either_verifier() {
    let sub = "system:serviceaccount:atlas-production:atlas";
    let token = rsa().token(&claims_with(json!({
        "sub": sub,
        "jti": "7ee5",
        "kubernetes.io": {
            "namespace": "atlas-production",
            "serviceaccount": {"name": "atlas", "uid": "c3b1"},
            "pod": {"name": "atlas-0", "uid": "9d1c"},
        },
    })));
    let answer = |username: &str, audiences: Value| {
        let body = json!({
            "kind": "TokenReview",
            "apiVersion": "authentication.k8s.io/v1",
            "status": {
                "authenticated": true,
                "user": {
                    "username": username,
                    "uid": "c3b1",
                    "groups": ["system:serviceaccounts", "system:serviceaccounts:atlas-production", "system:authenticated"],
                    "extra": {
                        "authentication.kubernetes.io/credential-id": ["JTI=7ee5"],
                        "authentication.kubernetes.io/pod-name": ["atlas-0"],
                        "authentication.kubernetes.io/pod-uid": ["9d1c"],
                    },
                },
                "audiences": audiences,
            },
        });
        Review::of_token_review(body.to_string().as_bytes(), &["api".to_owned()]).unwrap()
    };
    let asked = of(cluster(), ReviewKind::TokenReview);
    let by_review = judged(&token, &asked, &answer(sub, json!(["api"])), NOW).unwrap();
    let offline = issuers(vec![cluster()]);
    let by_key = judged(&token, &offline, &Review::Inactive, NOW).unwrap();
    assert_eq!(by_review.subject(), by_key.subject());
    assert_eq!(
        by_review.service_account(),
        Some(("atlas-production", "atlas"))
    );
    assert_eq!(by_review.service_account(), by_key.service_account());
    assert_eq!(by_review.groups(), by_key.groups());
    assert_eq!(by_review.groups().len(), 3);
    assert_eq!(by_review.expires(), by_key.expires());
    for path in [
        "iss",
        "sub",
        "jti",
        "exp",
        "iat",
        "kubernetes.io.namespace",
        "kubernetes.io.serviceaccount.name",
        "kubernetes.io.serviceaccount.uid",
        "kubernetes.io.pod.name",
        "kubernetes.io.pod.uid",
    ] {
        let path = crate::authn::ClaimPath::parse(path).unwrap();
        let said = |verified: &Verified| {
            let value = verified.claims().get(&path).unwrap();
            value.as_str().map(str::to_owned)
        };
        assert_eq!(said(&by_review), said(&by_key), "{path}");
    }
    assert!(by_review.claims().top("aud").unwrap().contains("api"));

    for (username, audiences, expected) in [
        (sub, json!(["api"]), "ok"),
        (sub, json!([]), "Audience"),
        (sub, json!(["https://kubernetes.default.svc"]), "Audience"),
        ("alice", json!(["api"]), "ServiceAccount"),
        ("system:node:node-1", json!(["api"]), "ServiceAccount"),
        ("system:serviceaccount:a", json!(["api"]), "ServiceAccount"),
        ("system:serviceaccount::b", json!(["api"]), "ServiceAccount"),
        (
            "system:serviceaccount:a:b:c",
            json!(["api"]),
            "ServiceAccount",
        ),
    ] {
        let review = answer(username, audiences.clone());
        assert_eq!(
            word(&token, &asked, &review),
            expected,
            "{username} {audiences}"
        );
    }
    assert_eq!(word(&token, &asked, &Review::Inactive), "Inactive");
    // Nobody asks an API server about what is no JWT.
    assert_eq!(
        word(OPAQUE, &asked, &answer(sub, json!(["api"]))),
        "Malformed"
    );
}
