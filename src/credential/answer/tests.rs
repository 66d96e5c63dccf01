//! Answers, row by row.

use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::*;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const SECRET: &[u8] = b"correct horse battery staple";

fn answer(status: u16, content_type: &'static str, body: &str) -> Result<Granted, Failure> {
    let mut headers = HeaderMap::new();
    if !content_type.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    let fetched = Fetched {
        status: StatusCode::from_u16(status).unwrap(),
        headers,
        body: body.as_bytes().to_vec(),
    };
    read(&fetched, Kind::Bearer, &[SECRET], NOW)
}

fn words(outcome: Result<Granted, Failure>) -> String {
    match outcome {
        Ok(granted) => format!("{} {}", *granted.token, granted.lifetime.as_secs()),
        Err(failure) => failure.error.to_string(),
    }
}

#[test]
fn a3_a5_answers_become_a_token_or_words_of_ours() {
    let rows = include_str!("answers.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut seen = 0;
    for row in rows {
        let columns: Vec<&str> = row.splitn(4, " | ").collect();
        let [status, content_type, expected, body] = columns.as_slice() else {
            panic!("{row}");
        };
        let content_type = content_type.trim_start_matches('-');
        let found = words(answer(status.parse().unwrap(), content_type, body));
        assert_eq!(found, *expected, "{row}");
        seen += 1;
    }
    assert!(seen > 60, "{seen}");
}

#[test]
fn a3_a_token_that_fits_no_header_is_none() {
    let body = |bytes: usize| {
        let token = "a".repeat(bytes);
        serde_json::json!({"access_token": token, "token_type": "Bearer"}).to_string()
    };
    let json = "application/json";
    assert!(answer(200, json, &body(TOKEN_BYTES)).is_ok());
    let found = words(answer(200, json, &body(TOKEN_BYTES + 1)));
    assert_eq!(
        found,
        "no token answer: its `access_token` is larger than 16 KiB"
    );
}

#[test]
fn a7_a_description_is_bounded_and_holds_nothing_secret() {
    let long = "x".repeat(5000);
    let kept = "x".repeat(200);
    let rows = [
        (
            "Client secret not provided",
            Some("Client secret not provided"),
        ),
        (
            "two\nlines\u{1b}[31m \"quoted\"",
            Some("twolines[31m quoted"),
        ),
        ("unknown secret: correct horse battery staple", None),
        ("unknown secret: correct h…", None),
        ("your secret ends in y staple", None),
        ("the assertion eyJhbGciOiJFUzI1NiJ9.e30.AA is stale", None),
        ("", None),
        (" \u{7}", None),
        (&long, Some(kept.as_str())),
    ];
    for (said, expected) in rows {
        assert_eq!(clean(said, &[SECRET]).as_deref(), expected, "{said}");
    }
    assert_eq!(
        clean("is abc right?", &[b"abc"]),
        None,
        "short secrets are secrets"
    );
    assert_eq!(clean("fine", &[b""]).as_deref(), Some("fine"));
}

#[test]
fn a7_a_scope_that_repeats_the_secret_or_the_token_is_not_passed_on() {
    for (scope, expected) in [
        ("read write", Some("read write")),
        ("read correct horse battery staple", None),
        ("read an-opaque-token", None),
    ] {
        let body = serde_json::json!({"access_token": "an-opaque-token-of-some-length", "token_type": "Bearer", "scope": scope});
        let granted = answer(200, "application/json", &body.to_string()).unwrap();
        assert_eq!(granted.scope.as_deref(), expected, "{scope}");
    }
}

#[test]
fn a5_retry_after_is_seconds_or_a_date() {
    const ROWS: [(&str, Option<u64>); 7] = [
        ("7", Some(7)),
        (" 7 ", Some(7)),
        ("Fri, 15 Jan 2027 08:00:30 GMT", Some(30)),
        ("Fri, 15 Jan 2027 07:00:30 GMT", Some(0)),
        ("-7", None),
        ("soon", None),
        ("99999999999999999999999", None),
    ];
    for (value, seconds) in ROWS {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
        assert_eq!(
            retry_after(&headers, NOW),
            seconds.map(Duration::from_secs),
            "{value}"
        );
    }
}
