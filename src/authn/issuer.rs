use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Algorithm, KeyCell};

/// Configured trust in the tokens of one issuer.
#[derive(Clone, Debug)]
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
    /// It is verified with the set's only eligible key; refused when there are several.
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

/// A place in the claims: `realm_access.roles`, `/resource_access/my.client/roles`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(pub Vec<String>);

/// Homes of what policy speaks about; of several, the first that is present.
#[derive(Clone, Debug)]
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

/// A compiled issuer.
#[derive(Debug)]
pub struct Issuer {
    pub(crate) settings: IssuerSettings,
    pub(crate) keys: Arc<KeyCell>,
}

impl Issuer {
    /// Compiles settings; `keys` outlives configuration reloads.
    #[must_use]
    pub const fn new(settings: IssuerSettings, keys: Arc<KeyCell>) -> Self {
        Self { settings, keys }
    }
}

/// All trusted issuers.
#[derive(Debug, Default)]
pub struct Issuers {
    list: Vec<Arc<Issuer>>,
}

impl Issuers {
    /// Of `list`; the configuration has made sure that no two share a name or an `iss`.
    #[must_use]
    pub const fn new(list: Vec<Arc<Issuer>>) -> Self {
        Self { list }
    }

    /// In the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Issuer>> {
        self.list.iter()
    }
}
