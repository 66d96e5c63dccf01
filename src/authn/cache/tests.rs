use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::authn::credential::Source;
use crate::authn::tests::support::*;
use crate::authn::verify::{Failure, Origin, verify};
use crate::authn::{IssuerSettings, KeyCell, TokenSources};

const BEARER: Origin<'static> = Origin {
    source: Source::Bearer,
    issuer: None,
    reviews: &[],
};

fn outcome(token: &str, issuers: &Issuers, cache: &mut TokenCache, now: i64) -> String {
    match verify(token.as_bytes(), BEARER, issuers, cache, at(now)) {
        Ok(_) => "ok".to_owned(),
        Err(Failure::Fault(fault)) => format!("{fault:?}"),
        Err(Failure::NeedsKey(wanted)) => format!("needs {:?}", wanted.kid),
        Err(Failure::NeedsReview(_)) => "needs a review".to_owned(),
    }
}

fn one(settings: IssuerSettings, keys: &Arc<KeyCell>) -> Issuers {
    Issuers::new(vec![Arc::new(Issuer::new(settings, Arc::clone(keys)))])
}

fn set(keys: &[Value]) -> KeyState {
    KeyState::Usable(KeySet::parse(&jwks(keys)).unwrap().0)
}

#[test]
fn a_hit_gives_the_same_verdict_without_verifying() {
    let (issuers, mut cache) = (issuers(vec![settings()]), TokenCache::new(1 << 20));
    let token = rsa().token(&claims());
    let mut verdict = || verify(token.as_bytes(), BEARER, &issuers, &mut cache, at(NOW)).unwrap();
    assert!(Rc::ptr_eq(&verdict(), &verdict()));
    assert_eq!(cache.len(), 1);
}

#[test]
fn invariant_31_the_whole_token_counts_and_only_good_ones_are_kept() {
    let (issuers, mut cache) = (issuers(vec![settings()]), TokenCache::new(1 << 20));
    let token = rsa().token(&claims());
    assert_eq!(outcome(&token, &issuers, &mut cache, NOW), "ok");
    // The same signature under another payload hashes alike.
    let (head, signature) = token.rsplit_once('.').unwrap();
    let header = head.split_once('.').unwrap().0;
    let forged = format!(
        "{header}.{}.{signature}",
        b64(claims_with(json!({"sub": "mallory"})).to_string())
    );
    assert_eq!(outcome(&forged, &issuers, &mut cache, NOW), "Signature");
    assert_eq!(cache.len(), 1);
    assert_eq!(outcome(&token, &issuers, &mut cache, NOW), "ok");
}

#[test]
fn invariant_41_a_withdrawn_key_ends_cached_verdicts() {
    let keys = rsa_cell();
    let issuers = one(settings(), &keys);
    let mut cache = TokenCache::new(1 << 20);
    let token = rsa().token(&claims());
    let k1 = || rsa().jwk_with(json!({"kid": "k1"}));
    let other = || other_rsa().jwk_with(json!({"kid": "k2"}));
    for (state, expected) in [
        (set(&[k1()]), "ok"),
        (set(&[other(), k1()]), "ok"),
        (set(&[other()]), "needs Some(\"k1\")"),
        (set(&[k1()]), "ok"),
        (
            set(&[rsa().jwk_with(json!({"kid": "k9"}))]),
            "needs Some(\"k1\")",
        ),
        (set(&[k1()]), "ok"),
        (
            set(&[other_rsa().jwk_with(json!({"kid": "k1"}))]),
            "Signature",
        ),
        (set(&[k1()]), "ok"),
        (
            set(&[rsa().jwk_with(json!({"kid": "k1", "alg": "PS256"}))]),
            "Algorithm",
        ),
        (set(&[k1()]), "ok"),
        (KeyState::Unavailable, "needs Some(\"k1\")"),
    ] {
        keys.store(state);
        assert_eq!(outcome(&token, &issuers, &mut cache, NOW), expected);
    }
    assert!(cache.is_empty());
}

#[test]
fn a_refresh_with_the_same_key_keeps_verdicts() {
    let keys = rsa_cell();
    let issuers = one(settings(), &keys);
    let mut cache = TokenCache::new(1 << 20);
    let token = rsa().token(&claims());
    let before = verify(token.as_bytes(), BEARER, &issuers, &mut cache, at(NOW)).unwrap();
    keys.store(set(&[rsa().jwk_with(json!({"kid": "k1"}))]));
    let after = verify(token.as_bytes(), BEARER, &issuers, &mut cache, at(NOW)).unwrap();
    assert!(Rc::ptr_eq(&before, &after));
}

#[test]
fn invariant_31_a_changed_issuer_ends_verdicts_and_an_unchanged_one_does_not() {
    let keys = rsa_cell();
    let mut cache = TokenCache::new(1 << 20);
    let token = rsa().token(&claims());
    let mut verdict = |settings: IssuerSettings, keys: &Arc<KeyCell>| {
        verify(
            token.as_bytes(),
            BEARER,
            &one(settings, keys),
            &mut cache,
            at(NOW),
        )
        .map_err(|failure| format!("{failure:?}"))
    };
    let first = verdict(settings(), &keys).unwrap();
    assert!(Rc::ptr_eq(&first, &verdict(settings(), &keys).unwrap()));
    assert!(!Rc::ptr_eq(
        &first,
        &verdict(settings(), &rsa_cell()).unwrap()
    ));
    let mut other = settings();
    other.audiences = crate::authn::Audiences::AnyOf(vec!["else".to_owned()]);
    assert_eq!(verdict(other, &keys).unwrap_err(), "Fault(Audience)");
    let mut renamed = settings();
    renamed.name = "renamed".into();
    let renamed = verdict(renamed, &keys).unwrap();
    assert_eq!(&**renamed.issuer().name(), "renamed");
    assert!(
        verify(
            token.as_bytes(),
            BEARER,
            &Issuers::default(),
            &mut cache,
            at(NOW)
        )
        .is_err()
    );
}

#[test]
fn invariant_51_times_are_checked_at_every_hit() {
    let (issuers, mut cache) = (issuers(vec![settings()]), TokenCache::new(1 << 20));
    let token = rsa().token(&claims_with(json!({"nbf": NOW})));
    for (now, expected) in [
        (NOW, "ok"),
        (NOW + 359, "ok"),
        (NOW + 360, "Expired"),
        (NOW, "ok"),
        (NOW - 61, "NotYetValid"),
        (NOW - 60, "ok"),
    ] {
        assert_eq!(
            outcome(&token, &issuers, &mut cache, now),
            expected,
            "{now}"
        );
    }
}

#[test]
fn a_cached_verdict_does_not_open_other_sources_or_issuers() {
    let mut own = settings();
    own.token_sources = TokenSources::default();
    let (issuers, mut cache) = (issuers(vec![own]), TokenCache::new(1 << 20));
    let token = rsa().token(&claims());
    assert_eq!(outcome(&token, &issuers, &mut cache, NOW), "ok");
    for origin in [
        Origin {
            source: Source::BasicPassword,
            issuer: None,
            reviews: &[],
        },
        Origin {
            source: Source::WebSocketProtocol,
            issuer: None,
            reviews: &[],
        },
        Origin {
            source: Source::Header,
            issuer: Some("atlas"),
            reviews: &[],
        },
    ] {
        assert!(verify(token.as_bytes(), origin, &issuers, &mut cache, at(NOW)).is_err());
    }
}

#[test]
fn invariant_63_the_cache_is_bounded_and_spares_what_is_used() {
    let issuers = issuers(vec![settings()]);
    let limit = 16 * 8 * 1024;
    let mut cache = TokenCache::new(limit);
    let popular = rsa().token(&claims());
    let verdict = |sub: &str| {
        let token = rsa().token(&claims_with(json!({ "sub": sub })));
        (
            token,
            verified(settings(), &claims_with(json!({ "sub": sub }))),
        )
    };
    assert_eq!(outcome(&popular, &issuers, &mut cache, NOW), "ok");
    for round in 0..100 {
        let (token, _) = verdict(&format!("user-{round}"));
        assert_eq!(outcome(&token, &issuers, &mut cache, NOW), "ok");
        assert!(cache.get(popular.as_bytes(), &issuers, at(NOW)).is_some());
        assert!(cache.bytes() <= limit);
    }
    assert!(cache.len() > 8 && cache.len() < 100, "{}", cache.len());
    assert_eq!(cache.slots.iter().flatten().count(), cache.len());
    assert!(cache.slots.len() <= cache.len() + 1);

    let mut nothing = TokenCache::new(0);
    assert_eq!(outcome(&popular, &issuers, &mut nothing, NOW), "ok");
    assert!(nothing.is_empty());
}
