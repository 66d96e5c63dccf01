use super::*;
use Form::{Host, HostPort, PortOrHostPort, Urls};

/// Form, what is written, what it becomes, the port in it.
const TURNED: &[(Form, &str, &str, Option<&str>)] = &[
    (Host, "0.0.0.0", "127.0.0.1", None),
    (Host, "::", "127.0.0.1", None),
    (Host, "localhost", "127.0.0.1", None),
    (Host, "127.0.0.2", "127.0.0.2", None),
    (Host, "$(POD_IP)", "127.0.0.1", None),
    (HostPort, "0.0.0.0:8000", "127.0.0.1:8000", Some("8000")),
    (HostPort, ":8000", "127.0.0.1:8000", Some("8000")),
    (HostPort, "[::]:8000", "127.0.0.1:8000", Some("8000")),
    (HostPort, "*:$(PORT)", "127.0.0.1:$(PORT)", Some("$(PORT)")),
    (
        HostPort,
        "${H:-0.0.0.0}:${P:-8000}",
        "127.0.0.1:${P:-8000}",
        Some("${P:-8000}"),
    ),
    (HostPort, "0.0.0.0", "127.0.0.1", None),
    (HostPort, "::", "127.0.0.1", None),
    (
        HostPort,
        "tcp://0.0.0.0:3000",
        "tcp://127.0.0.1:3000",
        Some("3000"),
    ),
    (HostPort, "127.0.0.1:80", "127.0.0.1:80", Some("80")),
    (PortOrHostPort, "8000", "127.0.0.1:8000", Some("8000")),
    (PortOrHostPort, "0:8000", "127.0.0.1:8000", Some("8000")),
    (Urls, "http://+:8080", "http://127.0.0.1:8080", Some("8080")),
    (
        Urls,
        "http://*:80/;https://[::]:443",
        "http://127.0.0.1:80/;https://127.0.0.1:443",
        Some("80"),
    ),
    (
        Urls,
        "http://localhost:5000",
        "http://127.0.0.1:5000",
        Some("5000"),
    ),
];

#[test]
fn addresses_turn_to_loopback_and_keep_their_port() {
    for (form, before, after, port) in TURNED.iter().copied() {
        let address = to_loopback(before, form).unwrap();
        assert_eq!(
            (address.text.as_str(), address.port.as_deref()),
            (after, port),
            "{before}"
        );
        let again = to_loopback(after, form).unwrap();
        assert_eq!(again.text, after, "{before}");
    }
    for (form, text) in [
        (HostPort, "unix:/run/app.sock"),
        (HostPort, "unix:///run/app.sock"),
        (HostPort, "fd://3"),
        (HostPort, ""),
        (Host, "/run/app.sock"),
        (Urls, "8080"),
        (Urls, "http://unix:/run/app.sock"),
    ] {
        assert_eq!(to_loopback(text, form), None, "{text}");
    }
}

#[test]
fn loopback_is_known_in_every_form() {
    for text in [
        "127.0.0.1",
        "127.0.0.1:80",
        "localhost:80",
        "localhost",
        "::1",
        "[::1]:80",
        "tcp://127.0.0.1:1",
    ] {
        assert!(is_loopback(text), "{text}");
    }
    for text in [
        "",
        "0.0.0.0",
        ":80",
        "::",
        "localhost.example.org",
        "1.127.0.0",
    ] {
        assert!(!is_loopback(text), "{text}");
    }
}

#[test]
fn only_addresses_written_out_are_everywhere() {
    for text in [
        "0.0.0.0",
        "::",
        "[::]",
        "*",
        ":8080",
        "0.0.0.0:8080",
        "[::]:8080",
        "tcp://0.0.0.0:1",
        "*:80",
    ] {
        assert!(is_everywhere(text), "{text}");
    }
    for text in [
        "",
        ":",
        "db.example.org",
        "db:5432",
        "127.0.0.1:80",
        "localhost",
        "10.0.0.1",
        "8080",
        "::1",
        "/run/x",
        "$(HOST)",
    ] {
        assert!(!is_everywhere(text), "{text}");
    }
}
