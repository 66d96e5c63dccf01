//! Programs in other languages that tests talk to. What they need may be absent: then a test says so, loudly, and passes;
//! where `COUNTERSIGN_REQUIRE` names the program (as in CI, which installs it), it fails instead.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};

use crate::bed::PATIENCE;

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Says that `what` cannot be run because of `why`.
pub fn skip(what: &str, why: &str) {
    let required = std::env::var("COUNTERSIGN_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(' ').any(|one| one == what),
        "{what} is required here: {why}"
    );
    // Not `eprintln!`: the test harness would keep it to itself.
    let _ = writeln!(std::io::stderr(), "\nSKIPPED: {what}: {why}");
}

/// `node`, when it runs and the packages of the folder are installed.
pub fn node(what: &str, folder: &str) -> Option<Command> {
    let folder = root().join(folder);
    if !folder.join("node_modules").is_dir() {
        skip(
            what,
            &format!("no packages: npm ci in {}", folder.display()),
        );
        return None;
    }
    let mut command = Command::new("node");
    if !command
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
    {
        skip(what, "no node here");
        return None;
    }
    let mut command = Command::new("node");
    command.current_dir(folder);
    Some(command)
}

/// A Python that has what `tests/python/requirements.txt` names: of `COUNTERSIGN_PYTHON`, of `target/ci-venv`, or the
/// system's.
pub fn python(what: &str) -> Option<Command> {
    python_with(what, "jwt, cryptography, http_message_signatures")
}

/// The same for one that can import `modules`.
pub fn python_with(what: &str, modules: &str) -> Option<Command> {
    let found = std::env::var_os("COUNTERSIGN_PYTHON")
        .map(PathBuf::from)
        .into_iter()
        .chain([
            root().join("target/ci-venv/bin/python"),
            PathBuf::from("python3"),
        ])
        .find(|python| {
            let output = Command::new(python)
                .args(["-c", &format!("import {modules}")])
                .output();
            output.is_ok_and(|output| output.status.success())
        });
    if found.is_none() {
        skip(what, &format!("no Python here that can import {modules}"));
    }
    found.map(Command::new)
}

/// A program that listens; ends when dropped.
pub struct Program {
    child: Child,
    /// What it printed after `listening on `.
    pub place: String,
}

impl Program {
    /// Starts it and waits until it says where it listens. An interpreter that does not get there on a busy machine is
    /// ended and started once more: what is tested is what it does afterwards.
    pub fn start(command: &mut Command) -> Self {
        Self::attempt(command)
            .or_else(|_| Self::attempt(command))
            .unwrap_or_else(|error| panic!("{command:?} does not listen: {error}"))
    }

    fn attempt(command: &mut Command) -> Result<Self, RecvTimeoutError> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let (said, place) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Some(place) = line.strip_prefix("listening on ") {
                    let _ = said.send(place.to_owned());
                }
            }
        });
        let mut program = Self {
            child,
            place: String::new(),
        };
        // Longer than patience: an interpreter takes its time.
        program.place = place.recv_timeout(PATIENCE * 6)?;
        Ok(program)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end on this input.
pub fn run(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut to = child.stdin.take().expect("its input");
    to.write_all(input.as_bytes()).expect("input taken");
    drop(to);
    child.wait_with_output().expect("its end")
}
