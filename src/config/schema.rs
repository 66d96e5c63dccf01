//! One description of every key, from which come: the check of shapes, the JSON Schema, the reference page and the defaults.

mod answers;
mod common;
mod credentials;
mod identity;
mod inbound;
mod issuers;
mod json;
mod markdown;
mod outbound;
mod policy;
mod reviews;
mod root;
mod routes;

use std::time::Duration;

pub use json::json_schema;
pub use markdown::reference;

pub(crate) use answers::{ANSWER_KIND, ANSWERS};
pub(crate) use common::FILE_BLOCK;
pub(crate) use credentials::{
    CLIENT_ASSERTION, CLIENT_AUTHENTICATION, CLIENT_SECRET, CREDENTIAL, CREDENTIAL_DPOP,
    PRIVATE_KEY_JWT, TLS_CLIENT_AUTH, TOKEN_ENDPOINT,
};
pub(crate) use identity::{ASSERTION, IDENTITY, SIGNATURE, SIGNING_KEY};
pub(crate) use inbound::{CORS, INBOUND, LIMITS, RESOURCE_METADATA, TIMEOUTS, TLS, UPSTREAM};
pub(crate) use issuers::{CLAIM_MAPPINGS, DPOP, ISSUER, JWKS};
pub(crate) use outbound::OUTBOUND;
pub(crate) use policy::{ACTOR, ALTERNATIVE, CALLER_BLOCK, CERTIFICATE};
pub(crate) use reviews::{INTROSPECTION, OWN_TOKEN, TOKEN_REVIEW, VERIFY};
pub(crate) use root::{ADMIN, DRAIN, LOG, OTLP, PROBES, RECEIPTS, ROOT, TELEMETRY};
pub(crate) use routes::{ACTOR_TOKEN, RATE_LIMIT, ROUTE, ROUTE_LIMITS, ROUTE_TIMEOUTS};

use policy::ANSWERS_NAME;

use super::scalar;

/// A mapping with known keys.
#[derive(Debug)]
pub(crate) struct Block {
    /// Name of the definition in the JSON Schema, heading in the reference.
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) keys: &'static [Key],
}

/// One key of a block.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) shape: &'static Shape,
    pub(crate) need: Need,
    pub(crate) doc: &'static str,
    pub(crate) example: &'static str,
    /// The version that brought the key.
    pub(crate) since: &'static str,
}

/// Whether a key must be given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Need {
    Required,
    /// Required where this other key is absent.
    Unless(&'static str),
    /// What its absence means is said in the key's documentation.
    Optional,
    /// What an absent key means, as it would be written.
    Default(&'static str),
}

/// What may stand at a place.
#[derive(Debug)]
pub(crate) enum Shape {
    Flag,
    Number {
        least: u64,
        most: u64,
    },
    Text(Format),
    /// One of some words.
    Words(&'static [&'static str]),
    /// At least one item: an empty list would be read as "nobody" by some and as "everything" by others.
    List(&'static Shape),
    /// A list where none is a plain thing to say.
    ListOrNone(&'static Shape),
    /// Names to values; at least one.
    Map {
        key: Format,
        value: &'static Shape,
    },
    /// Methods to values. Chosen before a block when the keys look like methods.
    Methods(&'static Shape),
    Block(&'static Block),
    /// The first that fits the kind of the value.
    Either(&'static [Shape]),
    /// Any JSON.
    Json,
}

/// What a text must be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Format {
    /// Any text without control characters and surrounding space.
    Visible,
    /// Any text at all.
    Any,
    /// Comes from `${…}`, never from the document itself.
    Secret,
    Name,
    Scope,
    Duration {
        least: u64,
        most: u64,
    },
    Size {
        least: u64,
        most: u64,
    },
    Listen,
    SocketAddress,
    Network,
    Upstream,
    WebUrl,
    Origin,
    HeaderName,
    File,
    PathPattern,
    HostPattern,
    Method,
    Date,
    /// From 0 to 1.
    Fraction,
    /// `25%`.
    Percent,
    ClaimPath,
    IdentitySource,
    ServiceAccount,
    Protocol,
}

impl Block {
    pub(crate) fn key(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().map(|key| key.name)
    }
}

impl Key {
    pub(crate) const fn new(
        name: &'static str,
        shape: &'static Shape,
        need: Need,
        doc: &'static str,
        example: &'static str,
    ) -> Self {
        Self {
            name,
            shape,
            need,
            doc,
            example,
            since: "0.1.0",
        }
    }
}

impl Format {
    /// What the text is, with its article.
    pub(crate) const fn noun(self) -> &'static str {
        match self {
            Self::Visible | Self::Any => "text",
            Self::Secret => "a secret",
            Self::Name => "a name",
            Self::Scope => "a scope",
            Self::Duration { .. } => "a duration",
            Self::Size { .. } => "a size",
            Self::Listen => "an address to listen on",
            Self::SocketAddress => "ADDRESS:PORT",
            Self::Network => "a network",
            Self::Upstream => "an upstream",
            Self::WebUrl => "a URL",
            Self::Origin => "an origin",
            Self::HeaderName => "a header name",
            Self::File => "a file",
            Self::PathPattern => "a path",
            Self::HostPattern => "a host",
            Self::Method => "a method",
            Self::Date => "a date",
            Self::Fraction => "a fraction",
            Self::Percent => "a percentage",
            Self::ClaimPath => "a claim",
            Self::IdentitySource => "an identity value",
            Self::ServiceAccount => "NAMESPACE/NAME",
            Self::Protocol => "a protocol",
        }
    }

    /// Whether `text` is one.
    ///
    /// # Errors
    /// Says why not, in words.
    pub(crate) fn check(self, text: &str) -> Result<(), String> {
        match self {
            Self::Any => Ok(()),
            Self::Visible | Self::Secret | Self::File => scalar::visible(text),
            Self::Name => scalar::name(text),
            Self::Scope => scalar::scope(text),
            Self::Duration { least, most } => {
                let found = scalar::duration(text)?;
                let (least, most) = (Duration::from_millis(least), Duration::from_secs(most));
                within(found, least, most, scalar::show_duration)
            }
            Self::Size { least, most } => within(scalar::size(text)?, least, most, |bytes| {
                format!("{bytes} bytes")
            }),
            Self::Listen => scalar::listen_address(text).map(drop),
            Self::SocketAddress => scalar::socket_address(text).map(drop),
            Self::Network => scalar::network(text).map(drop),
            Self::Upstream => scalar::upstream(text).map(drop),
            Self::WebUrl => scalar::web_url(text),
            Self::Origin => scalar::origin(text),
            Self::HeaderName => scalar::header_name(text).map(drop),
            Self::Method => scalar::methods(text).map(drop),
            Self::Date => scalar::date(text).map(drop),
            Self::Fraction => scalar::fraction(text).map(drop),
            Self::Percent => scalar::percent(text).map(drop),
            // These have their own readers in the core, which say more than a format could.
            Self::PathPattern | Self::HostPattern | Self::IdentitySource => scalar::visible(text),
            Self::ClaimPath => scalar::claim_path(text).map(drop),
            Self::ServiceAccount => scalar::service_account(text).map(drop),
            Self::Protocol => scalar::protocol(text),
        }
    }
}

fn within<T: PartialOrd + Copy>(
    found: T,
    least: T,
    most: T,
    show: impl Fn(T) -> String,
) -> Result<(), String> {
    if found < least {
        Err(format!("must be at least {}", show(least)))
    } else if found > most {
        Err(format!("must be at most {}", show(most)))
    } else {
        Ok(())
    }
}
