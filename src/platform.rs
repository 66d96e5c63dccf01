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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
