/// One way to be allowed: all conditions hold.
#[derive(Debug)]
pub struct Alternative {
    /// The conditions, cheap ones first.
    pub conditions: Vec<Condition>,
}

/// What permits.
#[derive(Debug)]
#[non_exhaustive]
pub enum Condition {}
