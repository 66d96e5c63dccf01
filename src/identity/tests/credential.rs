//! What becomes of the credential that the request came with.

use super::*;
use crate::authn::Known;
use crate::authz::{Access, MethodTable, PathPattern, PolicyBuilder, RateLimits, RouteSettings};
use crate::clock::Tick;
use crate::request::{Canonical, Connection, RequestRules};

/// `Authorization` after vouching, on a public route with `authorization: …`.
fn left(forward: AuthorizationHeader, principal: Principal, credential: &str) -> Option<String> {
    let now = Now {
        unix: NOW,
        tick: Tick::from_nanos(0),
    };
    let mut builder = PolicyBuilder::new(&RateLimits::default());
    builder.listener(&"inbound".into(), None);
    let path = PathPattern::parse("/**").unwrap();
    let access = match principal {
        Principal::Opaque => Access::Rules {
            anonymous: false,
            opaque: true,
            alternatives: Vec::new(),
        },
        Principal::Anonymous | Principal::Known(_) => Access::Anyone,
    };
    let mut route = RouteSettings::new("all", vec![path], MethodTable::Every(access));
    route.authorization = forward;
    builder.route(route).unwrap();
    let policy = builder.build().at(1);

    let request = http::Request::get("/x")
        .header("host", "api.example.org")
        .header("authorization", credential)
        .body(())
        .unwrap();
    let connection = Arc::new(Connection {
        listener: "inbound".into(),
        peer: [127, 0, 0, 1].into(),
        tls: false,
        unix: false,
        client_certificate: None,
    });
    let (parts, ()) = request.into_parts();
    let canonical = Canonical::parse(parts, (), &connection, &RequestRules::default()).unwrap();
    let routed = canonical.route(&policy, now).unwrap();
    let allowed = Known::for_test(routed, principal, None)
        .authorize(now)
        .unwrap();
    let identity = Identity::new(IdentitySettings::default(), 1).unwrap();
    let vouched = allowed.vouch(&identity, now).unwrap();
    let held = vouched.head().headers().get("authorization");
    held.map(|value| value.to_str().unwrap().to_owned())
}

#[test]
fn invariant_48_the_credential_stays_here_unless_the_route_forwards_it() {
    for credential in ["Bearer a.b.c", "Basic eDphLmIuYw=="] {
        let strip = AuthorizationHeader::Strip;
        let forward = AuthorizationHeader::Forward;
        assert_eq!(left(strip, Principal::Anonymous, credential), None);
        assert_eq!(
            left(forward, Principal::Anonymous, credential).as_deref(),
            Some(credential)
        );
    }
}

#[test]
fn t13_an_opaque_token_passes_as_it_came() {
    let credential = "Bearer tuist_opaque";
    assert_eq!(
        left(AuthorizationHeader::Strip, Principal::Opaque, credential).as_deref(),
        Some(credential)
    );
}
