//! A proxy in this process.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use countersign::app::{App, LogSink, Options};
use countersign::clock::Clock;
use serde_json::Value;

use super::{Connection, PATIENCE, Request, Response, secrets};

type Job = Box<dyn FnOnce(&App) + Send>;

#[derive(Default)]
struct Lines {
    all: Vec<String>,
    parsed: Vec<Value>,
    ended: bool,
}

type Log = Arc<(Mutex<Lines>, Condvar)>;

/// A running proxy; stops when dropped.
pub struct Proxy {
    config: PathBuf,
    log: Log,
    jobs: Option<Sender<Job>>,
    ended: Option<Mutex<Receiver<()>>>,
    /// Whether the end is a drain (a test asked for it) or at once.
    stops_in_order: Arc<std::sync::atomic::AtomicBool>,
    addresses: BTreeMap<String, SocketAddr>,
    admin: SocketAddr,
}

impl Proxy {
    /// Starts from a configuration file.
    ///
    /// # Errors
    /// What the program would print.
    pub fn try_start(config: &Path, clock: &Clock, names: &[&str]) -> Result<Self, String> {
        let log = Log::default();
        let (lines, received) = channel::<Vec<u8>>();
        let into = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in received {
                let text = String::from_utf8_lossy(&line).into_owned();
                let parsed = serde_json::from_str(&text).unwrap_or(Value::Null);
                let mut lines = into.0.lock().expect("lines");
                lines.all.push(text);
                lines.parsed.push(parsed);
                drop(lines);
                into.1.notify_all();
            }
            into.0.lock().expect("lines").ended = true;
            into.1.notify_all();
        });
        let options = Options {
            config: config.to_owned(),
            clock: clock.clone(),
            log: LogSink::Channel(lines),
            signals: false,
        };
        // The app lives on a thread of its own, so that a start, reload or stop that hangs fails the test.
        let (jobs, to_do) = channel::<Job>();
        let (started, outcome) = channel();
        let (end, ended) = channel::<()>();
        let orderly = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stops_in_order = Arc::clone(&orderly);
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        std::thread::Builder::new()
            .name("bed-app".into())
            .spawn(move || {
                let app = match App::start(options) {
                    Ok(app) => app,
                    Err(error) => {
                        let _ = started.send(Err(chain(&error)));
                        return;
                    }
                };
                let addresses: BTreeMap<_, _> = names
                    .into_iter()
                    .filter_map(|name| app.address(&name).map(|address| (name, address)))
                    .collect();
                let admin = app.admin_address();
                let _ = started.send(Ok((addresses, admin)));
                for job in to_do {
                    job(&app);
                }
                if orderly.load(std::sync::atomic::Ordering::Acquire) {
                    app.stop();
                } else {
                    app.kill();
                }
                drop(end);
            })
            .expect("a thread");
        let (addresses, admin) = outcome
            .recv_timeout(PATIENCE)
            .map_err(|_| "the start took too long".to_owned())??;
        Ok(Self {
            config: config.to_owned(),
            log,
            jobs: Some(jobs),
            ended: Some(Mutex::new(ended)),
            stops_in_order,
            addresses,
            admin: admin.ok_or("no admin address")?,
        })
    }

    fn run<T: Send + 'static>(&self, job: impl FnOnce(&App) -> T + Send + 'static) -> T {
        let (done, result) = channel();
        let job: Job = Box::new(move |app| {
            let _ = done.send(job(app));
        });
        self.jobs
            .as_ref()
            .expect("a running app")
            .send(job)
            .expect("a running app");
        result
            .recv_timeout(PATIENCE)
            .expect("the app took too long")
    }

    /// The only listener, or the plain one of several.
    pub fn addr(&self) -> SocketAddr {
        *self
            .addresses
            .get("inbound")
            .or_else(|| self.addresses.get("plain"))
            .expect("a plain listener")
    }

    /// A listener by name.
    pub fn address(&self, name: &str) -> SocketAddr {
        self.addresses[name]
    }

    /// The admin listener.
    pub const fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Connects to the only listener.
    pub fn connect(&self) -> Connection {
        Connection::open(self.addr())
    }

    /// One request on a connection of its own.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Response {
        self.connect()
            .send(request.bytes())
            .read_to(&request.method)
            .expect("an answer")
    }

    /// A GET of admin.
    #[track_caller]
    pub fn admin_get(&self, path: &str) -> Response {
        let host = self.admin.to_string();
        Connection::open(self.admin).exchange(
            Request::get(path)
                .host(&host)
                .header("connection", "close")
                .bytes(),
        )
    }

    /// The sum of all series of a metric whose labels contain `label` (all when empty).
    pub fn metric(&self, name: &str, label: &str) -> f64 {
        let text = self.admin_get("/metrics").expect(200).text();
        text.lines()
            .filter(|line| {
                line.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with(['{', ' ']))
                    && line.contains(label)
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Writes a new configuration and reloads.
    ///
    /// # Errors
    /// What `check` would print.
    pub fn reload(&self, text: &str) -> Result<u64, String> {
        std::fs::write(&self.config, text).expect("a file");
        self.reload_as_is()
    }

    /// Reloads what is there.
    ///
    /// # Errors
    /// What `check` would print.
    pub fn reload_as_is(&self) -> Result<u64, String> {
        self.run(App::reload)
    }

    /// Drains and stops; returns when the app has ended.
    pub fn stop(mut self) -> Stopping {
        self.stops_in_order
            .store(true, std::sync::atomic::Ordering::Release);
        self.jobs = None;
        Stopping { proxy: self }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.log.0.lock().expect("lines")
    }

    /// Everything that was logged.
    pub fn log_text(&self) -> String {
        self.lines().all.join("\n")
    }

    /// Decision records so far.
    pub fn records(&self) -> Vec<Value> {
        self.lines()
            .parsed
            .iter()
            .filter(|line| is_record(line))
            .cloned()
            .collect()
    }

    /// Events so far: everything that is no decision record.
    pub fn events(&self) -> Vec<Value> {
        self.lines()
            .parsed
            .iter()
            .filter(|line| !is_record(line))
            .cloned()
            .collect()
    }

    /// Waits until there are `n` decision records and returns all.
    #[track_caller]
    pub fn await_records(&self, n: usize) -> Vec<Value> {
        self.await_lines("decision records", n, is_record)
    }

    /// Waits until `n` lines satisfy `wanted`, and returns all that do.
    #[track_caller]
    fn await_lines(&self, what: &str, n: usize, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let (lines, timeout) = self
            .log
            .1
            .wait_timeout_while(self.lines(), PATIENCE, |lines| {
                lines.parsed.iter().filter(|line| wanted(line)).count() < n
            })
            .expect("lines");
        let text = lines.all.join("\n");
        let found = lines
            .parsed
            .iter()
            .filter(|line| wanted(line))
            .cloned()
            .collect();
        drop(lines);
        assert!(
            !timeout.timed_out(),
            "waited in vain for {n} of {what} in\n{text}"
        );
        found
    }

    /// Waits for the record of the request with this id; fails when there are several.
    #[track_caller]
    pub fn await_record(&self, id: &str) -> Value {
        let mut found = self.await_lines(id, 1, |line| is_record(line) && line["request_id"] == id);
        assert_eq!(found.len(), 1, "one decision record: {found:?}");
        found.remove(0)
    }

    /// Events of that name about that issuer so far.
    pub fn issuer_events(&self, name: &str, issuer: &str) -> usize {
        let events = self.events();
        events
            .iter()
            .filter(|line| line["event"] == name && line["issuer"] == issuer)
            .count()
    }

    /// Waits until an event of that name about that issuer was logged `n` times.
    #[track_caller]
    pub fn await_issuer_events(&self, name: &str, issuer: &str, n: usize) {
        self.await_lines(name, n, |line| {
            line["event"] == name && line["issuer"] == issuer
        });
    }

    /// Does what changes an issuer's keys, and waits until they are taken. A refresh that brings nothing new is told at debug,
    /// which beds log too: a second look at the change before this one must not be taken for it.
    #[track_caller]
    pub fn await_new_keys(&self, issuer: &str, change: impl FnOnce()) {
        let is_change = |line: &Value| {
            line["event"] == "jwks.refreshed" && line["issuer"] == issuer && line["level"] == "info"
        };
        self.await_lines("jwks.refreshed", 1, is_change);
        let before = self.events().iter().filter(|line| is_change(line)).count();
        change();
        self.await_lines("jwks.refreshed", before + 1, is_change);
    }

    /// Waits for an event of that name.
    #[track_caller]
    pub fn await_event(&self, name: &str) -> Value {
        self.await_lines(name, 1, |line| is_event(line, name))
            .remove(0)
    }
}

/// How long the end of a proxy waits for its last words.
const LAST_WORDS: Duration = Duration::from_secs(2);

impl Drop for Proxy {
    /// Invariant 46: searches whatever the proxy has said, in whichever test.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        if let Some(jobs) = self.jobs.take() {
            for path in ["/metrics", "/status", "/", "/.well-known/jwks.json"] {
                secrets::assert_none(path, &peek(self.admin, path));
            }
            drop(jobs);
        }
        let (lines, _) = self
            .log
            .1
            .wait_timeout_while(self.lines(), LAST_WORDS, |lines| !lines.ended)
            .expect("lines");
        let found = lines
            .all
            .iter()
            .find_map(|line| secrets::find(line.as_bytes()));
        drop(lines);
        assert!(
            found.is_none(),
            "the log holds {}",
            found.unwrap_or_default()
        );
    }
}

/// A page of admin as it comes; nothing where a test has left admin unable to answer.
fn peek(admin: SocketAddr, path: &str) -> Vec<u8> {
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&admin, LAST_WORDS)?;
        stream.set_read_timeout(Some(LAST_WORDS))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n"
        )?;
        let mut page = Vec::new();
        stream.read_to_end(&mut page)?;
        Ok(page)
    };
    ask().unwrap_or_default()
}

/// A proxy that ends.
pub struct Stopping {
    proxy: Proxy,
}

impl Stopping {
    /// The proxy while it ends.
    pub const fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// Waits until the listener takes no more connections.
    #[track_caller]
    pub fn await_refusing(&self, address: SocketAddr) {
        super::eventually("new connections are refused", || {
            TcpStream::connect(address).is_err()
        });
    }

    /// Waits until the app has ended.
    #[track_caller]
    pub fn await_end(mut self) {
        let ended = self.proxy.ended.take().expect("an end");
        // The sender is dropped at the end.
        let outcome = ended.lock().expect("an end").recv_timeout(PATIENCE);
        assert_eq!(
            outcome,
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected),
            "the end"
        );
    }
}

/// A request's decision record, or the record of what HTTP refused before a request existed.
fn is_record(line: &Value) -> bool {
    line["type"] == "request" || line["type"] == "connection"
}

fn is_event(line: &Value, name: &str) -> bool {
    line["type"] == "event" && line["event"] == name
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
