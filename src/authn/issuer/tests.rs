use super::*;
use crate::authn::tests::support::*;

#[test]
fn t20_an_iss_that_two_issuers_claim_is_nobodys() {
    let mut other = settings();
    other.name = "other".into();
    other.issuers.push("https://own.example.org".to_owned());
    let issuers = issuers(vec![settings(), other]);
    assert!(issuers.by_iss(ISS).is_none());
    assert!(issuers.by_iss("https://own.example.org").is_some());
    assert!(issuers.named("dls").is_some() && issuers.named("DLS").is_none());
}

#[test]
fn the_largest_token_limit_bounds_reading() {
    let mut wide = settings();
    wide.name = "wide".into();
    wide.issuers = vec!["https://wide.example.org".to_owned()];
    wide.token_bytes = 64 * 1024;
    assert_eq!(issuers(vec![settings(), wide]).token_bytes(), 64 * 1024);
    assert_eq!(Issuers::default().token_bytes(), DEFAULT_TOKEN_BYTES);
}
