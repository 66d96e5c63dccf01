/// Header names that clients may not send, in any spelling.
#[derive(Debug, Default)]
pub struct ReservedNames {}

impl ReservedNames {
    /// Reserves `names` beside the fixed ones (rewrite and method-override headers, `Forwarded`, …).
    #[must_use]
    pub fn new(_names: impl IntoIterator<Item = http::HeaderName>) -> Self {
        Self {}
    }
}

/// Whether `name` could be taken for a reserved name by a lenient upstream.
#[must_use]
pub fn is_reserved_spelling(_name: &str, _reserved: &ReservedNames) -> bool {
    true
}
