//! `countersign token`: a client registration, tried in one command.

use std::path::PathBuf;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::output::{self, OutputFormat};
use super::{BAD_CONFIGURATION, check};
use crate::clock::Clock;
use crate::config;
use crate::credential::{self, CredentialSettings, Granted, TokenError};
use crate::telemetry::json::visible;

/// The command line does not fit the configuration.
const USAGE: u8 = 2;

/// Obtain a token for a credential, once, and tell what came of it
///
/// Says how long the token lives and, where it is a JWT, what it claims; the token itself only with --reveal.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  countersign token --config countersign.yaml --credential agent"
)]
pub(super) struct Arguments {
    /// The configuration file; by default that of COUNTERSIGN_CONFIG, or /etc/countersign/countersign.yaml.
    #[arg(long, short, value_name = "FILE", default_value_os_t = super::default_config(), hide_default_value = true)]
    config: PathBuf,
    /// Which of `credentials`; may be left out where there is one.
    #[arg(long, value_name = "NAME")]
    credential: Option<String>,
    /// Print the token. Whoever has it may do what the client may, until it ends.
    #[arg(long)]
    reveal: bool,
    /// Who reads the output.
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
}

/// Tries.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let config = match config::load(&arguments.config, None) {
        Ok(config) => config,
        Err(problems) => {
            output::err(&check::report(&problems));
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    let settings = match choose(&config.credentials, arguments.credential.as_deref()) {
        Ok(settings) => settings,
        Err(reason) => {
            output::err(&format!("countersign: {reason}\n"));
            return ExitCode::from(USAGE);
        }
    };
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|_| TokenError::Internal)
        .and_then(|runtime| runtime.block_on(credential::request_once(settings, &Clock::system())));
    let told = match &outcome {
        Ok(granted) => obtained(settings, granted, arguments.reveal),
        Err(error) => failed(settings, error),
    };
    match arguments.output {
        OutputFormat::Json => output::json(&Value::Object(told)),
        OutputFormat::Text => output::out(&text(&told)),
    }
    if outcome.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn choose<'a>(
    all: &'a [CredentialSettings],
    name: Option<&str>,
) -> Result<&'a CredentialSettings, String> {
    let names = || {
        let names: Vec<&str> = all.iter().map(|one| &*one.name).collect();
        names.join(", ")
    };
    match (name, all) {
        (_, []) => Err("the configuration has no `credentials`".to_owned()),
        (None, [one]) => Ok(one),
        (None, _) => Err(format!("--credential is missing; one of: {}", names())),
        (Some(name), _) => all.iter().find(|one| *one.name == *name).ok_or_else(|| {
            format!(
                "there is no credential called `{}`; one of: {}",
                visible(name),
                names()
            )
        }),
    }
}

/// What is told, by key.
type Told = Map<String, Value>;

/// What both outcomes begin with.
fn told(settings: &CredentialSettings, state: &str) -> Told {
    let (_, endpoint) = settings.endpoint.describe();
    [
        ("credential", json!(&*settings.name)),
        ("state", json!(state)),
        ("client_id", json!(settings.client_id)),
        ("authentication", json!(settings.authentication.name())),
        ("endpoint", json!(endpoint)),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into_iter()
    .collect()
}

fn obtained(settings: &CredentialSettings, granted: &Granted, reveal: bool) -> Told {
    let mut told = told(settings, "obtained");
    told.insert(
        "expires_in_seconds".to_owned(),
        json!(granted.lifetime.as_secs()),
    );
    told.insert("expires_in_given".to_owned(), json!(granted.lifetime_given));
    told.insert("scope".to_owned(), json!(granted.scope));
    match decode(&granted.token) {
        Some((header, claims)) => {
            told.insert("kind".to_owned(), json!("jwt"));
            told.insert("header".to_owned(), header);
            told.insert("claims".to_owned(), claims);
        }
        None => drop(told.insert("kind".to_owned(), json!("opaque"))),
    }
    if reveal {
        told.insert("access_token".to_owned(), json!(*granted.token));
    }
    told
}

fn failed(settings: &CredentialSettings, error: &TokenError) -> Told {
    let mut told = told(settings, "failed");
    let oauth_error = error.oauth_error();
    told.insert("error".to_owned(), json!(error.to_string()));
    told.insert("oauth_error".to_owned(), json!(oauth_error));
    told.insert(
        "hint".to_owned(),
        json!(oauth_error.and_then(credential::hint)),
    );
    told
}

/// Header and claims of a JWT. Nothing is verified: the server that we asked has just sent it.
fn decode(token: &str) -> Option<(Value, Value)> {
    let mut pieces = token.split('.');
    let (header, claims, _signature) = (pieces.next()?, pieces.next()?, pieces.next()?);
    if pieces.next().is_some() {
        return None;
    }
    let object = |piece: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(piece).ok()?;
        serde_json::from_slice(&bytes).ok().filter(Value::is_object)
    };
    Some((object(header)?, object(claims)?))
}

/// For people.
fn text(told: &Told) -> String {
    let word = |key: &str| told.get(key).and_then(Value::as_str).unwrap_or_default();
    let client = match word("client_id") {
        "" => word("authentication").to_owned(),
        id => format!("{id} ({})", word("authentication")),
    };
    let mut rows = vec![
        ("credential", word("credential").to_owned()),
        ("client", client),
        ("endpoint", word("endpoint").to_owned()),
        ("state", word("state").to_owned()),
    ];
    if let Some(seconds) = told.get("expires_in_seconds") {
        let given = told.get("expires_in_given") == Some(&Value::Bool(true));
        let assumed = if given {
            ""
        } else {
            "; assumed: the server did not say"
        };
        rows.push(("lifetime", format!("{seconds}s{assumed}")));
        rows.push((
            "kind",
            match word("kind") {
                "jwt" => "JWT".to_owned(),
                _ => "opaque: only the server can tell what it says".to_owned(),
            },
        ));
    }
    for key in ["scope", "error", "hint"] {
        if !word(key).is_empty() {
            rows.push((key, word(key).to_owned()));
        }
    }
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|(key, value)| vec![key.to_owned(), value])
        .collect();
    let mut out = output::table(&["", ""], &rows, output::width(), false);
    if let Some(claims) = told.get("claims") {
        out.push_str("claims\n");
        for line in format!("{claims:#}").lines() {
            out.push_str(&format!("  {}\n", visible(line)));
        }
    }
    if !word("access_token").is_empty() {
        out.push_str(&format!("access_token\n  {}\n", word("access_token")));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_jwts_are_decoded() {
        let jwt = format!(
            "{}.{}.AA",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#),
            URL_SAFE_NO_PAD.encode(r#"{"sub":"agent"}"#)
        );
        let (header, claims) = decode(&jwt).unwrap();
        assert_eq!(header["alg"], "ES256");
        assert_eq!(claims["sub"], "agent");
        for opaque in [
            "abc",
            "a.b",
            "a.b.c",
            "",
            "..",
            &format!("{jwt}.AA"),
            "MQ.MQ.MQ",
        ] {
            assert!(decode(opaque).is_none(), "{opaque}");
        }
    }
}
