//! Routes that an upstream may take for one: the way into the stricter one would be the other.

use std::collections::BTreeMap;

use super::Scope;
use super::routes::{Placed, is_public};
use crate::authz::{PathPattern, PatternSegment};

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
            scope.report.warn(
                place,
                format!("`{path}` {what}"),
                "let both allow the same, unless the upstream tells them apart",
            );
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
