//! Admin listener and probes listener.

use std::net::SocketAddr;

/// The admin listener: everything, for people and tools on this machine.
#[derive(Clone, Debug)]
pub struct AdminSettings {
    /// Where it binds; loopback by default.
    pub listen: SocketAddr,
}

/// The probes listener: what kubelet, Prometheus and verifiers elsewhere need, and nothing else.
#[derive(Clone, Debug)]
pub struct ProbesSettings {
    /// Where it binds.
    pub listen: SocketAddr,
    /// What it serves.
    pub serve: Vec<Probe>,
}

/// What the probes listener may serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// `/livez`.
    Livez,
    /// `/readyz`.
    Readyz,
    /// `/metrics`.
    Metrics,
    /// `/.well-known/jwks.json`.
    Jwks,
}
