//! What `deny.toml` asks for, as far as the lock file shows it: also where cargo-deny is not at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::program::{python_with, root, run};

struct Package {
    name: String,
    version: Vec<u64>,
    source: Option<String>,
}

fn version(text: &str) -> Vec<u64> {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    core.split('.')
        .map(|number| number.parse().expect("a number"))
        .collect()
}

fn packages() -> Vec<Package> {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).expect("a lock file");
    let member = |package: &str, name: &str| {
        let start = format!("{name} = \"");
        let line = package.lines().find_map(|line| line.strip_prefix(&start))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    lock.split("[[package]]")
        .skip(1)
        .map(|package| Package {
            name: member(package, "name").expect("a name"),
            version: version(&member(package, "version").expect("a version")),
            source: member(package, "source"),
        })
        .collect()
}

/// The versions below which `deny.toml` bans a crate.
fn floors() -> Vec<(String, Vec<u64>)> {
    let text = std::fs::read_to_string(root().join("deny.toml")).expect("deny.toml");
    let specs = text
        .split("crate = \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    specs
        .filter_map(|spec| spec.split_once(":<"))
        .map(|(name, floor)| (name.to_owned(), version(floor)))
        .collect()
}

/// Which crates are built at all, the lock file does not say: it also holds what no feature asks for.
#[test]
fn invariant_71_no_version_is_below_its_floor() {
    let packages = packages();
    let floors = floors();
    assert!(floors.len() >= 6, "{floors:?}");
    for (name, floor) in floors {
        let found: Vec<_> = packages
            .iter()
            .filter(|package| package.name == name)
            .collect();
        assert!(
            !found.is_empty(),
            "{name} is used no more: its floor can go"
        );
        for package in found {
            assert!(
                package.version >= floor,
                "{name} {:?} is below {floor:?}",
                package.version
            );
        }
    }
}

#[test]
fn invariant_71_everything_comes_from_one_registry() {
    let packages = packages();
    let ours: Vec<_> = packages
        .iter()
        .filter(|package| package.source.is_none())
        .collect();
    assert_eq!(ours.len(), 1);
    assert_eq!(ours[0].name, "countersign");
    let sources: BTreeSet<_> = packages
        .iter()
        .filter_map(|package| package.source.as_deref())
        .collect();
    assert_eq!(sources.len(), 1, "{sources:?}");
    assert!(
        sources
            .iter()
            .all(|source| source.starts_with("registry+https://")),
        "{sources:?}"
    );
}

/// The bill of materials, made by this interpreter.
fn sbom(python: &Command) -> String {
    let output = Command::new(python.get_program())
        .arg(root().join(".ci/sbom"))
        .stdin(Stdio::null())
        .output()
        .expect("the script");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn invariant_71_the_bill_of_materials_names_what_is_shipped() {
    let Some(python) = python_with("python", "json, uuid") else {
        return;
    };
    let text = sbom(&python);
    assert_eq!(text, sbom(&python), "the same lock file, the same bytes");
    let document: Value = serde_json::from_str(&text).expect("JSON");
    let components = document["components"].as_array().expect("components");
    let texts = |component: &Value, name: &str| component[name].as_str().map(str::to_owned);
    let lock = packages();
    let mut scopes = BTreeMap::new();
    for component in components {
        let name = texts(component, "name").expect("a name");
        let version = texts(component, "version").expect("a version");
        let locked = lock
            .iter()
            .any(|package| package.name == name && package.version == self::version(&version));
        assert!(locked, "{name} {version} is not in the lock file");
        assert_eq!(
            texts(component, "purl"),
            Some(format!("pkg:cargo/{name}@{version}"))
        );
        let checksum = component["hashes"][0]["content"]
            .as_str()
            .unwrap_or_default();
        assert_eq!(checksum.len(), 64, "{name}");
        let licence = component["licenses"][0]["expression"].as_str();
        assert!(licence.is_some_and(|text| !text.is_empty()), "{name}");
        scopes.insert(name, texts(component, "scope").expect("a scope"));
    }
    for (name, scope) in [
        ("hyper", Some("required")),
        ("rustls", Some("required")),
        ("aws-lc-sys", Some("required")),
        ("jsonwebtoken", Some("required")),
        ("libmimalloc-sys", Some("required")),
        ("serde_derive", Some("excluded")),
        ("cc", Some("excluded")),
        // Of tests, of another feature, of another system.
        ("proptest", None),
        ("criterion", None),
        ("opentelemetry_sdk", None),
        ("windows-sys", None),
    ] {
        assert_eq!(scopes.get(name).map(String::as_str), scope, "{name}");
    }
    // What is linked directly is there.
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("a manifest");
    let (_, dependencies) = manifest
        .split_once("\n[dependencies]\n")
        .expect("dependencies");
    let mut seen = 0;
    for line in dependencies.split("\n[").next().expect("a table").lines() {
        let Some((name, what)) = line.split_once(" = ") else {
            continue;
        };
        if what.contains("optional = true") {
            continue;
        }
        let name = what
            .split_once("package = \"")
            .and_then(|(_, rest)| rest.split('"').next())
            .unwrap_or(name);
        assert_eq!(
            scopes.get(name).map(String::as_str),
            Some("required"),
            "{name}"
        );
        seen += 1;
    }
    assert!(seen > 25, "{seen}");
    assert_eq!(document["metadata"]["component"]["name"], "countersign");
}

#[test]
fn invariant_71_the_bill_of_materials_is_valid_cyclonedx() {
    let what = "python";
    let Some(mut python) = python_with(what, "cyclonedx.validation.json, jsonschema") else {
        return;
    };
    let text = sbom(&python);
    python.arg(root().join("tests/python/validate_sbom.py"));
    let good = run(&mut python, &text);
    assert!(
        good.status.success(),
        "{}",
        String::from_utf8_lossy(&good.stderr)
    );
    // The positive twin of the validator.
    let bad = text.replacen("\"library\"", "\"librarian\"", 1);
    assert!(!run(&mut python, &bad).status.success());
}
