//! `countersign diff`, in a process of its own: its exit codes, what it says, and that `explain` finds what it shows.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use super::{path, run};
use crate::program::root;

const USUAL: [(&str, &str); 4] = [
    (
        "inbound:",
        "inbound: {listen: 127.0.0.1:0, upstream: http://127.0.0.1:8000}",
    ),
    (
        "issuers:",
        "issuers: [{name: main, issuer: https://id.example.org, jwks: {discover: true}, audiences: [api], claim_mappings: {account: account}}]",
    ),
    (
        "callers:",
        "callers: {web: {issuer: main, client: web}, job: {issuer: main, client: job}}",
    ),
    ("routes:", "routes: [{path: /a, allow: web}]"),
];

/// Two configurations of these lines, with the usual ones where they say nothing.
struct Pair {
    _directory: TempDir,
    old: PathBuf,
    new: PathBuf,
}

impl Pair {
    fn new(old: &str, new: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let file = |name: &str, lines: &str| {
            let usual = USUAL
                .iter()
                .filter(|(key, _)| !lines.lines().any(|line| line.starts_with(key)));
            let mut text: String = usual.map(|(_, line)| format!("{line}\n")).collect();
            text.push_str(lines);
            let path = directory.path().join(name);
            fs::write(&path, text).expect("written");
            path
        };
        Self {
            old: file("old.yaml", old),
            new: file("new.yaml", new),
            _directory: directory,
        }
    }

    fn diff(&self, more: &[&str]) -> (i32, String, String) {
        let mut arguments = vec!["diff", path(&self.old), path(&self.new)];
        arguments.extend(more);
        run(&arguments)
    }

    fn json(&self) -> (i32, Value) {
        let (code, out, err) = self.diff(&["--output", "json"]);
        let document = serde_json::from_str(&out);
        (code, document.unwrap_or_else(|_| panic!("{out}{err}")))
    }

    /// The differences, each of which `explain` confirms under both configurations.
    fn confirmed(&self) -> (i32, Value) {
        let (code, document) = self.json();
        let case = self.old.with_file_name("case.yaml");
        for difference in document["differences"].as_array().expect("a list") {
            fs::write(&case, difference["case"].to_string()).expect("written");
            for (config, key) in [(&self.old, "old"), (&self.new, "new")] {
                let (code, out, err) = run(&[
                    "explain",
                    "--config",
                    path(config),
                    "--case",
                    path(&case),
                    "--output",
                    "json",
                ]);
                assert_eq!(code, 0, "{difference:#}\n{err}");
                let told: Value = serde_json::from_str(&out).expect("JSON");
                let said = &difference[key];
                for member in ["decision", "reason", "caller"] {
                    assert_eq!(told[member], said[member], "{key} {member}: {difference:#}");
                }
            }
        }
        (code, document)
    }
}

/// The way of each line, policy first.
fn ways(document: &Value) -> Vec<&str> {
    let lines = ["differences", "settings"].map(|key| document[key].as_array().expect("a list"));
    let ways = lines.into_iter().flatten();
    ways.map(|line| line["way"].as_str().expect("a word"))
        .collect()
}

#[test]
fn exit_codes_of_diff_tell_which_way_it_goes() {
    // What changes, the exit code for it, and the one for taking it back.
    let pairs = [
        (
            "",
            "routes: [{name: other, path: '/a', allow: {issuer: main, client: [web]}}]",
            0,
            0,
        ),
        ("", "routes: [{path: /a, allow: [web, job]}]", 2, 1),
        ("", "routes: [{path: /a, allow: job}]", 2, 2),
        (
            "",
            "routes: [{path: /a, allow: web}, {path: '/b/{x}', allow: anyone}]",
            2,
            1,
        ),
        (
            "",
            "routes: [{path: /a, allow: {caller: web, scopes: read}}]",
            1,
            2,
        ),
        (
            "",
            "routes: [{path: /a, allow: web, rate_limit: {by: principal, requests: 9, per: 1m}}]",
            1,
            2,
        ),
        (
            "",
            "routes: [{path: /a, allow: web, mode: observe, until: 2099-01-01}]",
            2,
            1,
        ),
        ("", "identity: {headers: {x-caller: caller}}", 2, 2),
        (
            "",
            "callers: {web: {issuer: main, client: [web, app]}}",
            2,
            1,
        ),
        (
            "",
            "issuers: [{name: main, issuer: https://id.example.org, jwks: {discover: true}, audiences: [api, app], claim_mappings: {account: account}}]",
            2,
            1,
        ),
        ("", "log: {level: debug}", 0, 0),
    ];
    for (old, new, there, back) in pairs {
        let (code, document) = Pair::new(old, new).confirmed();
        assert_eq!(code, there, "{new}: {document:#}");
        let (code, document) = Pair::new(new, old).confirmed();
        assert_eq!(code, back, "back from {new}: {document:#}");
    }
    let wider = Pair::new("", "routes: [{path: /a, allow: [web, job]}]");
    let narrower = Pair::new("routes: [{path: /a, allow: [web, job]}]", "");
    for (which, codes) in [("any", [2, 1]), ("wider", [2, 0]), ("never", [0, 0])] {
        let own = [&wider, &narrower].map(|pair| pair.diff(&["--fail-on", which]).0);
        assert_eq!(own, codes, "{which}");
    }
}

#[test]
fn what_cannot_be_compared_has_an_exit_code_of_its_own() {
    let pair = Pair::new(
        "routes: [{path: a, allow: web}]",
        "routes: [{path: /a, allow: wbe}]",
    );
    let (code, out, err) = pair.diff(&[]);
    assert_eq!((code, out.as_str()), (64, ""));
    // Both are reported.
    for expected in ["old.yaml", "must begin with a slash", "new.yaml", "wbe"] {
        assert!(err.contains(expected), "{expected}: {err}");
    }
    let (code, document) = pair.json();
    assert_eq!((code, &document["verdict"]), (64, &Value::Null));
    assert_eq!(document["problems"].as_array().map(Vec::len), Some(2));
    for arguments in [
        &["diff", "nowhere.yaml", "nowhere.yaml"][..],
        &["diff", "one.yaml"],
        &["diff", "--output", "html", "a.yaml", "b.yaml"],
    ] {
        let (code, out, err) = run(arguments);
        assert_eq!((code, out.as_str()), (64, ""), "{err}");
        assert!(!err.is_empty());
    }
    let (code, out, _) = run(&["diff", "--help"]);
    assert_eq!(code, 0);
    assert!(out.contains("Examples:\n  countersign diff "), "{out}");
    // Of other commands it is 2, as ever.
    assert_eq!(run(&["routes", "--nothing"]).0, 2);
}

#[test]
fn witnesses_are_cases_that_explain_decides_as_diff_says() {
    let old = r#"
identity: {headers: {x-caller: caller}}
routes:
  - {path: /open, allow: anyone}
  - {path: "/accounts/{account}/usage", allow: {GET: [job, {caller: web, account: "{account}"}]}}
  - {path: /files/**, allow: web}
  - {path: /inside, allow: {caller: web, client_address: 10.0.0.0/8}}
  - {path: /admin/**, host: admin.example.org, allow: job}
  - {path: /either, allow: [web, opaque]}
  - {path: /stream, allow: web}
  - {path: /acting, actor_token: {header: x-actor, issuer: main}, allow: {caller: web, actor: {issuer: main, client: job}}}
"#;
    let new = r#"
identity: {headers: {x-caller: caller}}
callers: {web: {issuer: main, client: [web, app]}, job: {issuer: main, subject: job}}
routes:
  - {path: /open, allow: [web, anonymous]}
  - {path: "/accounts/{tenant}/usage", fold: [tenant], allow: {"GET, POST": [job, {caller: web, account: "{tenant}"}]}}
  - {path: /files/**, paths: [encoded_slash], allow: web}
  - {path: /files/private, allow: job}
  - {path: /inside, allow: {caller: web, client_address: [10.0.0.0/9, "2001:db8::/32"]}}
  - {path: /admin/**, host: "*.example.org", allow: job}
  - {path: /either, allow: [web, anonymous]}
  - {path: /stream, upgrade: [websocket], allow: web}
  - {path: /acting, actor_token: {header: x-actor, issuer: main, required: true}, allow: {caller: web, actor: {issuer: main}}}
"#;
    let (code, there) = Pair::new(old, new).confirmed();
    assert_eq!(code, 2);
    let (code, back) = Pair::new(new, old).confirmed();
    assert_eq!(code, 2);
    for (document, at_least) in [(&there, 15), (&back, 15)] {
        assert!(ways(document).len() >= at_least, "{document:#}");
    }
    // What opens there closes on the way back.
    let count =
        |document: &Value, word: &str| ways(document).iter().filter(|own| **own == word).count();
    assert_eq!(count(&there, "wider"), count(&back, "narrower"));
    assert_eq!(count(&there, "narrower"), count(&back, "wider"));
    assert!(
        count(&there, "wider") > 5 && count(&there, "narrower") > 3,
        "{there:#}"
    );
}

#[test]
fn what_depends_on_what_nobody_knows_may_be() {
    let limit = |requests: u32| {
        format!(
            "routes: [{{path: /a, allow: web, rate_limit: {{by: principal, requests: {requests}, per: 1m}}}}]"
        )
    };
    let observe = "routes: [{path: /a, allow: web, mode: observe, until: 2099-01-01}]";
    let keys = "issuers: [{name: main, issuer: https://id.example.org, jwks: {url: https://id.example.org/keys}, audiences: [api], claim_mappings: {account: account}}]";
    for (old, new, way, back) in [
        (&*limit(10), &*limit(20), "may be wider", "may be narrower"),
        ("", observe, "may be wider", "may be narrower"),
        ("", keys, "may be either", "may be either"),
        (
            "mode: observe\nuntil: 2099-01-01",
            "",
            "may be narrower",
            "may be wider",
        ),
    ] {
        assert_eq!(ways(&Pair::new(old, new).json().1), [way], "{new}");
        assert_eq!(ways(&Pair::new(new, old).json().1), [back], "{new}");
    }
    // What is refused on a route that only observes passes all the same.
    let shut = observe.replace("allow: web", "allow: job");
    let (_, document) = Pair::new(observe, &shut).json();
    assert_eq!(
        ways(&document),
        ["may be wider", "may be narrower"],
        "{document:#}"
    );
    let (_, document) = Pair::new("", "routes: [{path: /a, allow: job}]").json();
    assert_eq!(ways(&document), ["wider", "narrower"], "{document:#}");
}

#[test]
fn listeners_are_compared_each_with_its_own() {
    let of = |routes: &str| {
        format!(
            "inbound: [{{name: inner, listen: 127.0.0.1:0, upstream: http://127.0.0.1:8000}}, {{name: outer, listen: 127.0.0.2:0, upstream: http://127.0.0.1:8000}}]\nroutes: [{routes}]"
        )
    };
    let old = of("{path: /a, allow: web}, {path: /b, inbound: inner, allow: web}");
    let new = of("{path: /a, allow: web}, {path: /b, allow: web}");
    let (code, document) = Pair::new(&old, &new).confirmed();
    assert_eq!(code, 2);
    let only = &document["differences"][0];
    assert_eq!(
        (&only["listener"], &only["way"]),
        (&"outer".into(), &"wider".into())
    );
    assert_eq!(only["case"]["request"]["listener"], "outer");
    assert_eq!(ways(&document).len(), 1, "{document:#}");
}

#[test]
fn nothing_in_a_configuration_breaks_out_of_what_is_shown() {
    let new = "routes: [{path: /a, allow: web}, {path: '/x|y', allow: {issuer: main, client: \"a`<b>|@x\"}}]";
    let pair = Pair::new("", new);
    let (code, out, _) = pair.diff(&[]);
    assert_eq!(code, 2);
    assert!(out.contains("client a`<b>|@x"), "{out}");
    let (_, out, _) = pair.diff(&["--output", "markdown"]);
    let row = out
        .lines()
        .find(|line| line.starts_with("| 1 |"))
        .expect("a row");
    assert!(!out.contains('\x1b') && !row.contains("<b>"), "{out}");
    // Four cells: no bar in a cell but an escaped one.
    assert_eq!(row.replace("\\|", "").matches('|').count(), 5, "{row}");
    let (_, document) = pair.confirmed();
    assert_eq!(document["differences"][0]["paths"][0]["path"], "/x|y");
    // What is folded away is a case.
    let case = pair.old.with_file_name("case.yaml");
    let (_, rest) = out.split_once("```yaml\n").expect("a case");
    let lines = rest.lines().take_while(|line| line.trim() != "```");
    let text: Vec<&str> = lines
        .map(|line| line.strip_prefix("   ").expect("indented"))
        .collect();
    fs::write(&case, text.join("\n")).expect("written");
    let (code, told, err) = run(&[
        "explain",
        "--config",
        path(&pair.new),
        "--case",
        path(&case),
    ]);
    assert_eq!(code, 0, "{err}");
    assert!(
        told.contains("GET /x%7Cy") && told.contains("allowed"),
        "{told}"
    );
}

/// The text of a fenced block of the page that begins behind `after`.
fn block<'p>(page: &'p str, after: &str, fence: &str) -> &'p str {
    let (_, rest) = page.split_once(after).unwrap_or_else(|| panic!("{after}"));
    let open = format!("```{fence}\n");
    let (_, rest) = rest.split_once(&open).unwrap_or_else(|| panic!("{open}"));
    rest.split_once("```").expect("an end").0
}

#[test]
fn the_page_shows_what_diff_says_of_the_change_that_it_shows() {
    let page = fs::read_to_string(root().join("docs/policy.md")).expect("the page");
    let old = fs::read_to_string(root().join("config/smartem.yaml")).expect("the example");
    let mut new = old.clone();
    for hunk in block(&page, "## Diff", "diff").split("\n\n") {
        let side = |mark: char| -> String {
            let lines = hunk.lines().filter(|line| line.starts_with([' ', mark]));
            lines.map(|line| format!("{}\n", &line[1..])).collect()
        };
        assert!(new.contains(&side('-')), "{}", side('-'));
        new = new.replacen(&side('-'), &side('+'), 1);
    }
    let directory = tempfile::tempdir().expect("a directory");
    let files = ["smartem.yaml", "proposed.yaml"].map(|name| directory.path().join(name));
    fs::write(&files[0], old).expect("written");
    fs::write(&files[1], new).expect("written");
    let (code, out, err) = run(&["diff", path(&files[0]), path(&files[1])]);
    assert_eq!(code, 2, "{err}");
    let shown = block(
        &page,
        "`countersign diff smartem.yaml proposed.yaml` says",
        "text",
    );
    assert_eq!(shown, out, "copy this into docs/policy.md:\n{out}");
}
