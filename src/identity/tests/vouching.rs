//! Which headers are sent, and when assertions are reused.

use super::*;

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|v| v.to_str().unwrap().to_owned())
}

fn unbound(settings: IdentitySettings) -> Identity {
    let assertion = assertion(SigningAlgorithm::Es256, Binding::NONE);
    let settings = IdentitySettings {
        assertion: Some(assertion),
        ..settings
    };
    Identity::new(settings, 1).unwrap()
}

#[test]
fn t14_the_principal_becomes_headers() {
    let identity = Identity::new(settings(), 1).unwrap();
    let mut asked = Asked::by(Principal::Known(alice()));
    asked.actor = Some(verified(&json!({"sub": "system:serviceaccount:a:b"})));
    let headers = asked.headers(&identity, NOW);
    for (name, value) in [
        ("x-auth-subject", Some("alice")),
        ("x-auth-client", Some("SmartEM_User")),
        ("x-auth-account", None),
        ("x-auth-scopes", Some("a:read b:write")),
        ("x-auth-email", Some("alice@example.org")),
        ("x-auth-caller", Some("user")),
        ("x-auth-actor", Some("system:serviceaccount:a:b")),
    ] {
        assert_eq!(text(&headers, name).as_deref(), value, "{name}");
    }
}

#[test]
fn s06_without_a_subject_its_header_is_absent_not_empty() {
    let identity = unbound(settings());
    let user = verified(&json!({"azp": "SmartEM_User", "fedId": "abc12345"}));
    let headers = Asked::by(Principal::Known(user)).headers(&identity, NOW);
    assert!(!headers.contains_key("x-auth-subject"));
    assert_eq!(
        text(&headers, "x-auth-client").as_deref(),
        Some("SmartEM_User")
    );
    let claims = reference::payload(&headers["x-auth-assertion"]);
    assert!(claims.get("sub").is_none() && claims.get("anonymous").is_none());
}

#[test]
fn invariant_19_ours_replaces_all_and_the_unsaid_disappears() {
    let identity = unbound(settings());
    for (principal, subjects) in [(Principal::Known(alice()), 1), (Principal::Anonymous, 0)] {
        let mut headers = HeaderMap::new();
        for name in identity.reserved() {
            for _ in 0..50 {
                headers.append(name.clone(), HeaderValue::from_static("forged"));
            }
        }
        headers.append("x-other", HeaderValue::from_static("forged"));
        let made = Asked::by(principal).vouch(&identity, NOW).unwrap();
        made.set_on(&mut headers);
        assert_eq!(headers.get_all("x-auth-subject").iter().count(), subjects);
        assert_eq!(headers.get_all("x-auth-assertion").iter().count(), 1);
        let forged = headers.iter().filter(|(_, value)| *value == "forged");
        assert_eq!(forged.count(), 1, "{headers:?}");
    }
}

#[test]
fn invariant_08_an_anonymous_request_carries_no_identity_and_says_so() {
    let settings = IdentitySettings {
        signature: Some(signature(SigningAlgorithm::EdDsa)),
        ..settings()
    };
    let identity = unbound(settings);
    for principal in [Principal::Anonymous, Principal::Opaque] {
        let headers = Asked::by(principal).headers(&identity, NOW);
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["signature", "signature-input", "x-auth-assertion"]);
        let claims = reference::payload(&headers["x-auth-assertion"]);
        assert_eq!(claims["anonymous"], true);
        for absent in [
            "sub",
            "idp",
            "client_id",
            "caller",
            "account",
            "scope",
            "act",
        ] {
            assert!(claims.get(absent).is_none(), "{absent}");
        }
        let input = text(&headers, "signature-input").unwrap();
        assert!(input.ends_with(";tag=\"countersign-anonymous\""), "{input}");
    }
    let known = Asked::by(Principal::Known(alice())).headers(&identity, NOW);
    let claims = reference::payload(&known["x-auth-assertion"]);
    assert_eq!(claims["sub"], "alice");
    assert!(claims.get("anonymous").is_none());
}

#[test]
fn the_assertion_says_what_is_documented() {
    let identity = unbound(settings());
    let mut asked = Asked::by(Principal::Known(verified(&json!({
        "sub": "a\"\\\n\u{1F600}", "azp": "c", "account": "acme", "scopes": ["x", "y"],
    }))));
    asked.actor = Some(verified(&json!({"sub": "robot"})));
    let headers = asked.headers(&identity, NOW);
    let mut claims = reference::payload(&headers["x-auth-assertion"]);
    let id = claims.as_object_mut().unwrap().remove("jti").unwrap();
    assert_eq!(id.as_str().unwrap().len(), 22);
    assert_eq!(
        claims,
        json!({
            "iss": "countersign", "aud": "usage-api", "iat": 1_700_000_000, "exp": 1_700_000_060,
            "sub": "a\"\\\n\u{1F600}", "idp": "dls", "client_id": "c", "caller": "user", "account": "acme",
            "scope": "x y", "act": {"sub": "robot", "idp": "dls"},
        })
    );
}

#[test]
fn an_assertion_ends_with_its_token() {
    let identity = unbound(settings());
    for (until, expires) in [(None, 60), (Some(3600), 60), (Some(60), 60), (Some(7), 7)] {
        let mut asked = Asked::by(Principal::Known(alice()));
        asked.until = until.map(|seconds| NOW.plus(seconds));
        let headers = asked.headers(&identity, NOW);
        let claims = reference::payload(&headers["x-auth-assertion"]);
        assert_eq!(claims["exp"], NOW.plus(expires).as_secs(), "{until:?}");
    }
}

#[test]
fn an_unbound_assertion_is_reused_until_half_its_life() {
    let identity = unbound(settings());
    for principal in [Principal::Known(alice()), Principal::Anonymous] {
        let asked = Asked::by(principal);
        let at = |seconds| asked.headers(&identity, NOW.plus(seconds))["x-auth-assertion"].clone();
        let first = at(0);
        assert_eq!(first, at(29));
        let second = at(30);
        assert_ne!(first, second);
        assert_eq!(second, at(59));
        assert_ne!(second, at(29), "the clock went back before it was issued");
    }
    let mut asked = Asked::by(Principal::Known(alice()));
    asked.until = Some(NOW.plus(50));
    let at = |seconds| asked.headers(&identity, NOW.plus(seconds))["x-auth-assertion"].clone();
    assert_eq!(at(0), at(49), "a new one could not end later");
}

#[test]
fn invariant_31_an_assertion_belongs_to_one_token_caller_actor_and_generation() {
    let identity = unbound(settings());
    let token = alice();
    let value = |asked: &Asked, identity: &Identity| {
        asked.headers(identity, NOW)["x-auth-assertion"].clone()
    };
    let mut asked = Asked::by(Principal::Known(Rc::clone(&token)));
    let first = value(&asked, &identity);
    assert_eq!(first, value(&asked, &identity));
    assert_ne!(
        first,
        value(&Asked::by(Principal::Known(alice())), &identity),
        "another token"
    );

    asked.caller = Some("agent".into());
    let other = value(&asked, &identity);
    assert_eq!(reference::payload(&other)["caller"], "agent");
    asked.caller = Some("user".into());
    assert_eq!(first, value(&asked, &identity), "both are kept");

    let robots: Vec<_> = (0..20)
        .map(|n| verified(&json!({"sub": format!("r{n}")})))
        .collect();
    for robot in &robots {
        asked.actor = Some(Rc::clone(robot));
        let claims = reference::payload(&value(&asked, &identity));
        assert_eq!(claims["act"]["sub"].as_str(), robot.subject.as_deref());
    }
    asked.actor = None;

    let mut changed = settings();
    changed.headers.truncate(1);
    let next = Identity::following(changed, 2, &identity, NOW).unwrap();
    let headers = asked.headers(&next, NOW);
    assert!(!headers.contains_key("x-auth-client"));
    assert!(!headers.contains_key("x-auth-assertion"));
    assert!(
        asked.headers(&identity, NOW).contains_key("x-auth-client"),
        "an older request still in flight"
    );
}

#[test]
fn invariant_22_a_generated_key_survives_reloads_and_a_replaced_one_stays_published() {
    let generated = || {
        let mut assertion = assertion(SigningAlgorithm::EdDsa, Binding::NONE);
        assertion.key = KeySettings::Generated;
        IdentitySettings {
            assertion: Some(assertion),
            ..settings()
        }
    };
    let first = Identity::new(generated(), 1).unwrap();
    let second = Identity::following(generated(), 2, &first, NOW).unwrap();
    let id = |identity: &Identity| identity.assertion_keys().unwrap().current().id().to_owned();
    assert_eq!(id(&first), id(&second));
    assert_eq!(second.jwks(NOW)["keys"].as_array().unwrap().len(), 1);

    let configured = IdentitySettings {
        assertion: Some(assertion(SigningAlgorithm::Es256, Binding::NONE)),
        ..settings()
    };
    let third = Identity::following(configured, 3, &second, NOW).unwrap();
    assert_ne!(id(&third), id(&second));
    let before = Asked::by(Principal::Known(alice())).headers(&second, NOW);
    let after = Asked::by(Principal::Known(alice())).headers(&third, NOW);
    for headers in [before, after] {
        let token = &headers["x-auth-assertion"];
        assert!(reference::assertion(token, &third.jwks(NOW), NOW).is_ok());
        let late = NOW.plus(600);
        let ours = reference::assertion(token, &third.jwks(late), NOW).is_ok();
        assert_eq!(ours, reference::header(token)["kid"] == id(&third));
    }
}

#[test]
fn invariant_23_what_does_not_fit_is_refused_never_truncated() {
    let identity = unbound(settings());
    let fits = "g".repeat(VALUE_LIMIT);
    let over = "g".repeat(VALUE_LIMIT + 1);
    for (claims, ok) in [
        (json!({"email": fits}), true),
        (json!({"email": over}), false),
        (json!({"email": "é".repeat(VALUE_LIMIT / 6)}), true),
        (json!({"email": "é".repeat(VALUE_LIMIT / 6 + 1)}), false),
        (json!({"email": ["a", 1, true]}), true),
        (json!({"email": ["a", ["b"]]}), false),
        (json!({"email": {"a": 1}}), false),
        (json!({"email": null}), true),
        (json!({"scopes": ["a b"]}), false),
        (json!({"scopes": [""]}), false),
    ] {
        let made = Asked::by(Principal::Known(verified(&claims))).vouch(&identity, NOW);
        assert_eq!(made.is_ok(), ok, "{claims}");
        if let Err(why) = made {
            assert_eq!(
                Rejection::from(why),
                Rejection::Forbidden(Refusal::IdentityTooLarge)
            );
        }
    }
}

#[test]
fn invariant_46_debug_shows_names_only() {
    let identity = unbound(settings());
    let made = Asked::by(Principal::Known(alice()))
        .vouch(&identity, NOW)
        .unwrap();
    let shown = format!("{made:?} {identity:?}");
    assert!(shown.contains("x-auth-subject"));
    assert!(
        !shown.contains("alice") && !shown.contains("eyJ"),
        "{shown}"
    );
    let map = Asked::by(Principal::Known(alice())).headers(&identity, NOW);
    assert!(map["x-auth-assertion"].is_sensitive());
}

#[test]
fn reserved_names_are_all_of_ours() {
    let identity = unbound(IdentitySettings {
        signature: Some(signature(SigningAlgorithm::Hs256)),
        ..settings()
    });
    let reserved = identity.reserved();
    for name in [
        "x-auth-subject",
        "x-auth-actor",
        "x-auth-assertion",
        "signature",
        "signature-input",
    ] {
        assert!(reserved.iter().any(|held| held == name), "{name}");
    }
    assert!(
        Identity::new(IdentitySettings::default(), 1)
            .unwrap()
            .reserved()
            .is_empty()
    );
}
