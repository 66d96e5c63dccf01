//! The program itself, in a process of its own: where memory is measured, and nothing else is.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::{Connection, Request, eventually};

/// An issuer whose keys are not to be had: nobody brings a token here.
const NOBODY: &str = "issuers: [{name: none, issuer: \"http://127.0.0.1:1\", \
                      jwks: {url: \"http://127.0.0.1:1/jwks\", allow_http: true}, audiences: [api]}]\n";

/// A running `countersign run`, listening on a Unix socket; killed when dropped.
pub struct Daemon {
    child: Child,
    socket: PathBuf,
    _dir: tempfile::TempDir,
}

impl Daemon {
    /// Starts it before `upstream` with these lines (`routes:` and whatever else) and waits until it serves.
    pub fn start(upstream: &str, lines: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = dir.path().join("in.sock");
        let text = format!(
            "workers: 1\nadmin: {{listen: 127.0.0.1:0}}\ndrain: {{delay: 0s, deadline: 1s}}\n\
             inbound: [{{name: plain, listen: \"unix:{}\", upstream: \"{upstream}\"}}]\n{NOBODY}{lines}",
            socket.display()
        );
        let config = dir.path().join("config.yaml");
        std::fs::write(&config, text).expect("a file");
        let child = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .arg("run")
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program");
        let daemon = Self {
            child,
            socket,
            _dir: dir,
        };
        eventually("the program listens", || {
            std::os::unix::net::UnixStream::connect(&daemon.socket).is_ok()
        });
        daemon
    }

    /// A connection to its listener.
    pub fn connect(&self) -> Connection {
        Connection::unix(&self.socket)
    }

    /// One request on a connection of its own.
    #[track_caller]
    pub fn get(&self, path: &str) -> u16 {
        self.connect().exchange(Request::get(path).bytes()).status
    }

    /// Forgets the peak: from here on it is what the program holds now, which is returned, in bytes.
    pub fn forget_peak_memory(&self) -> u64 {
        let path = format!("/proc/{}/clear_refs", self.child.id());
        std::fs::write(path, "5").expect("a process of our own");
        self.status("VmHWM:")
    }

    /// The most memory that it held since it started, or since the peak was forgotten, in bytes.
    pub fn peak_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, line: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(path).expect("a process");
        let line = text.lines().find_map(|text| text.strip_prefix(line));
        let kibibytes = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
        let kibibytes: u64 = kibibytes.expect("a line").parse().expect("a number");
        kibibytes * 1024
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
