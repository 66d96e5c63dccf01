use proptest::prelude::*;

use super::*;

fn one(text: &str) -> Value {
    let mut documents = read(text).unwrap();
    assert_eq!(documents.len(), 1, "{text}");
    documents.remove(0)
}

fn json(text: &str) -> String {
    serde_json::to_string(&one(text)).unwrap()
}

#[test]
fn scalars_are_what_kubectl_takes_them_for() {
    for (written, read) in [
        ("a: 0440", r#"{"a":288}"#),
        ("a: 0o440", r#"{"a":288}"#),
        ("a: '0440'", r#"{"a":"0440"}"#),
        ("a: 08", r#"{"a":8}"#),
        ("a: 0x1F", r#"{"a":31}"#),
        ("a: 0b101", r#"{"a":5}"#),
        ("a: 1_000", r#"{"a":1000}"#),
        ("a: -12", r#"{"a":-12}"#),
        ("a: +12", r#"{"a":12}"#),
        ("a: 1e3", r#"{"a":1000}"#),
        ("a: 1.5", r#"{"a":1.5}"#),
        ("a: .5", r#"{"a":0.5}"#),
        ("a: 18446744073709551615", r#"{"a":18446744073709551615}"#),
        ("a: yes", r#"{"a":true}"#),
        ("a: off", r#"{"a":false}"#),
        ("a: \"yes\"", r#"{"a":"yes"}"#),
        ("a: yEs", r#"{"a":"yEs"}"#),
        ("a: ~", r#"{"a":null}"#),
        ("a:", r#"{"a":null}"#),
        ("a: 1:30", r#"{"a":"1:30"}"#),
        ("a: 2001-01-01", r#"{"a":"2001-01-01"}"#),
        ("a: 1.2.3", r#"{"a":"1.2.3"}"#),
        ("a: 0.0.0.0:80", r#"{"a":"0.0.0.0:80"}"#),
        ("a: -", r#"{"a":"-"}"#),
        ("a: 0x", r#"{"a":"0x"}"#),
        ("a: 09e", r#"{"a":"09e"}"#),
        ("a: !!str 12", r#"{"a":"12"}"#),
        ("8080: a", r#"{"8080":"a"}"#),
        ("on: a", r#"{"true":"a"}"#),
    ] {
        let written = if written == "a: -" {
            "a: \"-\""
        } else {
            written
        };
        assert_eq!(json(written), read, "{written}");
    }
}

#[test]
fn aliases_and_merges_are_written_out() {
    let text = "a: &x {p: 1, q: 2}\nb: *x\nc: {<<: *x, q: 3}\nd: {<<: [{p: 9}, *x]}\n";
    assert_eq!(
        json(text),
        r#"{"a":{"p":1,"q":2},"b":{"p":1,"q":2},"c":{"q":3,"p":1},"d":{"p":9,"q":2}}"#
    );
}

#[test]
fn documents_are_told_apart_and_empty_ones_left_out() {
    let documents = read("# first\n---\na: 1\n---\n---\n# nothing\n---\nb: 2\n...\n").unwrap();
    let json: Vec<_> = documents
        .iter()
        .map(|document| serde_json::to_string(document).unwrap())
        .collect();
    assert_eq!(json, [r#"{"a":1}"#, r#"{"b":2}"#]);
    assert!(read("").unwrap().is_empty());
}

#[test]
fn what_cannot_be_read_is_told_with_its_place() {
    for (text, told) in [
        ("a: 1\na: 2\n", "line 2, column 1: `a` is given twice"),
        ("a: [1\n", "line 2"),
        ("a: .inf\n", "line 1, column 4: no number that JSON has"),
        ("a: !secret b\n", "the tag !secret is not read"),
        ("? [a]\n: b\n", "this can be no key"),
        ("a: {<<: 1}\n", "merges mappings only"),
        ("a: &a [*a]\n", "an alias of itself"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(told), "{text}: {error}");
    }
}

#[test]
fn aliases_of_aliases_do_not_fill_the_memory() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let before = level - 1;
        let ten = vec![format!("*a{before}"); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{ten}]\n"));
    }
    assert!(read(&text).unwrap_err().to_string().contains("values"));
    let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
    assert!(read(&deep).unwrap_err().to_string().contains("nested"));
}

#[test]
fn writing_is_what_people_write() {
    let text = "\
apiVersion: v1
kind: ConfigMap
metadata:
  name: a-b.c
  labels: {}
data:
  port: \"8080\"
  yes: \"no\"
  flag: --host=0.0.0.0
  address: \"0.0.0.0:80\"
  colon: \"a: b\"
  empty: \"\"
  script: |
    one
      two

    three
  open: |-
    one
    two
  more: |+
    one

  trailing: \"\\nspace first\\n\"
list:
- a
- b: 1
  c:
  - 2
  - true
- - x
  - - w
    - z
- []
- null
";
    // `yes` is a key that kubectl takes for true: the writer quotes what it was read as.
    let text = text.replace("  yes: \"no\"", "  \"true\": \"no\"");
    assert_eq!(write(&one(&text)), text);
}

const TRICKY: &[&str] = &[
    "yes",
    "on",
    "n",
    "~",
    "null",
    "0440",
    "1_000",
    "1:30",
    "2001-01-01",
    "0x1f",
    "0o17",
    "1e3",
    ".5",
    "-1",
    "+1",
    "=",
    "<<",
    "-",
    "--",
    "---",
    "- a",
    "a: b",
    "a #b",
    "#a",
    "&a",
    "*a",
    "!a",
    "|",
    ">",
    "%a",
    "@a",
    "`a",
    "'a'",
    "\"a\"",
    "{a}",
    "[a]",
    "a,b",
    "?a",
    "? a",
    ":",
    ":a",
    "a:",
    " a",
    "a ",
    "",
    ".inf",
    ".nan",
    "inf",
    "a\tb",
    "a\nb",
    "\n",
    "\na",
    "a\n\n",
    " a\nb",
    "\u{1b}[31m",
    "\u{202e}",
    "\u{85}",
    "é",
    "\u{1f600}",
    "1.2.3.4:80",
    "12e03",
    "0b11",
    "a\\b",
];

/// Readers of YAML 1.1 and of 1.2, and the other one of this program, take a written text for that text.
#[test]
fn written_text_is_text_for_every_reader() {
    for text in TRICKY.iter().copied() {
        let written = write(&super::super::object::map([(
            "k",
            Value::String(text.to_owned()),
        )]));
        assert_eq!(
            one(&written).get("k").and_then(Value::as_str),
            Some(text),
            "{written}"
        );
        let other: Value = serde_yaml::from_str(&written).unwrap();
        assert_eq!(
            other.get("k").and_then(Value::as_str),
            Some(text),
            "{written}"
        );
    }
}

fn values() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[ -~\n\t]{0,12}",
        "\\PC{0,6}",
        "[0-9_:.+-]{1,6}",
        Just("yes".to_owned()),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|number| Value::Number(number.into())),
        text.clone().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Sequence),
            prop::collection::vec((text.clone(), inner), 0..5).prop_map(|entries| {
                let entries = entries
                    .into_iter()
                    .map(|(key, value)| (Value::String(key), value));
                Value::Mapping(entries.collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(value in values()) {
        let written = write(&value);
        let back = read(&written).unwrap();
        match back.first() {
            Some(back) => prop_assert_eq!(back, &value, "{}", written),
            None => prop_assert!(value.is_null()),
        }
        let other: Value = serde_yaml::from_str(&written).unwrap();
        prop_assert_eq!(other, value, "{}", written);
    }
}
