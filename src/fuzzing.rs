//! What the fuzz targets under `fuzz/` may reach of the inside; builds never have it unless they ask for the feature
//! `fuzzing` by name. The properties themselves stand in `fuzz/src`; here the committed corpora are replayed through them
//! by ordinary tests.

#[cfg(test)]
mod corpora;

pub use crate::authn::fuzzing::{Token, numeric_date, read_token};
pub use crate::listener::fuzzing::{Guarded, Verdicts, guard};
