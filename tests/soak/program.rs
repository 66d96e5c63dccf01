//! The program under soak, as a child process.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use countersign::clock::Clock;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use crate::world::Places;

/// How long anything may take that should happen at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is read of a log line.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Line<'a> {
    #[serde(rename = "type", borrow)]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub event: Cow<'a, str>,
    #[serde(borrow)]
    pub level: Cow<'a, str>,
    #[serde(borrow)]
    pub request_id: Cow<'a, str>,
    #[serde(borrow)]
    pub decision: Cow<'a, str>,
    #[serde(borrow)]
    pub route: Cow<'a, str>,
    pub generation: u64,
}

impl Line<'_> {
    pub fn is_record(&self) -> bool {
        self.kind == "request"
    }

    pub fn is_event(&self, name: &str) -> bool {
        self.kind == "event" && self.event == name
    }
}

/// A running program; ends when dropped.
pub struct Program {
    child: Child,
    pub places: Places,
    reader: Option<JoinHandle<()>>,
}

impl Program {
    /// Starts it and waits until it is ready; `watch` sees every log line.
    pub fn start(
        config: &Path,
        places: Places,
        watch: impl FnMut(&Line<'_>) + Send + 'static,
    ) -> Self {
        let program = Command::new(env!("CARGO_BIN_EXE_countersign"));
        Self::of(program, config, places, watch)
    }

    /// The same of another build, with an environment of its own.
    pub fn of(
        mut program: Command,
        config: &Path,
        places: Places,
        mut watch: impl FnMut(&Line<'_>) + Send + 'static,
    ) -> Self {
        let mut child = program
            .args(["run", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let output = child.stdout.take().expect("its output");
        let reader = std::thread::spawn(move || {
            let mut output = BufReader::with_capacity(1 << 20, output);
            let mut line = String::new();
            while output.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                match serde_json::from_str::<Line<'_>>(&line) {
                    Ok(parsed) => {
                        if parsed.level == "error" {
                            eprint!("{line}");
                        }
                        watch(&parsed);
                    }
                    Err(error) => panic!("{error} in {line}"),
                }
                line.clear();
            }
        });
        let program = Self {
            child,
            places,
            reader: Some(reader),
        };
        eventually("it is ready", || program.is_ready());
        program
    }

    /// The same, when nobody reads the log.
    pub fn quiet(config: &Path, places: Places) -> Self {
        Self::start(config, places, |_| {})
    }

    pub fn is_ready(&self) -> bool {
        is_ready(self.places)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a signal");
    }

    /// Waits for the end, and for the last line of the log.
    pub fn wait(&mut self) -> ExitStatus {
        let clock = Clock::system();
        let start = clock.tick();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(clock.tick().since(start) < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(2));
        };
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the log is well formed");
        }
        status
    }

    /// SIGTERM, and the end.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Resident memory in KiB.
    pub fn rss(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("a running program");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("VmRSS");
        line.trim()
            .trim_end_matches(" kB")
            .trim()
            .parse()
            .expect("a number")
    }

    /// Processor time spent, in seconds.
    pub fn cpu(&self) -> f64 {
        let threads =
            std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("threads");
        threads
            .filter_map(|thread| {
                std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()
            })
            .filter_map(|text| text.split(' ').next()?.parse::<f64>().ok())
            .sum::<f64>()
            / 1e9
    }

    /// Open file descriptors.
    pub fn files(&self) -> usize {
        let path = format!("/proc/{}/fd", self.child.id());
        std::fs::read_dir(path).expect("a running program").count()
    }

    pub fn metrics(&self) -> String {
        get(self.places, "/metrics").expect("metrics").1
    }

    /// The sum of all series of a metric whose labels contain `label`.
    pub fn metric(&self, name: &str, label: &str) -> u64 {
        sum(&self.metrics(), name, label)
    }

    /// How many series there are.
    pub fn series(&self) -> usize {
        self.metrics()
            .lines()
            .filter(|line| !line.starts_with('#'))
            .count()
    }

    /// Waits until no request is in flight.
    pub fn await_idle(&self) {
        eventually("nothing is in flight", || {
            self.metric("http_server_active_requests", "") == 0
        });
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The sum of all series of `name` whose labels contain `label`, in the text of metrics.
pub fn sum(metrics: &str, name: &str, label: &str) -> u64 {
    let sum: f64 = metrics
        .lines()
        .filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
                && line.contains(label)
        })
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum();
    sum as u64
}

/// What kubelet asks.
pub fn is_ready(places: Places) -> bool {
    get(places, "/readyz").is_some_and(|(status, _)| status == 200)
}

fn get(places: Places, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(places.admin).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
        places.admin
    );
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.get(9..12)?.parse().ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some((status, body.to_owned()))
}

/// Waits until `holds`, with patience.
pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    let clock = Clock::system();
    let start = clock.tick();
    while !holds() {
        assert!(
            clock.tick().since(start) < PATIENCE,
            "waited in vain: {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
