//! `countersign run`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{BAD_CONFIGURATION, check, output};
use crate::app::{App, LogSink, Options, StartError};
use crate::clock::Clock;

/// Run the proxy
///
/// Reloads the configuration when it, or a file it names, changes, and on SIGHUP. SIGTERM drains; a second one ends.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  countersign run --config countersign.yaml")]
pub(super) struct Arguments {
    /// The configuration file; by default that of COUNTERSIGN_CONFIG, or /etc/countersign/countersign.yaml.
    #[arg(long, short, value_name = "FILE", default_value_os_t = super::default_config(), hide_default_value = true)]
    config: PathBuf,
}

/// Runs until a signal ends it.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    let options = Options {
        config: arguments.config,
        clock: Clock::system(),
        log: LogSink::Stdout,
        signals: true,
    };
    match App::start(options).and_then(App::wait) {
        Ok(()) => ExitCode::SUCCESS,
        Err(StartError::Config(problems)) => {
            output::err(&check::report(&problems));
            ExitCode::from(BAD_CONFIGURATION)
        }
        Err(error) => {
            output::err(&format!("countersign: {error}\n"));
            ExitCode::FAILURE
        }
    }
}
