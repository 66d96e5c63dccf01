//! A checked tree to settings: every error is collected, none ends the compilation.

mod access;
mod admin;
mod alternatives;
mod answers;
mod callers;
mod conditions;
mod credentials;
mod identity;
mod issuers;
mod keys;
mod listeners;
mod look_alikes;
mod metadata;
mod outbound;
mod reviews;
mod routes;
mod telemetry;
mod tls;
mod twins;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderName;

use super::code::Code;
use super::files::Files;
use super::node::Node;
use super::problem::{Place, Problems, Report};
use super::scalar;
use super::schema::ROOT;
use super::suggest;
use super::view::View;
use super::{Config, DrainSettings};
use crate::authz::RateLimits;
use crate::listener::{ListenAddress, ListenerSettings};
use crate::upstream::UpstreamAddress;

/// What the parts of a document need of each other while they are compiled.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) files: &'a mut Files,
    pub(crate) report: &'a mut Report,
    issuers: Vec<IssuerName<'a>>,
    /// Names of issuers that something refers to.
    used: BTreeSet<&'a str>,
    answers: Vec<&'a str>,
    /// Those of `inbound`.
    listeners: Vec<&'a str>,
    /// Those that are configured.
    credentials: Vec<&'a str>,
    client_certificates: bool,
    /// Headers that only we may set.
    identity_headers: Vec<HeaderName>,
}

/// An issuer as references see it.
#[derive(Clone, Copy, Debug)]
struct IssuerName<'a> {
    name: &'a str,
    /// As it is written.
    node: &'a Node,
    kubernetes: bool,
    /// Takes tokens with proofs alone.
    proofs: bool,
    /// Is asked about tokens that are no JWTs.
    opaque: bool,
}

/// Compiles the document; `None` when something is missing that was reported.
pub(crate) fn compile(
    tree: &Node,
    limits: &RateLimits,
    files: &mut Files,
    report: &mut Report,
) -> Option<Config> {
    let root = View::new(tree, &ROOT);
    let source = report.source.clone();
    what_inbound_needs(&root, report);
    let mut scope = Scope::new(&root, files, report);
    let mut listeners = listeners::compile(&root, &mut scope);
    let issuers = issuers::compile(&root, &listeners, &mut scope);
    let credentials = credentials::compile(&root, &mut scope);
    let identity = identity::compile(&root, &listeners, &mut scope);
    scope.identity_headers = identity.reserved();
    let callers = callers::compile(&root, &mut scope);
    twins::warn(&root, &mut scope);
    let policy = routes::compile(&root, &callers, &listeners, limits, &mut scope);
    metadata::owners(&root, &listeners, &mut scope);
    metadata::origins(&root, &listeners, &issuers, &policy, &mut scope);
    let answers = answers::compile(&root, &mut scope);
    let admin = admin::admin(&root, &mut scope);
    let probes = admin::probes(&root);
    unused_issuers(&root, &mut scope);
    listeners.extend(outbound::compile(&root, &mut scope));
    let log = telemetry::log(&root, &mut scope);
    let otlp = telemetry::otlp(&root, scope.report);
    own_addresses(&root, &listeners, &mut scope);
    sentinel(&root, tree, scope.report);
    Some(Config {
        workers: super::workers::resolve(root.get("workers").and_then(Node::number)),
        token_cache: root
            .size("token_cache")
            .and_then(|size| usize::try_from(size).ok())
            .unwrap_or_default(),
        listeners,
        admin: admin?,
        probes,
        issuers,
        credentials,
        identity: Arc::new(identity),
        policy: Arc::new(policy),
        limits: limits.clone(),
        answers,
        log,
        otlp,
        drain: drain(&root),
        files: Vec::new(),
        sentinel: root.flag("end"),
        warnings: Problems::new(source, Vec::new()),
        contents: BTreeMap::new(),
    })
}

fn drain(root: &View<'_>) -> DrainSettings {
    let view = root.sub("drain", &super::schema::DRAIN);
    DrainSettings {
        delay: view.span("delay"),
        deadline: view.span("deadline"),
    }
}

/// Whoever is let in must be authenticated and authorized.
fn what_inbound_needs(root: &View<'_>, report: &mut Report) {
    for key in ["issuers", "routes"] {
        match (root.has("inbound"), root.has(key)) {
            // Without `outbound` the shape has said so.
            (true, false) if root.has("outbound") => {
                let example = ROOT.key(key).map_or("", |key| key.example);
                report.find_try(
                    Code::MissingKey,
                    root.at(),
                    format!("`{key}` is missing"),
                    format!("{key}: {example}"),
                );
            }
            (false, true) if root.has("outbound") => report.error_try(
                root.place(key),
                format!("`{key}` is for `inbound`, and there is none"),
                "an outbound listener authenticates nobody; what it lets pass is in its `paths`",
            ),
            _ => {}
        }
    }
}

/// Tokens of an issuer that nothing speaks of are verified and then refused everywhere.
fn unused_issuers(root: &View<'_>, scope: &mut Scope<'_>) {
    for node in root.items("issuers") {
        if let Some((node, name)) = named(node.get("name"))
            && !scope.used.contains(name)
        {
            scope.report.find_try(
                Code::Unused,
                &node.at,
                format!(
                    "no caller and no route names the issuer {}: its tokens are refused everywhere",
                    node.shown()
                ),
                "name it in `callers` or `allow`, or remove it",
            );
        }
    }
}

/// Two listeners of the process cannot have one address; it would not start, and say so less plainly.
fn own_addresses(root: &View<'_>, listeners: &[ListenerSettings], scope: &mut Scope<'_>) {
    let mut seen: Vec<(ListenAddress, &Place)> = Vec::new();
    let admin = root.sub("admin", &super::schema::ADMIN);
    let listens = root
        .items("inbound")
        .iter()
        .chain(root.items("outbound"))
        .chain(root.get("probes"))
        .filter_map(|node| node.get("listen"))
        .filter_map(|node| Some((node.text()?, &node.at)))
        // Admin has an address even where the document does not speak of it.
        .chain(
            admin
                .text("listen")
                .map(|text| (text, admin.place("listen"))),
        );
    for (text, at) in listens {
        let address = match scalar::listen_address(text) {
            Ok(ListenAddress::Tcp(address)) if address.port() == 0 => continue,
            Ok(address) => address,
            Err(_) => continue,
        };
        if let Some((_, first)) = seen.iter().find(|(other, _)| *other == address) {
            let other = if at.path.is_empty() {
                "admin, whose default it is".to_owned()
            } else {
                format!("`{}` (line {})", at.path, at.line)
            };
            scope.report.find_try(
                Code::Ambiguous,
                first,
                format!("{text} is taken by {other}"),
                "every listener needs an address of its own",
            );
        }
        seen.push((address, at));
    }
    let upstreams = ["inbound", "outbound"].into_iter().flat_map(|kind| {
        root.items(kind).iter().filter_map(move |node| {
            let at = &node.get("upstream")?.at;
            let name = node.get("name").and_then(Node::text).unwrap_or(kind);
            let listener = listeners.iter().find(|listener| &*listener.name == name)?;
            Some((&listener.upstream.address, at))
        })
    });
    for (upstream, at) in upstreams {
        let own = seen.iter().find_map(|(address, _)| match address {
            ListenAddress::Tcp(own) => leads_to(upstream, *own).then_some(own),
            ListenAddress::Unix(_) => None,
        });
        if let Some(address) = own {
            scope.report.error_try(
                at,
                format!("leads back to this process, which listens on {address}"),
                "requests would go round in circles, or reach admin: name the application's address",
            );
        }
    }
}

/// Whether an upstream is, beyond doubt, one of our own listeners.
fn leads_to(upstream: &UpstreamAddress, own: SocketAddr) -> bool {
    let (UpstreamAddress::Http { host, port }
    | UpstreamAddress::Https { host, port }
    | UpstreamAddress::H2c { host, port }) = upstream
    else {
        return false;
    };
    let address = match host.as_str() {
        "localhost" => IpAddr::from([127, 0, 0, 1]),
        other => match other.parse() {
            Ok(address) => address,
            Err(_) => return false,
        },
    };
    *port == own.port()
        && (address == own.ip() || (own.ip().is_unspecified() && address.is_loopback()))
}

/// `end: true` guards against half-written files, so it must be what is written last.
fn sentinel(root: &View<'_>, tree: &Node, report: &mut Report) {
    let Some(end) = root.get("end") else { return };
    if end.flag() == Some(false) {
        report.error(&end.at, "`end` is `true` or not there");
    }
    if tree
        .entries()
        .last()
        .is_some_and(|entry| entry.key != "end")
    {
        report.error_try(
            &end.at,
            "`end: true` must be the last key of the document",
            "it tells a whole file from the beginning of one",
        );
    }
}

impl<'a> Scope<'a> {
    fn new(root: &View<'a>, files: &'a mut Files, report: &'a mut Report) -> Self {
        let issuers = root
            .items("issuers")
            .iter()
            .filter_map(|node| {
                Some(IssuerName {
                    name: node.get("name")?.text()?,
                    node,
                    kubernetes: node
                        .get("kubernetes")
                        .and_then(Node::flag)
                        .unwrap_or_default(),
                    proofs: node.get("dpop").is_some_and(|dpop| {
                        let mode = dpop.text().or_else(|| dpop.get("mode")?.text());
                        mode == Some("require")
                    }),
                    opaque: reviews::takes_opaque(node),
                })
            })
            .collect();
        let answers = root
            .get("answers")
            .map(|node| {
                node.entries()
                    .iter()
                    .map(|entry| entry.key.as_str())
                    .collect()
            })
            .unwrap_or_default();
        let credentials = root
            .get("credentials")
            .map(|node| {
                node.entries()
                    .iter()
                    .map(|entry| entry.key.as_str())
                    .collect()
            })
            .unwrap_or_default();
        let inbound = root.items("inbound");
        let listeners = inbound
            .iter()
            .map(|node| node.get("name").and_then(Node::text).unwrap_or("inbound"))
            .collect();
        let client_certificates = inbound.iter().any(|node| {
            node.get("tls")
                .is_some_and(|tls| tls.get("client_ca").is_some())
        });
        Self {
            files,
            report,
            issuers,
            used: BTreeSet::new(),
            answers,
            listeners,
            credentials,
            client_certificates,
            identity_headers: Vec::new(),
        }
    }

    /// The issuer that `node` names.
    fn issuer(&mut self, node: Option<&Node>) -> Option<IssuerName<'a>> {
        let (node, name) = named(node)?;
        let found = self
            .issuers
            .iter()
            .find(|issuer| issuer.name == name)
            .copied();
        if let Some(found) = found {
            self.used.insert(found.name);
        } else {
            let names: Vec<&str> = self.issuers.iter().map(|issuer| issuer.name).collect();
            self.unknown(&node.at, "issuer", node, &names);
        }
        found
    }

    /// Whether the issuer called `name` is one of ServiceAccounts.
    fn is_kubernetes(&self, name: &str) -> bool {
        self.issuers
            .iter()
            .any(|issuer| issuer.name == name && issuer.kubernetes)
    }

    /// The answers that `node` names.
    fn answers(&mut self, node: Option<&Node>) -> Option<Arc<str>> {
        let (node, name) = named(node)?;
        if self.answers.contains(&name) {
            return Some(name.into());
        }
        let names = self.answers.clone();
        self.unknown(&node.at, "template in `answers`", node, &names);
        None
    }

    /// The listener that `node` names.
    fn listener(&mut self, node: Option<&Node>) -> Option<Arc<str>> {
        let (node, name) = named(node)?;
        if self.listeners.contains(&name) {
            return Some(name.into());
        }
        let names = self.listeners.clone();
        self.unknown(&node.at, "listener in `inbound`", node, &names);
        None
    }

    /// The credential that `node` names.
    fn credential(&mut self, node: Option<&Node>) -> Option<Arc<str>> {
        let (node, name) = named(node)?;
        if self.credentials.contains(&name) {
            return Some(name.into());
        }
        let names = self.credentials.clone();
        self.unknown(&node.at, "credential", node, &names);
        None
    }

    fn unknown(&mut self, at: &Place, what: &str, node: &Node, names: &[&str]) {
        let text = node.text().unwrap_or_default();
        self.report.find_try(
            Code::UnknownName,
            at,
            format!("there is no {what} called {}", node.shown()),
            suggest::one_of(text, names),
        );
    }
}

fn named(node: Option<&Node>) -> Option<(&Node, &str)> {
    node.and_then(|node| node.text().map(|text| (node, text)))
}
