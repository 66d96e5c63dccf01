//! Who is enforced already, and who is only observed: a part of the clients, and callers.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::digest;

use super::condition::Caller;
use crate::clock::{Now, UnixTime};

/// Shares are counted in hundredths of a percent.
const WHOLE: u32 = 10_000;

/// Separates our digests from everybody else's.
const DOMAIN: &[u8] = b"countersign ramp 1\0";

/// A part of all clients, in hundredths of a percent: for these, decisions are enforced although the route observes.
///
/// A client is its address (IPv6: its /64, since whoever has one has all of it), and whether it is among them follows from
/// SHA-256 of the address alone. So it is the same at every retry, on every replica, after every restart and on every route,
/// and who is enforced at 10 % is so at 25 %. There is no secret in it: somebody may reckon out which addresses are enforced.
/// It is a way to introduce a policy, not a lock: whoever is not among them is let pass by design.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u16);

impl Share {
    /// Nobody.
    pub const NOBODY: Self = Self(0);

    /// So many hundredths of a percent; `None` beyond the whole.
    #[must_use]
    pub fn of_hundredths(hundredths: u16) -> Option<Self> {
        (u32::from(hundredths) <= WHOLE).then_some(Self(hundredths))
    }

    /// Whether nobody is among them.
    #[must_use]
    pub const fn is_nobody(self) -> bool {
        self.0 == 0
    }

    /// Whether everybody is among them.
    #[must_use]
    pub fn is_everybody(self) -> bool {
        u32::from(self.0) == WHOLE
    }

    /// Whether a client is among them.
    #[must_use]
    pub fn includes(self, client: IpAddr) -> bool {
        if self.is_nobody() {
            return false;
        }
        place(client) < u32::from(self.0)
    }
}

/// Where a client stands, from 0 to 9,999.
fn place(client: IpAddr) -> u32 {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(DOMAIN);
    match client.to_canonical() {
        IpAddr::V4(address) => context.update(&address.octets()),
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, h, ..] = address.octets();
            context.update(&[a, b, c, d, e, f, g, h]);
        }
    }
    let digest = context.finish();
    let bytes = digest.as_ref().first_chunk::<4>();
    let number = bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes));
    // As good as even: 2^32 is many times the whole.
    number % WHOLE
}

/// As the configuration writes it: `25%`, `0.5%`.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 100, self.0 % 100);
        match (part, part % 10) {
            (0, _) => write!(f, "{whole}%"),
            (_, 0) => write!(f, "{whole}.{}%", part / 10),
            _ => write!(f, "{whole}.{part:02}%"),
        }
    }
}

/// A caller of whom decisions are recorded and not enforced.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedCaller {
    /// Who.
    pub caller: Caller,
    /// Until then.
    pub until: UnixTime,
    /// The clients of it for whom they are enforced.
    pub enforced: Share,
}

/// All of them.
pub(super) type ObservedCallers = Arc<[ObservedCaller]>;

impl ObservedCaller {
    /// Whether it is observed now, when it comes from this client.
    #[must_use]
    pub fn observes(&self, now: Now, client: IpAddr) -> bool {
        now.unix < self.until && !self.enforced.includes(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_the_same_clients_everywhere_and_grows_without_letting_anybody_go() {
        // These are what every replica of every version says; whoever changes them lets a ramp jump.
        let known =
            ["192.0.2.1", "198.51.100.7", "2001:db8::1"].map(|text| place(text.parse().unwrap()));
        assert_eq!(known, [3310, 7869, 4299]);
        let some = |hundredths| Share::of_hundredths(hundredths).unwrap();
        let clients: Vec<IpAddr> = (0..=255_u8)
            .flat_map(|a| (0..40_u8).map(move |b| IpAddr::from([10, a, b, 7])))
            .collect();
        let of = |share: Share| {
            clients
                .iter()
                .filter(|client| share.includes(**client))
                .count()
        };
        let (ten, quarter) = (of(some(1000)), of(some(2500)));
        assert!((900..1150).contains(&ten), "{ten} of {}", clients.len());
        assert!(
            (2400..2720).contains(&quarter),
            "{quarter} of {}",
            clients.len()
        );
        assert!(
            clients
                .iter()
                .all(|client| !some(1000).includes(*client) || some(2500).includes(*client))
        );
        assert_eq!((of(Share::NOBODY), of(some(10_000))), (0, clients.len()));
        assert_eq!(Share::of_hundredths(10_001), None);
    }

    #[test]
    fn another_address_of_the_same_host_is_no_other_client() {
        let place = |text: &str| place(text.parse().unwrap());
        assert_eq!(place("2001:db8::1"), place("2001:db8::ffff:1:2:3"));
        assert_ne!(place("2001:db8::1"), place("2001:db8:0:1::1"));
        assert_eq!(place("192.0.2.1"), place("::ffff:192.0.2.1"));
    }

    #[test]
    fn shares_are_written_as_they_are_read() {
        let shown =
            [0, 50, 1, 105, 2500, 10_000].map(|own| Share::of_hundredths(own).unwrap().to_string());
        assert_eq!(shown, ["0%", "0.5%", "0.01%", "1.05%", "25%", "100%"]);
    }
}
