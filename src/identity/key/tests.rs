use super::*;
use crate::clock::UnixTime;

/// Made with `openssl ecparam -name prime256v1 -genkey` (SEC 1, curve parameters before it).
const SEC1: &str = include_str!("testdata/p256-sec1.pem");
/// Made with `openssl genpkey -algorithm ed25519`.
const ED25519_PEM: &str = include_str!("testdata/ed25519.pem");
/// Made with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`.
const P256: &str = include_str!("testdata/p256.pem");
/// The same with P-384.
const P384: &str = include_str!("testdata/p384.pem");
/// `openssl genpkey -algorithm RSA`.
const RSA: &str = include_str!("testdata/rsa.pem");
/// `openssl pkey -aes256` of the Ed25519 key.
const ENCRYPTED: &str = include_str!("testdata/encrypted.pem");
/// `openssl pkey -pubout` of the Ed25519 key.
const PUBLIC: &str = include_str!("testdata/public.pem");
const SHARED: &str = "a shared secret of thirty-two by";

fn parse(text: impl AsRef<[u8]>) -> Result<SigningKeys, SigningKeyError> {
    SigningKeys::parse(&Secret::new(text.as_ref().to_vec(), None), None)
}

fn ids(jwks: &Value) -> Vec<&str> {
    let keys = jwks["keys"].as_array().unwrap();
    keys.iter()
        .map(|key| key["kid"].as_str().unwrap())
        .collect()
}

#[test]
fn keys_of_other_tools_are_read_and_sign() {
    for (text, algorithm) in [
        (P256, SigningAlgorithm::Es256),
        (SEC1, SigningAlgorithm::Es256),
        (ED25519_PEM, SigningAlgorithm::EdDsa),
        (SHARED, SigningAlgorithm::Hs256),
    ] {
        let keys = parse(text).unwrap();
        let key = keys.current();
        assert_eq!(key.algorithm(), algorithm);
        let signature = key.sign(b"message").unwrap();
        assert!(key.verify(b"message", signature.as_ref()));
        assert!(!key.verify(b"massage", signature.as_ref()));
        assert!(!key.verify(b"message", b""));
        assert!(!key.verify(b"message", &signature.as_ref()[1..]));
    }
}

#[test]
fn what_is_no_usable_key_is_refused_in_words() {
    let twice = format!("{P256}\n{P256}");
    let broken = P256.replace("-----END PRIVATE KEY-----", "");
    let short = SHARED.get(..31).unwrap();
    for (text, error) in [
        ("", SigningKeyError::Empty),
        (" \n", SigningKeyError::Empty),
        (RSA, SigningKeyError::Unsupported),
        (P384, SigningKeyError::Unsupported),
        (ENCRYPTED, SigningKeyError::Encrypted),
        (PUBLIC, SigningKeyError::NoPrivateKey),
        (twice.as_str(), SigningKeyError::Repeated),
        (broken.as_str(), SigningKeyError::Pem),
        (short, SigningKeyError::SecretTooShort { bytes: 31 }),
    ] {
        assert_eq!(parse(text).unwrap_err(), error);
        assert!(!error.to_string().contains("BEGIN"));
    }
    let line_end_is_not_secret = format!("{short}\r\n");
    assert_eq!(
        parse(line_end_is_not_secret).unwrap_err(),
        SigningKeyError::SecretTooShort { bytes: 31 }
    );
    assert_eq!(
        parse(format!("{SHARED}\r\n")).unwrap().current().id(),
        parse(SHARED).unwrap().current().id()
    );
}

#[test]
fn a_key_in_der_does_not_become_a_shared_secret() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let der = pair.to_pkcs8v1().unwrap();
    assert_eq!(parse(der.as_ref()).unwrap_err(), SigningKeyError::Der);
    let pair = Ed25519KeyPair::generate().unwrap();
    let der = pair.to_pkcs8v1().unwrap();
    assert_eq!(parse(der.as_ref()).unwrap_err(), SigningKeyError::Der);
}

#[test]
fn the_algorithm_must_fit_the_key() {
    let as_algorithm = |text: &str, algorithm| {
        SigningKeys::parse(&Secret::new(text.into(), None), Some(algorithm)).map(|_| ())
    };
    assert_eq!(as_algorithm(P256, SigningAlgorithm::Es256), Ok(()));
    assert_eq!(as_algorithm(SHARED, SigningAlgorithm::Hs256), Ok(()));
    assert!(matches!(
        as_algorithm(P256, SigningAlgorithm::EdDsa),
        Err(SigningKeyError::Algorithm { .. })
    ));
    assert!(matches!(
        as_algorithm(P256, SigningAlgorithm::Hs256),
        Err(SigningKeyError::Algorithm { .. })
    ));
    assert_eq!(
        as_algorithm(SHARED, SigningAlgorithm::Es256),
        Err(SigningKeyError::Pem)
    );
    for algorithm in [
        SigningAlgorithm::Es256,
        SigningAlgorithm::EdDsa,
        SigningAlgorithm::Hs256,
    ] {
        assert_eq!(SigningAlgorithm::parse(algorithm.name()), Some(algorithm));
    }
    assert_eq!(SigningAlgorithm::parse("none"), None);
    assert_eq!(SigningAlgorithm::parse("es256"), None);
}

/// RFC 8037 appendix A.3 gives the thumbprint of the key of appendix A.1.
#[test]
fn the_key_id_is_the_rfc_7638_thumbprint() {
    let seed = URL_SAFE_NO_PAD
        .decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
        .unwrap();
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let key = SigningKey::of(Material::EdDsa(pair)).unwrap();
    assert_eq!(key.id(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let jwk = key.public().unwrap();
    assert_eq!(
        jwk.jwk()["x"],
        "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    );
    assert_eq!(jwk.jwk()["alg"], "EdDSA");
}

#[test]
fn a_published_set_is_what_a_jwt_library_reads() {
    for algorithm in [SigningAlgorithm::Es256, SigningAlgorithm::EdDsa] {
        let keys = SigningKeys::generate(algorithm).unwrap();
        let document = keys.jwks(UnixTime::default());
        let set: jsonwebtoken::jwk::JwkSet = serde_json::from_value(document.clone()).unwrap();
        let jwk = set.find(keys.current().id()).unwrap();
        assert!(jsonwebtoken::DecodingKey::from_jwk(jwk).is_ok());
        let text = document.to_string();
        assert!(!text.contains("\"d\""), "{text}");
    }
}

#[test]
fn invariant_46_a_shared_secret_is_never_published_or_shown() {
    let keys = parse(SHARED).unwrap();
    assert_eq!(keys.jwks(UnixTime::default()), json!({"keys": []}));
    let shown = format!("{keys:?} {:?}", keys.current());
    assert!(!shown.contains("thirty"), "{shown}");
    let next = SigningKeys::generate(SigningAlgorithm::Es256).unwrap();
    let rotated = SigningKeys::rotated(&keys, next, UnixTime::default(), DEFAULT_OVERLAP);
    assert_eq!(ids(&rotated.jwks(UnixTime::default())).len(), 1);
}

#[test]
fn of_several_keys_the_first_signs_and_all_are_published() {
    let keys = parse(format!("{P256}{ED25519_PEM}")).unwrap();
    assert_eq!(keys.current().algorithm(), SigningAlgorithm::Es256);
    let next = parse(ED25519_PEM).unwrap();
    let jwks = keys.jwks(UnixTime::from_secs(i64::MAX));
    assert_eq!(ids(&jwks), [keys.current().id(), next.current().id()]);
}

#[test]
fn invariant_22_both_keys_are_published_during_the_overlap() {
    let at = UnixTime::from_secs;
    let overlap = Duration::from_secs(600);
    let first = parse(P256).unwrap();
    let second = parse(ED25519_PEM).unwrap();
    let (one, two) = (first.current().id(), second.current().id());

    let rotated = SigningKeys::rotated(&first, second.clone(), at(1000), overlap);
    assert_eq!(rotated.current().id(), two);
    assert_eq!(ids(&rotated.jwks(at(1000))), [two, one]);
    assert_eq!(ids(&rotated.jwks(at(1599))), [two, one]);
    assert_eq!(ids(&rotated.jwks(at(1600))), [two]);

    // A reload that changes something else neither prolongs nor ends the overlap.
    let again = SigningKeys::rotated(&rotated, second.clone(), at(1300), overlap);
    assert_eq!(ids(&again.jwks(at(1599))), [two, one]);
    assert_eq!(ids(&again.jwks(at(1600))), [two]);

    // Rolled back within the overlap: the first signs again, the second is the replaced one now.
    let back = SigningKeys::rotated(&again, first.clone(), at(1400), overlap);
    assert_eq!(ids(&back.jwks(at(1999))), [one, two]);
    assert_eq!(ids(&back.jwks(at(2000))), [one]);
}
