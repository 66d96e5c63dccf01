//! Tokens that somebody else judges (issue 5, item 4): `verify: {token_review: …}` and `verify: {introspection: …}`.

mod cluster;
mod faults;
mod introspection;
mod load;
