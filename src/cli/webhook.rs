//! `countersign webhook`.

mod certificate;
mod serve;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::inject::InjectionArguments;
use super::output;
use crate::app::LogSink;
use crate::clock::Clock;
use crate::config::DrainSettings;
use crate::drain::Drain;
use crate::inject::Request;
use crate::listener::bind_tcp;
use crate::platform::{self, Signals};
use crate::telemetry::{LogSettings, Telemetry};
use certificate::Certificate;

/// Put the proxy into pods as they are made
///
/// A mutating admission webhook of Kubernetes (admission.k8s.io/v1) that does to pods what `inject` does to manifests. POST /inject
/// serves pods with the annotation countersign.dev/inject: enabled, POST /inject/all every pod where it is not disabled; GET
/// /healthz is for the kubelet. The certificate is read again when its files change. SIGTERM drains; a second one ends.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  countersign webhook --certificate /tls/tls.crt --key /tls/tls.key --image registry.example.org/countersign:1\n\nThe chart charts/countersign-webhook runs it."
)]
pub(super) struct Arguments {
    /// Where it listens, by TLS alone.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
    /// The certificate and its chain, in PEM.
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// Its private key, in PEM.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// After SIGTERM, how long it goes on serving until no API server asks any more.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(..=3600))]
    drain_delay: u64,
    /// How long what is in flight then may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(..=3600))]
    drain_deadline: u64,
    #[command(flatten)]
    injection: InjectionArguments,
}

/// Serves until a signal ends it.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match webhook(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::err(&format!("countersign: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

fn webhook(arguments: &Arguments) -> Result<(), String> {
    let request: Request = arguments.injection.request()?;
    let failed = |error: std::io::Error| error.to_string();
    let listener = bind_tcp(arguments.listen)
        .map_err(|error| format!("cannot listen on {}: {error}", arguments.listen))?;
    platform::raise_open_files();
    let drain = DrainSettings {
        delay: Duration::from_secs(arguments.drain_delay),
        deadline: Duration::from_secs(arguments.drain_deadline),
    };
    let clock = Clock::system();
    let telemetry = Telemetry::start(&LogSettings::default(), LogSink::Stdout, clock.clone())
        .map_err(|error| error.to_string())?;
    let _events = tracing::dispatcher::set_default(&telemetry.dispatch());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .map_err(failed)?;
    runtime.block_on(async {
        // Before anything is served, so that no signal is lost.
        let signals = Signals::new(true);
        let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
        let certificate =
            Certificate::follow(&arguments.certificate, &arguments.key, clock.clone())?;
        let server = serve::Server {
            certificate,
            desk: serve::Desk::new(request),
            clock,
            drain: Drain::default(),
            settings: drain,
        };
        server.run(listener, signals).await;
        Ok(())
    })
}
