//! Invariant 14: a token has one spelling.

use crate::bed::standard::standard;
use crate::bed::{Request, Variant, assert_forwarded};

#[test]
fn invariant_14_non_canonical_base64url_is_refused() {
    let bed = standard();
    let token = bed.token().sign();
    // The last character of a 256-byte signature carries four bits that nobody decodes.
    let mut twins = 0;
    for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars() {
        let other = format!("{}{last}", &token[..token.len() - 1]);
        if other != token {
            let status = bed.get("/any/x", &other).status;
            assert_eq!(status, 401, "{last}");
            twins += 1;
        }
    }
    assert_eq!(twins, 63);
    assert_forwarded(&bed, Variant::PLAIN, &Request::get("/any/x").bearer(token));
}
