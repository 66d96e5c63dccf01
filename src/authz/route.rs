//! A route: what it matches, whom it allows, and what else it says about its requests.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};

use super::access::{Access, MethodTable, RowScopes, TABLELESS_METHODS, scopes_of_row};
use super::condition::Condition;
use super::pattern::{HostPattern, PathPattern};
use super::ramp::{ObservedCallers, Share};
use super::rate_limit::{RateLimit, RateLimitSettings, RateLimits};
use crate::authn::ClaimPath;
use crate::clock::{Now, UnixTime};
use crate::proxy::AnswersName;
use crate::request::PathAllowances;

/// A route as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteSettings {
    /// What logs and metrics call it; unique.
    pub name: Arc<str>,
    /// The listener that it belongs to; `None`: all of them.
    pub listener: Option<Arc<str>>,
    /// The paths that it matches.
    pub paths: Vec<PathPattern>,
    /// The hosts that it is narrowed to; empty: any host.
    pub hosts: Vec<HostPattern>,
    /// Who may, per method.
    pub table: MethodTable,
    /// Parameters that are compared with ASCII case folded.
    pub fold: Vec<Arc<str>>,
    /// What two parsers could read differently, and this route's upstream is known to read as we do.
    pub allowances: PathAllowances,
    /// Near misses of more specific routes that this route would own.
    pub near_miss: NearMiss,
    /// Answer template; `None`: the listener's.
    pub answers: Option<AnswersName>,
    /// What becomes of `Authorization`.
    pub authorization: AuthorizationHeader,
    /// Protocols that a request may upgrade to (`Upgrade` tokens, RFC 9110 section 7.8).
    pub upgrade: Vec<Box<str>>,
    /// Response trailers and `TE: trailers` pass.
    pub grpc: bool,
    /// All of them hold.
    pub rate_limit: Vec<RateLimitSettings>,
    /// A second token.
    pub actor_token: Option<ActorToken>,
    /// Streams are cut when their token expires.
    pub end_at_expiry: bool,
    /// Most bytes of a request body; `None`: the listener's limit.
    pub body_bytes: Option<u64>,
    /// From the forwarded request's end to the response head; `None`: the listener's.
    pub response_timeout: Option<Duration>,
    /// A response that brings nothing for so long is cut; `None`: never.
    pub idle_timeout: Option<Duration>,
    /// `mode: observe` until this time: decided and recorded, not enforced.
    pub observe: Option<UnixTime>,
    /// Of what is observed: the clients for whom it is enforced already.
    pub enforced: Share,
}

impl RouteSettings {
    /// A route with these paths and this table that says nothing else.
    #[must_use]
    pub fn new(name: &str, paths: Vec<PathPattern>, table: MethodTable) -> Self {
        Self {
            name: name.into(),
            listener: None,
            paths,
            hosts: Vec::new(),
            table,
            fold: Vec::new(),
            allowances: PathAllowances::default(),
            near_miss: NearMiss::Refuse,
            answers: None,
            authorization: AuthorizationHeader::Strip,
            upgrade: Vec::new(),
            grpc: false,
            rate_limit: Vec::new(),
            actor_token: None,
            end_at_expiry: false,
            body_bytes: None,
            response_timeout: None,
            idle_timeout: None,
            observe: None,
            enforced: Share::NOBODY,
        }
    }
}

/// What becomes of a request that this route owns only because of a letter's case or a slash at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NearMiss {
    /// It is refused: many upstreams take `/Admin` and `/admin/` for `/admin`.
    #[default]
    Refuse,
    /// It is this route's.
    Allow,
}

/// What becomes of the client's `Authorization`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthorizationHeader {
    /// The upstream does not get the token.
    #[default]
    Strip,
    /// The upstream gets it as it came.
    Forward,
}

/// A second token that a route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorToken {
    /// The header that carries it, bare; never passed on as it came.
    pub header: HeaderName,
    /// The name of its issuer.
    pub issuer: Arc<str>,
    /// Whether a request without it is refused.
    pub required: bool,
}

/// A compiled route.
#[derive(Debug)]
pub struct Route {
    settings: RouteSettings,
    /// Methods with their rows.
    methods: Box<[(Method, usize)]>,
    /// Per row.
    scopes: Box<[RowScopes]>,
    allow: Box<str>,
    pub(super) before: Box<[Arc<RateLimit>]>,
    pub(super) after: Box<[Arc<RateLimit>]>,
    /// Of all routes.
    pub(super) observed_callers: ObservedCallers,
}

impl Route {
    pub(super) fn compile(
        mut settings: RouteSettings,
        limits: &RateLimits,
        observed_callers: &ObservedCallers,
    ) -> Self {
        let every = TABLELESS_METHODS.map(|method| (method, 0));
        let methods = match &settings.table {
            MethodTable::Every(_) | MethodTable::Any(_) => every.into(),
            MethodTable::Rows(rows) => rows
                .iter()
                .enumerate()
                .flat_map(|(at, row)| row.methods.iter().map(move |method| (method.clone(), at)))
                .collect::<Box<[_]>>(),
        };
        settings.table.sort_conditions();
        let scopes = settings.table.accesses().map(scopes_of_row).collect();
        let limited = |before: bool| {
            let chosen = settings.rate_limit.iter().enumerate();
            chosen
                .filter(|(_, limit)| limit.before_authentication == before)
                .map(|(at, limit)| limits.obtain(&settings.name, *limit, at))
                .collect()
        };
        let (before, after) = (limited(true), limited(false));
        let mut route = Self {
            settings,
            methods,
            scopes,
            allow: Box::default(),
            before,
            after,
            observed_callers: Arc::clone(observed_callers),
        };
        let mut allow: Vec<&str> = route.usable_methods().map(Method::as_str).collect();
        allow.sort_unstable();
        route.allow = allow.join(", ").into();
        route
    }

    /// The row of the table that speaks for a method. Methods are exact tokens (RFC 9110 section 9.1).
    pub(crate) fn row(&self, method: &Method) -> Option<usize> {
        let found = self.methods.iter().find(|(own, _)| own == method);
        let any = matches!(self.settings.table, MethodTable::Any(_));
        found.map(|(_, row)| *row).or_else(|| any.then_some(0))
    }

    /// Who may, by row of its table; without a table, the row is 0.
    #[must_use]
    pub fn access(&self, row: usize) -> Option<&Access> {
        match &self.settings.table {
            MethodTable::Every(access) | MethodTable::Any(access) => Some(access),
            MethodTable::Rows(rows) => rows.get(row).map(|row| &row.access),
        }
    }

    /// `scope="…"` of an alternative.
    pub(super) fn scopes(&self, row: usize, alternative: usize) -> Option<&str> {
        let scopes = self.scopes.get(row)?;
        scopes.get(alternative).map(|scopes| &**scopes)
    }

    fn usable_methods(&self) -> impl Iterator<Item = &Method> {
        self.methods().filter_map(|(method, access)| match access {
            Access::Nobody => None,
            Access::Anyone | Access::Rules { .. } => Some(method),
        })
    }

    /// Whether somebody may use this method, an exact token.
    pub(super) fn is_usable(&self, method: &[u8]) -> bool {
        self.usable_methods()
            .any(|own| own.as_str().as_bytes() == method)
    }

    /// Whether somebody may use some method.
    pub(super) fn is_open_to_somebody(&self) -> bool {
        !self.allow.is_empty()
    }

    /// Whether a parameter is compared with ASCII case folded.
    pub(super) fn folds(&self, parameter: &str) -> bool {
        self.settings.fold.iter().any(|own| &**own == parameter)
    }

    /// All methods that the route speaks for, and who may use them.
    pub fn methods(&self) -> impl Iterator<Item = (&Method, &Access)> {
        self.methods
            .iter()
            .filter_map(|(method, row)| self.access(*row).map(|access| (method, access)))
    }

    /// The claims that its conditions read, for the decision record; without repetition.
    #[must_use]
    pub fn claims_read(&self) -> Vec<&ClaimPath> {
        let mut paths = Vec::new();
        for access in self.settings.table.accesses() {
            let Access::Rules { alternatives, .. } = access else {
                continue;
            };
            for condition in alternatives.iter().flat_map(|own| &own.conditions) {
                if let Condition::Claim { path, .. } = condition
                    && !paths.contains(&path)
                {
                    paths.push(path);
                }
            }
        }
        paths
    }

    /// What logs and metrics call it.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.settings.name
    }

    /// As configured.
    #[must_use]
    pub const fn settings(&self) -> &RouteSettings {
        &self.settings
    }

    /// Answer template; `None`: the listener's.
    #[must_use]
    pub const fn answers(&self) -> Option<&AnswersName> {
        self.settings.answers.as_ref()
    }

    /// What becomes of `Authorization`.
    #[must_use]
    pub const fn authorization(&self) -> AuthorizationHeader {
        self.settings.authorization
    }

    /// Whether a request may upgrade to `protocol`; compared without regard to case (RFC 9110 section 7.8).
    #[must_use]
    pub fn allows_upgrade(&self, protocol: &[u8]) -> bool {
        self.settings
            .upgrade
            .iter()
            .any(|own| own.as_bytes().eq_ignore_ascii_case(protocol))
    }

    /// Whether response trailers pass.
    #[must_use]
    pub const fn grpc(&self) -> bool {
        self.settings.grpc
    }

    /// The second token that it takes.
    #[must_use]
    pub const fn actor_token(&self) -> Option<&ActorToken> {
        self.settings.actor_token.as_ref()
    }

    /// Whether streams are cut when their token expires.
    #[must_use]
    pub const fn end_at_expiry(&self) -> bool {
        self.settings.end_at_expiry
    }

    /// Most bytes of a request body; `None`: the listener's limit.
    #[must_use]
    pub const fn body_bytes(&self) -> Option<u64> {
        self.settings.body_bytes
    }

    /// From the forwarded request's end to the response head; `None`: the listener's.
    #[must_use]
    pub const fn response_timeout(&self) -> Option<Duration> {
        self.settings.response_timeout
    }

    /// A response that brings nothing for so long is cut; `None`: never.
    #[must_use]
    pub const fn idle_timeout(&self) -> Option<Duration> {
        self.settings.idle_timeout
    }

    /// Whether the route only observes now, and this client is none of those for whom it is enforced already.
    #[must_use]
    pub fn observes_for(&self, now: Now, client: IpAddr) -> bool {
        self.observes(now) && !self.settings.enforced.includes(client)
    }

    /// Whether the route only observes now, at least some clients.
    #[must_use]
    pub fn observes(&self, now: Now) -> bool {
        let until = self.observe();
        until.is_some_and(|until| now.unix < until) && !self.settings.enforced.is_everybody()
    }

    /// Until when decisions are recorded and not enforced.
    #[must_use]
    pub const fn observe(&self) -> Option<UnixTime> {
        self.settings.observe
    }

    /// The methods that the table lists and that are not for nobody, as in `Allow` (RFC 9110 section 10.2.1): sorted, without repetition.
    #[must_use]
    pub fn allowed_methods(&self) -> &str {
        &self.allow
    }
}
