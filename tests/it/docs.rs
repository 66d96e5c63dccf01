//! What the documentation promises is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(repository().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// All Rust sources below `directory`, as one text.
fn sources(directory: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text.push_str(&sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    text
}

#[test]
fn the_readme_shows_a_configuration_that_is_compiled_by_a_test() {
    let shown = format!("```yaml\n{}```", read("config/smartem.yaml"));
    assert!(
        read("README.md").contains(&shown),
        "copy config/smartem.yaml into README.md again"
    );
}

#[test]
fn every_test_that_the_readme_names_exists() {
    let all = sources(&repository().join("tests")) + &sources(&repository().join("src"));
    let readme = read("README.md");
    let named: Vec<&str> = readme
        .split('`')
        // Sentences with underscores; keys and reasons have fewer.
        .filter(|word| word.matches('_').count() >= 4 && !word.contains([' ', '/', '.', '-']))
        .collect();
    assert!(named.len() > 5);
    for name in named {
        assert!(all.contains(&format!("fn {name}(")), "{name}");
    }
}

#[test]
fn links_lead_somewhere() {
    for page in [
        "README.md",
        "CONTRIBUTING.md",
        "docs/operations.md",
        "docs/policy.md",
        "docs/identity.md",
        "docs/outbound.md",
        "docs/decision-record.md",
        "docs/threat-model.md",
        "docs/tracing.md",
        "docs/kubernetes.md",
        "docs/migrating.md",
    ] {
        let here: PathBuf = repository().join(page);
        let text = read(page);
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            if link.contains("://") {
                continue;
            }
            let target = if file.is_empty() {
                here.clone()
            } else {
                here.with_file_name(file)
            };
            let held = fs::read_to_string(&target).unwrap_or_else(|_| panic!("{page}: {link}"));
            let headings: BTreeSet<String> = held
                .lines()
                .filter(|line| line.starts_with('#'))
                .map(|line| {
                    line.trim_start_matches('#')
                        .trim()
                        .to_lowercase()
                        .replace(' ', "-")
                })
                .collect();
            assert!(
                anchor.is_empty() || headings.contains(anchor),
                "{page}: {link}"
            );
        }
    }
}

/// The dotted names of `tracing` events in a source text.
fn events(text: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for level in ["error", "warn", "info", "debug"] {
        for call in text.split(&format!("tracing::{level}!(")).skip(1) {
            let arguments = call.split(");").next().unwrap_or_default();
            let name = arguments.split('"').nth_back(1).unwrap_or_default();
            names.insert(name);
        }
    }
    names
}

#[test]
fn every_log_event_is_documented() {
    let all = sources(&repository().join("src"));
    let documented = read("docs/operations.md");
    // Tests of logging log what they like.
    let tests = sources(&repository().join("src/telemetry"));
    let names: BTreeSet<_> = events(&all).difference(&events(&tests)).copied().collect();
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        assert!(
            documented.contains(&format!("`{name}`")),
            "{name} is not in docs/operations.md"
        );
    }
}

#[test]
fn every_metric_is_documented() {
    let all = sources(&repository().join("src"));
    let documented = read("docs/operations.md");
    let names: BTreeSet<&str> = all
        .split('"')
        .filter(|word| {
            ["countersign_", "http_server_", "process_"]
                .iter()
                .any(|prefix| word.starts_with(prefix))
                && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        })
        .collect();
    assert!(names.len() > 25, "{names:?}");
    for name in names {
        assert!(
            documented.contains(&format!("`{name}`")),
            "{name} is not in docs/operations.md"
        );
    }
}

/// Figures are rendered from what was measured, not typed.
#[test]
fn figures_of_performance_are_those_that_were_measured() {
    let Some(python) = crate::program::python_with("figures of performance", "json") else {
        return;
    };
    let render = |form: &str| {
        let root = repository();
        let mut render = std::process::Command::new(python.get_program());
        render.arg(root.join("benches/compare/render.py"));
        render.arg(root.join("docs/performance.json")).arg(form);
        let output = crate::program::run(&mut render, "");
        assert!(output.status.success(), "{form}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let table = render("markdown");
    let page = read("docs/performance.md");
    let (_, rest) = page
        .split_once("docs/performance.json markdown -->\n")
        .expect("a mark");
    let (shown, _) = rest.split_once("<!-- end -->").expect("an end");
    assert_eq!(shown.trim(), table.trim());
    assert_eq!(read("docs/performance.svg"), render("svg"));
    assert!(read("README.md").contains(render("summary").trim()));
}
