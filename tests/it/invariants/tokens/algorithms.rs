//! Invariant 9: every algorithm with its own key, and no other.

use serde_json::json;

use crate::bed::keys;
use crate::bed::{Request, Setup, Token, forwarded_everywhere, refused_everywhere};

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
