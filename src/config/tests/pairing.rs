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

/// A document whose issuer says this of proofs, on a listener with this key.
fn dpop(key: &str, dpop: &str) -> String {
    let text = if key.is_empty() {
        MINIMAL.to_owned()
    } else {
        listener(key, "")
    };
    text.replacen(
        "    audiences: [api]\n",
        &format!("    audiences: [api]\n    dpop: {dpop}\n"),
        1,
    )
}

#[test]
fn proofs_are_for_a_url_that_is_known() {
    let missing = "inbound: `external_url` is missing: proofs (`dpop` of the issuer `dls`)";
    refused(&[
        (dpop("", "accept"), missing),
        (dpop("", "{mode: require}"), missing),
        (
            dpop("external_url: \"*\"", "accept"),
            "inbound.external_url: proofs for any URL would pass",
        ),
        (
            dpop("external_url: https://api.example.org/v1", "accept"),
            "no path and no trailing slash",
        ),
        (
            dpop("external_url: api.example.org", "accept"),
            "inbound.external_url",
        ),
        // No URL of a proof would be taken for one with such a port.
        (
            dpop("external_url: \"https://api.example.org:0443\"", "accept"),
            "inbound.external_url: `api.example.org:0443` is no host and port",
        ),
        (
            dpop("external_url: []", "accept"),
            "inbound.external_url: must not be empty",
        ),
    ]);
}

#[test]
fn proofs_are_described_in_full_or_by_a_word() {
    let url = "external_url: https://api.example.org";
    refused(&[
        (dpop(url, "on"), "issuers[0].dpop"),
        (dpop(url, "{}"), "issuers[0].dpop"),
        (
            dpop(url, "{algorithms: [ES256]}"),
            "issuers[0].dpop: `mode` is missing",
        ),
        (dpop(url, "{mode: off}"), "issuers[0].dpop.mode"),
        (
            dpop(url, "{mode: accept, algorithms: [HS256]}"),
            "issuers[0].dpop.algorithms[0]: `HS256` is a MAC",
        ),
        (
            dpop(url, "{mode: accept, algorithms: [none]}"),
            "anybody could write such a token",
        ),
        (
            dpop(url, "{mode: accept, lifetime: 11m}"),
            "issuers[0].dpop.lifetime: must be at most 10m",
        ),
        (
            dpop(url, "{mode: accept, nonce: maybe}"),
            "issuers[0].dpop.nonce",
        ),
        (
            dpop(url, "{mode: accept, proofs: 0}"),
            "issuers[0].dpop.proofs",
        ),
    ]);
    for (key, mode) in [
        (url, "accept"),
        (url, "{mode: require, nonce: required}"),
        (
            "external_url: [https://a.example.org, http://b.internal:8080]",
            "require",
        ),
        (
            "resource_metadata: {resource: https://api.example.org/v1}",
            "require",
        ),
        ("", "off"),
        // Nobody takes proofs there.
        (url, "off"),
    ] {
        let problems = Place::new().problems(&dpop(key, mode));
        assert!(problems.is_empty(), "{problems:?}");
    }
    let settings = |text: &str| {
        let config = Place::new().load(&dpop(url, text)).unwrap();
        config.issuers[0].0.dpop.clone().unwrap()
    };
    let short = settings("require");
    assert_eq!(short, settings("{mode: require}"));
    assert!(short.required && !short.nonce);
    assert_eq!(short.lifetime.as_secs(), 60);
    assert_eq!((short.algorithms.len(), short.proofs), (6, 262_144));
}

#[test]
fn second_tokens_of_an_issuer_that_wants_proofs_are_refused_before_they_can_be_sent() {
    let url = "external_url: https://api.example.org";
    let text = |mode: &str| {
        dpop(url, mode)
            + "  - {path: /acting, allow: {issuer: dls}, actor_token: {header: x-actor, issuer: dls}}\n"
    };
    let reason = "no second token of `dls` would ever hold";
    refused(&[
        (text("require"), reason),
        (text("{mode: require, lifetime: 30s}"), reason),
    ]);
    for mode in ["accept", "off", "{mode: accept}"] {
        let problems = Place::new().problems(&text(mode));
        assert!(problems.is_empty(), "{problems:?}");
    }
}
