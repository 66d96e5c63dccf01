//! Decision receipts, by the logs of running proxies and the program that verifies them.

use std::path::{Path, PathBuf};
use std::process::Command;

use countersign::identity::{SigningAlgorithm, generate_text};
use serde_json::Value;

use crate::bed::{Bed, Proxy, Request, Setup, eventually};
use crate::program;

const ROUTES: &str = "
log: {level: debug, receipts: {key: {file: @DIR@/receipts.pem}, lines: 6, every: 1h}}
routes:
  - path: /orders/**
    allow: {issuer: main}
  - path: /health
    allow: anyone
";

fn pem() -> String {
    let (text, _) = generate_text(SigningAlgorithm::Es256).expect("a key");
    text.to_string()
}

/// A proxy that seals with this key, after some requests.
fn start(pem: &str) -> Bed {
    let bed = Setup::new(ROUTES).file("receipts.pem", pem).start();
    traffic(&bed, 0);
    bed
}

/// Requests that are allowed and refused; there were `before` records.
fn traffic(bed: &Bed, before: usize) {
    let token = bed.token().sign();
    for request in [
        Request::get("/orders/1").bearer(&token),
        Request::get("/orders/2?access_token=x").bearer(&token),
        Request::get("/orders/3"),
        Request::get("/health"),
        Request::get("/nowhere"),
        Request::get("/orders//4").bearer(&token),
    ] {
        bed.send(&request);
    }
    bed.proxy.await_records(before + 6);
}

/// Ends the proxy and returns its log.
fn log_of(proxy: Proxy) -> String {
    log_of_end(proxy, 1)
}

/// The same, when there are so many ends.
fn log_of_end(proxy: Proxy, ends: usize) -> String {
    let stopping = proxy.stop();
    eventually("the end is sealed", || {
        let log = stopping.proxy().log_text();
        log.matches(r#""receipt":"end""#).count() >= ends
    });
    let log = stopping.proxy().log_text() + "\n";
    stopping.await_end();
    log
}

struct Auditor {
    dir: tempfile::TempDir,
}

impl Auditor {
    fn new(keys: &[u8]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("keys.json"), keys).expect("a file");
        Self { dir }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }

    /// Exit code and what is told.
    fn verify(&self, log: &str) -> (i32, Value) {
        let log = self.file("decisions.log", log);
        self.verify_files(&[log])
    }

    fn verify_files(&self, logs: &[PathBuf]) -> (i32, Value) {
        let keys = self.dir.path().join("keys.json");
        run(logs, &["--output", "json", "--keys"], &keys)
    }
}

fn run(logs: &[PathBuf], options: &[&str], last: &Path) -> (i32, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(["receipts", "verify"])
        .args(logs)
        .args(options)
        .arg(last)
        .env_clear()
        .output()
        .expect("the program");
    let told = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code().expect("a code"), told)
}

fn joined(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn removing_altering_moving_or_repeating_any_line_of_a_log_is_detected() {
    let bed = start(&pem());
    let keys = bed.proxy.admin_get("/.well-known/jwks.json").expect(200);
    let auditor = Auditor::new(&keys.body);
    let log = log_of(bed.proxy);
    let (code, told) = auditor.verify(&log);
    assert_eq!(
        (code, &told["verdict"]),
        (0, &Value::from("intact")),
        "{told:#}\n{log}"
    );
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(told["receipts"], lines.len());
    assert_eq!(
        (&told["processes"], &told["dropped"]),
        (&1.into(), &0.into())
    );
    assert!(
        lines.len() > 12 && told["seals"].as_u64() >= Some(3),
        "{told:#}"
    );
    let last = lines.len() - 1;
    for at in 0..=last {
        let mut edited: Vec<(&str, Vec<&str>)> = Vec::new();
        let mut removed = lines.clone();
        removed.remove(at);
        edited.push(("removed", removed));
        let mut repeated = lines.clone();
        repeated.insert(at, lines[at]);
        edited.push(("repeated", repeated));
        if at < last {
            let mut moved = lines.clone();
            moved.swap(at, at + 1);
            edited.push(("moved", moved));
        }
        let mut bytes = lines[at].as_bytes().to_vec();
        let place = (at * 37) % bytes.len();
        bytes[place] ^= 1;
        let altered = String::from_utf8(bytes).expect("text");
        let mut other = lines.clone();
        other[at] = &altered;
        edited.push(("altered", other));
        for (what, edited) in edited {
            let (code, told) = auditor.verify(&joined(&edited));
            // Without its last line the log has no end, which is told apart.
            let expected = if what == "removed" && at == last {
                3
            } else {
                1
            };
            assert_eq!(code, expected, "{what} {at}: {told:#}");
        }
    }
    // Cut off anywhere, it is not whole; what was sealed is.
    for kept in 1..lines.len() {
        let (code, told) = auditor.verify(&joined(&lines[..kept]));
        assert_eq!(
            (code, &told["verdict"]),
            (3, &Value::from("open")),
            "{kept}"
        );
    }
    let forged = lines[2].replace(r#""seq""#, r#""sequence""#);
    let mut inserted = lines.clone();
    inserted.insert(5, &forged);
    assert_eq!(auditor.verify(&joined(&inserted)).0, 1);
    assert_eq!(auditor.verify("nothing of ours\n").0, 1);
}

#[test]
fn runs_of_several_processes_verify_in_one_log_in_rotated_files_and_mixed() {
    let key = pem();
    let (first, second) = (start(&key), start(&key));
    let keys = first.proxy.admin_get("/.well-known/jwks.json").expect(200);
    let auditor = Auditor::new(&keys.body);
    let (first, second) = (log_of(first.proxy), log_of(second.proxy));
    let one: Vec<&str> = first.lines().collect();
    let two: Vec<&str> = second.lines().collect();
    let (code, told) = auditor.verify(&format!("{first}INFO: restarted\n{second}"));
    assert_eq!(
        (code, &told["processes"], &told["other"]),
        (0, &2.into(), &1.into()),
        "{told:#}"
    );
    let (start, rest) = one.split_at(7);
    let rotated = [
        auditor.file("app.log.2", &joined(start)),
        auditor.file("app.log.1", &joined(rest)),
        auditor.file("app.log", &second),
    ];
    assert_eq!(auditor.verify_files(&rotated).0, 0);
    let [a, b, c] = rotated;
    assert_eq!(auditor.verify_files(&[b, a, c]).0, 1, "in the wrong order");
    let mixed: Vec<&str> = (0..one.len().max(two.len()))
        .flat_map(|at| [one.get(at), two.get(at)])
        .flatten()
        .copied()
        .collect();
    let (code, told) = auditor.verify(&joined(&mixed));
    assert_eq!((code, &told["processes"]), (0, &2.into()), "{told:#}");
    // A seal of another process does not seal this one's lines.
    let mut swapped = one.clone();
    swapped[one.len() - 1] = two[two.len() - 1];
    assert_eq!(auditor.verify(&joined(&swapped)).0, 1);
    // One that was killed leaves no end; the next one's log is read all the same.
    let killed = joined(&one[..one.len() - 1]) + &second;
    let (code, told) = auditor.verify(&killed);
    assert_eq!(
        (code, told["unended"].as_array().map(Vec::len)),
        (3, Some(1))
    );
}

#[test]
fn a_rotation_of_the_key_is_followed_and_old_keys_stay_published() {
    let bed = start(&pem());
    let before = bed.proxy.admin_get("/.well-known/jwks.json").expect(200);
    std::fs::write(bed.dir.path().join("receipts.pem"), pem()).expect("a file");
    bed.proxy.reload_as_is().expect("a good configuration");
    traffic(&bed, 6);
    // Longer than replaced keys of identity stay published.
    bed.clock.advance(std::time::Duration::from_secs(7200));
    let after = bed.proxy.admin_get("/.well-known/jwks.json").expect(200);
    let log = log_of(bed.proxy);
    let (code, told) = Auditor::new(&after.body).verify(&log);
    assert_eq!(code, 0, "{told:#}");
    // The configuration has the new key alone.
    let path = bed.dir.path().join("decisions.log");
    std::fs::write(&path, &log).expect("a file");
    let (code, told) = run(&[path], &["--output", "json", "--config"], &bed.config);
    assert_eq!(
        (code, &told["named"][0]["fault"]),
        (1, &"unknown_key".into()),
        "{told:#}"
    );
    let (code, told) = Auditor::new(&before.body).verify(&log);
    assert_eq!(
        (code, &told["named"][0]["fault"]),
        (1, &"unknown_key".into()),
        "{told:#}"
    );
}

#[test]
fn receipts_are_switched_on_and_off_by_a_reload_and_are_off_unless_asked_for() {
    let bed = start(&pem());
    let keys = bed.proxy.admin_get("/.well-known/jwks.json").expect(200);
    let auditor = Auditor::new(&keys.body);
    assert!(
        bed.proxy
            .metric("countersign_receipt_seals_total", "signed")
            >= 2.0
    );
    let off = bed.text.replace(", receipts: {", ", subject: plain} #");
    bed.proxy.reload(&off).expect("a good configuration");
    traffic(&bed, 6);
    let log = bed.proxy.log_text();
    let (end, _) = log
        .lines()
        .enumerate()
        .find(|(_, line)| line.contains(r#""receipt":"end""#))
        .expect("an end");
    let lines: Vec<&str> = log.lines().collect();
    let (code, told) = auditor.verify(&joined(&lines[..=end]));
    assert_eq!(code, 0, "{told:#}");
    assert!(
        lines[end + 1..]
            .iter()
            .all(|line| !line.contains(r#""chain""#))
    );
    // Records without receipts are no part of what was sealed.
    let (code, told) = auditor.verify(&joined(&lines));
    assert_eq!((code, &told["named"][0]["fault"]), (1, &"plain".into()));
    // On again: a log of its own.
    bed.proxy
        .reload(&bed.text.clone())
        .expect("a good configuration");
    traffic(&bed, 12);
    let log = log_of_end(bed.proxy, 2);
    let again: Vec<&str> = log
        .lines()
        .skip_while(|line| !line.contains(r#""receipt":"end""#))
        .skip_while(|line| !line.contains(r#""receipt":"begin""#))
        .collect();
    assert_eq!(auditor.verify(&joined(&again)).0, 0);
}

#[test]
fn what_cannot_be_read_is_told_by_exit_codes() {
    let auditor = Auditor::new(b"{\"keys\": []}");
    assert_eq!(auditor.verify("").0, 2, "no usable key");
    let nowhere = Path::new("nowhere");
    assert_eq!(run(&[nowhere.into()], &["--keys"], nowhere).0, 2);
    assert_eq!(run(&[nowhere.into()], &["--config"], nowhere).0, 64);
    let bed = Setup::new("routes: [{path: /health, allow: anyone}]\n").start();
    let (code, _) = run(
        std::slice::from_ref(&bed.config),
        &["--config"],
        &bed.config,
    );
    assert_eq!(code, 64, "no receipts are configured");
}

#[test]
fn people_are_told_where_a_log_is_broken_and_where_it_has_no_end() {
    let bed = start(&pem());
    let keys = bed.proxy.admin_get("/.well-known/jwks.json").expect(200);
    let auditor = Auditor::new(&keys.body);
    let log = log_of(bed.proxy);
    let text = |log: &str| {
        let path = auditor.file("decisions.log", log);
        let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .current_dir(auditor.dir.path())
            .args(["receipts", "verify", "decisions.log", "--keys", "keys.json"])
            .env_clear()
            .output()
            .expect("the program");
        std::fs::remove_file(path).expect("a file");
        String::from_utf8(output.stdout).expect("text")
    };
    let lines: Vec<&str> = log.lines().collect();
    let all = lines.len();
    let seals = lines
        .iter()
        .filter(|line| line.contains(r#""jws""#))
        .count();
    let whole = format!("intact: {all} receipts of 1 process, {seals} seals\n");
    assert_eq!(text(&log), whole);
    let altered = text(&log.replacen("/orders/1", "/orders/7", 1));
    let at = lines.iter().position(|line| line.contains("/orders/1"));
    let place = format!("error: decisions.log:{}: altered", at.expect("a line") + 1);
    assert!(
        altered.starts_with("broken: ") && altered.contains(&place),
        "{altered}"
    );
    let open = text(&joined(&lines[..all - 1]));
    assert!(
        open.starts_with("open: ") && open.contains("(decisions.log:1) has no end"),
        "{open}"
    );
}

/// The script that docs/decision-record.md shows.
#[test]
fn the_script_in_the_documentation_verifies_a_log_and_notices_an_altered_line() {
    let Some(python) = program::python_with("the script of receipts", "jwt, cryptography") else {
        return;
    };
    let page = std::fs::read_to_string(program::root().join("docs/decision-record.md"));
    let page = page.expect("a page");
    let (_, rest) = page.split_once("```python\n").expect("a script");
    let (script, _) = rest.split_once("```").expect("its end");
    let bed = start(&pem());
    let keys = bed.proxy.admin_get("/.well-known/jwks.json").expect(200);
    let auditor = Auditor::new(&keys.body);
    let script = auditor.file("receipts.py", script);
    let log = log_of(bed.proxy);
    let judged = |log: &str| {
        let mut command = Command::new(python.get_program());
        command
            .arg(&script)
            .arg(auditor.dir.path().join("keys.json"));
        let output = program::run(&mut command, log);
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (code, error) = judged(&log);
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(
        judged(&log.replacen("/orders/1", "/orders/7", 1)).0,
        Some(1)
    );
    let (cut, _) = log.trim_end().rsplit_once('\n').expect("lines");
    assert_eq!(judged(cut).0, Some(3));
    // Links can be reckoned without a key: records that say `begin` and `end` seal nothing, and a log starts with its beginning.
    let (_, headless) = log.split_once('\n').expect("lines");
    for (wrong, why) in [
        (FORGED, "no log begins here"),
        (headless, "no log begins here"),
        ("", "there are no receipts"),
    ] {
        let (code, error) = judged(wrong);
        assert_eq!(code, Some(1), "{wrong}");
        assert!(error.contains(why), "{error}");
    }
    let behind = log.clone() + FORGED;
    assert_eq!(judged(&behind).0, Some(1));
    assert_eq!(auditor.verify(FORGED).0, 1);
}

/// Records in a chain that was made without a key, and that call themselves the beginning and the end of it.
const FORGED: &str = r#"{"v":1,"type":"request","receipt":"begin","process":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","decision":"allowed","seq":0,"chain":"UXcjf-oGXoeVC6NiT7VXLEfKdJug1CR7GH7UsvX_B64"}
{"v":1,"type":"request","decision":"denied","path":"/forged","seq":1,"chain":"Nq9RQoErhfScFqouE871usolKGAXBEcXZynDhBBCSLM"}
{"v":1,"type":"request","receipt":"end","decision":"allowed","seq":2,"chain":"q76g5Q0PkwM4sY-IGhkh7Oq9MR3q8r6DbHcp_kK3kHU"}
"#;
