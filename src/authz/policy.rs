/// Who may call: a name for an issuer and conditions.
#[derive(Debug)]
pub struct Caller {}

/// All routes of all listeners.
#[derive(Debug, Default)]
pub struct Policy {}

/// Takes routes one by one and reports conflicts.
#[derive(Debug, Default)]
pub struct PolicyBuilder {}

/// Two routes that can match one request with equal specificity.
#[derive(Debug, thiserror::Error)]
#[error("conflicts with another route")]
pub struct Conflict {}
