//! What the process costs, from `/proc`; nothing where there is none.

/// Ticks per second of the times in `/proc/self/stat`: 100 on every architecture that Rust's Linux targets know.
const TICKS: f64 = 100.0;

/// Processor time spent, in seconds, user and system together.
pub(super) fn cpu_seconds() -> Option<f64> {
    parse_cpu(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

fn parse_cpu(stat: &str) -> Option<f64> {
    // The name of the program stands in parentheses and may itself contain some.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS)
}

/// A line of `/proc/self/status` that tells kibibytes, in bytes: `VmRSS`, `VmHWM`.
pub(super) fn memory_bytes(name: &str) -> Option<f64> {
    parse_memory(&std::fs::read_to_string("/proc/self/status").ok()?, name)
}

fn parse_memory(status: &str, name: &str) -> Option<f64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kibibytes: f64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024.0)
}

/// File descriptors in use.
pub(super) fn open_files() -> Option<f64> {
    let count = std::fs::read_dir("/proc/self/fd").ok()?.count();
    // The listing itself uses one.
    Some(f64::from(u32::try_from(count.saturating_sub(1)).ok()?))
}

/// File descriptors that may be used.
pub(super) fn most_files() -> Option<f64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read_as_it_is_written() {
        let stat = "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 5 0 100";
        assert_eq!(parse_cpu(stat), Some(2.0));
        assert_eq!(parse_cpu("nonsense"), None);
        let status = "Name:\tx\nVmHWM:\t  20 kB\nVmRSS:\t  12 kB\n";
        assert_eq!(parse_memory(status, "VmRSS"), Some(12_288.0));
        assert_eq!(parse_memory(status, "VmSwap"), None);
    }
}
