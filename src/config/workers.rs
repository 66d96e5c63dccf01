//! How many workers `auto` means.

/// Most workers of `auto`: a sidecar's CPU is taken from the application beside it.
const MOST: usize = 2;

/// The number that is configured, or the least of CPU quota (rounded up), affinity and [`MOST`].
pub(crate) fn resolve(configured: Option<u64>) -> usize {
    configured
        .and_then(|number| usize::try_from(number).ok())
        .unwrap_or_else(|| {
            // The standard library minds affinity, and on Linux cgroup quotas as well; it rounds those down.
            let available = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            auto(available, quota())
        })
        .max(1)
}

fn auto(affinity: usize, quota: Option<usize>) -> usize {
    affinity.min(quota.unwrap_or(MOST)).clamp(1, MOST)
}

/// The quota of the cgroup that this process sees as its root, version 2 or 1, in whole CPUs, rounded up.
fn quota() -> Option<usize> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    if let Some(max) = read("/sys/fs/cgroup/cpu.max") {
        return quota_v2(&max);
    }
    quota_v1(
        &read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")?,
        &read("/sys/fs/cgroup/cpu/cpu.cfs_period_us")?,
    )
}

/// `max 100000`, or `150000 100000`.
fn quota_v2(text: &str) -> Option<usize> {
    let (quota, period) = text.trim().split_once(' ')?;
    quota_v1(quota, period)
}

/// Microseconds per period; −1 is no quota.
fn quota_v1(quota: &str, period: &str) -> Option<usize> {
    let quota: usize = quota.trim().parse().ok()?;
    let period: usize = period.trim().parse().ok().filter(|&period| period > 0)?;
    Some(quota.div_ceil(period).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_the_least_of_quota_affinity_and_two() {
        for (affinity, quota, workers) in [
            (8, None, 2),
            (8, Some(1), 1),
            (8, Some(4), 2),
            (1, Some(4), 1),
            (1, None, 1),
        ] {
            assert_eq!(auto(affinity, quota), workers);
        }
        assert_eq!(resolve(Some(7)), 7);
    }

    #[test]
    fn quotas_of_both_cgroup_versions_are_read() {
        assert_eq!(quota_v2("max 100000\n"), None);
        assert_eq!(quota_v2("150000 100000\n"), Some(2));
        assert_eq!(quota_v2("50000 100000\n"), Some(1));
        assert_eq!(quota_v1("-1\n", "100000\n"), None);
        assert_eq!(quota_v1("100000", "0"), None);
    }
}
