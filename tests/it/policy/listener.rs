//! A listener that explains (`explain: true`).

use serde_json::{Value, json};

use crate::bed::keys::ED25519_1;
use crate::bed::{Bed, Request, Setup, secrets};

const ROUTES: &str = "
identity: {headers: {x-auth-subject: subject}}
callers: {web: {issuer: main, client: web}}
routes:
  - {path: /open, allow: anyone}
  - {path: '/things/{thing}', allow: {caller: web, scopes: [read, write]}}
  - {path: /limited, allow: web, rate_limit: {by: principal, requests: 1, per: 1m}}
  - {path: /templated, allow: nobody, answers: own}
answers: {own: {body: {error: \"{message}\"}}}
";

#[test]
fn answers_of_a_listener_that_explains_tell_why() {
    let bed = Setup::new(ROUTES).inbound("explain: true").start();
    let token = bed.token();
    let refused = bed.get("/things/1", &token.sign()).expect(403);
    assert_eq!(
        refused.header("countersign-explain"),
        Some(
            "decision=denied, reason=\"scope_missing\", route=\"/things/{thing}\", what=\"scopes\", wanted=\"all of read write\", found=\"read\""
        )
    );
    let told = &refused.json()["explanation"];
    assert_eq!(told["reason"], "scope_missing");
    assert_eq!(
        told["alternatives"][0]["conditions"][1]["wanted"],
        "all of read write"
    );
    assert_eq!(told["principal"]["claims"]["sub"], "alice");
    assert_eq!(told["route"]["parameters"], json!({"thing": "1"}));
    let expired = bed
        .get("/things/1", &token.clone().expires_in(-100).sign())
        .expect(401);
    assert_eq!(expired.json()["explanation"]["checks"][0]["what"], "exp");
    let allowed = bed
        .get("/things/1", &token.claim("scope", "read write").sign())
        .expect(200);
    assert_eq!(
        allowed.header("countersign-explain"),
        Some("decision=allowed, route=\"/things/{thing}\", caller=\"web\"")
    );
    let head = bed.send(&Request::new("HEAD", "/things/1")).expect(401);
    assert!(
        head.header("countersign-explain")
            .expect("a field")
            .contains("no_token")
    );
    let templated = bed.send(&Request::get("/templated")).expect(403);
    assert_eq!(
        templated.json(),
        json!({"error": "access denied"}),
        "a template's shape is the caller's"
    );
    assert!(
        templated
            .header("countersign-explain")
            .expect("a field")
            .contains("nobody_may")
    );
    let page = bed.proxy.admin_get("/").text();
    assert!(page.contains("explains to callers"), "{page}");
    // What the record says, the answer says.
    let records = bed.proxy.await_records(5);
    let reasons: Vec<&Value> = records.iter().map(|record| &record["reason"]).collect();
    assert_eq!(
        reasons,
        [
            &json!("scope_missing"),
            &json!("token_expired"),
            &Value::Null,
            &json!("no_token"),
            &json!("nobody_may")
        ]
    );
}

#[test]
fn other_listeners_tell_callers_nothing() {
    let bed = Setup::new(ROUTES).start();
    let refused = bed.get("/things/1", &bed.token().sign()).expect(403);
    assert_eq!(refused.header("countersign-explain"), None);
    assert_eq!(refused.json()["explanation"], Value::Null);
}

#[test]
fn nothing_of_a_token_but_what_it_says_is_told() {
    let bed = Setup::new(ROUTES).inbound("explain: true").start();
    let token = bed.token().sign();
    let forged = bed.token().signed_by(&ED25519_1).sign();
    let requests = [
        Request::get("/things/1").bearer(&token),
        Request::get("/things/1").bearer(&forged),
        Request::get("/things/1").bearer(format!("{token}x")),
        Request::get(&format!("/things/1?access_token={token}")),
        Request::get(&format!("/things/{token}")).bearer(&token),
        Request::get(&format!("/{token}/x")).bearer(&token),
        Request::get("/things/1").host(&token).bearer(&token),
        Request::get("/things/1").header("authorization", &format!("Basic {token}")),
    ];
    for request in &requests {
        let answer = bed.send(request);
        assert!(answer.status >= 400, "{request:?}");
        let field = answer.header("countersign-explain").expect("a field");
        secrets::assert_none("the field", field.as_bytes());
        secrets::assert_none("the document", &answer.body);
        assert!(answer.json()["explanation"]["reason"].is_string());
    }
    let query = Request::get("/things/1?api_key=hunter2&page=2");
    let told = bed.send(&query).expect(401);
    assert_eq!(
        told.json()["explanation"]["reading"]["target"],
        "/things/1?api_key=[redacted]&page=2"
    );
}

/// Being watched changes no decision, no limit and no byte that the upstream gets.
#[test]
fn a_listener_that_explains_decides_as_any_other() {
    let [quiet, loud] = ["", "explain: true"].map(|line| Setup::new(ROUTES).inbound(line).start());
    let outcome = |bed: &Bed, target: &str, scope: Option<&str>| {
        let mut request = Request::get(target);
        if let Some(scope) = scope {
            request = request.bearer(bed.token().claim("scope", scope).sign());
        }
        let answer = bed.send(&request);
        let mut document = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
        if let Some(members) = document.as_object_mut() {
            members.remove("explanation");
            members.remove("request_id");
        }
        let challenge = answer.header("www-authenticate").map(str::to_owned);
        (answer.status, challenge, document)
    };
    for target in [
        "/open",
        "/things/1",
        "/Things/1",
        "/limited",
        "/limited",
        "/templated",
        "/a//b",
        "/none",
    ] {
        for scope in [None, Some("read"), Some("read write")] {
            assert_eq!(
                outcome(&loud, target, scope),
                outcome(&quiet, target, scope),
                "{target} {scope:?}"
            );
        }
    }
    let sent = |bed: &Bed| {
        let requests = bed.upstream.requests();
        let identity = requests
            .iter()
            .map(|own| own.header("x-auth-subject").map(str::to_owned));
        identity.collect::<Vec<_>>()
    };
    assert!(sent(&loud).len() > 3);
    assert_eq!(sent(&loud), sent(&quiet));
}
