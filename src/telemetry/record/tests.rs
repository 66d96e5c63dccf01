use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::clock::{Tick, UnixTime};
use crate::request::{Canonical, Connection, RequestRules};

const NOW: Now = Now {
    unix: UnixTime::from_secs(1_795_427_618),
    tick: Tick::from_nanos(5),
};

fn facts(method: &str, target: &'static str, host: &'static str) -> Facts {
    let rules = RequestRules {
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        ..RequestRules::default()
    };
    let connection = Arc::new(Connection {
        listener: "inbound".into(),
        peer: [10, 0, 0, 2].into(),
        tls: false,
        unix: false,
        client_certificate: None,
    });
    let request = http::Request::builder()
        .method(method)
        .uri(target)
        .header("host", host)
        .header("x-forwarded-for", "198.51.100.9")
        .body(())
        .unwrap();
    let (parts, body) = request.into_parts();
    let request = Canonical::parse(parts, body, &connection, &rules).unwrap();
    let (_, mut facts, ()) = request.refuse(Rejection::NoRoute).into_parts();
    facts.principal = Some(Principal::Anonymous);
    facts.caller = Some("user".into());
    facts
}

fn hmac_key() -> aws_lc_rs::hmac::Key {
    aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"test")
}

fn record(facts: &Facts, outcome: &Outcome<'_>) -> String {
    let mut line = b"left over from the record before".to_vec();
    let key = hmac_key();
    let subjects = Subjects {
        how: SubjectLog::Plain,
        key: &key,
    };
    Scribe::new("inbound").request(&mut line, facts, outcome, subjects, NOW);
    String::from_utf8(line).unwrap()
}

#[test]
fn s24_a_record_says_who_asked_for_what_and_why_it_was_refused() {
    let outcome = Outcome {
        request_id: "0af7651916cd43dd8448eb211c80319c",
        generation: 3,
        rejection: Some(&Rejection::NoToken),
        status: 401,
        duration: Duration::from_micros(123),
        bytes_out: 77,
        ..Outcome::default()
    };
    let line = record(
        &facts("GET", "/a%20b?x=1", "api.example.org:8080"),
        &outcome,
    );
    assert_eq!(
        serde_json::from_str::<Value>(&line).unwrap(),
        json!({
            "v": VERSION, "type": "request", "time": "2026-11-23T09:53:38.000Z",
            "request_id": "0af7651916cd43dd8448eb211c80319c", "generation": 3, "listener": "inbound",
            "decision": "denied", "reason": "no_token", "status": 401,
            "method": "GET", "host": "api.example.org:8080", "path": "/a%20b", "target": "/a%20b?x=1",
            "protocol": "HTTP/1.1", "client_address": "198.51.100.9", "peer_address": "10.0.0.2",
            "caller": "user", "principal": "anonymous",
            "duration_us": 123, "bytes_in": 0, "bytes_out": 77,
        })
    );
}

#[test]
fn an_allowed_request_has_no_reason_and_tells_how_it_ended() {
    let outcome = Outcome {
        request_id: "r",
        status: 200,
        upstream: Some(Duration::from_millis(2)),
        upgrade: Some("websocket"),
        end: End::Expired,
        ..Outcome::default()
    };
    let record: Value = serde_json::from_str(&record(&facts("GET", "/", "h"), &outcome)).unwrap();
    assert_eq!(record["decision"], "allowed");
    assert_eq!(record.get("reason"), None);
    assert_eq!(record["upstream_us"], 2000);
    assert_eq!(record["upgrade"], "websocket");
    assert_eq!(record["end"], "token_expired");
}

#[test]
fn a_malformed_request_still_says_whence_it_came() {
    let outcome = Outcome {
        rejection: Some(&Rejection::Malformed(crate::rejection::Malformed::Framing)),
        peer: Some([192, 0, 2, 1].into()),
        ..Outcome::default()
    };
    let record: Value = serde_json::from_str(&record(&Facts::default(), &outcome)).unwrap();
    assert_eq!(record["client_address"], "192.0.2.1");
    assert_eq!(record["reason"], "malformed_framing");
    assert_eq!(record.get("method"), None);
}

#[test]
fn invariant_46_credentials_in_the_query_are_blanked() {
    for (target, written) in [
        ("/a?b=c", "/a?b=c"),
        ("/a", "/a"),
        (
            "/a?access_token=canary&b=c",
            "/a?access_token=[redacted]&b=c",
        ),
        ("/a?b=c&TOKEN=canary", "/a?b=c&TOKEN=[redacted]"),
        ("/a?x=eyJhbGciOiJSUzI1NiJ9.e30.x", "/a?x=[redacted]"),
        ("/a?access%5Ftoken=canary", "/a?access%5Ftoken=[redacted]"),
        ("/a?b=1;token=canary&c=d", "/a?b=[redacted]&c=d"),
        ("/a?private_token=canary", "/a?private_token=[redacted]"),
        ("/a?token[]=canary", "/a?token[]=[redacted]"),
        ("/a?X-Amz-Signature=canary", "/a?X-Amz-Signature=[redacted]"),
        ("/a?x=%65yJhbGciOiJSUzI1NiJ9.e30.x", "/a?x=[redacted]"),
        ("/a?x=Bearer+eyJhbGciOiJSUzI1NiJ9.e30", "/a?x=[redacted]"),
        ("/a?eyJhbGciOiJSUzI1NiJ9.e30.x", "/a?=[redacted]"),
        (
            "/a?eyJhbGciOiJSUzI1NiJ9.e30.x=1",
            "/a?[redacted]=[redacted]",
        ),
        (
            "/a?%65yJhbGciOiJSUzI1NiJ9.e30.x=&b=c",
            "/a?[redacted]=[redacted]&b=c",
        ),
        ("/token?tokens=2", "/token?tokens=2"),
    ] {
        let line = record(&facts("GET", target, "h"), &Outcome::default());
        let record: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(record["target"], written);
        assert!(!line.contains("canary") && !line.contains("yJhbGci"));
    }
}

#[test]
fn invariant_46_a_token_in_the_wrong_place_is_blanked() {
    const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.e30.c2ln";
    for (method, target, host, written) in [
        ("GET", "/a/b", "h", ["GET", "/a/b", "/a/b", "h"]),
        (
            "GET",
            "/reset/eyJhbGciOiJSUzI1NiJ9.e30.c2ln/now?x=1",
            "h",
            [
                "GET",
                "/reset/[redacted]/now",
                "/reset/[redacted]/now?x=1",
                "h",
            ],
        ),
        (
            "GET",
            "/%65yJhbGciOiJSUzI1NiJ9.e30.c2ln",
            "h",
            ["GET", "/[redacted]", "/[redacted]", "h"],
        ),
        (
            "GET",
            "/a/Bearer%20opaque-opaque-opaque",
            "h",
            ["GET", "/a/[redacted]", "/a/[redacted]", "h"],
        ),
        (
            TOKEN,
            "/a%20b",
            "h",
            ["[redacted]", "/a%20b", "/a%20b", "h"],
        ),
        ("GET", "/", TOKEN, ["GET", "/", "/", "[redacted]"]),
    ] {
        let line = record(&facts(method, target, host), &Outcome::default());
        let record: Value = serde_json::from_str(&line).unwrap();
        let names = ["method", "path", "target", "host"];
        let got = names.map(|name| record[name].as_str().unwrap().to_owned());
        assert_eq!(got, written, "{line}");
    }
}

#[test]
fn invariant_47_a_record_is_one_bounded_line() {
    let facts = Facts {
        caller: Some("\u{1b}[2J\r\n\"}{".repeat(100_000).into()),
        ..facts("GET", "/%22%7B?%22=x", "h")
    };
    let line = record(&facts, &Outcome::default());
    assert!(!line.contains(['\n', '\r', '\u{1b}']));
    assert!(line.len() < 16 * 1024);
    let record: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(record["target"], "/%22%7B?%22=x");
}

#[test]
fn hashed_subjects_are_equal_when_subjects_are_and_hide_them() {
    let hash = |subject| {
        let mut line = Vec::new();
        hashed(&mut line, subject, &hmac_key());
        serde_json::from_slice::<String>(&line).unwrap()
    };
    assert_eq!(hash("alice"), hash("alice"));
    assert_ne!(hash("alice"), hash("bob"));
    assert!(hash("alice").starts_with("hmac:") && hash("alice").len() == 5 + 32);
}

#[test]
fn lists_are_bounded() {
    let written = |values: Vec<Box<str>>| {
        let mut line = Vec::new();
        list(&mut line, &values);
        assert!(line.len() <= LIST_BYTES + 8 * json::FIELD_BYTES);
        serde_json::from_slice::<Vec<String>>(&line).unwrap()
    };
    assert_eq!(written(vec!["a".into(), "b\"".into()]), ["a", "b\""]);
    assert!(written(Vec::new()).is_empty());
    assert_eq!(written(vec!["x".into(); 1000]).len(), LIST_ENTRIES);
    assert!(written(vec!["y".repeat(2000).into(); 64]).len() < 10);
}

#[test]
fn every_field_is_documented() {
    let documented = include_str!("../../../docs/decision-record.md");
    let source = include_str!("../record.rs");
    let names = source
        .split([' ', '(', ',', '\n'])
        .filter_map(|word| word.strip_prefix('"')?.split_once('"'))
        .map(|(name, _)| name)
        .filter(|name| name.len() > 3 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
    for name in names {
        assert!(documented.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn s24_the_claims_that_policy_read_are_recorded_and_no_others() {
    let held = Claims::parse(
        br#"{"tenant":"a\"b","agent":{"id":12345678901234567890},"tags":["x","y"],"secret":"canary"}"#,
    )
    .unwrap();
    let paths = ["tenant", "agent.id", "tags", "agent", "absent"]
        .map(|path| ClaimPath::parse(path).unwrap());
    let mut line = b"{\"v\":1".to_vec();
    claims(&mut line, &held, &paths.each_ref());
    line.push(b'}');
    assert_eq!(
        serde_json::from_slice::<Value>(&line).unwrap(),
        json!({"v": 1, "claims": {"tenant": "a\"b", "agent.id": "12345678901234567890", "tags": ["x", "y"], "agent": null}})
    );
    let mut line = Vec::new();
    claims(&mut line, &held, &[]);
    assert!(line.is_empty());
}

#[test]
fn invariant_46_a_refused_absolute_target_is_recorded_without_its_user() {
    let as_read = |uri: &str| Facts {
        as_read: Some((http::Method::GET, uri.parse().unwrap())),
        ..Facts::default()
    };
    for (uri, written) in [
        ("http://user:canary@h/a@b", "http://[redacted]@h/a@b"),
        ("http://canary@h", "http://[redacted]@h/"),
        ("http://h/a@b?c=d", "http://h/a@b?c=d"),
        ("/a://b@c", "/a://b@c"),
    ] {
        let line = record(&as_read(uri), &Outcome::default());
        let record: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(record["target"], written);
        assert!(!line.contains("canary"));
    }
}
