//! Settings: each change is told, with the way that it goes, and the other way round when it is taken back.

use super::*;
use crate::admin::{AdminSettings, ProbesSettings};
use crate::authn::{DpopSettings, IssuerSettings};
use crate::authz::RouteSettings;
use crate::clock::Clock;
use crate::config;
use crate::credential::CredentialSettings;
use crate::identity::{AssertionSettings, IdentitySettings, SignatureSettings};
use crate::jwks::KeySourceSettings;
use crate::listener::{Limits, OutboundSettings, TlsSettings};
use crate::proxy::CorsSettings;
use crate::review::ReviewSettings;

/// A configuration of these lines, with a listener and an issuer where they name none; its keys are nobody's.
pub(crate) fn config(lines: &str) -> Config {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("countersign.yaml");
    let head = "
inbound: {listen: 127.0.0.1:8080, upstream: http://127.0.0.1:8000}
";
    let issuers = "
issuers:
  - name: main
    issuer: https://id.example.org
    jwks: {discover: true}
    audiences: [api]
    claim_mappings: {account: account}
";
    let callers = "
callers:
  web: {issuer: main, client: web}
  robot: {issuer: main, client: robot}
";
    let routes = "
routes: [{path: /a, allow: {issuer: main}}]
";
    let mut text = String::new();
    for (key, usual) in [
        ("inbound:", head),
        ("issuers:", issuers),
        ("callers:", callers),
        ("routes:", routes),
    ] {
        if !lines.lines().any(|line| line.starts_with(key)) {
            text.push_str(usual);
        }
    }
    std::fs::write(&path, format!("{text}\n{lines}\n")).unwrap();
    config::load(&path, None).unwrap_or_else(|problems| panic!("{problems}\n{lines}"))
}

/// The settings that are different, with the way that each goes.
fn told(old: &str, new: &str) -> Vec<(Way, String)> {
    let (old, new) = (config(old), config(new));
    let diff = diff(&old, &new, Clock::system().now());
    let lines = diff.settings.into_iter();
    lines
        .map(|line| (line.way, format!("{}: {}", line.place, line.words)))
        .collect()
}

const fn back(way: Way) -> Way {
    match way {
        Way::Wider => Way::Narrower,
        Way::Narrower => Way::Wider,
        Way::MayWiden => Way::MayNarrow,
        Way::MayNarrow => Way::MayWiden,
        Way::Identity | Way::May | Way::Note => way,
    }
}

/// Each pair differs in one thing, which goes this way from the first to the second, and the other way back.
fn each(pairs: &[(&str, &str, Way)], document: impl Fn(&str) -> String) {
    for (old, new, way) in pairs {
        let (before, after) = (document(old), document(new));
        let there = told(&before, &after);
        assert_eq!(there.len(), 1, "{old} → {new}: {there:?}");
        assert_eq!(there[0].0, *way, "{old} → {new}: {there:?}");
        let again = told(&after, &before);
        assert_eq!(again.len(), 1, "{new} → {old}: {again:?}");
        assert_eq!(again[0].0, back(*way), "{new} → {old}: {again:?}");
        assert_eq!(told(&after, &after), []);
    }
}

const OF_ISSUERS: &[(&str, &str, Way)] = &[
    ("audiences: [api]", "audiences: [api, web]", Way::Wider),
    (
        "audiences: [api], clients: [web, robot]",
        "audiences: unchecked, clients: [web, robot]",
        Way::Wider,
    ),
    (
        "algorithms: [RS256]",
        "algorithms: [RS256, ES256]",
        Way::Wider,
    ),
    ("leeway: 10s", "leeway: 30s", Way::Wider),
    ("max_lifetime: 1h", "max_lifetime: 2h", Way::Wider),
    ("max_lifetime: 1h", "leeway: 30s", Way::Wider),
    (
        "required_claims: [exp, sub, jti]",
        "required_claims: [exp, sub]",
        Way::Wider,
    ),
    (
        "token_types: [at+jwt]",
        "token_types: [at+jwt, absent]",
        Way::Wider,
    ),
    ("key_id: required", "key_id: only_key", Way::Wider),
    ("leeway: 30s", "token_sources: [basic_password]", Way::Wider),
    ("dpop: off", "dpop: accept", Way::Wider),
    ("dpop: require", "dpop: accept", Way::Wider),
    ("dpop: off", "dpop: require", Way::May),
    (
        "dpop: {mode: require, lifetime: 30s}",
        "dpop: {mode: require, lifetime: 60s}",
        Way::Wider,
    ),
    (
        "dpop: {mode: require, nonce: required}",
        "dpop: {mode: require}",
        Way::Wider,
    ),
    (
        "claim_mappings: {account: a}",
        "claim_mappings: {account: b}",
        Way::May,
    ),
    ("leeway: 30s", "scope_implies: {a: [b]}", Way::May),
    (
        "jwks: {discover: true}",
        "jwks: {url: https://keys.example.org/}",
        Way::May,
    ),
    (
        "jwks: {discover: true}",
        "jwks: {discover: true, max_stale: 48h}",
        Way::MayWiden,
    ),
    (
        "jwks: {discover: true}",
        "jwks: {discover: true, refresh: 1h}",
        Way::MayWiden,
    ),
];

#[test]
fn settings_of_issuers_go_one_way_and_back() {
    let issuer = |own: &str| {
        let all = [
            ("jwks:", "jwks: {discover: true}"),
            ("audiences:", "audiences: [api]"),
            ("algorithms:", "algorithms: [RS256]"),
        ];
        let usual = all.iter().filter(|(key, _)| !own.starts_with(key));
        let usual: Vec<&str> = usual.map(|(_, text)| *text).collect();
        let known = if own.starts_with("dpop") {
            "inbound: {listen: 127.0.0.1:8080, upstream: http://127.0.0.1:8000, external_url: https://api.example.org}"
        } else {
            ""
        };
        format!(
            "issuers: [{{name: main, issuer: https://id.example.org, {}, {own}}}]\n{known}",
            usual.join(", ")
        )
    };
    each(OF_ISSUERS, issuer);
}

#[test]
fn keys_over_plain_http_may_be_wider() {
    let of = |jwks: &str| {
        format!(
            "issuers: [{{name: main, issuer: https://id.example.org, jwks: {jwks}, audiences: [api]}}]"
        )
    };
    let told = told(
        &of("{url: https://id.example.org/keys}"),
        &of("{url: http://id.example.org/keys, allow_http: true}"),
    );
    let ways: Vec<Way> = told.iter().map(|(way, _)| *way).collect();
    assert_eq!(ways, [Way::May, Way::MayWiden], "{told:?}");
}

#[test]
fn issuers_come_and_go() {
    let one =
        "{name: main, issuer: https://id.example.org, jwks: {discover: true}, audiences: [api]}";
    let more = one.replace("main", "more").replace("id.", "more.");
    let several = one.replace(
        "https://id.example.org",
        "[https://id.example.org, http://localhost:8081]",
    );
    each(
        &[
            (one, &format!("{one}, {more}"), Way::Wider),
            (one, &several, Way::Wider),
        ],
        |all| format!("issuers: [{all}]"),
    );
    let renamed = told(
        &format!("issuers: [{one}]"),
        &format!(
            "issuers: [{}]\ncallers: {{web: {{issuer: other, client: web}}}}\nroutes: [{{path: /a, allow: {{issuer: other}}}}]",
            one.replace("main", "other")
        ),
    );
    assert_eq!(renamed[0].0, Way::Note, "{renamed:?}");
}

#[test]
fn settings_of_routes_go_one_way_and_back() {
    let limit = |requests: u32, per: &str| {
        format!("rate_limit: {{by: principal, requests: {requests}, per: {per}}}")
    };
    each(
        &[
            (&limit(10, "1m"), &limit(20, "1m"), Way::MayWiden),
            (&limit(10, "1m"), &limit(10, "1s"), Way::MayWiden),
            (&limit(10, "1m"), &limit(1, "1s"), Way::May),
            (&limit(10, "1m"), "grpc: false", Way::MayWiden),
            (
                "grpc: false",
                "mode: observe, until: 2099-01-01",
                Way::MayWiden,
            ),
            (
                "mode: observe, until: 2099-01-01",
                "mode: observe, until: 2100-01-01",
                Way::MayWiden,
            ),
            (
                "mode: observe, until: 2099-01-01, enforce: 50%",
                "mode: observe, until: 2099-01-01, enforce: 25%",
                Way::MayWiden,
            ),
            (
                "mode: observe, until: 2099-01-01, enforce: 50%",
                "mode: observe, until: 2099-01-01",
                Way::MayWiden,
            ),
            (
                "mode: observe, until: 2099-01-01, enforce: 100%",
                "mode: observe, until: 2099-01-01, enforce: 99%",
                Way::MayWiden,
            ),
            (
                "limits: {body_bytes: 1KiB}",
                "limits: {body_bytes: 2KiB}",
                Way::MayWiden,
            ),
            ("end_at_expiry: true", "end_at_expiry: false", Way::Wider),
            ("grpc: false", "grpc: true", Way::Note),
        ],
        |own| format!("routes: [{{path: /a, allow: web, {own}}}]"),
    );
    // It is over, so it is none.
    let over = "routes: [{path: /a, allow: web, mode: observe, until: 2020-01-01}]";
    assert_eq!(told("routes: [{path: /a, allow: web}]", over), []);
}

#[test]
fn callers_that_are_only_observed_are_told() {
    let robot = |more: &str| {
        format!(
            "callers: {{web: {{issuer: main, client: web}}, robot: {{issuer: main, client: robot{more}}}}}"
        )
    };
    each(
        &[
            ("", ", mode: observe, until: 2099-01-01", Way::MayWiden),
            (
                ", mode: observe, until: 2099-01-01",
                ", mode: observe, until: 2100-01-01",
                Way::MayWiden,
            ),
            (
                ", mode: observe, until: 2099-01-01, enforce: 50%",
                ", mode: observe, until: 2099-01-01, enforce: 5%",
                Way::MayWiden,
            ),
        ],
        robot,
    );
    assert_eq!(
        told(&robot(""), &robot(", mode: observe, until: 2020-01-01")),
        []
    );
}

#[test]
fn a_caller_that_is_only_observed_and_becomes_another_party_may_be_wider() {
    let robot = |who: &str, until: &str| {
        format!(
            "callers: {{web: {{issuer: main, client: web}}, robot: {{issuer: main, {who}, mode: observe, until: {until}}}}}\nroutes: [{{path: /a, allow: web}}]"
        )
    };
    let (pending, over) = ("2099-01-01", "2020-01-01");
    let one = robot("client: robot, account: required", pending);
    for who in ["client: other, account: required", "client: robot"] {
        let found = told(&one, &robot(who, pending));
        let [(Way::MayWiden, words)] = found.as_slice() else {
            panic!("{who}: {found:?}");
        };
        assert!(
            words.starts_with("callers.robot: is defined otherwise"),
            "{words}"
        );
        // Where it is enforced, policy decides, and policy says the same.
        assert_eq!(
            told(
                &robot("client: robot, account: required", over),
                &robot(who, over)
            ),
            []
        );
    }
    assert_eq!(
        told(&one, &robot("account: required, client: robot", pending)),
        []
    );
}

#[test]
fn listeners_that_begin_to_explain_may_be_wider_and_to_end_it_is_a_note() {
    let inbound = |more: &str| {
        format!("inbound: {{listen: 127.0.0.1:8080, upstream: http://127.0.0.1:8000, {more}}}")
    };
    let ways = |old: &str, new: &str| -> Vec<Way> {
        let found = told(&inbound(old), &inbound(new));
        assert!(
            found.iter().all(|(_, words)| words.contains("`explain`")),
            "{found:?}"
        );
        found.into_iter().map(|(way, _)| way).collect()
    };
    let all = [
        "explain: false",
        "explain: true",
        "explain: to_whoever_connects",
    ];
    for (at, old) in all.iter().enumerate() {
        for (other, new) in all.iter().enumerate() {
            let expected = match other.cmp(&at) {
                std::cmp::Ordering::Greater => vec![Way::MayWiden],
                std::cmp::Ordering::Equal => vec![],
                std::cmp::Ordering::Less => vec![Way::Note],
            };
            assert_eq!(ways(old, new), expected, "{old} → {new}");
        }
    }
    assert_eq!(ways("exposed_upstream: report", all[0]), []);
}

#[test]
fn receipts_that_are_not_made_any_more_are_a_note() {
    let mut key = tempfile::NamedTempFile::new().unwrap();
    let (text, _) =
        crate::identity::generate_text(crate::identity::SigningAlgorithm::Es256).unwrap();
    std::io::Write::write_all(&mut key, text.as_bytes()).unwrap();
    let sealed = format!(
        "log: {{receipts: {{key: {{file: {}}}}}}}",
        key.path().display()
    );
    let words = |old: &str, new: &str| match told(old, new).as_slice() {
        [(Way::Note, words)] => words.clone(),
        other => panic!("{other:?}"),
    };
    assert!(words(&sealed, "").contains("not sealed any more"));
    assert!(words("", &sealed).ends_with("are chained and sealed"));
    assert_eq!(told(&sealed, &sealed), []);
}

#[test]
fn routes_are_compared_where_they_own_the_same_requests() {
    let limit = "rate_limit: {by: principal, requests: 10, per: 1m}";
    let old = format!("routes: [{{path: /**, allow: web, {limit}}}]");
    let new = format!(
        "routes: [{{name: all, path: /**, allow: web, {limit}}}, {{path: '/orders/{{order}}', allow: web}}]"
    );
    let told = told(&old, &new);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].0, Way::MayWiden);
    assert!(
        told[0].1.starts_with("/orders/{order}: is not limited"),
        "{told:?}"
    );
}

#[test]
fn settings_of_listeners_go_one_way_and_back() {
    each(
        &[
            (
                "upstream: http://127.0.0.1:8000",
                "upstream: http://127.0.0.1:8001",
                Way::Identity,
            ),
            (
                "timeouts: {header: 10s}",
                "trusted_proxies: [10.0.0.0/8]",
                Way::MayWiden,
            ),
            (
                "limits: {token_bytes: 8KiB}",
                "limits: {token_bytes: 16KiB}",
                Way::MayWiden,
            ),
            (
                "limits: {streams: 10}",
                "limits: {streams: 20}",
                Way::MayWiden,
            ),
            (
                "limits: {connections_per_address: 10}",
                "limits: {connections_per_address: none}",
                Way::MayWiden,
            ),
            (
                "limits: {body_bytes: 1KiB}",
                "limits: {body_bytes: none}",
                Way::MayWiden,
            ),
            (
                "timeouts: {header: 5s}",
                "timeouts: {header: 10s}",
                Way::Note,
            ),
        ],
        |own| {
            let upstream = if own.starts_with("upstream") {
                ""
            } else {
                "upstream: http://127.0.0.1:8000, "
            };
            format!("inbound: {{listen: 127.0.0.1:8080, {upstream}{own}}}")
        },
    );
    each(
        &[("127.0.0.1:8080", "0.0.0.0:8080", Way::MayWiden)],
        |listen| format!("inbound: {{listen: '{listen}', upstream: http://127.0.0.1:8000}}"),
    );
}

#[test]
fn what_upstreams_are_told_is_identity() {
    let assertion =
        |own: &str| format!("assertion: {{audience: api, lifetime: 60s, bind: none{own}}}");
    each(
        &[
            (
                "headers: {x-a: subject}",
                "headers: {x-a: claims.email}",
                Way::Identity,
            ),
            (
                "headers: {x-a: subject}",
                "headers: {x-a: subject, x-b: client}",
                Way::Identity,
            ),
            (
                "headers: {x-a: subject}",
                &format!("headers: {{x-a: subject}}, {}", assertion("")),
                Way::Identity,
            ),
            (
                &assertion(""),
                &assertion("").replace("60s", "90s"),
                Way::MayWiden,
            ),
            (
                &assertion("").replace("none", "[method]"),
                &assertion(""),
                Way::MayWiden,
            ),
            (
                &assertion(""),
                &assertion("").replace("audience: api", "audience: web"),
                Way::Identity,
            ),
        ],
        |own| format!("identity: {{{own}}}"),
    );
}

#[test]
fn what_is_open_to_others_than_callers_is_told() {
    let mut secret = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut secret, b"not-one-at-all-but-long-enough").unwrap();
    each(
        &[("serve: [livez]", "serve: [livez, metrics]", Way::MayWiden)],
        |own| format!("probes: {{listen: 127.0.0.1:9091, {own}}}"),
    );
    each(
        &[
            ("paths: [/a]", "paths: [/a, /b]", Way::Wider),
            ("paths: [/a]", "replay_body: 64KiB", Way::Wider),
            ("authorization: refuse", "authorization: replace", Way::May),
        ],
        |own| {
            format!(
                "outbound: {{listen: 127.0.0.1:8090, upstream: https://api.example.org, credential: agent, {own}}}\ncredentials: {{agent: {{token_endpoint: {{url: https://id.example.org/token}}, client_id: a, client_authentication: {{client_secret_basic: {{file: {}}}}}}}}}",
                secret.path().display()
            )
        },
    );
}

/// All that a configuration says, taken apart: whoever adds a setting must say here where it is compared, or why it changes no
/// decision. Compiling this is the test.
#[expect(dead_code, reason = "compiling it is the test")]
mod taken_apart {
    use super::*;

    // What is logged (but for receipts: `settings`) and traced, how the process ends, how refusals are worded, and how many work, change no decision; limits go
    // with their routes. The others: `super`.
    fn config(
        Config {
            workers: _,
            token_cache: _,
            listeners: _,
            admin: _,
            probes: _,
            issuers: _,
            credentials: _,
            identity: _,
            policy: _,
            limits: _,
            answers: _,
            log: _,
            otlp: _,
            drain: _,
            files: _,
            sentinel: _,
            warnings: _,
            contents: _,
        }: &Config,
    ) {
    }
    // `settings`.
    fn admin_settings(AdminSettings { listen: _ }: &AdminSettings) {}
    // `settings`.
    fn probes_settings(
        ProbesSettings {
            listen: _,
            serve: _,
        }: &ProbesSettings,
    ) {
    }
    // `listeners`, but for the wording of refusals and for readiness.
    fn listener_settings(
        ListenerSettings {
            name: _,
            listen: _,
            upstream: _,
            unready_while_exposed: _,
            explain: _,
            trusted_proxies: _,
            answers: _,
            cors: _,
            external_urls: _,
            resource_metadata: _,
            tls: _,
            limits: _,
            timeouts: _,
            outbound: _,
        }: &ListenerSettings,
    ) {
    }
    // `listeners`.
    fn limits(
        Limits {
            header_bytes: _,
            headers: _,
            target_bytes: _,
            token_bytes: _,
            connections: _,
            connections_per_address: _,
            requests_in_flight: _,
            body_bytes: _,
            streams: _,
        }: &Limits,
    ) {
    }
    // `listeners`, but for the certificate that callers see.
    fn tls_settings(
        TlsSettings {
            certificate: _,
            key: _,
            client_ca: _,
            client_certificate_required: _,
        }: &TlsSettings,
    ) {
    }
    // `listeners`.
    fn cors_settings(
        CorsSettings {
            origins: _,
            preflight: _,
            credentials: _,
            expose: _,
            headers: _,
            max_age: _,
        }: &CorsSettings,
    ) {
    }
    // `settings`, but for what becomes of responses and for what is sent twice.
    fn outbound_settings(
        OutboundSettings {
            credential: _,
            reach: _,
            rewrite_location: _,
            replay_body: _,
        }: &OutboundSettings,
    ) {
    }
    // `issuers`.
    fn issuer_settings(
        IssuerSettings {
            name: _,
            issuers: _,
            audiences: _,
            clients: _,
            algorithms: _,
            leeway: _,
            required_claims: _,
            token_types: _,
            max_lifetime: _,
            kubernetes: _,
            claim_mappings: _,
            scope_implies: _,
            key_id: _,
            token_sources: _,
            token_bytes: _,
            dpop: _,
        }: &IssuerSettings,
    ) {
    }
    // `issuers`, but for how many proofs are remembered.
    fn dpop_settings(
        DpopSettings {
            required: _,
            algorithms: _,
            lifetime: _,
            nonce: _,
            proofs: _,
        }: &DpopSettings,
    ) {
    }
    // `issuers`, but for how fetches are spread and for the copy on disk.
    fn key_source_settings(
        KeySourceSettings {
            source: _,
            refresh: _,
            refresh_floor: _,
            refresh_ceiling: _,
            cooldown: _,
            max_stale: _,
            cache: _,
            timeout: _,
            ca: _,
            allow_http: _,
        }: &KeySourceSettings,
    ) {
    }
    // `issuers`, but for how long an answer is waited for.
    fn review_settings(
        ReviewSettings {
            endpoint: _,
            max_cache: _,
            timeout: _,
            roots: _,
        }: &ReviewSettings,
    ) {
    }
    // What decides is compared by `authz::compare`, the rest by `routes`, but for the wording of refusals.
    fn route_settings(
        RouteSettings {
            name: _,
            listener: _,
            paths: _,
            hosts: _,
            table: _,
            fold: _,
            allowances: _,
            near_miss: _,
            answers: _,
            authorization: _,
            upgrade: _,
            grpc: _,
            rate_limit: _,
            actor_token: _,
            end_at_expiry: _,
            body_bytes: _,
            response_timeout: _,
            idle_timeout: _,
            observe: _,
            enforced: _,
        }: &RouteSettings,
    ) {
    }
    // `settings`.
    fn identity_settings(
        IdentitySettings {
            headers: _,
            assertion: _,
            signature: _,
        }: &IdentitySettings,
    ) {
    }
    // `settings`, but for how long a replaced key is published.
    fn assertion_settings(
        AssertionSettings {
            header: _,
            key: _,
            issuer: _,
            audience: _,
            lifetime: _,
            bind: _,
            overlap: _,
        }: &AssertionSettings,
    ) {
    }
    // `settings`, but for how long a replaced key is published; `https` follows from the upstream.
    fn signature_settings(
        SignatureSettings {
            key: _,
            lifetime: _,
            overlap: _,
            https: _,
        }: &SignatureSettings,
    ) {
    }
    // `settings`, but for how we show who we are, and when.
    fn credential_settings(
        CredentialSettings {
            name: _,
            endpoint: _,
            client_id: _,
            authentication: _,
            scopes: _,
            audience: _,
            resources: _,
            dpop: _,
            refresh_before: _,
            timeout: _,
            cooldown: _,
            ca: _,
            allow_http: _,
        }: &CredentialSettings,
    ) {
    }
}
