//! The canonical request: the one reading of method, authority, path and headers that every decision uses.
//!
//! [`Canonical::parse`] is the only way in. What two parsers could read differently is refused here, before policy;
//! what a client may not say (hop-by-hop fields, identity headers, overrides) is gone afterwards.

mod authority;
mod headers;
mod path;

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Version};

pub use authority::Authority;
pub use headers::{ReservedNames, is_reserved_spelling};
pub use path::{CanonicalPath, PathAllowances};

use crate::authn::Principal;
use crate::authz::Route;
use crate::rejection::Rejection;

/// Proof that the holder is `upstream::forward`; nothing else can make one, and nothing opens a sealed body without it.
pub use crate::upstream::Opener;

/// What the listener knows about a connection; shared by its requests.
#[derive(Debug)]
pub struct Connection {
    /// The name of the listener.
    pub listener: Arc<str>,
    /// The peer's address; loopback for Unix sockets.
    pub peer: IpAddr,
    /// Whether the downstream speaks TLS.
    pub tls: bool,
    /// The verified client certificate.
    pub client_certificate: Option<ClientCertificate>,
}

/// Names of a verified client certificate (RFC 5280).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    /// DNS names of the subject alternative name extension, lower-case.
    pub dns: Vec<String>,
    /// URIs of the subject alternative name extension (SPIFFE ids among them).
    pub uris: Vec<String>,
    /// SHA-256 of the DER, lower-case hexadecimal.
    pub sha256: String,
}

/// How a listener reads requests; compiled once per configuration.
#[derive(Debug)]
pub struct RequestRules {
    /// Networks whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Most header fields, after decoding (HTTP/2 cookie crumbs counted one by one).
    pub headers: usize,
    /// Most bytes of names and values.
    pub header_bytes: usize,
    /// Most bytes of the request target.
    pub target_bytes: usize,
    /// Names that clients may not send: identity headers, actor token headers that no route takes, overrides.
    pub reserved: ReservedNames,
}

/// The judged part of a request: everything but the body.
#[derive(Debug)]
pub struct Head {
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) path: CanonicalPath,
    pub(crate) authority: Authority,
    /// End-to-end fields of the client, reserved and hop-by-hop names removed, `Host` removed (see `authority`).
    pub(crate) headers: HeaderMap,
    /// The client: the peer, or the rightmost untrusted hop of `X-Forwarded-For` when the peer is trusted.
    pub(crate) client: IpAddr,
    /// Whether the peer is one of the trusted proxies.
    pub(crate) trusted_peer: bool,
    /// The protocol asked for by `Connection: upgrade` + `Upgrade` (HTTP/1.1).
    pub(crate) upgrade: Option<HeaderValue>,
    /// The client sent `TE: trailers`.
    pub(crate) te_trailers: bool,
    /// The client sent `Expect: 100-continue`.
    pub(crate) expects_continue: bool,
    pub(crate) connection: Arc<Connection>,
}

impl Head {
    /// The method, an exact token.
    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// The decoded path; [`CanonicalPath::target`] has the bytes that are forwarded.
    #[must_use]
    pub const fn path(&self) -> &CanonicalPath {
        &self.path
    }

    /// Host and port.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// End-to-end header fields.
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The client's address.
    #[must_use]
    pub const fn client(&self) -> IpAddr {
        self.client
    }

    /// The connection that the request came on.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }
}

/// A request that has been read, once. Its body is sealed: only [`crate::upstream`] opens it.
#[derive(Debug)]
pub struct Canonical<B> {
    head: Box<Head>,
    sealed: B,
}

impl<B> Canonical<B> {
    /// The judged part.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    pub(crate) fn head_mut(&mut self) -> &mut Head {
        &mut self.head
    }

    /// Opens the request for forwarding.
    pub(crate) fn open(self, _: &Opener) -> (Box<Head>, B) {
        (self.head, self.sealed)
    }

    /// Ends the request's way here.
    pub(crate) fn refuse(self, rejection: Rejection) -> Box<Refused<B>> {
        Box::new(Refused {
            rejection,
            facts: Facts {
                head: Some(self.head),
                ..Facts::default()
            },
            sealed: self.sealed,
        })
    }
}

/// What is known about a request when its way ends; the decision record is made of it.
#[derive(Debug, Default)]
pub struct Facts {
    /// Absent when the message was malformed.
    pub head: Option<Box<Head>>,
    /// The route that owned it.
    pub route: Option<Arc<Route>>,
    /// Who asked.
    pub principal: Option<Principal>,
    /// The caller that the matching alternative named.
    pub caller: Option<Arc<str>>,
}

/// A request that does not pass: why, what is known, and the body, to be discarded.
#[derive(Debug)]
pub struct Refused<B> {
    rejection: Rejection,
    facts: Facts,
    sealed: B,
}

impl<B> Refused<B> {
    /// Adds what a later step knows.
    pub(crate) fn with(mut self: Box<Self>, add: impl FnOnce(&mut Facts)) -> Box<Self> {
        add(&mut self.facts);
        self
    }

    /// Why.
    #[must_use]
    pub const fn rejection(&self) -> &Rejection {
        &self.rejection
    }

    /// The pieces; the body is only good for discarding, nothing forwards it.
    #[must_use]
    pub fn into_parts(self) -> (Rejection, Facts, B) {
        (self.rejection, self.facts, self.sealed)
    }
}
