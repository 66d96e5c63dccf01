/// The signed identity statement.
#[derive(Debug)]
pub struct AssertionSettings {}

/// What an assertion is bound to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Binding {
    /// The method.
    pub method: bool,
    /// The exact target.
    pub target: bool,
    /// The authority.
    pub authority: bool,
}
