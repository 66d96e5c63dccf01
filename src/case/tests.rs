use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::config::schema::Block;

fn read(text: &str) -> CaseFile {
    parse(Path::new("cases.yaml"), text).unwrap_or_else(|problems| panic!("{problems}"))
}

fn one(text: &str) -> Case {
    let mut file = read(text);
    assert_eq!(file.cases.len(), 1);
    file.cases.remove(0)
}

fn problems(text: &str) -> String {
    match parse(Path::new("cases.yaml"), text) {
        Ok(file) => panic!("{file:?}"),
        Err(problems) => problems.render(),
    }
}

fn members(value: &Value) -> Members {
    value.as_object().unwrap().clone()
}

/// A case with every key.
const EVERYTHING: &str = r#"
name: an agent writes
request:
  method: POST
  path: "/agent/a1/heartbeat?x=1"
  host: api.example.org
  headers: {x-one: "1", x-two: [a, b]}
  peer: "2001:db8::1"
  listener: inbound
  protocol: HTTP/2
  body: 12
  client_certificate: {dns: [Agent.example.org], sha256: "AA:BB"}
issuer: dls
claims: {azp: SmartEM_Agent, exp: 1893456000, scope: null, realm_access: {roles: [a]}}
actor: {issuer: atlas, claims: {sub: x}}
at: 2026-12-31T12:00:00Z
repeat: 3
expect:
  decision: denied
  status: 403
  reason: scope_missing
  route: r
  caller: null
  identity: {X-Auth-Client: SmartEM_Agent, x-auth-subject: null}
  assertion: {client_id: x}
"#;

#[test]
fn a_document_that_is_one_case_is_read() {
    let case = one("request: GET /health");
    assert_eq!(
        case,
        Case {
            line: 1,
            ..Case::new(Request::new("GET", "/health"))
        }
    );
    assert_eq!(case.title(), "GET /health");
}

#[test]
fn every_key_of_a_case_is_read() {
    let case = one(EVERYTHING);
    assert_eq!(
        case.request.headers,
        [
            ("x-one".to_owned(), "1".to_owned()),
            ("x-two".to_owned(), "a".to_owned()),
            ("x-two".to_owned(), "b".to_owned()),
        ]
    );
    assert_eq!(case.request.peer, Some("2001:db8::1".parse().unwrap()));
    assert_eq!(case.request.protocol, Protocol::Http2);
    let certificate = case.request.certificate.as_ref().unwrap();
    assert_eq!(certificate.dns, ["agent.example.org"]);
    assert_eq!(certificate.sha256, "aabb");
    let Some(Token {
        kind: TokenKind::Claims(claimed),
        ..
    }) = &case.token
    else {
        panic!("{case:?}");
    };
    assert_eq!(claimed.issuer.as_deref(), Some("dls"));
    assert_eq!(claimed.claims["exp"], 1_893_456_000);
    assert_eq!(claimed.claims["scope"], Value::Null);
    assert_eq!(case.at, Some(UnixTime::from_secs(1_798_718_400)));
    let expect = case.expect.as_ref().unwrap();
    assert_eq!(expect.decision, Some(Decision::Denied));
    assert_eq!(expect.caller, Some(None));
    assert_eq!(
        expect.identity,
        [
            ("x-auth-client".to_owned(), Some("SmartEM_Agent".to_owned())),
            ("x-auth-subject".to_owned(), None),
        ]
    );
}

#[test]
fn a_document_of_cases_shares_tokens_and_a_time() {
    let file = read(
        r"
config: smartem.yaml
at: 2026-12-31T12:00:00Z
tokens:
  agent: {issuer: dls, claims: {azp: SmartEM_Agent, scope: a b}}
  junk: {value: abc, source: basic_password}
cases:
  - {request: GET /a, token: agent, expect: allowed}
  - {request: GET /a, token: agent, claims: {scope: a}, expect: 403}
  - {request: GET /a, token: junk, expect: {reason: token_malformed}}
",
    );
    assert_eq!(file.config.as_deref(), Some(Path::new("smartem.yaml")));
    let scopes: Vec<_> = file
        .cases
        .iter()
        .map(|case| match &case.token.as_ref().unwrap().kind {
            TokenKind::Claims(claimed) => claimed.claims["scope"].as_str().unwrap(),
            TokenKind::Real(_) => "real",
        })
        .collect();
    assert_eq!(scopes, ["a b", "a", "real"]);
    assert_eq!(
        file.cases[2].token.as_ref().unwrap().source,
        Source::BasicPassword
    );
    assert!(file.cases.iter().all(|case| case.at.is_some()));
    assert_eq!(file.cases[1].expect.as_ref().unwrap().status, Some(403));
}

#[test]
fn what_is_wrong_with_cases_is_said_with_its_place() {
    for (text, expected) in [
        (
            "request: /health",
            "cases.yaml:1:10: request: `/health` has no target",
        ),
        ("reqest: GET /", "unknown key `reqest`"),
        (
            "request: GET /\nexpect: {reason: scope_mising}",
            "did you mean `scope_missing`?",
        ),
        ("request: GET /\nexpect: maybe", "cases.yaml:2:9: expect"),
        ("request: {path: /, peer: 1.2.3}", "`1.2.3` is no address"),
        ("request: GET /\ntoken: agnt", "is no name of `tokens`"),
        (
            "request: GET /\ntoken: {value: a, claims: {a: b}}",
            "one of the two",
        ),
        (
            "request: GET /\ntoken: {value: a}\nclaims: {a: b}",
            "says already what the token is",
        ),
        (
            "request: {path: /, headers: {\"a:b\": c}}",
            "neither a colon",
        ),
        (
            "cases:\n- {name: a, request: GET /}\n- {name: a, request: GET /x}",
            "two cases are called `a`",
        ),
        (
            "tokens: {agent: {issuer: x}}\ncases:\n- {request: GET /, token: agnet}",
            "did you mean `agent`?",
        ),
        ("cases: []", "must not be empty"),
        ("", "the document is empty"),
    ] {
        let said = problems(text);
        assert!(said.contains(expected), "{text}\n{said}");
    }
}

#[test]
fn invariant_46_a_token_in_a_case_is_never_shown() {
    const TOKEN: &str =
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJjYW5hcnktNDcxMSJ9.c2lnbmF0dXJlLW9mLWEtY2FuYXJ5LXRva2Vu";
    let case = one(&format!("request: GET /\ntoken: {TOKEN}"));
    assert!(matches!(
        &case.token.as_ref().unwrap().kind,
        TokenKind::Real(token) if token.expose() == TOKEN
    ));
    let shown = format!("{case:?}{}", case.to_yaml());
    let wrong = problems(&format!(
        "request: GET /\nat: never\ntoken: {TOKEN}\nactor: x{TOKEN}.y\nclaims: [{TOKEN}]"
    ));
    for text in [shown, wrong] {
        assert!(!text.contains("eyJzdWIi"), "{text}");
    }
}

#[test]
fn what_is_written_is_read_as_the_same_case() {
    let mut case = Case::new(Request::new("GET", "/a b"));
    case.name = Some("a: \"name\" # with ' everything".to_owned());
    case.token = Some(Token {
        kind: TokenKind::Claims(Claimed {
            header: members(&serde_json::json!({"kid": null, "alg": "none"})),
            forged: true,
            keyless: true,
            ..Claimed::new(
                Some("dls"),
                members(
                    &serde_json::json!({"yes": "no", "n": 1, "on": true, "x": ["1", "0x1f", "~"]}),
                ),
            )
        }),
        source: Source::Dpop,
        proof: Proof {
            claims: members(&serde_json::json!({"htm": null})),
            forged: true,
            other_key: true,
            count: 2,
            ..Proof::default()
        },
    });
    case.expect = Some(Expect {
        caller: Some(None),
        identity: vec![
            ("a".to_owned(), None),
            ("b".to_owned(), Some("null".to_owned())),
        ],
        ..Expect::default()
    });
    let text = case.to_yaml();
    assert_eq!(
        Case {
            line: 0,
            ..one(&text)
        },
        case,
        "{text}"
    );
}

proptest! {
    #[test]
    fn every_request_and_every_claim_survives_being_written(
        method in "[A-Z]{1,8}",
        target in "/[ -~]{0,12}",
        host in proptest::option::of("[ -~]{1,10}"),
        name in "[a-z-]{1,6}",
        values in proptest::collection::vec("[!-~]([ -~]{0,6}[!-~])?", 1..3),
        claim in "[^\\p{Cc}\u{feff}\u{2028}\u{2029}\u{fffe}\u{ffff}]{0,8}",
        number in any::<i32>(),
        at in proptest::option::of(0i64..4_000_000_000),
    ) {
        let mut case = Case::new(Request::new(&method, &target));
        case.request.host = host.filter(|host| !host.is_empty());
        let mut values = values;
        values.dedup();
        case.request.headers = values.into_iter().map(|value| (name.clone(), value)).collect();
        case.at = at.map(UnixTime::from_secs);
        let claims = members(&serde_json::json!({"text": claim, "number": number, "list": [claim, true]}));
        let case = case.with_claims(Some("main"), claims);
        let text = case.to_yaml();
        match parse(Path::new("case.yaml"), &text) {
            Ok(file) => prop_assert_eq!(Case { line: 0, ..file.cases[0].clone() }, case, "{}", text),
            Err(problems) => return Err(TestCaseError::fail(format!("{text}\n{problems}"))),
        }
    }
}

#[test]
fn every_key_of_cases_is_documented() {
    let page = include_str!("../../docs/policy.md");
    for block in [
        &schema::CASES,
        &schema::CASE,
        &schema::REQUEST,
        &schema::TOKEN,
        &schema::PROOF,
        &schema::EXPECT,
        &schema::CERTIFICATE,
    ] {
        let Block { name, keys, .. } = block;
        for key in *keys {
            let row = format!("| `{}` | {} |", key.name, key.doc.replace('|', "\\|"));
            assert!(page.contains(&row), "docs/policy.md: {name}: {row}");
        }
    }
}
