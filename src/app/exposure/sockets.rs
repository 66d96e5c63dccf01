//! The kernel's list of listening sockets (proc(5), the kernel's `proc_net_tcp.rst`).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Whether this system has the list.
pub(super) const SUPPORTED: bool = cfg!(target_os = "linux");

/// The state of a socket that listens, as the list writes it.
const LISTEN: &str = "0A";

/// Where somebody listens on more than loopback; `None` where that cannot be told.
pub(super) fn beyond_loopback() -> Option<BTreeSet<SocketAddr>> {
    let mut found = read("/proc/net/tcp").ok()??;
    // A kernel without IPv6 has no such list, and no such sockets.
    match read("/proc/net/tcp6") {
        Ok(list) => found.extend(list?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(_) => return None,
    }
    Some(found)
}

fn read(list: &str) -> std::io::Result<Option<BTreeSet<SocketAddr>>> {
    use std::io::BufRead as _;
    let mut failure = None;
    let lines = std::io::BufReader::new(std::fs::File::open(list)?).lines();
    // The first line is the table's head.
    let found = listening(
        lines
            .skip(1)
            .map_while(|line| line.map_err(|error| failure = Some(error)).ok()),
    );
    failure.map_or(Ok(found), Err)
}

/// Where the sockets of the first lines listen, if not on loopback. `None` when a line is not what proc(5) says.
///
/// Listening sockets come first and connections after them: reading stops at the first of those, since there may be tens
/// of thousands, and a look must cost the same however many there are.
pub(super) fn listening(lines: impl Iterator<Item = String>) -> Option<BTreeSet<SocketAddr>> {
    let mut found = BTreeSet::new();
    for line in lines {
        let mut fields = line.split_ascii_whitespace();
        let (local, state) = (fields.nth(1)?, fields.nth(1)?);
        if state != LISTEN {
            break;
        }
        let address = address(local)?;
        if !address.ip().is_loopback() {
            found.insert(address);
        }
    }
    Some(found)
}

/// `0100007F:1F40`: each word of the address in the byte order of the machine, then the port. A mapped IPv4 address is one.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = ip.get(at * 8..at * 8 + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let mut octets = [0; 16];
            for (octet, byte) in octets.iter_mut().zip(words.iter().flatten()) {
                *octet = *byte;
            }
            IpAddr::V6(Ipv6Addr::from(octets)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}
