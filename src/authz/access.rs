//! Who may, per method, and what that asks of a credential.

use http::Method;

use super::condition::{Alternative, Condition};

/// What an `allow` without a table speaks for.
pub const TABLELESS_METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// Methods to access.
#[derive(Clone, Debug, PartialEq)]
pub enum MethodTable {
    /// Without a table: for all of [`TABLELESS_METHODS`].
    Every(Access),
    /// For whatever method.
    Any(Access),
    /// For the methods that are listed, and no others: `GET` does not speak for `HEAD`.
    Rows(Vec<MethodRow>),
}

impl MethodTable {
    /// Who may, row by row; one row without a table.
    pub fn accesses(&self) -> impl Iterator<Item = &Access> {
        let (every, rows) = match self {
            Self::Every(access) | Self::Any(access) => (Some(access), None),
            Self::Rows(rows) => (None, Some(rows)),
        };
        every
            .into_iter()
            .chain(rows.into_iter().flatten().map(|row| &row.access))
    }

    /// Puts conditions in the order of [`Condition::stage`], so that what fails last is what was closest to holding.
    pub(super) fn sort_conditions(&mut self) {
        let sort = |access: &mut Access| {
            if let Access::Rules { alternatives, .. } = access {
                for alternative in alternatives {
                    alternative.conditions.sort_by_key(Condition::stage);
                }
            }
        };
        match self {
            Self::Every(access) | Self::Any(access) => sort(access),
            Self::Rows(rows) => rows.iter_mut().for_each(|row| sort(&mut row.access)),
        }
    }
}

/// Per alternative of a row, the value of the challenge's `scope="…"` (RFC 6750 section 3).
pub(super) type RowScopes = Box<[Box<str>]>;

pub(super) fn scopes_of_row(access: &Access) -> RowScopes {
    match access {
        Access::Nobody | Access::Anyone => Box::default(),
        Access::Rules { alternatives, .. } => {
            alternatives.iter().map(Alternative::scopes).collect()
        }
    }
}

/// One line of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodRow {
    /// For these methods, exact tokens.
    pub methods: Vec<Method>,
    /// Who may.
    pub access: Access,
}

/// Who may, for the methods of one line of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Access {
    /// `nobody`.
    Nobody,
    /// `anyone`: tokens are not looked at.
    Anyone,
    /// A principal that one of the alternatives lets pass.
    Rules {
        /// `anonymous`: no token passes as anonymous; a bad one does not pass.
        anonymous: bool,
        /// `opaque`: a bearer token that is no JWT passes untouched and without identity.
        opaque: bool,
        /// One of them suffices; of several that hold, the first names the caller.
        alternatives: Vec<Alternative>,
    },
}

/// What a route asks of a request's credential. [`crate::authn`] answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// No token is looked at; the principal is anonymous.
    Public,
    /// No token passes as anonymous; one that is there must hold.
    Optional,
    /// A token is needed; a bearer token that is no JWT passes as opaque, one shaped like a JWT must hold.
    Opaque,
    /// [`Demand::Opaque`], and no token passes as anonymous.
    OptionalOpaque,
    /// A token that holds.
    Token,
}

impl Demand {
    /// Whether a request without a token passes as anonymous.
    #[must_use]
    pub const fn takes_anonymous(self) -> bool {
        matches!(self, Self::Public | Self::Optional | Self::OptionalOpaque)
    }

    /// Whether a bearer token that is no JWT passes as opaque.
    #[must_use]
    pub const fn takes_opaque(self) -> bool {
        matches!(self, Self::Opaque | Self::OptionalOpaque)
    }
}

impl Access {
    /// The alternatives; none where no token is looked at or nobody passes.
    #[must_use]
    pub fn alternatives(&self) -> &[Alternative] {
        match self {
            Self::Rules { alternatives, .. } => alternatives,
            Self::Nobody | Self::Anyone => &[],
        }
    }

    /// What it asks of a credential.
    #[must_use]
    pub const fn demand(&self) -> Demand {
        match self {
            Self::Anyone => Demand::Public,
            Self::Rules {
                anonymous, opaque, ..
            } => match (anonymous, opaque) {
                (false, false) => Demand::Token,
                (true, false) => Demand::Optional,
                (false, true) => Demand::Opaque,
                (true, true) => Demand::OptionalOpaque,
            },
            Self::Nobody => Demand::Token,
        }
    }
}
