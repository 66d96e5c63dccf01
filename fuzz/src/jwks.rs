//! Key sets: each key is judged alone, none spoils the others, and what is weak or secret is never a key.

use countersign::authn::{Algorithm, KeyInfo, KeySet, KeySetError, Thumbprint};
use serde_json::Value;
use serde_json::value::RawValue;

use super::strict_json::{self, Said, Strict};

/// A JWKS document.
pub fn check(data: &[u8]) {
    let ours = KeySet::parse(data);
    let again = KeySet::parse(data);
    match (&ours, &again) {
        (Ok((one, skipped)), Ok((two, skipped_again))) => {
            assert_eq!(shown(one), shown(two));
            assert_eq!(skipped, skipped_again);
        }
        (Err(one), Err(two)) => assert_eq!(one, two),
        _ => panic!("one document, two readings"),
    }
    let Said::Value(Strict::Object(members)) = strict_json::read(data) else {
        // A set that serde has no room for may be one; nothing else.
        assert!(ours.is_err() || matches!(strict_json::read(data), Said::HugeNumber));
        return;
    };
    let Some(Strict::List(list)) = members.get("keys") else {
        assert!(ours.is_err());
        return;
    };
    let keys = texts(data);
    assert_eq!(keys.len(), list.len());
    if let Ok((set, skipped)) = &ours {
        assert_eq!(
            set.len() + skipped.len(),
            keys.len(),
            "every key is used or reported"
        );
        assert!(!set.is_empty() && keys.len() <= 64);
        let mut kids: Vec<&str> = set.kids().collect();
        let named = kids.len();
        kids.sort_unstable();
        kids.dedup();
        assert_eq!(kids.len(), named, "two keys of one kid");
    }
    if list.len() <= 12 {
        none_spoils_another(&keys, &ours);
    }
}

/// The set is what its keys are alone; a bad key among them changes nothing.
fn none_spoils_another(keys: &[String], ours: &Result<(KeySet, Vec<impl Sized>), KeySetError>) {
    let mut alone = Vec::new();
    for key in keys {
        match KeySet::parse(format!(r#"{{"keys":[{key}]}}"#).as_bytes()) {
            Ok((set, _)) => {
                vetted(key, &set);
                alone.extend(shown(&set));
            }
            Err(error) => assert!(
                matches!(error, KeySetError::NoUsableKey | KeySetError::Json(_)),
                "{error}"
            ),
        }
    }
    match ours {
        Ok((set, _)) => assert_eq!(shown(set), alone),
        Err(KeySetError::NoUsableKey) => assert_eq!(alone, []),
        // A name that two keys claim belongs to neither; a key may be nested too deep inside a set only.
        Err(_) => return,
    }
    let bad = r#"{"kty":"oct","k":"AAAA","kid":"~spoiler~"},3,{"kty":"RSA"}"#;
    let mut spoiled = keys.to_vec();
    if spoiled
        .iter()
        .any(|key| key.contains("spoiler") || key.contains("\\u"))
    {
        return;
    }
    spoiled.insert(spoiled.len() / 2, bad.to_owned());
    let document = format!(r#"{{"keys":[{}]}}"#, spoiled.join(","));
    let shown_spoiled = KeySet::parse(document.as_bytes()).map(|(set, _)| shown(&set));
    assert_eq!(
        shown_spoiled.unwrap_or_default(),
        alone,
        "a bad key spoils the set"
    );
}

type Shown = (Option<String>, Vec<Algorithm>, Thumbprint);

fn shown(set: &KeySet) -> Vec<Shown> {
    set.keys()
        .map(
            |KeyInfo {
                 kid,
                 algorithms,
                 thumbprint,
             }| (kid.map(str::to_owned), algorithms, thumbprint),
        )
        .collect()
}

/// Members of `keys` as they stand in the document.
fn texts(document: &[u8]) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Document<'a> {
        #[serde(borrow)]
        keys: Vec<&'a RawValue>,
    }
    let document: Document<'_> = serde_json::from_slice(document).expect("an array of keys");
    document
        .keys
        .iter()
        .map(|key| key.get().to_owned())
        .collect()
}

/// The rules for one key, read the slow way.
fn vetted(key: &str, set: &KeySet) {
    let value: Value = serde_json::from_str(key).expect("JSON");
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let info = set.keys().next().expect("a key");
    assert!(
        matches!(text("kty"), Some("RSA" | "EC" | "OKP")),
        "a symmetric key"
    );
    assert!(value.get("use").is_none_or(|word| word == "sig"));
    let operations = value
        .get("key_ops")
        .map(|list| list.as_array().expect("a list"));
    assert!(operations.is_none_or(|list| list.contains(&Value::from("verify"))));
    if let Some(alg) = text("alg") {
        assert!(info.algorithms.iter().all(|own| own.name() == alg));
    }
    assert!(!info.algorithms.is_empty());
    let size = |name: &str| {
        let text = text(name).expect("a member of the key");
        assert!(
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        );
        text.len() * 6 / 8
    };
    match text("kty") {
        Some("RSA") => {
            assert!((256..=1024).contains(&size("n")), "a weak key");
            assert!((3..=4).contains(&size("e")), "a weak exponent");
            assert!(!text("n").expect("n").starts_with("AA") && text("e") != Some("AAAB"));
            assert!(info.algorithms.iter().all(|own| own.name().contains("S256")
                || own.name().contains("S384")
                || own.name().contains("S512")));
            assert!(
                info.algorithms
                    .iter()
                    .all(|own| own.name().starts_with(['R', 'P']))
            );
        }
        Some("EC") => {
            let (size_of_curve, alg) = match text("crv") {
                Some("P-256") => (32, Algorithm::Es256),
                Some("P-384") => (48, Algorithm::Es384),
                other => panic!("curve {other:?}"),
            };
            assert_eq!((size("x"), size("y")), (size_of_curve, size_of_curve));
            assert_eq!(info.algorithms, [alg]);
        }
        _ => {
            assert_eq!((text("crv"), size("x")), (Some("Ed25519"), 32));
            assert!(
                info.algorithms
                    .iter()
                    .all(|own| own.name().starts_with("Ed"))
            );
        }
    }
}
