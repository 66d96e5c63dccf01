//! `countersign learn`: from observed traffic to a policy that lets the good pass and nothing else.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{path, run};
use crate::bed::keys::RSA_2;
use crate::bed::{Bed, Request, Setup, Upstream};

/// Nothing is known yet: an issuer, its clients, and one route that observes.
const OBSERVED: &str = r#"
# Whose tokens are trusted.
issuers:
  - name: main
    issuer: @ISSUER@
    jwks: {file: @DIR@/jwks.json}
    audiences: [api]
    algorithms: [RS256, ES256]
    clients: [acme-app, globex-app, billing, web, robot]
    claim_mappings: {account: account}
identity:
  headers: {x-auth-subject: subject, x-auth-account: account}
routes:
  - path: /**
    allow: {issuer: main}
mode: observe
until: 2027-12-31
"#;

/// A request, who makes it, and how often.
struct Kind {
    times: usize,
    method: &'static str,
    path: &'static str,
    token: Option<(&'static str, &'static str, &'static str)>,
}

const fn kind(
    times: usize,
    method: &'static str,
    path: &'static str,
    client: &'static str,
    account: &'static str,
    scope: &'static str,
) -> Kind {
    Kind {
        times,
        method,
        path,
        token: Some((client, account, scope)),
    }
}

/// What is to pass under the learned policy. `#` counts up.
const GOOD: &[Kind] = &[
    kind(
        12,
        "GET",
        "/accounts/acme/usage",
        "acme-app",
        "acme",
        "profile usage:read",
    ),
    kind(
        11,
        "GET",
        "/accounts/globex/usage",
        "globex-app",
        "globex",
        "usage:read",
    ),
    kind(
        10,
        "POST",
        "/accounts/acme/invoices",
        "acme-app",
        "acme",
        "profile invoices:write",
    ),
    kind(
        6,
        "GET",
        "/accounts/acme/usage",
        "billing",
        "",
        "usage:read",
    ),
    kind(
        6,
        "GET",
        "/accounts/globex/usage",
        "billing",
        "",
        "usage:read",
    ),
    kind(
        12,
        "GET",
        "/orders/#",
        "web",
        "",
        "openid email orders:read",
    ),
    kind(
        4,
        "POST",
        "/orders",
        "web",
        "",
        "openid email orders:read orders:write",
    ),
    kind(3, "GET", "/orders", "web", "", "openid email orders:read"),
    kind(10, "POST", "/agent/a#/heartbeat", "robot", "", ""),
    kind(1, "GET", "/reports/daily", "web", "", "orders:read"),
];

impl Kind {
    fn requests(&self, bed: &Bed) -> Vec<Request> {
        (0..self.times)
            .map(|at| {
                let target = self.path.replace('#', &(at + 7).to_string());
                let request = Request::new(self.method, &target);
                match self.token {
                    Some(who) => request.bearer(token(bed, who).sign()),
                    None => request,
                }
            })
            .collect()
    }
}

fn token(bed: &Bed, (client, account, scope): (&str, &str, &str)) -> crate::bed::Token {
    let token = bed.token().claim("azp", client).claim("sub", client);
    let token = token.claim("scope", scope);
    if account.is_empty() {
        token
    } else {
        token.claim("account", account)
    }
}

/// What is not, and why one can tell.
fn bad(bed: &Bed) -> Vec<(&'static str, Request)> {
    let of = |client, account| token(bed, (client, account, "usage:read orders:read"));
    let acme = of("acme-app", "acme");
    let get = |path: &str, token: &crate::bed::Token| Request::get(path).bearer(token.sign());
    vec![
        ("no token", Request::get("/accounts/acme/usage")),
        ("another account", get("/accounts/globex/usage", &acme)),
        (
            "an account that nobody has",
            get("/accounts/initech/usage", &acme),
        ),
        ("an unknown client", get("/orders/8", &of("mallory", ""))),
        (
            "a known client elsewhere",
            get("/orders/8", &of("robot", "")).header("x-nobody", "fulfils"),
        ),
        ("a scan without a token", Request::get("/wp-login.php")),
        ("a scan with one", get("/wp-login.php", &of("web", ""))),
        ("a scan of an agent", get("/.env", &of("robot", ""))),
        (
            "an expired token",
            get("/orders/8", &of("web", "").expires_in(-3600)),
        ),
        (
            "a forged token",
            get("/orders/8", &of("web", "").signed_by(&RSA_2)),
        ),
        (
            "another audience",
            get("/orders/8", &of("web", "").claim("aud", "others")),
        ),
    ]
}

/// An upstream that knows what it serves.
fn upstream() -> Upstream {
    Upstream::scripted(|exchange| {
        let request = &exchange.request;
        let known = [
            "/accounts/",
            "/orders",
            "/agent/",
            "/reports/",
            "/health",
            "/admin/",
        ];
        let refuses = request.header("x-nobody").is_some();
        let status = match request.target.as_str() {
            _ if refuses => 403,
            target if known.iter().any(|own| target.starts_with(own)) => 200,
            _ => 404,
        };
        exchange.body()?;
        exchange.answer(status, "", b"{}")
    })
}

/// Sends everything, in an order that mixes good and bad, and writes the log.
fn observe(bed: &Bed) -> PathBuf {
    let mut sent = 0;
    let good = GOOD.iter().flat_map(|kind| kind.requests(bed));
    for request in good.chain(bad(bed).into_iter().map(|(_, request)| request)) {
        bed.send(&request);
        sent += 1;
    }
    bed.proxy.await_records(sent);
    let log = bed.dir.path().join("decisions.log");
    let text = format!(
        "uvicorn says hello\n{}\n{{\"v\":1,\"cut",
        bed.proxy.log_text()
    );
    std::fs::write(&log, text).expect("a file");
    log
}

fn learn(bed: &Bed, log: &Path, more: &[&str]) -> Value {
    let mut arguments = vec![
        "learn",
        "--config",
        path(&bed.config),
        path(log),
        "--output",
        "json",
    ];
    arguments.extend(more);
    let (code, out, err) = run(&arguments);
    assert_eq!(code, 0, "{out}{err}");
    serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}"))
}

/// Enforces the policy, and returns what becomes of the good and of the bad.
#[track_caller]
fn enforce(bed: &Bed, learned: &Value) {
    let policy = learned["policy"].as_str().expect("a policy");
    let file = bed.dir.path().join("learned.yaml");
    std::fs::write(&file, policy).expect("a file");
    let (code, out, err) = run(&["check", path(&file)]);
    assert_eq!(code, 0, "{out}{err}\n{policy}");
    bed.proxy.reload(policy).expect("a good policy");
    for kind in GOOD {
        for request in kind.requests(bed) {
            let status = bed.send(&request).status;
            assert_eq!(
                status, 200,
                "{} {}\n{policy}",
                request.method, request.target
            );
        }
    }
}

#[test]
fn from_an_observed_log_learn_writes_a_policy_that_allows_the_good_and_refuses_the_planted_bad() {
    let bed = Setup::bare(OBSERVED).upstream(upstream()).start();
    let log = observe(&bed);
    let before = bed.upstream.requests().len();
    let planted = bad(&bed).len();
    // Nothing was enforced: all of it reached the upstream.
    assert_eq!(
        before,
        GOOD.iter().map(|kind| kind.times).sum::<usize>() + planted
    );

    let learned = learn(&bed, &log, &[]);
    enforce(&bed, &learned);
    for (what, request) in bad(&bed) {
        let reached = bed.upstream.requests().len();
        let answer = bed.send(&request);
        assert!(
            [401, 403, 405].contains(&answer.status),
            "{what}: {}",
            answer.status
        );
        assert_eq!(bed.upstream.requests().len(), reached, "{what}");
    }
    let policy = learned["policy"].as_str().expect("text");
    for line in [
        "  - path: /accounts/{account}/usage",
        "        - {caller: acme-app, scopes: [\"usage:read\"], account: \"{account}\"}    # 12 requests, each with these scopes, each for its own account",
        "        - {caller: billing, scopes: [\"usage:read\"]}    # 12 requests, each with these scopes",
        "    # unsure: billing has no account, and reaches every one",
        "    # unsure: 2 requests were for another account than the caller's, and not let in",
        "  - path: /orders/{order}",
        "        - {caller: web, scopes: [\"orders:read\"]}    # 12 requests, each with these scopes",
        "  - path: /agent/{agent}/heartbeat",
        "        - robot    # 10 requests",
        "    # unsure: 1 request only",
        "  web: {issuer: main, client: web}",
        "# Whose tokens are trusted.",
    ] {
        assert!(policy.lines().any(|own| own == line), "{line}\n{policy}");
    }
    for absent in ["mallory", "wp-login", "mode: observe", ".env", "profile"] {
        let rules = policy.split("\nroutes:").nth(1).expect("routes");
        assert!(!rules.contains(absent), "{absent}\n{policy}");
    }
    // The figures of the note.
    assert_eq!(learned["learned"], 75);
    assert_eq!(learned["requests"], 86);
    assert_eq!(
        (&learned["routes"], &learned["callers"]),
        (&Value::from(6), &Value::from(5))
    );
    assert_eq!(learned["tried"]["refused"], Value::Array(Vec::new()));
    assert_eq!(learned["log"]["bad"], 1);
}

#[test]
fn learn_lists_who_would_be_refused_and_what_was_left_out() {
    let bed = Setup::bare(OBSERVED).upstream(upstream()).start();
    let log = observe(&bed);
    let learned = learn(&bed, &log, &[]);
    let refused = learned["refused"].as_array().expect("a list");
    let row = |list: &[Value], key: &str, value: &str| -> Vec<Value> {
        list.iter()
            .filter(|one| one[key] == value)
            .cloned()
            .collect()
    };
    let without = row(refused, "reason", "no_token");
    assert_eq!(
        (&without[0]["client"], &without[0]["requests"]),
        (&"anonymous".into(), &2.into())
    );
    assert_eq!(without[0]["passed"], 2);
    for reason in [
        "token_client",
        "token_expired",
        "token_signature",
        "token_audience",
    ] {
        assert_eq!(
            row(refused, "reason", reason).len(),
            1,
            "{reason}: {refused:?}"
        );
    }
    let questions = learned["questions"].as_array().expect("a list");
    let foreign = row(questions, "why", "other_account");
    assert_eq!(foreign[0]["include"], "acme-app:/accounts/{account}/usage");
    assert_eq!(foreign[0]["requests"], 2);
    let scans = row(questions, "path", "/wp-login.php");
    assert_eq!(scans.len(), 2, "{questions:?}");
    // For people: the policy on one side, the rest on the other.
    let (code, out, err) = run(&["learn", "--config", path(&bed.config), path(&log)]);
    assert_eq!(code, 0);
    assert_eq!(out, learned["policy"].as_str().expect("text"));
    for part in [
        "learned 6 routes for 5 callers from 75 of 86 requests",
        "tried: all ",
        "1 lines look like decision records and cannot be read",
        "Refused under the policy of the log, or would be:",
        "anonymous:/wp-login.php",
    ] {
        assert!(err.contains(part), "{part}\n{err}");
    }
}

#[test]
fn an_operator_takes_in_what_was_left_out() {
    let bed = Setup::bare(OBSERVED).upstream(upstream()).start();
    bed.send(&Request::get("/health"));
    let log = observe(&bed);
    let closed = learn(&bed, &log, &[]);
    assert!(!closed["policy"].to_string().contains("/health"));
    let open = learn(
        &bed,
        &log,
        &[
            "--include",
            "anonymous:/health",
            "--include",
            "acme-app:/accounts/initech/usage",
        ],
    );
    enforce(&bed, &open);
    bed.send(&Request::get("/health")).expect(200);
    let get = |path: &str| {
        let acme = token(&bed, ("acme-app", "acme", "usage:read orders:read"));
        bed.send(&Request::get(path).bearer(acme.sign())).status
    };
    // One account more, not all of them.
    assert_eq!(get("/accounts/initech/usage"), 200);
    assert_eq!(get("/accounts/globex/usage"), 403);
    // What does not hold is nobody's to let in.
    let forged = learn(
        &bed,
        &log,
        &["--accept-observed", "--include", "anonymous:/wp-login.php"],
    );
    let rules = forged["policy"].to_string();
    assert!(!rules.contains("mallory"), "{rules}");
    assert!(run(&["learn", "--include", "web", path(&log)]).0 == 2);
}

/// A policy that is in force and observed before it is tightened.
const WIDE: &str = r#"
issuers:
  - name: main
    issuer: @ISSUER@
    jwks: {file: @DIR@/jwks.json}
    audiences: [api]
    algorithms: [RS256, ES256]
    claim_mappings: {account: account, roles: roles}
callers:
  tenant: {issuer: main, account: required}
  web: {issuer: main, client: web}
  robot: {issuer: main, client: robot}
  billing: {issuer: main, client: billing}
routes:
  - path: /health
    allow: anyone
  - path: /admin/**
    allow:
      GET: {caller: web, roles: [operator]}
  - path: /agent/{agent}/**
    allow: {caller: robot, claims: {agent_id: "{agent}"}}
    answers: brief
  - path: /**
    allow: [tenant, web, billing]
answers:
  brief: {body: {error: "{message}"}}
end: true
"#;

#[test]
fn a_policy_that_is_in_force_is_tightened_and_never_widened() {
    let bed = Setup::bare(WIDE).upstream(upstream()).start();
    let web = || token(&bed, ("web", "", "orders:read"));
    let operator = web().claim("roles", vec!["operator"]);
    let robot = |id: &str| {
        let token = token(&bed, ("robot", "", "")).claim("agent_id", id);
        Request::post("/agent/a1/heartbeat", "").bearer(token.sign())
    };
    let tenant = |client, account| token(&bed, (client, account, "usage:read"));
    let good = [
        Request::get("/health"),
        Request::get("/admin/users").bearer(operator.sign()),
        robot("a1"),
        Request::get("/orders/1").bearer(web().sign()),
        Request::get("/accounts/acme/usage").bearer(tenant("one", "acme").sign()),
        Request::get("/accounts/globex/usage").bearer(tenant("two", "globex").sign()),
    ];
    let bad = [
        Request::get("/admin/users").bearer(web().sign()),
        robot("a2"),
        Request::get("/orders"),
    ];
    for request in good.iter().chain(&bad) {
        let expected = bad.iter().all(|one| one.bytes() != request.bytes());
        assert_eq!(
            bed.send(request).status == 200,
            expected,
            "{}",
            request.target
        );
    }
    bed.proxy.await_records(good.len() + bad.len());
    let log = bed.dir.path().join("decisions.log");
    std::fs::write(&log, bed.proxy.log_text()).expect("a file");
    let learned = learn(&bed, &log, &[]);
    let policy = learned["policy"].as_str().expect("text");
    bed.proxy.reload(policy).expect("a good policy");
    for request in &good {
        assert_eq!(
            bed.send(request).status,
            200,
            "{}\n{policy}",
            request.target
        );
    }
    let other = tenant("one", "acme");
    let more = [
        Request::get("/accounts/globex/usage").bearer(other.sign()),
        Request::get("/other").bearer(web().sign()),
        Request::get("/admin/other").bearer(operator.sign()),
    ];
    for request in bad.iter().chain(&more) {
        assert!(
            [401, 403].contains(&bed.send(request).status),
            "{}\n{policy}",
            request.target
        );
    }
    for line in [
        "        - {caller: web, roles: [operator]}    # 1 request, as the current policy has it",
        "        - {caller: tenant, scopes: [\"usage:read\"], account: \"{account}\"}    # 2 requests, each with these scopes, each for its own account",
        "      GET: anyone    # 1 request",
        "    answers: brief",
        "  - path: /agent/{agent}/heartbeat",
        "        - {caller: robot, claims: {agent_id: \"{agent}\"}}    # 1 request, as the current policy has it",
    ] {
        assert!(policy.lines().any(|own| own == line), "{line}\n{policy}");
    }
    assert!(policy.ends_with("\nend: true\n"));
}

#[test]
fn without_a_configuration_routes_and_callers_are_written_alone() {
    let bed = Setup::bare(OBSERVED).upstream(upstream()).start();
    let log = observe(&bed);
    let (code, out, err) = run(&["learn", path(&log)]);
    assert_eq!(code, 0, "{err}");
    let keys: Vec<&str> = out
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_alphabetic()))
        .collect();
    assert_eq!(keys, ["callers:", "routes:"], "{out}");
    // It is the policy of a document that has the rest.
    let head = bed.text.split("\nroutes:").next().expect("text");
    let whole = format!("{head}\n{out}");
    bed.proxy.reload(&whole).expect("a good policy");
    let (code, _, err) = run(&["learn", path(&bed.dir.path().join("none.log"))]);
    assert!(code == 2 && err.contains("none.log"), "{err}");
    let empty = bed.dir.path().join("empty.log");
    std::fs::write(&empty, "").expect("a file");
    assert_eq!(run(&["learn", path(&empty)]).0, 1);
}
#[test]
fn a_narrower_caller_keeps_its_name_beside_a_wider_one() {
    let callers = "
callers:
  any: {issuer: main}
  web: {issuer: main, client: web}
routes: [{path: /**, allow: [web, any]}]
";
    let bed = Setup::new(callers).upstream(upstream()).start();
    let other = bed.token().claim("azp", "other").sign();
    let web = bed.token().sign();
    for token in [&other, &web] {
        bed.get("/orders", token).expect(200);
    }
    bed.proxy.await_records(2);
    let log = bed.dir.path().join("decisions.log");
    std::fs::write(&log, bed.proxy.log_text()).expect("a file");
    let learned = learn(&bed, &log, &[]);
    bed.proxy
        .reload(learned["policy"].as_str().expect("text"))
        .expect("a good policy");
    bed.get("/orders", &web).expect(200);
    let record = bed.proxy.await_records(3).pop().expect("a record");
    assert_eq!(record["caller"], "web");
}

/// One account, and one report, that everybody may see, beside those of their owners.
const PUBLIC: &str = r#"
issuers:
  - name: main
    issuer: @ISSUER@
    jwks: {file: @DIR@/jwks.json}
    audiences: [api]
    algorithms: [RS256, ES256]
    claim_mappings: {account: account}
callers:
  robot: {issuer: main, client: robot}
  tenants: {issuer: main}
routes:
  - path: /accounts/demo
    allow: anyone
  - path: /accounts/{account}
    allow: {caller: tenants, account: "{account}"}
  - path: /reports/2025
    allow: anyone
  - path: /reports/{report}
    allow: robot
"#;

#[test]
fn a_public_path_beside_accounts_stays_the_only_one() {
    let bed = Setup::bare(PUBLIC).upstream(upstream()).start();
    let of = |client, account| token(&bed, (client, account, "")).sign();
    let good = [
        Request::get("/accounts/demo"),
        Request::get("/accounts/acme").bearer(of("acme-app", "acme")),
        Request::get("/reports/2025"),
        Request::get("/reports/2024").bearer(of("robot", "")),
    ];
    for request in &good {
        bed.send(request).expect(200);
    }
    bed.proxy.await_records(good.len());
    let log = bed.dir.path().join("decisions.log");
    std::fs::write(&log, bed.proxy.log_text()).expect("a file");
    let learned = learn(&bed, &log, &[]);
    let policy = learned["policy"].as_str().expect("text");
    bed.proxy.reload(policy).expect("a good policy");
    for request in &good {
        assert_eq!(
            bed.send(request).status,
            200,
            "{}\n{policy}",
            request.target
        );
    }
    for request in [
        Request::get("/accounts/acme"),
        Request::get("/accounts/globex").bearer(of("acme-app", "acme")),
        Request::get("/reports/2024"),
        Request::get("/reports/2024").bearer(of("acme-app", "acme")),
    ] {
        let status = bed.send(&request).status;
        assert!(
            [401, 403].contains(&status),
            "{status} {}\n{policy}",
            request.target
        );
    }
}

#[test]
fn a_reference_in_a_record_is_written_as_the_text_that_it_is() {
    const SCOPES: [&str; 3] = ["${AGENT_SECRET}", "${file:/etc/hostname}", "$${x}"];
    let bed = Setup::bare(OBSERVED).upstream(upstream()).start();
    let with = |scope: &str| {
        let token = token(&bed, ("web", "", scope)).sign();
        bed.send(&Request::get("/orders").bearer(token)).status
    };
    assert_eq!(with(&SCOPES.join(" ")), 200);
    bed.proxy.await_records(1);
    let log = bed.dir.path().join("decisions.log");
    std::fs::write(&log, bed.proxy.log_text()).expect("a file");
    let learned = learn(&bed, &log, &[]);
    let policy = learned["policy"].as_str().expect("text");
    assert!(policy.contains("$${AGENT_SECRET}"), "{policy}");
    bed.proxy.reload(policy).expect("a good policy");
    assert_eq!(with(&SCOPES.join(" ")), 200, "{policy}");
    for at in 0..SCOPES.len() {
        let mut fewer = SCOPES.to_vec();
        fewer.remove(at);
        assert_eq!(with(&fewer.join(" ")), 403, "{policy}");
    }
}
