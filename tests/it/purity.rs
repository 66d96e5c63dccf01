//! The pure core names no runtime, no socket, no file and no clock.

use std::path::{Path, PathBuf};

/// The modules of the pure core, and the transformation of manifests: `NAME.rs` and everything under `NAME/`.
const PURE: [&str; 6] = [
    "request",
    "authn",
    "authz",
    "identity",
    "rejection",
    "inject",
];

/// What it must not name.
const FORBIDDEN: [&str; 9] = [
    "tokio",
    "hyper::",
    "hyper_util",
    "reqwest",
    "std::fs",
    "std::net::Tcp",
    "SystemTime",
    "Instant",
    "async fn",
];

fn sources(path: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(path) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// Faults of one source text, comments and test modules excluded.
fn faults(text: &str) -> Vec<String> {
    text.lines()
        .enumerate()
        .map(|(number, line)| (number + 1, line.split("//").next().unwrap_or_default()))
        .flat_map(|(number, line)| {
            FORBIDDEN
                .iter()
                .filter(|word| line.contains(**word))
                .map(move |word| format!("{number}: {word}"))
        })
        .collect()
}

#[test]
fn the_pure_core_does_no_io_and_reads_no_clock() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    for module in PURE {
        files.push(root.join(format!("{module}.rs")));
        sources(&root.join(module), &mut files);
    }
    let pure = |path: &&PathBuf| path.file_name().is_some_and(|name| name != "tests.rs");
    let mut all = Vec::new();
    for file in files.iter().filter(pure) {
        let text = std::fs::read_to_string(file).expect("a source");
        for fault in faults(&text) {
            all.push(format!("{}:{fault}", file.display()));
        }
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
    assert!(files.len() >= 20, "the modules were found");
}

#[test]
fn the_search_finds_what_it_looks_for() {
    assert_eq!(
        faults("use tokio::net;\nlet t = Instant::now(); // tokio"),
        ["1: tokio", "2: Instant"]
    );
    assert!(faults("// tokio\n/// SystemTime\nfn pure() {}").is_empty());
}
