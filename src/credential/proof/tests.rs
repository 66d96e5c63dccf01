//! Proofs, member by member.

use std::collections::HashSet;

use super::*;

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

fn parts(proof: &HeaderValue) -> (Value, Value, String, Vec<u8>) {
    assert!(proof.is_sensitive());
    let text = proof.to_str().unwrap();
    let pieces: Vec<&str> = text.split('.').collect();
    let [header, claims, signature] = pieces.as_slice() else {
        panic!("{text}");
    };
    let decode = |piece: &str| URL_SAFE_NO_PAD.decode(piece).unwrap();
    let json = |piece: &str| serde_json::from_slice(&decode(piece)).unwrap();
    (
        json(header),
        json(claims),
        format!("{header}.{claims}"),
        decode(signature),
    )
}

#[test]
fn a_proof_says_what_rfc_9449_section_4_2_wants_and_nothing_private() {
    for (algorithm, members) in [
        (SigningAlgorithm::Es256, &["crv", "kty", "x", "y"][..]),
        (SigningAlgorithm::EdDsa, &["crv", "kty", "x"]),
    ] {
        let key = ProofKeySettings::Generated(algorithm).key().unwrap();
        let about = About {
            method: "POST",
            url: "https://id.example.org/token",
            nonce: None,
            token: None,
        };
        let (header, claims, message, signature) = parts(&key.prove(&about, NOW).unwrap());
        assert_eq!(header["typ"], "dpop+jwt");
        assert_eq!(header["alg"], algorithm.name());
        let jwk = header["jwk"].as_object().unwrap();
        assert_eq!(jwk.keys().collect::<Vec<_>>(), members);
        assert_eq!(claims["htm"], "POST");
        assert_eq!(claims["htu"], "https://id.example.org/token");
        assert_eq!(claims["iat"], 1_800_000_000);
        assert_eq!(claims.as_object().unwrap().len(), 4);
        assert!(key.0.key.verify(message.as_bytes(), &signature));
        // RFC 7638: what a token is bound to is the hash of these very members.
        let hash = URL_SAFE_NO_PAD.encode(digest(&SHA256, header["jwk"].to_string().as_bytes()));
        assert_eq!(hash, key.thumbprint());
    }
}

#[test]
fn no_two_proofs_are_the_same() {
    let key = ProofKeySettings::Generated(SigningAlgorithm::Es256)
        .key()
        .unwrap();
    let binding = Binding::new(key, "token");
    let mut seen = HashSet::new();
    for _ in 0..100 {
        let proof = binding.prove("GET", "https://api.example.org/", None, NOW);
        let (_, claims, ..) = parts(&proof.unwrap());
        assert!(seen.insert(claims["jti"].to_string()));
    }
}

#[test]
fn a_proof_for_a_resource_names_the_token_and_the_nonce() {
    // The example of RFC 9449 section 7.1.
    const TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
    let key = ProofKeySettings::Generated(SigningAlgorithm::EdDsa)
        .key()
        .unwrap();
    let binding = Binding::new(key, TOKEN);
    let url = "https://resource.example.org/protectedresource";
    let proof = binding.prove("GET", url, Some("eyJ7S_zG.eyJH0-Z"), NOW);
    let (_, claims, ..) = parts(&proof.unwrap());
    assert_eq!(claims["ath"], "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
    assert_eq!(claims["nonce"], "eyJ7S_zG.eyJH0-Z");
    assert_eq!(claims["htm"], "GET");
    assert_eq!(claims["htu"], url);
}

#[test]
fn a_nonce_is_repeated_only_if_it_is_one() {
    let long = "n".repeat(NONCE_BYTES);
    let longer = "n".repeat(NONCE_BYTES + 1);
    for (values, expected) in [
        (&["abc.DEF_~"][..], Some("abc.DEF_~")),
        (&[&long], Some(&*long)),
        (&[], None),
        (&[""], None),
        (&["one", "two"], None),
        (&["with space"], None),
        (&["with\"quote"], None),
        (&["with\\backslash"], None),
        (&["ä"], None),
        (&[&longer], None),
    ] {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(DPOP_NONCE, HeaderValue::from_str(value).unwrap());
        }
        assert_eq!(nonce(&headers), expected, "{values:?}");
    }
}

#[test]
fn settings_mean_the_same_key_or_another() {
    let configured = |algorithm| {
        let key = ProofKeySettings::Generated(algorithm).key().unwrap();
        ProofKeySettings::Configured(key)
    };
    let (es, ed) = (SigningAlgorithm::Es256, SigningAlgorithm::EdDsa);
    let one = configured(es);
    assert!(one.same_key(&one.clone()));
    assert!(!one.same_key(&configured(es)));
    assert!(!one.same_key(&ProofKeySettings::Generated(es)));
    assert!(ProofKeySettings::Generated(es).same_key(&ProofKeySettings::Generated(es)));
    assert!(!ProofKeySettings::Generated(es).same_key(&ProofKeySettings::Generated(ed)));
}
