//! What differs between systems: Unix, and a twin for all others that does without. Nothing outside this module names what
//! only Unix has (a test over the sources holds this), so that porting means filling in the twin.
//!
//! What only Linux has and others simply lack (`/proc`, some socket options) stands where it is used.

#[cfg(unix)]
mod unix;

#[cfg(any(test, not(unix)))]
#[cfg_attr(
    unix,
    expect(
        dead_code,
        unreachable_pub,
        reason = "compiled on Unix to be checked, and used elsewhere"
    )
)]
#[expect(clippy::needless_pass_by_value, reason = "as on Unix")]
mod portable;

#[cfg(not(unix))]
pub use portable::UnixStream;
#[cfg(not(unix))]
pub(crate) use portable::*;
#[cfg(unix)]
pub use unix::UnixStream;
#[cfg(unix)]
pub(crate) use unix::*;

/// What the operating system asks of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGHUP: load the configuration anew.
    Reload,
    /// SIGTERM, SIGINT or Control-C: drain; a second one: end.
    End,
}

/// Whether a stream shows colour: it is a terminal, and nobody asked for none.
pub(crate) fn shows_colour(stream: &impl std::io::IsTerminal) -> bool {
    takes_colour(
        stream.is_terminal(),
        std::env::var_os("NO_COLOR").as_deref(),
    )
}

/// The rule of no-color.org: `NO_COLOR` with any value but the empty one means none.
fn takes_colour(terminal: bool, no_color: Option<&std::ffi::OsStr>) -> bool {
    terminal && no_color.is_none_or(std::ffi::OsStr::is_empty)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::takes_colour;

    #[test]
    fn text_logs_on_a_terminal_had_colour_in_spite_of_no_color() {
        let one = Some(std::ffi::OsStr::new("1"));
        assert!(!takes_colour(true, one));
        assert!(takes_colour(true, None));
        assert!(takes_colour(true, Some(std::ffi::OsStr::new(""))));
        assert!(!takes_colour(false, None));
        // The rule is the only one: nothing else asks for a terminal but for progress.
        let writer = include_str!("telemetry/writer.rs");
        let output = include_str!("cli/output.rs");
        for source in [writer, output] {
            assert!(source.contains("platform::shows_colour(") && !source.contains("is_terminal("));
        }
    }

    /// What a source offers to the rest of the program.
    fn offered(source: &str) -> BTreeSet<String> {
        let words = ["async", "const", "fn", "enum", "struct", "type"];
        source
            .lines()
            .filter_map(|line| {
                line.strip_prefix("pub(crate) ")
                    .or_else(|| line.strip_prefix("pub "))
            })
            .filter(|line| !line.starts_with("use "))
            .filter_map(|line| {
                let name = line
                    .split([' ', '(', '<', ';'])
                    .find(|word| !words.contains(word))?;
                Some(name.to_owned())
            })
            .collect()
    }

    #[test]
    fn a10_unix_and_its_twin_offer_the_same() {
        let unix = offered(include_str!("platform/unix.rs"));
        let mut twin = offered(include_str!("platform/portable.rs"));
        // On Unix it is tokio's own.
        assert!(twin.remove("UnixStream"));
        assert_eq!(unix, twin);
        assert!(unix.len() > 15, "{unix:?}");
    }
}
