//! From an issuer to what it says about itself: OpenID Connect Discovery 1.0 and RFC 8414.

use std::time::Duration;

use serde::Deserialize;

use super::{Conditions, FetchError, Fetched, Fetcher};
use crate::clock::Tick;

/// How long a discovery document is believed at most. A failing fetch ends it earlier.
const BELIEVED: Duration = Duration::from_secs(60 * 60);

/// What an issuer says about itself, as far as we need it (RFC 8414 section 2, RFC 8705 section 5).
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Metadata {
    issuer: Option<String>,
    pub(crate) jwks_uri: Option<String>,
    pub(crate) token_endpoint: Option<String>,
    pub(crate) introspection_endpoint: Option<String>,
    pub(crate) mtls_endpoint_aliases: Option<Aliases>,
}

/// Endpoints for clients that show a certificate.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Aliases {
    pub(crate) token_endpoint: Option<String>,
    pub(crate) introspection_endpoint: Option<String>,
}

/// What the issuer said last.
#[derive(Debug, Default)]
pub(crate) struct Discovery(Option<(Metadata, Tick)>);

impl Discovery {
    /// What `issuer` says about itself.
    pub(crate) async fn ask(
        &mut self,
        issuer: &str,
        fetcher: &mut Fetcher,
        conditions: &Conditions<'_>,
        now: Tick,
    ) -> Result<Metadata, FetchError> {
        // What one issuer said is never taken for another's, whichever of several was asked last: an assertion that is meant
        // for one of them would go to the other.
        if let Some((metadata, at)) = &self.0
            && metadata.issuer.as_deref() == Some(issuer)
            && now.since(*at) < BELIEVED
        {
            return Ok(metadata.clone());
        }
        self.0 = None;
        let document = fetch(issuer, fetcher, conditions).await?;
        let metadata = read(&document.body, issuer)?;
        self.0 = Some((metadata.clone(), now));
        Ok(metadata)
    }

    /// After a failure: what it named may have moved.
    pub(crate) fn forget(&mut self) {
        self.0 = None;
    }
}

async fn fetch(
    issuer: &str,
    fetcher: &mut Fetcher,
    conditions: &Conditions<'_>,
) -> Result<Fetched, FetchError> {
    const JSON: &str = "application/json";
    let openid = fetcher.get(&openid_url(issuer), JSON, conditions).await;
    match openid {
        // The issuer has no such document; it may be an OAuth server that is no OpenID provider.
        Err(FetchError::Status(400..=499)) => {
            let url = well_known(issuer, "oauth-authorization-server")
                .ok_or(FetchError::Url("not a URL"))?;
            fetcher.get(&url, JSON, conditions).await
        }
        other => other,
    }
}

/// OpenID Connect Discovery 1.0 section 4: appended, after a terminating slash is removed.
fn openid_url(issuer: &str) -> String {
    let base = issuer.strip_suffix('/').unwrap_or(issuer);
    format!("{base}/.well-known/openid-configuration")
}

/// RFC 8414 section 3.1, RFC 9728 section 3.1: inserted between host and path, after a terminating slash is removed.
pub(super) fn well_known(identifier: &str, name: &str) -> Option<String> {
    let (scheme, rest) = identifier.split_once("://")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.strip_suffix('/').unwrap_or(path);
    let slash = if path.is_empty() { "" } else { "/" };
    Some(format!("{scheme}://{host}/.well-known/{name}{slash}{path}"))
}

/// Reads a discovery document. `issuer` in it must be ours byte for byte (OpenID Connect Discovery 1.0 section 4.3, RFC
/// 8414 section 3.3): otherwise one tenant of a host could speak for another.
fn read(document: &[u8], issuer: &str) -> Result<Metadata, FetchError> {
    // serde refuses a member that is given twice.
    let metadata: Metadata = serde_json::from_slice(document)
        .map_err(|_| FetchError::Discovery("not a metadata document"))?;
    if metadata.issuer.as_deref() != Some(issuer) {
        return Err(FetchError::Discovery("`issuer` is not the configured one"));
    }
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, UnixTime};
    use crate::fetch::idp::{Idp, Reply};

    #[test]
    fn well_known_urls() {
        for (issuer, openid, oauth) in [
            (
                "https://idp.example",
                "https://idp.example/.well-known/openid-configuration",
                "https://idp.example/.well-known/oauth-authorization-server",
            ),
            (
                "https://idp.example/",
                "https://idp.example/.well-known/openid-configuration",
                "https://idp.example/.well-known/oauth-authorization-server",
            ),
            (
                "https://idp.example:8443/realms/dls",
                "https://idp.example:8443/realms/dls/.well-known/openid-configuration",
                "https://idp.example:8443/.well-known/oauth-authorization-server/realms/dls",
            ),
            (
                "https://idp.example/realms/dls/",
                "https://idp.example/realms/dls/.well-known/openid-configuration",
                "https://idp.example/.well-known/oauth-authorization-server/realms/dls",
            ),
        ] {
            assert_eq!(openid_url(issuer), openid);
            assert_eq!(
                well_known(issuer, "oauth-authorization-server").as_deref(),
                Some(oauth)
            );
        }
        assert_eq!(
            well_known("idp.example", "oauth-authorization-server"),
            None
        );
    }

    #[tokio::test]
    async fn what_one_issuer_said_is_not_taken_for_what_another_says() {
        let idp = Idp::start().await;
        let issuers = [idp.url("/a"), idp.url("/b")];
        for issuer in &issuers {
            let document =
                serde_json::json!({"issuer": issuer, "token_endpoint": format!("{issuer}/token")});
            let path = openid_url(issuer).replace(&idp.url(""), "");
            idp.reply_at(&path, Reply::Ok("", document.to_string().into_bytes()));
        }
        let conditions = Conditions {
            ca: None,
            allow_http: true,
            certificate: None,
        };
        let (mut discovery, mut fetcher) = (Discovery::default(), Fetcher::default());
        let now = Clock::manual(UnixTime::from_secs(0)).tick();
        for (at, fetches) in [(0, 1), (0, 1), (1, 2), (1, 2), (0, 3)] {
            let issuer = &issuers[at];
            let asked = discovery.ask(issuer, &mut fetcher, &conditions, now).await;
            let endpoint = asked.unwrap().token_endpoint.unwrap();
            assert_eq!(endpoint, format!("{issuer}/token"));
            assert_eq!(idp.requests(), fetches);
        }
    }

    #[test]
    fn the_issuer_of_the_document_is_ours_byte_for_byte() {
        let ours = "https://idp.example/a";
        for (document, good) in [
            (
                r#"{"issuer":"https://idp.example/a","jwks_uri":"https://x/j"}"#,
                true,
            ),
            (
                r#"{"issuer":"https://idp.example/a/","jwks_uri":"https://x/j"}"#,
                false,
            ),
            (
                r#"{"issuer":"HTTPS://idp.example/a","jwks_uri":"https://x/j"}"#,
                false,
            ),
            (
                r#"{"issuer":"https://idp.example/b","jwks_uri":"https://x/j"}"#,
                false,
            ),
            (
                r#"{"issuer":["https://idp.example/a"],"jwks_uri":"https://x/j"}"#,
                false,
            ),
            (
                r#"{"issuer":"https://idp.example/b","issuer":"https://idp.example/a","jwks_uri":"https://x/j"}"#,
                false,
            ),
            (r#"{"jwks_uri":"https://x/j"}"#, false),
            (r#"{"issuer":"https://idp.example/a"}"#, false),
            ("<html>", false),
            ("", false),
        ] {
            assert_eq!(
                read(document.as_bytes(), ours).is_ok_and(|it| it.jwks_uri.is_some()),
                good,
                "{document}"
            );
        }
    }
}
