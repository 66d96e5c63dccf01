//! Cases: one request, what it brings along, and what is expected to become of it, as a YAML document.
//!
//! `explain` explains one, `test` holds a configuration to many, and `diff` prints them as witnesses. `docs/policy.md`
//! describes the format; [`schema`] is its one description in code.
//!
//! ```yaml
//! name: an agent may write
//! request: POST /agent/a1/heartbeat        # or a mapping: method, path, host, headers, peer, …
//! issuer: dls                              # completes the claims with iss, aud, iat and exp
//! claims: {azp: SmartEM_Agent}
//! expect: allowed
//! ```

mod read;
pub(crate) mod schema;
#[cfg(test)]
mod tests;
mod write;

use std::net::IpAddr;
use std::path::PathBuf;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::clock::UnixTime;
use crate::rejection::Decision;
use crate::request::ClientCertificate;

pub use read::{load, parse};
pub(crate) use write::date;

/// The members of a JSON object.
pub type Members = Map<String, Value>;

/// The peer of a request that names none: an address that is documentation's, and nobody's (RFC 5737).
pub const SOMEBODY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

/// The `Host` of a request that names none.
pub const SOME_HOST: &str = "localhost";

/// A document of cases.
#[derive(Clone, Debug, Default)]
pub struct CaseFile {
    /// The configuration that the cases are about, as the document's own directory sees it.
    pub config: Option<PathBuf>,
    /// In the order of the document.
    pub cases: Vec<Case>,
}

/// One request, what it brings along, and what is expected of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// For people.
    pub name: Option<String>,
    /// Where it stands in its document, from 1; 0 where it stands in none.
    pub line: usize,
    /// What is asked.
    pub request: Request,
    /// Who asks; `None`: no token.
    pub token: Option<Token>,
    /// The second token.
    pub actor: Option<Token>,
    /// When; `None`: now.
    pub at: Option<UnixTime>,
    /// How often it comes; the last time counts.
    pub repeat: u32,
    /// What is expected of it.
    pub expect: Option<Expect>,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// An exact token.
    pub method: String,
    /// The request target: path and query, as they would be sent.
    pub target: String,
    /// `Host`; `None`: [`SOME_HOST`].
    pub host: Option<String>,
    /// Further header fields, in their order.
    pub headers: Vec<(String, String)>,
    /// The other end of the connection; `None`: [`SOMEBODY`].
    pub peer: Option<IpAddr>,
    /// The name of the listener that it comes to; `None`: the first.
    pub listener: Option<String>,
    /// The version of HTTP.
    pub protocol: Protocol,
    /// The length of a body; `None`: there is none.
    pub body: Option<u64>,
    /// The verified client certificate.
    pub certificate: Option<ClientCertificate>,
}

impl Request {
    /// A plain request.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            host: None,
            headers: Vec::new(),
            peer: None,
            listener: None,
            protocol: Protocol::default(),
            body: None,
            certificate: None,
        }
    }
}

impl Case {
    /// A request without anything else.
    #[must_use]
    pub const fn new(request: Request) -> Self {
        Self {
            name: None,
            line: 0,
            request,
            token: None,
            actor: None,
            at: None,
            repeat: 1,
            expect: None,
        }
    }

    /// The same request with a token of these claims.
    #[must_use]
    pub fn with_claims(mut self, issuer: Option<&str>, claims: Members) -> Self {
        self.token = Some(Claimed::new(issuer, claims).into());
        self
    }

    /// What it is called: its name, or what it asks.
    #[must_use]
    pub fn title(&self) -> String {
        self.name
            .clone()
            .unwrap_or_else(|| format!("{} {}", self.request.method, self.request.target))
    }

    /// The case as a YAML document; a token itself is not in it. What [`parse`] makes of it is the same case.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        write::yaml(self)
    }
}

/// The version of HTTP that a request is sent in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
    /// HTTP/2.
    Http2,
}

impl Protocol {
    /// As records and documents write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// A token, and where it stands in the request.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it stands.
    pub source: Source,
    /// What is not usual about the proof that comes with it under [`Source::Dpop`].
    pub proof: Proof,
}

impl From<Claimed> for Token {
    fn from(claimed: Claimed) -> Self {
        Self {
            kind: TokenKind::Claims(claimed),
            source: Source::default(),
            proof: Proof::default(),
        }
    }
}

impl From<RealToken> for Token {
    fn from(token: RealToken) -> Self {
        Self {
            kind: TokenKind::Real(token),
            source: Source::default(),
            proof: Proof::default(),
        }
    }
}

/// A proof (RFC 9449) that a claimed token's holder makes: a good one, save for what stands here.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof {
    /// Claims in place of the usual ones; `null` leaves one out.
    pub claims: Members,
    /// Members of the header in place of the usual ones.
    pub header: Members,
    /// Whether its signature is one that does not verify.
    pub forged: bool,
    /// Whether it is made with another key than the token is bound to.
    pub other_key: bool,
    /// How many there are.
    pub count: u32,
}

impl Default for Proof {
    fn default() -> Self {
        Self {
            claims: Members::new(),
            header: Members::new(),
            forged: false,
            other_key: false,
            count: 1,
        }
    }
}

/// What a token is known by.
#[derive(Clone, Debug)]
pub enum TokenKind {
    /// The token itself, to be verified.
    Real(RealToken),
    /// What it would say; it is taken for signed.
    Claims(Claimed),
}

/// What a token says is compared; a token itself is not, to anything.
impl PartialEq for TokenKind {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Claims(own), Self::Claims(other)) => own == other,
            (Self::Real(_), Self::Real(_)) => true,
            (Self::Claims(_), Self::Real(_)) | (Self::Real(_), Self::Claims(_)) => false,
        }
    }
}

/// Where a token stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// `Authorization: Bearer`.
    #[default]
    Bearer,
    /// `Authorization: DPoP`; the proof is a header of the request's own.
    Dpop,
    /// The password of `Authorization: Basic`.
    BasicPassword,
    /// `Sec-WebSocket-Protocol`.
    WebSocketProtocol,
}

impl Source {
    /// All of them, with the words for them.
    pub(crate) const ALL: [(&'static str, Self); 4] = [
        ("bearer", Self::Bearer),
        ("dpop", Self::Dpop),
        ("basic_password", Self::BasicPassword),
        ("websocket_protocol", Self::WebSocketProtocol),
    ];

    pub(crate) fn word(self) -> &'static str {
        let own = Self::ALL.iter().find(|(_, source)| *source == self);
        own.map_or("bearer", |(word, _)| word)
    }
}

/// A token as it would be sent. Never shown; wiped when dropped.
#[derive(Clone)]
pub struct RealToken(Zeroizing<String>);

impl RealToken {
    /// Takes one.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// For the request that it is sent with.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for RealToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RealToken").finish_non_exhaustive()
    }
}

/// What a token says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claimed {
    /// The configured name of its issuer, which completes the claims; `None`: they are taken as they are.
    pub issuer: Option<String>,
    /// The payload.
    pub claims: Members,
    /// Members of the JOSE header, in place of those that fit the issuer.
    pub header: Members,
    /// Whether its signature is one that does not verify.
    pub forged: bool,
    /// Whether no key of its issuer can be had.
    pub keyless: bool,
}

impl Claimed {
    /// A token of these claims that is as its issuer makes them.
    #[must_use]
    pub fn new(issuer: Option<&str>, claims: Members) -> Self {
        Self {
            issuer: issuer.map(str::to_owned),
            claims,
            ..Self::default()
        }
    }
}

/// What is expected of a case; what is `None` may be anything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expect {
    /// Whether it passes.
    pub decision: Option<Decision>,
    /// The status of the answer, where it does not pass.
    pub status: Option<u16>,
    /// The reason, as the decision record has it.
    pub reason: Option<String>,
    /// What it would have been refused for, where its route only observes.
    pub observed: Option<String>,
    /// The route that owns it.
    pub route: Option<String>,
    /// The caller that it is recorded as; `Some(None)`: nobody that policy names.
    pub caller: Option<Option<String>>,
    /// Identity headers; `None` as the value: it is not sent.
    pub identity: Vec<(String, Option<String>)>,
    /// Claims of the assertion; `null`: it is not there.
    pub assertion: Members,
}
