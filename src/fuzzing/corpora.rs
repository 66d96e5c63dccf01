//! The committed corpora of the fuzz targets, held to the targets' own properties (invariant 64).

use std::path::Path;

#[path = "../../fuzz/src/lib.rs"]
#[expect(
    unreachable_pub,
    clippy::as_conversions,
    clippy::string_slice,
    clippy::too_many_lines,
    reason = "shared with the fuzz targets, a crate of their own; tests here"
)]
mod properties;

/// Inputs that a corpus has at least; one that was lost would hold whatever the product does.
const FEWEST: usize = 20;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut inputs = 0;
    for entry in std::fs::read_dir(&folder).expect("a corpus") {
        let path = entry.expect("an input").path();
        let data = std::fs::read(&path).expect("an input");
        let held = std::panic::catch_unwind(|| check(&data));
        assert!(held.is_ok(), "{}", path.display());
        inputs += 1;
    }
    assert!(inputs >= FEWEST, "{target}: {inputs} inputs");
}

macro_rules! corpora {
    ($($test:ident: $target:ident,)*) => {
        $(
            #[test]
            fn $test() {
                replay(stringify!($target), properties::$target::check);
            }
        )*

        /// Every folder has its test, and every target its folder.
        #[test]
        fn invariant_64_every_target_has_a_corpus_that_is_replayed() {
            let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
            let names = |folder: &str| {
                let entries = std::fs::read_dir(fuzz.join(folder)).expect("a folder");
                let mut names: Vec<String> = entries
                    .filter_map(|entry| {
                        let path = entry.expect("an entry").path();
                        Some(path.file_stem()?.to_str()?.to_owned())
                    })
                    .collect();
                names.sort();
                names
            };
            let mut replayed = vec![$(stringify!($target).to_owned()),*];
            replayed.sort();
            assert_eq!(names("corpus"), replayed);
            assert_eq!(names("fuzz_targets"), replayed);
            assert_eq!(replayed.len(), 10, "invariant 64 names ten");
        }
    };
}

corpora! {
    invariant_64_corpus_of_target_holds: target,
    invariant_64_corpus_of_header_filter_holds: header_filter,
    invariant_64_corpus_of_connection_holds: connection,
    invariant_64_corpus_of_token_holds: token,
    invariant_64_corpus_of_claims_holds: claims,
    invariant_64_corpus_of_jwks_holds: jwks,
    invariant_64_corpus_of_config_holds: config,
    invariant_64_corpus_of_decide_holds: decide,
    invariant_64_corpus_of_guard_holds: guard,
    invariant_64_corpus_of_end_to_end_holds: end_to_end,
}

/// Policies, requests and tokens of chance, the same ones every time: what they agree on depends on values that no
/// corpus which was chosen by coverage keeps.
#[test]
fn invariant_64_decisions_about_chance_requests_are_the_oracles() {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..5000 {
        let data: Vec<u8> = (0..120)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[3]
            })
            .collect();
        properties::decide::check(&data);
    }
}
