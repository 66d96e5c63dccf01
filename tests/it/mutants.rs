//! `tests/mutants/mutants.toml` is held to the sources: what `tests/mutants/run` mutates is there, and no invariant is left out.

use std::collections::{BTreeMap, BTreeSet};

use crate::program::root;
use crate::threat_model;

/// A table of the list: `[[mutant]]` or `[[mutant.also]]`. Lists keep their brackets.
#[derive(Debug, Default)]
struct Table {
    second_place: bool,
    values: BTreeMap<String, String>,
}

impl Table {
    fn get(&self, key: &str) -> &str {
        self.values.get(key).map_or("", String::as_str)
    }

    fn words(&self, key: &str) -> Vec<&str> {
        self.get(key)
            .trim_matches(['[', ']'])
            .split(',')
            .map(|word| word.trim().trim_matches('\''))
            .filter(|word| !word.is_empty())
            .collect()
    }
}

/// As much of TOML as the list needs: tables of literal strings and lists, longer strings between lines of three apostrophes.
fn tables(text: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let "[[mutant]]" | "[[mutant.also]]" = line {
            tables.push(Table {
                second_place: line != "[[mutant]]",
                ..Table::default()
            });
            continue;
        }
        let (key, value) = line.split_once(" = ").expect("a key and a value");
        let value = if value == "'''" {
            let inside: Vec<_> = lines.by_ref().take_while(|line| *line != "'''").collect();
            inside.join("\n")
        } else if value.starts_with('[') {
            value.to_owned()
        } else {
            let inside = value
                .strip_prefix('\'')
                .and_then(|rest| rest.strip_suffix('\''));
            inside.expect("a literal string").to_owned()
        };
        let table = tables.last_mut().expect("a table");
        assert!(
            table.values.insert(key.to_owned(), value).is_none(),
            "{line}"
        );
    }
    tables
}

fn list() -> Vec<Table> {
    let text = std::fs::read_to_string(root().join("tests/mutants/mutants.toml"));
    tables(&text.expect("the list of mutants"))
}

/// Why `table` names no one place in `source`.
fn drift(table: &Table, source: &str) -> Option<String> {
    let (original, within) = (table.get("original"), table.get("within"));
    let around = if within.is_empty() { original } else { within };
    let fault = |what: &str, count: usize| {
        (count != 1 || original.is_empty()).then(|| format!("{what} occurs {count} times"))
    };
    fault(around, source.matches(around).count())
        .or_else(|| fault(original, around.matches(original).count()))
}

#[test]
fn every_text_that_a_mutant_replaces_stands_once_in_its_file() {
    let mut faults = Vec::new();
    let mut name = String::new();
    for table in list() {
        if !table.second_place {
            table.get("name").clone_into(&mut name);
        }
        let file = table.get("file");
        let source = std::fs::read_to_string(root().join(file)).unwrap_or_default();
        if let Some(fault) = drift(&table, &source) {
            faults.push(format!("{name}: {file}: {fault}"));
        }
        if table.get("original") == table.get("mutated") {
            faults.push(format!("{name}: mutates nothing"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_invariant_of_the_first_degree_has_a_mutant() {
    let mut covered = BTreeSet::new();
    let mut names = BTreeSet::new();
    for table in list().iter().filter(|table| !table.second_place) {
        let name = table.get("name");
        assert!(names.insert(name.to_owned()), "{name} stands twice");
        assert!(!table.get("why").is_empty(), "{name} says no why");
        let numbers: Vec<usize> = table
            .words("invariants")
            .iter()
            .map(|number| number.parse().expect("a number"))
            .collect();
        let first = numbers.first().expect("an invariant");
        assert!(name.starts_with(&format!("{first:02}-")), "{name}");
        covered.extend(numbers);
    }
    let missing: Vec<_> = (1..=38)
        .filter(|number| !covered.contains(number))
        .collect();
    assert!(missing.is_empty(), "no mutant of {missing:?}");
}

#[test]
fn every_filter_of_a_mutant_finds_tests() {
    let tests = threat_model::tests();
    for table in list().iter().filter(|table| !table.second_place) {
        for filter in table.words("tests") {
            assert!(
                tests.iter().any(|test| test.contains(filter)),
                "{}: no test is called {filter}",
                table.get("name")
            );
        }
    }
}

#[test]
fn the_list_is_read_as_it_is_written() {
    let text = "# c\n[[mutant]]\nname = '01-a'\ninvariants = [1, 22]\noriginal = '''\na 'b'\n  c\n'''\n\n[[mutant.also]]\ntests = ['x', 'y']\n";
    let [one, other] = &tables(text)[..] else {
        panic!("two tables");
    };
    assert_eq!(
        (one.get("name"), one.get("original")),
        ("01-a", "a 'b'\n  c")
    );
    assert_eq!(one.words("invariants"), ["1", "22"]);
    assert!(!one.second_place && other.second_place);
    assert_eq!(other.words("tests"), ["x", "y"]);
    assert_eq!(drift(one, "…a 'b'\n  c…"), None);
    assert!(drift(one, "a 'b'\n  c a 'b'\n  c").is_some() && drift(one, "").is_some());
}
