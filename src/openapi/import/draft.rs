//! Operations as routes.

use std::collections::{BTreeMap, btree_map};

use http::Method;

use super::access::{self, Access, Why};
use super::parties::Parties;
use crate::authz::{PathPattern, PatternSegment};
use crate::openapi::template::{self, Mapped};
use crate::openapi::{Document, Operation};

/// All routes.
#[derive(Debug)]
pub(super) struct Draft {
    /// In the order in which they are written.
    pub(super) routes: Vec<Route>,
    /// Operations for which there is no route, one line each.
    pub(super) left_out: Vec<String>,
}

/// A route.
#[derive(Debug)]
pub(super) struct Route {
    /// Patterns, of several bases.
    pub(super) paths: Vec<String>,
    /// What the pattern does not say as the document does.
    pub(super) remarks: Vec<String>,
    pub(super) tag: Option<String>,
    pub(super) rows: Vec<Row>,
}

/// What a route says about one method.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) method: Method,
    pub(super) access: Access,
    /// Numbers of operations in the document.
    pub(super) operations: Vec<usize>,
}

/// Where a pattern is in the table of routes, whatever its parameters are called.
fn place(pattern: &PathPattern) -> Vec<Option<&str>> {
    let segments = pattern.segments().iter();
    segments
        .map(|segment| match segment {
            PatternSegment::Literal(text) => Some(&**text),
            PatternSegment::Parameter(_) => None,
            PatternSegment::Rest => Some("**"),
        })
        .collect()
}

impl Draft {
    pub(super) fn new(document: &Document, parties: &Parties, trust_public: bool) -> Self {
        let mut routes: BTreeMap<Vec<Option<String>>, Route> = BTreeMap::new();
        let mut left_out: Vec<String> = document
            .unread
            .iter()
            .map(|unread| format!("{}: {}", unread.what, unread.why))
            .collect();
        for (at, operation) in document.operations.iter().enumerate() {
            if operation.method == Method::TRACE {
                left_out.push(format!("{}: TRACE never passes", operation.title()));
                continue;
            }
            for base in &operation.bases {
                match template::map(base, &operation.path) {
                    Ok(mapped) => {
                        let mut access = access::access(document, operation, parties, trust_public);
                        if mapped.wide && access.why != Why::Unsaid {
                            let remark = format!(
                                "would open everything below; if that is meant: {}",
                                access.line()
                            );
                            access = Access::nobody(Why::Unchecked, remark);
                        }
                        take(&mut routes, &mapped, operation, at, access);
                    }
                    Err(why) => left_out.push(format!("{}: {why}", operation.title())),
                }
            }
        }
        left_out.dedup();
        Self {
            routes: ordered(document, routes),
            left_out,
        }
    }
}

/// Puts an operation into the route of its pattern.
fn take(
    routes: &mut BTreeMap<Vec<Option<String>>, Route>,
    mapped: &Mapped,
    operation: &Operation,
    at: usize,
    access: Access,
) {
    let key: Vec<Option<String>> = place(&mapped.pattern)
        .into_iter()
        .map(|segment| segment.map(str::to_owned))
        .collect();
    let route = match routes.entry(key) {
        btree_map::Entry::Occupied(entry) => entry.into_mut(),
        btree_map::Entry::Vacant(entry) => entry.insert(Route {
            paths: vec![mapped.pattern.to_string()],
            remarks: Vec::new(),
            tag: operation.tag.clone(),
            rows: Vec::new(),
        }),
    };
    for remark in &mapped.remarks {
        if !route.remarks.contains(remark) {
            route.remarks.push(remark.clone());
        }
    }
    let same = route.rows.iter_mut();
    let same = same.filter(|row| row.method == operation.method).last();
    match same {
        None => route.rows.push(Row {
            method: operation.method.clone(),
            access,
            operations: vec![at],
        }),
        Some(row) => {
            row.operations.push(at);
            if row.access != access {
                let remark = format!(
                    "several operations of the document meet here, and ask for different things: {} or {}",
                    row.access.line(),
                    access.line()
                );
                row.access = Access::nobody(Why::Unchecked, remark);
            }
        }
    }
}

/// By tag, in the document's order; then by path. Routes of several bases that say the same become one.
fn ordered(document: &Document, routes: BTreeMap<Vec<Option<String>>, Route>) -> Vec<Route> {
    let rank = |tag: &Option<String>| {
        let known = document
            .tags
            .iter()
            .position(|(name, _)| Some(name) == tag.as_ref());
        (tag.is_none(), known.unwrap_or(usize::MAX), tag.clone())
    };
    const ORDER: [Method; 7] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    let mut merged: Vec<Route> = Vec::new();
    for (_, mut route) in routes {
        route
            .rows
            .sort_by_key(|row| ORDER.iter().position(|method| *method == row.method));
        let same = merged
            .iter_mut()
            .find(|own| own.rows == route.rows && own.remarks == route.remarks);
        match same {
            Some(own) => own.paths.append(&mut route.paths),
            None => merged.push(route),
        }
    }
    merged.sort_by_cached_key(|route| (rank(&route.tag), route.paths.clone()));
    merged
}
