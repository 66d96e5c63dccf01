//! Kinds of requests that could be told apart, and methods in groups that are not.

use std::sync::Arc;

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use http::{HeaderValue, Method};

use super::{Cell, Listener};
use crate::authz::compare::region::Kind;
use crate::authz::route::Route;
use crate::proxy::{CorsSettings, Preflight};
use crate::request::Head;

/// A method that no table lists.
const SOME_METHOD: &[u8] = b"SOMETHING";

/// An origin that no configuration names (RFC 6761 section 6.4).
const SOME_ORIGIN: &str = "https://origin.invalid";

impl Listener<'_> {
    /// Kinds of requests that could be told apart, and methods in groups that are not.
    pub(super) fn kinds(&self, cell: &Cell<'_>) -> Vec<(Kind, Vec<Vec<Method>>)> {
        let [old, new] = [&cell.old, &cell.new].map(|hit| hit.as_ref().map(|hit| hit.route));
        let ordinary = methods(old, new);
        let mut kinds = Vec::new();
        for protocol in protocols(old, new) {
            kinds.push((Kind::Upgrade(protocol), ordinary.clone()));
        }
        for (origin, wanted) in self.preflights(old, new) {
            let kind = Kind::Preflight { origin, wanted };
            kinds.push((kind, vec![vec![Method::OPTIONS]]));
        }
        kinds.push((Kind::Ordinary, ordinary));
        kinds
    }

    /// Origins and wanted methods of preflights, one of each sort that could be told apart.
    fn preflights(
        &self,
        old: Option<&Arc<Route>>,
        new: Option<&Arc<Route>>,
    ) -> Vec<(Box<str>, Method)> {
        let sides = [(self.old.cors(), old), (self.new.cors(), new)];
        let cors = sides.map(|(cors, _)| cors);
        let origins = cors.iter().flatten().flat_map(|cors| &cors.origins);
        let origins = origins.map(|own| match own.as_str() {
            "*" => SOME_ORIGIN,
            own => own,
        });
        let origins = one_of_each(origins, |origin| cors.map(|own| allows(own, origin)));
        let usable = |method: &Method| sides.map(|(_, route)| is_usable(route, method));
        let unlisted = Method::from_bytes(SOME_METHOD).ok();
        let routes = [old, new].into_iter().flatten();
        let listed = routes.flat_map(|route| route.methods().map(|(method, _)| method));
        let wanted = one_of_each(listed.chain(&unlisted), usable);
        // Others go the way of all `OPTIONS`.
        let is_special = |origin: &str, wanted: &Method| {
            sides.iter().any(|(cors, route)| {
                let preflight = cors.map(|own| own.preflight);
                allows(*cors, origin)
                    && match preflight {
                        Some(Preflight::Answer) => true,
                        Some(Preflight::Forward) => is_usable(*route, wanted),
                        Some(Preflight::Authenticate) | None => false,
                    }
            })
        };
        let mut all = Vec::new();
        for origin in origins {
            let special = wanted.iter().filter(|own| is_special(origin, own));
            all.extend(special.map(|own| (origin.into(), Method::clone(own))));
        }
        all
    }
}

fn allows(cors: Option<&CorsSettings>, origin: &str) -> bool {
    let mut own = cors.iter().flat_map(|cors| &cors.origins);
    own.any(|own| own == "*" || own == origin)
}

fn is_usable(route: Option<&Arc<Route>>, method: &Method) -> bool {
    route.is_some_and(|route| route.is_usable(method.as_str().as_bytes()))
}

/// The header fields that make a request one of a kind.
pub(super) fn headers(kind: &Kind) -> Vec<(&'static str, String)> {
    match kind {
        Kind::Ordinary => Vec::new(),
        Kind::Upgrade(protocol) => vec![
            ("connection", "upgrade".to_owned()),
            ("upgrade", protocol.to_string()),
        ],
        Kind::Preflight { origin, wanted } => vec![
            ("origin", origin.to_string()),
            ("access-control-request-method", wanted.to_string()),
        ],
    }
}

/// Makes the request one of a kind. What canonical reading makes of `Upgrade` stands in a field of its own.
pub(super) fn dress(head: &mut Head, kind: &Kind, method: &Method) {
    head.method = method.clone();
    head.upgrade = None;
    head.headers.remove(ORIGIN);
    head.headers.remove(ACCESS_CONTROL_REQUEST_METHOD);
    match kind {
        Kind::Ordinary => {}
        Kind::Upgrade(protocol) => head.upgrade = HeaderValue::from_str(protocol).ok(),
        Kind::Preflight { origin, wanted } => {
            let fields = [
                (ORIGIN, &**origin),
                (ACCESS_CONTROL_REQUEST_METHOD, wanted.as_str()),
            ];
            for (name, value) in fields {
                if let Ok(value) = HeaderValue::from_str(value) {
                    head.headers.insert(name, value);
                }
            }
        }
    }
}

/// The methods that one of the routes lists, in groups for which the same rows speak.
fn methods(old: Option<&Arc<Route>>, new: Option<&Arc<Route>>) -> Vec<Vec<Method>> {
    let mut groups: Vec<([Option<usize>; 2], Vec<Method>)> = Vec::new();
    let all = [old, new]
        .into_iter()
        .flatten()
        .flat_map(|route| route.methods());
    for (method, _) in all {
        let rows = [old, new].map(|route| route.and_then(|route| route.row(method)));
        match groups.iter_mut().find(|(own, _)| *own == rows) {
            Some((_, methods)) if methods.contains(method) => {}
            Some((_, methods)) => methods.push(method.clone()),
            None => groups.push((rows, vec![method.clone()])),
        }
    }
    groups.into_iter().map(|(_, methods)| methods).collect()
}

/// Protocols that only one of the routes lets a request upgrade to.
fn protocols(old: Option<&Arc<Route>>, new: Option<&Arc<Route>>) -> Vec<Box<str>> {
    let both = [old, new];
    let all = both
        .into_iter()
        .flatten()
        .flat_map(|route| &route.settings().upgrade);
    let allows = |protocol: &str| {
        both.map(|route| route.is_some_and(|route| route.allows_upgrade(protocol.as_bytes())))
    };
    let one_only = all.filter(|protocol| allows(protocol) != [true, true]);
    one_of_each(one_only, |protocol| protocol.to_ascii_lowercase())
        .into_iter()
        .cloned()
        .collect()
}

/// The first of each sort.
fn one_of_each<T: Copy, S: PartialEq>(
    all: impl Iterator<Item = T>,
    sort: impl Fn(T) -> S,
) -> Vec<T> {
    let mut seen: Vec<S> = Vec::new();
    let mut out = Vec::new();
    for own in all {
        let sort = sort(own);
        if !seen.contains(&sort) {
            seen.push(sort);
            out.push(own);
        }
    }
    out
}
