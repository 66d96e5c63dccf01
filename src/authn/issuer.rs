use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::claims::ClaimPath;
use super::{Algorithm, DpopSettings, KeyCell, Proofs, Reviewer};

#[cfg(test)]
mod tests;

/// Most leeway that is granted, whatever is configured.
const MAX_LEEWAY: Duration = Duration::from_secs(60);

/// Token limit where no issuer says otherwise.
const DEFAULT_TOKEN_BYTES: usize = 16 * 1024;

/// Configured trust in the tokens of one issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerSettings {
    /// The name that policy, logs and metrics use.
    pub name: Arc<str>,
    /// Values of `iss`, compared byte for byte. One realm may go under several.
    pub issuers: Vec<String>,
    /// What `aud` must contain.
    pub audiences: Audiences,
    /// The `azp` allow-list (`client_id` where a token has no `azp`); `None`: unchecked.
    pub clients: Option<Vec<String>>,
    /// Accepted `alg` values.
    pub algorithms: Vec<Algorithm>,
    /// Allowed clock skew, at most 60 s.
    pub leeway: Duration,
    /// Claims that must be present (top level).
    pub required_claims: Vec<String>,
    /// Accepted `typ` header values, lower-case; the empty string stands for an absent `typ`.
    pub token_types: Vec<String>,
    /// Most `exp` − `iat`; `iat` is required then.
    pub max_lifetime: Option<Duration>,
    /// ServiceAccount rules: `sub` and the `kubernetes.io` claims must be there and agree.
    pub kubernetes: bool,
    /// Where this issuer keeps what policy speaks about.
    pub claim_mappings: ClaimMappings,
    /// Scope → scopes it implies; transitive.
    pub scope_implies: BTreeMap<String, Vec<String>>,
    /// What to do with a token without `kid`.
    pub key_id: KeyIdRule,
    /// Where tokens of this issuer may come from beside `Authorization: Bearer`.
    pub token_sources: TokenSources,
    /// Most bytes of a token.
    pub token_bytes: usize,
    /// Tokens that are bound to keys of their holders (RFC 9449); `None`: those are refused.
    pub dpop: Option<DpopSettings>,
}

/// The audiences of an issuer; leaving them unchecked must be written out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audiences {
    /// `audiences: unchecked`.
    Unchecked,
    /// One of these must be a member of `aud`.
    AnyOf(Vec<String>),
}

/// What to do with a token that names no key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyIdRule {
    /// It is refused.
    #[default]
    Required,
    /// It is verified with the set's only usable key; refused when there are several.
    OnlyKey,
}

/// Opt-in places where a token may stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenSources {
    /// As the password of `Authorization: Basic` (any user name).
    pub basic_password: bool,
    /// In `Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.…`.
    pub websocket_protocol: bool,
}

/// Homes of what policy speaks about; of several, the first that is present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimMappings {
    /// Default `sub`.
    pub subject: Vec<ClaimPath>,
    /// Default `azp`, then `client_id`.
    pub client: Vec<ClaimPath>,
    /// Default none.
    pub account: Vec<ClaimPath>,
    /// Default `scope`, then `scp`.
    pub scopes: Vec<ClaimPath>,
    /// Default `roles`, then `realm_access.roles`.
    pub roles: Vec<ClaimPath>,
    /// Default `groups`.
    pub groups: Vec<ClaimPath>,
}

impl Default for ClaimMappings {
    fn default() -> Self {
        let nested =
            |names: &str| ClaimPath::parse(names).unwrap_or_else(|_| ClaimPath::top(names));
        Self {
            subject: vec![ClaimPath::top("sub")],
            client: vec![ClaimPath::top("azp"), ClaimPath::top("client_id")],
            account: Vec::new(),
            scopes: vec![ClaimPath::top("scope"), ClaimPath::top("scp")],
            roles: vec![ClaimPath::top("roles"), nested("realm_access.roles")],
            groups: vec![ClaimPath::top("groups")],
        }
    }
}

/// What shows that a token is the issuer's.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Its signature, with the keys that are held here.
    Keys(Arc<KeyCell>),
    /// Somebody who is asked.
    Review(Arc<Reviewer>),
}

impl From<Arc<KeyCell>> for Trust {
    fn from(keys: Arc<KeyCell>) -> Self {
        Self::Keys(keys)
    }
}

impl From<Arc<Reviewer>> for Trust {
    fn from(reviewer: Arc<Reviewer>) -> Self {
        Self::Review(reviewer)
    }
}

impl Trust {
    /// Whether a verdict that came by one of the two is good for the other.
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Keys(one), Self::Keys(other)) => Arc::ptr_eq(one, other),
            (Self::Review(one), Self::Review(other)) => Arc::ptr_eq(one, other),
            (Self::Keys(_), Self::Review(_)) | (Self::Review(_), Self::Keys(_)) => false,
        }
    }
}

/// A compiled issuer: nothing of it is parsed again per request.
#[derive(Debug)]
pub struct Issuer {
    pub(crate) settings: IssuerSettings,
    trust: Trust,
    pub(super) proofs: Arc<Proofs>,
    /// Seconds.
    leeway: i64,
    /// Scope → everything it implies, directly or not; without itself.
    implied: HashMap<Box<str>, Box<[Box<str>]>>,
}

impl Issuer {
    /// Compiles settings; what `trust` refers to outlives configuration reloads.
    #[must_use]
    pub fn new(settings: IssuerSettings, trust: impl Into<Trust>) -> Self {
        Self::following(settings, trust.into(), None)
    }

    /// Compiles settings that take the place of `previous`, whose used proofs stay used.
    #[must_use]
    pub fn following(settings: IssuerSettings, trust: Trust, previous: Option<&Self>) -> Self {
        let leeway = settings.leeway.min(MAX_LEEWAY).as_secs();
        let implied = settings
            .scope_implies
            .keys()
            .map(|scope| {
                (
                    scope.as_str().into(),
                    closure(&settings.scope_implies, scope),
                )
            })
            .collect();
        Self {
            settings,
            trust,
            proofs: previous.map_or_else(Arc::default, |previous| Arc::clone(&previous.proofs)),
            leeway: i64::try_from(leeway).unwrap_or(0),
            implied,
        }
    }

    /// The name that policy, logs and metrics use.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.settings.name
    }

    /// As configured.
    #[must_use]
    pub const fn settings(&self) -> &IssuerSettings {
        &self.settings
    }

    /// What shows that a token is its own.
    #[must_use]
    pub const fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Where its keys are, if it is keys that show it.
    #[must_use]
    pub const fn keys(&self) -> Option<&Arc<KeyCell>> {
        match &self.trust {
            Trust::Keys(keys) => Some(keys),
            Trust::Review(_) => None,
        }
    }

    /// Who is asked about its tokens, if somebody is.
    #[must_use]
    pub const fn reviewer(&self) -> Option<&Arc<Reviewer>> {
        match &self.trust {
            Trust::Review(reviewer) => Some(reviewer),
            Trust::Keys(_) => None,
        }
    }

    /// Whether tokens that are no JWTs can be its own.
    fn takes_opaque(&self) -> bool {
        self.reviewer().is_some_and(|reviewer| reviewer.opaque)
    }

    /// Allowed clock skew in seconds, at most 60.
    #[must_use]
    pub const fn leeway(&self) -> i64 {
        self.leeway
    }

    /// Whether tokens that are bound to no key are refused.
    pub(super) fn requires_proofs(&self) -> bool {
        let dpop = self.settings.dpop.as_ref();
        dpop.is_some_and(|dpop| dpop.required)
    }

    /// `scopes` and what they imply, sorted, unique.
    pub(crate) fn expand(&self, scopes: Vec<&str>) -> Vec<Box<str>> {
        let mut all: Vec<Box<str>> = Vec::with_capacity(scopes.len());
        for scope in scopes {
            if let Some(implied) = self.implied.get(scope) {
                all.extend(implied.iter().cloned());
            }
            all.push(scope.into());
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Whether a token that one of the two accepted would be judged alike by the other: after a reload that did not
    /// touch the issuer, verdicts stay good.
    pub(super) fn same_definition(&self, other: &Self) -> bool {
        self.trust.is(&other.trust) && self.settings == other.settings
    }
}

/// Everything that `scope` implies; loops end because each scope is entered once.
fn closure(implies: &BTreeMap<String, Vec<String>>, scope: &str) -> Box<[Box<str>]> {
    let mut seen = BTreeSet::from([scope]);
    let mut open = vec![scope];
    while let Some(next) = open.pop() {
        for implied in implies.get(next).into_iter().flatten() {
            if seen.insert(implied) {
                open.push(implied);
            }
        }
    }
    seen.remove(scope);
    seen.into_iter().map(Into::into).collect()
}

/// All trusted issuers.
#[derive(Debug)]
pub struct Issuers {
    list: Vec<Arc<Issuer>>,
    by_iss: HashMap<Box<str>, usize>,
    /// The one whose tokens need not be JWTs.
    opaque: Option<usize>,
    /// The largest token that any issuer takes; nothing beyond is read.
    token_bytes: usize,
    /// Sources that at least one issuer has opted in to.
    sources: TokenSources,
    /// At least one issuer takes bound tokens.
    dpop: bool,
}

impl Default for Issuers {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Issuers {
    /// Of `list`; the configuration has made sure that no two share a name or an `iss`, and that at most one takes tokens
    /// that say nothing of their issuer. Should two share something nevertheless, nobody gets it.
    #[must_use]
    pub fn new(list: Vec<Arc<Issuer>>) -> Self {
        let mut by_iss = HashMap::new();
        let mut shared = Vec::new();
        let mut sources = TokenSources::default();
        for (position, issuer) in list.iter().enumerate() {
            for iss in &issuer.settings.issuers {
                let former = by_iss.insert(iss.as_str().into(), position);
                if former.is_some_and(|former| former != position) {
                    shared.push(iss.as_str());
                }
            }
            sources.basic_password |= issuer.settings.token_sources.basic_password;
            sources.websocket_protocol |= issuer.settings.token_sources.websocket_protocol;
        }
        for iss in shared {
            by_iss.remove(iss);
        }
        let mut takers = (0..).zip(&list).filter(|(_, issuer)| issuer.takes_opaque());
        let opaque = takers.next().map(|(position, _)| position);
        let opaque = opaque.filter(|_| takers.next().is_none());
        let dpop = list.iter().any(|issuer| issuer.settings.dpop.is_some());
        let token_bytes = list
            .iter()
            .map(|issuer| issuer.settings.token_bytes)
            .max()
            .unwrap_or(DEFAULT_TOKEN_BYTES);
        Self {
            by_iss,
            opaque,
            token_bytes,
            sources,
            dpop,
            list,
        }
    }

    /// In the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Issuer>> {
        self.list.iter()
    }

    /// The issuer called `name`.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Arc<Issuer>> {
        self.list.iter().find(|issuer| &**issuer.name() == name)
    }

    /// The issuer whose tokens say `iss`, byte for byte.
    #[must_use]
    pub fn by_iss(&self, iss: &str) -> Option<&Arc<Issuer>> {
        self.list.get(*self.by_iss.get(iss)?)
    }

    /// The issuer of a token that says nothing of its own: the one that it must be of (by name), or the only one there is.
    pub(super) fn of_opaque(&self, only: Option<&str>) -> Option<&Arc<Issuer>> {
        match only {
            Some(name) => self.named(name).filter(|issuer| issuer.takes_opaque()),
            None => self.list.get(self.opaque?),
        }
    }

    /// The issuer that is defined now as `issuer` was when a verdict was made. After a reload the definitions are
    /// compared, else a pointer is.
    pub(super) fn current(&self, issuer: &Arc<Issuer>) -> Option<&Arc<Issuer>> {
        self.list
            .iter()
            .find(|own| Arc::ptr_eq(own, issuer))
            .or_else(|| {
                self.named(issuer.name())
                    .filter(|own| own.same_definition(issuer))
            })
    }

    pub(super) const fn token_bytes(&self) -> usize {
        self.token_bytes
    }

    pub(super) const fn dpop(&self) -> bool {
        self.dpop
    }

    pub(super) const fn sources(&self) -> TokenSources {
        self.sources
    }
}
