/// A path as policy writes it: literals, `{parameters}`, a last `**`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {}

/// A host as policy writes it: a name, or `*.` before one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {}

/// A pattern that means nothing, or not what it seems to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {}
