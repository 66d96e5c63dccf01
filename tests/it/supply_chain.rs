//! What `deny.toml` asks for, as far as the lock file shows it: also where cargo-deny is not at hand.

use std::collections::BTreeSet;

use crate::program::root;

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
