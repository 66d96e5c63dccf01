//! `countersign check`, in a process of its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{outcome, path, program, run};
use crate::program::root;

/// A configuration of which nothing is to be said.
const GOOD: &str = r#"
inbound: {listen: 127.0.0.1:0, upstream: http://127.0.0.1:8000}
issuers:
  - name: main
    issuer: https://id.example.org
    jwks: {discover: true}
    audiences: [api]
    clients: [web, job]
    scopes_supported: [read, all]
    scope_implies: {all: [write]}
    claim_mappings: {account: account}
  - name: pinned
    issuer: https://pinned.example.org
    jwks: {file: jwks.json}
    audiences: [api]
identity:
  assertion: {header: x-auth-assertion, key: {file: assertion.pem}, issuer: countersign, audience: api}
callers:
  web: {issuer: main, client: web}
  job: {issuer: main, client: job}
  guest: {issuer: pinned}
routes:
  - {path: /health, allow: anyone}
  - path: "/accounts/{account}"
    allow: [{caller: web, scopes: read, account: "{account}"}, job]
  - {path: /jobs, allow: [job, guest]}
"#;

struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            directory: tempfile::tempdir().expect("a directory"),
        };
        let keys = fs::read_to_string(root().join("config/atlas-jwks.json")).expect("keys");
        place.write("jwks.json", &keys);
        let with_private = keys.replacen("\"kty\"", "\"d\": \"AA\", \"kty\"", 1);
        place.write("private.json", &with_private);
        let weak = r#"{"kty": "oct", "kid": "weak", "k": "AA"}"#;
        let with_weak = keys.replacen("\"keys\": [", &format!("\"keys\": [{weak}, "), 1);
        assert!(with_private != keys && with_weak != keys);
        place.write("weak.json", &with_weak);
        let key = place.directory.path().join("assertion.pem");
        assert_eq!(run(&["keygen", "--file", path(&key)]).0, 0);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let open = place.directory.path().join("open.pem");
            fs::copy(&key, &open).expect("a copy");
            fs::set_permissions(open, fs::Permissions::from_mode(0o644)).expect("permissions");
        }
        place
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.directory.path().join(name);
        fs::write(&file, text).expect("written");
        file
    }
}

/// The exit code, and the findings as code, severity and path.
fn findings(file: &str) -> (i32, Vec<Value>) {
    let (code, out, err) = run(&["check", "--output", "json", file]);
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
    let problems = report["files"][0]["problems"].as_array().expect("a list");
    (code, problems.clone())
}

/// What is changed in [`GOOD`], and what is then found: the code, and the path.
const FINDINGS: [(&str, &str, &str, &str); 52] = [
    // Errors that item 1 of the issue names.
    (
        "  - {path: /jobs,",
        "  - {path: \"/accounts/{id}\", allow: job}\n  - {path: /jobs,",
        "route-conflict",
        "routes[2].path",
    ),
    (
        "allow: [{caller: web,",
        "allow: [web, {caller: web,",
        "unreachable-alternative",
        "routes[1].allow[1]",
    ),
    (
        "allow: [job, guest]",
        "allow: [guest, {issuer: pinned, client: x}]",
        "unreachable-alternative",
        "routes[2].allow[1]",
    ),
    (
        "allow: [job, guest]",
        "allow: [job, job]",
        "ambiguous",
        "routes[2].allow[1]",
    ),
    (
        "allow: [job, guest]",
        "allow: [job, {caller: job}]",
        "unreachable-alternative",
        "routes[2].allow[1]",
    ),
    (
        "allow: [job, guest]",
        "allow: {caller: web, client: job}",
        "unreachable-alternative",
        "routes[2].allow",
    ),
    (
        "allow: [job, guest]",
        "allow: {issuer: main, client: jbo}",
        "client-not-taken",
        "routes[2].allow",
    ),
    (
        "  guest:",
        "  ghost: {issuer: main, client: hgost}\n  guest:",
        "client-not-taken",
        "callers.ghost",
    ),
    (
        "account: \"{account}\"}",
        "account: \"{acount}\"}",
        "unbound-parameter",
        "routes[1].allow[0].account",
    ),
    (
        "{caller: web, scopes: read, account:",
        "{caller: web, claims: {tenant: \"{tenant}\"}, account:",
        "unbound-parameter",
        "routes[1].allow[0].claims.tenant",
    ),
    (
        "allow: [job, guest]",
        "allow: job, fold: [x]",
        "unbound-parameter",
        "routes[2].fold[0]",
    ),
    (
        "allow: [job, guest]",
        "allow: []",
        "empty-set",
        "routes[2].allow",
    ),
    (
        "clients: [web, job]",
        "clients: []",
        "empty-set",
        "issuers[0].clients",
    ),
    (
        "    audiences: [api]\n    clients",
        "    clients",
        "audience-missing",
        "issuers[0]",
    ),
    (
        "jwks: {discover: true}",
        "jwks: {url: http://id.example.org/jwks}",
        "plain-http",
        "issuers[0].jwks.url",
    ),
    (
        "https://pinned.example.org",
        "https://id.example.org",
        "ambiguous",
        "issuers[1].issuer",
    ),
    ("name: pinned", "name: main", "ambiguous", "issuers[1].name"),
    (
        "  guest:",
        "  worker: {issuer: main, client: job}\n  guest:",
        "ambiguous",
        "callers.worker",
    ),
    (
        "  guest:",
        "  nobody: {issuer: pinned, client: x}\n  guest:",
        "ambiguous",
        "callers.nobody",
    ),
    // Warnings of the issue, and errors of it that stay warnings, since people run with them.
    (
        "path: /health",
        "path: /**",
        "public-covers-protected",
        "routes[0].path",
    ),
    (
        "path: /health",
        "path: /Jobs",
        "open-twin",
        "routes[0].path",
    ),
    (
        "path: /health",
        "path: /jobs/",
        "open-twin",
        "routes[0].path",
    ),
    (
        "https://pinned.example.org",
        "https://id.examp1e.org",
        "look-alike",
        "issuers[1].issuer",
    ),
    (
        "https://pinned.example.org",
        "https://ID.example.org/",
        "look-alike",
        "issuers[1].issuer",
    ),
    (
        "clients: [web, job]",
        "clients: [web, job, Job]",
        "look-alike",
        "issuers[0].clients[2]",
    ),
    (
        "clients: [web, job]",
        "clients: [web, job, j0b]",
        "look-alike",
        "issuers[0].clients[2]",
    ),
    (
        "  guest:",
        "  Web: {issuer: pinned, client: x}\n  guest:",
        "look-alike",
        "callers.Web",
    ),
    (
        "key: {file: assertion.pem}",
        "key: {file: open.pem}",
        "secret-readable",
        "identity.assertion.key.file",
    ),
    (
        "scopes: read",
        "scopes: raed",
        "unknown-scope",
        "routes[1].allow[0].scopes",
    ),
    (
        "scopes: read",
        "any_scope: [write, list]",
        "unknown-scope",
        "routes[1].allow[0].any_scope[1]",
    ),
    (
        "  - {path: /jobs,",
        "  - {path: /jobs/, allow: web}\n  - {path: /jobs,",
        "trailing-slash",
        "routes[3].path",
    ),
    (
        "account: \"{account}\"}, job]",
        "account: \"{account}\"}, {issuer: pinned}]",
        "wildcard-account",
        "routes[1].allow[1]",
    ),
    (
        "account: \"{account}\"}, job]",
        "account: \"{account}\"}, {issuer: main, scopes: all}]",
        "wildcard-account",
        "routes[1].allow[1]",
    ),
    (
        "{discover: true}",
        "{discover: true, max_stale: 7d}",
        "stale-keys",
        "issuers[0].jwks.max_stale",
    ),
    // The others.
    ("routes:", "routes: &all", "syntax", ""),
    (
        "name: main",
        "name: \"${NOWHERE}\"",
        "substitution",
        "issuers[0].name",
    ),
    ("callers:", "calers: {}\ncallers:", "unknown-key", "calers"),
    (", allow: [job, guest]", "", "missing-key", "routes[2]"),
    (
        "listen: 127.0.0.1:0",
        "listen: loopback",
        "value",
        "inbound.listen",
    ),
    (
        "file: jwks.json",
        "file: nowhere.json",
        "file",
        "issuers[1].jwks.file",
    ),
    (
        "{discover: true}",
        "{discover: true, refresh: 2h, max_stale: 1h}",
        "setting",
        "issuers[0].jwks.max_stale",
    ),
    (
        "allow: [job, guest]",
        "allow: gest",
        "unknown-name",
        "routes[2].allow",
    ),
    (
        "clients: [web, job]",
        "clients: [web, job, \"*\"]",
        "wildcard",
        "issuers[0].clients[2]",
    ),
    (
        "account: \"{account}\"}, job]",
        "account: \"{account}\"}, web]",
        "condition-without-effect",
        "routes[1].allow",
    ),
    (
        "audiences: [api]\nidentity",
        "audiences: unchecked\nidentity",
        "audience-unchecked",
        "issuers[1].audiences",
    ),
    (
        "jwks: {discover: true}",
        "verify: {introspection: {url: https://id.example.org/introspect, client_id: x, client_authentication: {client_secret_basic: {file: assertion.pem}}, max_cache: 5m}}",
        "stale-review",
        "issuers[0].verify.introspection.max_cache",
    ),
    (
        "file: jwks.json",
        "file: weak.json",
        "key-left-out",
        "issuers[1].jwks.file",
    ),
    (
        "file: jwks.json",
        "file: private.json",
        "private-key-shown",
        "issuers[1].jwks.file",
    ),
    (
        "allow: [job, guest]",
        "allow: job, mode: observe, until: 2099-01-01",
        "observes",
        "routes[2].mode",
    ),
    (
        "identity:",
        "  - {name: third, issuer: https://third.example.org, jwks: {file: jwks.json}, audiences: [api]}\nidentity:",
        "unused",
        "issuers[2].name",
    ),
    (
        "listen: 127.0.0.1:0,",
        "listen: 127.0.0.1:0, trusted_proxies: [0.0.0.0/0],",
        "trusts-everybody",
        "inbound.trusted_proxies[0]",
    ),
    (
        "issuers:\n",
        "admin: {listen: 0.0.0.0:9090, allow_non_loopback: true}\nissuers:\n",
        "exposed",
        "admin.listen",
    ),
];

/// The one that the table has no place for: it wants a listener of its own kind.
const RESOURCE: (&str, &str) = (
    "upstream: http://127.0.0.1:8000}",
    "upstream: http://127.0.0.1:8000, resource_metadata: {resource: \"http://api.example.org\"}}",
);

#[test]
fn each_thing_that_can_be_wrong_has_a_code_a_severity_a_place_and_a_remedy() {
    let place = Place::new();
    let good = place.write("good.yaml", GOOD);
    assert_eq!(findings(path(&good)), (0, Vec::new()), "the twin of all");
    let mut met = BTreeSet::new();
    let resource = (
        RESOURCE.0,
        RESOURCE.1,
        "resource-identifier",
        "inbound.resource_metadata.resource",
    );
    for (old, new, code, at) in FINDINGS.into_iter().chain([resource]) {
        let text = GOOD.replacen(old, new, 1);
        assert_ne!(text, GOOD, "{old}");
        let file = place.write("changed.yaml", &text);
        let (exit, found) = findings(path(&file));
        let own = found
            .iter()
            .find(|own| own["code"] == code && (at.is_empty() || own["path"] == at));
        let own = own.unwrap_or_else(|| panic!("{code} at {at}: {new}: {found:#?}"));
        let errors = found.iter().any(|own| own["severity"] == "error");
        assert_eq!(exit, if errors { 64 } else { 0 }, "{new}: {found:#?}");
        assert!(
            own["line"].as_u64() > Some(0) && own["column"].as_u64() > Some(0),
            "{own}"
        );
        assert!(
            own["remedy"]
                .as_str()
                .is_some_and(|remedy| remedy.len() > 3),
            "{own}"
        );
        if own["severity"] == "warning" {
            let denied = run(&["check", "--deny-warnings", path(&file)]);
            assert_eq!(denied.0, 64, "{new}: {}", denied.2);
            assert!(!denied.1.contains(": ok"), "{}", denied.1);
        }
        met.insert(code.to_owned());
    }
    let (_, out, _) = run(&["check", "--output", "sarif", path(&good)]);
    let log: Value = serde_json::from_str(&out).expect("JSON");
    let rules = log["runs"][0]["tool"]["driver"]["rules"]
        .as_array()
        .expect("rules")
        .iter();
    let all: BTreeSet<String> = rules
        .map(|rule| rule["id"].as_str().expect("an id").to_owned())
        .collect();
    // Those of OpenAPI documents are met in `import.rs`.
    met.extend(
        [
            "operation-catch-all",
            "operation-open",
            "operation-uncovered",
            "route-without-operation",
        ]
        .map(str::to_owned),
    );
    assert_eq!(met, all, "every code is met by a configuration here");
    assert_eq!(run(&["check", "--deny-warnings", path(&good)]).0, 0);
}

/// What is near to a finding, and none.
const FINE: [(&str, &str); 10] = [
    // The narrower one first: it decides for its caller.
    (
        "allow: [job, guest]",
        "allow: [{issuer: pinned, client: x}, guest]",
    ),
    (
        "allow: [job, guest]",
        "allow: [{issuer: pinned, roles: a}, {issuer: pinned, roles: b}]",
    ),
    ("clients: [web, job]", "clients: [web, job, jobs]"),
    // Of what `all` stands for.
    ("scopes: read", "scopes: write"),
    (
        "  - {path: /jobs,",
        "  - {path: /jobs/, allow: [job, guest]}\n  - {path: /jobs,",
    ),
    (
        "  - {path: /jobs,",
        "  - {path: /job, allow: web}\n  - {path: /jobs,",
    ),
    // Named: it may reach every account.
    (
        "account: \"{account}\"}, job]",
        "account: \"{account}\"}, {issuer: pinned, client: x}]",
    ),
    (
        "account: \"{account}\"}, job]",
        "account: \"{account}\"}, {issuer: main, client: job, scopes: all}]",
    ),
    ("{discover: true}", "{discover: true, max_stale: 4d}"),
    (
        "    clients: [web, job]\n    scopes_supported: [read, all]\n    scope_implies: {all: [write]}\n",
        "",
    ),
];

#[test]
fn what_is_near_to_a_finding_is_none() {
    let place = Place::new();
    for (old, new) in FINE {
        let text = GOOD.replacen(old, new, 1);
        assert_ne!(text, GOOD, "{old}");
        let file = place.write("changed.yaml", &text);
        assert_eq!(findings(path(&file)), (0, Vec::new()), "{new}");
    }
}

#[test]
fn people_see_the_line_a_caret_below_the_place_the_code_and_what_to_do() {
    let place = Place::new();
    let text = GOOD
        .replace("scopes: read", "scopes: raed")
        .replace("allow: [job, guest]", "allow: gest");
    let file = place.write("wrong.yaml", &text);
    let (code, out, err) = run(&["check", path(&file)]);
    assert_eq!((code, out.as_str()), (64, ""));
    let name = path(&file);
    assert_eq!(
        err,
        format!(
            r#"{name}:25:35: warning: routes[1].allow[0].scopes: no token of `main` has the scope `raed`, by its `scopes_supported` [unknown-scope]
  25 |     allow: [{{caller: web, scopes: raed, account: "{{account}}"}}, job]
     |                                   ^
    = did you mean `read`?
{name}:26:26: routes[2].allow: there is no caller called `gest` [unknown-name]
  26 |   - {{path: /jobs, allow: gest}}
     |                          ^
    = did you mean `guest`?
{name}: 1 error, 1 warning
"#
        )
    );
}

#[test]
fn sarif_has_a_rule_for_each_code_and_a_place_for_each_result() {
    let place = Place::new();
    let text = GOOD
        .replace("scopes: read", "scopes: raed")
        .replace("allow: [job, guest]", "allow: gest");
    let file = place.write("a b.yaml", &text);
    let nowhere = place.directory.path().join("nowhere.yaml");
    let (code, out, _) = run(&["check", "--output", "sarif", path(&file), path(&nowhere)]);
    assert_eq!(code, 64);
    let log: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(log["version"], "2.1.0");
    assert!(
        log["$schema"]
            .as_str()
            .is_some_and(|own| own.ends_with("sarif-schema-2.1.0.json"))
    );
    let run = &log["runs"][0];
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    assert_eq!(run["tool"]["driver"]["name"], "countersign");
    let results = run["results"].as_array().expect("a list");
    assert_eq!(results.len(), 3, "{out}");
    for result in results {
        let index =
            usize::try_from(result["ruleIndex"].as_u64().expect("a number")).expect("small");
        let rule = &run["tool"]["driver"]["rules"][index];
        assert_eq!(rule["id"], result["ruleId"]);
        assert_eq!(rule["defaultConfiguration"]["level"], result["level"]);
        assert!(rule["shortDescription"]["text"].is_string() && rule["help"]["text"].is_string());
    }
    let [warning, error, unread] = results.as_slice() else {
        panic!("{out}");
    };
    assert_eq!(
        (&warning["ruleId"], &warning["level"]),
        (&json!("unknown-scope"), &json!("warning"))
    );
    assert_eq!(
        (&error["ruleId"], &error["level"]),
        (&json!("unknown-name"), &json!("error"))
    );
    assert_eq!(
        error["message"]["text"],
        "there is no caller called `gest`\ndid you mean `guest`?"
    );
    let location = &error["locations"][0];
    assert_eq!(
        location["physicalLocation"]["region"],
        json!({"startLine": 26, "startColumn": 26})
    );
    assert_eq!(
        location["logicalLocations"][0]["fullyQualifiedName"],
        "routes[2].allow"
    );
    let uri = |result: &Value| {
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].clone()
    };
    assert_eq!(
        uri(error),
        format!("file://{}", path(&file).replace(' ', "%20"))
    );
    assert_eq!(unread["ruleId"], "file");
    assert!(
        unread["locations"][0]["physicalLocation"]
            .get("region")
            .is_none()
    );
}

#[test]
fn github_shows_findings_at_their_lines_and_nothing_in_them_ends_a_command() {
    let place = Place::new();
    let text = GOOD
        .replace("scopes: read", "scopes: \"50%::warning::x\"")
        .replace("allow: [job, guest]", "allow: gest");
    let file = place.write("a,b:c%.yaml", &text);
    let (code, out, err) = run(&["check", "--output", "github", path(&file)]);
    assert_eq!((code, err.as_str()), (64, ""));
    let name = path(&file).replace("a,b:c%.yaml", "a%2Cb%3Ac%25.yaml");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines,
        [
            format!(
                "::warning file={name},line=25,col=35,title=countersign unknown-scope::routes[1].allow[0].scopes: no token of `main` has the scope `50%25::warning::x`, by its `scopes_supported`%0Aone of: all, read, write"
            ),
            format!(
                "::error file={name},line=26,col=26,title=countersign unknown-name::routes[2].allow: there is no caller called `gest`%0Adid you mean `guest`?"
            ),
        ]
    );
    // Nothing is wrong, nothing is said.
    let good = place.write("good.yaml", GOOD);
    assert_eq!(
        run(&["check", "--output", "github", path(&good)]),
        (0, String::new(), String::new())
    );
}

/// What `docs/policy.md` shows is what the program says.
#[test]
fn the_documentation_shows_a_real_finding() {
    let text = r"inbound: {listen: 127.0.0.1:8080, upstream: http://127.0.0.1:8000}
issuers:
  - name: main
    issuer: https://id.example.org
    jwks: {discover: true}
    audiences: [api]
callers:
  staff: {issuer: main}

routes:
  - {path: /health, allow: anyone}
  - {path: /**, allow: anyone}
  - {path: /admin/**, allow: staff}
";
    let place = Place::new();
    place.write("countersign.yaml", text);
    let output = program(&["check", "countersign.yaml"])
        .current_dir(place.directory.path())
        .output();
    let (code, _, err) = outcome(&output.expect("the program"));
    assert_eq!(code, 0, "{err}");
    let page = fs::read_to_string(root().join("docs/policy.md")).expect("a page");
    assert!(page.contains(&format!("```\n{err}```\n")), "{err}");
}

#[test]
fn invariant_46_no_output_has_a_value_that_was_substituted() {
    let place = Place::new();
    let text = |value: &str| {
        GOOD.replace(
            "clients: [web, job]",
            &format!("clients: [web, job, \"{value}\", \"{value}\"]"),
        )
    };
    for (value, shown) in [("${CANARY}", false), ("canary-of-the-environment", true)] {
        let file = place.write("twice.yaml", &text(value));
        for format in ["text", "json", "sarif", "github"] {
            let output = program(&["check", "--output", format, path(&file)])
                .env("CANARY", "canary-of-the-environment")
                .output();
            let (code, out, err) = outcome(&output.expect("the program"));
            let said = out + &err;
            assert_eq!(code, 64, "{said}");
            assert!(said.contains("listed twice"), "{said}");
            assert_eq!(
                said.contains("canary-of-the-environment"),
                shown,
                "{format}: {said}"
            );
        }
    }
}
