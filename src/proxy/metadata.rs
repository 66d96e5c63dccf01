//! Protected-resource metadata (RFC 9728): where a client that was refused learns whose tokens are taken here.
//!
//! We answer these paths ourselves, before policy and without a look at any token: a client asks before it has one.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, Uri};
use serde_json::{Value, json};

use super::answer::{quoted, request_id};
use super::{Cors, is_preflight};
use crate::authn::Algorithm;
use crate::authz::Condition;
use crate::config::Config;
use crate::listener::ListenerSettings;
use crate::rejection::{Malformed, Rejection};
use crate::request::{CanonicalPath, Head};

#[cfg(test)]
mod tests;

/// Where metadata of an origin is (RFC 9728 section 3).
pub(crate) const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// What the paths of metadata can be used for.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD");

/// `resource_metadata` of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceMetadataSettings {
    /// The resource identifier: an absolute URL without query and fragment.
    pub resource: String,
    /// Whether the scopes that policy speaks of are told.
    pub scopes_supported: bool,
    /// A name for people.
    pub resource_name: Option<String>,
    /// A page for developers.
    pub resource_documentation: Option<String>,
}

impl ResourceMetadataSettings {
    /// The paths that are answered: that of the origin, and that of the resource (RFC 9728 section 3.1), which are the same
    /// for a resource without a path.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = vec![WELL_KNOWN.to_owned()];
        let own = self.path();
        if !own.is_empty() {
            paths.push(format!("{WELL_KNOWN}{own}"));
        }
        paths
    }

    /// The resource's path; nothing for `/`: a slash behind the host goes before the well-known path comes in.
    fn path(&self) -> &str {
        let rest = self.resource.get(self.origin().len()..).unwrap_or_default();
        if rest == "/" { "" } else { rest }
    }

    /// Scheme and authority, as written.
    pub(crate) fn origin(&self) -> &str {
        let authority = self.resource.find("://").map_or(0, |at| at + 3);
        let path = self
            .resource
            .get(authority..)
            .and_then(|rest| rest.find('/'));
        match path {
            Some(at) => self.resource.get(..authority + at).unwrap_or_default(),
            None => &self.resource,
        }
    }
}

/// Metadata of a listener, ready to be served.
#[derive(Debug)]
pub struct ResourceMetadata {
    paths: Vec<CanonicalPath>,
    document: Bytes,
    /// The parameter of challenges, with the comma before it.
    parameter: String,
}

impl ResourceMetadata {
    /// Prepares what is served for `listener`.
    ///
    /// # Errors
    /// The resource's path cannot stand in a request; the configuration has made sure that it can.
    pub(crate) fn compile(
        settings: &ResourceMetadataSettings,
        listener: &ListenerSettings,
        config: &Config,
    ) -> Result<Self, String> {
        let canonical = |path: &String| {
            let target = path.parse::<Uri>().ok()?.path_and_query().cloned()?;
            CanonicalPath::parse(target).ok()
        };
        let paths: Option<Vec<_>> = settings.paths().iter().map(canonical).collect();
        let url = format!("{}{WELL_KNOWN}{}", settings.origin(), settings.path());
        Ok(Self {
            paths: paths.ok_or("resource_metadata: no path")?,
            document: document(settings, listener, config).to_string().into(),
            parameter: format!(", resource_metadata={}", quoted(&url)),
        })
    }

    /// Whether this path is ours to answer. As in policy, spellings that decode alike are one path.
    pub(crate) fn is_at(&self, path: &CanonicalPath) -> bool {
        self.paths.iter().any(|own| {
            own.trailing_slash() == path.trailing_slash() && own.segments().eq(path.segments())
        })
    }

    /// What challenges say, with the comma before it.
    pub(crate) fn parameter(&self) -> String {
        self.parameter.clone()
    }

    /// The answer to a request for one of the paths.
    ///
    /// # Errors
    /// A method, a body or an upgrade that has nothing to do here.
    pub(crate) fn answer(
        &self,
        head: &Head,
        cors: Option<&Cors>,
        id: &str,
    ) -> Result<Response<Bytes>, Rejection> {
        let origin = head.headers().get(http::header::ORIGIN);
        if head.body_follows {
            return Err(Rejection::Malformed(Malformed::BodyTooLarge));
        }
        if head.upgrade().is_some() {
            return Err(Rejection::Malformed(Malformed::Upgrade));
        }
        let with_body = match *head.method() {
            Method::GET => true,
            Method::HEAD => false,
            _ => {
                return match cors.filter(|_| is_preflight(head.method(), head.headers())) {
                    Some(cors) => Ok(cors.answer_preflight(&METHODS, origin, id)),
                    None => Err(Rejection::MethodNotAllowed {
                        allow: "GET, HEAD".into(),
                    }),
                };
            }
        };
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(self.document.len()));
        // Nobody's secret, and the same for everybody; a changed configuration should be seen soon.
        headers.insert(
            CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=300"),
        );
        request_id(headers, id);
        if let Some(cors) = cors {
            cors.decorate(headers, origin);
        }
        if with_body {
            *response.body_mut() = self.document.clone();
        }
        Ok(response)
    }
}

/// RFC 9728 section 2.
fn document(
    settings: &ResourceMetadataSettings,
    listener: &ListenerSettings,
    config: &Config,
) -> Value {
    let dpop = Dpop::of(listener, config);
    let mut document = json!({
        "resource": settings.resource,
        "bearer_methods_supported": if dpop.required { json!([]) } else { json!(["header"]) },
    });
    let mut say = |name: &str, value: Value| {
        if let Some(members) = document.as_object_mut() {
            members.insert(name.to_owned(), value);
        }
    };
    let servers = authorization_servers(listener, config);
    if !servers.is_empty() {
        say("authorization_servers", json!(servers));
    }
    let scopes = scopes(listener, config);
    if settings.scopes_supported && !scopes.is_empty() {
        say("scopes_supported", json!(scopes));
    }
    if listener
        .tls
        .as_ref()
        .is_some_and(|tls| tls.client_ca.is_some())
    {
        say("tls_client_certificate_bound_access_tokens", json!(true));
    }
    if !dpop.algorithms.is_empty() {
        say("dpop_signing_alg_values_supported", json!(dpop.algorithms));
        say("dpop_bound_access_tokens_required", json!(dpop.required));
    }
    if let Some(name) = &settings.resource_name {
        say("resource_name", json!(name));
    }
    if let Some(page) = &settings.resource_documentation {
        say("resource_documentation", json!(page));
    }
    document
}

/// What the issuers of a listener's routes say of proofs (RFC 9449).
#[derive(Debug)]
pub(super) struct Dpop {
    /// Those that any of them takes; empty: none takes proofs.
    pub(super) algorithms: Vec<&'static str>,
    /// All of them want proofs.
    pub(super) required: bool,
}

impl Dpop {
    pub(super) fn of(listener: &ListenerSettings, config: &Config) -> Self {
        let used = config.policy.issuers_of(&listener.name);
        let settings: Vec<_> = config
            .issuers
            .iter()
            .filter(|(issuer, _)| used.contains(&*issuer.name))
            .map(|(issuer, _)| issuer.dpop.as_ref())
            .collect();
        let algorithms = Algorithm::ALL.into_iter().filter(|algorithm| {
            let mut all = settings.iter().flatten();
            all.any(|dpop| dpop.algorithms.contains(algorithm))
        });
        Self {
            algorithms: algorithms.map(Algorithm::name).collect(),
            required: !settings.is_empty()
                && settings
                    .iter()
                    .all(|dpop| dpop.is_some_and(|dpop| dpop.required)),
        }
    }
}

/// Issuers of the listener's routes that a client could ask for a token. ServiceAccounts get theirs from the kubelet.
fn authorization_servers<'a>(listener: &ListenerSettings, config: &'a Config) -> Vec<&'a str> {
    let used = config.policy.issuers_of(&listener.name);
    config
        .issuers
        .iter()
        .map(|(settings, _)| settings)
        .filter(|issuer| !issuer.kubernetes && used.contains(&*issuer.name))
        .flat_map(|issuer| &issuer.issuers)
        .filter(|iss| iss.starts_with("https://") || iss.starts_with("http://"))
        .map(String::as_str)
        .collect()
}

/// What conditions of the listener's routes ask for.
fn scopes<'a>(listener: &ListenerSettings, config: &'a Config) -> BTreeSet<&'a str> {
    config
        .policy
        .alternatives_of(&listener.name)
        .flat_map(|alternative| &alternative.conditions)
        .filter_map(|condition| match condition {
            Condition::Scopes(scopes) | Condition::AnyScope(scopes) => Some(scopes),
            _ => None,
        })
        .flatten()
        .map(|scope| &**scope)
        .collect()
}
