//! What editors know of the configuration: its JSON Schema, held to JSON Schema by a validator of another hand.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use crate::program::{python_with, root, run};

fn schema() -> Value {
    let mut program = Command::new(env!("CARGO_BIN_EXE_countersign"));
    let output = program
        .arg("schema")
        .env_clear()
        .output()
        .expect("a schema");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn examples() -> BTreeMap<String, Value> {
    let files = std::fs::read_dir(root().join("config")).expect("a directory");
    let paths = files.map(|entry| entry.expect("an entry").path());
    let yaml = paths.filter(|path| path.extension().is_some_and(|own| own == "yaml"));
    let of_the_loop = root().join("config/loop/countersign.yaml");
    yaml.chain([of_the_loop])
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a file");
            let document = serde_yaml::from_str(&text).expect("YAML");
            (path.display().to_string(), document)
        })
        .collect()
}

/// What the validator makes of documents.
fn problems(documents: &BTreeMap<String, Value>) -> Option<Vec<String>> {
    let mut python = python_with("python", "jsonschema")?;
    python.arg(root().join("tests/python/validate_schema.py"));
    let given = json!({"schema": schema(), "documents": documents});
    let output = run(&mut python, &given.to_string());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let problems: Vec<String> = said
        .lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    let failed = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.success(),
        problems.is_empty(),
        "{said}{failed}"
    );
    Some(problems)
}

#[test]
fn the_schema_is_valid_and_so_are_its_examples_its_defaults_and_the_example_files() {
    let mut documents = examples();
    assert!(documents.len() >= 5, "{documents:?}");
    let Some(found) = problems(&documents) else {
        return;
    };
    assert_eq!(found, Vec::<String>::new());
    // The positive twin of the validator.
    let (name, mut bad) = documents.pop_first().expect("a document");
    bad["inbund"] = json!({});
    let found = problems(&BTreeMap::from([(name.clone(), bad)])).expect("as before");
    assert!(
        found.len() == 1 && found[0].starts_with(&name) && found[0].contains("inbund"),
        "{found:?}"
    );
}
