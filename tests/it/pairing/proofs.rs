//! Clients that send DPoP proofs, honest and not.
//!
//! A step of a row is one of these, or one of [`crate::bed::forge`] for the proof; `access STEP` is one of those for the
//! access token. `{t}` stands for that token.
//!
//! | step | what it does |
//! |---|---|
//! | `method METHOD`, `path TARGET`, `host HOST` | the request; the proof's `htu` follows the first path |
//! | `scheme SCHEME`, `credential TEXT` | `Authorization` |
//! | `proofs COUNT` | how many fields `DPoP` there are, all alike |
//! | `by KID` | the client has that key, and the token is bound to it |
//! | `holds KID` | the client has that key, and the token is bound to `es256-1` |
//! | `with NAME: VALUE` | another field |
//!
//! Placeholders beside those of [`crate::bed::forge`]: `<jkt KID>`, `<public KID>`, `<private KID>`, `<with NAME=VALUE KID>`,
//! `<ath>` of the token, `<ath other>` of another one, `<fresh>` for a `jti` that no proof had.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

use crate::bed::forge::{Forged, World, key};
use crate::bed::keys::b64;
use crate::bed::{Bed, Key, Request};

/// Only what the key is: `jwk` of a header.
pub fn public(key: &Key) -> Value {
    let mut jwk = key.jwk();
    for name in ["kid", "alg", "use"] {
        jwk.as_object_mut().expect("a JWK").remove(name);
    }
    jwk
}

/// RFC 7638.
pub fn thumbprint(key: &Key) -> String {
    // The members that are left are the required ones, and serde_json sorts them.
    b64(digest(&SHA256, public(key).to_string().as_bytes()))
}

/// `ath`.
pub fn hash(token: &str) -> String {
    b64(digest(&SHA256, token.as_bytes()))
}

/// A name that no proof had before.
pub fn fresh() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed).to_string()
}

/// The claims of a good proof.
fn claims_of(now: i64, url: &str, token: &str) -> Map<String, Value> {
    let claims = json!({"jti": fresh(), "htm": "GET", "htu": url, "iat": now, "ath": hash(token)});
    claims.as_object().expect("claims").clone()
}

/// A client whose tokens are bound to `es256-1`, and requests of it as a row says.
pub struct Client<'a> {
    pub bed: &'a Bed,
    /// Placeholders of the row's own.
    pub names: Vec<(&'static str, String)>,
}

impl<'a> Client<'a> {
    pub fn new(bed: &'a Bed) -> Self {
        Self {
            bed,
            names: Vec::new(),
        }
    }

    /// The request of a row, with a proof that nobody has seen.
    #[track_caller]
    pub fn request(&self, steps: &str) -> Request {
        let now = self.bed.clock.now().unix.as_secs();
        let all: Vec<&str> = steps.split(" ; ").map(str::trim_start).collect();
        let told = |verb: &str| {
            let mut values = all.iter().filter_map(|step| step.strip_prefix(verb));
            values.next_back().map(str::trim_start)
        };
        let bound = key(told("by ").unwrap_or("es256-1"));
        let holder = key(told("holds ").or(told("by ")).unwrap_or("es256-1"));
        let target = told("path ").unwrap_or("/any/x");
        let method = told("method ").unwrap_or("GET");

        let (header, mut claims) = self.bed.token().parts();
        claims.insert("cnf".into(), json!({"jkt": thumbprint(bound)}));
        let first = self.world(now, "");
        let access = Forged::new(&first, &crate::bed::keys::RSA_1, header, claims);
        let access = all
            .iter()
            .filter_map(|step| step.strip_prefix("access "))
            .fold(access, Forged::steps);
        let token = access.token();

        let world = self.world(now, &token);
        let path = target.split('?').next().expect("a path");
        let claims = claims_of(now, &format!("https://api.test{path}"), &token);
        let header = json!({"typ": "dpop+jwt", "alg": holder.alg, "jwk": public(holder)});
        let header = header.as_object().expect("a header").clone();
        let verbs = [
            "header",
            "claim",
            "signer",
            "as",
            "hmac",
            "signature",
            "form",
        ];
        let proof = all
            .iter()
            .filter(|step| verbs.contains(&step.split(' ').next().expect("a verb")))
            .map(|step| if *step == "form" { "form " } else { step })
            .fold(Forged::new(&world, holder, header, claims), Forged::steps)
            .token();

        let filled = |text: &str| text.replace("{t}", &token);
        let mut request = Request::new(method, &filled(target));
        if let Some(host) = told("host ") {
            request = request.host(host);
        }
        let scheme = told("scheme ").unwrap_or("DPoP");
        let credential = told("credential").unwrap_or("{t}");
        request = request.header("authorization", &format!("{scheme} {}", filled(credential)));
        let count = told("proofs ").map_or(1, |count| count.parse().expect("a count"));
        for _ in 0..count {
            request = request.header("dpop", &proof);
        }
        for step in &all {
            if let Some((name, value)) = step
                .strip_prefix("with ")
                .and_then(|it| it.split_once(": "))
            {
                request = request.header(name, &filled(value));
            }
        }
        request
    }

    fn world(&self, now: i64, token: &str) -> World {
        let mut names = self.names.clone();
        names.push(("fresh", fresh()));
        names.push(("ath", hash(token)));
        names.push((
            "ath other",
            hash(&self.bed.token().claim("other", true).sign()),
        ));
        names.push(("jkt es256-1", thumbprint(key("es256-1"))));
        for kid in ["es256-1", "ed25519-1", "rsa-2"] {
            let own = |what: &str| -> &'static str { format!("{what} {kid}").leak() };
            let jwk = public(key(kid));
            let with = |name: &str, value: &str| {
                let mut jwk = jwk.clone();
                jwk[name] = json!(value);
                jwk.to_string()
            };
            names.push((own("public"), jwk.to_string()));
            names.push((own("private"), with("d", &b64([7; 32]))));
            names.push((own("with use=enc"), with("use", "enc")));
            names.push((own("with alg=ES384"), with("alg", "ES384")));
        }
        World { now, names }
    }
}
