//! Configuration: a document is taken as a whole or not at all, and always the same way.

use std::path::{Path, PathBuf};

use countersign::config::{self, Config, Severity};
use serde_yaml::Value;

/// Files that documents name; nobody has the private key of the set.
const FILES: &[(&str, &str)] = &[
    (
        "jwks.json",
        include_str!("../../tests/it/data/atlas-pinned-jwks.json"),
    ),
    (
        "assertion.pem",
        include_str!("../../tests/fixtures/keys/es256-1.pem"),
    ),
    (
        "secret",
        include_str!("../../tests/fixtures/keys/shared.secret"),
    ),
];

thread_local! {
    static PLACE: tempfile::TempDir = place();
}

fn place() -> tempfile::TempDir {
    // Memory where there is some: a document is written for every run.
    let place = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a directory");
    for (name, text) in FILES {
        std::fs::write(place.path().join(name), text).expect("a file");
    }
    place
}

/// A document.
pub fn check(data: &[u8]) {
    let path: PathBuf = PLACE.with(|place| place.path().join("config.yaml"));
    let first = load(&path, data, None);
    let again = load(&path, data, None);
    match (&first, &again) {
        (Ok(one), Ok(two)) => {
            assert_eq!(shown(one), shown(two), "one document, two configurations")
        }
        (Err(one), Err(two)) => assert_eq!(one, two, "one document, two verdicts"),
        _ => panic!("one document, two verdicts"),
    }
    if let Ok(config) = &first {
        whole(config, data);
        nothing_is_overlooked(&path, data);
        if config.sentinel {
            half_written(&path, data, config);
        }
    }
}

/// Loads, and holds a refusal to what it must say.
fn load(path: &Path, data: &[u8], previous: Option<&Config>) -> Result<Config, String> {
    std::fs::write(path, data).expect("a file");
    config::load(path, previous).map_err(|problems| {
        let errors = problems
            .iter()
            .filter(|problem| problem.severity == Severity::Error);
        assert!(errors.count() > 0, "refused without an error");
        let text = problems.to_string();
        assert!(
            !text.contains("please report this"),
            "refused without a reason"
        );
        for problem in problems.iter() {
            assert!(
                !problem.message.is_empty() && !problem.message.ends_with('.'),
                "{text}"
            );
        }
        text
    })
}

/// Everything that decides; timestamps and counters of rate limits are not shown by it.
fn shown(config: &Config) -> String {
    let Config {
        workers,
        listeners,
        issuers,
        identity,
        policy,
        answers,
        log,
        drain,
        sentinel,
        warnings,
        ..
    } = config;
    format!(
        "{workers} {listeners:?} {issuers:?} {identity:?} {:?} {answers:?} {log:?} {drain:?} {sentinel} {warnings}",
        policy.routes()
    )
}

/// What another YAML reader finds in the document is in the configuration, all of it.
fn whole(config: &Config, data: &[u8]) {
    assert!(
        config
            .warnings
            .iter()
            .all(|problem| problem.severity == Severity::Warning)
    );
    assert!(!config.listeners.is_empty() && config.workers > 0);
    let text = std::str::from_utf8(data).expect("only text is taken");
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let document: Value = serde_yaml::from_str(text).expect("only YAML is taken");
    let count = |key: &str| match document.get(key) {
        Some(Value::Sequence(list)) => list.len(),
        Some(Value::Null) | None => 0,
        Some(_) => 1,
    };
    assert_eq!(
        config.policy.routes().len(),
        count("routes"),
        "a route is lost"
    );
    assert_eq!(config.issuers.len(), count("issuers"), "an issuer is lost");
    assert_eq!(
        config.listeners.len(),
        count("inbound"),
        "a listener is lost"
    );
    assert_eq!(
        config.sentinel,
        document.get("end") == Some(&Value::Bool(true))
    );
    let names: Vec<&str> = config
        .issuers
        .iter()
        .map(|(issuer, _)| &*issuer.name)
        .collect();
    let declared: Vec<&str> = document
        .get("issuers")
        .and_then(Value::as_sequence)
        .into_iter()
        .flatten()
        .filter_map(|issuer| issuer.get("name")?.as_str())
        .collect();
    // A name may be substituted.
    for (own, declared) in names.iter().zip(declared) {
        assert!(
            *own == declared || declared.contains('$'),
            "{own}, not {declared}"
        );
    }
}

/// A key that nobody knows, or one that is there twice, is never passed over.
fn nothing_is_overlooked(path: &Path, data: &[u8]) {
    for line in [
        "no_such_key: 1",
        "routes: []",
        "inbound: {listen: 127.0.0.1:1, upstream: http://127.0.0.1:2}",
    ] {
        let more = [data, b"\n", line.as_bytes(), b"\n"].concat();
        assert!(load(path, &more, None).is_err(), "{line} was overlooked");
    }
}

/// A document that ends in `end: true` is never replaced by a part of itself.
fn half_written(path: &Path, data: &[u8], config: &Config) {
    const END: &[u8] = b"\nend: true";
    let places: Vec<usize> = (0..data.len())
        .filter(|at| data[*at..].starts_with(b"\nend"))
        .collect();
    let [at] = places.as_slice() else {
        return;
    };
    if !data[*at..].starts_with(END) {
        return;
    }
    let step = 1 + data.len() / 24;
    let cuts = (0..*at).step_by(step).chain(*at..at + END.len());
    for cut in cuts {
        assert!(
            load(path, &data[..cut], Some(config)).is_err(),
            "cut at {cut} it is taken"
        );
    }
    assert!(load(path, data, Some(config)).is_ok(), "the whole is taken");
}
