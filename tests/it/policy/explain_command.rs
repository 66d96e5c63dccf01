//! `countersign explain`, in a process of its own.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use super::{outcome, path, program, run};
use crate::bed::{Issuer, Mode, Setup};
use crate::program::root;

fn smartem() -> String {
    path(&root().join("config/smartem.yaml")).to_owned()
}

fn json_of(arguments: &[&str]) -> Value {
    let mut all = vec!["explain", "--output", "json"];
    all.extend(arguments);
    let (code, out, err) = run(&all);
    assert_eq!(code, 0, "{out}{err}");
    serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}"))
}

#[test]
fn a_request_on_the_command_line_is_explained() {
    let config = smartem();
    let claims = json!({"azp": "SmartEM_User"}).to_string();
    let (code, out, err) = run(&[
        "explain",
        "--config",
        &config,
        "POST",
        "/grids",
        "--issuer",
        "dls",
        "--claims",
        &claims,
        "-H",
        "Host: api.example.org",
        "--peer",
        "10.0.0.7",
        "-H",
        "X-Forwarded-For: 198.51.100.7",
    ]);
    assert_eq!(code, 0, "{err}");
    for line in [
        "POST /grids",
        "  denied: caller_not_allowed (403)",
        "  host          api.example.org",
        "  client        198.51.100.7 (behind 10.0.0.7)",
        "  ▸ /**",
        "  ✗ agent  the one that came closest",
        "          wants  SmartEM_Agent",
        "          found  SmartEM_User",
        r#"  {"detail":"access denied"}"#,
        "  no alternative names this caller",
        "  claims were given, not a token: no signature of the issuer was checked",
    ] {
        assert!(out.lines().any(|own| own == line), "{line}\n{out}");
    }
    assert!(!out.contains('\x1b'), "no terminal, no colour");
    // The same in the words of the contract, for programs.
    let told = json_of(&[
        "--config", &config, "--method", "POST", "--path", "/grids", "--issuer", "dls", "--claims",
        &claims,
    ]);
    assert_eq!(told["decision"], "denied");
    assert_eq!(told["reason"], "caller_not_allowed");
    assert_eq!(told["answer"]["status"], 403);
    assert_eq!(
        told["alternatives"][0]["conditions"][0]["found"],
        "SmartEM_User"
    );
    let told = json_of(&["--config", &config, "/health"]);
    assert_eq!(
        (&told["decision"], &told["request"]),
        (&json!("allowed"), &json!("GET /health"))
    );
}

#[test]
fn claims_come_from_a_file_and_from_standard_input() {
    let config = smartem();
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    write!(file, "{}", json!({"azp": "SmartEM_Agent"})).expect("written");
    let told = json_of(&[
        "--config",
        &config,
        "POST",
        "/grids",
        "--issuer",
        "dls",
        "--claims",
        path(file.path()),
    ]);
    assert_eq!(told["caller"], "agent");
    assert_eq!(
        told["upstream"]["headers"],
        json!({"x-auth-client": "SmartEM_Agent"})
    );
    let mut child = program(&[
        "explain", "--config", &config, "POST", "/grids", "--issuer", "dls", "--claims", "-",
    ])
    .stdin(Stdio::piped())
    .stdout(Stdio::piped())
    .spawn()
    .expect("the program");
    let mut to = child.stdin.take().expect("its input");
    to.write_all(br#"{"azp": "SmartEM_Agent"}"#).expect("taken");
    drop(to);
    let (code, out, _) = outcome(&child.wait_with_output().expect("its end"));
    assert!(code == 0 && out.contains("allowed as agent"), "{out}");
}

#[test]
fn a_case_is_explained_and_what_does_not_fit_is_said() {
    let directory = tempfile::tempdir().expect("a directory");
    let case = directory.path().join("case.yaml");
    let config = smartem();
    std::fs::write(
        &case,
        "request: GET /debug/vars\nissuer: dls\nclaims: {azp: SmartEM_Agent}\n",
    )
    .expect("a file");
    let told = json_of(&["--config", &config, "--case", path(&case)]);
    assert_eq!(told["reason"], "nobody_may");
    assert_eq!(told["meaning"]["look_at"], "meant so");
    for (text, expected) in [
        (
            "request: GET /\nissuer: dsl\n",
            "there is no issuer called `dsl`; one of: dls",
        ),
        (
            "request: {path: /, listener: admin}\n",
            "there is no listener called `admin`; one of: inbound",
        ),
        (
            "request: GET /\nactor: {value: x}\n",
            "no route takes a second token",
        ),
        ("reqest: GET /\n", "unknown key `reqest`"),
    ] {
        std::fs::write(&case, text).expect("a file");
        let (code, out, err) = run(&["explain", "--config", &config, "--case", path(&case)]);
        assert_eq!((code, out.as_str()), (2, ""), "{text}: {err}");
        assert!(err.contains(expected), "{text}: {err}");
    }
    for (arguments, code, expected) in [
        (vec!["explain", "--config", &config], 2, "what is asked?"),
        (
            vec!["explain", "--config", &config, "/", "--claims", "{"],
            2,
            "no JSON object",
        ),
        (
            vec!["explain", "--config", "nowhere.yaml", "/"],
            64,
            "no such file",
        ),
        (
            vec!["explain", "--reason", "scope_mising"],
            2,
            "did you mean `scope_missing`?",
        ),
    ] {
        let (own, _, err) = run(&arguments);
        assert_eq!(own, code, "{err}");
        assert!(err.contains(expected), "{err}");
    }
}

#[test]
fn every_reason_is_listed_and_told() {
    let (code, out, _) = run(&["explain", "--reason", "list", "--output", "json"]);
    assert_eq!(code, 0);
    let all: Value = serde_json::from_str(&out).expect("JSON");
    let all = all.as_array().expect("a list");
    assert!(all.len() > 95);
    for own in all {
        assert!(
            own["case"].is_string() != own["beyond"].is_string(),
            "{own}"
        );
    }
    let (_, out, _) = run(&["explain", "--reason", "scope_missing"]);
    for line in ["scope_missing (403)", "  name: scope_missing"] {
        assert!(out.lines().any(|own| own == line), "{out}");
    }
}

#[test]
fn keys_are_fetched_only_where_that_is_asked_for() {
    let clock = countersign::clock::Clock::system();
    let issuer = Issuer::start(&clock);
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("countersign.yaml");
    std::fs::write(
        &config,
        format!(
            "inbound: {{listen: 127.0.0.1:0, upstream: http://127.0.0.1:8000}}\nissuers:\n  - {{name: main, issuer: {}, jwks: {{url: {}, allow_http: true}}, audiences: [api], algorithms: [RS256]}}\nroutes: [{{path: /**, allow: {{issuer: main}}}}]\n",
            issuer.iss,
            issuer.jwks_url()
        ),
    )
    .expect("a file");
    let token = directory.path().join("token");
    std::fs::write(&token, issuer.token().sign()).expect("a file");
    let arguments = [
        "explain",
        "--config",
        path(&config),
        "/",
        "--token-file",
        path(&token),
    ];
    let (code, out, _) = run(&arguments);
    assert_eq!(code, 1, "{out}");
    assert!(
        out.contains("cannot be judged without the issuer's keys") && out.contains("--fetch"),
        "{out}"
    );
    assert_eq!(issuer.fetches(), 0, "explain is pure");
    let mut fetching = arguments.to_vec();
    fetching.push("--fetch");
    let (code, out, err) = run(&fetching);
    assert!(
        code == 0 && out.contains("signature     verified"),
        "{out}{err}"
    );
    assert!(issuer.fetches() > 0);
    let token_text = std::fs::read_to_string(&token).expect("a token");
    for part in token_text.split('.') {
        assert!(!out.contains(part), "{out}");
    }
    issuer.mode(Mode::Answer(500, "", String::new()));
    let (code, out, err) = run(&fetching);
    assert!(
        code == 0 && out.contains("keys_unavailable (503)"),
        "{out}{err}"
    );
    assert!(err.contains("keys of main"), "{err}");
}

#[test]
fn a_recorded_decision_is_explained_by_its_request_id() {
    let bed = Setup::new("callers: {web: {issuer: main, client: web}}\nroutes: [{path: '/{x}', allow: {caller: web, scopes: write}}]\n").start();
    let refused = bed.get("/x", &bed.token().sign());
    let id = refused.header("x-request-id").expect("an id").to_owned();
    bed.proxy.await_record(&id);
    let log = bed.dir.path().join("decisions.log");
    std::fs::write(
        &log,
        format!(
            "no record\npod {}\n",
            bed.proxy.log_text().replace('\n', "\npod ")
        ),
    )
    .expect("a file");
    let arguments = [
        "explain",
        "--config",
        path(&bed.config),
        "--log",
        path(&log),
        "--request-id",
        &id,
    ];
    let (code, out, err) = run(&arguments);
    assert_eq!(code, 0, "{err}");
    for words in [
        ": denied scope_missing",
        "decided alike by this configuration",
        "wants  write",
        "found  read",
    ] {
        assert!(out.contains(words), "{words}\n{out}");
    }
    // Another configuration decides otherwise.
    let text = std::fs::read_to_string(&bed.config).expect("a configuration");
    let wider = bed.dir.path().join("wider.yaml");
    std::fs::write(&wider, text.replace("scopes: write", "scopes: read")).expect("a file");
    let mut other = arguments.to_vec();
    other[2] = path(&wider);
    other.extend(["--output", "json"]);
    let (code, out, err) = run(&other);
    assert_eq!(code, 0, "{err}");
    let told: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(told["same"], false);
    assert_eq!(told["recorded"]["reason"], "scope_missing");
    assert_eq!(told["explanation"]["decision"], "allowed");
    let (code, _, err) = run(&[
        "explain",
        "--config",
        path(&bed.config),
        "--log",
        path(&log),
        "--request-id",
        "none",
    ]);
    assert!(
        code == 2 && err.contains("no record has the request id"),
        "{err}"
    );
}
