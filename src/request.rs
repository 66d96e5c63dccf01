//! The canonical request: the one reading of method, authority, path and headers that every decision uses.
//!
//! [`Canonical::parse`] is the only way in. What two parsers could read differently is refused here, before policy;
//! what a client may not say (hop-by-hop fields, identity headers, overrides) is gone afterwards.

mod authority;
mod client;
pub(crate) mod framing;
mod headers;
mod path;
mod proof;
mod reserved;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Uri, Version};

pub use authority::Authority;
pub use headers::FIELD_BYTES;
pub use path::{CanonicalPath, PathAllowances};
pub use proof::{Origin, Proof};
pub use reserved::{ReservedNames, is_reserved_spelling};

use crate::authn::Principal;
use crate::authz::Route;
use crate::rejection::{Malformed, Rejection};

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
    /// Whether it came over a Unix socket, which no web page can reach.
    pub unix: bool,
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
    pub reserved: Arc<ReservedNames>,
    /// Headers that carry a second token on some route. They are read there, and never pass as they came.
    pub actor_headers: Vec<http::HeaderName>,
    /// What callers know the listener by, for the URLs of their proofs.
    pub origins: Arc<[Origin]>,
    /// The authority of HTTP/1.0 requests that name none: the listener's own (RFC 9112 section 3.3).
    /// [`Authority::nameless`] matches no `hosts:` of any route.
    pub default_authority: Authority,
    /// How paths are read.
    pub paths: PathReading,
}

/// How paths are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathReading {
    /// Decisions depend on the path: what two parsers could read differently is refused.
    #[default]
    Judged,
    /// No decision depends on it: it passes as it came, unless it is no request target at all.
    AsWritten,
}

impl Default for RequestRules {
    /// The documented limits, nobody trusted, only the fixed names reserved.
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            headers: 100,
            header_bytes: 32 * 1024,
            target_bytes: 8 * 1024,
            reserved: Arc::default(),
            actor_headers: Vec::new(),
            origins: Arc::default(),
            default_authority: Authority::nameless(),
            paths: PathReading::Judged,
        }
    }
}

/// The judged part of a request: everything but the body.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts of one message, named where they are read"
)]
pub struct Head {
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) path: CanonicalPath,
    pub(crate) authority: Authority,
    /// End-to-end fields of the client: reserved and hop-by-hop names removed, and those that this head carries as
    /// fields of its own (`Host`, `Content-Length`, `Transfer-Encoding`, `Upgrade`, `TE`, `Expect`). `Authorization` is
    /// still there. From trusted peers the `X-Forwarded-*` family is too. HTTP/2 cookie crumbs are one field.
    pub(crate) headers: HeaderMap,
    /// The client: the peer, or the rightmost untrusted hop of `X-Forwarded-For` when the peer is trusted.
    pub(crate) client: IpAddr,
    /// Whether the peer is one of the trusted proxies.
    pub(crate) trusted_peer: bool,
    /// The protocol asked for by `Connection: upgrade` + `Upgrade` (HTTP/1.1).
    pub(crate) upgrade: Option<HeaderValue>,
    /// The client sent `TE: trailers`.
    pub(crate) te_trailers: bool,
    /// The client sent `Expect: 100-continue` and can read a 1xx.
    pub(crate) expects_continue: bool,
    /// The client's `Content-Length`, exact. The forwarder writes its own framing from this and `chunked`.
    pub(crate) content_length: Option<u64>,
    /// The client sent `Transfer-Encoding: chunked` (HTTP/1.1). HTTP/2 bodies may have neither.
    pub(crate) chunked: bool,
    /// A body follows, framed or (HTTP/2) not.
    pub(crate) body_follows: bool,
    /// The target named the authority itself (absolute-form, HTTP/1).
    pub(crate) absolute_form: bool,
    /// `Connection` nominated `Authorization`: it is judged all the same, and never forwarded.
    pub(crate) authorization_is_hop: bool,
    /// What came in the field `DPoP`. Boxed: hardly any request has it.
    pub(crate) proof: Option<Box<Proof>>,
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

    /// Whether the peer is one of the trusted proxies.
    #[must_use]
    pub const fn trusted_peer(&self) -> bool {
        self.trusted_peer
    }

    /// The client waits for a 100 before it sends the body.
    #[must_use]
    pub const fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// The client's body came in chunks.
    #[must_use]
    pub const fn is_chunked(&self) -> bool {
        self.chunked
    }

    /// HTTP/1.0, HTTP/1.1 or HTTP/2.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The protocol asked for by `Connection: upgrade` and `Upgrade`: one, and neither HTTP nor TLS.
    #[must_use]
    pub const fn upgrade(&self) -> Option<&HeaderValue> {
        self.upgrade.as_ref()
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
    /// Reads a request as the HTTP library gives it (HTTP/1.0, HTTP/1.1, HTTP/2).
    ///
    /// Extensions are dropped: what must outlive them (an upgrade handle) travels in `sealed`.
    ///
    /// # Errors
    /// [`Rejection::Malformed`] and [`Rejection::AmbiguousPath`]: what can be read in two ways, what is over a limit, and
    /// CONNECT, TRACE and upgrades that no proxy of this kind passes on.
    pub fn parse(
        mut parts: Parts,
        sealed: B,
        connection: &Arc<Connection>,
        rules: &RequestRules,
    ) -> Result<Self, Box<Refused<B>>> {
        match read_head(&mut parts, connection, rules) {
            Ok(head) => Ok(Self {
                head: Box::new(head),
                sealed,
            }),
            Err(rejection) => Err(Refused::before_reading(rejection, sealed)
                .with(|facts| facts.as_read = Some((parts.method, parts.uri)))),
        }
    }

    /// The judged part.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Says of a body that no field announces (HTTP/2) whether it follows.
    #[must_use]
    pub(crate) fn with_body(mut self, follows: bool) -> Self {
        self.head.body_follows |= follows;
        self
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
        let (facts, sealed) = self.end();
        Box::new(Refused {
            rejection,
            facts,
            sealed,
        })
    }

    /// Ends the request's way here: we answer it ourselves. The body is only good for discarding.
    pub(crate) fn end(self) -> (Facts, B) {
        let facts = Facts {
            head: Some(self.head),
            ..Facts::default()
        };
        (facts, self.sealed)
    }
}

/// The way of reading: limits, method, target, fields, authority, path.
fn read_head(
    parts: &mut Parts,
    connection: &Arc<Connection>,
    rules: &RequestRules,
) -> Result<Head, Rejection> {
    let version = known_version(parts.version)?;
    // CONNECT (extended CONNECT of RFC 8441 included) makes a tunnel, TRACE echoes credentials.
    if parts.method == Method::CONNECT || parts.method == Method::TRACE {
        return Err(Rejection::Malformed(Malformed::Upgrade));
    }
    let target = origin_form(&parts.uri, rules)?;
    let sifted = headers::sift(&mut parts.headers, version, connection.peer, rules)
        .map_err(Rejection::Malformed)?;
    let authority = Authority::agree(
        parts.uri.authority(),
        (sifted.host.as_ref(), sifted.hosts),
        version,
        &rules.default_authority,
    )
    .map_err(Rejection::Malformed)?;
    let path = match rules.paths {
        PathReading::Judged => CanonicalPath::parse(target),
        PathReading::AsWritten => CanonicalPath::as_written(target),
    };
    Ok(Head {
        path: path?,
        method: std::mem::take(&mut parts.method),
        version,
        authority,
        headers: std::mem::take(&mut parts.headers),
        client: sifted.client,
        trusted_peer: sifted.trusted_peer,
        upgrade: sifted.upgrade,
        te_trailers: sifted.te_trailers,
        expects_continue: sifted.expects_continue,
        content_length: sifted.content_length,
        chunked: sifted.chunked,
        body_follows: sifted.chunked || sifted.content_length.is_some_and(|length| length > 0),
        absolute_form: version != Version::HTTP_2 && parts.uri.authority().is_some(),
        authorization_is_hop: sifted.authorization_is_hop,
        proof: sifted.proof,
        connection: Arc::clone(connection),
    })
}

fn known_version(version: Version) -> Result<Version, Rejection> {
    match version {
        Version::HTTP_10 | Version::HTTP_11 | Version::HTTP_2 => Ok(version),
        _ => Err(Rejection::Malformed(Malformed::Version)),
    }
}

/// Path and query of an origin-form target, or of an absolute one whose scheme is HTTP's. Without a scheme an authority
/// means authority-form, which is what `GET admin` and `GET evil:80` are taken for.
fn origin_form(uri: &Uri, rules: &RequestRules) -> Result<PathAndQuery, Rejection> {
    let known_scheme = match uri.scheme_str() {
        Some(scheme) => matches!(scheme, "http" | "https"),
        None => uri.authority().is_none(),
    };
    let target = uri
        .path_and_query()
        .filter(|_| known_scheme)
        .ok_or(Rejection::Malformed(Malformed::Target))?;
    if target.as_str().len() > rules.target_bytes {
        return Err(Rejection::Malformed(Malformed::TargetTooLong));
    }
    Ok(target.clone())
}

/// What is known about a request when its way ends; the decision record is made of it.
#[derive(Debug, Default)]
pub struct Facts {
    /// Absent when the message was malformed.
    pub head: Option<Box<Head>>,
    /// Method and target as they came, of a request that was refused before it was canonical. For the record only.
    pub as_read: Option<(Method, Uri)>,
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
    /// Refuses what did not become a canonical request: a malformed head, or no room for another request.
    pub(crate) fn before_reading(rejection: Rejection, sealed: B) -> Box<Self> {
        Box::new(Self {
            rejection,
            facts: Facts::default(),
            sealed,
        })
    }

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
