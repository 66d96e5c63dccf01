//! From observing to enforcing, as README.md and docs/policy.md show it: each command is run, and says what they say it says.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::outcome;
use crate::bed::{Bed, Request, Setup, Upstream};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Who calls, what, and how often. `#` counts up.
const GOOD: &[(usize, &str, &str, &str, &str, &str)] = &[
    (
        9,
        "GET",
        "/accounts/acme/reports/#",
        "web",
        "acme",
        "openid reports:read",
    ),
    (
        8,
        "GET",
        "/accounts/globex/reports/#",
        "web",
        "globex",
        "openid reports:read",
    ),
    (
        6,
        "POST",
        "/accounts/acme/reports",
        "web",
        "acme",
        "openid reports:read reports:write",
    ),
    (
        5,
        "GET",
        "/accounts/acme/invoices",
        "billing",
        "",
        "invoices:read",
    ),
    (
        5,
        "GET",
        "/accounts/globex/invoices",
        "billing",
        "",
        "invoices:read",
    ),
    (
        12,
        "POST",
        "/instruments/m#/readings",
        "collector",
        "",
        "readings:write",
    ),
];

/// What should not pass, and would not when the policy is enforced.
fn bad(bed: &Bed) -> Vec<Request> {
    let token = |client: &str, account: &str| {
        let token = bed.token().claim("azp", client).claim("sub", client);
        token
            .claim("account", account)
            .claim("scope", "reports:read")
    };
    let alice = token("web", "acme").sign();
    vec![
        Request::get("/accounts/globex/reports/7").bearer(alice.clone()),
        Request::get("/accounts/acme/reports/7"),
        Request::get("/accounts/acme/reports/7")
            .bearer(token("web", "acme").expires_in(-3600).sign()),
        Request::get("/accounts/acme/reports/7").bearer(token("mallory", "acme").sign()),
        Request::get("/.git/config"),
        Request::get("/internal/users").bearer(alice),
    ]
}

fn good(bed: &Bed) -> Vec<Request> {
    let mut all = vec![Request::get("/health")];
    for (times, method, path, client, account, scope) in GOOD {
        for number in 0..*times {
            let token = bed.token().claim("azp", *client).claim("scope", *scope);
            let token = match *account {
                "" => token.claim("sub", *client),
                account => token
                    .claim("sub", format!("{account}-{}", number % 2))
                    .claim("account", account),
            };
            let target = path.replace('#', &(number + 7).to_string());
            all.push(Request::new(method, &target).bearer(token.sign()));
        }
    }
    all
}

/// It knows what it serves, and not who may have it.
fn upstream() -> Upstream {
    Upstream::scripted(|exchange| {
        let target = exchange.request.target.clone();
        exchange.body()?;
        let known = ["/accounts/", "/instruments/", "/health"];
        let served = known.iter().any(|own| target.starts_with(own));
        exchange.answer(if served { 200 } else { 404 }, "", b"{}")
    })
}

/// A proxy with the example's configuration, save for its addresses.
fn proxy(text: &str) -> Bed {
    let mut lines = text.replace("file: jwks.json", "file: \"@DIR@/jwks.json\"");
    let start = lines.find("inbound:").expect("a listener");
    let end = start + lines[start..].find('\n').expect("a line");
    lines.replace_range(start..=end, "");
    Setup::bare(&lines)
        .issuer_called("https://id.example.org")
        .upstream(upstream())
        .start()
}

/// What is written to the log while the policy observes.
fn observed(text: &str) -> String {
    let bed = proxy(text);
    let all: Vec<Request> = good(&bed).into_iter().chain(bad(&bed)).collect();
    for request in &all {
        let status = bed.send(request).status;
        assert!(
            matches!(status, 200 | 404),
            "nothing is enforced: {}",
            request.target
        );
    }
    bed.proxy.await_records(all.len());
    // The bed has its own name for the listener.
    bed.proxy
        .log_text()
        .replace("\"listener\":\"plain\"", "\"listener\":\"inbound\"")
}

/// The commands of the blocks marked `console`, each with what it says.
fn shown(page: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(Path::new(ROOT).join(page)).expect(page);
    let mut all: Vec<(String, String)> = Vec::new();
    for block in text.split("```console\n").skip(1) {
        let (block, _) = block.split_once("```").expect("an end");
        for line in block.lines() {
            match line.strip_prefix("$ ") {
                Some(command) => all.push((command.to_owned(), String::new())),
                None => {
                    let (_, said) = all.last_mut().expect("a command first");
                    said.push_str(line);
                    said.push('\n');
                }
            }
        }
    }
    all
}

/// Runs a line of a shell in `folder`, as the reader would: exit code, and all that it says.
fn typed(folder: &Path, line: &str) -> (i32, String) {
    let program = Path::new(env!("CARGO_BIN_EXE_countersign"));
    let beside = program.parent().expect("a folder").display();
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", &format!("{{ {line}; }} 2>&1")])
        .current_dir(folder)
        .env_clear();
    shell
        .env("PATH", format!("{beside}:/usr/bin:/bin"))
        .env("COLUMNS", "140");
    let (code, out, _) = outcome(&shell.output().expect("a shell"));
    (code, out)
}

#[test]
fn the_loop_from_observing_to_enforcing_is_as_shown() {
    let example = Path::new(ROOT).join("config/loop");
    let read = |name: &str| fs::read_to_string(example.join(name)).expect(name);
    let text = read("countersign.yaml");
    let log = observed(&text);
    let pages: Vec<_> = ["README.md", "docs/policy.md"]
        .iter()
        .map(|page| (page, shown(page)))
        .collect();
    // The log that was just written, and the one that readers find beside the example.
    for log in [&log, &read("decisions.log")] {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["countersign.yaml", "cases.yaml", "jwks.json"] {
            fs::copy(example.join(name), folder.path().join(name)).expect(name);
        }
        fs::write(folder.path().join("decisions.log"), log).expect("a file");
        for (page, commands) in &pages {
            assert!(commands.len() >= 4, "{page}");
            for (command, said) in commands {
                let (_, out) = typed(folder.path(), command);
                assert_eq!(out.trim_end(), said.trim_end(), "{page}: {command}\n{out}");
            }
        }
        let learned =
            fs::read_to_string(folder.path().join("learned.yaml")).expect("what was learned");
        enforced(&learned);
    }
}

/// The end of the loop: what was good passes, and nothing else reaches the upstream.
fn enforced(learned: &str) {
    let bed = proxy(learned);
    let all = good(&bed);
    for request in &all {
        assert_eq!(bed.send(request).status, 200, "{}", request.target);
    }
    assert_eq!(bed.upstream.requests().len(), all.len());
    for request in bad(&bed) {
        let status = bed.send(&request).status;
        assert!(matches!(status, 401 | 403), "{}: {status}", request.target);
    }
    assert_eq!(bed.upstream.requests().len(), all.len());
}

/// The records of requests, without what no two runs have in common.
fn decisions(log: &str) -> Vec<Value> {
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines
        .filter(|record: &Value| record["type"] == "request")
        .map(|mut record| {
            record
                .as_object_mut()
                .expect("an object")
                .remove("request_id");
            record
        })
        .collect()
}

/// Writes the log of the example anew: `COUNTERSIGN_WRITE_LOOP=1 cargo test --test it -- the_loop_log`.
#[test]
fn the_loop_log_is_one_of_a_proxy() {
    let example = Path::new(ROOT).join("config/loop");
    let file = example.join("decisions.log");
    if std::env::var_os("COUNTERSIGN_WRITE_LOOP").is_some() {
        let text = fs::read_to_string(example.join("countersign.yaml")).expect("the example");
        fs::write(&file, observed(&text)).expect("a file");
    }
    let log = fs::read_to_string(&file).expect("a log");
    let text = fs::read_to_string(example.join("countersign.yaml")).expect("the example");
    let (kept, now) = (decisions(&log), decisions(&observed(&text)));
    assert_eq!(kept.len(), 52);
    assert_eq!(kept, now);
}
