//! `countersign explain`.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::output::{self, OutputFormat};
use super::{BAD_CONFIGURATION, check};
use crate::case::{self, Case, Claimed, Members, RealToken, Request, Token};
use crate::clock::{Clock, UnixTime};
use crate::config::{self, Config};
use crate::explain::{self, Again, Explainer, Explanation, Meaning, Paint, Reach, Verdict};
use crate::jwks::Keys;
use crate::telemetry::json::visible;

/// The command line does not fit together, or does not fit the configuration.
const USAGE: u8 = 2;

/// Longest that keys are waited for beyond the limits of their fetches.
const GRACE: Duration = Duration::from_secs(1);

/// Tell what becomes of a request, and why
///
/// The decision is the real one: the way of a request through the configuration, watched. Nothing is sent. With claims no
/// signature is needed; with a token, keys come from the configuration's files, or with --fetch from the network.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  countersign explain --config countersign.yaml GET /agent/a1/status --issuer dls --claims '{\"azp\": \"SmartEM_Agent\"}'
  countersign explain --config countersign.yaml POST /orders -H 'Host: api.example.org' --token-file token.jwt --fetch
  countersign explain --config countersign.yaml --case case.yaml --output json
  countersign explain --config countersign.yaml --log decisions.log --request-id 4f1c…
  countersign explain --reason token_audience")]
pub(super) struct Arguments {
    /// The configuration file; by default that of COUNTERSIGN_CONFIG, or /etc/countersign/countersign.yaml.
    #[arg(long, short, value_name = "FILE", default_value_os_t = super::default_config(), hide_default_value = true)]
    config: PathBuf,
    /// Method and target: GET /path; a target alone is a GET.
    #[arg(value_name = "METHOD TARGET", num_args = 0..=2)]
    request: Vec<String>,
    /// The method, where it is not given before the target.
    #[arg(long, value_name = "METHOD", conflicts_with = "request")]
    method: Option<String>,
    /// The target, path and query.
    #[arg(long, value_name = "TARGET", conflicts_with = "request")]
    path: Option<String>,
    /// `Host`.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// A header field; may be given more than once.
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The address of the other end of the connection.
    #[arg(long, value_name = "ADDRESS")]
    peer: Option<std::net::IpAddr>,
    /// The listener that the request comes to; the first where it is left out.
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// What the token says: a JSON object, or a file with one; `-` reads standard input.
    #[arg(long, value_name = "JSON|FILE", conflicts_with_all = ["token", "token_file"])]
    claims: Option<String>,
    /// The issuer's configured name; completes the claims with iss, aud, iat and exp.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["token", "token_file"])]
    issuer: Option<String>,
    /// A file with the token; `-` reads standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// The token itself. Other users may see it in the list of processes: --token-file is better.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// When the request comes: 2026-12-31T12:00:00Z. Now where it is left out.
    #[arg(long, value_name = "TIME", value_parser = config::date)]
    at: Option<UnixTime>,
    /// A YAML document with the request, as `countersign test` and `diff` have it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["request", "path", "claims", "token", "token_file", "log"])]
    case: Option<PathBuf>,
    /// Which of the document's cases; all of them where it is left out.
    #[arg(long, value_name = "NAME", requires = "case")]
    name: Option<String>,
    /// Fetch the keys of issuers that are not in files.
    #[arg(long)]
    fetch: bool,
    /// Decision records, one JSON object per line; `-` reads standard input.
    #[arg(long, value_name = "FILE", requires = "request_id", conflicts_with_all = ["request", "path"])]
    log: Option<PathBuf>,
    /// Which record.
    #[arg(long, value_name = "ID", requires = "log")]
    request_id: Option<String>,
    /// Tell what a reason of the decision record means, and show a request that meets it; `list` lists them.
    #[arg(long, value_name = "REASON", conflicts_with_all = ["request", "path", "case", "log"])]
    reason: Option<String>,
    /// Who reads the output.
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

/// A command that ends without an explanation: why, and its exit code.
struct Failed(String, u8);

impl Failed {
    fn usage(reason: impl std::fmt::Display) -> Self {
        Self(format!("countersign: {reason}\n"), USAGE)
    }
}

/// Explains.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let outcome = match &arguments.reason {
        Some(reason) => tell_reason(reason, arguments.output),
        None => explain(arguments),
    };
    match outcome {
        Ok(code) => code,
        Err(Failed(text, code)) => {
            output::err(&text);
            ExitCode::from(code)
        }
    }
}

fn explain(arguments: &Arguments) -> Result<ExitCode, Failed> {
    let cases = match (&arguments.case, &arguments.log) {
        (Some(path), _) => cases(path, arguments.name.as_deref())?,
        (None, Some(_)) => Vec::new(),
        (None, None) => vec![asked(arguments)?],
    };
    let explainer = explainer(&arguments.config, arguments.fetch)?;
    if let (Some(path), Some(id)) = (&arguments.log, &arguments.request_id) {
        let record = find_record(path, id)?;
        let again = explainer.explain_record(&record).map_err(Failed::usage)?;
        show_again(&again, arguments.output);
        return Ok(code([&again.now]));
    }
    let now = Clock::system().now().unix;
    let told = cases
        .iter()
        .map(|case| explainer.explain(case, case.at.or(arguments.at).unwrap_or(now)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(Failed::usage)?;
    show(&cases, &told, arguments.output);
    Ok(code(&told))
}

fn code<'a>(told: impl IntoIterator<Item = &'a Explanation>) -> ExitCode {
    let unjudged = |told: &Explanation| told.verdict == Verdict::Unjudged;
    if told.into_iter().any(unjudged) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// An explainer of the configuration at `path`.
pub(super) fn load(path: &Path) -> Result<Arc<Config>, String> {
    config::load(path, None)
        .map(Arc::new)
        .map_err(|problems| check::report(&problems))
}

fn explainer(path: &Path, fetch: bool) -> Result<Explainer, Failed> {
    let config = load(path).map_err(|report| Failed(report, BAD_CONFIGURATION))?;
    let made = if fetch {
        fetched(&config)
    } else {
        Explainer::pinned(config)
    };
    made.map_err(|reason| Failed(format!("countersign: {reason}\n"), BAD_CONFIGURATION))
}

/// Fetches the keys of every issuer once, at most for as long as the configuration allows.
fn fetched(config: &Arc<Config>) -> Result<Explainer, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let clock = Clock::system();
        let (keys, refreshing) = Keys::start(clock.clone());
        let prepared = keys.prepare(config.key_sources());
        let cells = prepared.cells();
        prepared.commit();
        let most = config.key_sources().map(|(_, keys)| keys.timeout).max();
        let deadline = clock.sleep(most.unwrap_or_default().saturating_add(GRACE));
        tokio::select! {
            () = refreshing.run() => {}
            () = attempted(&keys, &clock) => {}
            () = deadline => {}
        }
        for status in keys.status() {
            if let Some(error) = status.last_error {
                let line = format!("countersign: keys of {}: {error}\n", status.issuer);
                output::err(&visible_line(&line));
            }
        }
        Explainer::new(Arc::clone(config), cells).map(Explainer::after_fetching)
    })
}

/// Waits until every source was asked once.
async fn attempted(keys: &Keys, clock: &Clock) {
    const LOOK: Duration = Duration::from_millis(20);
    let asked = |keys: &Keys| {
        let all = keys.status();
        all.iter().all(|status| {
            status.source == "inline" || status.fetches_ok + status.fetches_failed > 0
        })
    };
    while !asked(keys) {
        clock.sleep(LOOK).await;
    }
}

fn visible_line(line: &str) -> String {
    format!("{}\n", visible(line.trim_end()))
}

fn cases(path: &Path, name: Option<&str>) -> Result<Vec<Case>, Failed> {
    let file = case::load(path).map_err(|problems| Failed(problems.render(), USAGE))?;
    match name {
        None => Ok(file.cases),
        Some(name) => {
            let mut all = file.cases.into_iter();
            let found = all.find(|case| case.name.as_deref() == Some(name));
            found.map(|case| vec![case]).ok_or_else(|| {
                Failed::usage(format_args!("there is no case called `{}`", visible(name)))
            })
        }
    }
}

/// The case that the command line describes.
fn asked(arguments: &Arguments) -> Result<Case, Failed> {
    let (method, target) = match arguments.request.as_slice() {
        [target] => (None, Some(target)),
        [method, target] => (Some(method), Some(target)),
        _ => (arguments.method.as_ref(), arguments.path.as_ref()),
    };
    let target = target.ok_or_else(|| {
        Failed::usage(
            "what is asked? give METHOD and TARGET (GET /path), --case, --log or --reason",
        )
    })?;
    let mut request = Request::new(method.map_or("GET", String::as_str), target);
    request.host.clone_from(&arguments.host);
    request.peer = arguments.peer;
    request.listener.clone_from(&arguments.listener);
    for header in &arguments.headers {
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| Failed::usage("a header is written NAME: VALUE"))?;
        let value = value.trim();
        if value.contains(['\r', '\n']) || name.contains(['\r', '\n']) {
            return Err(Failed::usage("a header is one line"));
        }
        if name.eq_ignore_ascii_case("host") && request.host.is_none() {
            request.host = Some(value.to_owned());
        } else {
            request.headers.push((name.to_owned(), value.to_owned()));
        }
    }
    let mut case = Case::new(request);
    case.token = token(arguments)?;
    case.at = arguments.at;
    Ok(case)
}

fn token(arguments: &Arguments) -> Result<Option<Token>, Failed> {
    if let Some(token) = &arguments.token {
        return Ok(Some(RealToken::new(token).into()));
    }
    if let Some(path) = &arguments.token_file {
        return Ok(Some(RealToken::new(read(path)?.trim()).into()));
    }
    let claims = match arguments.claims.as_deref() {
        None if arguments.issuer.is_none() => return Ok(None),
        None => Members::new(),
        Some(inline) if inline.trim_start().starts_with('{') => members(inline)?,
        Some(path) => members(&read(Path::new(path))?)?,
    };
    Ok(Some(
        Claimed::new(arguments.issuer.as_deref(), claims).into(),
    ))
}

fn members(text: &str) -> Result<Members, Failed> {
    serde_json::from_str(text)
        .map_err(|error| Failed::usage(format_args!("the claims are no JSON object: {error}")))
}

fn read(path: &Path) -> Result<zeroize::Zeroizing<String>, Failed> {
    let mut text = zeroize::Zeroizing::new(String::new());
    let read = if path == Path::new("-") {
        std::io::stdin().lock().read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.map_err(|error| {
        Failed::usage(format_args!(
            "{}: {error}",
            visible(&path.display().to_string())
        ))
    })?;
    Ok(text)
}

/// The record of a request. Lines that are none are passed over.
fn find_record(path: &Path, id: &str) -> Result<Value, Failed> {
    let at = |error: std::io::Error| {
        Failed::usage(format_args!(
            "{}: {error}",
            visible(&path.display().to_string())
        ))
    };
    let reader: Box<dyn std::io::BufRead> = if path == Path::new("-") {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        Box::new(BufReader::new(std::fs::File::open(path).map_err(at)?))
    };
    let is_it = |record: &Value| record.get("request_id").and_then(Value::as_str) == Some(id);
    for line in reader.split(b'\n') {
        let line = line.map_err(at)?;
        // Before it is parsed: a log has many lines.
        if memchr::memmem::find(&line, id.as_bytes()).is_none() {
            continue;
        }
        // `kubectl logs --prefix` and the like write something before the record.
        let start = line.iter().position(|byte| *byte == b'{').unwrap_or(0);
        let record = serde_json::from_slice::<Value>(line.get(start..).unwrap_or_default());
        if let Some(record) = record.ok().filter(is_it) {
            return Ok(record);
        }
    }
    Err(Failed::usage(format_args!(
        "no record has the request id `{}`",
        visible(id)
    )))
}

fn show(cases: &[Case], told: &[Explanation], format: OutputFormat) {
    let paint = Paint {
        colour: output::colour(),
    };
    match format {
        OutputFormat::Json if told.len() == 1 => {
            told.iter().for_each(|told| output::json(&told.to_json()));
        }
        OutputFormat::Json => {
            let all: Value = cases
                .iter()
                .zip(told)
                .map(|(case, told)| json!({"case": case.title(), "explanation": told.to_json()}))
                .collect();
            output::json(&json!({"cases": all}));
        }
        OutputFormat::Text => {
            for (at, (case, told)) in cases.iter().zip(told).enumerate() {
                if at > 0 {
                    output::out("\n");
                }
                if let Some(name) = &case.name {
                    output::out(&format!("{}\n", paint.dim(&visible(name))));
                }
                output::out(&explain::text(told, paint));
            }
        }
    }
}

fn show_again(again: &Again, format: OutputFormat) {
    let recorded = &again.recorded;
    match format {
        OutputFormat::Json => output::json(&json!({
            "recorded": {
                "time": recorded.time,
                "decision": recorded.decision,
                "reason": recorded.reason,
                "status": recorded.status,
                "route": recorded.route,
                "caller": recorded.caller,
                "generation": recorded.generation,
            },
            "same": again.same,
            "explanation": again.now.to_json(),
        })),
        OutputFormat::Text => {
            let paint = Paint {
                colour: output::colour(),
            };
            let reason = recorded.reason.as_deref().unwrap_or_default();
            let said = format!("recorded {}: {} {reason}", recorded.time, recorded.decision);
            output::out(&format!("{}\n", visible(said.trim_end())));
            let now = match again.same {
                Some(true) => paint.good("decided alike by this configuration"),
                Some(false) => paint.warn("decided otherwise by this configuration"),
                None => paint.dim("what it would be now, the record does not say enough to tell"),
            };
            output::out(&format!("{now}\n\n"));
            output::out(&explain::text(&again.now, paint));
        }
    }
}

/// What a reason means, and a request that meets it.
fn tell_reason(reason: &str, format: OutputFormat) -> Result<ExitCode, Failed> {
    if reason == "list" {
        let all = Meaning::all();
        match format {
            OutputFormat::Json => output::json(&all.iter().map(document).collect()),
            OutputFormat::Text => {
                let rows: Vec<Vec<String>> = all
                    .iter()
                    .map(|meaning| {
                        let status = meaning.status().unwrap_or_default();
                        vec![
                            meaning.reason.to_owned(),
                            status.to_string(),
                            meaning.means.to_owned(),
                        ]
                    })
                    .collect();
                let head = ["REASON", "STATUS", "MEANING"];
                let table = output::table(&head, &rows, output::width(), output::colour());
                output::out(&table);
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let meaning = Meaning::of(reason).ok_or_else(|| {
        let known = crate::rejection::reasons().iter().copied();
        let near = config::suggest::did_you_mean(reason, known);
        let near = near.unwrap_or_else(|| "`--reason list` lists them".to_owned());
        Failed::usage(format_args!("`{}` is no reason; {near}", visible(reason)))
    })?;
    match format {
        OutputFormat::Json => output::json(&document(&meaning)),
        OutputFormat::Text => output::out(&page(&meaning)),
    }
    Ok(ExitCode::SUCCESS)
}

fn document(meaning: &Meaning) -> Value {
    json!({
        "reason": meaning.reason,
        "status": meaning.status(),
        "means": meaning.means,
        "look_at": meaning.look_at,
        "case": meaning.case().map(|case| case.to_yaml()),
        "beyond": match meaning.reach {
            Reach::Case => None,
            Reach::Beyond(why) => Some(why),
        },
    })
}

fn page(meaning: &Meaning) -> String {
    let paint = Paint {
        colour: output::colour(),
    };
    let status = meaning.status().unwrap_or_default();
    let mut page = format!("{} ({status})\n", paint.bold(meaning.reason));
    page.push_str(&format!("  {}\n  → {}\n", meaning.means, meaning.look_at));
    match (meaning.reach, meaning.case()) {
        (Reach::Beyond(why), _) => {
            page.push_str(&format!("\nNo request brings it about by itself: {why}.\n"));
        }
        (Reach::Case, Some(case)) => {
            page.push_str(
                "\nA request that meets it, in src/explain/reasons/countersign.yaml:\n\n",
            );
            for line in case.to_yaml().lines() {
                page.push_str(&format!("  {}\n", visible(line)));
            }
        }
        (Reach::Case, None) => {}
    }
    page
}
