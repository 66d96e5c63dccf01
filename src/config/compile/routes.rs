//! `routes`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Scope;
use super::access::{self, Around};
use super::callers::{AllCallers, Callers};
use crate::authz::Policy;
use crate::authz::{
    Access, ActorToken, AuthorizationHeader, HostPattern, MethodTable, NearMiss, PathPattern,
    PatternSegment, PolicyBuilder, RateLimitKey, RateLimitSettings, RateLimits, RouteError,
    RouteFault, RoutePlace, RouteSettings, Share,
};
use crate::clock::UnixTime;
use crate::config::Code;
use crate::config::node::{Node, Value};
use crate::config::problem::Place;
use crate::config::scalar;
use crate::config::schema::{ACTOR_TOKEN, RATE_LIMIT, ROUTE, ROUTE_LIMITS, ROUTE_TIMEOUTS};
use crate::config::view::View;
use crate::listener::ListenerSettings;
use crate::request::PathAllowances;

/// A route and where it stands.
#[derive(Debug)]
pub(super) struct Placed<'a> {
    pub(super) settings: RouteSettings,
    pub(super) view: View<'a>,
}

/// All routes of all listeners.
pub(super) fn compile(
    root: &View<'_>,
    callers: &AllCallers,
    listeners: &[ListenerSettings],
    limits: &RateLimits,
    scope: &mut Scope<'_>,
) -> Policy {
    let global = observe(root, scope);
    let mut routes = Vec::new();
    for node in root.items("routes") {
        if !matches!(node.value, Value::Map(_)) {
            continue;
        }
        let view = View::new(node, &ROUTE);
        if let Some(settings) = route(&view, &callers.by_name, global, scope) {
            routes.push(Placed { settings, view });
        }
    }
    let mut ids = BTreeMap::new();
    for placed in &mut routes {
        placed.settings.name = id(&placed.settings, &placed.view, &mut ids, scope);
    }
    public_covers(&routes, scope);
    super::look_alikes::warn(&routes, scope);
    super::look_alikes::slashes(&routes, scope);
    let mut builder = PolicyBuilder::new(limits);
    builder.observe(&callers.observed);
    // By name, so that a listener with errors of its own does not hide what is wrong with routes.
    for name in &scope.listeners {
        let compiled = listeners.iter().find(|listener| &*listener.name == *name);
        builder.listener(
            &Arc::from(*name),
            compiled.and_then(|listener| listener.cors.clone()),
        );
    }
    for Placed { settings, view } in routes {
        if let Err(errors) = builder.route(settings) {
            for error in errors {
                report(&error, &view, &ids, scope);
            }
        }
    }
    builder.build()
}

/// What logs and metrics call a route: its name, or its first path and what narrows it.
fn id(
    settings: &RouteSettings,
    view: &View<'_>,
    ids: &mut BTreeMap<Arc<str>, usize>,
    scope: &mut Scope<'_>,
) -> Arc<str> {
    let line = view.at().line;
    if let Some(name) = view.text("name") {
        let id: Arc<str> = Arc::from(name);
        if let Some(other) = ids.insert(Arc::clone(&id), line) {
            scope.report.find(
                Code::Ambiguous,
                view.place("name"),
                format!("two routes are called `{name}`; the other is at line {other}"),
            );
        }
        return id;
    }
    let mut id = settings
        .paths
        .first()
        .map(|path| path.as_str().to_string())
        .unwrap_or_default();
    if let Some(host) = settings.hosts.first() {
        id = format!("{host}{id}");
    }
    if let Some(listener) = &settings.listener {
        id = format!("{id}@{listener}");
    }
    let mut unique: Arc<str> = Arc::from(id.as_str());
    let mut number = 2_usize;
    // The same path twice is an error of its own; its message needs two names to speak of.
    while ids.contains_key(&unique) {
        unique = Arc::from(format!("{id}#{number}"));
        number += 1;
    }
    ids.insert(Arc::clone(&unique), line);
    unique
}

/// What the core finds wrong with a route and this module has not said better.
fn report(
    error: &RouteError,
    view: &View<'_>,
    ids: &BTreeMap<Arc<str>, usize>,
    scope: &mut Scope<'_>,
) {
    let item = |key: &str, at: usize| -> Place {
        view.items(key)
            .get(at)
            .map_or_else(|| view.place(key).clone(), |node| node.at.clone())
    };
    match (&error.fault, error.place) {
        (RouteFault::Conflict(conflict), place) => {
            let at = match place {
                RoutePlace::Path(at) => item("path", at),
                _ => view.place("path").clone(),
            };
            let other = ids.get(&conflict.with).copied().unwrap_or_default();
            scope.report.find_try(
                Code::RouteConflict,
                &at,
                format!("{conflict}; the other route is at line {other}"),
                "one request would have two owners: merge the routes, or narrow one by `hosts` or `inbound`",
            );
        }
        // Without a listener there is nothing to add routes to, and that was reported.
        (RouteFault::UnknownListener, _) if scope.listeners.is_empty() => {}
        // Said before, with the places of both.
        (RouteFault::DuplicateName(_), _) => {}
        _ if scope.report.has_error_below(&view.at().path) => {}
        (fault, place) => {
            let at = match place {
                RoutePlace::Path(at) => item("path", at),
                RoutePlace::Fold(at) => item("fold", at),
                RoutePlace::Upgrade(at) => item("upgrade", at),
                RoutePlace::RateLimit(at) => item("rate_limit", at),
                RoutePlace::Row(_)
                | RoutePlace::Alternative { .. }
                | RoutePlace::Condition { .. } => view.place("allow").clone(),
                RoutePlace::Listener => view.place("inbound").clone(),
                RoutePlace::Route => view.at().clone(),
            };
            let code = match fault {
                RouteFault::UnknownParameter(_) => Code::UnboundParameter,
                _ => Code::Setting,
            };
            scope.report.find(code, &at, fault.to_string());
        }
    }
}

fn route(
    view: &View<'_>,
    callers: &Callers,
    global: Option<Observed>,
    scope: &mut Scope<'_>,
) -> Option<RouteSettings> {
    let paths = paths(view, scope);
    let hosts = hosts(view, scope);
    let listener = scope.listener(view.get("inbound"));
    let parameters = common_parameters(&paths);
    let actor_token = actor_token(view, scope);
    let around = Around {
        callers,
        parameters: &parameters,
        actor_issuer: actor_token.as_ref().map(|token| &*token.issuer),
    };
    let table = view
        .get("allow")
        .map(|node| access::table(node, &around, scope));
    let fold = fold(view, &paths, scope);
    let own = observe(view, scope);
    let mut settings = RouteSettings::new("", paths, table?);
    settings.listener = listener;
    settings.hosts = hosts;
    settings.fold = fold;
    settings.allowances = allowances(view);
    settings.near_miss = match view.text("near_miss") {
        Some("allow") => NearMiss::Allow,
        _ => NearMiss::Refuse,
    };
    settings.answers = scope.answers(view.get("answers"));
    settings.authorization = match view.text("authorization") {
        Some("forward") => AuthorizationHeader::Forward,
        _ => AuthorizationHeader::Strip,
    };
    settings.upgrade = view
        .texts("upgrade")
        .into_iter()
        .map(String::into_boxed_str)
        .collect();
    settings.grpc = view.flag("grpc");
    settings.rate_limit = rate_limits(view, scope);
    settings.actor_token = actor_token;
    settings.end_at_expiry = view.flag("end_at_expiry");
    settings.body_bytes = view.sub("limits", &ROUTE_LIMITS).size("body_bytes");
    let timeouts = view.sub("timeouts", &ROUTE_TIMEOUTS);
    settings.response_timeout = timeouts.duration("upstream_response");
    settings.idle_timeout = timeouts.duration("response_idle");
    let observed = match view.text("mode") {
        Some(_) => own,
        None => global,
    };
    settings.observe = observed.map(|observed| observed.until);
    settings.enforced = observed.map_or(Share::NOBODY, |observed| observed.enforced);
    Some(settings).filter(|settings| !settings.paths.is_empty())
}

fn paths(view: &View<'_>, scope: &mut Scope<'_>) -> Vec<PathPattern> {
    let mut paths = Vec::new();
    for node in view.items("path") {
        match node.text().map(PathPattern::parse) {
            Some(Ok(path)) => paths.push(path),
            Some(Err(error)) => scope.report.find(Code::Value, &node.at, error.to_string()),
            None => {}
        }
    }
    paths
}

fn hosts(view: &View<'_>, scope: &mut Scope<'_>) -> Vec<HostPattern> {
    if view.has("host") && view.has("hosts") {
        scope.report.error(
            view.place("host"),
            "`host` and `hosts` are one: keep `hosts`",
        );
    }
    let mut hosts: Vec<HostPattern> = Vec::new();
    for node in view.items("hosts").iter().chain(view.items("host")) {
        match node.text().map(HostPattern::parse) {
            Some(Ok(host)) if hosts.contains(&host) => {
                scope.report.find(
                    Code::Ambiguous,
                    &node.at,
                    format!("`{host}` is listed twice"),
                );
            }
            Some(Ok(host)) => hosts.push(host),
            Some(Err(error)) => scope.report.find(Code::Value, &node.at, error.to_string()),
            None => {}
        }
    }
    hosts
}

/// Parameters that every path of the route binds: a condition on one that a path lacks would never hold there.
fn common_parameters(paths: &[PathPattern]) -> Vec<Arc<str>> {
    let Some((first, others)) = paths.split_first() else {
        return Vec::new();
    };
    first
        .parameters()
        .map(|(name, _)| name)
        .filter(|name| {
            others
                .iter()
                .all(|path| path.parameters().any(|(other, _)| other == *name))
        })
        .map(Arc::clone)
        .collect()
}

fn fold(view: &View<'_>, paths: &[PathPattern], scope: &mut Scope<'_>) -> Vec<Arc<str>> {
    let mut fold = Vec::new();
    for node in view.items("fold") {
        let Some(name) = node.text() else { continue };
        let name = name
            .strip_prefix('{')
            .and_then(|name| name.strip_suffix('}'))
            .unwrap_or(name);
        let bound: Vec<&str> = paths
            .iter()
            .flat_map(PathPattern::parameters)
            .map(|(name, _)| &**name)
            .collect();
        if bound.contains(&name) {
            fold.push(Arc::from(name));
        } else {
            scope.report.find_try(
                Code::UnboundParameter,
                &node.at,
                format!("the path does not bind `{{{name}}}`"),
                crate::config::suggest::one_of(name, &bound),
            );
        }
    }
    fold
}

fn allowances(view: &View<'_>) -> PathAllowances {
    let words = view.texts("paths");
    let has = |word: &str| words.iter().any(|found| found == word);
    PathAllowances {
        encoded_slash: has("encoded_slash"),
        empty_segment: has("empty_segment"),
        semicolon: has("semicolon"),
        encoded_percent: has("encoded_percent"),
    }
}

fn rate_limits(view: &View<'_>, scope: &mut Scope<'_>) -> Vec<RateLimitSettings> {
    let mut limits = Vec::new();
    for node in view.items("rate_limit") {
        let view = View::new(node, &RATE_LIMIT);
        let by = match view.text("by") {
            Some("principal") => RateLimitKey::Principal,
            _ => RateLimitKey::ClientAddress,
        };
        let before_authentication = view.text("before") == Some("authentication");
        if before_authentication && by == RateLimitKey::Principal {
            scope.report.error_try(
                view.place("before"),
                "before authentication no principal is known",
                "count by `client_address`, or remove `before`",
            );
        }
        limits.push(RateLimitSettings {
            by,
            before_authentication,
            requests: view
                .number("requests")
                .and_then(|number| u32::try_from(number).ok())
                .unwrap_or_default(),
            per: view.span("per"),
        });
    }
    limits
}

fn actor_token(view: &View<'_>, scope: &mut Scope<'_>) -> Option<ActorToken> {
    let view = view.sub_if("actor_token", &ACTOR_TOKEN)?;
    let issuer = scope.issuer(view.get("issuer"))?;
    if issuer.proofs {
        scope.report.error_try(
            view.place("issuer"),
            format!(
                "no second token of `{}` would ever hold: the issuer says `dpop: require`, and proofs are the first token's",
                issuer.name
            ),
            "dpop: accept, or another issuer",
        );
    }
    let header = scalar::header_name(view.text("header")?).ok()?;
    if scope.identity_headers.contains(&header) {
        scope.report.error(
            view.place("header"),
            format!(
                "`{header}` is an identity header: what clients send under its name is never read"
            ),
        );
    }
    Some(ActorToken {
        header,
        issuer: Arc::from(issuer.name),
        required: view.flag("required"),
    })
}

/// What is recorded and not enforced.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observed {
    pub(super) until: UnixTime,
    pub(super) enforced: Share,
}

/// `mode`, `until` and `enforce`, of the document, of a route, or of a caller.
pub(super) fn observe(view: &View<'_>, scope: &mut Scope<'_>) -> Option<Observed> {
    let enforced = view.text("enforce").map(scalar::percent);
    let enforced = enforced.and_then(Result::ok).unwrap_or(Share::NOBODY);
    if view.has("enforce") && view.text("mode") != Some("observe") {
        scope.report.error_try(
            view.place("enforce"),
            "`enforce` means something with `mode: observe` only: what is not observed is enforced for everybody",
            "mode: observe, with `until`",
        );
    }
    let until = view.text("until").and_then(|text| scalar::date(text).ok());
    match (view.text("mode"), view.has("until")) {
        (Some("observe"), false) => {
            scope.report.find_try(
                Code::MissingKey,
                view.place("mode"),
                "`mode: observe` lets everything pass and must end some day: `until` is missing",
                "until: 2027-01-31",
            );
            None
        }
        (Some("observe"), true) => {
            scope.report.find_try(
                Code::Observes,
                view.place("mode"),
                "decisions are recorded and not enforced",
                "remove `mode: observe` once the records show what was expected",
            );
            until.map(|until| Observed { until, enforced })
        }
        (_, true) => {
            scope.report.error(
                view.place("until"),
                "`until` means something with `mode: observe` only",
            );
            None
        }
        (_, false) => None,
    }
}

/// A public `**` above protected routes leaves those protected (the more specific path wins), but whatever the upstream
/// adds below it later is public from its first day.
fn public_covers(routes: &[Placed<'_>], scope: &mut Scope<'_>) {
    for public in routes.iter().filter(|route| is_public(&route.settings)) {
        for (at, path) in public.settings.paths.iter().enumerate() {
            let Some((PatternSegment::Rest, above)) = path.segments().split_last() else {
                continue;
            };
            let covered = routes
                .iter()
                .filter(|route| !is_public(&route.settings))
                .find_map(|route| {
                    route
                        .settings
                        .paths
                        .iter()
                        .find(|other| covers(above, other.segments()))
                        .map(|other| (other, route.view.at().line))
                });
            if let Some((other, line)) = covered {
                let place = public
                    .view
                    .items("path")
                    .get(at)
                    .map_or_else(|| public.view.place("path"), |node: &Node| &node.at);
                scope.report.find_try(
                    Code::PublicCoversProtected,
                    place,
                    format!("everything below `{path}` is open to anyone, except `{other}` (line {line}) and what else has a route; what the upstream adds later is open, too"),
                    "name the public paths one by one",
                );
            }
        }
    }
}

pub(super) fn is_public(settings: &RouteSettings) -> bool {
    match &settings.table {
        MethodTable::Every(access) | MethodTable::Any(access) => matches!(access, Access::Anyone),
        MethodTable::Rows(rows) => rows.iter().any(|row| matches!(row.access, Access::Anyone)),
    }
}

fn covers(above: &[PatternSegment], other: &[PatternSegment]) -> bool {
    above.len() < other.len()
        && above
            .iter()
            .zip(other)
            .all(|(wide, narrow)| match (wide, narrow) {
                (PatternSegment::Literal(wide), PatternSegment::Literal(narrow)) => wide == narrow,
                (PatternSegment::Parameter(_), _) => true,
                (PatternSegment::Literal(_) | PatternSegment::Rest, _) => false,
            })
}
