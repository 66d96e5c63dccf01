//! `inbound`.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Scope, metadata, tls};
use crate::config::Code;
use crate::config::node::Node;
use crate::config::scalar;
use crate::config::schema::{CORS, INBOUND, LIMITS, RESOURCE_METADATA, TIMEOUTS, UPSTREAM};
use crate::config::view::View;
use crate::listener::{Explain, Limits, ListenAddress, ListenerSettings, Timeouts};
use crate::proxy::{CorsSettings, Preflight};
use crate::upstream::{UpstreamAddress, UpstreamSettings};

/// All inbound listeners.
pub(super) fn compile(root: &View<'_>, scope: &mut Scope<'_>) -> Vec<ListenerSettings> {
    let nodes = root.items("inbound");
    let mut names = BTreeSet::new();
    let mut listeners = Vec::new();
    for node in nodes {
        let view = View::new(node, &INBOUND);
        if nodes.len() > 1 && !view.has("name") {
            scope.report.find_try(
                Code::MissingKey,
                view.at(),
                "`name` is missing; each of several listeners needs one",
                "name: public",
            );
        }
        if let Some(name) = view.text("name")
            && !names.insert(name)
            && view.has("name")
        {
            scope.report.find(
                Code::Ambiguous,
                view.place("name"),
                format!("two listeners are called `{name}`"),
            );
        }
        listeners.extend(listener(&view, scope));
    }
    one_token_limit(root, &listeners, scope);
    listeners
}

/// Tokens are judged per issuer, not per listener: a limit for one of them alone could not be kept.
fn one_token_limit(root: &View<'_>, listeners: &[ListenerSettings], scope: &mut Scope<'_>) {
    let mut limits = listeners.iter().map(|listener| listener.limits.token_bytes);
    let first = limits.next();
    if limits.any(|limit| Some(limit) != first) {
        scope.report.error(
            root.place("inbound"),
            "`limits.token_bytes` must be the same for all listeners",
        );
    }
}

fn listener(view: &View<'_>, scope: &mut Scope<'_>) -> Option<ListenerSettings> {
    let listen = view
        .text("listen")
        .and_then(|text| scalar::listen_address(text).ok());
    let upstream = view.get("upstream").and_then(|node| upstream(node, scope));
    let unready_while_exposed = unready_while_exposed(view, upstream.as_ref(), scope);
    let cors = view.sub_if("cors", &CORS).map(|view| cors(&view, scope));
    let answers = scope.answers(view.get("answers"));
    let external_urls = metadata::external_urls(view, scope);
    let resource_metadata = view
        .sub_if("resource_metadata", &RESOURCE_METADATA)
        .and_then(|view| metadata::compile(&view, scope));
    let tls = tls::downstream(view, scope);
    let limits = limits(&view.sub("limits", &LIMITS));
    if limits.target_bytes > limits.header_bytes || limits.token_bytes > limits.header_bytes {
        scope.report.error(
            view.place("limits"),
            "`target_bytes` and `token_bytes` must not be more than `header_bytes`, of which they are a part",
        );
    }
    let trusted_proxies = trusted_proxies(view, scope);
    let explain = explain(view, listen.as_ref(), !trusted_proxies.is_empty(), scope);
    Some(ListenerSettings {
        name: Arc::from(view.text("name").unwrap_or("inbound")),
        explain,
        listen: listen?,
        upstream: upstream?,
        unready_while_exposed,
        trusted_proxies,
        answers,
        cors,
        external_urls,
        resource_metadata,
        tls,
        limits,
        timeouts: timeouts(&view.sub("timeouts", &TIMEOUTS)),
        outbound: None,
    })
}

/// Whoever can connect to a listener that explains learns policy, and what policy made of a token.
/// Behind another proxy, whoever connects is that proxy, and whoever asks may be anybody.
fn explain(
    view: &View<'_>,
    listen: Option<&ListenAddress>,
    behind: bool,
    scope: &mut Scope<'_>,
) -> Explain {
    let Some(node) = view.get("explain") else {
        return Explain::Never;
    };
    if node.flag() == Some(false) {
        return Explain::Never;
    }
    let anywhere = node.text() == Some("to_whoever_connects");
    let near = match listen {
        Some(ListenAddress::Tcp(address)) => address.ip().to_canonical().is_loopback(),
        Some(ListenAddress::Unix(_)) | None => true,
    };
    if anywhere || (near && !behind) {
        scope.report.find_try(
            Code::Exposed,
            &node.at,
            "answers of this listener tell callers why they are refused: policy, claims and all",
            "remove it where callers are served in earnest",
        );
    } else {
        scope.report.error_try(
            &node.at,
            "whoever can connect would be told policy, and what it made of a token",
            "listen on a loopback address, without `trusted_proxies`; or say it in so many words: `explain: to_whoever_connects`",
        );
    }
    if anywhere {
        Explain::Anywhere
    } else {
        Explain::Near
    }
}

/// Only of an upstream that has a port on this machine can it be told.
fn unready_while_exposed(
    view: &View<'_>,
    upstream: Option<&UpstreamSettings>,
    scope: &mut Scope<'_>,
) -> bool {
    let unready = view.text("exposed_upstream") == Some("unready");
    let without = |upstream: &UpstreamSettings| {
        !upstream.address.is_local() || upstream.address.host_and_port().is_none()
    };
    if unready && upstream.is_some_and(without) {
        scope.report.error_try(
            view.place("exposed_upstream"),
            "`unready` is for an upstream on a loopback address",
            "remove it: whether this upstream can be reached by others cannot be told from here",
        );
    }
    unready
}

fn trusted_proxies(view: &View<'_>, scope: &mut Scope<'_>) -> Vec<ipnet::IpNet> {
    let mut networks = Vec::new();
    for node in view.items("trusted_proxies") {
        let Some(network) = node.text().and_then(|text| scalar::network(text).ok()) else {
            continue;
        };
        if network.prefix_len() == 0 {
            scope.report.find_try(
                Code::TrustsEverybody,
                &node.at,
                "every peer is believed: whoever can connect chooses its client address",
                "name the networks of the proxies in front",
            );
        }
        networks.push(network);
    }
    networks
}

pub(super) fn upstream(node: &Node, scope: &mut Scope<'_>) -> Option<UpstreamSettings> {
    let short = node.text().is_some();
    let view = View::new(node, &UPSTREAM);
    let text = if short { node.text() } else { view.text("url") }?;
    let address = scalar::upstream(text).ok()?;
    if short {
        return Some(UpstreamSettings {
            address,
            ca: None,
            client_certificate: None,
        });
    }
    let ca = tls::ca(&view, "ca", scope);
    let client_certificate = tls::pair(&view, scope);
    let https = matches!(address, UpstreamAddress::Https { .. });
    if !https && (view.has("ca") || view.has("certificate")) {
        scope.report.error_try(
            view.at(),
            "`ca` and `certificate` are for an https upstream",
            "write https://, or remove them",
        );
    }
    Some(UpstreamSettings {
        address,
        ca,
        client_certificate,
    })
}

pub(super) fn limits(view: &View<'_>) -> Limits {
    let size = |key: &str| {
        view.size(key)
            .and_then(|size| usize::try_from(size).ok())
            .unwrap_or_default()
    };
    Limits {
        header_bytes: size("header_bytes"),
        headers: view.count("headers"),
        target_bytes: size("target_bytes"),
        token_bytes: size("token_bytes"),
        connections: view.count("connections"),
        connections_per_address: view
            .number("connections_per_address")
            .and_then(|number| usize::try_from(number).ok()),
        requests_in_flight: view.count("requests_in_flight"),
        body_bytes: view.size("body_bytes"),
        streams: view
            .number("streams")
            .and_then(|number| u32::try_from(number).ok())
            .unwrap_or_default(),
    }
}

pub(super) fn timeouts(view: &View<'_>) -> Timeouts {
    Timeouts {
        header: view.span("header"),
        idle_connection: view.span("idle_connection"),
        request_body_idle: view.span("request_body_idle"),
        stalled_reader: view.span("stalled_reader"),
        upstream_connect: view.span("upstream_connect"),
        upstream_response: view.duration("upstream_response"),
        upstream_idle: view.span("upstream_idle"),
    }
}

fn cors(view: &View<'_>, scope: &mut Scope<'_>) -> CorsSettings {
    let origins = view.texts("origins");
    let credentials = view.flag("credentials");
    let any = origins.iter().any(|origin| origin == "*");
    if any && origins.len() > 1 {
        scope
            .report
            .error(view.place("origins"), "`*` stands alone");
    }
    if any && credentials {
        scope.report.error(
            view.place("credentials"),
            "credentials and the origin `*` exclude each other (Fetch standard): name the origins",
        );
    }
    let preflight = match view.text("preflight") {
        Some("answer") => Preflight::Answer,
        Some("authenticate") => Preflight::Authenticate,
        _ => Preflight::Forward,
    };
    for key in ["headers", "max_age"] {
        if view.has(key) && preflight != Preflight::Answer {
            scope.report.error_try(
                view.place(key),
                format!("`{key}` means something with `preflight: answer` only"),
                "write `preflight: answer`, or remove it",
            );
        }
    }
    for key in ["headers", "expose"] {
        for node in view.items(key) {
            let valid = node
                .text()
                .is_some_and(|text| http::HeaderName::from_bytes(text.as_bytes()).is_ok());
            if !valid {
                scope.report.find(
                    Code::Value,
                    &node.at,
                    format!("{} is no header name", node.shown()),
                );
            }
        }
    }
    CorsSettings {
        origins,
        preflight,
        credentials,
        expose: view.texts("expose"),
        headers: view.texts("headers"),
        max_age: u32::try_from(view.span("max_age").as_secs()).unwrap_or(u32::MAX),
    }
}
