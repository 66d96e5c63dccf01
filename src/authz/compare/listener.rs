//! A listener under both policies: every host, path, method and kind of request that they could tell apart.

mod kind;
mod label;
mod strings;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use http::header::HOST;
use http::{HeaderValue, Method, Request};

use super::cells::{self, HostCell, Piece, PieceKind, TooMany, Tree};
use super::points::{Class, Second, Which};
use super::region::{Collected, Effect, Finding, Kind, PathLabel, Who};
use super::row::{Bearer, Rows, Shown, Turn};
use super::{Answer, Comparison, Owners, Presented, Side, Witness};
use crate::authn::Issuers;
use crate::authz::Routed;
use crate::authz::find::{self, Found, NotFound};
use crate::authz::pattern::{HostPattern, PathPattern, PatternSegment};
use crate::authz::policy::{ListenerPolicy, Policy};
use crate::authz::route::Route;
use crate::authz::table::{Hit, Segments};
use crate::clock::Now;
use crate::proxy::CorsSettings;
use crate::request::{Canonical, Connection, Head, RequestRules};
use kind::{dress, headers};
use label::{common, label};
use strings::{constants, fresh};

/// How often parameters of one path are given values that conditions ask for.
const MOST_SUBSTITUTIONS: u8 = 2;

/// One policy's side of a listener.
struct Asked<'a> {
    policy: &'a Policy,
    issuers: &'a Issuers,
    table: Option<&'a ListenerPolicy>,
    connection: Arc<Connection>,
    /// The routes that only observe.
    observing: HashSet<Arc<str>>,
}

impl<'a> Asked<'a> {
    fn new(side: Side<'a>, policy: &'a Policy, listener: &str, now: Now) -> Self {
        let routes = side.policy.routes().iter();
        let observing = routes.filter(|route| route.observes(now));
        Self {
            policy,
            issuers: side.issuers,
            observing: observing.map(|route| Arc::clone(route.name())).collect(),
            table: policy.listener(listener),
            connection: Arc::new(Connection {
                listener: listener.into(),
                peer: IpAddr::from([192, 0, 2, 1]),
                tls: false,
                unix: false,
                client_certificate: None,
            }),
        }
    }

    /// The routes that the listener has.
    fn routes(&self) -> impl Iterator<Item = &'a Arc<Route>> + use<'a> {
        let table = self.table;
        let is_here = move |route: &&Arc<Route>| {
            let own = route.settings().listener.as_deref();
            table.is_some_and(|table| own.is_none_or(|own| *own == *table.name))
        };
        self.policy.routes().iter().filter(is_here)
    }

    fn hit(&self, path: &[&str], host: &str) -> Option<Hit<'a>> {
        self.table?.table.find(path, host)
    }

    fn cors(&self) -> Option<&'a CorsSettings> {
        self.table?.cors.as_ref()
    }

    /// Who owns the request, as the proxy finds it.
    fn find(&self, head: &mut Head, now: Now) -> Result<Found, NotFound> {
        head.connection = Arc::clone(&self.connection);
        find::find(self.policy, head, now)
    }
}

/// A listener under both policies.
pub(super) struct Listener<'a> {
    name: Arc<str>,
    old: Asked<'a>,
    new: Asked<'a>,
    tells_caller: bool,
    classes: &'a [Class],
    rules: RequestRules,
    now: Now,
    /// Strings that conditions ask for.
    constants: Vec<Box<str>>,
    /// What was compared already, which findings came of it, and which values segments would have to have besides.
    seen: HashMap<Key, (Vec<usize>, Vec<Place>)>,
    found: Collected,
    owners: Vec<Owners>,
    /// Whose owners are known already.
    owned: HashSet<[OwnPath; 2]>,
    incomplete: bool,
}

/// A route, and which of its paths.
type OwnPath = Option<(Arc<str>, u16)>;

/// A segment, and a value that it would have to have.
type Place = (usize, String);

/// What a comparison of two rows depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    old: Owner,
    new: Owner,
    kind: Kind,
    /// The first of those for which the rows speak.
    method: Method,
    /// Segments under parameters that are literals elsewhere.
    literals: Vec<(usize, Box<str>)>,
    /// Other spellings are told path by path.
    spelling: Option<PathLabel>,
}

/// Which row of which route speaks for a request, or why none does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Owner {
    path: OwnPath,
    row: Result<Option<usize>, &'static str>,
}

/// A path and a host that stand for others, and who owns them.
struct Cell<'c> {
    pieces: &'c [Piece],
    host: &'c HostCell,
    host_at: usize,
    old: Option<Hit<'c>>,
    new: Option<Hit<'c>>,
}

impl Cell<'_> {
    /// What both owners match.
    fn pattern(&self) -> String {
        let [old, new] = [&self.old, &self.new].map(|hit| hit.as_ref().and_then(pattern));
        common(old, new)
    }

    /// Whether one of the owners names the very path.
    fn is_literal(&self) -> bool {
        let literal = |segment: &PatternSegment| matches!(segment, PatternSegment::Literal(_));
        let mut patterns = [&self.old, &self.new]
            .into_iter()
            .flatten()
            .filter_map(pattern);
        patterns.any(|own| own.segments().iter().all(literal))
    }
}

impl<'a> Listener<'a> {
    pub(super) fn new(
        sides: [Side<'a>; 2],
        policies: &'a [Policy; 2],
        names: (Option<&str>, Option<&str>),
        classes: &'a [Class],
        now: Now,
    ) -> Self {
        let [old, new] = sides;
        let [old_policy, new_policy] = policies;
        let old_asked = Asked::new(old, old_policy, names.0.unwrap_or_default(), now);
        let new_asked = Asked::new(new, new_policy, names.1.unwrap_or_default(), now);
        let routes = old_asked.routes().chain(new_asked.routes());
        let mut constants: Vec<Box<str>> = routes.flat_map(|route| constants(route)).collect();
        constants.extend(classes.iter().flat_map(Class::constants));
        constants.sort();
        constants.dedup();
        Self {
            name: names.1.or(names.0).unwrap_or_default().into(),
            old: old_asked,
            new: new_asked,
            tells_caller: old.tells_caller || new.tells_caller,
            classes,
            rules: RequestRules::default(),
            now,
            constants,
            seen: HashMap::new(),
            found: Collected::default(),
            owners: Vec::new(),
            owned: HashSet::new(),
            incomplete: false,
        }
    }

    /// What is found out about its requests.
    pub(super) fn compare(mut self) -> Comparison {
        let routes: Vec<&Arc<Route>> = self.old.routes().chain(self.new.routes()).collect();
        let mut patterns: Vec<&HostPattern> = Vec::new();
        for pattern in routes.iter().flat_map(|route| &route.settings().hosts) {
            if !patterns.contains(&pattern) {
                patterns.push(pattern);
            }
        }
        let hosts = cells::hosts(&patterns);
        let named = hosts.iter().map(|cell| cell.pattern.clone());
        self.found = Collected::new(&self.name, named.collect());
        for (at, host) in hosts.iter().enumerate() {
            let constants = self.constants.clone();
            let mut tree = Tree::new(&constants);
            for route in &routes {
                let settings = route.settings();
                let own = &settings.hosts;
                if own.is_empty() || own.iter().any(|pattern| pattern.matches(&host.host)) {
                    tree.empty_segments |= settings.allowances.empty_segment;
                    settings.paths.iter().for_each(|path| tree.add(path));
                }
            }
            let walked = tree.paths(&mut |pieces| self.path(pieces, host, at, MOST_SUBSTITUTIONS));
            if let Err(TooMany) = walked {
                self.incomplete = true;
            }
        }
        Comparison {
            differences: self.found.into_differences(),
            owners: self.owners,
            incomplete: self.incomplete,
        }
    }

    fn note_owners(&mut self, cell: &Cell<'_>) {
        let both = [own_path(cell.old.as_ref()), own_path(cell.new.as_ref())];
        if self.owned.insert(both.clone()) {
            let [old, new] = both.map(|own| own.map(|(name, _)| name));
            let path = cell.pattern();
            self.owners.push(Owners { old, new, path });
        }
    }

    /// Compares what becomes of one path, and of its variants that both policies tell apart. `left` bounds how often
    /// parameters are given values that conditions ask for.
    fn path(&mut self, pieces: &[Piece], host: &HostCell, host_at: usize, left: u8) {
        let segments: Segments<'_> = pieces.iter().map(|piece| &*piece.text).collect();
        let cell = Cell {
            pieces,
            host,
            host_at,
            old: self.old.hit(&segments, &host.host),
            new: self.new.hit(&segments, &host.host),
        };
        if cell.old.is_none() && cell.new.is_none() {
            return;
        }
        self.note_owners(&cell);
        let Some(mut request) = self.request(&cell) else {
            return;
        };
        let mut wanted = Vec::new();
        for (kind, methods) in self.kinds(&cell) {
            for methods in methods {
                wanted.extend(self.methods(&cell, &kind, &methods, request.head_mut()));
            }
        }
        for piece in ambiguous(&cell) {
            self.path(&instead(pieces, None, piece), host, host_at, 0);
        }
        if let Some(left) = left.checked_sub(1) {
            for (at, text) in wanted {
                let pieces = instead(pieces, Some(at), Piece::literal(&text));
                self.path(&pieces, host, host_at, left);
            }
        }
    }

    fn request(&self, cell: &Cell<'_>) -> Option<Canonical<()>> {
        let mut request = Request::new(());
        *request.uri_mut() = cells::target(cell.pieces).parse().ok()?;
        let host = HeaderValue::from_str(&cell.host.host).ok()?;
        request.headers_mut().insert(HOST, host);
        let (parts, ()) = request.into_parts();
        Canonical::parse(parts, (), &self.new.connection, &self.rules).ok()
    }

    /// Compares the rows that speak for these methods. Gives values that segments would have to have for a condition to
    /// hold at all.
    fn methods(
        &mut self,
        cell: &Cell<'_>,
        kind: &Kind,
        methods: &[Method],
        head: &mut Head,
    ) -> Vec<Place> {
        let Some(method) = methods.first() else {
            return Vec::new();
        };
        dress(head, kind, method);
        let (old, new) = (self.old.find(head, self.now), self.new.find(head, self.now));
        let refusals =
            [old.as_ref().err(), new.as_ref().err()].map(|error| error.map(|own| &own.rejection));
        if refusals.iter().all(Option::is_some) {
            return Vec::new();
        }
        let label = label(cell, refusals);
        let key = Key {
            old: owner(&old, cell.old.as_ref()),
            new: owner(&new, cell.new.as_ref()),
            kind: kind.clone(),
            method: method.clone(),
            literals: literals(cell),
            spelling: Some(label.clone()).filter(|own| matches!(own, PathLabel::Spelling(_))),
        };
        if let Some((numbers, places)) = self.seen.get(&key) {
            self.found.also_on(numbers, cell.host_at);
            return places.clone();
        }
        let fresh = |name: &str| fresh(name, &self.constants);
        let found = Rows {
            old: self.turn(Which::Old, cell, kind, method, old),
            new: self.turn(Which::New, cell, kind, method, new),
            classes: self.classes,
            tells_caller: self.tells_caller,
            now: self.now,
            fresh: &fresh,
        }
        .compare();
        self.incomplete |= found.cut;
        let mut findings = found.findings;
        if matches!(label, PathLabel::Spelling(_)) {
            findings.truncate(1);
            findings.iter_mut().for_each(|own| own.who = Who::Everybody);
        }
        let numbers = findings.into_iter().map(|shown| {
            let finding = self.finding(cell, kind, methods, &label, shown);
            self.found.add(finding)
        });
        let numbers: Vec<usize> = numbers.collect();
        let places = found.wanted.into_iter().filter_map(|wanted| {
            let hit = match wanted.which {
                Which::Old => cell.old.as_ref(),
                Which::New => cell.new.as_ref(),
            };
            let mut parameters = pattern(hit?)?.parameters();
            let (_, at) = parameters.find(|(own, _)| ***own == *wanted.parameter)?;
            Some((at, wanted.value))
        });
        let places: Vec<Place> = places.collect();
        self.seen.insert(key, (numbers, places.clone()));
        places
    }

    fn turn<'t>(
        &'t self,
        which: Which,
        cell: &Cell<'_>,
        kind: &Kind,
        method: &Method,
        found: Result<Found, NotFound>,
    ) -> Turn<'t> {
        let side = match which {
            Which::Old => &self.old,
            Which::New => &self.new,
        };
        let (route, routed) = match found {
            Err(NotFound { rejection, route }) => (route, Err(rejection.reason())),
            Ok(found) => {
                let route = Arc::clone(&found.route);
                let request = self.request(cell).ok_or("target");
                let routed = request.map(|mut request| {
                    dress(request.head_mut(), kind, method);
                    request.head_mut().connection = Arc::clone(&side.connection);
                    Routed {
                        request,
                        found,
                        generation: 0,
                    }
                });
                (Some(route), routed)
            }
        };
        Turn {
            which,
            issuers: side.issuers,
            routed,
            route,
            connection: &side.connection,
        }
    }

    fn finding(
        &self,
        cell: &Cell<'_>,
        kind: &Kind,
        methods: &[Method],
        label: &PathLabel,
        shown: Shown,
    ) -> Finding {
        let Bearer {
            token,
            second,
            client,
            certificate,
        } = shown.bearer;
        let only_observes = |side: &Asked<'_>, answer: &Answer| {
            let route = answer.route.as_ref();
            route.is_some_and(|name| side.observing.contains(name))
        };
        Finding {
            observed: match shown.effect {
                Effect::Wider => only_observes(&self.old, &shown.old),
                Effect::Narrower => only_observes(&self.new, &shown.new),
                Effect::Identity(_) => false,
            },
            effect: shown.effect,
            who: shown.who,
            kind: kind.clone(),
            label: label.clone(),
            methods: methods.to_vec(),
            host: cell.host_at,
            witness: Witness {
                listener: Arc::clone(&self.name),
                method: methods.first().cloned().unwrap_or_default(),
                target: cells::target(cell.pieces),
                host: cell.host.host.clone(),
                client,
                certificate,
                headers: headers(kind),
                token,
                second: match second {
                    Second::Absent => Presented::None,
                    Second::Bad => Presented::Bad,
                    Second::Claims(claims) => Presented::Claims(claims),
                },
            },
            old: shown.old,
            new: shown.new,
            lacking: shown.lacking,
        }
    }
}

/// The pieces with another one at a place, or instead of the last that may be anything.
fn instead(pieces: &[Piece], at: Option<usize>, piece: Piece) -> Vec<Piece> {
    let mut pieces = pieces.to_vec();
    let at = at.or_else(|| pieces.iter().rposition(Piece::is_open));
    if let Some(own) = at
        .and_then(|at| pieces.get_mut(at))
        .filter(|own| own.is_open())
    {
        *own = piece;
    }
    pieces
}

fn pattern<'h>(hit: &Hit<'h>) -> Option<&'h PathPattern> {
    hit.route.settings().paths.get(usize::from(hit.path))
}

fn own_path(hit: Option<&Hit<'_>>) -> OwnPath {
    hit.map(|hit| (Arc::clone(hit.route.name()), hit.path))
}

fn owner(found: &Result<Found, NotFound>, hit: Option<&Hit<'_>>) -> Owner {
    Owner {
        path: own_path(hit),
        row: match found {
            Ok(found) => Ok(found.row()),
            Err(not) => Err(not.rejection.reason()),
        },
    }
}

/// Segments under parameters of either owner that stand for themselves alone.
fn literals(cell: &Cell<'_>) -> Vec<(usize, Box<str>)> {
    let mut at: Vec<usize> = [&cell.old, &cell.new]
        .into_iter()
        .flatten()
        .filter_map(pattern)
        .flat_map(|pattern| pattern.parameters().map(|(_, at)| at))
        .collect();
    at.sort_unstable();
    at.dedup();
    at.into_iter()
        .filter_map(|at| Some((at, cell.pieces.get(at)?)))
        .filter(|(_, piece)| !piece.is_open())
        .map(|(at, piece)| (at, piece.text.clone()))
        .collect()
}

/// Segments that two parsers read differently, where only one of the owners takes such.
fn ambiguous(cell: &Cell<'_>) -> Vec<Piece> {
    let is_ambiguous =
        |piece: &Piece| matches!(piece.kind, PieceKind::Ambiguous(_) | PieceKind::Empty);
    if cell.pieces.iter().any(is_ambiguous) || !cell.pieces.iter().any(Piece::is_open) {
        return Vec::new();
    }
    let [old, new] = [&cell.old, &cell.new].map(|hit| {
        let allowances = hit.as_ref().map(|hit| hit.route.settings().allowances);
        allowances.unwrap_or_default()
    });
    let kinds = [
        (
            [old, new].map(|own| own.encoded_slash),
            "some/thing",
            "some%2Fthing",
        ),
        (
            [old, new].map(|own| own.semicolon),
            "some;thing",
            "some;thing",
        ),
        (
            [old, new].map(|own| own.encoded_percent),
            "some%41",
            "some%2541",
        ),
    ];
    kinds
        .into_iter()
        .filter(|([old, new], ..)| old != new)
        .map(|(_, text, sent)| Piece {
            text: text.into(),
            kind: PieceKind::Ambiguous(sent.into()),
        })
        .collect()
}
