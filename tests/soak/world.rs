//! Where it happens: a directory, keys, ports, configurations.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::tokens::{ISSUER, jwks};

/// A directory with a key set.
pub struct World {
    dir: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        let world = Self {
            dir: tempfile::tempdir().expect("a directory"),
        };
        replace(&world.path("jwks.json"), &jwks());
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a configuration: the pinned issuer `main`, and as [`World::write`].
    pub fn config(&self, name: &str, places: Places, upstream: SocketAddr, rest: &str) -> PathBuf {
        self.write(name, places, upstream, &format!("{}{rest}", self.issuers()))
    }

    /// The pinned issuer `main`.
    pub fn issuers(&self) -> String {
        let jwks = self.path("jwks.json");
        format!(
            "issuers:\n  - name: main\n    issuer: {ISSUER}\n    jwks: {{file: {}}}\n    audiences: [api]\n    \
             algorithms: [EdDSA, ES256, PS512]\n",
            jwks.display()
        )
    }

    /// Writes a configuration: one listener to `upstream`, admin, and `rest`.
    pub fn write(&self, name: &str, places: Places, upstream: SocketAddr, rest: &str) -> PathBuf {
        let path = self.path(name);
        replace(&path, &text(places, upstream, rest));
        path
    }
}

/// The text of a configuration.
pub fn text(places: Places, upstream: SocketAddr, rest: &str) -> String {
    let Places { inbound, admin } = places;
    format!(
        "inbound:\n  listen: {inbound}\n  upstream: http://{upstream}\n  limits: {{connections: 16384, \
         requests_in_flight: 16384, connections_per_address: 16384}}\n  timeouts: \
         {{stalled_reader: 40s}}\nadmin: {{listen: \"{admin}\"}}\n{rest}"
    )
}

/// Replaces a file in one step.
pub fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, text).expect("a file");
    std::fs::rename(&beside, path).expect("a rename");
}

/// Where a program listens.
#[derive(Clone, Copy)]
pub struct Places {
    pub inbound: SocketAddr,
    pub admin: SocketAddr,
}

impl Places {
    /// Below the ports that the system gives to clients: a port that is free between two lives of the program must not
    /// become some connection's own.
    pub fn new() -> Self {
        Self {
            inbound: place(),
            admin: place(),
        }
    }
}

fn place() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed);
        let spread = u16::try_from(std::process::id() % 100).unwrap_or(0) * 100;
        let port = 20_000 + (spread + offset) % 12_000;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// Thousands of sockets need descriptors.
pub fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let most = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: most,
        maximum: most,
    };
    setrlimit(Resource::Nofile, raised).expect("open files");
}
