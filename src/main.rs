//! The `countersign` program.

use std::process::ExitCode;

/// A request makes some thirty short-lived allocations; with this allocator it costs a tenth less than with the C
/// library's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    countersign::cli::run()
}
