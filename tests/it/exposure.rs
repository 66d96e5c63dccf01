//! Ways around the proxy, in a network of a test's own: loopback, and addresses as a pod has them.
#![cfg(target_os = "linux")]

use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::bed::{Bed, Setup, eventually};
use crate::program::skip;

const INSIDE: &str = "exposure::a_network_of_its_own";

/// Addresses of the network beside loopback.
const POD: &str = "10.9.8.7";
const POD6: &str = "fd00::7";

#[test]
fn t16_ways_around_the_proxy_are_noticed_in_a_network_of_its_own() {
    let network =
        "ip link set lo up && ip addr add 10.9.8.7/32 dev lo && ip addr add fd00::7/128 dev lo";
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net", "sh", "-c", script, "sh"]);
        command
    };
    let possible = unshare(network).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        return skip("unshare", "no network namespace can be made here");
    }
    let output = unshare(&format!("{network} && exec \"$@\""))
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", INSIDE, "--ignored", "--nocapture"])
        .output()
        .expect("a network namespace");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
#[ignore = "run by t16_ways_around_the_proxy_are_noticed_in_a_network_of_its_own"]
fn a_network_of_its_own() {
    TcpListener::bind((POD, 0)).expect("not run by hand: it needs a network of its own");
    every_place_is_told_from_loopback();
    a_proxy_on_the_pods_address_is_no_way_around_itself();
    a_change_is_noticed_as_time_passes_and_so_is_its_end();
    unready_keeps_the_proxy_unready_while_it_lasts();
    a_reload_that_moves_the_upstream_looks_at_its_new_port();
}

fn listen(address: &str, port: u16) -> (TcpListener, u16) {
    let listener = TcpListener::bind((address, port)).expect(address);
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

fn before(upstream: &str, inbound: &str) -> Bed {
    Setup::new("routes: [{path: /open, allow: anyone}]\n")
        .upstream_url(upstream)
        .inbound(inbound)
        .start()
}

fn ready(bed: &Bed) -> (u16, Value) {
    let answer = bed.proxy.admin_get("/readyz?verbose");
    let body = serde_json::from_slice(&answer.body).expect("JSON");
    (answer.status, body)
}

fn status(bed: &Bed) -> Value {
    let answer = bed.proxy.admin_get("/status").expect(200);
    let status: Value = serde_json::from_slice(&answer.body).expect("JSON");
    status["upstreams"].clone()
}

fn told(bed: &Bed, event: &str) -> usize {
    let events = bed.proxy.events();
    events.iter().filter(|line| line["event"] == event).count()
}

fn exposed(bed: &Bed) -> f64 {
    bed.proxy.metric("countersign_upstream_exposed", "plain")
}

fn every_place_is_told_from_loopback() {
    // Where the application listens, as what, and what it is to others.
    let rows: &[(&str, &str, Option<&str>)] = &[
        ("127.0.0.1", "127.0.0.1", None),
        ("127.8.9.1", "127.8.9.1", None),
        ("::1", "[::1]", None),
        ("::ffff:127.0.0.1", "127.0.0.1", None),
        ("127.0.0.1", "localhost", None),
        ("0.0.0.0", "127.0.0.1", Some("0.0.0.0")),
        ("0.0.0.0", "localhost", Some("0.0.0.0")),
        ("::", "[::1]", Some("[::]")),
        // Dual-stack: IPv4 gets in, too.
        ("::", "127.0.0.1", Some("[::]")),
        ("::ffff:0.0.0.0", "127.0.0.1", Some("0.0.0.0")),
        (POD, "127.0.0.1", Some(POD)),
        ("::ffff:10.9.8.7", "127.0.0.1", Some(POD)),
        (POD6, "[::1]", Some("[fd00::7]")),
    ];
    for (address, upstream, open) in rows {
        let (_app, port) = listen(address, 0);
        let bed = before(&format!("http://{upstream}:{port}"), "");
        let (code, readiness) = ready(&bed);
        assert_eq!(code, 200, "{address}: reported, no more");
        let upstreams = status(&bed);
        assert_eq!(upstreams[0]["listener"], "plain", "{address}");
        let degraded = readiness["degraded"].to_string();
        if let Some(open) = open {
            let place = format!("{open}:{port}");
            assert_eq!(upstreams[0]["exposure"], "exposed", "{address}");
            assert_eq!(upstreams[0]["listens_on"], serde_json::json!([place]));
            assert!(degraded.contains(&place), "{address}: {degraded}");
            assert!((exposed(&bed) - 1.0).abs() < 0.1, "{address}");
            let event = bed.proxy.await_event("upstream.exposed");
            assert_eq!(event["listens_on"], place, "{address}: {event}");
            assert_eq!(told(&bed, "upstream.exposed"), 1, "{address}: said once");
        } else {
            assert_eq!(upstreams[0]["exposure"], "closed", "{address}");
            assert_eq!(degraded, "[]", "{address}");
            let series = bed.proxy.admin_get("/metrics").expect(200).text();
            assert!(
                series.contains("countersign_upstream_exposed{listener=\"plain\"} 0"),
                "{address}"
            );
            assert_eq!(told(&bed, "upstream.exposed"), 0, "{address}");
            assert_eq!(told(&bed, "upstream.closed"), 0, "{address}: no news");
        }
    }
    // One that is elsewhere has no say here, whatever listens on its port.
    let (_app, port) = listen("0.0.0.0", 0);
    let bed = before(&format!("http://{POD}:{port}"), "");
    assert_eq!(status(&bed), serde_json::json!([]));
    let socket = tempfile::tempdir().expect("a folder");
    let bed = before(&format!("unix:{}/app", socket.path().display()), "");
    assert_eq!(status(&bed), serde_json::json!([]));
}

fn a_proxy_on_the_pods_address_is_no_way_around_itself() {
    let (_app, port) = listen("127.0.0.1", 0);
    let head = format!(
        "workers: 1\nadmin: {{listen: 127.0.0.1:0}}\ninbound: {{name: plain, listen: \"{POD}:{port}\", upstream: \"http://127.0.0.1:{port}\"}}\n"
    );
    let lines = "routes: [{path: /open, allow: anyone}]\n";
    let bed = Setup::new(lines).head_only(&head).start();
    assert_eq!(
        bed.proxy.addr(),
        SocketAddr::new(POD.parse().expect("an address"), port)
    );
    assert_eq!(status(&bed)[0]["exposure"], "closed");
    // The twin: somebody else is there on another address.
    let _other = listen(POD6, port);
    assert_eq!(
        status(&bed)[0]["listens_on"],
        serde_json::json!([format!("[{POD6}]:{port}")])
    );
}

fn a_change_is_noticed_as_time_passes_and_so_is_its_end() {
    let (_app, port) = listen("127.0.0.1", 0);
    let bed = before(&format!("http://127.0.0.1:{port}"), "");
    assert_eq!(ready(&bed).1["degraded"], serde_json::json!([]));
    // Nobody asks from here on: the proxy looks by itself.
    for turn in 1..3 {
        let other = listen(POD, port);
        let began = bed.clock.tick();
        eventually("the way is noticed", || {
            bed.clock.advance(Duration::from_secs(10));
            told(&bed, "upstream.exposed") == turn
        });
        drop(other);
        eventually("its end is noticed", || {
            bed.clock.advance(Duration::from_secs(10));
            told(&bed, "upstream.closed") == turn
        });
        assert!(bed.clock.tick() > began);
        assert_eq!(told(&bed, "upstream.exposed"), turn, "each change once");
    }
    assert!(exposed(&bed) < 0.1);
}

fn unready_keeps_the_proxy_unready_while_it_lasts() {
    // The application comes after the proxy, as behind a native sidecar.
    let (app, port) = listen("127.0.0.1", 0);
    let url = format!("http://127.0.0.1:{port}");
    let bed = before(&url, "exposed_upstream: unready");
    assert_eq!(
        ready(&bed),
        (
            200,
            serde_json::json!({"ready": true, "missing": [], "degraded": []})
        )
    );
    drop(app);
    let app = listen("0.0.0.0", port);
    // No time passes: readiness is asked, and looks.
    let (code, readiness) = ready(&bed);
    assert_eq!(code, 503);
    assert!(
        readiness["missing"]
            .to_string()
            .contains("around the proxy")
    );
    assert!(bed.proxy.metric("countersign_ready_info", "") < 0.1);
    assert_eq!(
        bed.proxy.admin_get("/livez").status,
        200,
        "a restart mends nothing"
    );
    drop(app);
    let _app = listen("127.0.0.1", port);
    assert_eq!(ready(&bed).0, 200);
    assert!(bed.proxy.metric("countersign_ready_info", "") > 0.9);
}

fn a_reload_that_moves_the_upstream_looks_at_its_new_port() {
    let ((_closed, closed), (_open, open)) = (listen("127.0.0.1", 0), listen("0.0.0.0", 0));
    let bed = before(&format!("http://127.0.0.1:{closed}"), "");
    assert_eq!(status(&bed)[0]["exposure"], "closed");
    let moved = bed.text.replace(&format!(":{closed}"), &format!(":{open}"));
    bed.proxy.reload(&moved).expect("a reload");
    bed.proxy.await_event("upstream.exposed");
    assert_eq!(status(&bed)[0]["exposure"], "exposed");
    bed.proxy.reload(&bed.text).expect("a reload");
    bed.proxy.await_event("upstream.closed");
}
