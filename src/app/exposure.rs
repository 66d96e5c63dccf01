//! A way around the proxy: an upstream of this machine that listens on more than loopback can be reached without it.
//!
//! The containers of a pod share one network, so the kernel's list of listening sockets shows the application's, and
//! nothing has to be sent anywhere to learn it. Only Linux has that list.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::snapshot::Snapshot;

/// The listeners whose upstreams can be reached around the proxy.
#[derive(Clone, Debug, Default)]
pub(super) struct Exposure(Arc<Mutex<BTreeSet<Arc<str>>>>);

impl Exposure {
    /// Looks again, and tells once of what is new.
    pub(super) fn look(&self, snapshot: &Snapshot) {
        let open = open_ports();
        let exposed: BTreeSet<Arc<str>> = snapshot
            .inbounds
            .iter()
            .filter(|inbound| {
                let address = &inbound.settings.upstream.address;
                let port = address
                    .host_and_port()
                    .filter(|_| address.is_local())
                    .map(|(_, port)| port);
                port.is_some_and(|port| open.contains(&port))
            })
            .map(|inbound| Arc::clone(&inbound.settings.name))
            .collect();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for listener in exposed.difference(&known) {
            tracing::warn!(%listener, "upstream.exposed");
        }
        *known = exposed;
    }

    /// The names of the listeners, now.
    pub(super) fn listeners(&self) -> Vec<Arc<str>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(Arc::clone)
            .collect()
    }
}

/// Ports on which somebody listens on more than loopback.
#[cfg(target_os = "linux")]
fn open_ports() -> BTreeSet<u16> {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|list| std::fs::read_to_string(list).ok())
        .flat_map(|list| list.lines().filter_map(open_port).collect::<Vec<_>>())
        .collect()
}

#[cfg(not(target_os = "linux"))]
fn open_ports() -> BTreeSet<u16> {
    BTreeSet::new()
}

/// The port of a line of the kernel's list (proc(5)), if it is a socket that listens on more than loopback.
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "only Linux has the list")
)]
fn open_port(line: &str) -> Option<u16> {
    const LISTEN: &str = "0A";
    let mut fields = line.split_ascii_whitespace();
    let (address, port) = fields.nth(1)?.split_once(':')?;
    if fields.nth(1)? != LISTEN || is_loopback(address) {
        return None;
    }
    u16::from_str_radix(port, 16).ok()
}

/// Addresses are words in the machine's byte order; `::1` and mapped IPv4 have their last word on the right.
fn is_loopback(address: &str) -> bool {
    let Some(last) = address
        .len()
        .checked_sub(8)
        .and_then(|at| address.get(at..))
    else {
        return false;
    };
    let Ok(word) = u32::from_str_radix(last, 16) else {
        return false;
    };
    let [first, ..] = word.to_ne_bytes();
    match address.len() {
        8 => first == 127,
        32 if address.starts_with("0000000000000000FFFF0000")
            || address.starts_with("00000000000000000000FFFF") =>
        {
            first == 127
        }
        32 => address.starts_with("000000000000000000000000") && word.to_ne_bytes() == [0, 0, 0, 1],
        _ => false,
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    #[test]
    fn t16_only_sockets_that_listen_beyond_loopback_are_open() {
        let rows = [
            (
                "   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000",
                None,
            ),
            (
                "   0: 00000000:1F40 00000000:0000 0A 00000000:00000000",
                Some(8000),
            ),
            (
                "   0: 0200000A:1F40 00000000:0000 0A 00000000:00000000",
                Some(8000),
            ),
            (
                "   0: 00000000:1F40 00000000:0000 01 00000000:00000000",
                None,
            ),
            (
                "   0: 00000000000000000000000001000000:1F40 0:0 0A 0:0",
                None,
            ),
            (
                "   0: 00000000000000000000000000000000:1F40 0:0 0A 0:0",
                Some(8000),
            ),
            (
                "   0: 0000000000000000FFFF00000100007F:1F40 0:0 0A 0:0",
                None,
            ),
            (
                "   0: 0000000000000000FFFF00000200000A:1F40 0:0 0A 0:0",
                Some(8000),
            ),
            (
                "  sl  local_address rem_address   st tx_queue rx_queue",
                None,
            ),
            ("", None),
        ];
        for (line, port) in rows {
            assert_eq!(open_port(line), port, "{line}");
        }
    }
}
