//! Which references are to the upstream itself, and where they lead.

use super::*;

fn origin(url: &str) -> Origin {
    Origin::of(&crate::config::upstream(url).unwrap())
}

#[test]
fn an_upstream_is_told_its_own_name() {
    for (url, authority) in [
        ("https://UP.example.org", "up.example.org"),
        ("https://up.example.org:443", "up.example.org"),
        ("https://up.example.org:8443", "up.example.org:8443"),
        ("http://up.example.org", "up.example.org"),
        ("http://up.example.org:443", "up.example.org:443"),
        ("h2c://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://[::1]:8000", "[::1]:8000"),
        ("http://[0:0:0:0:0:0:0:1]", "[::1]"),
        ("unix:/run/app.sock", "localhost"),
    ] {
        assert_eq!(origin(url).authority(), authority, "{url}");
    }
}

#[test]
fn a9_only_absolute_references_of_the_upstream_to_itself_lead_back() {
    const BACK: &str = "http://127.0.0.1:9100";
    let https = "https://up.example.org";
    let http = "http://up.example.org:8000";
    let rows = [
        (https, "https://up.example.org/a/", Some("/a/")),
        (https, "https://up.example.org:443/a?b#c", Some("/a?b#c")),
        (https, "HTTPS://UP.Example.Org./a", Some("/a")),
        (https, "https://up.example.org", Some("")),
        (https, "https://up.example.org?q", Some("?q")),
        (https, "//up.example.org/a", Some("/a")),
        (https, "http://up.example.org/a", None),
        (https, "http://up.example.org:443/a", None),
        (https, "https://up.example.org:8443/a", None),
        (https, "https://sub.up.example.org/a", None),
        (https, "https://up.example.org.evil.example/a", None),
        (https, "https://up.example.org@evil.example/a", None),
        (https, "https://user@up.example.org/a", None),
        (https, "https://up.example.org\\@evil.example/a", None),
        (https, "https://other.example.org/a", None),
        (https, "/a/", None),
        (https, "a/", None),
        (https, "?next=https://up.example.org/a", None),
        (https, "mailto:a@up.example.org", None),
        (https, "ftp://up.example.org/a", None),
        (https, "", None),
        (http, "http://up.example.org:8000/a", Some("/a")),
        (http, "http://up.example.org:08000/a", None),
        (http, "http://up.example.org/a", None),
        (http, "https://up.example.org:8000/a", None),
        (
            "http://up.example.org",
            "http://up.example.org:80/",
            Some("/"),
        ),
        ("unix:/run/app.sock", "http://localhost/a", Some("/a")),
        ("http://[::1]:8000", "http://[0::1]:8000/a", Some("/a")),
    ];
    for (url, written, rest) in rows {
        let back = Back(BACK.to_owned());
        let led = origin(url).lead_back(&HeaderValue::from_static(written), &back);
        let expected = rest.map(|rest| HeaderValue::from_str(&format!("{BACK}{rest}")).unwrap());
        assert_eq!(led, expected, "{url} {written}");
    }
}
