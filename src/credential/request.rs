//! One token request: the form, who we are, and where it goes (RFC 6749 section 4.4, RFC 7523, RFC 8705, RFC 8707, RFC 9449).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::{AUTHORIZATION, HeaderMap};
use zeroize::Zeroizing;

use super::answer::{self, Granted, Kind};
use super::assertion;
use super::error::Failure;
use super::proof::{self, About, DPOP, ProofKey};
use super::{ClientAuthentication, CredentialSettings, TokenEndpoint, TokenError};
use crate::clock::Clock;
use crate::config::Secret;
use crate::fetch::{Conditions, Discovery, FetchError, Fetcher, ResourceDiscovery};

/// RFC 7523 section 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What is remembered between attempts.
#[derive(Debug, Default)]
pub(super) struct Way {
    fetcher: Fetcher,
    discovery: Discovery,
    resource: ResourceDiscovery,
    /// A token endpoint, and what it wants to see repeated in proofs (RFC 9449 section 8). Another one is not told.
    nonce: Option<(String, String)>,
}

/// Where a token request goes, and what it asks for.
struct Request {
    url: String,
    /// The issuer, where it is known.
    issuer: Option<String>,
    scopes: Vec<String>,
    resources: Vec<String>,
}

impl Way {
    /// Asks for a token, once, within the time that the settings allow; bound to the key of `proof`, if there is one.
    pub(super) async fn ask(
        &mut self,
        settings: &CredentialSettings,
        proof: Option<&ProofKey>,
        clock: &Clock,
    ) -> Result<Granted, Failure> {
        let deadline = clock.tick().plus(settings.timeout);
        let outcome = tokio::select! {
            biased;
            outcome = self.attempt(settings, proof, clock) => outcome,
            () = clock.sleep_until(deadline) => Err(FetchError::Timeout.into()),
        };
        if outcome.is_err() {
            self.forget();
        }
        outcome
    }

    /// After a failure, or when settings changed: certificates are read anew, and endpoints may have moved.
    pub(super) fn forget(&mut self) {
        self.fetcher.reset();
        self.discovery.forget();
        self.resource.forget();
    }

    async fn attempt(
        &mut self,
        settings: &CredentialSettings,
        proof: Option<&ProofKey>,
        clock: &Clock,
    ) -> Result<Granted, Failure> {
        let request = self.locate(settings, clock).await?;
        let known = self.nonce.clone();
        match self.send(&request, settings, proof, clock).await {
            // A server that wants a nonce gives one with its refusal; nothing was granted, so nothing is asked twice.
            Err(Failure {
                error:
                    TokenError::Refused {
                        error: "use_dpop_nonce",
                        ..
                    },
                ..
            }) if proof.is_some() && self.nonce.is_some() && self.nonce != known => {
                self.send(&request, settings, proof, clock).await
            }
            outcome => outcome,
        }
    }

    async fn send(
        &mut self,
        request: &Request,
        settings: &CredentialSettings,
        proof: Option<&ProofKey>,
        clock: &Clock,
    ) -> Result<Granted, Failure> {
        // RFC 9700: the issuer, where it is known.
        let audience = request.issuer.as_ref().unwrap_or(&request.url);
        let id = settings.client_id.as_deref();
        let shown = show(&settings.authentication, id, audience, clock).await?;
        let mut form = Form::default();
        form.add("grant_type", "client_credentials");
        shown.add_to(&mut form);
        if !request.scopes.is_empty() {
            form.add("scope", &request.scopes.join(" "));
        }
        if let Some(audience) = &settings.audience {
            form.add("audience", audience);
        }
        for resource in &request.resources {
            form.add("resource", resource);
        }
        let mut headers = HeaderMap::new();
        if let Some(basic) = shown.basic() {
            headers.insert(AUTHORIZATION, basic?);
        }
        if let Some(key) = proof {
            let about = About {
                method: "POST",
                url: without_query(&request.url),
                nonce: self.nonce_of(&request.url),
                token: None,
            };
            let value = key.prove(&about, clock.now().unix);
            headers.insert(DPOP, value.ok_or(TokenError::Internal)?);
        }
        let fetched = self
            .fetcher
            .post(&request.url, form.take(), headers, &settings.conditions())
            .await?;
        if let Some(nonce) = proof::nonce(&fetched.headers) {
            self.nonce = Some((request.url.clone(), nonce.to_owned()));
        }
        let secrets = shown.secrets();
        let secrets: Vec<&[u8]> = secrets.iter().map(|secret| secret.as_bytes()).collect();
        let kind = match proof {
            Some(_) => Kind::Bound,
            None => Kind::Bearer,
        };
        answer::read(&fetched, kind, &secrets, clock.now().unix)
    }

    fn nonce_of(&self, endpoint: &str) -> Option<&str> {
        let (of, nonce) = self.nonce.as_ref()?;
        (of == endpoint).then_some(nonce)
    }

    async fn locate(
        &mut self,
        settings: &CredentialSettings,
        clock: &Clock,
    ) -> Result<Request, FetchError> {
        let mut request = Request {
            url: String::new(),
            issuer: None,
            scopes: settings.scopes.clone(),
            resources: settings.resources.clone(),
        };
        let issuer = match &settings.endpoint {
            TokenEndpoint::Url(url) => {
                request.url.clone_from(url);
                return Ok(request);
            }
            TokenEndpoint::Discover { issuer } => issuer.clone(),
            TokenEndpoint::Pair { resource, issuers } => {
                let issuer = self.pair(resource, issuers, settings, &mut request, clock);
                issuer.await?
            }
        };
        let metadata = self
            .discovery
            .ask(
                &issuer,
                &mut self.fetcher,
                &settings.conditions(),
                clock.tick(),
            )
            .await?;
        // RFC 8705 section 5: where a certificate is shown may be another place.
        let for_certificates = metadata
            .mtls_endpoint_aliases
            .and_then(|aliases| aliases.token_endpoint)
            .filter(|_| settings.certificate().is_some());
        request.url = for_certificates
            .or(metadata.token_endpoint)
            .ok_or(FetchError::Discovery("no `token_endpoint`"))?;
        request.issuer = Some(issuer);
        Ok(request)
    }

    /// Asks the resource where tokens for it come from. Only an issuer that the operator listed is believed: a resource
    /// that names another one would learn our secret, or have our name used there.
    async fn pair(
        &mut self,
        resource: &str,
        issuers: &[String],
        settings: &CredentialSettings,
        request: &mut Request,
        clock: &Clock,
    ) -> Result<String, FetchError> {
        let conditions = Conditions {
            // Who we are is nothing that the resource needs to know here.
            certificate: None,
            ..settings.conditions()
        };
        let metadata = self
            .resource
            .ask(resource, &mut Fetcher::default(), &conditions, clock.tick())
            .await?;
        let issuer = metadata
            .authorization_servers
            .iter()
            .find(|named| issuers.contains(named))
            .ok_or(FetchError::Discovery(
                "the resource names none of `issuers` as its authorization server",
            ))?;
        if metadata.dpop_bound_access_tokens_required && settings.dpop.is_none() {
            return Err(FetchError::Discovery(
                "the resource takes tokens with DPoP only: write `dpop: {}`",
            ));
        }
        if request.scopes.is_empty() {
            request.scopes = metadata.scopes_supported;
        }
        if request.resources.is_empty() {
            request.resources = vec![resource.to_owned()];
        }
        Ok(issuer.clone())
    }
}

/// `htu` has neither query nor fragment (RFC 9449 section 4.2).
fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

/// What shows who we are in one request.
pub(crate) enum Shown {
    Basic {
        id: String,
        secret: Zeroizing<String>,
    },
    Post {
        id: String,
        secret: Zeroizing<String>,
    },
    Assertion {
        id: Option<String>,
        assertion: Zeroizing<String>,
    },
    Certificate {
        id: String,
    },
}

/// Shows that we are the client `id` by `authentication`; an assertion is for `audience` unless its settings say otherwise.
pub(crate) async fn show(
    authentication: &ClientAuthentication,
    client_id: Option<&str>,
    audience: &str,
    clock: &Clock,
) -> Result<Shown, TokenError> {
    let id = client_id.unwrap_or_default().to_owned();
    Ok(match authentication {
        ClientAuthentication::SecretBasic(secret) => Shown::Basic {
            id,
            secret: secret.text(),
        },
        ClientAuthentication::SecretPost(secret) => Shown::Post {
            id,
            secret: secret.text(),
        },
        ClientAuthentication::PrivateKey {
            key,
            kid,
            audience: own,
        } => {
            let audience = own.as_deref().unwrap_or(audience);
            let now = clock.now().unix;
            let assertion = assertion::make(key, kid.as_deref(), &id, audience, now)?;
            Shown::Assertion {
                id: Some(id),
                assertion,
            }
        }
        ClientAuthentication::AssertionFile(path) => {
            let path = path.clone();
            let read = tokio::task::spawn_blocking(move || assertion::read(&path)).await;
            Shown::Assertion {
                id: client_id.map(str::to_owned),
                assertion: read.map_err(|_| TokenError::Internal)??,
            }
        }
        ClientAuthentication::Certificate { .. } => Shown::Certificate { id },
    })
}

impl Shown {
    pub(crate) fn add_to(&self, form: &mut Form) {
        match self {
            // Two ways of authenticating in one request are refused (RFC 6749 section 2.3).
            Self::Basic { .. } => {}
            Self::Post { id, secret } => {
                form.add("client_id", id);
                form.add("client_secret", secret);
            }
            Self::Assertion { id, assertion } => {
                if let Some(id) = id {
                    form.add("client_id", id);
                }
                form.add("client_assertion_type", ASSERTION_TYPE);
                form.add("client_assertion", assertion);
            }
            Self::Certificate { id } => form.add("client_id", id),
        }
    }

    /// The value of `Authorization`, where it goes there.
    pub(crate) fn basic(&self) -> Option<Result<HeaderValue, TokenError>> {
        let Self::Basic { id, secret } = self else {
            return None;
        };
        let value = Zeroizing::new(format!("Basic {}", *credentials(id, secret)));
        let value = HeaderValue::from_str(&value).map(|mut value| {
            value.set_sensitive(true);
            value
        });
        Some(value.map_err(|_| TokenError::Internal))
    }

    /// What nobody may repeat, in the forms that it is sent in.
    fn secrets(&self) -> Vec<Zeroizing<String>> {
        match self {
            Self::Basic { id, secret } => {
                vec![secret.clone(), encoded(secret), credentials(id, secret)]
            }
            Self::Post { secret, .. } => vec![secret.clone(), encoded(secret)],
            Self::Assertion { assertion, .. } => vec![assertion.clone()],
            Self::Certificate { .. } => Vec::new(),
        }
    }
}

/// RFC 6749 section 2.3.1: both are form-encoded first, so that either may hold a colon.
fn credentials(id: &str, secret: &str) -> Zeroizing<String> {
    let mut pair = encoded(id);
    pair.push(':');
    encode(secret, &mut pair);
    Zeroizing::new(STANDARD.encode(pair.as_bytes()))
}

fn encoded(text: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::default();
    encode(text, &mut out);
    out
}

/// `application/x-www-form-urlencoded`.
#[derive(Default)]
pub(crate) struct Form(Zeroizing<String>);

impl Form {
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        encode(name, &mut self.0);
        self.0.push('=');
        encode(value, &mut self.0);
    }

    pub(crate) fn take(mut self) -> String {
        std::mem::take(&mut self.0)
    }
}

/// The serializer of the URL standard, section 5.2: letters, digits and `*-._` stay, a space is `+`, the rest is escaped.
fn encode(text: &str, out: &mut String) {
    const HEX: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    let digit = |nibble: u8| HEX.get(usize::from(nibble & 0xf)).copied().unwrap_or('0');
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'*' | b'-' | b'.' | b'_' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => out.extend(['%', digit(byte >> 4), digit(byte)]),
        }
    }
}

impl ClientAuthentication {
    /// The certificate that is shown, with its key.
    pub(crate) const fn certificate(&self) -> Option<(&Secret, &Secret)> {
        match self {
            Self::Certificate { certificate, key } => Some((certificate, key)),
            _ => None,
        }
    }
}

impl CredentialSettings {
    const fn certificate(&self) -> Option<(&Secret, &Secret)> {
        self.authentication.certificate()
    }

    fn conditions(&self) -> Conditions<'_> {
        Conditions {
            ca: self.ca.as_ref(),
            allow_http: self.allow_http,
            certificate: self.certificate(),
        }
    }
}

#[cfg(test)]
mod tests;
