//! A record's fields, as far as they decide something.

use serde::Deserialize;

/// A line of the log. Fields of later versions are passed over; what is not known is left out, as in the record.
#[derive(Clone, Debug, Default, Deserialize)]
#[expect(
    missing_docs,
    reason = "the names and meanings of docs/decision-record.md"
)]
pub struct Record {
    pub v: Option<u64>,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub time: Option<String>,
    pub request_id: Option<String>,
    pub listener: Option<String>,
    pub decision: Option<String>,
    pub reason: Option<String>,
    pub observed: Option<String>,
    pub status: Option<u16>,
    pub method: Option<String>,
    pub host: Option<String>,
    pub path: Option<String>,
    pub target: Option<String>,
    pub protocol: Option<String>,
    pub client_address: Option<String>,
    pub peer_address: Option<String>,
    pub route: Option<String>,
    pub caller: Option<String>,
    pub credential: Option<String>,
    pub principal: Option<String>,
    pub issuer: Option<String>,
    pub subject: Option<String>,
    pub client: Option<String>,
    pub account: Option<String>,
    #[serde(default)]
    pub scopes: Vec<String>,
    pub claims: Option<serde_json::Map<String, serde_json::Value>>,
    pub upgrade: Option<String>,
}

impl Record {
    /// Why it was refused, or would have been where nothing is enforced; `None` for what policy let pass. What failed for
    /// reasons of ours or of the upstream (`errored`) is none.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        let denied = (self.decision.as_deref() == Some("denied"))
            .then(|| self.reason.as_deref().unwrap_or("denied"));
        self.observed.as_deref().or(denied)
    }

    /// Whether policy let it pass, and not only because its route observes.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.decision.as_deref() == Some("allowed") && self.observed.is_none()
    }

    /// Whether a token was verified.
    #[must_use]
    pub const fn is_verified(&self) -> bool {
        self.issuer.is_some() && self.principal.is_none()
    }

    /// Whether the upstream did what was asked: its answer is no error, and does not send the caller elsewhere, as to a login.
    #[must_use]
    pub fn is_fulfilled(&self) -> bool {
        self.status
            .is_some_and(|status| matches!(status, 101..=299 | 304))
    }

    /// Whether it is of a listener that attaches credentials: policy has nothing to say there.
    #[must_use]
    pub const fn is_outbound(&self) -> bool {
        self.credential.is_some()
    }

    /// Who asks, for people: the client of the token, or its subject, or its issuer.
    #[must_use]
    pub fn who(&self) -> &str {
        let known = self
            .client
            .as_deref()
            .or(self.subject.as_deref())
            .or(self.issuer.as_deref());
        known.or(self.principal.as_deref()).unwrap_or("anonymous")
    }
}
