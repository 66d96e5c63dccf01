use super::*;

fn counted(text: &str) -> (Counts, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("decisions.log");
    std::fs::write(&path, text).unwrap();
    let mut targets = Vec::new();
    let each = |record: &Record, _: &[u8]| targets.push(record.target.clone().unwrap_or_default());
    let counts = read(&[Log::new(&path)], each, |_| {}).unwrap();
    (counts, targets)
}

#[test]
fn what_is_no_decision_record_is_counted_and_what_cannot_be_read_is_named() {
    let long = format!(
        "{{\"v\":1,\"type\":\"request\",\"path\":\"{}\"}}",
        "x".repeat(LINE_BYTES)
    );
    let text = [
        r#"{"v":1,"type":"request","time":"2027-01-15T08:00:01.000Z","decision":"allowed","target":"/a"}"#,
        "",
        "INFO: uvicorn says something",
        r#"[pod/x/countersign] {"v":1,"type":"request","time":"2027-01-15T08:00:00.000Z","target":"/b","scopes":["read"]}"#,
        r#"{"type":"event","level":"info","event":"config.reloaded"}"#,
        r#"{"v":1,"type":"connection","reason":"tls_handshake"}"#,
        r#"{"v":1,"type":"request","target":"/c"#,
        r#"{"v":2,"type":"request","target":"/d"}"#,
        r#"{"v":1,"type":"request","target":"/e","target":"/f"}"#,
        "{\"v\":1,\"type\":\"request\",\"target\":\"\u{fffd}\"}",
        &long,
    ]
    .join("\n");
    let (counts, targets) = counted(&text);
    assert_eq!(targets, ["/a", "/b", "\u{fffd}"]);
    assert_eq!((counts.lines, counts.requests), (10, 3));
    assert_eq!((counts.connections, counts.other, counts.bad), (1, 2, 4));
    let named = counts.named.join("\n");
    for part in [
        ":7: EOF",
        ":8: version 2",
        ":9: duplicate field",
        ":11: longer",
    ] {
        assert!(named.contains(part), "{part} in {named}");
    }
    assert_eq!(counts.first.as_deref(), Some("2027-01-15T08:00:00.000Z"));
    assert_eq!(counts.last.as_deref(), Some("2027-01-15T08:00:01.000Z"));
}

#[test]
fn bytes_that_are_no_text_end_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("decisions.log");
    std::fs::write(&path, b"{\"v\":1,\"type\":\"request\",\"path\":\"\xff\"}\n\xff\xfe\n{\"v\":1,\"type\":\"request\"}\n").unwrap();
    let counts = read(&[Log::new(&path)], |_, _| {}, |_| {}).unwrap();
    assert_eq!((counts.requests, counts.bad, counts.other), (1, 1, 1));
    assert!(
        read(
            &[Log::new(&directory.path().join("none"))],
            |_, _| {},
            |_| {}
        )
        .is_err()
    );
}

#[test]
fn numbers_are_for_people() {
    let shown: Vec<String> = [0, 999, 1000, 1_234_567].map(with_commas).into();
    assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
}
