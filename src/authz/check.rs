//! What can be wrong with a route, each with its place, so that configuration can point at a line.

use std::sync::Arc;

use http::Method;

use super::access::{Access, MethodTable};
use super::condition::{AccountRule, Alternative, ClaimValue, Condition};
use super::pattern::PatternSegment;
use super::rate_limit::RateLimitKey;
use super::route::RouteSettings;

#[cfg(test)]
mod tests;

/// Something wrong with a route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct RouteError {
    /// Where.
    pub place: RoutePlace,
    /// What.
    pub fault: RouteFault,
}

/// A place in [`RouteSettings`]; numbers are indices of its lists. Without a table, the row is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoutePlace {
    /// The route as a whole.
    Route,
    /// `listener`.
    Listener,
    /// One of `paths`.
    Path(usize),
    /// One of `fold`.
    Fold(usize),
    /// One of `upgrade`.
    Upgrade(usize),
    /// One of `rate_limit`.
    RateLimit(usize),
    /// A row of the table.
    Row(usize),
    /// An alternative of a row.
    Alternative {
        /// The row.
        row: usize,
        /// Its alternative.
        alternative: usize,
    },
    /// A condition of an alternative.
    Condition {
        /// The row.
        row: usize,
        /// Its alternative.
        alternative: usize,
        /// The alternative's condition.
        condition: usize,
    },
}

/// What is wrong with a route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteFault {
    /// No such listener.
    #[error("no listener has this name")]
    UnknownListener,
    /// Another route's name.
    #[error("another route is called `{0}` too")]
    DuplicateName(Arc<str>),
    /// No path.
    #[error("must have a path")]
    NoPath,
    /// Two routes can match one request with equal specificity.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// No row, or a row without methods.
    #[error("must list a method; write `nobody` to refuse all")]
    NoMethod,
    /// Nothing is allowed.
    #[error("must not be empty; write `nobody` to refuse all")]
    NoAlternative,
    /// A method in two rows.
    #[error("method {0} stands twice")]
    DuplicateMethod(Method),
    /// CONNECT and TRACE.
    #[error("{0} never passes")]
    ForbiddenMethod(Method),
    /// An empty list of values.
    #[error("must not be empty; an empty list allows nobody")]
    EmptyCondition,
    /// A value that is the empty string, or a scope with white space.
    #[error("`{0}` is no value that a token can have here")]
    Value(Box<str>),
    /// No path of the route has the parameter.
    #[error("no path of this route has a parameter `{0}`")]
    UnknownParameter(Arc<str>),
    /// The actor condition takes few conditions only.
    #[error("an actor is known by `client`, `subject` or `service_account` alone")]
    ActorCondition,
    /// An actor condition where there is no actor token, or one of another issuer.
    #[error("the route's `actor_token` does not come from the issuer `{0}`")]
    ActorIssuer(Arc<str>),
    /// A limit of nothing, or over no time.
    #[error("requests and per must be more than zero")]
    EmptyLimit,
    /// More than the table's clock can count over the life of a process.
    #[error("more than 10000 requests a second of one caller is no limit")]
    LimitTooFine,
    /// Nobody is known before authentication.
    #[error("a limit by principal cannot stand before authentication")]
    PrincipalBeforeAuthentication,
    /// Not a token of RFC 9110.
    #[error("`{0}` is no protocol name")]
    Protocol(Box<str>),
    /// Protocols that end the proxy's view of a connection.
    #[error("`{0}` would take the connection out of HTTP/1.1 without a policy over what follows")]
    ForbiddenProtocol(Box<str>),
}

/// Two routes can match one request with equal specificity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` and `{other_path}` of route `{with}` match the same requests{host}; neither is more specific", host = of_host(host.as_deref()))]
pub struct Conflict {
    /// The name of the other route.
    pub with: Arc<str>,
    /// The path that is not taken.
    pub path: Arc<str>,
    /// The other route's path.
    pub other_path: Arc<str>,
    /// The host that both are narrowed to.
    pub host: Option<String>,
}

fn of_host(host: Option<&str>) -> String {
    host.map_or_else(String::new, |host| format!(" of host `{host}`"))
}

impl RouteError {
    pub(super) const fn new(place: RoutePlace, fault: RouteFault) -> Self {
        Self { place, fault }
    }

    pub(super) const fn unknown_listener() -> Self {
        Self::new(RoutePlace::Listener, RouteFault::UnknownListener)
    }

    pub(super) fn duplicate_name(name: &Arc<str>) -> Self {
        Self::new(
            RoutePlace::Route,
            RouteFault::DuplicateName(Arc::clone(name)),
        )
    }
}

impl RouteSettings {
    /// Everything that is wrong with the route by itself. [`super::PolicyBuilder::route`] asks it too.
    #[must_use]
    pub fn check(&self) -> Vec<RouteError> {
        let mut errors = Vec::new();
        if self.paths.is_empty() {
            errors.push(RouteError::new(RoutePlace::Route, RouteFault::NoPath));
        }
        for (at, name) in self.fold.iter().enumerate() {
            self.check_parameter(name, RoutePlace::Fold(at), &mut errors);
        }
        self.check_upgrade(&mut errors);
        self.check_limits(&mut errors);
        match &self.table {
            MethodTable::Every(access) | MethodTable::Any(access) => {
                self.check_access(0, access, &mut errors)
            }
            MethodTable::Rows(rows) => {
                if rows.is_empty() {
                    errors.push(RouteError::new(RoutePlace::Route, RouteFault::NoMethod));
                }
                let mut seen = Vec::new();
                for (at, row) in rows.iter().enumerate() {
                    check_methods(at, &row.methods, &mut seen, &mut errors);
                    self.check_access(at, &row.access, &mut errors);
                }
            }
        }
        errors
    }

    fn check_upgrade(&self, errors: &mut Vec<RouteError>) {
        for (at, protocol) in self.upgrade.iter().enumerate() {
            let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/".contains(&b);
            let fault = if protocol.is_empty() || !protocol.bytes().all(token) {
                RouteFault::Protocol(protocol.clone())
            } else if ["h2c", "h2", "http", "tls"].iter().any(|name| {
                // A version may follow: `TLS/1.0`.
                protocol
                    .split('/')
                    .next()
                    .is_some_and(|own| own.eq_ignore_ascii_case(name))
            }) {
                RouteFault::ForbiddenProtocol(protocol.clone())
            } else {
                continue;
            };
            errors.push(RouteError::new(RoutePlace::Upgrade(at), fault));
        }
    }

    fn check_limits(&self, errors: &mut Vec<RouteError>) {
        for (at, limit) in self.rate_limit.iter().enumerate() {
            if limit.requests == 0 || limit.per.is_zero() {
                errors.push(RouteError::new(
                    RoutePlace::RateLimit(at),
                    RouteFault::EmptyLimit,
                ));
            }
            if u128::from(limit.requests) * 100_000 > limit.per.as_nanos() && !limit.per.is_zero() {
                errors.push(RouteError::new(
                    RoutePlace::RateLimit(at),
                    RouteFault::LimitTooFine,
                ));
            }
            if limit.before_authentication && limit.by == RateLimitKey::Principal {
                let fault = RouteFault::PrincipalBeforeAuthentication;
                errors.push(RouteError::new(RoutePlace::RateLimit(at), fault));
            }
        }
    }

    fn check_access(&self, row: usize, access: &Access, errors: &mut Vec<RouteError>) {
        let Access::Rules {
            anonymous,
            opaque,
            alternatives,
        } = access
        else {
            return;
        };
        if !anonymous && !opaque && alternatives.is_empty() {
            errors.push(RouteError::new(
                RoutePlace::Row(row),
                RouteFault::NoAlternative,
            ));
        }
        for (alternative, rule) in alternatives.iter().enumerate() {
            self.check_alternative(row, alternative, rule, errors);
        }
    }

    fn check_alternative(
        &self,
        row: usize,
        alternative: usize,
        rule: &Alternative,
        errors: &mut Vec<RouteError>,
    ) {
        for (condition, rule) in rule.conditions.iter().enumerate() {
            let place = RoutePlace::Condition {
                row,
                alternative,
                condition,
            };
            if let Some(fault) = fault_of_condition(rule) {
                errors.push(RouteError::new(place, fault));
            }
            match rule {
                Condition::Account(AccountRule::Parameter(name)) => {
                    self.check_parameter(name, place, errors);
                }
                Condition::Claim { values, .. } => {
                    for value in values {
                        if let ClaimValue::Parameter(name) = value {
                            self.check_parameter(name, place, errors);
                        }
                    }
                }
                Condition::Actor(actor)
                    if self
                        .actor_token
                        .as_ref()
                        .is_none_or(|token| token.issuer != actor.issuer) =>
                {
                    let fault = RouteFault::ActorIssuer(Arc::clone(&actor.issuer));
                    errors.push(RouteError::new(place, fault));
                }
                _ => {}
            }
        }
    }

    fn check_parameter(&self, name: &Arc<str>, place: RoutePlace, errors: &mut Vec<RouteError>) {
        let bound = self.paths.iter().any(|path| {
            path.segments()
                .iter()
                .any(|segment| matches!(segment, PatternSegment::Parameter(own) if own == name))
        });
        if !bound {
            let fault = RouteFault::UnknownParameter(Arc::clone(name));
            errors.push(RouteError::new(place, fault));
        }
    }
}

fn check_methods(
    row: usize,
    methods: &[Method],
    seen: &mut Vec<Method>,
    errors: &mut Vec<RouteError>,
) {
    let place = RoutePlace::Row(row);
    if methods.is_empty() {
        errors.push(RouteError::new(place, RouteFault::NoMethod));
    }
    for method in methods {
        if *method == Method::CONNECT || *method == Method::TRACE {
            errors.push(RouteError::new(
                place,
                RouteFault::ForbiddenMethod(method.clone()),
            ));
        }
        if seen.contains(method) {
            errors.push(RouteError::new(
                place,
                RouteFault::DuplicateMethod(method.clone()),
            ));
        } else {
            seen.push(method.clone());
        }
    }
}

/// What is wrong with a condition wherever it stands, in a caller as in a route.
///
/// Parameters are the route's to know; see [`RouteSettings::check`].
#[must_use]
pub fn fault_of_condition(condition: &Condition) -> Option<RouteFault> {
    let empty = |yes: bool| yes.then_some(RouteFault::EmptyCondition);
    let texts = |values: &[Box<str>]| {
        let bad = values.iter().find(|value| value.is_empty());
        empty(values.is_empty()).or_else(|| bad.map(|value| RouteFault::Value(value.clone())))
    };
    let scopes = |values: &[Box<str>]| {
        // RFC 6749 section 3.3; a scope with a space in it would never be found.
        let token = |b: u8| matches!(b, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        let bad = values.iter().find(|value| !value.bytes().all(token));
        texts(values).or_else(|| bad.map(|value| RouteFault::Value(value.clone())))
    };
    match condition {
        Condition::Client(values)
        | Condition::Subject(values)
        | Condition::Roles(values)
        | Condition::Groups(values) => texts(values),
        Condition::Scopes(values) | Condition::AnyScope(values) => scopes(values),
        Condition::ServiceAccount(values) => empty(values.is_empty()),
        Condition::ClientAddress(values) => empty(values.is_empty()),
        Condition::ClientCertificate(names) => empty(names.is_empty()),
        Condition::Claim { values, .. } => empty(values.is_empty()),
        Condition::Account(_) => None,
        Condition::Actor(actor) => actor.conditions.iter().find_map(|own| match own {
            Condition::Client(_) | Condition::Subject(_) | Condition::ServiceAccount(_) => {
                fault_of_condition(own)
            }
            _ => Some(RouteFault::ActorCondition),
        }),
    }
}
