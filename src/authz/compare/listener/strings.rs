//! Strings that conditions ask for, and others.

use crate::authz::condition::{ClaimValue, Condition};
use crate::authz::pattern::{PathPattern, PatternSegment};
use crate::authz::route::Route;

/// The strings that a route's conditions ask for.
pub(super) fn constants(route: &Route) -> Vec<Box<str>> {
    let paths = route
        .settings()
        .paths
        .iter()
        .flat_map(PathPattern::segments);
    let mut all: Vec<Box<str>> = paths
        .filter_map(|segment| match segment {
            PatternSegment::Literal(text) => Some(text.clone()),
            PatternSegment::Parameter(_) | PatternSegment::Rest => None,
        })
        .collect();
    let accesses = route.settings().table.accesses();
    for condition in accesses
        .flat_map(|access| access.alternatives())
        .flat_map(|own| &own.conditions)
    {
        match condition {
            Condition::Client(any)
            | Condition::Subject(any)
            | Condition::Scopes(any)
            | Condition::AnyScope(any)
            | Condition::Roles(any)
            | Condition::Groups(any) => all.extend(any.iter().cloned()),
            Condition::Claim { values, .. } => {
                all.extend(values.iter().filter_map(|value| match value {
                    ClaimValue::Text(text) => Some(text.clone()),
                    ClaimValue::Boolean(_) | ClaimValue::Parameter(_) => None,
                }))
            }
            Condition::ServiceAccount(_)
            | Condition::ClientAddress(_)
            | Condition::ClientCertificate(_)
            | Condition::Account(_)
            | Condition::Actor(_) => {}
        }
    }
    all
}

/// A string for a claim that no condition asks for.
pub(super) fn fresh(name: &str, constants: &[Box<str>]) -> String {
    // Segments of paths that stand for others begin with another word.
    let stem = format!("another-{}", name.replace([' ', '/'], "-"));
    let taken = |text: &String| constants.iter().any(|own| **own == **text);
    let numbered = (2..).map(|number| format!("{stem}-{number}"));
    let all = std::iter::once(stem.clone()).chain(numbered);
    let mut bounded = all.take(constants.len().saturating_add(1));
    bounded.find(|text| !taken(text)).unwrap_or(stem)
}
