use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

fn run_once(audience: Audience) -> String {
    let directory = tempfile::tempdir().unwrap();
    let arguments = Arguments {
        once: true,
        port: Vec::new(),
        directory: Some(directory.path().to_owned()),
        output: OutputFormat::Text,
    };
    let mut out = Vec::new();
    let holds = demo(arguments, audience, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(holds, "{text}");
    text
}

#[test]
fn every_step_of_the_demo_holds_and_every_case_is_there() {
    let text = run_once(Audience::Programs);
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let steps: Vec<&Value> = lines.iter().filter(|line| line["type"] == "step").collect();
    assert_eq!(steps.len(), STEPS.len());
    for step in &steps {
        assert_eq!(step["holds"], true, "{step:#}");
        let reached = step["upstream"].as_array().unwrap().len();
        let allowed = step["answer"]["status"] == 200;
        assert_eq!(reached, usize::from(allowed), "{step:#}");
        assert!(
            step["request"]["curl"]
                .as_str()
                .unwrap()
                .starts_with("curl ")
        );
    }
    let names: BTreeSet<&str> = steps
        .iter()
        .map(|step| step["name"].as_str().unwrap())
        .collect();
    for case in [
        "no_token",
        "good_token",
        "wrong_scope",
        "own_account",
        "other_account",
        "service_across_accounts",
        "spoofed_identity",
        "ambiguous_path",
        "expired",
        "key_rotation",
        "outage_held_keys",
        "outage_unknown_key",
        "public_route",
        "near_miss",
        "rate_limit",
        "sidecar",
        "sidecar_own_token",
        "sidecar_web_page",
        "sidecar_outage",
    ] {
        assert!(names.contains(case), "{case} is missing");
    }
    assert_eq!(names.len(), steps.len(), "two steps have the same name");
}

#[test]
fn the_demo_shows_no_whole_token_and_fits_the_terminal() {
    let look = Look {
        width: 80,
        colour: false,
    };
    let text = run_once(Audience::People(look));
    assert!(text.contains("nothing reached the upstream"));
    assert!(text.contains(&format!("All {} steps hold.", STEPS.len())));
    assert!(!text.contains('\x1b'), "colour was not asked for");
    // A whole token of the demo has well over 300 characters.
    let longest = text.split_whitespace().map(str::len).max().unwrap_or(0);
    assert!(longest < 200, "a token is shown whole");
    let wide: Vec<&str> = text
        .lines()
        .filter(|line| line.chars().count() > 80 && !line.contains("/countersign.yaml"))
        .collect();
    assert!(wide.is_empty(), "{wide:#?}");
}

fn world() -> (World, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let world = World::start(&Setup {
        directory: Some(directory.path().to_owned()),
        ..Setup::default()
    });
    (world.unwrap(), directory)
}

#[test]
fn a_step_that_does_not_hold_is_told() {
    let (world, _directory) = world();
    let wrong = steps::Step {
        expect: steps::Expect::Refused {
            status: 403,
            reason: "no_route",
            header: Some(("retry-after", "")),
        },
        ..steps::PLAIN
    };
    let made = walk::make(&world, &wrong).unwrap();
    let right = walk::make(&world, &steps::PLAIN).unwrap();
    world.app.kill();
    // Status, reason, the upstream, the header; the upstream's own answer may not be cached either.
    assert_eq!(made.faults.len(), 4, "{:?}", made.faults);
    assert!(right.faults.is_empty(), "{:?}", right.faults);
}

/// Asks the token endpoint: status and body.
fn ask_token(world: &World, authorization: Option<&str>, form: &str) -> (u16, Value) {
    let mut call = client::Call::get("/accounts/token");
    call.method = "POST";
    if let Some(value) = authorization {
        call = call.header("Authorization", value.to_owned());
    }
    call.form = Some(form.to_owned());
    let answer = client::send(world.issuer_address, &call).unwrap();
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

#[test]
fn the_development_issuer_takes_both_kinds_of_client_authentication_and_no_other_client() {
    const GRANT: &str = "grant_type=client_credentials";
    let (world, _directory) = world();
    // acme-app:demo, and acme-app:wrong
    let (good, bad) = ("Basic YWNtZS1hcHA6ZGVtbw==", "Basic YWNtZS1hcHA6d3Jvbmc=");
    let post = "&client_id=acme%2Dapp&client_secret=demo";
    for (authorization, form, status, error) in [
        (Some(good), GRANT.to_owned(), 200, None),
        (None, format!("{GRANT}{post}"), 200, None),
        (
            Some(good),
            format!("{GRANT}&scope=usage%3Aread+profile"),
            200,
            None,
        ),
        (Some(bad), GRANT.to_owned(), 401, Some("invalid_client")),
        (None, GRANT.to_owned(), 401, Some("invalid_client")),
        (
            Some(good),
            format!("{GRANT}{post}"),
            401,
            Some("invalid_client"),
        ),
        (
            None,
            format!("{GRANT}&client_id=billing&client_secret=demo"),
            401,
            Some("invalid_client"),
        ),
        (
            Some(good),
            format!("{GRANT}&scope=admin"),
            400,
            Some("invalid_scope"),
        ),
        (
            Some(good),
            "grant_type=password".to_owned(),
            400,
            Some("unsupported_grant_type"),
        ),
        (Some(good), String::new(), 400, Some("invalid_request")),
    ] {
        let (held, body) = ask_token(&world, authorization, &form);
        assert_eq!((held, body["error"].as_str()), (status, error), "{form}");
        assert_eq!(body["access_token"].is_string(), status == 200, "{form}");
    }
    world.app.kill();
}

#[test]
fn after_the_walk_tokens_of_both_issuers_work() {
    let (world, _directory) = world();
    for step in STEPS {
        walk::make(&world, step).unwrap();
    }
    world.recover("services").unwrap();
    for client in ["acme-app", "billing"] {
        let realm = if client == "billing" {
            "services"
        } else {
            "accounts"
        };
        let token = world.token(realm, client, None).unwrap();
        let call = client::Call::get("/whoami").header("Authorization", format!("Bearer {token}"));
        assert_eq!(
            world.ask(steps::Door::Proxy, &call).unwrap().answer.status,
            200,
            "{client}"
        );
    }
    world.app.kill();
}

#[test]
fn what_happens_after_the_walk_is_shown_until_the_proxy_ends() {
    let (world, directory) = world();
    let look = Look {
        width: 80,
        colour: false,
    };
    let configuration = world.configuration.clone();
    let whole = std::fs::read_to_string(&configuration).unwrap();
    std::fs::write(&configuration, whole.replace("callers:", "caller:")).unwrap();
    world.app.reload().unwrap_err();
    std::fs::write(&configuration, whole).unwrap();
    assert!(world.app.reload().unwrap() >= 2);
    client::send(world.proxy, &client::Call::get("/nowhere")).unwrap();
    world.app.drain();
    let mut out = Vec::new();
    stay::stay(world, Audience::People(look), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    for part in [
        "$(cat ",
        "/accounts/token",
        "/accounts/rotate",
        "config.rejected",
        "config.reloaded",
        "401  GET /nowhere  denied: no_token",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for client in ["acme-app", "globex-app", "billing"] {
        let token = std::fs::read_to_string(directory.path().join(format!("{client}.token")));
        assert!(token.unwrap().starts_with("eyJ"), "{client}");
    }
}
