//! One document over the network, with the hygiene that HTTP clients leave out: no proxy, no redirect, no decompression,
//! bounded in size, platform roots or the operator's own CA.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, HeaderMap};
use reqwest::{Client, StatusCode, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::{DOCUMENT_BYTES, KeySourceSettings};
use crate::authn::KeySetError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const USER_AGENT: &str = concat!("countersign/", env!("CARGO_PKG_VERSION"));
/// Longest part of another library's message that is logged.
const DETAIL_CHARS: usize = 200;

/// Why an attempt to obtain keys failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The URL is not one that keys may come from.
    #[error("url: {0}")]
    Url(&'static str),
    /// There are no CA certificates on this machine and none were configured.
    #[error("no CA certificates found on this machine: set `ca`, or SSL_CERT_FILE")]
    NoRoots,
    /// The configured CA bundle has no usable certificate.
    #[error("the configured `ca` has no usable certificate")]
    BadCa,
    /// The TLS or HTTP client could not be made.
    #[error("client: {0}")]
    Client(String),
    /// Name resolution, connection, TLS, or HTTP failed.
    #[error("connection: {0}")]
    Connection(String),
    /// The time limit passed.
    #[error("timed out")]
    Timeout,
    /// A redirect; never followed.
    #[error("status {0}: redirects are not followed")]
    Redirect(u16),
    /// Any other status than 200.
    #[error("status {0}")]
    Status(u16),
    /// A `Content-Encoding` nobody asked for.
    #[error("the answer is compressed, which was not asked for")]
    Encoded,
    /// The document is larger than [`DOCUMENT_BYTES`].
    #[error("the document is larger than 256 KiB")]
    TooLarge,
    /// The document is no usable key set.
    #[error("key set: {0}")]
    KeySet(#[source] KeySetError),
    /// The discovery document is not JSON, or lacks a member.
    #[error("discovery: {0}")]
    Discovery(&'static str),
    /// The file cannot be read.
    #[error("file: {0}")]
    File(#[source] std::io::Error),
}

/// A body and what its headers said about its lifetime.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) body: Vec<u8>,
    pub(super) max_age: Option<Duration>,
}

/// Fetches for one source. Clients are kept while they work.
#[derive(Debug, Default)]
pub(super) struct Fetcher {
    plain: Option<Client>,
    tls: Option<Client>,
}

impl Fetcher {
    /// GET `url`. The caller limits the time.
    pub(super) async fn get(
        &mut self,
        url: &str,
        settings: &KeySourceSettings,
    ) -> Result<Fetched, FetchError> {
        failpoint!(async Fetch, Err(FetchError::Timeout));
        let url = checked_url(url, settings.allow_http)?;
        let client = self.client(&url, settings)?;
        let mut response = client
            .get(url)
            .header(ACCEPT, "application/jwk-set+json, application/json")
            .header(ACCEPT_ENCODING, "identity")
            .send()
            .await
            .map_err(|error| connection(&error))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(FetchError::Redirect(status.as_u16()));
        }
        if status != StatusCode::OK {
            return Err(FetchError::Status(status.as_u16()));
        }
        if response
            .headers()
            .get_all(CONTENT_ENCODING)
            .iter()
            .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
        {
            return Err(FetchError::Encoded);
        }
        let max_age = max_age(response.headers());
        let limit = u64::try_from(DOCUMENT_BYTES).unwrap_or(u64::MAX);
        if response.content_length().is_some_and(|bytes| bytes > limit) {
            return Err(FetchError::TooLarge);
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| connection(&error))? {
            if body.len().saturating_add(chunk.len()) > DOCUMENT_BYTES {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Fetched { body, max_age })
    }

    /// Forgets the clients: after a failure the CA certificates are read anew.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    fn client(&mut self, url: &Url, settings: &KeySourceSettings) -> Result<Client, FetchError> {
        let secure = url.scheme() == "https";
        let kept = if secure {
            &mut self.tls
        } else {
            &mut self.plain
        };
        if let Some(client) = kept {
            return Ok(client.clone());
        }
        // A plain client gets no roots, so that it works where there are none.
        let roots = if secure {
            roots(settings)?
        } else {
            rustls::RootCertStore::empty()
        };
        let client = build(roots, secure)?;
        *kept = Some(client.clone());
        Ok(client)
    }
}

fn build(roots: rustls::RootCertStore, secure: bool) -> Result<Client, FetchError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| FetchError::Client(detail(&error)))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(secure)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .http1_only()
        .connect_timeout(CONNECT_TIMEOUT)
        // A refresh every quarter of an hour finds its old connection closed anyway, and names are resolved afresh.
        .pool_max_idle_per_host(0)
        .user_agent(USER_AGENT)
        .build()
        .map_err(|error| FetchError::Client(detail(&error)))
}

/// The operator's CA alone, or else the platform's.
fn roots(settings: &KeySourceSettings) -> Result<rustls::RootCertStore, FetchError> {
    let mut roots = rustls::RootCertStore::empty();
    if let Some(pem) = &settings.ca {
        for certificate in CertificateDer::pem_slice_iter(pem.expose()) {
            let certificate = certificate.map_err(|_| FetchError::BadCa)?;
            roots.add(certificate).map_err(|_| FetchError::BadCa)?;
        }
        return if roots.is_empty() {
            Err(FetchError::BadCa)
        } else {
            Ok(roots)
        };
    }
    // Platform bundles carry a few certificates that webpki does not read; the rest counts.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        Err(FetchError::NoRoots)
    } else {
        Ok(roots)
    }
}

fn checked_url(url: &str, allow_http: bool) -> Result<Url, FetchError> {
    let url = Url::parse(url).map_err(|_| FetchError::Url("not a URL"))?;
    match url.scheme() {
        "https" => {}
        "http" if allow_http => {}
        "http" => return Err(FetchError::Url("plain http needs `allow_http: true`")),
        _ => return Err(FetchError::Url("neither https nor http")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(FetchError::Url("credentials in the URL"));
    }
    if !url.has_host() {
        return Err(FetchError::Url("no host"));
    }
    Ok(url)
}

/// `Cache-Control: max-age` (RFC 9111 section 5.2.2.1). `no-cache` and `no-store` say nothing about how long keys are
/// good, and common issuers send them: the configured interval holds then.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|directive| directive.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("max-age"))
        .and_then(|(_, seconds)| seconds.trim().trim_matches('"').parse().ok())
        .map(Duration::from_secs)
}

fn connection(error: &reqwest::Error) -> FetchError {
    if error.is_timeout() {
        FetchError::Timeout
    } else {
        FetchError::Connection(detail(error))
    }
}

/// The innermost cause: reqwest's own words repeat the URL and say little.
fn detail(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause
        .to_string()
        .chars()
        .filter(|char| !char.is_control())
        .take(DETAIL_CHARS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invariant_45_urls_are_https_without_credentials_unless_http_is_allowed() {
        for (url, allow_http, good) in [
            ("https://idp.example/jwks", false, true),
            ("https://idp.example/jwks", true, true),
            ("http://idp.example/jwks", true, true),
            ("http://idp.example/jwks", false, false),
            ("https://user@idp.example/jwks", false, false),
            ("https://user:pass@idp.example/jwks", true, false),
            ("https://:pass@idp.example/jwks", true, false),
            ("file:///etc/passwd", true, false),
            ("data:application/json,{}", true, false),
            ("unix:/run/idp.sock", true, false),
            ("/jwks", true, false),
            ("", true, false),
        ] {
            assert_eq!(checked_url(url, allow_http).is_ok(), good, "{url}");
        }
    }

    #[test]
    fn max_age_is_read_from_any_cache_control() {
        for (value, seconds) in [
            ("max-age=300", Some(300)),
            ("public, Max-Age=300, must-revalidate", Some(300)),
            ("max-age=\"300\"", Some(300)),
            ("s-maxage=300", None),
            ("no-cache", None),
            ("no-store, max-age=0", Some(0)),
            ("max-age=-1", None),
            ("max-age=99999999999999999999999", None),
        ] {
            let headers = HeaderMap::from_iter([(CACHE_CONTROL, value.parse().unwrap())]);
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(max_age(&headers), expected, "{value}");
        }
    }
}
