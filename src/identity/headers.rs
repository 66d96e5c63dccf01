/// One identity header.
#[derive(Debug)]
pub struct HeaderSettings {
    /// Its name.
    pub name: http::HeaderName,
    /// What it carries.
    pub source: Source,
}

/// What an identity header may carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `subject`.
    Subject,
}
