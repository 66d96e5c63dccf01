//! Routes that an upstream may take for one: the way into the stricter one would be the other.

use std::collections::BTreeMap;

use super::Scope;
use super::routes::{Placed, is_public};
use crate::authz::{PathPattern, PatternSegment};
use crate::config::Code;

/// Warns of public paths that differ from a protected one in nothing that an upstream need care about: letters' case, a
/// slash at the end, or the `Host`, which is the client's to choose.
pub(super) fn warn(routes: &[Placed<'_>], scope: &mut Scope<'_>) {
    let mut protected: BTreeMap<String, (&PathPattern, usize)> = BTreeMap::new();
    for route in routes.iter().filter(|route| !is_public(&route.settings)) {
        for path in &route.settings.paths {
            let line = route.view.at().line;
            protected.entry(folded(path)).or_insert((path, line));
        }
    }
    for route in routes.iter().filter(|route| is_public(&route.settings)) {
        for (at, path) in route.settings.paths.iter().enumerate() {
            let Some((other, line)) = protected.get(&folded(path)) else {
                continue;
            };
            let items = route.view.items("path");
            let place = items
                .get(at)
                .map_or_else(|| route.view.place("path"), |node| &node.at);
            let what = if path == *other {
                format!(
                    "is open to anyone under another `Host` than at line {line}, and callers choose what they send"
                )
            } else {
                format!(
                    "is open to anyone, and `{other}` (line {line}) is not: an upstream may take the two for one"
                )
            };
            scope.report.find_try(
                Code::OpenTwin,
                place,
                format!("`{path}` {what}"),
                "let both allow the same, unless the upstream tells them apart",
            );
        }
    }
}

/// Warns of protected paths that differ in a slash at the end only and allow different things: the way into the stricter
/// one would be the other.
pub(super) fn slashes(routes: &[Placed<'_>], scope: &mut Scope<'_>) {
    let protected = routes.iter().filter(|route| !is_public(&route.settings));
    // By what they are without the slash.
    let mut seen: BTreeMap<&str, Vec<(&Placed<'_>, &PathPattern)>> = BTreeMap::new();
    for route in protected {
        for (at, path) in route.settings.paths.iter().enumerate() {
            let alike = seen.entry(path.as_str().trim_end_matches('/')).or_default();
            let twin = alike.iter().find(|(other, own)| {
                own.as_str() != path.as_str()
                    && other.settings.hosts == route.settings.hosts
                    && other.settings.listener == route.settings.listener
                    && other.settings.table != route.settings.table
            });
            if let Some((other, own)) = twin {
                let line = other.view.at().line;
                let items = route.view.items("path");
                let place = items
                    .get(at)
                    .map_or_else(|| route.view.place("path"), |node| &node.at);
                scope.report.find(
                    Code::TrailingSlash,
                    place,
                    format!("`{path}` and `{own}` (line {line}) differ in a slash at the end, and allow different things: an upstream may take the two for one"),
                );
            }
            alike.push((route, path));
        }
    }
}

fn folded(path: &PathPattern) -> String {
    let mut out = String::new();
    for segment in path.segments() {
        match segment {
            PatternSegment::Literal(text) if text.is_empty() => {}
            PatternSegment::Literal(text) => {
                out.push('/');
                out.push_str(&text.to_ascii_lowercase());
            }
            PatternSegment::Parameter(_) => out.push_str("/{}"),
            PatternSegment::Rest => out.push_str("/**"),
        }
    }
    out
}
