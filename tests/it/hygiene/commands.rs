//! What the program's commands find, say and refuse, in a process of its own: invariants 36, 46, 47 and 56.

use std::net::TcpListener;
use std::path::Path;

use super::process::{Process, command, free_address};
use crate::bed::keys::RSA_1;
use crate::bed::secrets::Secrets;
use crate::bed::{Connection, Issuer, Request, Upstream};

/// A configuration that may be used. Rows replace a part of it.
const GOOD: &str = r#"
inbound: {listen: "127.0.0.1:0", upstream: "http://127.0.0.1:8000"}
admin: {listen: "127.0.0.1:0"}
issuers:
  - name: main
    issuer: https://id.example.org
    jwks: {file: jwks.json}
    audiences: [api]
    clients: [web]
callers:
  web: {issuer: main, client: web}
routes:
  - {path: /health, allow: anyone}
  - {path: '/orders/{id}', allow: web}
"#;

/// What kills, as `old → new`, and a word of what is said about it.
const FATAL: [(&str, &str, &str); 23] = [
    ("admin:", "admn:", "unknown key `admn`"),
    ("allow: web}", "alow: web}", "unknown key `alow`"),
    (
        "    clients: [web]",
        "    clients: [web]\n    clients: [web]",
        "clients",
    ),
    ("admin:", "inbound:", "inbound"),
    ("routes:", "---\nroutes:", "document"),
    ("audiences: [api]", "audiences: []", "must not be empty"),
    ("clients: [web]", "clients: []", "must not be empty"),
    ("    audiences: [api]\n", "", "`audiences` is missing"),
    ("audiences: [api]", "audiences: [\"*\"]", "no wildcards"),
    ("client: web}", "client: \"*\"}", "no wildcards"),
    (
        "{file: jwks.json}",
        "{url: \"http://id.example.org/k\"}",
        "plain http",
    ),
    (
        "{file: jwks.json}",
        "{url: \"https://user:word@id.example.org/k\"}",
        "url",
    ),
    ("/orders/{id}'", "/orders/x{id}'", "path"),
    ("/orders/{id}'", "/orders/**/x'", "path"),
    ("/orders/{id}'", "orders'", "path"),
    (
        "allow: web}\n",
        "allow: web}\n  - {path: '/orders/{other}', allow: anyone}\n",
        "orders",
    ),
    (
        "allow: web}\n",
        "allow: web}\n  - {path: /health, allow: web}\n",
        "/health",
    ),
    ("allow: web}", "allow: nobody-knows}", "nobody-knows"),
    (
        "allow: web}",
        "allow: {issuer: main, account: \"*\"}}",
        "account",
    ),
    ("clients: [web]", "clients: [1]", "the number `1`"),
    ("allow: web}", "allow: }", "no value"),
    ("audiences: [api]", "audiences: [yes, 0x1f]", "0x1f"),
    ("issuers:", "workers: 010\nissuers:", "differently"),
];

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let keys = serde_json::json!({ "keys": [RSA_1.jwk()] });
        std::fs::write(dir.path().join("jwks.json"), keys.to_string()).expect("a file");
        Self { dir }
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("text").to_owned()
    }
}

/// Exit code, and everything that was said.
fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String) {
    let output = command(arguments, environment)
        .output()
        .expect("the program");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.code().expect("an exit code"), said)
}

#[test]
fn invariant_56_check_finds_what_kills_and_run_refuses_the_same() {
    let place = Place::new();
    let file = place.write("good.yaml", GOOD);
    let (code, said) = run(&["check", &file], &[]);
    assert_eq!(code, 0, "{said}");
    for (n, (old, new, word)) in FATAL.into_iter().enumerate() {
        let text = GOOD.replacen(old, new, 1);
        assert_ne!(text, GOOD, "{old}");
        let file = place.write(&format!("{n}.yaml"), &text);
        let (code, said) = run(&["check", &file], &[]);
        assert_eq!(code, 64, "{new}: {said}");
        assert!(said.contains(word), "{new}: {said}");
        let (code, refused) = run(&["run", "--config", &file], &[]);
        assert_eq!(code, 64, "{new}: {refused}");
        assert_eq!(refused, said, "one code path");
        let (code, json) = run(&["check", "--output", "json", &file], &[]);
        assert_eq!(code, 64, "{new}");
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json["valid"], false);
    }
    // Open above what is protected: not fatal, but said, and fatal for who wants it so.
    let open = GOOD.replace("path: /health,", "path: /**,");
    let file = place.write("open.yaml", &open);
    let (code, said) = run(&["check", &file], &[]);
    assert!(code == 0 && said.contains("warning"), "{said}");
    assert_eq!(run(&["check", "--deny-warnings", &file], &[]).0, 64);
    for nothing in ["", "# nothing\n", "routes:\n"] {
        let file = place.write("nothing.yaml", nothing);
        assert_eq!(run(&["check", &file], &[]).0, 64, "{nothing:?}");
        assert_eq!(run(&["run", "--config", &file], &[]).0, 64, "{nothing:?}");
    }
}

/// Nothing in it moves a cursor, ends a line early or turns text around.
#[track_caller]
fn assert_harmless(said: &str) {
    let hostile = |c: char| (c.is_control() && c != '\n') || ('\u{2028}'..='\u{202e}').contains(&c);
    assert!(!said.contains(hostile), "{}", said.escape_debug());
}

#[test]
fn invariant_47_commands_cannot_be_made_to_fool_a_terminal() {
    let place = Place::new();
    // As YAML escapes, which are fine YAML, and as raw bytes, which are none.
    let escaped = r"\e[2J\u2028\u202e\x9b31m\a";
    let raw = "\u{1b}[2J\u{2028}\u{202e}\u{9b}31m\u{7}";
    for (old, new) in [
        ("name: main", format!("name: \"{escaped}\"")),
        ("clients: [web]", format!("clients: [\"{escaped}\"]")),
        (
            "client: web}",
            format!("claims: {{tenant: \"{escaped}\"}}}}"),
        ),
        (
            "client: web}",
            format!("client: web, claims: {{\"{escaped}\": x}}}}"),
        ),
        (
            "path: /health",
            format!("name: \"{escaped}\", path: /health"),
        ),
        ("path: /health", format!("path: \"/{escaped}\"")),
        ("allow: web}", format!("allow: \"{escaped}\"}}")),
        ("allow: web}", format!("\"{escaped}\": web}}")),
        ("admin:", format!("\"{escaped}\": 1\nadmin:")),
        (
            "audiences: [api]",
            format!("audiences: [api, \"{escaped}\"]"),
        ),
        ("http://127.0.0.1:8000", format!("http://{escaped}")),
        ("name: main", format!("name: {raw}")),
        ("routes:", format!("{raw}\nroutes:")),
        ("routes:", format!("# {raw}\nroutes: [\nx:")),
    ] {
        let text = GOOD.replacen(old, &new, 1);
        assert_ne!(text, GOOD, "{old}");
        let file = place.write("hostile.yaml", &text);
        for command in ["check", "routes"] {
            for output in ["text", "json"] {
                let arguments = if command == "check" {
                    vec![command, "--output", output, &file]
                } else {
                    vec![command, "--output", output, "--config", &file]
                };
                let (_, said) = run(&arguments, &[]);
                assert!(!said.is_empty(), "{new}");
                assert_harmless(&said);
                if output == "json" {
                    assert!(
                        serde_json::from_str::<serde_json::Value>(&said).is_ok(),
                        "{said}"
                    );
                }
            }
        }
    }
    let named = place.write("\u{1b}[2J\n.yaml", GOOD);
    for text in [GOOD, "x: y\n"] {
        std::fs::write(Path::new(&named), text).expect("a file");
        for command in [
            ["check", named.as_str()].as_slice(),
            &["routes", "--config", &named],
        ] {
            assert_harmless(&run(command, &[]).1);
        }
    }
}

#[test]
fn invariant_46_commands_show_no_secret_that_they_read() {
    const SECRET: &str = "canary-of-a-secret-that-commands-read-0123456789";
    let place = Place::new();
    let pem = crate::bed::keys::ES256_1.pem();
    let key = place.write("key.pem", pem);
    let mut secrets = Secrets::default();
    secrets.learn("the secret", SECRET.as_bytes());
    let der = crate::bed::keys::der(pem);
    secrets.learn("the key", &der[36..68]);
    let indented = pem.replace('\n', "\n      ");
    let rows = [
        // Good: from the environment, from a file.
        format!(
            "identity: {{signature: {{key: {{secret: \"${{SECRET}}\"}}}}, assertion: {{audience: a, key: {{file: {key}}}}}}}"
        ),
        "identity: {signature: {key: {secret: \"${file:secret}\"}}}".to_owned(),
        // In the wrong place, of the wrong kind, misspelt, torn.
        format!("identity: {{signature: {{key: {{secret: {SECRET}}}}}}}"),
        format!("identity: {{signature: {{key: {{secert: {SECRET}}}}}}}"),
        format!("identity: {{signature: {{key: {SECRET}}}}}"),
        format!("identity: {{signature: {{key: [{SECRET}]}}}}"),
        format!("identity:\n  signature:\n    key:\n      secret: |\n        {SECRET}"),
        format!("identity:\n  assertion:\n    audience: a\n    key: |\n      {indented}"),
        format!("identity:\n  assertion: {{audience: a, key: {{file: {key}, secret: \"{SECRET}"),
        "log: {level: \"${SECRET}\"}".to_owned(),
        "drain: {delay: \"${SECRET}\"}".to_owned(),
        "answers: {x: {body: {a: \"${SECRET}\"}, status: \"${SECRET}\"}}".to_owned(),
        "inbound: {listen: \"${SECRET}\"}".to_owned(),
    ];
    place.write("secret", SECRET);
    for row in rows {
        let file = place.write("secret.yaml", &format!("{GOOD}{row}\n"));
        for arguments in [
            vec!["check", &file],
            vec!["check", "--output", "json", &file],
            vec!["routes", "--config", &file],
            vec!["routes", "--output", "json", "--config", &file],
        ] {
            let (_, said) = run(&arguments, &[("SECRET", SECRET)]);
            assert!(!said.is_empty(), "{row}");
            assert_eq!(secrets.find(said.as_bytes()), None, "{row}\n{said}");
        }
        // What is good would run.
        let (code, said) = run(&["check", &file], &[("SECRET", SECRET)]);
        if code == 64 {
            let (_, said) = run(&["run", "--config", &file], &[("SECRET", SECRET)]);
            assert_eq!(secrets.find(said.as_bytes()), None, "{row}\n{said}");
        } else {
            assert!(row.contains("${"), "{row}\n{said}");
        }
    }
    // The key of a JWKS URL is a secret too, and the URL is shown.
    let url = format!("https://id.example.org/keys?key={SECRET}");
    let text = GOOD.replace("{file: jwks.json}", &format!("{{url: \"{url}\"}}"));
    let (code, said) = run(&["check", &place.write("url.yaml", &text)], &[]);
    assert!(
        code == 0 && said.contains("https://id.example.org/keys"),
        "{said}"
    );
    assert_eq!(secrets.find(said.as_bytes()), None, "{said}");
}

#[test]
fn invariant_36_proxies_of_the_environment_see_neither_requests_nor_fetches() {
    let proxy = TcpListener::bind("127.0.0.1:0").expect("a port");
    proxy.set_nonblocking(true).expect("a mode");
    let url = format!("http://{}", proxy.local_addr().expect("an address"));
    let names = [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ];
    let environment = names.map(|name| (name, url.as_str()));
    let place = Place::new();
    let upstream = Upstream::start();
    let issuer = Issuer::start(&countersign::clock::Clock::system());
    let [inbound, admin] = [free_address(), free_address()];
    let text = GOOD
        .replace(
            "listen: \"127.0.0.1:0\", upstream",
            &format!("listen: \"{inbound}\", upstream"),
        )
        .replace(
            "admin: {listen: \"127.0.0.1:0\"}",
            &format!("admin: {{listen: \"{admin}\"}}"),
        )
        .replace("http://127.0.0.1:8000", &upstream.url())
        .replace("https://id.example.org", &issuer.iss)
        .replace(
            "{file: jwks.json}",
            &format!("{{url: \"{}\", allow_http: true}}", issuer.jwks_url()),
        );
    let config = place.write("proxied.yaml", &text);
    let mut process = Process::start(Path::new(&config), admin, &environment);
    process.await_word("jwks.refreshed", 1);
    for target in [
        "/health".to_owned(),
        format!("http://{inbound}/health"),
        "/orders/7".to_owned(),
    ] {
        let request = Request::get(&target)
            .host(&inbound.to_string())
            .bearer(issuer.token().sign());
        assert_eq!(
            Connection::open(inbound).exchange(request.bytes()).status,
            200,
            "{target}"
        );
    }
    assert_eq!(upstream.requests().len(), 3);
    assert!(issuer.fetches() >= 1);
    assert!(process.stop().success());
    assert!(proxy.accept().is_err(), "the proxy was asked");
}
