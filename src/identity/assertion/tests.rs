use proptest::prelude::*;

use super::*;
use crate::identity::SigningAlgorithm;

proptest! {
    /// Invariant 22: a claim value cannot shift members.
    #[test]
    fn invariant_22_strings_are_json(text in any::<String>()) {
        let mut json = b"{\"a\":1".to_vec();
        member(&mut json, "name", &text);
        json.push(b'}');
        let read: serde_json::Value = serde_json::from_slice(&json).unwrap();
        prop_assert_eq!(&read["name"], &serde_json::Value::String(text));
        prop_assert_eq!(read.as_object().unwrap().len(), 2);
    }
}

#[test]
fn headers_are_listed_with_null_for_the_absent() {
    let name = HeaderName::from_static;
    let present = [(name("x-a"), HeaderValue::from_static("1\"2"))];
    for (present, absent, json) in [
        (
            &present[..],
            &[name("x-b")][..],
            r#"{"x-a":"1\"2","x-b":null}"#,
        ),
        (
            &[],
            &[name("x-b"), name("x-c")],
            r#"{"x-b":null,"x-c":null}"#,
        ),
        (&[], &[], "{}"),
    ] {
        let bound = crate::identity::tests::assertion(
            SigningAlgorithm::Es256,
            Binding {
                method: true,
                ..Binding::NONE
            },
        );
        assert_eq!(headers_json(&bound, present, absent), json.as_bytes());
        let unbound = crate::identity::tests::assertion(SigningAlgorithm::Es256, Binding::NONE);
        assert_eq!(headers_json(&unbound, present, absent), b"");
    }
}
