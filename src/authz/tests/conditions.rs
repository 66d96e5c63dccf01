//! From a principal to a caller.

use super::*;

fn claims(text: &str) -> Claims {
    Claims::parse(text.as_bytes()).unwrap()
}

/// One route with one alternative for tokens of issuer `i`; no route where a condition means nothing.
fn with(conditions: Vec<Condition>) -> Policy {
    let own = rules(vec![Alternative::of_issuer("i".into(), conditions)]);
    let settings = route("r", &["/x/{agent}"], own);
    if settings.check().is_empty() {
        policy([settings])
    } else {
        policy([])
    }
}

fn holds(condition: Condition, principal: Principal) -> bool {
    ask("GET", "/x/a7")
        .decide(&with(vec![condition]), principal)
        .is_ok()
}

#[test]
fn invariant_15_members_are_exact() {
    let scoped = |scopes: &[&str]| token("i", |token| token.scopes = texts(scopes));
    for (wanted, held, expected) in [
        (&["orders:read"][..], &["orders:read"][..], true),
        (&["orders:read"], &["a", "orders:read", "z"], true),
        (&["orders:read"], &["orders:readx"], false),
        (&["orders:read"], &["orders:rea"], false),
        (&["orders:read"], &["Orders:read"], false),
        (&["orders:read"], &["orders:read\torders:write"], false),
        (&["orders:read"], &[], false),
        (&["a", "b"], &["a"], false),
        (&["a", "b"], &["a", "b"], true),
        (&[], &["a"], false),
    ] {
        assert_eq!(
            holds(Condition::Scopes(texts(wanted)), scoped(held)),
            expected,
            "{wanted:?} {held:?}"
        );
    }
    assert!(holds(
        Condition::AnyScope(texts(&["a", "b"])),
        scoped(&["b"])
    ));
    assert!(!holds(
        Condition::AnyScope(texts(&["a", "b"])),
        scoped(&["c"])
    ));
    assert!(!holds(Condition::AnyScope(vec![]), scoped(&["c"])));
    for (held, expected) in [
        (Some("good"), true),
        (Some("good "), false),
        (Some("Good"), false),
        (None, false),
    ] {
        let principal = token("i", |token| token.client = held.map(Into::into));
        assert_eq!(
            holds(Condition::Client(texts(&["x", "good"])), principal),
            expected,
            "{held:?}"
        );
        let principal = token("i", |token| token.subject = held.map(Into::into));
        assert_eq!(
            holds(Condition::Subject(texts(&["good"])), principal),
            expected,
            "{held:?}"
        );
    }
    assert!(!holds(Condition::Client(vec![]), client("i", "good")));
    let member = || {
        token("i", |token| {
            (token.roles, token.groups) = (texts(&["r", "s"]), texts(&["g"]))
        })
    };
    assert!(holds(Condition::Roles(texts(&["s", "t"])), member()));
    assert!(!holds(Condition::Roles(texts(&["g"])), member()));
    assert!(holds(Condition::Groups(texts(&["g"])), member()));
    assert!(!holds(Condition::Groups(texts(&["r"])), member()));
}

#[test]
fn all_conditions_of_an_alternative_hold_and_none_leaks_to_another() {
    let conditions = |name: &str, scope: &str| {
        vec![
            Condition::Scopes(texts(&[scope])),
            Condition::Client(texts(&[name])),
        ]
    };
    let policy = policy([route(
        "r",
        &["/"],
        rules(vec![
            Alternative::of_caller(&caller("a", "i", conditions("a", "sa")), []),
            Alternative::of_caller(
                &caller("b", "j", conditions("b", "sb")),
                [Condition::Roles(texts(&["r"]))],
            ),
        ]),
    )]);
    let of = |issuer, name: &str, scope: &str, role: &str| {
        token(issuer, |token| {
            (token.client, token.scopes, token.roles) =
                (Some(name.into()), texts(&[scope]), texts(&[role]));
        })
    };
    for (issuer, name, scope, role, expected) in [
        ("i", "a", "sa", "", Ok("a")),
        ("j", "b", "sb", "r", Ok("b")),
        ("j", "b", "sb", "", Err(Refusal::Condition("roles"))),
        ("i", "a", "sb", "", Err(Refusal::Scope("sa".into()))),
        ("i", "b", "sa", "r", Err(Refusal::Caller)),
        ("j", "a", "sa", "", Err(Refusal::Caller)),
        ("i", "b", "sb", "r", Err(Refusal::Caller)),
        ("k", "a", "sa", "r", Err(Refusal::Caller)),
    ] {
        let decided = ask("GET", "/").decide(&policy, of(issuer, name, scope, role));
        let expected = expected
            .map(|name| Some(name.to_owned()))
            .map_err(Rejection::Forbidden);
        assert_eq!(decided, expected, "{issuer} {name} {scope} {role}");
    }
}

#[test]
fn t10_tokens_are_not_interchangeable_between_prefixes() {
    let own = |issuer: &str| rules(vec![Alternative::of_issuer(issuer.into(), vec![])]);
    let policy = policy([
        route("a", &["/a/**"], own("i")),
        route("b", &["/b/**"], own("j")),
    ]);
    for (path, of, passes) in [
        ("/a/1", "i", true),
        ("/b/1", "j", true),
        ("/a/1", "j", false),
        ("/b/1", "i", false),
    ] {
        let decided = ask("GET", path).decide(&policy, token(of, |_| {}));
        assert_eq!(decided.is_ok(), passes, "{path} {of}");
    }
    assert_eq!(ask("GET", "/c").owner(&policy), Err(Rejection::NoRoute));
}

#[test]
fn t12_a_missing_scope_is_named() {
    let policy = with(vec![
        Condition::Scopes(texts(&["cache:write", "cache:read"])),
        Condition::AnyScope(texts(&["x"])),
    ]);
    let held = token("i", |token| token.scopes = texts(&["cache:read"]));
    let scope = Refusal::Scope("cache:read cache:write x".into());
    assert_eq!(
        ask("GET", "/x/1").decide(&policy, held),
        Err(Rejection::Forbidden(scope))
    );
    let implied = token("i", |token| {
        token.scopes = texts(&["cache:read", "cache:write", "x"])
    });
    assert_eq!(ask("GET", "/x/1").decide(&policy, implied), Ok(None));
}

#[test]
fn t13_opaque_tokens_pass_where_the_route_says_so() {
    let opaque = |anonymous| Access::Rules {
        anonymous,
        opaque: true,
        alternatives: vec![],
    };
    let policy = policy([
        route("projects", &["/api/projects/**"], opaque(false)),
        route("both", &["/both"], opaque(true)),
        route(
            "rest",
            &["/**"],
            rules(vec![Alternative::of_issuer("i".into(), vec![])]),
        ),
        route("public", &["/public"], Access::Anyone),
    ]);
    let demand = |path| ask("GET", path).route(&policy).unwrap().demand();
    assert_eq!(demand("/api/projects"), Demand::Opaque);
    assert_eq!(demand("/both"), Demand::OptionalOpaque);
    assert_eq!(demand("/x"), Demand::Token);
    let decide = |path, principal| ask("GET", path).decide(&policy, principal);
    assert_eq!(decide("/api/projects", Principal::Opaque), Ok(None));
    assert_eq!(decide("/both", Principal::Opaque), Ok(None));
    assert_eq!(decide("/both", Principal::Anonymous), Ok(None));
    assert_eq!(
        decide("/api/projects", Principal::Anonymous),
        Err(Rejection::NoToken)
    );
    assert_eq!(decide("/x", Principal::Anonymous), Err(Rejection::NoToken));
    assert_eq!(
        decide("/x", Principal::Opaque),
        Err(Rejection::InvalidToken(TokenFault::Scheme))
    );
    // A JWT is judged like everywhere else: no alternative, no pass.
    let refused = Err(Rejection::Forbidden(Refusal::Caller));
    assert_eq!(decide("/api/projects", token("i", |_| {})), refused);
    // Invariant 8: a public route cannot end up with an identity.
    assert_eq!(
        decide("/public", token("i", |_| {})),
        Err(Rejection::Internal)
    );
}

#[test]
fn anonymous_passes_without_a_token_and_is_judged_with_one() {
    let access = Access::Rules {
        anonymous: true,
        opaque: false,
        alternatives: vec![Alternative::of_issuer("i".into(), vec![])],
    };
    let policy = policy([route("r", &["/"], access)]);
    assert_eq!(
        ask("GET", "/").route(&policy).unwrap().demand(),
        Demand::Optional
    );
    assert_eq!(
        ask("GET", "/").decide(&policy, Principal::Anonymous),
        Ok(None)
    );
    assert_eq!(
        ask("GET", "/").decide(&policy, token("i", |_| {})),
        Ok(None)
    );
    assert!(ask("GET", "/").decide(&policy, token("j", |_| {})).is_err());
}

#[test]
fn s20_claims_are_bound_to_the_path() {
    let bound = || Condition::Claim {
        path: ClaimPath::parse("agent.id").unwrap(),
        values: vec![ClaimValue::Parameter("agent".into())],
    };
    for (text, expected) in [
        (r#"{"agent":{"id":"a7"}}"#, true),
        (r#"{"agent":{"id":["b","a7"]}}"#, true),
        (r#"{"agent":{"id":"A7"}}"#, false),
        (r#"{"agent":{"id":"a7 "}}"#, false),
        (r#"{"agent":{"id":["a7",7]}}"#, false),
        (r#"{"agent":{"id":[["a7"]]}}"#, false),
        (r#"{"agent":{"id":{"a7":"a7"}}}"#, false),
        (r#"{"agent":{"id":null}}"#, false),
        (r#"{"agent":"a7"}"#, false),
        ("{}", false),
    ] {
        let principal = token("i", |token| token.claims = claims(text));
        assert_eq!(holds(bound(), principal.clone()), expected, "{text}");
        if !expected {
            let why = ask("GET", "/x/a7").decide(&with(vec![bound()]), principal);
            assert_eq!(why, Err(Rejection::Forbidden(Refusal::Condition("claims"))));
        }
    }
}

#[test]
fn claims_are_compared_by_type_and_value() {
    let text = |value: &str| ClaimValue::Text(value.into());
    for (values, json, expected) in [
        (vec![text("acme")], r#""acme""#, true),
        (vec![text("other"), text("acme")], r#""acme""#, true),
        (vec![text("acme")], r#"["x","acme"]"#, true),
        (vec![text("acme")], r#"["x",1,"acme"]"#, false),
        (vec![text("acme")], r#""acme x""#, false),
        (vec![text("1")], "1", false),
        (vec![text("true")], "true", false),
        (vec![ClaimValue::Boolean(true)], "true", true),
        (vec![ClaimValue::Boolean(true)], "false", false),
        (vec![ClaimValue::Boolean(true)], r#""true""#, false),
        (vec![], r#""acme""#, false),
    ] {
        let condition = Condition::Claim {
            path: ClaimPath::top("t"),
            values: values.clone(),
        };
        let principal = token("i", |token| {
            token.claims = claims(&format!(r#"{{"t":{json}}}"#))
        });
        assert_eq!(holds(condition, principal), expected, "{values:?} {json}");
    }
}

#[test]
fn invariant_17_service_accounts_are_whole_subjects_of_cluster_issuers() {
    let account =
        || Condition::ServiceAccount(vec![ServiceAccount::parse("prod/atlas.v1").unwrap()]);
    let decide = |of: &str, subject: &str| {
        let own = rules(vec![Alternative::of_issuer(of.into(), vec![account()])]);
        let principal = token(of, |token| token.subject = Some(subject.into()));
        ask("GET", "/")
            .decide(&policy([route("r", &["/"], own)]), principal)
            .is_ok()
    };
    for (of, subject, expected) in [
        ("cluster", "system:serviceaccount:prod:atlas.v1", true),
        ("cluster", "system:serviceaccount:prod:atlasxv1", false),
        ("cluster", "system:serviceaccount:prod:atlas.v1x", false),
        ("cluster", "system:serviceaccount:prod:atlas", false),
        ("cluster", "prod/atlas.v1", false),
        // A user issuer may write what it likes into `sub`.
        ("i", "system:serviceaccount:prod:atlas.v1", false),
    ] {
        assert_eq!(decide(of, subject), expected, "{of} {subject}");
    }
    for bad in [
        "", "prod", "prod/", "/atlas", "prod/a/b", "prod/a:b", "pr.od/a", "Prod/a", "prod/*",
        "prod/-a",
    ] {
        assert!(ServiceAccount::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn client_addresses_and_certificates() {
    let networks = |text: &[&str]| {
        Condition::ClientAddress(text.iter().map(|net| net.parse().unwrap()).collect())
    };
    for (condition, client, expected) in [
        (networks(&["10.0.0.0/8", "192.0.2.0/24"]), "192.0.2.9", true),
        (networks(&["192.0.2.0/24"]), "::ffff:192.0.2.9", true),
        (networks(&["192.0.2.0/24"]), "192.0.3.9", false),
        (networks(&["2001:db8::/32"]), "2001:db8::1", true),
        (networks(&["2001:db8::/32"]), "192.0.2.9", false),
    ] {
        let asked = Ask {
            client,
            ..ask("GET", "/x/a")
        };
        let decided = asked.decide(&with(vec![condition]), token("i", |_| {}));
        assert_eq!(decided.is_ok(), expected, "{client}");
    }
    let names = |dns: &[&str], uris: &[&str], sha256: &[&str]| CertificateNames {
        dns: texts(dns),
        uris: texts(uris),
        sha256: texts(sha256),
    };
    let own = ClientCertificate {
        dns: vec!["a.example.org".into()],
        uris: vec!["spiffe://x/a".into()],
        sha256: "ab".into(),
    };
    for (names, certificate, expected) in [
        (names(&["a.example.org"], &[], &[]), Some(&own), true),
        (names(&["b"], &["spiffe://x/a"], &[]), Some(&own), true),
        (names(&[], &[], &["ab"]), Some(&own), true),
        (
            names(&["*.example.org"], &["spiffe://x/"], &["a"]),
            Some(&own),
            false,
        ),
        (names(&[], &[], &[]), Some(&own), false),
        (names(&["a.example.org"], &[], &[]), None, false),
        (names(&[], &[], &[""]), None, false),
    ] {
        let asked = Ask {
            certificate: certificate.cloned(),
            ..ask("GET", "/x/a")
        };
        let decided = asked.decide(
            &with(vec![Condition::ClientCertificate(names.clone())]),
            token("i", |_| {}),
        );
        assert_eq!(decided.is_ok(), expected, "{names:?}");
    }
}

#[test]
fn t09_the_actor_is_judged_by_its_own_issuer() {
    let rule = ActorRule {
        issuer: "cluster".into(),
        conditions: vec![Condition::Client(texts(&["atlas"]))],
    };
    let mut settings = route(
        "r",
        &["/"],
        rules(vec![Alternative::of_issuer(
            "i".into(),
            vec![Condition::Actor(rule)],
        )]),
    );
    settings.actor_token = Some(ActorToken {
        header: HeaderName::from_static("x-actor"),
        issuer: "cluster".into(),
        required: false,
    });
    let policy = policy([settings]);
    let party = |of: &str, name: &str| match client(of, name) {
        Principal::Known(verified) => Some(verified),
        Principal::Anonymous | Principal::Opaque => None,
    };
    for (actor, expected) in [
        (party("cluster", "atlas"), true),
        (party("cluster", "other"), false),
        (party("i", "atlas"), false),
        (None, false),
    ] {
        let decided = ask("GET", "/").decide_with(&policy, token("i", |_| {}), actor);
        assert_eq!(decided.is_ok(), expected, "{decided:?}");
    }
    assert!(
        ask("GET", "/")
            .route(&policy)
            .unwrap()
            .actor_token()
            .is_some()
    );
}
