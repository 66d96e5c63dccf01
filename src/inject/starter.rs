//! A configuration to begin with: one issuer, everybody whom it knows may do everything, and what the kubelet asks for is open.

use super::options::Sidecar;
use super::probes::{Asked, GRPC_PATH, is_literal};
use super::shape::drain;

/// Whose tokens are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// `iss` of the tokens.
    pub issuer: String,
    /// `aud` must hold this; `unchecked` leaves it.
    pub audience: String,
    /// The only clients (`azp`) that may come; empty: all.
    pub clients: Vec<String>,
}

/// What a starting configuration is made of.
#[derive(Debug)]
pub(crate) struct Starter<'a> {
    pub(crate) trust: &'a Trust,
    pub(crate) sidecar: Sidecar,
    pub(crate) listen: u16,
    pub(crate) probes: u16,
    pub(crate) admin: u16,
    pub(crate) app: u16,
    pub(crate) asked: &'a [Asked],
}

/// The text of the configuration.
pub(crate) fn write(starter: &Starter<'_>) -> String {
    let Starter {
        trust,
        listen,
        probes,
        admin,
        app,
        ..
    } = starter;
    let (delay, deadline) = drain(starter.sidecar);
    let grpc = starter
        .asked
        .iter()
        .any(|asked| matches!(asked, Asked::Grpc));
    let scheme = if grpc { "h2c" } else { "http" };
    let audiences = match trust.audience.as_str() {
        "unchecked" => "unchecked".to_owned(),
        audience => format!("[{}]", quoted(audience)),
    };
    let clients = match trust.clients.as_slice() {
        [] => String::new(),
        clients => {
            let clients: Vec<String> = clients.iter().map(|client| quoted(client)).collect();
            format!("    clients: [{}]\n", clients.join(", "))
        }
    };
    let issuer = quoted(&trust.issuer);
    format!(
        "# Written by countersign inject: a beginning. Narrow the last route to what callers need.
workers: 1
inbound:
  listen: 0.0.0.0:{listen}
  upstream: {scheme}://127.0.0.1:{app}
admin: {{listen: \"127.0.0.1:{admin}\"}}
probes: {{listen: \"0.0.0.0:{probes}\", serve: [livez, readyz, metrics]}}
drain: {{delay: {delay}s, deadline: {deadline}s}}
issuers:
  - name: main
    issuer: {issuer}
    jwks: {{discover: true, cache: /var/lib/countersign/main.json}}
    audiences: {audiences}
{clients}identity:
  headers: {{x-auth-subject: subject, x-auth-client: client}}
callers:
  known: {{issuer: main}}
routes:
{}  - path: /**
    allow: known
{}",
        open(starter.asked),
        if grpc { "    grpc: true\n" } else { "" },
    )
}

/// Routes that anyone may take because the kubelet, which has no token, must.
fn open(asked: &[Asked]) -> String {
    let mut routes = String::new();
    let paths: Vec<String> = asked
        .iter()
        .filter_map(|asked| match asked {
            Asked::Path(path) if is_literal(path) => Some(quoted(path)),
            Asked::Path(_) | Asked::Grpc => None,
        })
        .collect();
    if !paths.is_empty() {
        routes.push_str(&format!(
            "  - path: [{}]
    allow:
      GET: anyone                          # the kubelet's probes
      HEAD, POST, PUT, PATCH, DELETE, OPTIONS: known\n",
            paths.join(", ")
        ));
    }
    if asked.iter().any(|asked| matches!(asked, Asked::Grpc)) {
        routes.push_str(&format!(
            "  - path: {}
    allow: {{POST: anyone}}                  # the kubelet's probes
    grpc: true\n",
            GRPC_PATH
        ));
    }
    routes
}

/// JSON's strings are YAML's, and the substitution of `${…}` is switched off by a second `$`.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text.replace("${", "$${")).to_string()
}
