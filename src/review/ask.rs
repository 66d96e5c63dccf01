//! One question over the network.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::HeaderValue;
use http::header::{AUTHORIZATION, HeaderMap};
use serde_json::json;
use zeroize::Zeroizing;

use super::{IntrospectionEndpoint, ReviewEndpoint, ReviewError, ReviewSettings, Roots};
use crate::authn::Review;
use crate::clock::Clock;
use crate::config::Secret;
use crate::credential::{self, ClientAuthentication, Form};
use crate::fetch::{
    Conditions, Discovery, FORM, FetchError, Fetched, Fetcher, JSON, exchange, is_loopback,
};

/// Where TokenReviews are created.
const TOKEN_REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

/// Asks one endpoint; several questions at a time.
#[derive(Debug)]
pub(super) struct Asker {
    /// Held for moments only.
    fetcher: Mutex<Fetcher>,
    /// Held while the issuer's metadata are fetched, once for all who wait for them.
    discovery: tokio::sync::Mutex<(Discovery, Fetcher)>,
}

impl Asker {
    pub(super) fn new() -> Self {
        Self {
            fetcher: Mutex::new(Fetcher::reusing()),
            discovery: tokio::sync::Mutex::default(),
        }
    }

    /// After a failure, or when settings changed: certificates are read anew, and endpoints may have moved.
    pub(super) fn forget(&self) {
        self.fetcher().reset();
        // While metadata are fetched there is nothing old about them.
        if let Ok(mut held) = self.discovery.try_lock() {
            held.0.forget();
            held.1.reset();
        }
    }

    /// What the endpoint says of `token`. The caller limits the time.
    pub(super) async fn ask(
        &self,
        settings: &ReviewSettings,
        token: &[u8],
        clock: &Clock,
    ) -> Result<Review, ReviewError> {
        // It came as text, and was looked at.
        let token = std::str::from_utf8(token).map_err(|_| ReviewError::Internal)?;
        self.question(settings, token, clock).await
    }

    async fn question(
        &self,
        settings: &ReviewSettings,
        token: &str,
        clock: &Clock,
    ) -> Result<Review, ReviewError> {
        match &settings.endpoint {
            ReviewEndpoint::TokenReview {
                server,
                token: own,
                audiences,
            } => {
                let own = own_token(own).await?;
                let url = format!("{}{TOKEN_REVIEWS}", server.trim_end_matches('/'));
                let document = json!({
                    "apiVersion": "authentication.k8s.io/v1",
                    "kind": "TokenReview",
                    "spec": {"token": token, "audiences": audiences},
                });
                let headers = authorized(&format!("Bearer {}", *own))?;
                let content = document.to_string().into_bytes();
                let fetched = self
                    .post(settings, &url, headers, JSON, content, None)
                    .await?;
                match fetched.status.as_u16() {
                    // A review is created, though nothing is kept of it.
                    200 | 201 => Ok(Review::of_token_review(json_of(&fetched)?, audiences)?),
                    other => Err(refused(other, &fetched)),
                }
            }
            ReviewEndpoint::Introspection {
                endpoint,
                issuer,
                client_id,
                authentication,
                ..
            } => {
                let url = self
                    .locate(settings, endpoint, issuer, authentication, clock)
                    .await?;
                let id = client_id.as_deref();
                let shown = credential::show(authentication, id, issuer, clock).await?;
                let mut form = Form::default();
                form.add("token", token);
                form.add("token_type_hint", "access_token");
                shown.add_to(&mut form);
                let headers = match shown.basic() {
                    Some(value) => HeaderMap::from_iter([(AUTHORIZATION, value?)]),
                    None => HeaderMap::new(),
                };
                let content = form.take().into_bytes();
                let fetched = self
                    .post(settings, &url, headers, FORM, content, Some(authentication))
                    .await?;
                match fetched.status.as_u16() {
                    200 => Ok(Review::of_introspection(json_of(&fetched)?)?),
                    other => Err(refused(other, &fetched)),
                }
            }
        }
    }

    async fn post(
        &self,
        settings: &ReviewSettings,
        url: &str,
        headers: HeaderMap,
        kind: &'static str,
        content: Vec<u8>,
        authentication: Option<&ClientAuthentication>,
    ) -> Result<Fetched, ReviewError> {
        let needed = self.fetcher().needs_roots(url);
        let ca = if needed { roots(settings).await? } else { None };
        let conditions = Conditions {
            ca: ca.as_ref(),
            allow_http: is_loopback(url),
            certificate: authentication.and_then(ClientAuthentication::certificate),
        };
        let request = self
            .fetcher()
            .posting(url, headers, kind, content, &conditions)?;
        Ok(exchange(request).await?)
    }

    async fn locate(
        &self,
        settings: &ReviewSettings,
        endpoint: &IntrospectionEndpoint,
        issuer: &str,
        authentication: &ClientAuthentication,
        clock: &Clock,
    ) -> Result<String, ReviewError> {
        if let IntrospectionEndpoint::Url(url) = endpoint {
            return Ok(url.clone());
        }
        let mut held = self.discovery.lock().await;
        let (discovery, fetcher) = &mut *held;
        let ca = roots(settings).await?;
        let conditions = Conditions {
            ca: ca.as_ref(),
            allow_http: is_loopback(issuer),
            certificate: None,
        };
        let metadata = discovery
            .ask(issuer, fetcher, &conditions, clock.tick())
            .await?;
        // RFC 8705 section 5: where a certificate is shown may be another place.
        let for_certificates = metadata
            .mtls_endpoint_aliases
            .and_then(|aliases| aliases.introspection_endpoint)
            .filter(|_| authentication.certificate().is_some());
        let url = for_certificates.or(metadata.introspection_endpoint);
        Ok(url.ok_or(FetchError::Discovery("no `introspection_endpoint`"))?)
    }

    fn fetcher(&self) -> MutexGuard<'_, Fetcher> {
        self.fetcher.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn json_of(fetched: &Fetched) -> Result<&[u8], ReviewError> {
    if fetched.is_json() {
        Ok(&fetched.body)
    } else {
        Err(crate::authn::ReviewFault::Document("its content type is not application/json").into())
    }
}

/// A status that comes with no answer. Whoever does not know us, or does not let us ask, has not looked at the token.
fn refused(status: u16, fetched: &Fetched) -> ReviewError {
    let error = credential::refusal(fetched);
    match (status, error) {
        (401 | 403, _) | (400, Some("invalid_client" | "unauthorized_client")) => {
            ReviewError::Credentials { status, error }
        }
        _ => ReviewError::Status(status),
    }
}

fn authorized(value: &str) -> Result<HeaderMap, ReviewError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| ReviewError::Internal)?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}

async fn own_token(path: &std::path::Path) -> Result<Zeroizing<String>, ReviewError> {
    let file = path.to_path_buf();
    off_thread(move || credential::read_token_file(&file))
        .await?
        .map_err(|error| ReviewError::OwnToken(format!("{}: {error}", path.display())))
}

async fn roots(settings: &ReviewSettings) -> Result<Option<Secret>, ReviewError> {
    match &settings.roots {
        Roots::Platform => Ok(None),
        Roots::Pinned(pem) => Ok(Some(pem.clone())),
        Roots::File(path) => {
            let file = path.clone();
            let read = off_thread(move || crate::config::read_secret_file(&file)).await?;
            let bytes =
                read.map_err(|error| ReviewError::Ca(format!("{}: {error}", path.display())))?;
            Ok(Some(Secret::new(bytes.to_vec(), Some(PathBuf::from(path)))))
        }
    }
}

/// A disk that hangs must not hold up what else this thread does.
async fn off_thread<T: Send + 'static>(
    read: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ReviewError> {
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|_| ReviewError::Internal)
}
