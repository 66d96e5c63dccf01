//! Invariant 47: text of strangers, of callers and of issuers stays one line of bounded length, whatever it holds.

use serde_json::Value;

use crate::bed::{Bed, Connection, Mode, Request, Setup, eventually};

/// What ends a line, a string or an object elsewhere, or moves the cursor of a terminal.
const HOSTILE: [&str; 10] = [
    "a\r\n{\"type\":\"request\",\"decision\":\"allowed\"}",
    "a\nT allowed 200 GET /forged",
    "\u{1b}[2J\u{1b}]0;title\u{7}\u{1b}[31mred",
    "\"},{\"decision\":\"allowed\",\"x\":\"",
    "\u{2028}next\u{2029}",
    "\u{202e}drawkcab\u{2066}",
    "\u{9b}31m\u{85}",
    "\\n\\u000a\\",
    "\u{feff}\u{200f}\0\u{7f}",
    "naïve ☃ 𝄞",
];

/// Longest texts of a record are 1 KiB, its target 8 KiB, lists 4 KiB; escaped, a byte takes six.
const LONGEST_LINE: usize = 64 * 1024;

const POLICY: &str = r#"
issuers:
  - name: main
    issuer: @ISSUER@
    jwks: {file: @DIR@/jwks.json}
    audiences: [api]
    claim_mappings: {account: account, scopes: scope}
  - name: fetched
    issuer: @ISSUER2@
    jwks: {url: @JWKS2@, allow_http: true}
    audiences: [api]
routes:
  - {path: /open/**, allow: anyone}
  - {path: /mine, allow: {issuer: main}}
  - {path: /theirs, allow: {issuer: main, claims: {tenant: acme, nested.deep: x}}}
"#;

/// Requests whose every place that may be written holds `text`.
fn requests(bed: &Bed, text: &str) -> Vec<Request> {
    let token = bed
        .token()
        .claim("sub", text)
        .claim("azp", text)
        .claim("account", text)
        .claim("scope", text)
        .claim("tenant", serde_json::json!([text, text]))
        .claim("nested", serde_json::json!({ "deep": text }));
    let escaped: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let visible: String = text.chars().filter(char::is_ascii_graphic).collect();
    vec![
        Request::get("/mine").bearer(token.sign()),
        Request::get("/theirs").bearer(token.sign()),
        Request::get("/mine").bearer(token.clone().header("kid", text).sign()),
        Request::get("/mine").bearer(token.header("typ", text).sign()),
        Request::get("/open/x?q=1").header("user-agent", &visible),
        Request::get("/open/x").header("x-request-id", &visible),
        Request::get("/open/x").header("traceparent", &visible),
        Request::get("/open/x").header("x-forwarded-for", &visible),
        Request::get("/open/x").host(&visible.replace(['"', '{', '}', ',', ' ', '\\'], "-")),
        Request::get(&format!("/open/{escaped}?{escaped}={escaped}")),
        Request::get(&format!("/nowhere/{escaped}")),
    ]
}

/// Sends everything; how many requests there were.
fn attack(bed: &Bed) -> usize {
    let mut sent = 0;
    let long = bed.token().claim("sub", "\u{1b}\u{2028}\"".repeat(600));
    let long = Request::get("/mine").bearer(long.sign());
    let all = HOSTILE.iter().flat_map(|text| requests(bed, text));
    for request in all.chain([long]) {
        let mut connection = bed.proxy.connect();
        connection.send(request.bytes());
        assert!(connection.read_to("GET").is_ok(), "{request:?}");
        sent += 1;
    }
    // Raw bytes where no request can be: refused, and written as nothing or escaped.
    for text in HOSTILE {
        for bytes in [
            format!("GET /{text} HTTP/1.1\r\nhost: a\r\n\r\n"),
            format!("{text} / HTTP/1.1\r\nhost: a\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nhost: {text}\r\n\r\n"),
            format!("GET /open/x HTTP/1.1\r\nhost: a\r\nuser-agent: {text}\r\n\r\n"),
        ] {
            let mut connection = Connection::open(bed.proxy.addr());
            connection.send(bytes);
            connection.half_close();
            connection.read_end();
        }
    }
    // A mebibyte is refused before it is read.
    for name in ["user-agent", "authorization", "x-forwarded-for"] {
        let mut connection = Connection::open(bed.proxy.addr());
        connection.send(format!(
            "GET /open/x HTTP/1.1\r\nhost: a\r\n{name}: {}\r\n\r\n",
            "x".repeat(1 << 20)
        ));
        assert_eq!(connection.read_head().expect("an answer").status, 431);
    }
    sent
}

/// An issuer whose key set and answers hold hostile text.
fn poison(bed: &Bed) {
    let keys = HOSTILE.iter().map(|kid| {
        serde_json::json!({"kty": "RSA", "kid": kid, "alg": kid, "use": kid, "n": "AQAB", "e": "AQAB"})
    });
    let keys: Vec<Value> = keys.chain([crate::bed::keys::RSA_1.jwk()]).collect();
    bed.second.publish(keys);
    bed.second.mode(Mode::Ok);
}

#[track_caller]
fn assert_one_line(line: &str) {
    let hostile = |c: char| c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c);
    assert!(!line.contains(hostile), "{}", line.escape_debug());
    assert!(line.len() < LONGEST_LINE, "{} bytes", line.len());
}

fn assert_capped(value: &Value, most: usize) {
    match value {
        Value::String(text) => assert!(text.len() <= most, "{} bytes: {text}", text.len()),
        Value::Array(values) => values.iter().for_each(|value| assert_capped(value, most)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            let most = if matches!(name.as_str(), "path" | "target") {
                8 * 1024 + 8
            } else {
                most
            };
            assert_capped(value, most);
        }),
        _ => {}
    }
}

#[test]
fn invariant_47_hostile_text_leaves_one_well_formed_line_each() {
    let bed = Setup::bare(POLICY).start();
    poison(&bed);
    bed.clock.advance(std::time::Duration::from_secs(3600));
    let sent = attack(&bed);
    eventually("a record each", || {
        let records = bed.proxy.records();
        records
            .iter()
            .filter(|record| record["type"] == "request")
            .count()
            >= sent
    });
    bed.proxy.await_event("jwks.key_skipped");
    for line in bed.proxy.log_text().split('\n') {
        assert_one_line(line);
        let parsed: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(parsed.is_object());
        assert_capped(&parsed, 1024 + 8);
    }
    // The positive twin: the texts are there, and nothing else says so.
    let records = bed.proxy.records();
    let subjects: Vec<_> = records
        .iter()
        .filter_map(|it| it["subject"].as_str())
        .collect();
    for text in HOSTILE {
        assert!(subjects.contains(&text), "{text:?}");
    }
    let long = subjects.iter().find(|subject| subject.ends_with('…'));
    assert!(
        long.is_some_and(|subject| subject.len() <= 1024 + 3),
        "a long one is cut"
    );
    assert!(!records.iter().any(|it| it["path"] == "/forged"));
}

#[test]
fn invariant_47_hostile_text_leaves_one_line_each_for_people() {
    let head = "
workers: 1
admin: {listen: 127.0.0.1:0}
log: {format: text, level: trace}
";
    let bed = Setup::bare(POLICY).head(head).start();
    poison(&bed);
    bed.clock.advance(std::time::Duration::from_secs(3600));
    let sent = attack(&bed);
    let lines = || bed.proxy.log_text();
    eventually("a line each", || {
        lines().matches("listener=plain").count() >= sent
    });
    for line in lines().split('\n') {
        assert_one_line(line);
        assert!(line.starts_with("20"), "a time begins it: {line}");
        assert!(!line.starts_with("T allowed"), "{line}");
    }
    assert!(lines().contains("\\u001b[2J"), "the positive twin");
}
