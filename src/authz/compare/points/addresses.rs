//! Where clients can be.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::choices::positions;
use super::{Choice, Need};

/// Where a client can be, so far as some networks tell: one address for each part of the address space.
#[derive(Clone, Debug)]
pub(in crate::authz::compare) struct Addresses {
    /// In the innermost network of which no narrower one takes it.
    all: Vec<IpAddr>,
    /// Outside of all of them, if there is such a place.
    pub(in crate::authz::compare) somewhere: IpAddr,
    /// There is none.
    pub(super) covered: bool,
}

impl Addresses {
    pub(in crate::authz::compare) fn of(networks: &[IpNet]) -> Self {
        let outside = [
            IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
        ];
        let whole = [
            IpNet::from(ipnet::Ipv4Net::default()),
            IpNet::from(ipnet::Ipv6Net::default()),
        ];
        let is_free = |address: &IpAddr| !networks.iter().any(|own| own.contains(address));
        let mut all: Vec<IpAddr> = outside.into_iter().filter(is_free).collect();
        all.extend(networks.iter().filter_map(|own| free_in(*own, networks)));
        if all.is_empty() || !all.iter().any(is_free) {
            all.extend(whole.iter().filter_map(|own| free_in(*own, networks)));
        }
        let somewhere = all.iter().copied().find(is_free);
        Self {
            covered: somewhere.is_none(),
            somewhere: somewhere
                .or_else(|| all.first().copied())
                .unwrap_or(outside[0]),
            all,
        }
    }

    /// One choice for each part of these networks.
    pub(super) fn within(&self, networks: &[IpNet]) -> Vec<Choice> {
        let inside = self
            .all
            .iter()
            .filter(|address| networks.iter().any(|own| own.contains(*address)));
        inside
            .map(|address| Choice {
                needs: vec![Need::Address(*address)],
                values: positions(networks, |own| own.contains(address)),
            })
            .collect()
    }

    /// One choice for each part, where no place is outside of all networks.
    pub(super) fn everywhere(&self) -> Vec<Choice> {
        let choice = |address: &IpAddr| Choice {
            needs: vec![Need::Address(*address)],
            values: Vec::new(),
        };
        self.all.iter().map(choice).collect()
    }
}

/// An address of `network` that none of the narrower ones has: right at its start, or right behind one of them.
fn free_in(network: IpNet, networks: &[IpNet]) -> Option<IpAddr> {
    let narrower: Vec<&IpNet> = networks
        .iter()
        .filter(|own| **own != network && network.contains(*own))
        .collect();
    let behind = narrower.iter().filter_map(|own| next(own.broadcast()));
    let first = network.network();
    next(first)
        .into_iter()
        .chain([first])
        .chain(behind)
        // Addresses of IPv4 in IPv6 are taken for what they are.
        .filter(|address| address.to_canonical() == *address && network.contains(address))
        .find(|address| !narrower.iter().any(|own| own.contains(address)))
}

fn next(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => address
            .to_bits()
            .checked_add(1)
            .map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(address) => address
            .to_bits()
            .checked_add(1)
            .map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}
