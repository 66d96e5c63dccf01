//! `countersign replay`: recorded requests under another configuration.

use serde_json::Value;

use super::{path, run};
use crate::bed::{Request, Setup};

const OLD: &str = "
callers:
  web: {issuer: main, client: web}
  robot: {issuer: main, client: robot}
routes:
  - path: /orders/**
    allow: [web, robot]
  - path: /health
    allow: anyone
  - path: /admin
    allow: nobody
";

#[test]
fn what_a_running_proxy_decided_is_replayed_and_what_another_policy_decides_is_what_a_proxy_with_it_does()
 {
    let bed = Setup::new(OLD).start();
    let web = bed.token().sign();
    let robot = bed.token().claim("azp", "robot").sign();
    let requests = [
        Request::get("/orders/1").bearer(&web),
        Request::get("/orders/2").bearer(&web),
        Request::get("/orders/3").bearer(&robot),
        Request::post("/orders", "x").bearer(&robot),
        Request::get("/admin").bearer(&web),
        Request::get("/orders/1"),
        Request::get("/orders/1").bearer(bed.token().expires_in(-600).sign()),
        Request::get("/orders//1").bearer(&web),
        Request::get("/health"),
    ];
    let then: Vec<u16> = requests
        .iter()
        .map(|request| bed.send(request).status)
        .collect();
    bed.proxy.await_records(requests.len());
    let log = bed.dir.path().join("decisions.log");
    std::fs::write(&log, bed.proxy.log_text()).expect("a file");
    let replay = |config: &str| {
        let (code, out, err) = run(&["replay", path(&log), "--config", config, "--output", "json"]);
        let told: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
        (code, told)
    };
    // The same policy decides as it did.
    let (code, told) = replay(path(&bed.config));
    assert_eq!((code, &told["different"]), (0, &Value::from(0)), "{told:#}");
    assert_eq!(
        (&told["same"], &told["unknown"]),
        (&Value::from(8), &Value::from(1))
    );

    let write = |policy: &str| {
        let file = bed.dir.path().join("new.yaml");
        let text = bed.text.replace(OLD, policy);
        std::fs::write(&file, &text).expect("a file");
        (file, text)
    };
    let narrow = OLD.replace("[web, robot]", "web");
    let (file, _) = write(&narrow);
    let (code, told) = replay(path(&file));
    assert_eq!(
        (code, &told["verdict"]),
        (1, &Value::from("narrower")),
        "{told:#}"
    );
    assert_eq!(told["differences"][0]["client"], "robot");
    assert_eq!(told["differences"][0]["requests"], 2);
    assert_eq!(told["differences"][0]["now"], "caller_not_allowed");

    let wide = narrow.replace("allow: nobody", "allow: web");
    let (file, text) = write(&wide);
    let (code, told) = replay(path(&file));
    assert_eq!(
        (code, &told["verdict"]),
        (2, &Value::from("wider")),
        "{told:#}"
    );
    let changed: u64 = told["differences"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["requests"].as_u64().expect("a number"))
        .sum();
    // A proxy with that policy does what was said.
    bed.proxy.reload(&text).expect("a good policy");
    let now: Vec<u16> = requests
        .iter()
        .map(|request| bed.send(request).status)
        .collect();
    let really = then
        .iter()
        .zip(&now)
        .filter(|(then, now)| then != now)
        .count();
    assert_eq!(
        changed,
        u64::try_from(really).expect("few"),
        "{then:?} {now:?} {told:#}"
    );

    let (code, out, _) = run(&["replay", path(&log), "--config", path(&file)]);
    assert_eq!(code, 2);
    for line in [
        "9 requests: 5 decided alike, 3 differently, 1 of which the record says too little",
        "may be let in  anonymous  /admin      no_token, was nobody_may  1         GET /admin",
        "refused        robot      /orders/**  caller_not_allowed        2         GET /orders/3",
    ] {
        assert!(out.lines().any(|own| own == line), "{line}\n{out}");
    }
    // 2 is "wider": what could not be compared has another code.
    assert_eq!(run(&["replay", "none.log", "--config", path(&file)]).0, 64);
    assert_eq!(run(&["replay", "--no-such-option"]).0, 64);
    assert_eq!(run(&["replay"]).0, 64);
    assert_eq!(run(&["replay", "--help"]).0, 0);
    assert_eq!(run(&["replay", path(&log), "--config", path(&log)]).0, 64);
}
