//! `resource_metadata` of a listener.

use http::Uri;

use super::Scope;
use crate::authn::IssuerSettings;
use crate::authz::Policy;
use crate::config::Code;
use crate::config::VerifierSettings;
use crate::config::node::Node;
use crate::config::view::View;
use crate::listener::ListenerSettings;
use crate::proxy::{ResourceMetadataSettings, WELL_KNOWN};
use crate::request::{CanonicalPath, PathAllowances};

pub(super) fn compile(view: &View<'_>, scope: &mut Scope<'_>) -> Option<ResourceMetadataSettings> {
    let resource = view.text("resource");
    let settings = ResourceMetadataSettings {
        scopes_supported: view.flag("scopes_supported"),
        resource_name: view.text("resource_name").map(str::to_owned),
        resource_documentation: view.text("resource_documentation").map(str::to_owned),
        resource: resource?.to_owned(),
    };
    let at = view.place("resource");
    if settings.resource.contains('?') {
        scope.report.error(
            at,
            "a resource identifier has no query here: its metadata is found by the path alone (RFC 9728 section 3.1)",
        );
        return None;
    }
    if !settings.paths().iter().all(|path| is_plain(path)) {
        scope.report.error(
            at,
            "the path can be read in two ways, and no request for its metadata would be taken",
        );
        return None;
    }
    let origin = settings.origin();
    let loopback = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    if origin.starts_with("http://") && !loopback.iter().any(|own| origin.starts_with(own)) {
        scope.report.find_try(
            Code::ResourceIdentifier,
            at,
            "a resource identifier is an https URL (RFC 9728 section 1.2); clients may refuse this one",
            "name the address that clients use",
        );
    }
    Some(settings)
}

/// Whether a request can have this path, read in one way only.
fn is_plain(path: &str) -> bool {
    let target = path
        .parse::<Uri>()
        .ok()
        .and_then(|uri| uri.path_and_query().cloned());
    target
        .and_then(|target| CanonicalPath::parse(target).ok())
        .is_some_and(|path| path.allowance_needed() == PathAllowances::default())
}

/// `external_url`.
pub(super) fn external_urls(view: &View<'_>, scope: &mut Scope<'_>) -> Vec<String> {
    for node in view.items("external_url") {
        if node.text() == Some("*") {
            scope.report.error_try(
                &node.at,
                "proofs for any URL would pass: those that were made for other services among them",
                "name what callers write before the path: https://api.example.org",
            );
        }
    }
    view.texts("external_url")
}

/// Whoever takes proofs must know what callers call it.
pub(super) fn origins(
    root: &View<'_>,
    listeners: &[ListenerSettings],
    issuers: &[(IssuerSettings, VerifierSettings)],
    policy: &Policy,
    scope: &mut Scope<'_>,
) {
    for listener in listeners.iter().filter(|own| own.outbound.is_none()) {
        let used = policy.issuers_of(&listener.name);
        let taking = issuers
            .iter()
            .map(|(issuer, _)| issuer)
            .find(|issuer| issuer.dpop.is_some() && used.contains(&*issuer.name));
        let Some(issuer) = taking.filter(|_| listener.origins().next().is_none()) else {
            continue;
        };
        let own = |node: &&Node| {
            node.get("name").and_then(Node::text).unwrap_or("inbound") == &*listener.name
        };
        let node = root.items("inbound").iter().find(own);
        scope.report.find_try(
            Code::MissingKey,
            node.map_or_else(|| root.place("inbound"), |node| &node.at),
            format!(
                "`external_url` is missing: proofs (`dpop` of the issuer `{}`) name the URL that they are for",
                issuer.name
            ),
            "external_url: https://api.example.org, as callers write it",
        );
    }
}

/// A route that speaks of a path which we answer ourselves would never see a request. Wider ones, `/**` among them, are
/// not meant for it.
pub(super) fn owners(root: &View<'_>, listeners: &[ListenerSettings], scope: &mut Scope<'_>) {
    for listener in listeners {
        let Some(metadata) = &listener.resource_metadata else {
            continue;
        };
        let own = metadata.paths();
        for route in root.items("routes") {
            let elsewhere = route
                .get("inbound")
                .and_then(Node::text)
                .is_some_and(|name| name != &*listener.name);
            let paths = route.get("path").map(Node::each).unwrap_or_default();
            for node in paths.iter().filter(|_| !elsewhere) {
                let Some(path) = node.text() else { continue };
                let is_wide = path.starts_with(WELL_KNOWN) && path.contains(['*', '{']);
                if is_wide || own.iter().any(|own| own == path) {
                    scope.report.find_try(
                        Code::RouteConflict,
                        &node.at,
                        format!(
                            "`resource_metadata` of the listener `{}` answers here, before any route",
                            listener.name
                        ),
                        "remove the route, or the key to let the upstream answer",
                    );
                }
            }
        }
    }
}
