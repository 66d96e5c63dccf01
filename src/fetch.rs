//! One document over the network, with the hygiene that HTTP clients leave out: no proxy, no redirect, no decompression,
//! bounded in size and time, platform roots or the operator's own CA.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Secret;

mod discovery;
#[cfg(test)]
pub(crate) mod idp;
mod resource;

pub(crate) use discovery::Discovery;
pub(crate) use resource::ResourceDiscovery;

/// Most bytes of a document.
pub(crate) const DOCUMENT_BYTES: usize = 256 * 1024;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Most idle connections of a fetcher that keeps any.
const IDLE_CONNECTIONS: usize = 8;
/// How long they are kept: shorter than servers do (5 s is common), so that none is used that is about to be closed.
const IDLE_TIME: Duration = Duration::from_secs(4);
/// Content types of what is sent.
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";
pub(crate) const JSON: &str = "application/json";
const USER_AGENT: &str = concat!("countersign/", env!("CARGO_PKG_VERSION"));
/// Longest part of another library's message that is logged.
const DETAIL_CHARS: usize = 200;

/// Why a document could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The URL is not one that is asked.
    #[error("url: {0}")]
    Url(&'static str),
    /// There are no CA certificates on this machine and none were configured.
    #[error("no CA certificates found on this machine: set `ca`, or SSL_CERT_FILE")]
    NoRoots,
    /// The configured CA bundle has no usable certificate.
    #[error("the configured `ca` has no usable certificate")]
    BadCa,
    /// The client certificate and its key cannot be used.
    #[error("the client certificate and its key cannot be used")]
    BadCertificate,
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
    /// The document is larger than 256 KiB.
    #[error("the document is larger than 256 KiB")]
    TooLarge,
    /// The discovery document is not JSON, or lacks a member.
    #[error("discovery: {0}")]
    Discovery(&'static str),
}

/// Under which conditions a document is fetched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions<'a> {
    /// PEM CA certificates; `None`: the platform's.
    pub(crate) ca: Option<&'a Secret>,
    /// Plain http is allowed.
    pub(crate) allow_http: bool,
    /// PEM certificate chain and key that we show (RFC 8705).
    pub(crate) certificate: Option<(&'a Secret, &'a Secret)>,
}

/// An answer, whole.
pub(crate) struct Fetched {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// The body may be a token.
impl std::fmt::Debug for Fetched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetched")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl Fetched {
    /// `application/json`, or a type that is made of it (`+json`).
    pub(crate) fn is_json(&self) -> bool {
        let mut values = self.headers.get_all(CONTENT_TYPE).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return false;
        };
        let kind = value.to_str().unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json")
            || kind.to_ascii_lowercase().ends_with("+json")
    }
}

/// Fetches under conditions that stay the same. Clients are kept while they work.
#[derive(Debug, Default)]
pub(crate) struct Fetcher {
    plain: Option<Client>,
    tls: Option<Client>,
    /// Idle connections are kept for a moment.
    reuses: bool,
}

impl Fetcher {
    /// One that asks again and again: idle connections are kept for a moment, [`IDLE_CONNECTIONS`] at most.
    pub(crate) fn reusing() -> Self {
        Self {
            reuses: true,
            ..Self::default()
        }
    }

    /// GET `url`, which must be answered by 200. The caller limits the time.
    pub(crate) async fn get(
        &mut self,
        url: &str,
        accept: &'static str,
        conditions: &Conditions<'_>,
    ) -> Result<Fetched, FetchError> {
        let (client, url) = self.client(url, conditions)?;
        let request = client.get(url).header(ACCEPT, accept);
        let fetched = exchange(request).await?;
        if fetched.status == StatusCode::OK {
            Ok(fetched)
        } else {
            Err(FetchError::Status(fetched.status.as_u16()))
        }
    }

    /// POST `form` (`application/x-www-form-urlencoded`) with `headers` to `url`. Any status but a redirect is an answer.
    /// It is sent once: nothing here tries again. The caller limits the time.
    pub(crate) async fn post(
        &mut self,
        url: &str,
        form: String,
        headers: HeaderMap,
        conditions: &Conditions<'_>,
    ) -> Result<Fetched, FetchError> {
        let request = self.posting(url, headers, FORM, form.into(), conditions)?;
        exchange(request).await
    }

    /// A POST like that of any content, to be [sent](exchange) without holding the fetcher.
    pub(crate) fn posting(
        &mut self,
        url: &str,
        headers: HeaderMap,
        kind: &'static str,
        content: Vec<u8>,
        conditions: &Conditions<'_>,
    ) -> Result<RequestBuilder, FetchError> {
        let (client, url) = self.client(url, conditions)?;
        Ok(client
            .post(url)
            .headers(headers)
            .header(ACCEPT, JSON)
            .header(CONTENT_TYPE, kind)
            .body(content))
    }

    /// Whether CA certificates are needed before `url` can be asked.
    pub(crate) fn needs_roots(&self, url: &str) -> bool {
        self.tls.is_none() && !url.starts_with("http:")
    }

    /// Forgets the clients: after a failure the CA certificates are read anew.
    pub(crate) fn reset(&mut self) {
        (self.plain, self.tls) = (None, None);
    }

    fn client(
        &mut self,
        url: &str,
        conditions: &Conditions<'_>,
    ) -> Result<(Client, Url), FetchError> {
        let url = checked_url(url, conditions.allow_http)?;
        let secure = url.scheme() == "https";
        let kept = if secure {
            &mut self.tls
        } else {
            &mut self.plain
        };
        if let Some(client) = kept {
            return Ok((client.clone(), url));
        }
        // A plain client gets no roots, so that it works where there are none.
        let idle = if self.reuses { IDLE_CONNECTIONS } else { 0 };
        let client = if secure {
            build(roots(conditions.ca)?, conditions.certificate, idle, true)?
        } else {
            build(rustls::RootCertStore::empty(), None, idle, false)?
        };
        *kept = Some(client.clone());
        Ok((client, url))
    }
}

/// Sends a request once and takes the answer, whatever its status, unless it is a redirect. The caller limits the time.
pub(crate) async fn exchange(request: RequestBuilder) -> Result<Fetched, FetchError> {
    failpoint!(async Fetch, Err(FetchError::Timeout));
    let mut response = request
        .header(ACCEPT_ENCODING, "identity")
        .send()
        .await
        .map_err(|error| connection(&error))?;
    let status = response.status();
    if status.is_redirection() {
        return Err(FetchError::Redirect(status.as_u16()));
    }
    if response
        .headers()
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(FetchError::Encoded);
    }
    let limit = u64::try_from(DOCUMENT_BYTES).unwrap_or(u64::MAX);
    if response.content_length().is_some_and(|bytes| bytes > limit) {
        return Err(FetchError::TooLarge);
    }
    let headers = std::mem::take(response.headers_mut());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| connection(&error))? {
        if body.len().saturating_add(chunk.len()) > DOCUMENT_BYTES {
            return Err(FetchError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Fetched {
        status,
        headers,
        body,
    })
}

fn build(
    roots: rustls::RootCertStore,
    certificate: Option<(&Secret, &Secret)>,
    idle: usize,
    secure: bool,
) -> Result<Client, FetchError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| FetchError::Client(detail(&error)))?
        .with_root_certificates(roots);
    let tls = match certificate {
        None => tls.with_no_client_auth(),
        Some((chain, key)) => {
            let chain = CertificateDer::pem_slice_iter(chain.expose())
                .collect::<Result<Vec<_>, _>>()
                .map_err(|_| FetchError::BadCertificate)?;
            let key = PrivateKeyDer::from_pem_slice(key.expose())
                .map_err(|_| FetchError::BadCertificate)?;
            tls.with_client_auth_cert(chain, key)
                .map_err(|_| FetchError::BadCertificate)?
        }
    };
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
        .pool_max_idle_per_host(idle)
        .pool_idle_timeout(IDLE_TIME)
        .user_agent(USER_AGENT)
        .build()
        .map_err(|error| FetchError::Client(detail(&error)))
}

/// The operator's CA alone, or else the platform's.
fn roots(ca: Option<&Secret>) -> Result<rustls::RootCertStore, FetchError> {
    let mut roots = rustls::RootCertStore::empty();
    if let Some(pem) = ca {
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

/// A URL for people: its query may carry an API key, so it is not shown, nor are credentials.
pub(crate) fn shown(url: &str) -> Option<String> {
    let mut url = Url::parse(url).ok()?;
    url.set_query(None);
    url.set_fragment(None);
    // Fails only where there can be no credentials.
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    Some(url.into())
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

/// Whether what is sent to `url` does not leave the machine.
pub(crate) fn is_loopback(url: &str) -> bool {
    let url = Url::parse(url).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse()
            .is_ok_and(|address: std::net::IpAddr| address.is_loopback())
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
    fn loopback_is_an_address_of_this_machine_and_no_name_that_looks_like_one() {
        for (url, local) in [
            ("http://localhost:1/", true),
            ("http://127.0.0.1:8080/introspect", true),
            ("http://127.9.9.9/", true),
            ("http://[::1]:1/", true),
            ("http://localhost.example.org/", false),
            ("http://127.0.0.1.example.org/", false),
            ("http://user@localhost/", true),
            ("http://localhost@example.org/", false),
            ("http://10.0.0.1/", false),
            ("http://0.0.0.0/", false),
            ("http://[::]/", false),
            ("not a url", false),
        ] {
            assert_eq!(is_loopback(url), local, "{url}");
        }
    }

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
}
