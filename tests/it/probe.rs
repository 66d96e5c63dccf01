//! `countersign probe --upstream`: each planted oddity of an upstream is found, and nothing else.

use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::bed::upstream::Exchange;
use crate::bed::{Next, Upstream, tls};
use crate::program::{Program, python_with, skip};

/// Paths of the upstreams here.
const PATHS: [&str; 3] = ["/docs/intro", "/health", "/"];

/// How an upstream reads a target: the names of a path, or that it refuses.
type Reader = fn(&str) -> Option<Vec<String>>;

/// What a careful one does: cuts the query, splits at slashes, decodes each segment once.
fn strict(target: &str) -> Option<Vec<String>> {
    segments(path(target))
}

fn path(target: &str) -> &str {
    target.split('?').next().unwrap_or_default()
}

fn segments(path: &str) -> Option<Vec<String>> {
    names_of(path.strip_prefix('/')?)
}

fn names_of(path: &str) -> Option<Vec<String>> {
    path.split('/').map(decode).collect()
}

fn decode(segment: &str) -> Option<String> {
    String::from_utf8(bytes(segment)?).ok()
}

/// Decoded once; nothing where a `%` begins no escape.
fn bytes(segment: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = segment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            out.push(*first);
            rest = after;
        }
    }
    Some(out)
}

/// After decoding, each name changed.
fn names(target: &str, change: impl Fn(String) -> String) -> Option<Vec<String>> {
    Some(strict(target)?.into_iter().map(change).collect())
}

fn resolve(segments: Vec<String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for segment in segments {
        match segment.as_str() {
            "." => {}
            ".." => drop(out.pop()),
            _ => out.push(segment),
        }
    }
    out
}

/// Without what follows the first of these.
fn cut(text: &str, at: &str) -> String {
    text.split(at).next().unwrap_or_default().to_owned()
}

/// An overlong two-byte sequence is taken for the character that it spells.
fn lenient(segment: &str) -> Option<String> {
    let bytes = bytes(segment)?;
    let mut out = Vec::new();
    let mut rest = &bytes[..];
    while let Some((first, after)) = rest.split_first() {
        if matches!(first, 0xc0 | 0xc1) {
            out.push((first & 0x1f) << 6 | after.first()? & 0x3f);
            rest = &after[1..];
        } else {
            out.push(*first);
            rest = after;
        }
    }
    String::from_utf8(out).ok()
}

fn narrow(name: String) -> String {
    let narrowed = name.chars().map(|c| match u32::from(c) {
        wide @ 0xff01..=0xff5e => char::from_u32(wide - 0xfee0).expect("ASCII"),
        _ => c,
    });
    narrowed.collect()
}

/// What is planted, and what must be found.
const PLANTED: &[(&str, Reader, &[&str])] = &[
    ("a strict one", strict, &[]),
    (
        "folds case",
        |t| names(t, |name| name.to_lowercase()),
        &["letter_case"],
    ),
    (
        "merges slashes",
        |t| {
            let mut all = strict(t)?;
            let last = all.pop()?;
            all.retain(|name| !name.is_empty());
            all.push(last);
            Some(all)
        },
        &["empty_segment"],
    ),
    (
        "decodes %2f and then splits",
        |t| {
            Some(
                decode(path(t))?
                    .strip_prefix('/')?
                    .split('/')
                    .map(str::to_owned)
                    .collect(),
            )
        },
        &["encoded_slash"],
    ),
    (
        "cuts at ; before it decodes",
        |t| {
            let cut: Vec<_> = path(t)
                .split('/')
                .map(|segment| cut(segment, ";"))
                .collect();
            segments(&cut.join("/"))
        },
        &["semicolon"],
    ),
    (
        "cuts at ; after it has decoded",
        |t| names(t, |name| cut(&name, ";")),
        &["semicolon", "encoded_semicolon"],
    ),
    (
        "resolves dot segments before it decodes",
        |t| {
            let all = path(t)
                .strip_prefix('/')?
                .split('/')
                .map(str::to_owned)
                .collect();
            resolve(all).iter().map(|segment| decode(segment)).collect()
        },
        &["dot_segments"],
    ),
    (
        "resolves dot segments after it has decoded",
        |t| strict(t).map(resolve),
        &["dot_segments", "encoded_dot_segments"],
    ),
    (
        "cuts at ; and then resolves dot segments, as Tomcat did",
        |t| Some(resolve(names(t, |name| cut(&name, ";"))?)),
        &[
            "semicolon",
            "encoded_semicolon",
            "dot_segments",
            "encoded_dot_segments",
            "parameter_dot_segments",
        ],
    ),
    (
        "ignores a trailing slash",
        |t| {
            let mut all = strict(t)?;
            if all.len() > 1 && all.last().is_some_and(String::is_empty) {
                all.pop();
            }
            Some(all)
        },
        &["trailing_slash"],
    ),
    (
        "does not decode",
        |t| {
            Some(
                path(t)
                    .strip_prefix('/')?
                    .split('/')
                    .map(str::to_owned)
                    .collect(),
            )
        },
        &["encoded_letters"],
    ),
    (
        "decodes twice",
        |t| strict(t)?.iter().map(|name| decode(name)).collect(),
        &["encoded_twice"],
    ),
    (
        "takes a backslash for a slash",
        |t| segments(&path(t).replace('\\', "/")),
        &["backslash"],
    ),
    (
        "decodes and takes a backslash for a slash",
        |t| {
            let all = strict(t)?.join("/").replace('\\', "/");
            Some(all.split('/').map(str::to_owned).collect())
        },
        &["backslash", "encoded_backslash", "encoded_slash"],
    ),
    (
        "drops dots at the end, as Windows does",
        |t| names(t, |name| name.trim_end_matches('.').to_owned()),
        &["trailing_dot"],
    ),
    (
        "drops spaces at the end",
        |t| names(t, |name| name.trim_end_matches(' ').to_owned()),
        &["trailing_space"],
    ),
    (
        "takes + for a space and drops it",
        |t| {
            names(&t.replace('+', "%20"), |name| {
                name.trim_end_matches(' ').to_owned()
            })
        },
        &["plus", "trailing_space"],
    ),
    (
        "cuts at NUL",
        |t| names(t, |name| cut(&name, "\0")),
        &["nul"],
    ),
    (
        "drops line ends",
        |t| names(t, |name| name.trim_end_matches(['\n', '\t']).to_owned()),
        &["control_character"],
    ),
    (
        "cuts at an encoded question mark",
        |t| names(t, |name| cut(&name, "?")),
        &["encoded_question_mark"],
    ),
    ("cuts at &", |t| strict(&cut(t, "&")), &["ampersand"]),
    ("cuts at #", |t| strict(&cut(t, "#")), &["fragment"]),
    (
        "cuts at # after it has decoded",
        |t| names(t, |name| cut(&name, "#")),
        &["fragment", "encoded_fragment"],
    ),
    (
        "knows extensions",
        |t| {
            names(t, |name| {
                name.strip_suffix(".json").unwrap_or(&name).to_owned()
            })
        },
        &["extension"],
    ),
    (
        "takes overlong UTF-8",
        |t| {
            let all: Vec<_> = path(t)
                .strip_prefix('/')?
                .split('/')
                .map(lenient)
                .collect::<Option<_>>()?;
            Some(all.join("/").split('/').map(str::to_owned).collect())
        },
        &["overlong_utf8", "encoded_slash"],
    ),
    (
        "folds full-width characters",
        |t| names(t, narrow),
        &["unicode_compatibility"],
    ),
    (
        "decodes %u",
        |t| strict(&t.replace("%u00", "%")),
        &["percent_u"],
    ),
    (
        "cuts long paths",
        |t| {
            strict(path(t)).map(|mut all| {
                let last = all.pop().unwrap_or_default();
                all.push(if last.len() > 4000 {
                    last.trim_end_matches('x').to_owned()
                } else {
                    last
                });
                all
            })
        },
        &["long"],
    ),
    (
        "serves all that is below",
        |t| {
            let mut all = strict(t)?;
            let whole = all.join("/");
            all.retain(|name| !name.is_empty());
            match whole.as_str() {
                "docs/intro" | "health" | "" => strict(t),
                _ if all.first().is_some_and(|name| name == "health") && all.len() > 1 => {
                    Some(vec!["health".into()])
                }
                _ => strict(t),
            }
        },
        &["deeper_path"],
    ),
    (
        "serves all that begins so",
        |t| {
            let mut all = strict(t)?;
            for known in [&["docs", "intro"][..], &["health"]] {
                let (last, first) = known.split_last()?;
                let begins = all
                    .get(first.len())
                    .is_some_and(|name| name.starts_with(last));
                if begins && all[..first.len()] == *first {
                    all = known.iter().map(|name| (*name).to_owned()).collect();
                }
            }
            Some(all)
        },
        &["longer_name", "deeper_path"],
    ),
    (
        "does not mind what stands before",
        |t| {
            let all = strict(t)?;
            let mut known = ["docs/intro", "health"].into_iter().filter_map(names_of);
            Some(known.find(|known| all.ends_with(known)).unwrap_or(all))
        },
        &["leading_segments"],
    ),
];

/// What serves three paths, read so.
fn serving(read: impl Fn(&str) -> Option<Vec<String>> + Send + Sync + 'static) -> Upstream {
    Upstream::scripted(move |exchange| {
        let Some(names) = read(&exchange.request.target) else {
            return close(exchange, 400, "", "bad request");
        };
        match names.join("/").as_str() {
            // Names with slashes in them are no two names.
            _ if names.len() != names.join("/").split('/').count() => {
                close(exchange, 404, "", "not found")
            }
            "docs/intro" => close(exchange, 200, "", "an introduction"),
            "health" => close(exchange, 200, "", "well"),
            "" if names.len() == 1 => close(exchange, 200, "", "welcome"),
            _ => close(exchange, 404, "", "not found"),
        }
    })
}

fn close(
    exchange: &mut Exchange<'_>,
    status: u16,
    headers: &str,
    body: &str,
) -> std::io::Result<Next> {
    exchange.answer(status, headers, body.as_bytes())?;
    Ok(Next::Close)
}

fn probe(upstream: &str, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command
        .args(["probe", "--upstream", upstream, "--timeout", "20"])
        .args(more);
    command.output().expect("the program")
}

fn found(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

fn compared(upstream: &str, paths: &[&str]) -> (Option<i32>, Value) {
    let mut arguments = vec!["--output", "json"];
    arguments.extend(paths.iter().flat_map(|path| ["--path", path]));
    let output = probe(upstream, &arguments);
    (output.status.code(), found(&output))
}

fn readings(found: &Value) -> Vec<&str> {
    let all = found["differences"].as_array().expect("a list");
    let mut names: Vec<&str> = all
        .iter()
        .filter_map(|one| one["reading"].as_str())
        .collect();
    names.sort_unstable();
    names
}

fn safe(found: &Value, switch: &str) -> Value {
    let all = found["switches"].as_array().expect("a list");
    let one = all.iter().find(|one| one["switch"] == switch);
    one.expect("a switch")["safe"].clone()
}

/// What the proxy never lets pass, or only by a switch that the program judges.
const HELD: [&str; 19] = [
    "letter_case",
    "trailing_slash",
    "empty_segment",
    "encoded_slash",
    "semicolon",
    "encoded_semicolon",
    "dot_segments",
    "encoded_dot_segments",
    "parameter_dot_segments",
    "backslash",
    "encoded_backslash",
    "encoded_twice",
    "nul",
    "control_character",
    "encoded_question_mark",
    "fragment",
    "encoded_fragment",
    "overlong_utf8",
    "percent_u",
];

#[test]
fn each_planted_difference_is_found_and_nothing_else() {
    for (name, read, expected) in PLANTED {
        let upstream = serving(read);
        let (code, found) = compared(&upstream.url(), &PATHS);
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(readings(&found), expected, "{name}: {found:#}");
        for path in found["paths"].as_array().expect("a list") {
            assert_eq!(path["tells_nothing"], Value::Null, "{name}: {path}");
            assert_eq!(path["compared"], "content");
        }
        for difference in found["differences"].as_array().expect("a list") {
            let reading = difference["reading"].as_str().expect("a name");
            assert_eq!(
                difference["held"],
                HELD.contains(&reading),
                "{name}: {difference}"
            );
        }
        let open = expected.iter().any(|reading| !HELD.contains(reading));
        assert_eq!(
            (code, &found["open"]),
            (Some(if open { 3 } else { 0 }), &json!(open)),
            "{name}"
        );
        // A switch is safe where what it lets pass was not among the differences.
        for (switch, by) in [
            ("encoded_slash", &["encoded_slash"][..]),
            ("empty_segment", &["empty_segment"]),
            ("semicolon", &["semicolon", "encoded_semicolon"]),
            ("encoded_percent", &["encoded_twice"]),
            ("near_miss", &["letter_case", "trailing_slash"]),
        ] {
            let right = !expected.iter().any(|reading| by.contains(reading));
            assert_eq!(safe(&found, switch), right, "{name}: {switch}");
        }
    }
}

#[test]
fn targets_are_sent_byte_for_byte_and_the_operators_headers_with_them() {
    let upstream = serving(strict);
    let output = probe(
        &upstream.url(),
        &[
            "--path",
            "/docs/intro",
            "--header",
            "X-Auth-Subject: probe",
            "--host",
            "app.internal",
        ],
    );
    assert_eq!(output.status.code(), Some(0));
    let requests = upstream.requests();
    for target in [
        "/docs/intro",
        "/./docs/intro",
        "//docs/intro",
        "/docs//intro",
        "/docs\\intro",
        "/docs%2fintro",
        "/docs%2Fintro",
        "/docs/intro#x",
        "/docs/intro%00",
        "/docs/intro;x=1",
        "/docs/%69ntro",
        "/docs/%2569ntro",
        "/docs/%c1%a9ntro",
        "/docs/%u0069ntro",
        "/DOCS/INTRO",
        "/docs/intro/",
        "/docs/intro+",
    ] {
        assert!(
            requests.iter().any(|request| request.target == target),
            "{target}"
        );
    }
    for request in &requests {
        assert_eq!(request.method, "GET");
        assert_eq!(request.header("host"), Some("app.internal"));
        assert_eq!(request.header("x-auth-subject"), Some("probe"));
        assert_eq!(request.header("connection"), Some("close"));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("No difference"), "{text}");
}

/// Real upstreams tell the time, echo what was asked, redirect, send chunks, or know no path that is not there.
#[test]
fn upstreams_that_answer_in_other_ways_are_compared_all_the_same() {
    // The time in each answer.
    let count = AtomicUsize::new(0);
    let clock = Upstream::scripted(move |exchange| {
        let now = count.fetch_add(1, Ordering::Relaxed);
        let names = strict(&exchange.request.target.to_lowercase());
        let status = if names == Some(vec!["docs".into(), "intro".into()]) {
            200
        } else {
            404
        };
        close(exchange, status, "", &format!("answer {now}"))
    });
    let (code, told) = compared(&clock.url(), &["/docs/intro"]);
    assert_eq!((code, readings(&told)), (Some(0), vec!["letter_case"]));
    assert_eq!(told["paths"][0]["compared"], "status");

    // The target in each answer, escaped as HTML has it, with one status for all of them.
    let echo = Upstream::scripted(|exchange| {
        let target = exchange.request.target.clone();
        let names =
            strict(&target).map(|all| all.iter().map(|name| cut(name, ";")).collect::<Vec<_>>());
        let known = names == Some(vec!["docs".into(), "intro".into()]);
        let shown = target.replace('&', "&amp;");
        let words = if known { "here is" } else { "there is no" };
        close(exchange, 200, "", &format!("<p>{words} {shown}</p>"))
    });
    let (_, told) = compared(&echo.url(), &["/docs/intro"]);
    assert_eq!(readings(&told), ["encoded_semicolon", "semicolon"]);
    assert_eq!(told["paths"][0]["compared"], "content");

    // It sends the client to the plain path: the client asks again, and is judged by that.
    let tidy = Upstream::scripted(|exchange| {
        let target = exchange.request.target.clone();
        match target.as_str() {
            "/docs/intro" => close(exchange, 200, "", "an introduction"),
            "/docs/intro/" => close(exchange, 308, "location: http://app/docs/intro\r\n", ""),
            _ if target.contains("//") => close(exchange, 301, "location: /docs/intro\r\n", ""),
            _ => close(exchange, 404, "", "no"),
        }
    });
    let (_, told) = compared(&tidy.url(), &["/docs/intro"]);
    // Bytes are all it knows.
    assert_eq!(readings(&told), ["encoded_letters"]);
    assert_eq!(
        (safe(&told, "empty_segment"), safe(&told, "near_miss")),
        (json!(true), json!(true))
    );

    // Chunks, cut differently each time; and it closes without a word where it is puzzled.
    let count = AtomicUsize::new(0);
    let chunky = Upstream::scripted(move |exchange| {
        let n = count.fetch_add(1, Ordering::Relaxed) % 3 + 1;
        if exchange.request.target.contains("%00") {
            return Ok(Next::Reset);
        }
        let body = match strict(&exchange.request.target).map(resolve) {
            Some(names) if names == ["docs", "intro"] => "an introduction",
            _ => "no such page here",
        };
        exchange.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        exchange.chunk(&body[..n])?;
        exchange.chunk(&body[n..])?;
        exchange.write("0\r\n\r\n")?;
        Ok(Next::Close)
    });
    let (_, told) = compared(&chunky.url(), &["/docs/intro"]);
    assert_eq!(readings(&told), ["dot_segments", "encoded_dot_segments"]);
    let asked = told["paths"][0]["asked"].as_array().expect("a list");
    assert!(
        asked
            .iter()
            .any(|one| one["reading"] == "nul" && one["upstream"] == "no_answer")
    );

    // One page for everything, as programs in a browser have it: nothing can be told, and that is no "no difference".
    let page = Upstream::scripted(|exchange| close(exchange, 200, "", "<html>"));
    let (code, told) = compared(&page.url(), &["/docs/intro"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        told["paths"][0]["tells_nothing"],
        "answered as a path is that is not there"
    );
    assert_eq!(safe(&told, "semicolon"), Value::Null);
}

#[test]
fn head_unix_sockets_and_tls() {
    let odd = |exchange: &mut Exchange<'_>| {
        let names = strict(&exchange.request.target.to_lowercase());
        let known = names == Some(vec!["docs".into(), "intro".into()]);
        let (status, body) = if known {
            (200, "an introduction")
        } else {
            (404, "no")
        };
        close(exchange, status, "", body)
    };
    let upstream = Upstream::scripted(odd);
    let output = probe(
        &upstream.url(),
        &["--path", "/docs/intro", "--head", "--output", "json"],
    );
    assert_eq!(readings(&found(&output)), ["letter_case"]);
    assert!(
        upstream
            .requests()
            .iter()
            .all(|request| request.method == "HEAD")
    );
    let upstream = Upstream::unix(odd);
    assert_eq!(
        readings(&compared(&upstream.url(), &["/docs/intro"]).1),
        ["letter_case"]
    );
    let upstream = Upstream::tls(odd);
    let ca = tls::file("ca.crt").display().to_string();
    let output = probe(
        &upstream.url(),
        &["--path", "/docs/intro", "--ca", &ca, "--output", "json"],
    );
    assert_eq!(readings(&found(&output)), ["letter_case"]);
    // Without it nobody is asked.
    assert_eq!(
        probe(&upstream.url(), &["--path", "/docs/intro"])
            .status
            .code(),
        Some(1)
    );
}

#[test]
fn paths_and_switches_of_a_configuration_are_judged() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = dir.path().join("countersign.yaml");
    let write = |upstream: &str, more: &str| {
        let text = format!(
            "inbound: {{listen: \"127.0.0.1:0\", upstream: \"{upstream}\"}}\n\
             issuers: [{{name: a, issuer: \"https://id.example.org\", jwks: {{discover: true}}, audiences: [api]}}]\n\
             callers: {{user: {{issuer: a}}}}\n\
             routes:\n  - {{path: /health, allow: anyone}}\n  - {{path: /docs/intro, allow: user{more}}}\n  \
             - {{path: \"/docs/{{page}}\", allow: nobody}}\n  - {{path: /**, allow: user}}\n"
        );
        std::fs::write(&config, text).expect("a file");
        [
            "--config".to_owned(),
            config.display().to_string(),
            "--output".to_owned(),
            "json".to_owned(),
        ]
    };
    let run = |upstream: &Upstream, more: &str| {
        let arguments = write(&upstream.url(), more);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = probe(&upstream.url(), &arguments);
        (output.status.code(), found(&output))
    };
    let cutting = serving(|target| names(target, |name| cut(&name, ";")));
    let (code, told) = run(&cutting, "");
    let paths: Vec<_> = told["paths"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["path"].as_str())
        .collect();
    assert_eq!(
        paths,
        ["/health", "/docs/intro", "/"],
        "parameters have no path of their own"
    );
    assert_eq!(
        (code, safe(&told, "semicolon")),
        (Some(0), json!(false)),
        "nobody has it on"
    );

    let (code, told) = run(&cutting, ", paths: [semicolon]");
    assert_eq!(code, Some(3));
    let switch = told["switches"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|one| one["switch"] == "semicolon")
        .expect("a switch");
    assert_eq!(switch["routes"], json!(["/docs/intro"]));
    // The twin: the upstream knows what the switch lets pass.
    let (code, told) = run(&serving(strict), ", paths: [semicolon]");
    assert_eq!((code, safe(&told, "semicolon")), (Some(0), json!(true)));
    let folding = serving(|target| names(target, |name| name.to_lowercase()));
    assert_eq!(run(&folding, "").0, Some(0));
    assert_eq!(run(&folding, ", near_miss: allow").0, Some(3));

    let broken = dir.path().join("broken.yaml");
    std::fs::write(&broken, "inbound: {}\n").expect("a file");
    let broken = broken.display().to_string();
    assert_eq!(
        probe(&cutting.url(), &["--config", &broken]).status.code(),
        Some(64)
    );
}

#[test]
fn what_cannot_be_asked_is_said() {
    let upstream = serving(strict);
    for wrong in [
        &["--path", "docs"][..],
        &["--path", "/docs/../x"],
        &["--path", "/docs;x"],
        &["--path", "/docs?x"],
        &["--header", "no colon"],
    ] {
        let output = probe(&upstream.url(), wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
    for url in [
        "ftp://127.0.0.1",
        "http://127.0.0.1/path",
        "h2c://127.0.0.1:1",
    ] {
        assert_eq!(probe(url, &[]).status.code(), Some(2), "{url}");
    }
    assert_eq!(upstream.requests().len(), 0);
    let output = probe("http://127.0.0.1:1", &["--path", "/x"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("http://127.0.0.1:1: cannot be reached"),
        "{said}"
    );
    // Options of the one are not for the other.
    let mut health = Command::new(env!("CARGO_BIN_EXE_countersign"));
    let output = health
        .args(["probe", "--path", "/x", "http://127.0.0.1:1/livez"])
        .output()
        .expect("the program");
    assert_eq!(output.status.code(), Some(2));
}

/// The table that people see.
#[test]
fn the_table_tells_what_the_upstream_does_and_what_the_proxy_makes_of_it() {
    let upstream = serving(|target| {
        names(target, |name| {
            cut(name.trim_end_matches('.'), ";").to_lowercase()
        })
    });
    let output = probe(
        &upstream.url(),
        &["--path", "/docs/intro", "--path", "/nowhere"],
    );
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8_lossy(&output.stdout);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "/nowhere: tells nothing: answered as a path is that is not there",
        "cuts path parameters off at `;` /docs/intro;x=1 refuses it but where a route says `paths: [semicolon]`",
        "takes capital and small letters for the same /DOCS/INTRO refuses it where the plain path has a route of its own",
        "drops a dot at the end of a name /docs/intro. OPEN: judges it as another path",
        "paths: [semicolon] NO /docs/intro;x=1 is the plain path to it",
        "paths: [encoded_slash] yes /docs%2fintro is another path to it, too",
        "near_miss: allow NO",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
}

/// Python's own server of files, of which the documentation of no framework speaks: it resolves, merges, decodes and cuts.
#[test]
fn a_real_server_of_files_is_read_as_it_is() {
    let Some(mut python) = python_with("python", "http.server") else {
        return;
    };
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(dir.path().join("docs")).expect("a folder");
    std::fs::write(dir.path().join("docs/intro.txt"), "an introduction").expect("a file");
    let script = "import http.server as h, functools, sys
s = h.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(h.SimpleHTTPRequestHandler, directory=sys.argv[1]))
print('listening on http://127.0.0.1:%d' % s.server_port, flush=True)
s.serve_forever()";
    python.args(["-c", script]).arg(dir.path());
    let server = Program::start(&mut python);
    let (code, told) = compared(&server.place, &["/docs/intro.txt"]);
    assert_eq!(code, Some(0), "{told:#}");
    let all = readings(&told);
    for known in [
        "dot_segments",
        "encoded_dot_segments",
        "empty_segment",
        "encoded_slash",
        "fragment",
    ] {
        assert!(all.contains(&known), "{known}: {all:?}");
    }
    for unknown in [
        "letter_case",
        "semicolon",
        "encoded_twice",
        "trailing_dot",
        "encoded_letters",
        "overlong_utf8",
    ] {
        assert!(!all.contains(&unknown), "{unknown}: {all:?}");
    }
    assert_eq!(
        (safe(&told, "encoded_slash"), safe(&told, "semicolon")),
        (json!(false), json!(true))
    );
}

/// Ends with the test.
struct Ends(std::process::Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_real_web_server_is_read_as_it_is() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::create_dir_all(dir.path().join("docs")).expect("a folder");
    std::fs::write(dir.path().join("docs/intro.txt"), "an introduction").expect("a file");
    let socket = dir.path().join("nginx.sock");
    let here = dir.path().display();
    let config = format!(
        "daemon off; master_process off; pid {here}/pid; error_log stderr;\nevents {{}}\nhttp {{\n access_log off;\n \
         client_body_temp_path {here}/a; proxy_temp_path {here}/b; fastcgi_temp_path {here}/c; uwsgi_temp_path {here}/d; scgi_temp_path {here}/e;\n \
         server {{ listen unix:{here}/nginx.sock; root {here}; }}\n}}\n"
    );
    let file = dir.path().join("nginx.conf");
    std::fs::write(&file, config).expect("a file");
    let started = Command::new("nginx")
        .arg("-c")
        .arg(&file)
        .args(["-e", "stderr"])
        .stderr(std::process::Stdio::null())
        .spawn();
    let Ok(nginx) = started else {
        return skip("nginx", "it is not here");
    };
    let nginx = Ends(nginx);
    crate::bed::eventually("nginx listens", || {
        std::os::unix::net::UnixStream::connect(&socket).is_ok()
    });
    let (code, told) = compared(&format!("unix:{}", socket.display()), &["/docs/intro.txt"]);
    drop(nginx);
    assert_eq!(code, Some(0), "{told:#}");
    assert_eq!(
        readings(&told),
        [
            "dot_segments",
            "empty_segment",
            "encoded_dot_segments",
            "encoded_slash",
            "fragment"
        ]
    );
}
