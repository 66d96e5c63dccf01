//! The pre-parser of tokens: three canonical parts, or nothing.

use countersign::fuzzing::read_token;

use super::strict_json::{self, MAX_DEPTH, MAX_VALUES, Said, Strict};

/// A token as it stands behind `Bearer`. One that begins with `{` is two JSON texts and a signature, one a line, which
/// are encoded first: mutations of JSON reach the reader that way.
pub fn check(data: &[u8]) {
    if data.first() == Some(&b'{') {
        let mut lines = data.splitn(3, |byte| *byte == b'\n');
        let encoded: Vec<String> = lines.by_ref().map(encode).collect();
        let token = encoded.join(".");
        judge(&token);
        // The same with any other last character spells no token twice.
        one_spelling(&token);
    } else if let Ok(token) = std::str::from_utf8(data) {
        judge(token);
        one_spelling(token);
    }
}

fn judge(token: &str) {
    let parts: Vec<&str> = token.split('.').collect();
    let ours = read_token(token);
    let oracle = oracle(&parts);
    let Ok(ours) = ours else {
        assert!(
            !matches!(oracle, Some(Verdict::Holds(..))),
            "refused without a reason: {token}"
        );
        return;
    };
    let [header, payload, signature] = parts.as_slice() else {
        panic!("accepted with {} parts", parts.len());
    };
    assert_eq!(ours.signed, format!("{header}.{payload}"));
    assert_eq!(encode(&ours.signature), *signature);
    assert!(!ours.signature.is_empty());
    let (theirs_header, theirs_payload) = match oracle {
        Some(Verdict::Holds(header, payload)) => (header, payload),
        Some(Verdict::HugeNumber) => return,
        None => panic!("accepted what is none: {token}"),
    };
    let Strict::Object(members) = &theirs_header else {
        panic!("a header that is no object");
    };
    for name in ["crit", "b64", "zip", "enc", "cty"] {
        assert!(!members.contains_key(name), "{name} was accepted");
    }
    let text = |name: &str| match members.get(name) {
        Some(Strict::Text(text)) => Some(text.clone()),
        None => None,
        Some(_) => panic!("{name} is no string"),
    };
    let alg = text("alg").expect("alg");
    match ours.algorithm {
        Some(algorithm) => assert_eq!(algorithm.name(), alg),
        None => assert!(!["RS256", "ES256", "EdDSA"].contains(&&*alg)),
    }
    assert!(!alg.to_ascii_uppercase().starts_with("HS") || ours.algorithm.is_none());
    assert_eq!(ours.kid, text("kid"));
    assert_eq!(ours.typ.is_some(), text("typ").is_some());
    let Strict::Object(claims) = &theirs_payload else {
        panic!("a payload that is no object");
    };
    for (name, value) in claims {
        assert!(
            ours.claims.top(name).is_some_and(|ours| value.is(ours)),
            "claim {name:?}"
        );
    }
}

enum Verdict {
    Holds(Strict, Strict),
    HugeNumber,
}

/// `None` when no verifier may take the token; errs on the side of taking it where the product has a rule of its own.
fn oracle(parts: &[&str]) -> Option<Verdict> {
    let [header, payload, signature] = parts else {
        return None;
    };
    if decode(signature)?.is_empty() || signature.len() > 1366 {
        return None;
    }
    let mut texts = Vec::new();
    let mut huge = false;
    for part in [header, payload] {
        match strict_json::read(&decode(part)?) {
            Said::Value(value @ Strict::Object(_))
                if value.depth() <= MAX_DEPTH && value.values() <= MAX_VALUES =>
            {
                texts.push(value)
            }
            Said::HugeNumber => huge = true,
            Said::Value(_) | Said::No => return None,
        }
    }
    if huge {
        return Some(Verdict::HugeNumber);
    }
    let payload = texts.pop()?;
    let header = texts.pop()?;
    let Strict::Object(members) = &header else {
        return None;
    };
    let meaning = ["crit", "b64", "zip", "enc", "cty"];
    if meaning.iter().any(|name| members.contains_key(*name)) {
        return None;
    }
    let is_text = |name: &str| matches!(members.get(name), Some(Strict::Text(_)));
    let printable = match members.get("kid") {
        Some(Strict::Text(kid)) => {
            !kid.is_empty() && kid.len() <= 128 && kid.chars().all(|c| (' '..='~').contains(&c))
        }
        Some(_) => false,
        None => true,
    };
    let typ = members.get("typ").is_none() || is_text("typ");
    (is_text("alg") && printable && typ).then_some(Verdict::Holds(header, payload))
}

/// No other last character of a part gives the same bytes.
fn one_spelling(token: &str) {
    if read_token(token).is_err() {
        return;
    }
    for (at, _) in token.match_indices('.').chain([(token.len(), "")]) {
        let Some(before) = token.get(..at - 1) else {
            continue;
        };
        let (last, after) = (&token[at - 1..at], &token[at..]);
        for other in ["A", "B", "Q", "g", "w", "=", "==", "_", "/"] {
            if other == last {
                continue;
            }
            let changed = format!("{before}{other}{after}");
            let (Ok(one), Ok(two)) = (read_token(token), read_token(&changed)) else {
                continue;
            };
            assert!(
                one.signed != two.signed || one.signature != two.signature,
                "two spellings of one token"
            );
        }
    }
    for padded in [
        format!("{token}="),
        format!("{token} "),
        format!(" {token}"),
        format!("{token}\n"),
    ] {
        assert!(read_token(&padded).is_err(), "{padded:?}");
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn encode(bytes: &[u8]) -> String {
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let mut word = 0_u32;
        for at in 0..3 {
            word = word << 8 | u32::from(three.get(at).copied().unwrap_or(0));
        }
        for at in 0..=three.len() {
            let six = word >> (18 - 6 * at) & 63;
            out.push(char::from(ALPHABET[six as usize]));
        }
    }
    out
}

/// Canonical base64url: what encodes to these very characters.
fn decode(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() {
        return None;
    }
    let mut bits = 0_u32;
    let mut count = 0;
    let mut bytes = Vec::new();
    for character in text.bytes() {
        let six = ALPHABET.iter().position(|own| *own == character)?;
        bits = bits << 6 | six as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 255) as u8);
        }
    }
    (encode(&bytes) == text).then_some(bytes)
}
