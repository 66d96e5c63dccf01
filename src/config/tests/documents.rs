//! Documents that load, and what they become.

use super::*;

#[test]
fn a_minimal_document_loads_without_a_warning() {
    let place = Place::new();
    let config = place
        .load(MINIMAL)
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert!(config.warnings.is_empty(), "{}", config.warnings);
    assert_eq!(config.files, [place.path("jwks.json")]);
    assert_eq!(config.policy.routes().len(), 1);
}

/// The shape of the benchmark's configuration: every address quoted or not, flow and block style mixed.
#[test]
fn the_configuration_of_the_benchmark_loads() {
    let place = Place::new();
    let text = format!(
        "\
workers: 1
inbound:
  listen: 127.0.0.1:18080
  upstream: http://127.0.0.1:18081
admin:
  listen: 127.0.0.1:0
issuers:
  - name: bench
    issuer: \"https://issuer.bench\"
    jwks: {{file: \"{}\"}}
    audiences: [\"bench-api\"]
    clients: [bench-web]
    algorithms: [\"RS256\"]
identity:
  headers: {{x-auth-subject: subject, x-auth-client: client, x-auth-scopes: scopes}}
  assertion: {{header: x-auth-assertion, audience: bench, lifetime: 60s}}
callers:
  web: {{issuer: bench, client: bench-web}}
routes:
  - path: /**
    allow:
      GET: [{{caller: web, scopes: [orders.read]}}]
log: {{access: none}}
",
        place.path("jwks.json").display()
    );
    let config = place
        .load(&text)
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert!(config.warnings.is_empty(), "{}", config.warnings);
    assert_eq!(config.workers, 1);
    assert_eq!(config.identity.headers.len(), 3);
    assert!(config.identity.assertion.is_some());
}

#[test]
fn a_key_that_everybody_can_read_is_a_warning() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let text = format!(
        "{MINIMAL}identity: {{assertion: {{audience: a, key: {{file: assertion.pem}}}}}}\n"
    );
    assert_eq!(place.problems(&text), Vec::<String>::new());
    fs::set_permissions(
        place.path("assertion.pem"),
        fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    let problems = place.problems(&text);
    assert!(
        problems[0].contains("every user of this machine can read it"),
        "{problems:?}"
    );
}

#[test]
fn the_number_of_workers_is_resolved_at_load() {
    let place = Place::new();
    let auto = place.load(&format!("{MINIMAL}workers: auto\n")).unwrap();
    assert!((1..=2).contains(&auto.workers));
    let seven = place.load(&format!("{MINIMAL}workers: 7\n")).unwrap();
    assert_eq!(seven.workers, 7);
}

#[test]
fn a_route_of_observation_ends_and_one_that_enforces_does_not_observe() {
    let place = Place::new();
    let text = MINIMAL.replace(
        "  - {path: /**, allow: agent}",
        "  - {path: /**, allow: agent}\n  - {path: /strict, allow: agent, mode: enforce}",
    ) + "mode: observe\nuntil: 2030-01-31\n";
    let config = place.load(&text).unwrap();
    let observed: Vec<bool> = config
        .policy
        .routes()
        .iter()
        .map(|route| route.settings().observe.is_some())
        .collect();
    assert_eq!(observed, [true, false]);
    assert_eq!(config.warnings.len(), 1);
}

#[test]
fn what_is_observed_may_be_enforced_for_a_share_of_the_clients() {
    let place = Place::new();
    let text = MINIMAL.replace(
        "  - {path: /**, allow: agent}",
        "  - {path: /**, allow: agent}\n  - {path: /own, allow: agent, mode: observe, until: 2030-01-31}",
    ) + "mode: observe\nuntil: 2030-01-31\nenforce: 12.5%\n";
    let config = place.load(&text).unwrap();
    let routes = config.policy.routes().iter();
    let shares: Vec<String> = routes
        .map(|route| route.settings().enforced.to_string())
        .collect();
    assert_eq!(shares, ["12.5%", "0%"], "a route's own mode is its own");
    assert!(config.policy.observed_callers().is_empty());
    let text = MINIMAL.replace(
        "agent: {issuer: dls,",
        "agent: {mode: observe, until: 2030-01-31, enforce: 1%, issuer: dls,",
    );
    let config = place.load(&text).unwrap();
    let [robot] = config.policy.observed_callers() else {
        panic!("one caller is observed");
    };
    assert_eq!(
        (&*robot.caller.name, robot.enforced.to_string().as_str()),
        ("agent", "1%")
    );
    assert_eq!(config.warnings.len(), 1, "{}", config.warnings.render());
}

#[test]
fn an_issuer_that_nothing_names_is_a_warning() {
    let place = Place::new();
    let text = MINIMAL.replace(
        "callers:",
        "  - {name: idle, issuer: https://idle.example.org, jwks: {file: jwks.json}, audiences: [a]}\ncallers:",
    );
    let problems = place.problems(&text);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("7: warning: issuers[1].name: no caller and no route names"));
}
