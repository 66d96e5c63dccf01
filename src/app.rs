//! Wiring: start, reload, drain.
//!
//! One control thread does everything that is not a request: configuration, keys, name resolution, admin, signals.
//! Workers only serve.

mod admin;
mod certificates;
mod control;
mod exposure;
mod leftovers;
mod self_test;
mod snapshots;
mod worker_thread;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::Clock;
use crate::config::Problems;
use crate::platform;
use crate::telemetry::TelemetryError;
use control::{Command, Control};
pub(crate) use snapshots::rules_of;

/// How long the end waits for what was begun on a disk: the copy of an issuer's keys.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How to start.
#[derive(Debug)]
pub struct Options {
    /// The configuration file.
    pub config: PathBuf,
    /// Time.
    pub clock: Clock,
    /// Where log lines go.
    pub log: LogSink,
    /// Whether SIGHUP, SIGTERM and SIGINT are ours (the program) or not (tests, demo).
    pub signals: bool,
}

/// Where log lines go.
#[derive(Clone, Debug)]
pub enum LogSink {
    /// Standard output.
    Stdout,
    /// A buffer, for tests and the demo; each message is one line without its end.
    Channel(mpsc::Sender<Vec<u8>>),
}

/// A running proxy.
#[derive(Debug)]
pub struct App {
    control: JoinHandle<Result<(), StartError>>,
    commands: tokio::sync::mpsc::UnboundedSender<Command>,
    addresses: Addresses,
}

/// Where everything is bound.
#[derive(Clone, Debug, Default)]
pub(crate) struct Addresses {
    pub(crate) listeners: BTreeMap<String, SocketAddr>,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) probes: Option<SocketAddr>,
}

/// Why the program does not start, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration is not valid.
    #[error("{0}")]
    Config(Problems),
    /// A part of the configuration is valid by itself but cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// A listener cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// As configured.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The crypto library fails its self-test: nothing it says can be trusted.
    #[error("crypto self-test failed: {0}")]
    SelfTest(String),
    /// Logs and metrics cannot be had.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// A thread or a runtime cannot be made.
    #[error("cannot start: {0}")]
    Io(#[from] std::io::Error),
    /// The control thread ended by a bug.
    #[error("the control thread ended unexpectedly")]
    ControlThread,
}

impl App {
    /// Loads the configuration, opens listeners and starts the workers.
    ///
    /// # Errors
    /// The configuration is not valid, or a listener cannot be bound.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let (commands, receiver) = tokio::sync::mpsc::unbounded_channel();
        let (ready, started) = mpsc::channel();
        let control = std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || {
                platform::small_pages();
                platform::yield_to_workers();
                platform::raise_open_files();
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build_local(tokio::runtime::LocalOptions::default())?;
                runtime.block_on(async move {
                    match Control::start(options, receiver) {
                        Ok((control, addresses)) => {
                            // Nobody waits any more when the starter gave up.
                            drop(ready.send(Ok(addresses)));
                            control.run().await;
                        }
                        Err(error) => drop(ready.send(Err(error))),
                    }
                });
                // A name server or a disk that hangs must not hold up the end.
                runtime.shutdown_timeout(LAST_WORDS);
                Ok(())
            })?;
        match started.recv() {
            Ok(Ok(addresses)) => Ok(Self {
                control,
                commands,
                addresses,
            }),
            Ok(Err(error)) => {
                drop(control.join());
                Err(error)
            }
            Err(_) => Err(match control.join() {
                Ok(Err(error)) => error,
                Ok(Ok(())) | Err(_) => StartError::ControlThread,
            }),
        }
    }

    /// Where the listener `name` is bound (port 0 resolved); `None` for a Unix socket.
    #[must_use]
    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        self.addresses.listeners.get(name).copied()
    }

    /// Where admin is bound.
    #[must_use]
    pub const fn admin_address(&self) -> Option<SocketAddr> {
        self.addresses.admin
    }

    /// Where probes are bound.
    #[must_use]
    pub const fn probes_address(&self) -> Option<SocketAddr> {
        self.addresses.probes
    }

    /// Reloads the configuration now and returns the live generation; the error is what `check` would print.
    ///
    /// # Errors
    /// The new configuration is not valid; the old one serves on.
    pub fn reload(&self) -> Result<u64, String> {
        let (reply, answer) = mpsc::channel();
        self.commands
            .send(Command::Reload(reply))
            .map_err(|_| "the proxy has ended".to_owned())?;
        answer
            .recv()
            .map_err(|_| "the proxy has ended".to_owned())?
    }

    /// Starts draining, as on SIGTERM; returns at once.
    pub fn drain(&self) {
        // An ended proxy has drained.
        drop(self.commands.send(Command::Drain));
    }

    /// Ends at once, without draining.
    pub fn kill(self) {
        drop(self.commands.send(Command::End));
        drop(self.control.join());
    }

    /// Drains as on SIGTERM and waits for the end.
    pub fn stop(self) {
        self.drain();
        drop(self.control.join());
    }

    /// Waits for the end, that a signal brings.
    ///
    /// # Errors
    /// The control thread ended by a bug.
    pub fn wait(self) -> Result<(), StartError> {
        self.control
            .join()
            .unwrap_or(Err(StartError::ControlThread))
    }
}

/// Most connections of callers that the limit of open files has room for, and as many to upstreams, beside what is kept
/// for admin, keys and configuration: a proxy that cannot be probed or reloaded any more would be restarted under load.
fn most_connections() -> usize {
    const KEPT: u64 = 64;
    let limit = platform::open_files_limit().unwrap_or(u64::MAX);
    let room = limit.saturating_sub(KEPT.min(limit / 2)) / 2;
    usize::try_from(room).unwrap_or(usize::MAX)
}
