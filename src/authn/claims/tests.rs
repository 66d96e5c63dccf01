use proptest::prelude::*;

use super::*;

fn date(text: &str) -> Option<NumericDate> {
    NumericDate::read(Document::parse(text.as_bytes()).unwrap().value())
}

#[test]
fn paths_reach_every_name() {
    let claims = Claims::parse(
        br#"{"sub":"s","a":{"b":{"c":1}},"kubernetes.io":{"namespace":"ns","serviceaccount":{"name":"n"}},
            "https://example.org/tenant":"t","resource_access":{"my.client":{"roles":["r"]}},
            "x.y":{"z":"joined"},"x":{"y.z":"later"},"s/l~t":1,"list":[{"a":1}]}"#,
    )
    .unwrap();
    for (path, found) in [
        ("sub", true),
        ("a.b.c", true),
        ("a.b", true),
        ("a.b.d", false),
        ("a.b.c.d", false),
        ("sub.x", false),
        ("kubernetes.io", true),
        ("kubernetes.io.namespace", true),
        ("kubernetes.io.serviceaccount.name", true),
        ("/kubernetes.io/namespace", true),
        ("/kubernetes/io", false),
        ("https://example.org/tenant", true),
        ("/https:~1~1example.org~1tenant", true),
        ("resource_access.my.client.roles", true),
        ("/resource_access/my.client/roles", true),
        ("/resource_access/my/client/roles", false),
        ("/s~1l~0t", true),
        ("/a.b", false),
        ("list.0", false),
        ("/list/0", false),
    ] {
        let parsed = ClaimPath::parse(path).unwrap();
        assert_eq!(claims.get(&parsed).is_some(), found, "{path}");
        assert_eq!(parsed.to_string(), path);
    }
    let joined = ClaimPath::parse("x.y.z").unwrap();
    assert_eq!(claims.get(&joined).and_then(Json::as_str), Some("joined"));
    assert!(claims.get(&ClaimPath::top("x.y")).is_some());
}

#[test]
fn wrong_paths_are_errors() {
    for path in ["", ".", "a.", ".a", "a..b", "/", "/a/", "//a"] {
        assert_eq!(
            ClaimPath::parse(path),
            Err(ClaimPathError::EmptyName),
            "{path}"
        );
    }
    for path in ["/a~", "/a~2"] {
        assert_eq!(
            ClaimPath::parse(path),
            Err(ClaimPathError::Escape),
            "{path}"
        );
    }
}

#[test]
fn invariant_52_numeric_dates() {
    for (text, floor, ceil) in [
        ("0", 0, 0),
        ("-0", 0, 0),
        ("1790000000", 1_790_000_000, 1_790_000_000),
        ("4102444800.5", 4_102_444_800, 4_102_444_801),
        ("4102444800.0", 4_102_444_800, 4_102_444_800),
        ("1.5e1", 15, 15),
        ("1.55E+1", 15, 16),
        ("15e-1", 1, 2),
        ("-1.5", -2, -1),
        ("-15e-1", -2, -1),
        ("1e-400", 0, 1),
        ("0e400", 0, 0),
        ("0.000e99999999999999999999", 0, 0),
        ("9223372036854775807", i64::MAX, i64::MAX),
        ("9223372036854775808", i64::MAX, i64::MAX),
        ("18446744073709551615", i64::MAX, i64::MAX),
        ("1e30", i64::MAX, i64::MAX),
        ("1e400", i64::MAX, i64::MAX),
        ("-1e400", -i64::MAX, -i64::MAX),
    ] {
        let date = date(text).unwrap();
        assert_eq!(date.floor().as_secs(), floor, "{text}");
        assert_eq!(date.ceil().as_secs(), ceil, "{text}");
    }
    for text in ["\"1\"", "true", "null", "[1]", "{}"] {
        assert_eq!(date(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn numeric_dates_agree_with_floats(text in "-?(0|[1-9][0-9]{0,9})(\\.[0-9]{1,4})?([eE][+-]?[0-3])?") {
        let date = date(&text).unwrap();
        let float: f64 = text.parse().unwrap();
        // Printed whole seconds, exact in this range; a binary float may round up at a whole second.
        let near = [float.floor(), float.floor() - 1.0, float.floor() + 1.0];
        let own: f64 = date.floor().as_secs().to_string().parse().unwrap();
        prop_assert!(near.contains(&own), "{text}");
        prop_assert!(date.ceil() >= date.floor());
    }

    #[test]
    fn numeric_dates_never_panic(text in "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,30})?") {
        prop_assert!(date(&text).is_some());
    }
}
