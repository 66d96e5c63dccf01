//! Listeners: bind, accept, TLS, limits and deadlines.

mod bind;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod guard;
mod serve;
mod sources;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use bind::{Accepted, Detached, Listening};
pub use bind::{Bound, tcp as bind_tcp};
pub(crate) use guard::{GuardHandle, Overdue, Preface, judge_head, judge_target};
pub(crate) use serve::serve;
pub(crate) use sources::Sources;
pub use tls::{TlsError, server_config};

use crate::authz::Reach;
use crate::config::Secret;
use crate::proxy::{AnswersName, CorsSettings, ResourceMetadataSettings};
use crate::request::Connection;
use crate::upstream::UpstreamSettings;

/// Where a listener binds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// `host:port`.
    Tcp(SocketAddr),
    /// `unix:/path`.
    Unix(PathBuf),
}

/// A listener: where callers come in.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// `inbound` or `outbound` for a single one.
    pub name: Arc<str>,
    /// Where it binds; a change needs a restart.
    pub listen: ListenAddress,
    /// Where it forwards.
    pub upstream: UpstreamSettings,
    /// Whether the proxy is not ready while the upstream listens on more than loopback.
    pub unready_while_exposed: bool,
    /// Networks whose `X-Forwarded-*` is believed.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Default answer template of its routes.
    pub answers: Option<AnswersName>,
    /// CORS on our own answers.
    pub cors: Option<CorsSettings>,
    /// Origins that callers know it by; empty: that of the resource, if it has one.
    pub external_urls: Vec<String>,
    /// What the listener tells of itself (RFC 9728); `None`: its paths are policy's.
    pub resource_metadata: Option<ResourceMetadataSettings>,
    /// Whom answers tell why they are what they are. Not for callers in earnest.
    pub explain: Explain,
    /// TLS towards callers.
    pub tls: Option<TlsSettings>,
    /// Sizes and counts.
    pub limits: Limits,
    /// Deadlines.
    pub timeouts: Timeouts,
    /// Set where it attaches a credential's token instead of authenticating its callers.
    pub outbound: Option<OutboundSettings>,
}

/// What makes a listener an outbound one.
#[derive(Clone, Debug)]
pub struct OutboundSettings {
    /// The name of the credential whose token is attached.
    pub credential: Arc<str>,
    /// Who may call, and what of the upstream is within reach.
    pub reach: Arc<Reach>,
    /// Whether absolute redirects of the upstream to itself lead back to the listener.
    pub rewrite_location: bool,
    /// Most bytes of a request body that are kept to send it again after a 401; 0: only requests without one are.
    pub replay_body: usize,
}

/// Whom answers of a listener tell why they are what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Explain {
    /// Nobody.
    #[default]
    Never,
    /// Whoever connects on this machine.
    Near,
    /// Whoever connects.
    Anywhere,
}

impl Explain {
    /// Whether the other end of this connection is told. The peer decides, not the address that is configured: that of a
    /// socket which is open stays what it was when a reload changes it.
    #[must_use]
    pub const fn to(self, connection: &Connection) -> bool {
        match self {
            Self::Never => false,
            Self::Near => connection.unix || connection.peer.to_canonical().is_loopback(),
            Self::Anywhere => true,
        }
    }
}

impl ListenerSettings {
    /// URLs that begin with the origins which callers know it by: the URLs of their proofs do.
    pub(crate) fn origins(&self) -> impl Iterator<Item = &str> {
        let resource = self
            .resource_metadata
            .as_ref()
            .filter(|_| self.external_urls.is_empty());
        self.external_urls
            .iter()
            .map(String::as_str)
            .chain(resource.map(|metadata| &*metadata.resource))
    }
}

/// TLS towards callers; files are watched and reloaded.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// PEM chain, leaf first.
    pub certificate: Secret,
    /// PEM private key.
    pub key: Secret,
    /// PEM CA certificates that client certificates must chain to; `None`: not asked for.
    pub client_ca: Option<Secret>,
    /// Whether a client without a certificate is refused at the handshake.
    pub client_certificate_required: bool,
}

/// Sizes and counts; defaults are those of DESIGN (documented in `docs/configuration.md`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of a request head.
    pub header_bytes: usize,
    /// Most header fields.
    pub headers: usize,
    /// Most bytes of a request target.
    pub target_bytes: usize,
    /// Most bytes of a token.
    pub token_bytes: usize,
    /// Most connections, all workers together.
    pub connections: usize,
    /// Most connections from one peer address; `None`: no such cap.
    pub connections_per_address: Option<usize>,
    /// Most requests in flight, all workers together.
    pub requests_in_flight: usize,
    /// Most bytes of a request body; `None`: no cap.
    pub body_bytes: Option<u64>,
    /// HTTP/2: most concurrent streams of one connection.
    pub streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 32 * 1024,
            headers: 100,
            target_bytes: 8 * 1024,
            token_bytes: 16 * 1024,
            connections: 4096,
            connections_per_address: None,
            requests_in_flight: 4096,
            body_bytes: None,
            streams: 100,
        }
    }
}

/// Deadlines; `None` means none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first byte of a head to its end; also a TLS handshake and the first byte on a fresh connection.
    pub header: Duration,
    /// An idle connection between requests.
    pub idle_connection: Duration,
    /// A request body that brings nothing before the response began.
    pub request_body_idle: Duration,
    /// A reader that takes nothing although bytes wait for it.
    pub stalled_reader: Duration,
    /// Connecting to the upstream, TLS included.
    pub upstream_connect: Duration,
    /// From the forwarded request's end to the response head.
    pub upstream_response: Option<Duration>,
    /// Idle upstream connections are dropped after this.
    pub upstream_idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            idle_connection: Duration::from_secs(60),
            request_body_idle: Duration::from_secs(30),
            stalled_reader: Duration::from_secs(60),
            upstream_connect: Duration::from_secs(2),
            upstream_response: None,
            upstream_idle: Duration::from_secs(4),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reload may say another address than that of the socket that is open: the peer is what counts.
    #[test]
    fn a_listener_explains_to_nobody_farther_than_it_says() {
        let connection = |peer: &str, unix| Connection {
            listener: "in".into(),
            peer: peer.parse().unwrap(),
            tls: false,
            unix,
            client_certificate: None,
        };
        for (peer, unix, near) in [
            ("127.0.0.1", false, true),
            ("127.8.9.1", false, true),
            ("::1", false, true),
            ("::ffff:127.0.0.1", false, true),
            ("127.0.0.1", true, true),
            ("10.9.8.7", false, false),
            ("::ffff:10.9.8.7", false, false),
            ("fd00::7", false, false),
        ] {
            let connection = connection(peer, unix);
            assert_eq!(Explain::Near.to(&connection), near, "{peer}");
            assert!(Explain::Anywhere.to(&connection), "{peer}");
            assert!(!Explain::Never.to(&connection), "{peer}");
        }
    }
}
