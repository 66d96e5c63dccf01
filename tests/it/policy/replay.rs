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

/// A gate that read nothing must not pass.
#[test]
fn a_log_that_could_not_be_read_is_told_and_does_not_pass() {
    let bed = Setup::new(OLD).start();
    bed.send(&Request::get("/orders/1").bearer(bed.token().sign()));
    bed.send(&Request::get("/orders/1").bearer(bed.token().expires_in(-600).sign()));
    bed.proxy.await_records(2);
    let all = bed.proxy.log_text();
    let of = |decision: &str| -> String {
        let mut own = all
            .lines()
            .filter(|line| line.contains(r#""type":"request""#));
        let found = own.find(|line| line.contains(decision));
        found.expect("a record").to_owned() + "\n"
    };
    let good = of(r#""decision":"allowed""#);
    let refused = of("token_expired");
    let replay = |log: &str| {
        let file = bed.dir.path().join("decisions.log");
        std::fs::write(&file, log).expect("a file");
        let config = path(&bed.config);
        let (code, _, err) = run(&["replay", path(&file), "--config", config]);
        let json = run(&[
            "replay",
            path(&file),
            "--config",
            config,
            "--output",
            "json",
        ]);
        assert_eq!(json.0, code, "{log}");
        let told: Value = serde_json::from_str(&json.1).expect("a document");
        (
            code,
            told["verdict"].as_str().expect("a word").to_owned(),
            err,
        )
    };
    let wrapped = serde_json::json!({"log": good, "stream": "stdout"}).to_string();
    for (log, why) in [
        (String::new(), "no record of a request was read (0 lines)"),
        ("garbage\n".to_owned(), "no record of a request was read"),
        (wrapped, "no record of a request was read"),
        (good.replace(r#"{"v":1"#, r#"{"v":2"#), "cannot be read"),
        (
            format!("{good}{{\"v\":1,\n"),
            "lines that begin like decision records and cannot be read: 1;",
        ),
        (refused.clone(), "say too little of every request"),
    ] {
        let (code, verdict, err) = replay(&log);
        assert_eq!((code, verdict.as_str()), (2, "unknown"), "{log}");
        assert!(err.contains(why), "{log}: {err}");
    }
    // Lines of others are passed over, and one record of which little is known is no reason to doubt the rest.
    for log in [
        good.clone(),
        format!("INFO: of another program\n{good}"),
        format!("{good}{refused}"),
    ] {
        let (code, verdict, err) = replay(&log);
        assert_eq!((code, verdict.as_str()), (0, "same"), "{log}");
        assert!(!err.contains("countersign: "), "{err}");
    }
}
