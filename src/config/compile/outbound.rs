//! `outbound`.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Scope, listeners, tls};
use crate::authz::{
    HostPattern, KnownHosts, OwnAuthorization, PathPattern, Reach, RouteError, RoutePlace,
};
use crate::config::Code;
use crate::config::node::Node;
use crate::config::scalar;
use crate::config::schema::{LIMITS, OUTBOUND, TIMEOUTS};
use crate::config::view::View;
use crate::listener::{Explain, Limits, ListenAddress, ListenerSettings, OutboundSettings};
use crate::upstream::{Origin, UpstreamAddress, UpstreamSettings};

/// All outbound listeners.
pub(super) fn compile(root: &View<'_>, scope: &mut Scope<'_>) -> Vec<ListenerSettings> {
    let nodes = root.items("outbound");
    let mut names: BTreeSet<&str> = scope.listeners.iter().copied().collect();
    let mut listeners = Vec::new();
    for node in nodes {
        let view = View::new(node, &OUTBOUND);
        if nodes.len() > 1 && !view.has("name") {
            scope.report.find_try(
                Code::MissingKey,
                view.at(),
                "`name` is missing; each of several listeners needs one",
                "name: smartem",
            );
        }
        let name = view.text("name").unwrap_or_default();
        if !names.insert(name) && (view.has("name") || nodes.len() == 1) {
            scope.report.find(
                Code::Ambiguous,
                view.place("name"),
                format!("two listeners are called `{name}`; names are those of `inbound` and `outbound` together"),
            );
        }
        listeners.extend(listener(&view, scope));
    }
    unused_credentials(root, nodes, scope);
    listeners
}

/// Tokens that nobody uses are obtained and renewed all the same.
fn unused_credentials(root: &View<'_>, listeners: &[Node], scope: &mut Scope<'_>) {
    let entries = root.get("credentials").map(Node::entries);
    for entry in entries.unwrap_or_default() {
        let names = |node: &Node| {
            let credential = node.get("credential").and_then(Node::text);
            credential == Some(entry.key.as_str())
        };
        if !listeners.iter().any(names) {
            scope.report.find_try(
                Code::Unused,
                &entry.key_at,
                format!("no outbound listener uses the credential `{}`", entry.key),
                "name it in `outbound`, or remove it",
            );
        }
    }
}

fn listener(view: &View<'_>, scope: &mut Scope<'_>) -> Option<ListenerSettings> {
    let name: Arc<str> = Arc::from(view.text("name").unwrap_or_default());
    let listen = view
        .text("listen")
        .and_then(|text| scalar::listen_address(text).ok());
    let exposed = listen
        .as_ref()
        .is_some_and(|listen| is_exposed(view, listen, scope));
    let upstream = upstream(view, scope);
    let credential = scope.credential(view.get("credential"));
    let tls = tls::downstream(view, scope);
    let limits = limits(view, scope);
    let hosts = KnownHosts {
        upstream: upstream.as_ref().and_then(own_name),
        others: hosts(view, scope),
        addresses: exposed,
    };
    let reach = reach(&name, view, hosts, scope);
    let timeouts = listeners::timeouts(&view.sub("timeouts", &TIMEOUTS));
    let outbound = OutboundSettings {
        credential: credential?,
        reach: Arc::new(reach?),
        rewrite_location: view.flag("rewrite_location"),
        replay_body: view
            .size("replay_body")
            .and_then(|size| usize::try_from(size).ok())
            .unwrap_or_default(),
    };
    Some(ListenerSettings {
        explain: Explain::Never,
        name,
        listen: listen?,
        upstream: upstream?,
        unready_while_exposed: false,
        trusted_proxies: Vec::new(),
        answers: None,
        cors: None,
        external_urls: Vec::new(),
        resource_metadata: None,
        tls,
        limits,
        timeouts,
        outbound: Some(outbound),
    })
}

/// A token is as good as the credential for whoever reads it on its way.
fn upstream(view: &View<'_>, scope: &mut Scope<'_>) -> Option<UpstreamSettings> {
    let node = view.get("upstream")?;
    let upstream = listeners::upstream(node, scope)?;
    if !upstream.address.is_local()
        && let UpstreamAddress::Http { host, .. } | UpstreamAddress::H2c { host, .. } =
            &upstream.address
    {
        scope.report.find_try(
            Code::Exposed,
            &node.at,
            format!("access tokens go to {host} in plain text: whoever sees them can use them"),
            "https://, unless something else encrypts the way",
        );
    }
    Some(upstream)
}

/// The upstream's host and port, which a program with `http_proxy` set asks for.
fn own_name(upstream: &UpstreamSettings) -> Option<(Box<str>, u16)> {
    upstream.address.host_and_port()?;
    let origin = Origin::of(&upstream.address);
    let (host, port) = origin.host_and_port();
    Some((host.into(), port))
}

fn limits(view: &View<'_>, scope: &mut Scope<'_>) -> Limits {
    let own = view.sub("limits", &LIMITS);
    let limits = listeners::limits(&own);
    if own.has("token_bytes") {
        scope.report.error(
            own.place("token_bytes"),
            "an outbound listener reads no tokens: `token_bytes` is for `inbound`",
        );
    }
    if limits.target_bytes > limits.header_bytes {
        scope.report.error(
            view.place("limits"),
            "`target_bytes` must not be more than `header_bytes`, of which they are a part",
        );
    }
    limits
}

/// Whether more than this machine reaches the listener; only where somebody has written that it may.
fn is_exposed(view: &View<'_>, listen: &ListenAddress, scope: &mut Scope<'_>) -> bool {
    let ListenAddress::Tcp(address) = listen else {
        return false;
    };
    if address.ip().is_loopback() {
        return false;
    }
    if view.flag("allow_non_loopback") {
        scope.report.find_try(
            Code::Exposed,
            view.place("listen"),
            "whoever reaches this address speaks with the credential's rights",
            "loopback or unix:/path, or `tls` with `client_ca`",
        );
    } else {
        scope.report.error_try(
            view.place("listen"),
            "an outbound listener authenticates nobody, so it listens on loopback or a Unix socket only",
            "127.0.0.1:PORT or unix:/path, or write `allow_non_loopback: true`",
        );
    }
    true
}

fn hosts(view: &View<'_>, scope: &mut Scope<'_>) -> Vec<HostPattern> {
    let mut hosts = Vec::new();
    for node in view.items("hosts") {
        match node.text().map(HostPattern::parse) {
            Some(Ok(host)) => hosts.push(host),
            Some(Err(error)) => scope.report.find(Code::Value, &node.at, error.to_string()),
            None => {}
        }
    }
    hosts
}

fn reach(
    name: &Arc<str>,
    view: &View<'_>,
    hosts: KnownHosts,
    scope: &mut Scope<'_>,
) -> Option<Reach> {
    let authorization = match view.text("authorization") {
        Some("replace") => OwnAuthorization::Replace,
        _ => OwnAuthorization::Refuse,
    };
    let nodes = view.items("paths");
    let mut paths = Vec::new();
    for node in nodes {
        match node.text().map(PathPattern::parse) {
            Some(Ok(path)) => paths.push(path),
            Some(Err(error)) => scope.report.find(Code::Value, &node.at, error.to_string()),
            None => {}
        }
    }
    if !view.has("paths") {
        scope.report.find_try(
            Code::Exposed,
            view.at(),
            format!("the whole upstream is within reach of whoever calls `{name}`"),
            "paths: [/what/the/program/needs/**], or `paths: [/**]` if it is meant",
        );
    }
    let wanted = view.has("paths").then_some(paths);
    match Reach::new(name, wanted, hosts, authorization) {
        Ok(reach) => Some(reach),
        Err(errors) => {
            for error in errors {
                wrong_path(&error, nodes, view, scope);
            }
            None
        }
    }
}

fn wrong_path(error: &RouteError, nodes: &[Node], view: &View<'_>, scope: &mut Scope<'_>) {
    if scope.report.has_error_below(&view.place("paths").path) {
        return;
    }
    let place = match error.place {
        RoutePlace::Path(at) => nodes.get(at).map(|node| &node.at),
        _ => None,
    };
    scope.report.error(
        place.unwrap_or_else(|| view.place("paths")),
        error.fault.to_string(),
    );
}
