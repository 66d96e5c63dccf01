use super::*;

fn proof() -> Proof {
    let origins = ["https://api.example.org", "http://[2001:db8::1]:8080"];
    let origins = origins.iter().map(|url| Origin::of(url).unwrap()).collect();
    Proof::new(None, origins)
}

#[test]
fn an_htu_is_compared_after_normalisation() {
    for (htu, path) in [
        ("https://api.example.org/a", "/a"),
        ("HTTPS://API.example.ORG/a", "/a"),
        ("https://api.example.org:443/a", "/a"),
        ("https://api.example.org./a", "/a"),
        ("https://api.example.org", "/"),
        ("https://api.example.org?x", "/"),
        ("https://api.example.org/a?x=/b", "/a"),
        ("https://api.example.org/a#/b", "/a"),
        ("https://api.example.org/%61%2D", "/a-"),
        ("https://api.example.org/a-", "/%61%2d"),
        ("https://api.example.org/%c3%a4", "/%C3%A4"),
        ("https://api.example.org/a%2fb", "/a%2Fb"),
        ("http://[2001:DB8:0::1]:8080/a", "/a"),
    ] {
        assert!(proof().is_for(htu, path), "{htu} {path}");
    }
}

#[test]
fn another_url_is_another_url() {
    for (htu, path) in [
        ("http://api.example.org/a", "/a"),
        ("https://api.example.org:8443/a", "/a"),
        ("https://api.example.org:80/a", "/a"),
        ("https://api.example.com/a", "/a"),
        ("https://xapi.example.org/a", "/a"),
        ("https://api.example.org.evil/a", "/a"),
        ("https://me@api.example.org/a", "/a"),
        ("https://api.example.org@evil/a", "/a"),
        ("https://api.example.org\\@evil/a", "/a"),
        ("https://evil/https://api.example.org/a", "/a"),
        ("https://api.example.org/a/", "/a"),
        ("https://api.example.org/a", "/a/"),
        ("https://api.example.org/A", "/a"),
        ("https://api.example.org/b/../a", "/a"),
        ("https://api.example.org//a", "/a"),
        ("https://api.example.org/a%2Fb", "/a/b"),
        ("https://api.example.org/a/b", "/a%2Fb"),
        ("https://api.example.org/%2561", "/a"),
        ("https://api.example.org/%2", "/%"),
        ("https://api.example.org/a;b", "/a"),
        ("https://api.example.org/a%3Fx", "/a"),
        ("/a", "/a"),
        ("//api.example.org/a", "/a"),
        ("api.example.org/a", "/a"),
        ("https:/api.example.org/a", "/a"),
        ("https:///a", "/a"),
        ("https://", "/"),
        ("", "/"),
        ("ftp://api.example.org/a", "/a"),
        ("http://[2001:db8::2]:8080/a", "/a"),
    ] {
        assert!(!proof().is_for(htu, path), "{htu} {path}");
    }
}
