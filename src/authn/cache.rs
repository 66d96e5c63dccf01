/// Verified tokens of one worker, bounded.
#[derive(Debug, Default)]
pub struct TokenCache {}

impl TokenCache {
    /// A cache that holds at most `bytes` of tokens and claims.
    #[must_use]
    pub const fn new(_bytes: usize) -> Self {
        Self {}
    }
}
