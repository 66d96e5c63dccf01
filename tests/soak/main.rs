//! Soak and life cycle: the real program as a child process, with an upstream, an issuer and the load in this one.
//!
//! `cargo bench --bench soak -- all` runs everything in full size, `--quick` a small one; see `README.md`. It prints a
//! table of figures and fails when a bound is broken. Figures without a bound are for people to compare.

#![expect(
    unreachable_pub,
    missing_debug_implementations,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::large_enum_variant,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::too_many_lines,
    let_underscore_drop,
    reason = "not the product: what goes wrong here must stop the run and say so"
)]

mod accountability;
mod bad_tokens;
mod cardinality;
mod client;
mod kids;
mod nonces;
mod program;
mod reloads;
mod report;
mod restarts;
mod stalled;
mod tokens;
mod upstream;
mod victim;
mod world;

use std::process::ExitCode;

use report::Report;

/// How much of it.
#[derive(Clone, Copy)]
pub struct Size {
    quick: bool,
}

impl Size {
    /// `full`, or `quick` of it.
    pub const fn of<T: Copy>(self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

type Scenario = fn(Size, &mut Report);

const SCENARIOS: [(&str, Scenario); 8] = [
    ("restarts", restarts::run),
    ("reloads", reloads::run),
    ("stalled", stalled::run),
    ("cardinality", cardinality::run),
    ("kids", kids::run),
    ("accountability", accountability::run),
    ("nonces", nonces::run),
    ("bad-tokens", bad_tokens::run),
];

fn main() -> ExitCode {
    // `--bench` is cargo's.
    let given: Vec<_> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let size = Size {
        quick: given.iter().any(|word| word == "--quick"),
    };
    let wanted = |name: &str| given.iter().any(|word| word == name || word == "all");
    let chosen: Vec<_> = SCENARIOS.iter().filter(|(name, _)| wanted(name)).collect();
    if chosen.is_empty() {
        let names = SCENARIOS.map(|(name, _)| name).join(" | ");
        println!("usage: cargo bench --bench soak -- [--quick] all | {names}");
        return ExitCode::SUCCESS;
    }
    world::raise_open_files();
    let mut report = Report::new();
    for (name, run) in chosen {
        eprintln!("── {name}");
        report.begin(name);
        run(size, &mut report);
        report.show_last();
    }
    report.show();
    if report.holds() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
