//! The status page: what it shows, what it explains, and that no token gets onto it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::bed::keys::ED25519_1;
use crate::bed::{Bed, Request, Response, Setup, secrets};
use crate::program::{node, root, skip};

const ROUTES: &str = r#"
identity:
  headers: {x-auth-subject: subject}
callers:
  person: {issuer: main, client: web}
  job: {issuer: main, client: batch}
routes:
  - {path: /health, allow: anyone}
  - {path: "/admin/**", allow: nobody}
  - path: "/orders/{order}"
    allow:
      GET: {caller: person, scopes: [read]}
      DELETE: {caller: job, scopes: [orders:delete]}
  - {path: /reports, allow: person, rate_limit: {by: principal, requests: 1, per: 1m}}
"#;

fn bed() -> Bed {
    Setup::new(ROUTES).start()
}

/// Text as a form sends it.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b' ' => "+".to_owned(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02x}"),
    };
    text.bytes().map(encode).collect()
}

fn ask(bed: &Bed, fields: &[(&str, &str)]) -> Response {
    let fields = fields.iter();
    let fields = fields.map(|(name, value)| format!("{name}={}", encoded(value)));
    let query = fields.collect::<Vec<_>>().join("&");
    bed.proxy.admin_get(&format!("/explain?{query}"))
}

/// What the page says becomes of the request.
fn verdict(page: &str) -> &str {
    let at = page.find("class=\"verdict ").expect("a verdict");
    let end = page[at..].find("</p>").expect("its end");
    &page[at..at + end]
}

#[test]
fn the_page_explains_what_the_proxy_does() {
    let bed = bed();
    let rows: &[(&str, &str, Option<Value>)] = &[
        ("GET", "/health", None),
        ("GET", "/orders/7", None),
        ("GET", "/orders/7", Some(json!({}))),
        ("GET", "/orders/7", Some(json!({"scope": "write"}))),
        ("GET", "/orders/7", Some(json!({"azp": "batch"}))),
        (
            "DELETE",
            "/orders/7",
            Some(json!({"azp": "batch", "scope": "orders:delete"})),
        ),
        ("PUT", "/orders/7", Some(json!({}))),
        ("GET", "/orders/7", Some(json!({"aud": "another"}))),
        ("GET", "/admin/x", Some(json!({}))),
        ("GET", "/Admin/x", Some(json!({}))),
        ("GET", "/a/../b", None),
        ("GET", "/nowhere", Some(json!({}))),
    ];
    for (method, target, claims) in rows {
        let mut request = Request::new(method, target);
        let mut said = json!({"sub": "alice", "azp": "web", "scope": "read"});
        if let Some(claims) = claims {
            let mut token = bed.token();
            for (name, value) in claims.as_object().expect("an object") {
                token = token.claim(name, value.clone());
                said[name] = value.clone();
            }
            request = request.bearer(token.sign());
        }
        let status = bed.send(&request).status;
        let said = said.to_string();
        let line = format!("{method} {target}");
        let mut fields = vec![("request", line.as_str()), ("host", "api.test")];
        if claims.is_some() {
            fields.extend([("issuer", "main"), ("claims", &said)]);
        }
        let page = ask(&bed, &fields).expect(200).text();
        let told = verdict(&page);
        if status == 200 {
            assert!(told.contains("Allowed: it goes to the upstream"), "{told}");
        } else {
            assert!(
                told.contains(&format!("({status})")),
                "{line}: {status}, and {told}"
            );
        }
        assert!(
            page.contains(&format!("value=\"{line}\"")),
            "the form is kept"
        );
    }
    let page = ask(
        &bed,
        &[
            ("request", "/orders/7"),
            ("issuer", "main"),
            ("claims", r#"{"sub":"al<b>ice","azp":"web","scope":"read"}"#),
        ],
    );
    let page = page.text();
    assert!(
        page.contains("<dt>x-auth-subject</dt><dd><code>al&lt;b&gt;ice</code>"),
        "{page}"
    );
    assert!(!page.contains("al<b>"));
}

#[test]
fn asking_sends_nothing_and_counts_for_nothing() {
    let bed = bed();
    let token = bed.token().sign();
    let claims = r#"{"sub":"alice","azp":"web","scope":"read"}"#;
    for _ in 0..3 {
        let fields = [
            ("request", "GET /reports"),
            ("issuer", "main"),
            ("claims", claims),
        ];
        let page = ask(&bed, &fields).expect(200).text();
        assert!(verdict(&page).contains("Allowed"), "{}", verdict(&page));
    }
    assert_eq!(bed.proxy.metric("countersign_requests_total", ""), 0.0);
    assert!(bed.upstream.requests().is_empty());
    // The one request that the limit has room for is still to come.
    assert_eq!(bed.get("/reports", &token).status, 200);
    assert_eq!(bed.get("/reports", &token).status, 429);
}

#[test]
fn a_question_that_makes_no_sense_is_answered_in_words() {
    let bed = bed();
    for (fields, words) in [
        (&[("request", "GET / HTTP/1.1")][..], "METHOD /path"),
        (
            &[("request", "/"), ("claims", "[1]")],
            "The claims are no JSON object",
        ),
        (&[("request", "/"), ("from", "nobody")], "no IP address"),
        (&[("request", "/"), ("issuer", "nobody")], "nobody"),
        (&[("request", "/"), ("listener", "nobody")], "nobody"),
        (&[("id", "00")], "not among the recent refusals"),
    ] {
        let answer = ask(&bed, fields).expect(400);
        let page = answer.text();
        assert!(
            page.contains("role=\"alert\"") && page.contains(words),
            "{words}: {page}"
        );
    }
    // Nothing asked is the page as it is.
    let page = bed.proxy.admin_get("/explain?request=").expect(200).text();
    assert!(!page.contains("class=\"verdict"), "nothing was asked");
}

#[test]
fn a_token_in_the_form_is_refused_and_not_repeated() {
    let bed = bed();
    let token = bed.token().sign();
    let twice = encoded(&encoded(&format!("/x?access_token={token}")));
    let claims = json!({"sub": "alice", "of": token}).to_string();
    let bearer = "Bearer 0123456789abcdef0123456789abcdef";
    let queries = [
        format!("request=/x&claims={token}"),
        format!("request=/x&claims={}", encoded(&token)),
        format!("request=/x&claims={}", encoded(&claims)),
        format!("request=/x&claims=%65y{}", &token[2..]),
        format!("request=GET+/x?access_token={token}"),
        format!("request={twice}"),
        format!("request=/{token}"),
        format!("request=/x&host={token}"),
        format!(
            "request=/x&authorization={}",
            encoded(&format!("Bearer {token}"))
        ),
        format!("request=/x&claims={}", encoded(bearer)),
        format!("{token}=1&request=/x"),
        format!("id={token}"),
        token,
    ];
    for query in queries {
        let answer = bed
            .proxy
            .admin_get(&format!("/explain?{query}"))
            .expect(400);
        let page = answer.text();
        assert!(page.contains("That holds a token"), "{query}: {page}");
        secrets::assert_none(&query, page.as_bytes());
        assert!(!page.contains("0123456789abcdef"), "{query}");
    }
    let good = ask(&bed, &[("request", "/x"), ("claims", r#"{"sub":"alice"}"#)]);
    assert!(!good.expect(200).text().contains("That holds a token"));
    // An opaque credential where targets carry them: the question is answered, and the value is not repeated.
    let page = ask(&bed, &[("request", "GET /health?api_key=hunter2&page=2")]);
    let page = page.expect(200).text();
    assert!(
        !page.contains("hunter2") && page.contains("page=2"),
        "{page}"
    );
}

#[test]
fn recent_denials_are_explained_by_their_id_and_no_token_is_on_any_page() {
    let bed = bed();
    let token = bed.token().sign();
    let forged = bed.token().signed_by(&ED25519_1).sign();
    let requests = [
        Request::get("/orders/7").bearer(&token),
        Request::get("/orders/7").bearer(&forged),
        Request::new("DELETE", "/orders/7").bearer(&token),
        Request::get(&format!("/orders/7?access_token={token}")),
        Request::get(&format!("/orders/{token}")),
        Request::get("/orders/7").host(&token).bearer(&token),
        Request::get("/orders/7").header("authorization", &format!("Basic {token}")),
        Request::get("/<script>alert(1)</script>").bearer(&token),
    ];
    for request in &requests {
        drop(bed.send(request));
    }
    bed.proxy.await_records(requests.len());
    let status = bed.proxy.admin_get("/status").expect(200);
    secrets::assert_none("/status", &status.body);
    let refusals = status.json()["recent_refusals"].clone();
    let refusals = refusals.as_array().expect("a list");
    assert!(refusals.len() >= 5, "{refusals:?}");
    let page = bed.proxy.admin_get("/").expect(200);
    secrets::assert_none("/", &page.body);
    for refusal in refusals
        .iter()
        .filter(|refusal| refusal["method"].is_string())
    {
        let id = refusal["request_id"].as_str().expect("an id");
        let link = format!("href=\"/explain?id={id}#explain\"");
        assert!(page.text().contains(&link), "{refusal}");
        let told = bed.proxy.admin_get(&format!("/explain?id={id}"));
        let told = told.expect(200).text();
        secrets::assert_none("/explain", told.as_bytes());
        let reason = refusal["reason"].as_str().expect("a reason");
        assert!(
            verdict(&told).contains(reason),
            "{refusal}: {}",
            verdict(&told)
        );
        assert!(told.contains("decides the same") || told.contains("does not say enough"));
    }
}

#[test]
fn the_last_minutes_are_counted_as_time_goes_by() {
    let bed = bed();
    let token = bed.token().expires_in(7200).sign();
    let last = |series: &str| {
        let status = bed.proxy.admin_get("/status").expect(200).json();
        let counts = status["last_minutes"].pointer(series).cloned();
        let counts: Vec<u64> =
            serde_json::from_value(counts.unwrap_or_default()).unwrap_or_default();
        let tail = counts.iter().rev().take_while(|count| **count == 0).count();
        (counts.iter().sum::<u64>(), tail)
    };
    assert_eq!(bed.get("/orders/7", &token).status, 200);
    assert_eq!(bed.get("/admin/x", &token).status, 403);
    assert_eq!(
        last("/total/allowed"),
        (1, 0),
        "the running minute is the last"
    );
    bed.clock.advance(Duration::from_secs(5 * 60));
    assert_eq!(bed.get("/admin/x", &token).status, 403);
    assert_eq!(last("/total/allowed"), (1, 5));
    assert_eq!(last("/routes/~1orders~1{order}/allowed"), (1, 5));
    assert_eq!(last("/routes/~1admin~1**/denied"), (2, 0));
    assert_eq!(last("/reasons/nobody_may/denied"), (2, 0));
    bed.clock.advance(Duration::from_secs(26 * 60));
    assert_eq!(
        last("/total/denied"),
        (1, 26),
        "the first is half an hour ago"
    );
    let page = bed.proxy.admin_get("/").expect(200).text();
    assert!(
        page.contains("<title>26 minutes ago: 0 allowed, 1 denied, 0 failed</title>"),
        "{page}"
    );
}

#[test]
fn a_browser_shows_the_page_and_the_form_answers() {
    let Some((mut look, bed)) = browser() else {
        return;
    };
    traffic(&bed);
    let folder = root().join("target");
    let origin = format!("http://{}/", bed.proxy.admin());
    let fields = json!({
        "request": "DELETE /orders/7", "issuer": "main",
        "claims": r#"{"sub": "alice", "azp": "web", "scope": "read"}"#,
    });
    look.arg("look.mjs").arg(&origin).arg(&folder).arg(CHROMIUM);
    let output = look.arg(fields.to_string()).output().expect("node");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let problems = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{problems}");
    let seen: Value = serde_json::from_str(&said).expect("JSON");

    assert_eq!(
        (&seen["status"], &seen["console"]),
        (&json!(200), &json!([])),
        "{seen}"
    );
    assert_eq!((&seen["failed"], &seen["foreign"]), (&json!([]), &json!(0)));
    let requests = seen["requests"].as_array().expect("a list");
    assert_eq!(
        requests.len(),
        2,
        "the page, and the answer to the form: {requests:?}"
    );
    assert!(
        requests
            .iter()
            .all(|url| url.as_str().is_some_and(|url| url.starts_with(&origin)))
    );
    for (name, page) in seen["pages"].as_object().expect("pages") {
        assert_eq!(page["sidewards"], 0, "{name}: {page}");
        assert_eq!(page["bars"], 30, "{name}: {page}");
        // Without its style sheet it would be black, and white on white.
        assert_ne!(page["bar"], "rgb(0, 0, 0)", "{name}: {page}");
    }
    let pages = &seen["pages"];
    assert_ne!(pages["light-1280"]["paper"], pages["dark-1280"]["paper"]);
    assert_ne!(pages["light-1280"]["ink"], pages["dark-1280"]["ink"]);
    let told = seen["told"].as_str().expect("text");
    assert!(
        seen["verdict"]
            .as_str()
            .is_some_and(|own| own.contains("(403)")),
        "{seen}"
    );
    assert!(
        told.contains("job") && told.contains("orders:delete"),
        "{told}"
    );
    assert_eq!(seen["in_view"], true);
    assert!(
        folder
            .join("status-page.png")
            .metadata()
            .is_ok_and(|file| file.len() > 10_000)
    );
}

const CHROMIUM: &str = "/usr/bin/chromium";

/// The looker, and something to look at; `None`, and said so, where there is no browser.
fn browser() -> Option<(Command, Bed)> {
    let node = node("chromium", "tests/page")?;
    if !Path::new(CHROMIUM).exists() {
        skip("chromium", "no Chromium here");
        return None;
    }
    Some((node, bed()))
}

/// Half an hour of a day.
fn traffic(bed: &Bed) {
    for minute in 0..30_usize {
        bed.clock.advance(Duration::from_secs(60));
        let token = bed.token().sign();
        let send = |times: usize, request: Request| {
            for _ in 0..times {
                drop(bed.send(&request));
            }
        };
        send(4 + minute * 7 % 9, Request::get("/orders/7").bearer(&token));
        send(2, Request::get("/health"));
        send(usize::from(minute % 4 == 1) * 3, Request::get("/orders/8"));
        send(1, Request::new("DELETE", "/orders/7").bearer(&token));
        if minute > 24 {
            send(2, Request::get("/admin/users").bearer(&token));
        }
        // Somebody looks: what ended counts to this minute.
        bed.proxy.admin_get("/status").expect(200);
    }
}
