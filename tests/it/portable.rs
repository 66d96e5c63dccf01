//! Nothing Unix-only outside the one platform module (A10). Systems that are no Unix are untested; their twin is compiled
//! in the library's own tests, and offers what the Unix side offers (`platform::tests`).

use std::path::{Path, PathBuf};

/// What only Unix has, as sources name it.
const UNIX_ONLY: [&str; 12] = [
    "cfg(unix",
    "cfg(not(unix",
    "cfg(any(unix",
    "cfg_attr(unix",
    "std::os::unix",
    "std::os::fd",
    "tokio::signal::unix",
    "tokio::net::Unix",
    "rustix",
    "libc::",
    " nix::",
    "CommandExt",
];

fn sources(path: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(path).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// Faults of one source, without its comments and the tests at its end.
fn faults(text: &str) -> Vec<String> {
    let tests = ["\n#[cfg(test)]\nmod tests {", "\n#[cfg(all(test"];
    let end = tests
        .iter()
        .filter_map(|begin| text.find(begin))
        .min()
        .unwrap_or(text.len());
    text[..end]
        .lines()
        .enumerate()
        .map(|(number, line)| (number + 1, line.split("//").next().unwrap_or_default()))
        .flat_map(|(number, line)| {
            let found = UNIX_ONLY.iter().filter(|word| line.contains(**word));
            found.map(move |word| format!("{number}: {word}"))
        })
        .collect()
}

#[test]
fn a10_nothing_is_unix_only_outside_the_platform_module() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 150, "the sources were found");
    let mut all = Vec::new();
    let mut here = 0;
    for file in &files {
        let inner = file.strip_prefix(&root).expect("below it");
        let text = std::fs::read_to_string(file).expect("a source");
        let found = faults(&text);
        let platform = inner.starts_with("platform") || inner == Path::new("platform.rs");
        let test = inner.components().any(|part| {
            let part = part.as_os_str();
            part == "tests" || part == "tests.rs"
        });
        if platform {
            here += found.len();
        } else if !test {
            all.extend(
                found
                    .iter()
                    .map(|fault| format!("{}:{fault}", inner.display())),
            );
        }
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
    assert!(here > 5, "the platform module was found");
}

#[test]
fn a10_the_search_finds_what_it_looks_for() {
    let text = "#[cfg(unix)]\nuse std::os::unix::fs; // rustix\nlet x = rustix::a();\n";
    assert_eq!(
        faults(text),
        ["1: cfg(unix", "2: std::os::unix", "3: rustix"]
    );
    let of_tests = "fn a() {}\n#[cfg(test)]\nmod tests {\n    use std::os::unix::fs;\n}\n";
    assert!(faults(of_tests).is_empty());
    assert!(faults("/// rustix\nfn a() {}\n").is_empty());
}

/// A crate that only Unix has would end every other build before the first line.
#[test]
fn a10_unix_only_crates_are_dependencies_on_unix_alone() {
    let manifest = include_str!("../../Cargo.toml");
    let of_unix = manifest
        .split("[target.'cfg(unix)'.dependencies]")
        .nth(1)
        .and_then(|rest| rest.split("\n[").next())
        .expect("the section");
    assert!(of_unix.contains("rustix"));
    let everywhere = manifest.replace(of_unix, "");
    assert!(
        !everywhere
            .lines()
            .any(|line| line.starts_with("rustix") || line.starts_with("libc"))
    );
}
