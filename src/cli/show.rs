//! Settings in the words of the configuration.

use crate::authz::{
    Access, AccountRule, Alternative, ClaimValue, Condition, MethodTable, NearMiss, RateLimitKey,
    RateLimitSettings, RouteSettings,
};
use crate::jwks::KeySource;
use crate::listener::ListenAddress;
use crate::review::ReviewEndpoint;
use crate::upstream::UpstreamAddress;

pub(crate) fn listen(address: &ListenAddress) -> String {
    match address {
        ListenAddress::Tcp(address) => address.to_string(),
        ListenAddress::Unix(path) => format!("unix:{}", path.display()),
    }
}

pub(crate) fn upstream(address: &UpstreamAddress) -> String {
    let show = |scheme: &str, host: &str, port: u16| {
        if host.contains(':') && !host.starts_with('[') {
            format!("{scheme}://[{host}]:{port}")
        } else {
            format!("{scheme}://{host}:{port}")
        }
    };
    match address {
        UpstreamAddress::Http { host, port } => show("http", host, *port),
        UpstreamAddress::Https { host, port } => show("https", host, *port),
        UpstreamAddress::H2c { host, port } => show("h2c", host, *port),
        UpstreamAddress::Unix(path) => format!("unix:{}", path.display()),
    }
}

pub(crate) fn keys(source: &KeySource) -> String {
    match (source, source.describe()) {
        (KeySource::Discover { .. }, _) => "discovery".to_owned(),
        (_, (kind, place)) => place.unwrap_or_else(|| kind.to_owned()),
    }
}

pub(crate) fn review(endpoint: &ReviewEndpoint) -> String {
    let (kind, place) = endpoint.describe();
    format!("asks: {kind} {}", place.unwrap_or_default())
}

/// Methods and who may use them, line by line.
pub(crate) fn table(table: &MethodTable) -> Vec<(String, Vec<String>)> {
    match table {
        MethodTable::Every(every) | MethodTable::Any(every) => {
            vec![("*".to_owned(), access(every))]
        }
        MethodTable::Rows(rows) => rows
            .iter()
            .map(|row| {
                let methods: Vec<&str> = row.methods.iter().map(http::Method::as_str).collect();
                (methods.join(", "), access(&row.access))
            })
            .collect(),
    }
}

/// Alternatives, one of which suffices.
fn access(access: &Access) -> Vec<String> {
    match access {
        Access::Nobody => vec!["nobody".to_owned()],
        Access::Anyone => vec!["anyone".to_owned()],
        Access::Rules {
            anonymous,
            opaque,
            alternatives,
        } => {
            let mut words = Vec::new();
            words.extend(anonymous.then(|| "anonymous".to_owned()));
            words.extend(opaque.then(|| "opaque".to_owned()));
            words.extend(alternatives.iter().map(alternative));
            words
        }
    }
}

/// The caller (or issuer), and the conditions beside what the name of a caller stands for.
pub(crate) fn alternative(alternative: &Alternative) -> String {
    let mut text = match &alternative.caller {
        Some(caller) => caller.to_string(),
        None => format!("issuer {}", alternative.issuer),
    };
    let conditions: Vec<String> = alternative.conditions.iter().map(condition).collect();
    if !conditions.is_empty() {
        text.push_str(&format!(" ({})", conditions.join("; ")));
    }
    text
}

pub(crate) fn condition(condition: &Condition) -> String {
    let list = |values: &[Box<str>], between: &str| values.join(between);
    match condition {
        Condition::Client(values) => format!("client {}", list(values, " | ")),
        Condition::Subject(values) => format!("subject {}", list(values, " | ")),
        Condition::ServiceAccount(values) => {
            let subjects: Vec<&str> = values.iter().map(|account| account.subject()).collect();
            subjects.join(" | ")
        }
        Condition::Scopes(values) => format!("scopes {}", list(values, " ")),
        Condition::AnyScope(values) => format!("scope {}", list(values, " | ")),
        Condition::Roles(values) => format!("role {}", list(values, " | ")),
        Condition::Groups(values) => format!("group {}", list(values, " | ")),
        Condition::ClientAddress(networks) => {
            let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
            format!("from {}", networks.join(" | "))
        }
        Condition::ClientCertificate(names) => {
            let names: Vec<&str> = names
                .dns
                .iter()
                .chain(&names.uris)
                .chain(&names.sha256)
                .map(AsRef::as_ref)
                .collect();
            format!("certificate {}", names.join(" | "))
        }
        Condition::Claim { path, values } => {
            let values: Vec<String> = values
                .iter()
                .map(|value| match value {
                    ClaimValue::Text(text) => text.to_string(),
                    ClaimValue::Boolean(flag) => flag.to_string(),
                    ClaimValue::Parameter(name) => format!("{{{name}}}"),
                })
                .collect();
            format!("{path} = {}", values.join(" | "))
        }
        Condition::Account(AccountRule::Required) => "account required".to_owned(),
        Condition::Account(AccountRule::Parameter(name)) => format!("account = {{{name}}}"),
        Condition::Actor(actor) => {
            let more: Vec<String> = actor.conditions.iter().map(self::condition).collect();
            format!("actor of {} {}", actor.issuer, more.join("; "))
                .trim_end()
                .to_owned()
        }
    }
}

/// What else a route says.
pub(super) fn flags(route: &RouteSettings) -> Vec<String> {
    let mut flags = Vec::new();
    let mut flag = |on: bool, word: &str| flags.extend(on.then(|| word.to_owned()));
    flag(route.observe.is_some(), "observe");
    flag(
        !route.enforced.is_nobody(),
        &format!("enforce:{}", route.enforced),
    );
    flag(route.grpc, "grpc");
    flag(route.end_at_expiry, "end_at_expiry");
    flag(route.near_miss == NearMiss::Allow, "near_miss");
    flag(
        route.authorization == crate::authz::AuthorizationHeader::Forward,
        "forwards_token",
    );
    flag(route.allowances.encoded_slash, "encoded_slash");
    flag(route.allowances.empty_segment, "empty_segment");
    flag(route.allowances.semicolon, "semicolon");
    flag(route.allowances.encoded_percent, "encoded_percent");
    flag(!route.upgrade.is_empty(), "upgrade");
    flags.extend(route.fold.iter().map(|name| format!("fold:{name}")));
    flags.extend(route.answers.iter().map(|name| format!("answers:{name}")));
    flags.extend(
        route
            .actor_token
            .iter()
            .map(|token| format!("actor:{}", token.header)),
    );
    flags.extend(route.rate_limit.iter().map(rate_limit));
    flags
}

fn rate_limit(limit: &RateLimitSettings) -> String {
    let by = match limit.by {
        RateLimitKey::ClientAddress => "address",
        RateLimitKey::Principal => "principal",
    };
    let per = crate::config::show_duration(limit.per);
    format!("limit:{}/{per}/{by}", limit.requests)
}
