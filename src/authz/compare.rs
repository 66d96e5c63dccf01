//! What one policy lets pass and another does not: the semantic difference of two policies, each piece with a request that
//! shows it.
//!
//! Nothing here reads policy in a second way. Requests are made that stand for all others (`cells`: hosts and paths;
//! `points`: who asks), and the decision itself is asked about each of them under both policies. That these requests are
//! enough follows from what the policy language can say: paths are compared segment by segment with literals, and conditions
//! are equality, membership and networks, without negation. `docs/policy.md` has the argument; a property test holds it to
//! brute force.
//!
//! Both policies are compared as enforced and without rate limits. What is refused on a route that only observes is marked; what
//! limits change is the caller's to say.

mod cells;
mod draft;
mod listener;
mod points;
mod region;
mod row;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use http::Method;
use serde_json::{Map, Value};

use super::policy::Policy;
use crate::authn::Issuers;
use crate::clock::Now;
use crate::request::ClientCertificate;
use listener::Listener;
use points::Class;
pub use region::{Change, Difference, Effect, Hosts, Kind, PathLabel, Region, Who};

/// A policy, and whose tokens it is about.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// All routes.
    pub policy: &'a Policy,
    /// All issuers; of their keys nothing is needed.
    pub issuers: &'a Issuers,
    /// Whether the upstream is told which caller it is.
    pub tells_caller: bool,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Comparison {
    /// All differences.
    pub differences: Vec<Difference>,
    /// Which routes own the same requests.
    pub owners: Vec<Owners>,
    /// There was too much to look at: there may be more.
    pub incomplete: bool,
}

/// Two routes that own the same requests, one of each policy, by name; `None` where nobody owns them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owners {
    /// Of the old policy.
    pub old: Option<Arc<str>>,
    /// Of the new one.
    pub new: Option<Arc<str>>,
    /// The paths of those requests, as one pattern.
    pub path: String,
}

/// A request that shows a difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Witness {
    /// The listener's name in the policy that has it; in the new one where both have.
    pub listener: Arc<str>,
    /// The method.
    pub method: Method,
    /// Path, percent-encoded.
    pub target: String,
    /// Host.
    pub host: Box<str>,
    /// The client's address.
    pub client: IpAddr,
    /// The names of the client's certificate.
    pub certificate: Option<ClientCertificate>,
    /// Further header fields.
    pub headers: Vec<(&'static str, String)>,
    /// Its bearer token.
    pub token: Presented,
    /// Its second token.
    pub second: Presented,
}

/// A token of a [`Witness`].
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Presented {
    /// None.
    #[default]
    None,
    /// One that is no JWT.
    Opaque,
    /// A JWT that does not hold.
    Bad,
    /// One of these claims, which holds.
    Claims(Map<String, Value>),
}

/// What a policy says to a [`Witness`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The route that owns it.
    pub route: Option<Arc<str>>,
    /// The caller that it passes as, or the reason of the refusal (a word of the decision record).
    pub decision: Result<Option<Arc<str>>, &'static str>,
}

/// Compares what requests to a listener of the old policy become under the listener of the new one that takes its place.
/// `None` where one of them has no such listener.
#[must_use]
pub fn compare(
    old: Side<'_>,
    new: Side<'_>,
    listeners: &[(Option<&str>, Option<&str>)],
    now: Now,
) -> Comparison {
    let policies = [old, new].map(|side| side.policy.enforced());
    let classes = Class::all(old.issuers, new.issuers);
    let mut all = Comparison::default();
    for names in listeners {
        let listener = Listener::new([old, new], &policies, *names, &classes, now);
        let own = listener.compare();
        all.differences.extend(own.differences);
        all.owners.extend(own.owners);
        all.incomplete |= own.incomplete;
    }
    all
}
