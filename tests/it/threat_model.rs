//! `docs/threat-model.md` says which test shows what: held to the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::program::root;

/// Every Rust source below a folder.
fn sources(folder: &Path, into: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(std::fs::read_to_string(&path).expect("text"));
        }
    }
}

/// Names of all tests in `source`: functions with a `#[test]` or `#[tokio::test]` among the attributes before them.
fn tests_of(source: &str) -> BTreeSet<String> {
    let mut is_test = false;
    let mut names = BTreeSet::new();
    for line in source.lines().map(str::trim_start) {
        let code = line.strip_prefix("async ").unwrap_or(line);
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some(rest) = code.strip_prefix("fn ") {
            if std::mem::take(&mut is_test) {
                names.insert(rest.split(['(', '<']).next().unwrap_or_default().to_owned());
            }
        } else if line.is_empty() || line == "}" {
            is_test = false;
        }
    }
    names
}

/// Names of all tests of the crate.
pub fn tests() -> BTreeSet<String> {
    let mut all = Vec::new();
    sources(&root().join("src"), &mut all);
    sources(&root().join("tests/it"), &mut all);
    all.iter().flat_map(|source| tests_of(source)).collect()
}

/// The words in backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

struct Row {
    what: String,
    place: String,
    shown: String,
    status: String,
}

fn text() -> String {
    std::fs::read_to_string(root().join("docs/threat-model.md")).expect("the threat model")
}

fn rows() -> BTreeMap<usize, Row> {
    let mut rows = BTreeMap::new();
    for line in text().lines() {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [number, what, place, shown, status] = cells[..] else {
            continue;
        };
        let Ok(number) = number.parse() else { continue };
        let row = Row {
            what: what.to_owned(),
            place: place.to_owned(),
            shown: shown.to_owned(),
            status: status.to_owned(),
        };
        assert!(
            rows.insert(number, row).is_none(),
            "invariant {number} stands twice"
        );
    }
    rows
}

/// Numbers that a test's name carries: `invariant_11_and_12_…` carries two.
fn numbers(test: &str) -> Vec<usize> {
    let mut numbers = Vec::new();
    if let Some((_, rest)) = test.split_once("invariant_") {
        for word in rest.split('_').filter(|word| *word != "and") {
            match word.parse() {
                Ok(number) if word.len() == 2 => numbers.push(number),
                _ => break,
            }
        }
    }
    numbers
}

#[test]
fn the_table_speaks_about_every_invariant_once() {
    let rows = rows();
    assert_eq!(
        rows.keys().copied().collect::<Vec<_>>(),
        (1..=71).collect::<Vec<_>>()
    );
    for (number, row) in rows {
        assert!(!row.what.is_empty() && !row.shown.is_empty(), "{number}");
        for place in
            quoted(&row.place).filter(|place| place.contains('/') || place.ends_with(".toml"))
        {
            assert!(
                root().join(place).exists(),
                "{number}: {place} does not exist"
            );
        }
    }
}

#[test]
fn every_place_holds_the_functions_that_it_is_said_to_hold() {
    for (number, row) in rows() {
        let mut file = String::new();
        for word in quoted(&row.place) {
            if word.contains('/') {
                file = std::fs::read_to_string(root().join(word)).expect("a file");
            } else if word
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter == '_')
            {
                let held =
                    file.contains(&format!("fn {word}")) || file.contains(&format!("{word}()"));
                assert!(held, "{number}: {word} is not in the file named before it");
            }
        }
    }
}

#[test]
fn every_test_that_the_table_names_exists() {
    let tests = tests();
    for (number, row) in rows() {
        for name in quoted(&row.shown).filter(|name| !name.contains(['/', '.'])) {
            assert!(
                tests.contains(name),
                "invariant {number}: there is no test {name}"
            );
        }
    }
}

#[test]
fn every_invariant_has_tests_that_carry_its_number_and_are_named() {
    let tests = tests();
    let missing: Vec<String> = rows()
        .iter()
        .filter_map(|(number, row)| {
            let of_number: Vec<_> = tests
                .iter()
                .filter(|test| numbers(test).contains(number))
                .collect();
            let named = of_number
                .iter()
                .any(|test| quoted(&row.shown).any(|shown| shown == test.as_str()));
            (!named).then(|| format!("{number}: the table names none of {of_number:?}"))
        })
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The name that a heading has as the target of a link.
fn anchor(heading: &str) -> String {
    heading
        .chars()
        .filter_map(|letter| match letter {
            ' ' => Some('-'),
            '-' | '_' => Some(letter),
            _ if letter.is_alphanumeric() => Some(letter.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

/// `held`, or `held, but [for what](#where-it-is-told)`.
#[test]
fn every_row_has_a_status_and_what_is_left_of_a_risk_is_told() {
    let text = text();
    let anchors: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .map(|heading| anchor(heading.trim_start_matches('#').trim()))
        .collect();
    for (number, row) in rows() {
        if row.status == "held" {
            continue;
        }
        let target = row
            .status
            .strip_prefix("held, but [")
            .and_then(|rest| rest.split_once("](#"))
            .and_then(|(_, rest)| rest.strip_suffix(')'))
            .unwrap_or_else(|| panic!("invariant {number}: what is `{}`?", row.status));
        assert!(
            anchors.contains(target),
            "invariant {number}: no heading #{target}"
        );
    }
}

#[test]
fn names_are_read_as_they_are_written() {
    assert_eq!(numbers("invariant_11_and_12_the_same_kid"), [11, 12]);
    assert_eq!(numbers("s08_invariant_05_06_exempt_paths"), [5, 6]);
    assert_eq!(numbers("s08_exact"), [0_usize; 0]);
    let source = "#[test]\n#[ignore]\nfn one() {}\n\n    fn helper() {}\n#[tokio::test(flavor)]\nasync fn two() {}\n";
    assert_eq!(
        tests_of(source),
        BTreeSet::from(["one".to_owned(), "two".to_owned()])
    );
}
