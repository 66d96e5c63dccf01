//! From a protected resource to what it says about itself (RFC 9728): where tokens for it come from.

use std::time::Duration;

use serde::Deserialize;

use super::discovery::well_known;
use super::{Conditions, FetchError, Fetcher};
use crate::clock::Tick;

/// How long a document is believed at most. A failing fetch ends it earlier.
const BELIEVED: Duration = Duration::from_secs(60 * 60);

/// What a resource says about itself, as far as we need it (RFC 9728 section 2).
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ResourceMetadata {
    resource: Option<String>,
    #[serde(default)]
    pub(crate) authorization_servers: Vec<String>,
    #[serde(default)]
    pub(crate) scopes_supported: Vec<String>,
    #[serde(default)]
    pub(crate) dpop_bound_access_tokens_required: bool,
}

/// What the resource said last.
#[derive(Debug, Default)]
pub(crate) struct ResourceDiscovery(Option<(ResourceMetadata, Tick)>);

impl ResourceDiscovery {
    /// What `resource` says about itself.
    pub(crate) async fn ask(
        &mut self,
        resource: &str,
        fetcher: &mut Fetcher,
        conditions: &Conditions<'_>,
        now: Tick,
    ) -> Result<ResourceMetadata, FetchError> {
        if let Some((metadata, at)) = &self.0
            && metadata.resource.as_deref() == Some(resource)
            && now.since(*at) < BELIEVED
        {
            return Ok(metadata.clone());
        }
        self.0 = None;
        let url =
            well_known(resource, "oauth-protected-resource").ok_or(FetchError::Url("not a URL"))?;
        let document = fetcher.get(&url, "application/json", conditions).await?;
        let metadata = read(&document.body, resource)?;
        self.0 = Some((metadata.clone(), now));
        Ok(metadata)
    }

    /// After a failure: what it named may have moved.
    pub(crate) fn forget(&mut self) {
        self.0 = None;
    }
}

/// Reads a document. `resource` in it must be ours byte for byte (RFC 9728 section 3.3): otherwise one resource of a host
/// could have tokens asked for that are meant for another.
fn read(document: &[u8], resource: &str) -> Result<ResourceMetadata, FetchError> {
    // serde refuses a member that is given twice.
    let metadata: ResourceMetadata = serde_json::from_slice(document)
        .map_err(|_| FetchError::Discovery("not a document about a protected resource"))?;
    if metadata.resource.as_deref() != Some(resource) {
        return Err(FetchError::Discovery(
            "`resource` is not the configured one",
        ));
    }
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resource_of_the_document_is_ours_byte_for_byte() {
        let ours = "https://api.example/a";
        for (document, good) in [
            (
                r#"{"resource":"https://api.example/a","authorization_servers":["https://id.example"]}"#,
                true,
            ),
            (r#"{"resource":"https://api.example/a"}"#, true),
            (r#"{"resource":"https://api.example/a/"}"#, false),
            (r#"{"resource":"https://api.example/b"}"#, false),
            (
                r#"{"resource":"https://api.example/b","resource":"https://api.example/a"}"#,
                false,
            ),
            (r#"{"authorization_servers":["https://id.example"]}"#, false),
            (
                r#"{"resource":"https://api.example/a","authorization_servers":"https://id.example"}"#,
                false,
            ),
            ("<html>", false),
        ] {
            assert_eq!(read(document.as_bytes(), ours).is_ok(), good, "{document}");
        }
    }
}
