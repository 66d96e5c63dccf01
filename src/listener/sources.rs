//! Connections per peer address, where a cap is configured.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts connections by address; holds no more entries than there are connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One counted connection.
#[derive(Debug)]
pub(crate) struct Entered(Option<(Sources, IpAddr)>);

impl Sources {
    /// Counts a connection from `peer`; `None` when the address has `most` already.
    pub(crate) fn enter(&self, peer: IpAddr, most: Option<usize>) -> Option<Entered> {
        let Some(most) = most else {
            return Some(Entered(None));
        };
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(peer).or_insert(0);
        if *count >= most {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Entered(Some((self.clone(), peer))))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let Some((sources, peer)) = self.0.take() else {
            return;
        };
        let mut counts = sources.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&peer) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_at_its_cap_is_refused_until_a_connection_ends() {
        let sources = Sources::default();
        let peer = IpAddr::from([192, 0, 2, 1]);
        let first = sources.enter(peer, Some(1));
        assert!(first.is_some());
        assert!(sources.enter(peer, Some(1)).is_none());
        assert!(
            sources
                .enter(IpAddr::from([192, 0, 2, 2]), Some(1))
                .is_some()
        );
        drop(first);
        assert!(sources.enter(peer, Some(1)).is_some());
    }
}
