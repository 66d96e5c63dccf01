use http::HeaderMap;
use serde_json::{Value, json};

use super::*;
use crate::rejection::{Refusal, TokenFault};

const ID: &str = "0123abcd";

fn context() -> AnswerContext<'static> {
    AnswerContext {
        request_id: ID,
        ..AnswerContext::default()
    }
}

fn template(body: Value) -> AnswersSettings {
    AnswersSettings {
        body: Some(BodyTemplate(body)),
        ..AnswersSettings::default()
    }
}

fn render(settings: &AnswersSettings, rejection: &Rejection) -> Response<Bytes> {
    Answer::compile(settings).render(rejection, &context())
}

fn header<'a>(response: &'a Response<Bytes>, name: &str) -> Option<&'a str> {
    response
        .headers()
        .get(name)
        .map(|value| value.to_str().unwrap())
}

fn no_keys() -> Rejection {
    Rejection::KeysUnavailable {
        retry_after: Duration::from_millis(1500),
    }
}

#[test]
fn the_default_is_problem_json() {
    let response = render(&AnswersSettings::default(), &Rejection::NoToken);
    assert_eq!(response.status(), 401);
    assert_eq!(
        header(&response, "content-type"),
        Some("application/problem+json")
    );
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
    assert_eq!(header(&response, "x-request-id"), Some(ID));
    assert_eq!(
        serde_json::from_slice::<Value>(response.body()).unwrap(),
        json!({"type": "urn:countersign:problem:no_token", "title": "Unauthorized", "status": 401,
            "detail": "missing bearer token", "request_id": ID})
    );
    assert_eq!(
        header(&response, "content-length").unwrap(),
        response.body().len().to_string()
    );
}

#[test]
fn s07_fastapi_bodies_carry_detail_and_a_bearer_challenge() {
    let response = render(
        &template(json!({"detail": "{message}"})),
        &Rejection::NoToken,
    );
    assert_eq!(
        &response.body()[..],
        br#"{"detail":"missing bearer token"}"#
    );
    assert_eq!(header(&response, "content-type"), Some("application/json"));
    assert!(
        header(&response, "www-authenticate")
            .unwrap()
            .starts_with("Bearer")
    );
}

#[test]
fn t07_bodies_are_exact_bytes_per_template() {
    let mut atlas = template(json!({"error": "{message}"}));
    atlas.kinds.insert(
        AnswerKind::InvalidToken,
        AnswerTemplate {
            status: None,
            message: Some("token \"not\" valid".into()),
        },
    );
    let invalid = Rejection::InvalidToken(TokenFault::Expired);
    assert_eq!(
        &render(&atlas, &invalid).body()[..],
        br#"{"error":"token \"not\" valid"}"#
    );
    let message = template(json!({"message": "{message}"}));
    assert_eq!(
        &render(&message, &invalid).body()[..],
        br#"{"message":"invalid token"}"#
    );
}

#[test]
fn t06_a_wrong_principals_status_is_configurable() {
    let refused = Rejection::Forbidden(Refusal::Caller);
    let usual = render(&AnswersSettings::default(), &refused);
    assert_eq!(usual.status(), 403);
    assert_eq!(header(&usual, "www-authenticate"), None);

    let mut atlas = template(json!({"error": "{message}"}));
    atlas.kinds.insert(
        AnswerKind::Refused,
        AnswerTemplate {
            status: Some(401),
            message: Some("unauthorized principal".into()),
        },
    );
    let response = render(&atlas, &refused);
    assert_eq!(response.status(), 401);
    assert_eq!(
        &response.body()[..],
        br#"{"error":"unauthorized principal"}"#
    );
    assert_eq!(
        header(&response, "www-authenticate"),
        Some(r#"Bearer realm="countersign", error="invalid_token""#),
        "a 401 carries a challenge"
    );
}

#[test]
fn challenges_follow_rfc_6750_and_rfc_9728() {
    let settings = AnswersSettings {
        realm: Some("a \"b\"\r\n".into()),
        resource_metadata: Some(
            "https://r.example.org/.well-known/oauth-protected-resource".into(),
        ),
        ..AnswersSettings::default()
    };
    let start = r#"Bearer realm="a \"b\"", resource_metadata="https://r.example.org/.well-known/oauth-protected-resource""#;
    for (rejection, end) in [
        (Rejection::NoToken, Some("")),
        (
            Rejection::InvalidToken(TokenFault::Audience),
            Some(", error=\"invalid_token\""),
        ),
        (
            Rejection::Forbidden(Refusal::Scope("a:read b:read".into())),
            Some(", error=\"insufficient_scope\", scope=\"a:read b:read\""),
        ),
        (Rejection::Forbidden(Refusal::Account), None),
        (no_keys(), None),
    ] {
        let response = render(&settings, &rejection);
        assert_eq!(
            header(&response, "www-authenticate").map(ToOwned::to_owned),
            end.map(|end| format!("{start}{end}")),
            "{rejection}"
        );
    }
}

#[test]
fn s14_missing_keys_say_when_to_come_again() {
    let response = render(&AnswersSettings::default(), &no_keys());
    assert_eq!(response.status(), 503);
    assert_eq!(header(&response, "retry-after"), Some("2"), "rounded up");
}

#[test]
fn a_405_lists_the_methods() {
    let rejection = Rejection::MethodNotAllowed {
        allow: "GET, HEAD".into(),
    };
    let response = render(&AnswersSettings::default(), &rejection);
    assert_eq!(
        (response.status().as_u16(), header(&response, "allow")),
        (405, Some("GET, HEAD"))
    );
}

#[test]
fn a_head_request_gets_the_length_and_no_body() {
    let answer = Answer::compile(&AnswersSettings::default());
    let get = answer.render(&Rejection::NoToken, &context());
    let head = answer.render(
        &Rejection::NoToken,
        &AnswerContext {
            head: true,
            ..context()
        },
    );
    assert!(head.body().is_empty());
    assert_eq!(
        header(&head, "content-length"),
        header(&get, "content-length")
    );
}

#[test]
fn invariant_49_all_invalid_tokens_get_the_same_bytes() {
    let answer = Answer::compile(&AnswersSettings::default());
    let faces: Vec<_> = [
        TokenFault::UnknownKey,
        TokenFault::Signature,
        TokenFault::Expired,
        TokenFault::Issuer,
        TokenFault::Malformed,
    ]
    .map(|fault| answer.render(&Rejection::InvalidToken(fault), &context()))
    .into_iter()
    .map(|response| {
        (
            response.status(),
            response.headers().clone(),
            response.into_body(),
        )
    })
    .collect();
    assert!(faces.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn what_goes_into_a_template_cannot_leave_its_string() {
    let settings = template(
        json!({"a": ["{message} {status} {reason}"], "id": "{request_id}", "b": "{other} {", "n": 1}),
    );
    let hostile = AnswerContext {
        request_id: "\"},{\"admin\":true,\n",
        ..AnswerContext::default()
    };
    let response = Answer::compile(&settings).render(&Rejection::NearMiss, &hostile);
    assert_eq!(
        serde_json::from_slice::<Value>(response.body()).unwrap(),
        json!({"a": ["access denied 403 forbidden"], "id": hostile.request_id, "b": "{other} {", "n": 1})
    );
    assert_eq!(
        header(&response, "x-request-id"),
        None,
        "not a header value"
    );
}

#[test]
fn templates_are_found_by_name() {
    let mut settings = BTreeMap::new();
    let fastapi = AnswersName::from("fastapi");
    settings.insert(
        Arc::clone(&fastapi),
        Arc::new(template(json!({"detail": "{message}"}))),
    );
    let answers = Answers::compile(&settings);
    let named = answers
        .get(Some(&fastapi))
        .render(&Rejection::NoToken, &context());
    assert!(named.body().starts_with(b"{\"detail\""));
    let default = answers.get(None).render(&Rejection::NoToken, &context());
    assert!(default.body().starts_with(b"{\"type\""));
}

fn cors(origins: &[&str], credentials: bool) -> Cors {
    Cors::compile(&CorsSettings {
        origins: origins.iter().map(|&origin| origin.to_owned()).collect(),
        preflight: Preflight::Answer,
        credentials,
        expose: vec!["X-Extra".into(), "retry-after".into()],
        headers: vec!["Authorization".into(), "Content-Type".into()],
        max_age: 600,
    })
}

static APP: HeaderValue = HeaderValue::from_static("https://app.example.org");
static EVIL: HeaderValue = HeaderValue::from_static("https://app.example.org.evil.example");

#[test]
fn s09_refusals_are_readable_for_allowed_origins_only() {
    let cors = cors(&["https://app.example.org"], true);
    let answer = Answer::compile(&AnswersSettings::default());
    let refusals = [
        Rejection::NoToken,
        Rejection::Forbidden(Refusal::Caller),
        no_keys(),
    ];
    for rejection in &refusals {
        let with = |origin| {
            answer.render(
                rejection,
                &AnswerContext {
                    cors: Some((&cors, origin)),
                    ..context()
                },
            )
        };
        let allowed = with(Some(&APP));
        assert_eq!(
            header(&allowed, "access-control-allow-origin"),
            Some("https://app.example.org")
        );
        assert_eq!(
            header(&allowed, "access-control-allow-credentials"),
            Some("true")
        );
        assert_eq!(
            header(&allowed, "access-control-expose-headers"),
            Some("WWW-Authenticate, Retry-After, X-Request-Id, X-Extra")
        );
        for refused in [with(Some(&EVIL)), with(None)] {
            assert_eq!(header(&refused, "access-control-allow-origin"), None);
            assert_eq!(header(&refused, "access-control-allow-credentials"), None);
            assert_eq!(header(&refused, "vary"), Some("Origin"));
        }
    }
}

#[test]
fn s09_a_wildcard_never_comes_with_credentials() {
    let mut headers = HeaderMap::new();
    cors(&["*"], true).decorate(&mut headers, Some(&EVIL));
    assert_eq!(headers.get("access-control-allow-origin").unwrap(), "*");
    assert_eq!(headers.get("access-control-allow-credentials"), None);
}

#[test]
fn s09_preflights_are_answered_from_policy() {
    let cors = cors(&["https://app.example.org"], false);
    let methods = HeaderValue::from_static("GET, POST");
    let allowed = cors.answer_preflight(&methods, Some(&APP), ID);
    assert_eq!(allowed.status(), 204);
    assert_eq!(
        header(&allowed, "access-control-allow-methods"),
        Some("GET, POST")
    );
    assert_eq!(
        header(&allowed, "access-control-allow-headers"),
        Some("Authorization, Content-Type")
    );
    assert_eq!(header(&allowed, "access-control-max-age"), Some("600"));
    let refused = cors.answer_preflight(&methods, Some(&EVIL), ID);
    assert_eq!(header(&refused, "access-control-allow-methods"), None);
}

#[test]
fn a_preflight_is_options_with_one_origin_and_a_requested_method() {
    let mut headers = HeaderMap::new();
    headers.insert("origin", APP.clone());
    assert!(!is_preflight(&http::Method::OPTIONS, &headers));
    headers.insert(
        "access-control-request-method",
        HeaderValue::from_static("GET"),
    );
    assert!(is_preflight(&http::Method::OPTIONS, &headers));
    assert!(!is_preflight(&http::Method::GET, &headers));
    headers.append("origin", EVIL.clone());
    assert!(!is_preflight(&http::Method::OPTIONS, &headers));
}
