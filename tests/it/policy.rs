//! A policy tried before it is enforced: `explain`, `test` and `check`, held to what a running proxy does.

mod check_command;
mod diff_command;
mod explain;
mod explain_command;
mod import;
mod learn;
mod listener;
mod ramp;
mod replay;
mod test_command;
mod the_loop;
mod xml;

use std::path::Path;
use std::process::{Command, Output};

/// The program, without colour and without an environment of the tester's own.
fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(arguments).env_clear().env("COLUMNS", "120");
    command
}

/// Exit code, standard output and standard error.
fn run(arguments: &[&str]) -> (i32, String, String) {
    outcome(&program(arguments).output().expect("the program"))
}

fn outcome(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    (
        output.status.code().expect("an exit code"),
        text(&output.stdout),
        text(&output.stderr),
    )
}

fn path(path: &Path) -> &str {
    path.to_str().expect("text")
}
