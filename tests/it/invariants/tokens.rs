//! Invariants 9 to 17 and 35: what a token must be.

use serde_json::{Value, json};

use crate::bed::keys::{self, b64, der};
use crate::bed::standard::standard;
use crate::bed::{
    Bed, Mode, Request, Setup, Token, Upstream, Variant, assert_forwarded, assert_refused,
    forwarded_everywhere, reconcile, refused_everywhere,
};

type Make = fn(&Bed) -> String;

/// Every row is refused with 401 in all variants; afterwards a good token still passes.
#[track_caller]
fn all_refused(bed: &Bed, rows: &[(&str, Make, &str)]) {
    for (name, make, reason) in rows {
        let token = make(bed);
        let request = Request::get("/any/x").bearer(&token);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            refused_everywhere(bed, &request, 401, reason);
        }));
        assert!(caught.is_ok(), "row: {name}");
    }
    forwarded_everywhere(bed, &Request::get("/any/x").bearer(bed.token().sign()));
    forwarded_everywhere(
        bed,
        &Request::get("/any/x").bearer(bed.token().key(&keys::ES256_1).sign()),
    );
    reconcile(bed);
}

fn rsa_pem() -> String {
    use base64::Engine;
    let body = base64::engine::general_purpose::STANDARD.encode(keys::RSA_1.public_bytes());
    format!("-----BEGIN RSA PUBLIC KEY-----\n{body}\n-----END RSA PUBLIC KEY-----\n")
}

fn hs256(bed: &Bed) -> Token {
    bed.token().header("alg", "HS256")
}

const ALGORITHMS: &[(&str, Make, &str)] = &[
    (
        "none",
        |bed| bed.token().header("alg", "none").with_signature(""),
        "token_malformed|token_algorithm",
    ),
    (
        "none with a signature",
        |bed| bed.token().header("alg", "none").sign(),
        "token_algorithm",
    ),
    (
        "None",
        |bed| bed.token().header("alg", "None").sign(),
        "token_algorithm",
    ),
    (
        "NONE",
        |bed| bed.token().header("alg", "NONE").sign(),
        "token_algorithm",
    ),
    (
        "nOnE",
        |bed| bed.token().header("alg", "nOnE").sign(),
        "token_algorithm",
    ),
    (
        "empty",
        |bed| bed.token().header("alg", "").sign(),
        "token_algorithm|token_malformed",
    ),
    (
        "absent",
        |bed| bed.token().without_header("alg").sign(),
        "token_algorithm|token_malformed",
    ),
    (
        "a number",
        |bed| bed.token().header("alg", 256).sign(),
        "token_algorithm|token_malformed",
    ),
    (
        "a list",
        |bed| bed.token().header("alg", json!(["RS256"])).sign(),
        "token_algorithm|token_malformed",
    ),
    (
        "null",
        |bed| bed.token().header("alg", Value::Null).sign(),
        "token_algorithm|token_malformed",
    ),
    (
        "rs256",
        |bed| bed.token().header("alg", "rs256").sign(),
        "token_algorithm",
    ),
    (
        "RS256 with a space",
        |bed| bed.token().header("alg", "RS256 ").sign(),
        "token_algorithm",
    ),
    (
        "ES512",
        |bed| bed.token().header("alg", "ES512").sign(),
        "token_algorithm",
    ),
    (
        "EdDSA, not in the list",
        |bed| bed.token().key(&keys::ED25519_1).sign(),
        "token_algorithm",
    ),
    (
        "PS256 under an RS256 key",
        |bed| bed.token().alg("PS256").sign(),
        "token_algorithm",
    ),
    (
        "RS512 under an RS256 key",
        |bed| bed.token().alg("RS512").sign(),
        "token_algorithm",
    ),
    (
        "ES256 under an RSA key",
        |bed| bed.token().header("alg", "ES256").sign(),
        "token_algorithm|token_signature",
    ),
    (
        "RS256 under an EC key",
        |bed| bed.token().header("kid", "es256-1").sign(),
        "token_algorithm|token_signature",
    ),
    (
        "HS256",
        |bed| hs256(bed).sign_hmac(b"secret"),
        "token_algorithm",
    ),
];

#[test]
fn invariant_09_the_algorithm_comes_from_the_key() {
    all_refused(&standard(), ALGORITHMS);
}

#[test]
fn invariant_09_every_listed_algorithm_verifies_with_its_own_key_only() {
    let bed = Setup::bare(
        "
issuers:
  - name: main
    issuer: @ISSUER@
    jwks: {file: @DIR@/jwks.json}
    audiences: [api]
    algorithms: [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, Ed25519]
callers: {web: {issuer: main}}
routes: [{path: /health, allow: anyone}, {path: /**, allow: web}]
",
    )
    .tls()
    .start();
    let mut all = Vec::new();
    for key in [&keys::RSA_1, &keys::ES256_1, &keys::ES384_1] {
        all.push(key.jwk());
    }
    // RFC 9864: the same key may be announced as `EdDSA`, as `Ed25519`, or as neither.
    let mut edwards = keys::ED25519_1.jwk();
    edwards.as_object_mut().expect("a JWK").remove("alg");
    all.push(edwards);
    let mut free = keys::RSA_2.jwk();
    free.as_object_mut().expect("a JWK").remove("alg");
    all.push(free);
    let mut wrong_use = keys::RSA_2.jwk();
    wrong_use["use"] = json!("enc");
    wrong_use["kid"] = json!("enc");
    all.push(wrong_use);
    let mut wrong_ops = keys::RSA_2.jwk();
    wrong_ops["key_ops"] = json!(["encrypt"]);
    wrong_ops["kid"] = json!("ops");
    all.push(wrong_ops);
    let mut x25519 = keys::ED25519_1.jwk();
    x25519["crv"] = json!("X25519");
    x25519["kid"] = json!("x25519");
    all.push(x25519);
    bed.republish("main", all);
    let go = |token: Token| Request::get("/x").bearer(token.sign());
    for key in [
        &keys::RSA_1,
        &keys::ES256_1,
        &keys::ES384_1,
        &keys::ED25519_1,
    ] {
        forwarded_everywhere(&bed, &go(bed.token().key(key)));
    }
    forwarded_everywhere(&bed, &go(bed.token().key(&keys::ED25519_1).alg("Ed25519")));
    for alg in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
        forwarded_everywhere(&bed, &go(bed.token().key(&keys::RSA_2).alg(alg)));
    }
    for alg in ["RS384", "PS256"] {
        refused_everywhere(&bed, &go(bed.token().alg(alg)), 401, "token_algorithm");
    }
    for kid in ["enc", "ops"] {
        let token = bed.token().key(&keys::RSA_2).header("kid", kid);
        refused_everywhere(&bed, &go(token), 401, "token_unknown_key|token_algorithm");
    }
    let token = bed.token().key(&keys::ED25519_1).header("kid", "x25519");
    refused_everywhere(&bed, &go(token), 401, "token_unknown_key|token_algorithm");
}

const SYMMETRIC: &[(&str, Make, &str)] = &[
    (
        "the PEM",
        |bed| hs256(bed).sign_hmac(rsa_pem().as_bytes()),
        "token_algorithm",
    ),
    (
        "the DER",
        |bed| hs256(bed).sign_hmac(&keys::RSA_1.public_bytes()),
        "token_algorithm",
    ),
    (
        "the JWK text",
        |bed| hs256(bed).sign_hmac(keys::RSA_1.jwk().to_string().as_bytes()),
        "token_algorithm",
    ),
    (
        "the modulus",
        |bed| hs256(bed).sign_hmac(&keys::RSA_1.rsa_numbers().0),
        "token_algorithm",
    ),
    (
        "nothing",
        |bed| hs256(bed).sign_hmac(b""),
        "token_algorithm",
    ),
    (
        "the oct key of the set",
        |bed| {
            hs256(bed)
                .header("kid", "oct")
                .sign_hmac(b"a shared secret")
        },
        "token_algorithm",
    ),
    (
        "the oct key, alg RS256",
        |bed| {
            bed.token()
                .header("kid", "oct")
                .sign_hmac(b"a shared secret")
        },
        "token_unknown_key|token_algorithm",
    ),
];

#[test]
fn invariant_10_symmetric_keys_of_a_set_are_ignored() {
    let bed = standard();
    let oct = json!({"kty": "oct", "kid": "oct", "k": b64("a shared secret"), "alg": "HS256"});
    bed.republish("main", vec![keys::RSA_1.jwk(), keys::ES256_1.jwk(), oct]);
    all_refused(&bed, SYMMETRIC);
    assert!(!der(include_str!("../../fixtures/keys/rsa-1.pem")).is_empty());
}

const KIDS: &[(&str, Make, &str)] = &[
    (
        "none",
        |bed| bed.token().without_header("kid").sign(),
        "token_unknown_key",
    ),
    (
        "a path",
        |bed| bed.token().header("kid", "../../dev/null").sign(),
        "token_unknown_key",
    ),
    (
        "SQL",
        |bed| bed.token().header("kid", "' OR 1=1--").sign(),
        "token_unknown_key",
    ),
    (
        "NUL",
        |bed| bed.token().header("kid", "rsa-1\0").sign(),
        "token_unknown_key|token_malformed",
    ),
    (
        "8 KiB",
        |bed| bed.token().header("kid", "k".repeat(8192)).sign(),
        "token_unknown_key|token_malformed",
    ),
    (
        "129 bytes",
        |bed| bed.token().header("kid", "k".repeat(129)).sign(),
        "token_unknown_key|token_malformed",
    ),
    (
        "a number",
        |bed| bed.token().header("kid", 1).sign(),
        "token_unknown_key|token_malformed",
    ),
    (
        "another case",
        |bed| bed.token().header("kid", "RSA-1").sign(),
        "token_unknown_key",
    ),
    (
        "empty",
        |bed| bed.token().header("kid", "").sign(),
        "token_unknown_key|token_malformed",
    ),
    (
        "its own jwk",
        |bed| {
            bed.token()
                .key(&keys::RSA_2)
                .header("jwk", keys::RSA_2.jwk())
                .sign()
        },
        "token_unknown_key",
    ),
    (
        "its own jwk under our kid",
        |bed| {
            bed.token()
                .signed_by(&keys::RSA_2)
                .header("jwk", keys::RSA_2.jwk())
                .sign()
        },
        "token_signature",
    ),
    (
        "another key under our kid",
        |bed| bed.token().signed_by(&keys::RSA_2).sign(),
        "token_signature",
    ),
];

#[test]
fn invariant_11_keys_come_only_from_the_issuers_set_by_exact_kid() {
    let bed = standard();
    all_refused(&bed, KIDS);
    let trap = Upstream::start();
    for name in ["jku", "x5u"] {
        let token = bed.token().key(&keys::RSA_2).header(name, trap.url());
        refused_everywhere(
            &bed,
            &Request::get("/any/x").bearer(token.sign()),
            401,
            "token_unknown_key",
        );
        let ours = bed.token().signed_by(&keys::RSA_2).header(name, trap.url());
        refused_everywhere(
            &bed,
            &Request::get("/any/x").bearer(ours.sign()),
            401,
            "token_signature",
        );
    }
    assert_eq!(trap.connections(), 0);
    assert_eq!(bed.issuer.connections(), 0);
}

const TWO: &str = "
issuers:
  - {name: main, issuer: @ISSUER@, jwks: {file: @DIR@/jwks.json}, audiences: [api]}
  - {name: second, issuer: @ISSUER2@, jwks: {url: @JWKS2@, allow_http: true}, audiences: [api]}
callers: {one: {issuer: main}, other: {issuer: second}}
routes:
  - {path: /health, allow: anyone}
  - {path: /one, allow: one}
  - {path: /other, allow: other}
";

#[test]
fn invariant_11_and_12_the_same_kid_never_crosses_issuers() {
    let bed = Setup::bare(TWO).tls().start();
    let mut other_key = keys::RSA_2.jwk();
    other_key["kid"] = json!("rsa-1");
    bed.second.publish(vec![other_key]);
    let theirs = bed.second.token().signed_by(&keys::RSA_2);
    forwarded_everywhere(&bed, &Request::get("/one").bearer(bed.token().sign()));
    forwarded_everywhere(&bed, &Request::get("/other").bearer(theirs.sign()));
    let crossed = bed.token().signed_by(&keys::RSA_2).sign();
    refused_everywhere(
        &bed,
        &Request::get("/one").bearer(crossed),
        401,
        "token_signature",
    );
    let crossed = bed.second.token().signed_by(&keys::RSA_1).sign();
    refused_everywhere(
        &bed,
        &Request::get("/other").bearer(crossed),
        401,
        "token_signature",
    );
    refused_everywhere(
        &bed,
        &Request::get("/other").bearer(bed.token().sign()),
        403,
        "caller_not_allowed",
    );
    refused_everywhere(
        &bed,
        &Request::get("/one").bearer(theirs.sign()),
        403,
        "caller_not_allowed",
    );
}

const ISSUERS: &[(&str, Make, &str)] = &[
    (
        "a list",
        |bed| {
            bed.token()
                .claim("iss", json!(["https://attacker", bed.issuer.iss]))
                .sign()
        },
        ISS,
    ),
    (
        "a slash",
        |bed| {
            bed.token()
                .claim("iss", format!("{}/", bed.issuer.iss))
                .sign()
        },
        ISS,
    ),
    (
        "upper case",
        |bed| {
            bed.token()
                .claim("iss", bed.issuer.iss.to_uppercase())
                .sign()
        },
        ISS,
    ),
    ("a number", |bed| bed.token().claim("iss", 1).sign(), ISS),
    (
        "an object",
        |bed| {
            bed.token()
                .claim("iss", json!({"iss": bed.issuer.iss}))
                .sign()
        },
        ISS,
    ),
    (
        "null",
        |bed| bed.token().claim("iss", Value::Null).sign(),
        ISS,
    ),
    ("missing", |bed| bed.token().without("iss").sign(), ISS),
    (
        "a space",
        |bed| {
            bed.token()
                .claim("iss", format!(" {}", bed.issuer.iss))
                .sign()
        },
        ISS,
    ),
    (
        "NUL",
        |bed| {
            bed.token()
                .claim("iss", format!("{}\0", bed.issuer.iss))
                .sign()
        },
        ISS,
    ),
    (
        "a prefix",
        |bed| {
            bed.token()
                .claim("iss", &bed.issuer.iss[..bed.issuer.iss.len() - 1])
                .sign()
        },
        ISS,
    ),
    (
        "someone else",
        |bed| bed.token().claim("iss", "https://attacker.test").sign(),
        ISS,
    ),
];
const ISS: &str = "token_issuer|token_claim|token_malformed";

#[test]
fn invariant_12_iss_is_one_string_equal_to_a_configured_issuer() {
    all_refused(&standard(), ISSUERS);
}

fn spliced(bed: &Bed, insert: &str) -> String {
    let payload = bed.token().payload();
    bed.token()
        .raw_payload(format!("{},{insert}}}", &payload[..payload.len() - 1]))
        .sign()
}

const CLAIMS: &[(&str, Make, &str)] = &[
    (
        "array payload",
        |bed| {
            bed.token()
                .raw_payload(format!(
                    "[9999999999,0,\"u\",\"{}\",\"api\"]",
                    bed.issuer.iss
                ))
                .sign()
        },
        BAD,
    ),
    (
        "string payload",
        |bed| bed.token().raw_payload("\"x\"").sign(),
        BAD,
    ),
    (
        "null payload",
        |bed| bed.token().raw_payload("null").sign(),
        BAD,
    ),
    ("no JSON", |bed| bed.token().raw_payload("{").sign(), BAD),
    (
        "trailing bytes",
        |bed| {
            bed.token()
                .raw_payload(format!("{} x", bed.token().payload()))
                .sign()
        },
        BAD,
    ),
    (
        "not UTF-8",
        |bed| bed.token().raw_payload(b"{\"iss\":\"\xff\"}").sign(),
        BAD,
    ),
    (
        "duplicate account",
        |bed| spliced(bed, "\"account\":\"a\",\"account\":\"b\""),
        BAD,
    ),
    (
        "duplicate account, escaped",
        |bed| spliced(bed, "\"account\":\"a\",\"acc\\u006funt\":\"b\""),
        BAD,
    ),
    ("duplicate sub", |bed| spliced(bed, "\"sub\":\"bob\""), BAD),
    (
        "duplicate exp",
        |bed| spliced(bed, "\"exp\":9999999999"),
        BAD,
    ),
    (
        "duplicate iss",
        |bed| spliced(bed, &format!("\"iss\":\"{}\"", bed.issuer.iss)),
        BAD,
    ),
    (
        "nested duplicate",
        |bed| {
            spliced(
                bed,
                "\"realm_access\":{\"roles\":[\"a\"],\"roles\":[\"b\"]}",
            )
        },
        BAD,
    ),
    ("exp missing", |bed| bed.token().without("exp").sign(), BAD),
    (
        "exp a string",
        |bed| bed.token().claim("exp", "9999999999").sign(),
        BAD,
    ),
    (
        "exp a boolean",
        |bed| bed.token().claim("exp", true).sign(),
        BAD,
    ),
    (
        "exp a list",
        |bed| bed.token().claim("exp", json!([9_999_999_999_u64])).sign(),
        BAD,
    ),
    (
        "exp null",
        |bed| bed.token().claim("exp", Value::Null).sign(),
        BAD,
    ),
    (
        "exp in the past",
        |bed| bed.token().expires_in(-300).sign(),
        "token_expired",
    ),
    (
        "exp negative",
        |bed| bed.token().claim("exp", -1).sign(),
        "token_expired|token_claim",
    ),
    (
        "nbf a string",
        |bed| bed.token().claim("nbf", "1").sign(),
        BAD,
    ),
    (
        "nbf in the future",
        |bed| bed.token().claim("nbf", crate::bed::START + 120).sign(),
        "token_not_yet_valid",
    ),
    (
        "iat a string",
        |bed| bed.token().claim("iat", "1").sign(),
        BAD,
    ),
    (
        "iat in the future",
        |bed| bed.token().claim("iat", crate::bed::START + 120).sign(),
        "token_not_yet_valid",
    ),
    ("sub missing", |bed| bed.token().without("sub").sign(), BAD),
    (
        "sub a number",
        |bed| bed.token().claim("sub", 7).sign(),
        BAD,
    ),
    (
        "sub null",
        |bed| bed.token().claim("sub", Value::Null).sign(),
        BAD,
    ),
    ("aud missing", |bed| bed.token().without("aud").sign(), AUD),
    (
        "aud a number",
        |bed| bed.token().claim("aud", 5).sign(),
        AUD,
    ),
    (
        "aud an object",
        |bed| bed.token().claim("aud", json!({"api": 1})).sign(),
        AUD,
    ),
    (
        "aud null",
        |bed| bed.token().claim("aud", Value::Null).sign(),
        AUD,
    ),
    (
        "aud a mixed list",
        |bed| bed.token().claim("aud", json!(["x", 5, "api"])).sign(),
        AUD,
    ),
    (
        "aud empty",
        |bed| bed.token().claim("aud", json!([])).sign(),
        AUD,
    ),
    (
        "aud longer",
        |bed| bed.token().claim("aud", "api-x").sign(),
        AUD,
    ),
    (
        "aud shorter",
        |bed| bed.token().claim("aud", "ap").sign(),
        AUD,
    ),
    (
        "aud two words",
        |bed| bed.token().claim("aud", "x api").sign(),
        AUD,
    ),
    (
        "aud other case",
        |bed| bed.token().claim("aud", "API").sign(),
        AUD,
    ),
];
const BAD: &str = "token_malformed|token_claim";
const AUD: &str = "token_audience|token_claim|token_malformed";

#[test]
fn invariant_13_claims_are_one_object_of_exact_types() {
    let bed = standard();
    all_refused(&bed, CLAIMS);
    let list = bed.token().claim("aud", json!(["x", "api"])).sign();
    forwarded_everywhere(&bed, &Request::get("/any/x").bearer(list));
}

const HEADERS: &[(&str, Make, &str)] = &[
    (
        "crit",
        |bed| bed.token().header("crit", json!(["exp2"])).sign(),
        HEAD,
    ),
    (
        "empty crit",
        |bed| bed.token().header("crit", json!([])).sign(),
        HEAD,
    ),
    (
        "crit b64",
        |bed| {
            bed.token()
                .header("crit", json!(["b64"]))
                .header("b64", false)
                .sign()
        },
        HEAD,
    ),
    ("b64", |bed| bed.token().header("b64", true).sign(), HEAD),
    ("zip", |bed| bed.token().header("zip", "DEF").sign(), HEAD),
    (
        "enc",
        |bed| bed.token().header("enc", "A128GCM").sign(),
        HEAD,
    ),
    ("cty", |bed| bed.token().header("cty", "JWT").sign(), HEAD),
    (
        "logout",
        |bed| bed.token().header("typ", "logout+jwt").sign(),
        HEAD,
    ),
    (
        "DPoP",
        |bed| bed.token().header("typ", "dpop+jwt").sign(),
        HEAD,
    ),
    (
        "event",
        |bed| bed.token().header("typ", "secevent+jwt").sign(),
        HEAD,
    ),
    (
        "typ a number",
        |bed| bed.token().header("typ", 1).sign(),
        HEAD,
    ),
    (
        "ID token",
        |bed| bed.token().claim("typ", "ID").sign(),
        HEAD,
    ),
    (
        "header an array",
        |bed| bed.token().raw_header("[\"RS256\"]").sign(),
        HEAD,
    ),
    (
        "header no JSON",
        |bed| bed.token().raw_header("{").sign(),
        HEAD,
    ),
    (
        "duplicate alg",
        |bed| {
            bed.token()
                .raw_header("{\"alg\":\"RS256\",\"alg\":\"RS256\",\"kid\":\"rsa-1\"}")
                .sign()
        },
        HEAD,
    ),
    (
        "duplicate kid",
        |bed| {
            bed.token()
                .raw_header("{\"alg\":\"RS256\",\"kid\":\"x\",\"kid\":\"rsa-1\"}")
                .sign()
        },
        HEAD,
    ),
    (
        "five parts",
        |bed| format!("{}.a.b", bed.token().sign()),
        HEAD,
    ),
    (
        "four parts",
        |bed| format!("{}.a", bed.token().sign()),
        HEAD,
    ),
    (
        "four parts, one empty",
        |bed| format!("{}.", bed.token().sign()),
        HEAD,
    ),
    (
        "two parts",
        |bed| {
            bed.token()
                .sign()
                .rsplit_once('.')
                .map(|(two, _)| two.to_owned())
                .unwrap_or_default()
        },
        HEAD,
    ),
    ("no signature", |bed| bed.token().with_signature(""), HEAD),
    (
        "no header",
        |bed| {
            format!(
                ".{}",
                bed.token()
                    .sign()
                    .split_once('.')
                    .map(|(_, rest)| rest.to_owned())
                    .unwrap_or_default()
            )
        },
        HEAD,
    ),
    ("padding", |bed| format!("{}=", bed.token().sign()), HEAD),
    (
        "a question mark",
        |bed| format!("{}?", bed.token().sign()),
        HEAD,
    ),
    (
        "standard base64",
        |bed| bed.token().sign().replacen('.', "+.", 1),
        HEAD,
    ),
    (
        "a broken signature",
        |bed| bed.token().with_signature(&b64([0; 256])),
        "token_signature",
    ),
    (
        "a short signature",
        |bed| bed.token().with_signature(&b64([0; 8])),
        "token_signature|token_malformed",
    ),
    ("garbage", |_| "garbage".into(), HEAD),
    ("dots", |_| "..".into(), HEAD),
    ("many dots", |_| ".".repeat(8000), HEAD),
    (
        "deep JSON",
        |bed| bed.token().raw_payload("[".repeat(4000)).sign(),
        HEAD,
    ),
    (
        "too large",
        |bed| bed.token().claim("x", "x".repeat(13_000)).sign(),
        "token_too_large",
    ),
];
const HEAD: &str = "token_unsupported_header|token_type|token_malformed|token_algorithm|token_scheme|token_too_large";

#[test]
fn invariant_14_unknown_semantics_and_shapes_are_refused() {
    let bed = standard();
    all_refused(&bed, HEADERS);
    for typ in ["JWT", "at+jwt", "AT+JWT", "application/at+jwt"] {
        let token = bed.token().header("typ", typ).sign();
        assert_forwarded(&bed, Variant::PLAIN, &Request::get("/any/x").bearer(token));
    }
    let token = bed.token().without_header("typ").sign();
    forwarded_everywhere(&bed, &Request::get("/any/x").bearer(token));
}

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

const SETS: &str = "
issuers:
  - name: main
    issuer: @ISSUER@
    jwks: {file: @DIR@/jwks.json}
    audiences: [api]
    clients: [good]
callers: {web: {issuer: main}}
routes:
  - {path: /health, allow: anyone}
  - {path: /x, allow: {issuer: main, scopes: [\"orders:read\", other]}}
";

#[test]
fn invariant_15_membership_is_exact() {
    let bed = Setup::bare(SETS).tls().start();
    let base = || {
        bed.token()
            .claim("azp", "good")
            .claim("scope", "other orders:read")
    };
    let go = |token: Token| Request::get("/x").bearer(token.sign());
    forwarded_everywhere(&bed, &go(base()));
    for azp in [
        json!("good "),
        json!("goo"),
        json!("Good"),
        json!("good,x"),
        json!(["good"]),
        json!(""),
        Value::Null,
        json!(1),
    ] {
        let reason = "token_client|token_claim";
        refused_everywhere(&bed, &go(base().claim("azp", azp)), 401, reason);
    }
    refused_everywhere(
        &bed,
        &go(base().without("azp")),
        401,
        "token_client|token_claim",
    );
    forwarded_everywhere(&bed, &go(base().without("azp").claim("client_id", "good")));
    for scope in [
        "orders:readx other",
        "xorders:read other",
        "orders:read",
        "other",
        "Orders:Read other",
        "orders:read,other",
        "orders:read\u{a0}other",
        "",
        "orders other",
    ] {
        let response = assert_refused(
            &bed,
            Variant::PLAIN,
            &go(base().claim("scope", scope)),
            403,
            "scope_missing",
        );
        let challenge = response
            .header("www-authenticate")
            .unwrap_or_default()
            .to_owned();
        assert!(
            challenge.contains("error=\"insufficient_scope\""),
            "{challenge}"
        );
    }
    refused_everywhere(&bed, &go(base().without("scope")), 403, "scope_missing");
    refused_everywhere(
        &bed,
        &go(base().claim("scope", "orders:read\tother")),
        403,
        "scope_missing",
    );
    let number = go(base().claim("scope", json!([1, 2])));
    let status = bed.send(&number).status;
    assert!(matches!(status, 401 | 403), "{status}");
}

#[test]
fn invariant_15_an_empty_allow_list_allows_nobody() {
    let empty = SETS.replace("clients: [good]", "clients: []");
    match Setup::bare(&empty).try_start() {
        Err(error) => assert!(error.contains("clients"), "{error}"),
        Ok(bed) => {
            let token = bed.token().claim("azp", "good").sign();
            assert_refused(
                &bed,
                Variant::PLAIN,
                &Request::get("/x").bearer(token),
                401,
                "token_client",
            );
        }
    }
}

#[test]
fn invariant_16_the_account_is_one_decoded_segment_equal_to_one_string() {
    let bed = standard();
    let go = |segment: &str, account: Value| {
        let target = format!("/users/{segment}/data");
        Request::get(&target).bearer(bed.token().claim("account", account).sign())
    };
    let refused = "account_mismatch|account_required|token_claim";
    for (segment, account) in [
        ("A", json!("A ")),
        ("A", json!(" A")),
        ("A", json!("a")),
        ("a", json!("A")),
        ("*", json!("A")),
        ("A", json!("*")),
        ("A", json!("")),
        ("A", json!("A/B")),
        ("A", json!("A\0")),
        ("A", json!("\u{ff21}")),
        ("A", json!("AA")),
        ("%C3%A9", json!("e\u{301}")),
        ("e%CC%81", json!("\u{e9}")),
        ("A", json!("A,B")),
        ("{account}", json!("A")),
        ("%20A", json!("A")),
        ("A%20", json!("A")),
    ] {
        for variant in [Variant::ALL[0], Variant::ALL[2]] {
            let request = go(segment, account.clone());
            if variant.can_say(&request) {
                assert_refused(&bed, variant, &request, 403, refused);
            }
        }
    }
    for account in [
        Value::Null,
        json!(1),
        json!(["A"]),
        json!({"A": 1}),
        json!(true),
    ] {
        let status = bed.send(&go("A", account.clone())).status;
        assert!(matches!(status, 401 | 403), "{status} for {account}");
    }
    let none = Request::get("/users/A/data").bearer(bed.token().sign());
    refused_everywhere(&bed, &none, 403, refused);
    assert_eq!(
        bed.upstream
            .requests()
            .iter()
            .filter(|request| request.target.starts_with("/users"))
            .count(),
        0
    );
    for (segment, account) in [
        ("A", "A"),
        ("%41", "A"),
        ("%C3%A9", "\u{e9}"),
        ("a.b", "a.b"),
        ("*", "*"),
        ("%20", " "),
    ] {
        assert_forwarded(&bed, Variant::PLAIN, &go(segment, json!(account)));
    }
}

#[test]
fn invariant_16_random_pairs_pass_if_and_only_if_they_are_equal() {
    let bed = standard();
    let accounts: Vec<String> = (0..32)
        .map(|n| format!("{}{}", ["a", "A", "b", "acme"][n % 4], n / 8))
        .collect();
    let tokens: Vec<String> = accounts
        .iter()
        .map(|account| bed.token().claim("account", account.as_str()).sign())
        .collect();
    let mut connection = bed.proxy.connect();
    let mut equal = 0;
    for (at, path) in accounts.iter().enumerate() {
        for (account, token) in accounts
            .iter()
            .zip(&tokens)
            .skip(at % 2)
            .step_by(2)
            .chain([(path, &tokens[at])])
        {
            let request = Request::get(&format!("/users/{path}/data")).bearer(token);
            let response = connection.exchange(request.bytes());
            assert_eq!(response.status == 200, path == account, "{path} {account}");
            equal += usize::from(path == account);
            if response
                .header("connection")
                .is_some_and(|value| value.contains("close"))
            {
                connection = bed.proxy.connect();
            }
        }
    }
    assert!(equal >= 32);
}

const SERVICE_ACCOUNT: &str = "
issuers:
  - name: main
    issuer: @ISSUER@
    jwks: {file: @DIR@/jwks.json}
    audiences: [api]
    max_lifetime: 1h
    kubernetes: true
  - {name: users, issuer: @ISSUER2@, jwks: {url: @JWKS2@, allow_http: true}, audiences: [api]}
callers:
  robot: {issuer: main, service_account: prod/admin.x}
  user: {issuer: users}
routes:
  - {path: /health, allow: anyone}
  - {path: /robots, allow: robot}
  - {path: /users, allow: user}
";

#[test]
fn invariant_17_service_account_tokens_only_through_their_verifier() {
    let bed = Setup::bare(SERVICE_ACCOUNT).tls().start();
    let sa = |namespace: &str, name: &str| {
        bed.token()
            .claim("sub", format!("system:serviceaccount:{namespace}:{name}"))
            .claim(
                "kubernetes.io",
                json!({"namespace": namespace, "serviceaccount": {"name": name, "uid": "u"}}),
            )
    };
    let robots = |token: Token| Request::get("/robots").bearer(token.sign());
    forwarded_everywhere(&bed, &robots(sa("prod", "admin.x")));
    for (namespace, name) in [
        ("prod", "adminzx"),
        ("prod", "admin"),
        ("prod", "admin.x2"),
        ("prod2", "admin.x"),
        ("PROD", "admin.x"),
    ] {
        refused_everywhere(
            &bed,
            &robots(sa(namespace, name)),
            403,
            "caller_not_allowed|condition_service_account",
        );
    }
    let good = || sa("prod", "admin.x");
    let bad = "token_service_account|token_claim|token_malformed";
    for token in [
        good().without("kubernetes.io"),
        good().claim(
            "kubernetes.io",
            json!({"namespace": "other", "serviceaccount": {"name": "admin.x"}}),
        ),
        good().claim(
            "kubernetes.io",
            json!({"namespace": "prod", "serviceaccount": {"name": "other"}}),
        ),
        good().claim("kubernetes.io", json!({"namespace": "prod"})),
        good().claim("kubernetes.io", json!("prod")),
        good().claim("sub", "system:serviceaccount:prod:other"),
        good().claim("sub", "system:serviceaccount:prod:admin.x:y"),
        good().claim("sub", "alice"),
    ] {
        refused_everywhere(&bed, &robots(token), 401, bad);
    }
    refused_everywhere(
        &bed,
        &robots(good().claim("aud", "https://kubernetes.default.svc")),
        401,
        "token_audience",
    );
    refused_everywhere(
        &bed,
        &robots(good().expires_in(3601)),
        401,
        "token_lifetime",
    );
    refused_everywhere(
        &bed,
        &robots(good().without("exp")),
        401,
        "token_claim|token_malformed",
    );
    let user_like = bed
        .second
        .token()
        .claim("sub", "system:serviceaccount:prod:admin.x")
        .claim(
            "kubernetes.io",
            json!({"namespace": "prod", "serviceaccount": {"name": "admin.x"}}),
        );
    refused_everywhere(&bed, &robots(user_like), 401, bad);
    refused_everywhere(
        &bed,
        &Request::get("/users").bearer(good().sign()),
        403,
        "caller_not_allowed",
    );
    forwarded_everywhere(
        &bed,
        &Request::get("/users").bearer(bed.second.token().sign()),
    );
}

const NETWORK: &str = "
issuers:
  - {name: main, issuer: @ISSUER@, jwks: {url: @JWKS@, allow_http: true}, audiences: [api]}
callers: {web: {issuer: main}}
routes: [{path: /health, allow: anyone}, {path: /**, allow: web}]
";

#[test]
fn invariant_35_no_keys_no_pass() {
    let clock = countersign::clock::Clock::manual(countersign::clock::UnixTime::from_secs(
        crate::bed::START,
    ));
    let dead = crate::bed::Issuer::start(&clock);
    dead.mode(Mode::Answer(500, "text/plain", "down".into()));
    let lines = NETWORK
        .replace("@ISSUER@", &dead.iss)
        .replace("@JWKS@", &dead.jwks_url());
    let bed = Setup::bare(&lines).tls().start();
    let request = Request::get("/x").bearer(dead.token().sign());
    for variant in Variant::ALL {
        let response = assert_refused(&bed, variant, &request, 503, "keys_unavailable");
        assert!(response.header("retry-after").is_some(), "{variant:?}");
    }
    forwarded_everywhere(&bed, &Request::get("/health"));
    refused_everywhere(&bed, &Request::get("/x"), 401, "no_token");
    assert_eq!(bed.proxy.admin_get("/readyz").status, 503);
    assert_eq!(bed.proxy.admin_get("/livez").status, 200);
}

#[test]
fn invariant_35_there_is_no_switch_that_skips_the_signature() {
    for switch in [
        "allow_missing: true",
        "allow_failed: true",
        "skip_signature: true",
        "verify: false",
    ] {
        let lines = NETWORK.replace("audiences: [api]", &format!("audiences: [api], {switch}"));
        let error = Setup::bare(&lines)
            .try_start()
            .err()
            .expect("an unknown key");
        assert!(error.contains("unknown"), "{error}");
    }
    assert!(Setup::bare(NETWORK).try_start().is_ok());
}
