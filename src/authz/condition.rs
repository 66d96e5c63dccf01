//! Who may: alternatives, each naming an issuer, and their conditions.

use std::sync::Arc;

use ipnet::IpNet;

use crate::authn::ClaimPath;

/// Who may call: a name for an issuer and conditions (`callers:`).
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// What policy, logs, `diff` and `learn` call it.
    pub name: Arc<str>,
    /// The name of the issuer.
    pub issuer: Arc<str>,
    /// All of them hold.
    pub conditions: Vec<Condition>,
}

/// One way to be allowed: a token of this issuer, and all conditions hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Alternative {
    /// The caller that the request is recorded as, when this alternative matches.
    pub caller: Option<Arc<str>>,
    /// The name of the issuer, so that no condition leaks from one issuer to another.
    pub issuer: Arc<str>,
    /// All of them hold. Their order means nothing.
    pub conditions: Vec<Condition>,
}

impl Alternative {
    /// The caller's conditions, and more of the alternative's own.
    #[must_use]
    pub fn of_caller(caller: &Caller, more: impl IntoIterator<Item = Condition>) -> Self {
        Self {
            caller: Some(Arc::clone(&caller.name)),
            issuer: Arc::clone(&caller.issuer),
            conditions: caller.conditions.iter().cloned().chain(more).collect(),
        }
    }

    /// Whether `other` lets pass everybody whom this one does; `false` where that cannot be told.
    #[must_use]
    pub fn implies(&self, other: &Self) -> bool {
        let implied = |wanted: &Condition| self.conditions.iter().any(|own| own.implies(wanted));
        self.issuer == other.issuer && other.conditions.iter().all(implied)
    }

    /// What `scope="…"` says when a scope is missing: all that the alternative speaks about.
    pub(super) fn scopes(&self) -> Box<str> {
        let mut scopes: Vec<&str> = Vec::new();
        for condition in &self.conditions {
            if let Condition::Scopes(values) | Condition::AnyScope(values) = condition {
                scopes.extend(values.iter().map(|scope| &**scope));
            }
        }
        scopes.sort_unstable();
        scopes.dedup();
        scopes.join(" ").into()
    }

    /// Conditions on tokens of an issuer, without a caller's name.
    #[must_use]
    pub const fn of_issuer(issuer: Arc<str>, conditions: Vec<Condition>) -> Self {
        Self {
            caller: None,
            issuer,
            conditions,
        }
    }
}

/// What permits. A list means any of its members, except in [`Condition::Scopes`]; an empty list never holds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Condition {
    /// `client`: the token's `azp` or `client_id` is one of these.
    Client(Vec<Box<str>>),
    /// `subject`: `sub` is one of these.
    Subject(Vec<Box<str>>),
    /// `service_account`: `sub` is one of these ServiceAccounts, of a `kubernetes: true` issuer.
    ServiceAccount(Vec<ServiceAccount>),
    /// `scopes`: the token has all of these.
    Scopes(Vec<Box<str>>),
    /// `any_scope`: the token has one of these.
    AnyScope(Vec<Box<str>>),
    /// `roles`: the token has one of these.
    Roles(Vec<Box<str>>),
    /// `groups`: the token has one of these.
    Groups(Vec<Box<str>>),
    /// `client_address`: the client is in one of these networks.
    ClientAddress(Vec<IpNet>),
    /// `client_certificate`: the verified client certificate has one of these names.
    ClientCertificate(CertificateNames),
    /// `claims`: one entry of the mapping.
    Claim {
        /// Where the claim is.
        path: ClaimPath,
        /// What it must be: one of these.
        values: Vec<ClaimValue>,
    },
    /// `account`.
    Account(AccountRule),
    /// `actor`: conditions on the party of the second token.
    Actor(ActorRule),
}

/// How near an alternative is to holding when a condition fails; conditions are tried in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Who it is.
    Caller,
    /// What else is known about the request.
    Other,
    /// Whose data it asks for.
    Account,
    /// What the token is good for. When only this fails, another token of the same caller would do.
    Scope,
}

impl Condition {
    pub(super) const fn stage(&self) -> Stage {
        match self {
            Self::Client(_) | Self::Subject(_) | Self::ServiceAccount(_) => Stage::Caller,
            Self::Roles(_)
            | Self::Groups(_)
            | Self::ClientAddress(_)
            | Self::ClientCertificate(_)
            | Self::Claim { .. }
            | Self::Actor(_) => Stage::Other,
            Self::Account(_) => Stage::Account,
            Self::Scopes(_) | Self::AnyScope(_) => Stage::Scope,
        }
    }

    /// Whether `other` holds wherever this one does; `false` where that cannot be told.
    #[must_use]
    pub fn implies(&self, other: &Self) -> bool {
        fn among<T: PartialEq>(own: &[T], other: &[T]) -> bool {
            own.iter().all(|value| other.contains(value))
        }
        match (self, other) {
            (Self::Client(own), Self::Client(other))
            | (Self::Subject(own), Self::Subject(other))
            | (Self::AnyScope(own), Self::AnyScope(other))
            | (Self::Roles(own), Self::Roles(other))
            | (Self::Groups(own), Self::Groups(other)) => among(own, other),
            (Self::ServiceAccount(own), Self::ServiceAccount(other)) => among(own, other),
            // Who has all of many has all of fewer.
            (Self::Scopes(own), Self::Scopes(other)) => among(other, own),
            (Self::Scopes(own), Self::AnyScope(other)) => {
                own.iter().any(|scope| other.contains(scope))
            }
            (Self::ClientAddress(own), Self::ClientAddress(other)) => own
                .iter()
                .all(|network| other.iter().any(|wide| wide.contains(network))),
            (
                Self::Claim { path, values },
                Self::Claim {
                    path: other,
                    values: others,
                },
            ) => path == other && among(values, others),
            (Self::Account(_), Self::Account(AccountRule::Required)) => true,
            (own, other) => own == other,
        }
    }

    /// Its key in the configuration.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Client(_) => "client",
            Self::Subject(_) => "subject",
            Self::ServiceAccount(_) => "service_account",
            Self::Scopes(_) => "scopes",
            Self::AnyScope(_) => "any_scope",
            Self::Roles(_) => "roles",
            Self::Groups(_) => "groups",
            Self::ClientAddress(_) => "client_address",
            Self::ClientCertificate(_) => "client_certificate",
            Self::Claim { .. } => "claims",
            Self::Account(_) => "account",
            Self::Actor(_) => "actor",
        }
    }
}

/// What a claim is compared with: a string is equal, or a list of strings has it as a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimValue {
    /// This string.
    Text(Box<str>),
    /// This boolean; the string `"true"` is not one.
    Boolean(bool),
    /// The path's segment under this parameter.
    Parameter(Arc<str>),
}

/// The account condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountRule {
    /// `account: required`: the principal has one, whichever.
    Required,
    /// `account: "{name}"`: it is the path's segment under this parameter.
    Parameter(Arc<str>),
}

/// Conditions on the second token of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct ActorRule {
    /// The name of its issuer.
    pub issuer: Arc<str>,
    /// [`Condition::Client`], [`Condition::Subject`] and [`Condition::ServiceAccount`] only; all of them hold.
    pub conditions: Vec<Condition>,
}

impl ActorRule {
    /// Whoever it is, of an issuer.
    pub(super) fn of_issuer(issuer: &str) -> Self {
        Self {
            issuer: issuer.into(),
            conditions: Vec::new(),
        }
    }
}

/// Names of a client certificate, one of which suffices. Compared byte for byte, without wildcards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateNames {
    /// DNS names, lower-case.
    pub dns: Vec<Box<str>>,
    /// URIs.
    pub uris: Vec<Box<str>>,
    /// SHA-256 of the DER, lower-case hexadecimal.
    pub sha256: Vec<Box<str>>,
}

impl CertificateNames {
    pub(super) const fn is_empty(&self) -> bool {
        self.dns.is_empty() && self.uris.is_empty() && self.sha256.is_empty()
    }
}

/// A Kubernetes ServiceAccount, held as the whole `sub` of its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount(Box<str>);

/// Not `namespace/name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be `namespace/name` of a ServiceAccount, in lower-case letters, digits and `-` (and `.` in the name)"
)]
pub struct ServiceAccountError;

impl ServiceAccount {
    /// Reads `namespace/name`.
    ///
    /// # Errors
    /// One of them is missing or has characters that Kubernetes does not allow (RFC 1123 label, subdomain).
    pub fn parse(text: &str) -> Result<Self, ServiceAccountError> {
        let valid = |part: &str, dot: bool| {
            let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
            !part.is_empty()
                && part.len() <= if dot { 253 } else { 63 }
                && part
                    .bytes()
                    .all(|b| inner(b) || b == b'-' || (dot && b == b'.'))
                && part.bytes().next().is_some_and(inner)
                && part.bytes().next_back().is_some_and(inner)
        };
        match text.split_once('/') {
            Some((namespace, name)) if valid(namespace, false) && valid(name, true) => Ok(Self(
                format!("system:serviceaccount:{namespace}:{name}").into(),
            )),
            Some(_) | None => Err(ServiceAccountError),
        }
    }

    /// The `sub` of its tokens.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.0
    }
}
