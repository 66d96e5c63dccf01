use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Json, JsonError> {
    Json::parse(text.as_bytes())
}

#[test]
fn invariant_13_reads_strict_json_alone() {
    for (text, error) in [
        ("", JsonError::Syntax),
        (" ", JsonError::Syntax),
        ("\u{feff}{}", JsonError::Syntax),
        ("{", JsonError::Syntax),
        ("{}x", JsonError::Syntax),
        ("{} {}", JsonError::Syntax),
        (r#"{"a":1,}"#, JsonError::Syntax),
        (r#"{,"a":1}"#, JsonError::Syntax),
        (r#"{"a" 1}"#, JsonError::Syntax),
        (r#"{a:1}"#, JsonError::Syntax),
        (r#"{'a':1}"#, JsonError::Syntax),
        (r#"{1:1}"#, JsonError::Syntax),
        ("[1 2]", JsonError::Syntax),
        ("[1,]", JsonError::Syntax),
        ("01", JsonError::Syntax),
        ("-", JsonError::Syntax),
        ("+1", JsonError::Syntax),
        (".5", JsonError::Syntax),
        ("1.", JsonError::Syntax),
        ("1e", JsonError::Syntax),
        ("0x10", JsonError::Syntax),
        ("NaN", JsonError::Syntax),
        ("True", JsonError::Syntax),
        ("nul", JsonError::Syntax),
        ("\"a", JsonError::Syntax),
        ("\"a\nb\"", JsonError::Syntax),
        ("\"\0\"", JsonError::Syntax),
        (r#""\x41""#, JsonError::Syntax),
        (r#""\u12""#, JsonError::Syntax),
        (r#""\ud800""#, JsonError::Syntax),
        (r#""\ud800\u0041""#, JsonError::Syntax),
        (r#""\udc00""#, JsonError::Syntax),
        ("/* c */ {}", JsonError::Syntax),
        (r#"{"a":1,"a":1}"#, JsonError::Duplicate),
        (r#"{"account":1,"acc\u006funt":2}"#, JsonError::Duplicate),
        (r#"{"x":{"y":[{"a":1,"b":2,"a":3}]}}"#, JsonError::Duplicate),
    ] {
        assert_eq!(read(text).map(|_| ()), Err(error), "{text}");
    }
    assert_eq!(
        Json::parse(b"\"\xff\"").map(|_| ()),
        Err(JsonError::Encoding)
    );
    assert_eq!(
        Json::parse(b"\"\xed\xa0\x80\"").map(|_| ()),
        Err(JsonError::Encoding)
    );
}

#[test]
fn reads_what_json_allows() {
    for text in [
        " {} ",
        "[]",
        "\t[ 1 , -0 , 0.5e-3 , 1E+9 ]\r\n",
        "1e400",
        "18446744073709551616",
        r#"{"a":{"a":{"a":null}},"":true}"#,
    ] {
        assert!(read(text).is_ok(), "{text}");
    }
    let text = r#""a\"\\\/\b\f\n\r\tA\u00e9\ud83d\ude00é""#;
    assert_eq!(
        read(text).unwrap().as_str(),
        Some("a\"\\/\u{8}\u{c}\n\r\tAé😀é")
    );
}

#[test]
fn invariant_57_depth_is_bounded() {
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(&nested(16)).is_ok());
    assert_eq!(read(&nested(17)), Err(JsonError::Depth));
    assert_eq!(read(&"[".repeat(1_000_000)), Err(JsonError::Depth));
    assert_eq!(read(&"{\"a\":".repeat(1_000_000)), Err(JsonError::Depth));
}

#[test]
fn invariant_62_values_of_a_token_are_counted() {
    let list = |values: usize| format!("[0{}]", ",0".repeat(values - 2)).into_bytes();
    assert!(Json::parse_of_token(&list(1024)).is_ok());
    assert_eq!(Json::parse_of_token(&list(1025)), Err(JsonError::Values));
    assert!(Json::parse(&list(100_000)).is_ok());
    let object = format!("{{\"a\":[{}0]}}", "{\"b\":0},".repeat(511)).into_bytes();
    assert_eq!(Json::parse_of_token(&object), Err(JsonError::Values));
}

#[test]
fn finds_members_by_name_and_by_joined_name() {
    let value = read(r#"{"b":2,"a":1,"a.b":3,"a.b.c":4}"#).unwrap();
    let members = value.as_object().unwrap();
    let number = |value: Option<&Json>| match value {
        Some(Json::Number(text)) => text.to_string(),
        other => format!("{other:?}"),
    };
    let parts = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
    assert_eq!(number(members.get("a")), "1");
    assert_eq!(number(members.get("b")), "2");
    assert_eq!(number(members.get_joined(&parts)), "4");
    assert_eq!(number(members.get_joined(&parts[..2])), "3");
    assert_eq!(number(members.get_joined(&parts[1..2])), "2");
    assert_eq!(members.get_joined(&parts[2..]), None);
    assert_eq!(members.get_joined(&[]), None);
}

#[test]
fn membership_is_exact_and_all_or_nothing() {
    for (text, holds) in [
        (r#""a""#, true),
        (r#"["b","a"]"#, true),
        (r#"["b","a",5]"#, false),
        (r#"[["a"]]"#, false),
        (r#""a ""#, false),
        (r#""A""#, false),
        (r#""ab""#, false),
        ("[]", false),
        ("null", false),
        (r#"{"a":"a"}"#, false),
    ] {
        assert_eq!(read(text).unwrap().contains("a"), holds, "{text}");
    }
}

#[test]
fn invariant_46_debug_shows_no_value() {
    let value = read(r#"{"email":"canary@example.org"}"#).unwrap();
    assert!(!format!("{value:?} {:?}", value.as_object()).contains("canary"));
}

fn agrees(own: &Json, other: &serde_json::Value) -> bool {
    match (own, other) {
        (Json::Null, serde_json::Value::Null) => true,
        (Json::Bool(a), serde_json::Value::Bool(b)) => a == b,
        (Json::Number(a), serde_json::Value::Number(b)) => {
            a.parse::<f64>().unwrap() == b.as_f64().unwrap()
        }
        (Json::Text(a), serde_json::Value::String(b)) => **a == **b,
        (Json::List(a), serde_json::Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| agrees(a, b))
        }
        (Json::Object(a), serde_json::Value::Object(b)) => {
            a.iter().count() == b.len()
                && b.iter()
                    .all(|(name, b)| a.get(name).is_some_and(|a| agrees(a, b)))
        }
        _ => false,
    }
}

proptest! {
    /// serde_json is the oracle for everything but duplicates, depth and numbers beyond f64.
    #[test]
    fn agrees_with_serde_json(text in r#"([\[\]{}:,"0-9eE.+\-tfn \\u]|true|false|null|"[a-c]":|\\u00[0-9a-f]{2}|\\ud83d\\ude00){0,24}"#) {
        match (Json::parse(text.as_bytes()), serde_json::from_str::<serde_json::Value>(&text)) {
            (Ok(own), Ok(other)) => prop_assert!(agrees(&own, &other), "{}", text),
            (Err(JsonError::Duplicate | JsonError::Depth), _) | (Err(_), Err(_)) => {}
            (Ok(_), Err(error)) => prop_assert!(error.to_string().contains("out of range"), "{} {}", text, error),
            (Err(error), Ok(_)) => prop_assert!(false, "{} {}", text, error),
        }
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = Json::parse(&bytes).map(|value| value.weight());
    }
}
