//! `countersign demo`: a development issuer, an upstream and the proxy in one process, and requests that show what it does.
//!
//! Nothing is staged: the issuer gives tokens over HTTP, the proxy fetches its keys over HTTP, the upstream verifies
//! assertions with the keys that the proxy publishes. Each step has an expectation, and the exit code tells whether all
//! of them hold.

mod client;
mod issuer;
mod servers;
mod show;
mod stay;
mod steps;
mod upstream;
mod walk;
mod world;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::output::{self, OutputFormat};
use crate::app::StartError;
use crate::clock::Clock;
use crate::identity::SigningKeyError;
use show::Look;
use steps::STEPS;
use world::{Setup, World};

/// See real requests let through, refused and vouched for
///
/// Starts a token issuer, an application, the proxy before it and a sidecar that adds tokens, all on this machine, and walks
/// through requests of every kind: what was asked, what was answered, what reached the application, and why. Then it stays up
/// for your own requests.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  countersign demo\n  countersign demo --once --output json\n  countersign demo --port 8080 9090"
)]
pub(super) struct Arguments {
    /// End after the walk.
    #[arg(long)]
    once: bool,
    /// Ports on 127.0.0.1: of the proxy and, if given, of admin, the issuer, the upstream and the sidecar; 0 or none: the system picks one.
    #[arg(long, value_name = "PORT", num_args = 1..=5)]
    port: Vec<u16>,
    /// Where the configuration is written; a new temporary directory when absent.
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    /// Who reads the output: `json` is one object per line.
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

/// Who reads.
#[derive(Clone, Copy, Debug)]
enum Audience {
    People(Look),
    Programs,
}

/// Why the demo cannot go on.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("the proxy does not start: {0}")]
    Start(#[from] StartError),
    #[error("the issuer has no key: {0}")]
    Key(#[from] SigningKeyError),
    #[error("the issuer gives no token to {0}")]
    NoToken(&'static str),
    #[error("the proxy's log does not say what it must")]
    NoRecord,
    #[error("the proxy does not say where it listens")]
    NoAddress,
}

/// Runs the demo on standard output.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    let audience = match arguments.output {
        OutputFormat::Text => Audience::People(Look {
            width: output::width(),
            colour: output::colour(),
        }),
        OutputFormat::Json => Audience::Programs,
    };
    match demo(arguments, audience, &mut std::io::stdout()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Nobody reads any more (`| head`).
        Err(DemoError::Io(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            output::err(&format!("countersign: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Whether every step holds.
fn demo(arguments: Arguments, audience: Audience, out: &mut dyn Write) -> Result<bool, DemoError> {
    let clock = Clock::system();
    let began = clock.tick();
    let world = World::start(&Setup {
        ports: arguments.port,
        directory: arguments.directory,
        signals: !arguments.once,
    })?;
    let took = clock.tick().since(began).as_millis();
    match audience {
        Audience::People(look) => write!(out, "{}", look.opening(&world, took))?,
        Audience::Programs => {
            let config = world.configuration.display().to_string();
            writeln!(
                out,
                "{}",
                json!({"type": "started", "milliseconds": took, "config": config})
            )?;
        }
    }
    let failed = walk_through(&world, audience, out)?;
    if arguments.once {
        world.app.kill();
    } else {
        world.recover("services")?;
        stay::stay(world, audience, out)?;
    }
    Ok(failed == 0)
}

/// Makes every step; how many do not hold.
fn walk_through(
    world: &World,
    audience: Audience,
    out: &mut dyn Write,
) -> Result<usize, DemoError> {
    let mut failed = 0_usize;
    for (number, step) in (1..).zip(STEPS) {
        let made = walk::make(world, step)?;
        failed += usize::from(!made.faults.is_empty());
        match audience {
            Audience::People(look) => write!(out, "{}", look.step(number, step, world, &made))?,
            Audience::Programs => writeln!(out, "{}", show::step_line(number, step, world, &made))?,
        }
        out.flush()?;
    }
    match audience {
        Audience::People(look) => write!(out, "{}", look.closing(STEPS.len(), failed))?,
        Audience::Programs => {
            let line = json!({"type": "ended", "steps": STEPS.len(), "failed": failed});
            writeln!(out, "{line}")?;
        }
    }
    out.flush()?;
    Ok(failed)
}

#[cfg(test)]
mod tests;
