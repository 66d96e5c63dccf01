use std::time::Duration;

use super::*;

#[test]
fn durations_have_units_that_fall() {
    for (text, millis) in [
        ("250ms", 250),
        ("10s", 10_000),
        ("1m", 60_000),
        ("1h30m", 5_400_000),
        ("24h", 86_400_000),
        ("7d", 604_800_000),
        ("1m500ms", 60_500),
        ("0s", 0),
    ] {
        assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    for text in [
        "",
        "10",
        "s",
        "1m1h",
        "1s1s",
        "1.5s",
        "-1s",
        "1 s",
        "10S",
        "99999999999999999999s",
        "999999999999999999d",
    ] {
        assert!(duration(text).is_err(), "{text}");
    }
    for text in ["250ms", "10s", "1m", "1h30m", "24h", "7d", "0s"] {
        assert_eq!(show_duration(duration(text).unwrap()), text);
    }
}

#[test]
fn sizes_know_1024_from_1000() {
    for (text, bytes) in [
        ("512B", 512),
        ("32KiB", 32_768),
        ("10MB", 10_000_000),
        ("1GiB", 1 << 30),
        ("4096", 4096),
        ("8 KiB", 8192),
    ] {
        assert_eq!(size(text), Ok(bytes), "{text}");
    }
    for text in [
        "",
        "KiB",
        "1K",
        "1kib",
        "-1",
        "1.5MB",
        "99999999999999999999",
        "99999999999GiB",
    ] {
        assert!(size(text).is_err(), "{text}");
    }
}

#[test]
fn dates_are_days_that_exist() {
    for (text, seconds) in [
        ("1970-01-01T00:00:00Z", 0),
        ("2000-02-29T12:30:15Z", 951_827_415),
        // The end of the day.
        ("2026-12-31", 1_798_761_600),
    ] {
        assert_eq!(
            date(text),
            Ok(crate::clock::UnixTime::from_secs(seconds)),
            "{text}"
        );
    }
    for text in [
        "",
        "2026",
        "2026-13-01",
        "2026-02-29",
        "2100-02-29",
        "2026-04-31",
        "2026-1-0",
        "1969-12-31",
        "2026-12-31T24:00:00Z",
        "2026-12-31T12:00:00",
        "2026-12-31-01",
        "tomorrow",
    ] {
        assert!(date(text).is_err(), "{text}");
    }
}

#[test]
fn addresses_are_complete_and_exact() {
    for text in ["0.0.0.0:8080", "[::1]:0", "localhost:9090"] {
        assert!(socket_address(text).is_ok(), "{text}");
    }
    for text in [
        ":8080",
        "8080",
        "0.0.0.0",
        "example.org:80",
        "0.0.0.0:65536",
        "unix:/x",
    ] {
        assert!(socket_address(text).is_err(), "{text}");
    }
    assert!(listen_address("unix:/run/app.sock").is_ok());
    assert!(listen_address("unix:app.sock").is_err());
    for text in ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"] {
        assert!(network(text).is_ok(), "{text}");
    }
    for text in ["10.0.0.1/8", "10.0.0.0/33", "10", "*"] {
        assert!(network(text).is_err(), "{text}");
    }
}

#[test]
fn upstreams_are_a_scheme_and_a_place() {
    let http = |host: &str, port| UpstreamAddress::Http {
        host: host.to_owned(),
        port,
    };
    assert_eq!(
        upstream("http://127.0.0.1:8000"),
        Ok(http("127.0.0.1", 8000))
    );
    assert_eq!(upstream("http://App/"), Ok(http("app", 80)));
    assert_eq!(upstream("http://[::1]:81"), Ok(http("::1", 81)));
    assert!(upstream("http://[::1]").unwrap().is_local());
    for text in [
        "127.0.0.1:8000",
        "http://",
        "http://a/b",
        "http://a?x",
        "http://a#x",
        "http://u@a",
        "http://a:0",
        "http://a:",
        "http://a:65536",
        "http://a b",
        "http://[::1",
        "http://::1",
        "unix:run",
        "file:///x",
    ] {
        assert!(upstream(text).is_err(), "{text}");
    }
}

#[test]
fn names_urls_and_origins_are_what_they_seem() {
    for text in ["https://id.example.org/keys", "http://localhost:8080/"] {
        assert!(web_url(text).is_ok(), "{text}");
    }
    for text in [
        "",
        "id.example.org",
        "https://u:p@a/",
        "https://a/#x",
        "ftp://a/",
        "https:///x",
    ] {
        assert!(web_url(text).is_err(), "{text}");
    }
    for text in ["https://app.example.org", "http://localhost:5173", "*"] {
        assert!(origin(text).is_ok(), "{text}");
    }
    for text in [
        "null",
        "https://a.org/",
        "https://*.a.org",
        "https://A.org",
        "a.org",
    ] {
        assert!(origin(text).is_err(), "{text}");
    }
    for text in [
        "Content-Length",
        "x_y",
        "x.y",
        "",
        "-x",
        "Host",
        "X-Forwarded-For",
        "x y",
    ] {
        assert!(header_name(text).is_err(), "{text}");
    }
    assert!(header_name("X-Auth-Subject").is_ok());
    assert_eq!(methods("GET, HEAD").unwrap().len(), 2);
    for text in ["get", "", "GET,", "CONNECT", "G T"] {
        assert!(methods(text).is_err(), "{text}");
    }
    assert!(service_account("a/b.c").is_ok());
    for text in ["a", "a/b/c", "A/b", "a.b/c", "a/*"] {
        assert!(service_account(text).is_err(), "{text}");
    }
}
