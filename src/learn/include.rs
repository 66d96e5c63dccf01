//! What an operator takes in although it was refused.

use std::str::FromStr;

use super::current::{matches, spelled};
use crate::authz::PathPattern;
use crate::decision_log::Record;

/// Requests of a client for a path: `CLIENT:PATH`, as in `billing:/accounts/{account}/usage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Include {
    client: String,
    path: PathPattern,
}

/// Why that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IncludeError {
    /// No colon before a slash.
    #[error("is written CLIENT:PATH, as in billing:/accounts/{{account}}/usage")]
    Form,
    /// No path.
    #[error("{0}")]
    Path(#[from] crate::authz::PatternError),
}

impl FromStr for Include {
    type Err = IncludeError;

    fn from_str(text: &str) -> Result<Self, IncludeError> {
        // A client may be called by an address, with colons and slashes.
        let at = text.rfind(":/").ok_or(IncludeError::Form)?;
        let (client, path) = text.split_at(at);
        let path = path.strip_prefix(':').ok_or(IncludeError::Form)?;
        if client.is_empty() {
            return Err(IncludeError::Form);
        }
        Ok(Self {
            client: client.to_owned(),
            path: PathPattern::parse(path)?,
        })
    }
}

impl Include {
    /// Whether the request is meant. Only refusals by policy can be: what HTTP refused, or a token that does not hold, is
    /// nobody's to let in; `anonymous` means requests that brought no token.
    pub(super) fn takes(&self, record: &Record, segments: &[String]) -> bool {
        let who = record.is_verified() && record.who() == self.client;
        let anonymous = self.client == "anonymous"
            && record
                .principal
                .as_deref()
                .is_none_or(|own| own == "anonymous")
            && !record.is_verified()
            && record.refusal().is_none_or(|reason| reason == "no_token");
        (who || anonymous)
            && record.decision.as_deref() != Some("errored")
            && matches(&self.path, segments)
    }

    /// Which segments the path spells out (`true`), and which vary (`false`).
    pub(super) fn steps(&self, segments: &[String]) -> Vec<Option<bool>> {
        spelled(&self.path, segments.len())
    }
}
