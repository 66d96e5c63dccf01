//! The command line. Exit codes: 0, 1 runtime, 2 usage, 64 bad configuration.

mod check;
mod completions;
mod demo;
pub(crate) mod diff;
mod exit_codes;
mod explain;
mod import;
mod inject;
pub mod keygen;
mod learn;
mod man;
mod output;
mod panics;
mod probe;
mod progress;
mod receipts;
mod replay;
mod routes;
mod run;
mod schema;
pub(crate) mod show;
mod test;
mod token;
mod webhook;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

/// The configuration is not valid.
const BAD_CONFIGURATION: u8 = 64;

/// Where the configuration is when nobody says otherwise.
const DEFAULT_CONFIG: &str = "/etc/countersign/countersign.yaml";

/// An authenticating reverse proxy
///
/// Lets through only requests whose bearer token and route policy allow them, and vouches for the caller to the upstream.
#[derive(Debug, Parser)]
#[command(
    name = "countersign",
    version,
    arg_required_else_help = true,
    after_help = "Examples:\n  countersign check countersign.yaml\n  countersign run --config countersign.yaml"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Arguments),
    Check(check::Arguments),
    Explain(Box<explain::Arguments>),
    Test(test::Arguments),
    Import(import::Arguments),
    Learn(learn::Arguments),
    Replay(replay::Arguments),
    Diff(diff::Arguments),
    Receipts(receipts::Arguments),
    Routes(routes::Arguments),
    Schema(schema::Arguments),
    Keygen(keygen::KeygenArgs),
    Token(token::Arguments),
    Probe(Box<probe::Arguments>),
    Inject(inject::Arguments),
    Webhook(webhook::Arguments),
    Demo(demo::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
}

/// Reads the command line and does what it says.
#[must_use]
pub fn run() -> ExitCode {
    panics::install();
    let arguments = command().try_get_matches();
    let arguments = match arguments.and_then(|found| Arguments::from_arg_matches(&found)) {
        Ok(arguments) => arguments,
        Err(error) => return unread(&error),
    };
    match arguments.command {
        Command::Run(arguments) => run::run(arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Import(arguments) => import::run(arguments),
        Command::Learn(arguments) => learn::run(arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Diff(arguments) => diff::run(&arguments),
        Command::Receipts(arguments) => receipts::run(&arguments),
        Command::Routes(arguments) => routes::run(&arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Keygen(arguments) => report(keygen::run(&arguments)),
        Command::Token(arguments) => token::run(&arguments),
        Command::Probe(arguments) => probe::run(&arguments),
        Command::Inject(arguments) => inject::run(&arguments),
        Command::Webhook(arguments) => webhook::run(&arguments),
        Command::Demo(arguments) => demo::run(arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
    }
}

/// The command line.
fn command() -> clap::Command {
    exit_codes::told(Arguments::command())
}

/// What is printed where there is nothing to run: help, the version, or what is wrong with the command line. A wrong one of
/// `diff` or `replay` is no difference, so it has the exit code of a wrong configuration.
fn unread(error: &clap::Error) -> ExitCode {
    let _gone = error.print();
    match std::env::args_os().nth(1) {
        _ if !error.use_stderr() => ExitCode::SUCCESS,
        Some(command) if command == "diff" || command == "replay" => {
            ExitCode::from(BAD_CONFIGURATION)
        }
        _ => ExitCode::from(2),
    }
}

/// The exit code of a command that ends in an error of its own.
fn report<E: std::error::Error>(result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::err(&format!("countersign: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

/// The configuration file when no option names one.
fn default_config() -> PathBuf {
    std::env::var_os("COUNTERSIGN_CONFIG").map_or_else(|| DEFAULT_CONFIG.into(), PathBuf::from)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_command_has_help_with_an_example() {
        let mut command = super::command();
        command.build();
        command.clone().debug_assert();
        for sub in command
            .get_subcommands()
            .filter(|sub| sub.get_name() != "help")
        {
            let help = sub.get_after_help().map(ToString::to_string);
            assert!(
                help.is_some_and(|help| help.contains("Example")),
                "{}",
                sub.get_name()
            );
            assert!(sub.get_about().is_some(), "{}", sub.get_name());
        }
    }
}
