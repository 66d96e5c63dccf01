use super::*;

/// RFC 9421 section 2.2.3.
#[test]
fn the_authority_is_normalised() {
    for (written, https, normalised) in [
        ("Example.ORG", false, "example.org"),
        ("example.org:80", false, "example.org"),
        ("example.org:443", false, "example.org:443"),
        ("example.org:443", true, "example.org"),
        ("example.org:80", true, "example.org:80"),
        ("example.org:8080", false, "example.org:8080"),
        ("[::1]:80", false, "[::1]"),
        ("[2001:DB8::80]", false, "[2001:db8::80]"),
    ] {
        assert_eq!(normal(written, https), normalised, "{written}");
    }
}
