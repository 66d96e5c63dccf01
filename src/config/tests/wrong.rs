//! Documents that do not load, and what is said about them.

use std::time::Duration;

use super::*;
use crate::listener::Explain;

#[test]
fn invariant_33_what_is_not_there_is_never_read_as_nothing_configured() {
    let whole = |text: &str| text.to_owned();
    refused(&[
        (whole(""), "the document is empty"),
        (whole("# nothing\n"), "the document is empty"),
        (whole("---\n...\n"), "the document is empty"),
        (whole("null\n"), "the document is empty"),
        (whole("[]\n"), "expected a mapping"),
        (whole("text\n"), "expected a mapping"),
        (and("---\nworkers: 1"), "a second YAML document"),
        (
            with("routes:\n  - {path: /**, allow: agent}", "routes:"),
            "routes: has no value",
        ),
        (
            with("routes:\n  - {path: /**, allow: agent}", "routes: []"),
            "routes: must not be empty",
        ),
        (
            with("routes:\n  - {path: /**, allow: agent}\n", ""),
            "`routes` is missing",
        ),
        (and("exmpt: [/health]"), "exmpt: unknown key `exmpt`"),
        (
            and("workers: 1\nworkers: 2"),
            "workers: `workers` is given twice; the first is at line 11",
        ),
        (with(", allow: agent", ""), "routes[0]: `allow` is missing"),
        (
            with("allow: agent", "allow: []"),
            "routes[0].allow: must not be empty",
        ),
        (with("allow: agent", "allow: {}"), "routes[0].allow"),
        (
            with("allow: agent", "allow: ~"),
            "routes[0].allow: has no value",
        ),
    ]);
}

#[test]
fn s23_without_an_issuer_or_keys_there_is_no_start() {
    let text = with("    jwks: {file: jwks.json}\n", "");
    refused(&[
        (text, "issuers[0]: `jwks` is missing"),
        (
            with("{file: jwks.json}", "{file: nowhere.json}"),
            "nowhere.json: no such file",
        ),
        (
            with("{file: jwks.json}", "{cooldown: 1m}"),
            "issuers[0].jwks: names no source of keys",
        ),
        (
            with("{file: jwks.json}", "{file: jwks.json, discover: true}"),
            "several sources of keys",
        ),
        (
            with("{file: jwks.json}", "{inline: '{\"keys\": []}'}"),
            "not usable as a key set",
        ),
        (
            with("{file: jwks.json}", "{discover: false}"),
            "`discover` is `true` or not there",
        ),
        (
            with("{file: jwks.json}", "{file: jwks.json, refresh: 5m}"),
            "these are pinned",
        ),
    ]);
    let place = Place::new();
    let none: String = MINIMAL.replacen("issuers:", "x:", 1);
    assert!(
        place
            .problems(&none)
            .iter()
            .any(|it| it.contains("`issuers` is missing"))
    );
}

#[test]
fn t20_what_could_be_taken_for_another_is_an_error_that_names_both() {
    let second = |name: &str, iss: &str| {
        with(
            "callers:",
            &format!(
                "  - {{name: {name}, issuer: {iss}, jwks: {{file: jwks.json}}, audiences: [api]}}\ncallers:"
            ),
        )
    };
    refused(&[
        (
            second("dls", "https://b.example.org"),
            "two issuers are called `dls`; the other is at line 3",
        ),
        (
            second("other", "https://id.example.org"),
            "`dls` (line 4) and `other` share the issuer",
        ),
        (
            with(
                "routes:",
                "  robot: {issuer: dls, client: [agent]}\nroutes:",
            ),
            "callers.robot: `robot` and `agent` have the same conditions",
        ),
        (
            with("agent: {issuer", "anyone: {issuer"),
            "is a word of `allow`",
        ),
        (
            with("name: dls", "name: anonymous"),
            "`anonymous` is reserved",
        ),
    ]);
    let place = Place::new();
    let narrower = with(
        "routes:",
        "  robot: {issuer: dls, client: agent, subject: x}\nroutes:",
    );
    place.load(&narrower).unwrap();
    place
        .load(&second("other", "https://b.example.org"))
        .unwrap();
}

#[test]
fn invariant_56_issuers_that_would_let_anybody_in_are_refused() {
    refused(&[
        (with("    audiences: [api]\n", ""), "`audiences` is missing"),
        (
            with("[api]", "[]"),
            "issuers[0].audiences: must not be empty",
        ),
        (with("[api]", "api"), "issuers[0].audiences"),
        (with("[api]", "[1]"), "expected text, found the number `1`"),
        (
            with("[api]", "[api]\n    clients: []"),
            "issuers[0].clients: must not be empty",
        ),
        (
            with("[api]", "[api]\n    algorithms: []"),
            "issuers[0].algorithms: must not be empty",
        ),
        (
            with("[api]", "[api]\n    algorithms: [none]"),
            "anybody could write such a token",
        ),
        (
            with("[api]", "[api]\n    algorithms: [HS256]"),
            "`HS256` is a MAC",
        ),
        (
            with("[api]", "[api]\n    leeway: 61s"),
            "issuers[0].leeway: must be at most 1m",
        ),
        (
            with("[api]", "[api]\n    token_types: [ID]"),
            "always refused",
        ),
        (
            with("{file: jwks.json}", "{url: http://id.example.org/k}"),
            "keys over plain http",
        ),
    ]);
    let warned = with("[api]", "unchecked");
    assert!(Place::new().problems(&warned)[0].contains("neither `aud` nor the client is checked"));
}

#[test]
fn references_are_resolved_and_misspellings_suggested() {
    refused(&[
        (
            with("allow: agent", "allow: agnet"),
            "there is no caller called `agnet`",
        ),
        (
            with("allow: agent", "allow: {issuer: dsl}"),
            "there is no issuer called `dsl`",
        ),
        (
            with("allow: agent", "allow: dls"),
            "there is no caller called `dls`",
        ),
        (
            with("allow: agent", "allow: agent, answers: x"),
            "no template in `answers` called `x`",
        ),
        (
            with("allow: agent", "allow: agent, inbound: x"),
            "no listener in `inbound` called `x`",
        ),
        (
            with("allow: agent", "allow: {scopes: [a]}"),
            "names neither a caller nor an issuer",
        ),
        (
            with("allow: agent", "allow: {caller: agent, issuer: dls}"),
            "a caller has its issuer already",
        ),
        (
            with("allow: agent", "allow: [anyone, agent]"),
            "`anyone` stands alone",
        ),
        (
            with("allow: agent", "allow: [agent, agent]"),
            "is listed twice",
        ),
    ]);
    let problems = Place::new()
        .load(&with("allow: agent", "allow: agnet"))
        .unwrap_err();
    assert_eq!(
        problems.iter().next().unwrap().suggestion.as_deref(),
        Some("did you mean `agent`?")
    );
}

#[test]
fn policy_that_could_mean_two_things_is_refused() {
    let more = |route: &str| and(&format!("  - {{{route}}}"));
    refused(&[
        (
            more("path: /**, allow: nobody"),
            "the other route is at line 10",
        ),
        (
            and("  - {path: \"/x/{a}\", allow: agent}\n  - {path: \"/x/{b}\", allow: nobody}"),
            "the other route is at line 11",
        ),
        (
            and("  - {name: a, path: /a, allow: agent}\n  - {name: a, path: /b, allow: agent}"),
            "two routes are called `a`",
        ),
        (more("path: /x, allow: {get: agent}"), "did you mean `GET`?"),
        (
            more("path: /x, allow: {GET, HEAD: agent}"),
            "`GET` has no value",
        ),
        (
            more("path: /x, allow: {\"GET, GET\": agent}"),
            "GET is listed twice",
        ),
        (
            more("path: /x, allow: {TRACE: agent}"),
            "TRACE never passes",
        ),
        (
            more("path: \"/x/{a}\", allow: {caller: agent, account: {a}}"),
            "YAML reads an unquoted `{a}` as a mapping",
        ),
        (
            more("path: \"/x/{a}\", allow: {caller: agent, account: \"{b}\"}"),
            "the path does not bind `{b}`",
        ),
        (
            more("path: [\"/x/{a}\", /y], allow: {caller: agent, account: \"{a}\"}"),
            "the path does not bind `{a}`",
        ),
        (
            more("path: \"/x/{a}\", allow: {caller: agent, account: \"*\"}"),
            "there are no wildcards",
        ),
        (more("path: /x*, allow: agent"), "routes[1].path"),
        (
            more("path: /x, fold: [a], allow: agent"),
            "routes[1].fold[0]: the path does not bind `{a}`",
        ),
        (
            more("path: /x, allow: agent, mode: observe"),
            "`until` is missing",
        ),
        (
            more("path: /x, allow: agent, until: 2030-01-01"),
            "with `mode: observe` only",
        ),
        (
            more("path: /x, allow: agent, enforce: 25%"),
            "routes[1].enforce: `enforce` means something with `mode: observe` only",
        ),
        (
            more("path: /x, allow: agent, mode: observe, until: 2030-01-01, enforce: 101%"),
            "routes[1].enforce: `101%` is more than all",
        ),
        (
            more("path: /x, allow: agent, mode: observe, until: 2030-01-01, enforce: \"0.25\""),
            "routes[1].enforce: `0.25` is no percentage",
        ),
        (
            more("path: /x, allow: {caller: agent, service_account: a/b}"),
            "for issuers with `kubernetes: true`",
        ),
        (
            more("path: /x, allow: {caller: agent, actor: agent}"),
            "takes no second token",
        ),
        (
            more("path: /x, allow: {caller: agent, client_certificate: {dns: a}}"),
            "no listener asks for client certificates",
        ),
        (
            more(
                "path: /x, allow: agent, rate_limit: {by: principal, before: authentication, requests: 1, per: 1s}",
            ),
            "no principal is known",
        ),
        (
            more("path: /x, allow: agent, upgrade: [h2c]"),
            "past policy",
        ),
        (
            more("path: /x, allow: agent, actor_token: {header: Authorization, issuer: dls}"),
            "HTTP or the proxy itself uses",
        ),
        (
            more("path: /x, allow: agent, actor_token: {header: DPoP, issuer: dls}"),
            "HTTP or the proxy itself uses",
        ),
    ]);
}

#[test]
fn an_open_subtree_above_protected_paths_is_a_warning() {
    let text = with("path: /**, allow: agent", "path: /**, allow: anyone");
    let open = format!("{text}  - {{path: /admin/**, allow: agent}}\n");
    let problems = Place::new().problems(&open);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("warning: routes[0].path: everything below `/**` is open"));
}

#[test]
fn identity_towards_other_machines_must_be_bound_and_keyed() {
    let far = |assertion: &str| {
        with("http://127.0.0.1:8000", "http://192.0.2.1:8000")
            + &format!("identity: {{assertion: {{audience: a{assertion}}}}}\n")
    };
    refused(&[
        (far(""), "`bind` must be written"),
        (
            far(", bind: none"),
            "a generated key is for loopback and Unix upstreams only",
        ),
        (
            far(", bind: none, key: {file: tls.crt}"),
            "holds no private key",
        ),
        (
            and("identity: {assertion: {audience: a, key: {secret: hunter2}}}"),
            "a secret stands in the document",
        ),
        (
            and("identity: {headers: {Authorization: subject}}"),
            "HTTP or the proxy itself uses",
        ),
        (
            and("identity: {headers: {x_auth: subject}}"),
            "no header name that can be protected",
        ),
        (
            and("identity: {headers: {x-auth: sbject}}"),
            "is not one of subject",
        ),
        (
            and("identity: {assertion: {audience: a, algorithm: HS256}}"),
            "nobody else would know it",
        ),
    ]);
    let place = Place::new();
    place
        .load(&far(", bind: none, key: {file: assertion.pem}"))
        .unwrap();
    place
        .load(&and("identity: {assertion: {audience: a}}"))
        .unwrap();
}

#[test]
fn listeners_admin_and_answers_are_checked() {
    refused(&[
        (
            and("admin: {listen: 0.0.0.0:9090}"),
            "admin listens on loopback only",
        ),
        (with("127.0.0.1:0", "127.0.0.1:9090"), "is taken by"),
        (with("127.0.0.1:0", ":8080"), "has no address"),
        (
            with("http://127.0.0.1:8000", "http://127.0.0.1:8000/api"),
            "an upstream has no path",
        ),
        (
            with("http://127.0.0.1:8000", "ftp://127.0.0.1"),
            "is no scheme of an upstream",
        ),
        (
            with(
                "8000}",
                "8000, cors: {origins: [\"*\", https://a.example.org]}}",
            ),
            "`*` stands alone",
        ),
        (
            with("8000}", "8000, cors: {origins: [https://a.example.org/]}}"),
            "is no origin",
        ),
        (
            with(
                "8000}",
                "8000, tls: {certificate: {file: tls.crt}, key: {file: jwks.json}}}",
            ),
            "has no private key in PEM",
        ),
        (
            with("8000}", "8000, timeouts: {header: 10}}"),
            "has no unit; write `10s`",
        ),
        (
            with("8000}", "8000, limits: {headers: 5}}"),
            "must be at least 8",
        ),
        (
            and("answers: {a: {body: {error: {message}}}}"),
            "YAML reads an unquoted `{message}`",
        ),
        (
            and("answers: {a: {body: {error: \"{mesage}\"}}}"),
            "`{mesage}` is not filled in",
        ),
        (
            and("answers: {a: {upstream: {status: 404}}}"),
            "does not mean what this refusal means",
        ),
        (and("workers: 0"), "workers: must be at least 1"),
        (and("workers: many"), "workers"),
        (and("end: true\nworkers: 1"), "must be the last key"),
        (and("end: false"), "`end` is `true` or not there"),
    ]);
}

#[test]
fn export_of_spans_is_checked() {
    let otlp = |keys: &str| and(&format!("telemetry: {{otlp: {{{keys}}}}}"));
    refused(&[
        (otlp("sample: 0.5"), "telemetry.otlp: `endpoint` is missing"),
        (
            otlp("endpoint: \"http://127.0.0.1:4318\", sample: 1.5"),
            "telemetry.otlp.sample: `1.5` is no number from 0 to 1",
        ),
        (
            otlp("endpoint: \"http://127.0.0.1:4318\", sample: -1"),
            "telemetry.otlp.sample: `-1` is no number from 0 to 1",
        ),
        (
            otlp("endpoint: \"http://127.0.0.1:4318/v1/traces\""),
            "telemetry.otlp.endpoint: is not the base URL of a collector",
        ),
        (
            otlp("endpoint: 127.0.0.1:4318"),
            "telemetry.otlp.endpoint: `127.0.0.1:4318`",
        ),
    ]);
}

#[test]
fn routes_are_judged_although_listeners_are_wrong() {
    let text = with("upstream", "upstrem") + "  - {path: /**, allow: nobody}\n";
    let problems = Place::new().problems(&text);
    for expected in ["unknown key `upstrem`", "the other route is at line 10"] {
        assert!(
            problems.iter().any(|it| it.contains(expected)),
            "{problems:?}"
        );
    }
}

#[test]
fn invariant_17_service_accounts_need_an_audience_and_a_bounded_lifetime() {
    let cluster = |audiences: &str| {
        with(
            "audiences: [api]",
            &format!("audiences: {audiences}\n    kubernetes: true"),
        )
    };
    refused(&[(
        cluster("unchecked"),
        "issuers[0].audiences: tokens of ServiceAccounts must be made for us",
    )]);
    let config = Place::new().load(&cluster("[api]")).unwrap();
    let day = Duration::from_secs(24 * 60 * 60);
    assert_eq!(config.issuers[0].0.max_lifetime, Some(day));
    let users = Place::new().load(MINIMAL).unwrap();
    assert_eq!(users.issuers[0].0.max_lifetime, None);
}

#[test]
fn invariant_56_words_that_look_like_more_than_they_are_are_errors() {
    let none = "there are no wildcards";
    refused(&[
        (with("[api]", "[\"*\"]"), none),
        (with("[api]", "[api]\n    clients: [\"*\"]"), none),
        (with("client: agent", "client: \"*\""), none),
        (with("client: agent", "roles: [a, \"*\"]"), none),
        (with("client: agent", "claims: {tenant: \"*\"}"), none),
        (
            with("[api]", "[unchecked]"),
            "issuers[0].audiences[0]: in a list `unchecked` is an audience of that name",
        ),
    ]);
}

#[test]
fn t09_a_second_token_does_not_come_under_an_identity_header() {
    let text = |header: &str| {
        with(
            "allow: agent}",
            &format!("allow: agent, actor_token: {{header: {header}, issuer: dls}}}}"),
        ) + "identity: {headers: {x-auth-subject: subject}}\n"
    };
    refused(&[(
        text("X-Auth-Subject"),
        "routes[0].actor_token.header: `x-auth-subject` is an identity header",
    )]);
    Place::new().load(&text("x-actor")).unwrap();
}

#[test]
fn invariant_07_no_identity_header_is_one_that_reroutes_requests() {
    let identity = |header: &str| and(&format!("identity: {{headers: {{{header}: subject}}}}"));
    let taken = "HTTP or the proxy itself uses";
    refused(&[
        (identity("x-rewrite-url"), taken),
        (identity("x-original-uri"), taken),
        (identity("x-http-method"), taken),
        (identity("x-envoy-original-path"), taken),
        (identity("location"), taken),
        (identity("x-request-id"), taken),
    ]);
    Place::new().load(&identity("x-subject")).unwrap();
}

#[test]
fn two_issuers_do_not_keep_their_keys_in_one_file() {
    let issuer = |name: &str, cache: &str| {
        format!(
            "  - name: {name}\n    issuer: https://{name}.example.org\n    jwks: {{discover: true, cache: {cache}}}\n    audiences: [api]\n"
        )
    };
    let both = |one: &str, other: &str| {
        let two = issuer("one", one) + &issuer("two", other);
        with("callers:", &format!("{}callers:", two))
    };
    refused(&[(
        both("keys.json", "./keys.json"),
        "issuers[2].jwks.cache: `one` keeps its keys in this file already",
    )]);
    Place::new().load(&both("one.json", "two.json")).unwrap();
}

#[test]
fn invariant_46_no_message_shows_a_substituted_text() {
    const CANARY: &str = "hunter2canary";
    let cases = [
        ("path: /**", "path: \"${S}\"", "/{hunter2canary"),
        ("client: agent", "scopes: \"${S}\"", "hunter2canary x"),
        ("client: agent", "claims: {a: \"${S}\"}", "{hunter2canary}"),
        ("name: dls", "name: \"${S}\"", "hunter2canary x"),
        (
            "[api]",
            "[api]\n    algorithms: [\"${S}\"]",
            "hunter2canary",
        ),
        (
            "{file: jwks.json}",
            "{url: \"${S}\"}",
            "https://u:hunter2canary@x/y",
        ),
        (
            "http://127.0.0.1:8000",
            "\"${S}\"",
            "http://hunter2canary/x",
        ),
        (
            "client: agent",
            "client: agent, client_address: \"${S}\"",
            "hunter2canary",
        ),
        (
            "routes:",
            "identity: {headers: {x-a: \"${S}\"}}\nroutes:",
            "hunter2canary",
        ),
        ("allow: agent", "allow: \"${S}\"", "hunter2canary"),
        (
            "allow: agent",
            "allow: {caller: agent, account: \"${S}\"}",
            "hunter2canary",
        ),
        ("issuer: dls", "issuer: \"${S}\"", "hunter2canary"),
    ];
    for (old, new, value) in cases {
        let mut place = Place::new();
        place.set("S", value);
        let problems = place.load(&with(old, new)).expect_err(new);
        let shown = format!("{problems}{}", problems.to_json());
        assert!(!shown.contains(CANARY), "{new}: {shown}");
        assert!(problems.errors() > 0);
    }
}

#[test]
fn a_wrong_caller_is_one_error_and_not_one_of_every_route() {
    let problems = Place::new().problems(&with("client: agent", "scopes: \"a b\""));
    assert_eq!(problems.len(), 1, "{problems:?}");
}

#[test]
fn public_paths_that_an_upstream_may_take_for_protected_ones_are_a_warning() {
    let routes = |lines: &str| with("  - {path: /**, allow: agent}\n", lines);
    for (lines, expected) in [
        (
            "  - {path: /Keys, allow: agent}\n  - {path: /keys, allow: anyone}\n",
            "`/keys` is open to anyone, and `/Keys` (line 10) is not",
        ),
        (
            "  - {path: /keys, allow: anyone}\n  - {path: /keys/, allow: agent}\n",
            "`/keys` is open to anyone, and `/keys/` (line 11) is not",
        ),
        (
            "  - {path: /keys, hosts: [a.org], allow: agent}\n  - {path: /keys, allow: anyone}\n",
            "open to anyone under another `Host` than at line 10",
        ),
    ] {
        let problems = Place::new().problems(&routes(lines));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(expected), "{problems:?}");
    }
    let fine = routes("  - {path: /a, allow: agent}\n  - {path: /b, allow: anyone}\n");
    assert!(Place::new().problems(&fine).is_empty());
}

#[test]
fn an_upstream_that_is_this_process_is_an_error() {
    refused(&[
        (
            with("127.0.0.1:0", "0.0.0.0:8000"),
            "inbound.upstream: leads back to this process, which listens on 0.0.0.0:8000",
        ),
        (
            with("http://127.0.0.1:8000", "http://localhost:9090"),
            "inbound.upstream: leads back to this process",
        ),
    ]);
}

#[test]
fn readiness_waits_for_the_sockets_of_this_machine_alone() {
    let of = |upstream: &str| {
        let written = format!("\"{upstream}\", exposed_upstream: unready");
        with("http://127.0.0.1:8000", &written)
    };
    let expected = "inbound.exposed_upstream: `unready` is for an upstream on a loopback address";
    refused(&[
        (of("http://app.example.org"), expected),
        (of("https://10.9.8.7:8000"), expected),
        (of("unix:/run/app.sock"), expected),
    ]);
    for upstream in [
        "http://127.0.0.1:8000",
        "h2c://[::1]:8000",
        "https://localhost",
    ] {
        let config = Place::new().load(&of(upstream)).unwrap();
        assert!(config.listeners[0].unready_while_exposed);
    }
    assert!(!Place::new().load(MINIMAL).unwrap().listeners[0].unready_while_exposed);
}

#[test]
fn explaining_to_whoever_connects_must_be_said_in_so_many_words() {
    let of = |listen: &str, explain: &str| {
        let written = format!("listen: \"{listen}\", explain: {explain}");
        with("listen: 127.0.0.1:0", &written)
    };
    let expected = "inbound.explain: whoever can connect would be told policy";
    refused(&[
        (of("0.0.0.0:8080", "true"), expected),
        (of("10.9.8.7:8080", "true"), expected),
        (of("[::]:8080", "true"), expected),
        (of("127.0.0.1:8080", "yes"), "inbound.explain: "),
    ]);
    let behind = "true, trusted_proxies: [127.0.0.1]";
    refused(&[(of("127.0.0.1:8080", behind), expected)]);
    for (listen, explain, explains) in [
        ("127.0.0.1:8080", "true", Explain::Near),
        ("[::1]:8080", "true", Explain::Near),
        ("unix:/run/in.sock", "true", Explain::Near),
        (
            "127.0.0.1:8080",
            "to_whoever_connects, trusted_proxies: [127.0.0.1]",
            Explain::Anywhere,
        ),
        ("0.0.0.0:8080", "to_whoever_connects", Explain::Anywhere),
        ("0.0.0.0:8080", "false", Explain::Never),
    ] {
        let config = Place::new().load(&of(listen, explain)).unwrap();
        assert_eq!(config.listeners[0].explain, explains, "{listen} {explain}");
        let told = explains != Explain::Never;
        assert_eq!(config.warnings.len(), usize::from(told));
    }
}

#[test]
fn private_keys_among_pinned_ones_are_a_warning() {
    let place = Place::new();
    let key = JWKS.replacen("\"kty\"", "\"d\": \"AQ\", \"kty\"", 1);
    assert_ne!(key, JWKS);
    place.file("private.json", &key);
    let problems = place.problems(&with("{file: jwks.json}", "{file: private.json}"));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("has a private key in it"));
}

#[test]
fn receipts_need_a_key_pair_and_json() {
    let place = Place::new();
    place.secret("shared", "0123456789abcdef0123456789abcdef");
    let receipts = |rest: &str| and(&format!("log: {{{rest}}}"));
    let mut all = vec![
        (receipts("receipts: {}"), "`key` is missing"),
        (
            receipts("receipts: {key: assertion.pem}"),
            "log.receipts.key",
        ),
        (
            receipts("receipts: {key: {}}"),
            "takes one of `file` and `secret`",
        ),
        (
            receipts("receipts: {key: {file: nowhere.pem}}"),
            "nowhere.pem: no such file",
        ),
        (
            receipts("receipts: {key: {file: tls.crt}}"),
            "holds no private key",
        ),
        (
            receipts("receipts: {key: {file: shared}}"),
            "is a shared secret",
        ),
        (
            receipts("format: text, receipts: {key: {file: assertion.pem}}"),
            "log.receipts: receipts are about the bytes of JSON lines, and `format` is `text`",
        ),
    ];
    for (key, wrong) in [
        ("lines: 0", "lines"),
        ("every: 10ms", "every"),
        ("evry: 1s", "`evry`"),
    ] {
        all.push((
            receipts(&format!(
                "receipts: {{key: {{file: assertion.pem}}, {key}}}"
            )),
            wrong,
        ));
    }
    for (text, wrong) in all {
        let problems = place.problems(&text);
        let errors = problems
            .iter()
            .filter(|problem| !problem.contains(": warning: "));
        assert!(
            errors.clone().any(|problem| problem.contains(wrong)),
            "{text}{problems:?}"
        );
        assert_eq!(errors.count(), 1, "{problems:?}");
    }
    let config = place
        .load(&receipts(
            "receipts: {key: {file: assertion.pem}, every: 1m}",
        ))
        .unwrap();
    let own = config.log.receipts.unwrap();
    assert_eq!((own.lines, own.every), (1000, Duration::from_secs(60)));
}
