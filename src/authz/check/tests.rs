use std::time::Duration;

use super::*;
use crate::authn::ClaimPath;
use crate::authz::condition::{ActorRule, CertificateNames};
use crate::authz::{ActorToken, MethodRow, PathPattern, RateLimitSettings};

fn texts(values: &[&str]) -> Vec<Box<str>> {
    values.iter().map(|value| (*value).into()).collect()
}

fn rules(conditions: Vec<Condition>) -> Access {
    Access::Rules {
        anonymous: false,
        opaque: false,
        alternatives: vec![Alternative::of_issuer("i".into(), conditions)],
    }
}

fn route(access: Access) -> RouteSettings {
    let paths = vec![PathPattern::parse("/x/{account}").unwrap()];
    RouteSettings::new("r", paths, MethodTable::Every(access))
}

fn place(condition: usize) -> RoutePlace {
    RoutePlace::Condition {
        row: 0,
        alternative: 0,
        condition,
    }
}

#[test]
fn invariant_33_nothing_is_allowed_by_saying_nothing() {
    let nothing = Access::Rules {
        anonymous: false,
        opaque: false,
        alternatives: Vec::new(),
    };
    let error = RouteError::new(RoutePlace::Row(0), RouteFault::NoAlternative);
    assert_eq!(route(nothing).check(), [error]);
    let mut empty = route(Access::Anyone);
    empty.table = MethodTable::Rows(Vec::new());
    empty.paths.clear();
    let faults: Vec<_> = empty.check().into_iter().map(|error| error.fault).collect();
    assert_eq!(faults, [RouteFault::NoPath, RouteFault::NoMethod]);
    for condition in [
        Condition::Client(Vec::new()),
        Condition::Subject(Vec::new()),
        Condition::ServiceAccount(Vec::new()),
        Condition::Scopes(Vec::new()),
        Condition::AnyScope(Vec::new()),
        Condition::Roles(Vec::new()),
        Condition::Groups(Vec::new()),
        Condition::ClientAddress(Vec::new()),
        Condition::ClientCertificate(CertificateNames::default()),
        Condition::Claim {
            path: ClaimPath::top("t"),
            values: Vec::new(),
        },
    ] {
        let error = RouteError::new(place(0), RouteFault::EmptyCondition);
        assert_eq!(route(rules(vec![condition])).check(), [error]);
    }
    assert_eq!(
        route(rules(vec![Condition::Client(texts(&["c"]))])).check(),
        []
    );
}

#[test]
fn values_that_no_token_can_have_are_errors() {
    for (condition, value) in [
        (Condition::Client(texts(&["a", ""])), ""),
        (Condition::Scopes(texts(&["a b"])), "a b"),
        (Condition::AnyScope(texts(&["a", "b\t"])), "b\t"),
    ] {
        let error = RouteError::new(place(0), RouteFault::Value(value.into()));
        assert_eq!(route(rules(vec![condition])).check(), [error]);
    }
}

#[test]
fn parameters_are_those_of_a_path() {
    let mut settings = route(rules(vec![
        Condition::Account(AccountRule::Parameter("acount".into())),
        Condition::Account(AccountRule::Parameter("account".into())),
        Condition::Claim {
            path: ClaimPath::top("t"),
            values: vec![
                ClaimValue::Text("x".into()),
                ClaimValue::Parameter("agent".into()),
            ],
        },
    ]));
    settings.fold = vec!["account".into(), "other".into()];
    let unknown =
        |place, name: &str| RouteError::new(place, RouteFault::UnknownParameter(name.into()));
    assert_eq!(
        settings.check(),
        [
            unknown(RoutePlace::Fold(1), "other"),
            unknown(place(0), "acount"),
            unknown(place(2), "agent"),
        ]
    );
}

#[test]
fn methods_stand_once_and_connect_and_trace_never() {
    let row = |methods: &[Method]| MethodRow {
        methods: methods.to_vec(),
        access: Access::Anyone,
    };
    let mut settings = route(Access::Anyone);
    settings.table = MethodTable::Rows(vec![
        row(&[Method::GET, Method::TRACE]),
        row(&[Method::GET, Method::CONNECT]),
        row(&[]),
    ]);
    let error = |at, fault| RouteError::new(RoutePlace::Row(at), fault);
    assert_eq!(
        settings.check(),
        [
            error(0, RouteFault::ForbiddenMethod(Method::TRACE)),
            error(1, RouteFault::DuplicateMethod(Method::GET)),
            error(1, RouteFault::ForbiddenMethod(Method::CONNECT)),
            error(2, RouteFault::NoMethod),
        ]
    );
}

#[test]
fn limits_upgrades_and_actors_make_sense() {
    let limit = |by, requests, per| RateLimitSettings {
        by,
        before_authentication: true,
        requests,
        per,
    };
    let second = Duration::from_secs(1);
    let mut settings = route(rules(vec![
        Condition::Actor(ActorRule {
            issuer: "other".into(),
            conditions: Vec::new(),
        }),
        Condition::Actor(ActorRule {
            issuer: "a".into(),
            conditions: vec![Condition::Roles(texts(&["r"]))],
        }),
    ]));
    settings.rate_limit = vec![
        limit(RateLimitKey::ClientAddress, 0, second),
        limit(RateLimitKey::ClientAddress, 1, Duration::ZERO),
        limit(RateLimitKey::Principal, 1, second),
        limit(RateLimitKey::ClientAddress, 10_001, second),
        limit(RateLimitKey::ClientAddress, 10_000, second),
    ];
    settings.upgrade = texts(&["websocket", "h2c", "TLS/1.0", "", "a b"]);
    settings.actor_token = Some(ActorToken {
        header: http::HeaderName::from_static("x-actor"),
        issuer: "a".into(),
        required: false,
    });
    let errors: Vec<_> = settings
        .check()
        .into_iter()
        .map(|error| (error.place, error.fault))
        .collect();
    assert_eq!(
        errors,
        [
            (
                RoutePlace::Upgrade(1),
                RouteFault::ForbiddenProtocol("h2c".into())
            ),
            (
                RoutePlace::Upgrade(2),
                RouteFault::ForbiddenProtocol("TLS/1.0".into())
            ),
            (RoutePlace::Upgrade(3), RouteFault::Protocol("".into())),
            (RoutePlace::Upgrade(4), RouteFault::Protocol("a b".into())),
            (RoutePlace::RateLimit(0), RouteFault::EmptyLimit),
            (RoutePlace::RateLimit(1), RouteFault::EmptyLimit),
            (
                RoutePlace::RateLimit(2),
                RouteFault::PrincipalBeforeAuthentication
            ),
            (RoutePlace::RateLimit(3), RouteFault::LimitTooFine),
            (place(0), RouteFault::ActorIssuer("other".into())),
            (place(1), RouteFault::ActorCondition),
        ]
    );
}
