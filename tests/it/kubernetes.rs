//! The charts, without a cluster: real Helm, the schemas of every Kubernetes version, and `countersign check`. What is looked
//! at, and how, is in `tests/kubernetes`.

use std::process::Command;

#[cfg(target_os = "linux")]
use crate::bed::{Bed, Connection, Request, Setup, eventually};
use crate::program::{node, python_with, root, run, skip};

/// The Python that has what `tests/kubernetes/requirements.txt` names.
fn charts(test: &str) -> Option<Command> {
    let mut python = python_with(
        "helm",
        "cryptography, helm_python, kubernetes_validate, yaml",
    )?;
    python
        .arg(root().join("tests/kubernetes/charts.py"))
        .arg(test)
        .env("COUNTERSIGN", env!("CARGO_BIN_EXE_countersign"));
    Some(python)
}

/// Runs one test of the charts on this input; it must have looked at so many things at least.
fn passes(test: &str, input: &str, least: u64) {
    let Some(mut python) = charts(test) else {
        return;
    };
    let output = run(&mut python, input);
    let said = String::from_utf8_lossy(&output.stdout);
    if let Some(why) = said.strip_prefix("ok skipped: ") {
        skip("promtool", why.trim());
        return;
    }
    let looked = said
        .lines()
        .find_map(|line| line.strip_prefix("ok "))
        .and_then(|number| number.parse().ok())
        .unwrap_or(0);
    assert!(
        output.status.success() && looked >= least,
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn charts_pass_a_strict_lint_with_and_without_values() {
    passes("lint", "", 5);
}

#[test]
fn charts_render_what_every_kubernetes_version_takes_for_every_example_and_switch() {
    passes("switches", "", 150);
}

#[test]
fn charts_custom_resources_are_what_their_operators_take() {
    let Some(mut python) = charts("custom") else {
        return;
    };
    let Some(mut node) = node("crds", "tests/kubernetes") else {
        return;
    };
    let resources = run(&mut python, "");
    let said = String::from_utf8_lossy(&resources.stdout);
    let list = said.lines().next().unwrap_or_default();
    let output = run(node.arg("crds.mjs"), list);
    assert!(
        output.status.success() && output.stdout.starts_with(b"ok "),
        "{}{}",
        String::from_utf8_lossy(&resources.stderr),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn charts_work_packaged_and_under_aliases() {
    passes("packages", "", 3);
}

#[test]
fn charts_refuse_misspelt_values_and_what_cannot_work() {
    passes("refused", "", 20);
}

#[test]
fn charts_put_the_webhook_where_it_is_called_and_start_it_with_flags_that_it_has() {
    passes("webhook", "", 15);
}

#[test]
fn what_inject_prints_is_what_every_kubernetes_version_takes() {
    passes("inject", "", 100);
}

#[test]
fn what_inject_makes_is_what_the_library_chart_renders() {
    passes("agreement", "", 9);
}

#[test]
fn charts_show_the_configurations_that_other_tests_prove() {
    passes("examples", "", 4);
}

#[test]
fn charts_alerts_fire_when_they_should_and_only_then() {
    passes("alerts", "", 40);
}

#[test]
fn the_pages_on_kubernetes_and_on_moving_show_configurations_that_are_valid() {
    passes("docs", "", 7);
}

#[test]
fn the_dockerfile_is_clean() {
    passes("dockerfile", "", 2);
}

/// Where it fails: `charts/schema/generate`.
#[test]
fn charts_know_the_programs_own_configuration() {
    passes("schema", "", 2);
}

#[cfg(target_os = "linux")]
/// What a proxy exports that is used, and one whose upstream can be reached around it.
fn exported() -> String {
    let setup = || {
        Setup::new(
            r"
callers: {known: {issuer: main}}
routes:
  - {path: /public, allow: anyone}
  - {path: /**, allow: known}
",
        )
    };
    let bed = setup().tls().start();
    bed.send(&Request::get("/public")).expect(200);
    bed.send(&Request::get("/private")).expect(401);
    for _ in 0..2 {
        bed.get("/private", &bed.token().sign()).expect(200);
    }
    // No TLS where TLS is spoken: a connection that ends before there is a request.
    Connection::open(bed.proxy.address("tls"))
        .send("GET / HTTP/1.1\r\n\r\n")
        .read_end();
    eventually("the refusal is counted", || {
        bed.proxy
            .metric("countersign_connection_refusals_total", "tls_handshake")
            > 0.5
    });
    let credential = "
credentials:
  agent:
    token_endpoint: {url: 'http://127.0.0.1:1/token'}
    allow_http: true
    client_id: agent
    client_authentication: {client_secret_basic: {file: '@DIR@/secret'}}
outbound: {listen: 127.0.0.1:0, upstream: 'http://127.0.0.1:1', credential: agent}
";
    let lines = "callers: {known: {issuer: main}}\nroutes: [{path: /, allow: known}]\n";
    let outbound = Setup::new(&format!("{lines}{credential}"))
        .file("secret", "hush hush hush")
        .start();
    eventually("a token request failed", || {
        outbound
            .proxy
            .metric("countersign_credential_requests_total", "unreachable")
            > 0.5
    });
    let everywhere = std::net::TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = everywhere.local_addr().expect("an address").port();
    let around = setup()
        .upstream_url(&format!("http://127.0.0.1:{port}"))
        .start();
    around.proxy.await_event("upstream.exposed");
    let metrics = |bed: &Bed| bed.proxy.admin_get("/metrics").expect(200).text();
    metrics(&bed) + &metrics(&outbound) + &metrics(&around)
}

#[test]
#[cfg(target_os = "linux")]
fn charts_alert_on_and_show_series_that_exist() {
    passes("metrics", &exported(), 15);
}
