use proptest::prelude::*;

use super::*;

fn join(elements: &[&str], separator: Separator) -> Result<Option<HeaderValue>, NotVouched> {
    list(elements.iter().copied(), separator)
}

/// What an upstream does: split, then decode each element.
fn read(value: &HeaderValue, separator: Separator) -> Vec<String> {
    let split = match separator {
        Separator::Space => ' ',
        Separator::Comma => ',',
    };
    let text = value.to_str().unwrap();
    assert_eq!(text, text.trim(), "nothing for a parser to trim");
    text.split(split).map(decode).collect()
}

fn decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
            u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
        } else {
            byte
        });
    }
    String::from_utf8(decoded).unwrap()
}

#[test]
fn sources_are_a_closed_list() {
    for (text, source) in [
        ("subject", Source::Subject),
        ("issuer", Source::Issuer),
        ("client", Source::Client),
        ("caller", Source::Caller),
        ("account", Source::Account),
        ("scopes", Source::Scopes),
        ("roles", Source::Roles),
        ("groups", Source::Groups),
        ("actor.subject", Source::ActorSubject),
        (
            "claims.email",
            Source::Claim(ClaimPath::parse("email").unwrap()),
        ),
        (
            "claims.a.b",
            Source::Claim(ClaimPath::parse("a.b").unwrap()),
        ),
        (
            "claims./a/b.c",
            Source::Claim(ClaimPath::parse("/a/b.c").unwrap()),
        ),
    ] {
        assert_eq!(Source::parse(text), Ok(source), "{text}");
    }
    for text in [
        "",
        "Subject",
        "sub",
        "claims",
        "claims.",
        "claims.a..b",
        "actor",
        "actor.client",
        "token",
    ] {
        let error = Source::parse(text).unwrap_err().to_string();
        assert!(error.contains("claims.NAME"), "{error}");
    }
}

#[test]
fn invariant_23_what_cannot_stand_in_a_header_is_encoded() {
    for (elements, separator, value) in [
        (&["plain"][..], Separator::Comma, "plain"),
        (&["a b"], Separator::Comma, "a b"),
        (&[" a "], Separator::Comma, "%20a%20"),
        (&[" "], Separator::Comma, "%20"),
        (&["Doe, John"], Separator::Comma, "Doe%2C John"),
        (&["a", "b"], Separator::Comma, "a,b"),
        (&["a,b"], Separator::Comma, "a%2Cb"),
        (&["100%"], Separator::Comma, "100%25"),
        (
            &["a\r\nx-auth-subject: root"],
            Separator::Comma,
            "a%0D%0Ax-auth-subject: root",
        ),
        (&["a\0\t\u{7f}"], Separator::Comma, "a%00%09%7F"),
        (&["é"], Separator::Comma, "%C3%A9"),
        (&[""], Separator::Comma, ""),
        (&["", ""], Separator::Comma, ","),
        (&["a:read", "b"], Separator::Space, "a:read b"),
        (&["a b", "c"], Separator::Space, "a%20b c"),
        (&["\"q\"; =@/\\"], Separator::Comma, "\"q\"; =@/\\"),
    ] {
        let made = join(elements, separator).unwrap().unwrap();
        assert_eq!(made, value, "{elements:?}");
        assert_eq!(read(&made, separator), elements);
    }
    assert_eq!(join(&[], Separator::Comma), Ok(None));
    assert_eq!(
        join(&["a", ""], Separator::Space),
        Err(NotVouched::Unsayable)
    );
}

proptest! {
    #[test]
    fn invariant_23_any_values_become_a_header_injectively_or_not_at_all(
        elements in proptest::collection::vec(any::<String>(), 1..6),
    ) {
        let elements: Vec<&str> = elements.iter().map(String::as_str).collect();
        if let Some(value) = join(&elements, Separator::Comma).unwrap() {
            prop_assert_eq!(read(&value, Separator::Comma), elements.clone());
        }
        if elements.iter().all(|element| !element.is_empty()) {
            let value = join(&elements, Separator::Space).unwrap().unwrap();
            prop_assert_eq!(read(&value, Separator::Space), elements);
        }
    }

    #[test]
    fn invariant_23_hostile_claims_never_panic(text in "[\\PC\\x00-\\x20%,\"\\\\]{0,64}") {
        let value = one(Some(&text)).unwrap().unwrap();
        prop_assert_eq!(read(&value, Separator::Comma), vec![text]);
    }
}
