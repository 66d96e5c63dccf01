//! Policies by chance, from few words, so that they have much to do with each other.

use super::*;

/// SplitMix64 (Steele, Lea, Flood 2014): enough for tests, and the same everywhere.
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    pub(super) fn one_in(&mut self, often: usize) -> bool {
        self.below(often) == 0
    }

    pub(super) fn of<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        &all[self.below(all.len())]
    }

    /// Some of them, at least one.
    fn some<T: Clone>(&mut self, all: &[T], most: usize) -> Vec<T> {
        let count = 1 + self.below(most.min(all.len()));
        let start = self.below(all.len());
        (0..count)
            .map(|at| all[(start + at) % all.len()].clone())
            .collect()
    }
}

/// What conditions of a pair of policies speak of: few things, so that their products can be enumerated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Topic {
    Client,
    Subject,
    Scope,
    Role,
    Group,
    Tenant,
    Account,
    Address,
    Certificate,
    Second,
}

pub(super) const TOPICS: [Topic; 10] = [
    Topic::Client,
    Topic::Subject,
    Topic::Scope,
    Topic::Role,
    Topic::Group,
    Topic::Tenant,
    Topic::Account,
    Topic::Address,
    Topic::Certificate,
    Topic::Second,
];

pub(super) const PATHS: [&str; 17] = [
    "/",
    "/a",
    "/a/",
    "/A",
    "/a/b",
    "/a/{x}",
    "/a/{x}/c",
    "/{x}",
    "/{x}/b",
    "/a/**",
    "/**",
    "/a/{x}/**",
    "/{x}/",
    "/a/{x}/{y}",
    "/b",
    "/{x}/{y}",
    "/b/**",
];
pub(super) const HOSTS: [&str; 3] = ["h.x", "*.x", "*.w.x"];
pub(super) const NETWORKS: [&str; 6] = [
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "0.0.0.0/0",
    "::/0",
    "2001:db8::/32",
];

/// One of two policies.
#[derive(Clone, Debug)]
pub(super) struct Drawn {
    pub(super) routes: Vec<RouteSettings>,
    pub(super) issuers: Vec<IssuerSettings>,
    pub(super) cors: Option<CorsSettings>,
}

impl Drawn {
    pub(super) fn policy(&self) -> Policy {
        policy(self.cors.clone(), self.routes.clone())
    }
}

impl Drawn {
    /// In the words of `countersign routes`.
    pub(super) fn shown(&self) -> String {
        let mut text = String::new();
        for route in &self.routes {
            let paths: Vec<String> = route.paths.iter().map(ToString::to_string).collect();
            let hosts: Vec<String> = route.hosts.iter().map(ToString::to_string).collect();
            text.push_str(&format!(
                "  {} {paths:?} {hosts:?} {:?} {:?} fold {:?} upgrade {:?} second {:?}\n",
                route.name,
                route.near_miss,
                route.authorization,
                route.fold,
                route.upgrade,
                route.actor_token
            ));
            for (methods, who) in crate::cli::show::table(&route.table) {
                text.push_str(&format!("    {methods}: {who:?}\n"));
            }
        }
        for own in &self.issuers {
            let mappings = &own.claim_mappings;
            let homes = [&mappings.client, &mappings.account]
                .map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>());
            text.push_str(&format!(
                "  {} {:?} clients {:?} implies {:?} homes {homes:?} required {:?}\n",
                own.name, own.issuers, own.clients, own.scope_implies, own.required_claims
            ));
        }
        text.push_str(&format!("  cors {:?}\n", self.cors));
        text
    }
}

/// What the draws of a pair have in common.
pub(super) struct Draw<'r> {
    pub(super) random: &'r mut Random,
    pub(super) topics: Vec<Topic>,
    pub(super) hosts: bool,
    pub(super) extras: bool,
}

fn boxed(texts: &[&str]) -> Vec<Box<str>> {
    texts.iter().map(|text| (*text).into()).collect()
}

impl Draw<'_> {
    pub(super) fn drawn(&mut self) -> Drawn {
        let count = 1 + self.random.below(3);
        let issuers = self.issuers();
        Drawn {
            routes: (0..count).map(|at| self.route(at)).collect(),
            issuers,
            cors: self.cors(),
        }
    }

    /// The same policy with something changed.
    pub(super) fn changed(&mut self, drawn: &Drawn) -> Drawn {
        let mut drawn = drawn.clone();
        match self.random.below(8) {
            0 => {
                let at = drawn.routes.len() + 10;
                let route = self.route(at);
                drawn.routes.push(route);
            }
            1 if drawn.routes.len() > 1 => {
                let at = self.random.below(drawn.routes.len());
                drawn.routes.remove(at);
            }
            2 => drawn.issuers = self.issuers(),
            3 => drawn.cors = self.cors(),
            _ => {
                let at = self.random.below(drawn.routes.len());
                let fresh = self.route(at);
                let route = &mut drawn.routes[at];
                match self.random.below(4) {
                    0 => route.table = fresh.table,
                    1 => route.paths = fresh.paths,
                    2 => {
                        let paths = std::mem::take(&mut route.paths);
                        let table = route.table.clone();
                        *route = RouteSettings {
                            paths,
                            table,
                            ..fresh
                        };
                    }
                    _ => self.alternative_changed(&mut route.table),
                }
                Self::mend(route);
            }
        }
        drawn
    }

    fn alternative_changed(&mut self, table: &mut MethodTable) {
        let access = match table {
            MethodTable::Every(access) | MethodTable::Any(access) => access,
            MethodTable::Rows(rows) => {
                let at = self.random.below(rows.len());
                &mut rows[at].access
            }
        };
        if let Access::Rules { alternatives, .. } = access {
            let fresh = self.alternative();
            match alternatives.first_mut() {
                Some(first) if self.random.one_in(2) => {
                    first.conditions.pop();
                    if self.random.one_in(2) {
                        first.conditions.extend(fresh.conditions);
                    }
                }
                _ => alternatives.push(fresh),
            }
        }
    }

    /// Conditions need what they speak of.
    fn mend(route: &mut RouteSettings) {
        let bound = |name: &str| {
            route
                .paths
                .iter()
                .any(|path| path.parameters().any(|(own, _)| &**own == name))
        };
        let (x, y) = (bound("x"), bound("y"));
        let has = |name: &Arc<str>| (&**name == "x" && x) || (&**name == "y" && y);
        route.fold.retain(&has);
        let actor = route.actor_token.clone();
        let fits = |condition: &Condition| match condition {
            Condition::Account(AccountRule::Parameter(name)) => has(name),
            Condition::Claim { values, .. } => values.iter().all(|value| match value {
                ClaimValue::Parameter(name) => has(name),
                _ => true,
            }),
            Condition::Actor(rule) => actor
                .as_ref()
                .is_some_and(|token| token.issuer == rule.issuer),
            _ => true,
        };
        let mend = |access: &mut Access| {
            if let Access::Rules {
                anonymous,
                opaque,
                alternatives,
            } = access
            {
                for alternative in alternatives.iter_mut() {
                    alternative.conditions.retain(&fits);
                }
                if !*anonymous && !*opaque && alternatives.is_empty() {
                    *access = Access::Nobody;
                }
            }
        };
        match &mut route.table {
            MethodTable::Every(access) | MethodTable::Any(access) => mend(access),
            MethodTable::Rows(rows) => rows.iter_mut().for_each(|row| mend(&mut row.access)),
        }
    }

    fn issuers(&mut self) -> Vec<IssuerSettings> {
        let mut main = settings("main");
        let mut other = settings("other");
        if self.extras {
            let random = &mut *self.random;
            if random.one_in(3) {
                main.clients = Some(vec!["c1".to_owned(), "c2".to_owned()]);
            }
            if random.one_in(4) {
                main.scope_implies
                    .insert("w".to_owned(), vec!["r".to_owned()]);
            }
            if random.one_in(4) {
                main.claim_mappings.client = vec![ClaimPath::top("client_id")];
            }
            if random.one_in(4) {
                main.required_claims.push("azp".to_owned());
            }
            if random.one_in(4) {
                main.claim_mappings.account = vec![ClaimPath::top("tenant")];
            }
            if random.one_in(6) {
                main.issuers.push("https://third".to_owned());
            }
            if random.one_in(6) {
                other.issuers = vec!["https://another".to_owned()];
            }
        }
        vec![main, other]
    }

    fn cors(&mut self) -> Option<CorsSettings> {
        let ways = [
            Preflight::Forward,
            Preflight::Answer,
            Preflight::Authenticate,
        ];
        (self.extras && self.random.one_in(3)).then(|| CorsSettings {
            origins: vec![(*self.random.of(&["https://o", "https://p", "*"])).to_owned()],
            preflight: *self.random.of(&ways),
            credentials: false,
            expose: Vec::new(),
            headers: Vec::new(),
            max_age: 0,
        })
    }

    fn route(&mut self, at: usize) -> RouteSettings {
        let random = &mut *self.random;
        let mut paths = random.some(&PATHS, 2);
        paths.dedup();
        let parsed = paths.iter().map(|path| PathPattern::parse(path).unwrap());
        let parsed = parsed.collect();
        let table = self.table();
        let mut route = RouteSettings::new(&format!("r{at}"), parsed, table);
        let random = &mut *self.random;
        if self.hosts && random.one_in(2) {
            let host = random.of::<&str>(&HOSTS);
            route.hosts = vec![HostPattern::parse(host).unwrap()];
        }
        if random.one_in(4) {
            route.near_miss = NearMiss::Allow;
        }
        if random.one_in(3) {
            route.fold = vec!["x".into()];
        }
        if self.extras {
            if random.one_in(4) {
                route.authorization = AuthorizationHeader::Forward;
            }
            if random.one_in(4) {
                route.upgrade = vec![(*random.of(&["websocket", "WebSocket", "other"])).into()];
            }
        }
        if self.topics.contains(&Topic::Second) && random.one_in(2) {
            route.actor_token = Some(ActorToken {
                header: HeaderName::from_static("x-second"),
                issuer: (*random.of(&["other", "main"])).into(),
                required: random.one_in(2),
            });
        }
        Self::mend(&mut route);
        route
    }

    fn table(&mut self) -> MethodTable {
        if self.random.one_in(2) {
            return MethodTable::Every(self.access());
        }
        let mut rows = Vec::new();
        for method in [Method::GET, Method::POST, Method::OPTIONS] {
            if self.random.one_in(2) {
                rows.push(MethodRow {
                    methods: vec![method],
                    access: self.access(),
                });
            }
        }
        if rows.is_empty() {
            return MethodTable::Every(self.access());
        }
        MethodTable::Rows(rows)
    }

    fn access(&mut self) -> Access {
        match self.random.below(8) {
            0 => Access::Nobody,
            1 => Access::Anyone,
            _ => {
                let count = self.random.below(3);
                let anonymous = self.random.one_in(5);
                let opaque = self.random.one_in(6);
                let count = if anonymous || opaque {
                    count
                } else {
                    count.max(1)
                };
                Access::Rules {
                    anonymous,
                    opaque,
                    alternatives: (0..count).map(|_| self.alternative()).collect(),
                }
            }
        }
    }

    fn alternative(&mut self) -> Alternative {
        let count = self.random.below(3);
        let conditions = (0..count).map(|_| self.condition()).collect();
        let random = &mut *self.random;
        Alternative {
            caller: random.of(&[None, Some("u"), Some("v")]).map(Into::into),
            issuer: if random.one_in(4) { "other" } else { "main" }.into(),
            conditions,
        }
    }

    fn condition(&mut self) -> Condition {
        let topics = self.topics.clone();
        let random = &mut *self.random;
        let claim = |name: &str, values| Condition::Claim {
            path: ClaimPath::top(name),
            values,
        };
        match random.of(&topics) {
            Topic::Client if random.one_in(4) => claim(
                "azp",
                vec![ClaimValue::Text((*random.of(&["c1", "c2"])).into())],
            ),
            Topic::Client => Condition::Client(random.some(&boxed(&["c1", "c2", "c3"]), 2)),
            Topic::Subject => Condition::Subject(random.some(&boxed(&["s1", "s2"]), 2)),
            Topic::Scope if random.one_in(2) => {
                Condition::Scopes(random.some(&boxed(&["r", "w"]), 2))
            }
            Topic::Scope => Condition::AnyScope(random.some(&boxed(&["r", "w", "q"]), 2)),
            Topic::Role => Condition::Roles(random.some(&boxed(&["r1", "r2"]), 2)),
            Topic::Group => Condition::Groups(random.some(&boxed(&["g1", "g2"]), 2)),
            Topic::Tenant => {
                let values = [
                    ClaimValue::Text("a".into()),
                    ClaimValue::Text("t".into()),
                    ClaimValue::Boolean(true),
                    ClaimValue::Parameter("x".into()),
                    ClaimValue::Parameter("y".into()),
                ];
                claim("tenant", random.some(&values, 2))
            }
            Topic::Account => match random.below(4) {
                0 => Condition::Account(AccountRule::Required),
                1 => Condition::Account(AccountRule::Parameter("y".into())),
                2 => claim(
                    "account",
                    vec![ClaimValue::Text((*random.of(&["a", "t"])).into())],
                ),
                _ => Condition::Account(AccountRule::Parameter("x".into())),
            },
            Topic::Address => {
                let networks = random.some(&NETWORKS, 2);
                Condition::ClientAddress(networks.iter().map(|own| own.parse().unwrap()).collect())
            }
            Topic::Certificate => Condition::ClientCertificate(CertificateNames {
                dns: random.some(&boxed(&["d1", "d2"]), 2),
                uris: if random.one_in(3) {
                    boxed(&["u1"])
                } else {
                    Vec::new()
                },
                sha256: Vec::new(),
            }),
            Topic::Second => Condition::Actor(ActorRule {
                issuer: if random.one_in(2) { "other" } else { "main" }.into(),
                conditions: match random.below(3) {
                    0 => Vec::new(),
                    1 => vec![Condition::Client(boxed(&["c1"]))],
                    _ => vec![Condition::Client(boxed(&["c1", "c2"]))],
                },
            }),
        }
    }
}
