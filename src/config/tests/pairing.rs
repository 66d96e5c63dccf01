//! What a listener tells of itself, and proofs.

use super::*;

/// A listener with this key, and its routes.
fn listener(key: &str, routes: &str) -> String {
    with(
        "http://127.0.0.1:8000}",
        &format!("http://127.0.0.1:8000, {key}}}"),
    ) + routes
}

#[test]
fn a_resource_has_one_metadata_path_that_a_request_can_have() {
    let resource = |url: &str| listener(&format!("resource_metadata: {{resource: \"{url}\"}}"), "");
    refused(&[
        (
            listener("resource_metadata: {}", ""),
            "inbound.resource_metadata",
        ),
        (
            listener("resource_metadata: {resource_name: API}", ""),
            "inbound.resource_metadata: `resource` is missing",
        ),
        (
            resource("api.example.org"),
            "inbound.resource_metadata.resource",
        ),
        (
            resource("urn:example:api"),
            "inbound.resource_metadata.resource",
        ),
        (
            resource("https://api.example.org/#a"),
            "a URL with a fragment is not used",
        ),
        (
            resource("https://me@api.example.org/"),
            "a URL with a user name",
        ),
        (
            resource("https://api.example.org/?tenant=1"),
            "a resource identifier has no query here",
        ),
        (
            resource("https://api.example.org/a/../b"),
            "the path can be read in two ways",
        ),
        (
            resource("https://api.example.org/a//b"),
            "the path can be read in two ways",
        ),
        (
            resource("https://api.example.org/a;b"),
            "the path can be read in two ways",
        ),
    ]);
    for fine in [
        "https://api.example.org",
        "https://api.example.org/",
        "https://api.example.org:8443/v1",
        "http://127.0.0.1:8080/v1/",
    ] {
        let problems = Place::new().problems(&resource(fine));
        assert!(problems.is_empty(), "{problems:?}");
    }
    let problems = Place::new().problems(&resource("http://api.internal"));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("a resource identifier is an https URL"));
}

#[test]
fn a_route_and_metadata_do_not_own_one_path() {
    let both = |path: &str| {
        let route = format!("  - {{path: \"{path}\", allow: anyone}}\n");
        listener(
            "resource_metadata: {resource: \"https://api.example.org/v1\"}",
            &route,
        )
    };
    let own = "/.well-known/oauth-protected-resource";
    let expected = "`resource_metadata` of the listener `inbound` answers here, before any route";
    refused(&[
        (both(own), expected),
        (both(&format!("{own}/v1")), expected),
        (both(&format!("{own}/**")), expected),
        (both(&format!("{own}/{{version}}")), expected),
    ]);
    // Wider ones are not meant for it, and others are not in the way.
    for fine in [
        "/.well-known/**".to_owned(),
        format!("{own}/v2"),
        "/.well-known/openid-configuration".to_owned(),
    ] {
        Place::new().load(&both(&fine)).unwrap();
    }
    let without = and(&format!("  - {{path: {own}, allow: anyone}}"));
    Place::new().load(&without).unwrap();
}
