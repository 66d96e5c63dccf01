//! `countersign routes`.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::output::{self, OutputFormat};
use super::{BAD_CONFIGURATION, check, show};
use crate::admin::OutboundStatus;
use crate::authz::{PathPattern, PatternSegment, RouteSettings};
use crate::config::{self, Config};
use crate::listener::ListenerSettings;

/// Show the route table: paths, methods and who may
///
/// Most specific paths come first: of those that match, the first owns the request.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  countersign routes --config countersign.yaml")]
pub(super) struct Arguments {
    /// The configuration file; by default that of COUNTERSIGN_CONFIG, or /etc/countersign/countersign.yaml.
    #[arg(long, short, value_name = "FILE", default_value_os_t = super::default_config(), hide_default_value = true)]
    config: PathBuf,
    /// Who reads the output.
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

/// Shows.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let config = match config::load(&arguments.config, None) {
        Ok(config) => config,
        Err(problems) => {
            match arguments.output {
                OutputFormat::Text => output::err(&check::report(&problems)),
                OutputFormat::Json => output::json(&json!({"problems": problems.to_json()})),
            }
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    match arguments.output {
        OutputFormat::Text => output::out(&text(&config, output::width(), output::colour())),
        OutputFormat::Json => output::json(&document(&config)),
    }
    ExitCode::SUCCESS
}

/// Paths and their routes, the most specific path first.
fn sorted(config: &Config) -> Vec<(String, &RouteSettings)> {
    let mut routes: Vec<(&PathPattern, &RouteSettings)> = config
        .policy
        .routes()
        .iter()
        .map(|route| route.settings())
        .flat_map(|route| route.paths.iter().map(move |path| (path, route)))
        .collect();
    routes.sort_by_cached_key(|(path, route)| {
        let ranks: Vec<(u8, String)> = path.segments().iter().map(rank).collect();
        (ranks, std::cmp::Reverse(route.hosts.len()))
    });
    routes
        .into_iter()
        .map(|(path, settings)| (path.to_string(), settings))
        .collect()
}

fn rank(segment: &PatternSegment) -> (u8, String) {
    match segment {
        PatternSegment::Literal(text) => (0, text.to_string()),
        PatternSegment::Parameter(name) => (1, name.to_string()),
        PatternSegment::Rest => (2, String::new()),
    }
}

fn text(config: &Config, width: usize, colour: bool) -> String {
    let routes = sorted(config);
    let hosts = routes.iter().any(|(_, route)| !route.hosts.is_empty());
    let inbound = |listener: &&ListenerSettings| listener.outbound.is_none();
    let several = config.listeners.iter().filter(inbound).count() > 1;
    let mut head = vec!["PATH"];
    head.extend(hosts.then_some("HOSTS"));
    head.extend(several.then_some("INBOUND"));
    head.extend(["METHODS", "WHO"]);
    let mut rows = Vec::new();
    for (path, route) in &routes {
        let flags = show::flags(route);
        for (at, (methods, who)) in show::table(&route.table).into_iter().enumerate() {
            let first = at == 0;
            let only_first = |text: String| if first { text } else { String::new() };
            let mut row = vec![only_first(path.clone())];
            if hosts {
                row.push(only_first(host_list(route)));
            }
            if several {
                row.push(only_first(
                    route.listener.as_deref().unwrap_or("all").to_owned(),
                ));
            }
            let mut who = who.join(", ");
            if first && !flags.is_empty() {
                who.push_str(&format!("  [{}]", flags.join(" ")));
            }
            row.extend([methods, who]);
            rows.push(row);
        }
    }
    let mut text = output::table(&head, &rows, width, colour);
    if routes.is_empty() {
        text.clear();
    }
    let outbound = outbound(config);
    if !outbound.is_empty() {
        let row = |own: OutboundStatus| {
            let reach = own.reach();
            vec![
                own.listener,
                own.listen,
                reach,
                own.upstream,
                own.credential,
            ]
        };
        let rows: Vec<_> = outbound.into_iter().map(row).collect();
        let head = ["OUTBOUND", "LISTENS ON", "PATHS", "UPSTREAM", "CREDENTIAL"];
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&output::table(&head, &rows, width, colour));
    }
    text
}

fn outbound(config: &Config) -> Vec<OutboundStatus> {
    let listeners = config.listeners.iter();
    listeners.filter_map(OutboundStatus::of).collect()
}

fn host_list(route: &RouteSettings) -> String {
    let hosts: Vec<String> = route.hosts.iter().map(ToString::to_string).collect();
    if hosts.is_empty() {
        "any".to_owned()
    } else {
        hosts.join(" ")
    }
}

fn document(config: &Config) -> serde_json::Value {
    let routes: Vec<serde_json::Value> = sorted(config)
        .into_iter()
        .map(|(path, route)| {
            let hosts: Vec<String> = route.hosts.iter().map(ToString::to_string).collect();
            let allow: Vec<serde_json::Value> = show::table(&route.table)
                .into_iter()
                .map(|(methods, who)| {
                    let methods: Vec<&str> = methods.split(", ").collect();
                    json!({"methods": methods, "who": who})
                })
                .collect();
            json!({
                "name": &*route.name,
                "path": path,
                "hosts": hosts,
                "inbound": route.listener.as_deref(),
                "allow": allow,
                "flags": show::flags(route),
            })
        })
        .collect();
    json!({"routes": routes, "outbound": outbound(config)})
}
