//! Wiring: start, reload, drain.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::clock::Clock;

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
    Channel(std::sync::mpsc::Sender<Vec<u8>>),
}

/// A running proxy.
#[derive(Debug)]
pub struct App {}

/// Why the program does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {}

impl App {
    /// Loads the configuration, opens listeners and starts the workers.
    ///
    /// # Errors
    /// The configuration is not valid, or a listener cannot be bound.
    pub fn start(_options: Options) -> Result<Self, StartError> {
        Ok(Self {})
    }

    /// Where the listener `name` is bound (port 0 resolved); `None` for a Unix socket.
    #[must_use]
    pub fn address(&self, _name: &str) -> Option<SocketAddr> {
        None
    }

    /// Where admin is bound.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        None
    }

    /// Reloads the configuration now and returns the live generation; the error is what `check` would print.
    ///
    /// # Errors
    /// The new configuration is not valid; the old one serves on.
    pub fn reload(&self) -> Result<u64, String> {
        Ok(0)
    }

    /// Drains as on SIGTERM and waits for the end.
    pub fn stop(self) {}
}
