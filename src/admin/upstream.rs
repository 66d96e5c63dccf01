//! Upstreams of this machine, and whether there is a way around the proxy.

use std::net::SocketAddr;

use serde::Serialize;

/// Whether an upstream of this machine can be reached around the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamExposure {
    /// Nobody listens on its port but on loopback.
    Closed,
    /// Somebody listens on its port on more than loopback.
    Exposed,
    /// The system's list of listening sockets cannot be read.
    Unknown,
}

/// An upstream of this machine, as `/status` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UpstreamStatus {
    /// The listener that leads to it.
    pub listener: String,
    /// Whether there is a way around the proxy.
    pub exposure: UpstreamExposure,
    /// Where somebody listens on its port, loopback aside.
    pub listens_on: Vec<SocketAddr>,
    /// Whether the proxy is ready only while there is no such way.
    pub required: bool,
}

impl UpstreamStatus {
    /// The places beyond loopback, for people.
    #[must_use]
    pub fn places(&self) -> String {
        let places: Vec<String> = self.listens_on.iter().map(ToString::to_string).collect();
        places.join(", ")
    }

    /// What is wrong, in words.
    pub(super) fn fault(&self) -> Option<String> {
        let listener = &self.listener;
        match self.exposure {
            UpstreamExposure::Closed => None,
            UpstreamExposure::Exposed => Some(format!(
                "the upstream of {listener} listens on {}, more than loopback: it can be reached around the proxy",
                self.places()
            )),
            UpstreamExposure::Unknown => Some(format!(
                "whether the upstream of {listener} can be reached around the proxy cannot be told: /proc/net/tcp is not readable"
            )),
        }
    }
}
