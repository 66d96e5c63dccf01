//! Everything that the demo starts: issuer, upstream, proxy.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::DemoError;
use super::client::{self, Answer, Call};
use super::issuer::{self, Client, Issuer, Realm};
use super::servers::Servers;
use super::steps::Door;
use super::upstream::{Seen, Upstream};
use crate::app::{App, LogSink, Options};
use crate::clock::Clock;
use crate::platform;

/// The configuration, with places for addresses.
const CONFIGURATION: &str = include_str!("demo.yaml");
/// The sidecar's, likewise.
const SIDECAR: &str = include_str!("sidecar.yaml");

/// How long a decision record may take until it is here.
const PATIENCE: Duration = Duration::from_secs(10);

const ACCOUNTS: [Client; 2] = [
    Client {
        id: "acme-app",
        account: Some("acme"),
        scopes: &["usage:read", "profile"],
    },
    Client {
        id: "globex-app",
        account: Some("globex"),
        scopes: &["usage:read", "profile"],
    },
];

const SERVICES: [Client; 1] = [Client {
    id: "billing",
    account: None,
    scopes: &["usage:read"],
}];

/// The running demo.
#[derive(Debug)]
pub(super) struct World {
    /// Holds both issuers.
    pub(super) issuer: Arc<Issuer>,
    /// The proxy.
    pub(super) app: App,
    /// The sidecar of a program that knows nothing of tokens; ends when this is dropped.
    _calling: App,
    /// Where callers reach the proxy.
    pub(super) proxy: SocketAddr,
    /// Where the program without tokens reaches its sidecar.
    pub(super) sidecar: SocketAddr,
    /// Where the proxy tells about itself.
    pub(super) admin: SocketAddr,
    /// Where the issuers are.
    pub(super) issuer_address: SocketAddr,
    /// Where the upstream is.
    pub(super) upstream_address: SocketAddr,
    /// The written configuration.
    pub(super) configuration: PathBuf,
    /// The log of both, line by line.
    pub(super) log: mpsc::Receiver<Vec<u8>>,
    /// What reached the upstream.
    seen: mpsc::Receiver<Seen>,
    /// Last: the servers outlive the proxy.
    pub(super) servers: Servers,
}

/// What became of one request.
#[derive(Debug)]
pub(super) struct Outcome {
    /// What the caller got.
    pub(super) answer: Answer,
    /// The decision record.
    pub(super) record: Value,
    /// What reached the upstream.
    pub(super) seen: Vec<Seen>,
}

/// How to start.
#[derive(Clone, Debug, Default)]
pub(super) struct Setup {
    /// Ports of proxy, admin, issuer, upstream and sidecar; what is missing is picked by the system.
    pub(super) ports: Vec<u16>,
    /// Where the configuration is written; a new temporary directory when absent.
    pub(super) directory: Option<PathBuf>,
    /// Whether signals drain the proxy.
    pub(super) signals: bool,
}

impl World {
    /// Starts everything.
    pub(super) fn start(setup: &Setup) -> Result<Self, DemoError> {
        let clock = Clock::system();
        let port = |at: usize| setup.ports.get(at).copied().unwrap_or(0);
        let bind = |at: usize| TcpListener::bind((Ipv4Addr::LOCALHOST, port(at)));
        let (issuer_socket, upstream_socket) = (bind(2)?, bind(3)?);
        let issuer_address = issuer_socket.local_addr()?;
        let upstream_address = upstream_socket.local_addr()?;

        let issuer = Arc::new(issuers(issuer_address, &clock)?);
        let (tell, seen) = mpsc::channel();
        let upstream = Arc::new(Upstream::new(tell));
        let servers = Servers::start(
            (issuer_socket, Arc::clone(&issuer)),
            (upstream_socket, Arc::clone(&upstream)),
        )?;

        let directory = match &setup.directory {
            Some(directory) => directory.clone(),
            None => temporary()?,
        };
        let text = CONFIGURATION
            .replace("@PROXY@", &format!("127.0.0.1:{}", port(0)))
            .replace("@ADMIN@", &format!("127.0.0.1:{}", port(1)))
            .replace("@ISSUER@", &issuer_address.to_string())
            .replace("@UPSTREAM@", &upstream_address.to_string());
        let configuration = directory.join("countersign.yaml");
        std::fs::write(&configuration, text)?;

        let (lines, log) = mpsc::channel();
        let app = App::start(Options {
            config: configuration.clone(),
            clock: clock.clone(),
            log: LogSink::Channel(lines.clone()),
            signals: setup.signals,
        })?;
        let (Some(proxy), Some(admin)) = (app.address("inbound"), app.admin_address()) else {
            return Err(DemoError::NoAddress);
        };
        upstream.trust(admin);

        let places = [
            ("@SIDECAR@", format!("127.0.0.1:{}", port(4))),
            ("@PROXY@", proxy.to_string()),
            ("@ISSUER@", issuer_address.to_string()),
        ];
        let calling = calling_side(&directory, &places, clock, lines)?;
        let sidecar = calling.address("sidecar").ok_or(DemoError::NoAddress)?;
        Ok(Self {
            issuer,
            app,
            _calling: calling,
            proxy,
            sidecar,
            admin,
            issuer_address,
            upstream_address,
            configuration,
            log,
            seen,
            servers,
        })
    }

    /// The issuer called `name`.
    pub(super) fn realm(&self, name: &'static str) -> Result<&Realm, DemoError> {
        self.issuer.realm(name).ok_or(DemoError::NoToken(name))
    }

    /// A token from the token endpoint, as any client gets one. `scope`: all that it may have when absent.
    pub(super) fn token(
        &self,
        realm: &'static str,
        client: &'static str,
        scope: Option<&str>,
    ) -> Result<String, DemoError> {
        let credentials = STANDARD.encode(format!("{client}:{}", issuer::SECRET));
        let scope = scope.map_or_else(String::new, |scope| format!("&scope={scope}"));
        let call = Call {
            method: "POST",
            target: format!("/{realm}/token"),
            headers: vec![("Authorization".to_owned(), format!("Basic {credentials}"))],
            form: Some(format!("grant_type=client_credentials{scope}")),
        };
        let answer = client::send(self.issuer_address, &call)?;
        let document: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        document
            .get("access_token")
            .and_then(Value::as_str)
            .map(str::to_owned)
            .ok_or(DemoError::NoToken(client))
    }

    /// A token that the issuer makes by itself: its age, and whether somebody else signs it.
    pub(super) fn minted(
        &self,
        realm: &'static str,
        client: &'static str,
        age: i64,
        forged: bool,
    ) -> Result<String, DemoError> {
        let realm = self.realm(realm)?;
        let known = realm.client(client).ok_or(DemoError::NoToken(client))?;
        let claims = realm.claims(known, &known.scopes.join(" "), age);
        let token = if forged {
            realm.forge(&claims)
        } else {
            realm.sign(&claims)
        };
        token.ok_or(DemoError::NoToken(client))
    }

    /// Lets every issuer work again, and waits until the proxy has the keys of `name`, which it could not fetch.
    pub(super) fn recover(&self, name: &'static str) -> Result<(), DemoError> {
        for realm in &self.issuer.realms {
            realm.set_down(false);
        }
        loop {
            let line = self.log.recv_timeout(PATIENCE);
            let line = line.map_err(|_| DemoError::NoRecord)?;
            let event: Value = serde_json::from_slice(&line).unwrap_or_default();
            let is =
                |name: &str, value: &str| event.get(name).and_then(Value::as_str) == Some(value);
            if is("event", "jwks.refreshed") && is("issuer", name) {
                return Ok(());
            }
        }
    }

    /// Where `door` is.
    pub(super) const fn address(&self, door: Door) -> SocketAddr {
        match door {
            Door::Proxy => self.proxy,
            Door::Sidecar => self.sidecar,
        }
    }

    /// Sends a request, and waits for the decision record of who answered it, or of the proxy where it was forwarded.
    pub(super) fn ask(&self, door: Door, call: &Call) -> Result<Outcome, DemoError> {
        let answer = client::send(self.address(door), call)?;
        // The upstream tells before it answers, so whatever reached it is here by now.
        let mut seen: Vec<Seen> = self.seen.try_iter().collect();
        // A refusal carries the request's id; a forwarded request brought it to the upstream.
        let id = answer
            .header("x-request-id")
            .or(seen.last().map(|seen| seen.request_id.as_str()))
            .unwrap_or_default()
            .to_owned();
        loop {
            let line = self
                .log
                .recv_timeout(PATIENCE)
                .map_err(|_| DemoError::NoRecord)?;
            let record: Value = serde_json::from_slice(&line).unwrap_or_default();
            if record.get("request_id").and_then(Value::as_str) == Some(id.as_str()) {
                seen.extend(self.seen.try_iter());
                return Ok(Outcome {
                    answer,
                    record,
                    seen,
                });
            }
        }
    }
}

/// The sidecar of the program without tokens, in a proxy of its own.
fn calling_side(
    directory: &Path,
    places: &[(&str, String)],
    clock: Clock,
    lines: mpsc::Sender<Vec<u8>>,
) -> Result<App, DemoError> {
    write_private(&directory.join("billing.secret"), issuer::SECRET)?;
    let text = places
        .iter()
        .fold(SIDECAR.to_owned(), |text, (place, address)| {
            text.replace(place, address)
        });
    let config = directory.join("sidecar.yaml");
    std::fs::write(&config, text)?;
    Ok(App::start(Options {
        config,
        clock,
        log: LogSink::Channel(lines),
        signals: false,
    })?)
}

fn issuers(address: SocketAddr, clock: &Clock) -> Result<Issuer, DemoError> {
    let base = format!("http://{address}");
    let realm = |name, clients| Realm::new(name, &base, "demo-api", clients, clock.clone());
    Ok(Issuer {
        realms: vec![realm("accounts", &ACCOUNTS)?, realm("services", &SERVICES)?],
    })
}

/// A directory of our own that nobody could foresee.
fn temporary() -> io::Result<PathBuf> {
    let mut name = [0_u8; 6];
    aws_lc_rs::rand::fill(&mut name).map_err(|_| io::Error::other("no random numbers"))?;
    let name: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
    let directory = std::env::temp_dir().join(format!("countersign-demo-{name}"));
    platform::private_directory(&mut std::fs::DirBuilder::new()).create(&directory)?;
    Ok(directory)
}

/// Writes a token to a file of its own beside the configuration, for use in a shell.
pub(super) fn write_token(configuration: &Path, name: &str, token: &str) -> io::Result<PathBuf> {
    let path = configuration.with_file_name(format!("{name}.token"));
    write_private(&path, token)?;
    Ok(path)
}

/// Writes what only we may read.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    platform::private(&mut options)
        .open(path)?
        .write_all(text.as_bytes())
}
