//! From templates to routes.

use std::collections::{BTreeMap, BTreeSet};

use super::current::Current;
use super::parties::{Parties, Party};
use super::template::{Part, Template};
use super::tree::{Standing, Use, UseKey};
use crate::authz::PathPattern;
use crate::config::written as text;

/// Fewer requests than these say little.
const FEW: u64 = 10;

/// Scopes that say what is in a token, or how long a session lasts, and not what it may (OpenID Connect Core section 5.4 and
/// 11, and what Keycloak gives to every client).
const SAYS_NOTHING: [&str; 11] = [
    "openid",
    "profile",
    "email",
    "address",
    "phone",
    "offline_access",
    "acr",
    "basic",
    "roles",
    "web-origins",
    "microprofile-jwt",
];

/// A route in the making.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) path: String,
    /// Hosts and listener, as lines.
    pub(super) narrowed: String,
    pub(super) rows: Vec<Row>,
    /// What else it says, by key.
    pub(super) besides: BTreeMap<String, String>,
    pub(super) fold: BTreeSet<String>,
    pub(super) requests: u64,
    /// What it is unsure of.
    pub(super) unsure: Vec<String>,
}

/// Methods that allow the same.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) methods: Vec<String>,
    pub(super) alternatives: Vec<Alternative>,
}

/// Who may.
#[derive(Clone, Debug)]
pub(super) struct Alternative {
    pub(super) party: usize,
    /// As policy writes it.
    pub(super) text: String,
    pub(super) count: u64,
    /// What is known about it, beside the count.
    pub(super) note: String,
    /// How many conditions it has, those of its caller included.
    conditions: usize,
}

/// What routes are made with.
pub(super) struct Drafting<'a> {
    pub(super) current: Option<&'a Current>,
    pub(super) routes: &'a [String],
    pub(super) parties: &'a Parties,
    pub(super) names: &'a [String],
}

type Found<'t> = Vec<(&'t UseKey, &'t Use)>;

impl Route {
    pub(super) fn parties(&self) -> impl Iterator<Item = usize> {
        let all = self.rows.iter().flat_map(|row| &row.alternatives);
        all.map(|alternative| alternative.party)
    }
}

impl Drafting<'_> {
    /// The route of a template; `None` where nothing of it is learned.
    pub(super) fn route(&self, narrowed: &str, template: &Template) -> Option<Route> {
        let learned = template.uses.iter();
        let learned: Found<'_> = learned
            .filter(|(key, _)| key.standing != Standing::Foreign)
            .collect();
        if learned.is_empty() {
            return None;
        }
        let mut rows: Vec<Row> = Vec::new();
        let methods: BTreeSet<&String> = learned.iter().map(|(key, _)| &key.method).collect();
        for method in methods {
            let of_method = learned.iter().filter(|(key, _)| key.method == *method);
            let alternatives = self.alternatives(template, &of_method.copied().collect());
            let same = rows.iter_mut().find(|row| {
                let texts = row.alternatives.iter().map(|own| &own.text);
                texts.eq(alternatives.iter().map(|own| &own.text))
            });
            match same {
                Some(row) => {
                    row.methods.push(method.clone());
                    for (own, more) in row.alternatives.iter_mut().zip(alternatives) {
                        own.count += more.count;
                    }
                }
                None => rows.push(Row {
                    methods: vec![method.clone()],
                    alternatives,
                }),
            }
        }
        let mut route = Route {
            path: template.path(),
            narrowed: narrowed.to_owned(),
            rows,
            besides: BTreeMap::new(),
            fold: BTreeSet::new(),
            requests: learned.iter().map(|(_, found)| found.count).sum(),
            unsure: Vec::new(),
        };
        self.inherit(&mut route, template, &learned);
        self.doubt(&mut route, template, &learned);
        Some(route)
    }

    /// Who may use a method.
    fn alternatives(&self, template: &Template, found: &Found<'_>) -> Vec<Alternative> {
        let mut by_party: BTreeMap<usize, Found<'_>> = BTreeMap::new();
        for (key, found) in found {
            by_party.entry(key.party).or_default().push((key, found));
        }
        let anyone = self.anyone();
        let open = anyone.and_then(|party| Some((party, by_party.remove(&party)?)));
        // Tokens are not looked at there, so nobody else needs to be named. What the policy of the time has not opened, or
        // the operator, stays closed: who has a name goes before.
        if let Some((party, found)) = open
            && (by_party.is_empty() || self.is_open(template, &found))
        {
            return vec![Alternative {
                party,
                text: "anyone".to_owned(),
                count: found.iter().map(|(_, found)| found.count).sum(),
                note: String::new(),
                conditions: 0,
            }];
        }
        let alternatives = by_party.iter();
        let mut alternatives: Vec<Alternative> = alternatives
            .flat_map(|(party, found)| self.of_party(template, *party, found))
            .collect();
        // One that is wider would leave nothing to those behind it.
        alternatives.sort_by_key(|own| std::cmp::Reverse(own.conditions));
        alternatives
    }

    /// The party that is everybody.
    fn anyone(&self) -> Option<usize> {
        let mut all = 0..self.names.len();
        all.find(|at| self.parties.get(*at) == Some(&Party::Word("anyone")))
    }

    /// Whether what `anyone` asked for says that all of the template is open.
    fn is_open(&self, template: &Template, found: &Found<'_>) -> bool {
        found.iter().any(|(key, _)| {
            let route = self.routes.get(key.route).map_or("", String::as_str);
            let of_the_time = match self.current {
                Some(current) => current.contains(route, template),
                None => PathPattern::parse(route).is_ok_and(|path| template.is_within(&path)),
            };
            of_the_time || key.standing == Standing::Accepted
        })
    }

    fn of_party(&self, template: &Template, party: usize, found: &Found<'_>) -> Vec<Alternative> {
        let name = self.names.get(party).map_or("", String::as_str);
        let of_caller = match (self.parties.get(party), self.current) {
            (Some(Party::Caller(name)), Some(current)) => current.conditions_of(name),
            (Some(Party::Client { .. } | Party::ServiceAccount { .. }), _) => 1,
            _ => 0,
        };
        let with = |(conditions, own): (&str, usize), count: u64, note: String| Alternative {
            party,
            text: match conditions {
                "" => text::scalar(name),
                more => format!("{{caller: {}, {more}}}", text::scalar(name)),
            },
            count,
            note,
            conditions: of_caller + own,
        };
        let mut kept: Vec<Alternative> = Vec::new();
        let mut plain: Found<'_> = Vec::new();
        for (key, found) in found {
            let own = self.kept(template, key, found);
            if own.is_empty() {
                plain.push((key, found));
            }
            for (conditions, own) in own {
                let one = with(
                    (&conditions, own),
                    found.count,
                    "as the current policy has it".to_owned(),
                );
                match kept.iter_mut().find(|other| other.text == one.text) {
                    Some(other) => other.count += one.count,
                    None => kept.push(one),
                }
            }
        }
        kept.extend(
            self.plain(template, &plain)
                .map(|(conditions, own, count, note)| with((&conditions, own), count, note)),
        );
        kept
    }

    /// What of the current policy has to be kept, because records do not show it.
    fn kept(&self, template: &Template, key: &UseKey, found: &Use) -> Vec<(String, usize)> {
        let (Some(current), Some(party)) = (self.current, self.parties.get(key.party)) else {
            return Vec::new();
        };
        let Some(route) = self
            .routes
            .get(key.route)
            .and_then(|name| current.route(name))
        else {
            return Vec::new();
        };
        if key.standing == Standing::Accepted {
            return Vec::new();
        }
        let by = match party {
            Party::Caller(name) => ("caller", name.as_str()),
            Party::Client { issuer, .. } | Party::ServiceAccount { issuer, .. } => {
                ("issuer", issuer.as_str())
            }
            Party::Issuer(issuer) => ("issuer", issuer.as_str()),
            Party::Word(_) => return Vec::new(),
        };
        current.kept(route, &key.method, by, template, &found.example)
    }

    /// The conditions that records show: what all requests had in common.
    fn plain(
        &self,
        template: &Template,
        found: &Found<'_>,
    ) -> Option<(String, usize, u64, String)> {
        let mut all = Use::default();
        found
            .iter()
            .for_each(|(_, found)| all.add((*found).clone()));
        if all.count == 0 {
            return None;
        }
        let mut conditions = Vec::new();
        let mut number = 0;
        let mut notes = Vec::new();
        let scopes: Vec<&str> = all
            .scopes
            .iter()
            .map(String::as_str)
            .filter(|scope| !SAYS_NOTHING.contains(scope))
            .collect();
        number += scopes.len();
        if !scopes.is_empty() {
            conditions.push(format!("scopes: {}", text::list(scopes)));
            notes.push("each with these scopes");
        }
        let own = |(key, _): &(&UseKey, &Use)| match key.standing {
            Standing::Own(at) => template.parameter(at),
            _ => None,
        };
        let accounts: BTreeSet<Option<&str>> = found.iter().map(own).collect();
        if let (1, Some(Some(name))) = (accounts.len(), accounts.first()) {
            conditions.push(format!("account: {}", text::quoted(&format!("{{{name}}}"))));
            notes.push("each for its own account");
            number += 1;
        }
        Some((conditions.join(", "), number, all.count, notes.join(", ")))
    }

    /// What the current routes say besides goes with their requests.
    fn inherit(&self, route: &mut Route, template: &Template, found: &Found<'_>) {
        for (_, found) in found {
            route.upgraded(&found.upgrade);
        }
        for (at, part) in template.parts.iter().enumerate() {
            let folded = matches!(part, Part::Parameter { folded: true, .. });
            route
                .fold
                .extend(template.parameter(at).filter(|_| folded).map(str::to_owned));
        }
        let Some(current) = self.current else { return };
        let mut owners: BTreeMap<usize, &Use> = BTreeMap::new();
        for (key, found) in found {
            let owner = self
                .routes
                .get(key.route)
                .and_then(|name| current.route(name));
            if let Some(owner) = owner {
                owners.entry(owner).or_insert(found);
            }
        }
        let all: Vec<BTreeMap<String, String>> =
            owners.keys().map(|owner| current.besides(*owner)).collect();
        for (owner, found) in &owners {
            route
                .fold
                .extend(current.folded(*owner, template, &found.example));
        }
        let mut left_out = BTreeSet::new();
        for (key, value) in all.iter().flatten() {
            if all.iter().all(|own| own.get(key) == Some(value)) {
                route.besides.insert(key.clone(), value.clone());
            } else {
                left_out.insert(key.as_str());
            }
        }
        if !left_out.is_empty() {
            let keys: Vec<&str> = left_out.into_iter().collect();
            route.unsure.push(format!(
                "several routes had these requests, with different {}: left out",
                keys.join(", ")
            ));
        }
    }

    /// What is not sure about a route.
    fn doubt(&self, route: &mut Route, template: &Template, found: &Found<'_>) {
        if route.requests < FEW {
            let plural = if route.requests == 1 { "" } else { "s" };
            route
                .unsure
                .push(format!("{} request{plural} only", route.requests));
        }
        route.doubt_values(template);
        if let Some(anyone) = self.anyone()
            && found.iter().any(|(key, _)| key.party == anyone)
            && !route.parties().any(|party| party == anyone)
        {
            route
                .unsure
                .push("`anyone` was let pass on a part of this, and is left out".to_owned());
        }
        for (party, name) in self.names.iter().enumerate() {
            let all = found.iter().filter(|(key, _)| key.party == party);
            let standings: BTreeSet<Standing> = all.map(|(key, _)| key.standing).collect();
            let any = |wanted: Standing| standings.contains(&wanted);
            if template.has_account() && any(Standing::Without) {
                route
                    .unsure
                    .push(format!("{name} has no account, and reaches every one"));
            }
            if any(Standing::Once) {
                route.unsure.push(format!(
                    "the path has the account of {name}, of one only: whether it is one, and whose, is not checked"
                ));
            }
            if any(Standing::Accepted) {
                route.unsure.push(format!(
                    "{name} was refused here, and is let in because you said so"
                ));
            }
            match self.parties.get(party) {
                Some(Party::Word(word)) if !standings.is_empty() => {
                    route
                        .unsure
                        .push(format!("`{word}`: nobody was authenticated"));
                }
                Some(Party::Issuer(issuer)) if !standings.is_empty() => route.unsure.push(format!(
                    "tokens of {issuer} name no client: {name} is whoever has one"
                )),
                _ => {}
            }
        }
    }
}

impl Route {
    /// Which values of its parameters there were, where they say little or may be names of their own.
    fn doubt_values(&mut self, template: &Template) {
        for part in &template.parts {
            let Part::Parameter {
                name, values, own, ..
            } = part
            else {
                continue;
            };
            if !values.alike.is_empty() {
                let mut names: Vec<&str> =
                    values.alike.iter().map(String::as_str).take(3).collect();
                if values.alike.len() > names.len() {
                    names.push("…");
                }
                self.unsure.push(format!(
                    "{{{name}}} stands for {} names that looked alike: {}",
                    values.alike.len(),
                    names.join(", ")
                ));
            }
            let seen: Vec<&str> = values.seen.iter().map(String::as_str).take(3).collect();
            if values.seen.len() < 3 && !values.more && !seen.is_empty() {
                let what = if *own { "account" } else { "value" };
                let plural = if seen.len() == 1 { "" } else { "s" };
                self.unsure.push(format!(
                    "{} {what}{plural} of {{{name}}} only: {}",
                    values.count(),
                    seen.join(", ")
                ));
            }
        }
    }

    fn upgraded(&mut self, protocols: &BTreeSet<String>) {
        let protocols: Vec<&str> = protocols.iter().map(String::as_str).collect();
        if !protocols.is_empty() {
            self.besides
                .insert("upgrade".to_owned(), text::list(protocols));
        }
    }
}
