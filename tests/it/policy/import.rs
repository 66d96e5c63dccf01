//! `countersign import` and `countersign check --openapi`: a policy made of an OpenAPI document of 87 operations, and held to it.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{path, run};
use crate::bed::{Bed, Request, Setup};
use crate::program::root;

/// The document, as a value that tests change.
fn shop() -> Value {
    let text = fs::read_to_string(root().join("tests/it/data/openapi-87.json")).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}

struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().expect("a directory"),
        }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.directory.path().join(name);
        fs::write(&file, text).expect("written");
        file
    }

    fn document(&self, document: &Value) -> PathBuf {
        self.write("openapi.json", &document.to_string())
    }

    /// The policy that a document becomes, which must be accepted.
    #[track_caller]
    fn import(&self, document: &Value, more: &[&str]) -> String {
        let file = self.document(document);
        let (code, out, err) = run(&[&["import", path(&file)], more].concat());
        assert_eq!(code, 0, "{out}{err}");
        out
    }

    /// Codes, paths and messages of what is found in a policy that is held against a document.
    #[track_caller]
    fn against(&self, policy: &str, document: &Value) -> Vec<(String, String)> {
        let config = self.write("policy.yaml", policy);
        let file = self.document(document);
        let (code, out, err) = run(&[
            "check",
            "--output",
            "json",
            "--openapi",
            path(&file),
            path(&config),
        ]);
        assert_eq!(code, 0, "{out}{err}");
        let report: Value = serde_json::from_str(&out).expect("JSON");
        let files = report["files"].as_array().expect("files").iter();
        let problems = files.flat_map(|file| file["problems"].as_array().expect("problems"));
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        problems
            .map(|own| (text(&own["code"]), text(&own["message"])))
            .collect()
    }
}

/// A document with these paths, and the schemes of the shop.
fn with_paths(paths: &Value) -> Value {
    let mut document = shop();
    document["paths"] = paths.clone();
    document["servers"] = json!([]);
    // Whatever scopes a test asks for, they are not found to be unknown.
    document["components"]["securitySchemes"]["OAuth2"]["flows"]["authorizationCode"]["scopes"] =
        json!({});
    document
}

/// One operation with this `security`.
fn secured(security: &Value) -> Value {
    with_paths(&json!({"/x": {"get": {"security": security}}}))
}

/// The line of `GET` in a policy of one operation.
fn row(policy: &str) -> String {
    let lines = policy
        .lines()
        .skip_while(|line| !line.starts_with("routes:"));
    let row = lines.skip_while(|line| !line.trim_start().starts_with("GET:"));
    row.take_while(|line| !line.is_empty())
        .map(str::trim)
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn a_document_of_87_operations_becomes_a_policy_that_is_accepted_and_covers_them_all() {
    let place = Place::new();
    let file = place.document(&shop());
    let (code, out, err) = run(&["import", "--output", "json", path(&file)]);
    assert_eq!(code, 0, "{out}{err}");
    let imported: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(imported["operations"], 87);
    let count = |key: &str| imported[key].as_u64().expect("a number");
    let sum: u64 = ["with_token", "public", "unsaid", "closed", "unchecked"]
        .into_iter()
        .map(count)
        .sum();
    assert_eq!(sum, 87);
    assert_eq!(
        (
            count("public"),
            count("unsaid"),
            count("closed"),
            count("unchecked")
        ),
        (0, 3, 10, 2)
    );
    let policy = imported["policy"].as_str().expect("a policy");
    // Nothing is found in it, neither by itself nor beside the document; the same again is the same text.
    assert_eq!(place.against(policy, &shop()), []);
    let config = place.write("policy.yaml", policy);
    let denied = [
        "check",
        "--deny-warnings",
        "--openapi",
        path(&file),
        path(&config),
    ];
    let (code, out, err) = run(&denied);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(
        out.contains("openapi.json: ok, 87 operations, 0 warnings"),
        "{out}"
    );
    assert_eq!(place.import(&shop(), &[]), policy);
    for line in [
        "  # ── orders: Orders and their lines",
        "  - path: /api/v1/orders/{order_id}",
        "      GET:    # get_order_orders__order_id__get",
        "        - {issuer: OAuth2, scopes: [\"orders:read\"]}",
        "        - {issuer: OAuth2, scopes: [\"orders:admin\"]}",
        "      DELETE: {issuer: OAuth2, scopes: [\"orders:admin\"]}    # delete_order_orders__order_id__delete; deprecated",
        "      PUT: {issuer: OAuth2, scopes: [\"catalogue:write\", \"prices:write\"]}    # set_price_products__product_id__price_put",
        "  - path: \"/api/v1/files/**\"",
        "  - path: /api/v1/exports/{name}",
        "    # `{name}.csv` is a part of a segment in the document; here any segment matches",
        "      GET: nobody    # health_health_get; the document does not say who may",
    ] {
        assert!(policy.lines().any(|own| own == line), "{line}\n{policy}");
    }
}

#[test]
fn the_forms_of_a_document_mean_the_same() {
    let place = Place::new();
    let routes = |policy: &str| policy.split_once("\nroutes:").expect("routes").1.to_owned();
    let wanted = routes(&place.import(&shop(), &[]));
    let mut older = shop();
    older["openapi"] = "3.0.3".into();
    assert_eq!(routes(&place.import(&older, &[])), wanted);
    // YAML, with the numbers for keys that people write.
    let yaml = serde_yaml::to_string(&shop())
        .expect("YAML")
        .replace("'200':", "200:");
    assert!(yaml.contains("\n        200:"), "{yaml}");
    let file = place.write("openapi.yaml", &yaml);
    let (code, out, err) = run(&["import", path(&file)]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(routes(&out), wanted);
    // What anchors stand for is not read.
    let anchored = yaml.replace("title: Corner Shop", "title: &x Corner Shop");
    let file = place.write("anchors.yaml", &anchored);
    let (code, _, err) = run(&["import", path(&file)]);
    assert_eq!(code, 64);
    assert!(err.contains("anchors"), "{err}");
}

/// `security` as OpenAPI means it: a list is any, an object all; nothing is opened that is not asked for.
#[test]
fn security_requirements_become_alternatives_with_all_their_scopes() {
    let place = Place::new();
    let any_of = json!([{"OAuth2": ["a", "b"]}, {"OAuth2": ["c"]}]);
    for (security, wanted) in [
        (json!([{"OAuth2": []}]), "GET: {issuer: OAuth2}"),
        (
            json!([{"OAuth2": ["b", "a"]}]),
            "GET: {issuer: OAuth2, scopes: [a, b]}",
        ),
        (
            any_of,
            "GET: - {issuer: OAuth2, scopes: [a, b]} - {issuer: OAuth2, scopes: [c]}",
        ),
        (
            json!([{"OAuth2": ["a"]}, {"AdminBearer": []}]),
            "GET: - {issuer: OAuth2, scopes: [a]} - {issuer: AdminBearer}",
        ),
        // What one lets pass, the other need not.
        (
            json!([{"OAuth2": ["a", "b"]}, {"OAuth2": ["a"]}]),
            "GET: {issuer: OAuth2, scopes: [a]}",
        ),
        // All of an object: an API key is not checked here, two issuers need two tokens.
        (
            json!([{"OAuth2": ["a"], "ProviderKey": []}]),
            "GET: nobody # left out: an API key (header `x-provider-key`) is not checked here",
        ),
        (
            json!([{"OAuth2": ["a"]}, {"ProviderKey": []}]),
            "GET: {issuer: OAuth2, scopes: [a]} # left out: an API key (header `x-provider-key`) is not checked here",
        ),
        (
            json!([{"OAuth2": ["a"], "AdminBearer": []}]),
            "GET: nobody # left out: tokens of `AdminBearer` and `OAuth2` at once",
        ),
        (
            json!([{"AdminBearer": ["operator"]}]),
            "GET: nobody # left out: `operator` of `AdminBearer` is a role, of which the document does not say more",
        ),
        (
            json!([{"Nowhere": []}]),
            "GET: nobody # left out: the scheme `Nowhere` is not in the document",
        ),
        (
            json!([{"OAuth2": ["a b"]}]),
            "GET: nobody # left out: `a b` is no scope",
        ),
    ] {
        let policy = place.import(&secured(&security), &[]);
        let found = row(&policy).replace("    #", " #");
        assert_eq!(found, wanted, "{security}\n{policy}");
    }
}

#[test]
fn what_is_open_to_everybody_is_closed_until_the_operator_says_otherwise() {
    let place = Place::new();
    let trusted: &[&str] = &["--trust-public"];
    for (security, closed, open) in [
        (
            json!([]),
            "GET: nobody # the document lets everybody pass; if so: anyone",
            "GET: anyone # the document lets everybody pass",
        ),
        (
            json!([{}]),
            "GET: nobody # the document lets everybody pass; if so: anyone",
            "GET: anyone # the document lets everybody pass",
        ),
        (
            json!([{}, {"OAuth2": ["a"]}]),
            "GET: nobody # the document lets everybody pass; if so: [anonymous, {issuer: OAuth2, scopes: [a]}]",
            "GET: # the document lets everybody pass - anonymous - {issuer: OAuth2, scopes: [a]}",
        ),
    ] {
        let document = secured(&security);
        let found = |more: &[&str]| row(&place.import(&document, more)).replace("    #", " #");
        assert_eq!(found(&[]), closed, "{security}");
        assert_eq!(found(trusted), open, "{security}");
    }
    // What nothing is said about is closed either way, and inherits what the document says for all.
    let mut document = with_paths(&json!({"/x": {"get": {}}}));
    let unsaid = "GET: nobody # the document does not say who may";
    assert_eq!(
        row(&place.import(&document, &[])).replace("    #", " #"),
        unsaid
    );
    assert_eq!(
        row(&place.import(&document, trusted)).replace("    #", " #"),
        unsaid
    );
    document["security"] = json!([{"OAuth2": ["a"]}]);
    assert_eq!(
        row(&place.import(&document, &[])),
        "GET: {issuer: OAuth2, scopes: [a]}"
    );
}

#[test]
fn paths_that_meet_at_one_pattern_open_no_more_than_each() {
    let place = Place::new();
    let read = json!({"security": [{"OAuth2": ["read"]}]});
    let write = json!({"security": [{"OAuth2": ["write"]}]});
    let document = with_paths(&json!({
        "/a/{id}": {"get": read},
        "/a/{name}": {"post": write},
        "/b/{id}:cancel": {"get": read},
        "/b/{id}:archive": {"get": write},
        "/c/{id}:on": {"get": read},
        "/c/{id}:off": {"get": read},
        "/d/{path:path}/meta": {"get": read},
        "/e//f": {"get": read},
        "/t": {"trace": read, "get": read},
    }));
    let file = place.document(&document);
    let (code, policy, err) = run(&["import", path(&file)]);
    assert_eq!(code, 0, "{err}");
    for part in [
        "  - path: /a/{id}\n    allow:\n      GET: {issuer: OAuth2, scopes: [read]}\n      POST: {issuer: OAuth2, scopes: [write]}\n",
        "      GET: nobody    # several operations of the document meet here, and ask for different things: {issuer: OAuth2, scopes: [write]} or {issuer: OAuth2, scopes: [read]}\n",
        "      GET: nobody    # would open everything below; if that is meant: {issuer: OAuth2, scopes: [read]}\n",
        "#  - GET /e//f: must not contain an empty segment; requests with one are refused\n",
        "#  - TRACE /t: TRACE never passes\n",
    ] {
        assert!(policy.contains(part), "{part}\n{policy}");
    }
    let shared = policy.split("  - path: /c/{id}\n").nth(1).expect("a route");
    assert!(
        shared
            .split("  - path")
            .next()
            .expect("it")
            .contains("GET: {issuer: OAuth2, scopes: [read]}"),
        "{policy}"
    );
    assert!(err.contains("note: TRACE /t: TRACE never passes"), "{err}");
}

#[test]
fn servers_are_the_prefix_unless_another_is_given() {
    let place = Place::new();
    let mut document = secured(&json!([{"OAuth2": ["a"]}]));
    document["servers"] = json!([
        {"url": "https://api.example.org/v1/"},
        {"url": "http://localhost:8000/v1"},
        {"url": "https://{region}.example.org/{version}", "variables": {
            "region": {"default": "eu", "enum": ["eu", "us"]},
            "version": {"default": "v2", "enum": ["v2", "v3"]},
        }},
        {"url": "https://api.example.org/../v4"},
    ]);
    let policy = place.import(&document, &[]);
    let paths = "  - path:\n      - /v1/x\n      - /v2/x\n      - /v3/x\n    allow:\n";
    assert!(policy.contains(paths), "{policy}");
    assert!(
        policy.contains("the server `https://api.example.org/../v4` is none"),
        "{policy}"
    );
    assert_eq!(place.against(&policy, &document), []);
    let policy = place.import(&document, &["--prefix", "/"]);
    assert!(policy.contains("  - path: /x\n"), "{policy}");
    // The document says another prefix; the same option says so to `check`.
    assert_ne!(place.against(&policy, &document), []);
    let (config, file) = (
        place.write("policy.yaml", &policy),
        place.document(&document),
    );
    let arguments = [
        "check",
        "--deny-warnings",
        "--prefix",
        "/",
        "--openapi",
        path(&file),
        path(&config),
    ];
    assert_eq!(run(&arguments).0, 0);
    assert_eq!(run(&["import", "--prefix", "/a/{b}", path(&file)]).0, 2);
}

#[test]
fn references_lead_to_the_document_itself_and_no_further() {
    let place = Place::new();
    let get = json!({"get": {"security": [{"Mine": ["a"]}]}});
    let mut document = with_paths(&json!({
        "/local": {"$ref": "#/components/pathItems/Local"},
        "/other": {"$ref": "#/paths/~1plain"},
        "/plain": get,
        "/file": {"$ref": "./paths.json#/x"},
        "/net": {"$ref": "https://example.org/paths.json"},
        "/loop": {"$ref": "#/paths/~1loop"},
        "/chain": {"$ref": "#/paths/~1local"},
        "/nowhere": {"$ref": "#/components/pathItems/None"},
    }));
    document["components"]["pathItems"] = json!({"Local": get});
    document["components"]["securitySchemes"]["Mine"] =
        json!({"$ref": "#/components/securitySchemes/OAuth2"});
    let file = place.document(&document);
    let (code, policy, err) = run(&["import", path(&file)]);
    assert_eq!(code, 0, "{err}");
    let routes = policy.matches("  - path: ").count();
    assert_eq!(routes, 3, "{policy}");
    for (what, why) in [
        ("/file", "`./paths.json#/x` is outside of the document"),
        (
            "/net",
            "`https://example.org/paths.json` is outside of the document",
        ),
        ("/loop", "`#/paths/~1loop` is a reference again"),
        ("/chain", "`#/paths/~1local` is a reference again"),
        ("/nowhere", "`#/components/pathItems/None` is not there"),
    ] {
        assert!(
            policy.contains(&format!("#  - {what}: {why}\n")),
            "{what}\n{policy}"
        );
    }
    // Nothing was looked at there, and `check` says so.
    let found = place.against(&policy, &document);
    assert_eq!(found.len(), 5, "{found:?}");
    assert!(found.iter().all(|(code, _)| code == "operation-uncovered"));
}

/// What a stranger may put into a document.
#[test]
fn hostile_documents_are_refused_or_harmless() {
    let place = Place::new();
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    let many: Vec<String> = (0..5_001)
        .map(|at| format!("\"/{at}\": {{\"get\": {{}}}}"))
        .collect();
    let many = format!(
        "{{\"openapi\": \"3.1.0\", \"paths\": {{{}}}}}",
        many.join(", ")
    );
    let long = format!(
        "{{\"openapi\": \"3.1.0\", \"x\": \"{}\"}}",
        "a".repeat(17 << 20)
    );
    let yaml = format!("openapi: 3.1.0\nx: \"{}\"\n", "a".repeat(5 << 20));
    for (text, part) in [
        ("", "is empty"),
        ("[]", "`openapi` is missing"),
        ("{\"swagger\": \"2.0\"}", "Swagger 2.0 is not read"),
        (
            "{\"openapi\": \"3.2.0\", \"paths\": {}}",
            "OpenAPI `3.2.0` is not read",
        ),
        ("{\"openapi\": \"3.1.0\", \"paths\": {}}", "no operation"),
        (
            "{\"openapi\": \"3.1.0\", \"paths\": []}",
            "expected an object",
        ),
        (
            "{\"openapi\": \"3.1.0\", \"paths\": {\"/x\": {\"get\": {\"security\": {}}}}}",
            "expected a list",
        ),
        (
            "{\"openapi\": \"3.1.0\", \"paths\": {\"/x\": {\"get\": {\"security\": [[]]}}}}",
            "expected an object",
        ),
        (
            "{\"openapi\": \"3.1.0\", \"paths\": {\"/x\": {\"get\": {\"security\": [{\"a\": 1}]}}}}",
            "expected a list of scopes",
        ),
        (
            "{\"openapi\": \"3.1.0\", \"openapi\": \"3.0.0\"}",
            "given twice",
        ),
        ("openapi: &a 3.1.0\npaths: *a\n", "anchors"),
        (&deep, "nested deeper"),
        (&many, "more than 5000 operations"),
        (&long, "longer than 16 MiB"),
        (&yaml, "YAML longer than 4 MiB"),
    ] {
        let file = place.write("hostile", text);
        let (code, out, err) = run(&["import", path(&file)]);
        assert_eq!((code, out.len()), (64, 0), "{part}");
        assert!(err.contains(part), "{part}: {err}");
        let config = root().join("config/minimal.yaml");
        let (code, _, err) = run(&["check", "--openapi", path(&file), path(&config)]);
        assert_eq!(code, 64, "{part}: {err}");
    }
    // Texts of the document end no comment and no line, and colour no terminal.
    let evil = "x\n  - {path: /**, allow: anyone}\u{2028}\u{85}\u{1b}[31m\r";
    let mut document = with_paths(&json!({
        "/x": {"get": {"operationId": evil, "tags": [evil], "security": [{evil: [evil]}]}},
        evil: {"get": {}},
        "/{a\nb}": {"get": {"security": []}},
    }));
    document["info"] = json!({"title": evil, "version": evil});
    document["tags"] = json!([{"name": evil, "description": evil}]);
    document["components"]["securitySchemes"] = json!({evil: {"type": "oauth2", "flows": {
        "password": {"tokenUrl": evil, "scopes": {evil: ""}},
    }}});
    document["servers"] = json!([{"url": evil}, {"url": "/"}]);
    let file = place.document(&document);
    let (code, policy, err) = run(&["import", "--trust-public", path(&file)]);
    assert_eq!(code, 0, "{err}");
    assert!(!policy.contains("\n  - {path"), "{policy}");
    for text in [&policy, &err] {
        assert!(
            !text.contains(['\u{1b}', '\u{2028}', '\u{85}', '\r']),
            "{text:?}"
        );
    }
    assert_eq!(policy.matches("  - path: ").count(), 2, "{policy}");
}

/// A configuration of which two issuers and some callers are taken over.
const CURRENT: &str = r#"# Ours.
inbound: {listen: 127.0.0.1:0, upstream: http://127.0.0.1:8000}
issuers:
  - name: main    # the realm
    issuer: https://id.example.org
    jwks: {discover: true}
    audiences: [api]
callers:
  web: {issuer: main, client: web}
  job: {issuer: main, client: job}
  any: {issuer: main}
# Where it was.
routes:
  - {path: /old, allow: web}
end: true
"#;

#[test]
fn with_a_configuration_its_issuers_and_callers_are_named() {
    let place = Place::new();
    let scopes = json!([{"OAuth2": ["a"], "AdminBearer": []}]);
    let document = secured(&scopes);
    let with = |text: &str, more: &[&str]| {
        let config = place.write("current.yaml", text);
        place.import(&document, &[&["--config", path(&config)], more].concat())
    };
    // The caller that contains the others lets pass all that they would.
    let policy = with(CURRENT, &[]);
    assert_eq!(row(&policy), "GET: {caller: any, scopes: [a]}");
    assert!(
        policy.contains("  - name: main    # the realm\n"),
        "{policy}"
    );
    assert!(
        !policy.contains("/old") && policy.ends_with("\nend: true\n"),
        "{policy}"
    );
    let narrow = CURRENT.replace("  any: {issuer: main}\n", "");
    assert_eq!(
        row(&with(&narrow, &[])),
        "GET: - {caller: web, scopes: [a]} - {caller: job, scopes: [a]}"
    );
    // Of two issuers, who makes a scheme's tokens must be said.
    let two = narrow.replace(
        "callers:",
        "  - {name: other, issuer: https://other.example.org, jwks: {discover: true}, audiences: [api]}\ncallers:",
    );
    let unsaid = row(&with(&two, &[]));
    assert!(unsaid.starts_with("GET: nobody"), "{unsaid}");
    assert!(unsaid.contains("--issuer 'AdminBearer=NAME'"), "{unsaid}");
    let said = ["--issuer", "AdminBearer=other", "--issuer", "OAuth2=other"];
    assert_eq!(row(&with(&two, &said)), "GET: {issuer: other, scopes: [a]}");
    for wrong in [
        "OAuth2=nobody",
        "Nowhere=main",
        "ProviderKey=main",
        "OAuth2",
    ] {
        let config = place.write("current.yaml", &two);
        let file = place.document(&document);
        let (code, out, _) = run(&[
            "import",
            "--config",
            path(&config),
            "--issuer",
            wrong,
            path(&file),
        ]);
        assert_eq!((code, out.as_str()), (2, ""), "{wrong}");
    }
    // The discovery document tells the issuer, with a configuration and without.
    let mut known = secured(&json!([{"Sso": ["a"]}]));
    known["components"]["securitySchemes"]["Sso"] = json!({
        "type": "openIdConnect",
        "openIdConnectUrl": "https://other.example.org/.well-known/openid-configuration",
    });
    let config = place.write("current.yaml", &two);
    let policy = place.import(&known, &["--config", path(&config)]);
    assert_eq!(row(&policy), "GET: {issuer: other, scopes: [a]}");
    let policy = place.import(&known, &[]);
    assert!(
        policy.contains("    issuer: \"https://other.example.org\"\n"),
        "{policy}"
    );
}

/// What is changed in the imported policy, and what is then found.
#[test]
fn check_names_what_one_has_and_the_other_has_not() {
    let place = Place::new();
    let policy = place.import(
        &shop(),
        &["--issuer", "OAuth2=main", "--issuer", "AdminBearer=main"],
    );
    assert_eq!(place.against(&policy, &shop()), [], "the twin of all");
    let codes = |found: &[(String, String)]| -> Vec<String> {
        found.iter().map(|(code, _)| code.clone()).collect()
    };
    let changed = |old: &str, new: &str| {
        assert!(policy.contains(old), "{old}\n{policy}");
        place.against(&policy.replacen(old, new, 1), &shop())
    };
    // A route less, a method less.
    let cancel = "  - path: /api/v1/orders/{order_id}/cancel\n";
    let found = changed(cancel, "  - path: /api/v1/orders/{order_id}/abort\n");
    assert_eq!(
        codes(&found),
        ["route-without-operation", "operation-uncovered"]
    );
    assert_eq!(
        found[1].1,
        "POST /orders/{order_id}/cancel: no route covers it"
    );
    let found = changed(
        "      DELETE: {issuer: main, scopes: [\"orders:admin\"]}",
        "      PROPFIND: nobody",
    );
    assert_eq!(codes(&found), ["operation-uncovered"]);
    assert!(found[0].1.contains("does not list the method"), "{found:?}");
    // A wide route in the place of one of its own.
    let found = changed(cancel, "  - path: /api/v1/orders/{order_id}/**\n");
    assert_eq!(codes(&found), ["operation-catch-all"]);
    assert!(found[0].1.contains("1 operation has"), "{found:?}");
    // A route more; one that lets nobody pass has no operation to be behind it.
    let found = changed(
        "routes:\n",
        "routes:\n  - {path: /debug, allow: {issuer: main}}\n",
    );
    assert_eq!(codes(&found), ["route-without-operation"]);
    assert_eq!(
        changed("routes:\n", "routes:\n  - {path: /debug, allow: nobody}\n"),
        []
    );
    let found = changed(
        "      PUT: {issuer: main, scopes: [\"files:write\"]}",
        "      PUT: {issuer: main, scopes: [\"files:write\"]}\n      POST: {issuer: main}",
    );
    assert_eq!(found, [], "the path has an operation");
    // Less than the document asks for.
    let row = "      PUT: {issuer: main, scopes: [\"catalogue:write\", \"prices:write\"]}";
    for (new, words) in [
        ("      PUT: anyone", "lets anyone pass"),
        ("      PUT: [anonymous, {issuer: main}]", "brings no token"),
        (
            "      PUT: {issuer: main}",
            "`catalogue:write prices:write`",
        ),
        (
            "      PUT: {issuer: main, scopes: [\"prices:write\"]}",
            "without the scopes",
        ),
        (
            "      PUT: {issuer: main, any_scope: [\"catalogue:write\", \"prices:write\"]}",
            "without the scopes",
        ),
    ] {
        let found = changed(row, new);
        let own: Vec<_> = found
            .iter()
            .filter(|(code, _)| code == "operation-open")
            .collect();
        assert_eq!(own.len(), 1, "{new}: {found:?}");
        assert!(own[0].1.contains(words), "{new}: {found:?}");
    }
    for fine in [
        "      PUT: nobody",
        "      PUT: {issuer: main, scopes: [admin, \"catalogue:write\", \"prices:write\"]}",
        "      PUT: {issuer: main, client: x, scopes: \"catalogue:write\", any_scope: [\"prices:write\"]}",
    ] {
        assert_eq!(changed(row, fine), [], "{fine}");
    }
    // One of several alternatives of the document is enough, and scopes that stand for others are.
    let read = "        - {issuer: main, scopes: [\"orders:read\"]}\n";
    assert_eq!(changed(read, ""), []);
    let implied = policy.replace("    scopes_supported:", "    scope_implies: {all: [\"catalogue:write\", \"prices:write\"]}\n    # scopes_supported:");
    assert_eq!(
        place.against(
            &implied.replacen(row, "      PUT: {issuer: main, scopes: all}", 1),
            &shop()
        ),
        []
    );
}

#[test]
fn findings_point_into_both_documents() {
    let place = Place::new();
    let document = with_paths(&json!({"/x": {"get": {"security": [{"OAuth2": ["a"]}]}}}));
    let file = place.write(
        "openapi.json",
        &serde_json::to_string_pretty(&document).expect("JSON"),
    );
    let config = place.write("current.yaml", CURRENT);
    let arguments = ["check", "--openapi", path(&file), path(&config)];
    let (code, out, err) = run(&arguments);
    assert_eq!(code, 0, "{out}{err}");
    let text = fs::read_to_string(&file).expect("a file");
    let line = text
        .lines()
        .position(|line| line.contains("\"get\""))
        .expect("a line")
        + 1;
    for part in [
        format!(
            "{}:{line}:14: warning: paths.\"/x\".get: GET /x: no route covers it [operation-uncovered]\n",
            path(&file)
        ),
        format!(
            "{}:14:12: warning: routes[0].path: no operation of the document has a path that `/old` matches [route-without-operation]\n",
            path(&config)
        ),
    ] {
        assert!(err.contains(&part), "{part}\n{err}");
    }
    assert!(
        out.contains("openapi.json: ok, 1 operation, 1 warning\n"),
        "{out}"
    );
    let denied = [&arguments[..], &["--deny-warnings"]].concat();
    assert_eq!(run(&denied).0, 64);
    let two = [&arguments[..], &[path(&config)]].concat();
    assert_eq!(run(&two).0, 2);
    let (_, sarif, _) = run(&[&arguments[..], &["--output", "sarif"]].concat());
    let log: Value = serde_json::from_str(&sarif).expect("JSON");
    assert_eq!(log["runs"][0]["results"].as_array().map(Vec::len), Some(2));
}

/// A bed whose routes are those that were imported.
fn bed(place: &Place, more: &[&str]) -> Bed {
    let bed = Setup::new("routes:\n  - {path: /**, allow: nobody}\n").start();
    let policy = place.import(&shop(), &[&["--config", path(&bed.config)], more].concat());
    bed.proxy
        .reload(&policy)
        .unwrap_or_else(|error| panic!("{error}\n{policy}"));
    bed
}

#[test]
fn through_the_proxy_a_token_with_the_scope_passes_and_one_without_does_not() {
    let place = Place::new();
    let bed = bed(&place, &[]);
    let send = |method: &str, target: &str, scope: Option<&str>| {
        let request = Request::new(method, target);
        let request = match scope {
            Some(scope) => request.bearer(bed.token().claim("scope", scope).sign()),
            None => request,
        };
        let before = bed.upstream.requests().len();
        let status = bed.send(&request).status;
        let reached = bed.upstream.requests().len() > before;
        assert_eq!(reached, status == 200, "{method} {target}: {status}");
        status
    };
    for (method, target, scope, wanted) in [
        ("GET", "/api/v1/orders/7", Some("orders:read"), 200),
        ("GET", "/api/v1/orders/7", Some("x orders:admin"), 200),
        ("GET", "/api/v1/orders/7", Some("orders:write"), 403),
        ("GET", "/api/v1/orders/7", None, 401),
        (
            "PUT",
            "/api/v1/products/7/price",
            Some("catalogue:write prices:write"),
            200,
        ),
        ("PUT", "/api/v1/products/7/price", Some("prices:write"), 403),
        ("GET", "/api/v1/customers/me", Some("x"), 200),
        ("GET", "/api/v1/customers/7", Some("x"), 403),
        ("GET", "/api/v1/customers/7", Some("customers:read"), 200),
        ("GET", "/api/v1/files/a/b/c.txt", Some("files:read"), 200),
        ("GET", "/api/v1/files/a/b/c.txt", Some("files:write"), 403),
        ("PATCH", "/api/v1/orders/7/lines", Some("orders:write"), 405),
        // Two schemes of one issuer are one token.
        ("GET", "/api/v1/admin/users", Some("admin"), 200),
        ("GET", "/api/v1/admin/users", Some("x"), 403),
        // Closed: open to everybody in the document, unsaid, or with a key of somebody else's.
        ("GET", "/api/v1/products", Some("catalogue:read"), 403),
        ("GET", "/api/v1/health", None, 403),
        (
            "POST",
            "/api/v1/payments/notifications",
            Some("payments:write"),
            403,
        ),
        // Not in the document.
        ("GET", "/api/v1/nothing", Some("admin"), 403),
        ("GET", "/orders/7", Some("orders:read"), 403),
    ] {
        assert_eq!(
            send(method, target, scope),
            wanted,
            "{method} {target} {scope:?}"
        );
    }
}

#[test]
fn through_the_proxy_what_is_trusted_to_be_public_is_and_nothing_else() {
    let place = Place::new();
    let bed = bed(&place, &["--trust-public"]);
    for (target, wanted) in [
        ("/api/v1/products", 200),
        ("/api/v1/products/7/price", 200),
        ("/api/v1/health", 403),
        ("/api/v1/orders/7", 401),
    ] {
        assert_eq!(bed.send(&Request::get(target)).status, wanted, "{target}");
    }
    // A token that is brought must hold where the document speaks of some.
    let with = |scope: &str| bed.token().claim("scope", scope).sign();
    let price = |token: String| {
        let request = Request::get("/api/v1/products/7/price").bearer(token);
        bed.send(&request).status
    };
    assert_eq!(price(with("prices:read")), 200);
    assert_eq!(price(bed.token().expires_in(-3600).sign()), 401);
}

#[test]
fn a_reference_in_a_document_is_written_as_the_text_that_it_is() {
    let place = Place::new();
    let bed = Setup::new("routes:\n  - {path: /**, allow: nobody}\n").start();
    let mut document = secured(&json!([{"scoped": ["${AGENT_SECRET}"]}]));
    document["components"]["securitySchemes"]["scoped"] = json!({
        "type": "oauth2",
        "flows": {"clientCredentials": {"tokenUrl": "https://id.example.org/token", "scopes": {"${AGENT_SECRET}": ""}}},
    });
    let policy = place.import(&document, &["--config", path(&bed.config)]);
    bed.proxy
        .reload(&policy)
        .unwrap_or_else(|error| panic!("{error}\n{policy}"));
    let (_, target) = policy.split_once("- path: ").expect("a route");
    let target = target.lines().next().expect("a path");
    for (scope, wanted) in [
        ("${AGENT_SECRET}", 200),
        ("$${AGENT_SECRET}", 403),
        ("x", 403),
    ] {
        let request = Request::get(target).bearer(bed.token().claim("scope", scope).sign());
        assert_eq!(bed.send(&request).status, wanted, "{scope}\n{policy}");
    }
}
