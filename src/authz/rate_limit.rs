/// A limit that all workers share.
#[derive(Debug)]
pub struct RateLimit {}

/// What a limit counts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimitKey {
    /// The client's address (IPv6: its /64).
    ClientAddress,
    /// Issuer and subject (or client) of the principal.
    Principal,
}
