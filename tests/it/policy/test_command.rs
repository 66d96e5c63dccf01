//! `countersign test`, in a process of its own.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{outcome, path, program, run, xml};
use crate::program::root;

/// A directory with a copy of the examples, whose files are where the examples want them.
fn examples() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let here = path(directory.path()).to_owned();
    for folder in ["", "cases"] {
        let from = root().join("config").join(folder);
        let to = directory.path().join("config").join(folder);
        fs::create_dir_all(&to).expect("a directory");
        for entry in fs::read_dir(from).expect("examples") {
            let file = entry.expect("an example").path();
            if file.is_file() {
                let text = fs::read_to_string(&file).expect("text");
                let text = text.replace("/etc/countersign", &here);
                let name = file.file_name().expect("a name");
                fs::write(to.join(name), text).expect("written");
            }
        }
    }
    let secret = directory.path().join("smartem-agent.secret");
    fs::write(secret, "0123456789abcdef0123456789abcdef").expect("written");
    directory
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.into_string().expect("text"))
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    names.sort();
    names
}

/// The report for programs, and the exit code.
fn report(arguments: &[&str]) -> (i32, Value) {
    let mut all = vec!["test", "--output", "json"];
    all.extend(arguments);
    let (code, out, err) = run(&all);
    let report = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
    (code, report)
}

#[test]
fn the_examples_ship_with_cases_that_pass_and_exercise_all_of_their_routes() {
    let directory = examples();
    let config = directory.path().join("config");
    let mut with_cases = names(&config);
    // A reference of every part, of which the other examples are what one would run.
    with_cases.retain(|name| name != "design-section-5.yaml");
    assert_eq!(names(&config.join("cases")), with_cases);
    for name in with_cases {
        let cases = config.join("cases").join(&name);
        let (code, report) = report(&["--min-coverage", "100", path(&cases)]);
        assert_eq!(code, 0, "{name}: {report:#}");
        assert!(report["cases"].as_u64() > Some(8), "{name}");
        let coverage = &report["coverage"][0];
        assert_eq!(coverage["percent"], 100, "{name}: {coverage:#}");
        assert!(coverage["total"].as_u64() > Some(3), "{name}");
    }
}

/// What somebody could do to an example by mistake, and a case of its own notices.
const MISTAKES: [(&str, &str, &str); 12] = [
    ("smartem", "    allow: nobody", "    allow: anyone"),
    (
        "smartem",
        "    allow: agent\n",
        "    allow: [user, agent]\n",
    ),
    ("smartem", "      GET: user\n", "      GET: [user, agent]\n"),
    (
        "smartem",
        "PATCH, DELETE: agent",
        "PATCH, DELETE: [user, agent]",
    ),
    ("smartem", "GET, HEAD: [user, agent]", "GET, HEAD: user"),
    (
        "smartem",
        "x-auth-username: claims.preferred_username",
        "x-auth-username: claims.name",
    ),
    ("atlas", "scopes: [\"account:usage:read\"], ", ""),
    ("atlas", ", account: \"{account}\"", ""),
    ("atlas", ", service_account: atlas-production/atlas", ""),
    ("atlas", "    fold: [account]", "    fold: []"),
    ("minimal", "audiences: [my-api]", "audiences: unchecked"),
    ("smartem-agent", "      - /status\n", "      - /status/**\n"),
];

#[test]
fn a_mistake_in_an_example_is_noticed_by_its_cases() {
    for (name, from, to) in MISTAKES {
        let directory = examples();
        let config = directory.path().join(format!("config/{name}.yaml"));
        let cases = directory.path().join(format!("config/cases/{name}.yaml"));
        let text = fs::read_to_string(&config).expect("an example");
        assert!(text.contains(from), "{name}: {from}");
        // An empty `fold` is an error of its own.
        let text = text.replacen(from, to, 1).replacen("    fold: []", "", 1);
        fs::write(&config, text).expect("written");
        let (code, report) = report(&[path(&cases)]);
        assert_eq!(code, 1, "{name}: {to}: {report:#}");
    }
}

const CONFIG: &str = r#"
inbound: {listen: 127.0.0.1:0, upstream: http://127.0.0.1:8000}
issuers:
  - {name: main, issuer: "https://id.example.org", jwks: {discover: true}, audiences: [api], claim_mappings: {account: account}}
identity:
  headers: {x-auth-subject: subject, x-auth-caller: caller}
  assertion: {header: x-auth-assertion, issuer: countersign, audience: api}
callers:
  web: {issuer: main, client: web}
  job: {issuer: main, client: job}
routes:
  - {path: /public, allow: anyone}
  - {path: /closed, allow: nobody}
  - path: "/accounts/{account}"
    allow:
      GET: [job, {caller: web, scopes: read, account: "{account}"}]
      POST: job
  - {path: /watched, allow: job, mode: observe, until: 2099-01-01}
"#;

struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            directory: tempfile::tempdir().expect("a directory"),
        };
        place.write("countersign.yaml", CONFIG);
        place
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.directory.path().join(name);
        fs::write(&file, text).expect("written");
        file
    }

    /// Cases about [`CONFIG`].
    fn cases(&self, cases: &str) -> PathBuf {
        let text = format!(
            "config: countersign.yaml\ntokens:\n  web: {{issuer: main, claims: {{sub: ada, azp: web, scope: read, account: acme}}}}\n  job: {{issuer: main, claims: {{sub: cron, azp: job}}}}\ncases:\n{cases}"
        );
        self.write("cases.yaml", &text)
    }
}

const READS: &str = "request: GET /accounts/acme, token: web";
const REFUSED: &str = "request: GET /accounts/acme, token: web, claims: {scope: write}";
const WATCHED: &str = "request: GET /watched";

/// What is asked, what is expected of it that holds, the same with something that does not, and what is told of the
/// difference.
const EXPECTATIONS: [(&str, &str, &str, [&str; 3]); 16] = [
    (
        READS,
        "allowed",
        "denied",
        ["decision", "denied", "allowed"],
    ),
    (
        REFUSED,
        "denied",
        "allowed",
        ["decision", "allowed", "denied"],
    ),
    (
        REFUSED,
        "denied",
        "errored",
        ["decision", "errored", "denied"],
    ),
    (REFUSED, "403", "401", ["status", "401", "403"]),
    (
        READS,
        "{decision: allowed}",
        "{decision: denied}",
        ["decision", "denied", "allowed"],
    ),
    (
        REFUSED,
        "{status: 403}",
        "{status: 503}",
        ["status", "503", "403"],
    ),
    (
        READS,
        "allowed",
        "{status: 403}",
        ["status", "403", "nothing"],
    ),
    (
        REFUSED,
        "{reason: scope_missing}",
        "{reason: account_mismatch}",
        ["reason", "account_mismatch", "scope_missing"],
    ),
    (
        READS,
        "allowed",
        "{reason: scope_missing}",
        ["reason", "scope_missing", "nothing"],
    ),
    (
        WATCHED,
        "{decision: allowed, observed: no_token}",
        "{observed: token_issuer}",
        ["observed", "token_issuer", "no_token"],
    ),
    (
        READS,
        "{route: '/accounts/{account}'}",
        "{route: /public}",
        ["route", "/public", "/accounts/{account}"],
    ),
    (
        READS,
        "{caller: web}",
        "{caller: job}",
        ["caller", "job", "web"],
    ),
    (
        WATCHED,
        "{caller: null}",
        "{caller: job}",
        ["caller", "job", "nothing"],
    ),
    (
        READS,
        "{identity: {X-Auth-Subject: ada, x-auth-account: null}}",
        "{identity: {x-auth-subject: null}}",
        ["identity.x-auth-subject", "nothing", "ada"],
    ),
    (
        READS,
        "{assertion: {sub: ada, scope: read, actor: null}}",
        "{assertion: {sub: eve}}",
        ["assertion.sub", "eve", "ada"],
    ),
    // What does not pass tells the upstream nothing, which no case may take for what it expects.
    (
        READS,
        "{identity: {x-auth-caller: web}}",
        "{decision: allowed, assertion: {sub: null}}",
        ["assertion.sub", "nothing", "ada"],
    ),
];

#[test]
fn each_expectation_holds_and_a_wrong_one_tells_what_was_wanted_and_what_was_found() {
    let place = Place::new();
    for (asked, right, wrong, [what, wanted, found]) in EXPECTATIONS {
        let cases = place.cases(&format!("  - {{{asked}, expect: {right}}}\n"));
        let (code, good) = report(&[path(&cases)]);
        assert_eq!(
            (code, &good["passed"]),
            (0, &json!(true)),
            "{right}: {good:#}"
        );
        assert_eq!(good["files"][0]["cases"][0]["outcome"], "passed");
        let cases = place.cases(&format!("  - {{{asked}, expect: {wrong}}}\n"));
        let (code, bad) = report(&[path(&cases)]);
        assert_eq!(
            (code, &bad["passed"]),
            (1, &json!(false)),
            "{wrong}: {bad:#}"
        );
        let case = &bad["files"][0]["cases"][0];
        assert_eq!(case["outcome"], "failed");
        assert_eq!(
            case["differences"],
            json!([{"what": what, "wanted": wanted, "found": found}]),
            "{wrong}"
        );
    }
}

#[test]
fn what_is_refused_gives_the_upstream_no_identity_and_no_case_may_expect_one() {
    let place = Place::new();
    let cases = place.cases(&format!(
        "  - {{{REFUSED}, expect: {{identity: {{x-auth-account: null}}}}}}\n"
    ));
    let (code, report) = report(&[path(&cases)]);
    assert_eq!(code, 1, "{report:#}");
    assert_eq!(
        report["files"][0]["cases"][0]["differences"][0],
        json!({"what": "identity", "wanted": "a request that passes", "found": "denied"})
    );
}

#[test]
fn cases_and_configurations_that_cannot_be_used_are_errors() {
    let place = Place::new();
    let good = place.cases(&format!("  - {{{READS}, expect: allowed}}\n"));
    assert_eq!(run(&["test", path(&good)]).0, 0);
    for expect in ["", ", expect: {}"] {
        let cases = place.cases(&format!("  - {{{READS}{expect}}}\n"));
        let (code, out, _) = run(&["test", path(&cases)]);
        assert!(code == 64 && out.contains("it expects nothing"), "{out}");
        assert!(out.contains("1 case: 0 passed, 1 error"), "{out}");
    }
    let cases = place.cases("  - {request: GET /, issuer: mian, expect: allowed}\n");
    let (code, out, _) = run(&["test", path(&cases)]);
    assert!(
        code == 64 && out.contains("there is no issuer called `mian`"),
        "{out}"
    );
    let nothing = place.write("nothing.yaml", "config: countersign.yaml\ncases: []\n");
    let wrong = place.write("wrong.yaml", "cases: [{reqest: GET /}]\n");
    let bad_config = place.write(
        "bad.yaml",
        "config: bad-config.yaml\ncases: [{request: GET /, expect: allowed}]\n",
    );
    place.write("bad-config.yaml", "inbound: {}\n");
    for (file, words) in [
        (nothing, "cases: must not be empty"),
        (wrong, "unknown key `reqest`"),
        (bad_config, "bad-config.yaml"),
        (place.directory.path().join("nowhere.yaml"), "nowhere.yaml"),
    ] {
        let (code, out, err) = run(&["test", path(&good), path(&file)]);
        assert_eq!((code, out.as_str()), (64, ""), "{err}");
        assert!(err.contains(words), "{words}: {err}");
    }
    for wrong in [
        vec!["test"],
        vec!["test", "--min-coverage", "101", path(&good)],
    ] {
        assert_eq!(run(&wrong).0, 2);
    }
}

#[test]
fn the_configuration_is_that_of_the_command_line_or_of_the_document_or_of_the_environment() {
    let place = Place::new();
    let cases = place.cases("  - {request: GET /public, expect: allowed}\n");
    let unnamed = place.write(
        "unnamed.yaml",
        "cases: [{request: GET /public, expect: allowed}]\n",
    );
    let other = CONFIG.replace("path: /public, allow: anyone", "path: /public, allow: job");
    let other = place.write("other.yaml", &other);
    assert_eq!(run(&["test", path(&cases)]).0, 0);
    assert_eq!(run(&["test", "--config", path(&other), path(&cases)]).0, 1);
    let own = place.directory.path().join("countersign.yaml");
    for (config, expected) in [(own, 0), (other, 1)] {
        let output = program(&["test", path(&unnamed)])
            .env("COUNTERSIGN_CONFIG", config)
            .output();
        assert_eq!(outcome(&output.expect("the program")).0, expected);
    }
}

#[test]
fn coverage_names_what_no_case_exercises_and_what_only_one_direction_of() {
    let place = Place::new();
    let gaps = |cases: &str| -> (Value, Vec<String>) {
        let cases = place.cases(cases);
        let (code, mut report) = report(&["--coverage", path(&cases)]);
        assert_eq!(code, 0, "{report:#}");
        let coverage = report["coverage"][0].take();
        let gaps = coverage["gaps"].as_array().expect("a list").iter();
        let gaps = gaps.map(|gap| {
            let who = gap["who"].as_str().unwrap_or("-");
            format!(
                "{} {} {who}: {}",
                gap["route"].as_str().unwrap(),
                gap["methods"].as_str().unwrap(),
                gap["missing"].as_str().unwrap()
            )
        });
        let gaps = gaps.collect();
        (coverage, gaps)
    };
    let (coverage, missing) = gaps("  - {request: GET /public, expect: allowed}\n");
    assert_eq!(
        (&coverage["covered"], &coverage["total"]),
        (&json!(1), &json!(15))
    );
    assert_eq!(
        missing,
        [
            "/closed all methods -: no case",
            "/accounts/{account} GET -: no case",
            "/accounts/{account} POST -: no case",
            "/watched all methods -: no case",
        ]
    );
    // A refusal before a row is found exercises none; what is only observed lets nobody pass.
    let some = format!(
        "  - {{request: GET /public, expect: allowed}}
  - {{request: GET /closed, expect: 403}}
  - {{request: PUT /accounts/acme, token: job, expect: 405}}
  - {{{READS}, expect: allowed}}
  - {{request: GET /accounts/globex, token: web, claims: {{scope: write}}, expect: denied}}
  - {{{WATCHED}, token: web, expect: {{observed: caller_not_allowed}}}}
"
    );
    let (_, missing) = gaps(&some);
    assert_eq!(
        missing,
        [
            "/accounts/{account} GET job: no case that it lets pass",
            "/accounts/{account} GET web: no case that its `client` alone keeps out",
            // One case fails both, and would fail still without one of them.
            "/accounts/{account} GET web: no case that its `account` alone keeps out",
            "/accounts/{account} GET web: no case that its `scopes` alone keeps out",
            "/accounts/{account} POST -: no case",
            "/watched all methods job: no case that it lets pass",
        ]
    );
    let all = format!(
        "{some}  - {{{REFUSED}, expect: denied}}
  - {{request: GET /accounts/globex, token: web, expect: denied}}
  - {{request: GET /accounts/globex, token: job, expect: allowed}}
  - {{request: GET /accounts/acme, token: job, claims: {{scope: read, account: acme}}, expect: {{caller: job}}}}
  - {{request: POST /accounts/globex, token: job, expect: allowed}}
  - {{request: POST /accounts/acme, token: web, expect: denied}}
  - {{{WATCHED}, token: job, expect: allowed}}
"
    );
    let (coverage, missing) = gaps(&all);
    assert_eq!(missing, Vec::<String>::new());
    assert_eq!(
        (&coverage["covered"], &coverage["percent"]),
        (&json!(15), &json!(100))
    );
}

#[test]
fn too_little_coverage_fails_and_enough_does_not() {
    let place = Place::new();
    // 2 of 15 are 13 percent and a little.
    let cases = place.cases(
        "  - {request: GET /public, expect: allowed}\n  - {request: GET /closed, expect: denied}\n",
    );
    for (least, code) in [("0", 0), ("13", 0), ("14", 1), ("100", 1)] {
        let (own, report) = report(&["--min-coverage", least, path(&cases)]);
        assert_eq!(own, code, "{least}");
        assert_eq!(report["passed"], code == 0);
        assert_eq!(report["coverage"][0]["enough"], code == 0);
    }
    let (_, without) = report(&[path(&cases)]);
    assert_eq!(without["coverage"], json!([]));
    let (code, out, _) = run(&["test", "--min-coverage", "14", path(&cases)]);
    assert!(
        code == 1 && out.contains("13 %, less than 14 % (2 of 15)"),
        "{out}"
    );
}

#[test]
fn two_documents_about_one_configuration_exercise_it_together() {
    let place = Place::new();
    let first = place.write(
        "first.yaml",
        "config: countersign.yaml\ncases: [{request: GET /public, expect: allowed}]\n",
    );
    let second = place.write(
        "second.yaml",
        "config: countersign.yaml\ncases: [{request: GET /closed, expect: denied}]\n",
    );
    let (code, both) = report(&["--coverage", path(&first), path(&second)]);
    assert_eq!(code, 0);
    assert_eq!(both["files"].as_array().expect("a list").len(), 2);
    assert_eq!(both["coverage"].as_array().expect("a list").len(), 1);
    assert_eq!(both["coverage"][0]["covered"], 2);
}

#[test]
fn people_get_a_table_with_what_was_wanted_and_found_that_fits_their_terminal() {
    let place = Place::new();
    let cases = place.cases(&format!(
        "  - {{name: ada reads, {READS}, expect: allowed}}\n  - {{name: ada is no job, {READS}, expect: {{caller: job, identity: {{x-auth-subject: cron}}}}}}\n"
    ));
    let (code, out, _) = run(&["test", path(&cases)]);
    assert_eq!(code, 1);
    let lines: Vec<&str> = out.lines().skip(1).collect();
    assert_eq!(
        lines[..7],
        [
            "✓  6  ada reads                  allowed as web",
            "✗  7  ada is no job              allowed as web",
            "      caller                     - wanted  job",
            "                                 + found   web",
            "      identity.x-auth-subject    - wanted  cron",
            "                                 + found   ada",
            "",
        ],
        "{out}"
    );
    assert_eq!(lines[7], "2 cases: 1 passed, 1 failed");
    assert!(
        lines[8].starts_with("why: countersign explain --config "),
        "{out}"
    );
    assert!(lines[8].ends_with("--name 'ada is no job'"), "{out}");
    assert!(!out.contains('\x1b'), "no terminal, no colour");
    let long =
        "x-auth-subject: a value that is long enough for a narrow terminal to have no place for it";
    let cases = place.cases(&format!(
        "  - {{{READS}, expect: {{identity: {{{long}}}}}}}\n"
    ));
    let lines = |columns: &str| {
        let output = program(&["test", path(&cases)])
            .env("COLUMNS", columns)
            .output();
        outcome(&output.expect("the program")).1.lines().count()
    };
    assert!(lines("60") > lines("200"));
}

#[test]
fn junit_reports_have_the_form_that_ci_systems_read() {
    let place = Place::new();
    let cases = place.cases(&format!(
        "  - {{name: fine, {READS}, expect: allowed}}
  - {{name: \"<not> & \\\"fine\\\"\", {READS}, expect: {{decision: denied, caller: \"<\\e>\"}}}}
  - {{name: nothing, {READS}}}
"
    ));
    let arguments = [
        "test",
        "--output",
        "junit",
        "--min-coverage",
        "50",
        path(&cases),
    ];
    let (code, out, _) = run(&arguments);
    assert_eq!(code, 64);
    let root = xml::parse(&out);
    assert_eq!(root.name, "testsuites");
    let counts = |own: &xml::Element| ["tests", "failures", "errors"].map(|name| own.number(name));
    assert_eq!(counts(&root), [4, 2, 1]);
    let suites: Vec<_> = root.all("testsuite").collect();
    assert_eq!(suites.len(), 2);
    assert_eq!(suites[0].attribute("name"), path(&cases));
    assert_eq!(counts(suites[0]), [3, 1, 1]);
    let properties = suites[0].all("properties").next().expect("properties");
    assert!(
        properties.children[0]
            .attribute("value")
            .ends_with("countersign.yaml")
    );
    let own: Vec<_> = suites[0].all("testcase").collect();
    assert_eq!(own[0].attribute("name"), "fine");
    assert_eq!((own[0].children.len(), own[0].attribute("line")), (0, "6"));
    assert_eq!(own[1].attribute("name"), r#"<not> & "fine""#);
    let failure = own[1].all("failure").next().expect("a failure");
    assert_eq!(failure.attribute("message"), "allowed as web");
    assert_eq!(
        failure.text,
        "decision: wanted denied, found allowed\ncaller: wanted <\\u001b>, found web"
    );
    let error = own[2].all("error").next().expect("an error");
    assert!(error.attribute("message").starts_with("it expects nothing"));
    assert_eq!(counts(suites[1]), [1, 1, 0]);
    let covered = suites[1].all("testcase").next().expect("a case");
    let failure = covered.all("failure").next().expect("a failure");
    assert!(
        failure.attribute("message").ends_with("less than 50 %"),
        "{out}"
    );
    assert!(
        failure.text.contains("/public all methods: no case"),
        "{out}"
    );
    // The twin: what passes has neither.
    let cases = place.cases(&format!("  - {{name: fine, {READS}, expect: allowed}}\n"));
    let (code, out, _) = run(&["test", "--output", "junit", "--coverage", path(&cases)]);
    assert_eq!(code, 0);
    let root = xml::parse(&out);
    assert_eq!(counts(&root), [2, 0, 0]);
    assert!(
        !out.contains("<failure") && !out.contains("<error"),
        "{out}"
    );
}

#[test]
fn invariant_46_a_token_of_a_case_is_in_no_report() {
    const TOKEN: &str = "eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUub3JnIiwic3ViIjoiY2FuYXJ5In0.c2lnbmF0dXJlLW9mLWEtY2FuYXJ5LXRva2Vu";
    let place = Place::new();
    let cases = place.cases(&format!(
        "  - {{request: GET /accounts/acme, token: {{value: {TOKEN}}}, expect: allowed}}\n"
    ));
    for format in ["text", "json", "junit"] {
        let (code, out, err) = run(&["test", "--output", format, path(&cases)]);
        assert_eq!(code, 1, "{out}");
        for part in TOKEN.split('.') {
            assert!(
                !out.contains(part) && !err.contains(part),
                "{format}: {out}{err}"
            );
        }
    }
}

/// What `docs/policy.md` shows is what the program says.
#[test]
fn the_documentation_shows_a_real_difference() {
    let place = Place::new();
    let cases = place.cases(&format!(
        "  - {{name: ada reads, {READS}, expect: allowed}}\n  - {{name: ada is no job, {READS}, expect: {{caller: job}}}}\n"
    ));
    let (code, out, _) = run(&["test", path(&cases)]);
    assert_eq!(code, 1);
    let table: Vec<&str> = out.lines().skip(1).take(4).collect();
    let page = fs::read_to_string(root().join("docs/policy.md")).expect("a page");
    assert!(
        page.contains(&format!("```\n{}\n```\n", table.join("\n"))),
        "{out}"
    );
}
