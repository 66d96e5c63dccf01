//! The route table of one listener: a trie of path segments.
//!
//! Specificity is decided segment by segment from the left: literal before parameter before `**`; only then, between
//! routes of one path, by host: a name before `*.longer.suffix` before `*.suffix` before none. A route whose hosts do not
//! match takes no part. Two paths that can match one request and are of equal specificity are therefore at one place
//! of the trie, which is where conflicts are found; the order of insertion means nothing.
//!
//! A request path is its decoded segments, with a last empty one where it ends in a slash.

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::check::{Conflict, RouteError, RouteFault, RoutePlace};
use super::pattern::{HostPattern, PathPattern, PatternSegment};
use super::route::{Route, RouteSettings};
use super::trace::Considered;

#[cfg(test)]
mod tests;

/// The decoded segments of a request path.
pub(super) type Segments<'p> = SmallVec<[&'p str; 16]>;

/// How a segment was matched; a lower one is more specific. The end of a path counts as a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Literal,
    Parameter,
    Rest,
}

type Ranks = SmallVec<[Rank; 16]>;

/// The route that owns a path, by which of its paths, and how specific that is.
#[derive(Debug)]
pub(super) struct Hit<'t> {
    pub(super) route: &'t Arc<Route>,
    pub(super) path: u16,
    ranks: Ranks,
}

/// The routes of one listener.
#[derive(Debug, Default)]
pub(super) struct Table {
    root: Node,
}

/// A segment whose ASCII letters are in lower case.
type Folded = SmallVec<[u8; 32]>;

fn folded(text: &str) -> Folded {
    let mut folded = Folded::from_slice(text.as_bytes());
    folded.make_ascii_lowercase();
    folded
}

#[derive(Debug, Default)]
struct Node {
    /// By their folded text, since both are looked up: this very text, and all that differ from it in letters' case only. A
    /// map, so that ten thousand of them take no longer each than ten.
    literals: BTreeMap<Folded, Vec<(Box<str>, Node)>>,
    parameter: Option<Box<Node>>,
    /// Patterns that end here.
    end: Vec<Entry>,
    /// Patterns that go on with `**` here.
    rest: Vec<Entry>,
}

/// A route at a place of the trie, under one of its hosts. Sorted by host, the most specific first.
#[derive(Debug)]
struct Entry {
    host: Option<HostPattern>,
    route: Arc<Route>,
    path: u16,
}

/// What hosts a route is listed under; `None` for any host.
fn hosts_of(settings: &RouteSettings) -> Vec<Option<HostPattern>> {
    if settings.hosts.is_empty() {
        vec![None]
    } else {
        settings.hosts.iter().cloned().map(Some).collect()
    }
}

impl Entry {
    fn specificity(&self) -> usize {
        self.host.as_ref().map_or(0, HostPattern::specificity)
    }

    fn find<'e>(entries: &'e [Self], host: &str) -> Option<&'e Self> {
        entries
            .iter()
            .find(|entry| entry.host.as_ref().is_none_or(|own| own.matches(host)))
    }
}

/// Which routes a near miss may be one of.
pub(super) type Counts<'c> = &'c dyn Fn(&Route) -> bool;

/// What a near miss is looked for with.
#[derive(Clone, Copy)]
struct Wanted<'w> {
    host: &'w str,
    counts: Counts<'w>,
}

impl Wanted<'_> {
    fn is_among(self, entries: &[Entry]) -> bool {
        Entry::find(entries, self.host).is_some_and(|entry| (self.counts)(&entry.route))
    }
}

impl Table {
    /// Adds all paths of a route that [`Self::conflicts`] found nothing against.
    pub(super) fn insert(&mut self, route: &Arc<Route>) {
        for (at, path) in route.settings().paths.iter().enumerate() {
            let Ok(number) = u16::try_from(at) else {
                return;
            };
            let entries = self.root.place(path.segments());
            for host in hosts_of(route.settings()) {
                entries.push(Entry {
                    host,
                    route: Arc::clone(route),
                    path: number,
                });
            }
            entries.sort_by_key(|entry| std::cmp::Reverse(entry.specificity()));
        }
    }

    /// Every path of `settings` that a route in the table, or an earlier path of its own, has under the same host.
    pub(super) fn conflicts(&self, settings: &RouteSettings) -> Vec<RouteError> {
        let mut errors = Vec::new();
        let hosts = hosts_of(settings);
        for (at, path) in settings.paths.iter().enumerate() {
            let mut report = |with: &Arc<str>, other: &PathPattern, host: Option<&HostPattern>| {
                let conflict = Conflict {
                    with: Arc::clone(with),
                    path: Arc::clone(path.as_str()),
                    other_path: Arc::clone(other.as_str()),
                    host: host.map(HostPattern::to_string),
                };
                errors.push(RouteError::new(
                    RoutePlace::Path(at),
                    RouteFault::Conflict(conflict),
                ));
            };
            for entry in self.root.entries(path.segments()) {
                if hosts.contains(&entry.host)
                    && let Some(other) = entry.route.settings().paths.get(usize::from(entry.path))
                {
                    report(entry.route.name(), other, entry.host.as_ref());
                }
            }
            for earlier in settings.paths.iter().take(at) {
                if same_place(earlier, path) {
                    report(&settings.name, earlier, None);
                }
            }
        }
        errors
    }

    /// The route that owns a path.
    pub(super) fn find(&self, path: &[&str], host: &str) -> Option<Hit<'_>> {
        let mut ranks = Ranks::new();
        let first = &mut |entries| Entry::find(entries, host);
        let entry = self.root.walk(path, &mut ranks, first)?;
        Some(Hit {
            route: &entry.route,
            path: entry.path,
            ranks,
        })
    }

    /// Every route that has a path which matches, the most specific first. The first whose host matches is the one that
    /// [`Self::find`] finds: it goes the same way, and stops there.
    pub(super) fn matching(&self, path: &[&str], host: &str) -> Vec<Considered> {
        let mut all = Vec::new();
        let each = &mut |entries: &[Entry]| {
            all.extend(entries.iter().map(|entry| Considered {
                route: Arc::clone(&entry.route),
                path: usize::from(entry.path),
                host: entry.host.clone(),
                host_matches: entry.host.as_ref().is_none_or(|own| own.matches(host)),
            }));
            None::<()>
        };
        let _nothing_chosen = self.root.walk(path, &mut Ranks::new(), each);
        all
    }

    /// Whether another spelling of the path (letters of another ASCII case, a slash more or less at the end) selects a
    /// more specific path than `hit`, which the exact spelling selects, of a route that `counts`.
    pub(super) fn is_near_miss(
        &self,
        hit: &Hit<'_>,
        path: &[&str],
        host: &str,
        counts: Counts<'_>,
    ) -> bool {
        if hit.ranks.iter().all(|rank| *rank == Rank::Literal) {
            return false; // nothing is more specific than a literal path
        }
        let betters = |path: &[&str]| {
            let wanted = Wanted { host, counts };
            self.root.betters(&hit.ranks, path, wanted, false)
        };
        if betters(path) {
            return true;
        }
        match path.split_last() {
            // `/` has no other spelling.
            Some((&"", [])) | None => false,
            Some((&"", shorter)) => betters(shorter),
            Some(_) => {
                let mut longer = Segments::from_slice(path);
                longer.push("");
                betters(&longer)
            }
        }
    }

    /// Whether another parser's reading of the path (its route accepts that there is one) selects another route that
    /// `counts` and is no less specific than `hit`, or a near miss of such a one: the upstream could serve that one.
    pub(super) fn is_read_as_another(
        &self,
        hit: &Hit<'_>,
        reading: &[&str],
        host: &str,
        counts: Counts<'_>,
    ) -> bool {
        let another = self.find(reading, host).is_some_and(|other| {
            let common = other.ranks.iter().zip(&hit.ranks);
            let first = common.map(|(theirs, ours)| theirs.cmp(ours));
            let order = first.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then);
            !Arc::ptr_eq(other.route, hit.route) && counts(other.route) && order.is_le()
        });
        another || self.is_near_miss(hit, reading, host, counts)
    }
}

/// Whether two patterns differ in the names of their parameters at most.
fn same_place(one: &PathPattern, other: &PathPattern) -> bool {
    one.segments().len() == other.segments().len()
        && one
            .segments()
            .iter()
            .zip(other.segments())
            .all(|pair| match pair {
                (PatternSegment::Literal(one), PatternSegment::Literal(other)) => one == other,
                (PatternSegment::Parameter(_), PatternSegment::Parameter(_))
                | (PatternSegment::Rest, PatternSegment::Rest) => true,
                _ => false,
            })
}

impl Node {
    /// The entries at the place of a pattern, made when it is not there.
    fn place(&mut self, pattern: &[PatternSegment]) -> &mut Vec<Entry> {
        let Some((first, others)) = pattern.split_first() else {
            return &mut self.end;
        };
        match first {
            PatternSegment::Rest => &mut self.rest,
            PatternSegment::Parameter(_) => self.parameter.get_or_insert_default().place(others),
            PatternSegment::Literal(text) => self.literal(text).place(others),
        }
    }

    fn literal(&mut self, text: &str) -> &mut Self {
        let spellings = self.literals.entry(folded(text)).or_default();
        // By text, so that the order of the file shows nowhere.
        let at = spellings.partition_point(|(own, _)| **own < *text);
        if spellings.get(at).is_none_or(|(own, _)| **own != *text) {
            spellings.insert(at, (text.into(), Self::default()));
        }
        #[expect(
            clippy::indexing_slicing,
            reason = "`at` was found or filled above; configuration time"
        )]
        &mut spellings[at].1
    }

    /// The entries at the place of a pattern.
    fn entries(&self, pattern: &[PatternSegment]) -> &[Entry] {
        let Some((first, others)) = pattern.split_first() else {
            return &self.end;
        };
        let next = match first {
            PatternSegment::Rest => return &self.rest,
            PatternSegment::Parameter(_) => self.parameter.as_deref(),
            PatternSegment::Literal(text) => self.child(text),
        };
        next.map_or(&[], |node| node.entries(others))
    }

    fn child(&self, text: &str) -> Option<&Self> {
        let mut spellings = self.spellings(text).iter();
        let found = spellings.find(|(own, _)| **own == *text);
        found.map(|(_, node)| node)
    }

    /// The children whose text is `text` when ASCII case is folded.
    fn folded_children(&self, text: &str) -> impl Iterator<Item = &Self> {
        self.spellings(text).iter().map(|(_, node)| node)
    }

    fn spellings(&self, text: &str) -> &[(Box<str>, Self)] {
        if self.literals.is_empty() {
            return &[];
        }
        let found = self.literals.get(folded(text).as_slice());
        found.map_or(&[], Vec::as_slice)
    }

    /// Goes through the places that match, the most specific first, until `choose` takes one; `ranks` then tells how it
    /// was reached. A node is tried at one depth only, so the work is bounded by the nodes.
    fn walk<'t, T>(
        &'t self,
        path: &[&str],
        ranks: &mut Ranks,
        choose: &mut impl FnMut(&'t [Entry]) -> Option<T>,
    ) -> Option<T> {
        let depth = ranks.len();
        match path.split_first() {
            None => {
                if let Some(chosen) = choose(&self.end) {
                    ranks.push(Rank::Literal);
                    return Some(chosen);
                }
            }
            Some((segment, others)) => {
                if let Some(node) = self.child(segment) {
                    ranks.push(Rank::Literal);
                    if let Some(chosen) = node.walk(others, ranks, choose) {
                        return Some(chosen);
                    }
                    ranks.truncate(depth);
                }
                // An empty segment is no value: `/accounts//usage` names no account.
                if let Some(node) = self.parameter.as_deref().filter(|_| !segment.is_empty()) {
                    ranks.push(Rank::Parameter);
                    if let Some(chosen) = node.walk(others, ranks, choose) {
                        return Some(chosen);
                    }
                    ranks.truncate(depth);
                }
            }
        }
        let chosen = choose(&self.rest)?;
        ranks.push(Rank::Rest);
        Some(chosen)
    }

    /// Whether an entry matches, literals with their case folded, that is more specific than `than` says; `better`
    /// when the way to this node is so already, otherwise it is equal.
    fn betters(&self, than: &[Rank], path: &[&str], wanted: Wanted<'_>, better: bool) -> bool {
        let (limit, than) = than
            .split_first()
            .map_or((Rank::Literal, than), |(first, others)| (*first, others));
        let may = |rank: Rank| better || rank <= limit;
        let is = |rank: Rank| better || rank < limit;
        match path.split_first() {
            None => {
                if is(Rank::Literal) && wanted.is_among(&self.end) {
                    return true;
                }
            }
            Some((segment, others)) => {
                let onwards = |node: &Self, rank| node.betters(than, others, wanted, is(rank));
                if self
                    .folded_children(segment)
                    .any(|node| onwards(node, Rank::Literal))
                {
                    return true;
                }
                let parameter = self.parameter.as_deref().filter(|_| !segment.is_empty());
                if may(Rank::Parameter)
                    && parameter.is_some_and(|node| onwards(node, Rank::Parameter))
                {
                    return true;
                }
            }
        }
        is(Rank::Rest) && wanted.is_among(&self.rest)
    }
}
