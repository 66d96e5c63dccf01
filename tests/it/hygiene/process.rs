//! The real program in a process of its own, with everything it says.

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::bed::{Connection, Request, Response, eventually};

/// The program that cargo built for this test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_countersign");

/// A running program. What it prints goes to files: a pipe that nobody empties would stop it.
pub struct Process {
    child: Child,
    output: PathBuf,
    errors: PathBuf,
    admin: SocketAddr,
}

/// An address that nobody else uses: tests and the programs they start bind 127.0.0.1.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::new(127, 46, 0, 1), 0)).expect("a port");
    listener.local_addr().expect("an address")
}

/// The program with no environment but this; a panic would tell all it can.
pub fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(arguments)
        .env_clear()
        // Which mutation is on (tests/mutants/run).
        .envs(std::env::vars().filter(|(name, _)| name == "COUNTERSIGN_MUTANT"))
        .env("RUST_BACKTRACE", "full")
        .env("RUST_LOG", "trace")
        .envs(environment.iter().copied())
        .stdin(Stdio::null());
    command
}

impl Process {
    /// Runs `config`, which must bind admin to `admin`, and waits until it is live.
    pub fn start(config: &Path, admin: SocketAddr, environment: &[(&str, &str)]) -> Self {
        let output = config.with_extension("stdout");
        let errors = config.with_extension("stderr");
        let file = |path: &Path| std::fs::File::create(path).expect("a file");
        let config = config.to_str().expect("text");
        let child = command(&["run", "--config", config], environment)
            .stdout(file(&output))
            .stderr(file(&errors))
            .spawn()
            .expect("the program");
        let mut process = Self {
            child,
            output,
            errors,
            admin,
        };
        let listens = || std::net::TcpStream::connect(admin).is_ok();
        let ended = std::cell::Cell::new(false);
        let child = std::cell::RefCell::new(&mut process.child);
        eventually("admin listens", || {
            ended.set(child.borrow_mut().try_wait().expect("a state").is_some());
            ended.get() || listens()
        });
        assert!(!ended.get(), "it ended: {}", process.said());
        process
    }

    /// A page of admin.
    pub fn page(&self, path: &str) -> Response {
        let host = self.admin.to_string();
        let ask = Request::get(path).host(&host).header("connection", "close");
        Connection::open(self.admin).exchange(ask.bytes())
    }

    /// Standard output so far.
    pub fn output(&self) -> String {
        text(&self.output)
    }

    /// Standard output and standard error so far.
    pub fn said(&self) -> String {
        format!("{}{}", text(&self.output), text(&self.errors))
    }

    /// Waits until the output holds `word`, `n` times in all.
    #[track_caller]
    pub fn await_word(&self, word: &str, n: usize) {
        eventually(word, || self.output().matches(word).count() >= n);
    }

    /// Its arguments as other processes see them.
    pub fn arguments(&self) -> Vec<u8> {
        std::fs::read(format!("/proc/{}/cmdline", self.child.id())).unwrap_or_default()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("a signal");
    }

    /// Ends it in order.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.child.wait().expect("an end")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(path: &Path) -> String {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .expect("what it said");
    String::from_utf8_lossy(&bytes).into_owned()
}
