//! The answer of an introspection endpoint (RFC 7662 section 2.2).

use std::sync::Arc;

use super::{Review, ReviewFault, document};
use crate::authn::Claims;
use crate::authn::json::Json;

/// `active` is a boolean and nothing that could be taken for one. What stands beside `active: false` is not looked at.
pub(super) fn read(body: &[u8]) -> Result<Review, ReviewFault> {
    let answer = document(body)?;
    let members = answer.members();
    match members.get("active") {
        Some(Json::Bool(true)) => {
            let said = members.iter().filter(|(name, _)| *name != "active");
            Ok(Review::Active(Arc::new(Claims::of(said)?)))
        }
        Some(Json::Bool(false)) => Ok(Review::Inactive),
        Some(_) => Err(ReviewFault::Document("its `active` is no boolean")),
        None => Err(ReviewFault::Document("it has no `active`")),
    }
}
