#![expect(clippy::string_slice, reason = "tokens are ASCII")]

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::authn::tests::support::*;
use crate::authn::{ClaimPath, KeyCell};

const BEARER: Origin<'static> = Origin {
    source: Source::Bearer,
    issuer: None,
    reviews: &[],
};

fn judge_at(token: &str, issuers: &Issuers, now: i64) -> Result<Rc<Verified>, String> {
    match judge(token.as_bytes(), BEARER, issuers, at(now)) {
        Ok(verdict) => Ok(verdict.verified),
        Err(Failure::Fault(fault)) => Err(format!("{fault:?}")),
        Err(Failure::NeedsKey(wanted)) => Err(format!("needs {:?}", wanted.kid)),
        Err(Failure::NeedsReview(_)) => Err("needs a review".to_owned()),
    }
}

fn outcome(token: &str, issuers: &Issuers) -> String {
    judge_at(token, issuers, NOW).map_or_else(|error| error, |_| "ok".to_owned())
}

fn check(settings: &IssuerSettingsEdit, rows: &[(&str, Value, &str)]) {
    let mut own = super::super::tests::support::settings();
    settings(&mut own);
    let issuers = issuers(vec![own]);
    for (name, more, expected) in rows {
        let token = rsa().token(&claims_with(more.clone()));
        assert_eq!(outcome(&token, &issuers), *expected, "{name}");
    }
}

type IssuerSettingsEdit = dyn Fn(&mut crate::authn::IssuerSettings);

#[test]
fn invariant_09_algorithm_comes_from_issuer_and_key() {
    let every = |settings: &mut crate::authn::IssuerSettings| {
        settings.algorithms = Algorithm::ALL.to_vec();
    };
    let mut open = settings();
    every(&mut open);
    let with = |jwk: Value| Issuers::new(vec![Arc::new(Issuer::new(open.clone(), cell(&[jwk])))]);
    let kid = json!({"kid": "k1"});
    let payload = claims().to_string();
    for (key, algs) in [
        (
            rsa(),
            &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"][..],
        ),
        (p256(), &["ES256"]),
        (p384(), &["ES384"]),
        (ed25519(), &["EdDSA", "Ed25519"]),
    ] {
        let free = with(key.jwk_with(kid.clone()));
        for alg in [
            "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
            "Ed25519", "ES512", "HS256", "none", "None", "NONE", "nOnE", "", "rs256", "RS256 ",
            "RSA",
        ] {
            let header = format!(r#"{{"alg":"{alg}","kid":"k1"}}"#);
            let token = key.token_of(alg, &header, &payload);
            let expected = if algs.contains(&alg) {
                "ok"
            } else {
                "Algorithm"
            };
            assert_eq!(outcome(&token, &free), expected, "{alg}");
            // The issuer's list counts too.
            let only_listed = issuers(vec![settings()]);
            if alg != "RS256" {
                assert_eq!(outcome(&token, &only_listed), "Algorithm", "{alg}");
            }
        }
        // The JWK's own `alg` allows itself alone.
        for own in algs {
            let bound = with(key.jwk_with(json!({"kid": "k1", "alg": own})));
            for alg in algs {
                let header = format!(r#"{{"alg":"{alg}","kid":"k1"}}"#);
                let token = key.token_of(alg, &header, &payload);
                let expected = if own == alg { "ok" } else { "Algorithm" };
                assert_eq!(outcome(&token, &bound), expected, "{own} {alg}");
            }
        }
    }
}

#[test]
fn s01_pinned_to_rs256() {
    let issuers = issuers(vec![settings()]);
    for (alg, expected) in [
        ("RS256", "ok"),
        ("none", "Algorithm"),
        ("HS256", "Algorithm"),
        ("PS256", "Algorithm"),
        ("RS512", "Algorithm"),
    ] {
        let header = format!(r#"{{"alg":"{alg}","kid":"k1"}}"#);
        let token = rsa().token_of(alg, &header, &claims().to_string());
        assert_eq!(outcome(&token, &issuers), expected, "{alg}");
    }
}

#[test]
fn invariant_10_hmac_with_public_material_never_passes() {
    let oct = json!({"kty": "oct", "kid": "k2", "alg": "HS256", "k": b64("secret")});
    let mut open = settings();
    open.algorithms = Algorithm::ALL.to_vec();
    let jwk = rsa().jwk_with(json!({"kid": "k1"}));
    let keys = cell(&[jwk.clone(), oct]);
    let issuers = Issuers::new(vec![Arc::new(Issuer::new(open, keys))]);
    let modulus = jwk["n"].as_str().unwrap().to_owned();
    for secret in ["", "secret", &modulus, &jwk.to_string()] {
        for (kid, expected) in [("k1", "Algorithm"), ("k2", "Algorithm")] {
            let header = format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#);
            let signed = format!("{}.{}", b64(header), b64(claims().to_string()));
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
            let tag = aws_lc_rs::hmac::sign(&key, signed.as_bytes());
            assert_eq!(
                outcome(&format!("{signed}.{}", b64(tag)), &issuers),
                expected
            );
        }
    }
    assert_eq!(outcome(&rsa().token(&claims()), &issuers), "ok");
}

#[test]
fn invariant_11_keys_by_exact_kid_of_the_issuers_own_set() {
    let keys = || {
        cell(&[
            rsa().jwk_with(json!({"kid": "k1"})),
            other_rsa().jwk_with(json!({"kid": "k2"})),
        ])
    };
    let issuers = Issuers::new(vec![Arc::new(Issuer::new(settings(), keys()))]);
    let jwk = other_rsa().jwk().to_string();
    let nul = "\\u0000";
    let long = "k".repeat(129);
    let fits = "k".repeat(128);
    for (more, expected) in [
        (r#","kid":"k1""#.to_owned(), "ok"),
        (r#","kid":"k2""#.to_owned(), "Signature"),
        (r#","kid":"K1""#.to_owned(), "needs Some(\"K1\")"),
        (r#","kid":"k1 ""#.to_owned(), "needs Some(\"k1 \")"),
        (
            format!(r#","kid":"{fits}""#),
            &*format!("needs Some({fits:?})"),
        ),
        (String::new(), "UnknownKey"),
        (r#","kid":"""#.to_owned(), "UnknownKey"),
        (format!(r#","kid":"{long}""#), "UnknownKey"),
        (format!(r#","kid":"k1{nul}""#), "UnknownKey"),
        (r#","kid":"k\n1""#.to_owned(), "UnknownKey"),
        (r#","kid":"clé""#.to_owned(), "UnknownKey"),
        (r#","kid":null"#.to_owned(), "Malformed"),
        (r#","kid":1"#.to_owned(), "Malformed"),
        (r#","kid":["k1"]"#.to_owned(), "Malformed"),
        (
            r#","kid":"../../dev/null""#.to_owned(),
            "needs Some(\"../../dev/null\")",
        ),
        (
            r#","kid":"' OR 1=1--""#.to_owned(),
            "needs Some(\"' OR 1=1--\")",
        ),
        // Keys that a token brings along are never used, and do no harm beside a right one.
        (
            format!(
                r#","kid":"k1","jwk":{jwk},"jku":"http://evil.example/","x5u":"http://evil.example/","x5c":["AA"]"#
            ),
            "ok",
        ),
    ] {
        let header = format!(r#"{{"alg":"RS256"{more}}}"#);
        let token = rsa().token_of("RS256", &header, &claims().to_string());
        assert_eq!(outcome(&token, &issuers), expected, "{header}");
    }
    let header =
        format!(r#"{{"alg":"RS256","kid":"k1","jwk":{jwk},"jku":"http://evil.example/"}}"#);
    let forged = other_rsa().token_of("RS256", &header, &claims().to_string());
    assert_eq!(outcome(&forged, &issuers), "Signature");
}

#[test]
fn t05_without_kid_only_the_only_key_and_only_by_switch() {
    let one = || cell(&[rsa().jwk()]);
    let two = || cell(&[rsa().jwk(), p256().jwk()]);
    let with_encryption = || cell(&[rsa().jwk(), other_rsa().jwk_with(json!({"use": "enc"}))]);
    let mut switched = settings();
    switched.key_id = KeyIdRule::OnlyKey;
    let token = rsa().token_of("RS256", r#"{"alg":"RS256"}"#, &claims().to_string());
    for (settings, keys, expected) in [
        (switched.clone(), one(), "ok"),
        (switched.clone(), with_encryption(), "ok"),
        (switched.clone(), two(), "UnknownKey"),
        (switched, Arc::new(KeyCell::default()), "needs None"),
        (settings(), one(), "UnknownKey"),
        (settings(), Arc::new(KeyCell::default()), "UnknownKey"),
    ] {
        let issuers = Issuers::new(vec![Arc::new(Issuer::new(settings, keys))]);
        assert_eq!(outcome(&token, &issuers), expected);
    }
}

#[test]
fn invariant_12_s02_iss_selects_the_key_set_byte_for_byte() {
    let mut realm = settings();
    realm
        .issuers
        .push("http://localhost:30090/realms/dls".to_owned());
    let mut other = settings();
    other.name = "other".into();
    other.issuers = vec!["https://other.example.org".to_owned()];
    let other_keys = cell(&[other_rsa().jwk_with(json!({"kid": "k1"}))]);
    let issuers = Issuers::new(vec![
        Arc::new(Issuer::new(realm, rsa_cell())),
        Arc::new(Issuer::new(other, other_keys)),
    ]);
    for (iss, expected) in [
        (json!(ISS), "ok"),
        (json!("http://localhost:30090/realms/dls"), "ok"),
        (json!("https://other.example.org"), "Signature"),
        (json!(format!("{ISS}/")), "Issuer"),
        (json!(ISS.to_uppercase()), "Issuer"),
        (json!(ISS.replace("https", "HTTPS")), "Issuer"),
        (json!(format!(" {ISS}")), "Issuer"),
        (json!(["https://attacker.example", ISS]), "Issuer"),
        (json!([ISS]), "Issuer"),
        (json!(7), "Issuer"),
        (json!({"iss": ISS}), "Issuer"),
        (json!(true), "Issuer"),
        (json!(""), "Issuer"),
        (Value::Null, "Issuer"),
    ] {
        let token = rsa().token(&claims_with(json!({ "iss": iss })));
        assert_eq!(outcome(&token, &issuers), expected, "{iss}");
    }
    let crossed = other_rsa().token(&claims());
    assert_eq!(outcome(&crossed, &issuers), "Signature");
    let own = other_rsa().token(&claims_with(json!({"iss": "https://other.example.org"})));
    assert_eq!(outcome(&own, &issuers), "ok");
}

#[test]
fn invariant_13_claims_have_exactly_their_types() {
    let wrong = [json!("1"), json!(true), json!([NOW]), json!({"a": 1})];
    for name in ["exp", "nbf", "iat"] {
        for value in &wrong {
            check(&|_| {}, &[(name, json!({ name: value }), "Claim")]);
        }
        let literal = |value: &str| {
            let text = claims_with(json!({ name: "HERE" })).to_string();
            rsa().token_of(
                "RS256",
                r#"{"alg":"RS256","kid":"k1"}"#,
                &text.replace("\"HERE\"", value),
            )
        };
        let issuers = issuers(vec![settings()]);
        assert_eq!(outcome(&literal("null"), &issuers), "Claim", "{name}");
        assert_eq!(
            outcome(&literal(&(NOW + 30).to_string()), &issuers),
            "ok",
            "{name}"
        );
    }
    check(
        &|_| {},
        &[
            ("as it is", json!({}), "ok"),
            ("no exp", json!({"exp": null}), "Claim"),
            ("no sub", json!({"sub": null}), "Claim"),
            ("sub number", json!({"sub": 5}), "Claim"),
            ("sub list", json!({"sub": ["alice"]}), "Claim"),
            ("sub empty", json!({"sub": ""}), "Claim"),
            ("no iat", json!({"iat": null}), "ok"),
        ],
    );
    let issuers = issuers(vec![settings()]);
    let good = claims().to_string();
    for payload in [
        format!(r#"[{},0,"u","{ISS}","api"]"#, NOW + 300),
        "\"x\"".to_owned(),
        "{}x".to_owned(),
        good.replace('}', r#","account":"a","account":"b"}"#),
        good.replace('}', r#","account":"a","acc\u006funt":"b"}"#),
        good.replace('}', r#","a":{"b":[{"c":1,"c":2}]}}"#),
        format!("{good} {good}"),
        format!("\u{feff}{good}"),
        "{".repeat(4000),
        "[".repeat(4000),
    ] {
        let token = rsa().token_of("RS256", r#"{"alg":"RS256","kid":"k1"}"#, &payload);
        assert_eq!(outcome(&token, &issuers), "Malformed", "{payload}");
    }
}

#[test]
fn invariant_14_unknown_semantics_are_refused() {
    let issuers = issuers(vec![settings()]);
    for (more, expected) in [
        ("", "ok"),
        (r#","typ":"JWT""#, "ok"),
        (r#","typ":"jwt""#, "ok"),
        (r#","typ":"at+jwt""#, "ok"),
        (r#","typ":"application/at+jwt""#, "ok"),
        (r#","typ":"AT+JWT""#, "ok"),
        (r#","typ":"""#, "Type"),
        (r#","typ":"application/""#, "Type"),
        (r#","typ":"logout+jwt""#, "Type"),
        (r#","typ":"dpop+jwt""#, "Type"),
        (r#","typ":"secevent+jwt""#, "Type"),
        (r#","typ":"text/jwt""#, "Type"),
        (r#","typ":"JWT ""#, "Type"),
        (r#","typ":null"#, "Malformed"),
        (r#","typ":["JWT"]"#, "Malformed"),
        (r#","crit":["exp2"]"#, "UnsupportedHeader"),
        (r#","crit":[]"#, "UnsupportedHeader"),
        (r#","crit":["b64"],"b64":true"#, "UnsupportedHeader"),
        (r#","b64":false"#, "UnsupportedHeader"),
        (r#","zip":"DEF""#, "UnsupportedHeader"),
        (r#","enc":"A256GCM""#, "UnsupportedHeader"),
        (r#","cty":"JWT""#, "UnsupportedHeader"),
        (r#","kid":"k1""#, "Malformed"),
        (r#","alg":"none""#, "Malformed"),
    ] {
        let header = format!(r#"{{"alg":"RS256","kid":"k1"{more}}}"#);
        let token = rsa().token_of("RS256", &header, &claims().to_string());
        assert_eq!(outcome(&token, &issuers), expected, "{header}");
    }
}

#[test]
fn s05_id_tokens_and_their_like_are_refused() {
    check(
        &|_| {},
        &[
            ("Bearer", json!({"typ": "Bearer"}), "ok"),
            ("ID", json!({"typ": "ID"}), "Type"),
            ("id", json!({"typ": "id"}), "Type"),
            ("Refresh", json!({"typ": "Refresh"}), "Type"),
            ("Offline", json!({"typ": "Offline"}), "Type"),
            ("wrong type", json!({"typ": ["ID"]}), "Type"),
            ("at_hash", json!({"at_hash": "x"}), "Type"),
            ("no exp", json!({"exp": null}), "Claim"),
        ],
    );
    let mut strict = settings();
    strict.token_types = vec!["at+jwt".to_owned()];
    let issuers = issuers(vec![strict]);
    assert_eq!(outcome(&rsa().token(&claims()), &issuers), "Type");
    let header = r#"{"alg":"RS256","kid":"k1","typ":"at+jwt"}"#;
    let token = rsa().token_of("RS256", header, &claims().to_string());
    assert_eq!(outcome(&token, &issuers), "ok");
}

#[test]
fn invariant_15_t04_audience_is_exact_membership() {
    let rows = [
        ("string", json!({"aud": "api"}), "ok"),
        ("array", json!({"aud": ["x", "api"]}), "ok"),
        ("missing", json!({"aud": null}), "Audience"),
        ("empty", json!({"aud": []}), "Audience"),
        ("suffix", json!({"aud": "api-x"}), "Audience"),
        ("prefix", json!({"aud": "ap"}), "Audience"),
        ("two words", json!({"aud": "x api"}), "Audience"),
        ("case", json!({"aud": "API"}), "Audience"),
        ("number", json!({"aud": 5}), "Audience"),
        ("object", json!({"aud": {"api": "api"}}), "Audience"),
        ("mixed", json!({"aud": ["x", 5, "api"]}), "Audience"),
        ("nested", json!({"aud": [["api"]]}), "Audience"),
    ];
    check(&|_| {}, &rows);
    check(
        &|settings| settings.audiences = Audiences::Unchecked,
        &[
            ("unchecked", json!({"aud": "account"}), "ok"),
            ("none", json!({"aud": null}), "ok"),
        ],
    );
    check(
        &|settings| settings.audiences = Audiences::AnyOf(Vec::new()),
        &[("empty list", json!({}), "Audience")],
    );
}

#[test]
fn s03_client_allow_list() {
    check(
        &|settings| {
            settings.audiences = Audiences::Unchecked;
            settings.clients = Some(vec!["SmartEM_User".to_owned(), "SmartEM_Agent".to_owned()]);
        },
        &[
            ("listed", json!({"azp": "SmartEM_User"}), "ok"),
            ("client_id", json!({"client_id": "SmartEM_Agent"}), "ok"),
            (
                "azp wins",
                json!({"azp": "evil", "client_id": "SmartEM_Agent"}),
                "Client",
            ),
            ("absent", json!({}), "Client"),
            ("unlisted", json!({"azp": "other"}), "Client"),
            ("array", json!({"azp": ["SmartEM_User"]}), "Client"),
            (
                "array before client_id",
                json!({"azp": ["x"], "client_id": "SmartEM_Agent"}),
                "Client",
            ),
            ("trailing space", json!({"azp": "SmartEM_User "}), "Client"),
            ("case", json!({"azp": "smartem_user"}), "Client"),
            ("empty", json!({"azp": ""}), "Client"),
            ("number", json!({"azp": 1}), "Client"),
        ],
    );
    check(
        &|settings| settings.clients = Some(Vec::new()),
        &[("empty list", json!({"azp": "SmartEM_User"}), "Client")],
    );
    check(
        &|_| {},
        &[
            ("unchecked", json!({"azp": "anyone"}), "ok"),
            ("none", json!({}), "ok"),
            ("unchecked array", json!({"azp": ["x"]}), "Client"),
        ],
    );
}

#[test]
fn s04_invariant_51_leeway_and_clock() {
    let issuers = issuers(vec![settings()]);
    let outcome = |more: Value, now| {
        judge_at(&rsa().token(&claims_with(more)), &issuers, now)
            .map_or_else(|error| error, |_| "ok".to_owned())
    };
    for (exp, expected) in [(30, "ok"), (59, "ok"), (60, "Expired"), (61, "Expired")] {
        assert_eq!(outcome(json!({"exp": NOW - exp}), NOW), expected, "{exp}");
    }
    for name in ["nbf", "iat"] {
        for (ahead, expected) in [(0, "ok"), (60, "ok"), (61, "NotYetValid")] {
            assert_eq!(
                outcome(json!({ name: NOW + ahead }), NOW),
                expected,
                "{name} {ahead}"
            );
        }
    }
    // Wherever the clock jumps, nothing panics and nothing expired passes.
    for (now, expected) in [
        (NOW, "ok"),
        (NOW - 3600, "NotYetValid"),
        (NOW + 3600, "Expired"),
        (0, "NotYetValid"),
        (-1_000_000_000, "NotYetValid"),
        (4_294_967_296, "Expired"),
        (i64::MAX, "Expired"),
        (i64::MIN, "NotYetValid"),
    ] {
        assert_eq!(outcome(json!({}), now), expected, "{now}");
    }
}

#[test]
fn leeway_never_exceeds_a_minute() {
    let mut generous = settings();
    generous.leeway = Duration::from_secs(3600);
    let issuers = issuers(vec![generous]);
    let token = rsa().token(&claims_with(json!({"exp": NOW - 61})));
    assert_eq!(outcome(&token, &issuers), "Expired");
}

#[test]
fn s06_required_claims_may_leave_sub_out() {
    check(
        &|settings| settings.required_claims = vec!["exp".to_owned(), "azp".to_owned()],
        &[
            ("no sub", json!({"sub": null, "azp": "x"}), "ok"),
            ("no azp", json!({"sub": "alice"}), "Claim"),
        ],
    );
    let mut relaxed = settings();
    relaxed.required_claims = vec!["azp".to_owned()];
    let token = verified(relaxed, &claims_with(json!({"sub": null, "azp": "x"})));
    assert_eq!(token.subject(), None);
    assert_eq!(token.client(), Some("x"));
    // Present and null is not present.
    let mut fed = settings();
    fed.required_claims = vec!["fedId".to_owned()];
    let issuers = issuers(vec![fed]);
    let text = claims().to_string().replace('}', r#","fedId":null}"#);
    let token = rsa().token_of("RS256", r#"{"alg":"RS256","kid":"k1"}"#, &text);
    assert_eq!(outcome(&token, &issuers), "Claim");
}

#[test]
fn t03_invariant_52_lifetime_is_bounded() {
    let capped = |settings: &mut crate::authn::IssuerSettings| {
        settings.max_lifetime = Some(Duration::from_secs(3600));
    };
    check(
        &capped,
        &[
            ("an hour", json!({"exp": NOW + 3600}), "ok"),
            ("a second more", json!({"exp": NOW + 3601}), "Lifetime"),
            ("no iat", json!({"iat": null}), "Lifetime"),
        ],
    );
    let literal = |exp: &str| {
        let text = claims_with(json!({"exp": "HERE"})).to_string();
        rsa().token_of(
            "RS256",
            r#"{"alg":"RS256","kid":"k1"}"#,
            &text.replace("\"HERE\"", exp),
        )
    };
    let mut own = settings();
    let open = issuers(vec![own.clone()]);
    capped(&mut own);
    let capped = issuers(vec![own]);
    for (exp, without_cap, with_cap) in [
        ("18446744073709551615", "ok", "Lifetime"),
        ("9223372036854775807", "ok", "Lifetime"),
        ("99999999999999999999999999", "ok", "Lifetime"),
        ("1e30", "ok", "Lifetime"),
        ("1e400", "ok", "Lifetime"),
        ("1E+99999999999999999999", "ok", "Lifetime"),
        ("4102444800.5", "ok", "Lifetime"),
        ("1790000300.9", "ok", "ok"),
        ("1.7900003e9", "ok", "ok"),
        ("-1", "Expired", "Expired"),
        ("-1e400", "Expired", "Expired"),
        ("1e-400", "Expired", "Expired"),
        ("0", "Expired", "Expired"),
        ("0e99", "Expired", "Expired"),
    ] {
        assert_eq!(outcome(&literal(exp), &open), without_cap, "{exp}");
        assert_eq!(outcome(&literal(exp), &capped), with_cap, "{exp}");
    }
}

fn kubernetes() -> crate::authn::IssuerSettings {
    let mut atlas = settings();
    atlas.name = "atlas".into();
    atlas.kubernetes = true;
    atlas
}

fn service_account_claims(sub: &str, namespace: &str, name: &str) -> Value {
    claims_with(json!({
        "sub": sub,
        "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": "u"}},
    }))
}

#[test]
fn t02_invariant_17_service_accounts() {
    let issuers = issuers(vec![kubernetes()]);
    let sub = "system:serviceaccount:atlas-production:atlas";
    let of = |sub: &str, namespace: &str, name: &str| {
        outcome(
            &rsa().token(&service_account_claims(sub, namespace, name)),
            &issuers,
        )
    };
    assert_eq!(of(sub, "atlas-production", "atlas"), "ok");
    for (sub, namespace, name) in [
        (sub, "atlas-staging", "atlas"),
        (sub, "atlas-production", "atlas2"),
        (sub, "", ""),
        (
            "system:serviceaccount:atlas-production:atlas2",
            "atlas-production",
            "atlas",
        ),
        (
            "system:serviceaccount:atlas-production",
            "atlas-production",
            "atlas",
        ),
        ("system:serviceaccount::atlas", "", "atlas"),
        ("system:serviceaccount:a:b:c", "a", "b:c"),
        (
            "System:serviceaccount:atlas-production:atlas",
            "atlas-production",
            "atlas",
        ),
        ("atlas", "atlas-production", "atlas"),
    ] {
        assert_eq!(of(sub, namespace, name), "ServiceAccount", "{sub}");
    }
    for more in [
        json!({"sub": sub}),
        json!({"sub": sub, "kubernetes.io": "atlas-production"}),
        json!({"sub": sub, "kubernetes.io": {"namespace": "atlas-production"}}),
        json!({"sub": sub, "kubernetes.io": {"namespace": ["atlas-production"], "serviceaccount": {"name": "atlas"}}}),
        json!({"sub": sub, "kubernetes": {"io": {"namespace": "atlas-production", "serviceaccount": {"name": "atlas"}}}}),
    ] {
        assert_eq!(
            outcome(&rsa().token(&claims_with(more.clone())), &issuers),
            "ServiceAccount",
            "{more}"
        );
    }
    let audience = claims_with(json!({"sub": sub, "aud": "https://kubernetes.default.svc"}));
    assert_eq!(outcome(&rsa().token(&audience), &issuers), "Audience");
    let token = verified(
        kubernetes(),
        &service_account_claims(sub, "atlas-production", "atlas"),
    );
    assert_eq!(token.service_account(), Some(("atlas-production", "atlas")));
}

#[test]
fn invariant_17_other_issuers_cannot_name_a_service_account() {
    let sub = "system:serviceaccount:prod:admin";
    check(
        &|_| {},
        &[
            ("user", json!({"sub": "alice"}), "ok"),
            ("whole", json!({"sub": sub}), "ServiceAccount"),
            (
                "prefix",
                json!({"sub": "system:serviceaccount:"}),
                "ServiceAccount",
            ),
        ],
    );
    check(
        &|settings| {
            settings.claim_mappings.subject = vec![ClaimPath::top("login")];
        },
        &[
            ("mapped", json!({"login": sub}), "ServiceAccount"),
            (
                "behind a mapping",
                json!({"login": "alice", "sub": sub}),
                "ServiceAccount",
            ),
            ("plain", json!({"login": "alice"}), "ok"),
            ("mapped wrong type", json!({"login": 5}), "Claim"),
        ],
    );
    assert_eq!(verified(settings(), &claims()).service_account(), None);
}

#[test]
fn t12_scopes_imply_scopes_where_configured() {
    let mut own = settings();
    own.scope_implies = BTreeMap::from([
        (
            "ci".to_owned(),
            vec![
                "account:cache:write".to_owned(),
                "project:runs:write".to_owned(),
            ],
        ),
        (
            "account:cache:write".to_owned(),
            vec!["account:cache:read".to_owned()],
        ),
        ("loop".to_owned(), vec!["loop2".to_owned()]),
        ("loop2".to_owned(), vec!["loop".to_owned()]),
    ]);
    let scopes = |scope: &str| {
        let token = verified(own.clone(), &claims_with(json!({ "scope": scope })));
        token
            .scopes()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        scopes("ci"),
        [
            "account:cache:read",
            "account:cache:write",
            "ci",
            "project:runs:write"
        ]
    );
    assert_eq!(scopes("project:runs:write"), ["project:runs:write"]);
    assert_eq!(scopes("loop"), ["loop", "loop2"]);
    assert!(verified(own, &claims_with(json!({"scope": "ci"}))).has_scope("account:cache:read"));
}

#[test]
fn invariant_15_scopes_are_exact() {
    for (more, expected) in [
        (json!({"scope": "b a"}), vec!["a", "b"]),
        (json!({"scope": "a  a "}), vec!["a"]),
        (json!({"scope": "orders:readx"}), vec!["orders:readx"]),
        (json!({"scope": "orders:read\torders:write"}), vec![]),
        (json!({"scope": "a \"b\""}), vec![]),
        (json!({"scope": "a é"}), vec![]),
        (json!({"scope": ["a"]}), vec![]),
        (json!({"scope": 5}), vec![]),
        (json!({"scope": ["a"], "scp": ["b"]}), vec![]),
        (json!({"scp": ["b", "a"]}), vec!["a", "b"]),
        (json!({"scp": "b a"}), vec!["a", "b"]),
        (json!({"scp": ["a b"]}), vec![]),
        (json!({"scp": ["a", 5]}), vec![]),
        (json!({}), vec![]),
    ] {
        let token = verified(settings(), &claims_with(more.clone()));
        let scopes: Vec<&str> = token.scopes().iter().map(AsRef::as_ref).collect();
        assert_eq!(scopes, expected, "{more}");
    }
}

#[test]
fn homes_of_claims_are_mapped() {
    let mut own = settings();
    own.claim_mappings.account = vec![
        ClaimPath::parse("account_handle").unwrap(),
        ClaimPath::parse("/org/name").unwrap(),
    ];
    for (more, account, roles) in [
        (json!({"account_handle": "acme"}), Some("acme"), vec![]),
        (json!({"org": {"name": "acme"}}), Some("acme"), vec![]),
        (
            json!({"account_handle": ["acme"], "org": {"name": "b"}}),
            None,
            vec![],
        ),
        (json!({"account_handle": 5}), None, vec![]),
        (json!({"account_handle": ""}), None, vec![]),
        (
            json!({"realm_access": {"roles": ["b", "a", "a"]}}),
            None,
            vec!["a", "b"],
        ),
        (
            json!({"roles": "admin", "realm_access": {"roles": ["x"]}}),
            None,
            vec!["admin"],
        ),
        (json!({"roles": ["a", 5]}), None, vec![]),
    ] {
        let token = verified(own.clone(), &claims_with(more.clone()));
        assert_eq!(token.account(), account, "{more}");
        let own_roles: Vec<&str> = token.roles().iter().map(AsRef::as_ref).collect();
        assert_eq!(own_roles, roles, "{more}");
    }
}

#[test]
fn invariant_62_cheap_checks_come_first() {
    // The signature is junk throughout: what is found is found before it is looked at.
    let mut own = settings();
    own.clients = Some(vec!["good".to_owned()]);
    let issuers = issuers(vec![own]);
    for (more, expected) in [
        (json!({"iss": "https://else.example"}), "Issuer"),
        (json!({"exp": NOW - 100, "aud": "x", "azp": "x"}), "Expired"),
        (json!({"aud": "x", "azp": "x"}), "Audience"),
        (json!({"azp": "x"}), "Client"),
        (json!({"azp": "good"}), "Signature"),
    ] {
        let header = b64(r#"{"alg":"RS256","kid":"k1"}"#);
        let payload = b64(claims_with(more).to_string());
        let token = format!("{header}.{payload}.{}", b64([7; 256]));
        assert_eq!(outcome(&token, &issuers), expected);
    }
    assert_eq!(outcome(&".".repeat(8192), &issuers), "Malformed");
    assert_eq!(outcome(&"a".repeat(16 * 1024 + 1), &issuers), "TooLarge");
}

#[test]
fn agrees_with_jsonwebtoken_about_signatures() {
    use jsonwebtoken as oracle;
    let mut open = settings();
    open.algorithms = Algorithm::ALL.to_vec();
    for (key, alg) in [
        (rsa(), "RS256"),
        (rsa(), "RS384"),
        (rsa(), "RS512"),
        (rsa(), "PS256"),
        (rsa(), "PS384"),
        (rsa(), "PS512"),
        (p256(), "ES256"),
        (p384(), "ES384"),
        (ed25519(), "EdDSA"),
    ] {
        let jwk = key.jwk_with(json!({"kid": "k1"}));
        let decoding =
            oracle::DecodingKey::from_jwk(&serde_json::from_value(jwk.clone()).unwrap()).unwrap();
        let keys = cell(&[jwk]);
        let issuers = Issuers::new(vec![Arc::new(Issuer::new(open.clone(), keys))]);
        let mut validation = oracle::Validation::new(alg.parse().unwrap());
        validation.validate_exp = false;
        validation.validate_aud = false;
        let header = format!(r#"{{"alg":"{alg}","kid":"k1"}}"#);
        let token = key.token_of(alg, &header, &claims().to_string());
        let signature_at = token.rfind('.').unwrap() + 1;
        let mut signature = {
            use base64::Engine as _;
            base64::engine::general_purpose::URL_SAFE_NO_PAD
                .decode(&token[signature_at..])
                .unwrap()
        };
        let mut seen = [0, 0];
        for bit in std::iter::once(None).chain((0..signature.len() * 8).step_by(97).map(Some)) {
            if let Some(bit) = bit {
                signature[bit / 8] ^= 1 << (bit % 8);
            }
            let candidate = format!("{}{}", &token[..signature_at], b64(&signature));
            let own = outcome(&candidate, &issuers) == "ok";
            let other = oracle::decode::<Value>(&candidate, &decoding, &validation).is_ok();
            assert_eq!(own, other, "{alg} {bit:?}");
            seen[usize::from(own)] += 1;
            if let Some(bit) = bit {
                signature[bit / 8] ^= 1 << (bit % 8);
            }
        }
        assert!(seen[0] > 0 && seen[1] == 1, "{alg}");
        // Short, long and empty signatures.
        for bytes in [&signature[1..], &[signature.as_slice(), &[0]].concat(), &[]] {
            let candidate = format!("{}{}", &token[..signature_at], b64(bytes));
            assert_ne!(outcome(&candidate, &issuers), "ok", "{alg}");
        }
    }
}
