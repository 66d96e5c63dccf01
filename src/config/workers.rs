//! How many workers `auto` means.

use std::path::Path;

use crate::platform;

/// Most workers of `auto`: a sidecar's CPU is taken from the application beside it.
const MOST: usize = 2;

/// The number that is configured, or the least of CPU quota (rounded up), affinity and [`MOST`], as they are now.
pub(crate) fn resolve(configured: Option<u64>) -> usize {
    configured
        .and_then(|number| usize::try_from(number).ok())
        .unwrap_or_else(|| {
            let quota = quota(|path| std::fs::read_to_string(path).ok());
            // Not `available_parallelism`, which minds quotas, too, and rounds them down.
            auto(platform::cpus(), quota)
        })
        .max(1)
}

fn auto(affinity: usize, quota: Option<usize>) -> usize {
    affinity.min(quota.unwrap_or(MOST)).clamp(1, MOST)
}

/// The least quota of the cgroups that hold this process, version 2 or 1, in whole CPUs, rounded up.
///
/// In a container the mount's root is its own cgroup, whatever path the kernel names; elsewhere the path leads to it, and what
/// holds for the cgroups around it holds for it.
fn quota(read: impl Fn(&str) -> Option<String>) -> Option<usize> {
    let listed = read("/proc/self/cgroup").unwrap_or_default();
    let named = listed.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        rest.split_once(':')
    });
    let mut least: Option<usize> = None;
    for (controllers, path) in named.chain([("", "/"), ("cpu", "/")]) {
        for group in Path::new(path).ancestors() {
            let group = group.to_string_lossy();
            let group = group.trim_end_matches('/');
            let found = if controllers.is_empty() {
                read(&format!("/sys/fs/cgroup{group}/cpu.max")).and_then(|max| quota_v2(&max))
            } else if controllers.split(',').any(|controller| controller == "cpu") {
                let of = |file: &str| read(&format!("/sys/fs/cgroup/cpu{group}/cpu.cfs_{file}_us"));
                of("quota")
                    .zip(of("period"))
                    .and_then(|(quota, period)| quota_v1(&quota, &period))
            } else {
                None
            };
            least = least.into_iter().chain(found).min();
        }
    }
    least
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

    /// Files of a system: a container of each cgroup version, a service of systemd, and a system that has none of it.
    #[test]
    fn the_least_quota_of_all_cgroups_around_the_process_counts() {
        type Files = &'static [(&'static str, &'static str)];
        const QUOTA: &str = "/sys/fs/cgroup/cpu/cpu.cfs_quota_us";
        const PERIOD: &str = "/sys/fs/cgroup/cpu/cpu.cfs_period_us";
        const PODS: &str = "4:cpu,cpuacct:/kubepods/pod7\n0::/kubepods/pod7\n";
        const SERVICE: &str = "/sys/fs/cgroup/system.slice/app.service/cpu.max";
        let rows: &[(&str, Files, Option<usize>)] = &[
            (
                "0::/\n",
                &[("/sys/fs/cgroup/cpu.max", "150000 100000\n")],
                Some(2),
            ),
            (
                "0::/\n",
                &[("/sys/fs/cgroup/cpu.max", "max 100000\n")],
                None,
            ),
            (PODS, &[(QUOTA, "50000\n"), (PERIOD, "100000\n")], Some(1)),
            (PODS, &[(QUOTA, "-1\n"), (PERIOD, "100000\n")], None),
            (
                "0::/system.slice/app.service\n",
                &[(SERVICE, "300000 100000\n")],
                Some(3),
            ),
            (
                "0::/system.slice/app.service\n",
                &[
                    (SERVICE, "300000 100000\n"),
                    ("/sys/fs/cgroup/system.slice/cpu.max", "100000 100000\n"),
                ],
                Some(1),
            ),
            (
                "",
                &[("/sys/fs/cgroup/cpu.max", "100000 100000\n")],
                Some(1),
            ),
            ("", &[], None),
        ];
        for (cgroup, files, expected) in rows {
            let read = |path: &str| {
                if path == "/proc/self/cgroup" {
                    return (!cgroup.is_empty()).then(|| (*cgroup).to_owned());
                }
                let found = files.iter().find(|(name, _)| *name == path);
                found.map(|(_, text)| (*text).to_owned())
            };
            assert_eq!(quota(read), *expected, "{cgroup}{files:?}");
        }
    }
}
