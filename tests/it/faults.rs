//! Faults around the proxy and in it: issuers, upstreams, descriptors, disks, clocks, files.

mod clock;
mod disk;
#[cfg(feature = "failpoints")]
mod failpoints;
mod idp_states;
mod outage;
mod pods;
mod program;
mod upstreams;

/// What the program says when a failpoint makes it panic.
const MARK: &[u8] = b"a failpoint was met";

/// The twin is the same test of a build with the feature; that no release can have it, `src/failpoint.rs` sees to.
#[test]
fn invariant_34_the_program_holds_failpoints_only_where_tests_asked_for_them() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_countersign")).expect("the program");
    let found = program.windows(MARK.len()).any(|window| window == MARK);
    assert_eq!(found, cfg!(feature = "failpoints"));
    let guard = include_str!("../../src/failpoint.rs");
    assert!(
        guard.contains(
            "#[cfg(all(feature = \"failpoints\", not(debug_assertions)))]\ncompile_error!"
        )
    );
}
