//! `countersign probe`: the health of a proxy, and how an upstream reads paths.

mod baseline;
mod compare;
mod health;
mod quirks;
mod reading;
mod report;
mod variants;
mod wire;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::output::{self, OutputFormat};
use super::{BAD_CONFIGURATION, check};
use crate::authz::{PathPattern, PatternSegment, RouteSettings};
use crate::config::{self, Config};
use crate::upstream::UpstreamAddress;
use compare::Comparison;
use variants::PlainPath;
use wire::Wire;

/// The command line asks for what cannot be done.
const USAGE: u8 = 2;

/// A path passes that the upstream reads otherwise.
const OPEN: u8 = 3;

/// Ask /livez or /readyz of a proxy on this machine, or compare how an upstream reads paths
///
/// Without --upstream: a health check for images without a shell; what is wanted is the answer 200.
///
/// With --upstream: sends GET requests for spellings of paths that the upstream serves, straight to it, and tells which of them
/// it answers as if the plain path had been asked for while the proxy reads another path, or refuses; and which of the switches
/// `paths` and `near_miss` of routes are safe before it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  countersign probe http://127.0.0.1:9090/readyz\n  countersign probe --upstream http://127.0.0.1:8000 --path /docs/intro\n  countersign probe --upstream http://127.0.0.1:8000 --config countersign.yaml"
)]
pub(super) struct Arguments {
    /// What is asked for its health, on a loopback address [default: http://127.0.0.1:9090/livez].
    #[arg(value_name = "URL")]
    url: Option<http::Uri>,
    /// Seconds until an answer must be there.
    #[arg(long, default_value_t = 2, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
    #[command(flatten)]
    upstream: UpstreamArguments,
}

/// What --upstream needs to know.
#[derive(Debug, clap::Args)]
struct UpstreamArguments {
    /// The upstream whose reading of paths is compared: http://, https:// or unix:/path, as in `upstream`.
    #[arg(long, value_name = "URL", value_parser = config::upstream)]
    upstream: Option<UpstreamAddress>,
    /// A path that the upstream serves, as in a request; may be given again. `/` when neither this nor --config is given.
    #[arg(long = "path", value_name = "PATH", requires = "upstream", value_parser = PlainPath::parse)]
    paths: Vec<PlainPath>,
    /// Also asks for the paths of this configuration's routes, and judges the switches that they have on.
    #[arg(long, short, value_name = "FILE", requires = "upstream")]
    config: Option<PathBuf>,
    /// Sends HEAD instead of GET, and compares status and length.
    #[arg(long, requires = "upstream")]
    head: bool,
    /// `Host` of the requests; the upstream's own when absent.
    #[arg(long, value_name = "HOST", requires = "upstream")]
    host: Option<HeaderValue>,
    /// A further header, such as an identity that the upstream needs; may be given again.
    #[arg(long = "header", value_name = "NAME: VALUE", requires = "upstream", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// PEM CA certificates for https; the platform's when absent.
    #[arg(long, value_name = "FILE", requires = "upstream")]
    ca: Option<PathBuf>,
    /// Who reads the output.
    #[arg(long, value_enum, default_value_t, requires = "upstream")]
    output: OutputFormat,
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let bad = || "write NAME: VALUE".to_owned();
    let (name, value) = text.split_once(':').ok_or_else(bad)?;
    let name = name.parse().map_err(|_| bad())?;
    Ok((name, value.trim().parse().map_err(|_| bad())?))
}

/// Asks.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let timeout = Duration::from_secs(arguments.timeout);
    match (&arguments.url, &arguments.upstream.upstream) {
        (None, Some(address)) => return upstream(address, &arguments.upstream, timeout),
        (Some(_), Some(_)) => {
            output::err("countersign: either URL or --upstream is asked\n");
            return ExitCode::from(USAGE);
        }
        (_, None) => {}
    }
    let url = arguments.url.clone();
    let url = url.unwrap_or_else(|| http::Uri::from_static("http://127.0.0.1:9090/livez"));
    match health::ask(&url, timeout) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            output::err(&format!("{url}: {reason}\n"));
            ExitCode::FAILURE
        }
    }
}

fn upstream(
    address: &UpstreamAddress,
    arguments: &UpstreamArguments,
    timeout: Duration,
) -> ExitCode {
    let config = arguments
        .config
        .as_deref()
        .map(|file| config::load(file, None));
    let config = match config.transpose() {
        Ok(config) => config,
        Err(problems) => {
            output::err(&check::report(&problems));
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    let routes = config
        .as_ref()
        .map(|config| routes(config, address))
        .unwrap_or_default();
    let paths = paths(arguments, &routes);
    let wire = match Wire::new(address.clone(), arguments, timeout) {
        Ok(wire) => wire,
        Err(reason) => {
            output::err(&format!("countersign: {reason}\n"));
            return ExitCode::from(USAGE);
        }
    };
    let compared = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(Comparison::make(&wire, &paths, &routes)));
    let comparison = match compared {
        Ok(comparison) => comparison,
        Err(reason) => {
            output::err(&format!(
                "countersign: {}: {reason}\n",
                super::show::upstream(address)
            ));
            return ExitCode::FAILURE;
        }
    };
    match arguments.output {
        OutputFormat::Text => output::out(&report::text(
            &comparison,
            output::width(),
            output::colour(),
        )),
        OutputFormat::Json => output::json(&report::document(&comparison)),
    }
    match () {
        () if comparison.is_open() => ExitCode::from(OPEN),
        () if comparison.told_nothing() => ExitCode::FAILURE,
        () => ExitCode::SUCCESS,
    }
}

/// What is asked for, each once.
fn paths(arguments: &UpstreamArguments, routes: &[&RouteSettings]) -> Vec<PlainPath> {
    let mut paths = arguments.paths.clone();
    paths.extend(
        routes
            .iter()
            .flat_map(|route| route.paths.iter().filter_map(plain)),
    );
    if paths.is_empty() {
        paths.extend(PlainPath::parse("/"));
    }
    let mut seen = BTreeSet::new();
    paths.retain(|path| seen.insert(path.to_string()));
    paths
}

/// The routes of listeners before this upstream; of all listeners where none names it.
fn routes<'a>(config: &'a Config, address: &UpstreamAddress) -> Vec<&'a RouteSettings> {
    let before: Vec<_> = config
        .listeners
        .iter()
        .filter(|listener| listener.outbound.is_none() && listener.upstream.address == *address)
        .map(|listener| &listener.name)
        .collect();
    let routes = config.policy.routes().iter().map(|route| route.settings());
    routes
        .filter(|route| {
            let own = route.listener.as_ref();
            before.is_empty() || own.is_none_or(|own| before.contains(&own))
        })
        .collect()
}

/// The path that a pattern without parameters stands for; of `/x/**` that is `/x`.
fn plain(pattern: &PathPattern) -> Option<PlainPath> {
    let mut path = String::new();
    for segment in pattern.segments() {
        match segment {
            PatternSegment::Literal(text) => {
                path.push('/');
                path.push_str(&variants::encoded(text));
            }
            PatternSegment::Parameter(_) => return None,
            PatternSegment::Rest => {}
        }
    }
    if path.is_empty() {
        path.push('/');
    }
    PlainPath::parse(&path).ok()
}
