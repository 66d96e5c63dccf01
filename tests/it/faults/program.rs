//! The program itself: out of file descriptors, started with bad files, ended at any moment.

use std::fs;
use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use countersign::clock::Clock;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use serde_json::Value;

use crate::bed::raw_h2::{Block, Peer, frames};
use crate::bed::{Connection, Issuer, Mode, Next, Proxy, Request, Upstream, eventually};

/// The program, running; killed when dropped.
pub(super) struct Program {
    child: Child,
    lines: Arc<Mutex<Vec<Value>>>,
}

impl Program {
    /// Runs with so many open files at most.
    fn start(config: &Path, open_files: u32) -> Self {
        Self::after(config, &format!("ulimit -n {open_files}"))
    }

    /// Runs in the process that has run this command of the shell.
    pub(super) fn after(config: &Path, command: &str) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", &format!("{command}; exec \"$0\" run --config \"$1\"")])
            .arg(env!("CARGO_BIN_EXE_countersign"))
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::Null);
                into.lock().expect("lines").push(line);
            }
        });
        Self { child, lines }
    }

    fn pid(&self) -> Pid {
        let id = i32::try_from(self.child.id()).expect("a process id");
        Pid::from_raw(id).expect("a process id")
    }

    pub(super) fn count(&self, member: &str, value: &str) -> usize {
        let lines = self.lines.lock().expect("lines");
        lines.iter().filter(|line| line[member] == value).count()
    }

    /// The first event of that name.
    pub(super) fn event(&self, name: &str) -> Value {
        self.await_event(name, 1);
        let lines = self.lines.lock().expect("lines");
        let found = lines.iter().find(|line| line["event"] == name);
        found.expect("an event").clone()
    }

    pub(super) fn await_event(&self, name: &str, n: usize) {
        eventually(name, || self.count("event", name) >= n);
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("a process");
    }

    pub(super) fn end(&mut self) -> ExitStatus {
        let ended = std::cell::Cell::new(None);
        let child = std::cell::RefCell::new(&mut self.child);
        eventually("the end of the program", || {
            ended.set(child.borrow_mut().try_wait().expect("a child"));
            ended.get().is_some()
        });
        ended.get().expect("an end")
    }

    /// Processor time so far, in hundredths of a second.
    fn ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("proc");
        let (_, fields) = stat.rsplit_once(") ").expect("fields");
        let fields: Vec<_> = fields.split(' ').collect();
        let number = |at: usize| fields[at].parse::<u64>().expect("a number");
        number(11) + number(12)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(super) struct World {
    pub(super) dir: tempfile::TempDir,
    upstream: Upstream,
    issuer: Issuer,
    pub(super) inbound: std::net::SocketAddr,
    pub(super) admin: std::net::SocketAddr,
}

fn free() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().expect("a folder"),
            upstream: Upstream::start(),
            issuer: Issuer::start(&Clock::system()),
            inbound: free(),
            admin: free(),
        }
    }

    pub(super) fn text(&self) -> String {
        format!(
            "workers: 1\ninbound: {{listen: {}, upstream: {}}}\nadmin: {{listen: {}}}\n\
             drain: {{delay: 0s, deadline: 1s}}\n\
             issuers: [{{name: main, issuer: {}, jwks: {{url: {}, allow_http: true}}, audiences: [api]}}]\n\
             routes: [{{path: /open, allow: anyone}}, {{path: /closed, allow: {{issuer: main}}}}]\n",
            self.inbound,
            self.upstream.url(),
            self.admin,
            self.issuer.iss,
            self.issuer.jwks_url(),
        )
    }

    fn config(&self) -> PathBuf {
        let path = self.dir.path().join("config.yaml");
        fs::write(&path, self.text()).expect("a file");
        path
    }

    fn started(&self, open_files: u32) -> Program {
        let program = Program::start(&self.config(), open_files);
        program.await_event("proxy.started", 1);
        program
    }
}

pub(super) fn open() -> Vec<u8> {
    Request::get("/open").bytes()
}

fn livez() -> Vec<u8> {
    Request::get("/livez").host("localhost").bytes()
}

#[test]
fn invariant_60_descriptors_are_kept_for_admin_however_many_callers_connect() {
    let world = World::new();
    let program = world.started(256);
    // Two for each connection, beside the 64 that are kept: 96 connections.
    let callers: Vec<_> = (0..300).map(|_| Connection::open(world.inbound)).collect();
    eventually("refused connections", || {
        program.count("reason", "too_many_connections") >= 300 - 96
    });
    assert_eq!(program.count("reason", "too_many_connections"), 300 - 96);
    assert_eq!(program.count("event", "listener.accept_failed"), 0);
    let mut admin = Connection::open(world.admin);
    assert_eq!(admin.exchange(livez()).status, 200);
    // Those that were let in are served.
    let served = callers
        .into_iter()
        .filter_map(|mut caller| caller.send(open()).read_to("GET").ok())
        .filter(|answer| answer.status == 200)
        .count();
    assert_eq!(served, 96);
    // All are gone: others have their places.
    eventually("a served request", || {
        let answer = Connection::open(world.inbound).send(open()).read_to("GET");
        answer.is_ok_and(|answer| answer.status == 200)
    });
}

/// One connection of HTTP/2 may want a hundred to the upstream.
#[test]
fn invariant_60_descriptors_are_kept_for_admin_however_many_requests_share_a_connection() {
    let world = World {
        upstream: Upstream::scripted(|exchange| {
            exchange.await_close()?;
            Ok(Next::Close)
        }),
        ..World::new()
    };
    let program = world.started(256);
    let mut peers = [(); 3].map(|()| Peer::plain(world.inbound));
    let block = Block::request("/open").0;
    for peer in &mut peers {
        for stream in (1..200).step_by(2) {
            peer.send(frames::get(stream, &block));
        }
    }
    eventually("the rest is refused", || {
        program.count("reason", "overloaded") >= 300 - 96
    });
    assert_eq!(program.count("reason", "overloaded"), 300 - 96);
    world.upstream.await_open(96);
    let mut admin = Connection::open(world.admin);
    assert_eq!(admin.exchange(livez()).status, 200);
    let mut other = Connection::open(world.inbound);
    assert_eq!(other.exchange(open()).status, 503);
    drop(peers);
    // All are gone: others have their places.
    world.upstream.await_open(0);
    let mut other = Connection::open(world.inbound);
    other.send(open());
    world.upstream.await_open(1);
}

/// Found by measuring: seven pages of 2 MiB, nearly empty, were most of the program's memory.
#[cfg(target_os = "linux")]
#[test]
fn the_program_takes_no_huge_pages() {
    let world = World::new();
    let program = world.started(256);
    let mut client = Connection::open(world.inbound);
    client.send(open());
    assert_eq!(client.read().status, 200);
    let facts = |file: &str| {
        let path = format!("/proc/{}/{file}", program.child.id());
        fs::read_to_string(path).expect("its facts")
    };
    let huge: u64 = facts("smaps")
        .lines()
        .filter_map(|line| line.strip_prefix("AnonHugePages:"))
        .map(|size| {
            size.trim()
                .trim_end_matches(" kB")
                .parse()
                .unwrap_or(u64::MAX)
        })
        .sum();
    assert_eq!(huge, 0, "KiB in huge pages");
    assert!(facts("status").contains("THP_enabled:\t0"));
}

#[test]
fn invariant_60_out_of_descriptors_accepting_neither_ends_nor_spins_and_recovers() {
    let world = World::new();
    let program = world.started(256);
    let mut admin = Connection::open(world.admin);
    assert_eq!(admin.exchange(livez()).status, 200);
    let before = getrlimit(Resource::Nofile);
    let limit = |current| Rlimit {
        current: Some(current),
        maximum: Some(256.min(before.maximum.unwrap_or(256))),
    };
    // Below what is open: not one more.
    prlimit(Some(program.pid()), Resource::Nofile, limit(3)).expect("a limit");
    let mut waits = Connection::open(world.inbound);
    waits.send(open());
    program.await_event("listener.accept_failed", 1);
    let (clock, ticks) = (Clock::system(), program.ticks());
    let start = clock.tick();
    let seen = program.count("event", "listener.accept_failed");
    program.await_event("listener.accept_failed", seen + 20);
    let rested = clock.tick().since(start);
    // Each attempt rests 50 ms; one that spins would make thousands of them.
    assert!(rested.as_millis() >= 18 * 50, "{rested:?}");
    let used = program.ticks() - ticks;
    assert!(used <= 20, "{used} hundredths of a second for 20 attempts");
    assert_eq!(
        admin.exchange(livez()).status,
        200,
        "an open connection to admin"
    );
    prlimit(Some(program.pid()), Resource::Nofile, limit(256)).expect("a limit");
    assert_eq!(waits.read().status, 200, "whoever waited is served");
    let mut next = Connection::open(world.inbound);
    assert_eq!(next.exchange(open()).status, 200);
}

/// Makes what is not a configuration at a path.
type Spoil = fn(&Path, &str);

/// A name, and what is at the configuration's path instead of it.
const SPOILT: &[(&str, Spoil)] = &[
    ("missing", |_, _| {}),
    ("empty", |path, _| fs::write(path, "").expect("a file")),
    ("half-written", |path, text| {
        fs::write(path, &text[..text.len() - 20]).expect("a file");
    }),
    ("a third of it", |path, text| {
        fs::write(path, &text[..text.len() / 3]).expect("a file");
    }),
    ("binary", |path, _| {
        fs::write(path, [0_u8, 159, 146, 150]).expect("a file")
    }),
    ("a folder", |path, _| {
        fs::create_dir(path).expect("a folder")
    }),
    ("huge", |path, _| {
        fs::File::create(path)
            .expect("a file")
            .set_len(1 << 36)
            .expect("a sparse file");
    }),
    ("a link to nowhere", |path, _| {
        std::os::unix::fs::symlink("nowhere", path).expect("a link");
    }),
    ("a link to itself", |path, _| {
        std::os::unix::fs::symlink(path, path).expect("a link");
    }),
    ("a FIFO that nobody writes", |path, _| {
        let made = Command::new("mkfifo").arg(path).status().expect("mkfifo");
        assert!(made.success());
    }),
];

#[test]
fn invariant_54_67_a_bad_file_at_the_start_ends_loudly_with_64_every_time() {
    let world = World::new();
    for (name, spoil) in SPOILT {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("config.yaml");
        spoil(&path, &world.text());
        for _ in 0..2 {
            let mut program = Program::start(&path, 256);
            assert_eq!(program.end().code(), Some(64), "{name}");
            let mut said = String::new();
            let errors = program.child.stderr.as_mut().expect("its errors");
            errors.read_to_string(&mut said).expect("text");
            assert!(said.contains("config.yaml"), "{name}: {said}");
        }
    }
    // The twin.
    let mut program = world.started(256);
    program.signal(Signal::TERM);
    assert_eq!(program.end().code(), Some(0));
}

#[test]
fn invariant_66_67_sigterm_during_start_fetch_or_reload_ends_in_order() {
    use std::os::unix::process::ExitStatusExt as _;
    let world = World::new();
    // The issuer hangs: the program starts all the same, and ends although the fetch does not.
    world.issuer.mode(Mode::Hang);
    let mut program = world.started(256);
    world.issuer.await_fetches(1);
    program.signal(Signal::TERM);
    assert_eq!(program.end().code(), Some(0), "during a fetch");
    world.issuer.mode(Mode::Ok);

    let mut program = world.started(256);
    for _ in 0..20 {
        program.signal(Signal::HUP);
    }
    program.await_event("config.reloaded", 1);
    for _ in 0..20 {
        program.signal(Signal::HUP);
    }
    program.signal(Signal::TERM);
    assert_eq!(program.end().code(), Some(0), "during reloads");

    // At whatever moment of the start: by us in order, or by the system before we are there.
    let config = world.config();
    for wait in 0..10_u32 {
        let mut program = Program::start(&config, 256);
        for _ in 0..wait * 200 {
            std::thread::yield_now();
        }
        program.signal(Signal::TERM);
        let status = program.end();
        assert!(
            status.code() == Some(0) || status.signal() == Some(15),
            "{status:?}"
        );
    }
}

/// As the kubelet does it: `config.yaml` leads through `..data`, which is swapped in one step.
#[test]
fn invariant_54_kubernetes_swaps_are_noticed_and_bad_ones_change_nothing() {
    let world = World::new();
    let root = world.dir.path();
    let publish = |name: &str, text: Option<&str>| {
        let folder = root.join(name);
        fs::create_dir(&folder).expect("a folder");
        if let Some(text) = text {
            fs::write(folder.join("config.yaml"), text).expect("a file");
        }
        let beside = root.join("..data_tmp");
        std::os::unix::fs::symlink(name, &beside).expect("a link");
        fs::rename(&beside, root.join("..data")).expect("a swap");
    };
    let good = world
        .text()
        .replace(&world.inbound.to_string(), "127.0.0.1:0");
    let good = good.replace(&world.admin.to_string(), "127.0.0.1:0");
    let closed = good.replace("path: /open, allow: anyone", "path: /open, allow: nobody");
    publish("..v1", Some(&good));
    std::os::unix::fs::symlink("..data/config.yaml", root.join("config.yaml")).expect("a link");
    let clock = Clock::system();
    let proxy = Proxy::try_start(&root.join("config.yaml"), &clock, &["inbound"]).expect("a start");
    let status = || proxy.send(&Request::get("/open")).status;
    assert_eq!(status(), 200);
    let rejected = || {
        proxy
            .events()
            .iter()
            .filter(|line| line["event"] == "config.rejected")
            .count()
    };
    for (n, text) in [
        Some(&good[..good.len() - 20]),
        Some("routes: []\n"),
        Some(""),
        None,
    ]
    .into_iter()
    .enumerate()
    {
        let before = rejected();
        publish(&format!("..bad{n}"), text);
        eventually("a rejection", || rejected() > before);
        assert_eq!(status(), 200, "{text:?}");
        assert_eq!(proxy.admin_get("/readyz").status, 200, "{text:?}");
    }
    publish("..v2", Some(&closed));
    eventually("the new policy", || status() == 403);
    publish("..v3", Some(&good));
    eventually("the old policy", || status() == 200);
}
