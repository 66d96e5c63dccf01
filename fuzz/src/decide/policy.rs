//! Policies made of choices: as the oracle has them, and as the product takes them.

use countersign::authn::ClaimPath;
use countersign::authz::{
    Access, AccountRule, Alternative, AuthorizationHeader, ClaimValue, Condition, HostPattern,
    MethodRow, MethodTable, NearMiss, PathPattern, RouteSettings,
};
use countersign::request::PathAllowances;
use http::Method;

use super::Choices;

/// A route as the oracle reads it.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) name: String,
    pub(super) paths: Vec<String>,
    pub(super) host: Option<&'static str>,
    pub(super) rows: Vec<(Option<Vec<&'static str>>, Who)>,
    pub(super) fold: bool,
    pub(super) near_miss_allowed: bool,
    pub(super) allowances: PathAllowances,
    pub(super) forwards: bool,
}

/// Who may.
#[derive(Clone, Debug)]
pub(super) enum Who {
    Nobody,
    Anyone,
    Rules {
        anonymous: bool,
        opaque: bool,
        alternatives: Vec<Rule>,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) caller: Option<&'static str>,
    pub(super) issuer: &'static str,
    pub(super) needs: Vec<Need>,
}

/// One condition.
#[derive(Clone, Copy, Debug)]
pub(super) enum Need {
    Client(&'static [&'static str]),
    Subject(&'static [&'static str]),
    Scopes(&'static [&'static str]),
    AnyScope(&'static [&'static str]),
    Roles(&'static [&'static str]),
    Groups(&'static [&'static str]),
    Network(&'static str),
    TenantIs(&'static str),
    TenantTrue,
    TenantInPath,
    Account,
    AccountInPath,
}

const PIECES: &[&str] = &["a", "{p}", "b", "A", "ab", "acme", "é", "{q}"];
const HOSTS: &[Option<&str>] = &[
    None,
    None,
    Some("h.x"),
    Some("*.x"),
    Some("*.h.x"),
    Some("w.h.x"),
];
const NEEDS: &[Need] = &[
    Need::Client(&["c1"]),
    Need::Client(&["c1", "c2"]),
    Need::Subject(&["s1"]),
    Need::Scopes(&["read"]),
    Need::Scopes(&["read", "write"]),
    Need::Scopes(&["write", "read"]),
    Need::Scopes(&["admin", "read"]),
    Need::AnyScope(&["write", "admin"]),
    Need::Roles(&["r1", "r3"]),
    Need::Groups(&["g1"]),
    Need::Network("192.0.2.0/24"),
    Need::Network("10.0.0.0/8"),
    Need::TenantIs("acme"),
    Need::TenantTrue,
    Need::TenantInPath,
    Need::Account,
    Need::AccountInPath,
];

pub(super) fn routes(choices: &mut Choices<'_>) -> Vec<Route> {
    let count = 1 + choices.next() % 4;
    (0..count).map(|at| route(choices, at)).collect()
}

fn route(choices: &mut Choices<'_>, at: usize) -> Route {
    let paths = 1 + choices.next() / 128;
    let flags = choices.next();
    Route {
        name: format!("r{at}"),
        // A pattern that names a parameter twice is none; a route may be left without paths, and is not taken then.
        paths: (0..paths)
            .map(|_| path(choices))
            .filter(|path| PathPattern::parse(path).is_ok())
            .collect(),
        host: choices.of(HOSTS),
        rows: rows(choices),
        fold: flags & 1 != 0,
        near_miss_allowed: flags & 2 != 0,
        allowances: PathAllowances {
            encoded_slash: flags & 4 != 0,
            empty_segment: flags & 8 != 0,
            semicolon: flags & 16 != 0,
            encoded_percent: flags & 32 != 0,
        },
        forwards: flags & 64 != 0,
    }
}

fn path(choices: &mut Choices<'_>) -> String {
    let shape = choices.next();
    let mut path = String::new();
    for _ in 0..shape % 4 {
        path.push('/');
        path.push_str(choices.of(PIECES));
    }
    match shape / 64 {
        0 => path.push_str("/**"),
        1 => path.push('/'),
        _ if path.is_empty() => path.push('/'),
        _ => {}
    }
    path
}

fn rows(choices: &mut Choices<'_>) -> Vec<(Option<Vec<&'static str>>, Who)> {
    match choices.next() % 3 {
        0 => vec![
            (Some(vec!["GET", "HEAD"]), who(choices)),
            (Some(vec!["POST"]), who(choices)),
        ],
        1 => vec![
            (Some(vec!["GET"]), who(choices)),
            (Some(vec!["get", "DELETE"]), who(choices)),
        ],
        _ => vec![(None, who(choices))],
    }
}

fn who(choices: &mut Choices<'_>) -> Who {
    let shape = choices.next();
    match shape % 8 {
        0 => Who::Nobody,
        1 => Who::Anyone,
        _ => Who::Rules {
            anonymous: shape & 64 != 0,
            opaque: shape & 128 != 0,
            alternatives: (0..shape % 3).map(|_| rule(choices)).collect(),
        },
    }
}

fn rule(choices: &mut Choices<'_>) -> Rule {
    let shape = choices.next();
    Rule {
        caller: [None, Some("w"), Some("v"), Some("u")][shape % 4],
        issuer: if shape & 4 == 0 { "main" } else { "other" },
        needs: (0..shape / 80).map(|_| choices.of(NEEDS)).collect(),
    }
}

impl Route {
    /// For the product.
    pub(super) fn settings(&self) -> RouteSettings {
        let paths = self
            .paths
            .iter()
            .filter_map(|path| PathPattern::parse(path).ok())
            .collect();
        let table = match self.rows.as_slice() {
            [(None, who)] => MethodTable::Every(access(who)),
            rows => MethodTable::Rows(
                rows.iter()
                    .map(|(methods, who)| MethodRow {
                        methods: methods
                            .iter()
                            .flatten()
                            .map(|own| Method::from_bytes(own.as_bytes()).expect("a method"))
                            .collect(),
                        access: access(who),
                    })
                    .collect(),
            ),
        };
        let mut settings = RouteSettings::new(&self.name, paths, table);
        settings.hosts = self
            .host
            .iter()
            .map(|host| HostPattern::parse(host).expect("a host"))
            .collect();
        if self.fold {
            settings.fold = vec!["p".into()];
        }
        if self.near_miss_allowed {
            settings.near_miss = NearMiss::Allow;
        }
        settings.allowances = self.allowances;
        if self.forwards {
            settings.authorization = AuthorizationHeader::Forward;
        }
        settings
    }
}

fn access(who: &Who) -> Access {
    match who {
        Who::Nobody => Access::Nobody,
        Who::Anyone => Access::Anyone,
        Who::Rules {
            anonymous,
            opaque,
            alternatives,
        } => Access::Rules {
            anonymous: *anonymous,
            opaque: *opaque,
            alternatives: alternatives
                .iter()
                .map(|rule| Alternative {
                    caller: rule.caller.map(Into::into),
                    issuer: rule.issuer.into(),
                    conditions: rule.needs.iter().map(condition).collect(),
                })
                .collect(),
        },
    }
}

fn condition(need: &Need) -> Condition {
    let boxed = |texts: &[&str]| texts.iter().map(|text| (*text).into()).collect();
    let tenant = |value| Condition::Claim {
        path: ClaimPath::top("tenant"),
        values: vec![value],
    };
    match need {
        Need::Client(any) => Condition::Client(boxed(any)),
        Need::Subject(any) => Condition::Subject(boxed(any)),
        Need::Scopes(all) => Condition::Scopes(boxed(all)),
        Need::AnyScope(any) => Condition::AnyScope(boxed(any)),
        Need::Roles(any) => Condition::Roles(boxed(any)),
        Need::Groups(any) => Condition::Groups(boxed(any)),
        Need::Network(network) => {
            Condition::ClientAddress(vec![network.parse().expect("a network")])
        }
        Need::TenantIs(text) => tenant(ClaimValue::Text((*text).into())),
        Need::TenantTrue => tenant(ClaimValue::Boolean(true)),
        Need::TenantInPath => tenant(ClaimValue::Parameter("p".into())),
        Need::Account => Condition::Account(AccountRule::Required),
        Need::AccountInPath => Condition::Account(AccountRule::Parameter("p".into())),
    }
}
