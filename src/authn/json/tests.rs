use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Document, JsonError> {
    Document::parse(text.as_bytes())
}

fn fault(text: &str) -> Option<JsonError> {
    read(text).err()
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
        Document::parse(b"\"\xff\"").map(|_| ()),
        Err(JsonError::Encoding)
    );
    assert_eq!(
        Document::parse(b"\"\xed\xa0\x80\"").map(|_| ()),
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
        read(text).unwrap().value().as_str(),
        Some("a\"\\/\u{8}\u{c}\n\r\tAé😀é")
    );
}

#[test]
fn invariant_57_depth_is_bounded() {
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(&nested(16)).is_ok());
    assert_eq!(fault(&nested(17)), Some(JsonError::Depth));
    assert_eq!(fault(&"[".repeat(1_000_000)), Some(JsonError::Depth));
    assert_eq!(fault(&"{\"a\":".repeat(1_000_000)), Some(JsonError::Depth));
}

#[test]
fn invariant_62_values_of_a_token_are_counted() {
    let list = |values: usize| format!("[0{}]", ",0".repeat(values - 2)).into_bytes();
    assert!(Document::parse_of_token(&list(1024)).is_ok());
    let of_token = |text: &[u8]| Document::parse_of_token(text).err();
    assert_eq!(of_token(&list(1025)), Some(JsonError::Values));
    assert!(Document::parse(&list(100_000)).is_ok());
    let object = format!("{{\"a\":[{}0]}}", "{\"b\":0},".repeat(511)).into_bytes();
    assert_eq!(of_token(&object), Some(JsonError::Values));
}

#[test]
fn finds_members_by_name_and_by_joined_name() {
    let value = read(r#"{"b":2,"a":1,"a.b":3,"a.b.c":4}"#).unwrap();
    let members = value.value().as_object().unwrap();
    let number = |value: Option<Json<'_>>| match value {
        Some(Json::Number(text)) => text.to_string(),
        other => format!("{other:?}"),
    };
    let parts = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
    assert_eq!(number(members.get("a")), "1");
    assert_eq!(number(members.get("b")), "2");
    assert_eq!(number(members.get_joined(&parts)), "4");
    assert_eq!(number(members.get_joined(&parts[..2])), "3");
    assert_eq!(number(members.get_joined(&parts[1..2])), "2");
    assert!(members.get_joined(&parts[2..]).is_none());
    assert!(members.get_joined(&[]).is_none());
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
        assert_eq!(read(text).unwrap().value().contains("a"), holds, "{text}");
    }
}

#[test]
fn invariant_46_debug_shows_no_value() {
    let value = read(r#"{"email":"canary@example.org"}"#).unwrap();
    let object = value.clone().into_object();
    let shown = format!("{value:?} {object:?} {:?}", value.value().as_object());
    assert!(!shown.contains("canary"));
}

fn agrees(own: Json<'_>, other: &serde_json::Value) -> bool {
    match (own, other) {
        (Json::Null, serde_json::Value::Null) => true,
        (Json::Bool(a), serde_json::Value::Bool(b)) => a == *b,
        (Json::Number(a), serde_json::Value::Number(b)) => {
            a.parse::<f64>().unwrap() == b.as_f64().unwrap()
        }
        (Json::Text(a), serde_json::Value::String(b)) => a == b,
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

#[test]
fn an_object_of_members_keeps_the_first_of_a_name_and_all_that_is_inside() {
    let text = r#"{"b":{"y":[1,{"z":"\u00e9"}],"x":null},"a":true}"#;
    let first = read(text).unwrap();
    let second = read(r#"{"a":false,"c":["d"],"b":0}"#).unwrap();
    let all = [&first, &second].map(|document| document.value().as_object().unwrap());
    let object = Object::of(all.into_iter().flat_map(Members::iter)).unwrap();
    let wanted = serde_json::json!({"a": true, "b": {"x": null, "y": [1, {"z": "é"}]}, "c": ["d"]});
    assert!(agrees(Json::Object(object.members()), &wanted));
    assert!(
        Object::of(std::iter::empty())
            .unwrap()
            .members()
            .iter()
            .next()
            .is_none()
    );
}

#[test]
fn weight_is_what_is_held() {
    let text = format!(r#"{{"name":"{}","list":[1,2,3]}}"#, "x".repeat(1000));
    let weight = read(&text).unwrap().into_object().unwrap().weight();
    assert!((1000..1300).contains(&weight), "{weight}");
}

proptest! {
    /// serde_json is the oracle for everything but duplicates, depth and numbers beyond f64.
    #[test]
    fn agrees_with_serde_json(text in r#"([\[\]{}:,"0-9eE.+\-tfn \\u]|true|false|null|"[a-c]":|\\u00[0-9a-f]{2}|\\ud83d\\ude00){0,24}"#) {
        match (Document::parse(text.as_bytes()), serde_json::from_str::<serde_json::Value>(&text)) {
            (Ok(own), Ok(other)) => prop_assert!(agrees(own.value(), &other), "{}", text),
            (Err(JsonError::Duplicate | JsonError::Depth), _) | (Err(_), Err(_)) => {}
            (Ok(_), Err(error)) => prop_assert!(error.to_string().contains("out of range"), "{} {}", text, error),
            (Err(error), Ok(_)) => prop_assert!(false, "{} {}", text, error),
        }
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(document) = Document::parse(&bytes) {
            let told = document.value().as_list().map(List::len);
            prop_assert!(told.is_none_or(|values| values <= bytes.len()));
        }
    }
}
