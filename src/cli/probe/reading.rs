//! How the proxy reads a target, by its own code.

use http::uri::PathAndQuery;

use crate::listener::{Limits, judge_target};
use crate::rejection::Rejection;
use crate::request::{CanonicalPath, PathAllowances};

/// How it reads a spelling of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ProxyReading {
    /// As the plain path.
    Same,
    /// Not at all, for this reason.
    Refused(&'static str),
    /// As another path, and only where the route says these switches.
    Switched(Vec<&'static str>),
    /// As a path that differs from the plain one in the case of letters or a trailing slash: 403 where the plain path
    /// has a route of its own.
    NearMiss,
    /// As another path.
    Another,
}

/// The switches that something needs.
pub(super) fn switches(needed: PathAllowances) -> Vec<&'static str> {
    let PathAllowances {
        encoded_slash,
        empty_segment,
        semicolon,
        encoded_percent,
    } = needed;
    [
        ("encoded_slash", encoded_slash),
        ("empty_segment", empty_segment),
        ("semicolon", semicolon),
        ("encoded_percent", encoded_percent),
    ]
    .into_iter()
    .filter_map(|(name, needed)| needed.then_some(name))
    .collect()
}

/// A path that every reader reads alike.
///
/// # Errors
/// Says why it is none.
pub(super) fn plain(target: &str) -> Result<CanonicalPath, String> {
    let path = canonical(target).map_err(|reason| format!("the proxy refuses it ({reason})"))?;
    match switches(path.allowance_needed()).first() {
        None => Ok(path),
        Some(switch) => Err(format!("could be read in two ways ({switch})")),
    }
}

fn canonical(target: &str) -> Result<CanonicalPath, &'static str> {
    let judged = judge_target(target, &Limits::default()).map_err(Rejection::Malformed);
    judged.map_err(|rejection| rejection.reason())?;
    let target = PathAndQuery::try_from(target).map_err(|_| "malformed_target")?;
    CanonicalPath::parse(target).map_err(|rejection| rejection.reason())
}

/// How it reads `target`, beside the plain path.
pub(super) fn of(target: &str, plain: &CanonicalPath) -> ProxyReading {
    let path = match canonical(target) {
        Ok(path) => path,
        Err(reason) => return ProxyReading::Refused(reason),
    };
    let needed = switches(path.allowance_needed());
    if !needed.is_empty() {
        return ProxyReading::Switched(needed);
    }
    let same_slash = path.trailing_slash() == plain.trailing_slash();
    let folded = |path: &CanonicalPath| -> Vec<String> {
        path.segments().map(str::to_ascii_lowercase).collect()
    };
    if same_slash && path.segments().eq(plain.segments()) {
        ProxyReading::Same
    } else if folded(&path) == folded(plain) {
        ProxyReading::NearMiss
    } else {
        ProxyReading::Another
    }
}
