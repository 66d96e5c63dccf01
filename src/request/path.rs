/// The path, decoded exactly once, and the target's bytes as they came.
#[derive(Clone, Debug)]
pub struct CanonicalPath {
    /// The original origin-form target (path and query); what is forwarded, byte for byte.
    pub(crate) target: http::uri::PathAndQuery,
}

/// What a route accepts in paths although two parsers could read it differently (`paths:`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathAllowances {
    /// `encoded_slash`.
    pub encoded_slash: bool,
    /// `empty_segment`.
    pub empty_segment: bool,
    /// `semicolon`.
    pub semicolon: bool,
    /// `encoded_percent`.
    pub encoded_percent: bool,
}
