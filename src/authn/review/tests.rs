//! Answers, whole and hostile.

#![expect(clippy::string_slice, reason = "ASCII")]
#![expect(clippy::too_many_lines, reason = "tables")]

use serde_json::{Value, json};

use super::*;
use crate::authn::Json;

fn asked() -> Vec<String> {
    vec!["usage-api".to_owned(), "reports".to_owned()]
}

/// What an API server answers about a projected token.
fn answer() -> Value {
    json!({
        "kind": "TokenReview",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"creationTimestamp": null, "managedFields": [{"manager": "countersign", "fieldsV1": {"f:spec": {"f:token": {}}}}]},
        "spec": {"token": "eyJ.e30.AA", "audiences": ["usage-api", "reports"]},
        "status": {
            "authenticated": true,
            "user": {
                "username": "system:serviceaccount:atlas-production:atlas",
                "uid": "c3b1",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:atlas-production", "system:authenticated"],
                "extra": {
                    "authentication.kubernetes.io/credential-id": ["JTI=7ee5"],
                    "authentication.kubernetes.io/node-name": ["node-1"],
                    "authentication.kubernetes.io/node-uid": ["4a2f"],
                    "authentication.kubernetes.io/pod-name": ["atlas-0"],
                    "authentication.kubernetes.io/pod-uid": ["9d1c"],
                },
            },
            "audiences": ["usage-api"],
        },
    })
}

/// [`answer`] with the value at a JSON pointer replaced.
fn with(pointer: &str, value: Value) -> Vec<u8> {
    let mut answer = answer();
    *answer.pointer_mut(pointer).expect(pointer) = value;
    answer.to_string().into_bytes()
}

/// [`answer`] without the member.
fn without(parent: &str, name: &str) -> Vec<u8> {
    let mut answer = answer();
    let parent = answer.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    parent.remove(name).expect(name);
    answer.to_string().into_bytes()
}

/// The answer in a word, or the claims in JSON.
fn read(body: &[u8]) -> Result<Option<Value>, String> {
    match Review::of_token_review(body, &asked()) {
        Ok(Review::Active(claims)) => Ok(Some(shown(&claims))),
        Ok(Review::Inactive) => Ok(None),
        Err(fault) => Err(fault.to_string()),
    }
}

fn shown(claims: &Claims) -> Value {
    fn value(json: Json<'_>) -> Value {
        match json {
            Json::Null => Value::Null,
            Json::Bool(flag) => json!(flag),
            Json::Number(number) => number.parse().map_or(Value::Null, |n: i64| json!(n)),
            Json::Text(text) => json!(text),
            Json::List(list) => list.iter().map(value).collect(),
            Json::Object(members) => members
                .iter()
                .map(|(name, member)| (name.to_owned(), value(member)))
                .collect(),
        }
    }
    let names = [
        "iss",
        "sub",
        "aud",
        "groups",
        "jti",
        "kubernetes.io",
        "exp",
        "scope",
        "client_id",
        "active",
        "spec",
        "extra",
    ];
    names
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), value(claims.top(name)?))))
        .collect()
}

#[test]
fn a_token_review_has_the_claims_of_a_projected_token() {
    assert_eq!(
        read(answer().to_string().as_bytes()).unwrap().unwrap(),
        json!({
            "sub": "system:serviceaccount:atlas-production:atlas",
            "aud": ["usage-api"],
            "groups": ["system:serviceaccounts", "system:serviceaccounts:atlas-production", "system:authenticated"],
            "jti": "7ee5",
            "kubernetes.io": {
                "namespace": "atlas-production",
                "serviceaccount": {"name": "atlas", "uid": "c3b1"},
                "pod": {"name": "atlas-0", "uid": "9d1c"},
                "node": {"name": "node-1", "uid": "4a2f"},
            },
        })
    );
    // A token that is bound to no pod, of a cluster that knows no ids of credentials.
    let claims = read(&without("/status/user", "extra")).unwrap().unwrap();
    assert_eq!(
        claims["kubernetes.io"],
        json!({"namespace": "atlas-production", "serviceaccount": {"name": "atlas", "uid": "c3b1"}})
    );
    assert_eq!(claims.get("jti"), None);
    // No ServiceAccount: nothing that could be taken for one.
    let person = read(&with("/status/user/username", json!("alice")))
        .unwrap()
        .unwrap();
    assert_eq!(person["sub"], "alice");
    assert_eq!(person.get("kubernetes.io"), None);
}

#[test]
fn only_audiences_that_were_asked_for_count() {
    let aud = |audiences: Value| {
        let body = with("/status/audiences", audiences);
        read(&body).unwrap().unwrap()["aud"].clone()
    };
    assert_eq!(
        aud(json!(["reports", "usage-api"])),
        json!(["reports", "usage-api"])
    );
    assert_eq!(
        aud(json!(["https://kubernetes.default.svc", "usage-api"])),
        json!(["usage-api"])
    );
    for other in [
        json!(["https://kubernetes.default.svc"]),
        json!(["usage-api-2"]),
        json!(["Usage-API"]),
        json!([]),
        Value::Null,
    ] {
        assert_eq!(aud(other.clone()), json!([]), "{other}");
    }
    let body = without("/status", "audiences");
    assert_eq!(read(&body).unwrap().unwrap()["aud"], json!([]));
}

#[test]
fn a_token_that_is_not_authenticated_does_not_hold_whatever_else_is_said() {
    for (status, what) in [
        (json!({"authenticated": false}), "false"),
        (json!({}), "`false` is left out"),
        (
            json!({"error": "[invalid bearer token, service account token has expired]"}),
            "an error",
        ),
        (
            json!({"authenticated": false, "user": answer()["status"]["user"], "audiences": ["usage-api"]}),
            "a user",
        ),
    ] {
        assert_eq!(read(&with("/status", status)), Ok(None), "{what}");
    }
}

/// None of these says anything about the token; each has its twin in the tests above.
#[test]
fn invariant_13_a_hostile_token_review_is_no_answer() {
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let deep = answer().to_string().replace("\"c3b1\"", &deep);
    let twice = |member: &str| {
        answer().to_string().replacen(
            "\"authenticated\":true",
            &format!("\"authenticated\":true,{member}"),
            1,
        )
    };
    let many = json!(vec!["g"; 2000]);
    let text = |text: &str| text.as_bytes().to_vec();
    for (body, expected) in [
        (text(""), "no JSON document"),
        (text("<html>"), "no JSON document"),
        (text("[]"), "it is no JSON object"),
        (text("true"), "it is no JSON object"),
        (text("{}"), "it is no TokenReview"),
        (text(&answer().to_string()[..200]), "no JSON document"),
        (text(&format!("{}{{}}", answer())), "no JSON document"),
        (text(&twice("\"authenticated\":true")), "duplicate"),
        (text(&twice("\"authenticate\\u0064\":false")), "duplicate"),
        (text(&deep), "nested too deep"),
        (with("/status/user/groups", many), "more than 1024 values"),
        (with("/kind", json!("Status")), "it is no TokenReview"),
        (
            with("/apiVersion", json!("authentication.k8s.io/v1beta1")),
            "it is no TokenReview",
        ),
        (without("", "kind"), "it is no TokenReview"),
        (without("", "status"), "it has no `status`"),
        (with("/status", json!([true])), "it has no `status`"),
        (
            with("/status/authenticated", json!("true")),
            "is no boolean",
        ),
        (with("/status/authenticated", json!(1)), "is no boolean"),
        (
            with("/status/authenticated", json!([true])),
            "is no boolean",
        ),
        (with("/status/authenticated", Value::Null), "is no boolean"),
        (text(&twice("\"error\":\"but\"")), "has an `error`"),
        (text(&twice("\"error\":7")), "`status.error` is no text"),
        (without("/status", "user"), "it has no `status.user`"),
        (
            with("/status/user", json!("system:serviceaccount:a:b")),
            "it has no `status.user`",
        ),
        (
            without("/status/user", "username"),
            "it has no `status.user.username`",
        ),
        (
            with("/status/user/username", json!("")),
            "it has no `status.user.username`",
        ),
        (
            with(
                "/status/user/username",
                json!(["system:serviceaccount:a:b"]),
            ),
            "is no text",
        ),
        (with("/status/user/uid", json!(7)), "is no text"),
        (
            with("/status/user/groups", json!("system:masters")),
            "is no list of texts",
        ),
        (
            with("/status/user/groups", json!(["a", 7])),
            "is no list of texts",
        ),
        (
            with("/status/user/groups", json!({"a": true})),
            "is no list of texts",
        ),
        (
            with("/status/audiences", json!("usage-api")),
            "is no list of texts",
        ),
        (
            with("/status/audiences", json!(["usage-api", ["x"]])),
            "is no list of texts",
        ),
        (with("/status/user/extra", json!([])), "is no mapping"),
        (
            with(
                "/status/user/extra/authentication.kubernetes.io~1pod-name",
                json!(["a", "b"]),
            ),
            "has not exactly one text",
        ),
        (
            with(
                "/status/user/extra/authentication.kubernetes.io~1pod-uid",
                json!("9d1c"),
            ),
            "has not exactly one text",
        ),
        (
            with(
                "/status/user/extra/authentication.kubernetes.io~1credential-id",
                json!([]),
            ),
            "has not exactly one text",
        ),
    ] {
        let found = read(&body).expect_err(expected);
        assert!(found.contains(expected), "{found} instead of {expected}");
    }
}

fn introspected(body: &str) -> Result<Option<Value>, String> {
    match Review::of_introspection(body.as_bytes()) {
        Ok(Review::Active(claims)) => Ok(Some(shown(&claims))),
        Ok(Review::Inactive) => Ok(None),
        Err(fault) => Err(fault.to_string()),
    }
}

#[test]
fn invariant_13_introspection_says_active_by_a_boolean_and_nothing_else() {
    let active =
        r#"{"active": true, "sub": "robot", "client_id": "agent", "scope": "a b", "exp": 7}"#;
    assert_eq!(
        introspected(active),
        Ok(Some(
            json!({"sub": "robot", "client_id": "agent", "scope": "a b", "exp": 7})
        ))
    );
    assert_eq!(introspected(r#"{"active":false}"#), Ok(None));
    assert_eq!(
        introspected(r#"{"active": false, "sub": "robot", "aud": "api"}"#),
        Ok(None)
    );
    let many = format!(r#"{{"active": true, "groups": [{}1]}}"#, "1,".repeat(2000));
    let deep = format!(
        r#"{{"active": true, "a": {}1{}}}"#,
        "[".repeat(40),
        "]".repeat(40)
    );
    for (body, expected) in [
        ("", "no JSON document"),
        ("<html>", "no JSON document"),
        ("[]", "it is no JSON object"),
        ("true", "it is no JSON object"),
        ("{}", "it has no `active`"),
        (r#"{"Active": true, "sub": "robot"}"#, "it has no `active`"),
        (r#"{"active": "true"}"#, "`active` is no boolean"),
        (r#"{"active": 1}"#, "`active` is no boolean"),
        (r#"{"active": [true]}"#, "`active` is no boolean"),
        (r#"{"active": null}"#, "`active` is no boolean"),
        (r#"{"active": true, "active": true}"#, "duplicate"),
        (r#"{"active": false, "activ\u0065": true}"#, "duplicate"),
        (r#"{"active": true, "sub": "a", "sub": "b"}"#, "duplicate"),
        (r#"{"active": true} {"active": true}"#, "no JSON document"),
        (many.as_str(), "more than 1024 values"),
        (deep.as_str(), "nested too deep"),
    ] {
        let found = introspected(body).expect_err(body);
        assert!(found.contains(expected), "{body}: {found}");
    }
}

#[test]
fn either_clock_ends_an_answer() {
    use crate::clock::{Tick, UnixTime};
    let reviewer = |max_cache| Reviewer {
        kind: ReviewKind::Introspection,
        max_cache,
        opaque: true,
    };
    let at = |unix, seconds| Now {
        unix: UnixTime::from_secs(unix),
        tick: Tick::default().plus(Duration::from_secs(seconds)),
    };
    let ten = reviewer(Duration::from_secs(10));
    for (now, counts) in [
        (at(1000, 50), true),
        (at(1009, 59), true),
        (at(1010, 59), false),
        (at(1009, 60), false),
        // The machine slept; somebody set the clock.
        (at(4600, 51), false),
        (at(0, 59), true),
        (at(0, 60), false),
    ] {
        assert_eq!(ten.counts(at(1000, 50), now), counts, "{now:?}");
    }
    assert!(!reviewer(Duration::ZERO).counts(at(1000, 50), at(1000, 50)));
    assert!(reviewer(Duration::from_millis(500)).counts(at(1000, 50), at(1000, 50)));
}

#[test]
fn invariant_46_neither_the_question_nor_the_answer_is_shown_for_debugging() {
    let issuer =
        super::super::tests::support::issuers(vec![super::super::tests::support::settings()]);
    let issuer = issuer.iter().next().unwrap();
    let wanted = ReviewWanted::new(issuer, b"opaque-token");
    let reviewed = Reviewed {
        wanted,
        review: Review::of_introspection(br#"{"active": true, "sub": "a-secret-subject"}"#)
            .unwrap(),
        asked: Now::default(),
    };
    let shown = format!("{reviewed:?}");
    assert!(shown.contains("dls"), "{shown}");
    for hidden in ["opaque-token", "a-secret-subject", "111, 112"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}

/// Bytes of an answer changed, removed, and repeated.
fn spoilt() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    use proptest::prelude::*;
    let edit = (
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        any::<u8>(),
        0..4_u8,
    );
    prop::collection::vec(edit, 1..6).prop_map(|edits| {
        let introspected = json!({"active": true, "sub": "a", "aud": ["x"], "exp": 7}).to_string();
        let mut bytes = if edits.len() % 2 == 0 {
            answer().to_string().into_bytes()
        } else {
            introspected.into_bytes()
        };
        for (at, to, byte, how) in edits {
            let (at, to) = (at.index(bytes.len()), to.index(bytes.len()));
            let (from, to) = (at.min(to), at.max(to));
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 if to - from < bytes.len() / 2 => drop(bytes.drain(from..to)),
                _ => {
                    let piece = bytes[from..to].to_vec();
                    bytes.splice(from..from, piece);
                }
            }
            if bytes.is_empty() {
                bytes.push(b'{');
            }
        }
        bytes
    })
}

proptest::proptest! {
    /// Whatever is done to an answer: only one that another reader finds to say so says that a token holds.
    #[test]
    fn invariant_64_no_spoilt_answer_says_more_than_it_says_to_another_reader(bytes in spoilt()) {
        let theirs: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if let Ok(Review::Active(claims)) = Review::of_token_review(&bytes, &asked()) {
            assert_eq!(theirs["kind"], "TokenReview");
            assert_eq!(theirs["status"]["authenticated"], true);
            let sub = claims.top("sub").and_then(Json::as_str);
            assert_eq!(theirs["status"]["user"]["username"].as_str(), sub);
        }
        if let Ok(Review::Active(_)) = Review::of_introspection(&bytes) {
            assert_eq!(theirs["active"], true);
        }
    }
}
