//! Invariant 50: secrets cannot be compared, and MACs are compared by the crypto library, in constant time.

use std::marker::PhantomData;

use countersign::config::Secret;
use countersign::identity::{SigningAlgorithm, SigningKey, SigningKeys};

use crate::program::root;

/// Asks the compiler whether a type has a trait: where `$holds` applies, its constant hides the one of [`Absent`].
macro_rules! asks {
    ($name:ident: $($holds:tt)+) => {
        struct $name<T>(PhantomData<T>);
        impl<T: $($holds)+> $name<T> {
            const HOLDS: bool = true;
        }
        impl<T> Absent for $name<T> {}
    };
}

trait Absent {
    const HOLDS: bool = false;
}

asks!(Compared: PartialEq);
asks!(Ordered: PartialOrd);
asks!(Hashed: std::hash::Hash);
asks!(Displayed: std::fmt::Display);
asks!(Serialised: serde::Serialize);
asks!(Copied: Copy);

#[test]
fn invariant_50_secrets_can_be_neither_compared_nor_shown() {
    macro_rules! of {
        ($type:ty) => {
            [
                <Compared<$type>>::HOLDS,
                <Ordered<$type>>::HOLDS,
                <Hashed<$type>>::HOLDS,
                <Displayed<$type>>::HOLDS,
                <Serialised<$type>>::HOLDS,
                <Copied<$type>>::HOLDS,
            ]
        };
    }
    assert_eq!(of!(Secret), [false; 6], "Secret");
    assert_eq!(of!(SigningKey), [false; 6], "SigningKey");
    assert_eq!(of!(SigningKeys), [false; 6], "SigningKeys");
    // What is asked is answered.
    assert_eq!(of!(u8), [true; 6], "u8");
    assert_eq!(of!(String), [true, true, true, true, true, false], "String");
}

#[test]
fn invariant_50_a_mac_holds_as_a_whole_or_not_at_all() {
    let secret = Secret::new(vec![b's'; 32], None);
    let keys = SigningKeys::parse(&secret, Some(SigningAlgorithm::Hs256)).expect("a key");
    let key = keys.current();
    let tag = key.sign(b"message").expect("a tag");
    let tag = tag.as_ref();
    assert!(key.verify(b"message", tag));
    assert!(!key.verify(b"massage", tag));
    for length in 0..tag.len() {
        assert!(
            !key.verify(b"message", &tag[..length]),
            "the first {length} bytes"
        );
        let mut changed = tag.to_vec();
        changed[length] ^= 1;
        assert!(!key.verify(b"message", &changed), "another byte {length}");
    }
    assert!(
        !key.verify(b"message", &[tag, &[0]].concat()),
        "a byte more"
    );
}

/// The body of the function that begins with `head`.
fn function<'s>(source: &'s str, head: &str) -> &'s str {
    let (_, rest) = source.split_once(head).expect("the function");
    rest.split_once("\n    }\n").expect("its end").0
}

#[test]
fn invariant_50_the_crypto_library_compares_macs() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).expect("a source");
    let source = read("src/identity/key.rs");
    let verify = function(&source, "pub fn verify(&self");
    assert!(
        verify.contains("hmac::verify(key, message, signature)"),
        "{verify}"
    );
    assert!(
        !verify.contains("==") && !verify.contains("hmac::sign"),
        "{verify}"
    );
    // A tag is made for signing and for the key's id; nowhere to compare it.
    assert_eq!(source.matches("hmac::sign(").count(), 2);
    for path in [
        "src/identity.rs",
        "src/identity/signature.rs",
        "src/identity/assertion.rs",
    ] {
        assert!(!read(path).contains("hmac::"), "{path}");
    }
}
