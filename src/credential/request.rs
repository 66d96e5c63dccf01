//! One token request: the form, who we are, and where it goes (RFC 6749 section 4.4, RFC 7523, RFC 8705, RFC 8707).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::{AUTHORIZATION, HeaderMap};
use zeroize::Zeroizing;

use super::answer::{self, Granted};
use super::assertion;
use super::error::Failure;
use super::{ClientAuthentication, CredentialSettings, TokenEndpoint, TokenError};
use crate::clock::Clock;
use crate::fetch::{Conditions, Discovery, FetchError, Fetcher};

/// RFC 7523 section 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What is remembered between attempts.
#[derive(Debug, Default)]
pub(super) struct Way {
    fetcher: Fetcher,
    discovery: Discovery,
}

impl Way {
    /// Asks for a token, once, within the time that the settings allow.
    pub(super) async fn ask(
        &mut self,
        settings: &CredentialSettings,
        clock: &Clock,
    ) -> Result<Granted, Failure> {
        let deadline = clock.tick().plus(settings.timeout);
        let outcome = tokio::select! {
            biased;
            outcome = self.attempt(settings, clock) => outcome,
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
    }

    async fn attempt(
        &mut self,
        settings: &CredentialSettings,
        clock: &Clock,
    ) -> Result<Granted, Failure> {
        let url = self.locate(settings, clock).await?;
        let shown = show(settings, &url, clock).await?;
        let mut form = Form::default();
        form.add("grant_type", "client_credentials");
        shown.add_to(&mut form);
        if !settings.scopes.is_empty() {
            form.add("scope", &settings.scopes.join(" "));
        }
        if let Some(audience) = &settings.audience {
            form.add("audience", audience);
        }
        for resource in &settings.resources {
            form.add("resource", resource);
        }
        let mut headers = HeaderMap::new();
        if let Some(basic) = shown.basic() {
            headers.insert(AUTHORIZATION, basic?);
        }
        let fetched = self
            .fetcher
            .post(&url, form.take(), headers, &settings.conditions())
            .await?;
        let secret = shown.secret();
        answer::read(&fetched, &[secret.as_bytes()], clock.now().unix)
    }

    async fn locate(
        &mut self,
        settings: &CredentialSettings,
        clock: &Clock,
    ) -> Result<String, FetchError> {
        let issuer = match &settings.endpoint {
            TokenEndpoint::Url(url) => return Ok(url.clone()),
            TokenEndpoint::Discover { issuer } => issuer,
        };
        let metadata = self
            .discovery
            .ask(
                issuer,
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
        for_certificates
            .or(metadata.token_endpoint)
            .ok_or(FetchError::Discovery("no `token_endpoint`"))
    }
}

/// What shows who we are in one request.
enum Shown {
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

async fn show(
    settings: &CredentialSettings,
    url: &str,
    clock: &Clock,
) -> Result<Shown, TokenError> {
    let id = settings.client_id.clone().unwrap_or_default();
    Ok(match &settings.authentication {
        ClientAuthentication::SecretBasic(secret) => Shown::Basic {
            id,
            secret: secret.text(),
        },
        ClientAuthentication::SecretPost(secret) => Shown::Post {
            id,
            secret: secret.text(),
        },
        ClientAuthentication::PrivateKey { key, kid, audience } => {
            let audience = match (audience, &settings.endpoint) {
                (Some(audience), _) => audience,
                (None, TokenEndpoint::Discover { issuer }) => issuer,
                (None, TokenEndpoint::Url(_)) => url,
            };
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
                id: settings.client_id.clone(),
                assertion: read.map_err(|_| TokenError::Internal)??,
            }
        }
        ClientAuthentication::Certificate { .. } => Shown::Certificate { id },
    })
}

impl Shown {
    fn add_to(&self, form: &mut Form) {
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

    /// RFC 6749 section 2.3.1: both are form-encoded first, so that either may hold a colon.
    fn basic(&self) -> Option<Result<HeaderValue, TokenError>> {
        let Self::Basic { id, secret } = self else {
            return None;
        };
        let mut pair = Zeroizing::new(String::new());
        encode(id, &mut pair);
        pair.push(':');
        encode(secret, &mut pair);
        let mut value = Zeroizing::new("Basic ".to_owned());
        STANDARD.encode_string(pair.as_bytes(), &mut value);
        let value = HeaderValue::from_str(&value).map(|mut value| {
            value.set_sensitive(true);
            value
        });
        Some(value.map_err(|_| TokenError::Internal))
    }

    /// What nobody may repeat.
    fn secret(&self) -> &str {
        match self {
            Self::Basic { secret, .. } | Self::Post { secret, .. } => secret,
            Self::Assertion { assertion, .. } => assertion,
            Self::Certificate { .. } => "",
        }
    }
}

/// `application/x-www-form-urlencoded`.
#[derive(Default)]
struct Form(Zeroizing<String>);

impl Form {
    fn add(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        encode(name, &mut self.0);
        self.0.push('=');
        encode(value, &mut self.0);
    }

    fn take(mut self) -> String {
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

impl CredentialSettings {
    fn certificate(&self) -> Option<(&crate::config::Secret, &crate::config::Secret)> {
        match &self.authentication {
            ClientAuthentication::Certificate { certificate, key } => Some((certificate, key)),
            _ => None,
        }
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
