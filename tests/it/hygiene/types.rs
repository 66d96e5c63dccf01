//! Invariants 46 and 50 in the sources: types that hold a secret cannot be shown, serialised or compared, and wipe it.

use crate::program::root;

/// Where a type that holds a secret is defined, its name, and what wipes it or whose memory it is.
const SECRETS: [(&str, &str, &str); 9] = [
    ("src/config.rs", "Secret", "zeroize::Zeroizing"),
    ("src/config/blank.rs", "Substituted", "Zeroizing"),
    ("src/config/node.rs", "Scalar", "Zeroizing"),
    ("src/authn/cache.rs", "Entry", "Zeroizing"),
    ("src/case.rs", "RealToken", "Zeroizing"),
    // Borrowed from the request, which hyper owns.
    ("src/authn/credential.rs", "Credential", "<'a>"),
    ("src/authn/token.rs", "Parts", "<'a>"),
    // The crypto library wipes its keys when it frees them.
    ("src/identity/key.rs", "SigningKey", "Arc<Inner>"),
    ("src/identity/key.rs", "Material", "hmac::Key"),
];

/// The definition of `name` with its attributes: from the empty line before it to the end of its braces or its `;`.
fn definition<'a>(source: &'a str, name: &str) -> Option<&'a str> {
    let at = ["struct", "enum"].iter().find_map(|kind| {
        let word = format!("{kind} {name}");
        source.match_indices(&word).map(|(at, _)| at).find(|at| {
            let after = source[at + word.len()..].chars().next();
            after.is_some_and(|c| !c.is_alphanumeric())
        })
    })?;
    let begin = source[..at].rfind("\n\n").map_or(0, |blank| blank + 2);
    let rest = &source[at..];
    let end = [
        rest.find("\n}"),
        rest.find(";\n").filter(|end| !rest[..*end].contains('\n')),
    ]
    .into_iter()
    .flatten()
    .min()?;
    Some(&source[begin..at + end])
}

/// What is wrong with the type, if anything.
fn fault(source: &str, name: &str, wiped_by: &str) -> Option<String> {
    let Some(definition) = definition(source, name) else {
        return Some("it is not defined here".to_owned());
    };
    if !definition.contains(wiped_by) {
        return Some(format!("nothing of `{wiped_by}` in {definition}"));
    }
    let derived = definition
        .lines()
        .filter(|line| line.trim_start().starts_with("#[derive("));
    for line in derived {
        for shows in ["Debug", "Serialize", "PartialEq", "Display", "Hash", "Copy"] {
            if line.contains(shows) {
                return Some(format!("derives {shows}"));
            }
        }
    }
    for shows in ["Display", "Serialize", "PartialEq", "ToString", "Deref"] {
        if source.contains(&format!("{shows} for {name}")) {
            return Some(format!("implements {shows}"));
        }
    }
    let debug = source.split_once(&format!("Debug for {name}"));
    let body = debug.and_then(|(_, rest)| rest.split("\n}").next());
    body.filter(|body| !body.contains("finish_non_exhaustive"))
        .map(|_| "its Debug shows everything".to_owned())
}

#[test]
fn invariant_46_and_50_types_with_secrets_are_neither_shown_nor_compared_and_are_wiped() {
    for (file, name, wiped_by) in SECRETS {
        let source = std::fs::read_to_string(root().join(file)).expect("a source");
        assert_eq!(fault(&source, name, wiped_by), None, "{name} of {file}");
    }
}

#[test]
fn what_shows_compares_or_keeps_a_secret_is_found() {
    const GOOD: &str = "\n\n#[derive(Clone)]\nstruct S {\n    x: Zeroizing<u8>,\n}\n\nimpl Debug for S {\n    finish_non_exhaustive()\n}\n";
    assert_eq!(fault(GOOD, "S", "Zeroizing"), None);
    for (from, to) in [
        ("Clone", "Clone, Debug"),
        ("Clone", "Clone, PartialEq"),
        ("Clone", "Serialize"),
        ("Zeroizing<u8>", "u8"),
        ("finish_non_exhaustive", "finish"),
        (
            "impl Debug for S",
            "impl Display for S {}\nimpl Debug for S",
        ),
        ("struct S ", "struct Other "),
    ] {
        assert!(
            fault(&GOOD.replace(from, to), "S", "Zeroizing").is_some(),
            "{to}"
        );
    }
}

#[test]
#[should_panic(expected = "the log holds")]
fn a_bed_whose_proxy_tells_a_secret_fails_its_test() {
    const TOLD: &str = "told-in-the-path-of-a-record-4711-0815";
    let bed = crate::bed::Setup::new("routes: [{path: /**, allow: anyone}]\n").start();
    let id = bed
        .send(&crate::bed::Request::get(&format!("/{TOLD}")))
        .expect(200);
    drop(id);
    bed.proxy.await_records(1);
    crate::bed::secrets::learn("what is told", TOLD);
}
