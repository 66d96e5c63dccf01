//! A case as the request that a listener would get.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};

use super::Listener;
use super::stand_in::Sent;
use crate::case::{Case, Protocol, SOME_HOST, Source};
use crate::listener::judge_head;
use crate::rejection::Malformed;

/// A case that does not fit its configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// No such listener.
    #[error("there is no listener called `{name}`; one of: {known}")]
    UnknownListener {
        /// As the case has it.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// No such issuer.
    #[error("there is no issuer called `{name}`; one of: {known}")]
    UnknownIssuer {
        /// As the case has it.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// The token that stands for the claims cannot be made.
    #[error("the claims cannot be signed: {0}")]
    Signing(&'static str),
    /// A second token, and no route that would take it.
    #[error("no route takes a second token (`actor_token`), so there is no header for `actor`")]
    NoActorHeader,
}

/// What is sent: a request line and fields, in the order in which a client would write them.
pub(super) struct Asked<'a> {
    case: &'a Case,
    listener: &'a Listener,
    fields: Vec<(String, String)>,
}

impl<'a> Asked<'a> {
    pub(super) fn of(case: &'a Case, sent: &Sent, listener: &'a Listener) -> Self {
        let request = &case.request;
        let given = |name: &str| {
            request
                .headers
                .iter()
                .any(|(own, _)| own.eq_ignore_ascii_case(name))
        };
        let mut fields = Vec::new();
        let mut add = |name: &str, value: &str| fields.push((name.to_owned(), value.to_owned()));
        match (&request.host, request.protocol) {
            (Some(host), _) => add("host", host),
            (None, Protocol::Http11 | Protocol::Http2) if !given("host") => add("host", SOME_HOST),
            (None, _) => {}
        }
        if let Some(token) = &sent.token {
            let source = case.token.as_ref().map(|token| token.source);
            let (name, value) = carried(token, source.unwrap_or_default());
            add(name, &value);
        }
        for proof in &sent.proofs {
            add("dpop", proof);
        }
        if let (Some(token), Some(header)) = (&sent.actor, &sent.actor_header) {
            add(header.as_str(), token);
        }
        if let Some(length) = request.body {
            add("content-length", &length.to_string());
        }
        fields.extend(request.headers.iter().cloned());
        Self {
            case,
            listener,
            fields,
        }
    }

    /// What the HTTP library would give, and the length of the body.
    ///
    /// # Errors
    /// How it fails HTTP.
    pub(super) fn parts(&self) -> Result<(Parts, u64), Malformed> {
        let request = &self.case.request;
        if request.protocol != Protocol::Http2 {
            judge_head(&self.head(), &self.listener.settings.limits)?;
        }
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.method =
            Method::from_bytes(request.method.as_bytes()).map_err(|_| Malformed::Syntax)?;
        parts.version = match request.protocol {
            Protocol::Http10 => Version::HTTP_10,
            Protocol::Http11 => Version::HTTP_11,
            Protocol::Http2 => Version::HTTP_2,
        };
        let (uri, headers) = match request.protocol {
            Protocol::Http10 | Protocol::Http11 => {
                let target = request.target.as_str();
                (
                    Uri::try_from(target).map_err(|_| Malformed::Target)?,
                    self.headers(|_| true)?,
                )
            }
            Protocol::Http2 => (self.http2_uri()?, self.headers(|name| name != "host")?),
        };
        parts.uri = uri;
        parts.headers = headers;
        Ok((parts, request.body.unwrap_or(0)))
    }

    /// The bytes of the head, HTTP/1.
    fn head(&self) -> Vec<u8> {
        let request = &self.case.request;
        let mut head = format!(
            "{} {} {}\r\n",
            request.method,
            request.target,
            request.protocol.as_str()
        );
        for (name, value) in &self.fields {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    fn headers(&self, wanted: impl Fn(&str) -> bool) -> Result<HeaderMap, Malformed> {
        let mut headers = HeaderMap::new();
        let fields = self.fields.iter();
        for (name, value) in fields.filter(|(name, _)| wanted(&name.to_ascii_lowercase())) {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Malformed::Syntax)?;
            let value = value.trim_matches([' ', '\t']);
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| Malformed::Syntax)?;
            headers.append(name, value);
        }
        Ok(headers)
    }

    /// `:scheme`, `:authority` and `:path` (RFC 9113 section 8.3.1).
    fn http2_uri(&self) -> Result<Uri, Malformed> {
        let host = self.fields.iter().find(|(name, _)| name == "host");
        let tls = self.listener.settings.tls.is_some();
        Uri::builder()
            .scheme(if tls { "https" } else { "http" })
            .authority(host.map_or("", |(_, host)| host.as_str()))
            .path_and_query(self.case.request.target.as_str())
            .build()
            .map_err(|_| Malformed::Target)
    }
}

/// Where a token stands.
fn carried(token: &str, source: Source) -> (&'static str, String) {
    match source {
        Source::Bearer => ("authorization", format!("Bearer {token}")),
        Source::Dpop => ("authorization", format!("DPoP {token}")),
        Source::BasicPassword => (
            "authorization",
            format!("Basic {}", STANDARD.encode(format!("x:{token}"))),
        ),
        Source::WebSocketProtocol => (
            "sec-websocket-protocol",
            format!(
                "base64url.bearer.authorization.k8s.io.{}",
                URL_SAFE_NO_PAD.encode(token)
            ),
        ),
    }
}
