//! What the demo offers once the steps are made, until Ctrl-C.

use std::io::Write;

use serde_json::{Value, json};

use super::issuer::SECRET;
use super::show::Look;
use super::walk::text;
use super::world::{World, write_token};
use super::{Audience, DemoError};

/// Clients that the user gets a token of.
const TOKENS: [(&str, &str); 3] = [
    ("accounts", "acme-app"),
    ("accounts", "globex-app"),
    ("services", "billing"),
];

/// Serves until a signal ends the proxy, and shows each decision, and what becomes of a changed configuration.
pub(super) fn stay(world: World, audience: Audience, out: &mut dyn Write) -> Result<(), DemoError> {
    let mut files = Vec::new();
    for (realm, client) in TOKENS {
        let token = world.token(realm, client, None)?;
        files.push(write_token(&world.configuration, client, &token)?);
    }
    let files: Vec<String> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    match audience {
        Audience::People(look) => write!(out, "{}", offers(&world, look, &files))?,
        Audience::Programs => writeln!(out, "{}", line(&world, &files))?,
    }
    out.flush()?;
    let World {
        app, log, servers, ..
    } = world;
    for line in log {
        let record: Value = serde_json::from_slice(&line).unwrap_or_default();
        match audience {
            Audience::People(look) if text(&record, "type") == "request" => {
                write!(out, "{}", look.decision(&record))?;
            }
            Audience::People(look) if text(&record, "event").starts_with("config.") => {
                write!(out, "{}", look.event(&record))?;
            }
            Audience::People(_) => {}
            Audience::Programs => writeln!(out, "{record}")?,
        }
        out.flush()?;
        if text(&record, "event") == "drain.finished" {
            break;
        }
    }
    app.wait()?;
    drop(servers);
    Ok(())
}

fn offers(world: &World, look: Look, files: &[String]) -> String {
    let proxy = format!("http://{}", world.proxy);
    let issuer = format!("http://{}", world.issuer_address);
    let with = |at: usize| {
        let file = files.get(at).map_or("", String::as_str);
        format!("curl -i -H \"Authorization: Bearer $(cat {file})\"")
    };
    let mut out = String::from("\nNow it is yours. The proxy stays up; Ctrl-C ends it.\n\n");
    let groups = [
        (
            "an account reads its own data, then another's (the tokens hold for an hour)",
            vec![
                format!("{} {proxy}/accounts/acme/usage", with(0)),
                format!("{} {proxy}/accounts/globex/usage", with(0)),
            ],
        ),
        (
            "a service reads everybody's",
            vec![format!("{} {proxy}/accounts/acme/usage", with(2))],
        ),
        (
            "a program that knows nothing of tokens: its sidecar adds one",
            vec![format!("curl -i http://{}/whoami", world.sidecar)],
        ),
        (
            "a fresh token",
            vec![format!(
                "curl -s -u acme-app:{SECRET} -d grant_type=client_credentials {issuer}/accounts/token"
            )],
        ),
        (
            "make the issuer rotate its keys, go down, come back",
            ["rotate", "outage", "recover"]
                .map(|what| format!("curl -X POST {issuer}/accounts/{what}"))
                .into(),
        ),
        (
            "status page, metrics; what the proxy runs with (edit it: changes take effect at once)",
            vec![
                format!("http://{}/", world.admin),
                format!("http://{}/metrics", world.admin),
                world.configuration.display().to_string(),
            ],
        ),
    ];
    for (heading, lines) in groups {
        out.push_str(&look.offer(heading, &lines));
    }
    out.push_str("\nDecisions from here on:\n");
    out
}

fn line(world: &World, files: &[String]) -> Value {
    let issuer = format!("http://{}", world.issuer_address);
    json!({
        "type": "serving",
        "proxy": format!("http://{}", world.proxy),
        "sidecar": format!("http://{}", world.sidecar),
        "admin": format!("http://{}", world.admin),
        "token_endpoints": [format!("{issuer}/accounts/token"), format!("{issuer}/services/token")],
        "token_files": files,
        "config": world.configuration.display().to_string(),
    })
}
