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
            .listeners
            .iter()
            // What an outbound listener leads to is for others to guard.
            .filter(|listener| listener.outbound.is_none())
            .filter(|listener| {
                let address = &listener.settings.upstream.address;
                let port = address
                    .host_and_port()
                    .filter(|_| address.is_local())
                    .map(|(_, port)| port);
                port.is_some_and(|port| open.contains(&port))
            })
            .map(|listener| Arc::clone(&listener.settings.name))
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
///
/// The kernel lists listening sockets first and connections after them (its `proc_net_tcp.rst` says so): reading stops at
/// the first of those, since there may be tens of thousands, and a reload must cost the same however many there are.
#[cfg(target_os = "linux")]
fn open_ports() -> BTreeSet<u16> {
    use std::io::BufRead as _;
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|list| std::fs::File::open(list).ok())
        .flat_map(|list| {
            let lines = std::io::BufReader::new(list).lines().skip(1);
            listening(lines.map_while(Result::ok))
        })
        .collect()
}

#[cfg(not(target_os = "linux"))]
fn open_ports() -> BTreeSet<u16> {
    BTreeSet::new()
}

/// The open ports of the first lines, which are those of listening sockets.
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "only Linux has the list")
)]
fn listening(lines: impl Iterator<Item = String>) -> BTreeSet<u16> {
    lines
        .take_while(|line| line.split_ascii_whitespace().nth(3) == Some(LISTEN))
        .filter_map(|line| open_port(&line))
        .collect()
}

/// The state of a socket that listens.
const LISTEN: &str = "0A";

/// The port of a line of the kernel's list (proc(5)), if it is a socket that listens on more than loopback.
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "only Linux has the list")
)]
fn open_port(line: &str) -> Option<u16> {
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

#[cfg(all(test, target_os = "linux", target_endian = "little"))]
mod tests {
    use super::*;

    /// Found by the soak test: every reload read the whole list.
    #[test]
    fn connections_after_the_listening_sockets_are_not_read() {
        let line =
            |state: &str| format!("   0: 00000000:1F40 00000000:0000 {state} 00000000:00000000");
        let read = std::cell::Cell::new(0);
        let lines = [line("0A"), line("0A"), line("01"), line("06"), line("01")];
        let counted = lines.into_iter().inspect(|_| read.set(read.get() + 1));
        assert_eq!(listening(counted), BTreeSet::from([8000]));
        assert_eq!(read.get(), 3);
    }

    #[test]
    fn the_list_of_this_machine_shows_a_socket_that_listens() {
        let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(open_ports().contains(&port));
        drop(listener);
        let loopback = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(!open_ports().contains(&loopback.local_addr().unwrap().port()));
    }

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
