//! Probes of the application: the kubelet asks from outside the pod, and reaches nothing that listens on loopback. So it asks the
//! proxy, which asks the application: what a probe finds is then true of the whole way.

use super::object::{Value, child, look, look_list, look_port, look_text, set, text};
use super::report::Notes;
use super::shape::Listener;
use crate::authz::{PathPattern, PatternSegment};

/// What the kubelet's gRPC probes ask for.
pub(crate) const GRPC_PATH: &str = "/grpc.health.v1.Health/Check";

const PROBES: [&str; 3] = ["startupProbe", "readinessProbe", "livenessProbe"];

/// What the proxy must let anyone ask for, since the kubelet has no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// GET of a path.
    Path(String),
    /// The health service of gRPC.
    Grpc,
}

/// The port that a probe or a Service means: a number, or the name of one of the container's.
pub(crate) fn port_number(container: &Value, port: &Value) -> Option<u16> {
    if let Some(number) = port.as_u64() {
        return number.try_into().ok();
    }
    let name = port.as_str()?;
    let named = |entry: &&Value| look_text(entry, &["name"]) == Some(name);
    let entry = look_list(container, &["ports"]).iter().find(named);
    entry.map_or_else(
        || name.parse().ok(),
        |entry| look_port(entry, &["containerPort"]),
    )
}

/// The ports that probes ask by HTTP or gRPC.
pub(crate) fn ports(container: &Value) -> Vec<u16> {
    let of = |probe: &str| {
        ["httpGet", "grpc"].iter().find_map(|handler| {
            let port = look(container, &[probe, handler, "port"])?;
            port_number(container, port)
        })
    };
    PROBES.iter().filter_map(|probe| of(probe)).collect()
}

/// Points the probes of a container at the proxy, and tells what it must let through.
pub(crate) fn redirect(
    container: &mut Value,
    name: &str,
    app: u16,
    to: &Listener,
    notes: &mut Notes,
) -> Vec<Asked> {
    let mut asked = Vec::new();
    for probe in PROBES {
        let Some(handler) = handler(container, &[probe]) else {
            continue;
        };
        if !asks(container, &[probe, handler], app) {
            if handler == "exec" {
                notes.left(name, format!("{probe}: runs inside the container"));
            }
            continue;
        }
        if look_text(container, &[probe, handler, "scheme"]) == Some("HTTPS") {
            notes.ask(
                name,
                format!("{probe}: the application speaks TLS, so `upstream` must be https://127.0.0.1:{app}, with the CA that it is verified by"),
            );
        }
        let wants = point(container, probe, handler, to);
        notes.changed(name, format!("{probe}: asks port {}, the proxy", to.port));
        if handler == "tcpSocket" {
            notes.ask(
                name,
                format!("{probe}: it tells only that the proxy listens; ask for a path by httpGet"),
            );
        }
        asked.extend(wants.filter(|one| !asked.contains(one)));
    }
    hooks(container, name, app, notes);
    asked
}

/// Hooks are the operator's: a path that shuts the application down must not be opened to anyone.
fn hooks(container: &Value, name: &str, app: u16, notes: &mut Notes) {
    for hook in ["postStart", "preStop"] {
        let path = ["lifecycle", hook];
        let Some(handler) = handler(container, &path) else {
            continue;
        };
        let [a, b] = path;
        if asks(container, &[a, b, handler], app) {
            notes.ask(
                name,
                format!("lifecycle.{hook}: it asks port {app} from outside the pod, where nothing answers any more; let it run a command (exec)"),
            );
        }
    }
}

fn handler(container: &Value, path: &[&str]) -> Option<&'static str> {
    let held = look(container, path)?;
    ["httpGet", "tcpSocket", "grpc", "exec"]
        .into_iter()
        .find(|handler| held.get(*handler).is_some())
}

/// Whether the kubelet asks the application's port for it. With `host` it asks somebody else.
fn asks(container: &Value, path: &[&str], app: u16) -> bool {
    let held = look(container, path);
    let port = held.and_then(|held| held.get("port"));
    let elsewhere = held.is_some_and(|held| held.get("host").is_some());
    !elsewhere && port.and_then(|port| port_number(container, port)) == Some(app)
}

fn point(container: &mut Value, probe: &str, handler: &str, to: &Listener) -> Option<Asked> {
    let held = child(child(container, probe), handler);
    set(held, "port", Value::Number(to.port.into()));
    match handler {
        "httpGet" => {
            let scheme = held.get("scheme").is_some();
            if scheme || to.tls {
                set(held, "scheme", text(if to.tls { "HTTPS" } else { "HTTP" }));
            }
            let path = look_text(held, &["path"])
                .filter(|path| !path.is_empty())
                .unwrap_or("/");
            let path = path.split(['?', '#']).next().unwrap_or_default();
            let slash = if path.starts_with('/') { "" } else { "/" };
            Some(Asked::Path(format!("{slash}{path}")))
        }
        "grpc" => Some(Asked::Grpc),
        _ => None,
    }
}

/// Whether the path can stand in a policy as it is, and means nothing but itself.
pub(crate) fn is_literal(path: &str) -> bool {
    PathPattern::parse(path).is_ok_and(|pattern| {
        let literal = |segment: &PatternSegment| matches!(segment, PatternSegment::Literal(_));
        pattern.segments().iter().all(literal)
    })
}
