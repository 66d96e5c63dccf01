//! `outbound`.

use super::*;
use crate::authz::OwnAuthorization;
use crate::upstream::UpstreamAddress;

/// An outbound listener and nothing else.
const OUTBOUND: &str = "\
outbound:
  - name: smartem
    listen: 127.0.0.1:9100
    upstream: https://smartem.example.org
    credential: agent
    paths: [/status]
credentials:
  agent:
    token_endpoint: {url: https://id.example.org/token}
    client_id: agent
    client_authentication: {client_secret_basic: {secret: \"${SECRET}\"}}
";

fn place() -> Place {
    let mut place = Place::new();
    place.set("SECRET", "0123456789abcdef0123456789abcdef");
    place
}

fn outbound(old: &str, new: &str) -> String {
    assert!(OUTBOUND.contains(old), "{old}");
    OUTBOUND.replacen(old, new, 1)
}

#[test]
fn outbound_needs_no_inbound_and_says_nothing_more() {
    let place = place();
    let config = place.load(OUTBOUND).unwrap();
    assert!(config.warnings.is_empty(), "{}", config.warnings);
    let listener = &config.listeners[0];
    assert_eq!(&*listener.name, "smartem");
    assert_eq!(
        listener.upstream.address,
        UpstreamAddress::Https {
            host: "smartem.example.org".to_owned(),
            port: 443
        }
    );
    let own = listener.outbound.as_ref().unwrap();
    assert_eq!(&*own.credential, "agent");
    assert_eq!(own.reach.paths().map(<[_]>::len), Some(1));
    assert_eq!(own.reach.authorization(), OwnAuthorization::Refuse);
    assert!(!own.rewrite_location);
    assert_eq!(own.replay_body, 64 * 1024);
    assert_eq!(listener.limits, crate::listener::Limits::default());
    assert_eq!(listener.timeouts, crate::listener::Timeouts::default());
    // One, without a name.
    let one = outbound("  - name: smartem\n    listen", "    listen");
    let config = place.load(&one).unwrap();
    assert_eq!(&*config.listeners[0].name, "outbound");
    assert!(config.policy.routes().is_empty(), "its paths are its own");
}

#[test]
fn inbound_comes_first_and_needs_what_it_needs() {
    let place = place();
    let both = format!("{MINIMAL}{OUTBOUND}");
    let config = place.load(&both).unwrap();
    let names: Vec<&str> = config
        .listeners
        .iter()
        .map(|listener| &*listener.name)
        .collect();
    assert_eq!(names, ["inbound", "smartem"]);
    assert!(config.listeners[0].outbound.is_none());
    wrong(&[
        (
            both.replacen("routes:\n  - {path: /**, allow: agent}\n", "", 1),
            "`routes` is missing",
        ),
        (
            both.replacen(
                "inbound: {listen: 127.0.0.1:0, upstream: http://127.0.0.1:8000}\n",
                "",
                1,
            ),
            "routes: `routes` is for `inbound`, and there is none",
        ),
        (
            both.replacen("name: smartem", "name: inbound", 1),
            "outbound[0].name: two listeners are called `inbound`",
        ),
        (
            both.replacen("127.0.0.1:0", "127.0.0.1:9100", 1),
            "inbound.listen: 127.0.0.1:9100 is taken by `outbound[0].listen`",
        ),
    ]);
}

/// Each has a problem whose path and message are these, and does not load.
fn wrong(cases: &[(String, &str)]) {
    let place = place();
    for (text, expected) in cases {
        let problems = place.problems(text);
        assert!(place.load(text).is_err(), "loads: {text}");
        assert!(
            problems.iter().any(|problem| problem.contains(expected)),
            "expected {expected:?} of\n{text}\nfound {problems:#?}"
        );
    }
}

#[test]
fn a8_what_an_outbound_listener_may_not_be() {
    let add = |line: &str| {
        outbound(
            "    paths: [/status]\n",
            &format!("    paths: [/status]\n    {line}\n"),
        )
    };
    wrong(&[
        (outbound("    upstream: https://smartem.example.org\n", ""), "`upstream` is missing"),
        (outbound("    credential: agent\n", ""), "`credential` is missing"),
        (
            outbound("credential: agent", "credential: agnet"),
            "outbound[0].credential: there is no credential called `agnet`",
        ),
        (
            outbound("127.0.0.1:9100", "0.0.0.0:9100"),
            "outbound[0].listen: an outbound listener authenticates nobody, so it listens on loopback",
        ),
        (
            outbound("127.0.0.1:9100", "\"[::]:9100\""),
            "outbound[0].listen: an outbound listener authenticates nobody",
        ),
        (
            outbound("127.0.0.1:9100", "10.0.0.1:9100"),
            "outbound[0].listen: an outbound listener authenticates nobody",
        ),
        (
            outbound("https://smartem.example.org", "http://127.0.0.1:9100"),
            "outbound[0].upstream: leads back to this process",
        ),
        (outbound("[/status]", "[]"), "outbound[0].paths: must not be empty"),
        (outbound("[/status]", "[status]"), "outbound[0].paths[0]: "),
        (outbound("[/status]", "[/a, \"/{x}\", \"/{y}\"]"), "outbound[0].paths[2]: "),
        (outbound("[/status]", "[/a/../b]"), "outbound[0].paths[0]: "),
        (add("authorization: forward"), "outbound[0].authorization: "),
        (add("replay_body: 2MiB"), "outbound[0].replay_body: must be at most"),
        (add("hosts: [\"a:80\"]"), "outbound[0].hosts[0]: must not contain a port"),
        (add("hosts: [\"*\"]"), "outbound[0].hosts[0]: "),
        (add("trusted_proxies: [10.0.0.0/8]"), "unknown key `trusted_proxies`"),
        (add("limits: {token_bytes: 1KiB}"), "outbound[0].limits.token_bytes: an outbound listener reads no tokens"),
        (add("limits: {target_bytes: 64KiB}"), "outbound[0].limits: `target_bytes` must not be more"),
        (add("tls: {certificate: {file: tls.crt}}"), "`key` is missing"),
        (
            outbound("credentials:\n", "  - {name: smartem, listen: 127.0.0.1:9101, upstream: https://a.example.org, credential: agent, paths: [/x]}\ncredentials:\n"),
            "outbound[1].name: two listeners are called `smartem`",
        ),
        (
            outbound("credentials:\n", "  - {listen: 127.0.0.1:9101, upstream: https://a.example.org, credential: agent, paths: [/x]}\ncredentials:\n"),
            "outbound[1]: `name` is missing",
        ),
        (
            outbound("127.0.0.1:9100", "unix:/run/a.sock").replacen("credentials:\n", "  - {name: b, listen: \"unix:/run/a.sock\", upstream: https://a.example.org, credential: agent, paths: [/x]}\ncredentials:\n", 1),
            "outbound[0].listen: unix:/run/a.sock is taken by `outbound[1].listen`",
        ),
    ]);
    place().load(OUTBOUND).unwrap();
}

#[test]
fn a8_what_somebody_should_look_at() {
    let place = place();
    for (text, expected) in [
        (
            outbound("    paths: [/status]\n", ""),
            "warning: outbound[0]: the whole upstream is within reach of whoever calls `smartem`",
        ),
        (
            outbound(
                "127.0.0.1:9100",
                "0.0.0.0:9100\n    allow_non_loopback: true",
            ),
            "warning: outbound[0].listen: whoever reaches this address speaks with the credential's rights",
        ),
        (
            outbound("https://smartem", "http://smartem"),
            "warning: outbound[0].upstream: access tokens go to smartem.example.org in plain text",
        ),
        (
            format!(
                "{OUTBOUND}  other:\n    token_endpoint: {{url: https://id.example.org/token}}\n    client_id: other\n    client_authentication: {{client_secret_post: {{secret: \"${{SECRET}}\"}}}}\n"
            ),
            "warning: credentials.other: no outbound listener uses the credential `other`",
        ),
    ] {
        place.load(&text).unwrap();
        let problems = place.problems(&text);
        assert!(
            problems.iter().any(|problem| problem.contains(expected)),
            "expected {expected:?} of\n{text}\nfound {problems:#?}"
        );
    }
}
