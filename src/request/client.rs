//! Who the client is, behind trusted proxies.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;
use smallvec::SmallVec;

/// Whether `address` is one of the trusted proxies.
pub(super) fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address))
}

/// The rightmost hop that is not a trusted proxy. Hops are read from the right, for each trusted one vouches for the next;
/// what is no address ends the walk at the hop that wrote it.
pub(super) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut client = peer;
    let values: SmallVec<[&HeaderValue; 4]> = headers.get_all("x-forwarded-for").iter().collect();
    for value in values.into_iter().rev() {
        for hop in value.as_bytes().rsplit(|byte| *byte == b',') {
            let Some(address) = parse_hop(hop) else {
                return client;
            };
            client = address;
            if !is_trusted(address, trusted) {
                return client;
            }
        }
    }
    client
}

/// An address, also in the spellings with a port that some proxies write. IPv4-mapped IPv6 is IPv4.
fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim_matches([' ', '\t']);
    let bare = match text.strip_prefix('[') {
        Some(literal) => {
            let (address, port) = literal.split_once(']')?;
            let plain = port.is_empty() || port.strip_prefix(':')?.parse::<u16>().is_ok();
            plain.then_some(address)?
        }
        None => match text.split_once(':') {
            Some((address, port)) if !port.contains(':') => {
                port.parse::<u16>().ok()?;
                address
            }
            _ => text,
        },
    };
    bare.parse::<IpAddr>()
        .ok()
        .map(|address| address.to_canonical())
}
